//! Clock, queue, the loop, the stepwise oracle.

mod ended;
mod journeys;
mod queue;
mod replicas;
mod run;
mod setup;
mod stall;
mod stepwise;

use std::time::Instant;

use crate::ledger::outcome::{EngineInfo, Outcome, ScenarioInfo};
use crate::ledger::{Counted, Frame};
use crate::physics::s_from_fs;
use crate::scenario::types::Arrivals;
use crate::scenario::{Problem, Resolved};

#[doc(hidden)]
pub use stepwise::PlantedFault;

/// Which engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// One event per segment.
    #[default]
    Segments,
    /// The oracle: one event per iteration.
    Stepwise,
}

impl EngineKind {
    /// As in `summary.json` and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segments => "segments",
            Self::Stepwise => "stepwise",
        }
    }
}

/// Options of a run that do not change its result.
#[derive(Clone, Copy, Default)]
pub struct SimOptions<'a> {
    /// Which engine.
    pub engine: EngineKind,
    /// Keep one row per request.
    pub keep_requests: bool,
    /// Called now and then with (simulated seconds, requests arrived); return false to interrupt.
    pub progress: Option<&'a (dyn Fn(f64, u64) -> bool + Sync)>,
}

/// Why a run gave no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The scenario cannot be run: exit code 2.
    #[error("{}", .0.iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("\n"))]
    Scenario(Vec<Problem>),
    /// An input file is bad: exit code 2. The text has file:line:column.
    #[error("{0}")]
    Input(String),
    /// A conservation law does not hold: exit code 1.
    #[error("internal error, please report: {0}")]
    Invariant(String),
    /// Asked to stop: exit code 130.
    #[error("interrupted")]
    Interrupted,
}

/// Run a scenario.
///
/// # Errors
/// See [`SimError`].
pub fn simulate(resolved: &Resolved, options: &SimOptions) -> Result<Outcome, SimError> {
    simulate_with(resolved, options, None, None).map(|(outcome, _)| outcome)
}

/// A stretch of a run that is looked at by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// Requests arrive from then on [s]: the fleet is empty before, and its building idle.
    pub arrivals_from_s: f64,
    /// Start of the stretch [s].
    pub from_s: f64,
    /// Its end [s].
    pub until_s: f64,
}

/// Run a scenario for a stretch of it; also gives, by pool, its output tokens: of requests with an SLO all tokens of those
/// that arrive in it, of others those emitted in it. Let the scenario end by draining, or what is in flight at its end
/// is missing.
///
/// # Errors
/// See [`SimError`].
pub fn probe(
    resolved: &Resolved,
    options: &SimOptions,
    probe: &Probe,
) -> Result<(Outcome, Vec<Counted>), SimError> {
    let (outcome, counted) = simulate_with(resolved, options, None, Some(probe))?;
    Ok((outcome, counted.unwrap_or_default()))
}

/// Run a scenario on the stepwise engine with a mistake in it: comparing the engines must find it.
///
/// # Errors
/// See [`SimError`].
#[doc(hidden)]
pub fn simulate_with_fault(
    resolved: &Resolved,
    options: &SimOptions,
    fault: PlantedFault,
) -> Result<Outcome, SimError> {
    let options = SimOptions { engine: EngineKind::Stepwise, ..*options };
    simulate_with(resolved, &options, Some(fault), None).map(|(outcome, _)| outcome)
}

fn simulate_with(
    resolved: &Resolved,
    options: &SimOptions,
    fault: Option<PlantedFault>,
    probe: Option<&Probe>,
) -> Result<(Outcome, Option<Vec<Counted>>), SimError> {
    let started = Instant::now();
    let mut setup = setup::setup(resolved, options.keep_requests, probe)?;
    let mut ended = match options.engine {
        EngineKind::Segments => run::Engine::new(&mut setup).run(options.progress)?,
        EngineKind::Stepwise => stepwise::Stepwise::new(&mut setup, fault).run(options.progress)?,
    };
    let mut notes = std::mem::take(&mut setup.notes);
    notes.append(&mut ended.notes);
    let scenario = &resolved.scenario;
    let wall_s = started.elapsed().as_secs_f64();
    let frame = Frame {
        scenario: ScenarioInfo {
            name: scenario.name.clone(),
            hash: resolved.hash.clone(),
            seed: scenario.seed,
            duration_s: s_from_fs(setup.end_fs),
            warm_up_s: scenario.warm_up_s,
            end_s: s_from_fs(ended.end_fs),
            start_at_h: scenario.start_at_h,
        },
        engine: EngineInfo {
            kind: options.engine.name().into(),
            events: ended.events,
            segments: 0,
            iterations_represented: 0,
            wall_s: Some(wall_s),
            requests_per_s: None,
        },
        notes,
        closed_loop: scenario
            .workload
            .classes
            .iter()
            .any(|class| matches!(class.arrivals, Arrivals::ClosedLoop(_))),
        end_fs: ended.end_fs,
    };
    let counted = setup.ledger.counted();
    let mut outcome = setup.ledger.outcome(&setup.fleet, &mut setup.power, frame);
    outcome.summary.engine.requests_per_s =
        (wall_s > 0.0).then(|| outcome.summary.requests.arrived as f64 / wall_s);
    Ok((outcome, counted))
}
