//! Cooling plants in a scenario: what is refused and where, what they draw and evaporate in any weather.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::facility_scenario::{GOOD, tried};

/// The plant of the good building.
const PLANT: &str =
    "{ dry_cooler: { capacity_mw: 0.1, design_dry_bulb_c: 30, fan_share: 0.02, pump_share: 0.01 } }";

/// Plants of 0.1 MW for a zone held at 35 °C, one of every kind and variant.
const PLANTS: [(&str, bool); 8] = [
    (PLANT, false),
    (
        "{ dry_cooler: { capacity_mw: 0.1, design_dry_bulb_c: 30, fan_share: 0.02, pump_share: 0.01, pumps: constant, \
         adiabatic: { above_dry_bulb_c: 25 } } }",
        true,
    ),
    (
        "{ tower_with_chiller: { capacity_mw: 0.1, chiller_share: 0.8, design_wet_bulb_c: 24, \
         free_cooling_below_wet_bulb_c: 20, approach_k: 4, return_rise_k: 8, pumps: constant, fan_share: 0.02, \
         pump_share: 0.015, chilled_water_c: 20, chiller_derate_per_k: 0.012, carnot_share: 0.55, \
         cycles_of_concentration: 5 } }",
        true,
    ),
    ("{ air_cooled_chiller: { capacity_mw: 0.1, chilled_water_c: 18 } }", false),
    (
        "{ air_cooled_chiller: { capacity_mw: 0.1, chilled_water_c: 18, free_cooling_below_dry_bulb_c: 12 } }",
        false,
    ),
    ("{ warm_water: { capacity_mw: 0.1, rejector: { dry_cooler: {} } } }", false),
    (
        "{ warm_water: { capacity_mw: 0.1, rejector: { dry_cooler: { adiabatic: { above_dry_bulb_c: 22 } } } } }",
        true,
    ),
    ("{ warm_water: { capacity_mw: 0.1, rejector: { tower: {} }, pumps: constant } }", true),
];

/// The good building with `plant` is refused in the plant's line, for the field at the end of `path`.
#[track_caller]
fn refused(plant: &str, path: &str, words: &str) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let text = GOOD.replace(PLANT, plant);
    let line = 1 + text.lines().position(|line| line.contains("plant: {")).expect("a plant");
    let Err(text) = tried(dir.path(), &text) else { panic!("not refused: {plant}") };
    assert!(text.starts_with(&format!("a.yaml:{line}:")), "expected line {line}: {text}");
    assert!(text.contains(path) && text.contains(words), "expected '{path}' and '{words}': {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn impossible_plants_are_refused() {
    refused("{ dry_coolar: {} }", "", "did you mean 'dry_cooler'?");
    refused(
        "{ air_cooled_chiller: { capacity_mw: 0, chilled_water_c: 18 } }",
        "zones.0.plant.air_cooled_chiller.capacity_mw",
        "above 0, is 0",
    );
    refused(
        "{ air_cooled_chiller: { capacity_mw: 0.1, chilled_water_c: 36 } }",
        "air_cooled_chiller.chilled_water_c",
        "at most set_c (35)",
    );
    refused(
        "{ air_cooled_chiller: { capacity_mw: 0.1, chilled_water_c: 18, fan_share: 3 } }",
        "air_cooled_chiller.fan_share",
        "a share of capacity_mw, 0 to 1",
    );
    refused(
        "{ air_cooled_chiller: { capacity_mw: 0.1, chilled_water_c: 18, approach_k: 3 } }",
        "approach_k",
        "unknown field",
    );
    refused(
        "{ warm_water: { capacity_mw: 0.1, rejector: { dry_cooler: { approach_k: 0 } } } }",
        "warm_water.rejector.dry_cooler.approach_k",
        "above 0, is 0",
    );
    refused(
        "{ warm_water: { capacity_mw: 0.1, rejector: { tower: { cycles_of_concentration: 1 } } } }",
        "warm_water.rejector.tower.cycles_of_concentration",
        "above 1, is 1",
    );
    refused(
        "{ warm_water: { capacity_mw: 0.1, rejector: { dry_cooler: { adiabatic: { above_dry_bulb_c: 35 } } } } }",
        "rejector.dry_cooler.adiabatic.above_dry_bulb_c",
        "below set_c (35)",
    );
    refused(
        "{ dry_cooler: { capacity_mw: 0.1, design_dry_bulb_c: 30, fan_share: 0.02, pump_share: 0.01, \
         adiabatic: { above_dry_bulb_c: 25, effectiveness: 1.2 } } }",
        "dry_cooler.adiabatic.effectiveness",
        "above 0 and at most 1, is 1.2",
    );
    refused(
        "{ warm_water: { capacity_mw: 0.1, rejector: { dry_cooler: {} }, pumps: steady } }",
        "",
        "variable, constant",
    );
    refused(
        "{ tower_with_chiller: { capacity_mw: 0.1, chiller_share: 1, design_wet_bulb_c: 24, approach_k: 4, \
         return_rise_k: 8, fan_share: 0.02, pump_share: 0.015, chilled_water_c: 20, chiller_derate_per_k: 0.012, \
         carnot_share: 0.55, cycles_of_concentration: 5 } }",
        "tower_with_chiller.return_rise_k",
        "leave it out",
    );
}

