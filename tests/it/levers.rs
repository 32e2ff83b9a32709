//! Levers: shares against algebra, what is held equal, what cannot be held, and the answers on disk.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use wattmill::catalog::Difficulty;
use wattmill::scenario::{Draft, LoadOptions};
use wattmill::study::batch::{Progress, StudyError};
use wattmill::study::levers::{Answer, Good, Load, Question, Unreached, levers};

use crate::support::{catalog, close, interval};

const QUIET: Progress = Progress { go_on: &|| true, runs: &|_| (), run_done: &|| () };
const GIVEN: Question = Question { load: Load::Given, seeds: 2, orders: 24, curve: 0 };

fn draft(text: &str) -> (tempfile::TempDir, Draft) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("test.yaml");
    fs::write(&path, text).expect("scenario");
    let draft = Draft::read(&path).expect("YAML");
    (dir, draft)
}

fn options(sets: &[&str]) -> LoadOptions {
    LoadOptions { sets: sets.iter().map(ToString::to_string).collect(), ..LoadOptions::new(catalog()) }
}

#[track_caller]
fn ask(text: &str, question: &Question) -> Answer {
    let (_dir, draft) = draft(text);
    levers(&draft, &options(&[]), question, &QUIET).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(text: &str, sets: &[&str], question: &Question) -> String {
    let (_dir, draft) = draft(text);
    match levers(&draft, &options(sets), question, &QUIET) {
        Ok(answer) => panic!("{answer:?}"),
        Err(StudyError::Run(error)) => panic!("{error}"),
        Err(error) => error.to_string(),
    }
}

/// A request of 0.6 s may lie across either end of the 2,000 s that count.
#[track_caller]
fn near(what: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() < 6e-4, "{what}: {got} instead of {expected}");
}

/// Ten of the paper's nodes (PHYSICS §1), always busy, under a cap that lets 70 % of them through at PUE 1.2.
fn paper(listed: &str) -> String {
    let cap_mw = 0.7 * 10.0 * 10_401.0 * 1.2 * 1e-6;
    format!(
        "duration_s: 2020\nwarm_up_s: 20\nworkload:\n  classes:\n    - name: tokens\n      arrivals: {{ closed_loop: {{ \
         in_flight: 10 }} }}\n      lengths: {{ prompt: {{ constant: {{ tok: 1 }} }}, answer: {{ constant: {{ tok: 64 \
         }} }} }}\nrouting: least_loaded\nfleet:\n  sites:\n    - name: paper\n      static_pue: 1.2\n      power:\n        \
         cap_mw: {cap_mw}\n        policy: {{ uniform_clock: {{ clock_step: 0 }} }}\n      pools:\n        - name: nodes\n          \
         model: Llama-2-70B\n          gpu: B200-SXM-180GB\n          node: ideal_linear\n          nodes: 10\n          parallel: \
         {{ tensor: 8 }}\n          batching: {{ max_seqs: 1 }}\n          step_law:\n            affine:\n              base_us: \
         9717.32307184\n              energy: {{ per_token: {{ it_j_per_tok: 101.06987727021 }} }}\nlevers:\n{listed}"
    )
}

const NO_OVERHEAD: &str = "  - { name: no overhead, set: [fleet.sites.0.static_pue=1] }\n";
/// 1.3 times the tokens of a joule.
const FEWER_JOULES: &str = "  - { name: fewer joules, set: \
    [fleet.sites.0.pools.0.step_law.affine.energy.per_token.it_j_per_tok=77.74605943862] }\n";

