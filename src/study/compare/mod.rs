//! Scenarios side by side under common seeds: differences with intervals, changed fields, what binds.
//!
//! The first scenario is the base. Runs with the same number are paired: under the same workload they see the same
//! requests, so that what the requests do by chance drops out of the differences. Under different workloads the pairs are
//! independent; the intervals hold all the same, but are wider.

mod fields;

pub use fields::Change;

use serde_json::Value;

use super::batch::{Progress, StudyError, run_all};
use super::metric::{Metric, tree};
use super::paired::Mean;
use super::replications;
use crate::ledger::outcome::{ScenarioInfo, Stretch};
use crate::scenario::{self, Resolved};

/// What a metric measures: how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Per second.
    Rate,
    /// 0 to 1.
    Share,
    /// Seconds.
    Time,
    /// Joules.
    Energy,
    /// Watts.
    Power,
    /// Without unit.
    Ratio,
}

/// What is compared: path in `summary.json`, words, kind.
pub const METRICS: [(&str, &str, Quantity); 22] = [
    ("throughput.useful_tok_per_s", "useful tokens/s", Quantity::Rate),
    ("throughput.output_tok_per_s", "output tokens/s", Quantity::Rate),
    ("slo_attainment", "SLO attainment", Quantity::Share),
    ("latency_s.ttft.p99", "TTFT p99", Quantity::Time),
    ("latency_s.tpot.p99", "TPOT p99", Quantity::Time),
    ("j_per_output_token.gpu", "J/output token, GPU", Quantity::Energy),
    ("j_per_output_token.it", "J/output token, IT", Quantity::Energy),
    ("j_per_output_token.facility", "J/output token, facility", Quantity::Energy),
    ("j_per_useful_token.facility", "J/useful token, facility", Quantity::Energy),
    ("j_per_accepted_answer.facility", "J/accepted answer, fac.", Quantity::Energy),
    ("quality.accuracy", "right answers", Quantity::Share),
    ("power_w.it.mean", "IT power, mean", Quantity::Power),
    ("power_w.facility.mean", "facility power, mean", Quantity::Power),
    ("power_w.facility.max", "facility power, max", Quantity::Power),
    ("pue.mean", "PUE", Quantity::Ratio),
    ("binding.share.demand", "bound by demand", Quantity::Share),
    ("binding.share.compute", "bound by compute", Quantity::Share),
    ("binding.share.memory_bandwidth", "bound by HBM bandwidth", Quantity::Share),
    ("binding.share.kv_capacity", "bound by KV capacity", Quantity::Share),
    ("binding.share.power", "bound by power", Quantity::Share),
    ("binding.share.cooling", "bound by cooling", Quantity::Share),
    ("binding.share.operations", "bound by operations", Quantity::Share),
];

/// A metric of one scenario.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// None where a run has no such number.
    pub mean: Option<Mean>,
    /// This scenario less the base, seed by seed; none for the base itself, or without a mean of either.
    pub difference: Option<Mean>,
    /// The mean difference over the base's mean; none if that is 0.
    pub relative: Option<f64>,
}

impl Cell {
    /// Whether the interval of the difference leaves no doubt that there is one.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.difference.is_some_and(|difference| !difference.holds(0.0))
    }
}

/// A scenario of the comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// As it is called here: unlike the others.
    pub name: String,
    /// Of the run under the first seed.
    pub info: ScenarioInfo,
    /// What bound under the first seed.
    pub timeline: Vec<Stretch>,
    /// In the order of [`METRICS`].
    pub cells: Vec<Cell>,
    /// Its requests are those of the base, seed by seed.
    pub paired: bool,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Seeds of the replications; those of the base.
    pub seeds: Vec<u64>,
    /// The base first.
    pub sides: Vec<Side>,
    /// Fields that are not the same everywhere, in order of their paths; names and seeds left aside.
    pub changes: Vec<Change>,
}

