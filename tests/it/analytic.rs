//! Closed forms: the Token Production Function in each regime and at the crossing, queues, Little's law, and
//! relations between runs that share their random numbers.

use std::path::Path;

use wattmill::ledger::outcome::{Outcome, RequestOutcome};
use wattmill::report;

use super::support::{catalog, close, interval, load, load_file, run, run_seed};

// ---------------------------------------------------------------- Token Production Function (PHYSICS §1)

/// Tokens per second and watts of the paper's node.
const NODE_TOK_S: f64 = 102_909.0;
const NODE_W: f64 = 10_401.0;

/// `configs/paper-fleet.yaml` at 1/`scale` of its size.
fn paper(scale: f64, sets: &[&str]) -> Outcome {
    let scaled = |value: f64| (value / scale).round();
    let mut all = vec![
        format!("fleet.sites.0.pools.0.nodes={}", scaled(1000.0)),
        format!("workload.classes.0.arrivals.closed_loop.in_flight={}", scaled(1_024_000.0)),
        format!("fleet.sites.0.power.cap_mw={}", 10.0 / scale),
    ];
    all.extend(sets.iter().map(ToString::to_string));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/paper-fleet.yaml");
    let outcome = run(&load_file(&path, &all, catalog()));
    let q = outcome.summary.tpf.measured_tok_per_s.expect("a measured rate");
    assert_eq!(q, outcome.summary.throughput.output_tok_per_s);
    outcome
}

/// Q = min(nodes, cap/(PUE·10,401 W))·102,909 tok/s; measured and predicted.
#[track_caller]
fn paper_rate(scale: f64, nodes: f64, cap_mw: f64, pue: f64, sets: &[&str]) -> f64 {
    let by_power = cap_mw * 1e6 / (pue * NODE_W);
    let expected = nodes.min(by_power) * NODE_TOK_S / scale;
    let mut all = vec![
        format!("fleet.sites.0.pools.0.nodes={}", nodes / scale),
        format!("workload.classes.0.arrivals.closed_loop.in_flight={}", nodes / scale * 1024.0),
        format!("fleet.sites.0.power.cap_mw={}", cap_mw / scale),
        format!("fleet.sites.0.static_pue={pue}"),
    ];
    all.extend(sets.iter().map(ToString::to_string));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let summary = paper(scale, &all).summary;
    let what = format!("{nodes} nodes, {cap_mw} MW, PUE {pue}");
    close(&format!("{what}: measured"), summary.throughput.output_tok_per_s, expected, 1e-9);
    close(&format!("{what}: predicted"), summary.tpf.predicted_tok_per_s.expect("predicted"), expected, 1e-9);
    close(&format!("{what}: e_tok"), summary.tpf.e_tok_j.expect("e_tok"), NODE_W / NODE_TOK_S, 1e-9);
    close(&format!("{what}: theta"), summary.tpf.theta.expect("theta"), 1.0 / pue, 1e-9);
    close(&format!("{what}: u"), summary.tpf.u.expect("u"), 1.0, 2e-9);
    // The joules of the window follow: e per token at the node, PUE times that at the meter.
    let per_token = &summary.j_per_output_token;
    close(&format!("{what}: J/token, IT"), per_token.it.expect("J/token"), NODE_W / NODE_TOK_S, 1e-9);
    close(
        &format!("{what}: J/token, facility"),
        per_token.facility.expect("J/token"),
        pue * NODE_W / NODE_TOK_S,
        1e-9,
    );
    let share = &summary.binding.share;
    // A cap that costs at most 1 % of the step time is not said to bind (PHYSICS D5).
    let (power, compute) = if by_power * 1.01 < nodes { (1.0, 0.0) } else { (0.0, 1.0) };
    assert_eq!((share.power, share.compute), (power, compute), "{what}: {share:?}");
    summary.throughput.output_tok_per_s * scale
}

