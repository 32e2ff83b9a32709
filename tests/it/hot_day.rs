//! A day under one building, at an eighth and a quarter of its size: engines agree, joules and heat add up, and the
//! binding constraint moves from demand to power to cooling and back.

use std::fmt::Debug;
use std::path::Path;

use rayon::prelude::*;
use wattmill::control::{Effect, Grant, Held, PowerControl, Timeline};
use wattmill::fleet::Fleet;
use wattmill::ledger::outcome::{Binding, Constraint, Outcome, Stretch};
use wattmill::physics::clock::Clock;
use wattmill::physics::draw::Draw as Watts;
use wattmill::physics::fs_from_s;
use wattmill::scenario::Resolved;

use crate::engines::equal;
use crate::support::{Draw, catalog, close, load_file, run};

/// Size of the shipped scenario over the one of most tests here.
const SCALE: f64 = 8.0;
const CAP_MW: f64 = 0.205;

/// The shipped scenario at an eighth; the small pool has one node, since half of one is none.
#[track_caller]
fn eighth(sets: &[&str]) -> Resolved {
    part(SCALE, sets)
}

/// The shipped scenario over `scale`: its pools have 4 and 24 nodes.
#[track_caller]
fn part(scale: f64, sets: &[&str]) -> Resolved {
    let site = "fleet.sites.0";
    let scaled = [
        ("workload.classes.0.arrivals.diurnal.mean_per_s".into(), 90.0),
        ("workload.classes.1.arrivals.diurnal.mean_per_s".into(), 120.0),
        (format!("{site}.pools.1.nodes"), 24.0),
        (format!("{site}.power.cap_mw"), CAP_MW),
        (format!("{site}.power.tree.0.device.utility.rated_mw"), 0.35),
        (format!("{site}.power.tree.1.device.transformer.rated_mw"), 0.35),
        (format!("{site}.power.tree.2.device.ups.rated_mw"), 0.27),
        (format!("{site}.power.tree.3.device.pdu.rated_mw"), 0.05),
        (format!("{site}.power.tree.4.device.pdu.rated_mw"), 0.25),
        (format!("{site}.power.tree.5.device.mechanical_bus.rated_mw"), 0.07),
        (format!("{site}.cooling.zones.0.plant.tower_with_chiller.capacity_mw"), 0.24),
        (format!("{site}.cooling.zones.0.thermal_mass_mj_per_k"), 5.0),
    ];
    let mut all: Vec<String> =
        scaled.iter().map(|(path, value)| format!("{path}={}", value / scale)).collect();
    all.push(format!("{site}.pools.0.nodes={}", (4.0 / scale).ceil()));
    all.extend(sets.iter().map(ToString::to_string));
    load_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/hot-day.yaml"), &all, catalog())
}

/// Two hours of both engines; prints what the comparison went through.
#[track_caller]
fn equal_window(name: &str, start_at_h: f64) -> Outcome {
    let resolved = eighth(&[&format!("start_at_h={start_at_h}"), "duration_s=7200", "report.interval_s=10"]);
    let (segments, _) = equal(name, &resolved);
    let flips =
        |of: &dyn Fn(usize) -> bool| (1..segments.series.len()).filter(|&i| of(i) != of(i - 1)).count();
    let warm =
        |level_c: f64| flips(&|i| segments.series[i].supply_c.is_some_and(|supply_c| supply_c >= level_c));
    let cooling = flips(&|i| segments.series[i].binding == Some(Constraint::Cooling));
    println!(
        "{name}: {:?}, {} segments; between rows, the set point passed {} times, warn {}, cooling-bound or not {cooling}; {:?}",
        segments.counters,
        segments.summary.engine.segments,
        warm(31.000_001),
        warm(32.0),
        segments.summary.binding
    );
    segments
}

#[test]
fn the_engines_agree_where_power_begins_to_bind() {
    let outcome = equal_window("power", 6.25);
    let binding = &outcome.summary.binding;
    assert!(binding.first.power_s.is_some_and(|s| s > 600.0 && s < 5400.0), "{binding:?}");
    assert!(binding.share.power > 0.3 && binding.share.cooling == 0.0, "{binding:?}");
    assert!(outcome.counters.clock_changes > 1000, "{:?}", outcome.counters);
}

#[test]
fn the_engines_agree_where_cooling_begins_to_bind() {
    let outcome = equal_window("cooling", 13.0);
    let binding = &outcome.summary.binding;
    assert!(binding.first.cooling_s.is_some_and(|s| s > 1800.0 && s < 5400.0), "{binding:?}");
    assert!(binding.share.power > 0.2 && binding.share.cooling > 0.2, "{binding:?}");
    assert!(outcome.counters.clock_changes > 1000, "{:?}", outcome.counters);
}

