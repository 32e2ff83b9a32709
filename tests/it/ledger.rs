//! The accounts: a ledger worked out by hand, and what every run conserves.

use std::fmt::Write as _;

use wattmill::ledger::outcome::{Energy, Outcome, RequestOutcome};

use super::support::{Draw, catalog, close, load, load_file, run};

/// A step takes 10 ms, 5 ms more with a prompt, 0.1 ms per prompt token, 1 ms per decoding sequence. A replica draws
/// 10 W idle, else 100 W and 5 W per running sequence. PUE 1.2. Requests go to replicas 0, 1, 0, 1, 0.
///
/// Replica 0 \[ms\]:
///   0 –  16  A's prompt (10 tok): 10 + 5 + 1           105 W   1.680 J   A's first token at 16
///  16 –  33  A's 2nd, C's prompt: 10 + 5 + 1 + 1       110 W   1.870 J   C (came at 5) waited 11; its only token at 33
///  33 –  44  A's 3rd: 10 + 1                           105 W   1.155 J   A is done at 44
///  44 – 101  idle                                       10 W   0.570 J
/// 101 – 117  E's prompt (10 tok)                       105 W   1.680 J   E's first token at 117
/// 117 – 128  E's 2nd                                   105 W   1.155 J   E is done at 128
/// 128 – 200  idle                                       10 W   0.720 J
/// Replica 1:
///   0 –  17  B's prompt (20 tok): 10 + 5 + 2           105 W   1.785 J   B's first token at 17
///  17 –  28  B's 2nd                                   105 W   1.155 J   B is done at 28
///  28 – 100  idle                                       10 W   0.720 J
/// 100 – 118  D's prompt (30 tok): 10 + 5 + 3           105 W   1.890 J   D's first token at 118
/// 118 – 129  D's 2nd                                   105 W   1.155 J   D is done at 129
/// 129 – 200  idle                                       10 W   0.710 J
/// Working 13.525 J + idle 2.720 J = 16.245 J of IT; 19.494 J at the meter.
#[test]
fn every_joule_of_five_requests() {
    let text = "\
duration_s: 0.2
workload: { classes: [{ name: five, arrivals: { trace: { path: five.csv } } }] }
routing: round_robin
report: { interval_s: 0.05 }
fleet:
  sites:
    - static_pue: 1.2
      pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: { tensor: 4 }
          batching: { kv_blocks: 1000 }
          step_law:
            affine:
              base_us: 10000
              prefill_us: 5000
              per_prompt_tok_us: 100
              per_seq_us: 1000
              energy: { per_state: { idle_w: 10, base_w: 100, per_seq_w: 5 } }
";
    let trace = "\
arrival_s,prompt_tok,output_tok
0,10,3
0,20,2
0.005,10,1
0.1,30,2
0.101,10,2
";
    let dir = tempfile::tempdir().expect("temporary folder");
    std::fs::write(dir.path().join("five.yaml"), text).expect("scenario");
    std::fs::write(dir.path().join("five.csv"), trace).expect("trace");
    let outcome = run(&load_file(&dir.path().join("five.yaml"), &[], catalog()));
    let ms = |ms: i128| Some(ms * 1_000_000_000_000);
    let rows: Vec<_> = outcome
        .requests
        .as_ref()
        .expect("rows")
        .iter()
        .map(|row| (row.replica, row.first_token_fs, row.finish_fs))
        .collect();
    let by_hand = [
        (Some(0), ms(16), ms(44)),
        (Some(1), ms(17), ms(28)),
        (Some(0), ms(33), ms(33)),
        (Some(1), ms(118), ms(129)),
        (Some(0), ms(117), ms(128)),
    ];
    assert_eq!(rows, by_hand);

    let s = &outcome.summary;
    let exact = |what: &str, got: f64, expected: f64| close(what, got, expected, 1e-9);
    exact("working", s.energy_j.by.gpu_active, 13.525);
    exact("idle", s.energy_j.by.gpu_idle, 2.720);
    assert!(s.energy_j.by.node_overhead.abs() < 1e-9);
    exact("overhead", s.energy_j.by.pue_overhead, 3.249);
    exact("IT", s.energy_j.it, 16.245);
    exact("facility", s.energy_j.facility, 19.494);
    assert_eq!((outcome.counters.it_energy_j, outcome.counters.gpu_energy_j), (16, 16));
    assert_eq!(outcome.counters.it_energy_rest_nw_fs, 245_000_000_000_000_000_000_000);
    assert_eq!(outcome.counters.iterations, 3 + 2 + 2 + 2);
    assert_eq!((s.tokens.prompt, s.tokens.output), (80, 10));
    exact("rate", s.throughput.output_tok_per_s, 50.0);
    exact("J/token", s.j_per_output_token.it.expect("tokens"), 1.6245);
    exact("mean power", s.power_w.it.mean, 81.225);
    // Replica 1 still decodes B's prompt when C joins A: 105 W + 110 W from 16 to 17 ms.
    exact("peak", s.power_w.it.max, 215.0);
    let mean = |q: &wattmill::ledger::outcome::Quantiles| q.mean.expect("samples");
    exact("TTFT", mean(&s.latency_s.ttft), 0.019);
    exact("end to end", mean(&s.latency_s.e2e), 0.0312);
    exact("delay", mean(&s.latency_s.queue), 0.0022);
    exact("TPOT", mean(&s.latency_s.tpot), 0.01175);
    exact("gaps between tokens", mean(&s.latency_s.itl), 0.0122);

    // By 50 ms; the third interval of replica 0: 1 ms idle, E, 22 ms idle.
    let joules: Vec<f64> = outcome.series.iter().map(|row| row.it_w * row.length_s).collect();
    let replica_0 = [4.705 + 0.06, 0.5, 0.01 + 1.68 + 1.155 + 0.22, 0.5];
    let replica_1 = [2.94 + 0.22, 0.5, 1.89 + 1.155 + 0.21, 0.5];
    for (interval, got) in joules.iter().enumerate() {
        exact("joules of an interval", *got, replica_0[interval] + replica_1[interval]);
    }
    // The label of little work, all of the time.
    assert_eq!(s.binding.share.demand, 1.0);
}

