//! Requests answered in several legs: what is drawn against integrals, what is booked against accounts worked out by
//! hand, and both engines on the corners.

use std::fs;
use std::sync::Arc;

use wattmill::catalog::{Catalog, Difficulty, QualityTier};
use wattmill::ledger::outcome::{Outcome, Quantiles, RequestOutcome};
use wattmill::physics::normal::{phi, quantile};
use wattmill::scenario::{self, LoadOptions, Resolved};
use wattmill::workload::{Itinerary, Request, Workload};

use crate::engines::equal;
use crate::support::{catalog, close, load, load_with, run};

/// Standard errors within which a sampled share must lie.
const SIGMAS: f64 = 4.0;
/// A budget for all problems that ends the thought of many.
const BUDGET: f64 = 4000.0;

/// The catalog with another correlation of attempts, a tier that is always right and one that never is.
fn with_correlation(value: f64) -> Arc<Catalog> {
    let number = |value: f64| format!("{{ value: {value}, source: test, quality: guess }}");
    let tier = |name: &str, right: f64| {
        let at = format!("{{ a0: {0}, a1: {0}, mean_thinking_tok: {1} }}", number(right), number(100.0));
        format!("  - {{ name: {name}, sigma: {}, easy: {at}, medium: {at}, hard: {at} }}\n", number(0.5))
    };
    let text = format!(
        "repeat_correlation: {}\nquality_tiers:\n{}{}",
        number(value),
        tier("always", 1.0),
        tier("never", 0.0)
    );
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("own.yaml"), text).expect("catalog");
    Arc::new(Catalog::with_overlay(dir.path()).unwrap_or_else(|error| panic!("{error}")))
}

/// `requests` problems, one a second; a small and a large model and a judge.
fn problems(requests: u32, difficulty: &str, answering: &str) -> String {
    format!(
        "\
seed: 5
duration_s: {requests}
workload:
  classes:
    - name: problems
      arrivals: {{ constant: {{ rate_per_s: 1 }} }}
      difficulty: {{ share: {difficulty} }}
      reasoning: {{ fixed: {{ budget_tok: {BUDGET} }} }}
      {answering}
models:
  - {{ name: small, catalog: Llama-3.1-8B, quality_tier: 7b }}
  - {{ name: large, catalog: Llama-3.1-8B, quality_tier: 32b }}
fleet:
  sites:
    - pools:
        - {{ model: small, gpu: H100-SXM-80GB, nodes: 1 }}
        - {{ model: large, gpu: H100-SXM-80GB, nodes: 1 }}
"
    )
}

fn only(difficulty: Difficulty) -> String {
    let share = |of| u8::from(of == difficulty);
    let [easy, medium, hard] = Difficulty::ALL.map(share);
    format!("{{ easy: {easy}, medium: {medium}, hard: {hard} }}")
}

/// Requests with all their legs.
fn sample(resolved: &Resolved) -> Vec<(Request, Itinerary)> {
    let workload = Workload::open(&resolved.scenario, &resolved.base_dir, &resolved.catalog)
        .unwrap_or_else(|e| panic!("{e}"));
    let mut stream = workload.stream().unwrap_or_else(|e| panic!("{e}"));
    let mut all = Vec::new();
    while let Some(request) = stream.next().unwrap_or_else(|e| panic!("{e}")) {
        let mut itinerary = Itinerary::default();
        stream.itinerary(&request, &mut itinerary);
        all.push((request, itinerary));
    }
    all
}

fn delivered_right(itinerary: &Itinerary) -> bool {
    itinerary.tasks[usize::from(itinerary.delivered)].attempt.correct()
}

#[track_caller]
fn near(what: &str, found: f64, wanted: f64, n: f64) {
    let error = (wanted * (1.0 - wanted) / n).sqrt();
    assert!((found - wanted).abs() < SIGMAS * error, "{what}: {found}, wanted {wanted} ± {error}");
}

fn share(all: &[(Request, Itinerary)], holds: impl Fn(&Itinerary) -> bool) -> f64 {
    all.iter().filter(|(_, itinerary)| holds(itinerary)).count() as f64 / all.len() as f64
}