#[test]
fn joules_add_up_in_a_building_whatever_the_interval() {
    let hour = |interval_s: &str| {
        run(&eighth(&["start_at_h=13.5", "duration_s=3600", &format!("report.interval_s={interval_s}")]))
    };
    let all = [hour("1"), hour("60"), hour("3600")];
    let share = all[0].summary.binding.share;
    assert!(share.power > 0.1 && share.cooling > 0.1, "{share:?}");
    for outcome in &all {
        let (summary, energy) = (&outcome.summary, &outcome.summary.energy_j);
        let by = &energy.by;
        let around: f64 = by.building.iter().map(|(_, joules)| joules).sum();
        assert!(by.pue_overhead == 0.0 && by.building.len() == 9, "{by:?}");
        close("IT", by.gpu_active + by.gpu_idle + by.node_overhead, energy.it, 1e-9);
        close("facility", energy.it + around, energy.facility, 1e-9);
        let total = |of: fn(&wattmill::ledger::outcome::SeriesRow) -> f64| {
            outcome.series.iter().map(|row| of(row) * row.length_s).sum::<f64>()
        };
        let losses: f64 =
            by.building.iter().filter(|(name, _)| name.starts_with("loss_")).map(|(_, joules)| joules).sum();
        close("∫ facility", total(|row| row.facility_w), energy.facility, 1e-9);
        close("∫ IT", total(|row| row.it_w), energy.it, 1e-9);
        close("∫ losses", total(|row| row.loss_w), losses, 1e-9);
        close("∫ cooling", total(|row| row.cooling_w), around - losses, 1e-9);
        assert!(outcome.series.iter().all(|row| row.pue >= 1.0));

        let cap_w = CAP_MW / SCALE * 1e6;
        let power = &summary.power_w;
        close("cap", power.cap_facility_mean.expect("a cap"), cap_w, 1e-9);
        let above_j: f64 =
            outcome.series.iter().map(|row| (row.facility_w - cap_w).max(0.0) * row.length_s).sum();
        assert!(above_j <= power.overshoot_j + 1e-6, "{above_j} J above the cap, {power:?}");
        assert!(power.overshoot_s < 0.01 * 3600.0, "{power:?}");
        assert_eq!(power.facility.max > cap_w, power.overshoot_s > 0.0, "{power:?}");

        // However often it is reported, it is the same run.
        let first = &all[0];
        let text = |value: &dyn Debug| format!("{value:?}");
        assert_eq!(first.counters, outcome.counters);
        assert_eq!(first.requests, outcome.requests);
        assert_eq!(text(&first.summary.energy_j), text(energy));
        assert_eq!(text(&first.summary.power_w), text(power));
        assert_eq!(text(&first.summary.binding), text(&summary.binding));
    }
    println!("{:?}\n{:?}", all[0].summary.energy_j, all[0].summary.power_w);
}

