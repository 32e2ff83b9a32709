//! Broken scenarios: each is refused with its exact place, a helpful message and exit code 2, and nothing is
//! written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A valid scenario, changed by each case.
const GOOD: &str = "\
duration_s: 60
workload:
  classes:
    - name: chat
      arrivals: { poisson: { rate_per_s: 8 } }
      lengths:
        prompt: { lognormal: { mean_tok: 100, sigma: 1.1, max_tok: 500 } }
      slo: { ttft_ms: 1000 }
routing: power_of_two
fleet:
  sites:
    - name: here
      power:
        cap_mw: 0.1
        cap_fraction: { steps: [{ at_h: 1, value: 0.5 }, { at_h: 2, value: 1 }] }
      pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
";

fn wattmill(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir)
        .args(arguments)
        .output()
        .expect("wattmill runs")
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// `run` refuses the file: exit 2, stdout empty, stderr starts with `place` and has all `words`, nothing written.
#[track_caller]
fn refused(bytes: &[u8], extra: &[&str], place: &str, words: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("a.yaml"), bytes).expect("scenario");
    let mut arguments = vec!["run", "a.yaml"];
    arguments.extend_from_slice(extra);
    let output = wattmill(dir.path(), &arguments);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "stdout: {}", String::from_utf8_lossy(&output.stdout));
    assert!(stderr.starts_with(place), "expected {place}, got: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "expected '{word}' in: {stderr}");
    }
    assert_eq!(entries(dir.path()), ["a.yaml"], "something was written");
    stderr
}

/// The good scenario with `from` replaced by `to` is refused at `line:column`.
#[track_caller]
fn replaced(from: &str, to: &str, at: &str, words: &[&str]) -> String {
    assert!(GOOD.contains(from), "the good scenario has no '{from}'");
    refused(GOOD.replacen(from, to, 1).as_bytes(), &[], &format!("a.yaml:{at}: "), words)
}

