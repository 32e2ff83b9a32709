//! The ledger: every run of iterations, every request and every change of label is posted here once.

mod intervals;
mod requests;
mod runs;

use std::collections::BTreeMap;

use super::binding::{BindingBook, CELL_FS, Label};
use super::journeys::Legs;
use super::latency::Latency;
use super::outcome::{Constraint, RequestOutcome, RequestRow, Shares, ShedBy};
use super::quality::{Promise, QualityBook};
use super::staves::{Mix, PoolStaves};
use crate::control::{Accounts, PowerControl};
use crate::fleet::Fleet;
use crate::physics::clock::Clock;
use crate::physics::energy::Energy;
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

    /// A working replica goes on at another clock than before.
    pub fn clock_changed(&mut self) {
        self.clock_changes += 1;
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
pub(in crate::ledger) fn tokens_f64(fixed: i128) -> f64 {
    fixed as f64 / (1_u64 << TOKEN_BITS) as f64
}

/// Seconds of a length [fs].
pub(in crate::ledger) fn seconds(fs: i128) -> f64 {
    fs as f64 / FS_PER_S as f64
}
