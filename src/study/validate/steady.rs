//! A closed loop run into its steady state, for as long as its means need.
//!
//! All slots start at t = 0 with new requests. Until the oldest requests of the steady state are there, the cache
//! holds too little and steps are too short, so the warm-up is as long as the outputs' spread asks. Times are laid
//! out in *turns*: the mean time that a slot keeps a request. A first guess of it comes from the step law; where
//! the run shows that it was too short, the run is repeated with the turn that was seen. Requests that are all
//! equally long keep moving in step, as they do in a measurement: there the window is cut to whole turns.

use std::sync::Arc;

use super::case::{Case, Outputs};
use crate::catalog::Catalog;
use crate::engine::{SimError, SimOptions, simulate};
use crate::fleet::{Fleet, Pool};
use crate::ledger::outcome::Summary;
use crate::physics::clock::Clock;
use crate::physics::normal;
use crate::physics::step::Shape;
use crate::scenario::Resolved;

/// Share of the steady state's Σ context that may still be missing after the warm-up.
const MISSING: f64 = 0.01;
/// Turns of a warm-up at most: a tail that takes longer is no part of any measurement either.
const MOST_WARM_UP: f64 = 12.0;
/// Turns of a warm-up at least.
const LEAST_WARM_UP: f64 = 2.0;
/// Turns of a window at least.
const LEAST_TURNS: f64 = 10.0;
/// Turns of a window of equally long requests.
const EQUAL_TURNS: f64 = 8.0;
/// Requests that a window should see at least.
const LEAST_REQUESTS: f64 = 4000.0;
/// A run is repeated if a turn was longer than guessed by more than this factor.
const TOO_SHORT: f64 = 1.25;
/// A window of equally long requests may miss whole turns by this share of one.
const OUT_OF_STEP: f64 = 0.02;
/// Runs at most.
const MOST_RUNS: usize = 3;
/// Longest run [s].
const LONGEST_S: f64 = 5e8;

/// Why a case gave no figures.
#[derive(Debug)]
pub(super) enum Stop {
    /// The row cannot be simulated.
    Row(String),
    /// Asked to stop.
    Interrupted,
    /// A conservation law does not hold.
    Invariant(String),
}

/// What a case left behind.
#[derive(Debug)]
pub(super) struct Steady {
    pub summary: Summary,
    pub remarks: Vec<String>,
}