/// Q/K is 0.7 as it is, 0.84 without overhead, 0.91 with fewer joules a token, and 1 with both, where the nodes end it:
/// min(0.7·1.2·1.3, 1). A lever's share is the mean of what it adds first and last. Joules know no such end.
#[test]
fn two_levers_as_worked_by_hand() {
    let answer = ask(&paper(&format!("{NO_OVERHEAD}{FEWER_JOULES}")), &GIVEN);
    let shares = answer.shares.as_ref().expect("shares");
    let (rate, joules) = (Good::UsefulTokPerSPerMw as usize, Good::FacilityJPerTok as usize);
    let of = |lever: usize, good: usize| shares.by_lever[lever][good].expect("a share").mean;
    near("no overhead", of(0, rate), 0.5 * (1.2_f64.ln() + (1.0 / 0.91_f64).ln()));
    near("fewer joules", of(1, rate), 0.5 * (1.3_f64.ln() + (1.0 / 0.84_f64).ln()));
    near("joint", shares.joint[rate].expect("joint").mean, (1.0 / 0.7_f64).ln());
    near("alone", shares.alone[0][rate].expect("alone").mean, 1.2_f64.ln());
    near("last", shares.last[0][rate].expect("last").mean, (1.0 / 0.91_f64).ln());
    let interaction = shares.interaction[rate].expect("interaction").mean;
    near("interaction", interaction, (1.0 / 0.7 / 1.2 / 1.3_f64).ln());
    near("joules without overhead", of(0, joules), -(1.2_f64.ln()));
    near("joules of tokens", of(1, joules), -(1.3_f64.ln()));
    // At the nodes' walls overhead is nothing.
    assert!(of(0, Good::ItJPerTok as usize).abs() < 1e-3);
    for good in Good::ALL {
        if let Some(joint) = shares.joint[good as usize] {
            let sum = of(0, good as usize) + of(1, good as usize);
            assert!((sum - joint.mean).abs() < 1e-12, "{good:?}: {sum} of {}", joint.mean);
        }
    }
    // Power binds until both are pulled.
    let binds = |mask: u32| answer.subset(mask).and_then(|s| s.binding()).expect("binds").0.key();
    assert_eq!([0, 1, 2, 3].map(binds), ["power", "power", "power", "compute"]);
    assert!(
        answer.moved(0).iter().any(|(good, ln)| *good == Good::Power && *ln > 0.1),
        "{:?}",
        answer.moved(0)
    );
}

#[test]
fn relabelling_changes_nothing() {
    let short = |listed: String| paper(&listed).replace("duration_s: 2020", "duration_s: 220");
    let one = ask(&short(format!("{NO_OVERHEAD}{FEWER_JOULES}")), &GIVEN);
    let other = ask(&short(format!("{FEWER_JOULES}{NO_OVERHEAD}")), &GIVEN);
    let (one_shares, other_shares) = (one.shares.expect("shares"), other.shares.expect("shares"));
    assert_eq!(one.levers, [other.levers[1].clone(), other.levers[0].clone()]);
    assert_eq!(one_shares.by_lever[0], other_shares.by_lever[1]);
    assert_eq!(one_shares.by_lever[1], other_shares.by_lever[0]);
    assert_eq!(one_shares.joint, other_shares.joint);
}

/// Seven levers are one more than are run in all subsets: orders are drawn, and the shares still leave nothing over.
#[test]
fn drawn_orders_leave_nothing_over() {
    let base = paper("").replace("levers:\n", "");
    let (head, pool) = base.split_once("      pools:\n").expect("pools");
    let pool = pool.replace("nodes: 10\n", "nodes: 1\n");
    let head = head.replace("in_flight: 10", "in_flight: 14");
    let named = |k: usize| pool.replace("name: nodes", &format!("name: nodes-{k}"));
    let pools: String = (0..7).map(named).collect();
    let listed: String = (0..7)
        .map(|k| format!("  - {{ name: more of {k}, set: [fleet.sites.0.pools.{k}.nodes={}] }}\n", 2 + k % 2))
        .collect();
    let text = format!("{head}      pools:\n{pools}levers:\n{listed}").replace("cap_mw: 0.0", "cap_mw: 1.0");
    let answer = ask(&text, &Question { orders: 6, ..GIVEN });
    assert_eq!(answer.orders, Some(6));
    assert!(answer.subsets.len() < 1 << 7);
    let shares = answer.shares.as_ref().expect("shares");
    for good in Good::ALL {
        let Some(joint) = shares.joint[good as usize] else { continue };
        let sum: f64 = shares.by_lever.iter().map(|share| share[good as usize].expect("a share").mean).sum();
        assert!((sum - joint.mean).abs() < 1e-12, "{good:?}: {sum} of {}", joint.mean);
    }
    // Intervals hold what the draw of orders leaves open.
    let rate = shares.by_lever[0][Good::Compute as usize].expect("a share");
    assert!(rate.ci95_high - rate.ci95_low > 0.01, "{rate:?}");
}

