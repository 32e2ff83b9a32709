//! What the catalog's fit leaves open of a run: the scenario again under coefficients drawn from the fit.
//!
//! Each draw is a set of all the fit's coefficients (`draws`), of which those matter that some law of the fleet
//! depends on (`followed`). Its run has the requests of the run itself: the draws have a stream of their own. Bands are
//! percentiles over the draws (`bands`); changes of the binding constraint are those of stretches that last (`changes`).

mod bands;
mod changes;
mod draws;
mod followed;

use std::sync::Arc;

use rayon::prelude::*;

use crate::engine::{EngineKind, SimError, SimOptions, simulate};
use crate::ledger::outcome::Outcome;
use crate::ledger::uncertainty::{DrawRow, Drawn, Draws, Figures, Uncertainty};
use crate::scenario::Resolved;
use bands::Kept;
use draws::Sampler;

/// Why there are no bands.
#[derive(Debug, thiserror::Error)]
pub enum UncertaintyError {
    /// There is nothing to draw, in words: exit code 2.
    #[error("{0}")]
    Nothing(String),
    /// A run gave no outcome for another reason than its coefficients, or was asked to stop.
    #[error("{0}")]
    Run(#[from] SimError),
}

/// How the draws are run.
pub struct Options<'a> {
    /// Which engine.
    pub engine: EngineKind,
    /// Asked now and then; false interrupts.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
    /// Called after each draw.
    pub draw_done: &'a (dyn Fn() + Sync),
}

/// A scenario whose laws follow the fit.
pub struct Study<'a> {
    resolved: &'a Resolved,
    /// Places in the fit of the coefficients that matter.
    followed: Vec<usize>,
}

/// What became of a draw.
enum End {
    Done(Box<Kept>),
    /// It could not be built.
    Failed(String),
}

impl<'a> Study<'a> {
    /// Finds out what of the fit matters to a scenario.
    ///
    /// # Errors
    /// Nothing does, or the fleet cannot be built.
    pub fn of(resolved: &'a Resolved) -> Result<Self, UncertaintyError> {
        let followed = followed::followed(resolved)?;
        if followed.is_empty() {
            return Err(UncertaintyError::Nothing(
                "nothing in this scenario follows a coefficient of the catalog's fit that has a standard deviation, \
                 so there is nothing to draw: its pools have step laws of their own, or hardware whose numbers are \
                 fixed; use `step_law: roofline` with a GPU or an engine whose numbers follow the fit"
                    .into(),
            ));
        }
        Ok(Self { resolved, followed })
    }

    /// Runs the scenario under `draws` sets of coefficients, in parallel on the pool of threads that it is called in,
    /// and adds to the outcome of the scenario itself what they say. The result does not depend on the number of
    /// threads; on an error the outcome stays as it was.
    ///
    /// # Errors
    /// See [`UncertaintyError`]; a scenario that cannot be built under a draw is none.
    pub fn run(&self, outcome: &mut Outcome, draws: u32, options: &Options) -> Result<(), UncertaintyError> {
        let fit = self.resolved.catalog.fit();
        let sampler = Sampler::new(fit, self.resolved.scenario.seed);
        let duration_s = outcome.summary.scenario.duration_s;
        let ends: Vec<Result<(Vec<f64>, End), SimError>> = (0..draws)
            .into_par_iter()
            .map(|index| {
                if !(options.go_on)() {
                    return Err(SimError::Interrupted);
                }
                let values = sampler.draw(index);
                let end = self.one(&values, duration_s, options)?;
                (options.draw_done)();
                Ok((self.followed.iter().map(|place| values[*place]).collect(), end))
            })
            .collect();
        let mut rows = Vec::with_capacity(ends.len());
        let mut kept = Vec::with_capacity(ends.len());
        for end in ends {
            let (values, end) = end?;
            let outcome = match end {
                End::Failed(why) => Err(why),
                End::Done(draw) => {
                    let drawn = Drawn {
                        figures: Figures::each(|_, read| read(&draw.summary)),
                        first: draw.summary.binding.first.clone(),
                    };
                    kept.push(*draw);
                    Ok(drawn)
                }
            };
            rows.push(DrawRow { values, outcome });
        }
        let coefficients: Vec<String> =
            self.followed.iter().map(|place| fit.coefficients[*place].name.clone()).collect();
        outcome.summary.uncertainty = Some(Uncertainty {
            draws,
            failed: draws - kept.len() as u32,
            coefficients: coefficients.clone(),
            bands: bands::figures(&kept),
            changes: bands::changes(&outcome.summary, &kept),
            first: bands::first(&kept),
        });
        outcome.draws = Some(Draws { coefficients, rows });
        Ok(())
    }

    /// The scenario under other coefficients.
    fn one(&self, values: &[f64], duration_s: f64, options: &Options) -> Result<End, SimError> {
        let catalog = Arc::new(self.resolved.catalog.with_drawn(values));
        let resolved = Resolved { catalog, ..self.resolved.clone() };
        let go_on = |_: f64, _: u64| (options.go_on)();
        let run = SimOptions { engine: options.engine, keep_requests: false, progress: Some(&go_on) };
        match simulate(&resolved, &run) {
            Ok(outcome) => Ok(End::Done(Box::new(Kept::of(outcome.summary, duration_s)))),
            Err(SimError::Scenario(problems)) => {
                let said = problems.iter().map(|p| format!("{}: {}", p.path, p.message));
                Ok(End::Failed(said.collect::<Vec<_>>().join("; ")))
            }
            Err(other) => Err(other),
        }
    }
}
