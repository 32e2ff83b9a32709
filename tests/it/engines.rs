//! The segment engine against the stepwise oracle: how two outcomes are compared, and the scenarios that ship, the
//! recorded traces and the corners found before.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wattmill::ledger::outcome::{Outcome, RequestOutcome, RequestRow};
use wattmill::scenario::Resolved;
use wattmill::{EngineKind, SimOptions, simulate};

use crate::support::{self, catalog, load_file};

/// What a set of comparisons went through.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub scenarios: u64,
    pub requests: u64,
    pub shed: u64,
    pub iterations: u64,
    pub segments: u64,
    pub preemptions: u64,
    pub cached_tok: u64,
    pub clock_changes: u64,
    pub power_waits: u64,
    pub zone_stages: u64,
    pub zone_throttles: u64,
    pub gpu_throttles: u64,
    pub overheated: u64,
    pub retried: u64,
    pub lost: u64,
    pub unavailable: u64,
    /// Scenarios in which some pool speculates.
    pub speculating: u64,
    /// Answered in several legs, those legs, and those given up of such.
    pub in_legs: u64,
    pub legs: u64,
    pub legs_failed: u64,
}

impl Tally {
    /// Add a run of the segment engine.
    pub fn add(&mut self, segments: &Outcome) {
        let counters = &segments.counters;
        let rows = segments.requests.iter().flatten();
        let (mut in_legs, mut legs, mut legs_failed) = (0, 0, 0);
        for row in rows {
            in_legs += u64::from(row.legs > 1);
            legs += u64::from(row.legs) * u64::from(row.legs > 1);
            // Of those that arrived in legs only such have emitted other than what they were asked for.
            let failed = !matches!(row.outcome, RequestOutcome::Completed | RequestOutcome::InFlight);
            legs_failed +=
                u64::from(failed && row.spent_tok > 0 && row.spent_tok != u64::from(row.output_tok));
        }
        self.join(&Self {
            scenarios: 1,
            requests: segments.summary.requests.arrived,
            shed: segments.summary.requests.shed,
            iterations: counters.iterations,
            segments: segments.summary.engine.segments,
            preemptions: counters.preemptions,
            cached_tok: segments.summary.tokens.prompt_cached,
            clock_changes: counters.clock_changes,
            power_waits: counters.power_waits,
            zone_stages: counters.throttles.stages,
            zone_throttles: counters.throttles.by_zone,
            gpu_throttles: counters.throttles.by_gpu,
            overheated: segments.summary.requests.shed_by.overheated,
            retried: segments.summary.requests.retried,
            lost: segments.summary.requests.shed_by.lost,
            unavailable: segments.summary.requests.shed_by.unavailable,
            speculating: u64::from(
                segments.summary.sources.iter().any(|source| source.entry.starts_with("draft of ")),
            ),
            in_legs,
            legs,
            legs_failed,
        });
    }

    /// Add other comparisons.
    pub fn join(&mut self, other: &Self) {
        self.scenarios += other.scenarios;
        self.requests += other.requests;
        self.shed += other.shed;
        self.iterations += other.iterations;
        self.segments += other.segments;
        self.preemptions += other.preemptions;
        self.cached_tok += other.cached_tok;
        self.clock_changes += other.clock_changes;
        self.power_waits += other.power_waits;
        self.zone_stages += other.zone_stages;
        self.zone_throttles += other.zone_throttles;
        self.gpu_throttles += other.gpu_throttles;
        self.overheated += other.overheated;
        self.retried += other.retried;
        self.lost += other.lost;
        self.unavailable += other.unavailable;
        self.speculating += other.speculating;
        self.in_legs += other.in_legs;
        self.legs += other.legs;
        self.legs_failed += other.legs_failed;
    }
}

#[track_caller]
fn load(path: &Path, sets: &[&str]) -> Resolved {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    load_file(path, &sets, catalog())
}

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)
}

fn run(resolved: &Resolved, engine: EngineKind) -> Outcome {
    let options = SimOptions { engine, keep_requests: true, progress: None };
    match simulate(resolved, &options) {
        Ok(outcome) => outcome,
        Err(error) => panic!("{} engine: {error}", engine.name()),
    }
}

