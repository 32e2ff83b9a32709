//! The search for a size, against closed forms: the Token Production Function, M/D/1, Erlang; its interval, by repetition.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use wattmill::scenario::{Draft, LoadOptions};
use wattmill::study::batch::{Progress, StudyError};
use wattmill::study::metric::Condition;
use wattmill::study::size::{
    Axis, Direction, FrontierQuestion, Prices, Question, Sizing, Unfound, frontier, size,
};

use crate::support::{catalog, close};

const QUIET: Progress = Progress { go_on: &|| true, runs: &|_| (), run_done: &|| () };

/// Tokens per second and watts of the paper's node, and its PUE.
const NODE_TOK_S: f64 = 102_909.0;
const NODE_W: f64 = 10_401.0;
const PUE: f64 = 1.1;

fn question(find: &str, (min, max): (f64, f64), slo: &[&str]) -> Question {
    let conditions = slo.iter().map(|text| Condition::parse(text).expect("a condition")).collect();
    Question { find: find.into(), min, max, conditions, tolerance: 0.01, scan: 5, seeds: 2 }
}

fn options(sets: &[String]) -> LoadOptions {
    LoadOptions { sets: sets.to_vec(), ..LoadOptions::new(catalog()) }
}

fn paper() -> (Draft, LoadOptions) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/paper-fleet.yaml");
    let sets = [
        "workload.classes.0.arrivals.closed_loop.in_flight=10240",
        "fleet.sites.0.pools.0.nodes=10",
        "fleet.sites.0.power.cap_mw=1",
        "duration_s=40",
    ];
    (Draft::read(&path).expect("a file"), options(&sets.map(String::from)))
}

#[track_caller]
fn ask((draft, load): &(Draft, LoadOptions), question: &Question) -> Sizing {
    size(draft, load, question, &QUIET).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused((draft, load): &(Draft, LoadOptions), question: &Question) -> String {
    match size(draft, load, question, &QUIET) {
        Ok(answer) => panic!("{answer:?}"),
        Err(StudyError::Run(error)) => panic!("{error}"),
        Err(error) => error.to_string(),
    }
}

const CAP: &str = "fleet.sites.0.power.cap_mw";
const NODES: &str = "fleet.sites.0.pools.0.nodes";

/// PHYSICS §1: an output Q needs a cap of Q·PUE·10,401 W/102,909 tok/s.
#[test]
fn the_cap_that_an_output_needs() {
    for share in [0.31, 0.83] {
        let output = share * 10.0 * NODE_TOK_S;
        let cap_mw = output * PUE * NODE_W / NODE_TOK_S * 1e-6;
        let slo = format!("throughput.output_tok_per_s>={output}");
        for tolerance in [0.05, 0.001] {
            let question = Question { tolerance, ..question(CAP, (0.02, 0.2), &[&slo]) };
            let answer = ask(&paper(), &question);
            assert_eq!(answer.direction, Some(Direction::Smallest));
            assert!(answer.monotone() && answer.contradictions.is_empty());
            let (low, high) = (answer.low.expect("low"), answer.high.expect("high"));
            assert!(low <= cap_mw && cap_mw <= high, "{low} to {high} does not hold {cap_mw}");
            // A closed loop is the same under every seed: what is left are the steps.
            assert!(high / low <= 1.0 + 1.01 * tolerance, "{low} to {high}");
            assert_eq!(answer.found, Some(high));
            // Bisection: four steps of the scan, then halves.
            let cells = (10.0_f64.ln() / tolerance.ln_1p()).ceil() / 4.0;
            assert!(answer.trail.len() <= 5 + cells.log2().ceil() as usize, "{} values", answer.trail.len());
        }
    }
}

/// Six and a half nodes' worth of tokens need seven nodes, and seven feed no more than seven nodes' worth.
#[test]
fn nodes_are_found_to_the_node() {
    let slo = format!("throughput.output_tok_per_s>={}", 6.5 * NODE_TOK_S);
    let answer = ask(&paper(), &question(NODES, (1.0, 10.0), &[&slo]));
    assert_eq!((answer.found, answer.low, answer.high), (Some(7.0), Some(7.0), Some(7.0)));
    // The largest fleet under a power limit, measured: the same from above.
    let slo = format!("power_w.facility.max<={}", 6.5 * NODE_W * PUE);
    let answer = ask(&paper(), &question(NODES, (1.0, 10.0), &[&slo]));
    assert_eq!(answer.direction, Some(Direction::Largest));
    assert_eq!((answer.found, answer.low, answer.high), (Some(6.0), Some(6.0), Some(6.0)));
}

#[test]
fn what_cannot_be_found_is_told_with_its_reason() {
    let of_nodes = |nodes: f64| format!("throughput.output_tok_per_s>={}", nodes * NODE_TOK_S);
    let answer = ask(&paper(), &question(NODES, (3.0, 9.0), &[&of_nodes(2.0)]));
    assert_eq!((answer.found, answer.unfound), (None, Some(Unfound::BothEndsMeet)));
    assert!(answer.monotone());
    let answer = ask(&paper(), &question(NODES, (3.0, 9.0), &[&of_nodes(9.5)]));
    assert_eq!((answer.found, answer.unfound), (None, Some(Unfound::NeitherEndMeets)));
    assert!(answer.monotone());
    // Enough tokens, but not too many watts: between the ends alone.
    let watts = format!("power_w.facility.max<={}", 7.5 * NODE_W * PUE);
    let answer = ask(&paper(), &question(NODES, (1.0, 9.0), &[&of_nodes(4.5), &watts]));
    assert_eq!(answer.unfound, Some(Unfound::NeitherEndMeets));
    assert!(!answer.monotone());
    let values: Vec<f64> = answer.contradictions.iter().map(|c| c.value).collect();
    assert_eq!(values, [5.0, 7.0]);
}

/// One replica that advances `servers` sequences by a token each step of 10 ms.
fn queue(servers: u32, rate_per_s: f64, answer: &str, duration_s: f64) -> (tempfile::TempDir, Draft) {
    let text = format!(
        "\
duration_s: {duration_s}
warm_up_s: {}
workload:
  classes:
    - name: jobs
      arrivals: {{ poisson: {{ rate_per_s: {rate_per_s} }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 1 }} }}, answer: {answer} }}
