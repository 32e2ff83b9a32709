//! Requests in the books: from their arrival to whatever ends them.

use super::{Departure, Finished, Ledger, tokens_inside};
use crate::ledger::outcome::{RequestOutcome, RequestRow};
use crate::physics::energy::short;
use crate::workload::Request;

impl Ledger {
    /// A request arrives, whatever becomes of it.
    #[inline(always)]
    pub fn arrived(&mut self, request: &Request) {
        let now = request.arrival_fs;
        self.arrived += 1;
        self.count_system(now, 1);
        self.interval_at(now).arrivals += 1;
        self.offered(now, request.output_tok);
    }

    /// Somebody wants `output_tok` tokens.
    #[inline(always)]
    pub(in crate::ledger) fn offered(&mut self, now_fs: i128, output_tok: u32) {
        self.interval_at(now_fs).offered_tokens += u64::from(output_tok);
        self.backlog_tok += u64::from(output_tok);
        if now_fs > self.window_fs || self.window_fs == 0 {
            self.window_demand_tok += u64::from(output_tok);
        }
    }

    /// A request is admitted for the first time.
    pub fn admitted(&mut self, now_fs: i128, request: &Request) {
        self.admissions += 1;
        self.backlog_tok -= u64::from(request.output_tok);
        if now_fs >= self.window_fs {
            self.queue.record(now_fs - request.arrival_fs, 1);
        }
    }

    /// A prompt of `tokens` is complete for the first time and its first token out.
    pub fn first_token(&mut self, now_fs: i128, request: &Request) {
        self.prompt_tokens += u64::from(request.prompt_tok);
        if now_fs > self.window_fs {
            self.window_prompt_tokens += u64::from(request.prompt_tok);
            self.ttft.record(now_fs - request.arrival_fs, 1);
        }
    }

    /// A prompt with a shared prefix is complete for the first time; `cached_tok` of it came from the cache.
    pub fn prefix(&mut self, now_fs: i128, pool: usize, request: &Request, cached_tok: u32) {
        let account = &mut self.pools[pool];
        account.prefix_tokens += u64::from(request.prefix_tok);
        account.cached_tokens += u64::from(cached_tok);
        self.interval_at(now_fs).cached_tokens += u64::from(cached_tok);
        if self.keep && request.leg.is_only() {
            self.cached_of_row.insert(request.index, cached_tok);
        }
    }

    /// Preempted sequences took `tokens` from the cache again, which were counted as lost.
    pub fn spared(&mut self, tokens: u64) {
        self.recomputed_tokens -= tokens;
    }

    /// A preempted sequence is back after recomputing `tokens`; its last token came at `last_token_fs`.
    pub fn resumed(&mut self, now_fs: i128, last_token_fs: i128) {
        if now_fs > self.window_fs {
            self.itl.record(now_fs - last_token_fs, 1);
        }
    }

    /// A sequence is preempted; its `tokens` in the cache are lost.
    pub fn preempted(&mut self, pool: usize, tokens: u64) {
        self.preemptions += 1;
        self.pools[pool].preemptions += 1;
        self.recomputed_tokens += tokens;
    }

    /// A request leaves at `now_fs`.
    pub fn departed(&mut self, now_fs: i128, departure: &Departure) {
        match departure.outcome {
            RequestOutcome::Completed => self.completed(now_fs, departure),
            _ => self.turned_away(now_fs, departure),
        }
    }

    /// A request is done at `now_fs`.
    #[inline(always)]
    pub fn completed(&mut self, now_fs: i128, departure: &Departure) {
        let request = departure.request;
        let first_fs = departure.first_token_fs.unwrap_or(now_fs);
        let answer = Finished {
            request,
            arrival_fs: request.arrival_fs,
            shown_fs: first_fs,
            first_fs,
            last_fs: now_fs,
            spent_tok: request.output_tok.into(),
        };
        self.finished(now_fs, &answer, departure.replica);
        if self.keep {
            self.log(departure, Some(now_fs));
        }
    }

    /// A request has its answer at `now_fs`.
    #[inline(always)]
    pub(in crate::ledger) fn finished(&mut self, now_fs: i128, answer: &Finished, replica: Option<u32>) {
        let request = answer.request;
        let stay_fs = now_fs - answer.arrival_fs;
        self.count_system(now_fs, -1);
        self.sojourn_fs += stay_fs;
        let tokens = u64::from(request.output_tok);
        let terms = &self.terms[usize::from(request.class)];
        let gaps = i128::from(request.output_tok) - 1;
        let decoding_fs = answer.last_fs - answer.first_fs;
        let met = terms.ttft_fs.is_none_or(|limit| answer.shown_fs - answer.arrival_fs <= limit)
            && terms.tpot_fs.is_none_or(|limit| decoding_fs <= limit * gaps);
        self.completed += 1;
        self.completed_output_tokens += answer.spent_tok;
        let useful = met && (request.attempt.difficulty().is_none() || request.attempt.correct());
        self.met_slo += u64::from(met);
        let in_window = self.in_window(now_fs);
        self.quality.answered(request, useful, in_window);
        if useful {
            self.useful += 1;
            self.useful_tokens += tokens;
            self.window_useful_tokens +=
                tokens_inside(tokens, answer.first_fs, answer.last_fs, self.window_fs);
        }
        if let Some(count) = &mut self.count {
            count.completed(answer, terms, replica, useful);
        }
        let interval = self.interval_at(now_fs);
        interval.completed += 1;
        interval.useful_tokens += if useful { tokens } else { 0 };
        if in_window {
            self.window_done += 1;
            self.window_completed += 1;
            self.window_met += u64::from(met);
            self.e2e.record(stay_fs, 1);
            if gaps > 0 {
                self.tpot.record(part_fs(decoding_fs, gaps), 1);
            }
        }
    }