/// The first instant at which two fates of a request part [fs].
fn parting(a: &RequestRow, b: &RequestRow) -> i128 {
    let pairs = [
        (Some(a.arrival_fs), Some(b.arrival_fs)),
        (a.first_token_fs, b.first_token_fs),
        (a.finish_fs, b.finish_fs),
    ];
    let differing = pairs.iter().filter(|(x, y)| x != y);
    differing.filter_map(|&(x, y)| x.into_iter().chain(y).min()).min().unwrap_or(a.arrival_fs)
}

/// Leaves of two JSON values that differ.
fn differing(at: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) if x.keys().eq(y.keys()) => {
            x.iter().for_each(|(key, value)| differing(&format!("{at}.{key}"), value, &y[key], found));
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).enumerate().for_each(|(i, (v, w))| differing(&format!("{at}.{i}"), v, w, found));
        }
        _ if a == b => {}
        _ => found.push(format!("{at}: {a} / {b}")),
    }
}

fn json(outcome: &Outcome) -> Value {
    let mut value = serde_json::to_value(&outcome.summary).expect("JSON");
    value.as_object_mut().expect("a map").remove("engine");
    value
}

/// What differs between two outcomes, the earliest request first; `None` if nothing does.
pub fn difference(segments: &Outcome, stepwise: &Outcome) -> Option<String> {
    let mut text = String::new();
    let empty = Vec::new();
    let (a, b) = (segments.requests.as_ref().unwrap_or(&empty), stepwise.requests.as_ref().unwrap_or(&empty));
    if a.len() != b.len() {
        let _ = writeln!(text, "{} / {} requests", a.len(), b.len());
    }
    let rows = a.iter().zip(b).filter(|(x, y)| x != y);
    if let Some((x, y)) = rows.clone().min_by_key(|(x, y)| (parting(x, y), x.index)) {
        let (count, at) = (rows.count(), parting(x, y));
        let _ = writeln!(text, "{count} requests differ, first at {at} fs:\n  {x:?}\n  {y:?}");
    }
    if segments.counters != stepwise.counters {
        let _ = writeln!(text, "counters:\n  {:?}\n  {:?}", segments.counters, stepwise.counters);
    }
    let mut found = Vec::new();
    differing("summary", &json(segments), &json(stepwise), &mut found);
    let rows = |outcome: &Outcome| serde_json::to_value(&outcome.series).expect("JSON");
    differing("series", &rows(segments), &rows(stepwise), &mut found);
    for line in found.iter().take(12) {
        let _ = writeln!(text, "{line}");
    }
    (!text.is_empty()).then(|| format!("segments / stepwise\n{text}"))
}

/// Run both engines and compare everything; returns both outcomes, the segment engine's first.
#[track_caller]
pub fn equal(name: &str, resolved: &Resolved) -> (Outcome, Outcome) {
    let (segments, stepwise) = (run(resolved, EngineKind::Segments), run(resolved, EngineKind::Stepwise));
    if let Some(difference) = difference(&segments, &stepwise) {
        panic!("{name}: the engines differ\n{difference}");
    }
    (segments, stepwise)
}

/// As [`equal`], and the files that a user gets are the same bytes.
#[track_caller]
fn equal_files(name: &str, resolved: &Resolved, tally: &mut Tally) {
    let (segments, stepwise) = equal(name, resolved);
    let dir = tempfile::tempdir().expect("temporary folder");
    let read = |outcome: &Outcome, sub: &str, file: &str| {
        let folder = dir.path().join(sub);
        if !folder.exists() {
            wattmill::report::write(&folder, outcome, "", false).expect("result folder");
        }
        fs::read(folder.join(file)).expect("file")
    };
    for file in ["requests.csv", "timeseries.csv"] {
        let same = read(&segments, "segments", file) == read(&stepwise, "stepwise", file);
        assert!(same, "{name}: {file} differs");
    }
    let mut one = Tally::default();
    one.add(&segments);
    println!("{name}: {one:?}");
    tally.add(&segments);
}