/// A server of one request at a time with exponential service: P(wait > t) = ρ·e^(−(1 − ρ)·t/S). The load at which 90 %
/// wait at most 3 S solves ρ·e^(−3(1 − ρ)) = 0.1.
#[test]
fn the_load_is_solved_as_the_queue_says() {
    let question = Question { load: Load::Solved { attainment: 0.9, tolerance: 0.01 }, seeds: 4, ..GIVEN };
    let answer = ask(QUEUE, &question);
    let solve = |limit: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let rho: f64 = 0.5 * (low + high);
            if rho * (-(1.0 - rho) * limit).exp() < 0.1 { low = rho } else { high = rho }
        }
        low
    };
    for (mask, service_s) in [(0, 1.0), (1, 0.5)] {
        let subset = answer.subset(mask).expect("a subset");
        let rate = 0.2 * subset.mean_of(|run| Some(run.load)).expect("a load");
        close("load", rate * service_s, solve(3.0 / service_s), 0.03);
        for run in subset.result.as_ref().expect("runs") {
            assert!(run.slo_attainment.expect("requests") >= 0.9);
        }
    }
}

/// Nobody comes at the load given, or so few that more than a thousand times as many would do; nothing useful comes of it.
#[test]
fn a_load_of_nobody_is_no_failure() {
    let short = QUEUE.replace("duration_s: 60000\nwarm_up_s: 4000", "duration_s: 4000");
    let nobody = short.replace("rate_per_s: 0.2", "rate_per_s: 0.00002");
    let question = Question { load: Load::Solved { attainment: 0.9, tolerance: 0.05 }, ..GIVEN };
    let told = refused(&nobody, &[], &question);
    assert!(told.contains("give a larger load to start from"), "{told}");
    let few = ask(&short.replace("rate_per_s: 0.2", "rate_per_s: 0.0025"), &question);
    let enough = ask(&short, &question);
    for mask in [0, 1] {
        let rate = |answer: &Answer, base: f64| {
            base * answer.subset(mask).and_then(|s| s.mean_of(|run| Some(run.load))).expect("a load")
        };
        close("load", rate(&few, 0.0025), rate(&enough, 0.2), 0.1);
    }
    let answer = ask(&nobody, &GIVEN);
    let shares = answer.shares.as_ref().expect("shares");
    assert_eq!(answer.subset(0).and_then(|subset| subset.mean(Good::UsefulTokPerS)), Some(0.0));
    assert!(answer.subsets.iter().all(|subset| answer.delivers_nothing(subset)));
    // Of nothing no factor, of what the device could do one.
    assert_eq!(shares.joint[Good::UsefulTokPerSPerMw as usize], None);
    assert!(shares.joint[Good::Compute as usize].expect("a factor").mean > 0.5);
}

/// One request at a time.
const QUEUE: &str = "\
duration_s: 60000
warm_up_s: 4000
workload:
  classes:
    - name: jobs
      arrivals: { poisson: { rate_per_s: 0.2 } }
      lengths: { prompt: { constant: { tok: 1 } }, answer: { exponential: { mean_tok: 1000 } } }
      slo: { ttft_ms: 3001 }
fleet:
  sites:
    - name: hall
      static_pue: 1
      pools:
        - name: one
          model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: { tensor: 8 }
          batching: { max_seqs: 1 }
          step_law: { affine: { base_us: 1000, energy: { per_token: { it_j_per_tok: 1 } } } }
levers:
  - { name: twice as fast, set: [fleet.sites.0.pools.0.step_law.affine.base_us=500] }
";

/// Problems for a model of the tier 32b on one node.
fn problems(reasoning: &str, target: &str, listed: &str) -> String {
    format!(
        "\
duration_s: 900
warm_up_s: 300
workload:
  classes:
    - name: problems
      arrivals: {{ poisson: {{ rate_per_s: 3 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 300 }} }}, answer: {{ constant: {{ tok: 300 }} }} }}
      difficulty:
        share: {{ easy: 0.4, medium: 0.4, hard: 0.2 }}
        flagged_hard: {{ easy: 0.36, medium: 0.61, hard: 0.86 }}
      reasoning: {reasoning}
{target}      slo: {{ ttft_ms: 5000, tpot_ms: 60 }}
models:
  - {{ name: solver, catalog: Qwen3-32B }}
