//! Feeds that fail and what carries the load then: timelines worked out by hand.

use wattmill::ledger::outcome::{Constraint, Outcome, SeriesRow};
use wattmill::{EngineKind, SimOptions, simulate};

use crate::support::load;

/// Nodes draw 5 kW at work and 1 kW without, whatever they do; steps take 10 ms.
const POOL: &str = "model: Llama-3.1-8B\n          gpu: H100-SXM-80GB\n          parallel: { tensor: 8 }\n          \
    start_up_s: 60\n          batching: { max_seqs: 4 }\n          step_law: { affine: { base_us: 10000, energy: \
    { per_state: { idle_w: 1000, base_w: 5000, per_seq_w: 0 } } } }";

const NO_LOSS: &str = "loss: { a0: 0, a1: 0, a2: 0 }";

/// A run of an hour with the loop always full; `pools` lines of (name, nodes, feed).
fn run(tree: &str, pools: &[(&str, u32, &str)], more: &str) -> Outcome {
    run_under("uniform_clock", tree, pools, more)
}

/// As [`run`], under a capping policy.
fn run_under(policy: &str, tree: &str, pools: &[(&str, u32, &str)], more: &str) -> Outcome {
    let mut text = String::from(
        "name: case\nduration_s: 3600\nrouting: round_robin\nworkload:\n  classes:\n    - name: loop\n      \
         arrivals: { closed_loop: { in_flight: 64 } }\n      \
         lengths: { prompt: { constant: { tok: 1 } }, answer: { constant: { tok: 200 } } }\n\
         fleet:\n  sites:\n    - name: hall\n      power:\n        tree:\n",
    );
    for line in tree.lines() {
        text.push_str(&format!("          - {}\n", line.trim()));
    }
    text.push_str("      pools:\n");
    for (name, nodes, feed) in pools {
        text.push_str(&format!(
            "        - name: {name}\n          nodes: {nodes}\n          feed: {feed}\n          {POOL}\n"
        ));
    }
    text.push_str(more);
    let resolved = load(&text, &[&format!("fleet.sites.0.power.policy={policy}")]);
    let segments = simulate(&resolved, &SimOptions::default()).expect("runs");
    let stepwise = simulate(&resolved, &SimOptions { engine: EngineKind::Stepwise, ..SimOptions::default() })
        .expect("runs stepwise");
    assert_eq!(segments.summary.energy_j.facility, stepwise.summary.energy_j.facility);
    assert_eq!(segments.summary.requests.completed, stepwise.summary.requests.completed);
    assert_eq!(segments.summary.binding.timeline, stepwise.summary.binding.timeline);
    segments
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn a_breaker_trips_at_the_closed_form_and_closes_again() {
    // Four nodes at 5 kW on a breaker of 16 kW: x = 1.25, from 4 kW without load: h0 = (1/4)².
    let tree = format!(
        "{{ name: meter, device: {{ utility: {{ rated_mw: 1 }} }} }}\n\
         {{ name: row, parent: meter, device: {{ pdu: {{ rated_mw: 1 }} }}, {NO_LOSS}, \
         breaker: {{ rated_mw: 0.016, time_constant_s: 300, reclose_s: 1800 }} }}"
    );
    let outcome = run(&tree, &[("main", 4, "row")], "");
    let trip_s = 300.0 * ((1.5625_f64 - 0.0625) / (1.5625 - 1.0)).ln();
    // Back after 1,800 s, idle for the 60 s of the start, and then from what is left of its heat.
    let back_s = trip_s + 1800.0 + 60.0;
    let cold = (-1800.0_f64 / 300.0).exp();
    let idle = 0.0625 + (cold - 0.0625) * (-60.0_f64 / 300.0).exp();
    let again_s = back_s + 300.0 * ((1.5625 - idle) / 0.5625).ln();
    assert!(again_s < 3600.0 && again_s + 1860.0 > 3600.0);
    let by_hand = 20e3 * (trip_s + again_s - back_s) + 4e3 * 60.0;
    let it = outcome.summary.energy_j.it;
    assert!(close(it, by_hand), "{it} J, by hand {by_hand} J");
    let requests = &outcome.summary.requests;
    // 64 in flight, none with a replica left to go to; as many again when it closes.
    assert_eq!((requests.shed_by.unavailable, requests.retried), (128, 0));
    let down = outcome.summary.binding.share.operations * 3600.0;
    assert!(close(down, 3600.0 - (trip_s + again_s - back_s)), "{down}");
    assert!(outcome.summary.binding.timeline.iter().any(|s| s.constraint == Constraint::Operations));
}

#[test]
fn a_cap_keeps_a_breaker_closed_and_without_one_it_trips_at_the_closed_form() {
    // The row itself is rated for 16 of the 20 kW.
    let tree = format!(
        "{{ name: meter, device: {{ utility: {{ rated_mw: 1 }} }} }}\n\
         {{ name: row, parent: meter, device: {{ pdu: {{ rated_mw: 0.016 }} }}, {NO_LOSS}, \
         breaker: {{ time_constant_s: 570 }} }}"
    );
    let pools = [("main", 4, "row")];
    let capped = run(&tree, &pools, "");
    assert!(capped.summary.binding.share.power > 0.95, "{:?}", capped.summary.binding);
    assert_eq!(capped.summary.requests.shed, 0);
    let free = run_under("none", &tree, &pools, "");
    let trip_s = 570.0 * ((1.5625_f64 - 0.0625) / (1.5625 - 1.0)).ln();
    let it = free.summary.energy_j.it;
    assert!(close(it, 20e3 * trip_s), "{it} J, by hand {} J", 20e3 * trip_s);
    assert!(close(free.summary.binding.share.operations * 3600.0, 3600.0 - trip_s));
}

/// Two supplies, each with two rows; each row's other feed is the other supply.
fn dual(rated_mw: f64) -> String {
    format!(
        "{{ name: meter, device: {{ utility: {{ rated_mw: 1 }} }} }}\n\
         {{ name: ups-a, parent: meter, device: {{ ups: {{ rated_mw: {rated_mw} }} }} }}\n\
         {{ name: ups-b, parent: meter, device: {{ ups: {{ rated_mw: {rated_mw} }} }} }}\n\
         {{ name: row-a, parent: ups-a, backups: [ups-b], device: {{ pdu: {{ rated_mw: 1 }} }}, {NO_LOSS} }}\n\
         {{ name: row-b, parent: ups-b, backups: [ups-a], device: {{ pdu: {{ rated_mw: 1 }} }}, {NO_LOSS} }}"
    )
}

#[test]
fn two_feeds_carry_each_other_without_a_lost_token() {
    let pools = [("a", 2, "row-a"), ("b", 2, "row-b")];
    let fails = "failures:\n  - { of: { device: ups-a }, when: { at: [{ at_h: 0.25, for_h: 0.5 }] } }\n";
    let whole = run(&dual(0.02), &pools, "");
    let failed = run(&dual(0.02), &pools, fails);
    assert_eq!(failed.summary.tokens.output, whole.summary.tokens.output);
    assert_eq!(failed.summary.requests.retried + failed.summary.requests.shed, 0);
    assert_eq!(failed.summary.energy_j.it, whole.summary.energy_j.it);
    // Losses by hand: half an hour at half load each, half an hour one at full load and the other without any.
    let loss = |x: f64| 20e3 * (0.010 + 0.020 * x + 0.015 * x * x);
    let by = |outcome: &Outcome, device: &str| {
        let name = format!("loss_hall.{device}");
        let parts = serde_json::to_value(&outcome.summary.energy_j.by).expect("a map");
        parts[&name].as_f64().unwrap_or_else(|| panic!("{name} in {parts}"))
    };
    assert!(close(by(&whole, "ups-a"), loss(0.5) * 3600.0));
    assert!(close(by(&failed, "ups-a"), loss(0.5) * 1800.0), "{}", by(&failed, "ups-a"));
    assert!(close(by(&failed, "ups-b"), (loss(0.5) + loss(1.0)) * 1800.0));

    // Rated for 60 % of the load each, the one that is left binds, and the fleet slows down to fit.
    // Times off the timeline's grid, so that no cell ends with the failure.
    let fails = "failures:\n  - { of: { device: ups-a }, when: { at: [{ at_h: 0.2501, for_h: 0.5 }] } }\n";
    let tight = run(&dual(0.012), &pools, fails);
    let bound: Vec<_> =
        tight.summary.binding.timeline.iter().filter(|s| s.constraint == Constraint::Power).collect();
    assert_eq!(bound.len(), 1, "{:?}", tight.summary.binding.timeline);
    assert_eq!((bound[0].start_s, bound[0].end_s, bound[0].place.as_str()), (900.0, 2700.0, "hall.ups-b"));
    assert!(tight.summary.tokens.output < whole.summary.tokens.output);
    assert_eq!(tight.summary.requests.shed, 0);
}

/// A supply with a battery of `kwh` on a grid that is lost after a quarter of an hour for half an hour.
fn island(kwh: f64, generator: &str, backup: &str) -> Outcome {
    let tree = format!(
        "{{ name: meter, device: {{ utility: {{ rated_mw: 1 }} }} }}\n{generator}\
         {{ name: ups, parent: meter, {backup} device: {{ ups: {{ rated_mw: 0.02 }} }}, \
         battery: {{ energy_mwh: {}, round_trip_efficiency: 0.8, charge_mw: 0.002, recharge_below_mw: 0.02 }} }}",
        kwh / 1e3
    );
    let fails = "failures:\n  - { of: { device: meter }, when: { at: [{ at_h: 0.25, for_h: 0.5 }] } }\n";
    run(&tree, &[("main", 3, "ups")], fails)
}

#[test]
fn a_battery_carries_its_load_as_long_as_its_charge_lasts() {
    // Three nodes: 15 kW, x = 0.75 of the supply.
    let drawn_w = 15e3 + 20e3 * (0.010 + 0.020 * 0.75 + 0.015 * 0.75 * 0.75);
    // Long enough: nothing happens but that the meter stands still, and the charge is bought back.
    let long = island(10.0, "", "");
    assert_eq!(long.summary.requests.shed + long.summary.requests.retried, 0);
    assert!(close(long.summary.energy_j.it, 15e3 * 3600.0));
    let charged_j = 2e3 * 900.0;
    let meter_j = drawn_w * 1800.0 + charged_j;
    let facility = long.summary.energy_j.facility;
    assert!(close(facility, meter_j), "{facility} by hand {meter_j}");

    // 5 minutes' worth: then everything stands until the grid is back, and a minute to start.
    let short = island(drawn_w * 300.0 / 3.6e6, "", "");
    let by_hand = 15e3 * (900.0 + 300.0 + 900.0 - 60.0) + 3e3 * 60.0;
    assert!(close(short.summary.energy_j.it, by_hand), "{} by hand {by_hand}", short.summary.energy_j.it);
    assert_eq!(short.summary.requests.shed_by.unavailable, 64);

    // A generator that starts within these 5 minutes takes over, and nobody notices.
    let generator = "{ name: gen, device: { generator: { rated_mw: 0.1, start_s: 120 } } }\n";
    let carried = island(drawn_w * 300.0 / 3.6e6, generator, "backups: [gen],");
    assert_eq!(carried.summary.requests.shed + carried.summary.requests.retried, 0);
    assert!(close(carried.summary.energy_j.it, 15e3 * 3600.0));
    // It starts too late: down from 5 to 6 minutes, and a minute to boot.
    let late = "{ name: gen, device: { generator: { rated_mw: 0.1, start_s: 360 } } }\n";
    let lost = island(drawn_w * 300.0 / 3.6e6, late, "backups: [gen],");
    let by_hand = 15e3 * (3600.0 - 120.0) + 3e3 * 60.0;
    assert!(close(lost.summary.energy_j.it, by_hand), "{} by hand {by_hand}", lost.summary.energy_j.it);
}

#[test]
fn modules_beyond_those_needed_cost_nothing_when_they_fail() {
    // N+1: 4 modules of 5 kW and a spare; 15 kW of load.
    let tree = "{ name: meter, device: { utility: { rated_mw: 1 } } }\n\
                { name: ups, parent: meter, device: { ups: { rated_mw: 0.02, modules: 4, redundant: 1 } } }";
    let fail = |count: u32| {
        let fails = format!(
            "failures:\n  - {{ of: {{ ups_modules: {{ device: ups, count: {count} }} }}, when: {{ at: [{{ at_h: 0 }}] }} }}\n"
        );
        run(tree, &[("main", 3, "ups")], &fails)
    };
    let (one, two, three) = (fail(1), fail(2), fail(3));
    let loss = |modules: f64| {
        let rated = 5e3 * modules;
        let x = 15e3 / rated;
        rated * (0.010 + 0.020 * x + 0.015 * x * x)
    };
    let lost = |outcome: &Outcome| outcome.summary.energy_j.facility - outcome.summary.energy_j.it;
    assert!(close(lost(&one), loss(4.0) * 3600.0), "{}", lost(&one) / 3600.0);
    // Without a spare and with one module less, 15 kW is just what the others are rated at.
    assert!(close(lost(&two), loss(3.0) * 3600.0));
    assert_eq!(two.summary.tokens.output, one.summary.tokens.output);
    // With two of them left, 10 kW is all there is.
    assert!(three.summary.power_w.it.p99 <= 10.02e3, "{}", three.summary.power_w.it.p99);
    assert!(three.summary.tokens.output < one.summary.tokens.output);
    let power = three.summary.binding.share.power;
    assert!(power > 0.99, "{power}");
}

#[test]
fn a_battery_shaves_peaks_until_it_is_empty() {
    // 15 kW on a supply that may pass 13 kW and losses: 2 kW from the battery, 1 kWh of it: half an hour.
    let tree = format!(
        "{{ name: meter, device: {{ utility: {{ rated_mw: 1 }} }} }}\n\
         {{ name: ups, parent: meter, device: {{ ups: {{ rated_mw: 0.02 }} }}, {NO_LOSS}, \
         battery: {{ energy_mwh: 0.001, shave_above_mw: 0.013, recharge_below_mw: 0.01 }} }}"
    );
    let outcome = run(&tree, &[("main", 3, "ups")], "");
    assert!(close(outcome.summary.energy_j.it, 15e3 * 3600.0));
    let by_hand = 13e3 * 1800.0 + 15e3 * 1800.0;
    assert!(close(outcome.summary.energy_j.facility, by_hand), "{}", outcome.summary.energy_j.facility);
    assert!((outcome.summary.pue.min - 13.0 / 15.0).abs() < 1e-6);
    // It is neither a loss nor cooling: 2 kW given for half an hour.
    let sum =
        |of: fn(&SeriesRow) -> f64| -> f64 { outcome.series.iter().map(|row| of(row) * row.length_s).sum() };
    assert_eq!((sum(|row| row.loss_w), sum(|row| row.cooling_w)), (0.0, 0.0));
    assert!(close(sum(|row| row.battery_w), -2e3 * 1800.0));
    assert!(close(sum(|row| row.facility_w), by_hand));
}
