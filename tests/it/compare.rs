//! Scenarios side by side: against algebra, against themselves, through result folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use wattmill::scenario::Resolved;
use wattmill::study::batch::Progress;
use wattmill::study::compare::{Cell, Comparison, METRICS, Side, compare};

use crate::support::{catalog, close, load, load_file};

#[track_caller]
fn side_by_side(scenarios: &[Resolved], seeds: u32) -> Comparison {
    let named: Vec<(String, Resolved)> =
        scenarios.iter().enumerate().map(|(i, resolved)| (format!("s{i}"), resolved.clone())).collect();
    let progress = Progress { go_on: &|| true, runs: &|_| (), run_done: &|| () };
    compare(&named, seeds, &progress).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn cell(side: &Side, path: &str) -> Cell {
    let at = METRICS.iter().position(|(known, _, _)| *known == path);
    side.cells[at.unwrap_or_else(|| panic!("{path} is not compared"))]
}

fn paper(cap_mw: f64) -> Resolved {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/paper-fleet.yaml");
    let sets = [
        "workload.classes.0.arrivals.closed_loop.in_flight=10240".to_string(),
        "fleet.sites.0.pools.0.nodes=10".to_string(),
        format!("fleet.sites.0.power.cap_mw={cap_mw}"),
        "duration_s=40".to_string(),
    ];
    load_file(&path, &sets, catalog())
}

const CHAT: &str = "\
name: chat
duration_s: 120
workload:
  classes:
    - name: chat
      arrivals: { poisson: { rate_per_s: 40 } }
      slo: { ttft_ms: 1000, tpot_ms: 50 }
fleet:
  sites:
    - name: hall
      static_pue: 1.2
      pools: [{ name: large, model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }]
";

/// Below the switch tokens follow the cap, and a token's joules do not.
#[test]
fn two_caps_differ_as_the_production_function_says() {
    let answer = side_by_side(&[paper(0.09), paper(0.06)], 2);
    let other = &answer.sides[1];
    let output = cell(other, "throughput.output_tok_per_s");
    close("output", output.relative.expect("relative"), -1.0 / 3.0, 1e-6);
    close(
        "difference",
        output.difference.expect("difference").mean,
        -0.03e6 / 1.1 / 10_401.0 * 102_909.0,
        1e-6,
    );
    assert!(output.differs());
    close("power", cell(other, "power_w.facility.mean").relative.expect("relative"), -1.0 / 3.0, 1e-6);
    assert!(cell(other, "j_per_output_token.facility").relative.expect("relative").abs() < 1e-9);
    assert_eq!(cell(other, "quality.accuracy").mean, None, "no class has difficulty");
    let changes: Vec<&str> = answer.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(changes, ["fleet.sites.0.power.cap_mw"]);
    assert_eq!(answer.changes[0].values, [Some(json!(0.09)), Some(json!(0.06))]);
    assert_eq!(answer.changes[0].place, "paper");
}

/// A PUE divides nothing where no cap binds: the same requests, the same IT joules, seed by seed; at the meter 1.3/1.2.
#[test]
fn the_meter_alone_sees_the_pue() {
    let answer = side_by_side(&[load(CHAT, &[]), load(CHAT, &["fleet.sites.0.static_pue=1.3"])], 3);
    let other = &answer.sides[1];
    assert!(other.paired);
    for path in
        ["throughput.useful_tok_per_s", "latency_s.ttft.p99", "j_per_output_token.it", "slo_attainment"]
    {
        let difference = cell(other, path).difference.unwrap_or_else(|| panic!("no {path}"));
        assert_eq!((difference.mean, difference.ci95_low, difference.ci95_high), (0.0, 0.0, 0.0), "{path}");
    }
    for path in ["j_per_output_token.facility", "power_w.facility.mean", "pue.mean"] {
        let got = cell(other, path);
        close(path, got.relative.expect("relative"), 1.3 / 1.2 - 1.0, 1e-9);
        assert!(got.differs(), "{path}");
    }
}

#[test]
fn a_scenario_does_not_differ_from_itself() {
    let answer = side_by_side(&[load(CHAT, &[]), load(CHAT, &["name=other", "seed=9"])], 2);
    assert!(answer.identical() && answer.sides[1].paired);
    assert_eq!(answer.seeds[0], answer.sides[0].info.seed, "seeds are those of the base");
    assert!(answer.sides[1].cells.iter().all(|cell| !cell.differs()));
    assert_eq!(answer.sides[0].timeline, answer.sides[1].timeline);
}

#[test]
fn other_requests_do_not_pair() {
    let rate = "workload.classes.0.arrivals.poisson.rate_per_s=50";
    let answer = side_by_side(&[load(CHAT, &[]), load(CHAT, &[rate, "duration_s=60"])], 2);
    assert!(!answer.sides[1].paired);
    assert_eq!(answer.sides[1].info.duration_s, 60.0);
    let pool =
        |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let again = |threads| pool(threads).install(|| side_by_side(&[load(CHAT, &[]), load(CHAT, &[rate])], 2));
    assert_eq!(format!("{:?}", again(1)), format!("{:?}", again(3)));
}

// ---------------------------------------------------------------- command

fn wattmill(dir: &Path, arguments: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_wattmill");
    Command::new(binary).current_dir(dir).args(arguments).output().expect("wattmill runs")
}

#[track_caller]
fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn two_files() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("a.yaml"), CHAT).expect("scenario");
    let b = CHAT.replace("name: chat\nduration", "name: warm\nduration").replace("1.2", "1.3");
    fs::write(dir.path().join("b.yaml"), b).expect("scenario");
    let path = dir.path().to_path_buf();
    (dir, path)
}