fleet:
  sites:
    - name: hall
      static_pue: 1.25
      pools: [{{ name: solver, model: solver, gpu: B200-SXM-180GB, nodes: 1, parallel: {{ tensor: 2 }} }}]
levers:
{listed}"
    )
}

/// Expected accuracy of the 32b tier with thought without end, of weights in these formats.
fn reach(lever: Option<&str>) -> f64 {
    let catalog = catalog();
    let tier = catalog.quality_tier("32b").expect("a tier");
    let kept = lever.map(|name| {
        catalog.retentions().iter().find(|retention| retention.name == name).expect("a retention")
    });
    let tier = kept.map_or_else(|| tier.clone(), |kept| tier.keeping(kept));
    [(Difficulty::Easy, 0.4), (Difficulty::Medium, 0.4), (Difficulty::Hard, 0.2)]
        .into_iter()
        .map(|(difficulty, share)| share * tier.at(difficulty).a1.value)
        .sum()
}

#[test]
fn accuracy_out_of_reach_is_told_with_the_best_there_is() {
    let listed = "  - { name: four bits, set: [models.0.weights=nvfp4] }\n  - { name: fp8 cache, set: [models.0.kv_cache=fp8] }\n";
    let target = 0.5 * (reach(None) + reach(Some("weights-nvfp4")));
    let text = problems("fixed", &format!("      quality_target: {target}\n"), listed);
    let answer = ask(&text, &GIVEN);
    assert!(answer.shares.is_none());
    assert!(answer.subset(0).expect("the base").result.is_ok());
    let Some(Err(Unreached::Quality(missed))) = answer.subset(1).map(|s| s.result.clone()) else {
        panic!("{:?}", answer.subset(1));
    };
    let [missed] = missed.as_slice() else { panic!("{missed:?}") };
    assert_eq!((missed.class.as_str(), missed.target), ("problems", target));
    close("best", missed.best, reach(Some("weights-nvfp4")), 1e-9);
    // With the cache in 8 bit it is less still, or as much: the least of all subsets is what all reach.
    let (_, least) = answer.reachable().pop().expect("a class");
    assert!(least <= missed.best);
    let text = problems("fixed", &format!("      quality_target: {}\n", least - 1e-6), listed);
    assert!(ask(&text, &GIVEN).shares.is_some());
}

/// Budgets are solved anew: whatever the bits, as many answers are right, by the closed form exactly and in the run within
/// what so many answers leave open.
#[test]
fn accuracy_is_held() {
    let listed = "  - { name: four bits, set: [models.0.weights=nvfp4] }\n";
    let adaptive = "{ adaptive: { budget_tok: { easy: 500, hard: 9000 } } }";
    for (reasoning, target) in [("fixed", "      quality_target: 0.84\n"), (adaptive, "")] {
        let question = Question { seeds: 4, ..GIVEN };
        let answer = ask(&problems(reasoning, target, listed), &question);
        let held = answer.held[0].accuracy;
        assert_eq!(answer.held[0].is_target, !target.is_empty());
        for subset in &answer.subsets {
            let accuracy = subset.mean_of(|run| run.accuracy).expect("answers");
            // Some 1,800 answers a run, four runs.
            let open = 4.0 * (held * (1.0 - held) / 7000.0_f64).sqrt();
            assert!((accuracy - held).abs() < open, "{}: {accuracy} for {held}", subset.mask);
        }
        // Worse answers have to think longer.
        let answer_j =
            |mask: u32| answer.subset(mask).and_then(|s| s.mean(Good::JPerAcceptedAnswer)).expect("J");
        assert!(answer_j(0) > 0.0 && answer_j(1) > 0.0);
    }
}