/// A scenario of one or two sites, drawn at random.
fn random_scenario(random: &mut Draw) -> String {
    let duration_s = random.between(20.0, 60.0);
    let warm_up_s = random.of(&[0.0, 7.3]);
    let mut text = format!(
        "duration_s: {duration_s}\nwarm_up_s: {warm_up_s}\nat_end: {}\nseed: {}\nstart_at_h: 1\n",
        random.of(&["cut", "drain"]),
        (random.unit() * 1e6) as u64
    );
    text.push_str("workload:\n  classes:\n");
    for class in 0..random.of(&[1, 2]) {
        let rate = random.between(2.0, 30.0);
        let arrivals = match random.of(&[0, 1, 2]) {
            0 => format!("{{ poisson: {{ rate_per_s: {rate} }} }}"),
            1 => format!("{{ constant: {{ rate_per_s: {rate} }} }}"),
            _ => format!("{{ diurnal: {{ mean_per_s: {rate}, peak_to_mean: 1.5, peak_at_h: 2 }} }}"),
        };
        let _ = writeln!(
            text,
            "    - name: c{class}\n      priority: {}\n      arrivals: {arrivals}\n      lengths: {{ prompt: {{ lognormal: {{ mean_tok: 300, sigma: 1 }} }}, answer: {{ exponential: {{ mean_tok: {} }} }} }}\n      slo: {{ ttft_ms: {}, tpot_ms: 60 }}",
            random.of(&["high", "normal", "low"]),
            random.between(20.0, 200.0),
            random.between(200.0, 5000.0)
        );
        if random.of(&[true, false]) {
            let _ = writeln!(text, "      patience_s: {}", random.between(0.5, 5.0));
        }
    }
    let routing = random.of(&["round_robin", "random", "power_of_two", "least_loaded"]);
    let interval_s = random.of(&[0.7, 5.0, 13.0]);
    let _ = writeln!(text, "routing: {routing}\nreport: {{ interval_s: {interval_s} }}\nfleet:\n  sites:");
    for site in 0..random.of(&[1, 2]) {
        let pue = random.between(1.0, 1.5);
        let _ = writeln!(text, "    - name: s{site}\n      static_pue: {pue}");
        let pools = random.of(&[1, 2]);
        if random.unit() < 0.7 {
            // A node without work draws up to 2.4 kW.
            let cap_mw = f64::from(pools) * pue * random.between(3.0e-3, 8.0e-3);
            let steps =
                random.of(&["1", "{ steps: [{ at_h: 1.002, value: 0.9 }, { at_h: 1.005, value: 1 }] }"]);
            let fraction = if steps == "1" { "{ constant: 1 }" } else { steps };
            let step = random.of(&[0.0, 0.01, 0.1]);
            let _ = writeln!(
                text,
                "      power: {{ cap_mw: {cap_mw}, cap_fraction: {fraction}, policy: {{ uniform_clock: {{ clock_step: {step} }} }} }}"
            );
        }
        text.push_str("      pools:\n");
        for pool in 0..pools {
            let (model, gpu, tensor) = random.of(&[
                ("Llama-3.1-8B", "H100-SXM-80GB", 1),
                ("Llama-3.1-8B", "H100-SXM-80GB", 4),
                ("Qwen3-30B-A3B", "H200-SXM-141GB", 2),
                ("Llama-3.1-70B", "H200-SXM-141GB", 8),
            ]);
            let _ = writeln!(
                text,
                "        - name: p{pool}\n          model: {model}\n          gpu: {gpu}\n          nodes: 1\n          parallel: {{ tensor: {tensor} }}\n          batching: {{ max_seqs: {}, max_step_tok: {}, kv_blocks: {}, max_queue: {} }}",
                random.of(&[4, 32, 128]),
                random.of(&[256, 2048]),
                random.of(&[200, 1000, 5000]),
                random.of(&[10, 100_000])
            );
            if random.of(&[true, false, false]) {
                let per = f64::from(tensor);
                let _ = writeln!(
                    text,
                    "          step_law: {{ affine: {{ base_us: 9000, per_seq_us: 100, per_prompt_tok_us: 20, energy: {{ per_state: {{ idle_w: {}, base_w: {}, per_seq_w: 2 }} }} }} }}",
                    250.0 * per,
                    500.0 * per
                );
            }
        }
    }
    text
}

