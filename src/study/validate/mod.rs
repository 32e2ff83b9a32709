//! The simulator against measurement: every measured row is simulated, and what comes out compared.
//!
//! [`read()`] takes a table whose columns it knows by their header (`layout`); [`run`] looks up what a row names
//! (`case`), simulates it in closed loop into its steady state (`steady`) and compares (`errors`). A replay is one
//! open-loop run, of which each request is a row. A row that cannot be simulated stays a row, with the reason in
//! words.

pub(super) mod case;
mod errors;
mod layout;
mod measured;
mod published;
mod read;
mod replay;
mod steady;
pub(super) mod tasks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalog::Catalog;
use crate::fleet::Fleet;
use crate::input::{InputError, Table};
use crate::ledger::outcome::Summary;
use crate::physics::clock::Clock;
use crate::scenario;
use case::Case;
pub use errors::Spread;
pub(super) use errors::quantile;
pub use measured::{Figures, Measured, Metric, Split};
pub use read::MeasuredTable;
pub use replay::Replay;
use steady::Stop;
use tasks::Tasks;

/// How a validation goes about it.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Seed of every row's draws.
    pub seed: u64,
    /// Asked now and then: return false to interrupt.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
    /// Called after each row.
    pub row_done: &'a (dyn Fn() + Sync),
}

/// A row as it was understood; the names are the catalog's.
#[derive(Debug, Clone, PartialEq)]
pub struct Understood {
    /// Model.
    pub model: String,
    /// Kind of model.
    pub architecture: &'static str,
    /// GPU.
    pub gpu: String,
    /// Serving engine as the row names it, with its version.
    pub engine_asked: String,
    /// Serving engine that was simulated.
    pub engine: String,
    /// Format of the weights: of the experts, where there are any.
    pub precision: &'static str,
    /// Prompt that was simulated [tokens]; of a replay, each request has its own.
    pub prompt_tok: Option<u32>,
    /// Spread of the outputs' logarithm that was simulated, likewise.
    pub output_sigma: Option<f64>,
}

impl Understood {
    fn of(case: &Case) -> Self {
        Self {
            model: case.model.clone(),
            architecture: case.architecture,
            gpu: case.gpu.clone(),
            engine_asked: case.engine_asked.clone(),
            engine: case.engine.clone(),
            precision: case.format.name(),
            prompt_tok: Some(case.prompt_tok),
            output_sigma: Some(case.outputs.sigma),
        }
    }
}

/// A measured row and what the simulator makes of it.
#[derive(Debug, Clone)]
pub struct Row {
    /// As measured.
    pub measured: Measured,
    /// As understood; `None` where a name is unknown.
    pub understood: Option<Understood>,
    /// What came out, or why nothing did.
    pub simulated: Result<Figures, String>,
    /// simulated / measured − 1.
    pub errors: BTreeMap<Metric, f64>,
}

/// All rows of a table.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Kind of table.
    pub layout: &'static str,
    /// Rows in the table's order.
    pub rows: Vec<Row>,
    /// What a reader of all rows must know.
    pub warnings: Vec<String>,
}

/// Why there is no validation.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// An input is wrong: exit code 2.
    #[error("{0}")]
    Input(#[from] InputError),
    /// A conservation law does not hold: exit code 1.
    #[error("internal error, please report: {0}")]
    Invariant(String),
    /// Asked to stop: exit code 130.
    #[error("interrupted")]
    Interrupted,
}

/// What is to be simulated.
#[derive(Debug)]
pub enum Measurements {
    /// Set-ups in their steady state.
    Table(MeasuredTable),
    /// A served trace.
    Replay(Replay),
}

impl Measurements {
    /// Number of runs that it takes.
    pub fn runs(&self) -> usize {
        match self {
            Self::Table(table) => table.rows.len(),
            Self::Replay(_) => 1,
        }
    }

    /// Files that were read besides the one named.
    pub fn also_read(&self) -> Option<&Path> {
        match self {
            Self::Table(_) => None,
            Self::Replay(replay) => Some(&replay.meta),
        }
    }
}

