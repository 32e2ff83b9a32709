//! Zones against hand calculation, small steps and random heat.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::super::plant::{TowerWithChiller, tests::hot_day};
use super::super::{FS_PER_S, fs_from_s};
use super::*;

pub(super) const KW: i128 = 1_000_000_000_000;
pub(super) const LADDER: Ladder =
    Ladder { warn_c: 32.0, hold_c: 33.0, critical_c: 36.0, trip_c: 39.0, hysteresis_k: 0.5 };

pub(super) fn params(mode: Mode) -> ZoneParams {
    ZoneParams {
        plant: Plant::tower_with_chiller(&hot_day(), 31.0).unwrap(),
        thermal_mass_j_per_k: 5e6,
        mode,
        ladder: LADDER,
        initial_c: 31.0,
        inlet_step_k: 0.5,
    }
}

pub(super) fn air(wet_bulb_c: f64) -> Air {
    Air { wet_bulb_c, dry_bulb_c: wet_bulb_c + 5.0 }
}

pub(super) fn zone(wet_bulb_c: f64) -> Zone {
    Zone::new(params(Mode::Buffered), 0, air(wet_bulb_c)).unwrap()
}

pub(super) fn imbalance(totals: &ZoneTotals) -> f64 {
    (totals.heat_in_j - totals.heat_out_j - totals.stored_j).abs() / totals.heat_in_j.max(1.0)
}

/// Wet bulb 24 °C: Q_max(31) = 240 kW, G = 48 kW/K, sink 28 °C, chiller 96 kW, C = 5 MJ/K. At 400 kW:
/// T∞ = 28 + 304/48 = 34.3333 °C, τ = 104.1667 s, so T = 32 after τ·ln(3.3333/2.3333) = 37.1544 s and 33
/// after τ·ln(3.3333/1.3333) = 95.4469 s.
#[test]
fn thresholds_are_met_at_their_instant() {
    let mut zone = zone(24.0);
    let change = zone.set_heat_nw(0, 400 * KW);
    assert!(change.woke && change.power && !change.stage);
    let mut met = Vec::new();
    while let Some(at) = zone.next_event_fs() {
        let change = zone.on_event(at);
        if change.stage {
            met.push((zone.stage(), at, zone.temperature_c(at)));
        }
    }
    let tau = 5e6 / 48e3;
    let after = |c: f64| fs_from_s(tau * ((28.0 + 304.0 / 48.0 - 31.0) / (28.0 + 304.0 / 48.0 - c)).ln());
    assert_eq!(met.len(), 2, "34.33 °C is below the critical threshold: {met:?}");
    for ((stage, at, supply), (expected, level)) in met.iter().zip([(Stage::Warn, 32.0), (Stage::Hold, 33.0)])
    {
        assert_eq!((*stage, *supply), (expected, level), "exactly on the threshold");
        assert!((at - after(level)).abs() < 1_000, "{stage:?} at {at}, not {}", after(level));
    }
    assert!((s_from_fs(met[1].1) - 95.4469).abs() < 1e-4);
    assert!((zone.heat_cap_w().unwrap() - (96e3 + 5.0 * 48e3)).abs() < 1e-6);
}

