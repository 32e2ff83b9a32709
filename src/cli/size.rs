//! `wattmill size`: the smallest fleet, the lowest cap or the largest load that meets conditions.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;
use wattmill::report::{Subject, sizing};
use wattmill::scenario::{self, Resolved};
use wattmill::study::batch::{Progress, identity};
use wattmill::study::metric::Condition;
use wattmill::study::size::{Axis, FrontierQuestion, Prices, Question, frontier, size};

use super::exit::Failure;
use super::scenario_args::ScenarioArguments;
use super::study_args::StudyArguments;
use super::{interrupt, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP, mut_arg("output", |arg| arg.help(OUTPUT_HELP)))]
pub struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Field to move, any number as in --set; with --frontier twice for a table of two
    #[arg(long, value_name = "PATH", required = true)]
    find: Vec<String>,
    /// Lower end of its range; once for each --find
    #[arg(long, value_name = "X", required = true, allow_negative_numbers = true)]
    min: Vec<f64>,
    /// Upper end of its range; once for each --find
    #[arg(long, value_name = "X", required = true, allow_negative_numbers = true)]
    max: Vec<f64>,
    /// Condition on a number of summary.json, e.g. 'slo_attainment>=0.99' or 'latency_s.ttft.p99<=1.0'; may be repeated,
    /// all must hold
    #[arg(long, value_name = "CONDITION", required_unless_present = "frontier")]
    slo: Vec<String>,
    /// Steps of the search, as a share of the value (of the range, if its lower end is not above 0)
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, conflicts_with = "frontier")]
    tolerance: f64,
    /// Values looked at before the search, both ends included: they show whether the verdict changes once
    #[arg(long, value_name = "N", default_value_t = 5, conflicts_with = "frontier",
        value_parser = clap::value_parser!(u32).range(2..=1000))]
    scan: u32,
    /// Replications, each with its own seed; the same seeds for every value
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1000))]
    seeds: u32,
    /// No search, but a table over the range with the Pareto set of facility power, useful tokens/s, SLO attainment, $/Mtok
    #[arg(long)]
    frontier: bool,
    /// Values of each field in the table
    #[arg(long, value_name = "N", default_value_t = 9, requires = "frontier",
        value_parser = clap::value_parser!(u32).range(2..=1000))]
    points: u32,
    /// Price of energy at the meter [$/MWh]: for $/Mtok
    #[arg(long, value_name = "USD", requires = "frontier", requires = "usd_per_gpu_hour")]
    usd_per_mwh: Option<f64>,
    /// Price of everything else by installed GPU [$/h]: for $/Mtok
    #[arg(long, value_name = "USD", requires = "frontier", requires = "usd_per_mwh")]
    usd_per_gpu_hour: Option<f64>,
    #[command(flatten)]
    study: StudyArguments,
}

const OUTPUT_HELP: &str = "Also write summary.json and trail.csv (frontier.csv) into this folder";

const AFTER_HELP: &str = "\
Every value is run under the same seeds; it meets if the mean over the seeds does, of every condition. A metric that is \
null under a seed does not meet. Which end of the range meets says whether the smallest or the largest value is sought; \
if both do, or neither, nothing is found: `found` is null, `reason` says why, and the exit code is 0.

