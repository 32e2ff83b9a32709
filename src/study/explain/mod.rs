//! Shadow prices: what a little more of each limit would buy in useful tokens.
//!
//! A stretch of the run is simulated again and again under common random numbers, as it is and with one limit moved by a
//! small step (`limits`). Each run begins some time before the stretch, so that queues and halls are as they would be
//! under that limit, and ends by draining; what counts are the useful tokens of the requests that arrive in the stretch
//! ([`Probe`]). A price is the mean of paired differences, with its interval. At the end the ledger's label of the
//! stretch is held against the prices (`verdict`).

mod limits;
mod verdict;

pub use limits::{Level, Limit, LimitKind};
pub use verdict::{Agreement, Labels, Verdict};

use rayon::prelude::*;

use super::batch::{Progress, StudyError};
use super::paired::Mean;
use super::replications;
use crate::engine::{EngineKind, Probe, SimError, SimOptions, probe};
use crate::fleet::Fleet;
use crate::ledger::Counted;
use crate::ledger::outcome::{Constraint, Stretch};
use crate::physics::s_from_fs;
use crate::scenario::Resolved;
use crate::scenario::types::AtEnd;
use crate::workload::Workload;

/// Power devices that are priced whatever happens; of more, those alone that bind somewhere in the stretch.
const FEW_DEVICES: usize = 3;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Start and end of the stretch [s]; `None`: from the end of the warm-up to the end of the run.
    pub window_s: Option<(f64, f64)>,
    /// Length of the run before the stretch in which the fleet fills [s].
    pub lead_in_s: f64,
    /// Move of each limit, as a share of it.
    pub step: f64,
    /// Limits to price; all of them if empty.
    pub only: Vec<LimitKind>,
    /// Replications, each with a seed of its own; at least 2.
    pub seeds: u32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The stretch [s].
    pub window_s: (f64, f64),
    /// Start of the arrivals [s].
    pub arrivals_from_s: f64,
    /// Seeds of the replications.
    pub seeds: Vec<u64>,
    /// Useful tokens per second of the stretch as it is.
    pub useful_tok_per_s: Mean,
    /// Pools of which hardly any token is useful: their prices in useful tokens are zero, whatever binds them.
    pub late_pools: Vec<String>,
    /// Limits in order of what they are worth: by elasticity, those without one last.
    pub prices: Vec<Price>,
    /// Devices that were not priced, as they bound nowhere in the stretch.
    pub screened: Vec<String>,
    /// The ledger's labels of the stretch.
    pub labels: Labels,
    /// Whether they agree with the prices.
    pub verdict: Verdict,
}

/// What moving a limit buys.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// The limit and its move.
    pub limit: Limit,
    /// Gain in useful tokens per second of the stretch, over all replications; none if the fleet cannot be built so.
    pub gain_tok_per_s: Option<Mean>,
    /// The same of all output tokens of completed requests.
    pub output_gain_tok_per_s: Option<Mean>,
    /// Why not.
    pub failed: Option<String>,
    /// (Δ useful / useful) / (Δ limit / limit).
    pub elasticity: Option<Mean>,
    /// The same by pool, of the tokens that the pool served: of the useful ones, of a late pool of all.
    pub by_pool: Vec<Option<Mean>>,
    /// Share of the stretch in which the ledger's label names this limit.
    pub binding_share: f64,
}

/// One run: tokens by pool, and the labels it saw.
struct Run {
    tokens: Vec<Counted>,
    timeline: Vec<Stretch>,
}

/// A move far enough to lift a limit, as a share of it; and the gain above which that makes it one (PHYSICS D5).
const FAR: f64 = 0.5;
const BINDS: f64 = 0.01;

/// A pool with a smaller share of useful tokens is late: as good as every request misses its SLO.
const LATE: f64 = 0.02;

