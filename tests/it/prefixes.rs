//! Shared prefixes: a cached prompt worked out by hand, hit rates, conservation of tokens, routers that know prefixes.

use std::collections::{BTreeMap, BTreeSet};

use wattmill::SimOptions;
use wattmill::engine::{PlantedFault, simulate_with_fault};
use wattmill::fleet::Fleet;
use wattmill::ledger::outcome::{Outcome, RequestRow};
use wattmill::physics::clock::Clock;
use wattmill::scenario::{self, LoadOptions, Resolved};
use wattmill::workload::{Request, Workload};

use crate::engines::{difference, equal};
use crate::support::{catalog, close, load, run};

/// One replica; a request a second, each done before the next.
const ONE_BY_ONE: &str = "\
name: one-by-one
duration_s: 3.5
workload:
  classes:
    - name: a
      arrivals: { constant: { rate_per_s: 1 } }
      lengths: { prompt: { constant: { tok: 20 } }, answer: { constant: { tok: 3 } } }
      prefixes: { tok: { constant: { tok: 100 } }, count: 1 }
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          parallel: { tensor: 8 }
";

/// A replica short of KV blocks, with requests of few prefixes and, at times, of none. A token processed costs a joule.
const SCARCE: &str = "\
name: scarce
duration_s: 6
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { poisson: { rate_per_s: 60 } }
      lengths: { prompt: { exponential: { mean_tok: 15, max_tok: 60 } }, answer: { exponential: { mean_tok: 25, max_tok: 80 } } }
      prefixes: { tok: { exponential: { mean_tok: 40, max_tok: 80 } }, count: 6 }
    - name: b
      priority: low
      arrivals: { poisson: { rate_per_s: 15 } }
      lengths: { prompt: { exponential: { mean_tok: 30, max_tok: 60 } }, answer: { exponential: { mean_tok: 25, max_tok: 80 } } }
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: { tensor: 8 }
          batching: { max_seqs: 12, max_step_tok: 64, kv_block_tok: 4, kv_blocks: 130 }
          step_law: { affine: { base_us: 10000, energy: { per_token: { it_j_per_tok: 1 } } } }
";

/// Eight replicas, each with room for a tenth of the prefixes beside what it serves.
const MANY: &str = "\
name: many
duration_s: 60
at_end: drain
workload:
  classes:
    - name: a
      arrivals: { poisson: { rate_per_s: 40 } }
      lengths: { prompt: { constant: { tok: 50 } }, answer: { constant: { tok: 40 } } }
      prefixes: { tok: { constant: { tok: 1024 } }, count: 100, zipf: 0.5 }
routing: power_of_two
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          batching: { kv_blocks: 900 }
";

fn rows(outcome: &Outcome) -> &[RequestRow] {
    outcome.requests.as_deref().expect("rows")
}

fn requests(resolved: &Resolved) -> Vec<Request> {
    let workload =
        Workload::open(&resolved.scenario, &resolved.base_dir, &resolved.catalog).expect("a workload");
    let mut stream = workload.stream().expect("a stream");
    std::iter::from_fn(|| stream.next().expect("no file")).collect()
}

