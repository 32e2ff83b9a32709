//! The ledger: every run of iterations, every request and every change of label is posted here once.

use std::collections::BTreeMap;

use super::binding::{BindingBook, CELL_FS, Label};
use super::journeys::Legs;
use super::latency::Latency;
use super::outcome::{Constraint, RequestOutcome, RequestRow, Shares, ShedBy};
use super::quality::{Promise, QualityBook};
use super::staves::{Mix, PoolStaves, installed, site_at_power};
use crate::control::{Accounts, Building, OTHER_PARTS, PowerControl};
use crate::fleet::Fleet;
use crate::physics::clock::{Clock, FRACTION_BITS};
use crate::physics::energy::{Energy, short};
use crate::physics::series::Series;
use crate::physics::{FS_PER_S, fs_from_s};
use crate::workload::Request;

/// Fraction bits of token counts that may cut an iteration.
const TOKEN_BITS: u32 = 32;
/// Fraction bits of clocks in time averages.
pub(super) const CLOCK_BITS: u32 = 20;

/// What a class of requests was promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Time to first token [fs].
    pub ttft_fs: Option<i128>,
    /// Time per output token after the first [fs].
    pub tpot_fs: Option<i128>,
}

/// A run of like iterations of one replica.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Pool.
    pub pool: usize,
    /// Start [fs].
    pub start_fs: i128,
    /// End; may cut the last iteration short at the end of the simulation [fs].
    pub until_fs: i128,
    /// Durations of its iterations.
    pub series: Series,
    /// Iterations completed by `until_fs`.
    pub iterations: i64,
    /// Whether the end of the simulation cuts a further iteration short.
    pub cut: bool,
    /// Sequences that emit tokens in each iteration after having emitted some in the iteration before.
    pub decoding: u32,
    /// Tokens emitted per iteration: one of each of these, with speculation several, and one per prompt that ends (then
    /// there is one iteration).
    pub emitted: u32,
    /// Stall between the end of the replica's last iteration and `start_fs` [fs].
    pub stall_fs: i128,
    /// Clock of its iterations.
    pub clock: Clock,
    /// Wall watts [nW].
    pub it_nw: i64,
    /// GPU watts [nW].
    pub gpu_nw: i64,
}

/// A stretch of a replica without iterations.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// Pool.
    pub pool: usize,
    /// Start [fs].
    pub start_fs: i128,
    /// End [fs].
    pub until_fs: i128,
    /// Wall watts [nW].
    pub it_nw: i64,
    /// GPU watts [nW].
    pub gpu_nw: i64,
}

/// A request that leaves, or is left at the end.
#[derive(Debug, Clone, Copy)]
pub struct Departure<'a> {
    /// The request.
    pub request: &'a Request,
    /// Instant of its first token [fs].
    pub first_token_fs: Option<i128>,
    /// Its replica, if it was routed.
    pub replica: Option<u32>,
    /// How it left.
    pub outcome: RequestOutcome,
}

/// Counts that the engine knows at the end of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Requests waiting.
    pub queue: u64,
    /// Requests running.
    pub running: u64,
}

/// Output tokens, energy and counts of one reporting interval.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Interval {
    pub tokens: i128,
    pub useful_tokens: u64,
    pub offered_tokens: u64,
    pub arrivals: u64,
    pub completed: u64,
    pub shed: u64,
    /// Prompt tokens taken from prefix caches.
    pub cached_tokens: u64,
}

/// State of a site's meter at the end of an interval.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SiteMark {
    pub it_j: f64,
    pub gpu_active_j: f64,
    pub gpu_idle_j: f64,
    pub budget_j: f64,
    pub clock: f64,
    pub working: f64,
    pub waiting: u64,
    /// Losses of all devices, cooling plants [J]; 0 without a building.
    pub loss_j: f64,
    pub cooling_j: f64,
    /// What batteries took, less what they gave.
    pub battery_j: f64,
    /// Outdoor air, and the warmest zone: supply temperature and number.
    pub air_c: Option<(f64, f64)>,
    pub supply_c: Option<(f64, usize)>,
    /// Rates at b* [tok/s] that cap and ratings, and that the zones alone, allow in the weather then.
    pub staves: Option<(f64, Option<f64>)>,
}