#[test]
fn ten_megawatts_feed_a_thousand_nodes_with_power_to_spare_for_none() {
    let q = paper_rate(100.0, 1000.0, 10.0, 1.10, &[]);
    close("as published", q, 89.95e6, 1e-4);
    assert!(
        (paper_rate(10.0, 1000.0, 10.0, 1.10, &[]) / q - 1.0).abs() < 1e-9,
        "a tenth scales as a hundredth"
    );
}

#[test]
fn eight_hundred_nodes_are_bound_by_compute() {
    let q = paper_rate(100.0, 800.0, 10.0, 1.10, &[]);
    close("as published", q, 82.33e6, 1e-4);
}

#[test]
fn the_limit_changes_sides_at_nine_megawatts() {
    // 800 nodes · 1.10 · 10,401 W = 9.15288 MW.
    let switch_mw = 800.0 * 1.10 * NODE_W * 1e-6;
    close("as published", switch_mw, 9.153, 1e-4);
    let full = 800.0 * NODE_TOK_S;
    for (factor, clock) in [(0.5, 0.5), (0.98, 0.98), (0.999, 0.999), (1.001, 1.0), (1.1, 1.0)] {
        let q = paper_rate(100.0, 800.0, switch_mw * factor, 1.10, &[]);
        close("share of the full rate", q / full, clock, 1e-9);
    }
}

#[test]
fn at_eight_megawatts_pue_divides() {
    let low = paper_rate(100.0, 1000.0, 8.0, 1.05, &[]);
    let high = paper_rate(100.0, 1000.0, 8.0, 1.35, &[]);
    close("ratio of rates", high / low, 1.05 / 1.35, 1e-9);
    close("as published", high / low, 0.7778, 1e-4);
}

#[test]
fn the_prediction_does_not_look_at_the_run() {
    let short = paper(100.0, &["duration_s=30"]).summary.tpf;
    let long = paper(100.0, &["duration_s=60"]).summary.tpf;
    assert_eq!(short.predicted_tok_per_s, long.predicted_tok_per_s);
    // A tenth of the offered work, open loop: the same lengths, so the same prediction; a tenth of the rate.
    let rate = 0.1 * 10.0 * NODE_TOK_S / 1024.0;
    let set = format!("workload.classes.0.arrivals.poisson.rate_per_s={rate}");
    let text = "\
duration_s: 120
warm_up_s: 30
workload:
  classes:
    - name: tokens
      arrivals: { poisson: { rate_per_s: 1 } }
      lengths: { prompt: { constant: { tok: 1 } }, answer: { constant: { tok: 1024 } } }
fleet:
  sites:
    - static_pue: 1.10
      power: { cap_mw: 0.1, policy: { uniform_clock: { clock_step: 0 } } }
      pools:
        - model: Llama-2-70B
          gpu: B200-SXM-180GB
          node: ideal_linear
          nodes: 10
          parallel: { tensor: 8 }
          batching: { max_seqs: 1024 }
          step_law:
            affine:
              base_us: 9950.5388255643
              energy: { per_token: { it_j_per_tok: 0.10106987727021 } }
";
    let idle = run(&load(text, &[&set])).summary;
    assert_eq!(idle.tpf.predicted_tok_per_s, long.predicted_tok_per_s);
    let measured = idle.tpf.measured_tok_per_s.expect("a rate");
    let count = rate * 90.0;
    // Poisson counts: four standard deviations.
    close("a tenth of the load", measured, rate * 1024.0, 4.0 / count.sqrt());
    assert!(idle.tpf.u.expect("u") < 0.12);
    assert!(idle.binding.share.demand > 0.999, "{:?}", idle.binding.share);
}

// ---------------------------------------------------------------- queues

/// One replica that advances `servers` sequences by a token each step of `step_s`, whatever their number.
fn queue_text(servers: u32, step_s: f64, rate_per_s: f64, answer: &str, requests: f64) -> String {
    let duration_s = requests / rate_per_s;
    format!(
        "\
duration_s: {duration_s}
warm_up_s: {}
workload:
  classes:
    - name: jobs
      arrivals: {{ poisson: {{ rate_per_s: {rate_per_s} }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 1 }} }}, answer: {answer} }}
