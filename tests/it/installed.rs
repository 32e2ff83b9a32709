//! Nodes that are installed during a run, or taken out: watts, shares, staves, requests; both engines alike.

use std::fmt::Write as _;

use wattmill::ledger::outcome::{Constraint, Outcome};
use wattmill::{EngineKind, SimOptions, simulate};

use crate::support::{close, load};

const HOUR_FS: i128 = 3_600_000_000_000_000_000;

/// Two pools of one replica each, a token a 10 ms step, 1,000 W idle and 2,000 W at work; `when` is of the second.
fn two(rate_per_s: f64, when: &str) -> String {
    let mut text = format!(
        "duration_s: 7200\nstart_at_h: 6\nreport: {{ interval_s: 600 }}\nworkload:\n  classes:\n    - name: jobs\n      \
         arrivals: {{ constant: {{ rate_per_s: {rate_per_s} }} }}\n      lengths: {{ prompt: {{ constant: {{ tok: 1 }} }}, \
         answer: {{ constant: {{ tok: 100 }} }} }}\nrouting: round_robin\nfleet:\n  sites:\n    - name: hall\n      static_pue: \
         1\n      pools:\n"
    );
    for (name, when) in [("old", ""), ("new", when)] {
        let _ = write!(
            text,
            "        - name: {name}\n          model: Llama-3.1-8B\n          gpu: H100-SXM-80GB\n          node: \
             ideal_linear\n          nodes: 1\n          parallel: {{ tensor: 8 }}\n          start_up_s: 0\n          batching: \
             {{ max_seqs: 1 }}\n{when}          step_law: {{ affine: {{ base_us: 10000, energy: {{ per_state: {{ idle_w: 1000, \
             base_w: 2000, per_seq_w: 0 }} }} }} }}\n"
        );
    }
    text
}

/// Both engines, which must agree.
fn run(text: &str) -> Outcome {
    let resolved = load(text, &[]);
    let with = |engine| {
        let options = SimOptions { engine, keep_requests: true, ..SimOptions::default() };
        simulate(&resolved, &options).unwrap_or_else(|error| panic!("{error}"))
    };
    let (segments, stepwise) = (with(EngineKind::Segments), with(EngineKind::Stepwise));
    assert_eq!(segments.counters.it_energy_j, stepwise.counters.it_energy_j);
    assert_eq!(segments.counters.it_energy_rest_nw_fs, stepwise.counters.it_energy_rest_nw_fs);
    assert_eq!(segments.requests, stepwise.requests);
    assert_eq!(
        serde_json::to_value(&segments.summary.binding).expect("JSON"),
        serde_json::to_value(&stepwise.summary.binding).expect("JSON")
    );
    segments
}

/// From 7:00 on of 6:00 to 8:00 the second node is there. Half a request a second keeps half a replica busy: alone the first
/// is at work for half of the hour, later both for a quarter each.
#[test]
fn a_node_that_comes_later_draws_nothing_before() {
    let outcome = run(&two(0.5, "          installed_h: 7\n"));
    let summary = &outcome.summary;
    let hour_j = 3600.0 * 1000.0;
    // Idle watts of one, then of two nodes, and 1,000 W more for every second of work: 1,800 s each hour.
    close("joules", summary.energy_j.it, hour_j + 2.0 * hour_j + 2.0 * 1800.0 * 1000.0, 1e-3);
    let of = |name: &str| summary.per_pool.iter().find(|pool| pool.name == name).expect("a pool");
    close("old", of("old").energy_it_j, 2.0 * hour_j + 2700.0 * 1000.0, 1e-3);
    close("new", of("new").energy_it_j, hour_j + 900.0 * 1000.0, 1e-3);
    // Of the hour that it was there it drew nothing less than idle watts, three quarters of it no more.
    let drawn = |share: f64| {
        let mut rows = outcome.distribution.iter().filter(|row| row.name == "hall.new");
        rows.find(|row| row.time_share == share).expect("a row").power_w
    };
    for (share, power_w) in [(0.0, 1000.0), (0.74, 1000.0), (0.76, 2000.0), (1.0, 2000.0)] {
        close("drawn", drawn(share), power_w, 1e-3);
    }
    // Of the hour that it was there.
    close("busy", of("new").busy_share, 0.25, 2e-3);
    // Nothing was late, and what is not there has no label.
    assert_eq!(summary.binding.share.demand, 1.0);
    assert_eq!((summary.requests.retried, summary.requests.shed), (0, 0));
    let rate = |row: usize| outcome.series[row].stave_compute_tok_per_s.expect("a stave");
    close("staves double", rate(11), 2.0 * rate(0), 1e-12);
    let stave = summary.staves_tok_per_s.compute.expect("a stave");
    close("their mean", stave, 1.5 * rate(0), 1e-12);
    let before = outcome.requests.expect("requests").into_iter().filter(|row| row.arrival_fs < HOUR_FS);
    assert!(before.into_iter().all(|row| row.replica == Some(0)));
}