/// What is known at the end of an interval.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub at_fs: i128,
    pub sites: Vec<SiteMark>,
    pub gauges: Gauges,
    pub binding: Constraint,
    pub backlog_tok: u64,
}

/// Account of one pool.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PoolAccount {
    pub it: Energy,
    pub gpu_active: Energy,
    pub gpu_idle: Energy,
    pub window_tokens: i128,
    /// Tokens of whole runs in the interval under way, not yet counted to it, the window and the fleet.
    pub plain_tokens: u64,
    pub busy_fs: i128,
    pub preemptions: u64,
    /// Tokens of shared prefixes in completed prompts, and those of them that came from the cache.
    pub prefix_tokens: u64,
    pub cached_tokens: u64,
    /// Σ clock·busy time, the clock in 2^-20.
    pub clock_fs: i128,
}

/// An answer as it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finished<'a> {
    /// The request whose answer it is.
    pub(super) request: &'a Request,
    /// When it was asked for, shown from, its first token and its last [fs].
    pub(super) arrival_fs: i128,
    pub(super) shown_fs: i128,
    pub(super) first_fs: i128,
    pub(super) last_fs: i128,
    /// Tokens emitted to find it.
    pub(super) spent_tok: u64,
}

/// Output tokens of the requests of a stretch of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    /// Of completed requests.
    pub output_tok: f64,
    /// Of useful ones.
    pub useful_tok: f64,
    /// GPU-seconds by label, from the start of the measured window to the end of the stretch; known where a reporting
    /// interval ends with it.
    pub binding: Option<Shares>,
}

/// What [`Ledger::count`] counts.
struct Count {
    from_fs: i128,
    until_fs: i128,
    pool_of: Vec<u16>,
    /// By pool: all, and the useful [2^-32 tokens].
    tokens: Vec<[i128; 2]>,
    /// By pool, once the stretch is over.
    binding: Vec<Shares>,
}

impl Count {
    /// A request is done. One that was promised something counts where it arrived, with all its tokens: whether they
    /// are useful was decided by how it was served from then on. Without a promise every token is useful some time, so
    /// only those emitted in the stretch count.
    #[cold]
    fn completed(&mut self, answer: &Finished, terms: &Terms, replica: Option<u32>, useful: bool) {
        let Finished { request, arrival_fs, first_fs, last_fs, spent_tok, .. } = *answer;
        let inside = |tokens: u64| {
            if *terms == Terms::default() {
                tokens_inside(tokens, first_fs, last_fs, self.from_fs)
                    - tokens_inside(tokens, first_fs, last_fs, self.until_fs)
            } else if (self.from_fs..self.until_fs).contains(&arrival_fs) {
                i128::from(tokens) << TOKEN_BITS
            } else {
                0
            }
        };
        let Some(replica) = replica else { return };
        let (spent, delivered) = (inside(spent_tok), inside(request.output_tok.into()));
        let [all, of_use] = &mut self.tokens[usize::from(self.pool_of[replica as usize])];
        *all += spent;
        if useful {
            *of_use += delivered;
        }
    }
}

