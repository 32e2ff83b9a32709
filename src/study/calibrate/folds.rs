//! Cross-validation: which rows are left out together, and how wrong the rest is about them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rows::{Row, Rows};
use super::stages::{fit_times, fit_watts, mean_step, params_of, shares};
use crate::catalog::Catalog;
use crate::physics::roofline::RooflineParams;

/// What is left out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// An architecture on a GPU.
    Group,
    /// An architecture, on every GPU.
    Architecture,
    /// A checkpoint, of whose architecture others may stay.
    Checkpoint,
    /// A tenth of the rows, by a hash of their ids.
    Random,
    /// Nothing: the fit on its own rows.
    Nothing,
}

impl Split {
    /// All, from the hardest to the easiest.
    pub const ALL: [Self; 5] =
        [Self::Group, Self::Architecture, Self::Checkpoint, Self::Random, Self::Nothing];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Group => "architecture and GPU left out",
            Self::Architecture => "architecture left out",
            Self::Checkpoint => "checkpoint left out",
            Self::Random => "a tenth of the rows left out",
            Self::Nothing => "nothing left out",
        }
    }

    /// The fold of a row.
    pub(super) fn fold(self, rows: &Rows, row: &Row) -> String {
        match self {
            Self::Group => rows.group(row),
            Self::Architecture => rows.setups[row.setup].model.clone(),
            Self::Checkpoint => row.checkpoint.clone(),
            Self::Random => {
                // FNV-1a: the same on every machine.
                let text = format!("{} {}", row.table, row.id);
                let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                });
                format!("{}", (hash >> 32) % 10)
            }
            Self::Nothing => String::new(),
        }
    }
}

/// What a fit says about a row, over what was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Told {
    /// Step time; `None` where no time was measured.
    pub step: Option<f64>,
    /// Watts of a GPU.
    pub watts: Option<f64>,
}

impl Told {
    /// Joules per token.
    pub fn joules(self) -> Option<f64> {
        Some(self.watts? * self.step?)
    }
}

/// Both models on a row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pair {
    /// The fitted physics.
    pub fitted: Told,
    /// The roofline of the data sheets with one efficiency, and one share of the TDP.
    pub roofline: Told,
}

/// A fit without the rows of some folds: its coefficients, and what it says about these rows.
pub(super) struct Fold {
    pub values: Vec<f64>,
    pub told: Vec<(usize, Pair)>,
}

/// Fits on all rows but those of `fold`, from `values` on, and asks it about those; with `None` on all about all.
pub(super) fn run(rows: &Rows, catalog: &Catalog, values: &[f64], split: Split, fold: Option<&str>) -> Fold {
    let out = |row: &Row| fold.is_none_or(|fold| split.fold(rows, row) == fold);
    let kept = |row: &Row| fold.is_none() || !out(row);
    let (values, ..) = fit_times(rows, catalog, values, &kept);
    let (values, ..) = fit_watts(rows, catalog, &values, &kept);
    let told = asked(rows, catalog, &values, &kept, &out);
    Fold { values, told }
}

/// What coefficients say about rows, and what a data-sheet roofline fitted on the rows kept says.
fn asked(
    rows: &Rows,
    catalog: &Catalog,
    values: &[f64],
    kept: &dyn Fn(&Row) -> bool,
    out: &dyn Fn(&Row) -> bool,
) -> Vec<(usize, Pair)> {
    let fitted = catalog.with_coefficients(values);
    let params = params_of(rows, &fitted);
    let ideal: Vec<Option<RooflineParams>> = params.iter().map(|p| p.as_ref().map(data_sheet)).collect();
    let tdp_w = |row: &Row| catalog.gpu(&rows.setups[row.setup].gpu).map_or(f64::NAN, |gpu| gpu.tdp_w.value);
    let roof_s = |row: &Row| {
        let step = mean_step(row, &ideal).mean;
        let hbm_byte_s = ideal[row.setup].as_ref().map_or(f64::NAN, |params| params.hbm_byte_s);
        step.peak_s.max(step.bytes / hbm_byte_s)
    };
    let learnt: Vec<&Row> = rows.rows.iter().filter(|row| kept(row)).collect();
    let timed = learnt.iter().filter(|row| row.step_s.is_finite());
    let slower = median(timed.map(|row| row.step_s / roof_s(row)).collect());
    let share = median(learnt.iter().filter_map(|row| Some(row.gpu_w? / tdp_w(row))).collect());
    let tell = |(i, row): (usize, &Row)| {
        let step = mean_step(row, &params);
        let measured_s = Some(row.step_s).filter(|s| s.is_finite());
        let law = rows.setups[row.setup].power(&fitted);
        let (mbu, mfu) = shares(row, &step, &params, step.mean.step_s);
        let watts = |watts: Option<f64>| Some(watts? / row.gpu_w?);
        let pair = Pair {
            fitted: Told {
                step: measured_s.map(|s| step.mean.step_s / s),
                watts: watts(law.map(|law| law.natural_w(mbu, mfu))),
            },
            roofline: Told {
                step: measured_s.map(|s| roof_s(row) * slower / s),
                watts: watts(Some(share * tdp_w(row))),
            },
        };
        (i, pair)
    };
    rows.rows.iter().enumerate().filter(|(_, row)| out(row)).map(tell).collect()
}

/// What the data sheets say: no tiles, no favourites among experts, no GPU busier than another. Peaks are read from the
/// step's FLOP and bytes, so shares do not matter.
fn data_sheet(params: &RooflineParams) -> RooflineParams {
    RooflineParams { expert_tile_tok: 0.0, expert_spread: 1.0, expert_groups: 1.0, ..params.clone() }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 1.0,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// Folds of a split, in order.
pub(super) fn folds(rows: &Rows, split: Split) -> Vec<String> {
    let names: BTreeMap<String, ()> = rows.rows.iter().map(|row| (split.fold(rows, row), ())).collect();
    names.into_keys().collect()
}