/// Compares scenarios, in parallel on the pool of threads that it is called in. The answer does not depend on their
/// number.
///
/// # Errors
/// See [`StudyError`].
pub fn compare(
    scenarios: &[(String, Resolved)],
    seeds: u32,
    progress: &Progress,
) -> Result<Comparison, StudyError> {
    let Some((_, base)) = scenarios.first().filter(|_| scenarios.len() > 1) else {
        return Err(StudyError::Question("name two scenarios at least".into()));
    };
    let seeds: Vec<u64> =
        (0..seeds.max(2)).map(|number| replications::seed(base.scenario.seed, number)).collect();
    let trees: Vec<Value> = scenarios.iter().map(|(_, resolved)| scenario::to_json(resolved)).collect();
    let variants: Vec<Resolved> = scenarios.iter().map(|(_, resolved)| resolved.clone()).collect();
    (progress.runs)(variants.len() * seeds.len());
    let metrics: Vec<Metric> = METRICS.iter().map(|(path, _, _)| Metric::new(path)).collect();
    let runs = run_all(&variants, &seeds, progress, &|outcome| {
        let summary = tree(&outcome.summary);
        let values: Vec<Option<f64>> = metrics.iter().map(|metric| metric.of(&summary)).collect();
        (values, outcome.summary.scenario, outcome.summary.binding.timeline)
    })
    .map_err(|(number, error)| StudyError::of_run(error, &scenarios[number].0, &variants[number]))?;

    // By scenario, metric, seed.
    let values: Vec<Vec<Option<Vec<f64>>>> = runs
        .iter()
        .map(|of| (0..metrics.len()).map(|m| of.iter().map(|run| run.0[m]).collect()).collect())
        .collect();
    let sides = runs.into_iter().enumerate().filter_map(|(number, runs)| {
        let cells =
            (0..metrics.len()).map(|m| cell(values[0][m].as_deref(), values[number][m].as_deref(), number));
        let (_, info, timeline) = runs.into_iter().next()?;
        Some(Side {
            name: scenarios[number].0.clone(),
            info,
            timeline,
            cells: cells.collect(),
            paired: ["workload", "start_at_h"].iter().all(|key| trees[number].get(key) == trees[0].get(key)),
        })
    });
    Ok(Comparison { seeds, sides: sides.collect(), changes: fields::changes(&trees) })
}

fn cell(base: Option<&[f64]>, own: Option<&[f64]>, number: usize) -> Cell {
    let mean = own.and_then(Mean::of);
    let difference =
        base.zip(own).filter(|_| number > 0).and_then(|(base, own)| Mean::of_differences(base, own));
    let of_base = base.and_then(Mean::of).map(|mean| mean.mean).filter(|mean| *mean != 0.0);
    let relative = difference.zip(of_base).map(|(difference, base)| difference.mean / base);
    Cell { mean, difference, relative }
}

impl Comparison {
    /// Whether all scenarios are the same but for their names and seeds.
    #[must_use]
    pub fn identical(&self) -> bool {
        self.changes.is_empty()
    }

    /// The metrics that some scenario has, by their place in [`METRICS`].
    pub fn known(&self) -> impl Iterator<Item = usize> {
        (0..METRICS.len()).filter(|m| self.sides.iter().any(|side| side.cells[*m].mean.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_by_hand() {
        let (base, own) = ([1.0, 2.0, 3.0], [1.5, 2.5, 3.5]);
        let same = cell(Some(&base), Some(&base), 0);
        assert_eq!((same.mean.unwrap().mean, same.difference), (2.0, None));
        let other = cell(Some(&base), Some(&own), 1);
        assert_eq!(other.difference.unwrap().ci95_low, 0.5);
        assert_eq!(other.relative, Some(0.25));
        assert!(other.differs());
        assert_eq!(cell(None, Some(&own), 1).difference, None);
        assert_eq!(cell(Some(&[0.0, 0.0]), Some(&[1.0, 1.0]), 1).relative, None);
        assert!(!cell(Some(&base), Some(&base), 1).differs());
    }
}