/// A mean over a standard normal number, by the midpoint rule.
fn mean_over_normal(of: impl Fn(f64) -> f64) -> f64 {
    let (n, far) = (240, 7.0);
    let step = 2.0 * far / f64::from(n);
    (0..n)
        .map(|k| {
            let z = -far + (f64::from(k) + 0.5) * step;
            of(z) * step * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
        })
        .sum()
}

/// P(right | what attempts have in common) of an attempt that is right with probability `p`.
fn given(p: f64, common: f64, rho: f64) -> f64 {
    phi((quantile(p) - rho.sqrt() * common) / (1.0 - rho).sqrt())
}

fn tier(name: &str) -> QualityTier {
    catalog().quality_tier(name).expect("a tier").clone()
}

/// P(right) of a tier on hard problems whose needed thought has the score `z`.
fn right_at(tier: &QualityTier, z: f64) -> f64 {
    let needed = (tier.mu(Difficulty::Hard) + tier.sigma.value * z).exp();
    if needed <= BUDGET { tier.hard.a1.value } else { tier.hard.a0.value }
}

const VERIFY: &str = "verify: { model: small, accepts_right: 0.9, accepts_wrong: 0.3 }";

#[test]
fn every_attempt_is_right_as_often_by_itself() {
    for rho in [0.0, 0.5, 0.9] {
        for difficulty in Difficulty::ALL {
            let text = problems(
                20_000,
                &only(difficulty),
                &format!("model: small\n      answering: {{ best_of: {{ n: 4, {VERIFY} }} }}"),
            );
            let all = sample(&load_with(&text, &[], with_correlation(rho)));
            let (n, p) = (all.len() as f64, tier("7b").p_right(difficulty, BUDGET));
            let mean_tok = tier("7b").mean_thinking_tok(difficulty, BUDGET);
            for leg in 0..4 {
                let right = share(&all, |i| i.tasks[leg].attempt.correct());
                near(&format!("attempt {leg} at {rho}"), right, p, n);
                let tokens: f64 = all.iter().map(|(_, i)| f64::from(i.tasks[leg].thinking_tok)).sum();
                assert!((tokens / n / mean_tok - 1.0).abs() < 0.03, "{leg}: {tokens}, wanted {mean_tok}");
            }
        }
    }
}

/// Two attempts are both right as often as the bivariate normal says, where the budget decides nothing.
#[test]
fn attempts_agree_as_their_correlation_says() {
    for rho in [0.0, 0.5, 0.9] {
        let text = problems(
            60_000,
            &only(Difficulty::Hard),
            &format!("model: small\n      answering: {{ best_of: {{ n: 3, {VERIFY} }} }}"),
        )
        .replace(&format!("budget_tok: {BUDGET}"), "budget_tok: 16777216");
        let all = sample(&load_with(&text, &[], with_correlation(rho)));
        let p = tier("7b").hard.a1.value;
        let both = mean_over_normal(|z| given(p, z, rho).powi(2));
        for (i, k) in [(0, 1), (0, 2), (1, 2)] {
            let found = share(&all, |i_| i_.tasks[i].attempt.correct() && i_.tasks[k].attempt.correct());
            near(&format!("attempts {i} and {k} at {rho}"), found, both, all.len() as f64);
        }
        // So are the logarithms of their thoughts.
        let log = |i: &Itinerary, leg: usize| f64::from(i.tasks[leg].thinking_tok).ln();
        let (mu, sigma) = (tier("7b").mu(Difficulty::Hard), tier("7b").sigma.value);
        let n = all.len() as f64;
        for (i, k) in [(0, 1), (1, 2)] {
            let product: f64 =
                all.iter().map(|(_, it)| (log(it, i) - mu) * (log(it, k) - mu) / (sigma * sigma)).sum();
            assert!((product / n - rho).abs() < SIGMAS * 1.5 / n.sqrt(), "{i}, {k}: {}", product / n);
        }
    }
}