/// The hold is left on heat alone: at Q_max(32.5 °C) = 96 + 4.5 · 48 = 312 kW.
#[test]
fn a_hold_is_left_when_the_uncapped_heat_fits() {
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, 400 * KW);
    let mut now = 100 * FS_PER_S;
    zone.on_event(now);
    assert_eq!(zone.stage(), Stage::Hold);
    // The cap is obeyed: the temperature stays where it is, and no event is left.
    let cap_nw = (zone.heat_cap_w().unwrap() * 1e9) as i128;
    zone.set_heat_nw(now, cap_nw);
    now += 10_000 * FS_PER_S;
    assert!((zone.temperature_c(now) - 33.0).abs() < 1e-3);
    assert!(!zone.set_uncapped_nw(now, 320 * KW).stage, "would come back to 33 °C");
    assert_eq!(zone.stage(), Stage::Hold);
    let change = zone.set_uncapped_nw(now, 311 * KW);
    assert!(!change.stage, "the heat there is does not fit yet");
    let change = zone.set_heat_nw(now, 311 * KW);
    assert!(change.stage && change.heat_cap && zone.heat_cap_w().is_none());
    assert_eq!(zone.stage(), Stage::Warn);
    zone.set_heat_nw(now, 100 * KW);
    while let Some(at) = zone.next_event_fs() {
        zone.on_event(at);
        now = at;
    }
    assert_eq!((zone.stage(), zone.temperature_c(now)), (Stage::Normal, 31.0));
    // Cooler air ends a hold as well.
    zone.set_heat_nw(now, 400 * KW);
    now += 3600 * FS_PER_S;
    zone.on_event(now);
    assert_eq!(zone.stage(), Stage::Hold);
    assert!(zone.set_weather(now, air(21.0)).stage);
}

#[test]
fn the_whole_ladder_up_and_down() {
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, 900 * KW);
    let mut stages = Vec::new();
    let mut now = 0;
    while let Some(at) = zone.next_event_fs() {
        now = at;
        if zone.on_event(at).stage {
            stages.push((zone.stage(), zone.temperature_c(at)));
            if zone.stage() == Stage::Trip {
                assert_eq!(zone.heat_cap_w(), Some(0.0));
                zone.set_heat_nw(at, 0);
                zone.set_uncapped_nw(at, 0);
            }
        }
    }
    let up = [(Stage::Warn, 32.0), (Stage::Hold, 33.0), (Stage::Critical, 36.0), (Stage::Trip, 39.0)];
    // Without heat, the hold ends as soon as the critical stage does.
    let down = [(Stage::Critical, 38.5), (Stage::Warn, 35.5), (Stage::Normal, 31.5)];
    assert_eq!(stages, [&up[..], &down[..]].concat());
    let totals = zone.totals(now);
    assert!(imbalance(&totals) < 1e-9, "{totals:?}");
    assert!(totals.stored_j.abs() < 1e-6, "back at the start");
    assert_eq!(zone.cooling_power_w(), zone.plant().regulated(0.0).power_w());
}

/// Slope of the temperature where the plant is saturated, and where nothing is rejected.
fn slope(plant: &PlantNow, supply_c: f64, heat_w: f64, saturated: bool) -> f64 {
    (heat_w - if saturated { plant.rejected_w(supply_c, heat_w) } else { 0.0 }) / 5e6
}

/// A slow, obvious zone: Runge-Kutta steps of at most 10 ms, cut where the temperature meets T_set or the
/// sink; returns temperature and heat rejected.
pub(super) fn by_small_steps(plant: &PlantNow, mut supply_c: f64, heat_w: f64, seconds: f64) -> (f64, f64) {
    const SET_C: f64 = 31.0;
    let steps = (seconds / 0.01).ceil();
    let mut rejected_j = 0.0;
    for _ in 0..steps as usize {
        let mut left = seconds / steps;
        while left > 0.0 {
            if supply_c == SET_C && heat_w <= plant.max_w(SET_C) {
                rejected_j += heat_w * left;
                break;
            }
            let saturated = supply_c >= SET_C;
            let step = |h: f64| {
                let k1 = slope(plant, supply_c, heat_w, saturated);
                let k2 = slope(plant, supply_c + 0.5 * h * k1, heat_w, saturated);
                let k3 = slope(plant, supply_c + 0.5 * h * k2, heat_w, saturated);
                let k4 = slope(plant, supply_c + h * k3, heat_w, saturated);
                supply_c + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            };
            let mut h = left;
            let mut there = step(h);
            // Passing T_set changes the law: go just as far as that.
            let passes = (supply_c < SET_C && there > SET_C) || (supply_c > SET_C && there < SET_C);
            if passes {
                h *= (SET_C - supply_c) / (there - supply_c);
                there = SET_C;
            }
            rejected_j += heat_w * h - 5e6 * (there - supply_c);
            supply_c = there;
            left = if passes { left - h } else { 0.0 };
        }
    }
    (supply_c, rejected_j)
}

