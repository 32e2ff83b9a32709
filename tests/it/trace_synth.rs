//! `wattmill trace synth`: presets hold what they say of the public data, and a fit's trace is what its scenario draws.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wattmill::workload::describe::{DescribeOptions, Description, describe};
use wattmill::workload::synth::{Preset, SynthOptions, write_fitted, write_trace};

use crate::support::{catalog, close, load_file};

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/traces").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: {name} is not on this machine");
        return None;
    }
    Some(path)
}

fn described(path: &Path) -> Description {
    describe(path, &DescribeOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn preset(preset: Preset, requests: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("t.csv");
    let options = SynthOptions { requests: Some(requests), ..SynthOptions::default() };
    write_trace(&path, preset, &options).unwrap_or_else(|error| panic!("{error}"));
    (dir, path)
}

/// Column `i` of the last `columns` of a CSV, sorted.
fn column(path: &Path, i: usize) -> Vec<f64> {
    let text = fs::read_to_string(path).expect("trace");
    let mut values: Vec<f64> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(i).expect("column").parse().expect("number"))
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Largest distance between the distributions of two sorted samples.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let below = |values: &[f64], x: f64| values.partition_point(|v| *v <= x) as f64 / values.len() as f64;
    a.iter().chain(b).map(|&x| (below(a, x) - below(b, x)).abs()).fold(0.0, f64::max)
}

#[test]
fn presets_hold_the_distributions_of_their_originals() {
    // The largest distances stated in the help and in traces/README.md, with the noise of samples of this size.
    for (of, file, requests, prompt, output) in [
        (Preset::Azure2023Conversation, "AzureLLMInferenceTrace2023_conv.csv", 200_000, 0.08, 0.06),
        (Preset::Azure2023Code, "AzureLLMInferenceTrace2023_code.csv", 200_000, 0.02, 0.06),
        (Preset::MooncakeConversation, "mooncake_conversation.csv", 200_000, 0.015, 0.02),
    ] {
        let Some(original) = shared(file) else { continue };
        let (_dir, path) = preset(of, requests);
        let (d, want) = (described(&path), described(&original));
        for (name, i, limit, got, original_mean) in [
            ("prompt", 1, prompt, d.all.prompt_tok.mean, want.all.prompt_tok.mean),
            ("output", 2, output, d.all.output_tok.mean, want.all.output_tok.mean),
        ] {
            let ks = distance(&column(&path, i), &column(&original, i));
            println!("{} {name}: KS {ks:.4}, mean {got:.1} of {original_mean:.1}", of.name());
            assert!(ks < limit, "{} {name}: {ks}", of.name());
            close(of.name(), got, original_mean, 0.02);
        }
        close(of.name(), d.all.rate_per_s.mean.expect("rate"), want.all.rate_per_s.mean.expect("rate"), 0.05);
        for (got, want) in [
            (d.all.prompt_tok.p90, want.all.prompt_tok.p90),
            (d.all.prompt_tok.p99, want.all.prompt_tok.p99),
            (d.all.output_tok.p90, want.all.output_tok.p90),
            (d.all.output_tok.p99, want.all.output_tok.p99),
        ] {
            close(of.name(), f64::from(got), f64::from(want), 0.06);
        }
    }
}

#[test]
fn bursts_of_the_originals_are_kept_roughly() {
    let index = |d: &Description, window_s: f64| {
        d.all.dispersion.iter().find(|w| w.window_s == window_s).expect("windows").index
    };
    for (of, file, windows) in [
        (Preset::Azure2023Code, "AzureLLMInferenceTrace2023_code.csv", &[1.0, 10.0, 60.0][..]),
        (Preset::MooncakeConversation, "mooncake_conversation.csv", &[1.0, 10.0, 60.0]),
    ] {
        let Some(original) = shared(file) else { continue };
        let want = described(&original);
        let (_dir, path) = preset(of, want.requests);
        let d = described(&path);
        for &window_s in windows {
            let (got, want) = (index(&d, window_s), index(&want, window_s));
            println!("{} over {window_s} s: {got:.2}, original {want:.2}", of.name());
            assert!((0.5..2.0).contains(&(got / want)), "{} over {window_s} s: {got} of {want}", of.name());
        }
    }
}

#[test]
fn reasoning_has_the_published_quantiles() {
    let (_dir, path) = preset(Preset::ServegenReasoning, 300_000);
    let d = described(&path);
    let output = &d.all.output_tok;
    // ServeGen, DeepSeek-R1.
    for (got, want, off) in [
        (output.mean, 1527.0, 0.02),
        (f64::from(output.p50), 792.0, 0.02),
        (f64::from(output.p90), 3432.0, 0.02),
        (f64::from(output.p99), 12_607.0, 0.03),
    ] {
        close("output", got, want, off);
    }
    let thinking = column(&path, 3);
    assert_eq!(thinking.len(), 300_000);
    for (name, i) in [("input_tokens", 1), ("output_tokens", 2)] {
        let Some(table) = shared(&format!("servegen_reason_deepseek-r1_{name}_pooled_quantiles.csv")) else {
            continue;
        };
        let (values, quantiles) = (column(&path, i), fs::read_to_string(table).expect("quantiles"));
        let mut worst = 0.0_f64;
        for line in quantiles.lines().skip(1) {
            let (q, x) = line.split_once(',').expect("two columns");
            let (q, x): (f64, f64) = (q.parse().expect("share"), x.parse().expect("tokens"));
            // The published value stands for a range of shares where many requests have it.
            let at = |x: f64| values.partition_point(|v| *v <= x) as f64 / values.len() as f64;
            worst = worst.max((at(x - 1.0) - q).max(q - at(x)).max(0.0));
        }
        println!("{name}: shares within {worst:.4}");
        assert!(worst < 0.02, "{name}: {worst}");
    }
}

#[test]
fn limits_of_number_and_time() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("t.csv");
    let made = |requests, duration_s| {
        let options = SynthOptions { requests, duration_s, ..SynthOptions::default() };
        write_trace(&path, Preset::Azure2023Conversation, &options).map_err(|e| e.to_string())
    };
    let hour = made(None, Some(3600.0)).expect("an hour");
    close("requests of an hour", hour.requests as f64, 5.53 * 3600.0, 0.06);
    assert!(hour.last_s <= 3600.0 && hour.last_s > 3590.0);
    // Whichever comes first.
    assert_eq!(made(Some(100), Some(3600.0)).expect("a hundred").requests, 100);
    assert!(made(Some(1_000_000), Some(60.0)).expect("a minute").requests < 600);
    for (requests, duration_s, part) in [
        (Some(0), None, "requests"),
        (None, Some(-1.0), "duration_s"),
        (None, Some(f64::NAN), "duration_s"),
        (None, Some(1e-9), "before the first"),
    ] {
        let error = made(requests, duration_s).expect_err(part);
        assert!(error.contains(part), "{error}");
    }
}