/// A coil that is to carry the capacity in air as warm as the zone is refused at the zone's set point.
#[test]
fn a_coil_needs_colder_air() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let coil = "{ air_cooled_chiller: { capacity_mw: 0.1, chilled_water_c: 18, free_cooling_below_dry_bulb_c: 35 } }";
    let text = tried(dir.path(), &GOOD.replace(PLANT, coil)).expect_err("no gradient");
    assert!(text.contains("zones.0.set_c: must be above the air") && text.contains("(35), is 35"), "{text}");
}

/// From −30 to 45 °C, by `wattmill facility`: the PUE is above 1 also at −10 °C and rises with the weather as long as
/// the plant can bear the heat, what is out of reach stays out of reach, and only wet plants take water.
#[test]
fn every_plant_in_any_weather() {
    for (plant, wet) in PLANTS {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::write(dir.path().join("a.yaml"), GOOD.replace(PLANT, plant)).expect("scenario");
        let mut points = String::from("wet_bulb_c,dry_bulb_c,it_mw\n");
        for step in -60..=90 {
            let dry_c = f64::from(step) / 2.0;
            // Writing to a String cannot fail.
            let _ = writeln!(points, "{},{dry_c},0.05", dry_c - 4.0);
        }
        fs::write(dir.path().join("p.csv"), points).expect("points");
        let output = Command::new(env!("CARGO_BIN_EXE_wattmill"))
            .current_dir(dir.path())
            .args(["facility", "a.yaml", "--points", "p.csv"])
            .output()
            .expect("wattmill runs");
        assert_eq!(output.status.code(), Some(0), "{plant}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        let column = |name: &str| header.iter().position(|h| *h == name).expect(name);
        let (pue, water, limit) = (column("pue"), column("water_l_per_h"), column("limit"));
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let number = |row: &[&str], column: usize| row[column].parse::<f64>().expect("a number");
        assert_eq!(rows.len(), 151);
        for pair in rows.windows(2) {
            let (cooler, warmer) = (&pair[0], &pair[1]);
            assert!(number(cooler, pue) > 1.0, "{plant} {cooler:?}");
            assert!(cooler[limit].is_empty() || !warmer[limit].is_empty(), "{plant} {cooler:?} {warmer:?}");
            if warmer[limit].is_empty() {
                assert!(number(warmer, pue) >= number(cooler, pue) - 1e-6, "{plant} {cooler:?} {warmer:?}");
            }
        }
        assert!(rows[0][limit].is_empty(), "{plant}: half its capacity at −30 °C");
        assert_eq!(rows.iter().any(|row| number(row, water) > 0.0), wet, "{plant}");
    }
}
