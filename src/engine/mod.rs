//! Clock, queue, the loop, the stepwise oracle.

use crate::ledger::outcome::Outcome;
use crate::scenario::Resolved;

/// Which engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// One event per segment.
    #[default]
    Segments,
    /// The oracle: one event per iteration.
    Stepwise,
}

/// Options of a run that do not change its result.
#[derive(Clone, Copy)]
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
    Scenario(Vec<crate::scenario::Problem>),
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
pub fn simulate(_resolved: &Resolved, _options: &SimOptions) -> Result<Outcome, SimError> {
    Err(SimError::Interrupted)
}
