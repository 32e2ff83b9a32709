//! Capping policies in whole runs: who is slowed down, when, and who is not.

use wattmill::ledger::outcome::{Constraint, Outcome, PoolSummary};
use wattmill::scenario::{self, LoadOptions};

use crate::engines::equal;
use crate::support::{catalog, close, load, run};

/// Two pools of one replica of 8 GPUs, each kept at a batch of 4 by its own closed loop: 1 kW idle, 5 kW at full clock,
/// 10 ms a step. Watts go as the clock, so does speed.
fn two_pools(power: &str, low: &str) -> String {
    let class = |name: &str, model: &str| {
        format!(
            "    - name: {name}
      model: {model}
      arrivals: {{ closed_loop: {{ in_flight: 4 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 10 }} }}, answer: {{ constant: {{ tok: 5000 }} }} }}
"
        )
    };
    let pool = |name: &str, model: &str, priority: &str| {
        format!(
            "        - name: {name}
          model: {model}
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 1
          parallel: {{ tensor: 8 }}
          power_priority: {priority}
          batching: {{ max_seqs: 4 }}
          step_law: {{ affine: {{ base_us: 10000, energy: {{ per_state: {{ idle_w: 1000, base_w: 5000, per_seq_w: 0 }} }} }} }}
"
        )
    };
    format!(
        "name: policies
duration_s: 800
report: {{ interval_s: 5 }}
workload:
  classes:
{}{}fleet:
  sites:
    - name: s
      power: {power}
      pools:
{}{}",
        class("batch", "Qwen3-8B"),
        class("chat", "Llama-3.1-8B"),
        pool("batch", "Qwen3-8B", low),
        pool("chat", "Llama-3.1-8B", "high"),
    )
}

fn pool<'a>(outcome: &'a Outcome, name: &str) -> &'a PoolSummary {
    outcome.summary.per_pool.iter().find(|pool| pool.name.ends_with(name)).expect("a pool of the name")
}

/// The mean clock of working replicas in the interval from `at_s`.
fn clock_at(outcome: &Outcome, at_s: f64) -> f64 {
    let row = outcome.series.iter().find(|row| (row.time_s - at_s).abs() < 1e-6).expect("an interval");
    row.clock.expect("work")
}

#[test]
fn high_priority_pools_do_not_notice_while_low_ones_can_go_down() {
    // At first the low pool is at full clock, and the high one waits for its boundary.
    let settled = ["warm_up_s=10"];
    let free = run(&load(&two_pools("{ policy: none }", "low"), &settled));
    let capped = |policy: &str| {
        let power = format!("{{ cap_mw: 0.008, policy: {{ {policy}: {{ clock_step: 0.05 }} }} }}");
        equal(policy, &load(&two_pools(&power, "low"), &settled)).0
    };
    let rate = |outcome: &Outcome, name: &str| pool(outcome, name).output_tok_per_s;
    // 10 kW under a cap of 8 kW: the low pool gives 2 kW of its 4 kW of swing, half its clock.
    let priority = capped("priority");
    assert_eq!(rate(&priority, "chat"), rate(&free, "chat"));
    close("half the clock", rate(&priority, "batch"), 0.5 * rate(&free, "batch"), 0.01);
    let share = pool(&priority, "batch").share;
    assert!(share.power > 0.99, "{share:?}");
    // One clock for all: both give 1 kW, as do watts cut to the same share.
    for policy in ["uniform_clock", "proportional"] {
        let outcome = capped(policy);
        for name in ["chat", "batch"] {
            close(&format!("{policy} {name}"), rate(&outcome, name), 0.75 * rate(&free, name), 0.02);
        }
    }
    for outcome in [&priority, &free] {
        assert_eq!(outcome.summary.power_w.overshoot_j, 0.0);
    }
}

