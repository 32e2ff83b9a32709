//! The building in a scenario: what is refused and where, what becomes of it in the fleet, what reads back.

use std::fs;
use std::path::Path;

use wattmill::fleet::Fleet;
use wattmill::physics::loss::DeviceKind;
use wattmill::physics::zone::Mode;
use wattmill::scenario::{self, LoadOptions, Resolved};

use crate::support::{catalog, load_file};

/// A site with a tree and a zone, changed by each case.
pub const GOOD: &str = "\
duration_s: 60
workload:
  classes:
    - name: chat
      arrivals: { poisson: { rate_per_s: 8 } }
fleet:
  sites:
    - name: here
      pools:
        - { model: Llama-3.1-8B, gpu: H100-SXM-80GB, nodes: 1, feed: row, zone: hall }
      power:
        cap_mw: 0.1
        tree:
          - { name: meter, device: { utility: { rated_mw: 0.3 } } }
          - { name: ups, parent: meter, zone: hall, device: { ups: { rated_mw: 0.2 } } }
          - { name: row, parent: ups, device: { pdu: { rated_mw: 0.1 } } }
          - { name: bus, parent: meter, device: { mechanical_bus: { rated_mw: 0.05 } } }
      weather:
        wet_bulb_c: { daily: { min: 15, max: 20, max_at_h: 16 } }
        dry_bulb_c: { constant: 30 }
      cooling:
        zones:
          - name: hall
            feed: bus
            plant: { dry_cooler: { capacity_mw: 0.1, design_dry_bulb_c: 30, fan_share: 0.02, pump_share: 0.01 } }
            set_c: 35
            thermal_mass_mj_per_k: 1
            ladder: { warn_c: 36, hold_c: 37, critical_c: 38, trip_c: 39, hysteresis_k: 0.5 }
";
const COOLING: &str = "      cooling:\n        zones:\n          - name: hall\n            feed: bus\n            plant: { dry_cooler: { capacity_mw: 0.1, design_dry_bulb_c: 30, fan_share: 0.02, pump_share: 0.01 } }\n            set_c: 35\n            thermal_mass_mj_per_k: 1\n            ladder: { warn_c: 36, hold_c: 37, critical_c: 38, trip_c: 39, hysteresis_k: 0.5 }\n";
const WEATHER: &str = "      weather:\n        wet_bulb_c: { daily: { min: 15, max: 20, max_at_h: 16 } }\n        dry_bulb_c: { constant: 30 }\n";

/// Load `text` as `a.yaml` in `dir` and build its fleet; the text of all problems, without the folder.
pub fn tried(dir: &Path, text: &str) -> Result<(Resolved, Fleet), String> {
    let path = dir.join("a.yaml");
    fs::write(&path, text).expect("scenario");
    let loaded = scenario::load(&path, &LoadOptions::new(catalog())).map_err(|error| error.to_string());
    let built = loaded.and_then(|resolved| {
        Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir)
            .map_err(|problems| resolved.render_problems(&problems))
            .map(|fleet| (resolved, fleet))
    });
    built.map_err(|text| text.replace(&format!("{}/", dir.display()), ""))
}

fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = GOOD.to_string();
    for (from, to) in changes {
        assert!(text.contains(from), "the good scenario has no '{from}'");
        text = text.replacen(from, to, 1);
    }
    text
}

/// The good scenario with changes has exactly one problem, at `at`, with all `words`.
#[track_caller]
fn refused(changes: &[(&str, &str)], at: &str, words: &[&str]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let Err(text) = tried(dir.path(), &changed(changes)) else { panic!("not refused: {at} {words:?}") };
    assert!(text.starts_with(&format!("a.yaml:{at}: ")), "expected {at}, got: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "expected '{word}' in: {text}");
    }
}