/// No subset has fewer useful tokens than none: mean over 20 seeds, by the 99 % interval of the difference.
#[track_caller]
fn no_fewer_tokens(text: &str) {
    let answer = ask(text, &Question { seeds: 20, ..GIVEN });
    let rates = |mask: u32| -> Vec<f64> {
        let runs = answer.subset(mask).expect("a subset").result.clone().expect("runs");
        runs.iter().map(|run| run.goods[Good::UsefulTokPerS as usize].expect("tokens")).collect()
    };
    let base = rates(0);
    for mask in (1..).map_while(|mask| answer.subset(mask).map(|_| mask)) {
        let differences: Vec<f64> = rates(mask).iter().zip(&base).map(|(a, b)| a - b).collect();
        let (mean, half) = interval(&differences);
        println!("{:?}: {mean:+.0} ± {half:.0} of {:.0} useful tokens/s", answer.names(mask), base[0]);
        assert!(mean + half >= 0.0, "{:?}: {mean} ± {half} of {}", answer.names(mask), base[0]);
    }
}

/// What takes work away, at equal quality, does not lower the useful tokens of a fleet that is out of capacity.
#[test]
fn less_work_is_no_fewer_tokens() {
    let listed = "  - { name: fp8 weights, set: [models.0.weights=fp8] }\n  - { name: fp8 cache, set: [models.0.kv_cache=fp8] }\n";
    let text = problems("fixed", "      quality_target: 0.82\n", listed)
        .replace("rate_per_s: 3", "rate_per_s: 16")
        .replace("duration_s: 900", "duration_s: 500")
        .replace("      slo:", "      patience_s: 4\n      slo:");
    no_fewer_tokens(&text);
}

/// The same of prompts found in the cache, and of windows in most layers (quality is not asked for: no problems).
#[test]
fn fewer_prompts_and_shorter_contexts_are_no_fewer_tokens() {
    let text = "\
duration_s: 400
warm_up_s: 100
workload:
  classes:
    - name: readers
      arrivals: { poisson: { rate_per_s: 30 } }
      lengths: { prompt: { constant: { tok: 500 } }, answer: { constant: { tok: 200 } } }
      prefixes: { tok: { constant: { tok: 4000 } }, count: 12 }
      slo: { ttft_ms: 5000, tpot_ms: 400 }
      patience_s: 4
models:
  - { name: reader, catalog: Qwen3-32B }
fleet:
  sites:
    - name: hall
      static_pue: 1.25
      pools:
        - { name: readers, model: reader, gpu: B200-SXM-180GB, nodes: 1, parallel: { tensor: 2 }, batching: { prefix_cache: false } }
levers:
  - { name: prefix cache, set: [fleet.sites.0.pools.0.batching.prefix_cache=true] }
  - { name: windows, set: ['models.0.attention={ sliding_window: { tokens: 1024, every: 4 } }'] }
";
    no_fewer_tokens(text);
}

/// The same of latents in place of all heads' keys and values, and of attention to the best tokens.
#[test]
fn latents_and_choices_are_no_fewer_tokens() {
    let text = |model: &str, parallel: &str, lever: &str| {
        format!(
            "\
duration_s: 1500
warm_up_s: 300
workload:
  classes:
    - name: readers
      arrivals: {{ poisson: {{ rate_per_s: 0.8 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 32768 }} }}, answer: {{ constant: {{ tok: 512 }} }} }}
      slo: {{ ttft_ms: 60000, tpot_ms: 200 }}
      patience_s: 50
models:
  - {model}
fleet:
  sites:
    - name: hall
      static_pue: 1.25
      pools:
        - {{ name: readers, model: reader, gpu: H200-SXM-141GB, nodes: 1, engine: sglang-0.5, parallel: {parallel} }}
levers:
  - {{ name: lever, set: [{lever}] }}
"
        )
    };
    no_fewer_tokens(&text(
        "{ name: reader, catalog: DeepSeek-V3, attention: uncompressed }",
        "{ tensor: 8 }",
        "models.0.attention=native",
    ));
    // The indexer is whole on each GPU of a group that splits layers, so there it would save nothing at this length.
    no_fewer_tokens(&text(
        "{ name: reader, catalog: DeepSeek-V3 }",
        "{ attention_data: 8, expert: 8 }",
        "models.0.catalog=DeepSeek-V3.2",
    ));
}