#[test]
fn a_cached_prefix_is_not_computed_again() {
    let resolved = load(ONE_BY_ONE, &[]);
    let (outcome, _) = equal("one by one", &resolved);
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
    let law = &fleet.pools[0].step;
    // Of 100 tokens six blocks of 16 are whole: 96. The rest and the 20 of its own attend to them and to each other.
    let first_token_fs = |computed: i64, cached: i64| {
        let c = law.coefficients(0, computed as u32, 1, &Clock::FULL);
        let pairs = computed * cached + computed * (computed + 1) / 2;
        i128::from(c.base_fs + pairs * c.pair_fs)
    };
    let ttft_fs: Vec<i128> =
        rows(&outcome).iter().map(|r| r.first_token_fs.expect("served") - r.arrival_fs).collect();
    assert_eq!(ttft_fs, [first_token_fs(120, 0), first_token_fs(24, 96), first_token_fs(24, 96)]);
    assert!(ttft_fs[1] < ttft_fs[0]);
    // Decoding reads the whole context, wherever it came from.
    let rest_fs = |r: &RequestRow| r.finish_fs.expect("done") - r.first_token_fs.expect("served");
    let by_hand: i128 = (120..122)
        .map(|context| {
            let c = law.coefficients(1, 0, 0, &Clock::FULL);
            i128::from(c.base_fs + context * c.kv_tok_fs)
        })
        .sum();
    assert!(rows(&outcome).iter().all(|r| rest_fs(r) == by_hand));
    let cached: Vec<_> = rows(&outcome).iter().map(|r| r.cached_tok).collect();
    assert_eq!(cached, [Some(0), Some(96), Some(96)]);
    let s = &outcome.summary;
    assert_eq!((s.tokens.prompt, s.tokens.prompt_cached, s.tokens.recomputed), (360, 192, 0));
    assert_eq!(s.per_pool[0].prompt_cached_tok, 192);
    close("hit rate", s.per_pool[0].prefix_hit_rate.expect("prefixes"), 192.0 / 300.0, 1e-12);
    let series: f64 = outcome.series.iter().map(|row| row.prompt_cached_tok_per_s * row.length_s).sum();
    close("over the intervals", series, 192.0, 1e-12);

    let (uncached, _) =
        equal("without", &load(ONE_BY_ONE, &["fleet.sites.0.pools.0.batching.prefix_cache=false"]));
    let ttft_fs = |r: &RequestRow| r.first_token_fs.expect("served") - r.arrival_fs;
    assert!(rows(&uncached).iter().all(|r| ttft_fs(r) == first_token_fs(120, 0) && r.cached_tok == Some(0)));
    assert_eq!(uncached.summary.tokens.prompt_cached, 0);
    assert_eq!(uncached.summary.per_pool[0].prefix_hit_rate, Some(0.0));
    assert!(outcome.summary.energy_j.gpu < uncached.summary.energy_j.gpu);
}

/// A prefix shorter than a block is never cached, one of a whole block is; the last token is computed in any case.
#[test]
fn only_whole_blocks_are_cached() {
    for (tok, cached) in [(15, 0), (16, 16), (31, 16), (32, 32)] {
        let set = format!("workload.classes.0.prefixes.tok.constant.tok={tok}");
        let sets = [set.as_str(), "workload.classes.0.lengths.prompt.constant.tok=1"];
        let (outcome, _) = equal("short", &load(ONE_BY_ONE, &sets));
        let found: Vec<_> = rows(&outcome).iter().map(|r| r.cached_tok).collect();
        assert_eq!(found, [Some(0), Some(cached), Some(cached)], "{tok} tokens");
    }
}

/// Where nothing ever gives way, all but the first request of each prefix find it.
#[test]
fn a_large_cache_misses_each_prefix_once() {
    let text = ONE_BY_ONE
        .replace("duration_s: 3.5", "duration_s: 400.5")
        .replace("tok: 100 } }, count: 1 }", "tok: 96 } }, count: 60, zipf: 1 }");
    let resolved = load(&text, &[]);
    let outcome = run(&resolved);
    let requests = requests(&resolved);
    let different: BTreeSet<u32> = requests.iter().map(|r| r.prefix).collect();
    assert!((20..=60).contains(&different.len()) && requests.len() >= 400, "{} prefixes", different.len());
    let rate = 1.0 - different.len() as f64 / requests.len() as f64;
    close("hit rate", outcome.summary.per_pool[0].prefix_hit_rate.expect("prefixes"), rate, 1e-12);
    let mut seen = BTreeSet::new();
    for (row, request) in rows(&outcome).iter().zip(&requests) {
        assert_eq!(row.cached_tok, Some(if seen.insert(request.prefix) { 0 } else { 96 }));
    }
}