/// At their lowest clocks, a twentieth, both pools draw 2.4 kW. When the cap falls below that nobody can come down any more, and yet
/// one must stop at its next boundary, 0.2 s later at most, though its run would go on for thousands of tokens.
#[test]
fn at_the_lowest_clocks_some_stop_when_the_cap_falls() {
    for policy in ["uniform_clock", "priority", "proportional", "phase_aware"] {
        let power = format!(
            "{{ cap_mw: 0.0025, cap_fraction: {{ steps: [{{ at_h: 0.11111, value: 0.92 }}] }}, policy: {{ {policy}: {{ \
             clock_step: 0.05 }} }} }}"
        );
        let (outcome, _) = equal(policy, &load(&two_pools(&power, "low"), &["warm_up_s=50"]));
        let power_w = &outcome.summary.per_site[0].power_w;
        // Before the fall both are at work.
        let row = outcome.series.iter().find(|row| (row.time_s - 390.0).abs() < 1e-6).expect("an interval");
        close("both at their lowest", row.it_w, 2400.0, 1e-3);
        assert!(power_w.overshoot_s > 0.0 && power_w.overshoot_s <= 0.2, "{policy}: {}", power_w.overshoot_s);
        let last = outcome.series.last().expect("intervals");
        close("one of them goes on", last.it_w, 2200.0, 1e-3);
    }
}

#[test]
fn without_a_policy_the_cap_is_passed_and_told() {
    let cap = |policy: &str| format!("{{ cap_mw: 0.008, policy: {policy} }}");
    let free = run(&load(&two_pools("{}", "low"), &[]));
    let (none, _) = equal("none", &load(&two_pools(&cap("none"), "low"), &[]));
    assert_eq!(none.summary.throughput.output_tok_per_s, free.summary.throughput.output_tok_per_s);
    let power = &none.summary.power_w;
    assert_eq!(power.facility.max, 10_000.0);
    close("above the cap", power.overshoot_s, 800.0, 1e-9);
    close("joules above it", power.overshoot_j, 2_000.0 * 800.0, 1e-9);
    assert_eq!(none.summary.binding.share.power, 0.0);
    // What is not kept is no stave.
    let stave = |outcome: &Outcome| outcome.summary.tpf.predicted_tok_per_s.expect("staves");
    assert_eq!(stave(&none), stave(&free));
}

/// Constant draws, and a cap that moves: every cap, release and brake by hand. In kW: 10 at full clock, 9.616 with low
/// pools at 0.904, 9.148 at 0.787, 8.852 with the others at 0.926, 3.632 braked.
#[test]
fn polca_follows_its_timeline() {
    // From (s), cap (kW), and what that does.
    let caps = [
        (0.0, 13.0),   // 77 %
        (100.0, 12.0), // 83 % > t1: low at 140; then 80 %
        (200.0, 11.0), // 87 %
        (300.0, 10.6), // 91 % > t2: low at 340; then 86 %, so the others are left alone at 380
        (400.0, 10.2), // 90 % > t2: others at 440; then 87 %
        (500.0, 12.0), // 74 % < t1 − 5 %: all free at 540; then 83 % > t1 again: low at 580
        (600.0, 9.0),  // 107 %: brake at 605; 40 %: released at 610 under all caps; then 98 %
        (700.0, 13.0), // 68 %: all free at 740
    ];
    let steps: Vec<String> = caps
        .iter()
        .map(|(at_s, kw)| format!("{{ at_h: {}, value: {} }}", at_s / 3600.0, kw / 13.0))
        .collect();
    let power = format!(
        "{{ cap_mw: 0.013, cap_fraction: {{ steps: [{}] }}, policy: {{ polca: {{ clock_step: 0 }} }} }}",
        steps.join(", ")
    );
    let (outcome, _) = equal("polca", &load(&two_pools(&power, "low"), &[]));
    let mean = |low: f64, high: f64| 0.5 * (low + high);
    let (free, t1, t2) = (1.0, mean(0.904, 1.0), mean(0.787, 1.0));
    let (high, brake) = (mean(0.787, 0.926), 0.204);
    // Five seconds before and after each change; a step under way keeps its clock.
    let expected = [
        (0.0, free),
        (135.0, free),
        (140.0, t1),
        (335.0, t1),
        (340.0, t2),
        (435.0, t2),
        (440.0, high),
        (535.0, high),
        (540.0, free),
        (575.0, free),
        (580.0, t1),
        (600.0, t1),
        (605.0, brake),
        (615.0, high),
        (735.0, high),
        (740.0, free),
        (795.0, free),
    ];
    for (at_s, clock) in expected {
        let got = clock_at(&outcome, at_s);
        assert!((got - clock).abs() < 0.004, "{got} instead of {clock} from {at_s} s");
    }
    let capping = outcome.summary.per_site[0].capping.expect("polca");
    assert_eq!((capping.crossings_t1, capping.crossings_t2, capping.brakes), (3, 3, 1), "{capping:?}");
    for (what, got, seconds) in [
        ("braked", capping.braked_s, 5.0),
        ("low", capping.capped_low_s, 400.0 + 160.0),
        ("high", capping.capped_high_s, 100.0 + 135.0),
    ] {
        assert!((got - seconds).abs() < 0.1, "{what}: {got} s instead of {seconds} s");
    }
    // A cap by thresholds is power, the brake is operations.
    let (batch, chat) = (pool(&outcome, "batch").share, pool(&outcome, "chat").share);
    close("power, low", batch.power, (560.0 - 5.0) / 800.0, 0.01);
    close("power, high", chat.power, (235.0 - 5.0) / 800.0, 0.01);
    for share in [batch, chat] {
        close("brake", share.operations, 5.0 / 800.0, 0.02);
    }
    let timeline = &outcome.summary.binding.timeline;
    assert!(timeline.iter().any(|stretch| stretch.place == "s.meter"), "{timeline:?}");
}