/// The ledger of one run.
pub struct Ledger {
    pub(super) terms: Vec<Terms>,
    pub(super) window_fs: i128,
    pub(super) interval_fs: i128,
    pub(super) keep: bool,
    pub(super) rows: Vec<RequestRow>,
    pub(super) ttft: Latency,
    pub(super) tpot: Latency,
    pub(super) itl: Latency,
    pub(super) e2e: Latency,
    pub(super) queue: Latency,
    pub(super) pools: Vec<PoolAccount>,
    pub(super) binding: BindingBook,
    pub(super) intervals: Vec<Interval>,
    pub(super) marks: Vec<Mark>,
    pub(super) staves: Vec<PoolStaves>,
    pub(super) arrived: u64,
    pub(super) completed: u64,
    pub(super) in_flight: u64,
    pub(super) shed: ShedBy,
    pub(super) met_slo: u64,
    pub(super) useful: u64,
    pub(super) quality: QualityBook,
    pub(super) legs: Legs,
    pub(super) window_done: u64,
    pub(super) window_completed: u64,
    pub(super) window_met: u64,
    pub(super) window_useful_tokens: i128,
    count: Option<Count>,
    pub(super) window_prompt_tokens: u64,
    pub(super) prompt_tokens: u64,
    /// Of rows to come: prompt tokens from the cache, by index of the request.
    cached_of_row: BTreeMap<u64, u32>,
    pub(super) output_tokens: u64,
    pub(super) completed_output_tokens: u64,
    pub(super) in_flight_output_tokens: u64,
    abandoned_output_tokens: u64,
    pub(super) retried: u64,
    pub(super) useful_tokens: u64,
    pub(super) recomputed_tokens: u64,
    pub(super) iterations: u64,
    pub(super) segments: u64,
    pub(super) clock_changes: u64,
    pub(super) admissions: u64,
    pub(super) preemptions: u64,
    /// Σ over requests in the system of (now − arrival), as ∫ N dt and as what departures add up to.
    in_system: i64,
    in_system_since_fs: i128,
    in_system_integral: i128,
    pub(super) sojourn_fs: i128,
    pub(super) backlog_tok: u64,
    /// Output tokens waiting when the window opens, and offered from then on.
    pub(super) window_demand_tok: u64,
    /// Start and end of the interval under way.
    mark_start_fs: i128,
    next_mark_fs: i128,
    /// The later of its start and the window's: what lies between it and the end needs no division [fs].
    plain_from_fs: i128,
    next_cell_fs: i128,
    pub(super) site_at_window: Vec<crate::control::Integrals>,
    /// What the meters had summed up of the buildings when the window opened.
    pub(super) around_at_window: Vec<Option<Vec<Energy>>>,
    /// Money, carbon and water when the window opened.
    pub(super) accounts_at_window: Vec<Accounts>,
}

impl Ledger {
    /// An empty ledger. `terms` by class, `mixes` by pool.
    pub fn new(
        fleet: &Fleet,
        terms: Vec<Terms>,
        mixes: &[Mix],
        warm_up_fs: i128,
        interval_s: f64,
        keep: bool,
    ) -> Self {
        let staves = fleet.pools.iter().zip(mixes).map(|(pool, mix)| PoolStaves::new(pool, *mix)).collect();
        Self {
            terms,
            window_fs: warm_up_fs,
            interval_fs: fs_from_s(interval_s).max(1),
            keep,
            rows: Vec::new(),
            ttft: Latency::default(),
            tpot: Latency::default(),
            itl: Latency::default(),
            e2e: Latency::default(),
            queue: Latency::default(),
            pools: vec![PoolAccount::default(); fleet.pools.len()],
            binding: BindingBook::new(fleet),
            intervals: Vec::new(),
            marks: Vec::new(),
            staves,
            arrived: 0,
            completed: 0,
            in_flight: 0,
            shed: ShedBy::default(),
            met_slo: 0,
            useful: 0,
            quality: QualityBook::default(),
            legs: Legs::default(),
            window_done: 0,
            window_completed: 0,
            window_met: 0,
            window_useful_tokens: 0,
            count: None,
            window_prompt_tokens: 0,
            prompt_tokens: 0,
            cached_of_row: BTreeMap::new(),
            output_tokens: 0,
            completed_output_tokens: 0,
            in_flight_output_tokens: 0,
            abandoned_output_tokens: 0,
            retried: 0,
            useful_tokens: 0,
            recomputed_tokens: 0,
            iterations: 0,
            segments: 0,
            clock_changes: 0,
            admissions: 0,
            preemptions: 0,
            in_system: 0,
            in_system_since_fs: 0,
            in_system_integral: 0,
            sojourn_fs: 0,
            backlog_tok: 0,
            window_demand_tok: 0,
            mark_start_fs: 0,
            next_mark_fs: fs_from_s(interval_s).max(1),
            plain_from_fs: warm_up_fs,
            next_cell_fs: CELL_FS,
            site_at_window: Vec::new(),
            around_at_window: Vec::new(),
            accounts_at_window: Vec::new(),
        }
    }

