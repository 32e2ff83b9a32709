//! The stages of a fit: step times, then watts at the measured times, then the clock's exponent.

use super::least_squares::{Known, Prior, Problem, Solution, solve};
use super::mean_field::MeanStep;
use super::rows::{Row, Rows};
use crate::catalog::{Catalog, Coefficient, FittedOn};
use crate::physics::clock::{Clock, ClockLaw};
use crate::physics::roofline::RooflineParams;

/// Standard deviation of the logarithm that a row of the smallest table has; rows of larger tables count less, so that
/// each table counts alike.
const ROW_SD: f64 = 0.1;

/// The coefficients of a stage: their places in the fit, and their priors.
pub(super) struct Stage<'a> {
    pub catalog: &'a Catalog,
    pub places: Vec<usize>,
    pub priors: Vec<Prior>,
    /// All values of the fit [natural units], of which a stage changes its own.
    pub values: Vec<f64>,
}

impl<'a> Stage<'a> {
    pub(super) fn of(catalog: &'a Catalog, values: &[f64], on: FittedOn) -> Self {
        let all = &catalog.fit().coefficients;
        let places: Vec<usize> = (0..all.len()).filter(|i| all[*i].on == on).collect();
        let priors = places.iter().map(|i| prior(&all[*i])).collect();
        Self { catalog, places, priors, values: values.to_vec() }
    }

    /// Logarithms of its coefficients as they are.
    pub(super) fn start(&self) -> Vec<f64> {
        self.places.iter().map(|i| self.values[*i].ln()).collect()
    }

    /// All values with those of the stage replaced.
    pub(super) fn with(&self, parameters: &[f64]) -> Vec<f64> {
        let mut values = self.values.clone();
        for (place, parameter) in self.places.iter().zip(parameters) {
            values[*place] = parameter.exp();
        }
        values
    }

    fn catalog_with(&self, parameters: &[f64]) -> Catalog {
        self.catalog.with_coefficients(&self.with(parameters))
    }
}

fn prior(coefficient: &Coefficient) -> Prior {
    Prior {
        mean: coefficient.prior.ln(),
        sd: coefficient.prior_sd_ln,
        at_most: coefficient.at_most.map_or(f64::INFINITY, f64::ln),
    }
}

/// Costs of every set-up; `None` where a catalog cannot make one, which a share above 1 could.
pub(super) fn params_of(rows: &Rows, catalog: &Catalog) -> Vec<Option<RooflineParams>> {
    rows.setups.iter().map(|setup| setup.params(catalog).ok()).collect()
}

/// Mean step of a row.
pub(super) fn mean_step(row: &Row, params: &[Option<RooflineParams>]) -> MeanStep {
    params[row.setup].as_ref().map(|params| row.looped.mean_step(params)).unwrap_or_default()
}

/// Step times: of each row the mean step, then of each the median one.
struct Times<'a> {
    stage: Stage<'a>,
    rows: &'a Rows,
}

impl Problem for Times<'_> {
    fn residuals(&self, parameters: &[f64], near: Option<Known>) -> Vec<f64> {
        let params = params_of(self.rows, &self.stage.catalog_with(parameters));
        // Set-ups that do not have the one parameter that moved cost what they cost before.
        let before =
            near.map(|known| (params_of(self.rows, &self.stage.catalog_with(known.parameters)), known));
        let n = self.rows.rows.len();
        let mut residuals = vec![0.0; 2 * n];
        for (i, row) in self.rows.rows.iter().enumerate() {
            if let Some((before, known)) = &before
                && before[row.setup] == params[row.setup]
            {
                residuals[i] = known.residuals[i];
                residuals[n + i] = known.residuals[n + i];
                continue;
            }
            let step = mean_step(row, &params);
            if row.step_s.is_finite() {
                residuals[i] = (step.mean.step_s / row.step_s).ln();
            }
            if let Some(decode_s) = row.decode_s {
                residuals[n + i] = (step.decode_s / decode_s).ln();
            }
        }
        residuals
    }
}

/// Weights of rows: 0 for those left out, else by their table's size.
pub(super) fn weights(rows: &Rows, kept: &dyn Fn(&Row) -> bool) -> Vec<f64> {
    let tables = rows.rows.iter().map(|row| row.table + 1).max().unwrap_or(0);
    let count =
        |table: usize| rows.rows.iter().filter(|row| row.table == table && row.step_s.is_finite()).count();
    let sizes: Vec<usize> = (0..tables).map(count).collect();
    let smallest = sizes.iter().copied().filter(|n| *n > 0).min().unwrap_or(1) as f64;
    rows.rows
        .iter()
        .map(|row| {
            if !row.step_s.is_finite() || !kept(row) {
                return 0.0;
            }
            (smallest / sizes[row.table] as f64).sqrt() / ROW_SD
        })
        .collect()
}

/// Fits step times on the rows kept, from `values` on.
pub(super) fn fit_times(
    rows: &Rows,
    catalog: &Catalog,
    values: &[f64],
    kept: &dyn Fn(&Row) -> bool,
) -> (Vec<f64>, Solution, Vec<usize>) {
    let stage = Stage::of(catalog, values, FittedOn::Time);
    let start = stage.start();
    let mut all = weights(rows, kept);
    let medians: Vec<f64> =
        rows.rows.iter().zip(&all).map(|(row, w)| if row.decode_s.is_some() { *w } else { 0.0 }).collect();
    all.extend(medians);
    let priors = stage.priors.clone();
    let places = stage.places.clone();
    let problem = Times { stage, rows };
    let solution = solve(&problem, &priors, &all, &start);
    (problem.stage.with(&solution.parameters), solution, places)
}