#[test]
fn the_good_building_becomes_a_facility() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (_, fleet) = tried(dir.path(), GOOD).unwrap_or_else(|error| panic!("{error}"));
    let site = &fleet.sites[0];
    let facility = site.facility.as_ref().expect("a facility");
    assert_eq!(facility.names, ["here.meter", "here.ups", "here.row", "here.bus"]);
    assert_eq!(facility.kinds[1], DeviceKind::UpsDoubleConversion);
    assert_eq!(
        facility.devices.iter().map(|d| d.parent).collect::<Vec<_>>(),
        [None, Some(0), Some(1), Some(0)]
    );
    assert_eq!((facility.root, facility.devices[1].zone, facility.devices[2].zone), (0, Some(0), None));
    // Double conversion without load: 1 % of 0.2 MW.
    assert!((facility.devices[1].stage.loss_w(0.0) - 2000.0).abs() < 1e-9);
    let zone = &facility.zones[0];
    assert_eq!((zone.name.as_str(), zone.feed, zone.params.mode), ("here.hall", 3, Mode::Buffered));
    assert_eq!((zone.params.initial_c, zone.params.thermal_mass_j_per_k), (35.0, 1e6));
    assert_eq!(zone.params.plant.capacity_w(), 1e5);
    let air = facility.weather.as_ref().expect("weather").at(0);
    assert!(air.wet_bulb_c > 15.0 && air.wet_bulb_c < 20.0 && air.dry_bulb_c == 30.0);
    let pool = &fleet.pools[0];
    let thermal = pool.thermal.expect("chip temperatures");
    assert_eq!(
        (pool.feed, pool.zone, thermal.r_th_k_per_w, thermal.throttle_c),
        (Some(2), Some(0), 0.06, 87.0)
    );
    assert_eq!(fleet.graph.power_device_of(0), "here.meter");
    let below: Vec<usize> = (0..4).map(|device| fleet.graph.replicas_below(0, device)).collect();
    assert_eq!(below, [8, 8, 8, 0]);
}

#[test]
fn broken_trees() {
    let tree = "fleet.sites.0.power.tree";
    refused(
        &[("parent: ups,", "parent: upz,")],
        "16:34",
        &[tree, "unknown device 'upz'", "did you mean 'ups'?"],
    );
    refused(
        &[("parent: meter, zone: hall", "parent: row, zone: hall")],
        "15:34",
        &["fleet.sites.0.power.tree.1.parent", "is a circle: ups hangs from row hangs from ups"],
    );
    refused(&[("parent: ups,", "parent: row,")], "16:34", &["is a circle: row hangs from row"]);
    refused(&[(" parent: ups,", "")], "16:13", &["parent is missing", "'row' hangs from nothing", "pdu"]);
    refused(
        &[("{ name: meter,", "{ name: meter, parent: bus,")],
        "14:36",
        &["must be left out", "connection to the grid"],
    );
    let all_fed = [("{ name: meter, device: { utility: {", "{ name: meter, parent: bus, device: { pdu: {")];
    let dir = tempfile::tempdir().expect("temporary folder");
    let text = tried(dir.path(), &changed(&all_fed)).expect_err("no utility");
    assert!(text.starts_with("a.yaml:13:9: fleet.sites.0.power.tree: has no utility"), "{text}");
    assert!(
        text.contains("a.yaml:14:36: ") && text.contains("meter hangs from bus hangs from meter"),
        "{text}"
    );
    refused(&[("utility: {", "transformer: {")], "14:13", &["parent is missing"]);
    refused(&[("pdu: {", "utility: {"), (" parent: ups,", "")], "16:26", &["already a utility, 'meter'"]);
    let row = "          - { name: row, parent: ups, device: { pdu: { rated_mw: 0.1 } } }\n";
    refused(&[(row, &row.repeat(2))], "17:21", &["already a device named 'row'"]);
    refused(&[("rated_mw: 0.2 ", "rated_mw: 0 ")], "15:80", &["ups.rated_mw", "above 0"]);
    refused(&[("parent: ups,", "parent: ups, derate: 1.2,")], "16:47", &["derate", "at most 1"]);
    refused(&[("pdu: {", "pdus: {")], "16:49", &["unknown power device 'pdus'", "did you mean 'pdu'?"]);
    let own = "loss: { a0: 0.01, a1: 0, a2: -0.1 },";
    refused(&[("parent: ups,", &format!("parent: ups, {own}"))], "16:68", &["loss.a2", "0 to 1"]);
    refused(
        &[
            ("parent: meter, zone: hall,", &format!("parent: meter, {}", own.replace('-', ""))),
            ("0.2 }", "0.2, mode: eco }"),
        ],
        "15:115",
        &["decides the losses, which `loss` gives"],
    );
    refused(&[("name: here", "name: here\n      static_pue: 1.2")], "9:19", &["a power tree computes"]);
}