/// Runs a case until its means are good.
pub(super) fn run(
    case: &Case,
    catalog: &Arc<Catalog>,
    seed: u64,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Steady, Stop> {
    let probe = case.closed_loop(catalog, seed, 0.0, 1.0, u64::MAX).map_err(Stop::Row)?;
    let room_tok = room_tok(&probe)?;
    let mut remarks = Vec::new();
    let Some(most_output_tok) = room_tok.checked_sub(u64::from(case.prompt_tok)).filter(|most| *most > 0)
    else {
        return Err(Stop::Row(format!(
            "a prompt of {} tokens does not fit the KV cache of a replica ({room_tok} tokens)",
            case.prompt_tok
        )));
    };
    if case.outputs.mean_tok > most_output_tok as f64 {
        return Err(Stop::Row(format!(
            "an output of {:.0} tokens does not fit the KV cache of a replica ({room_tok} tokens)",
            case.outputs.mean_tok
        )));
    }
    let mut turn_s = with_pool(&probe, |pool| guessed_turn_s(case, pool))?;
    for attempt in 1.. {
        let warm_up_s = turn_s * warm_up_turns(case.outputs);
        let window_s = turn_s * window_turns(case);
        if warm_up_s + window_s > LONGEST_S {
            return Err(Stop::Row(format!("a request would take {turn_s:.0} s")));
        }
        let resolved =
            case.closed_loop(catalog, seed, warm_up_s, window_s, most_output_tok).map_err(Stop::Row)?;
        let summary = simulated(&resolved, go_on)?;
        let seen_s = seen_turn_s(case, &summary)
            .ok_or_else(|| Stop::Row("it emitted no token in the window".into()))?;
        let fits = if case.outputs.sigma > 0.0 {
            seen_s <= turn_s * TOO_SHORT
        } else {
            let turns = window_s / seen_s;
            turns > EQUAL_TURNS / 2.0 && (turns - turns.round()).abs() <= OUT_OF_STEP
        };
        if fits || attempt == MOST_RUNS {
            if summary.requests.shed > 0 {
                remarks.push(format!("{} requests were shed", summary.requests.shed));
            }
            let cut = cut_share(case.outputs, most_output_tok as f64);
            if cut > 1e-3 {
                remarks.push(format!(
                    "{:.1} % of its outputs end early: the KV cache of a replica holds {room_tok} tokens",
                    cut * 100.0
                ));
            }
            return Ok(Steady { summary, remarks });
        }
        turn_s = seen_s;
    }
    Err(Stop::Row("it found no steady state".into()))
}

/// Runs a scenario.
pub(super) fn simulated(resolved: &Resolved, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Summary, Stop> {
    let progress = |_: f64, _: u64| go_on();
    let options = SimOptions { progress: Some(&progress), ..SimOptions::default() };
    simulate(resolved, &options).map(|outcome| outcome.summary).map_err(stop)
}

/// What a run's error means for its row.
pub(super) fn stop(error: SimError) -> Stop {
    match error {
        SimError::Interrupted => Stop::Interrupted,
        SimError::Invariant(text) => Stop::Invariant(text),
        SimError::Scenario(problems) => {
            Stop::Row(problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; "))
        }
        SimError::Input(text) => Stop::Row(text),
    }
}

fn with_pool<T>(resolved: &Resolved, ask: impl FnOnce(&Pool) -> T) -> Result<T, Stop> {
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir)
        .map_err(|problems| stop(SimError::Scenario(problems)))?;
    fleet.pools.first().map(ask).ok_or_else(|| Stop::Row("it has no replica".into()))
}

/// Tokens that a replica's KV cache holds.
fn room_tok(resolved: &Resolved) -> Result<u64, Stop> {
    with_pool(resolved, |pool| pool.kv_blocks.saturating_mul(u64::from(pool.block_tok)))
}

/// Time of a request in the steady state by the step law: all its decode steps at the mean context, and the
/// prompts of all slots once.
fn guessed_turn_s(case: &Case, pool: &Pool) -> f64 {
    let context = f64::from(case.prompt_tok) + case.outputs.mean_age_tok();
    let fit = pool.kv_blocks as f64 * f64::from(pool.block_tok) / context;
    let n = f64::from(case.max_seqs()).min(fit).max(1.0) as u32;
    let kv_tok = f64::from(n) * context;
    let decode = Shape {
        n,
        kv_tok: kv_tok as i64,
        window_tok: pool.step.even_window_tok(f64::from(n), kv_tok) as i64,
        ..Shape::default()
    };
    let decode_fs = pool.step.coefficients(n, 0, 0, &Clock::FULL).duration_fs(&decode);
    let chunk = case.prompt_tok.min(pool.max_step_tok);
    let pairs = i64::from(chunk) * (i64::from(chunk) + 1) / 2;
    let prefill = Shape {
        p: chunk,
        chunks: 1,
        pairs,
        window_pairs: pool.step.even_window_pairs(f64::from(chunk), 1.0, pairs as f64) as i64,
        ..Shape::default()
    };
    let prefill_fs = pool.step.coefficients(0, chunk, 1, &Clock::FULL).duration_fs(&prefill);
    let prompts = f64::from(n) * f64::from(case.prompt_tok) / f64::from(chunk.max(1));
    (case.outputs.mean_tok * decode_fs as f64 + prompts * prefill_fs as f64) * 1e-15
}

/// Time of a request as the run shows it. Of equally long requests it is the time of each; else Little's law over
/// tokens, which long requests still in flight do not bias.
fn seen_turn_s(case: &Case, summary: &Summary) -> Option<f64> {
    if case.outputs.sigma == 0.0
        && let Some(e2e_s) = summary.latency_s.e2e.mean
    {
        return Some(e2e_s);
    }
    let rate = summary.throughput.output_tok_per_s;
    (rate > 0.0).then(|| f64::from(case.batch) * case.outputs.mean_tok / rate)
}

fn window_turns(case: &Case) -> f64 {
    if case.outputs.sigma > 0.0 {
        (LEAST_REQUESTS / f64::from(case.batch.max(1))).max(LEAST_TURNS)
    } else {
        EQUAL_TURNS
    }
}

/// Turns until all but [`MISSING`] of the steady state's Σ context is there, and slots have lost step: with a
/// coefficient of variation v of the outputs, what is left of their common start falls by e^(−2π²v²) a turn.
fn warm_up_turns(outputs: Outputs) -> f64 {
    let sigma = outputs.sigma;
    if sigma <= 0.0 {
        return LEAST_WARM_UP;
    }
    let variation = (sigma * sigma).exp_m1();
    let in_step = -MISSING.ln() / (2.0 * std::f64::consts::PI.powi(2) * variation);
    let mut turns = LEAST_WARM_UP.max(in_step);
    while turns < MOST_WARM_UP && missing_context(sigma, turns) > MISSING {
        turns += 0.25;
    }
    turns.min(MOST_WARM_UP)
}

/// Share of the steady state's Σ age held by requests older than `turns` mean outputs: E\[((L − t)⁺)²\]/E\[L²\]
/// of a lognormal of mean 1.
fn missing_context(sigma: f64, turns: f64) -> f64 {
    let mu = -sigma * sigma / 2.0;
    let above = |k: f64| normal::phi((mu + k * sigma * sigma - turns.ln()) / sigma);
    let square = (sigma * sigma).exp();
    (square * above(2.0) - 2.0 * turns * above(1.0) + turns * turns * above(0.0)) / square
}

/// Share of outputs longer than `most` tokens.
fn cut_share(outputs: Outputs, most: f64) -> f64 {
    let Outputs { mean_tok, sigma } = outputs;
    if sigma <= 0.0 {
        return 0.0;
    }
    let mu = mean_tok.ln() - sigma * sigma / 2.0;
    1.0 - normal::lognormal_below(most, mu, sigma)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_old_context_in_closed_form() {
        // At t = 0 nothing is missing from E[L²]; far out nothing is left; it falls in between.
        for sigma in [0.3, 0.6, 0.82, 1.1] {
            assert!((missing_context(sigma, 1e-9) - 1.0).abs() < 1e-6, "{sigma}");
            assert!(missing_context(sigma, 1e4).abs() < 1e-6, "{sigma}");
            let mut before = 1.0;
            for k in 1..40 {
                let now = missing_context(sigma, f64::from(k) * 0.5);
                assert!(now <= before + 1e-12, "{sigma} {k}");
                before = now;
            }
        }
        // Numerically, σ = 0.6, t = 2: ∫(l − 2)² f(l) dl over l > 2, divided by e^0.36.
        assert!((missing_context(0.6, 2.0) - 0.0549).abs() < 2e-4);
    }

    #[test]
    fn wider_spreads_warm_up_longer() {
        let turns = |sigma| warm_up_turns(Outputs { mean_tok: 500.0, sigma });
        assert_eq!(turns(0.0), LEAST_WARM_UP);
        assert!(turns(0.6) < turns(0.82) && turns(0.82) < turns(1.1));
        assert_eq!(turns(1.1), MOST_WARM_UP);
        assert!(turns(0.1) > 8.0, "nearly equal lengths keep step for long");
    }
}