/// Jobs come for a minute, each takes a second, and both nodes work until the second goes, long after the last came: of 1,200
/// jobs 600 are over then, and the first one alone needs ten minutes more.
#[test]
fn a_node_goes_while_the_rest_is_drained() {
    let minutes = |text: &str| text.replace("duration_s: 7200", "duration_s: 60\nat_end: drain");
    let outcome = run(&minutes(&two(20.0, &format!("          removed_h: {}\n", 6.0 + 300.0 / 3600.0))));
    let summary = &outcome.summary;
    close("end", summary.scenario.end_s, 900.0, 2e-3);
    assert_eq!((summary.requests.completed, summary.requests.retried > 0), (1200, true));
    for (name, busy) in [("old", 1.0), ("new", 1.0)] {
        let pool = summary.per_pool.iter().find(|pool| pool.name == name).expect("a pool");
        close(name, pool.busy_share, busy, 2e-3);
    }
    close("joules", summary.energy_j.it, 2000.0 * (900.0 + 300.0), 2e-3);
    // The other one comes a second before instead.
    let hours = 6.0 + 300.0 / 3600.0;
    let text = minutes(&two(20.0, &format!("          installed_h: {}\n", hours - 1.0 / 3600.0))).replacen(
        "          start_up_s: 0\n",
        &format!("          start_up_s: 0\n          removed_h: {hours}\n"),
        1,
    );
    let outcome = run(&text);
    close("end", outcome.summary.scenario.end_s, 1200.0, 2e-3);
    assert_eq!(outcome.summary.requests.completed, 1200);
    // One that fails again and again does its part.
    let fails =
        "failures:\n  - { of: { nodes: { pool: new } }, when: { random: { mtbf_h: 0.05, mttr_h: 0.05 } } }\n";
    let outcome = run(&format!("{fails}{}", minutes(&two(20.0, ""))));
    assert_eq!(outcome.summary.requests.completed, 1200);
    assert!((600.0..1200.0).contains(&outcome.summary.scenario.end_s));
    let new = outcome.summary.per_pool.iter().find(|pool| pool.name == "new").expect("a pool");
    assert!(new.busy_share < 0.9, "{}", new.busy_share);
}

/// The cap lets nobody run at one site; at the other a node fails in the middle of a long answer, which is lost, and fails
/// again and again. The day of patience is from that failure on, in both engines.
#[test]
fn a_stall_begins_when_the_last_replica_at_work_fails() {
    let site = |name: &str, power: &str| {
        format!(
            "    - name: {name}\n      static_pue: 1\n{power}      pools:\n        - name: {name}\n          model: \
             {name}\n          gpu: H100-SXM-80GB\n          node: ideal_linear\n          nodes: 1\n          parallel: {{ \
             tensor: 8 }}\n          start_up_s: 0\n          batching: {{ max_seqs: 1 }}\n          step_law: {{ affine: {{ \
             base_us: 10000, energy: {{ per_state: {{ idle_w: 1000, base_w: 9000, per_seq_w: 0 }} }} }} }}\n"
        )
    };
    let class = |name: &str, tok: u32| {
        format!(
            "    - name: {name}\n      model: {name}\n      on_failure: lose\n      arrivals: {{ constant: {{ rate_per_s: \
             0.04 }} }}\n      lengths: {{ prompt: {{ constant: {{ tok: 1 }} }}, answer: {{ constant: {{ tok: {tok} }} }} }}\n"
        )
    };
    let text = format!(
        "duration_s: 60\nat_end: drain\nfailures:\n  - {{ of: {{ nodes: {{ pool: long }} }}, when: {{ random: {{ mtbf_h: 0.2, \
         mttr_h: 0.2 }} }} }}\nworkload:\n  classes:\n{}{}models:\n  - {{ name: held, catalog: Llama-3.1-8B }}\n  - {{ name: \
         long, catalog: Llama-3.1-8B }}\nfleet:\n  sites:\n{}{}",
        class("held", 4000),
        class("long", 100_000),
        site(
            "held",
            "      power: { cap_mw: 0.0095, cap_fraction: { steps: [{ at_h: 0.015, value: 0.11 }] } }\n"
        ),
        site("long", ""),
    );
    let (outcome, _) = crate::engines::equal("a stall", &load(&text, &[]));
    let summary = &outcome.summary;
    assert!(summary.requests.shed_by.lost > 0 && summary.requests.in_flight > 0, "{:?}", summary.requests);
    assert!(summary.scenario.end_s > 86_400.0, "{}", summary.scenario.end_s);
    assert!(
        summary.notes.iter().any(|note| note.contains("has let no replica of theirs run")),
        "{:?}",
        summary.notes
    );
}

/// The second node is taken out at 7:00, in the middle of a request, which the first one ends.
#[test]
fn a_node_that_goes_hands_its_requests_on() {
    // A request arrives every 0.8 s, and one takes a second: both are at work when one goes.
    let outcome = run(&two(1.25, "          removed_h: 7\n"));
    let summary = &outcome.summary;
    assert!(summary.requests.retried >= 1, "{:?}", summary.requests);
    let new = summary.per_pool.iter().find(|pool| pool.name == "new").expect("a pool");
    assert!(new.energy_it_j <= 3600.0 * 2000.0 + 1.0, "{}", new.energy_it_j);
    let rows = outcome.requests.expect("requests");
    assert!(rows.iter().filter(|row| row.arrival_fs > HOUR_FS).all(|row| row.replica == Some(0)));
    // Then one replica is too few: it falls behind, and what is gone does not count as failed.
    assert_eq!(summary.binding.share.operations, 0.0);
    let last = summary.binding.timeline.last().expect("a stretch");
    assert_eq!(last.constraint, Constraint::Compute, "{:?}", summary.binding.timeline);
}

#[test]
fn nothing_is_removed_before_it_is_installed() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("test.yaml");
    for (installed, removed, says) in [
        ("          installed_h: 7\n", 6.5, "after its nodes are installed (7)"),
        ("          installed_h: 3\n", 5.0, "after the run starts (start_at_h is 6)"),
        ("", 3.0, "after the run starts (start_at_h is 6)"),
    ] {
        let text = two(0.5, &format!("{installed}          removed_h: {removed}\n"));
        std::fs::write(&path, text).expect("scenario");
        let options = wattmill::scenario::LoadOptions::new(crate::support::catalog());
        let error = wattmill::scenario::load(&path, &options).expect_err("refused").to_string();
        assert!(error.contains("removed_h") && error.contains(says), "{error}");
    }
}