/// Joules count the tokens that are processed: of the prompts those not cached, of preempted sequences what they lost
/// and did not find again, and one for each token after the first of an answer.
#[test]
fn what_is_computed_is_paid_for_once() {
    let resolved = load(SCARCE, &[]);
    let (outcome, _) = equal("scarce", &resolved);
    let s = &outcome.summary;
    let t = &s.tokens;
    assert!(outcome.counters.preemptions > 30 && t.prompt_cached > 1000 && t.recomputed > 500, "{t:?}");
    assert_eq!(s.requests.completed + s.requests.shed, s.requests.arrived);
    let processed = t.prompt - t.prompt_cached + t.recomputed + t.output - s.requests.completed;
    close("joules", s.energy_j.it, processed as f64, 1e-6);

    let (uncached, _) =
        equal("scarce", &load(SCARCE, &["fleet.sites.0.pools.0.batching.prefix_cache=false"]));
    let t = &uncached.summary.tokens;
    let processed = t.prompt + t.recomputed + t.output - uncached.summary.requests.completed;
    close("joules without a cache", uncached.summary.energy_j.it, processed as f64, 1e-6);
    assert_eq!(t.prompt, s.tokens.prompt);
    // What is shared takes room once: fewer sequences lose theirs.
    assert!(t.recomputed > s.tokens.recomputed, "{} / {}", t.recomputed, s.tokens.recomputed);
}

/// That the oldest gives way shows in a run: comparing with an engine where the youngest does finds it.
#[test]
fn a_wrong_order_of_giving_way_is_found() {
    let resolved = load(SCARCE, &["workload.classes.0.arrivals.poisson.rate_per_s=20"]);
    let (segments, _) = equal("scarce", &resolved);
    let options = SimOptions { keep_requests: true, ..SimOptions::default() };
    let faulty = simulate_with_fault(&resolved, &options, PlantedFault::YoungestPrefixGivesWay)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(difference(&segments, &faulty).is_some());
}

#[test]
fn requests_go_where_their_prefix_is() {
    let of = |sets: &[&str]| {
        let outcome = run(&load(MANY, sets));
        let rate = outcome.summary.per_pool[0].prefix_hit_rate.expect("prefixes");
        (rate, outcome.summary.energy_j.gpu, outcome)
    };
    let (blind, blind_j, _) = of(&[]);
    let (aware, aware_j, outcome) = of(&["routing=prefix_aware"]);
    let (none, none_j, _) = of(&["fleet.sites.0.pools.0.batching.prefix_cache=false"]);
    assert!(none == 0.0 && blind > 0.1 && aware > 1.5 * blind, "hit rates {none}, {blind}, {aware}");
    assert!(aware_j < blind_j && blind_j < none_j, "{aware_j} J, {blind_j} J, {none_j} J");
    // Two replicas to a prefix, but for what was passed on.
    let mut homes = BTreeMap::<u32, BTreeMap<u32, u32>>::new();
    for (row, request) in rows(&outcome).iter().zip(requests(&load(MANY, &[]))) {
        *homes.entry(request.prefix).or_default().entry(row.replica.expect("routed")).or_default() += 1;
    }
    let (mut at_home, mut all) = (0, 0);
    for replicas in homes.values() {
        let mut counts: Vec<u32> = replicas.values().copied().collect();
        counts.sort_unstable();
        at_home += counts.iter().rev().take(2).sum::<u32>();
        all += counts.iter().sum::<u32>();
    }
    assert!(f64::from(at_home) > 0.7 * f64::from(all), "{at_home} of {all}");
}