/// Control alone, with draws from a generator: what comes into the zone is what the meter counts, and it leaves or
/// stays.
#[test]
fn heat_adds_up_in_the_zone() {
    let resolved = eighth(&["start_at_h=12", "duration_s=28800"]);
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
    let mut control = PowerControl::new(&fleet, &Timeline::default());
    let mut dice = Draw::new(5);
    let mut watts: Vec<Watts> = (0..fleet.replicas()).map(|r| fleet.pool(r).power.idle()).collect();
    let (mut building_fs, mut release_fs) = (None, None);
    let (mut next_s, mut effects, mut events, mut held) = (1.0, Vec::new(), 0_u64, 0_u64);
    let end_fs = fs_from_s(28_800.0);
    loop {
        control.take_effects(&mut effects);
        let request_fs = fs_from_s(next_s);
        let now_fs = [building_fs, release_fs].into_iter().flatten().fold(request_fs, i128::min);
        if effects.is_empty() && now_fs > end_fs {
            break;
        }
        events += 1;
        if effects.is_empty() {
            if now_fs == request_fs {
                let replica = (dice.unit() * fleet.replicas() as f64) as usize;
                let idle = fleet.pool(replica).power.idle();
                // Busy in the middle of the time, idle at its ends.
                let busy = next_s > 3_600.0 && next_s < 21_600.0;
                let swing = (dice.between(0.0, if busy { 1.8e12 } else { 0.2e12 })) as i64;
                watts[replica] = Watts { swing_nw: swing, gpu_swing_nw: swing, ..idle };
                if dice.unit() < 0.05 {
                    control.idle(now_fs, replica);
                } else {
                    let grant = control.request(now_fs, replica, &watts[replica], &Clock::FULL, false);
                    held += u64::from(grant != Grant::Wait && matches!(control.held(0), Held::Zone(_)));
                }
                next_s += dice.between(0.05, 2.0);
            } else if building_fs == Some(now_fs) {
                building_fs = None;
                control.building_event(now_fs, 0);
            } else {
                release_fs = None;
                control.release(now_fs, 0);
            }
        }
        for effect in std::mem::take(&mut effects) {
            match effect {
                // A draw that changed the zone asked for this at its instant: none lies behind.
                Effect::BuildingAt(_, at_fs) => building_fs = Some(at_fs),
                Effect::ReleaseAt(_, at_fs) => release_fs = Some(at_fs),
                Effect::Retry(replica) => {
                    // The retry comes a moment later here.
                    control.idle(now_fs.min(request_fs), replica);
                }
                Effect::Recheck(_) | Effect::Relabel(_) | Effect::Drain(_) | Effect::Outage(_) => {}
            }
        }
    }
    let totals = control.building(0).expect("a building").zone_totals(end_fs, 0);
    let meter = control.meter(0);
    meter.advance(end_fs);
    let names = &fleet.sites[0].facility.as_ref().expect("a building").names;
    let around: Vec<f64> = meter.around().expect("a building").iter().map(|energy| energy.as_j()).collect();
    let in_hall = ["ups", "row-a", "row-b"];
    let losses: f64 = names
        .iter()
        .zip(&around)
        .filter(|(n, _)| in_hall.iter().any(|d| n.ends_with(d)))
        .map(|(_, j)| j)
        .sum();
    println!("{events} calls, {held} while the zone held: {totals:?}, {around:?}");
    assert!(held > 100, "the zone never held");
    close("heat", totals.heat_in_j, meter.integrals().it.as_j() + losses, 1e-9);
    close("out and stored", totals.heat_out_j + totals.stored_j, totals.heat_in_j, 1e-9);
    let plants = &around[names.len()..];
    close("fans", totals.fan_j, plants[0], 1e-9);
    close("pumps", totals.pump_j, plants[1], 1e-9);
    close("chiller", totals.compressor_j, plants[2], 1e-9);
}

/// Size of the shipped scenario over the one of the day: both pools are whole nodes, in proportion.
const DAY_SCALE: f64 = 4.0;
/// Hours of the day that are run; in the others the site has watts, cold and GPUs to spare.
const DAY_H: (f64, f64) = (8.0, 22.25);
/// Hours around those in which cooling binds.
const HEAT_H: (f64, f64) = (13.0, 19.0);

/// The hours that matter; shares are over all 24.
fn day(hours: (f64, f64), sets: &[&str]) -> Binding {
    let span = [format!("start_at_h={}", hours.0), format!("duration_s={}", (hours.1 - hours.0) * 3600.0)];
    let mut all: Vec<&str> = span.iter().map(String::as_str).collect();
    all.extend(sets);
    let outcome = wattmill::simulate(&part(DAY_SCALE, &all), &Default::default());
    let mut binding = outcome.unwrap_or_else(|error| panic!("{error}")).summary.binding;
    let of_day = (hours.1 - hours.0) / 24.0;
    binding.share.power *= of_day;
    binding.share.cooling *= of_day;
    println!(
        "{sets:?}: power {:.4}, cooling {:.4} of the day, {:?}, longest {:?} {:?}",
        binding.share.power,
        binding.share.cooling,
        binding.first,
        longest(&binding.timeline, Constraint::Power),
        longest(&binding.timeline, Constraint::Cooling)
    );
    binding
}

fn longest(timeline: &[Stretch], constraint: Constraint) -> Option<&Stretch> {
    let of = timeline.iter().filter(|stretch| stretch.constraint == constraint);
    of.max_by(|a, b| (a.end_s - a.start_s).total_cmp(&(b.end_s - b.start_s)))
}

