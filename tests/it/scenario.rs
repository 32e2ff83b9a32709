//! Scenarios that are right: what they mean, that they can be written down and read again, what changes the hash.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use wattmill::catalog::Catalog;
use wattmill::scenario::types::{Arrivals, LeastLoaded, Length, Policy, Routing};
use wattmill::scenario::{self, LoadOptions, Problem, Resolved, ScenarioError};

const SMALL: &str = "\
duration_s: 60
workload:
  classes:
    - name: chat
      arrivals: { poisson: { rate_per_s: 8 } }
fleet:
  sites:
    - pools:
        - { model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }
        - { model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }
";

fn catalog() -> Arc<Catalog> {
    Arc::new(Catalog::embedded().expect("the embedded catalog is good"))
}

fn try_load(path: &Path, sets: &[&str]) -> Result<Resolved, ScenarioError> {
    let mut options = LoadOptions::new(catalog());
    options.sets = sets.iter().map(ToString::to_string).collect();
    scenario::load(path, &options)
}

/// Load `text` as `small.yaml`.
#[track_caller]
fn load(text: &str, sets: &[&str]) -> Resolved {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("small.yaml");
    fs::write(&path, text).expect("scenario");
    match try_load(&path, sets) {
        Ok(resolved) => resolved,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn names_and_lengths_are_filled_in() {
    let scenario = load(SMALL, &[]).scenario;
    assert_eq!(scenario.name, "small");
    assert_eq!(scenario.fleet.sites[0].name, "site");
    let pools: Vec<&str> = scenario.fleet.sites[0].pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(pools, ["Llama-3.1-8B", "Llama-3.1-8B-2"]);
    let lengths = scenario.workload.classes[0].lengths.as_ref().expect("default lengths");
    assert!(matches!(&lengths.prompt, Length::Lognormal(l) if l.mean_tok == 1155.0 && l.sigma == 1.1));
}

#[test]
fn a_choice_is_a_word_or_a_map() {
    let routing = |text: &str| load(&format!("routing: {text}\n{SMALL}"), &[]).scenario.routing;
    for text in ["power_of_two", "{ power_of_two: {} }", "{ power_of_two: }"] {
        assert_eq!(routing(text), Routing::PowerOfTwo, "{text}");
    }
    for text in ["least_loaded", "{ least_loaded: {} }", "{ least_loaded: }"] {
        assert_eq!(routing(text), Routing::LeastLoaded(LeastLoaded::default()), "{text}");
    }
    assert_eq!(
        routing("{ least_loaded: { probe: 2 } }"),
        Routing::LeastLoaded(LeastLoaded { probe: Some(2) })
    );
    let site = "    - pools:";
    let policy = "    - power: { policy: uniform_clock }\n      pools:";
    assert_eq!(load(&SMALL.replace(site, policy), &[]).scenario, load(SMALL, &[]).scenario);
}

#[test]
fn whole_floats_are_integers() {
    let text = SMALL.replace("nodes: 1", "nodes: 4.0");
    assert_eq!(load(&text, &[]).scenario.fleet.sites[0].pools[0].nodes, 4);
}

#[test]
fn overrides_reach_what_the_file_leaves_out() {
    let scenario = load(
        SMALL,
        &[
            "fleet.sites.0.power.policy.uniform_clock.clock_step=0.25",
            "workload.classes.0.lengths.prompt.lognormal.mean_tok=200",
            "workload.classes.0.lengths.answer.constant.tok=7",
            "fleet.sites.0.pools.1.batching.max_seqs=3",
            "fleet.sites.0.static_pue=1.2",
            "routing.least_loaded.probe=2",
            "seed=18446744073709551615",
        ],
    )
    .scenario;
    let site = &scenario.fleet.sites[0];
    let Policy::UniformClock(clock) = &site.power.policy else { panic!("{:?}", site.power.policy) };
    assert_eq!((clock.clock_step, clock.release_below), (0.25, 0.98));
    let lengths = scenario.workload.classes[0].lengths.as_ref().expect("lengths");
    assert!(matches!(&lengths.prompt, Length::Lognormal(l) if l.mean_tok == 200.0 && l.max_tok == 16384));
    assert!(matches!(&lengths.answer, Length::Constant(l) if l.tok == 7));
    assert_eq!((site.pools[0].batching.max_seqs, site.pools[1].batching.max_seqs), (256, 3));
    assert_eq!(site.static_pue, Some(1.2));
    assert_eq!(scenario.routing, Routing::LeastLoaded(LeastLoaded { probe: Some(2) }));
    assert_eq!(scenario.seed, u64::MAX);
}

#[test]
fn an_override_replaces_the_variant_it_does_not_name() {
    let text = SMALL.replace(
        "{ poisson: { rate_per_s: 8 } }",
        "{ diurnal: { mean_per_s: 90, peak_to_mean: 1.5, peak_at_h: 14 } }",
    );
    let arrivals = |set: &str| load(&text, &[set]).scenario.workload.classes[0].arrivals.clone();
    assert!(matches!(
        arrivals("workload.classes.0.arrivals.poisson.rate_per_s=160"),
        Arrivals::Poisson(p) if p.rate_per_s == 160.0
    ));
    assert!(matches!(
        arrivals("workload.classes.0.arrivals.diurnal.mean_per_s=5"),
        Arrivals::Diurnal(d) if d.mean_per_s == 5.0 && d.peak_to_mean == 1.5
    ));
}

#[test]
fn the_resolved_scenario_reads_back() {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::create_dir(dir.path().join("in")).expect("folder");
    fs::write(dir.path().join("in/day.csv"), "time_s,rate_per_s\n0,1\n10,2\n").expect("curve");
    let text = "\
name: 'yes'
seed: 18446744073709551615
duration_s: 1e-3
workload:
  classes:
    - { name: '1e3', arrivals: { rate_curve: { path: day.csv } }, slo: { ttft_ms: 0.1 } }
    - name: \"odd: # name\"
      arrivals: { closed_loop: { in_flight: 3 } }
      lengths: { answer: { empirical: { path: day.csv, column: rate_per_s } } }
routing: least_loaded
report: { figures: none }
fleet:
  sites:
    - power: { cap_mw: 1e-7, cap_fraction: { constant: 0.3333333333333333 } }
      pools: [{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }]
    - power: { cap_mw: 1, cap_fraction: { steps: [{ at_h: 1, value: 0.5 }] } }
      pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          step_law: { affine: { base_us: 9950.5388255643, energy: { per_token: { it_j_per_tok: 1e-12 } } } }
";
    let path = dir.path().join("in/a.yaml");
    fs::write(&path, text).expect("scenario");
    let first = try_load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
    let out = dir.path().join("output/deep/a");
    let yaml = scenario::resolved_yaml(&first, &out).expect("YAML");
    assert!(yaml.contains("../../../in/day.csv"), "{yaml}");
    fs::create_dir_all(&out).expect("folder");
    let again_path = out.join("scenario.resolved.yaml");
    fs::write(&again_path, &yaml).expect("resolved");
    let again = try_load(&again_path, &[]).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    assert_eq!(again.hash, first.hash);
    let moved = |resolved: &Resolved| {
        serde_json::to_string(&resolved.scenario).expect("JSON").replace("../../../in/day.csv", "day.csv")
    };
    assert_eq!(moved(&again), moved(&first));
    assert_eq!(scenario::resolved_yaml(&again, &out).expect("YAML"), yaml);
}

#[test]
fn the_hash_follows_contents_and_not_places() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let text = "\
name: x
duration_s: 60
workload: { classes: [{ name: a, arrivals: { rate_curve: { path: CURVE } } }] }
fleet: { sites: [{ pools: [{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }] }] }
";
    let write = |scenario: &str, curve: &str, rows: &str| {
        fs::write(dir.path().join(curve), rows).expect("curve");
        let path = dir.path().join(scenario);
        fs::write(&path, text.replace("CURVE", curve)).expect("scenario");
        try_load(&path, &[]).unwrap_or_else(|error| panic!("{error}")).hash
    };
    let one = write("a.yaml", "a.csv", "time_s,rate_per_s\n0,1\n");
    assert_eq!(one.len(), 64);
    assert_eq!(one, write("b.yaml", "b.csv", "time_s,rate_per_s\n0,1\n"), "places do not matter");
    assert_ne!(one, write("c.yaml", "c.csv", "time_s,rate_per_s\n0,2\n"), "contents do");
    assert_ne!(load(SMALL, &[]).hash, load(SMALL, &["seed=2"]).hash);
    assert_eq!(load(SMALL, &[]).hash, load(SMALL, &["seed=1", "fleet.sites.0.name=site"]).hash);
}

#[test]
fn paths_in_overrides_start_from_here_not_from_the_file() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("a.yaml");
    fs::write(&path, SMALL).expect("scenario");
    // Tests run in the package's own folder.
    let set = ["workload.classes.0.arrivals.rate_curve.path=Cargo.toml"];
    let resolved = try_load(&path, &set).unwrap_or_else(|error| panic!("{error}"));
    assert!(scenario::input_files(&resolved)[0].ends_with("Cargo.toml"));
    assert!(scenario::input_files(&resolved)[0].is_file());
}