/// All requests have one prefix, and would go to two replicas of eight.
#[test]
fn a_popular_prefix_does_not_overload_its_homes() {
    let one = "workload.classes.0.prefixes.count=1";
    let loads = |overload: &str| {
        let set = format!("routing.prefix_aware.overload={overload}");
        let rate = "workload.classes.0.arrivals.poisson.rate_per_s=300";
        let outcome = run(&load(MANY, &[&set, one, rate, "duration_s=20"]));
        let mut counts = BTreeMap::<u32, u32>::new();
        for row in rows(&outcome) {
            *counts.entry(row.replica.expect("routed")).or_default() += 1;
        }
        (counts, outcome.summary.latency_s.ttft.p99.expect("tokens"))
    };
    let (counts, slow_s) = loads("1000000");
    assert!(counts.len() <= 2, "{counts:?}");
    let (counts, fast_s) = loads("2");
    let total: u32 = counts.values().sum();
    assert_eq!(counts.len(), 8);
    assert!(counts.values().all(|&count| count < total / 4), "{counts:?}");
    assert!(fast_s < slow_s, "{fast_s} s, {slow_s} s");
}

/// What a run reaches lies below what its limits would allow with every prefix found.
#[test]
fn staves_are_taken_with_every_prefix_found() {
    let looped = MANY.replace("poisson: { rate_per_s: 40 }", "closed_loop: { in_flight: 2400 }");
    for blocks in ["900", "20000"] {
        let set = format!("fleet.sites.0.pools.0.batching.kv_blocks={blocks}");
        let sets = [set.as_str(), "duration_s=30", "warm_up_s=10", "at_end=cut", "routing=prefix_aware"];
        let s = run(&load(&looped, &sets)).summary;
        let (u, staves) = (s.tpf.u.expect("known"), &s.staves_tok_per_s);
        let rate = s.throughput.output_tok_per_s;
        assert!(u > 0.0 && u <= 1.0, "{blocks} blocks: u = {u}");
        for stave in [staves.compute, staves.memory_bandwidth, staves.kv_capacity] {
            // The fluid step of a mean context, and whole requests in a window of 20 s, are known to a percent.
            assert!(rate <= 1.01 * stave.expect("a stave"), "{rate} tok/s, {staves:?}");
        }
    }
}

#[test]
fn prefixes_leave_other_draws_where_they_were() {
    let with = load(SCARCE, &[]);
    let line = SCARCE.lines().find(|line| line.contains("prefixes:")).expect("prefixes");
    let without = load(&SCARCE.replace(&format!("{line}\n"), ""), &[]);
    let (with, without) = (requests(&with), requests(&without));
    assert_eq!(with.len(), without.len());
    assert!(with.iter().any(|r| r.prefix_tok > 0));
    for (a, b) in with.iter().zip(&without) {
        assert_eq!((b.prefix, b.prefix_tok), (0, 0));
        assert_eq!(Request { prompt_tok: a.prompt_tok - a.prefix_tok, prefix: 0, prefix_tok: 0, ..*a }, *b);
        assert_eq!(a.class == 1, a.prefix == 0);
    }
}

/// Classes do not share prefixes with one another.
#[test]
fn prefixes_of_classes_are_told_apart() {
    let class = "\n    - name: b\n      arrivals: { constant: { rate_per_s: 2 } }\n      prefixes: { tok: { constant: { tok: 64 } }, count: 3, zipf: 0 }";
    let text = ONE_BY_ONE.replace("count: 1 }", &format!("count: 1 }}{class}"));
    let prefixes = |of: u16| -> BTreeSet<u32> {
        let all = requests(&load(&text, &["duration_s=60"]));
        all.iter().filter(|r| r.class == of).map(|r| r.prefix).collect()
    };
    assert_eq!(prefixes(0), BTreeSet::from([1]));
    assert_eq!(prefixes(1), BTreeSet::from([2, 3, 4]));
}