    /// A request goes on at another replica, since its own failed; `tokens` in the cache are lost.
    pub fn retried(&mut self, tokens: u64) {
        self.retried += 1;
        self.recomputed_tokens += tokens;
    }

    /// A request leaves without an answer, having emitted nothing.
    fn turned_away(&mut self, now_fs: i128, departure: &Departure) {
        self.abandoned(now_fs, departure, 0, false);
    }

    /// A request leaves without an answer, having emitted `emitted` tokens; `admitted`: it was, at least once.
    pub fn abandoned(&mut self, now_fs: i128, departure: &Departure, emitted: u32, admitted: bool) {
        let request = departure.request;
        self.leaves_without(now_fs, request.arrival_fs, departure.outcome, emitted.into());
        if !admitted {
            self.backlog_tok -= u64::from(request.output_tok);
        }
        if self.keep {
            self.log(departure, None);
        }
    }

    /// A request that arrived at an instant leaves without an answer.
    pub(in crate::ledger) fn leaves_without(
        &mut self,
        now_fs: i128,
        arrival_fs: i128,
        outcome: RequestOutcome,
        emitted: u64,
    ) {
        self.count_system(now_fs, -1);
        self.sojourn_fs += now_fs - arrival_fs;
        match outcome {
            RequestOutcome::ShedPatience => self.shed.patience += 1,
            RequestOutcome::ShedQueueFull => self.shed.queue_full += 1,
            RequestOutcome::ShedOverheated => self.shed.overheated += 1,
            RequestOutcome::Lost => self.shed.lost += 1,
            RequestOutcome::ShedUnavailable => self.shed.unavailable += 1,
            _ => self.shed.too_long += 1,
        }
        self.abandoned_output_tokens += emitted;
        self.interval_at(now_fs).shed += 1;
        self.window_done += u64::from(self.in_window(now_fs));
    }

    /// Whether what ends at an instant belongs to the measured window.
    #[inline]
    pub(in crate::ledger) fn in_window(&self, now_fs: i128) -> bool {
        now_fs > self.window_fs || (self.window_fs == 0 && now_fs == 0)
    }

    /// A request is still here at the end, having emitted `emitted` tokens.
    pub fn left_over(&mut self, end_fs: i128, departure: &Departure, emitted: u32) {
        self.in_flight += 1;
        self.in_flight_output_tokens += u64::from(emitted);
        self.sojourn_fs += end_fs - departure.request.arrival_fs;
        if self.keep {
            self.log(departure, None);
        }
    }

    fn log(&mut self, departure: &Departure, finish_fs: Option<i128>) {
        let request = departure.request;
        self.rows.push(RequestRow {
            index: request.index,
            class: request.class,
            arrival_fs: request.arrival_fs,
            first_token_fs: departure.first_token_fs,
            finish_fs,
            prompt_tok: request.prompt_tok,
            cached_tok: self.cached_of_row.remove(&request.index),
            output_tok: request.output_tok,
            thinking_tok: request.thinking_tok,
            attempt: request.attempt,
            replica: departure.replica,
            outcome: departure.outcome,
            legs: 1,
            spent_tok: request.output_tok.into(),
        });
    }

    #[inline]
    pub(super) fn count_system(&mut self, now_fs: i128, change: i64) {
        self.in_system_integral += match short(now_fs - self.in_system_since_fs) {
            Some(short_fs) => i128::from(self.in_system) * i128::from(short_fs as i64),
            None => i128::from(self.in_system) * (now_fs - self.in_system_since_fs),
        };
        self.in_system_since_fs = now_fs;
        self.in_system += change;
    }
}

/// One of `parts` equal parts of a duration ≥ 0, rounded down [fs].
#[inline]
fn part_fs(duration_fs: i128, parts: i128) -> i128 {
    // A 128 bit division is an order of magnitude slower, and only durations of hours need it.
    match (u64::try_from(duration_fs), u64::try_from(parts)) {
        (Ok(duration_fs), Ok(parts)) => i128::from(duration_fs / parts),
        _ => duration_fs / parts,
    }
}
