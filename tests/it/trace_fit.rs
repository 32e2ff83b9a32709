//! `wattmill trace fit`: parameters that were put in are found again, and what it writes is part of a scenario.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use wattmill::workload::describe::{DescribeOptions, Description, describe};
use wattmill::workload::fit::{ArrivalFit, Fitted, FittedArrivals, fit};
use wattmill::workload::synth::{SynthOptions, write_fitted};
use wattmill::workload::{Workload, fs_to_seconds};

use crate::support::{catalog, close, load_file};

const LENGTHS: &str = "lengths: { prompt: { lognormal: { mean_tok: 900, sigma: 0.8, max_tok: 8000 } }, \
                       answer: { lognormal: { mean_tok: 200, sigma: 1.1, max_tok: 4000 } } }";
const FLEET: &str =
    "fleet: { sites: [{ pools: [{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }] }] }\n";

fn described(path: &Path) -> Description {
    describe(path, &DescribeOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A trace drawn from a process, described.
fn drawn(process: &str, head: &str) -> (TempDir, Description) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let text =
        format!("{head}\nworkload: {{ classes: [{{ name: chat, arrivals: {process}, {LENGTHS} }}] }}\n");
    fs::write(dir.path().join("truth.yaml"), text).expect("fit");
    let trace = dir.path().join("t.csv");
    write_fitted(&trace, &dir.path().join("truth.yaml"), &SynthOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let description = described(&trace);
    (dir, description)
}

fn fitted(description: &Description, process: ArrivalFit) -> Fitted {
    fit(description, process, None).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_was_put_in_is_found_again() {
    let (_dir, d) = drawn("{ poisson: { rate_per_s: 5 } }", "duration_s: 20000");
    let found = fitted(&d, ArrivalFit::Auto);
    let class = &found.classes[0];
    assert_eq!(class.name, "chat");
    let FittedArrivals::Poisson { rate_per_s } = class.arrivals else { panic!("{:?}", class.arrivals) };
    // 100,000 requests: their number is known to 0.3 %, σ to 0.2 %; four times that.
    close("rate", rate_per_s, 5.0, 0.013);
    close("prompt σ", class.prompt.sigma, 0.8, 0.009);
    close("prompt mean", class.prompt.mean_tok, 900.0, 0.013);
    close("answer σ", class.output.sigma, 1.1, 0.02);
    close("answer mean", class.output.mean_tok, 200.0, 0.02);
    assert_eq!(class.prompt.max_tok, 8000);
    // Its own distribution: below the 0.1 % point of the Kolmogorov distribution, and said to be good.
    assert!(class.prompt.ks_distance < 1.95 / 316.0, "{:?}", class.prompt);
    assert!(!class.prompt.note().contains("poor"));

    let (_dir, d) = drawn("{ gamma: { rate_per_s: 5, cv: 2.5 } }", "duration_s: 20000");
    let class = &fitted(&d, ArrivalFit::Auto).classes[0];
    let FittedArrivals::Gamma { rate_per_s, cv } = class.arrivals else { panic!("{:?}", class.arrivals) };
    // Standard errors: of the rate cv/√n, of the cv √(2 + 6·cv²)/(2√n) of it.
    close("rate", rate_per_s, 5.0, 4.0 * 2.5 / 316.0);
    close("cv", cv, 2.5, 4.0 * 39.5_f64.sqrt() / 2.0 / 316.0);
    // Poisson can be had, and says what it loses.
    let class = &fitted(&d, ArrivalFit::Poisson).classes[0];
    assert!(class.arrivals_note.contains("do not keep"), "{}", class.arrivals_note);
}

#[test]
fn a_day_is_found_with_its_phase() {
    let (_dir, d) = drawn(
        "{ diurnal: { mean_per_s: 2, peak_to_mean: 1.6, peak_at_h: 20.5 } }",
        "duration_s: 259200\nstart_at_h: 0",
    );
    let found = fitted(&d, ArrivalFit::Auto);
    let FittedArrivals::Diurnal { mean_per_s, peak_to_mean, peak_at_h, explained } =
        found.classes[0].arrivals
    else {
        panic!("{:?}", found.classes[0].arrivals)
    };
    // 518,400 requests; amplitude and phase are known to √(2/n) and that over 0.6.
    close("mean", mean_per_s, 2.0, 0.006);
    assert!((peak_to_mean - 1.6).abs() < 0.008, "{peak_to_mean}");
    assert!((peak_at_h - 20.5).abs() < 0.06, "{peak_at_h}");
    assert!(explained > 0.98, "{explained}");
}

/// The fit with a fleet, as a scenario: requests per second, mean prompt and output over a run of its stream.
fn run_of(dir: &Path) -> (f64, f64, f64, f64) {
    let text = fs::read_to_string(dir.join("fit.yaml")).expect("fit");
    let path = dir.join("scenario.yaml");
    fs::write(&path, format!("name: fitted\n{text}{FLEET}")).expect("scenario");
    let resolved = load_file(&path, &[], catalog());
    let workload = Workload::open(&resolved.scenario, &resolved.base_dir, &catalog()).expect("workload");
    let mut stream = workload.stream().expect("stream");
    let (mut n, mut prompt, mut output) = (0.0, 0.0, 0.0);
    while let Some(request) = stream.next().expect("request") {
        n += 1.0;
        prompt += f64::from(request.prompt_tok);
        output += f64::from(request.output_tok);
    }
    let duration_s = fs_to_seconds(workload.duration_fs());
    (n / duration_s, prompt / n, output / n, duration_s)
}

fn fit_command(dir: &Path, trace: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir)
        .args(["trace", "fit", trace, "-o", "fit.yaml", "--force"])
        .args(more)
        .output()
        .expect("wattmill runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn what_is_written_is_part_of_a_scenario_and_offers_the_same_work() {
    let trace = format!("{}/traces/azure-2023-conversation-synth.csv", env!("CARGO_MANIFEST_DIR"));
    let d = described(Path::new(&trace));
    for process in ["auto", "poisson", "gamma"] {
        let dir = tempfile::tempdir().expect("temporary folder");
        fit_command(dir.path(), &trace, &["--arrivals", process]);
        let (rate, prompt, output, duration_s) = run_of(dir.path());
        close("duration", duration_s, d.all.last_s, 1e-5);
        // 6,000 requests: 4 standard errors of their number, of means with σ = 0.97 and 0.87.
        close("rate", rate, d.requests as f64 / d.all.last_s, 0.055);
        close("prompt", prompt, d.all.prompt_tok.mean, 4.0 * 1.1 / 77.0);
        close("output", output, d.all.output_tok.mean, 4.0 * 0.9 / 77.0);
    }
}

#[test]
fn hourly_rates_stand_beside_the_fit() {
    let (dir, d) = drawn(
        "{ diurnal: { mean_per_s: 0.5, peak_to_mean: 1.9, peak_at_h: 3 } }",
        "duration_s: 43200\nstart_at_h: 0",
    );
    let said = fit_command(dir.path(), "t.csv", &["--arrivals", "hourly"]);
    assert!(said.contains("fit-rates-0.csv"), "{said}");
    let (rate, ..) = run_of(dir.path());
    // Two Poisson counts of some 27,000 differ by at most 4·√2/√27,000.
    close("rate", rate, d.requests as f64 / d.all.last_s, 4.0 * 1.41 / 164.0);
    let rates = fs::read_to_string(dir.path().join("fit-rates-0.csv")).expect("rates");
    assert_eq!(rates.lines().count(), 1 + 12);
    // Without a file there is no place for them; a day is not there.
    for (process, part) in [(ArrivalFit::Hourly, "name it with -o"), (ArrivalFit::Diurnal, "24 whole hours")]
    {
        let error = fit(&d, process, None).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn classes_are_fitted_apart_and_names_are_quoted() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut text = String::from("arrival_s,prompt_tok,output_tok,class\n");
    for i in 0..4000 {
        let class = if i % 4 == 0 { "\"long: \"\"one\"\", #2\"" } else { "short" };
        text += &format!("{}.5,{},7,{class}\n", i, if i % 4 == 0 { 1000 + i % 100 } else { 10 });
    }
    fs::write(dir.path().join("t.csv"), text).expect("trace");
    fit_command(dir.path(), "t.csv", &[]);
    let fitted: serde_json::Value = {
        let said = fit_command(dir.path(), "t.csv", &["--json"]);
        serde_json::from_str(&said).expect("JSON")
    };
    assert_eq!(fitted["classes"][0]["name"], "long: \"one\", #2");
    assert_eq!(fitted["classes"][1]["prompt"]["sigma"], 0.0);
    // Equal gaps are no bursts: a CV far below 1 and a rate of ¼ and ¾.
    let rate = &fitted["classes"][0]["arrivals"]["constant"]["rate_per_s"];
    close("rate", rate.as_f64().expect("constant"), 0.25, 0.001);
    let (rate, ..) = run_of(dir.path());
    close("rate", rate, 1.0, 0.01);
}

#[test]
fn a_trace_that_begins_late_is_fitted_from_its_beginning() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut text = String::from("arrival_s,prompt_tok,output_tok\n");
    for i in 0..1000 {
        text += &format!("{},{},7\n", 90_000 + i, 10 + i % 50);
    }
    fs::write(dir.path().join("t.csv"), text).expect("trace");
    let d = described(&dir.path().join("t.csv"));
    let found = fitted(&d, ArrivalFit::Auto);
    assert_eq!((found.duration_s, found.start_at_h), (999.0, Some(1.0)));
    let FittedArrivals::Constant { rate_per_s } = found.classes[0].arrivals else { panic!("{found:?}") };
    close("rate", rate_per_s, 1.0, 0.002);
}

#[test]
fn bad_rows_and_single_instants_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let refused = |text: &str, part: &str| {
        fs::write(dir.path().join("t.csv"), text).expect("trace");
        let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(dir.path())
            .args(["trace", "fit", "t.csv", "-o", "fit.yaml"])
            .output()
            .expect("wattmill runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(part), "{said}");
        assert!(!dir.path().join("fit.yaml").exists());
    };
    refused("arrival_s,prompt_tok,output_tok\n1,5,5\n2,0,5\n", "t.csv:3:3: `prompt_tok` = `0`");
    refused("arrival_s,prompt_tok,output_tok\n1,5,5\n", "single instant");
    refused("arrival_s,prompt_tok,output_tok\n0,5,5\n0,6,5\n", "single instant");
}
