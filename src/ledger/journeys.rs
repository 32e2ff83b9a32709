//! Requests answered in several legs: each counts once, by the answer delivered; tokens count leg by leg.
//!
//! A request arrives with its first leg and is over with its last. What all its legs emitted is output; useful are only
//! the tokens of the delivered answer. That is *shown* from its first token on, or where a verdict comes before it, all at
//! once with the verdict: time to first token runs to there. TPOT is that of the delivered leg as it was made. A leg's
//! wait in a queue runs from the instant at which it set out.

use super::book::{Finished, Ledger};
use super::outcome::{RequestOutcome, RequestRow};
use crate::workload::{Itinerary, Request};

/// A leg that is done.
#[derive(Debug, Clone, Copy)]
pub struct LegDone {
    /// The leg.
    pub request: Request,
    /// Instant of its first token [fs].
    pub first_token_fs: i128,
    /// Of its last [fs].
    pub last_token_fs: i128,
    /// Its replica.
    pub replica: u32,
}

/// Legs by what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Legs {
    set_out: u64,
    done: u64,
    dropped: u64,
    in_flight: u64,
    /// Tokens of legs that are done, of journeys still on their way.
    pub(super) under_way_tok: u64,
}

impl Legs {
    /// What does not add up, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { set_out, done, dropped, in_flight, under_way_tok } = self;
        if *set_out != done + dropped + in_flight {
            return Err(format!(
                "legs: {set_out} set out, {done} done + {dropped} given up + {in_flight} in flight"
            ));
        }
        if *under_way_tok != 0 {
            return Err(format!("legs: {under_way_tok} tokens of legs that are done belong to no request"));
        }
        Ok(())
    }
}

impl Ledger {
    /// A leg sets out; the first of a request arrives with it and is counted by [`Self::arrived`], too.
    #[inline(never)]
    pub fn leg_sets_out(&mut self, leg: &Request) {
        self.legs.set_out += 1;
        if leg.leg.number() != Some(0) {
            self.offered(leg.arrival_fs, leg.output_tok);
        }
    }

    /// The prompt of a leg is complete for the first time and its first token out; `shown_since`: the arrival of its
    /// request, if its answer is delivered as it comes [fs].
    #[inline(never)]
    pub fn leg_first_token(&mut self, now_fs: i128, leg: &Request, shown_since: Option<i128>) {
        self.prompt_tokens += u64::from(leg.prompt_tok);
        if now_fs > self.window_fs {
            self.window_prompt_tokens += u64::from(leg.prompt_tok);
            if let Some(since_fs) = shown_since {
                self.ttft.record(now_fs - since_fs, 1);
            }
        }
    }

    /// A leg has emitted all its tokens.
    pub fn leg_done(&mut self, leg: &Request) {
        self.legs.done += 1;
        self.legs.under_way_tok += u64::from(leg.output_tok);
    }

    /// A leg comes to nothing, having emitted `emitted` tokens; `admitted`: it was, at least once.
    pub fn leg_dropped(&mut self, leg: &Request, emitted: u32, admitted: bool) {
        self.legs.dropped += 1;
        self.legs.under_way_tok += u64::from(emitted);
        if !admitted {
            self.backlog_tok -= u64::from(leg.output_tok);
        }
    }

    /// A leg is still here at the end, having emitted `emitted` tokens.
    pub fn leg_left_over(&mut self, emitted: u32) {
        self.legs.in_flight += 1;
        self.legs.under_way_tok += u64::from(emitted);
    }

    /// A request is answered: all its legs are done. `spent_tok`: what they emitted.
    #[inline(never)]
    pub fn answered(
        &mut self,
        now_fs: i128,
        first: &Request,
        itinerary: &Itinerary,
        delivered: &LegDone,
        spent_tok: u64,
    ) {
        let shown_fs = if itinerary.verified { now_fs } else { delivered.first_token_fs };
        if itinerary.verified && now_fs > self.window_fs {
            self.ttft.record(now_fs - first.arrival_fs, 1);
        }
        if self.in_window(now_fs) {
            self.quality.found(first, itinerary, spent_tok);
        }
        self.legs.under_way_tok -= spent_tok;
        self.finished(
            now_fs,
            &Finished {
                request: &delivered.request,
                arrival_fs: first.arrival_fs,
                shown_fs,
                first_fs: delivered.first_token_fs,
                last_fs: delivered.last_token_fs,
                spent_tok,
            },
            Some(delivered.replica),
        );
        if self.keep {
            let mut row = row_of(first, RequestOutcome::Completed, Some(delivered.replica), spent_tok);
            let Request { output_tok, thinking_tok, attempt, .. } = delivered.request;
            row = RequestRow { output_tok, thinking_tok, attempt, ..row };
            (row.first_token_fs, row.finish_fs) = (Some(shown_fs), Some(now_fs));
            row.legs = itinerary.tasks.len() as u32;
            self.rows.push(row);
        }
    }

    /// A request is over without an answer, since one of its legs came to nothing; all of them emitted `spent_tok`.
    pub fn unanswered(
        &mut self,
        now_fs: i128,
        first: &Request,
        outcome: RequestOutcome,
        replica: Option<u32>,
        spent_tok: u64,
    ) {
        self.legs.under_way_tok -= spent_tok;
        self.leaves_without(now_fs, first.arrival_fs, outcome, spent_tok);
        if self.keep {
            self.rows.push(row_of(first, outcome, replica, spent_tok));
        }
    }

    /// A request is on its way at the end; its legs have emitted `spent_tok`.
    pub fn on_its_way(&mut self, end_fs: i128, first: &Request, spent_tok: u64) {
        self.legs.under_way_tok -= spent_tok;
        self.in_flight += 1;
        self.in_flight_output_tokens += spent_tok;
        self.sojourn_fs += end_fs - first.arrival_fs;
        if self.keep {
            self.rows.push(row_of(first, RequestOutcome::InFlight, None, spent_tok));
        }
    }
}

/// The row of a request of which nothing is delivered.
fn row_of(first: &Request, outcome: RequestOutcome, replica: Option<u32>, spent_tok: u64) -> RequestRow {
    RequestRow {
        index: first.index,
        class: first.class,
        arrival_fs: first.arrival_fs,
        first_token_fs: None,
        finish_fs: None,
        prompt_tok: first.prompt_tok,
        output_tok: first.output_tok,
        thinking_tok: first.thinking_tok,
        attempt: first.attempt,
        replica,
        outcome,
        legs: 1,
        spent_tok,
        // Each of its legs looks for itself.
        cached_tok: None,
    }
}
