//! Fitting the catalog's coefficients to measured rows, and cross-validation of the fit.
//!
//! Rows (`rows`) are closed loops; the fit asks the engine's own step law and power law what the mean step of each
//! is (`mean_field`), without simulating it. Stages (`stages`) fit links, step times, watts and the clock's exponent
//! in turn by robust least squares with priors (`least_squares`). Whole groups of rows are left out in turn
//! (`folds`): how wrong the rest is about them is the error to expect of rows never seen, and how the coefficients
//! move is how sure the fit can be of them.

mod folds;
mod least_squares;
mod links;
mod mean_field;
mod rows;
mod stages;

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::validate::tasks::Tasks;
use super::validate::{Measured, Spread};
use crate::catalog::{Catalog, Coefficient, Fit, FittedOn};
use crate::input::InputError;
pub use folds::{Pair, Split, Told};
use least_squares::solve;
use links::{LinksProblem, Timing};
use rows::Rows;
use stages::Stage;

/// What a fit stands on.
pub struct Inputs<'a> {
    /// Measured rows, table by table.
    pub tables: Vec<Vec<Measured>>,
    /// All-reduce timings.
    pub all_reduce: Option<&'a Path>,
    /// Rows with caps and ratios of throughputs, for the clock's exponent.
    pub capped: Vec<Measured>,
    /// Day of the fit, for its record.
    pub date: String,
    /// What the rows are, for its record.
    pub names: Vec<String>,
}

/// Why there is no calibration.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// An input is wrong: exit code 2.
    #[error("{0}")]
    Input(#[from] InputError),
    /// Nothing to fit, in words: exit code 2.
    #[error("{0}")]
    Nothing(String),
    /// Asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A row that was fitted on, and what was said about it when it was left out, in the order of [`Split::ALL`].
#[derive(Debug, Clone)]
pub struct FittedRow {
    /// Number of its table.
    pub table: usize,
    /// Its id.
    pub id: String,
    /// Architecture.
    pub model: String,
    /// GPU.
    pub gpu: String,
    /// Serving engine that it was taken for.
    pub engine: String,
    /// By split.
    pub told: Vec<Pair>,
}

/// The result.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// The new coefficients.
    pub fit: Fit,
    /// Every row.
    pub rows: Vec<FittedRow>,
    /// Rows left out of the fit, by reason.
    pub left_out: BTreeMap<String, usize>,
    /// Errors of the all-reduce times; `None` without timings.
    pub links: Option<Spread>,
}

impl Calibration {
    /// Errors over the rows of a table that some reading of a pair gives a ratio for.
    pub fn spread(&self, table: usize, split: Split, of: impl Fn(&Pair) -> Option<f64>) -> Spread {
        let place = Split::ALL.iter().position(|other| *other == split).unwrap_or(0);
        let rows = self.rows.iter().filter(|row| row.table == table);
        let ratios = rows.filter_map(|row| of(row.told.get(place)?)).filter(|ratio| ratio.is_finite());
        Spread::of(&ratios.map(|ratio| ratio - 1.0).collect::<Vec<f64>>())
    }
}