#[test]
fn a_thousand_stretches_agree_with_small_steps() {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut kinks = 0;
    for _ in 0..1_000 {
        // Up to 31 °C of wet bulb, the sink is above T_set.
        let air = air(random.random_range(10.0..31.0));
        let initial_c = if random.random_bool(0.2) { 31.0 } else { random.random_range(30.0..36.0) };
        let params = ZoneParams { initial_c, ..params(Mode::Buffered) };
        let mut zone = Zone::new(params, 0, air).unwrap();
        let heat_nw = random.random_range(0..600_000_000_000_000_i128);
        zone.set_heat_nw(0, heat_nw);
        zone.set_weather(0, air);
        let seconds: f64 = random.random_range(0.0..40.0);
        let end = fs_from_s(seconds);
        let (expected_c, expected_j) = by_small_steps(zone.plant(), initial_c, watts(heat_nw), seconds);
        let sink_c = zone.plant().sink_c;
        let (there_c, totals) = (zone.temperature_c(end), zone.totals(end));
        kinks += usize::from((initial_c - sink_c) * (there_c - sink_c) < 0.0);
        assert!(
            (there_c - expected_c).abs() < 1e-6,
            "{there_c} {expected_c}: {params:?} {heat_nw} {seconds}"
        );
        assert!((totals.heat_out_j - expected_j).abs() < 1e-6 * 5e6, "{totals:?} {expected_j}");
        assert!(imbalance(&totals) < 1e-9, "{totals:?}");
    }
    assert!(kinks > 10, "the kink at the sink was passed {kinks} times");
}

/// A random walk of heat around the cap, with small steps that do not wake the zone.
fn walk(mode: Mode, seed: u64, mut each: impl FnMut(&mut Zone, i128)) -> (Zone, i128, usize, usize) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut zone = Zone::new(params(mode), 0, air(24.0)).unwrap();
    let (mut now, mut heat, mut events, mut calls) = (0, 250 * KW, 0, 0);
    for _ in 0..20_000 {
        let until = now + fs_from_s(random.random_range(0.0..5.0));
        while let Some(at) = zone.next_event_fs().filter(|at| *at <= until) {
            let change = zone.on_event(at);
            assert!(change.woke && at >= now);
            events += 1;
        }
        now = until;
        calls += 1;
        match random.random_range(0..20) {
            0 => _ = zone.set_weather(now, air(random.random_range(10.0..31.0))),
            1..=4 => {
                heat = random.random_range(0..600 * KW);
                zone.set_heat_nw(now, heat);
            }
            5..=8 => {
                // Hover around what the zone just bears.
                heat = (zone.sustainable_w() * 1e9) as i128 + random.random_range(-100..=100);
                zone.set_heat_nw(now, heat);
            }
            9 => {
                _ = zone.set_uncapped_nw(
                    now,
                    (zone.plant().max_w(32.5) * 1e9) as i128 + random.random_range(-1..=1),
                )
            }
            _ => {
                heat += random.random_range(-KW / 2..=KW / 2);
                zone.set_heat_nw(now, heat);
            }
        }
        each(&mut zone, now);
    }
    (zone, now, events, calls)
}

