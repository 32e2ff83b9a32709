//! Power devices in the accounts: outputs against conservation and hand-worked loads, overshoot at a step of the cap.

use wattmill::ledger::outcome::{DeviceSummary, Outcome, Stranded};
use wattmill::{EngineKind, SimOptions, simulate};

use crate::facility_scenario::GOOD;
use crate::support::{close, load};

/// Both engines, whose accounts of devices and nodes must be the same.
#[track_caller]
fn both(text: &str, sets: &[&str]) -> Outcome {
    let resolved = load(text, sets);
    let segments = simulate(&resolved, &SimOptions::default()).expect("runs");
    let stepwise = simulate(&resolved, &SimOptions { engine: EngineKind::Stepwise, ..SimOptions::default() })
        .expect("runs stepwise");
    for (a, b) in segments.summary.per_site.iter().zip(&stepwise.summary.per_site) {
        assert_eq!(a.devices, b.devices);
    }
    assert_eq!(segments.distribution, stepwise.distribution);
    segments
}

/// Nodes that draw 5 kW at work and 1 kW without; steps take 10 ms, and the loop is always full.
fn hall(power: &str, tensor: u32) -> String {
    format!(
        "name: case\nduration_s: 3600\nrouting: round_robin\nworkload:\n  classes:\n    - name: loop\n      \
         arrivals: {{ closed_loop: {{ in_flight: 64 }} }}\n      \
         lengths: {{ prompt: {{ constant: {{ tok: 1 }} }}, answer: {{ constant: {{ tok: 200 }} }} }}\n\
         fleet:\n  sites:\n    - name: hall\n      power:\n{power}      pools:\n        - name: main\n          \
         nodes: 4\n          feed: row\n          model: Llama-3.1-8B\n          gpu: H100-SXM-80GB\n          \
         parallel: {{ tensor: {tensor} }}\n          batching: {{ max_seqs: 4 }}\n          step_law: {{ affine: {{ \
         base_us: 10000, energy: {{ per_state: {{ idle_w: 1000, base_w: 5000, per_seq_w: 0 }} }} }} }}\n"
    )
}

/// A UPS that loses a tenth of its output between meter and row.
const TREE: &str = "        tree:\n          - { name: meter, device: { utility: { rated_mw: 0.05 } } }\n          - { \
    name: ups, parent: meter, device: { ups: { rated_mw: 0.03 } }, loss: { a0: 0, a1: 0.1, a2: 0 } }\n          - { \
    name: row, parent: ups, device: { pdu: { rated_mw: 0.032 } }, derate: 0.75, loss: { a0: 0, a1: 0, a2: 0 } }\n";

fn device<'a>(outcome: &'a Outcome, name: &str) -> &'a DeviceSummary {
    outcome.summary.per_site[0].devices.iter().find(|device| device.name == name).expect("a device")
}

/// Four nodes at 5 kW: 20 kW of the row's 24 kW, 20 kW of the UPS's 30 kW, 22 kW at the meter of 50 kW. What could be
/// used: 20 kW of the row (its pool takes no more), as much of the UPS, 22 kW of the meter.
#[test]
fn a_constant_load_by_hand() {
    let outcome = both(&hall(TREE, 8), &[]);
    let by_hand = [
        ("hall.meter", 50e3, 50e3, 22e3, 28e3, 30e3 / 50e3),
        ("hall.ups", 30e3, 30e3, 20e3, 10e3, 32e3 / 30e3),
        ("hall.row", 32e3, 24e3, 20e3, 4e3, 20e3 / 32e3),
    ];
    for (name, rated_w, limit_w, out_w, stranded_w, oversubscription) in by_hand {
        let d = device(&outcome, name);
        for (what, got, expected) in [
            ("rated", d.rated_w, rated_w),
            ("limit", d.limit_w, limit_w),
            ("mean", d.mean_w, out_w),
            ("p99", d.p99_w, out_w),
            ("max", d.max_w, out_w),
            ("headroom", d.headroom_p99_w, limit_w - out_w),
            ("stranded", d.stranded_w, stranded_w),
            ("oversubscription", d.oversubscription.expect("something below"), oversubscription),
        ] {
            close(&format!("{what} of {name}"), got, expected, 1e-9);
        }
        assert_eq!((d.overshoot_s, d.overshoot_j, d.stranded_by), (0.0, 0.0, Some(Stranded::Below)));
    }
    let nodes: Vec<f64> =
        outcome.distribution.iter().filter(|row| row.of == "node").map(|row| row.power_w).collect();
    assert_eq!(nodes, [5000.0; 201]);
}