report: {{ interval_s: {duration_s} }}
fleet:
  sites:
    - pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          parallel: {{ tensor: 8 }}
          batching: {{ max_seqs: {servers}, kv_blocks: 100000000 }}
          step_law:
            affine: {{ base_us: {}, energy: {{ per_state: {{ idle_w: 100, base_w: 1000 }} }} }}
",
        0.1 * duration_s,
        step_s * 1e6
    )
}

const REPLICATIONS: u64 = 25;

/// Runs of a queue: (mean delay before service, mean number in system) of each replication.
fn replicate(text: &str) -> (Vec<f64>, Vec<f64>) {
    let resolved = load(text, &[]);
    (1..=REPLICATIONS)
        .map(|seed| {
            let outcome = run_seed(&resolved, seed);
            let delay = outcome.summary.latency_s.queue.mean.expect("delays");
            (delay, mean_in_system(&outcome))
        })
        .unzip()
}

/// Time mean of the number in system over the measured window, from the rows.
fn mean_in_system(outcome: &Outcome) -> f64 {
    let info = &outcome.summary.scenario;
    let (from, until) = (info.warm_up_s, info.end_s);
    let seconds = |fs: i128| fs as f64 * 1e-15;
    let rows = outcome.requests.as_ref().expect("rows");
    let inside: f64 = rows
        .iter()
        .map(|row| {
            let left = row.finish_fs.map_or(until, seconds);
            (left.min(until) - seconds(row.arrival_fs).max(from)).max(0.0)
        })
        .sum();
    inside / (until - from)
}

#[track_caller]
fn within(what: &str, samples: &[f64], theory: f64, least_precision: f64) {
    let (mean, half) = interval(samples);
    println!("{what}: {mean:.6} ± {half:.6}, theory {theory:.6}");
    assert!((mean - theory).abs() <= half, "{what}: {mean} ± {half} does not hold {theory}");
    // An interval that holds anything would say nothing.
    assert!(half < least_precision * theory, "{what}: ± {half} is too wide for {theory}");
}

/// Lengths ⌈Exp(mean)⌉ are geometric: first and second moment.
fn geometric(mean_tok: f64) -> (f64, f64, f64) {
    let end = -(-1.0 / mean_tok).exp_m1();
    (end, 1.0 / end, (2.0 - end) / (end * end))
}

/// Pollaczek–Khinchine, with the exact moments of a whole number of steps.
#[test]
fn one_server_waits_as_pollaczek_and_khinchine_say() {
    let step_s = 0.01;
    for load in [0.5, 0.8] {
        let (_, mean, square) = geometric(50.0);
        let cases = [
            ("M/M/1", "{ exponential: { mean_tok: 50 } }", mean, square),
            ("M/D/1", "{ constant: { tok: 50 } }", 50.0, 2500.0),
        ];
        for (name, answer, mean_tok, square_tok) in cases {
            let (service_s, square_s) = (mean_tok * step_s, square_tok * step_s * step_s);
            let rate = load / service_s;
            let delay = rate * square_s / (2.0 * (1.0 - load));
            if name == "M/M/1" {
                // The textbook's exponential server is the limit of short steps.
                close("M/M/1 limit", delay, load / (1.0 - load) * service_s, 1.0 / mean_tok);
            } else {
                close("M/D/1 is half of M/M/1", delay, 0.5 * load / (1.0 - load) * service_s, 1e-12);
            }
            let (delays, in_system) = replicate(&queue_text(1, step_s, rate, answer, 6000.0));
            within(&format!("{name}, load {load}: delay"), &delays, delay, 0.15);
            within(&format!("{name}, load {load}: in system"), &in_system, rate * (delay + service_s), 0.15);
        }
    }
}

