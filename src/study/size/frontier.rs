//! The Pareto set of facility power, useful tokens, SLO attainment and cost over a table of values.

use rayon::prelude::*;
use serde::Serialize;

use super::{field, rehearse, seeds, variant};
use crate::ledger::outcome::Outcome;
use crate::scenario::{Draft, LoadOptions, NumberKind, Resolved};
use crate::study::batch::{Progress, StudyError, run_all};
use crate::study::metric::{Condition, Metric, Verdict, tree};
use crate::study::paired::Mean;

/// A field and its range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Axis {
    /// Path, as of `--set`.
    pub path: String,
    /// Ends of the range, in the field's unit.
    pub min: f64,
    /// Above `min`.
    pub max: f64,
}

/// What things cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prices {
    /// Energy at the meter [$/MWh].
    pub usd_per_mwh: f64,
    /// Everything else, by installed GPU [$/h].
    pub usd_per_gpu_hour: f64,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontierQuestion {
    /// One or two.
    pub axes: Vec<Axis>,
    /// Values of each, at least 2.
    pub points: u32,
    /// Told point by point; may be none.
    pub conditions: Vec<Condition>,
    /// None: no cost.
    pub prices: Option<Prices>,
    /// Replications; at least 2.
    pub seeds: u32,
}

/// One combination of values.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontierPoint {
    /// Values of the fields, in the order of the axes.
    pub values: Vec<f64>,
    /// Mean power at the meter [W].
    pub facility_w: Mean,
    /// Useful output [tok/s].
    pub useful_tok_per_s: Mean,
    /// None where no request has an SLO or none finished.
    pub slo_attainment: Option<Mean>,
    /// Cost of a million useful tokens [$]; none without prices or without tokens.
    pub usd_per_mtok: Option<Mean>,
    /// Of all conditions; none without any.
    pub verdict: Option<Verdict>,
    /// No other point is better in one of the four and worse in none, by the means (equal to a millionth is equal).
    pub pareto: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Frontier {
    /// Kinds of the fields.
    pub kinds: Vec<NumberKind>,
    /// Seeds of the replications.
    pub seeds: Vec<u64>,
    /// The last axis moves fastest.
    pub points: Vec<FrontierPoint>,
}

/// What is kept of a run.
struct Run {
    facility_w: f64,
    useful_tok_per_s: f64,
    slo_attainment: Option<f64>,
    gpus: u64,
    metrics: Vec<Option<f64>>,
}

/// Runs the table, in parallel on the pool of threads that it is called in. The answer does not depend on their number.
///
/// # Errors
/// See [`StudyError`].
pub fn frontier(
    draft: &Draft,
    load: &LoadOptions,
    question: &FrontierQuestion,
    progress: &Progress,
) -> Result<Frontier, StudyError> {
    let kinds: Vec<NumberKind> = question
        .axes
        .iter()
        .map(|axis| field(draft, load, &axis.path, axis.min, axis.max))
        .collect::<Result<_, _>>()?;
    let mut table: Vec<Vec<f64>> = vec![Vec::new()];
    for (axis, kind) in question.axes.iter().zip(&kinds) {
        let values = super::grid::table(axis.min, axis.max, question.points, *kind);
        let longer =
            |row: &Vec<f64>| values.iter().map(|v| [row.as_slice(), &[*v]].concat()).collect::<Vec<_>>();
        table = table.iter().flat_map(longer).collect();
    }
    let sets = |row: &[f64]| {
        question.axes.iter().zip(row).map(|(axis, v)| (axis.path.as_str(), *v)).collect::<Vec<_>>()
    };
    let variants: Vec<Resolved> =
        table.par_iter().map(|row| variant(draft, load, &sets(row))).collect::<Result<_, _>>()?;
    let metrics: Vec<Metric> = question.conditions.iter().map(|c| c.metric.clone()).collect();
    let Some(last) = variants.last() else {
        return Err(StudyError::Question("no field to move; name one with --find".into()));
    };
    rehearse(last, &metrics, progress)?;
    let seeds = seeds(last, question.seeds);
    (progress.runs)(variants.len() * seeds.len());
    let look = |outcome: Outcome| {
        let summary = tree(&outcome.summary);
        let of = &outcome.summary;
        Run {
            facility_w: of.power_w.facility.mean,
            useful_tok_per_s: of.throughput.useful_tok_per_s,
            slo_attainment: of.slo_attainment,
            gpus: of.per_site.iter().map(|site| site.gpus).sum(),
            metrics: metrics.iter().map(|metric| metric.of(&summary)).collect(),
        }
    };
    let runs = run_all(&variants, &seeds, progress, &look).map_err(|(number, error)| {
        let at: Vec<String> = sets(&table[number]).iter().map(|(path, v)| format!("{path}={v}")).collect();
        StudyError::of_run(error, &at.join(" "), &variants[number])
    })?;
    let points = table.into_iter().zip(&runs).map(|(values, runs)| point(values, runs, question));
    let mut points: Vec<FrontierPoint> = points.collect::<Option<_>>().ok_or_else(few_seeds)?;
    let goods: Vec<[f64; 4]> = points.iter().map(goods).collect();
    for (point, own) in points.iter_mut().zip(&goods) {
        point.pareto = !goods.iter().any(|other| dominates(other, own));
    }
    Ok(Frontier { kinds, seeds, points })
}