#[test]
fn the_answer_does_not_depend_on_threads() {
    let text =
        problems("fixed", "      quality_target: 0.8\n", "  - { name: fp8, set: [models.0.weights=fp8] }\n")
            .replace("duration_s: 900", "duration_s: 400");
    let question =
        Question { load: Load::Solved { attainment: 0.95, tolerance: 0.1 }, seeds: 2, orders: 24, curve: 2 };
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| ask(&text, &question))
    };
    let one = with(1);
    assert_eq!(one, with(3));
    // More thought is more accurate, and the curves are of both.
    assert_eq!(one.curves.len(), 2);
    for curve in &one.curves {
        assert_eq!(curve.points.iter().filter(|point| point.2).count(), 1);
        assert!(curve.points.len() == 3 && curve.points[0].0 < curve.points[2].0, "{curve:?}");
    }
}

/// Where a class escalates to hangs on its target, with levers pulled as without.
#[test]
fn escalation_keeps_its_target() {
    let escalating = "{ quality_target: { escalate_to: large } }";
    let pull = format!("  - {{ name: escalate, set: ['workload.classes.0.reasoning={escalating}'] }}\n");
    let fp8 = "  - { name: fp8 cache, set: [models.0.kv_cache=fp8] }\n";
    // The smaller model alone is right in at most 0.83.
    for (reasoning, target, listed) in
        [(escalating, 0.85, fp8), ("{ fixed: { budget_tok: 500 } }", 0.75, pull.as_str())]
    {
        let text = problems(reasoning, &format!("      quality_target: {target}\n"), listed)
            .replace("duration_s: 900\nwarm_up_s: 300", "duration_s: 60")
            .replace("    - name: problems\n", "    - name: problems\n      model: solver\n")
            .replace("catalog: Qwen3-32B }", "catalog: Qwen3-8B }\n  - { name: large, catalog: Qwen3-32B }")
            .replace(
                "pools: [",
                "pools: [{ name: large, model: large, gpu: B200-SXM-180GB, nodes: 1, parallel: { tensor: 2 } }, ",
            );
        let answer = ask(&text, &GIVEN);
        assert!(answer.subsets.iter().all(|subset| subset.result.is_ok()), "{:?}", answer.subsets);
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let text = |listed: &str| problems("fixed", "      quality_target: 0.8\n", listed);
    let line = text("").lines().count() + 1;
    for (listed, says) in [
        (
            "  - { name: a, set: [models.0.wheights=fp8] }\n",
            format!("test.yaml:{line}:22: levers.0.set.0: unknown field 'wheights'"),
        ),
        ("  - { name: a, set: [models.0.weights=fp9] }\n", format!("test.yaml:{line}:22: ")),
        ("  - { name: a, set: [models.0.weights] }\n", "a path and a value".into()),
        ("  - { name: a, set: [seed=2] }\n", "is held".into()),
        ("  - { name: a, set: [workload.classes.0.slo.ttft_ms=1] }\n", "is held".into()),
        ("  - { name: a, set: [] }\n", "is empty".into()),
        (
            "  - { name: a, set: [models.0.kv_cache=fp8, models.0.kv_cache=bf16] }\n",
            "a lever sets a field once".into(),
        ),
        ("  - { name: a, set: [fleet.sites.0.power.cap_mw=1] }\n", "lever a gives a site a cap".into()),
        (
            "  - { name: a, set: [models.0.weights=fp8] }\n  - { name: b, set: [models.0.weights=nvfp4] }\n",
            "as lever 'a' does".into(),
        ),
        (
            "  - { name: a, set: [models.0.weights=fp8] }\n  - { name: a, set: [models.0.kv_cache=fp8] }\n",
            "there is already a lever named 'a'".into(),
        ),
        (
            "  - { name: a, set: ['fleet.sites.0.power.cap_fraction={ csv: { path: cap.csv, column: f } }'] }\n",
            "names the file 'cap.csv'".into(),
        ),
        // Each is well alone.
        (
            "  - { name: a, set: [fleet.sites.0.pools.0.installed_h=0.2] }\n  - { name: b, set: \
             [fleet.sites.0.pools.0.removed_h=0.1] }\n",
            "(levers a and b together)".into(),
        ),
    ] {
        let error = refused(&text(listed), &[], &GIVEN);
        assert!(error.contains(&says), "{error}\nlacks {says}");
    }
    let fp8 = "  - { name: a, set: [models.0.weights=fp8] }\n";
    assert!(refused(&text("").replace("levers:\n", ""), &[], &GIVEN).contains("levers: none to measure"));
    assert!(refused(&text(fp8), &["models.0.weights=nvfp4"], &GIVEN).contains("lever 'a' sets this field"));
    let solved = Question { load: Load::Solved { attainment: 0.9, tolerance: 0.1 }, ..GIVEN };
    let no_slo = text(fp8).replace("      slo: { ttft_ms: 5000, tpot_ms: 60 }\n", "");
    assert!(refused(&no_slo, &[], &solved).contains("no class has an slo"));
}

/// A half of the fleet of three-epochs: power binds for good at a time, later with all levers, and sooner again without any one.
#[test]
fn levers_put_the_crossing_off() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/three-epochs.yaml");
    let draft = Draft::read(&path).expect("a file");
    let sets = [
        "workload.classes.0.arrivals.rate_curve.scale=1.1",
        "fleet.sites.0.power.cap_mw=0.025",
        "fleet.sites.0.pools.0.nodes=1",
        "fleet.sites.0.pools.1.nodes=1",
        "fleet.sites.0.pools.2.nodes=1",
    ];
    let answer = levers(&draft, &options(&sets), &GIVEN, &QUIET).unwrap_or_else(|error| panic!("{error}"));
    let crossing = |mask: u32| answer.subset(mask).and_then(|s| s.power_lasting_s()).expect("a crossing");
    let (without, all) = (crossing(0), crossing(7));
    assert!(all > without + 3600.0, "{without} {all}");
    for lever in 0..3 {
        let but = crossing(7 & !(1 << lever));
        assert!(but < all, "without {}: {but}, with all {all}", answer.levers[lever]);
    }
}

