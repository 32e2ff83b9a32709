//! `wattmill validate`: the simulator against measured rows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use clap::Args;
use wattmill::report::validation;
use wattmill::study::validate::{self, Options, ValidateError};

use super::exit::Failure;
use super::{backend, interrupt, terminal};

#[derive(Args)]
pub struct Arguments {
    /// Measured rows (CSV); default: published figures that come with wattmill
    #[arg(value_name = "MEASURED")]
    path: Option<PathBuf>,
    /// Folder with your own catalog entries (GPUs, models, nodes, engines, aliases)
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Seed of every row's draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Rows simulated at once; default: all cores. The result is the same
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Print summary.json on stdout and nothing else
    #[arg(long)]
    json: bool,
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let catalog = Arc::new(backend::catalog(arguments.catalog.as_deref())?);
    let table = match &arguments.path {
        Some(path) => validate::read(path),
        None => validate::published(),
    }
    .map_err(|error| Failure::input(error.to_string()))?;
    let name = match &arguments.path {
        Some(path) => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        None => "published".into(),
    };
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.jobs.unwrap_or(0))
        .build()
        .context("cannot start threads")?;
    let go_on = || !interrupted.load(Ordering::SeqCst);
    let options = Options { seed: arguments.seed, go_on: &go_on, row_done: &|| {} };
    let result = threads.install(|| validate::run(table, &catalog, &options)).map_err(|error| match error {
        ValidateError::Input(error) => Failure::input(error.to_string()),
        ValidateError::Invariant(_) => Failure::Failed(error.into()),
        ValidateError::Interrupted => Failure::Interrupted("interrupted; nothing was written".into()),
    })?;
    if arguments.json {
        terminal::print(&validation::summary_json(&result, &name, ""))?;
    } else if !arguments.quiet {
        terminal::print(&validation::text(&result, &name, terminal::width(), terminal::color()))?;
    }
    Ok(())
}