#[test]
fn power_then_cooling_bind_and_each_yields_to_its_own_remedy() {
    let cap = format!("fleet.sites.0.power.cap_mw={}", CAP_MW / DAY_SCALE * 1.1);
    let plant = "fleet.sites.0.cooling.zones.0.capacity_scale=1.1";
    let variants = [(DAY_H, vec![]), (DAY_H, vec![cap.as_str()]), (HEAT_H, vec![plant])];
    let days: Vec<Binding> = variants.par_iter().map(|(hours, sets)| day(*hours, sets)).collect();
    let [base, cap, plant] = days.as_slice() else { panic!("three days") };

    assert!(base.share.power >= 0.10 && base.share.cooling >= 0.10, "{:?}", base.share);
    for constraint in [Constraint::Power, Constraint::Cooling] {
        let stretch = longest(&base.timeline, constraint).expect("it binds");
        assert!(stretch.end_s - stretch.start_s >= 1800.0, "{stretch:?}");
    }
    let (power_s, cooling_s) = (base.first.power_s.expect("power"), base.first.cooling_s.expect("cooling"));
    assert!(power_s < cooling_s, "{:?}", base.first);
    // What is left out does not count: the day begins and ends without either.
    let (first, last) =
        (base.timeline.first().expect("a timeline"), base.timeline.last().expect("a timeline"));
    let envelope = [Constraint::Power, Constraint::Cooling];
    assert!(!envelope.contains(&first.constraint) && power_s > 600.0, "{first:?} {:?}", base.first);
    assert_eq!(last.constraint, Constraint::Demand, "{last:?}");
    let heat: Vec<&Stretch> = base.timeline.iter().filter(|s| s.constraint == Constraint::Cooling).collect();
    let (from_h, to_h) = (DAY_H.0 + heat[0].start_s / 3600.0, DAY_H.0 + heat[heat.len() - 1].end_s / 3600.0);
    assert!(from_h > HEAT_H.0 + 0.5 && to_h < HEAT_H.1 - 0.5, "cooling binds from {from_h} to {to_h} h");

    assert!(cap.share.power <= 0.75 * base.share.power, "{:?}", cap.share);
    assert!(plant.share.cooling <= 0.75 * base.share.cooling, "{:?}", plant.share);
}

/// The same in the two hours around each onset.
#[test]
fn a_larger_feed_and_a_larger_plant_each_lift_their_own_limit() {
    let share = |start_at_h: f64, set: &str| {
        let start = format!("start_at_h={start_at_h}");
        let sets = [start.as_str(), "duration_s=5400", set];
        run(&eighth(&sets)).summary.binding.share
    };
    let (base, cap) =
        (share(6.5, "seed=1"), share(6.5, &format!("fleet.sites.0.power.cap_mw={}", CAP_MW / SCALE * 1.1)));
    println!("power {:.3} -> {:.3}", base.power, cap.power);
    assert!(base.power > 0.4 && cap.power <= 0.95 * base.power, "{base:?} {cap:?}");
    let (base, plant) =
        (share(13.5, "seed=1"), share(13.5, "fleet.sites.0.cooling.zones.0.capacity_scale=1.1"));
    println!("cooling {:.3} -> {:.3}", base.cooling, plant.cooling);
    assert!(base.cooling > 0.4 && plant.cooling <= 0.75 * base.cooling, "{base:?} {plant:?}");
}

/// Zones that pass their stages often, a hall that overheats, a hall without mass, caps that step: both engines agree.
#[test]
fn the_engines_agree_where_the_building_is_restless() {
    let zone = "fleet.sites.0.cooling.zones.0";
    let steps = "fleet.sites.0.power.cap_fraction={ steps: [{ at_h: 14.55, value: 0.5 }, { at_h: 14.62, value: 1 }, { at_h: 14.7, value: 0.35 }, { at_h: 14.75, value: 0.9 }] }";
    let cases: [(&str, Vec<String>); 4] = [
        (
            "without mass",
            vec![
                format!("{zone}.mode=instantaneous"),
                format!("{zone}.ladder=null"),
                format!("{zone}.thermal_mass_mj_per_k=null"),
            ],
        ),
        (
            "light and narrow",
            vec![
                format!("{zone}.thermal_mass_mj_per_k=0.01"),
                format!("{zone}.ladder.warn_c=31.2"),
                format!("{zone}.ladder.hold_c=31.5"),
                format!("{zone}.ladder.critical_c=31.7"),
                format!("{zone}.ladder.trip_c=32"),
                format!("{zone}.ladder.hysteresis_k=0.1"),
                steps.into(),
            ],
        ),
        (
            "overheats",
            vec![format!("{zone}.capacity_scale=0.3"), format!("{zone}.thermal_mass_mj_per_k=0.1")],
        ),
        ("stepping cap", vec![steps.into()]),
    ];
    for (name, sets) in &cases {
        let mut all = vec!["start_at_h=14.5", "duration_s=1200", "report.interval_s=1"];
        all.extend(sets.iter().map(String::as_str));
        let (outcome, _) = equal(name, &eighth(&all));
        let most = outcome.series.iter().filter_map(|row| row.supply_c).fold(0.0, f64::max);
        let supply = |i: usize| outcome.series[i].supply_c;
        let turns = (2..outcome.series.len())
            .filter(|&i| (supply(i) > supply(i - 1)) != (supply(i - 1) > supply(i - 2)))
            .count();
        println!(
            "{name}: {:?}, at most {most:.2} °C, {turns} turns, {:?}",
            outcome.counters, outcome.summary.binding.share
        );
    }
}