/// Prices every limit of a scenario, in parallel on the pool of threads that it is called in. The answer does not depend
/// on the number of threads.
///
/// # Errors
/// See [`StudyError`].
pub fn explain(
    resolved: &Resolved,
    question: &Question,
    progress: &Progress,
) -> Result<Explanation, StudyError> {
    let window_s = window(resolved, question)?;
    let stretch = Probe {
        arrivals_from_s: (window_s.0 - question.lead_in_s).max(0.0),
        from_s: window_s.0,
        until_s: window_s.1,
    };
    let seeds: Vec<u64> =
        (0..question.seeds.max(2)).map(|r| replications::seed(resolved.scenario.seed, r)).collect();
    let mut limits = limits::all(resolved, question.step);
    limits.retain(|limit| question.only.is_empty() || question.only.contains(&limit.kind));
    (progress.runs)((limits.len() + 1) * seeds.len());

    // As it is, first: what binds decides which of many devices are worth a look.
    let base = replicate(resolved, &stretch, &seeds, progress)
        .map_err(|error| StudyError::of_run(error, "the run", resolved))?;
    let mut labels = Labels::of(base.iter().map(|run| run.timeline.as_slice()), window_s);
    let pools = base.first().map_or(0, |run| run.tokens.len());
    let shares = |pool: usize, label: Constraint| {
        let of_runs = base.iter().filter_map(|run| Some(run.tokens[pool].binding?.of(label)));
        of_runs.sum::<f64>() / base.len().max(1) as f64
    };
    labels.by_pool =
        (0..pools).map(|pool| Constraint::ALL.map(|label| (label, shares(pool, label))).to_vec()).collect();
    let (limits, screened) = screen(limits, &labels);
    (progress.runs)((limits.len() + 1) * seeds.len());

    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir)
        .map_err(|problems| StudyError::of_run(SimError::Scenario(problems), "the run", resolved))?;
    let scale = Scale::of(&base, window_s.1 - window_s.0);
    let useful_tok_per_s = Mean::of(&scale.useful(&base))
        .ok_or_else(|| StudyError::Question("at least 2 seeds make an interval".into()))?;

    // All runs in one queue, so that the slow ones do not leave threads without work.
    let jobs: Vec<(usize, u64)> =
        (0..limits.len()).flat_map(|limit| seeds.iter().map(move |seed| (limit, *seed))).collect();
    let moved: Vec<Resolved> = limits.iter().map(|limit| limit.moved(resolved)).collect();
    let runs: Vec<Result<Run, SimError>> =
        jobs.par_iter().map(|&(limit, seed)| one(&moved[limit], &stretch, seed, progress)).collect();
    let mut runs = runs.into_iter();
    let mut prices = Vec::with_capacity(limits.len());
    for limit in limits {
        let mut of_limit = Vec::with_capacity(seeds.len());
        let mut failed = None;
        for result in runs.by_ref().take(seeds.len()) {
            match result {
                Ok(run) => of_limit.push(run),
                Err(SimError::Scenario(problems)) => {
                    failed = problems.first().map(|problem| format!("{}: {}", problem.path, problem.message));
                }
                Err(other) => return Err(other.into()),
            }
        }
        prices.push(price(limit, failed, &base, &of_limit, &scale, &labels));
    }
    let by_worth = |price: &Price| price.elasticity.map_or(f64::NEG_INFINITY, |mean| mean.mean);
    prices.sort_by(|a, b| by_worth(b).total_cmp(&by_worth(a)));
    let gpus = fleet.pools.iter().map(|pool| pool.replicas.len() as u64 * u64::from(pool.gpus_per_replica));
    let gpus: Vec<u64> = gpus.collect();
    let mut verdict = Verdict::of(&prices, &labels, &gpus, None);
    if let Some(in_doubt) = verdict.in_doubt() {
        (progress.runs)((prices.len() + 2) * seeds.len());
        if loose(resolved, in_doubt, question, &stretch, &seeds, &base, progress)? {
            verdict = Verdict::of(&prices, &labels, &gpus, Some(in_doubt));
        }
    }
    let late = scale.late.iter().enumerate().filter(|(_, late)| **late);
    Ok(Explanation {
        window_s,
        arrivals_from_s: stretch.arrivals_from_s,
        seeds,
        useful_tok_per_s,
        late_pools: late.map(|(pool, _)| fleet.graph.pool_name(pool).to_string()).collect(),
        prices,
        screened,
        labels,
        verdict,
    })
}

/// The stretch that is asked for, if the run has it.
fn window(resolved: &Resolved, question: &Question) -> Result<(f64, f64), StudyError> {
    let scenario = &resolved.scenario;
    let duration_s = match scenario.duration_s {
        Some(duration_s) => duration_s,
        None => {
            let workload = Workload::open(scenario, &resolved.base_dir, &resolved.catalog)
                .map_err(|error| SimError::Input(error.to_string()))?;
            s_from_fs(workload.duration_fs())
        }
    };
    let (from_s, until_s) = question.window_s.unwrap_or((scenario.warm_up_s, duration_s));
    if !(0.0 <= from_s && from_s < until_s && until_s <= duration_s) {
        return Err(StudyError::Question(format!(
            "the window {from_s}..{until_s} s does not lie in the run of {duration_s} s; give two times, the earlier \
             first"
        )));
    }
    Ok((from_s, until_s))
}

/// Whether the limits of a label are all but loose: moved by half of what they are, they buy less than what a cap may
/// cost before it binds (PHYSICS D5).
fn loose(
    resolved: &Resolved,
    label: Constraint,
    question: &Question,
    stretch: &Probe,
    seeds: &[u64],
    base: &[Run],
    progress: &Progress,
) -> Result<bool, SimError> {
    let far = limits::all(resolved, FAR).into_iter().filter(|limit| limit.kind.constraint() == Some(label));
    let far: Vec<Limit> =
        far.filter(|limit| question.only.is_empty() || question.only.contains(&limit.kind)).collect();
    let tokens = |runs: &[Run]| runs.iter().flat_map(|run| &run.tokens).map(|t| t.output_tok).sum::<f64>();
    let moved = far.iter().fold(resolved.clone(), |moved, limit| limit.moved(&moved));
    let runs = replicate(&moved, stretch, seeds, progress)?;
    Ok(tokens(&runs) <= (1.0 + BINDS) * tokens(base))
}

