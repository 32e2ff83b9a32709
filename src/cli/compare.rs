//! `wattmill compare`: scenarios side by side, with differences and intervals.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use wattmill::report::comparison;
use wattmill::scenario::{self, LoadOptions, Resolved};
use wattmill::study::batch::{Progress, identity};
use wattmill::study::compare::compare;

use super::exit::Failure;
use super::study_args::StudyArguments;
use super::{backend, interrupt, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP, mut_arg("output", |arg| arg.help(OUTPUT_HELP)))]
pub struct Arguments {
    /// Scenario files (YAML) or result folders of `wattmill run`; the first is the base
    #[arg(value_name = "SCENARIO", num_args = 2..=8, required = true)]
    paths: Vec<PathBuf>,
    /// Override a field in all of them, e.g. --set duration_s=600; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Folder with your own catalog entries (GPUs, models, nodes, engines)
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Replications, each with its own seed; the same seeds for every scenario
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1000))]
    seeds: u32,
    #[command(flatten)]
    study: StudyArguments,
}

const OUTPUT_HELP: &str = "Also write summary.json, metrics.csv and the figure `compare` into this folder";

const AFTER_HELP: &str = "\
All scenarios are run again under the seeds of the first. Differences are to the first, seed by seed; their interval is \
Student's, 95 %. Of a result folder its scenario.resolved.yaml is used.

Different durations are allowed, as rates and not totals are compared; so are different workloads: their seeds do not \
pair, and the intervals are wider. Both are said.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let options = LoadOptions {
        sets: arguments.sets.clone(),
        catalog_dir: arguments.catalog.clone(),
        ..LoadOptions::new(Arc::new(backend::catalog(arguments.catalog.as_deref())?))
    };
    let files: Vec<PathBuf> = arguments.paths.iter().map(|path| file(path)).collect::<Result<_, _>>()?;
    let scenarios: Vec<Resolved> = files.iter().map(|file| load(file, &options)).collect::<Result<_, _>>()?;
    let names = names(&arguments.paths, &scenarios);
    let hashes: Vec<&str> = scenarios.iter().map(|resolved| resolved.hash.as_str()).collect();
    // Names are shown, so they are part of what is asked.
    let study = identity(&format!("wattmill compare 1\n{hashes:?}\n{names:?}\n{}", arguments.seeds));
    let inputs = scenarios.iter().flat_map(scenario::input_files).chain(files);
    let dir = arguments.study.folder(&study, "comparison", inputs)?;
    let named: Vec<(String, Resolved)> = names.into_iter().zip(scenarios).collect();
    let threads = arguments.study.threads()?;
    let tally = arguments.study.tally("runs");
    let progress = Progress {
        go_on: &|| !interrupted.load(Ordering::SeqCst),
        runs: &|runs| tally.set_length(runs),
        run_done: &|| tally.one_more(),
    };
    let result = threads.install(|| compare(&named, arguments.seeds, &progress));
    tally.clear();
    let answer = result.map_err(|error| Failure::of_study(error, tally.done()))?;
    arguments.study.tell(
        dir,
        |dir| comparison::write(dir, &answer, &study),
        || comparison::json(&answer, &study),
        || comparison::text(&answer, terminal::width(), terminal::color()),
    )
}

/// The scenario file of an argument.
fn file(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let file = path.join("scenario.resolved.yaml");
    if file.is_file() {
        return Ok(file);
    }
    Err(Failure::input(format!(
        "{}: holds no scenario.resolved.yaml; name a scenario file or a result folder of `wattmill run`",
        path.display()
    )))
}

fn load(file: &Path, options: &LoadOptions) -> Result<Resolved, Failure> {
    let resolved = scenario::load(file, options)?;
    backend::build_fleet(&resolved)
        .map_err(|problems| Failure::input(resolved.render_problems(&problems)))?;
    Ok(resolved)
}

/// The scenarios' own names; as the user wrote them where two are the same, numbered where these are too.
fn names(paths: &[PathBuf], scenarios: &[Resolved]) -> Vec<String> {
    let unlike = |names: &[String]| names.iter().enumerate().all(|(i, name)| !names[..i].contains(name));
    let own: Vec<String> = scenarios.iter().map(|resolved| resolved.scenario.name.clone()).collect();
    if unlike(&own) {
        return own;
    }
    let written: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    if unlike(&written) {
        return written;
    }
    own.iter().enumerate().map(|(i, name)| format!("{} {name}", i + 1)).collect()
}
