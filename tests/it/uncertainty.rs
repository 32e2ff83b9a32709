//! `wattmill run --uncertainty`: bands against closed forms of the coefficients that were drawn.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use wattmill::EngineKind;
use wattmill::study::uncertainty::{Options, Study};

use super::support::{catalog, close, load_file, run};

/// What the fit of a test holds: name, value, standard deviation of the logarithm.
type Own = [(&'static str, f64, f64); 3];

/// Steps are the host's alone: `per_step_us` + `per_seq_us` for one sequence.
const OWN: Own = [("per_step_us", 10_000.0, 0.2), ("per_seq_us", 200.0, 0.0), ("p0_tdp", 0.6, 0.6)];

/// One request after another on both GPUs of a node: every step emits one token.
const SCENARIO: &str = "\
duration_s: 200
workload:
  classes:
    - name: chat
      arrivals: { closed_loop: { in_flight: 1 } }
      lengths: { prompt: { constant: { tok: 1 } }, answer: { constant: { tok: 500 } } }
fleet:
  sites:
    - pools:
        - { model: Llama-3.1-8B, gpu: Swift, nodes: 1, parallel: { tensor: 2 }, engine: plain-1.0 }
report: { figures: none }
";

/// A catalog's fit; it replaces the embedded one, so it names all that is named elsewhere too.
fn fit(own: &Own) -> String {
    let embedded = wattmill::catalog::Catalog::embedded().expect("the catalog is good");
    let mut text = "fit:\n  date: \"\"\n  source: test\n  coefficients:\n".to_string();
    let others = embedded.fit().coefficients.iter().map(|c| (c.name.as_str(), c.value, 0.3));
    for (name, value, sd) in own.iter().copied().chain(others) {
        let _ = writeln!(
            text,
            "    - {{ name: {name}, value: {value}, sd_ln: {sd}, on: time, prior: 1, prior_sd_ln: 1, prior_source: t }}"
        );
    }
    text
}

struct Place(tempfile::TempDir);

impl Place {
    fn new(own: &Own) -> Self {
        let place = Self(tempfile::tempdir().expect("temporary folder"));
        fs::create_dir(place.path("catalog")).expect("folder");
        fs::write(place.path("catalog/swift.yaml"), super::calibrate::catalog()).expect("catalog");
        fs::write(place.path("catalog/fit.yaml"), fit(own)).expect("fit");
        fs::write(place.path("s.yaml"), SCENARIO).expect("scenario");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(self.0.path())
            .args(["run", "s.yaml", "--catalog", "catalog"])
            .args(arguments.split_whitespace())
            .output()
            .expect("wattmill runs")
    }

    #[track_caller]
    fn good(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// Columns of `uncertainty.csv`; empty cells are not a number.
struct Table(csv::StringRecord, Vec<csv::StringRecord>);

impl Table {
    fn of(text: &str) -> Self {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().expect("a header").clone();
        Self(header, reader.records().map(|row| row.expect("a row")).collect())
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let at = self.0.iter().position(|head| head == name).unwrap_or_else(|| panic!("no {name}"));
        self.1.iter().map(|row| row[at].to_string()).collect()
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.texts(name).iter().map(|text| text.parse().unwrap_or(f64::NAN)).collect()
    }
}

/// Quantile of any values, linear between neighbours.
fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = share * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    sorted[low] + (sorted[(low + 1).min(sorted.len() - 1)] - sorted[low]) * (at - low as f64)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// rate = 1/(step + sequence); both GPUs draw p0·100 W, held between idle (10 W) and full draw (100 W); the wall is
/// 300 W + 1.5 W per watt of GPU.
#[test]
fn bands_are_the_closed_form_of_the_drawn_coefficients() {
    let place = Place::new(&OWN);
    place.good("-o out --quiet --uncertainty 400");
    let summary: Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    let block = &summary["uncertainty"];
    assert_eq!((number(&block["draws"]), number(&block["failed"])), (400.0, 0.0));
    // The sequence's time has no standard deviation, other GPUs and engines are not there.
    assert_eq!(block["coefficients"], serde_json::json!(["per_step_us", "p0_tdp"]));
    let table = Table::of(&place.read("out/uncertainty.csv"));
    let (steps, p0) = (table.numbers("coefficient.per_step_us"), table.numbers("coefficient.p0_tdp"));
    assert!(p0.iter().any(|p0| *p0 > 1.0) && steps.len() == 400);
    let rate = |step_us: f64| 1e6 / (step_us + 200.0);
    let gpu_w = |p0: f64| 200.0 * p0.clamp(0.1, 1.0);
    let it_j = |step_us: f64, p0: f64| (300.0 + 1.5 * gpu_w(p0)) / rate(step_us);
    for (k, (step_us, p0)) in steps.iter().zip(&p0).enumerate() {
        close("tokens/s", table.numbers("output_tok_per_s")[k], rate(*step_us), 1e-6);
        close("J/token", table.numbers("j_per_output_token.it")[k], it_j(*step_us, *p0), 1e-4);
    }
    let both = || steps.iter().zip(&p0);
    for (key, share) in [("p5", 0.05), ("p50", 0.5), ("p95", 0.95)] {
        let band = |name: &str| number(&block["bands"][name][key]);
        let rates = quantile(steps.iter().map(|step_us| rate(*step_us)), share);
        close("band of tokens/s", band("output_tok_per_s"), rates, 1e-6);
        let joules = quantile(both().map(|(step_us, p0)| it_j(*step_us, *p0)), share);
        close("band of J/token", number(&block["bands"]["j_per_output_token"]["it"][key]), joules, 1e-4);
        let watts = quantile(p0.iter().map(|p0| 300.0 + 1.5 * gpu_w(*p0)), share);
        close("band of watts", band("it_power_mean_w"), watts, 1e-4);
        // The lognormal's own quantile: an end of the band has a standard error of 2.1 % of a step with 400 draws
        // (√(0.05·0.95/400)/φ(1.645)·0.2), of which five are allowed.
        let z = wattmill::physics::normal::quantile(1.0 - share);
        close("lognormal", band("output_tok_per_s"), rate(10_000.0 * (0.2 * z).exp()), 0.105);
    }
    // No class has a limit; the loop is always full, so power never binds.
    assert!(block["bands"]["j_per_accepted_answer"]["it"].is_null());
    assert_eq!(
        block["first"]["power_s"],
        serde_json::json!({ "p5": null, "p50": null, "p95": null, "share": 0.0 })
    );
    assert_eq!(block["changes"], serde_json::json!([]));
}

#[test]
fn the_run_itself_is_the_same_to_the_byte_with_any_number_of_threads() {
    let place = Place::new(&OWN);
    place.good("-o plain --quiet");
    let shown = place.good("-o one --uncertainty 12 --jobs 1 --json");
    let page = place.good("-o four --uncertainty 12 --jobs 4");
    assert!(
        page.contains("What the fit leaves open: 12 draws") && page.contains("not another day's requests")
    );
    let plain = place.read("plain/summary.json");
    assert!(plain.contains("\n  \"uncertainty\": null,\n"));
    let (start, rest) = shown.split_once("\n  \"uncertainty\": {").expect("the block");
    let (_, end) = rest.split_once("\n  },\n").expect("its end");
    assert_eq!(format!("{start}\n  \"uncertainty\": null,\n{end}"), plain);
    assert_eq!(place.read("one/summary.json"), shown);
    for file in ["summary.json", "uncertainty.csv", "timeseries.csv"] {
        assert_eq!(place.read(&format!("one/{file}")), place.read(&format!("four/{file}")), "{file}");
    }
    assert_eq!(place.read("plain/timeseries.csv"), place.read("one/timeseries.csv"));
    assert!(!place.path("plain/uncertainty.csv").exists());

    // The oracle agrees, more draws begin with the same ones, another seed draws others, a changed run its own.
    let table = |arguments: &str| {
        place.good(&format!("-o x --force --quiet --uncertainty {arguments}"));
        Table::of(&place.read("x/uncertainty.csv"))
    };
    let one = Table::of(&place.read("one/uncertainty.csv"));
    let (rate, step) = ("output_tok_per_s", "coefficient.per_step_us");
    assert_eq!(table("12 --engine stepwise").texts(rate), one.texts(rate));
    assert_eq!(table("20").texts(step)[..12], one.texts(step));
    assert_ne!(table("12 --seed 2").texts(step), one.texts(step));
    let longer = table("12 --set duration_s=300");
    assert_eq!(longer.texts(step), one.texts(step));
}

/// Steps longer than can be simulated: such draws are counted and told, and left out of the bands.
#[test]
fn what_cannot_be_built_fails_and_is_said() {
    let place = Place::new(&[("per_step_us", 10_000.0, 10.0), OWN[1], OWN[2]]);
    let page = place.good("-o out --uncertainty 100");
    let summary: Value = serde_json::from_str(&place.read("out/summary.json")).expect("JSON");
    let table = Table::of(&place.read("out/uncertainty.csv"));
    let failed = table.texts("failed");
    let longest = table.numbers("coefficient.per_step_us").into_iter().zip(&failed);
    let bad = failed.iter().filter(|why| !why.is_empty()).count();
    assert!(bad > 0 && bad < 50, "{bad}");
    assert_eq!(number(&summary["uncertainty"]["failed"]), bad as f64);
    let least_bad = longest.clone().filter(|(_, why)| !why.is_empty()).map(|(us, _)| us).fold(1e99, f64::min);
    let most_good = longest.filter(|(_, why)| why.is_empty()).map(|(us, _)| us).fold(0.0, f64::max);
    assert!(most_good < least_bad, "{most_good} {least_bad}");
    // However the lines are broken.
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("{bad} of 100 draws could not be built")), "{page}");
    assert!(words.contains("a step could take"), "{page}");
}

#[test]
fn what_follows_no_fit_is_refused() {
    let place = Place::new(&OWN);
    let law = "--set fleet.sites.0.pools.0.step_law.affine";
    let own_law = format!("{law}.base_us=1000 {law}.energy.per_token.it_j_per_tok=1");
    for (arguments, says) in [
        (format!("--uncertainty 20 {own_law}"), "nothing in this scenario follows"),
        ("--uncertainty 4".into(), "4 is not in 5..=1000"),
        ("--uncertainty 1001".into(), "5..=1000"),
        ("--jobs 2".into(), "--uncertainty"),
    ] {
        let output = place.run(&arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(stderr.contains(says), "{arguments}: {stderr}");
        assert!(output.stdout.is_empty() && !place.path("output").exists(), "{arguments}");
    }
}

/// The power crunch of the configurations at an eighth of its size: an hour with two fifths of the power.
#[test]
fn changes_of_what_binds_have_bands_and_an_interruption_leaves_the_outcome_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/power-crunch.yaml");
    let site = "fleet.sites.0";
    let sets = [
        "duration_s=10800".to_string(),
        "workload.classes.0.arrivals.poisson.rate_per_s=12.5".to_string(),
        format!("{site}.pools.0.nodes=2"),
        format!("{site}.power.cap_mw=0.02"),
        format!("{site}.power.cap_fraction.steps.0.at_h=17"),
        format!("{site}.power.cap_fraction.steps.0.value=0.4"),
        format!("{site}.power.cap_fraction.steps.1.at_h=18"),
    ];
    let resolved = load_file(&path, &sets, catalog());
    let study = Study::of(&resolved).expect("it follows the fit");
    let plain = run(&resolved);
    let mut outcome = plain.clone();
    let left = AtomicUsize::new(3);
    let go_on = || left.load(Ordering::SeqCst) > 0;
    let draw_done = || {
        left.fetch_sub(1, Ordering::SeqCst);
    };
    let options = Options { engine: EngineKind::Segments, go_on: &go_on, draw_done: &draw_done };
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let error = threads.install(|| study.run(&mut outcome, 10, &options)).expect_err("interrupted");
    assert_eq!(error.to_string(), "interrupted");
    assert!(outcome.summary.uncertainty.is_none() && outcome.draws.is_none());

    let options = Options { go_on: &|| true, draw_done: &|| {}, ..options };
    study.run(&mut outcome, 10, &options).expect("bands");
    let block = outcome.summary.uncertainty.expect("the block");
    let draws = outcome.draws.expect("draws");
    assert_eq!(outcome.summary.binding.timeline, plain.summary.binding.timeline);
    let power = block.changes.iter().find(|change| change.to.key() == "power").expect("power binds");
    assert_eq!((power.from.key(), power.place.as_str()), ("demand", "campus.meter"));
    // Demand holds until the cut, and the queue takes minutes at most.
    assert!((3600.0..4200.0).contains(&power.at_s), "{power:?}");
    let (Some(p5), Some(p50), Some(p95)) = (power.p5_s, power.p50_s, power.p95_s) else {
        panic!("{power:?}")
    };
    assert!(p5 <= p50 && p50 <= p95 && (3600.0..7200.0).contains(&p50), "{power:?}");
    assert!(power.share.is_some_and(|share| share >= 0.5), "{power:?}");
    // By definition.
    let firsts = draws.rows.iter().filter_map(|row| row.outcome.as_ref().ok()?.first.power_s);
    let share = firsts.count() as f64 / 10.0;
    assert_eq!(block.first.power_s.share, Some(share));
    assert_eq!(block.first.cooling_s.share, Some(0.0));
    // The model is dense and in 16 bit, and its GPUs talk.
    let names: Vec<&str> = block.coefficients.iter().map(String::as_str).collect();
    for present in ["hopper.gemm_mfu_bf16", "hopper.one_shot_us", "power.clock_exponent"] {
        assert!(names.contains(&present), "{present}: {names:?}");
    }
    for absent in ["hopper.gemm_mfu_fp8", "kernels.expert_spread", "blackwell.weight_mbu"] {
        assert!(!names.contains(&absent), "{absent}: {names:?}");
    }
}
