//! `wattmill calibrate`: coefficients that made rows are found again, and the errors on rows not seen are what they
//! must be.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A GPU so fast that only the host takes time, and a fit of what the host takes and of what the GPU draws.
pub(super) fn catalog() -> String {
    let number = |value: f64| format!("{{ value: {value}, source: test, quality: guess }}");
    let mut text = format!(
        "nodes:\n  - name: swift-node\n    gpus: {{ value: 2, source: test, quality: guess }}\n    overhead_w: {}\n    \
         gpu_factor: {}\ngpus:\n  - name: Swift\n    node: swift-node\n    gpus_per_node: {{ value: 2, source: test, \
         quality: guess }}\n",
        number(300.0),
        number(1.5)
    );
    let (zero, one, fast) = (number(0.0), number(1.0), number(1e9));
    for (indent, key, value) in [
        (4, "bf16_dense_tflops", fast.as_str()),
        (4, "hbm_tb_s", &fast),
        (4, "link_gb_s", &fast),
        (4, "hbm_gb", &number(80.0)),
        (4, "tdp_w", &number(100.0)),
        (4, "fractions", ""),
        (6, "gemm_mfu_bf16", &one),
        (6, "weight_mbu", &one),
        (6, "expert_mfu_factor", &one),
        (6, "attn_mbu", &one),
        (6, "absorbed_attn_mfu", &one),
        (6, "prefill_attn_mfu", &one),
        (6, "prefill_attn_overhead_tok", &zero),
        (4, "comm", ""),
        (6, "one_shot_us", &zero),
        (6, "latency_us", &zero),
        (6, "link_fraction", &one),
        (4, "power", ""),
        (6, "empty_w", &number(10.0)),
        (6, "idle_loaded_w", &number(10.0)),
        (6, "p0_tdp", "{ fit: p0_tdp }"),
        (6, "pmax_tdp", &one),
        (6, "mbu_weight", &one),
        (6, "mfu_weight", &one),
        (6, "clock_exponent", &one),
        (6, "min_clock", &number(0.5)),
        (6, "memory_clock_knee", &number(0.5)),
        (0, "engines", "\n  - name: plain-1.0"),
        (4, "per_step_us", "{ fit: per_step_us }"),
        (4, "per_seq_us", "{ fit: per_seq_us }"),
        (4, "per_layer_us", &zero),
        (4, "per_moe_layer_us", &zero),
        (4, "per_fp8_moe_layer_us", &zero),
        (4, "per_fp4_moe_layer_us", &zero),
        (4, "expert_spread", &one),
        (4, "expert_tile_bf16_tok", &zero),
        (4, "expert_tile_fp8_tok", &zero),
        (4, "expert_tile_fp4_tok", &zero),
    ] {
        let _ = writeln!(text, "{:indent$}{key}: {value}", "");
    }
    text
}

/// The fit, from priors that are wrong by a factor of two. It replaces the embedded one, so it names all that is named
/// elsewhere too.
fn fit() -> String {
    let embedded = wattmill::catalog::Catalog::embedded().expect("the catalog is good");
    let mut text = "fit:\n  date: \"\"\n  source: test\n  coefficients:\n".to_string();
    for (name, value, on) in
        [("per_step_us", 5000.0, "time"), ("per_seq_us", 200.0, "time"), ("p0_tdp", 0.3, "watts")]
    {
        let _ = writeln!(
            text,
            "    - {{ name: {name}, value: {value}, sd_ln: 1, on: {on}, prior: {value}, prior_sd_ln: 100, prior_source: t }}"
        );
    }
    for c in &embedded.fit().coefficients {
        let _ = writeln!(
            text,
            "    - {{ name: {}, value: {}, sd_ln: 0.1, on: time, prior: {}, prior_sd_ln: 1, prior_source: t }}",
            c.name, c.value, c.prior
        );
    }
    text
}

