//! `wattmill levers`: what each lever is worth at equal quality and service.

use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};
use wattmill::report::{Subject, levers as report};
use wattmill::scenario;
use wattmill::study::batch::{Progress, identity};
use wattmill::study::levers::{Load, Question, levers};

use super::exit::Failure;
use super::scenario_args::ScenarioArguments;
use super::study_args::StudyArguments;
use super::{interrupt, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP, mut_arg("output", |arg| arg.help(OUTPUT_HELP)))]
pub struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Compare at the largest load that holds the service, solved for every subset, or at the load of the scenario
    #[arg(long, value_enum, default_value_t = LoadChoice::Solved)]
    load: LoadChoice,
    /// Share of requests within their SLO at which the load is solved, s*
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    attainment: f64,
    /// Width of the search for the load, as a share of it
    #[arg(long, value_name = "SHARE", default_value_t = 0.005)]
    tolerance: f64,
    /// Replications, each with its own seed; the same seeds for every subset
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=1000))]
    seeds: u32,
    /// Orders of pulling that are drawn where there are more than 6 levers (of up to 6 all subsets are run)
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(4..=10000))]
    orders: u32,
    /// Accuracies at which the energy of an answer is looked at, beside the one that is held; 0: none
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=50))]
    curve: u32,
    #[command(flatten)]
    study: StudyArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LoadChoice {
    Solved,
    Given,
}

const OUTPUT_HELP: &str =
    "Also write summary.json, levers.csv, subsets.csv and figures (waterfall, accuracy) into this folder";

const AFTER_HELP: &str = "\
Levers are named in the scenario, each by the fields that it sets; the scenario as it stands has none of them:

  levers:
    - { name: fp8 weights, set: [models.0.weights=fp8] }
    - { name: think less, set: ['workload.classes.0.reasoning={ adaptive: { budget_tok: { easy: 0, hard: 8000 } } }'] }

Every subset of them is run under the same seeds, at equal quality and service: thinking budgets are solved so that each
class is right as often as its quality_target asks (without one: as often as without levers), and the load is the largest
at which --attainment of the requests meet their SLO. A lever's share of the joint effect is its mean over all orders of
pulling (Shapley), taken on logarithms: the factors multiply to the joint one. The intervals are Student's, 95 %, over the
seeds. Where a subset cannot be held, it is said what could.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let question = question(arguments)?;
    let (draft, load) = arguments.scenario.draft()?;
    let resolved = draft.resolve(&load)?;
    let study = identity(&format!("wattmill levers 1\n{}\n{question:?}", resolved.hash));
    let inputs = scenario::input_files(&resolved).into_iter().chain([arguments.scenario.path.clone()]);
    let dir = arguments.study.folder(&study, "question", inputs)?;
    let threads = arguments.study.threads()?;
    let what = if arguments.load == LoadChoice::Solved { "searches" } else { "runs" };
    let tally = arguments.study.tally(what);
    let progress = Progress {
        go_on: &|| !interrupted.load(Ordering::SeqCst),
        runs: &|runs| tally.set_length(runs),
        run_done: &|| tally.one_more(),
    };
    let result = threads.install(|| levers(&draft, &load, &question, &progress));
    tally.clear();
    let answer = result.map_err(|error| Failure::of_study(error, tally.done()))?;
    let subject = Subject { name: &resolved.scenario.name, hash: &resolved.hash, study: &study };
    arguments.study.tell(
        dir,
        |dir| report::write(dir, &answer, &question, &subject),
        || report::json(&answer, &question, &subject),
        || report::text(&answer, &question, &subject, terminal::color()),
    )
}

fn question(arguments: &Arguments) -> Result<Question, Failure> {
    let within = |name: &str, value: f64, range: std::ops::RangeInclusive<f64>| {
        let (low, high) = (range.start(), range.end());
        if range.contains(&value) {
            Ok(())
        } else {
            Err(Failure::input(format!("{name} {value}: must lie in {low} to {high}")))
        }
    };
    within("--attainment", arguments.attainment, 0.01..=1.0)?;
    within("--tolerance", arguments.tolerance, 1e-4..=0.5)?;
    let load = match arguments.load {
        LoadChoice::Given => Load::Given,
        LoadChoice::Solved => {
            Load::Solved { attainment: arguments.attainment, tolerance: arguments.tolerance }
        }
    };
    Ok(Question { load, seeds: arguments.seeds, orders: arguments.orders, curve: arguments.curve })
}
