//! Shipped scenarios against what their authors expect of them.

use std::path::{Path, PathBuf};

use wattmill::control::Timeline;
use wattmill::fleet::Fleet;
use wattmill::ledger::outcome::Outcome;
use wattmill::physics::clock::Clock;
use wattmill::physics::fs_from_s;
use wattmill::scenario::Resolved;
use wattmill::study::expect::judge;
use wattmill::{SimOptions, simulate};

use crate::support::{catalog, load_file};

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)
}

#[track_caller]
fn run(name: &str, sets: &[&str], keep_requests: bool) -> Outcome {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let resolved = load_file(&config(name), &sets, catalog());
    simulate(&resolved, &SimOptions { keep_requests, ..SimOptions::default() }).expect("runs")
}

#[track_caller]
fn as_expected(name: &str) -> Outcome {
    let resolved = load_file(&config(name), &[], catalog());
    let outcome = simulate(&resolved, &SimOptions::default()).expect("runs");
    let verdicts = judge(&resolved.scenario, &outcome.summary);
    assert!(verdicts.len() > 1, "{name} expects nothing");
    for verdict in &verdicts {
        println!("{name}: {} {}", if verdict.held { "as expected:" } else { "NOT:" }, verdict.told);
    }
    assert!(
        verdicts.iter().all(|verdict| verdict.held),
        "{name}: {verdicts:#?}\n{:#?}",
        outcome.summary.binding.timeline
    );
    no_device_carries_too_much(&resolved, &outcome);
    outcome
}

/// P ≤ limit on every device, but for the iterations in flight when what it may carry fell, or what else it carries rose:
/// with a step of the cap, a failure or repair, the weather of an hour, a stage of a zone. Each lasts at most as long
/// as the longest iteration.
#[track_caller]
fn no_device_carries_too_much(resolved: &Resolved, outcome: &Outcome) {
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
    let end_fs = fs_from_s(outcome.summary.scenario.end_s);
    let mut timeline = Timeline::new(&resolved.scenario, &fleet, end_fs).expect("failures");
    let mut failures = 0;
    while timeline.pop().expect("few").is_some_and(|event| event.at_fs <= end_fs) {
        failures += 1;
    }
    let hours = (outcome.summary.scenario.duration_s / 3600.0).ceil() as usize;
    let stages = outcome.counters.throttles.stages as usize;
    for (site, summary) in fleet.sites.iter().zip(&outcome.summary.per_site) {
        if !site.policy.plans_power() || site.facility.is_none() {
            continue;
        }
        assert!(!summary.devices.is_empty(), "{}: no devices", site.name);
        let longest_s = fleet.pools[site.pools.clone()].iter().map(|pool| {
            let kv_tok = pool.kv_blocks as f64 * f64::from(pool.block_tok);
            let lowest = Clock::at(pool.power.clock.min_share, &pool.power.clock);
            pool.step.longest_s(pool.max_seqs, kv_tok, &lowest)
        });
        let most_s = (site.cap.len() + failures + hours + stages) as f64 * longest_s.fold(0.0, f64::max);
        for device in &summary.devices {
            let above_s = device.overshoot_s;
            assert!(above_s <= most_s, "{}: {above_s} s above its limit, at most {most_s} s", device.name);
            // As measured, far less: steps are short, and what changes is little.
            let share = device.overshoot_j / (device.mean_w * outcome.summary.scenario.duration_s).max(1.0);
            assert!(share < 1e-5, "{}: {share} of its energy was above its limit", device.name);
        }
    }
}

#[test]
fn no_device_of_a_hot_hall_carries_too_much() {
    // The hours in which power gives way to cooling.
    let sets = ["start_at_h=13".to_string(), "duration_s=5400".into()];
    let resolved = load_file(&config("hot-day.yaml"), &sets, catalog());
    let outcome = simulate(&resolved, &SimOptions::default()).expect("runs");
    assert!(outcome.summary.binding.share.power > 0.1 && outcome.summary.binding.share.cooling > 0.1);
    no_device_carries_too_much(&resolved, &outcome);
}

#[test]
fn a_chiller_fails() {
    as_expected("chiller-failure.yaml");
}

#[test]
fn modules_rows_and_the_grid_fail() {
    as_expected("n-plus-one.yaml");
}

#[test]
fn four_sites_in_a_heat_wave() {
    as_expected("heat-wave.yaml");
}

#[test]
fn two_hours_with_a_fifth_less_power() {
    as_expected("demand-response.yaml");
}

/// Median of a class's times from arrival to last token [fs].
fn median_fs(outcome: &Outcome, class: u16) -> i128 {
    let rows = outcome.requests.iter().flatten().filter(|row| row.class == class);
    let mut times: Vec<i128> = rows.filter_map(|row| Some(row.finish_fs? - row.arrival_fs)).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn thresholds_keep_an_oversubscribed_row_from_its_brake() {
    let name = "oversubscribed-row.yaml";
    let open = ["fleet.sites.0.power.policy=none", "fleet.sites.0.power.tree.2.breaker=null"];
    as_expected(name);
    let capped = run(name, &[], true);
    let uncapped = run(name, &open, true);
    let rated_w = 80e3;
    assert!(uncapped.summary.power_w.it.max > rated_w, "without caps it would draw more than it may");
    // A row without losses: its output is the IT power.
    let above = |outcome: &Outcome| outcome.series.windows(2).count();
    assert!(above(&uncapped) > 100);
    let slower = median_fs(&capped, 0) as f64 / median_fs(&uncapped, 0) as f64;
    println!("chat's median: {:+.2} %", (slower - 1.0) * 100.0);
    assert!((1.0..1.01).contains(&slower), "{slower}");

    // Sixteen nodes for ten: capped all day, braked, and that has a name and a price.
    let more = ["fleet.sites.0.pools.0.nodes=7", "fleet.sites.0.pools.1.nodes=9"];
    let crowded = run(name, &more, true);
    let capping = crowded.summary.per_site[0].capping.as_ref().expect("capping is told");
    assert!(capping.brakes > 0 && capping.capped_low_s > 0.9 * 43_200.0);
    let share = &crowded.summary.binding.share;
    assert!(share.power > 0.0 && share.operations > 0.1, "{share:?}");
    let row = crowded.summary.binding.timeline.iter().filter(|stretch| stretch.place == "hall.row");
    assert!(row.count() > 10);
    let free = run(name, &[open, more].concat(), true);
    let slower = median_fs(&crowded, 0) as f64 / median_fs(&free, 0) as f64;
    assert!(slower > 1.1, "{slower}");
    let price = free.summary.throughput.useful_tok_per_s - crowded.summary.throughput.useful_tok_per_s;
    println!("at +60 %: chat's median {:+.1} %, {price:.0} useful tokens/s", (slower - 1.0) * 100.0);
    assert!(price > 0.0);

    // Nobody caps: the breaker opens.
    let tripped = run(name, &[&more[..], &["fleet.sites.0.power.policy=none"]].concat(), false);
    assert!(tripped.summary.binding.share.operations > 0.3);
    assert!(tripped.summary.requests.shed_by.unavailable > 0);
}

#[test]
fn three_epochs_end_bound_by_power() {
    as_expected("three-epochs.yaml");
}
