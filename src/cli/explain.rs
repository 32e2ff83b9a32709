//! `wattmill explain`: what a little more of each limit would buy.

use std::sync::atomic::Ordering;

use clap::Args;
use wattmill::report::explanation::{self, Subject};
use wattmill::scenario;
use wattmill::scenario::suggestion;
use wattmill::study::batch::{Progress, identity};
use wattmill::study::explain::{LimitKind, Question, explain};

use super::exit::Failure;
use super::scenario_args::ScenarioArguments;
use super::study_args::StudyArguments;
use super::{interrupt, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP, mut_arg("output", |arg| arg.help(OUTPUT_HELP)))]
pub struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Stretch of the run, FROM..UNTIL: seconds from its start, or local times of its first day (14:00..15:30, 14h..16h);
    /// default: all of it
    #[arg(long, value_name = "FROM..UNTIL")]
    window: Option<String>,
    /// Price these limits alone (names below); may be repeated. The verdict is then over these
    #[arg(long, value_name = "LIMIT")]
    only: Vec<String>,
    /// Replications, each with its own seed; the same seeds for every limit
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1000))]
    seeds: u32,
    /// Move of each limit, as a share of it; watts are moved by two P-states at least
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    step: f64,
    /// Length of the run before the stretch, in which queues fill and halls warm up [s]
    #[arg(long, value_name = "S", default_value_t = 3600.0)]
    lead_in_s: f64,
    #[command(flatten)]
    study: StudyArguments,
}

const OUTPUT_HELP: &str = "Also write summary.json and explain.csv into this folder";

const AFTER_HELP: &str = "\
Each limit is moved alone by a small step, from the lead-in on, and the stretch is simulated again with the same
requests. What counts are the useful output tokens of the requests that arrive in the stretch, followed until they are
done; of classes without an SLO, whose tokens are useful whenever they come, those emitted in it. The gain is the mean of
paired differences over the seeds, with Student's 95 % interval; elasticity is the relative gain over the relative move.

  demand            arrivals of all classes
  power_cap         the cap at the utility meter       power_device      the rating of a device of the tree
  cooling_capacity  heat a zone's plant can reject     gpu_cap           the power limit of each GPU of a pool
  outdoor_air       wet and dry bulb 1 K lower         overhead          losses and cooling, or PUE - 1
  replicas          nodes of a pool                    flop_s            FLOP/s of its GPUs (all of an own step law)
  hbm_bandwidth     bytes/s of its memory              host_and_links    host times and links
  kv_bytes          memory for its KV cache            slots             sequences that may run at once

A limit is moved without what usually comes with it: more cooling capacity does not make fans and pumps more efficient, a
higher rating does not lower losses. The verdict holds the largest price against the ledger's label of the stretch.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let resolved = arguments.scenario.load(None)?;
    let question = question(arguments, resolved.scenario.start_at_h)?;
    let study = identity(&format!("wattmill explain 1\n{}\n{question:?}", resolved.hash));
    let inputs = scenario::input_files(&resolved).into_iter().chain([arguments.scenario.path.clone()]);
    let dir = arguments.study.folder(&study, "question", inputs)?;
    let threads = arguments.study.threads()?;
    let tally = arguments.study.tally("runs");
    let progress = Progress {
        go_on: &|| !interrupted.load(Ordering::SeqCst),
        runs: &|runs| tally.set_length(runs),
        run_done: &|| tally.one_more(),
    };
    let result = threads.install(|| explain(&resolved, &question, &progress));
    tally.clear();
    let explanation = result.map_err(|error| Failure::of_study(error, tally.done()))?;
    let subject = Subject {
        name: &resolved.scenario.name,
        hash: &resolved.hash,
        study: &study,
        start_at_h: resolved.scenario.start_at_h,
    };
    arguments.study.tell(
        dir,
        |dir| explanation::write(dir, &explanation, &subject),
        || explanation::json(&explanation, &subject),
        || explanation::text(&explanation, &subject, terminal::width(), terminal::color()),
    )
}

fn question(arguments: &Arguments, start_at_h: f64) -> Result<Question, Failure> {
    if !(0.001..=0.5).contains(&arguments.step) {
        return Err(Failure::input(format!("--step {}: must lie in 0.001 to 0.5", arguments.step)));
    }
    if !(0.0..=1e9).contains(&arguments.lead_in_s) {
        return Err(Failure::input(format!("--lead-in-s {}: must be at least 0", arguments.lead_in_s)));
    }
    let window_s = match &arguments.window {
        None => None,
        Some(text) => Some(window(text, start_at_h).ok_or_else(|| {
            Failure::input(format!(
                "--window {text}: give two times as FROM..UNTIL, e.g. 50400..54000 (seconds from the start of the run) \
                 or 14:00..15:00 (local times of the first day)"
            ))
        })?),
    };
    let names = || LimitKind::ALL.iter().map(|kind| kind.key());
    let only = arguments.only.iter().map(|name| {
        let known = LimitKind::ALL.into_iter().find(|kind| kind.key() == name);
        known.ok_or_else(|| {
            let hint = suggestion(name, names());
            Failure::input(format!(
                "--only {name}: unknown limit{hint}; known are {}",
                names().collect::<Vec<_>>().join(", ")
            ))
        })
    });
    Ok(Question {
        window_s,
        lead_in_s: arguments.lead_in_s,
        step: arguments.step,
        only: only.collect::<Result<_, _>>()?,
        seeds: arguments.seeds,
    })
}

/// `FROM..UNTIL` in seconds from the start of the run.
fn window(text: &str, start_at_h: f64) -> Option<(f64, f64)> {
    let (from, until) = text.split_once("..")?;
    let at = |text: &str| instant(text.trim(), start_at_h);
    Some((at(from)?, at(until)?))
}

/// Seconds, `14h`, or `14:30`; times of day before the start of the run are those of the next day.
fn instant(text: &str, start_at_h: f64) -> Option<f64> {
    let hours = if let Some(hours) = text.strip_suffix('h') {
        hours.parse::<f64>().ok()?
    } else if let Some((hours, minutes)) = text.split_once(':') {
        let minutes = minutes.parse::<u32>().ok().filter(|minutes| *minutes < 60)?;
        f64::from(hours.parse::<u32>().ok()?) + f64::from(minutes) / 60.0
    } else {
        return text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok().filter(|s| s.is_finite());
    };
    let since_start_h = hours - start_at_h;
    let since_start_h = if since_start_h < 0.0 { since_start_h + 24.0 } else { since_start_h };
    (since_start_h.is_finite() && since_start_h >= 0.0).then(|| (since_start_h * 3600.0).round())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_in_seconds_and_times_of_day() {
        assert_eq!(window("50400..54000", 0.0), Some((50400.0, 54000.0)));
        assert_eq!(window("14:00..15:30", 0.0), Some((50400.0, 55800.0)));
        assert_eq!(window("14h..15.5h", 6.0), Some((28800.0, 34200.0)));
        assert_eq!(window("23h..1h", 22.0), Some((3600.0, 10800.0)));
        for bad in ["14..", "a..b", "50400", "14:75..15:00", "nan..3", "1h..infh"] {
            assert_eq!(window(bad, 0.0), None, "{bad}");
        }
    }
}