/// Without prefixes the cache is without effect, and stands in no resolved scenario.
#[test]
fn a_cache_without_prefixes_changes_nothing() {
    let line = SCARCE.lines().find(|line| line.contains("prefixes:")).expect("prefixes");
    let plain = SCARCE.replace(&format!("{line}\n"), "");
    let (with, without) =
        (load(&plain, &[]), load(&plain, &["fleet.sites.0.pools.0.batching.prefix_cache=false"]));
    let shown = |resolved: &Resolved| scenario::to_json(resolved).to_string();
    assert!(!shown(&with).contains("prefix") && shown(&without).contains("\"prefix_cache\":false"));
    let (with, without) = (run(&with), run(&without));
    assert_eq!(rows(&with), rows(&without));
    assert_eq!(with.counters, without.counters);
}

/// Pools cache prefixes of classes that come to them by escalation or to judge, too.
#[test]
fn prefixes_go_with_escalated_requests_and_to_judges() {
    let text = |answered: &str| {
        format!(
            "\
duration_s: 30
at_end: drain
workload:
  classes:
    - name: a
      model: small
      arrivals: {{ poisson: {{ rate_per_s: 2 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 50 }} }}, answer: {{ constant: {{ tok: 40 }} }} }}
      prefixes: {{ tok: {{ constant: {{ tok: 1024 }} }}, count: 1 }}
      difficulty: {{ share: {{ easy: 0.4, medium: 0.4, hard: 0.2 }}, flagged_hard: {{ easy: 0.3, medium: 0.6, hard: 0.9 }} }}
{answered}models:
  - {{ name: small, catalog: Qwen3-8B, quality_tier: 7b }}
  - {{ name: other, catalog: Qwen3-32B, quality_tier: 32b }}
fleet:
  sites:
    - pools:
        - {{ model: small, gpu: H200-SXM-141GB, nodes: 1 }}
        - {{ model: other, gpu: H200-SXM-141GB, nodes: 1 }}
"
        )
    };
    for answered in [
        "      quality_target: 0.85\n      reasoning: { quality_target: { escalate_to: other } }\n",
        "      answering: { best_of: { n: 2, verify: { model: other, output_tok: 3, accepts_right: 0.9, accepts_wrong: 0.2 } } }\n",
    ] {
        let (outcome, _) = equal(answered, &load(&text(answered), &[]));
        for pool in &outcome.summary.per_pool {
            assert!(
                pool.prompt_cached_tok > 20 * 1024,
                "{answered}{}: {}",
                pool.name,
                pool.prompt_cached_tok
            );
        }
    }
}

#[test]
fn mistakes_are_told_where_they_stand() {
    for (old, new, place, told) in [
        ("count: 1 }", "count: 0 }", ":8:", "count"),
        ("count: 1 }", "count: 1, zipf: -1 }", ":8:", "zipf"),
        ("count: 1 }", "count: 1, zipf: 11 }", ":8:", "10"),
        ("constant: { tok: 100 }", "constant: { tok: 0 }", ":8:", "tok"),
        ("count: 1 }", "count: 1, size: 2 }", ":8:", "unknown field 'size'"),
        (
            "{ constant: { rate_per_s: 1 } }",
            "{ trace: { path: a.csv } }",
            ":8:",
            "prompts of a trace are whole",
        ),
        ("fleet:", "routing: { prefix_aware: { overload: 0.5 } }\nfleet:", ":9:", "between 1 and"),
        (
            "      prefixes: { tok: { constant: { tok: 100 } }, count: 1 }\nfleet:",
            "routing: prefix_aware\nfleet:",
            ":8:",
            "add them",
        ),
    ] {
        assert!(ONE_BY_ONE.contains(old), "{old}");
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("test.yaml");
        std::fs::write(&path, ONE_BY_ONE.replacen(old, new, 1)).expect("scenario");
        std::fs::write(dir.path().join("a.csv"), "arrival_s,prompt_tok,output_tok\n0,1,1\n").expect("trace");
        match scenario::load(&path, &LoadOptions::new(catalog())) {
            Ok(_) => panic!("{new} was accepted"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(place) && error.contains(told), "{new}: {error}");
            }
        }
    }
}