/// Mean delay with `servers` that work in common steps: each job in service ends with a step with probability
/// `end`, who comes during a step waits for its end, an idle replica starts at once. Exact, from the chain of
/// the numbers in system at the starts of steps.
fn stepped_delay_s(servers: usize, step_s: f64, rate: f64, end: f64) -> f64 {
    const MOST: usize = 400;
    let arrivals: Vec<f64> = {
        let mean = rate * step_s;
        let mut term = (-mean).exp();
        (1..40)
            .map(|k| {
                let now = term;
                term *= mean / f64::from(k);
                now
            })
            .collect()
    };
    // Jobs that end with a step: binomial.
    let ending = |busy: usize| -> Vec<f64> {
        let mut shares = vec![1.0];
        for _ in 0..busy {
            let mut next = vec![0.0; shares.len() + 1];
            for (k, share) in shares.iter().enumerate() {
                next[k] += share * (1.0 - end);
                next[k + 1] += share * end;
            }
            shares = next;
        }
        shares
    };
    let binomials: Vec<Vec<f64>> = (0..=servers).map(ending).collect();
    let mut chain = vec![0.0; MOST + 1];
    chain[1] = 1.0;
    let mut empty = 0.0;
    for _ in 0..200_000 {
        let mut next = vec![0.0; MOST + 1];
        empty = 0.0;
        for (n, share) in chain.iter().enumerate().filter(|(_, share)| **share > 1e-18) {
            for (left, ends) in binomials[n.min(servers)].iter().enumerate() {
                for (came, comes) in arrivals.iter().enumerate().take_while(|(_, p)| **p > 1e-18) {
                    let p = share * ends * comes;
                    match n - left + came {
                        0 => empty += p,
                        to => next[to.min(MOST)] += p,
                    }
                }
            }
        }
        // An empty replica starts its next step with the next arrival.
        next[1] += empty;
        let change: f64 = next.iter().zip(&chain).map(|(a, b)| (a - b).abs()).sum();
        chain = next;
        if change < 1e-12 {
            break;
        }
    }
    let waiting: f64 = chain.iter().enumerate().map(|(n, p)| p * n.saturating_sub(servers) as f64).sum();
    let in_queue = (waiting + 0.5 * rate * step_s) * step_s / (step_s + empty / rate);
    in_queue / rate
}

/// Erlang's C: probability to wait, and the mean delay with exponential service.
fn erlang_delay_s(servers: u32, rate: f64, service_s: f64) -> f64 {
    let offered = rate * service_s;
    let mut blocked = 1.0;
    for k in 1..=servers {
        blocked = offered * blocked / (f64::from(k) + offered * blocked);
    }
    let load = offered / f64::from(servers);
    let waits = blocked / (1.0 - load * (1.0 - blocked));
    waits * service_s / (f64::from(servers) * (1.0 - load))
}

#[test]
fn several_servers_wait_as_erlang_says() {
    let step_s = 0.01;
    for (servers, load) in [(2_u32, 0.8), (5, 0.85)] {
        let (end, mean_tok, _) = geometric(60.0);
        let service_s = mean_tok * step_s;
        let rate = load * f64::from(servers) / service_s;
        let delay = stepped_delay_s(servers as usize, step_s, rate, end);
        let erlang = erlang_delay_s(servers, rate, service_s);
        // Steps are short beside services: they cost about half a step of a busy replica.
        assert!((delay - erlang).abs() < step_s, "{delay} in steps, {erlang} without");
        let text = queue_text(servers, step_s, rate, "{ exponential: { mean_tok: 60 } }", 6000.0);
        let (delays, in_system) = replicate(&text);
        within(&format!("M/M/{servers}: delay"), &delays, delay, 0.15);
        within(&format!("M/M/{servers}: in system"), &in_system, rate * (delay + service_s), 0.1);
    }
}