/// Of many devices, those that bind somewhere in the stretch; and the names of the others.
fn screen(limits: Vec<Limit>, labels: &Labels) -> (Vec<Limit>, Vec<String>) {
    let is_device = |limit: &Limit| limit.kind == LimitKind::DeviceRating;
    if limits.iter().filter(|limit| is_device(limit)).count() <= FEW_DEVICES {
        return (limits, Vec::new());
    }
    let (priced, screened): (Vec<Limit>, Vec<Limit>) =
        limits.into_iter().partition(|limit| !is_device(limit) || labels.share_of(limit) > 0.0);
    (priced, screened.into_iter().map(|limit| limit.place).collect())
}

fn replicate(
    resolved: &Resolved,
    stretch: &Probe,
    seeds: &[u64],
    progress: &Progress,
) -> Result<Vec<Run>, SimError> {
    let runs: Vec<Result<Run, SimError>> =
        seeds.par_iter().map(|seed| one(resolved, stretch, *seed, progress)).collect();
    runs.into_iter().collect()
}

fn one(resolved: &Resolved, stretch: &Probe, seed: u64, progress: &Progress) -> Result<Run, SimError> {
    if !(progress.go_on)() {
        return Err(SimError::Interrupted);
    }
    let mut resolved = resolved.clone();
    let scenario = &mut resolved.scenario;
    scenario.seed = seed;
    scenario.duration_s = Some(stretch.until_s);
    // Shares of labels are those of the stretch.
    scenario.warm_up_s = stretch.from_s;
    scenario.at_end = AtEnd::Drain;
    // One interval, which ends with the stretch.
    scenario.report.interval_s = stretch.until_s;
    let go_on = |_: f64, _: u64| (progress.go_on)();
    let run = SimOptions { engine: EngineKind::Segments, keep_requests: false, progress: Some(&go_on) };
    let (outcome, tokens) = probe(&resolved, &run, stretch)?;
    (progress.run_done)();
    Ok(Run { tokens, timeline: outcome.summary.binding.timeline })
}

/// How tokens of runs become rates.
struct Scale {
    length_s: f64,
    /// By pool.
    late: Vec<bool>,
}

impl Scale {
    fn of(base: &[Run], length_s: f64) -> Self {
        let pools = base.first().map_or(0, |run| run.tokens.len());
        let sum =
            |pool: usize, of: fn(&Counted) -> f64| base.iter().map(|run| of(&run.tokens[pool])).sum::<f64>();
        let late = |pool| {
            let output = sum(pool, |tokens| tokens.output_tok);
            output > 0.0 && sum(pool, |tokens| tokens.useful_tok) < LATE * output
        };
        Self { length_s, late: (0..pools).map(late).collect() }
    }

    /// Useful tokens per second, run by run.
    fn useful(&self, runs: &[Run]) -> Vec<f64> {
        let of = |run: &Run| run.tokens.iter().map(|tokens| tokens.useful_tok).sum::<f64>() / self.length_s;
        runs.iter().map(of).collect()
    }

    /// All output tokens per second, run by run.
    fn output(&self, runs: &[Run]) -> Vec<f64> {
        let of = |run: &Run| run.tokens.iter().map(|tokens| tokens.output_tok).sum::<f64>() / self.length_s;
        runs.iter().map(of).collect()
    }

    /// What counts of a pool [tok/s], run by run.
    fn pool(&self, pool: usize, runs: &[Run]) -> Vec<f64> {
        let of = |tokens: &Counted| if self.late[pool] { tokens.output_tok } else { tokens.useful_tok };
        runs.iter().map(|run| of(&run.tokens[pool]) / self.length_s).collect()
    }
}

fn price(
    limit: Limit,
    failed: Option<String>,
    base: &[Run],
    moved: &[Run],
    scale: &Scale,
    labels: &Labels,
) -> Price {
    let gain = |of: &dyn Fn(&[Run]) -> Vec<f64>| match failed {
        None => Mean::of_differences(&of(base), &of(moved)),
        Some(_) => None,
    };
    let relative = |gain: Option<Mean>, base: Vec<f64>| {
        let mean = base.iter().sum::<f64>() / base.len().max(1) as f64;
        let share = limit.step_share.filter(|share| *share > 0.0 && mean > 0.0)?;
        Some(gain?.times(1.0 / mean / share))
    };
    let useful = gain(&|runs| scale.useful(runs));
    Price {
        binding_share: labels.share_of(&limit),
        elasticity: relative(useful, scale.useful(base)),
        by_pool: (0..scale.late.len())
            .map(|pool| relative(gain(&|runs| scale.pool(pool, runs)), scale.pool(pool, base)))
            .collect(),
        gain_tok_per_s: useful,
        output_gain_tok_per_s: gain(&|runs| scale.output(runs)),
        failed,
        limit,
    }
}