/// A line that names its field by path, at `line:column`.
#[track_caller]
fn wrong_value(from: &str, to: &str, at: &str, path: &str, words: &[&str]) {
    let stderr = replaced(from, to, at, words);
    assert!(stderr.starts_with(&format!("a.yaml:{at}: {path}: ")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn the_good_scenario_is_good() {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("a.yaml"), GOOD).expect("scenario");
    let output = wattmill(dir.path(), &["check", "a.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(entries(dir.path()), ["a.yaml"]);
}

#[test]
fn unknown_key() {
    replaced(
        "duration_s: 60",
        "duration_s: 60\nduraton: 3",
        "2:1",
        &["'duraton'", "did you mean 'duration_s'?"],
    );
    replaced(
        "ttft_ms",
        "ttft",
        "8:14",
        &["unknown field 'ttft' in slo", "did you mean 'ttft_ms'?", "tpot_ms"],
    );
    replaced("nodes: 1", "nodes: 1\n          nodez: 2", "20:11", &["'nodez'", "did you mean 'nodes'?"]);
}

#[test]
fn unknown_word() {
    replaced(
        "power_of_two",
        "leest_loaded",
        "9:10",
        &["unknown router 'leest_loaded'", "did you mean 'least_loaded'?"],
    );
    replaced("poisson", "poison", "5:19", &["unknown arrival process 'poison'", "did you mean 'poisson'?"]);
    replaced(
        "lognormal",
        "zipf",
        "7:19",
        &["unknown length distribution 'zipf'", "known: constant, exponential"],
    );
}

#[test]
fn wrong_word_below_a_choice() {
    let probe = "routing:\n  least_loaded: { prob: 2 }";
    replaced(
        "routing: power_of_two",
        probe,
        "10:19",
        &["unknown field 'prob' in least_loaded", "did you mean 'probe'?"],
    );
    replaced(
        "power_of_two",
        "{ power_of_two: { probe: 2 } }",
        "9:28",
        &["'probe' in power_of_two, which has no fields"],
    );
    replaced("{ poisson: {", "{ constant: { rate_per_s: 1 }, poisson: {", "5:48", &["2 keys", "exactly one"]);
}

#[test]
fn missing_field() {
    replaced("{ rate_per_s: 8 }", "{ }", "5:19", &["missing field 'rate_per_s' in poisson"]);
    replaced("          gpu: H100-SXM-80GB\n", "", "17:11", &["missing field 'gpu' in pools.0"]);
    replaced("duration_s: 60\n", "", "1:1", &["duration_s", "is missing", "trace"]);
}

#[test]
fn wrong_type() {
    replaced("nodes: 1", "nodes: many", "19:18", &["nodes is the text 'many'", "whole number"]);
    replaced("nodes: 1", "nodes: 1.5", "19:18", &["nodes is 1.5", "whole number"]);
    replaced("nodes: 1", "nodes: -1", "19:18", &["nodes is -1", "at least 0"]);
    replaced("nodes: 1", "nodes: 1e12", "19:18", &["nodes is 1000000000000", "at most 4294967295"]);
    replaced("name: chat", "name: 7", "4:13", &["name is 7", "quotes"]);
    replaced("cap_mw: 0.1", "cap_mw: [1]", "14:17", &["cap_mw is a list", "a number"]);
    replaced("{ ttft_ms: 1000 }", "3", "8:12", &["slo is 3", "a map with 'ttft_ms' and 'tpot_ms'"]);
    refused(b"- a\n- b\n", &[], "a.yaml:1:1: ", &["the scenario is a list", "a map"]);
    refused(b"hello", &[], "a.yaml:1:1: ", &["the text 'hello'", "'workload' and 'fleet'"]);
}

#[test]
fn not_a_number() {
    replaced("cap_mw: 0.1", "cap_mw: .nan", "14:17", &["cap_mw is .nan", "finite"]);
    replaced("duration_s: 60", "duration_s: .inf", "1:13", &["duration_s is .inf", "finite"]);
    replaced("rate_per_s: 8", "rate_per_s: -.inf", "5:42", &["rate_per_s is -.inf", "finite"]);
}

#[test]
fn senseless_value() {
    let class = "workload.classes.0";
    wrong_value("duration_s: 60", "duration_s: -5", "1:13", "duration_s", &["above 0", "is -5"]);
    wrong_value(
        "duration_s: 60",
        "duration_s: 60\nwarm_up_s: 60",
        "2:12",
        "warm_up_s",
        &["shorter than duration_s"],
    );
    wrong_value(
        "rate_per_s: 8",
        "rate_per_s: 0",
        "5:42",
        &format!("{class}.arrivals.poisson.rate_per_s"),
        &["above 0"],
    );
    wrong_value(
        "sigma: 1.1",
        "sigma: -1",
        "7:54",
        &format!("{class}.lengths.prompt.lognormal.sigma"),
        &["at least 0"],
    );
    wrong_value("cap_mw: 0.1", "cap_mw: -1", "14:17", "fleet.sites.0.power.cap_mw", &["above 0", "is -1"]);
    wrong_value("nodes: 1", "nodes: 0", "19:18", "fleet.sites.0.pools.0.nodes", &["at least 1"]);
    wrong_value(
        "at_h: 2",
        "at_h: 1",
        "15:66",
        "fleet.sites.0.power.cap_fraction.steps.1.at_h",
        &["later than"],
    );
    wrong_value(
        "        cap_mw: 0.1\n",
        "",
        "14:9",
        "fleet.sites.0.power.cap_fraction",
        &["cap_mw, which is missing"],
    );
    wrong_value(
        "- name: here",
        "- name: here\n      static_pue: 0.9",
        "13:19",
        "fleet.sites.0.static_pue",
        &["at least 1"],
    );
    wrong_value(
        "nodes: 1",
        "nodes: 1\n          batching: { max_seqs: 4096 }",
        "20:33",
        "fleet.sites.0.pools.0.batching.max_seqs",
        &["max_step_tok (2048)"],
    );
    wrong_value(
        "nodes: 1",
        "nodes: 1\n          parallel: { tensor: 3 }",
        "20:31",
        "fleet.sites.0.pools.0.parallel.tensor",
        &["divide the 8 GPUs", "1, 2, 4, 8"],
    );
    wrong_value("duration_s: 60", "duration_s: 60\nname: a/b", "2:7", "name", &["result folder"]);
}

#[test]
fn unknown_catalog_name() {
    let pool = "fleet.sites.0.pools.0";
    let gpu = format!("{pool}.gpu");
    wrong_value(
        "H100-SXM-80GB",
        "H100-SXM-80",
        "18:16",
        &gpu,
        &["unknown GPU 'H100-SXM-80'", "mean 'H100-SXM-80GB'?"],
    );
    wrong_value(
        "Llama-3.1-8B",
        "llama-3.1-8b",
        "17:18",
        &format!("{pool}.model"),
        &["did you mean 'Llama-3.1-8B'?"],
    );
    wrong_value(
        "nodes: 1",
        "nodes: 1\n          engine: vlm-0.11",
        "20:19",
        &format!("{pool}.engine"),
        &["unknown serving engine 'vlm-0.11'", "vllm-0.11"],
    );
}

#[test]
fn a_class_that_no_pool_serves() {
    wrong_value(
        "- name: chat",
        "- name: chat\n      model: Llama-2-70B",
        "5:14",
        "workload.classes.0.model",
        &["no pool serves 'Llama-2-70B'", "pools serve Llama-3.1-8B"],
    );
}

#[test]
fn duplicates() {
    replaced("duration_s: 60", "duration_s: 60\nduration_s: 61", "2:1", &["duplicate key 'duration_s'"]);
    let twice = "    - { name: chat, arrivals: { poisson: { rate_per_s: 1 } } }\nrouting: power_of_two";
    wrong_value(
        "routing: power_of_two",
        twice,
        "9:15",
        "workload.classes.1.name",
        &["already a class named 'chat'"],
    );
}

#[test]
fn not_yaml() {
    replaced("  classes:", "\tclasses:", "3:1", &["tab", "spaces"]);
    replaced("{ poisson: {", "{ poisson: {{", "5:29", &["a key must be a text", "'{'"]);
    replaced("duration_s: 60", "duration_s: !ours 60", "1:19", &["tag"]);
    refused(b"duration_s: 'open\n", &[], "a.yaml:1:13: ", &["unclosed quote"]);
    refused(b"workload: *nowhere\n", &[], "a.yaml:1:11: ", &["reference to unknown value"]);
    refused(b"a: 1\n---\na: 2\n", &[], "a.yaml:3:1: ", &["second document"]);
    refused(b"a: b: c\n", &[], "a.yaml:1:5: ", &["not allowed"]);
    refused(b"a:\n   b: 1\n  c: 2\n", &[], "a.yaml:3:3: ", &["block mapping"]);
}

#[test]
fn all_problems_at_once() {
    let broken = GOOD.replace("nodes: 1", "nodes: 0").replace("rate_per_s: 8", "rate_per_s: -8");
    let stderr = refused(broken.as_bytes(), &[], "a.yaml:5:42: ", &["a.yaml:19:18: "]);
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}

#[test]
fn missing_input_file() {
    let class = "arrivals: { poisson: { rate_per_s: 8 } }";
    wrong_value(
        class,
        "arrivals: { rate_curve: { path: day.csv } }",
        "5:39",
        "workload.classes.0.arrivals.rate_curve.path",
        &["'./day.csv'", "no such file"],
    );
    let trace = "arrivals: { trace: { path: a.yaml } }";
    wrong_value(class, trace, "6:7", "workload.classes.0.lengths", &["left out", "trace"]);
}

#[test]
fn no_scenario_at_all() {
    refused(b"", &[], "a.yaml: ", &["is empty"]);
    refused(b"# only a comment\n\n", &[], "a.yaml: ", &["is empty"]);
    refused(b"name: \xff\xfe\n", &[], "a.yaml: ", &["not UTF-8", "line 1"]);
    let dir = tempfile::tempdir().expect("temporary folder");
    for (argument, word) in [("nowhere.yaml", "no such file"), (".", "is a folder")] {
        let output = wattmill(dir.path(), &["run", argument]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with(&format!("{argument}: ")) && stderr.contains(word), "{stderr}");
    }
    assert!(entries(dir.path()).is_empty());
}

/// 200 MB are refused by their size, in little memory.
#[test]
fn a_huge_file() {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::File::create(dir.path().join("a.yaml"))
        .and_then(|file| file.set_len(200_000_000))
        .expect("sparse file");
    let program = env!("CARGO_BIN_EXE_wattmill");
    let output = if cfg!(target_os = "linux") {
        // 150 MB of address space: reading the file would not fit.
        let limited = format!("ulimit -v 150000; exec '{program}' run a.yaml");
        Command::new("sh").args(["-c", &limited]).current_dir(dir.path()).output().expect("sh runs")
    } else {
        wattmill(dir.path(), &["run", "a.yaml"])
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.trim(), "a.yaml: is 200 MB; a scenario is at most 4 MiB");
    assert_eq!(entries(dir.path()), ["a.yaml"]);
}

#[test]
fn hostile_yaml() {
    let deep = "[".repeat(100_000);
    refused(deep.as_bytes(), &[], "a.yaml:1:49: ", &["nested too deeply"]);
    let indented: String = (0..2000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    refused(indented.as_bytes(), &[], "a.yaml:49:49: ", &["nested too deeply"]);
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let before = format!("*a{}, ", i - 1).repeat(9);
        laughs += &format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", "));
    }
    refused(laughs.as_bytes(), &[], "a.yaml:", &["too large", "aliases"]);
}

#[test]
fn wrong_overrides() {
    let cases: [(&str, &[&str]); 14] = [
        ("fleet.sites.0.nodes=4", &["unknown field 'nodes' in fleet.sites.0"]),
        ("fleet.sites.0.pools.0.nodez=4", &["'nodez'", "did you mean 'nodes'?"]),
        ("fleet.sites.1.name=x", &["index 1 is out of range", "fleet.sites has one entry, 0"]),
        ("fleet.sites.dallas.name=x", &["fleet.sites is a list", "fleet.sites.0"]),
        ("duration_s.x=1", &["duration_s is a single value"]),
        ("routing.leest_loaded.probe=1", &["'leest_loaded'", "did you mean 'least_loaded'?"]),
        ("routing.random.x=1", &["'random' has no fields"]),
        ("routing={ least_loaded: { prob: 1 } }", &["'prob'", "did you mean 'probe'?"]),
        ("workload.classes.0.arrivals.diurnal.mean_per_s=1", &["missing field 'peak_to_mean' in diurnal"]),
        ("fleet.sites.0.power.cap_mw=-1", &["must be above 0, is -1"]),
        ("duration_s=.nan", &["duration_s is .nan"]),
        ("seed=[1,", &["not YAML"]),
        ("seed", &["a path and a value"]),
        ("fleet..sites=1", &["empty part"]),
    ];
    for (set, words) in cases {
        let stderr = refused(GOOD.as_bytes(), &["--set", set], &format!("--set {set}: "), words);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_file_field_that_an_override_makes_wrong_keeps_its_own_place() {
    refused(
        GOOD.as_bytes(),
        &["--set", "fleet.sites.0.pools.0.model=Llama-2-70B", "--set", "fleet.sites.0.pools.0.gpu=A1"],
        "--set fleet.sites.0.pools.0.gpu=A1: ",
        &["unknown GPU 'A1'"],
    );
    refused(
        GOOD.as_bytes(),
        &["--set", "fleet.sites.0.power={}", "--set", "warm_up_s=99"],
        "--set warm_up_s=99: ",
        &["shorter than duration_s (60)"],
    );
}

#[test]
fn result_folders() {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("a.yaml"), GOOD).expect("scenario");
    fs::write(dir.path().join("plain"), "").expect("file");
    fs::create_dir(dir.path().join("theirs")).expect("folder");
    fs::write(dir.path().join("theirs/thesis.txt"), "years of work").expect("file");
    fs::create_dir(dir.path().join("other")).expect("folder");
    let other = r#"{ "schema_version": 1, "scenario": { "hash": "0123456789abcdef" } }"#;
    fs::write(dir.path().join("other/summary.json"), other).expect("file");
    let before = entries(dir.path());
    let cases: [(&[&str], &str); 6] = [
        (&["-o", "plain"], "is a file"),
        (&["-o", "plain/below"], "is not a folder"),
        (&["-o", "theirs"], "did not write"),
        (&["-o", "other"], "another scenario (hash 01234567"),
        (&["-o", "."], "name a folder"),
        (&["-o", "../", "--force"], "name a folder"),
    ];
    for (extra, word) in cases {
        let output = wattmill(dir.path(), &[&["run", "a.yaml"], extra].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{extra:?}: {stderr}");
        assert!(stderr.contains(word), "{extra:?}: {stderr}");
        assert_eq!(entries(dir.path()), before, "{extra:?}");
    }
    // --force never takes the scenario itself.
    fs::copy(dir.path().join("a.yaml"), dir.path().join("theirs/a.yaml")).expect("copy");
    let output = wattmill(dir.path(), &["run", "theirs/a.yaml", "-o", "theirs", "--force"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds the scenario"));
    assert!(dir.path().join("theirs/thesis.txt").exists());
}

#[test]
fn wrong_arguments() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for arguments in
        [&["run"][..], &["runn", "a.yaml"], &["run", "a.yaml", "--bogus"], &["run", "a.yaml", "--seed", "x"]]
    {
        assert_eq!(wattmill(dir.path(), arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(wattmill(dir.path(), &["--help"]).status.code(), Some(0));
}
