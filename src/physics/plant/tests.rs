//! Plants against hand calculation, and what holds for every one of them.

use super::*;

/// The hall of `configs/hot-day.yaml`.
pub(in crate::physics) fn hot_day() -> TowerWithChiller {
    TowerWithChiller {
        capacity_w: 0.24e6,
        chiller_share: 0.40,
        design_wet_bulb_c: 24.0,
        free_cooling_below_wet_bulb_c: Some(22.0),
        approach_k: 4.0,
        return_rise_k: 0.0,
        flow: Flow::Variable,
        fan_share: 0.020,
        pump_share: 0.015,
        chilled_water_c: 28.0,
        chiller_derate_per_k: 0.012,
        carnot_share: 0.55,
        cycles_of_concentration: 5.0,
    }
}

fn air_cooled() -> AirCooledChiller {
    AirCooledChiller {
        capacity_w: 0.24e6,
        design_dry_bulb_c: 35.0,
        free_cooling_below_dry_bulb_c: Some(11.0),
        condenser_k: 15.0,
        flow: Flow::Variable,
        fan_share: 0.03,
        pump_share: 0.015,
        chilled_water_c: 18.0,
        chiller_derate_per_k: 0.01,
        carnot_share: 0.52,
    }
}

fn warm_water(rejector: Rejector) -> WarmWater {
    WarmWater {
        capacity_w: 0.24e6,
        rejector,
        approach_k: 8.0,
        cdu_approach_k: 4.0,
        flow: Flow::Variable,
        fan_share: 0.03,
        pump_share: 0.01,
        cdu_pump_share: 0.01,
    }
}

/// A plant of every kind and variant, all of 0.24 MW and held at 31 °C.
pub(in crate::physics) fn every() -> Vec<(&'static str, Plant)> {
    let dry = DryCooler {
        capacity_w: 0.24e6,
        design_dry_bulb_c: 25.0,
        adiabatic: None,
        flow: Flow::Constant,
        fan_share: 0.03,
        pump_share: 0.01,
    };
    let pads = Some(Adiabatic {
        above_dry_bulb_c: 22.0,
        effectiveness: 0.8,
        air_rise_k: 12.0,
        cycles_of_concentration: 3.0,
    });
    let tower = |tower: TowerWithChiller| Plant::tower_with_chiller(&tower, 31.0).unwrap();
    let free_c = None;
    let rise = TowerWithChiller { return_rise_k: 6.0, ..hot_day() };
    let warm = |rejector| Plant::warm_water(&warm_water(rejector), 31.0).unwrap();
    let air_only = AirCooledChiller { free_cooling_below_dry_bulb_c: None, ..air_cooled() };
    vec![
        ("tower with chiller", tower(hot_day())),
        (
            "chiller only",
            tower(TowerWithChiller {
                free_cooling_below_wet_bulb_c: free_c,
                chiller_share: 1.0,
                ..hot_day()
            }),
        ),
        ("tower with chiller, cold water", tower(TowerWithChiller { chilled_water_c: 10.0, ..hot_day() })),
        ("tower with chiller, rise", tower(rise)),
        ("tower with chiller, rise, constant flow", tower(TowerWithChiller { flow: Flow::Constant, ..rise })),
        ("air-cooled chiller", Plant::air_cooled_chiller(&air_only, 31.0).unwrap()),
        ("air-cooled chiller, coil", Plant::air_cooled_chiller(&air_cooled(), 31.0).unwrap()),
        ("dry cooler", Plant::dry_cooler(&dry, 31.0).unwrap()),
        ("dry cooler, pads", Plant::dry_cooler(&DryCooler { adiabatic: pads, ..dry }, 31.0).unwrap()),
        ("warm water, dry", warm(Rejector::DryCooler(None))),
        ("warm water, pads", warm(Rejector::DryCooler(pads))),
        ("warm water, tower", warm(Rejector::Tower { cycles_of_concentration: 5.0 })),
    ]
}

fn at(wet_bulb_c: f64) -> Air {
    Air { wet_bulb_c, dry_bulb_c: wet_bulb_c + 5.0 }
}