report: {{ interval_s: {duration_s} }}
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          parallel: {{ tensor: 8 }}
          batching: {{ max_seqs: {servers}, kv_blocks: 100000000 }}
          step_law:
            affine: {{ base_us: 10000, energy: {{ per_state: {{ idle_w: 100, base_w: 1000 }} }} }}
",
        0.1 * duration_s
    );
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("queue.yaml");
    fs::write(&path, text).expect("scenario");
    let draft = Draft::read(&path).expect("a file");
    (dir, draft)
}

const RATE: &str = "workload.classes.0.arrivals.poisson.rate_per_s";

/// M/D/1 with service s: the mean delay is W at the load 2W/(s + 2W) (Pollaczek and Khinchine). Forty searches, each under
/// seeds of its own: their 95 % intervals hold the true rate, but for a few. Fewer than 34 of 40 would be seen once in 300
/// times.
#[test]
fn intervals_hold_the_largest_load_as_often_as_they_say() {
    let (service_s, delay_s) = (0.5, 0.5);
    let rate = 2.0 * delay_s / (service_s + 2.0 * delay_s) / service_s;
    let (_dir, draft) = queue(1, 1.0, "{ constant: { tok: 50 } }", 800.0);
    let slo = format!("latency_s.queue.mean<={delay_s}");
    let question = Question { tolerance: 0.002, seeds: 8, ..question(RATE, (0.8, 1.8), &[&slo]) };
    let (mut held, mut widths, mut errors) = (0, Vec::new(), Vec::new());
    for seed in 0..40_u32 {
        let load = options(&[format!("seed={}", 1000 * seed)]);
        let answer = size(&draft, &load, &question, &QUIET).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer.direction, Some(Direction::Largest));
        let (low, high) = (answer.low.expect("low"), answer.high.expect("high"));
        let found = answer.found.expect("found");
        assert!(low <= found && found <= high, "{answer:?}");
        held += u32::from(low <= rate && rate <= high);
        widths.push(high / low - 1.0);
        errors.push((found / rate).ln());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    println!("{held} of 40 held; widths {:.4}; mean error {:+.4}", mean(&widths), mean(&errors));
    assert!((34..=40).contains(&held), "{held} of 40");
    // An interval that holds everything would say nothing.
    assert!(mean(&widths) < 0.15, "{widths:?}");
    // Four standard errors of forty searches, were each off by half of its interval.
    assert!(mean(&errors).abs() < 4.0 * mean(&widths) / 4.0 / 40.0_f64.sqrt() + 0.002, "{errors:?}");
}

