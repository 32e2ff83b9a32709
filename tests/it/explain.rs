//! Shadow prices: against the Token Production Function, against what cannot matter, and against the ledger's labels.

use std::path::Path;

use wattmill::ledger::outcome::Constraint;
use wattmill::scenario::Resolved;
use wattmill::study::batch::Progress;
use wattmill::study::explain::{Agreement, Explanation, LimitKind, Price, Question, explain};

use crate::support::{Draw, catalog, close, load, load_file};

#[track_caller]
fn ask(resolved: &Resolved, question: &Question) -> Explanation {
    let options = Progress { go_on: &|| true, runs: &|_| (), run_done: &|| () };
    explain(resolved, question, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn whole_run(seeds: u32) -> Question {
    Question { window_s: None, lead_in_s: 3600.0, step: 0.05, only: Vec::new(), seeds }
}

#[track_caller]
fn of(answer: &Explanation, kind: LimitKind) -> &Price {
    answer.prices.iter().find(|price| price.limit.kind == kind).unwrap_or_else(|| panic!("no {}", kind.key()))
}

#[track_caller]
fn elasticity(answer: &Explanation, kind: LimitKind) -> f64 {
    of(answer, kind).elasticity.unwrap_or_else(|| panic!("{}: no elasticity", kind.key())).mean
}

/// The paper's fleet at a thousandth: one node, so the cap is in kilowatts.
fn paper(cap_mw: f64) -> Resolved {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/paper-fleet.yaml");
    let sets = [
        "workload.classes.0.arrivals.closed_loop.in_flight=10240".to_string(),
        "fleet.sites.0.pools.0.nodes=10".to_string(),
        format!("fleet.sites.0.power.cap_mw={cap_mw}"),
    ];
    load_file(&path, &sets, catalog())
}

/// PHYSICS §1: Q = min(nodes, cap/(PUE·10,401 W))·102,909 tok/s. Ten nodes switch at 0.1144 MW. Below it tokens follow the
/// cap, and what falls of the PUE: from 1.1, a watt of overhead in eleven; FLOP/s and nodes do nothing. Above it the other
/// way round. Elasticities are those of finite steps: 5 % more cap is 5 % more tokens.
#[test]
fn the_token_production_function_has_its_prices() {
    let bound_by_power = ask(&paper(0.09), &whole_run(2));
    close("tokens", bound_by_power.useful_tok_per_s.mean, 0.09e6 / 1.1 / 10_401.0 * 102_909.0, 2e-3);
    close("cap", elasticity(&bound_by_power, LimitKind::PowerCap), 1.0, 5e-3);
    assert!(elasticity(&bound_by_power, LimitKind::Flops).abs() < 5e-3);
    assert!(elasticity(&bound_by_power, LimitKind::Replicas).abs() < 5e-3);
    // The overhead is moved by what frees 5 % of the power: (1.1 − x)/1.1 with x = .055, so Q grows by 1.1/1.045.
    let overhead = of(&bound_by_power, LimitKind::Overhead);
    close(
        "overhead",
        overhead.gain_tok_per_s.expect("a gain").mean / bound_by_power.useful_tok_per_s.mean,
        1.1 / 1.045 - 1.0,
        5e-3,
    );
    assert_eq!(bound_by_power.verdict.by_price, Some(Constraint::Power));
    assert_eq!(bound_by_power.verdict.agreement, Agreement::Agree);

    let bound_by_nodes = ask(&paper(0.13), &whole_run(2));
    close("tokens", bound_by_nodes.useful_tok_per_s.mean, 10.0 * 102_909.0, 2e-3);
    assert!(elasticity(&bound_by_nodes, LimitKind::PowerCap).abs() < 1e-6);
    close("FLOP/s", elasticity(&bound_by_nodes, LimitKind::Flops), 1.0, 5e-3);
    assert_eq!(bound_by_nodes.verdict.by_price, Some(Constraint::Compute));
    assert_eq!(bound_by_nodes.verdict.agreement, Agreement::Agree);
}

/// A quarter of the load the fleet can bear: more work is more tokens, more of anything else is nothing.
#[test]
fn without_enough_work_no_limit_has_a_price() {
    let resolved = load(&scenario(0.25, 1.4, 2, None), &[]);
    let answer = ask(&resolved, &whole_run(8));
    assert_eq!(answer.verdict.by_price, Some(Constraint::Demand), "{answer:#?}");
    assert_eq!(answer.verdict.agreement, Agreement::Agree);
    for price in &answer.prices {
        let gain = price.gain_tok_per_s.unwrap_or_else(|| panic!("{price:?}"));
        match price.limit.kind {
            LimitKind::Demand => assert!(gain.ci95_low > 0.0, "{price:?}"),
            // Where a request ends moves by a token time; whether it is useful does not.
            _ => {
                assert!(gain.holds(0.0) || gain.mean.abs() < 1e-3 * answer.useful_tok_per_s.mean, "{price:?}")
            }
        }
    }
}

/// A window counts the requests of its own: two halves add up to the whole.
#[test]
fn windows_add_up() {
    let resolved = load(&scenario(0.8, 0.9, 2, None), &[]);
    let only = vec![LimitKind::PowerCap];
    let tokens = |from_s: f64, until_s: f64| {
        let question = Question {
            window_s: Some((from_s, until_s)),
            lead_in_s: 1e9,
            only: only.clone(),
            ..whole_run(2)
        };
        ask(&resolved, &question).useful_tok_per_s.mean * (until_s - from_s)
    };
    let (first, second, whole) = (tokens(0.0, 300.0), tokens(300.0, 600.0), tokens(0.0, 600.0));
    // The first half, run alone, ends without the arrivals that follow: its last requests have more room.
    close("halves", first + second, whole, 5e-3);
}

/// The same answer whatever the threads.
#[test]
fn the_answer_does_not_depend_on_threads() {
    let resolved = load(&scenario(1.2, 0.8, 2, None), &["duration_s=120"]);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        format!("{:?}", pool.install(|| ask(&resolved, &whole_run(3))))
    };
    assert_eq!(on(1), on(4));
}

/// One pool of H100 nodes with `load` of what it carries at full clock, under a cap of `cap` of what that draws.
fn scenario(load: f64, cap: f64, nodes: u32, max_seqs: Option<u32>) -> String {
    // 8B on one H100: about 12.5 requests/s of these lengths per node of 8, drawing some 6.5 kW.
    let rate = 190.0 * load * f64::from(nodes) / 2.0;
    let cap_mw = 0.0118 * cap * f64::from(nodes) / 2.0;
    let max_seqs = max_seqs.unwrap_or(64);
    format!(
        "duration_s: 600\nworkload:\n  classes:\n    - name: chat\n      arrivals: {{ poisson: {{ rate_per_s: {rate} }} }}\n      \
         lengths:\n        prompt: {{ lognormal: {{ mean_tok: 600, sigma: 0.8, max_tok: 8192 }} }}\n        \
         answer: {{ lognormal: {{ mean_tok: 200, sigma: 0.8, max_tok: 4096 }} }}\n      slo: {{ tpot_ms: 100 }}\n      \
         patience_s: 30\nrouting: least_loaded\nfleet:\n  sites:\n    - name: hall\n      static_pue: 1.2\n      \
         power: {{ cap_mw: {cap_mw} }}\n      pools:\n        - {{ name: chat, model: Llama-3.1-8B, gpu: H100-SXM-80GB, \
         nodes: {nodes}, batching: {{ max_seqs: {max_seqs} }} }}\n"
    )
}

/// Twenty scenarios drawn from light to heavy load, and from no cap to a hard one: by their prices they are bound by what
/// the ledger says, in at least eighteen; in the others for a reason.
#[test]
fn labels_are_true() {
    let mut dice = Draw::new(11);
    let (mut agreed, mut disagreed) = (0, Vec::new());
    for number in 0..20_u32 {
        let (load_share, cap) = (dice.between(0.4, 3.5), dice.between(0.5, 2.0));
        let max_seqs = dice.of(&[32, 64, 128, 256]);
        let text = scenario(load_share, cap, 1, Some(max_seqs));
        let resolved = load(&text, &["duration_s=180", &format!("seed={number}")]);
        let question = Question { window_s: Some((60.0, 180.0)), lead_in_s: 60.0, ..whole_run(8) };
        let answer = ask(&resolved, &question);
        let verdict = answer.verdict;
        println!(
            "load {load_share:.2} cap {cap:.2} slots {max_seqs}: by price {:?}, by ledger {:?}: {:?}; {:?}",
            verdict.by_price, verdict.by_ledger, verdict.agreement, answer.labels.by_pool
        );
        for price in &answer.prices {
            if let Some(e) = price.elasticity {
                println!(
                    "   {:>15} {:+.3} [{:+.3}, {:+.3}]",
                    price.limit.kind.key(),
                    e.mean,
                    e.ci95_low,
                    e.ci95_high
                );
            }
        }
        agreed += usize::from(verdict.agreement == Agreement::Agree);
        if verdict.agreement == Agreement::Disagree {
            disagreed.push(number);
        }
    }
    assert_eq!(disagreed, Vec::<u32>::new(), "told otherwise without a reason");
    assert!(agreed >= 18, "{agreed} of 20");
}