#[test]
fn little_holds_for_rows_and_summary() {
    let text = queue_text(4, 0.02, 6.0, "{ lognormal: { mean_tok: 25, sigma: 1 } }", 4000.0);
    let resolved = load(&text, &["warm_up_s=0", "at_end=drain"]);
    let outcome = run(&resolved);
    let summary = &outcome.summary;
    assert_eq!(summary.requests.completed, summary.requests.arrived);
    let rate = summary.requests.arrived as f64 / summary.scenario.end_s;
    let sojourn = summary.latency_s.e2e.mean.expect("latency");
    close("L = λ·W", mean_in_system(&outcome), rate * sojourn, 1e-9);
    // The parts of a sojourn: delay, and as many steps as tokens (first steps start at once or at a boundary).
    let rows = outcome.requests.as_ref().expect("rows");
    assert!(rows.iter().all(|row| row.outcome == RequestOutcome::Completed));
    let tokens = rows.iter().map(|row| f64::from(row.output_tok)).sum::<f64>() / rows.len() as f64;
    close("W = delay + service", sojourn, summary.latency_s.queue.mean.expect("delay") + tokens * 0.02, 1e-9);
}

// ---------------------------------------------------------------- runs that share their random numbers

/// Eight replicas of a small model under a cap, about as much work as they can do.
const CHAT: &str = "\
duration_s: 90
warm_up_s: 10
workload:
  classes:
    - name: chat
      arrivals: { poisson: { rate_per_s: 60 } }
      lengths:
        prompt: { lognormal: { mean_tok: 400, sigma: 0.8 } }
        answer: { lognormal: { mean_tok: 150, sigma: 0.8 } }
      slo: { ttft_ms: 1000, tpot_ms: 50 }
      patience_s: 10
fleet:
  sites:
    - static_pue: 1.2
      power: { cap_mw: 0.0055 }
      pools:
        - name: small
          model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 1
          batching: { max_seqs: 64 }
";

#[test]
fn more_watts_never_cost_useful_tokens() {
    let useful = |sets: &[&str]| -> Vec<f64> {
        let resolved = load(CHAT, sets);
        (1..=20).map(|seed| run_seed(&resolved, seed).summary.throughput.useful_tok_per_s).collect()
    };
    let cap = |mw: f64| format!("fleet.sites.0.power.cap_mw={mw}");
    let pue = |pue: f64| format!("fleet.sites.0.static_pue={pue}");
    let ladders = [[0.004, 0.0045, 0.005, 0.006, 0.009].map(cap), [1.6, 1.5, 1.4, 1.2, 1.0].map(pue)];
    for ladder in ladders {
        let runs: Vec<Vec<f64>> = ladder.iter().map(|set| useful(&[set])).collect();
        let mut gained = 0;
        for (pair, names) in runs.windows(2).zip(ladder.windows(2)) {
            let gains: Vec<f64> = pair[1].iter().zip(&pair[0]).map(|(more, less)| more - less).collect();
            let (mean, half) = interval(&gains);
            println!("{} -> {}: {mean:.1} ± {half:.1} useful tok/s", names[0], names[1]);
            assert!(mean + half >= 0.0, "{} -> {} costs {mean} ± {half}", names[0], names[1]);
            gained += u32::from(mean > half);
        }
        assert!(gained >= 2, "the ladder reaches caps that bind");
    }
}

/// What a run says, without its hash and without what the reporting interval is about.
fn totals(outcome: &Outcome) -> serde_json::Value {
    let mut value: serde_json::Value =
        serde_json::from_str(&report::summary_json(outcome)).expect("a summary is JSON");
    value["scenario"]["hash"].take();
    value["engine"].take();
    value
}

#[test]
fn the_reporting_interval_changes_no_total() {
    for sets in [&["duration_s=90"][..], &["warm_up_s=33.3", "at_end=drain"][..]] {
        let by_interval = ["1", "7.7", "60", "3600"].map(|interval_s| {
            let mut sets = sets.to_vec();
            let set = format!("report.interval_s={interval_s}");
            sets.push(&set);
            let outcome = run(&load(CHAT, &sets));
            (totals(&outcome), outcome.requests, outcome.counters)
        });
        for other in &by_interval[1..] {
            for (key, value) in by_interval[0].0.as_object().expect("a map") {
                assert_eq!(value, &other.0[key], "{key}");
            }
            assert_eq!(by_interval[0].1, other.1);
            assert_eq!(by_interval[0].2, other.2);
        }
    }
}