#[test]
fn a_cascade_is_right_as_the_integral_says() {
    for (rho, right, wrong) in [(0.8, 0.95, 0.25), (0.0, 0.7, 0.4), (0.95, 1.0, 0.0)] {
        let text = problems(
            40_000,
            &only(Difficulty::Hard),
            &format!(
                "answering: {{ cascade: {{ models: [small, large], verify: {{ model: small, accepts_right: {right}, \
                 accepts_wrong: {wrong} }} }} }}"
            ),
        );
        let resolved = load_with(&text, &[], with_correlation(rho));
        let all = sample(&resolved);
        let (small, large) = (tier("7b"), tier("32b"));
        let of_right = mean_over_normal(|thought| {
            let (p, q) = (right_at(&small, thought), right_at(&large, thought));
            mean_over_normal(|z| {
                let (p, q) = (given(p, z, rho), given(q, z, rho));
                let accepted = p * right + (1.0 - p) * wrong;
                p * right + (1.0 - accepted) * q
            })
        });
        let p = small.p_right(Difficulty::Hard, BUDGET);
        let of_accepted = p * right + (1.0 - p) * wrong;
        let n = all.len() as f64;
        near("right", share(&all, delivered_right), of_right, n);
        near("accepted", share(&all, |i| i.tasks.len() == 2), of_accepted, n);
        // The report's closed form is the same number.
        let outcome = run(&short(&resolved));
        let expected = outcome.summary.quality.expect("quality").by_class["problems"].expected_accuracy;
        let expected = expected.expect("a share");
        // The thought's score has jumps, of which the midpoint rule misses up to half a step each.
        assert!((expected - of_right).abs() < 4e-3, "{expected}, by hand {of_right}");
    }
}

/// The same with little to do.
fn short(resolved: &Resolved) -> Resolved {
    let mut resolved = resolved.clone();
    resolved.scenario.duration_s = Some(1.0);
    resolved
}

#[test]
fn the_best_of_several_is_right_as_the_integral_says() {
    for (rho, n, right, wrong) in [(0.8, 4, 0.9, 0.3), (0.0, 2, 0.6, 0.1), (0.6, 6, 0.5, 0.5)] {
        let text = problems(
            30_000,
            &only(Difficulty::Hard),
            &format!(
                "model: small\n      answering: {{ best_of: {{ n: {n}, verify: {{ model: large, accepts_right: {right}, \
                 accepts_wrong: {wrong} }} }} }}"
            ),
        );
        let resolved = load_with(&text, &[], with_correlation(rho));
        let all = sample(&resolved);
        let small = tier("7b");
        let ends = (BUDGET.ln() - small.mu(Difficulty::Hard)) / small.sigma.value;
        let wanted = mean_over_normal(|thought| {
            let ends = phi((ends - rho.sqrt() * thought) / (1.0 - rho).sqrt());
            mean_over_normal(|z| {
                let p = ends * given(small.hard.a1.value, z, rho)
                    + (1.0 - ends) * given(small.hard.a0.value, z, rho);
                // By the number of answers that are right, of those that are accepted, and of those accepted that are right.
                let mut sum = 0.0;
                for of_right in 0..=n {
                    for taken in 0..=of_right {
                        for mistaken in 0..=n - of_right {
                            let weight = binomial(n, of_right, p)
                                * binomial(of_right, taken, right)
                                * binomial(n - of_right, mistaken, wrong);
                            sum += weight
                                * match taken + mistaken {
                                    0 => f64::from(of_right) / f64::from(n),
                                    accepted => f64::from(taken) / f64::from(accepted),
                                };
                        }
                    }
                }
                sum
            })
        });
        near("right", share(&all, delivered_right), wanted, all.len() as f64);
        let outcome = run(&short(&resolved));
        let expected = outcome.summary.quality.expect("quality").by_class["problems"].expected_accuracy;
        assert!((expected.expect("a share") - wanted).abs() < 1e-6, "{expected:?}, by hand {wanted}");
        // A verifier that knows nothing picks blindly.
        if right == wrong {
            near("blind", share(&all, delivered_right), small.p_right(Difficulty::Hard, BUDGET), 30_000.0);
        }
    }
}

fn binomial(n: i32, k: i32, p: f64) -> f64 {
    let choose = (1..=k).fold(1.0, |product, i| product * f64::from(n - k + i) / f64::from(i));
    choose * p.powi(k) * (1.0 - p).powi(n - k)
}