/// Fits the coefficients of `catalog` anew, starting from what they are, and cross-validates. `go_on` is asked now and
/// then; `fitted` is called after each of [`fits`] fits.
///
/// # Errors
/// See [`CalibrateError`].
pub fn calibrate(
    inputs: &Inputs,
    catalog: &Catalog,
    go_on: &(dyn Fn() -> bool + Sync),
    fitted: &(dyn Fn(usize, usize) + Sync),
) -> Result<Calibration, CalibrateError> {
    let tasks = Tasks::embedded()?;
    let mut values = catalog.fit().values();
    if values.is_empty() {
        return Err(CalibrateError::Nothing(
            "the catalog has no `fit` whose coefficients could be fitted".into(),
        ));
    }
    let mut sds: Vec<f64> = catalog.fit().coefficients.iter().map(|c| c.sd_ln).collect();
    let links = match inputs.all_reduce {
        Some(path) => Some(fit_links(path, catalog, &mut values, &mut sds)?),
        None => None,
    };
    let mut rows = Rows::default();
    for (table, measured) in inputs.tables.iter().enumerate() {
        rows.add(table, measured, catalog, &tasks);
    }
    if !rows.rows.iter().any(|row| row.step_s.is_finite()) {
        return Err(CalibrateError::Nothing("no row can be fitted on".into()));
    }

    let (whole, times, time_places) = stages::fit_times(&rows, catalog, &values, &|_| true);
    let (whole, watts, watt_places) = stages::fit_watts(&rows, catalog, &whole, &|_| true);
    let idle = untouched(&rows, catalog);
    values = (0..whole.len()).map(|i| if idle[i] { values[i] } else { whole[i] }).collect();
    let jobs: Vec<(Split, Option<String>)> = Split::ALL
        .into_iter()
        .flat_map(|split| match split {
            Split::Nothing => vec![(split, None)],
            _ => folds::folds(&rows, split).into_iter().map(|fold| (split, Some(fold))).collect(),
        })
        .collect();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let results: Vec<Option<folds::Fold>> = jobs
        .par_iter()
        .map(|(split, fold)| {
            if !go_on() {
                return None;
            }
            let result = folds::run(&rows, catalog, &values, *split, fold.as_deref());
            fitted(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, jobs.len());
            Some(result)
        })
        .collect();
    let results: Vec<folds::Fold> =
        results.into_iter().collect::<Option<Vec<_>>>().ok_or(CalibrateError::Interrupted)?;

    let mut covariance = vec![vec![0.0; values.len()]; values.len()];
    for (places, solution) in [(&time_places, &times), (&watt_places, &watts)] {
        add(&mut covariance, places, &solution.covariance);
    }
    let left_out: Vec<&Vec<f64>> = jobs
        .iter()
        .zip(&results)
        .filter(|((split, _), _)| *split == Split::Group)
        .map(|(_, result)| &result.values)
        .collect();
    jackknife(&mut covariance, &left_out);
    for (i, sd) in sds.iter().enumerate() {
        if idle[i] || matches!(catalog.fit().coefficients[i].on, FittedOn::Links | FittedOn::Caps) {
            covariance.iter_mut().for_each(|row| row[i] = 0.0);
            covariance[i].fill(0.0);
            covariance[i][i] = sd * sd;
        }
    }
    if !inputs.capped.is_empty() {
        let mut capped = Rows::default();
        capped.add(0, &inputs.capped, catalog, &tasks);
        let (fitted, solution, places) = stages::fit_caps(&capped, catalog, &values);
        for (j, i) in places.into_iter().enumerate().filter(|(_, i)| capped.limits_by(catalog, *i)) {
            values[i] = fitted[i];
            covariance[i][i] = solution.covariance[j][j];
        }
    }

    let mut fitted_rows: Vec<FittedRow> = rows
        .rows
        .iter()
        .map(|row| {
            let setup = &rows.setups[row.setup];
            FittedRow {
                table: row.table,
                id: row.id.clone(),
                model: setup.model.clone(),
                gpu: setup.gpu.clone(),
                engine: setup.engine.clone(),
                told: vec![Pair::default(); Split::ALL.len()],
            }
        })
        .collect();
    for ((split, _), result) in jobs.iter().zip(&results) {
        let place = Split::ALL.iter().position(|other| other == split).unwrap_or(0);
        for (i, pair) in &result.told {
            fitted_rows[*i].told[place] = *pair;
        }
    }
    Ok(Calibration {
        fit: record(catalog.fit(), &values, &covariance, inputs, rows.rows.len()),
        rows: fitted_rows,
        left_out: rows.left_out,
        links,
    })
}

/// The coefficients of step times and watts that no row depends on: they stay what they were, and as sure as they were.
fn untouched(rows: &Rows, catalog: &Catalog) -> Vec<bool> {
    let with_watts: Vec<bool> = (0..rows.setups.len())
        .map(|setup| rows.rows.iter().any(|row| row.setup == setup && row.gpu_w.is_some()))
        .collect();
    let depends = |i: usize, on: FittedOn| {
        let other = catalog.with_lowered(i);
        rows.setups.iter().zip(&with_watts).any(|(setup, watts)| match on {
            FittedOn::Time => setup.params(&other).ok() != setup.params(catalog).ok(),
            FittedOn::Watts => *watts && setup.power(&other) != setup.power(catalog),
            FittedOn::Links | FittedOn::Caps => true,
        })
    };
    catalog.fit().coefficients.iter().enumerate().map(|(i, c)| !depends(i, c.on)).collect()
}

/// Adds a stage's covariance at the places of its coefficients.
fn add(covariance: &mut [Vec<f64>], places: &[usize], part: &[Vec<f64>]) {
    for (i, row) in places.iter().zip(part) {
        for (j, value) in places.iter().zip(row) {
            covariance[*i][*j] += value;
        }
    }
}