#[test]
fn broken_feeds_and_zones() {
    let pool = "fleet.sites.0.pools.0";
    refused(&[(" feed: row,", "")], "10:11", &[pool, "feed is missing", "(meter, ups, row)"]);
    refused(&[("feed: row", "feed: raw")], "10:70", &["unknown device 'raw'", "did you mean 'row'?"]);
    refused(&[("feed: row", "feed: bus")], "10:70", &["'bus' is a mechanical_bus"]);
    refused(&[(", zone: hall }", " }")], "10:11", &[pool, "zone is missing", "(hall)"]);
    refused(
        &[("zone: hall }", "zone: hal }")],
        "10:81",
        &["unknown cooling zone 'hal'", "did you mean 'hall'?"],
    );
    refused(
        &[("parent: meter, zone: hall", "parent: meter, zone: whole")],
        "15:47",
        &["unknown cooling zone 'whole'"],
    );
    refused(&[("feed: bus", "feed: row")], "24:19", &["'row' is a pdu", "mechanical_bus"]);
    refused(&[("feed: bus", "feed: bos")], "24:19", &["unknown device 'bos'", "did you mean 'bus'?"]);
    refused(&[("set_c: 35", "set_c: 30")], "26:20", &["above the air", "design_dry_bulb_c (30), is 30"]);
    refused(&[("hold_c: 37", "hold_c: 36")], "28:43", &["ladder.hold_c", "above warn_c (36), is 36"]);
    refused(&[("warn_c: 36", "warn_c: 34")], "28:31", &["ladder.warn_c", "above set_c (35)"]);
    refused(
        &[("hysteresis_k: 0.5", "hysteresis_k: 1.5")],
        "28:89",
        &["hysteresis_k", "at most warn_c - set_c (1)"],
    );
    refused(
        &[("            thermal_mass_mj_per_k: 1\n", "")],
        "23:13",
        &["thermal_mass_mj_per_k is missing", "buffered"],
    );
    refused(
        &[("            thermal_mass_mj_per_k: 1\n", "            mode: instantaneous\n")],
        "28:13",
        &["ladder", "not used by an instantaneous zone"],
    );
    refused(&[("fan_share: 0.02", "fan_share: 2")], "25:88", &["fan_share", "0 to 1"]);
    let tower = "tower_with_chiller: { capacity_mw: 0.1, chiller_share: 0.4, design_wet_bulb_c: 24, \
                 free_cooling_below_wet_bulb_c: 22, approach_k: 13, fan_share: 0.02, pump_share: 0.01, \
                 chilled_water_c: 28, chiller_derate_per_k: 0.012, carnot_share: 0.55, cycles_of_concentration: 5 }";
    let dry = "dry_cooler: { capacity_mw: 0.1, design_dry_bulb_c: 30, fan_share: 0.02, pump_share: 0.01 }";
    refused(
        &[(dry, tower)],
        "26:20",
        &["set_c", "35 °C (free_cooling_below_wet_bulb_c 22 + approach_k 13), is 35"],
    );
    let none = tower.replace("free_cooling_below_wet_bulb_c: 22, ", "").replace("share: 0.4,", "share: 0,");
    refused(&[(dry, &none)], "25:77", &["chiller_share", "the chiller is all there is"]);
}

#[test]
fn parts_that_need_each_other() {
    refused(&[(WEATHER, "")], "18:7", &["fleet.sites.0.cooling", "add weather"]);
    let no_zones = [(", zone: hall }", " }"), ("parent: meter, zone: hall,", "parent: meter,")];
    let without = |more: &[(&'static str, &'static str)]| [no_zones.as_slice(), more].concat();
    refused(&without(&[(COOLING, "")]), "18:7", &["weather", "changes nothing without cooling"]);
    let dir = tempfile::tempdir().expect("temporary folder");
    let tree_alone = changed(&without(&[(COOLING, ""), (WEATHER, "")]));
    let (_, fleet) = tried(dir.path(), &tree_alone).unwrap_or_else(|error| panic!("{error}"));
    let facility = fleet.sites[0].facility.as_ref().expect("a facility");
    assert!(facility.zones.is_empty() && facility.weather.is_none() && fleet.pools[0].thermal.is_none());
    let start = GOOD.find("        tree:").expect("tree");
    let end = GOOD.find("      weather:").expect("weather");
    let no_tree = GOOD.replace(&GOOD[start..end], "").replace("feed: row, ", "");
    let text = tried(dir.path(), &no_tree).expect_err("cooling without a tree");
    assert!(text.contains("needs a power tree, from which the plants hang"), "{text}");
    let text = tried(dir.path(), &GOOD.replace(&GOOD[start..], "").replace(", zone: hall", ""));
    assert!(text.expect_err("a feed without a tree").starts_with("a.yaml:10:70: "));
}