#[test]
fn a_verifier_is_worth_what_it_knows() {
    let cascade = |right: f64, wrong: f64| {
        let answering = format!(
            "answering: {{ cascade: {{ models: [small, large], verify: {{ model: large, output_tok: 2, accepts_right: \
             {right}, accepts_wrong: {wrong} }} }} }}"
        );
        sample(&load(&problems(10_000, "{ easy: 0.3, medium: 0.3, hard: 0.4 }", &answering), &[]))
    };
    let perfect = cascade(1.0, 0.0);
    let first = |i: &Itinerary| i.tasks[0].attempt.correct();
    for (_, itinerary) in &perfect {
        assert!(delivered_right(itinerary) >= first(itinerary), "never worse, problem by problem");
        assert_eq!(itinerary.tasks.len(), if first(itinerary) { 2 } else { 3 });
    }
    assert!(share(&perfect, delivered_right) > share(&perfect, first) + 0.02);
    // One that accepts all is the small model and a verdict on top.
    for (request, itinerary) in cascade(1.0, 1.0) {
        let [answer, verdict] = itinerary.tasks[..] else { panic!("two legs") };
        assert_eq!((answer.prompt_tok, answer.output_tok), (request.prompt_tok, request.output_tok));
        assert_eq!((answer.attempt, itinerary.delivered), (request.attempt, 0));
        let visible = request.output_tok - request.thinking_tok;
        assert_eq!((verdict.prompt_tok, verdict.output_tok), (request.prompt_tok + visible, 2));
    }
}

#[test]
fn the_first_attempt_is_what_it_was_without_others() {
    let difficulty = "{ easy: 0.3, medium: 0.3, hard: 0.4 }";
    let plain = sample(&load(&problems(5000, difficulty, "model: small"), &[]));
    for answering in [
        format!("answering: {{ cascade: {{ models: [small, large], {VERIFY} }} }}"),
        format!("model: small\n      answering: {{ best_of: {{ n: 3, {VERIFY} }} }}"),
    ] {
        let legs = sample(&load(&problems(5000, difficulty, &answering), &[]));
        assert_eq!(legs.len(), plain.len());
        for ((a, itinerary), (b, _)) in legs.iter().zip(&plain) {
            assert_eq!(Request { leg: b.leg, ..*a }, *b);
            let sent = itinerary.leg(a, 0, a.arrival_fs);
            assert_eq!(sent, *a);
        }
    }
}

/// A small model that never is right, a large one that always is, on a replica each. A step of the small one takes 10 ms,
/// 5 ms more with a prompt, 0.1 ms per prompt token, 1 ms per decoding sequence, at 100 W and 5 W per sequence; of the
/// large one 20 ms at 300 W. Idle they draw 10 W and 20 W. Prompts of 100 tokens, answers of 20, verdicts of 3, by the
/// small model; requests at 1 s and 2 s.
fn by_hand(answering: &str) -> Outcome {
    let text = format!(
        "\
duration_s: 2.5
at_end: drain
workload:
  classes:
    - name: problems
      arrivals: {{ constant: {{ rate_per_s: 1 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 100 }} }}, answer: {{ constant: {{ tok: 20 }} }} }}
      difficulty: {{ share: {{ easy: 0, medium: 1, hard: 0 }} }}
      {answering}
models:
  - {{ name: small, catalog: Llama-3.1-8B, quality_tier: never }}
  - {{ name: large, catalog: Llama-3.1-8B, quality_tier: always }}
fleet:
  sites:
    - static_pue: 1.2
      pools:
        - model: small
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: {{ tensor: 8 }}
          batching: {{ kv_blocks: 1000 }}
          step_law:
            affine:
              base_us: 10000
              prefill_us: 5000
              per_prompt_tok_us: 100
              per_seq_us: 1000
              energy: {{ per_state: {{ idle_w: 10, base_w: 100, per_seq_w: 5 }} }}
        - model: large
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: {{ tensor: 8 }}
          batching: {{ kv_blocks: 1000 }}
          step_law: {{ affine: {{ base_us: 20000, energy: {{ per_state: {{ idle_w: 20, base_w: 300, per_seq_w: 0 }} }} }} }}
"
    );
    let resolved = load_with(&text, &[], with_correlation(0.5));
    equal(answering, &resolved).0
}

fn mean(q: &Quantiles) -> f64 {
    q.mean.expect("samples")
}

