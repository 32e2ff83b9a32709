//! `wattmill run`: one run, from file to result folder.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::Context;
use clap::{Args, ValueEnum};
use wattmill::report;
use wattmill::scenario::{self, types::Figures};
use wattmill::{EngineKind, SimOptions, simulate};

use super::exit::Failure;
use super::progress::Progress;
use super::scenario_args::ScenarioArguments;
use super::{interrupt, out_dir, terminal};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Result folder; default: output/<name>, with --set or --seed output/<name>-<hash>
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Seed of every random draw, instead of the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Engine: one event per segment, or the slow check that steps every iteration
    #[arg(long, value_enum, default_value_t = Engine::Segments)]
    engine: Engine,
    /// Also write requests.csv, one row per request
    #[arg(long)]
    requests: bool,
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

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Segments,
    Stepwise,
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let resolved = arguments.scenario.load(arguments.seed)?;
    let dir = out_dir::choose(&resolved, &arguments.scenario, arguments.output.as_deref(), arguments.force)?;
    // Before the run, so that a result never comes without the scenario that made it.
    let resolved_yaml =
        scenario::resolved_yaml(&resolved, &dir).map_err(|error| Failure::Failed(error.into()))?;

    let progress = Progress::new(resolved.scenario.duration_s, arguments.quiet || arguments.json);
    let go_on = |simulated_s: f64, requests: u64| {
        progress.show(simulated_s, requests);
        !interrupted.load(Ordering::SeqCst)
    };
    let options = SimOptions {
        engine: match arguments.engine {
            Engine::Segments => EngineKind::Segments,
            Engine::Stepwise => EngineKind::Stepwise,
        },
        keep_requests: arguments.requests || resolved.scenario.report.requests,
        progress: Some(&go_on),
    };
    let outcome = simulate(&resolved, &options);
    progress.clear();
    let outcome = outcome.map_err(|error| Failure::of_run(error, &resolved))?;

    let figures = resolved.scenario.report.figures != Figures::None;
    let written = report::write(&dir, &outcome, &resolved_yaml, figures)
        .with_context(|| format!("{}: the result could not be written", dir.display()))?;
    if arguments.json {
        terminal::print(&report::summary_json(&outcome))?;
    } else if !arguments.quiet {
        terminal::print(&report::terminal(&outcome, terminal::width(), terminal::color()))?;
        terminal::print(&format!("wrote {} ({} files)", dir.display(), written.len()))?;
    }
    Ok(())
}