const FIT: &str = "duration_s: 500\nstart_at_h: 6\nworkload:\n  classes:\n    \
    - { name: 'a, b', arrivals: { gamma: { rate_per_s: 3, cv: 2 } } }\n    \
    - { name: c, arrivals: { poisson: { rate_per_s: 1 } }, lengths: { prompt: { constant: { tok: 9 } } } }\n";

#[test]
fn a_fits_trace_is_what_its_scenario_draws() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (fit, trace) = (dir.path().join("fit.yaml"), dir.path().join("t.csv"));
    fs::write(&fit, FIT).expect("fit");
    let options = SynthOptions { seed: 5, ..SynthOptions::default() };
    let made = write_fitted(&trace, &fit, &options).unwrap_or_else(|error| panic!("{error}"));
    let scenario = dir.path().join("s.yaml");
    fs::write(&scenario, format!("{FIT}seed: 5\nfleet: {{ sites: [{{ pools: [{{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }}] }}] }}\n")).expect("scenario");
    let resolved = load_file(&scenario, &[], catalog());
    let workload = wattmill::workload::Workload::open(&resolved.scenario, &resolved.base_dir, &catalog())
        .expect("workload");
    let mut stream = workload.stream().expect("stream");
    let mut lines = vec!["arrival_s,prompt_tok,output_tok,class".to_owned()];
    while let Some(r) = stream.next().expect("request") {
        let us = r.arrival_fs / 1_000_000_000;
        let s = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
        let s = s.trim_end_matches('0').trim_end_matches('.');
        let class = ["\"a, b\"", "c"][usize::from(r.class)];
        lines.push(format!("{s},{},{},{class}", r.prompt_tok, r.output_tok));
    }
    assert_eq!(made.requests as usize, lines.len() - 1);
    let text = fs::read_to_string(&trace).expect("trace");
    for (got, want) in text.lines().zip(&lines) {
        assert_eq!(got, want);
    }
    // So many requests, however long it takes; and it can be described.
    let options = SynthOptions { requests: Some(10_000), ..options };
    assert_eq!(write_fitted(&trace, &fit, &options).expect("more").requests, 10_000);
    let names: Vec<String> = described(&trace).classes.into_iter().map(|c| c.name).collect();
    assert!(names.contains(&"a, b".to_owned()), "{names:?}");
}

#[test]
fn fits_that_cannot_be_drawn_from_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let run = |text: &str| {
        fs::write(dir.path().join("fit.yaml"), text).expect("fit");
        let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(dir.path())
            .args(["trace", "synth", "--fit", "fit.yaml", "-o", "t.csv"])
            .output()
            .expect("wattmill runs");
        assert!(!dir.path().join("t.csv").exists());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (from, to, part) in [
        ("rate_per_s: 3", "rate_per_z: 3", "fit.yaml:5:"),
        ("rate_per_s: 3", "rate_per_s: -3", "workload.classes.0.arrivals.gamma.rate_per_s"),
        ("cv: 2", "cv: 0", "cv: fit.yaml: is 0; it must lie in 0.01..=30"),
        (
            "gamma: { rate_per_s: 3, cv: 2 }",
            "closed_loop: { in_flight: 3 }",
            "closed loop depend on the fleet",
        ),
        ("gamma: { rate_per_s: 3, cv: 2 }", "trace: { path: x.csv }", "it replays a trace"),
        ("duration_s: 500\n", "", "duration_s"),
        ("start_at_h", "fleet: {}\nstart_at_h", "fit.yaml:2:1"),
    ] {
        let (code, said) = run(&FIT.replace(from, to));
        assert!(code == Some(2) && said.contains(part), "{part}: {said}");
    }
    // Neither or both sources.
    for arguments in
        [&["-o", "t.csv"][..], &["--preset", "azure-2023-code", "--fit", "fit.yaml", "-o", "t.csv"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(dir.path())
            .args(["trace", "synth"])
            .args(arguments)
            .output()
            .expect("wattmill runs");
        assert_eq!(output.status.code(), Some(2));
    }
}