/// Small model: prompt 25 ms and 19 tokens of 11 ms, 234 ms; verdict: prompt of 120 tokens 27 ms and 2 tokens, 49 ms;
/// together 283 ms at 105 W, 29.715 J. Large model: 20 tokens of 20 ms, 400 ms at 300 W, 120 J. The second request ends at
/// 2.683 s. Idle: (2.683 − 0.566) s at 10 W and (2.683 − 0.8) s at 20 W, 58.83 J. In all 358.26 J of IT.
#[test]
fn every_joule_of_a_cascade() {
    let verify = "verify: { model: small, output_tok: 3, accepts_right: 1, accepts_wrong: 0 }";
    let outcome = by_hand(&format!("answering: {{ cascade: {{ models: [small, large], {verify} }} }}"));
    let s = &outcome.summary;
    let exact = |what: &str, got: f64, expected: f64| close(what, got, expected, 1e-9);
    exact("end", s.scenario.end_s, 2.683);
    exact("IT", s.energy_j.it, 358.26);
    exact("facility", s.energy_j.facility, 429.912);
    assert_eq!((s.requests.arrived, s.requests.completed, s.requests.useful), (2, 2, 2));
    // Of three legs, two answers and a verdict, one answer is of use.
    assert_eq!((s.tokens.prompt, s.tokens.output, s.tokens.useful_output), (640, 86, 40));
    exact("J/token", s.j_per_output_token.it.expect("tokens"), 358.26 / 86.0);
    exact("J/useful token", s.j_per_useful_token.it.expect("tokens"), 358.26 / 40.0);
    exact("J/answer", s.j_per_accepted_answer.it.expect("answers"), 358.26 / 2.0);
    exact("TTFT", mean(&s.latency_s.ttft), 0.234 + 0.049 + 0.02);
    exact("end to end", mean(&s.latency_s.e2e), 0.683);
    exact("TPOT", mean(&s.latency_s.tpot), 0.02);
    exact("delay", mean(&s.latency_s.queue) + 1.0, 1.0);
    let class = &s.quality.as_ref().expect("quality").by_class["problems"];
    let found = class.answering.as_ref().expect("legs");
    assert_eq!((class.accuracy, class.expected_accuracy.map(|p| p > 0.999_999)), (Some(1.0), Some(true)));
    assert_eq!((found.mean_attempts, found.mean_output_tok), (Some(2.0), Some(43.0)));
    assert_eq!((found.mean_verdict_tok, found.first_attempt_accuracy), (Some(3.0), Some(0.0)));
    assert_eq!(found.verified_share, Some(0.0));
    assert_eq!(class.tier, "never, then always");
    let row = outcome.requests.as_ref().expect("rows")[0].clone();
    assert_eq!((row.legs, row.spent_tok, row.output_tok, row.replica), (3, 43, 20, Some(1)));

    // Where the verifier takes what is wrong, nothing is of use, and the answer is seen with the verdict.
    let outcome = by_hand(
        "answering: { cascade: { models: [small, large], verify: { model: small, output_tok: 3, accepts_right: 1, \
         accepts_wrong: 1 } } }",
    );
    let s = &outcome.summary;
    exact("TTFT", mean(&s.latency_s.ttft), 0.283);
    exact("end to end", mean(&s.latency_s.e2e), 0.283);
    exact("TPOT", mean(&s.latency_s.tpot), 0.011);
    assert_eq!((s.tokens.output, s.tokens.useful_output, s.requests.useful), (46, 0, 0));
    exact("IT", s.energy_j.it, 2.0 * 29.715 + (2.5 - 0.566) * 10.0 + 2.5 * 20.0);
}

/// Two answers at once: prompts of 200 tokens 35 ms, 19 tokens of 12 ms; verdicts: 240 tokens 39 ms, 2 tokens of 12 ms:
/// 326 ms at 110 W.
#[test]
fn every_joule_of_the_best_of_two() {
    let outcome = by_hand(
        "model: small\n      answering: { best_of: { n: 2, verify: { model: small, output_tok: 3, accepts_right: 1, \
         accepts_wrong: 0 } } }",
    );
    let s = &outcome.summary;
    let exact = |what: &str, got: f64, expected: f64| close(what, got, expected, 1e-9);
    assert_eq!((s.tokens.prompt, s.tokens.output), (2 * 440, 2 * 46));
    exact("TTFT", mean(&s.latency_s.ttft), 0.326);
    exact("end to end", mean(&s.latency_s.e2e), 0.326);
    exact("TPOT", mean(&s.latency_s.tpot), 0.012);
    exact("IT", s.energy_j.it, 2.0 * 0.326 * 110.0 + (2.5 - 0.652) * 10.0 + 2.5 * 20.0);
    let rows = outcome.requests.as_ref().expect("rows");
    assert!(rows.iter().all(|row| (row.legs, row.outcome) == (4, RequestOutcome::Completed)));
}

