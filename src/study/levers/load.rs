//! Equal service: the largest load at which requests meet their SLO as often as is asked.

use super::Unreached;
use crate::engine::{EngineKind, SimError, SimOptions, simulate};
use crate::ledger::outcome::{Outcome, Staves};
use crate::scenario::Resolved;
use crate::study::batch::{Progress, StudyError};
use crate::study::demand;

/// Factors on the scenario's own load between which one is sought.
const LEAST: f64 = 1e-3;
const MOST: f64 = 1e3;
/// First step away from a load that meets, or does not; each further one is half as long again.
const STEP: f64 = 1.2;

/// At which load levers are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// As the scenario has it.
    Given,
    /// The largest with this share of requests within their SLO.
    Solved {
        /// Share of requests within their SLO, s*.
        attainment: f64,
        /// Width of the search: factor between a load that meets and one that does not, minus 1.
        tolerance: f64,
    },
}

/// A run at the load that is held.
pub(super) struct At {
    /// Factor on the scenario's own load.
    pub(super) factor: f64,
    pub(super) outcome: Outcome,
}

/// One run, or a search with many.
pub(super) fn hold(
    resolved: &Resolved,
    seed: u64,
    load: Load,
    progress: &Progress,
) -> Result<Result<At, Unreached>, StudyError> {
    match load {
        Load::Given => match run(resolved, seed, 1.0, progress) {
            Ok(outcome) => Ok(Ok(At { factor: 1.0, outcome })),
            Err(error) => unbuilt(error, resolved),
        },
        Load::Solved { attainment, tolerance } => {
            match search(resolved, seed, attainment, tolerance, progress) {
                Ok(found) => found,
                Err(error) => unbuilt(error, resolved),
            }
        }
    }
}

/// A fleet that cannot be built is an answer; anything else ends the study.
fn unbuilt(error: SimError, resolved: &Resolved) -> Result<Result<At, Unreached>, StudyError> {
    match error {
        SimError::Scenario(problems) => Ok(Err(Unreached::Build(resolved.render_problems(&problems)))),
        other => Err(StudyError::Run(other)),
    }
}

type Found = Result<Result<At, Unreached>, StudyError>;

fn search(
    resolved: &Resolved,
    seed: u64,
    target: f64,
    tolerance: f64,
    progress: &Progress,
) -> Result<Found, SimError> {
    let mut best: f64 = 0.0;
    let mut held: Option<At> = None;
    let mut meets: Option<f64> = None;
    let mut misses: Option<f64> = None;
    let mut factor = 1.0;
    let mut step = STEP;
    let mut guessed = false;
    loop {
        let outcome = run(resolved, seed, factor, progress)?;
        let attainment = outcome.summary.slo_attainment;
        best = best.max(attainment.unwrap_or(0.0));
        let guess = guess(&outcome.summary.staves_tok_per_s);
        match attainment {
            Some(attainment) if attainment < target => misses = Some(factor),
            // Where nobody asks nobody waits: the load may be larger, though none is held.
            None => meets = Some(factor),
            Some(_) => {
                meets = Some(factor);
                held = Some(At { factor, outcome });
            }
        }
        factor = match (meets, misses) {
            (Some(meet), Some(miss)) if miss / meet <= 1.0 + tolerance => break,
            (Some(meet), Some(miss)) => (meet * miss).sqrt(),
            (Some(meet), None) if !guessed => (meet * guess).max(meet * STEP),
            (None, Some(miss)) if !guessed => (miss * guess).min(miss / STEP),
            (Some(meet), None) => meet * step,
            (None, Some(miss)) => miss / step,
            (None, None) => break,
        };
        // Beyond the first guess, ever longer steps.
        if guessed && (meets.is_none() || misses.is_none()) {
            step = step.powf(1.5);
        }
        guessed = true;
        if factor < LEAST {
            return Ok(Ok(Err(Unreached::Service { target, best })));
        }
        if factor > MOST {
            let text = format!(
                "{MOST} times the load still meets the SLO of {:.1} % of its requests, and more is not tried; give a larger \
                 load to start from or tighter limits, or use --load given",
                target * 100.0
            );
            return Ok(Err(StudyError::Question(text)));
        }
    }
    Ok(Ok(held.ok_or(Unreached::Service { target, best })))
}

/// By which factor the load may change until the shortest stave is reached, as far as they tell.
fn guess(staves: &Staves) -> f64 {
    let limits = [staves.compute, staves.memory_bandwidth, staves.kv_capacity, staves.power, staves.cooling];
    let shortest = limits.into_iter().flatten().fold(f64::INFINITY, f64::min);
    let demand = staves.demand.unwrap_or(0.0);
    if demand > 0.0 && shortest.is_finite() && shortest > 0.0 {
        (0.9 * shortest / demand).clamp(0.05, 20.0)
    } else {
        1.0
    }
}

fn run(resolved: &Resolved, seed: u64, factor: f64, progress: &Progress) -> Result<Outcome, SimError> {
    if !(progress.go_on)() {
        return Err(SimError::Interrupted);
    }
    let mut resolved = resolved.clone();
    resolved.scenario.seed = seed;
    if factor != 1.0 {
        demand::scale(&mut resolved.scenario, factor);
    }
    let go_on = |_: f64, _: u64| (progress.go_on)();
    let options = SimOptions { engine: EngineKind::Segments, keep_requests: false, progress: Some(&go_on) };
    simulate(&resolved, &options)
}
