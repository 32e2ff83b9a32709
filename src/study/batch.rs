//! Runs of several scenarios under common seeds, all in one queue.

use rayon::prelude::*;

use crate::engine::{EngineKind, SimError, SimOptions, simulate};
use crate::ledger::outcome::Outcome;
use crate::scenario::{self, Resolved};

/// What a study is asked to heed while it works.
pub struct Progress<'a> {
    /// Asked now and then; false interrupts.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
    /// Called with the number of runs in all, as far as it is known, whenever that grows.
    pub runs: &'a (dyn Fn(usize) + Sync),
    /// Called after each run.
    pub run_done: &'a (dyn Fn() + Sync),
}

/// Why a study has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The question does not fit the scenario, or makes one that cannot be used, in words: exit code 2.
    #[error("{0}")]
    Question(String),
    /// A run failed, or was asked to stop.
    #[error("{0}")]
    Run(#[from] SimError),
}

impl StudyError {
    /// A run's error, its problems told with their places in the scenario file; `what` names the run.
    pub(super) fn of_run(error: SimError, what: &str, resolved: &Resolved) -> Self {
        match error {
            SimError::Scenario(problems) => {
                Self::Question(format!("{what}: {}", resolved.render_problems(&problems)))
            }
            other => Self::Run(other),
        }
    }
}

/// Runs every variant under every seed, in parallel on the pool of threads that it is called in, and keeps what `look`
/// takes from each outcome: by variant, then by seed, whatever the number of threads.
///
/// # Errors
/// The first by order of variants and seeds; it comes with the variant's number.
pub fn run_all<T: Send>(
    variants: &[Resolved],
    seeds: &[u64],
    progress: &Progress,
    look: &(dyn Fn(Outcome) -> T + Sync),
) -> Result<Vec<Vec<T>>, (usize, SimError)> {
    let jobs: Vec<(usize, u64)> =
        (0..variants.len()).flat_map(|variant| seeds.iter().map(move |seed| (variant, *seed))).collect();
    let results: Vec<Result<T, SimError>> =
        jobs.par_iter().map(|&(variant, seed)| one(&variants[variant], seed, progress).map(look)).collect();
    let mut results = results.into_iter();
    (0..variants.len())
        .map(|variant| {
            let of_variant: Result<Vec<T>, SimError> = results.by_ref().take(seeds.len()).collect();
            of_variant.map_err(|error| (variant, error))
        })
        .collect()
}

fn one(resolved: &Resolved, seed: u64, progress: &Progress) -> Result<Outcome, SimError> {
    if !(progress.go_on)() {
        return Err(SimError::Interrupted);
    }
    let mut resolved = resolved.clone();
    resolved.scenario.seed = seed;
    let go_on = |_: f64, _: u64| (progress.go_on)();
    let options = SimOptions { engine: EngineKind::Segments, keep_requests: false, progress: Some(&go_on) };
    let outcome = simulate(&resolved, &options)?;
    (progress.run_done)();
    Ok(outcome)
}

/// Identity of a study: hash of what was asked, in words that hold scenarios by their hash.
#[must_use]
pub fn identity(asked: &str) -> String {
    // Without files nothing can fail.
    scenario::hash_of_files(asked, &[], None).unwrap_or_default()
}