#[test]
fn broken_weather() {
    let weather = "fleet.sites.0.weather";
    let wet = "{ daily: { min: 15, max: 20, max_at_h: 16 } }";
    refused(&[("max: 20", "max: 14")], "19:46", &["daily.max", "at least min (15), is 14"]);
    let spells = |spell: &str| format!("dry_bulb_c: {{ constant: 30 }}\n        spells: [{{ {spell} }}]");
    let dry = "dry_bulb_c: { constant: 30 }";
    let spell = "from_h: 7, to_h: 7, wet_bulb_k: 1, dry_bulb_k: 3";
    refused(&[(dry, &spells(spell))], "21:28", &["spells.0.from_h", "below to_h (7), is 7"]);
    let spell = "from_h: 6, to_h: 7, wet_bulb_k: 1, dry_bulb_k: 33";
    refused(&[(dry, &spells(spell))], "21:65", &["spells.0.dry_bulb_k", "-30 to 30 K, is 33"]);
    let spell = "from_h: 6, to_h: 7, wet_bulb_k: 17, dry_bulb_k: 0";
    refused(&[(dry, &spells(spell))], "19:9", &["wet bulb", "above dry bulb 30.00 °C in hour 6"]);
    refused(&[("constant: 30", "constant: 303")], "20:33", &[weather, "-90 to 60 °C, is 303"]);
    refused(&[("constant: 30", "constant: 18")], "19:9", &["wet bulb", "above dry bulb 18.00 °C in hour"]);
    refused(
        &[("daily:", "dayly:")],
        "19:23",
        &["unknown temperature course 'dayly'", "did you mean 'daily'?"],
    );
    refused(&[(wet, "{ csv: { path: no.csv, column: t } }")], "19:36", &["no.csv", "there is no such file"]);
    refused(&[(wet, "{ csv: { path: a.yaml, column: '' } }")], "19:52", &["must name a column"])
}

#[test]
fn weather_files() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| dir.path().join(name);
    let hours: String = (0..24).map(|h| format!("{h},{}\n", 10 + h % 12)).collect();
    fs::write(path("day.csv"), format!("hour,wet\n{hours}")).expect("csv");
    fs::write(path("bad.csv"), "hour,wet\n0,12\n1,288\n").expect("csv");
    let row = |day: u32, hour: u32| {
        format!("1999,1,{day},{hour},60,flags,{}.0,5.0,50,101325,0\r\n", if day == 1 { 20 } else { 30 })
    };
    let header = "LOCATION,Aachen,-,DEU\r\n".to_string() + &"X\r\n".repeat(7);
    let epw: String = (1..=2).flat_map(|day| (1..=24).map(move |hour| row(day, hour))).collect();
    fs::write(path("year.epw"), format!("{header}{epw}")).expect("epw");
    fs::write(path("gap.epw"), format!("{header}{}", epw.replacen(",50,", ",999,", 1))).expect("epw");

    let wet = "wet_bulb_c: { daily: { min: 15, max: 20, max_at_h: 16 } }";
    let with = |course: &str| tried(dir.path(), &changed(&[(wet, &format!("wet_bulb_c: {course}"))]));
    let air_at = |fleet: &Fleet, hour: i128| {
        let weather = fleet.sites[0].facility.as_ref().and_then(|f| f.weather.clone()).expect("weather");
        weather.at(hour * 3600 * 1_000_000_000_000_000)
    };
    let (resolved, fleet) = with("{ csv: { path: day.csv, column: wet } }").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((air_at(&fleet, 0).wet_bulb_c, air_at(&fleet, 23).wet_bulb_c), (10.0, 21.0));
    assert_eq!(air_at(&fleet, 24).wet_bulb_c, 10.0, "the table starts again");
    fs::write(path("day.csv"), format!("hour,wet\n{}", hours.replace(",10\n", ",11\n"))).expect("csv");
    let (other, _) = with("{ csv: { path: day.csv, column: wet } }").unwrap_or_else(|e| panic!("{e}"));
    assert_ne!(resolved.hash, other.hash, "the hash follows the file");

    let text = with("{ csv: { path: bad.csv, column: wet } }").expect_err("kelvin");
    assert_eq!(
        text,
        "a.yaml:19:36: fleet.sites.0.weather.wet_bulb_c.csv.path: bad.csv:3:3: `wet` = `288` is no outdoor \
         temperature; expected -90 to 60 °C"
    );
    let text = with("{ csv: { path: day.csv, column: wett } }").expect_err("no such column");
    assert!(text.contains("day.csv:1:1: there is no column `wett`; the header is `hour,wet`"), "{text}");
    let text = with("{ epw: { path: gap.epw } }").expect_err("missing humidity");
    assert!(text.contains("gap.epw:9: relative humidity (column 9) is '999'"), "{text}");
    let text = with("{ epw: { path: day.csv } }").expect_err("not an EPW");
    assert!(text.contains("day.csv:1:1: is no EnergyPlus weather file"), "{text}");
    let text = with("{ epw: { path: year.epw, from_day: 3 } }").expect_err("no such day");
    assert!(text.starts_with("a.yaml:19:56: ") && text.contains("has 2 days"), "{text}");

    let dry = "dry_bulb_c: { constant: 30 }";
    let both = changed(&[
        (wet, "wet_bulb_c: { epw: { path: year.epw, from_day: 2 } }"),
        (dry, "dry_bulb_c: { epw: { path: year.epw, from_day: 2 } }"),
    ]);
    let (_, fleet) = tried(dir.path(), &both).unwrap_or_else(|error| panic!("{error}"));
    let (second, first) = (air_at(&fleet, 0), air_at(&fleet, 24));
    assert_eq!((second.dry_bulb_c, first.dry_bulb_c), (30.0, 20.0));
    // 20 °C at 50 % is 13.7 °C (Stull 2011).
    assert!((first.wet_bulb_c - 13.7).abs() < 0.05, "{first:?}");
}