#[test]
fn the_command_shows_tables_changes_and_ribbons() {
    let (_keep, dir) = two_files();
    let text = stdout(&wattmill(&dir, &["compare", "a.yaml", "b.yaml", "--seeds", "2", "-o", "out"]));
    assert!(text.contains("fleet.sites.0.static_pue (hall): 1.2 → 1.3"), "{text}");
    assert!(text.contains("+8.3 % *"), "{text}");
    assert!(text.contains("What binds, over time"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("warm  ░")), "{text}");
    let files =
        ["summary.json", "metrics.csv", "figures/compare.svg", "figures/compare.png", "figures/compare.csv"];
    for file in files {
        assert!(dir.join("out").join(file).is_file(), "{file}");
    }
    let svg = fs::read_to_string(dir.join("out/figures/compare.svg")).expect("figure");
    assert!(svg.contains("chat") && svg.contains("warm"));
    let json: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("out/summary.json")).expect("summary"))
            .expect("JSON");
    let pue = &json["scenarios"][1]["metrics"]["pue.mean"];
    close("PUE", pue["value"]["mean"].as_f64().expect("a mean"), 1.3, 1e-9);
    assert_eq!(pue["differs"], true);
    let rows = fs::read_to_string(dir.join("out/metrics.csv")).expect("metrics");
    assert_eq!(rows.lines().count(), 1 + 2 * METRICS.len());
}

#[test]
fn a_result_folder_is_its_scenario() {
    let (_keep, dir) = two_files();
    stdout(&wattmill(&dir, &["run", "a.yaml", "--quiet", "-o", "result"]));
    let text =
        stdout(&wattmill(&dir, &["compare", "a.yaml", "result", "--seeds", "2", "--set", "duration_s=30"]));
    assert!(text.contains("The scenarios are identical"), "{text}");
    // Both are called chat: they go by what was written.
    assert!(text.contains("a.yaml · result"), "{text}");
    let json = stdout(&wattmill(&dir, &["compare", "b.yaml", "result", "--seeds", "2", "--json"]));
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["identical"], false);
    assert_eq!(json["changes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn unlike_runs_are_said_loudly() {
    let (_keep, dir) = two_files();
    let c = CHAT.replace("name: chat\nduration_s: 120", "name: busy\nduration_s: 60").replace("40", "50");
    fs::write(dir.join("c.yaml"), c).expect("scenario");
    let text = stdout(&wattmill(&dir, &["compare", "a.yaml", "c.yaml", "--seeds", "2"]));
    assert!(
        text.contains("chat lasts 2 min, busy 60 s") || text.contains("chat lasts 120 s, busy 60 s"),
        "{text}"
    );
    assert!(text.contains("busy has another workload (or start) than chat"), "{text}");
}

#[test]
fn what_is_no_scenario_is_refused() {
    let (_keep, dir) = two_files();
    fs::create_dir(dir.join("empty")).expect("folder");
    for (arguments, says) in [
        (&["compare", "a.yaml"][..], "2"),
        (&["compare", "a.yaml", "empty"], "holds no scenario.resolved.yaml"),
        (&["compare", "a.yaml", "none.yaml"], "there is no such file"),
        (&["compare", "a.yaml", "b.yaml", "--set", "durations=3"], "did you mean 'duration_s'?"),
    ] {
        let output = wattmill(&dir, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
}