/// Rows that a host of 10 ms a step and 0.1 ms a sequence makes, with 60 W a GPU.
fn rows() -> String {
    let mut text =
        "id,model,precision,gpu,gpus,tensor_parallel,batch,input_tok,output_tok,engine,engine_version,\
                    output_tok_per_s,gpu_power_w\n"
            .to_string();
    for (i, (model, batch)) in [
        ("Llama-3.1-8B", 1),
        ("Llama-3.1-8B", 8),
        ("Llama-3.1-8B", 64),
        ("Qwen3-8B", 16),
        ("Qwen3-8B", 128),
        ("Qwen3-14B", 4),
    ]
    .iter()
    .enumerate()
    {
        let rate = f64::from(*batch) / (0.010 + 0.0001 * f64::from(*batch));
        let _ = writeln!(text, "r{i},{model},bf16,Swift,1,1,{batch},100,1000,plain,1.0,{rate},60");
    }
    text
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("temporary folder"));
        fs::create_dir(place.path("catalog")).expect("folder");
        fs::write(place.path("catalog/swift.yaml"), catalog()).expect("catalog");
        fs::write(place.path("catalog/fit.yaml"), fit()).expect("fit");
        fs::write(place.path("m.csv"), rows()).expect("rows");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(self.0.path())
            .arg("calibrate")
            .args(arguments)
            .output()
            .expect("wattmill runs")
    }
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn coefficients_that_made_the_rows_are_found_again() {
    let place = Place::new();
    let arguments = ["m.csv", "--catalog", "catalog", "--date", "2026-01-02", "--json", "--force"];
    let summary = json(&place.run(&arguments));
    let coefficient = |name: &str| {
        let all = summary["coefficients"].as_array().expect("a list");
        let found = all.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        found["value"].as_f64().expect("a number")
    };
    // Prompts come once in 1,000 tokens: another sequence in a step, which the mean field counts.
    assert!((coefficient("per_step_us") / 10_000.0 - 1.0).abs() < 0.005, "{}", coefficient("per_step_us"));
    assert!((coefficient("per_seq_us") / 100.0 - 1.0).abs() < 0.01, "{}", coefficient("per_seq_us"));
    assert!((coefficient("p0_tdp") / 0.6 - 1.0).abs() < 0.005, "{}", coefficient("p0_tdp"));
    // What no row depends on stays what it was, whatever its prior.
    let embedded = wattmill::catalog::Catalog::embedded().expect("the catalog is good");
    for name in ["hopper.weight_mbu", "vllm-0.15.per_step_us", "hopper.link_fraction"] {
        assert_eq!(Some(coefficient(name)), embedded.fit().coefficient(name).map(|c| c.value), "{name}");
    }
    let errors = &summary["tables"][0]["left_out"]["group"];
    assert_eq!(errors["output_tok_per_s"]["fitted"]["n"], 6);
    assert!(errors["output_tok_per_s"]["fitted"]["p90_abs_err"].as_f64().expect("a number") < 0.02);
    let roofline = errors["output_tok_per_s"]["data_sheet_roofline"]["median_abs_err"].as_f64();
    assert!(roofline.expect("a number") > 0.1, "a roofline does not know the host");

    // What was written is a catalog, and the same with any number of threads.
    let written = fs::read(place.path("output/calibrate/fit.yaml")).expect("fit.yaml");
    let mut alone = arguments.to_vec();
    alone.extend(["--jobs", "1"]);
    json(&place.run(&alone));
    assert_eq!(written, fs::read(place.path("output/calibrate/fit.yaml")).expect("fit.yaml"));
    fs::copy(place.path("output/calibrate/fit.yaml"), place.path("catalog/fit.yaml")).expect("copy");
    let again = json(&place.run(&arguments));
    assert_eq!(again["coefficients"][0]["value"], summary["coefficients"][0]["value"]);
    let lines = fs::read_to_string(place.path("output/calibrate/cross_validation.csv")).expect("csv");
    assert_eq!(lines.lines().count(), 7, "{lines}");
}

#[test]
fn what_cannot_be_fitted_on_is_said() {
    let place = Place::new();
    fs::write(place.path("none.csv"), rows().replace("Llama", "Lama").replace("Qwen", "Kwen")).expect("rows");
    fs::write(place.path("links.csv"), "system,num_gpus,message_size,latency_ms\nSwift,2,100,x\n")
        .expect("links");
    for (arguments, says) in [
        (vec!["none.csv", "--catalog", "catalog"], "no row can be fitted on"),
        (vec!["absent.csv"], "absent.csv"),
        (vec!["m.csv", "--catalog", "catalog", "--date", "yesterday"], "write it as 2026-11-28"),
        (vec!["m.csv", "--catalog", "catalog", "--all-reduce", "links.csv"], "links.csv:2:13:"),
        (vec![], "MEASURED"),
    ] {
        let output = place.run(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        assert!(!place.path("output").exists(), "{arguments:?}");
    }
}

/// On rows of whole architectures on a GPU that the fit has not seen; and well below a roofline of the data sheets.
#[test]
fn errors_on_unseen_groups_of_measured_rows() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/perf");
    if !data.exists() {
        println!("SKIPPED: ../shared/data absent");
        return;
    }
    let place = Place::new();
    let file = |name: &str| data.join(name).display().to_string();
    let (measured, served) = (file("mlenergy_llm_calib.csv"), file("inferencex_sample_calib.csv"));
    let links = file("allreduce_a100_h100_b200.csv");
    let summary =
        json(&place.run(&[&measured, &served, "--all-reduce", &links, "--date", "2026-11-28", "--json"]));
    println!("{}", serde_json::to_string_pretty(&summary["tables"]).expect("JSON"));
    let group = &summary["tables"][0]["left_out"]["group"];
    for (metric, median, p90) in
        [("output_tok_per_s", 0.14, 0.38), ("gpu_power_w", 0.09, 0.25), ("j_per_output_token", 0.18, 0.45)]
    {
        let of = |model: &str, key: &str| group[metric][model][key].as_f64().expect("a number");
        assert_eq!(group[metric]["fitted"]["n"], 225, "{metric}");
        assert!(of("fitted", "median_abs_err") <= median, "{metric}");
        assert!(of("fitted", "p90_abs_err") <= p90, "{metric}");
        let roofline = of("data_sheet_roofline", "median_abs_err");
        assert!(of("fitted", "median_abs_err") <= 0.85 * roofline, "{metric}: roofline {roofline}");
    }
    // The catalog that comes along is this fit.
    let embedded = wattmill::catalog::Catalog::embedded().expect("the catalog is good");
    for c in summary["coefficients"].as_array().expect("a list") {
        let name = c["name"].as_str().expect("a name");
        let (fitted, kept) = (c["value"].as_f64().expect("a number"), embedded.fit().coefficient(name));
        let kept = kept.unwrap_or_else(|| panic!("no {name}")).value;
        // A fit from where it stands may creep on by what its end condition leaves.
        assert!((fitted / kept).ln().abs() < 0.05, "{name}: {fitted}, the catalog has {kept}");
    }
}