/// G = 0.24 MW/(31 − 26) K = 48 kW/K. At 24 °C: sink 28 °C, 3 · 48 = 144 kW free and 96 kW chilled; at
/// 27.6 °C: sink 31.6 °C, nothing free, chiller 96 · (1 − 0.012 · 3.6) = 91.853 kW.
#[test]
fn capacity_by_hand() {
    let plant = Plant::tower_with_chiller(&hot_day(), 31.0).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(close(plant.under(at(22.0)).max_w(31.0), 240e3 + 96e3 * 1.024));
    assert!(close(plant.under(at(24.0)).max_at_set_w(), 240e3));
    let hot = plant.under(at(27.6));
    assert!(close(hot.max_at_set_w(), 91_852.8));
    assert!(close(hot.max_w(33.0), 91_852.8 + 1.4 * 48e3));
    assert!(close(plant.under(at(-20.0)).chiller_w, 1.2 * 96e3));
    // Half of the free capacity: fans 4,800 · 0.5³, pumps 3,600 · max(0.3, 72/240)³.
    let half = plant.under(at(24.0)).regulated(72e3);
    assert!(close(half.fan_w, 600.0) && close(half.pump_w, 97.2) && half.compressor_w == 0.0);
    let chilled = plant.under(at(24.0)).regulated(194e3);
    assert!(close(chilled.fan_w, 4800.0) && close(chilled.compressor_w, 50e3 / 10.0));
    assert_eq!(plant.under(at(24.0)).regulated(1e9), plant.under(at(24.0)).full_speed());
}

/// 18 °C chilled water, 24 °C wet bulb: T_e = 288.15 K, T_c = 307.15 K, COP = 0.55 · 288.15/19 = 8.3412.
#[test]
fn ratio_of_a_chiller_by_hand() {
    let cold_water = TowerWithChiller { chilled_water_c: 18.0, ..hot_day() };
    let plant = Plant::tower_with_chiller(&cold_water, 31.0).unwrap();
    assert!((plant.under(at(24.0)).cop - 8.341_184_2).abs() < 1e-6);
    assert_eq!(plant.under(at(-10.0)).cop, 10.0);
}

/// 1 kWh of heat: 3.6 MJ/2.4298 MJ/kg · 1.25 = 1.852 kg.
#[test]
fn water_by_hand() {
    let plant = Plant::tower_with_chiller(&hot_day(), 31.0).unwrap().under(at(10.0));
    let free = plant.regulated(100e3);
    assert!((plant.water_kg_per_s(1000.0, &free) * 3600.0 - 1.852).abs() < 1e-3);
    assert!((plant.water_kg_per_s(2000.0, &free) / plant.water_kg_per_s(1000.0, &free) - 2.0).abs() < 1e-12);
}

/// 35 °C, the default condenser: T_e = 276.85 K, T_c = 323.15 K, COP = 0.52 · 276.85/46.3 = 3.1093; with fans of 3 %,
/// 1/(1/3.1093 + 0.03) = 2.844, where ASHRAE 90.1-2010 asks for 2.80 at least.
#[test]
fn an_air_cooled_chiller_by_hand() {
    let chiller = AirCooledChiller { free_cooling_below_dry_bulb_c: None, ..air_cooled() };
    let plant =
        Plant::air_cooled_chiller(&AirCooledChiller { chilled_water_c: 6.7, ..chiller }, 31.0).unwrap();
    let now = plant.under(Air { wet_bulb_c: 20.0, dry_bulb_c: 35.0 });
    assert!((now.cop - 3.109_330).abs() < 1e-5, "{}", now.cop);
    let full = now.regulated(240e3);
    assert!((240e3 / (full.fan_w + full.compressor_w) - 2.844).abs() < 1e-3);
    assert!((now.max_w(20.0) - 240e3).abs() < 1e-6 && now.max_w(40.0) == now.max_w(20.0));
    // Ten kelvin more: a tenth less; the wet bulb is nothing to it.
    let hot = plant.under(Air { wet_bulb_c: 10.0, dry_bulb_c: 45.0 });
    assert!((hot.max_at_set_w() - 216e3).abs() < 1e-6 && hot.cop < now.cop);
    assert_eq!(now.water_kg_per_s(240e3, &full), 0.0);
    // With a coil that carries it all up to 11 °C: 12 kW/K, so 192 kW at 15 °C, the fans at 100/192.
    let coil = Plant::air_cooled_chiller(&air_cooled(), 31.0).unwrap();
    let mild = coil.under(Air { wet_bulb_c: 10.0, dry_bulb_c: 15.0 });
    let free = mild.regulated(100e3);
    assert!(free.compressor_w == 0.0 && (free.fan_w - 7_200.0 * (100.0 / 192.0_f64).powi(3)).abs() < 1e-6);
    let mixed = mild.regulated(202e3);
    assert!((mixed.compressor_w * mild.cop - 10e3).abs() < 1e-6 && (mixed.fan_w - 7_200.0).abs() < 1e-9);
}