/// A crowded fleet of two sites, where legs are refused, give up, and lose their replicas.
fn crowded(answering: &str, more: &str) -> String {
    format!(
        "\
seed: 3
duration_s: 40
at_end: drain
workload:
  classes:
    - name: problems
      arrivals: {{ closed_loop: {{ in_flight: 30 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 60 }} }}, answer: {{ exponential: {{ mean_tok: 40 }} }} }}
      difficulty: {{ share: {{ easy: 0.3, medium: 0.3, hard: 0.4 }} }}
      slo: {{ ttft_ms: 4000 }}
      patience_s: 0.6
      {more}
      {answering}
    - name: chat
      arrivals: {{ poisson: {{ rate_per_s: 5 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 30 }} }}, answer: {{ exponential: {{ mean_tok: 30 }} }} }}
models:
  - {{ name: small, catalog: Llama-3.1-8B, quality_tier: 7b }}
  - {{ name: large, catalog: Llama-3.1-8B, quality_tier: 32b }}
fleet:
  sites:
    - pools:
        - {{ name: s, model: small, gpu: H100-SXM-80GB, nodes: 3, parallel: {{ tensor: 8 }}, start_up_s: 1, \
           batching: {{ max_seqs: 4, kv_blocks: 60, max_queue: 9 }}, step_law: {{ affine: {{ base_us: 10000, energy: {{ per_token: {{ it_j_per_tok: 1 }} }} }} }} }}
        - {{ name: l, model: large, gpu: H100-SXM-80GB, nodes: 2, parallel: {{ tensor: 8 }}, start_up_s: 1, \
           batching: {{ max_seqs: 4, kv_blocks: 60, max_queue: 6 }}, step_law: {{ affine: {{ base_us: 30000, energy: {{ per_token: {{ it_j_per_tok: 1 }} }} }} }} }}
failures:
  - {{ of: {{ nodes: {{ pool: site.s, count: 2 }} }}, when: {{ random: {{ mtbf_h: 0.002, mttr_h: 0.0008 }} }} }}
  - {{ of: {{ nodes: {{ pool: site.l, count: 2 }} }}, when: {{ random: {{ mtbf_h: 0.003, mttr_h: 0.0008 }} }} }}
"
    )
}

/// What random fleets find, too, but here for sure: with a closed loop, patience, full queues, and failures.
#[test]
fn the_engines_agree_where_legs_come_to_nothing() {
    let cascade = "answering: { cascade: { models: [small, large], verify: { model: large, output_tok: 2, \
                   accepts_right: 0.8, accepts_wrong: 0.3 } } }";
    let best_of = "model: small\n      answering: { best_of: { n: 3, verify: { model: large, accepts_right: 0.8, \
                   accepts_wrong: 0.3 } } }";
    let mut shed = [0; 4];
    for answering in [cascade, best_of] {
        for more in ["on_failure: retry", "on_failure: lose"] {
            let (outcome, _) = equal(more, &load(&crowded(answering, more), &[]));
            let requests = &outcome.summary.requests;
            let by = &requests.shed_by;
            for (sum, count) in shed.iter_mut().zip([by.patience, by.queue_full, by.lost, by.unavailable]) {
                *sum += count;
            }
            assert!(requests.completed > 50 && requests.retried + by.lost > 5, "{requests:?}");
            let rows = outcome.requests.expect("rows");
            assert_eq!(rows.len() as u64, requests.arrived, "one row a request");
        }
    }
    assert!(shed.iter().all(|&count| count > 0), "{shed:?}");
}

