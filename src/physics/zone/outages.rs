//! Zones that lose their plant, or part of it, and get it back.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::super::plant::tests::every;
use super::super::{FS_PER_S, fs_from_s};
use super::tests::{KW, LADDER, air, by_small_steps, imbalance, params, zone};
use super::*;

/// What a zone does from now on, whatever happened before.
fn ways(zone: &Zone, now_fs: i128) -> (f64, Stage, Operation, PlantNow, Option<f64>, f64, Option<i128>) {
    (
        zone.temperature_c(now_fs),
        zone.stage(),
        zone.operation(),
        *zone.plant(),
        zone.heat_cap_w(),
        zone.sustainable_w(),
        zone.next_event_fs(),
    )
}

/// Passes every event up to `until_fs`; gives the instants at which the stage changed.
fn stages(zone: &mut Zone, until_fs: i128) -> Vec<(Stage, i128)> {
    let mut met = Vec::new();
    while let Some(at) = zone.next_event_fs().filter(|at| *at <= until_fs) {
        if zone.on_event(at).stage {
            met.push((zone.stage(), at));
        }
    }
    met
}

/// 200 kW into 5 MJ/K with nothing to reject them: 25 s a kelvin, from 31 °C.
#[test]
fn without_a_plant_every_threshold_is_met_on_a_straight_line() {
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, 200 * KW);
    let lost = 7_000 * FS_PER_S;
    let change = zone.set_available(lost, 0.0, 1.0);
    assert!(change.woke && change.power && !change.stage && !change.heat_cap);
    assert_eq!((zone.cooling_power_w(), zone.sustainable_w()), (0.0, 0.0));
    let before = zone.totals(lost);
    let met = stages(&mut zone, lost + 300 * FS_PER_S);
    let expected = [
        (Stage::Warn, LADDER.warn_c),
        (Stage::Hold, LADDER.hold_c),
        (Stage::Critical, LADDER.critical_c),
        (Stage::Trip, LADDER.trip_c),
    ];
    assert_eq!(met.len(), 4, "{met:?}");
    for ((stage, at), (expected, level_c)) in met.iter().zip(expected) {
        let closed_form = lost + fs_from_s((level_c - 31.0) * 25.0);
        assert_eq!(*stage, expected);
        assert!((at - closed_form).abs() < 1_000, "{stage:?} at {at}, not {closed_form}");
    }
    assert_eq!(zone.heat_cap_w(), Some(0.0));
    let after = zone.totals(lost + 300 * FS_PER_S);
    assert_eq!(
        (after.fan_j, after.pump_j, after.compressor_j),
        (before.fan_j, before.pump_j, before.compressor_j)
    );
    assert_eq!((after.water_kg, after.heat_out_j), (before.water_kg, before.heat_out_j));
    assert!(imbalance(&after) < 1e-9 && (after.stored_j - 200e3 * 300.0).abs() < 1.0, "{after:?}");
}

/// Wet bulb 26 °C: sink 30 °C, the tower takes 48 kW at 31 °C. 100 kW without chillers: T∞ = 30 + 100/48 °C, τ =
/// 5 MJ/48 kW, and 32 °C is met after τ·ln(1.0833/0.0833) = 267.2 s. With half the tower, T∞ = 30 + 100/24 °C.
#[test]
fn without_chillers_the_tower_goes_on() {
    for (plant_share, conductance) in [(1.0, 48e3), (0.5, 24e3)] {
        let mut zone = zone(26.0);
        zone.set_heat_nw(0, 100 * KW);
        let change = zone.set_available(0, plant_share, 0.0);
        assert!(change.power && zone.operation().compressor_w == 0.0);
        assert!((zone.operation().fan_w - 0.02 * 0.24e6 * plant_share).abs() < 1e-9);
        let end_c: f64 = 30.0 + 100e3 / conductance;
        let seconds = 5e6 / conductance * ((end_c - 31.0) / (end_c - 32.0)).ln();
        let met = stages(&mut zone, 10_000 * FS_PER_S);
        assert_eq!(met[0].0, Stage::Warn);
        assert!((met[0].1 - fs_from_s(seconds)).abs() < 10_000, "{met:?} {seconds}");
        assert!((zone.temperature_c(100_000 * FS_PER_S) - end_c).abs() < 1e-9);
    }
}

