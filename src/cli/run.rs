//! `wattmill run`: one run, from file to result folder.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::{Args, ValueEnum};
use wattmill::ledger::outcome::Outcome;
use wattmill::report;
use wattmill::scenario::{self, Resolved, types::Figures};
use wattmill::study::expect;
use wattmill::study::uncertainty::{self, Study, UncertaintyError};
use wattmill::{EngineKind, SimError, SimOptions, simulate};

use super::exit::Failure;
use super::progress::Progress;
use super::scenario_args::ScenarioArguments;
use super::tally::Tally;
use super::{interrupt, out_dir, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
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
    /// Run again under N sets of coefficients drawn from the catalog's fit, and report bands: 5 to 1000 (20 show how
    /// wide they are, 200 make their ends firm)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(5..=1000))]
    uncertainty: Option<u32>,
    /// Draws run at once; default: one per core. The result is the same
    #[arg(long, value_name = "N", requires = "uncertainty", value_parser = clap::value_parser!(u16).range(1..=1024))]
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
With --uncertainty the run itself stays as it is, to the byte. Added are the block `uncertainty` of summary.json, with \
5th, 50th and 95th percentiles over the draws, and uncertainty.csv with one row per draw. All draws see the same \
requests; coefficients are lognormal with the fit's covariance, none above its bound. A draw whose scenario cannot be \
built is counted as failed. Interrupted (Ctrl-C) during the draws, the run itself is written, without bands.

A change of what binds is one to a stretch of at least a forty-eighth of the run. A draw's stretches are paired with the \
run's in order of time; those more than a quarter of the run apart are not the same.

The bands hold what the fit leaves open and that alone: not whether the laws have the right form, not the guesses among \
the catalog's numbers, not another day's requests (--seed).";

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Segments,
    Stepwise,
}

impl Engine {
    fn kind(self) -> EngineKind {
        match self {
            Self::Segments => EngineKind::Segments,
            Self::Stepwise => EngineKind::Stepwise,
        }
    }
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let resolved = arguments.scenario.load(arguments.seed)?;
    let dir = out_dir::choose(&resolved, &arguments.scenario, arguments.output.as_deref(), arguments.force)?;
    // Before the run, so that a result never comes without the scenario that made it.
    let resolved_yaml =
        scenario::resolved_yaml(&resolved, &dir).map_err(|error| Failure::Failed(error.into()))?;

    // Refused before anything runs.
    let study = match arguments.uncertainty {
        Some(draws) => Some((Study::of(&resolved).map_err(|error| of_study(error, &resolved))?, draws)),
        None => None,
    };

    let progress = Progress::new(resolved.scenario.duration_s, arguments.quiet || arguments.json);
    let go_on = |simulated_s: f64, requests: u64| {
        progress.show(simulated_s, requests);
        !interrupted.load(Ordering::SeqCst)
    };
    let options = SimOptions {
        engine: arguments.engine.kind(),
        keep_requests: arguments.requests || resolved.scenario.report.requests,
        progress: Some(&go_on),
    };
    let outcome = simulate(&resolved, &options);
    progress.clear();
    let mut outcome = outcome.map_err(|error| Failure::of_run(error, &resolved))?;
    let verdicts = expect::judge(&resolved.scenario, &outcome.summary);
    let missed = verdicts.iter().filter(|verdict| !verdict.held);
    outcome.summary.notes.extend(missed.map(|verdict| format!("not as expected: {}", verdict.told)));
    let interrupted_after = match &study {
        Some((study, draws)) => draw(study, *draws, &mut outcome, arguments, &interrupted, &resolved)?,
        None => None,
    };

    let figures = resolved.scenario.report.figures != Figures::None;
    let written = report::write(&dir, &outcome, &resolved_yaml, figures)
        .with_context(|| format!("{}: the result could not be written", dir.display()))?;
    if let Some(said) = interrupted_after {
        return Err(Failure::Interrupted(format!(
            "interrupted after {said}; the run itself, without bands, is in {}",
            dir.display()
        )));
    }
    if arguments.json {
        terminal::print(&report::summary_json(&outcome))?;
    } else if !arguments.quiet {
        terminal::print(&report::terminal(&outcome, terminal::width(), terminal::color()))?;
        if !verdicts.is_empty() {
            let held = verdicts.iter().filter(|verdict| verdict.held).count();
            terminal::print(&format!("expect: {held} of {} as expected", verdicts.len()))?;
        }
        terminal::print(&format!("wrote {} ({} files)", dir.display(), written.len()))?;
    }
    Ok(())
}

/// Adds the bands to the outcome, or says after how many draws that was interrupted.
fn draw(
    study: &Study,
    draws: u32,
    outcome: &mut Outcome,
    arguments: &Arguments,
    interrupted: &AtomicBool,
    resolved: &Resolved,
) -> Result<Option<String>, Failure> {
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.jobs.map_or(0, usize::from))
        .build()
        .context("cannot start threads")?;
    let tally = Tally::new(draws as usize, "draws", arguments.quiet || arguments.json);
    let go_on = || !interrupted.load(Ordering::SeqCst);
    let draw_done = || tally.one_more();
    let options =
        uncertainty::Options { engine: arguments.engine.kind(), go_on: &go_on, draw_done: &draw_done };
    let result = threads.install(|| study.run(outcome, draws, &options));
    tally.clear();
    match result {
        Ok(()) => Ok(None),
        Err(UncertaintyError::Run(SimError::Interrupted)) => {
            Ok(Some(format!("{} of {draws} draws", tally.done())))
        }
        Err(error) => Err(of_study(error, resolved)),
    }
}

fn of_study(error: UncertaintyError, resolved: &Resolved) -> Failure {
    match error {
        UncertaintyError::Nothing(text) => Failure::input(format!("--uncertainty: {text}")),
        UncertaintyError::Run(error) => Failure::of_run(error, resolved),
    }
}