/// Adds the jackknife's covariance of the logarithms: (G − 1)/G · Σ (x_g − mean)(x_g − mean)ᵀ over the fits that left
/// out one of G groups. Rows of a group err alike, so it is by groups that the fit can be wrong.
fn jackknife(covariance: &mut [Vec<f64>], fits: &[&Vec<f64>]) {
    let groups = fits.len() as f64;
    if fits.len() < 2 {
        return;
    }
    let n = covariance.len();
    let mean: Vec<f64> = (0..n).map(|i| fits.iter().map(|fit| fit[i].ln()).sum::<f64>() / groups).collect();
    for fit in fits {
        let off: Vec<f64> = (0..n).map(|i| fit[i].ln() - mean[i]).collect();
        for i in 0..n {
            for j in 0..n {
                covariance[i][j] += (groups - 1.0) / groups * off[i] * off[j];
            }
        }
    }
}

/// The links' coefficients from timings: families are the coefficients' first names, as GPUs of the catalog use them.
fn fit_links(
    path: &Path,
    catalog: &Catalog,
    values: &mut [f64],
    sds: &mut [f64],
) -> Result<Spread, CalibrateError> {
    let stage = Stage::of(catalog, values, FittedOn::Links);
    let place = |name: Option<&String>| -> Option<usize> {
        let at = catalog.fit().coefficients.iter().position(|c| Some(&c.name) == name)?;
        stage.places.iter().position(|place| *place == at)
    };
    let timings: Vec<(Timing, usize, f64)> = links::read(path)?
        .into_iter()
        .filter_map(|timing| {
            let gpu = catalog.gpu_called(&timing.gpu)?;
            let first = place(gpu.comm.one_shot_us.fit.as_ref())?;
            let in_order = place(gpu.comm.latency_us.fit.as_ref()) == Some(first + 1)
                && place(gpu.comm.link_fraction.fit.as_ref()) == Some(first + 2);
            in_order.then_some((timing, first, gpu.link_gb_s.value / 2.0 * 1e9))
        })
        .collect();
    if timings.is_empty() {
        return Err(CalibrateError::Nothing(format!(
            "{}: no timing is of a GPU whose links follow three coefficients, one_shot_us, latency_us and link_fraction in this order",
            path.display()
        )));
    }
    let weights = vec![1.0 / 0.1; timings.len()];
    let problem = LinksProblem { timings };
    let solution = solve(&problem, &stage.priors, &weights, &stage.start());
    let fitted = stage.with(&solution.parameters);
    for (j, at) in stage.places.iter().enumerate() {
        // Families without timings stay what they were.
        if problem.timings.iter().any(|(_, first, _)| (*first..first + 3).contains(&j)) {
            sds[*at] = solution.covariance[j][j].sqrt();
            values[*at] = fitted[*at];
        }
    }
    let residuals = least_squares::Problem::residuals(&problem, &solution.parameters, None);
    Ok(Spread::of(&residuals.iter().map(|r| r.exp() - 1.0).collect::<Vec<f64>>()))
}

/// The fit as the catalog keeps it.
fn record(old: &Fit, values: &[f64], covariance: &[Vec<f64>], inputs: &Inputs, rows: usize) -> Fit {
    let sd = |i: usize| covariance[i][i].max(0.0).sqrt();
    let coefficients: Vec<Coefficient> = old
        .coefficients
        .iter()
        .enumerate()
        .map(|(i, coefficient)| Coefficient {
            value: digits(values[i], 5),
            sd_ln: digits(sd(i), 3),
            ..coefficient.clone()
        })
        .collect();
    let correlation = |i: usize, j: usize| {
        let both = sd(i) * sd(j);
        if both > 0.0 { (covariance[i][j] / both).clamp(-1.0, 1.0) } else { 0.0 }
    };
    let correlations = (0..values.len())
        .map(|i| (0..i).map(|j| (correlation(i, j) * 1e3).round() / 1e3).collect())
        .collect();
    Fit {
        date: inputs.date.clone(),
        source: format!(
            "Joint robust fit on {rows} measured rows ({}), {}: wattmill calibrate",
            inputs.names.join(", "),
            inputs.date
        ),
        coefficients,
        correlations,
    }
}

/// A number with so many significant digits.
fn digits(value: f64, count: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(count - 1 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}