/// Watts at the measured step times.
struct Watts<'a> {
    stage: Stage<'a>,
    rows: &'a Rows,
    /// Activity by the fitted times, per row: shares of bandwidth and FLOP.
    shares: Vec<(f64, f64)>,
}

/// Shares of bandwidth and of FLOP that a row uses at a step time.
pub(super) fn shares(
    row: &Row,
    step: &MeanStep,
    params: &[Option<RooflineParams>],
    step_s: f64,
) -> (f64, f64) {
    let hbm_byte_s = params[row.setup].as_ref().map_or(f64::INFINITY, |params| params.hbm_byte_s);
    (step.mean.bytes / (step_s * hbm_byte_s), step.mean.peak_s / step_s)
}

impl Problem for Watts<'_> {
    fn residuals(&self, parameters: &[f64], _: Option<Known>) -> Vec<f64> {
        let catalog = self.stage.catalog_with(parameters);
        let laws: Vec<_> = self.rows.setups.iter().map(|setup| setup.power(&catalog)).collect();
        self.rows
            .rows
            .iter()
            .zip(&self.shares)
            .map(|(row, (mbu, mfu))| match (row.gpu_w, &laws[row.setup]) {
                (Some(gpu_w), Some(law)) => (law.natural_w(*mbu, *mfu) / gpu_w).ln(),
                _ => 0.0,
            })
            .collect()
    }
}

/// Fits watts on the rows kept; `values` have the fitted times.
pub(super) fn fit_watts(
    rows: &Rows,
    catalog: &Catalog,
    values: &[f64],
    kept: &dyn Fn(&Row) -> bool,
) -> (Vec<f64>, Solution, Vec<usize>) {
    let params = params_of(rows, &catalog.with_coefficients(values));
    let shares =
        rows.rows.iter().map(|row| shares(row, &mean_step(row, &params), &params, row.step_s)).collect();
    let stage = Stage::of(catalog, values, FittedOn::Watts);
    let measured = |row: &&Row| row.gpu_w.is_some() && row.step_s.is_finite() && row.gpu_cap_w.is_none();
    let weights: Vec<f64> =
        rows.rows.iter().map(|row| if measured(&row) && kept(row) { 1.0 / ROW_SD } else { 0.0 }).collect();
    let (start, priors, places) = (stage.start(), stage.priors.clone(), stage.places.clone());
    let problem = Watts { stage, rows, shares };
    let solution = solve(&problem, &priors, &weights, &start);
    (problem.stage.with(&solution.parameters), solution, places)
}

/// Throughput under a cap over that without.
struct Caps<'a> {
    stage: Stage<'a>,
    rows: &'a Rows,
    params: Vec<Option<RooflineParams>>,
}

impl Problem for Caps<'_> {
    fn residuals(&self, parameters: &[f64], _: Option<Known>) -> Vec<f64> {
        let catalog = self.stage.catalog_with(parameters);
        let ratio = |row: &Row| -> Option<f64> {
            let (_, measured) = row.ratio.as_ref()?;
            let cap_w = row.gpu_cap_w?;
            let params = self.params[row.setup].as_ref()?;
            let law = self.rows.setups[row.setup].power(&catalog)?;
            let gpu = catalog.gpu(&self.rows.setups[row.setup].gpu)?;
            let full = row.looped.mean_step(params);
            let (mbu, mfu) = shares(row, &full, &self.params, full.mean.step_s);
            let clocks = ClockLaw {
                exponent: law.alpha,
                min_share: gpu.power.min_clock.value,
                memory_knee: gpu.power.memory_clock_knee.value,
            };
            let share = law.clock_within(law.natural_w(mbu, mfu), cap_w).clamp(clocks.min_share, 1.0);
            let clock = Clock::at(share, &clocks);
            let one = crate::physics::clock::ONE as f64;
            let slow = row.looped.slow_mean_step(
                params,
                clock.slow_compute as f64 / one,
                clock.slow_memory as f64 / one,
            );
            Some((full.mean.step_s / slow.mean.step_s / measured).ln())
        };
        self.rows.rows.iter().map(|row| ratio(row).unwrap_or(0.0)).collect()
    }
}

/// Fits the clock's exponent on rows with a cap and a ratio of throughputs.
pub(super) fn fit_caps(rows: &Rows, catalog: &Catalog, values: &[f64]) -> (Vec<f64>, Solution, Vec<usize>) {
    let stage = Stage::of(catalog, values, FittedOn::Caps);
    let params = params_of(rows, &catalog.with_coefficients(values));
    let capped = |row: &Row| row.ratio.is_some() && row.gpu_cap_w.is_some();
    let weights: Vec<f64> =
        rows.rows.iter().map(|row| if capped(row) { 1.0 / ROW_SD } else { 0.0 }).collect();
    let (start, priors, places) = (stage.start(), stage.priors.clone(), stage.places.clone());
    let problem = Caps { stage, rows, params };
    let solution = solve(&problem, &priors, &weights, &start);
    (problem.stage.with(&solution.parameters), solution, places)
}