/// The mix that staves and b* rest on holds the legs a pool gets: the small pool's tokens per request are those of answer
/// and verdict, the large one's those of what is escalated.
#[test]
fn pools_are_offered_the_legs_they_serve() {
    let outcome = by_hand(
        "answering: { cascade: { models: [small, large], verify: { model: small, output_tok: 3, accepts_right: 1, \
         accepts_wrong: 0 } } }",
    );
    // Small: prompts of 100 and 120 tokens, outputs of 20 and 3. Large: 100 and 20.
    let context = |pairs: &[(f64, f64)]| {
        let held: f64 = pairs.iter().map(|(prompt, output)| prompt * output + 0.5 * output * output).sum();
        held / pairs.iter().map(|(_, output)| output).sum::<f64>()
    };
    let pools = &outcome.summary.per_pool;
    for (pool, pairs) in pools.iter().zip([&[(100.0, 20.0), (120.0, 3.0)][..], &[(100.0, 20.0)]]) {
        assert_eq!(pool.feasible_batch_limit, "kv", "{pool:?}");
        close(&pool.name, pool.feasible_batch, 1000.0 / (context(pairs) / 16.0 + 0.5), 1e-9);
    }
}

#[test]
fn mistakes_are_found_and_named() {
    let cascade = format!("answering: {{ cascade: {{ models: [small, large], {VERIFY} }} }}");
    let best_of = format!("model: small\n      answering: {{ best_of: {{ n: 4, {VERIFY} }} }}");
    let hard = only(Difficulty::Hard);
    for (base, from, to, place, words) in [
        (&cascade, "[small, large]", "[small]", "9:", "a cascade has 2 to 8 models"),
        (&cascade, "[small, large]", "[small, small]", "9:", "already a model of the cascade"),
        (&cascade, "[small, large]", "[small, lage]", "9:", "did you mean 'large'"),
        (&cascade, "[small, large]", "[small, Qwen3-14B]", "9:", "no pool serves 'Qwen3-14B'"),
        (
            &cascade,
            "answering:",
            "model: small\n      answering:",
            "9:",
            "must be left out: answering.cascade",
        ),
        (&cascade, "accepts_right: 0.9", "accepts_right: 1.2", "9:", "a probability, 0 to 1"),
        (&cascade, "accepts_right: 0.9, ", "", "9:", "missing field 'accepts_right'"),
        (&cascade, "model: small,", "model: small, output_tok: 0,", "9:", "at least 1"),
        (
            &cascade,
            "reasoning: { fixed: { budget_tok: 4000 } }",
            "reasoning: fixed\n      quality_target: 0.5",
            "8:",
            "budget_tok is missing",
        ),
        (&cascade, "      difficulty:", "      # difficulty:", "9:", "add `difficulty`"),
        (
            &cascade,
            "answering:",
            "quality_target: 0.9\n      answering:",
            "9:",
            "out of reach: the answers delivered are right in 0.69",
        ),
        (&cascade, "cascade:", "casade:", "9:", "did you mean 'cascade'"),
        (&best_of, "n: 4", "n: 1", "10:", "between 2 and 64"),
        (&best_of, "model: small\n", "priority: low\n", "10:", "name it as the class's `model`"),
    ] {
        let text = problems(10, &hard, base);
        assert!(text.contains(from), "{from}");
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("a.yaml");
        fs::write(&path, text.replacen(from, to, 1)).expect("scenario");
        let error = scenario::load(&path, &LoadOptions::new(catalog())).expect_err(to).to_string();
        assert!(error.contains(&format!("a.yaml:{place}")) && error.contains(words), "{to}: {error}");
    }
}

#[test]
fn the_resolved_scenario_reads_back() {
    let text = problems(
        10,
        &only(Difficulty::Hard),
        "answering: { cascade: { models: [small, large], verify: { model: small, accepts_right: 1, accepts_wrong: 0.5 } } }",
    );
    let first = load(&text, &[]);
    let dir = tempfile::tempdir().expect("temporary folder");
    let yaml = scenario::resolved_yaml(&first, dir.path()).expect("YAML");
    assert!(yaml.contains("output_tok: 1"), "{yaml}");
    let path = dir.path().join("again.yaml");
    fs::write(&path, &yaml).expect("scenario");
    let again = scenario::load(&path, &LoadOptions::new(catalog())).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    assert_eq!((&again.hash, &again.scenario), (&first.hash, &first.scenario));
}