#[test]
fn later_problems_get_their_place_too() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("a.yaml");
    fs::write(&path, SMALL).expect("scenario");
    let resolved =
        try_load(&path, &["fleet.sites.0.pools.1.nodes=2"]).unwrap_or_else(|error| panic!("{error}"));
    let problem = |path: &str| Problem { path: path.into(), message: "no".into() };
    let shown = path.display();
    let cases = [
        ("fleet.sites.0.pools.0.model", format!("{shown}:9:20: fleet.sites.0.pools.0.model: no")),
        (
            "fleet.sites.0.pools.0.batching.kv_blocks",
            format!("{shown}:9:11: fleet.sites.0.pools.0.batching.kv_blocks: no"),
        ),
        ("fleet.sites.0.pools.1.nodes", "--set fleet.sites.0.pools.1.nodes=2: no".to_string()),
        ("workload", format!("{shown}:2:1: workload: no")),
    ];
    for (path, line) in cases {
        assert_eq!(resolved.render_problems(&[problem(path)]), line);
    }
    let many = vec![problem("workload"); 25];
    assert_eq!(resolved.render_problems(&many).lines().count(), 11);
    assert!(resolved.render_problems(&many).ends_with("and 15 more"));
}

#[test]
fn the_schema_knows_bare_words() {
    let schema = scenario::json_schema().to_string();
    for piece in [
        r#""const":"least_loaded""#,
        r#""const":"uniform_clock""#,
        r#""const":"power_of_two""#,
        r#""additionalProperties":false"#,
    ] {
        assert!(schema.contains(piece), "{piece} is missing");
    }
    assert!(!schema.contains(r#""const":"poisson""#), "poisson needs its rate");
}

proptest! {
    /// Whatever the text, loading says yes or no; it never panics.
    #[test]
    fn no_text_panics(cut in 0..SMALL.len(), length in 0_usize..40, piece in "[-a-z0-9:{}\\[\\], \n\t&*!|>'\"#%.~]{0,12}") {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("a.yaml");
        let end = (cut + length).min(SMALL.len());
        fs::write(&path, format!("{}{piece}{}", &SMALL[..cut], &SMALL[end..])).expect("scenario");
        match try_load(&path, &[]) {
            Ok(resolved) => prop_assert_eq!(resolved.hash.len(), 64),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