fn wattmill(dir: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_wattmill");
    Command::new(program).args(arguments).current_dir(dir).output().expect("runs")
}

#[test]
fn the_command_writes_a_folder_with_figures() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let text = problems(
        "fixed",
        "      quality_target: 0.8\n",
        "  - { name: \"fp8, weights\", set: [models.0.weights=fp8] }\n  - { name: fp8 cache, set: [models.0.kv_cache=fp8] }\n",
    )
    .replace("duration_s: 900", "duration_s: 400");
    fs::write(dir.path().join("s.yaml"), text).expect("scenario");
    let arguments =
        ["levers", "s.yaml", "--load", "given", "--seeds", "2", "--curve", "2", "-o", "out", "--json"];
    let output = wattmill(dir.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let shares = answer["levers"].as_array().expect("levers");
    let product: f64 = shares.iter().map(|lever| lever["phi"].as_f64().expect("phi")).product();
    close("the factors multiply", product, answer["joint_phi"].as_f64().expect("joint"), 1e-12);
    for key in ["gpu", "it", "facility"] {
        assert!(shares[0]["j_per_token"][key].as_f64().is_some_and(|factor| factor > 0.0));
    }
    let kept: Value = serde_json::from_slice(&fs::read(dir.path().join("out/summary.json")).expect("a file"))
        .expect("JSON");
    assert_eq!(kept, answer);
    let files = [
        "levers.csv",
        "subsets.csv",
        "figures/waterfall.svg",
        "figures/waterfall.png",
        "figures/accuracy.csv",
    ];
    for file in files {
        assert!(dir.path().join("out").join(file).metadata().is_ok_and(|m| m.len() > 0), "{file}");
    }
    let csv = fs::read_to_string(dir.path().join("out/levers.csv")).expect("a file");
    assert!(csv.lines().any(|line| line.starts_with("\"fp8, weights\",")), "{csv}");
    assert_eq!(csv.lines().count(), 4);
    // A run pulls none of them; a table of the same question may be written again.
    assert!(wattmill(dir.path(), &arguments).status.success());
    let output = wattmill(dir.path(), &["levers", "s.yaml", "--attainment", "2"]);
    assert_eq!(output.status.code(), Some(2));
    let output = wattmill(dir.path(), &["check", "s.yaml", "--set", "levers.0.set.0=models.0.wheights=fp8"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("--set levers.0.set.0=models.0.wheights=fp8"), "{error}");
}
