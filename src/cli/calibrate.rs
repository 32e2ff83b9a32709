//! `wattmill calibrate`: the catalog's coefficients from measured rows, cross-validated.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use wattmill::report::calibration::{self, Subject};
use wattmill::study::calibrate::{CalibrateError, Inputs, calibrate};
use wattmill::study::validate::{self, Measurements};

use super::exit::Failure;
use super::out_dir::{self, Place};
use super::tally::Tally;
use super::{backend, interrupt, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Tables of measured rows (CSV), with the columns that `validate` knows; each table counts alike
    #[arg(value_name = "MEASURED", required = true)]
    tables: Vec<PathBuf>,
    /// Timings of all-reduces (CSV: system,num_gpus,message_size [byte],latency_ms,backend)
    #[arg(long, value_name = "FILE")]
    all_reduce: Option<PathBuf>,
    /// Rows with GPU caps and ratios of throughputs, for the clock's exponent; default: the published ones that come
    /// with wattmill
    #[arg(long, value_name = "FILE")]
    caps: Option<PathBuf>,
    /// Folder with your own catalog entries: their `fit` is what is fitted
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Result folder
    #[arg(short, long, value_name = "DIR", default_value = "output/calibrate")]
    output: PathBuf,
    /// Day that the fit's record names, e.g. 2026-11-28; default: today (UTC)
    #[arg(long, value_name = "DAY")]
    date: Option<String>,
    /// What the rows are, for the fit's record; default: the names of the files
    #[arg(long, value_name = "TEXT")]
    sources: Option<String>,
    /// Fits made at once; default: one per core. The result is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Print summary.json on stdout and nothing else
    #[arg(long)]
    json: bool,
    /// Replace the result folder whatever it holds
    #[arg(long)]
    force: bool,
}

const AFTER_HELP: &str = "\
Which numbers are fitted, and what is believed of them without rows, is the catalog's `fit` (configs/catalog/fit.yaml).
The fit is a new one, from the priors; a coefficient that no row depends on stays what it was.
Rows suspected to measure the host, and code completion (sourcegraph-fim), are not fitted on.

Written: fit.yaml (put it into a folder and use it with --catalog), cross_validation.csv, summary.json. The errors are
those of rows that the fit had not seen: whole architectures on a GPU, whole architectures, checkpoints and random
tenths are left out in turn. Beside them stands a roofline of the data sheets, with one efficiency and one share of the
TDP fitted in the same folds.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let catalog = backend::catalog(arguments.catalog.as_deref())?;
    let input = |error: wattmill::input::InputError| Failure::input(error.to_string());
    let table = |path: &PathBuf| match validate::read(path, None).map_err(input)? {
        Measurements::Table(table) => Ok(table.rows),
        Measurements::Replay(_) => Err(Failure::input(format!(
            "{}: is a replay; a fit stands on rows in steady state",
            path.display()
        ))),
    };
    let capped = match &arguments.caps {
        Some(path) => table(path)?,
        None => match validate::published().map_err(input)? {
            Measurements::Table(table) => table.rows,
            Measurements::Replay(_) => Vec::new(),
        },
    };
    let mut files = arguments.tables.clone();
    files.extend(arguments.all_reduce.clone());
    files.extend(arguments.caps.clone());
    let date = match &arguments.date {
        Some(date) if is_day(date) => date.clone(),
        Some(date) => return Err(Failure::input(format!("--date {date}: write it as 2026-11-28"))),
        None => today(),
    };
    let subject = Subject {
        tables: arguments.tables.iter().map(|path| file_name(path)).collect(),
        hash: validate::hash(&files, arguments.catalog.as_deref(), 0).map_err(input)?,
    };
    let kept = files.iter().cloned().chain(arguments.catalog.clone());
    let place = Place {
        hash: &subject.hash,
        of: "calibration",
        default: arguments.output.clone(),
        inputs: kept.map(|path| ("the input".into(), path)).collect(),
    };
    let dir = out_dir::choose_for(&place, Some(&arguments.output), arguments.force)?;
    let inputs = Inputs {
        tables: arguments.tables.iter().map(table).collect::<Result<_, Failure>>()?,
        all_reduce: arguments.all_reduce.as_deref(),
        capped,
        date,
        names: match &arguments.sources {
            Some(sources) => vec![sources.clone()],
            None => files.iter().map(|path| file_name(path)).collect(),
        },
    };

    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.jobs.map_or(0, usize::from))
        .build()
        .context("cannot start threads")?;
    let tally = std::sync::OnceLock::new();
    let silent = arguments.quiet || arguments.json;
    let go_on = || !interrupted.load(Ordering::SeqCst);
    let fitted = |_done: usize, of: usize| tally.get_or_init(|| Tally::new(of, "fits", silent)).one_more();
    let result = threads.install(|| calibrate(&inputs, &catalog, &go_on, &fitted));
    if let Some(tally) = tally.get() {
        tally.clear();
    }
    let calibration = result.map_err(|error| match error {
        CalibrateError::Input(error) => input(error),
        CalibrateError::Nothing(text) => Failure::input(text),
        CalibrateError::Interrupted => Failure::Interrupted("interrupted; nothing was written".into()),
    })?;
    let written = calibration::write(&dir, &calibration, &subject)
        .with_context(|| format!("{}: the result could not be written", dir.display()))?;
    if arguments.json {
        terminal::print(&calibration::summary_json(&calibration, &subject))?;
    } else if !arguments.quiet {
        terminal::print(&calibration::text(&calibration, &subject))?;
        terminal::print(&format!("wrote {} ({} files)", dir.display(), written.len()))?;
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Four digits, two, two.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let numbers = parts.iter().all(|part| part.chars().all(|c| c.is_ascii_digit()));
    numbers && parts.iter().map(|part| part.len()).eq([4, 2, 2])
}

/// Today's date (UTC), from days since 1970 by the civil calendar's 400-year cycle.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Days since 0000-03-01: years that begin in March have their leap day at the end.
    let days = (seconds / 86_400) as i64 + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year + cycle * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}