The interval holds all values at which a limit lies within the 95 % interval (Student's) of its metric over the seeds, \
and the steps of the search: it misses the true value in about 5 of 100 searches. Its end is null where it lies outside the \
range. Whole-number fields are searched in whole numbers.

Values that meet although one further on does not are reported (`contradictions`); where an interval leaves no doubt, \
the answer is not monotone, and is the last crossing. --scan looks closer.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let (draft, load) = arguments.scenario.draft()?;
    let resolved = draft.resolve(&load)?;
    let axes = axes(arguments)?;
    let conditions = arguments
        .slo
        .iter()
        .map(|text| Condition::parse(text).map_err(|error| Failure::input(format!("--slo {text}: {error}"))));
    let conditions: Vec<Condition> = conditions.collect::<Result<_, _>>()?;

    let threads = arguments.study.threads()?;
    let tally = arguments.study.tally("runs");
    let progress = Progress {
        go_on: &|| !interrupted.load(Ordering::SeqCst),
        runs: &|runs| tally.set_length(runs),
        run_done: &|| tally.one_more(),
    };
    let ended = |error| {
        tally.clear();
        Failure::of_study(error, tally.done())
    };
    if arguments.frontier {
        let question = FrontierQuestion {
            axes,
            points: arguments.points,
            conditions,
            prices: prices(arguments)?,
            seeds: arguments.seeds,
        };
        let study = identity(&format!("wattmill frontier 1\n{}\n{question:?}", resolved.hash));
        let dir = folder(arguments, &resolved, &study)?;
        let answer = threads.install(|| frontier(&draft, &load, &question, &progress)).map_err(ended)?;
        tally.clear();
        let subject = Subject { name: &resolved.scenario.name, hash: &resolved.hash, study: &study };
        let json = || sizing::frontier_json(&answer, &question, &subject);
        return arguments.study.tell(
            dir,
            |dir| sizing::put(dir, json(), "frontier.csv", sizing::frontier_csv(&answer, &question)),
            json,
            || sizing::frontier_text(&answer, &question, &subject, terminal::color()),
        );
    }
    let [axis] = axes.as_slice() else {
        return Err(Failure::input("--find: a search moves one field; two make a table with --frontier"));
    };
    if !(1e-4..=0.5).contains(&arguments.tolerance) {
        return Err(Failure::input(format!(
            "--tolerance {}: must lie in 0.0001 to 0.5",
            arguments.tolerance
        )));
    }
    let question = Question {
        find: axis.path.clone(),
        min: axis.min,
        max: axis.max,
        conditions,
        tolerance: arguments.tolerance,
        scan: arguments.scan,
        seeds: arguments.seeds,
    };
    let study = identity(&format!("wattmill size 1\n{}\n{question:?}", resolved.hash));
    let dir = folder(arguments, &resolved, &study)?;
    let answer = threads.install(|| size(&draft, &load, &question, &progress)).map_err(ended)?;
    tally.clear();
    let subject = Subject { name: &resolved.scenario.name, hash: &resolved.hash, study: &study };
    arguments.study.tell(
        dir,
        |dir| sizing::write(dir, &answer, &question, &subject),
        || sizing::json(&answer, &question, &subject),
        || sizing::text(&answer, &question, &subject, terminal::color()),
    )
}

/// The fields with their ranges.
fn axes(arguments: &Arguments) -> Result<Vec<Axis>, Failure> {
    let Arguments { find, min, max, .. } = arguments;
    if find.len() != min.len() || find.len() != max.len() {
        return Err(Failure::input(format!(
            "--find is given {} times, --min {}, --max {}: each field needs one of both",
            find.len(),
            min.len(),
            max.len()
        )));
    }
    if find.len() > 2 {
        return Err(Failure::input("--find: two fields at most"));
    }
    let axes = find.iter().zip(min.iter().zip(max));
    Ok(axes.map(|(path, (min, max))| Axis { path: path.trim().to_string(), min: *min, max: *max }).collect())
}

fn prices(arguments: &Arguments) -> Result<Option<Prices>, Failure> {
    let both = arguments.usd_per_mwh.zip(arguments.usd_per_gpu_hour);
    let Some((usd_per_mwh, usd_per_gpu_hour)) = both else { return Ok(None) };
    for (name, price) in [("--usd-per-mwh", usd_per_mwh), ("--usd-per-gpu-hour", usd_per_gpu_hour)] {
        if !(0.0..=1e9).contains(&price) {
            return Err(Failure::input(format!("{name} {price}: must be at least 0")));
        }
    }
    Ok(Some(Prices { usd_per_mwh, usd_per_gpu_hour }))
}

/// Where the answer goes, decided before anything is simulated.
fn folder(arguments: &Arguments, resolved: &Resolved, study: &str) -> Result<Option<PathBuf>, Failure> {
    let inputs = scenario::input_files(resolved).into_iter().chain([arguments.scenario.path.clone()]);
    arguments.study.folder(study, "question", inputs)
}