/// M/M/c: with 12 busy servers' worth of work, Erlang's C gives delays that fall by about half with each server. The limit
/// lies between those of 14 and 15, so that steps of 10 ms do not matter.
#[test]
fn erlang_says_how_many_servers() {
    let mean_tok = 60.0_f64;
    // Whole tokens: geometric.
    let service_s = 0.01 / -(-1.0 / mean_tok).exp_m1();
    let rate = 12.0 / service_s;
    let delay_s = |servers: u32| {
        let offered = rate * service_s;
        let blocked =
            (1..=servers).fold(1.0, |blocked, k| offered * blocked / (f64::from(k) + offered * blocked));
        let load = offered / f64::from(servers);
        let waits = blocked / (1.0 - load * (1.0 - blocked));
        waits * service_s / (f64::from(servers) * (1.0 - load))
    };
    let limit_s = (delay_s(14) * delay_s(15)).sqrt();
    assert!(delay_s(14) - limit_s > 0.02 && limit_s - delay_s(15) > 0.02, "steps would matter");
    let (_dir, draft) = queue(1, rate, "{ exponential: { mean_tok: 60 } }", 600.0);
    let slo = format!("latency_s.queue.mean<={limit_s}");
    let servers = "fleet.sites.0.pools.0.batching.max_seqs";
    let question = Question { seeds: 8, ..question(servers, (10.0, 64.0), &[&slo]) };
    let answer = size(&draft, &options(&[]), &question, &QUIET).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.found, Some(15.0), "{answer:#?}");
    let (low, high) = (answer.low.expect("low"), answer.high.expect("high"));
    assert!(low <= 15.0 && 15.0 <= high && high - low <= 2.0, "{low} to {high}");
}

#[test]
fn the_answer_does_not_depend_on_threads() {
    let (_dir, draft) = queue(4, 1.0, "{ exponential: { mean_tok: 50 } }", 200.0);
    let question = Question { seeds: 3, ..question(RATE, (1.0, 9.0), &["latency_s.e2e.p90<=2"]) };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        format!("{:?}", pool.install(|| size(&draft, &options(&[]), &question, &QUIET)))
    };
    assert_eq!(on(1), on(4));
}

#[test]
fn bad_questions_are_answered_with_what_would_be_right() {
    let slo = ["slo_attainment>=0.9"];
    let cases = [
        (question(NODES, (1.0, 9.0), &["latency_s.tfft.p99<=1"]), "did you mean 'ttft'?"),
        (question(NODES, (1.0, 9.0), &["latency_s.ttft<=1"]), "latency_s.ttft.mean"),
        (question(NODES, (1.0, 9.0), &["scenario.name<=1"]), "is not a number"),
        (question(NODES, (1.5, 9.0), &slo), "whole numbers"),
        (question(NODES, (9.0, 9.0), &slo), "--min must be below --max"),
        (question("fleet.sites.0.pools.0.nodess", (1.0, 9.0), &slo), "did you mean 'nodes'?"),
        (question("fleet.sites.0.name", (1.0, 2.0), &slo), "expected a text"),
        (question("fleet.sites.0.pools.7.nodes", (1.0, 2.0), &slo), "out of range"),
        (question("fleet.sites.0.static_pue", (0.5, 2.0), &slo), "static_pue"),
    ];
    for (question, says) in cases {
        let text = refused(&paper(), &question);
        assert!(text.contains(says), "{text}");
    }
}

/// A cap that carries four nodes at 0.8 of their clock, and eight at 0.4: eight cost more for the same. 100 kW carry all.
/// Useful tokens come in lumps, with the end of the requests of a full replica, some ten of them in the run.
#[test]
fn the_frontier_is_that_of_the_production_function() {
    let cap_mw = 0.8 * 4.0 * NODE_W * PUE * 1e-6;
    let cycle_s = 1024.0 * 9_950.538_825_564_3e-6;
    let (draft, mut load) = paper();
    load.sets.push(format!("duration_s={}", 12.7 * cycle_s));
    load.sets.push(format!("warm_up_s={}", 2.7 * cycle_s));
    let prices = Prices { usd_per_mwh: 50.0, usd_per_gpu_hour: 2.0 };
    let axes = [(NODES, 4.0, 8.0), (CAP, cap_mw, 0.1)];
    let question = FrontierQuestion {
        axes: axes.map(|(path, min, max)| Axis { path: path.into(), min, max }).to_vec(),
        points: 2,
        conditions: Vec::new(),
        prices: Some(prices),
        seeds: 2,
    };
    let answer = frontier(&draft, &load, &question, &QUIET).unwrap_or_else(|error| panic!("{error}"));
    let table = [(4.0, cap_mw), (4.0, 0.1), (8.0, cap_mw), (8.0, 0.1)];
    for (point, (nodes, cap_mw)) in answer.points.iter().zip(table) {
        assert_eq!(point.values, [nodes, cap_mw]);
        let watts = (nodes * NODE_W * PUE).min(cap_mw * 1e6);
        let tokens = watts / PUE / NODE_W * NODE_TOK_S;
        close("power", point.facility_w.mean, watts, 1e-6);
        close("tokens", point.useful_tok_per_s.mean, tokens, 0.1);
        let usd_per_h = watts * 1e-6 * 50.0 + nodes * 8.0 * 2.0;
        let usd_per_mtok = usd_per_h / (point.useful_tok_per_s.mean * 3600.0 * 1e-6);
        close("cost", point.usd_per_mtok.expect("cost").mean, usd_per_mtok, 1e-6);
        assert_eq!(point.verdict, None);
    }
    let cost = |i: usize| answer.points[i].usd_per_mtok.expect("cost").mean;
    assert!(cost(2) > 1.5 * cost(0) && cost(2) > 1.5 * cost(3), "idle nodes cost");
    // As defined: on the frontier is what no other is at least as good as in everything, and better in something.
    let signed = |i: usize| {
        let p = &answer.points[i];
        [-p.facility_w.mean, p.useful_tok_per_s.mean, p.slo_attainment.expect("a share").mean, -cost(i)]
    };
    for i in 0..4 {
        let own = signed(i);
        let beaten = (0..4).map(signed).any(|other| {
            let gains: Vec<f64> =
                other.iter().zip(&own).map(|(other, own)| (other - own) / own.abs()).collect();
            gains.iter().all(|gain| *gain >= -1e-6) && gains.iter().any(|gain| *gain > 1e-6)
        });
        assert_eq!(answer.points[i].pareto, !beaten, "{answer:#?}");
    }
    // The cheapest watt and the most tokens are on it, whatever else.
    assert!(answer.points[0].pareto && answer.points[3].pareto);
}