#[test]
fn what_comes_back_is_the_plant_that_was_lost() {
    for heat in [0, 60 * KW, 190 * KW, 239 * KW] {
        for mode in [Mode::Buffered, Mode::Instantaneous] {
            let mut kept = Zone::new(params(mode), 0, air(24.0)).unwrap();
            let mut lost = kept;
            kept.set_heat_nw(0, heat);
            lost.set_heat_nw(0, heat);
            let mut now = 0;
            for (plant_share, chiller_share) in [(0.0, 1.0), (1.0, 0.0), (0.3, 0.7), (0.1, 0.1), (0.0, 0.0)] {
                // Too short for a stage of the ladder.
                lost.set_available(now + FS_PER_S, plant_share, chiller_share);
                lost.set_available(now + 10 * FS_PER_S, 1.0, 1.0);
                now += 10_000 * FS_PER_S;
                assert!(stages(&mut lost, now).is_empty());
                // The instants at which they last woke differ.
                assert_eq!(
                    ways(&lost, now),
                    ways(&kept, now),
                    "{heat} {mode:?} {plant_share} {chiller_share}"
                );
            }
            let (lost, kept) = (lost.totals(now), kept.totals(now));
            assert!((lost.heat_in_j - kept.heat_in_j).abs() < 1e-6);
            assert!(imbalance(&lost) < 1e-9 && lost.stored_j.abs() < 1e-3, "{lost:?}");
        }
    }
    // The same plant again is no change.
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, 100 * KW);
    assert_eq!(zone.set_available(0, 1.0, 1.0), ZoneChange::default());
}

/// Loss in the midst of a hot hour, the whole ladder up, return, and down again.
#[test]
fn a_tripped_zone_recovers() {
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, 200 * KW);
    zone.set_available(0, 0.0, 0.0);
    stages(&mut zone, 200 * FS_PER_S);
    assert_eq!(zone.stage(), Stage::Trip);
    zone.set_heat_nw(200 * FS_PER_S, 0);
    zone.set_uncapped_nw(200 * FS_PER_S, 0);
    let change = zone.set_available(1_000 * FS_PER_S, 1.0, 1.0);
    assert!(change.woke && change.power && !change.heat_cap, "nothing may run above trip_c");
    let met = stages(&mut zone, 100_000 * FS_PER_S);
    assert_eq!(met.iter().map(|m| m.0).collect::<Vec<_>>(), [Stage::Critical, Stage::Warn, Stage::Normal]);
    let totals = zone.totals(100_000 * FS_PER_S);
    assert!(imbalance(&totals) < 1e-9 && totals.stored_j.abs() < 1e-3, "{totals:?}");
}

#[test]
fn reduced_plants_agree_with_small_steps() {
    let mut random = Pcg64Mcg::seed_from_u64(2);
    let plants = every();
    let mut lost = 0;
    for _ in 0..1_000 {
        let air = air(random.random_range(10.0..31.0));
        let initial_c = if random.random_bool(0.3) { 31.0 } else { random.random_range(30.0..36.0) };
        let (name, plant) = plants[random.random_range(0..plants.len())];
        let mut zone = Zone::new(ZoneParams { plant, initial_c, ..params(Mode::Buffered) }, 0, air).unwrap();
        let heat_nw = random.random_range(0..400_000_000_000_000_i128);
        let mut share = || if random.random_bool(0.3) { 0.0 } else { random.random_range(0.0..1.0) };
        let (plant_share, chiller_share) = (share(), share());
        lost += usize::from(plant_share == 0.0);
        zone.set_heat_nw(0, heat_nw);
        zone.set_available(0, plant_share, chiller_share);
        let seconds: f64 = random.random_range(0.0..40.0);
        let end = fs_from_s(seconds);
        // The heat to the nanowatt: a small one does not wake the zone by itself, the plant's loss does.
        let (expected_c, expected_j) = by_small_steps(zone.plant(), initial_c, watts(heat_nw), seconds);
        let totals = zone.totals(end);
        let case = format!("{name} {plant_share} {chiller_share} {heat_nw} {seconds} {initial_c}");
        assert!((zone.temperature_c(end) - expected_c).abs() < 1e-6, "{expected_c} {case}");
        assert!((totals.heat_out_j - expected_j).abs() < 1e-6 * 5e6, "{totals:?} {expected_j} {case}");
        assert!(imbalance(&totals) < 1e-9, "{totals:?} {case}");
    }
    assert!(lost > 50);
}