#[test]
fn the_shipped_scenarios_are_equal() {
    let mut tally = Tally::default();
    let shrunk: [(&str, &[&str]); 5] = [
        ("quickstart.yaml", &["duration_s=60"]),
        // A model whose windows of 128 tokens many prompts fill before their answers do, and many do not.
        (
            "quickstart.yaml",
            &[
                "duration_s=20",
                "workload.classes.0.arrivals.poisson.rate_per_s=60",
                "fleet.sites.0.pools.0.model=gpt-oss-120b",
                "fleet.sites.0.pools.0.parallel.tensor=2",
            ],
        ),
        ("trace-replay.yaml", &["duration_s=120"]),
        (
            "paper-fleet.yaml",
            &[
                "workload.classes.0.arrivals.closed_loop.in_flight=1024",
                "workload.classes.0.lengths.answer.constant.tok=256",
                "fleet.sites.0.pools.0.nodes=4",
                "fleet.sites.0.pools.0.batching.max_seqs=256",
                "fleet.sites.0.power.cap_mw=0.008",
                "duration_s=30",
                "warm_up_s=10",
            ],
        ),
        (
            "power-crunch.yaml",
            &[
                "start_at_h=17.9",
                "duration_s=720",
                "fleet.sites.0.pools.0.nodes=1",
                "fleet.sites.0.power.cap_mw=0.0075",
                "workload.classes.0.arrivals.poisson.rate_per_s=6",
            ],
        ),
    ];
    for (name, sets) in shrunk {
        equal_files(name, &load(&config(name), sets), &mut tally);
    }
    println!("shipped scenarios: {tally:?}");
    assert!(tally.clock_changes > 0, "{tally:?}");
}

#[test]
fn recorded_traces_are_equal() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/traces");
    if !traces.is_dir() {
        println!("SKIPPED: ../shared/data absent; the recorded traces were not compared");
        return;
    }
    let mut tally = Tally::default();
    for (trace, blocks, cap_mw) in [("conv", 2600, 0.0052), ("code", 2600, 0.0052)] {
        let path = traces.join(format!("AzureLLMInferenceTrace2023_{trace}.csv"));
        let text = format!(
            "name: {trace}
at_end: drain
start_at_h: 12
workload:
  classes:
    - name: {trace}
      arrivals: {{ trace: {{ path: '{}' }} }}
      slo: {{ ttft_ms: 1000, tpot_ms: 50 }}
fleet:
  sites:
    - power:
        cap_mw: {cap_mw}
        cap_fraction: {{ steps: [{{ at_h: 12.25, value: 0.55 }}, {{ at_h: 12.5, value: 0.9 }}, {{ at_h: 12.6, value: 0.45 }}, {{ at_h: 12.7, value: 1 }}] }}
        policy: {{ uniform_clock: {{ clock_step: 0.05 }} }}
      pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          parallel: {{ tensor: 4 }}
          batching: {{ kv_blocks: {blocks} }}
",
            path.display()
        );
        let dir = tempfile::tempdir().expect("temporary folder");
        let file = dir.path().join("trace.yaml");
        fs::write(&file, text).expect("scenario");
        equal_files(trace, &load(&file, &[]), &mut tally);
    }
    println!("recorded traces: {tally:?}");
    assert!(tally.preemptions > 0 && tally.clock_changes > 0, "{tally:?}");
}

/// Each request is done at the very instant at which the next one arrives, the last one at the end of the run.
const TO_THE_LAST: &str = "\
name: to-the-last
duration_s: 1
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { constant: { rate_per_s: 100 } }
      lengths: { prompt: { constant: { tok: 1 } }, answer: { constant: { tok: 1 } } }
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: { tensor: 8 }
          step_law: { affine: { base_us: 10000, energy: { per_token: { it_j_per_tok: 1 } } } }
";

#[test]
fn a_request_at_the_last_instant_is_served() {
    let (segments, _) = equal("to the last", &support::load(TO_THE_LAST, &[]));
    let requests = segments.summary.requests;
    assert_eq!((requests.arrived, requests.completed), (100, 100));
}

/// Where the engines differed, in the order in which it was found: a pool that a closed loop had filled stayed full
/// after the queue of a replica had emptied by giving up (three fleets); a draining run's last replica went idle at the
/// instant at which the run had ended; a zone passed its thresholds before the first request came.
#[test]
fn fleets_that_once_differed_are_equal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/once_different");
    for name in ["247", "366", "393", "last-iteration", "idle-heat"] {
        let (segments, _) = equal(name, &load(&folder.join(format!("{name}.yaml")), &[]));
        assert!(segments.summary.requests.arrived > 0, "{name}");
    }
}