/// Reads a measured table or a replay, whose description is `meta` or lies beside it.
///
/// # Errors
/// What is wrong with the file, with its place.
pub fn read(path: &Path, meta: Option<&Path>) -> Result<Measurements, InputError> {
    let table = Table::open(path, "")?;
    if replay::is_replay(&table) {
        return replay::read(table, path, meta).map(Measurements::Replay);
    }
    match meta {
        Some(_) => Err(table.bad_header(format!(
            "--meta describes a replay, but the header `{}` is of a table",
            table.shown_header()
        ))),
        None => read::read(table).map(Measurements::Table),
    }
}

/// The published figures that come with the program.
///
/// # Errors
/// Never for the table as released; a test reads it.
pub fn published() -> Result<Measurements, InputError> {
    published::table().map(Measurements::Table)
}

/// Identity of a validation: of the files that it reads (none: the published figures), the catalog's overlay, the
/// seed and the program's version.
///
/// # Errors
/// A file that cannot be read.
pub fn hash(files: &[PathBuf], overlay: Option<&Path>, seed: u64) -> Result<String, InputError> {
    let published = if files.is_empty() { published::TEXT } else { "" };
    let text = format!("wattmill validate {} {seed}\n{published}", env!("CARGO_PKG_VERSION"));
    scenario::hash_of_files(&text, files, overlay).map_err(|(path, error)| {
        InputError::file("", &path.display().to_string(), format!("cannot be read: {error}"))
    })
}

/// Simulates every row, in parallel on the pool of threads that it is called in. The result does not depend on
/// their number.
///
/// # Errors
/// See [`ValidateError`]; what is wrong with a row is said in the row.
pub fn run(
    measurements: Measurements,
    catalog: &Arc<Catalog>,
    options: &Options,
) -> Result<Validation, ValidateError> {
    let tasks = Tasks::embedded()?;
    let mut validation = match measurements {
        Measurements::Table(table) => {
            let rows: Vec<Result<Row, ValidateError>> = table
                .rows
                .into_par_iter()
                .map(|measured| {
                    let row = row(measured, catalog, &tasks, options)?;
                    (options.row_done)();
                    Ok(row)
                })
                .collect();
            let rows = rows.into_iter().collect::<Result<Vec<Row>, ValidateError>>()?;
            Validation { layout: table.layout, rows, warnings: table.warnings }
        }
        Measurements::Replay(replay) => replayed(&replay, catalog, &tasks, options)?,
    };
    ratios(&mut validation.rows);
    for row in &mut validation.rows {
        if let Ok(simulated) = &row.simulated {
            row.errors = errors::compare(&row.measured.figures, simulated);
        }
    }
    Ok(validation)
}

fn replayed(
    replay: &Replay,
    catalog: &Arc<Catalog>,
    tasks: &Tasks,
    options: &Options,
) -> Result<Validation, ValidateError> {
    let rows = replay.rows();
    let mut warnings = Vec::new();
    let (understood, simulated): (_, Vec<Result<Figures, String>>) =
        match replay.run(catalog, tasks, options.seed, options.go_on) {
            Ok((case, figures)) => {
                warnings.extend(case.remarks.iter().cloned());
                let understood = Understood { prompt_tok: None, output_sigma: None, ..Understood::of(&case) };
                (Some(understood), figures.into_iter().map(Ok).collect())
            }
            Err(Stop::Row(why)) => (None, vec![Err(why); rows.len()]),
            Err(Stop::Interrupted) => return Err(ValidateError::Interrupted),
            Err(Stop::Invariant(text)) => return Err(ValidateError::Invariant(text)),
        };
    (options.row_done)();
    let rows = rows.into_iter().zip(simulated).map(|(measured, simulated)| Row {
        measured,
        understood: understood.clone(),
        simulated,
        errors: BTreeMap::new(),
    });
    Ok(Validation { layout: "replay", rows: rows.collect(), warnings })
}

fn row(
    mut measured: Measured,
    catalog: &Arc<Catalog>,
    tasks: &Tasks,
    options: &Options,
) -> Result<Row, ValidateError> {
    if !(options.go_on)() {
        return Err(ValidateError::Interrupted);
    }
    let case = match Case::of(&measured, catalog, tasks) {
        Ok(case) => case,
        Err(why) => {
            return Ok(Row { measured, understood: None, simulated: Err(why), errors: BTreeMap::new() });
        }
    };
    measured.remarks.extend(case.remarks.iter().cloned());
    let understood = Some(Understood::of(&case));
    let catalog = Arc::new(Catalog::clone(catalog).with_node(case.node.clone()));
    let simulated = if case.batch == 0 {
        idle(&case, &catalog)
    } else {
        steady::run(&case, &catalog, options.seed, options.go_on).map(|steady| {
            measured.remarks.extend(steady.remarks);
            figures(&case, &steady.summary)
        })
    };
    let simulated = match simulated {
        Ok(figures) => Ok(figures),
        Err(Stop::Row(why)) => Err(why),
        Err(Stop::Interrupted) => return Err(ValidateError::Interrupted),
        Err(Stop::Invariant(text)) => return Err(ValidateError::Invariant(text)),
    };
    Ok(Row { measured, understood, simulated, errors: BTreeMap::new() })
}