#[test]
fn heat_balances_whatever_fails() {
    let kinds = every();
    for (mode, (name, plant)) in [Mode::Buffered, Mode::Instantaneous]
        .into_iter()
        .flat_map(|mode| kinds.iter().map(move |kind| (mode, *kind)))
    {
        let mut random = Pcg64Mcg::seed_from_u64(3);
        let mut zone = Zone::new(ZoneParams { plant, ..params(mode) }, 0, air(24.0)).unwrap();
        let (mut now, mut events, calls) = (0, 0, 4_000);
        for _ in 0..calls {
            now += fs_from_s(random.random_range(0.0..20.0));
            while let Some(at) = zone.next_event_fs().filter(|at| *at <= now) {
                zone.on_event(at);
                events += 1;
            }
            match random.random_range(0..6) {
                0 => _ = zone.set_weather(now, air(random.random_range(-10.0..31.0))),
                1 => _ = zone.set_available(now, 0.0, 1.0),
                2 => {
                    _ = zone.set_available(now, random.random_range(0.0..1.0), random.random_range(0.0..1.0))
                }
                3 => _ = zone.set_available(now, 1.0, 1.0),
                _ => {
                    // The cap is obeyed, as far as anybody can.
                    let heat_w = zone.heat_cap_w().unwrap_or(400e3).min(400e3);
                    zone.set_heat_nw(now, (heat_w * random.random_range(0.0..1.0) * 1e9) as i128);
                }
            }
            assert!(zone.next_event_fs().is_none_or(|at| at > now), "no event at the same instant again");
            assert!(zone.temperature_c(now).is_finite() && zone.cooling_power_w() >= 0.0);
        }
        let totals = zone.totals(now);
        assert!(imbalance(&totals) < 1e-9, "{name} {mode:?} {totals:?}");
        let wet = name.contains("tower") || name.contains("pads") || name.contains("only");
        assert!(totals.heat_out_j > 0.0 && (totals.water_kg > 0.0) == wet, "{name} {totals:?}");
        assert!(events < 3 * calls, "{name}: {events}");
    }
}

#[test]
fn without_buffer_the_cap_is_that_of_what_is_left() {
    let mut zone = Zone::new(params(Mode::Instantaneous), 0, air(24.0)).unwrap();
    zone.set_heat_nw(0, 100 * KW);
    let change = zone.set_available(0, 0.5, 1.0);
    assert!(change.heat_cap && change.power);
    assert!((zone.heat_cap_w().unwrap() - 120e3).abs() < 1e-6);
    zone.set_available(0, 0.5, 0.5);
    assert!((zone.heat_cap_w().unwrap() - (72e3 + 24e3)).abs() < 1e-6);
    let before = zone.totals(0);
    zone.set_available(0, 0.0, 1.0);
    assert_eq!((zone.heat_cap_w(), zone.cooling_power_w()), (Some(0.0), 0.0));
    // Idle nodes still heat the hall: told as excess, and no water evaporates for it.
    let after = zone.totals(10 * FS_PER_S);
    assert!((after.excess_j - 1_000e3).abs() < 1e-3 && after.water_kg == before.water_kg, "{after:?}");
    assert_eq!(zone.water_kg_per_s(10 * FS_PER_S), 0.0);
}

#[test]
fn what_is_no_share_counts_as_the_nearest() {
    let at = |plant_share, chiller_share| {
        let mut zone = zone(24.0);
        zone.set_heat_nw(0, 200 * KW);
        zone.set_available(0, plant_share, chiller_share);
        *zone.plant()
    };
    assert_eq!(at(7.0, f64::INFINITY), at(1.0, 1.0));
    assert_eq!(at(-0.1, 1.0), at(0.0, 1.0));
    assert_eq!(at(f64::NAN, f64::NAN), at(0.0, 0.0));
}