fn few_seeds() -> StudyError {
    StudyError::Question("at least 2 seeds make an interval".into())
}

fn point(values: Vec<f64>, runs: &[Run], question: &FrontierQuestion) -> Option<FrontierPoint> {
    let mean = |of: &dyn Fn(&Run) -> f64| Mean::of(&runs.iter().map(of).collect::<Vec<_>>());
    let maybe =
        |of: &dyn Fn(&Run) -> Option<f64>| Mean::of(&runs.iter().map(of).collect::<Option<Vec<_>>>()?);
    let verdicts: Vec<Verdict> = question
        .conditions
        .iter()
        .enumerate()
        .map(|(c, condition)| {
            let all_null = runs.iter().all(|run| run.metrics[c].is_none());
            condition.verdict(maybe(&|run| run.metrics[c]).as_ref(), all_null)
        })
        .collect();
    Some(FrontierPoint {
        values,
        facility_w: mean(&|run| run.facility_w)?,
        useful_tok_per_s: mean(&|run| run.useful_tok_per_s)?,
        slo_attainment: maybe(&|run| run.slo_attainment),
        usd_per_mtok: maybe(&|run| question.prices.and_then(|prices| cost(run, &prices))),
        verdict: (!verdicts.is_empty()).then(|| Verdict::all(&verdicts)),
        pareto: false,
    })
}

/// Dollars per million useful tokens: a run's hour over its tokens.
fn cost(run: &Run, prices: &Prices) -> Option<f64> {
    let usd_per_hour = run.facility_w * 1e-6 * prices.usd_per_mwh + run.gpus as f64 * prices.usd_per_gpu_hour;
    let mtok_per_hour = run.useful_tok_per_s * 3600.0 * 1e-6;
    (mtok_per_hour > 0.0).then(|| usd_per_hour / mtok_per_hour)
}

/// The four, more being better; what a point does not have is the worst, and the same for all where none has it.
fn goods(point: &FrontierPoint) -> [f64; 4] {
    let mean = |mean: Option<Mean>| mean.map(|mean| mean.mean);
    [
        -point.facility_w.mean,
        point.useful_tok_per_s.mean,
        mean(point.slo_attainment).unwrap_or(f64::NEG_INFINITY),
        mean(point.usd_per_mtok).map_or(f64::NEG_INFINITY, |usd| -usd),
    ]
}

/// What is nearer than this to another is as good: sums that differ in their rounding alone.
const AS_GOOD: f64 = 1e-6;

/// Nowhere worse, somewhere better.
fn dominates(a: &[f64; 4], b: &[f64; 4]) -> bool {
    let as_good = |a: f64, b: f64| a == b || (a - b).abs() <= AS_GOOD * a.abs().min(b.abs());
    let pairs = || a.iter().zip(b).map(|(a, b)| (*a, *b));
    pairs().all(|(a, b)| a > b || as_good(a, b)) && pairs().any(|(a, b)| a > b && !as_good(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_dominated_by_one_that_is_nowhere_worse() {
        let none = f64::NEG_INFINITY;
        let points = [
            [-1.0, 10.0, 0.9, none],
            // More tokens, more power.
            [-2.0, 20.0, 0.9, none],
            // As much power for fewer tokens.
            [-2.0, 15.0, 0.9, none],
            // A twin is not dominated by its twin, whatever the last digit.
            [-2.0, 20.0 + 1e-12, 0.9, none],
        ];
        let pareto: Vec<bool> = points.iter().map(|own| !points.iter().any(|p| dominates(p, own))).collect();
        assert_eq!(pareto, [true, true, false, true]);
    }

    /// 2 MW at $50/MWh and 100 GPUs at $2/h: $300 an hour; 1e6 tok/s are 3,600 million an hour.
    #[test]
    fn cost_by_hand() {
        let run = Run {
            facility_w: 2e6,
            useful_tok_per_s: 1e6,
            slo_attainment: None,
            gpus: 100,
            metrics: Vec::new(),
        };
        let prices = Prices { usd_per_mwh: 50.0, usd_per_gpu_hour: 2.0 };
        assert!((cost(&run, &prices).unwrap() - 300.0 / 3600.0).abs() < 1e-15);
        assert_eq!(cost(&Run { useful_tok_per_s: 0.0, ..run }, &prices), None);
    }
}