/// The water returns 5 K warmer: 0.24 MW/(31 + 5 − 26) K = 24 kW/K. In air of 28 °C the sink is at 32 °C, above the
/// supply, and 24 · 4 = 96 kW are still free.
#[test]
fn a_tower_cools_the_water_that_returns() {
    let rise = TowerWithChiller { return_rise_k: 5.0, chiller_share: 0.0, ..hot_day() };
    let plant = Plant::tower_with_chiller(&rise, 31.0).unwrap();
    assert!((plant.under(at(22.0)).max_at_set_w() - 240e3).abs() < 1e-6);
    assert!((plant.under(at(28.0)).max_at_set_w() - 96e3).abs() < 1e-6);
    assert_eq!(plant.under(at(32.0)).max_at_set_w(), 0.0);
    // With constant flow the rise is in proportion to the heat: Q = 24 (31 − T_s + 5 Q/240), Q = 48 (31 − T_s).
    let steady = TowerWithChiller { flow: Flow::Constant, ..rise };
    let plant = Plant::tower_with_chiller(&steady, 31.0).unwrap();
    assert!((plant.under(at(22.0)).max_at_set_w() - 240e3).abs() < 1e-6);
    assert!((plant.under(at(25.0)).max_at_set_w() - 96e3).abs() < 1e-6);
    assert_eq!(plant.under(at(28.0)).max_at_set_w(), 0.0);
    // Beside a chiller of 96 kW the return is warm enough for the tower: Q = 48 (31 − 32) + 96 · 0.952 · 2.
    let both = TowerWithChiller { chiller_share: 0.4, ..steady };
    let now = Plant::tower_with_chiller(&both, 31.0).unwrap().under(at(28.0));
    assert!((now.max_at_set_w() - (91_392.0 * 2.0 - 48e3)).abs() < 1e-6);
    let shared = now.regulated(100e3);
    assert!((shared.compressor_w * now.cop - (100e3 - 24e3 * (5.0 / 2.4 - 1.0))).abs() < 1e-6);
    // Its pumps turn whatever the heat.
    assert!((shared.pump_w - 3_600.0).abs() < 1e-9 && now.regulated(0.0).pump_w == shared.pump_w);
}

/// 8 K and 4 K above the air at 0.24 MW: 20 kW/K to the dry bulb, whatever the wet bulb.
#[test]
fn warm_water_by_hand() {
    let plant = Plant::warm_water(&warm_water(Rejector::DryCooler(None)), 40.0).unwrap();
    let summer = plant.under(Air { wet_bulb_c: 20.0, dry_bulb_c: 28.0 });
    assert!((summer.max_at_set_w() - 240e3).abs() < 1e-6);
    assert!((plant.under(Air { wet_bulb_c: 20.0, dry_bulb_c: 35.0 }).max_at_set_w() - 100e3).abs() < 1e-6);
    // Half the heat: fans 7,200/8, facility pumps 2,400/8, the CDUs' 2,400 as ever.
    let half = summer.regulated(120e3);
    assert!((half.fan_w - 900.0).abs() < 1e-6 && (half.pump_w - 2_700.0).abs() < 1e-6);
    assert_eq!((half.compressor_w, summer.water_kg_per_s(120e3, &half)), (0.0, 0.0));
    assert!((summer.regulated(0.0).pump_w - (2_400.0 + 2_400.0 * 0.027)).abs() < 1e-6);
    // A tower of the same approaches: against the wet bulb, and with a tower's water.
    let tower = Rejector::Tower { cycles_of_concentration: 5.0 };
    let wet = Plant::warm_water(&warm_water(tower), 40.0).unwrap();
    let wet = wet.under(Air { wet_bulb_c: 28.0, dry_bulb_c: 39.0 });
    assert!((wet.max_at_set_w() - 240e3).abs() < 1e-6);
    assert!((wet.water_kg_per_s(1_000.0, &wet.regulated(120e3)) * 3_600.0 - 1.852).abs() < 1e-3);
}