#[test]
fn heat_balances_and_events_are_few_whatever_the_heat_does() {
    for seed in 0..4 {
        let (zone, now, events, calls) = walk(Mode::Buffered, seed, |zone, now| {
            let supply_c = zone.temperature_c(now);
            assert!(zone.next_event_fs().is_none_or(|at| at > now), "no event at the same instant again");
            assert!(zone.inlet_c() + 1e-9 >= supply_c && zone.inlet_c() - 0.5 <= supply_c + 1e-9);
        });
        let totals = zone.totals(now);
        assert!(imbalance(&totals) < 1e-9, "{totals:?}");
        assert!(totals.heat_out_j > 0.0 && totals.water_kg > 0.0);
        // On its way in one direction a zone meets at most the thresholds and the 0.5 K edges in between.
        assert!(events < 3 * calls, "{events} events, {calls} calls");
    }
}

#[test]
fn reading_and_repeating_change_nothing() {
    for mode in [Mode::Buffered, Mode::Instantaneous] {
        let (quiet, now, ..) = walk(mode, 42, |_, _| {});
        let (read, ..) = walk(mode, 42, |zone, now| {
            zone.totals(now + 17);
            zone.set_heat_nw(now, zone.heat_nw);
            zone.on_event(now);
        });
        assert_eq!(quiet.totals(now), read.totals(now), "to the bit");
        assert_eq!(quiet.next_event_fs(), read.next_event_fs());
    }
}

#[test]
fn events_may_come_late_or_not_at_all() {
    let mut punctual = zone(24.0);
    let mut late = zone(24.0);
    for zone in [&mut punctual, &mut late] {
        zone.set_heat_nw(0, 400 * KW);
    }
    while let Some(at) = punctual.next_event_fs() {
        punctual.on_event(at);
    }
    let now = 5_000 * FS_PER_S;
    late.set_heat_nw(now, 100 * KW);
    punctual.set_heat_nw(now, 100 * KW);
    assert_eq!(late.totals(2 * now), punctual.totals(2 * now));
    assert_eq!(late.stage(), punctual.stage());
}

/// 0.5 % of 240 kW is 1.2 kW: less does not wake the zone, but is paid.
#[test]
fn small_moves_do_not_wake_and_are_paid_later() {
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, 200 * KW);
    let power_w = zone.cooling_power_w();
    assert_eq!(zone.set_heat_nw(10 * FS_PER_S, 201 * KW), ZoneChange::default());
    assert_eq!(zone.cooling_power_w(), power_w);
    let totals = zone.totals(20 * FS_PER_S);
    assert!((totals.heat_in_j - (2_000e3 + 2_010e3)).abs() < 1e-6);
    assert!((totals.heat_out_j - totals.heat_in_j).abs() < 1e-6, "a regulated plant rejects the difference");
    assert!(zone.set_heat_nw(20 * FS_PER_S, 202 * KW).woke);
    assert_eq!(zone.temperature_c(20 * FS_PER_S), 31.0);
    // Owed beyond what the plant can do: 240 kW held, 241 kW reported for 100 s: 100 kJ/5 MJ/K = 0.02 K.
    zone.set_heat_nw(20 * FS_PER_S, 240 * KW);
    zone.set_heat_nw(20 * FS_PER_S, 241 * KW);
    assert!(zone.set_heat_nw(120 * FS_PER_S, 241 * KW - 1).woke, "0.02 K are owed");
    assert!((zone.temperature_c(120 * FS_PER_S) - 31.02).abs() < 1e-6);
}

#[test]
fn without_buffer_the_cap_is_always_there() {
    let mut zone = Zone::new(params(Mode::Instantaneous), 0, air(24.0)).unwrap();
    assert!((zone.heat_cap_w().unwrap() - 240e3).abs() < 1e-6);
    zone.set_heat_nw(0, 250 * KW);
    assert_eq!((zone.next_event_fs(), zone.temperature_c(FS_PER_S)), (None, 31.0));
    let change = zone.set_weather(10 * FS_PER_S, air(26.0));
    assert!(change.heat_cap && change.power);
    // Wet bulb 26 °C: sink 30 °C, 48 kW free, 96 · 0.976 kW chilled.
    assert!((zone.heat_cap_w().unwrap() - (48e3 + 96e3 * 0.976)).abs() < 1e-6);
    zone.set_heat_nw(10 * FS_PER_S, 100 * KW);
    let totals = zone.totals(20 * FS_PER_S);
    assert!((totals.excess_j - 100e3).abs() < 1e-3, "10 kW too much for 10 s");
    assert!(
        (totals.heat_in_j - 3_500e3).abs() < 1e-3 && imbalance(&totals) < 1e-12 && totals.stored_j == 0.0
    );
}