/// Half of the draw, and the brake does not do: it stays on, and the site is in the hands of operations.
#[test]
fn a_brake_that_does_not_do_stays_on() {
    let power = "{ cap_mw: 0.004, policy: polca }";
    let (outcome, _) = equal("braked", &load(&two_pools(power, "normal"), &["duration_s=300"]));
    let capping = outcome.summary.per_site[0].capping.expect("polca");
    assert_eq!((capping.brakes, capping.braked_s), (1, 295.0), "{capping:?}");
    let last = outcome.summary.binding.timeline.last().expect("a label");
    assert_eq!((last.constraint, last.place.as_str()), (Constraint::Operations, "s.meter"));
    assert!(outcome.summary.power_w.overshoot_s < 5.1, "{:?}", outcome.summary.power_w);
}

/// A device in the tree is watched in place of the meter: only its own load counts.
#[test]
fn polca_watches_the_device_it_is_given() {
    let power = |device: &str, rated_mw: f64| {
        format!(
            "{{ policy: {{ polca: {{ device: {device} }} }}, tree: [{{ name: grid, device: {{ utility: {{ rated_mw: 1 }} }} }}, \
             {{ name: a, parent: grid, device: {{ pdu: {{ rated_mw: {rated_mw} }} }} }}, \
             {{ name: b, parent: grid, device: {{ pdu: {{ rated_mw: 1 }} }} }}] }}"
        )
    };
    let text = |power: &str| {
        let mut feeds = ["a", "b"].iter();
        let text = two_pools(power, "low");
        let lines = text.lines().map(|line| {
            if line.starts_with("          power_priority") {
                format!("{line}\n          feed: {}\n", feeds.next().expect("two pools"))
            } else {
                format!("{line}\n")
            }
        });
        lines.collect::<String>()
    };
    // 5 kW of 6 kW are 83 %: capped at 40 s to 4.616 kW, 77 %, for good.
    let (outcome, _) = equal("pdu", &load(&text(&power("a", 0.006)), &[]));
    let capping = outcome.summary.per_site[0].capping.expect("polca");
    assert_eq!((capping.crossings_t1, capping.crossings_t2, capping.capped_high_s), (1, 0, 0.0));
    assert!((capping.capped_low_s - 760.0).abs() < 0.1, "{capping:?}");
    let place = &outcome.summary.binding.timeline.last().expect("a label").place;
    assert!(pool(&outcome, "batch").share.power > 0.9, "{place}");
    // Of its 1 MW nothing is seen at the other.
    let (outcome, _) = equal("other pdu", &load(&text(&power("b", 0.006)), &[]));
    let capping = outcome.summary.per_site[0].capping.expect("polca");
    assert_eq!((capping.crossings_t1, capping.capped_low_s), (0, 0.0));
}