    /// Also count the tokens of the requests of a stretch of time; before the first request.
    pub fn count(&mut self, fleet: &Fleet, from_fs: i128, until_fs: i128) {
        let tokens = vec![[0; 2]; fleet.pools.len()];
        self.count =
            Some(Count { from_fs, until_fs, pool_of: fleet.pool_of.clone(), tokens, binding: Vec::new() });
    }

    /// Counted by [`Self::count`], by pool.
    #[must_use]
    pub fn counted(&self) -> Option<Vec<Counted>> {
        let count = self.count.as_ref()?;
        let counted = |(pool, [output, useful]): (usize, &[i128; 2])| Counted {
            output_tok: tokens_f64(*output),
            useful_tok: tokens_f64(*useful),
            binding: count.binding.get(pool).copied(),
        };
        Some(count.tokens.iter().enumerate().map(counted).collect())
    }

    /// Judge the answers of classes that promise something; before the first request.
    pub fn judge(&mut self, promises: Vec<Option<Promise>>) {
        self.quality = QualityBook::new(promises);
    }

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
    pub(super) fn offered(&mut self, now_fs: i128, output_tok: u32) {
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

    /// A working replica goes on at another clock than before.
    pub fn clock_changed(&mut self) {
        self.clock_changes += 1;
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
    pub(super) fn finished(&mut self, now_fs: i128, answer: &Finished, replica: Option<u32>) {
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
    pub(super) fn leaves_without(
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
    pub(super) fn in_window(&self, now_fs: i128) -> bool {
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

    /// Post iterations of which all end by `until_fs`. As a rule they lie in the window and in the interval under
    /// way; else, or after a stall, they go the long way of [`Self::post`].
    #[inline(always)]
    pub fn post_whole(&mut self, run: Run) {
        let short_fs = short(run.until_fs - run.start_fs).filter(|_| {
            run.stall_fs == 0 && run.start_fs >= self.plain_from_fs && run.until_fs < self.next_mark_fs
        });
        let Some(short_fs) = short_fs else { return self.post(&{ run }) };
        let account = &mut self.pools[run.pool];
        account.it.add_one(run.it_nw, short_fs);
        account.gpu_active.add_one(run.gpu_nw, short_fs);
        account.busy_fs += i128::from(short_fs);
        let clock = run.clock.share >> (FRACTION_BITS - CLOCK_BITS);
        account.clock_fs += i128::from(clock as i64) * i128::from(short_fs as i64);
        account.plain_tokens += run.iterations as u64 * u64::from(run.emitted);
        self.iterations += run.iterations as u64;
        self.segments += 1;
        self.itl.record_whole(&run.series, run.iterations as u64, u64::from(run.decoding), short_fs);
    }

    /// Count the tokens of the interval under way to it; before it ends, and at the end.
    fn flush_plain(&mut self) {
        let emitted: u64 = self.pools.iter().map(|account| account.plain_tokens).sum();
        self.output_tokens += emitted;
        let index = self.marks.len();
        self.interval_mut(index).tokens += i128::from(emitted) << TOKEN_BITS;
        for account in &mut self.pools {
            let tokens = std::mem::take(&mut account.plain_tokens);
            account.window_tokens += i128::from(tokens) << TOKEN_BITS;
        }
    }

    /// Post a stretch without iterations.
    #[inline]
    pub fn post_rest(&mut self, rest: &Rest) {
        let duration_fs = rest.until_fs - rest.start_fs;
        let account = &mut self.pools[rest.pool];
        account.it.add(i128::from(rest.it_nw), duration_fs);
        account.gpu_idle.add(i128::from(rest.gpu_nw), duration_fs);
    }

    /// Post a run of iterations.
    pub fn post(&mut self, run: &Run) {
        let duration = run.until_fs - run.start_fs;
        let account = &mut self.pools[run.pool];
        account.it.add(i128::from(run.it_nw), duration);
        account.gpu_active.add(i128::from(run.gpu_nw), duration);
        self.iterations += run.iterations as u64;
        self.segments += 1;
        self.output_tokens += run.iterations as u64 * u64::from(run.emitted);
        let in_window = run.until_fs - run.start_fs.max(self.window_fs.min(run.until_fs));
        account.busy_fs += in_window;
        account.clock_fs += i128::from(run.clock.share >> (FRACTION_BITS - CLOCK_BITS)) * in_window;
        self.post_gaps(run);
        self.post_tokens(run);
    }

    /// Gaps between tokens of decoding sequences: each iteration is one, a stall before it included. Tokens that come
    /// together have no gaps between them, so with speculation there are fewer: one per chunk of a stream, as benchmarks of
    /// serving engines count.
    fn post_gaps(&mut self, run: &Run) {
        if run.decoding == 0 || run.iterations == 0 {
            return;
        }
        let mut from = if run.start_fs >= self.window_fs {
            0
        } else {
            run.series.completed(self.window_fs - run.start_fs)
        };
        if run.stall_fs > 0 && from == 0 {
            self.itl.record(i128::from(run.series.first_fs) + run.stall_fs, u64::from(run.decoding));
            from = 1;
        }
        self.itl.record_series(&run.series, from, run.iterations, u64::from(run.decoding));
    }

    /// Output tokens by window and interval; an iteration cut by an edge counts in proportion to its time.
    fn post_tokens(&mut self, run: &Run) {
        if run.emitted == 0 {
            return;
        }
        let total = if run.cut {
            tokens_after(run, run.until_fs)
        } else {
            (i128::from(run.iterations) * i128::from(run.emitted)) << TOKEN_BITS
        };
        let window = if run.start_fs >= self.window_fs {
            total
        } else if run.until_fs <= self.window_fs {
            0
        } else {
            total - tokens_after(run, self.window_fs)
        };
        self.pools[run.pool].window_tokens += window;
        let last = self.index_at(run.until_fs);
        let mut before = 0;
        for index in self.index_at(run.start_fs)..last {
            let edge = (index as i128 + 1) * self.interval_fs;
            let upto = tokens_after(run, edge);
            self.interval_mut(index).tokens += upto - before;
            before = upto;
        }
        if total > before {
            self.interval_mut(last).tokens += total - before;
        }
    }

    /// A replica changes its label.
    pub fn label(&mut self, now_fs: i128, pool: usize, gpus: u32, from: Label, to: Label) {
        self.binding.change(now_fs, pool, gpus, from, to);
    }

    /// The measured window opens.
    pub fn open_window(&mut self, now_fs: i128, power: &mut PowerControl, sites: usize) {
        self.binding.open_window(now_fs);
        self.window_demand_tok = self.backlog_tok;
        self.site_at_window = (0..sites)
            .map(|site| {
                power.open_window(now_fs, site);
                power.meter(site).open_window(now_fs);
                power.nodes(site).open_window(now_fs);
                power.meter(site).integrals()
            })
            .collect();
        self.around_at_window = (0..sites).map(|site| power.meter(site).around()).collect();
        self.accounts_at_window = (0..sites).map(|site| power.accounts(now_fs, site)).collect();
    }

    /// Next instant at which [`Self::tick`] is due [fs].
    pub fn next_tick_fs(&self) -> i128 {
        self.next_mark_fs.min(self.next_cell_fs)
    }

    /// Close the interval and the cell of the timeline that end now.
    pub fn tick(&mut self, now_fs: i128, power: &mut PowerControl, fleet: &Fleet, gauges: Gauges) {
        if now_fs >= self.next_cell_fs {
            self.binding.close_cell(now_fs, power);
            self.next_cell_fs += CELL_FS;
        }
        if now_fs >= self.next_mark_fs {
            self.mark(now_fs, power, fleet, gauges);
            if let Some(count) = &mut self.count
                && now_fs == count.until_fs
            {
                count.binding = self.binding.shares_by_pool(now_fs);
            }
            self.mark_start_fs = self.next_mark_fs;
            self.next_mark_fs += self.interval_fs;
            self.plain_from_fs = self.window_fs.max(self.mark_start_fs);
        }
    }

    fn mark(&mut self, now_fs: i128, power: &mut PowerControl, fleet: &Fleet, gauges: Gauges) {
        self.flush_plain();
        let binding = self.binding.close_interval(now_fs);
        let staves = installed(fleet, &self.staves, now_fs, now_fs);
        let sites = (0..fleet.sites.len())
            .map(|site| {
                let (clock, working) = power.clock_integrals(now_fs, site);
                let waiting = power.waiting(site);
                let staves = building_staves(fleet, &staves, power, site);
                let building = power.building(site);
                let air = building.and_then(|building| building.air(now_fs));
                let supply_c = building.and_then(|building| warmest_zone(building, now_fs));
                let meter = power.meter(site);
                meter.advance(now_fs);
                let (mut loss_j, mut cooling_j, mut battery_j) = (0.0, 0.0, 0.0);
                if let Some(parts) = meter.around() {
                    let (losses, others) = parts.split_at(parts.len() - OTHER_PARTS);
                    loss_j = losses.iter().map(Energy::as_j).sum();
                    // Batteries are the last.
                    let (plants, batteries) = others.split_at(OTHER_PARTS - 1);
                    cooling_j = plants.iter().map(Energy::as_j).sum();
                    battery_j = batteries.iter().map(Energy::as_j).sum();
                }
                let sums = meter.integrals();
                SiteMark {
                    it_j: sums.it.as_j(),
                    gpu_active_j: sums.gpu_active.as_j(),
                    gpu_idle_j: sums.gpu_idle.as_j(),
                    budget_j: sums.budget.as_j(),
                    clock,
                    working,
                    waiting,
                    loss_j,
                    cooling_j,
                    battery_j,
                    air_c: air.map(|air| (air.wet_bulb_c, air.dry_bulb_c)),
                    supply_c,
                    staves,
                }
            })
            .collect();
        self.marks.push(Mark { at_fs: now_fs, sites, gauges, binding, backlog_tok: self.backlog_tok });
    }

    /// Close the books at `end_fs`: last interval and cell; then check what must be conserved.
    ///
    /// # Errors
    /// The first conservation law that does not hold, in words.
    pub fn close(
        &mut self,
        end_fs: i128,
        power: &mut PowerControl,
        fleet: &Fleet,
        gauges: Gauges,
    ) -> Result<(), String> {
        let sites = fleet.sites.len();
        self.flush_plain();
        self.count_system(end_fs, 0);
        self.binding.close_cell(end_fs, power);
        if self.marks.last().is_none_or(|mark| mark.at_fs < end_fs) {
            self.mark(end_fs, power, fleet, gauges);
        }
        for site in 0..sites {
            power.meter(site).advance(end_fs);
        }
        if self.site_at_window.is_empty() {
            self.site_at_window = vec![Default::default(); sites];
        }
        self.check(power, sites)
    }

    fn check(&self, power: &mut PowerControl, sites: usize) -> Result<(), String> {
        let shed = self.shed.total();
        if self.arrived != self.completed + shed + self.in_flight {
            return Err(format!(
                "requests: {} arrived, {} completed + {shed} shed + {} in flight",
                self.arrived, self.completed, self.in_flight
            ));
        }
        let held = self.completed_output_tokens + self.in_flight_output_tokens + self.abandoned_output_tokens;
        if self.output_tokens != held {
            return Err(format!(
                "tokens: {} emitted, {} in completed requests + {} in flight + {} in lost ones",
                self.output_tokens,
                self.completed_output_tokens,
                self.in_flight_output_tokens,
                self.abandoned_output_tokens
            ));
        }
        self.legs.check()?;
        if self.in_system_integral != self.sojourn_fs {
            return Err(format!(
                "Little's law: ∫N dt = {} fs, Σ time in system = {} fs",
                self.in_system_integral, self.sojourn_fs
            ));
        }
        let mut posted = [Energy::default(); 3];
        for account in &self.pools {
            posted[0] += account.it;
            posted[1] += account.gpu_active;
            posted[2] += account.gpu_idle;
        }
        let mut metered = [Energy::default(); 3];
        for site in 0..sites {
            let sums = power.meter(site).integrals();
            metered[0] += sums.it;
            metered[1] += sums.gpu_active;
            metered[2] += sums.gpu_idle;
        }
        if posted != metered {
            return Err(format!("joules: segments add up to {posted:?}, the meters read {metered:?}"));
        }
        Ok(())
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
    fn count_system(&mut self, now_fs: i128, change: i64) {
        self.in_system_integral += match short(now_fs - self.in_system_since_fs) {
            Some(short_fs) => i128::from(self.in_system) * i128::from(short_fs as i64),
            None => i128::from(self.in_system) * (now_fs - self.in_system_since_fs),
        };
        self.in_system_since_fs = now_fs;
        self.in_system += change;
    }

    #[inline]
    fn interval_at(&mut self, now_fs: i128) -> &mut Interval {
        let index = self.index_at(now_fs);
        self.interval_mut(index)
    }

    /// Number of the interval an instant lies in; most lie in the one that ends next.
    #[inline]
    fn index_at(&self, at_fs: i128) -> usize {
        if at_fs >= self.mark_start_fs && at_fs < self.next_mark_fs {
            self.marks.len()
        } else {
            (at_fs / self.interval_fs) as usize
        }
    }

    #[inline]
    fn interval_mut(&mut self, index: usize) -> &mut Interval {
        if index >= self.intervals.len() {
            self.grow_intervals(index);
        }
        &mut self.intervals[index]
    }

    #[cold]
    fn grow_intervals(&mut self, index: usize) {
        self.intervals.resize(index + 1, Interval::default());
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

/// Tokens that a run has emitted `at_fs`, in 2^-32 tokens, iterations under way in proportion to their time.
fn tokens_after(run: &Run, at_fs: i128) -> i128 {
    let emitted = i128::from(run.emitted);
    let elapsed = at_fs - run.start_fs;
    let done = run.series.completed(elapsed);
    let rest = elapsed - run.series.sum_fs(done);
    let whole = (i128::from(done) * emitted) << TOKEN_BITS;
    if rest == 0 {
        return whole;
    }
    // Durations stay below 10^19 fs, so the product fits.
    whole + ((emitted * rest) << TOKEN_BITS) / i128::from(run.series.nth_fs(done))
}

/// Power and cooling staves of a site with a building, in the weather and under the cap of now [tok/s].
fn building_staves(
    fleet: &Fleet,
    staves: &[PoolStaves],
    power: &PowerControl,
    site: usize,
) -> Option<(f64, Option<f64>)> {
    let building = power.building(site)?;
    let pools = fleet.sites[site].pools.clone();
    let watts: Vec<f64> = pools.map(|p| staves[p].watts_at(&fleet.pools[p], 1.0)).collect();
    let asked_w: f64 = watts.iter().sum();
    if asked_w <= 0.0 {
        return None;
    }
    let shares: Vec<f64> = watts.iter().map(|w| w / asked_w).collect();
    let (by_power_w, by_cooling_w) = building.sustainable_w(&shares, asked_w, power.cap_nw(site));
    let rate = |it_w: f64| site_at_power(fleet, staves, site, Some(it_w)).0;
    let by_power_w = if fleet.sites[site].policy.caps_power() { by_power_w } else { asked_w };
    Some((rate(by_power_w), (!building.zones().is_empty()).then(|| rate(by_cooling_w))))
}

/// The warmest zone of a building: supply temperature [°C] and number; the first of equals.
fn warmest_zone(building: &Building, now_fs: i128) -> Option<(f64, usize)> {
    let zones = building.zones().iter().enumerate().map(|(z, zone)| (zone.temperature_c(now_fs), z));
    zones.reduce(|warmest, zone| if zone.0 > warmest.0 { zone } else { warmest })
}

/// Of a request's tokens, emitted evenly from `first_fs` to `last_fs`, those after `window_fs`, in 2^-32 tokens.
fn tokens_inside(tokens: u64, first_fs: i128, last_fs: i128, window_fs: i128) -> i128 {
    let all = i128::from(tokens) << TOKEN_BITS;
    if first_fs >= window_fs {
        all
    } else if last_fs <= window_fs {
        0
    } else {
        // Below 2^56 tokens in 2^-32, over residence times below 10^21 fs: in real numbers is exact enough.
        (all as f64 * ((last_fs - window_fs) as f64 / (last_fs - first_fs) as f64)) as i128
    }
}

/// Tokens from the fixed point of the interval accounts.
pub(super) fn tokens_f64(fixed: i128) -> f64 {
    fixed as f64 / (1_u64 << TOKEN_BITS) as f64
}

/// Seconds of a length [fs].
pub(super) fn seconds(fs: i128) -> f64 {
    fs as f64 / FS_PER_S as f64
}