#[test]
fn chiller_only_zones_drift_in_a_straight_line() {
    let tower = TowerWithChiller { free_cooling_below_wet_bulb_c: None, chiller_share: 1.0, ..hot_day() };
    let plant = Plant::tower_with_chiller(&tower, 31.0).unwrap();
    let mut zone = Zone::new(ZoneParams { plant, ..params(Mode::Buffered) }, 0, air(24.0)).unwrap();
    zone.set_heat_nw(0, 290 * KW);
    // 50 kW into 5 MJ/K: 1 K in 100 s.
    while zone.stage() == Stage::Normal {
        zone.on_event(zone.next_event_fs().unwrap());
    }
    assert!((zone.temperature_c(150 * FS_PER_S) - 32.5).abs() < 1e-9);
    assert!((zone.rejected_w(150 * FS_PER_S) - 240e3).abs() < 1e-6);
    assert!(zone.water_kg_per_s(150 * FS_PER_S) > 240e3 * 1.25 / 2.43e6);
}

#[test]
fn water_and_energy_are_sums_of_their_rates() {
    let mut zone = zone(26.0);
    zone.set_heat_nw(0, 200 * KW);
    let mut water_kg = 0.0;
    let mut joules = 0.0;
    for step in 0..6_000_i128 {
        let middle = (2 * step + 1) * FS_PER_S / 200;
        while zone.next_event_fs().is_some_and(|at| at <= middle) {
            zone.on_event(middle);
        }
        water_kg += zone.water_kg_per_s(middle) * 0.01;
        joules += zone.cooling_power_w() * 0.01;
    }
    let totals = zone.totals(60 * FS_PER_S);
    assert!((totals.water_kg / water_kg - 1.0).abs() < 1e-6, "{totals:?} {water_kg}");
    assert!((totals.fan_j + totals.pump_j + totals.compressor_j - joules).abs() < 1e-6 * joules);
}

#[test]
fn unsound_zones_are_named() {
    let name = |ladder, thermal_mass_j_per_k| {
        let params = ZoneParams { ladder, thermal_mass_j_per_k, ..params(Mode::Buffered) };
        Zone::new(params, 0, air(24.0)).unwrap_err().name
    };
    assert_eq!(name(LADDER, 0.0), "thermal_mass_j_per_k");
    assert_eq!(name(Ladder { warn_c: 31.0, ..LADDER }, 5e6), "warn_c");
    assert_eq!(name(Ladder { hold_c: 31.5, ..LADDER }, 5e6), "hold_c");
    assert_eq!(name(Ladder { critical_c: f64::NAN, ..LADDER }, 5e6), "critical_c");
    assert_eq!(name(Ladder { trip_c: 33.0, ..LADDER }, 5e6), "trip_c");
    assert_eq!(name(Ladder { hysteresis_k: 0.0, ..LADDER }, 5e6), "hysteresis_k");
    assert_eq!(name(Ladder { hysteresis_k: 1.5, ..LADDER }, 5e6), "hysteresis_k");
    // Extreme heat is survived.
    let mut zone = zone(24.0);
    zone.set_heat_nw(0, i128::MAX);
    zone.set_heat_nw(i128::from(i64::MAX), i128::MIN);
    assert!(zone.totals(i128::from(i64::MAX) * 2).heat_in_j.is_finite());
}