/// Prompts beside long answers, under a cap that costs one clock for all a good part of it.
#[test]
fn prompts_keep_their_speed_while_decoding_gives_way() {
    let text = |policy: &str| {
        format!(
            "name: phases
duration_s: 300
warm_up_s: 60
workload:
  classes:
    - name: chat
      arrivals: {{ poisson: {{ rate_per_s: 8 }} }}
      lengths: {{ prompt: {{ constant: {{ tok: 1000 }} }}, answer: {{ constant: {{ tok: 200 }} }} }}
fleet:
  sites:
    - power: {policy}
      pools:
        - model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          node: ideal_linear
          nodes: 8
          parallel: {{ tensor: 8 }}
          step_law: {{ affine: {{ base_us: 10000, prefill_us: 90000, energy: {{ per_state: {{ idle_w: 1000, base_w: 5000, per_seq_w: 0 }} }} }} }}
"
        )
    };
    let capped = |policy: &str| {
        let power =
            format!("{{ cap_mw: 0.028, policy: {{ {policy}: {{ clock_step: 0.02, dwell_s: 1 }} }} }}");
        equal(policy, &load(&text(&power), &[])).0
    };
    let free = run(&load(&text("{}"), &[]));
    let (phases, uniform) = (capped("phase_aware"), capped("uniform_clock"));
    let ttft = |outcome: &Outcome| outcome.summary.latency_s.ttft.p50.expect("requests");
    let tpot = |outcome: &Outcome| outcome.summary.latency_s.tpot.p50.expect("requests");
    assert!(ttft(&uniform) > 1.1 * ttft(&free), "the cap binds: {} {}", ttft(&uniform), ttft(&free));
    assert!(ttft(&phases) < ttft(&uniform), "{} {}", ttft(&phases), ttft(&uniform));
    assert!(tpot(&phases) > tpot(&free), "{} {}", tpot(&phases), tpot(&free));
    assert_eq!(phases.summary.power_w.overshoot_j, 0.0);
}

/// The message that a policy is refused with.
fn refused(power: &str) -> String {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("test.yaml");
    std::fs::write(&path, two_pools(power, "low")).expect("scenario");
    match scenario::load(&path, &LoadOptions::new(catalog())) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{power} is accepted"),
    }
}

#[test]
fn mistakes_in_policies_are_refused() {
    let of = |policy: &str| refused(&format!("{{ cap_mw: 0.01, policy: {policy} }}"));
    for (policy, expected) in [
        ("{ priority: { clock_step: 0 } }", "policy.priority.clock_step: must be above 0"),
        ("{ phase_aware: { clock_step: 0 } }", "policy.phase_aware.clock_step: must be above 0"),
        ("{ proportional: { share_step: 0 } }", "policy.proportional.share_step: must be between"),
        ("{ proportional: { dwell_s: 0 } }", "policy.proportional.dwell_s: must be at least 0.001"),
        ("{ polca: { t1: 0.9 } }", "policy.polca.t1: must be above 0 and below t2 (0.89)"),
        ("{ polca: { low_clock_t2: 0.95 } }", "policy.polca.low_clock_t2"),
        ("{ polca: { hysteresis: 0.8 } }", "policy.polca.hysteresis: must be at least 0 and below t1"),
        ("{ polca: { brake_at: 0.5 } }", "policy.polca.t2: must be above 0 and at most brake_at (0.5)"),
        ("{ polca: { cap_delay_s: 0 } }", "policy.polca.cap_delay_s: must be at least 0.001"),
        ("{ polca: { device: pdu } }", "unknown power device 'pdu'; the site has no power.tree"),
        ("proportionl", "unknown capping policy 'proportionl'; did you mean 'proportional'?"),
    ] {
        let told = of(policy);
        assert!(told.contains(expected), "{policy}: {told}");
        assert!(told.contains("test.yaml:"), "{policy}: {told}");
    }
    let told = refused("{ policy: polca }");
    assert!(told.contains("add power.cap_mw or a power.tree"), "{told}");
}