/// Two replicas of a node add up.
#[test]
fn a_node_is_what_its_replicas_draw() {
    let outcome = both(&hall(&TREE.replace("0.0", "0.2"), 4), &[]);
    let node = outcome.distribution.iter().find(|row| row.of == "node" && row.time_share == 0.5);
    assert_eq!(node.expect("nodes").power_w, 10e3);
}

/// A cap of 40 kW that falls to 18.7 kW after half an hour: the iterations that began at that instant still draw 22 kW,
/// for 10 ms. Before: 22/40 of the cap; afterwards no more than all of it.
#[test]
fn overshoot_at_a_step_of_the_cap() {
    let cap = "        cap_mw: 0.04\n        cap_fraction: { steps: [{ at_h: 0.5, value: 0.4675 }] }\n";
    let outcome = both(&hall(&format!("{cap}{TREE}"), 8), &[]);
    let meter = device(&outcome, "hall.meter");
    close("time", meter.overshoot_s, 0.01, 1e-9);
    close("joules", meter.overshoot_j, 33.0, 1e-9);
    let power = &outcome.summary.per_site[0].power_w;
    assert_eq!((power.overshoot_s, power.overshoot_j), (meter.overshoot_s, meter.overshoot_j));
    close("limit", meter.limit_w, 40e3, 1e-9);
    close("maximum", meter.max_w, 22e3, 1e-9);
    assert!(meter.p99_share_of_limit > 0.95 && meter.p99_share_of_limit < 1.001, "{meter:?}");
    let load = |share: f64| {
        let mut rows = outcome.distribution.iter().filter(|row| row.name == "hall.meter");
        rows.find(|row| row.time_share == share).and_then(|row| row.limit_share).expect("a share")
    };
    close("first half", load(0.25), 0.55, 2e-3);
    assert!(load(0.55) > 0.95, "{}", load(0.55));
    assert_eq!(device(&outcome, "hall.row").overshoot_s, 0.0);
}

/// What goes into a device is what comes out of it and what it loses, from the nodes to the meter.
#[test]
fn outputs_and_losses_add_up() {
    let outcome = both(GOOD, &[]);
    let energy = &outcome.summary.energy_j;
    let out = |name: &str| device(&outcome, name).mean_w * 60.0;
    let part = |name: &str| {
        energy.by.building.iter().find(|part| part.0 == name).unwrap_or_else(|| panic!("{name}")).1
    };
    let cooling = part("fans") + part("pumps") + part("chiller");
    close("row", out("here.row"), energy.it, 1e-9);
    close("UPS", out("here.ups"), out("here.row") + part("loss_here.row"), 1e-9);
    close("bus", out("here.bus"), cooling, 1e-9);
    let below = out("here.ups") + part("loss_here.ups") + out("here.bus") + part("loss_here.bus");
    close("meter", out("here.meter"), below, 1e-9);
    close("facility", out("here.meter") + part("loss_here.meter"), energy.facility, 1e-9);
    for d in &outcome.summary.per_site[0].devices {
        assert!(d.mean_w <= d.max_w && d.p99_w <= d.max_w && d.stranded_w >= 0.0, "{d:?}");
        assert!(d.stranded_w <= d.limit_w && d.max_w <= d.limit_w - d.stranded_w + 1e-6, "{d:?}");
    }
}

/// Without a tree there are nodes, and no devices.
#[test]
fn no_tree_no_devices() {
    let text = "duration_s: 60\nworkload: { classes: [{ name: chat, arrivals: { poisson: { rate_per_s: 8 } } }] }\n\
        fleet: { sites: [{ name: here, pools: [{ model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1 }] }] }\n";
    let outcome = both(text, &[]);
    assert!(outcome.summary.per_site[0].devices.is_empty());
    assert!(outcome.distribution.iter().all(|row| row.of == "node" && row.limit_share.is_none()));
    assert_eq!(outcome.distribution.len(), 201);
}