/// Pads of 75 % from 30 °C on, air of 38 and 22 °C: the air could be cooled to 38 − 12 = 26 °C and is to 30 °C. At full
/// fans the air takes 0.24 MW/10 K, and 8 K of that evaporate: 192 kW, 0.1185 kg/s with a half bled.
#[test]
fn wet_pads_by_hand() {
    let pads = Adiabatic {
        above_dry_bulb_c: 30.0,
        effectiveness: 0.75,
        air_rise_k: 10.0,
        cycles_of_concentration: 3.0,
    };
    let plant = Plant::warm_water(&warm_water(Rejector::DryCooler(Some(pads))), 40.0).unwrap();
    let sink_c = |dry_bulb_c, wet_bulb_c| plant.under(Air { wet_bulb_c, dry_bulb_c }).sink_c;
    assert_eq!((sink_c(29.0, 20.0), sink_c(38.0, 22.0)), (29.0, 30.0));
    assert_eq!(sink_c(44.0, 36.0), 38.0, "44 − 0.75 · 8");
    assert_eq!(sink_c(44.0, 44.0), 44.0, "saturated air takes no water");
    let now = plant.under(Air { wet_bulb_c: 22.0, dry_bulb_c: 38.0 });
    assert!((now.max_at_set_w() - 200e3).abs() < 1e-6);
    let full = now.full_speed();
    assert!((full.wetted_w - 192e3).abs() < 1e-6);
    assert!((now.water_kg_per_s(200e3, &full) - 192e3 * 1.5 / 2.4298e6).abs() < 1e-9);
    assert!(
        (now.water_kg_per_s(50e3, &now.regulated(50e3)) / now.water_kg_per_s(200e3, &full) - 0.25).abs()
            < 1e-12
    );
    let mild = plant.under(Air { wet_bulb_c: 20.0, dry_bulb_c: 30.0 });
    assert_eq!(mild.water_kg_per_s(100e3, &mild.regulated(100e3)), 0.0);
}

/// What a test of all plants takes: outdoor air as in `at`, wetter, and drier.
fn airs(wet_bulb_c: f64) -> [Air; 3] {
    [0.0, 5.0, 15.0].map(|above_k| Air { wet_bulb_c, dry_bulb_c: wet_bulb_c + above_k })
}

#[test]
fn nothing_improves_with_outdoor_temperature() {
    for (name, plant) in every() {
        for dryness in 0..3 {
            let mut last = plant.under(airs(-40.0)[dryness]);
            for step in -399..=500 {
                let now = plant.under(airs(f64::from(step) / 10.0)[dryness]);
                assert!(now.cop <= last.cop && now.cop > 0.0 && now.chiller_w <= last.chiller_w, "{name}");
                for supply in [20.0, 31.0, 39.0] {
                    assert!(now.max_w(supply) <= last.max_w(supply) && now.max_w(supply) >= 0.0, "{name}");
                }
                for heat in [0.0, 1e3, 90e3, 150e3, 239e3] {
                    // Beyond its capacity the plant runs at full speed, which a failing chiller makes cheaper.
                    if heat <= now.max_at_set_w() {
                        let (warm_w, cool_w) =
                            (now.regulated(heat).power_w(), last.regulated(heat).power_w());
                        assert!(warm_w >= cool_w - 1e-9, "{name} {step} {heat}: {cool_w} {warm_w}");
                    }
                }
                last = now;
            }
        }
    }
}

#[test]
fn power_never_falls_with_heat() {
    for (name, plant) in every() {
        for air in [-20.0, -10.0, 0.0, 15.0, 22.0, 26.0, 30.0, 45.0].into_iter().flat_map(airs) {
            let now = plant.under(air);
            let mut last = 0.0;
            for step in 0..=500 {
                let operation = now.regulated(f64::from(step) * 1e3);
                let parts = [operation.fan_w, operation.pump_w, operation.compressor_w, operation.wetted_w];
                assert!(parts.iter().all(|part| *part >= 0.0), "{name} {operation:?}");
                let power = operation.power_w();
                // Where a chiller is all there is, fans start with it; they are not taken back.
                assert!(power >= last - 1e-9, "{name} {air:?} {step}: {last} {power}");
                last = power;
            }
            assert!(last <= now.full_speed().power_w() + 1e-9, "{name}");
        }
    }
}