#[test]
fn names_change_nothing_but_names() {
    let renamed = CHAT.replace("name: chat", "name: talk").replace("name: small", "name: eight");
    let (one, two) = (run(&load(CHAT, &[])), run(&load(&renamed, &[])));
    assert_eq!(one.requests, two.requests);
    assert_eq!(one.counters, two.counters);
    let text = |outcome: &Outcome| {
        totals(outcome).to_string().replace("site.eight", "site.small").replace("\"eight\"", "\"small\"")
    };
    assert_eq!(text(&one), text(&two));
}

/// Two pools that share nothing, each with a class of its own: in whichever order they are written.
#[test]
fn the_order_of_pools_and_classes_changes_nothing() {
    let class = |name: &str, model: &str, rate: u32, answer: u32| {
        format!(
            "    - name: {name}\n      model: {model}\n      arrivals: {{ constant: {{ rate_per_s: {rate} }} }}\n      lengths: {{ prompt: {{ constant: {{ tok: 300 }} }}, answer: {{ constant: {{ tok: {answer} }} }} }}\n"
        )
    };
    let pool = |name: &str, model: &str, gpu: &str, tensor: u32| {
        format!(
            "        - {{ name: {name}, model: {model}, gpu: {gpu}, nodes: 1, parallel: {{ tensor: {tensor} }} }}\n"
        )
    };
    let classes = [class("a", "Llama-3.1-8B", 30, 100), class("b", "Llama-3.1-70B", 7, 211)];
    let pools =
        [pool("p", "Llama-3.1-8B", "H100-SXM-80GB", 1), pool("q", "Llama-3.1-70B", "H200-SXM-141GB", 4)];
    let written = |classes: [&str; 2], pools: [&str; 2]| {
        let text = format!(
            "duration_s: 60\nworkload:\n  classes:\n{}routing: round_robin\nfleet:\n  sites:\n    - pools:\n{}",
            classes.concat(),
            pools.concat()
        );
        run(&load(&text, &[])).summary
    };
    let [a, b] = &classes;
    let [p, q] = &pools;
    let first = written([a, b], [p, q]);
    for other in [written([b, a], [p, q]), written([a, b], [q, p]), written([b, a], [q, p])] {
        let json = |value: &dyn Fn(&wattmill::ledger::outcome::Summary) -> serde_json::Value| {
            (value(&first), value(&other))
        };
        for what in [
            json(&|s| serde_json::to_value(&s.requests).expect("JSON")),
            json(&|s| serde_json::to_value(&s.tokens).expect("JSON")),
            json(&|s| serde_json::to_value(&s.latency_s).expect("JSON")),
            json(&|s| {
                let mut pools: Vec<_> = s.per_pool.iter().collect();
                pools.sort_by_key(|pool| pool.name.clone());
                serde_json::to_value(pools).expect("JSON")
            }),
            json(&|s| serde_json::to_value(&s.power_w).expect("JSON")),
        ] {
            assert_eq!(what.0, what.1);
        }
        close("joules", other.energy_j.facility, first.energy_j.facility, 1e-12);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_thread() {
    let resolved = load(CHAT, &["duration_s=40"]);
    let bytes = || {
        let outcome = run(&resolved);
        let series: Vec<String> = outcome.series.iter().map(|row| format!("{row:?}")).collect();
        (report::summary_json(&outcome), series, outcome.requests)
    };
    let alone = bytes();
    assert!(alone == bytes(), "a second run");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(bytes)).collect();
        for thread in threads {
            assert!(alone == thread.join().expect("a run"), "a run beside others");
        }
    });
    let other = run_seed(&resolved, 2);
    assert!(report::summary_json(&other) != alone.0, "another seed is another run");
}