// ---------------------------------------------------------------- command

fn wattmill(dir: &Path, arguments: &[&str]) -> Output {
    let paper = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/paper-fleet.yaml");
    Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir)
        .arg("size")
        .arg(paper)
        .args(["--set", "workload.classes.0.arrivals.closed_loop.in_flight=4096"])
        .args(["--set", "fleet.sites.0.power.cap_mw=1", "--set", "duration_s=40", "--seeds", "2"])
        .args(arguments)
        .output()
        .expect("wattmill runs")
}

#[test]
fn the_command_prints_and_writes_the_same_answer() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let slo = format!("throughput.output_tok_per_s>={}", 2.5 * NODE_TOK_S);
    let ask = ["--find", NODES, "--min", "1", "--max", "4", "--slo", &slo];
    let output = wattmill(dir.path(), &[&ask[..], &["--json", "-o", "out"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for key in ["found", "low", "high"] {
        assert_eq!(json[key], 3, "{key}");
    }
    assert_eq!((json["unit"].as_str(), json["direction"].as_str()), (Some("nodes"), Some("smallest")));
    assert_eq!((json["monotone"].as_bool(), json["reason"].is_null()), (Some(true), true));
    let trail = json["trail"].as_array().expect("a trail");
    for point in trail {
        let nodes = point["value"].as_f64().expect("nodes");
        let rate = &point["metrics"]["throughput.output_tok_per_s"];
        close("tokens", rate["mean"].as_f64().expect("a mean"), nodes * NODE_TOK_S, 1e-9);
        assert_eq!(point["met"], nodes >= 2.5);
    }
    let written = fs::read(dir.path().join("out/summary.json")).expect("summary.json");
    assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), json);
    let csv = fs::read_to_string(dir.path().join("out/trail.csv")).expect("trail.csv");
    assert_eq!(csv.lines().count(), 1 + trail.len());
    // The same question may be asked again, another not without --force.
    let again = wattmill(dir.path(), &[&ask[..], &["-o", "out"]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    let text = String::from_utf8(again.stdout).expect("UTF-8");
    assert!(text.contains(": 3 nodes (95 % interval 3 to 3)."), "{text}");
    let other = wattmill(dir.path(), &[&ask[..], &["-o", "out", "--scan", "3"]].concat());
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another question"));
}

#[test]
fn the_command_refuses_what_it_cannot_do() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let find = ["--find", NODES, "--min", "1", "--max", "4"];
    for (arguments, says) in [
        (&["--slo", "slo_attainment=0.9"][..], "compare with >=, <=, > or <"),
        (&["--slo", "slo_atainment>=0.9"], "did you mean 'slo_attainment'?"),
        (&["--slo", "slo_attainment>=most"], "'most' is not a number"),
        (&["--slo", "slo_attainment>=0.9", "--tolerance", "2"], "0.0001 to 0.5"),
        (&["--slo", "slo_attainment>=0.9", "--find", CAP], "each field needs one of both"),
        (&[], "--slo"),
        (&["--frontier", "--usd-per-mwh", "50"], "--usd-per-gpu-hour"),
    ] {
        let output = wattmill(dir.path(), &[&find[..], arguments].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
}

#[test]
fn nothing_found_is_an_answer() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let ask = ["--find", NODES, "--min", "1", "--max", "4", "--slo", "throughput.output_tok_per_s>=1e7"];
    let output = wattmill(dir.path(), &[&ask[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(json["found"].is_null() && json["direction"].is_null());
    assert_eq!(json["reason"], "neither_end_meets");
    let text = String::from_utf8(wattmill(dir.path(), &ask).stdout).expect("UTF-8");
    assert!(text.contains("Nothing found: neither at 1 nodes nor at 4 nodes"), "{text}");
}