/// What a plant rejects for good at a temperature is what it rejects there while that comes in; a little more heat is
/// too much.
#[test]
fn the_most_is_where_heat_in_is_heat_out() {
    for (name, plant) in every() {
        for air in (-20..=44).step_by(4).flat_map(|wet| airs(f64::from(wet))) {
            let now = plant.under(air);
            for supply in [20.0, 29.0, 31.0, 33.0, 39.0] {
                let most = now.max_w(supply);
                assert!((now.rejected_w(supply, most) - most).abs() < 1e-6, "{name} {air:?} {supply}");
                assert!(now.rejected_w(supply, most + 1e3) < most + 1e3, "{name} {air:?} {supply}");
            }
        }
    }
}

#[test]
fn water_follows_heat() {
    for (name, plant) in every() {
        let mut wet = 0;
        for air in (0..=30).step_by(3).flat_map(|wet| airs(f64::from(wet))) {
            let now = plant.under(air);
            let kg = |heat_w: f64| now.water_kg_per_s(heat_w, &now.regulated(heat_w));
            // While no chiller runs, its heat is none to be added.
            let heat = 0.5 * (now.max_at_set_w() - now.chiller_w).clamp(0.0, 200e3);
            assert!((kg(heat) - 2.0 * kg(0.5 * heat)).abs() <= 1e-12 * kg(heat), "{name} {air:?}");
            assert!(kg(heat) >= 0.0 && kg(0.0) == 0.0, "{name} {air:?}");
            wet += usize::from(kg(heat) > 0.0);
        }
        let tower = name.contains("tower") || name.contains("pads");
        assert_eq!(wet > 0, tower && !name.contains("only"), "{name}");
    }
}

/// A part of a plant is that part of it in all it can do, and draws that part of the power at that part of the heat.
#[test]
fn a_part_of_a_plant_is_that_part_of_it() {
    for (name, plant) in every() {
        assert_eq!(plant.reduced(1.0, 1.0), plant, "{name}");
        for air in [-10.0, 10.0, 24.0, 33.0].into_iter().flat_map(airs) {
            let (whole, half) = (plant.under(air), plant.reduced(0.5, 1.0).under(air));
            for supply in [29.0, 31.0, 36.0] {
                assert!((half.max_w(supply) - 0.5 * whole.max_w(supply)).abs() < 1e-6, "{name}");
            }
            for heat in [0.0, 20e3, 90e3, 300e3] {
                let (all, part) = (whole.regulated(heat), half.regulated(0.5 * heat));
                assert!((part.power_w() - 0.5 * all.power_w()).abs() < 1e-6, "{name} {air:?} {heat}");
                assert!((part.wetted_w - 0.5 * all.wetted_w).abs() < 1e-6, "{name}");
            }
            let gone = plant.reduced(0.0, 1.0).under(air);
            assert_eq!((gone.max_w(31.0), gone.max_w(90.0)), (0.0, 0.0), "{name}");
            for heat in [0.0, 1.0, 1e6] {
                assert_eq!(gone.regulated(heat), Operation::default(), "{name}");
            }
        }
    }
}

#[test]
fn impossible_plants_are_named() {
    let name = |tower: TowerWithChiller, set_c| Plant::tower_with_chiller(&tower, set_c).unwrap_err().name;
    assert_eq!(name(hot_day(), 26.0), "set_c");
    assert_eq!(name(TowerWithChiller { capacity_w: -1.0, ..hot_day() }, 31.0), "capacity_w");
    assert_eq!(
        name(TowerWithChiller { cycles_of_concentration: 1.0, ..hot_day() }, 31.0),
        "cycles_of_concentration"
    );
    assert_eq!(name(TowerWithChiller { carnot_share: f64::NAN, ..hot_day() }, 31.0), "carnot_share");
    let idle = TowerWithChiller { free_cooling_below_wet_bulb_c: None, chiller_share: 0.0, ..hot_day() };
    assert_eq!(name(idle, 31.0), "chiller_share");
    let dry = DryCooler {
        capacity_w: 1e6,
        design_dry_bulb_c: 35.0,
        fan_share: 0.03,
        pump_share: 0.01,
        adiabatic: None,
        flow: Flow::Variable,
    };
    assert!(Plant::dry_cooler(&dry, 35.0).is_err());
}