/// Loads again from `scenario.resolved.yaml`, to the same scenario and hash.
#[track_caller]
fn reads_back(resolved: &Resolved) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let yaml = scenario::resolved_yaml(resolved, dir.path()).expect("YAML");
    let path = dir.path().join("scenario.resolved.yaml");
    fs::write(&path, &yaml).expect("resolved");
    let again = load_file(&path, &[], catalog());
    assert_eq!(again.hash, resolved.hash, "{yaml}");
    assert_eq!(again.scenario, resolved.scenario);
    assert_eq!(scenario::resolved_yaml(&again, dir.path()).expect("YAML"), yaml);
}

#[test]
fn the_hot_day_loads_builds_and_reads_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/hot-day.yaml");
    let resolved = load_file(&path, &[], catalog());
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
    let facility = fleet.sites[0].facility.as_ref().expect("a facility");
    assert_eq!(facility.names[facility.root], "dallas.meter");
    assert_eq!((facility.devices.len(), facility.zones.len(), fleet.replicas()), (6, 1, 32 + 96));
    assert_eq!((fleet.pools[0].feed, fleet.pools[1].feed), (Some(3), Some(4)));
    reads_back(&resolved);
    let sets = [
        "fleet.sites.0.power.tree.2.device.ups.mode=eco",
        "fleet.sites.0.cooling.zones.0.mode=instantaneous",
        "fleet.sites.0.cooling.zones.0.ladder=null",
        "fleet.sites.0.cooling.zones.0.thermal_mass_mj_per_k=null",
        "fleet.sites.0.cooling.zones.0.capacity_scale=1.1",
        "fleet.sites.0.weather.wet_bulb_c.constant=20",
    ];
    let other = load_file(&path, &sets.map(String::from), catalog());
    assert_ne!(other.hash, resolved.hash);
    reads_back(&other);
    let fleet = Fleet::build(&other.scenario, &other.catalog, &other.base_dir).expect("a fleet");
    let facility = fleet.sites[0].facility.as_ref().expect("a facility");
    assert_eq!(facility.kinds[2], DeviceKind::UpsEco);
    assert_eq!(facility.zones[0].params.mode, Mode::Instantaneous);
    assert!((facility.zones[0].params.plant.capacity_w() - 0.264e6).abs() < 1e-6);
}

#[test]
fn what_cannot_be_simulated_yet_is_refused() {
    let pool = "nodes: 1,";
    refused(
        &[(pool, "nodes: 1, parallel: { pipeline: 2 },")],
        "10:86",
        &["must be 1", "stages of layers cannot be simulated yet"],
    );
    refused(&[(pool, "nodes: 1, serving: split,")], "10:73", &["unknown serving 'split'"]);
    refused(&[("duration_s: 60", "duration_s: 60\nfailures: [{}]")], "2:12", &["missing field 'of'"]);
}