/// What a run says about each metric.
fn figures(case: &Case, summary: &Summary) -> Figures {
    let rate = summary.throughput.output_tok_per_s;
    let per_token = summary.j_per_output_token.gpu;
    let gpu_w = per_token.map(|joules| joules * rate);
    let latency = &summary.latency_s;
    let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e3);
    [
        (Metric::OutputTokPerS, Some(rate)),
        (Metric::GpuPowerW, gpu_w),
        (Metric::JPerOutputToken, per_token),
        (Metric::ItlMs, ms(latency.itl.mean)),
        (Metric::ItlP50Ms, ms(latency.itl.p50)),
        (Metric::TtftMs, ms(latency.ttft.mean)),
        (Metric::TpotMs, ms(latency.tpot.mean)),
        (Metric::E2eMs, ms(latency.e2e.mean)),
        (Metric::NodePowerW, gpu_w.and_then(|watts| settled_node_w(case, watts))),
    ]
    .into_iter()
    .filter_map(|(metric, value)| Some((metric, value.filter(|value| value.is_finite())?)))
    .collect()
}

/// Wall power once fans and leakage have settled, P_0 + k·ΣP_gpu; unknown where the row fills no node.
fn settled_node_w(case: &Case, gpu_w: f64) -> Option<f64> {
    let (nodes, node) = case.whole_nodes.as_ref()?;
    Some(f64::from(*nodes) * node.overhead_w.value + node.gpu_factor.value * gpu_w)
}

/// Weights resident and nothing to do.
fn idle(case: &Case, catalog: &Arc<Catalog>) -> Result<Figures, Stop> {
    let resolved = case.closed_loop(catalog, 1, 0.0, 1.0, 1).map_err(Stop::Row)?;
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir)
        .map_err(|problems| steady::stop(crate::SimError::Scenario(problems)))?;
    let gpu_w: f64 = fleet
        .pools
        .iter()
        .map(|pool| pool.power.idle().gpu_nw(&Clock::FULL) as f64 * 1e-9 * pool.replicas.len() as f64)
        .sum();
    let node_w = settled_node_w(case, gpu_w).map(|watts| (Metric::NodePowerW, watts));
    Ok([(Metric::GpuPowerW, gpu_w)].into_iter().chain(node_w).collect())
}

/// Output rates over those of the rows they relate to.
fn ratios(rows: &mut [Row]) {
    let rates: BTreeMap<String, f64> = rows
        .iter()
        .filter_map(|row| {
            let rate = row.simulated.as_ref().ok()?.get(&Metric::OutputTokPerS)?;
            Some((row.measured.id.clone(), *rate))
        })
        .collect();
    for row in rows {
        let base = row.measured.relative_to.as_ref().and_then(|id| rates.get(id));
        if let (Ok(simulated), Some(base)) = (&mut row.simulated, base)
            && let Some(rate) = simulated.get(&Metric::OutputTokPerS).copied()
            && *base > 0.0
        {
            simulated.insert(Metric::ThroughputRatio, rate / base);
        }
    }
}

impl Validation {
    /// Errors of a metric over the rows that `of` picks.
    pub fn spread(&self, metric: Metric, of: impl Fn(&Row) -> bool) -> Spread {
        let picked = self.rows.iter().filter(|row| of(row));
        Spread::of(&picked.filter_map(|row| row.errors.get(&metric).copied()).collect::<Vec<f64>>())
    }

    /// Rows that could not be simulated.
    pub fn failed(&self) -> impl Iterator<Item = (&Row, &str)> {
        self.rows.iter().filter_map(|row| Some((row, row.simulated.as_ref().err()?.as_str())))
    }
}