#[track_caller]
fn conserved(text: &str, outcome: &Outcome) -> (u64, bool) {
    let s = &outcome.summary;
    let exact = |what: &str, got: f64, expected: f64| {
        assert!(
            (got - expected).abs() <= 1e-9 * expected.abs() + 1e-9,
            "{what}: {got}, not {expected}\n{text}"
        );
    };
    // Requests.
    let r = &s.requests;
    assert_eq!(r.arrived, r.completed + r.shed + r.in_flight, "{text}");
    assert_eq!(r.shed, r.shed_by.patience + r.shed_by.queue_full + r.shed_by.too_long);
    let rows = outcome.requests.as_ref().expect("rows");
    let ended = |outcome: RequestOutcome| rows.iter().filter(move |row| row.outcome == outcome);
    assert_eq!(rows.len() as u64, r.arrived);
    assert_eq!(ended(RequestOutcome::Completed).count() as u64, r.completed);
    assert_eq!(ended(RequestOutcome::ShedPatience).count() as u64, r.shed_by.patience);
    assert_eq!(ended(RequestOutcome::ShedQueueFull).count() as u64, r.shed_by.queue_full);
    assert_eq!(ended(RequestOutcome::InFlight).count() as u64, r.in_flight);
    for row in ended(RequestOutcome::Completed) {
        let (first, finish) = (row.first_token_fs.expect("a first token"), row.finish_fs.expect("an end"));
        assert!(
            row.arrival_fs < first && first <= finish && (first < finish) == (row.output_tok > 1),
            "{row:?}"
        );
    }
    // Tokens.
    let of_completed: u64 = ended(RequestOutcome::Completed).map(|row| u64::from(row.output_tok)).sum();
    let of_left: u64 = ended(RequestOutcome::InFlight).map(|row| u64::from(row.output_tok)).sum();
    assert!((of_completed..=of_completed + of_left).contains(&s.tokens.output), "{text}");
    assert!(s.tokens.useful_output <= of_completed && r.useful <= r.completed);
    let started: u64 =
        rows.iter().filter(|row| row.first_token_fs.is_some()).map(|row| u64::from(row.prompt_tok)).sum();
    assert_eq!(s.tokens.prompt, started);
    let sum =
        |f: &dyn Fn(&wattmill::ledger::outcome::SeriesRow) -> f64| outcome.series.iter().map(f).sum::<f64>();
    let in_series = sum(&|row| row.output_tok_per_s * row.length_s);
    // The series also counts the begun part of iterations under way at the end.
    let running = outcome.series.last().map_or(0.0, |row| row.running as f64);
    let whole = s.tokens.output as f64;
    assert!(
        in_series >= whole - 1e-3 && in_series <= whole + running + 1e-3,
        "{in_series} {whole} {running}\n{text}"
    );
    exact("arrivals", sum(&|row| row.arrivals as f64), r.arrived as f64);
    exact("completed", sum(&|row| row.completed as f64), r.completed as f64);
    exact("shed", sum(&|row| row.shed as f64), r.shed as f64);
    // Time.
    exact("length", sum(&|row| row.length_s), s.scenario.end_s);
    // Joules.
    let parts = |e: &Energy| e.by.gpu_active + e.by.gpu_idle + e.by.node_overhead + e.by.pue_overhead;
    exact("components", parts(&s.energy_j), s.energy_j.facility);
    exact("GPU", s.energy_j.by.gpu_active + s.energy_j.by.gpu_idle, s.energy_j.gpu);
    exact("IT", s.energy_j.gpu + s.energy_j.by.node_overhead, s.energy_j.it);
    exact("sites", s.per_site.iter().map(|site| site.energy_j.it * site.pue).sum(), s.energy_j.facility);
    exact("pools", s.per_pool.iter().map(|pool| pool.energy_it_j).sum(), s.energy_j.it);
    let joules = outcome.counters.it_energy_j as f64 + outcome.counters.it_energy_rest_nw_fs as f64 * 1e-24;
    exact("exact joules", joules, s.energy_j.it);
    exact("∫ IT", sum(&|row| row.it_w * row.length_s), s.energy_j.it);
    exact("∫ facility", sum(&|row| row.facility_w * row.length_s), s.energy_j.facility);
    exact("∫ active", sum(&|row| row.gpu_active_w * row.length_s), s.energy_j.by.gpu_active);
    exact("∫ idle", sum(&|row| row.gpu_idle_w * row.length_s), s.energy_j.by.gpu_idle);
    assert!(s.energy_j.by.node_overhead >= -1e-6 && s.energy_j.by.gpu_idle >= 0.0);
    // Watts: at most the cap, but for a moment after it fell (at 7.2 s, to 0.9).
    let steps = text.contains("steps:");
    let mut tight = false;
    for site in &s.per_site {
        let power = &site.power_w;
        if power.cap_facility_mean.is_some() {
            assert!(steps || (power.overshoot_j == 0.0 && power.overshoot_s == 0.0), "{power:?}\n{text}");
            assert!(power.overshoot_s < 2.0, "{power:?}\n{text}");
            tight |= outcome.counters.clock_changes > 0;
        } else {
            assert_eq!(power.overshoot_s, 0.0);
        }
    }
    if !steps && let Some(cap_w) = s.power_w.cap_facility_mean {
        assert!(s.power_w.facility.max <= cap_w * (1.0 + 1e-12), "{:?}\n{text}", s.power_w);
    }
    for row in &outcome.series {
        let falls = steps && row.time_s < 9.2 && row.time_s + row.length_s > 7.2;
        if let Some(cap_w) = row.cap_facility_w.filter(|_| !falls && s.power_w.cap_facility_mean.is_some()) {
            assert!(row.facility_w <= cap_w * (1.0 + 1e-9), "{row:?}\n{text}");
        }
    }
    // Shares.
    let shares =
        s.per_site.iter().map(|site| &site.binding.share).chain(s.per_pool.iter().map(|pool| &pool.share));
    for x in shares.chain([&s.binding.share]) {
        let parts = [x.demand, x.compute, x.memory_bandwidth, x.kv_capacity, x.power, x.operations];
        exact("shares", parts.iter().sum(), 1.0);
        assert!(parts.iter().all(|share| (0.0..=1.0).contains(share)));
    }
    let timeline = &s.binding.timeline;
    assert_eq!((timeline[0].start_s, timeline[timeline.len() - 1].end_s), (0.0, s.scenario.end_s));
    assert!(timeline.windows(2).all(|pair| pair[0].end_s == pair[1].start_s));
    (outcome.counters.preemptions + r.shed, tight)
}

#[test]
fn nothing_is_lost() {
    let mut random = Draw::new(7);
    let (mut troubled, mut tight) = (0, 0);
    for _ in 0..60 {
        let text = random_scenario(&mut random);
        let outcome = run(&load(&text, &[]));
        let (trouble, capped) = conserved(&text, &outcome);
        troubled += u64::from(trouble > 0);
        tight += u64::from(capped);
    }
    // The draw reaches what is hard: preemption or shedding, and clocks that move.
    assert!(troubled > 10 && tight > 10, "{troubled} runs shed or preempted, {tight} changed clocks");
}
