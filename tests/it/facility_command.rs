//! `wattmill facility`: the building alone, point by point.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::close;

const HEADER: &str = "wet_bulb_c,it_mw,dry_bulb_c,pue,it_w,loss_w,cooling_w,water_l_per_h,limit";

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)
}

/// Ask `scenario` about the points of a file `p.csv`.
fn ask(scenario: &Path, points: &str, extra: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("p.csv"), points).expect("points");
    Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir.path())
        .arg("facility")
        .arg(scenario)
        .args(["--points", "p.csv"])
        .args(extra)
        .output()
        .expect("wattmill runs")
}

/// A row of the answer; empty numbers are NaN.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    wet_bulb_c: f64,
    it_mw: f64,
    dry_bulb_c: f64,
    pue: f64,
    it_w: f64,
    loss_w: f64,
    cooling_w: f64,
    water_l_per_h: f64,
    limit: String,
}

#[track_caller]
fn answered(scenario: &Path, points: &str, extra: &[&str]) -> Vec<Row> {
    let output = ask(scenario, points, extra);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.is_empty(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some(HEADER));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), 9, "{line}");
            let number =
                |i: usize| if fields[i].is_empty() { f64::NAN } else { fields[i].parse().expect(line) };
            Row {
                wet_bulb_c: number(0),
                it_mw: number(1),
                dry_bulb_c: number(2),
                pue: number(3),
                it_w: number(4),
                loss_w: number(5),
                cooling_w: number(6),
                water_l_per_h: number(7),
                limit: fields[8].into(),
            }
        })
        .collect()
}

/// Points from −20 to 45 °C at each IT power.
fn grid(it_mw: &[f64]) -> String {
    let mut text = String::from("wet_bulb_c,it_mw\n");
    for wet in -20..=45 {
        for it in it_mw {
            text += &format!("{wet},{it}\n");
        }
    }
    text
}

#[test]
fn power_adds_up_in_all_weathers_and_rises_with_it() {
    let it_mw = [0.01, 0.05, 0.1, 0.12, 0.15, 0.2, 0.3];
    let instantaneous = [
        "--set",
        "fleet.sites.0.cooling.zones.0.mode=instantaneous",
        "--set",
        "fleet.sites.0.cooling.zones.0.ladder=null",
        "--set",
        "fleet.sites.0.cooling.zones.0.thermal_mass_mj_per_k=null",
    ];
    for extra in [&[][..], &instantaneous] {
        let rows = answered(&config("hot-day.yaml"), &grid(&it_mw), extra);
        assert_eq!(rows.len(), 66 * it_mw.len());
        for (i, row) in rows.iter().enumerate() {
            let asked = (-20.0 + (i / it_mw.len()) as f64, it_mw[i % it_mw.len()]);
            assert_eq!((row.wet_bulb_c, row.it_mw), asked, "the order of the points");
            assert_eq!(row.dry_bulb_c, row.wet_bulb_c, "the default");
            assert!(row.pue >= 1.0 && row.loss_w > 0.0 && row.cooling_w > 0.0, "{row:?}");
            assert!((row.it_w - row.it_mw * 1e6).abs() < 1e-3);
            // Watts have three decimals, the PUE six.
            let sum = row.it_w + row.loss_w + row.cooling_w;
            assert!((row.pue * row.it_w - sum).abs() < 0.01 + 1e-6 * row.it_w, "{row:?}");
        }
        for pair in rows.windows(2).filter(|pair| pair[0].wet_bulb_c == pair[1].wet_bulb_c) {
            let (less, more) = (&pair[0], &pair[1]);
            assert!(more.loss_w > less.loss_w && more.cooling_w >= less.cooling_w, "{less:?} {more:?}");
            assert!(more.water_l_per_h > less.water_l_per_h, "{less:?} {more:?}");
            assert!(less.limit.is_empty() || !more.limit.is_empty(), "{less:?} {more:?}");
        }
        // What cannot be borne in some air cannot be borne in warmer air.
        for i in it_mw.len()..rows.len() {
            let (cooler, warmer) = (&rows[i - it_mw.len()], &rows[i]);
            assert!(cooler.limit.is_empty() || !warmer.limit.is_empty(), "{cooler:?} {warmer:?}");
        }
    }
}

/// `configs/hot-day.yaml` at 100 kW of IT and 24 °C wet bulb, by hand. 32 GPUs of 224 hang from row-a, so
/// 100/7 = 14.285714 kW; 600/7 = 85.714286 kW from row-b.
///
/// - PDUs, S·(0.001 + 0.008·x²): row-a 50 + 400·0.285714² = 82.653 W, row-b 250 + 2000·0.342857² = 485.102 W;
/// - UPS puts out 100,567.755 W, x = 0.372473 of 270 kW: 270,000·(0.010 + 0.020·x + 0.015·x²) = 5,273.24 W;
/// - heat of the hall: 100,000 + 82.653 + 485.102 + 5,273.24 = 105,841.00 W;
/// - tower alone: 0.24 MW/(31 − 26) K·(31 − 28) K = 144 kW, so fans 4,800·(105.841/144)³ = 1,905.98 W, pumps
///   3,600·(105.841/240)³ = 308.77 W, no compressor: 2,214.75 W;
/// - the transformer puts out 105,841.00 + 2,214.75 = 108,055.75 W, x = 0.308731 of 350 kW:
///   350,000·(0.002 + 0.008·x²) = 966.88 W;
/// - water: 105,841.00/2.4298e6·(1 + 1/4) kg/s·3600 s/h = 196.02 l/h.
///
/// So losses of 6,807.88 W and a PUE of 1 + (6,807.88 + 2,214.75)/100,000 = 1.090226.
#[test]
fn a_point_of_the_hot_day_by_hand() {
    let row = &answered(&config("hot-day.yaml"), "wet_bulb_c,it_mw\n24,0.1\n", &[])[0];
    close("losses", row.loss_w, 6807.88, 1e-5);
    close("cooling", row.cooling_w, 2214.75, 1e-5);
    close("PUE", row.pue, 1.090_226, 1e-6);
    close("water", row.water_l_per_h, 196.02, 1e-4);
    assert_eq!(row.limit, "");
}

/// At 27.6 °C the plant rejects 91.853 + 1.4·48 = 159.05 kW at hold_c: 0.16 MW of IT is too much heat. In
/// cool air the UPS (270 kW) comes before row-b (250 kW for 6/7 of it). The
/// meter forbids as much by its cap unless that is lifted; a cap far below forbids everything, even the plant alone.
#[test]
fn what_forbids_a_point_is_named() {
    let points = "wet_bulb_c,it_mw\n27.6,0.16\n10,0.3\n10,0\n";
    let limits = |extra: &[&str]| -> Vec<String> {
        answered(&config("hot-day.yaml"), points, extra).into_iter().map(|row| row.limit).collect()
    };
    let lifted = ["--set", "fleet.sites.0.power.cap_mw=1"];
    assert_eq!(limits(&lifted), ["dallas.hall", "dallas.ups", ""]);
    assert_eq!(limits(&["--set", "fleet.sites.0.power.cap_mw=0.1"])[..2], ["dallas.meter"; 2]);
    assert_eq!(limits(&["--set", "fleet.sites.0.power.cap_mw=0.001"]), ["dallas.meter"; 3]);
    let steps = "fleet.sites.0.power.cap_fraction={steps: [{at_h: 0, value: 0.001}, {at_h: 1, value: 5}]}";
    assert_eq!(limits(&["--set", steps]), limits(&lifted), "the highest level counts");
    let idle = answered(&config("hot-day.yaml"), points, &[]).pop().expect("three rows");
    assert!(idle.pue.is_nan() && idle.loss_w > 0.0 && idle.limit.is_empty(), "{idle:?}");
}

#[test]
fn columns_go_by_name_and_dry_coolers_by_the_dry_bulb() {
    let cooler = "fleet.sites.0.cooling.zones.0.plant={ dry_cooler: { capacity_mw: 0.24, design_dry_bulb_c: 25, fan_share: 0.02, pump_share: 0.01 } }";
    let points = "it_mw,dry_bulb_c,wet_bulb_c\n0.1,20,10\n0.1,28,10\n";
    let rows = answered(&config("hot-day.yaml"), points, &["--set", cooler]);
    assert_eq!((rows[0].wet_bulb_c, rows[0].it_mw, rows[0].dry_bulb_c), (10.0, 0.1, 20.0));
    assert!(rows[1].cooling_w > rows[0].cooling_w, "{rows:?}");
    assert!(rows.iter().all(|row| row.water_l_per_h == 0.0));
    let tower = answered(&config("hot-day.yaml"), points, &[]);
    assert_eq!(tower[0].cooling_w, tower[1].cooling_w, "a tower sees the wet bulb only");
}

/// Refused with exit 2, an empty stdout and a text that has all `words`.
#[track_caller]
fn refused(scenario: &Path, points: &str, extra: &[&str], words: &[&str]) {
    let output = ask(scenario, points, extra);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    for word in words {
        assert!(stderr.contains(word), "expected '{word}' in: {stderr}");
    }
}

#[test]
fn bad_points_are_refused_with_their_place() {
    for (points, words) in [
        (
            "wet_bulb_c,it_mw\n20,0.1\n20,lots\n",
            &["p.csv:3:4:", "`it_mw` = `lots` is no IT power", "0 to"][..],
        ),
        ("wet_bulb_c,it_mw\n20,-0.1\n", &["p.csv:2:4:", "is no IT power"]),
        ("wet_bulb_c,it_mw\n20,NaN\n", &["p.csv:2:4:"]),
        ("wet_bulb_c,it_mw\n200,0.1\n", &["p.csv:2:1:", "is no outdoor temperature", "-90 to 60"]),
        ("wet_bulb_c,it_mw\n20,\n", &["p.csv:2:4:", "`it_mw` is empty"]),
        ("wet_bulb_c,it_mw\n20\n", &["p.csv:2:1:", "the row has 1 field, the header 2"]),
        ("wet_bulb_c,it_mw,dry_bulb_c\n20,0.1,19\n", &["p.csv:2:8:", "below the wet bulb (20 °C)"]),
        ("wet_bulb_c,it_mw,dry_bulb\n20,0.1,30\n", &["p.csv:1:18:", "did you mean 'dry_bulb_c'"]),
        ("wet_bulb_c\n20\n", &["p.csv:1:", "there is no column `it_mw`"]),
        ("wet_bulb_c,it_mw\n", &["--points", "p.csv", "no rows"]),
        ("", &["--points", "p.csv", "is empty"]),
    ] {
        refused(&config("hot-day.yaml"), points, &[], words);
    }
}

#[test]
fn a_site_without_building_is_refused() {
    let points = "wet_bulb_c,it_mw\n20,0.1\n";
    let place = "power-crunch.yaml:";
    refused(
        &config("power-crunch.yaml"),
        points,
        &[],
        &[place, "'campus' has no power tree", "1.25", "power.tree"],
    );
    refused(
        &config("hot-day.yaml"),
        points,
        &["--site", "dalas"],
        &["--site dalas", "did you mean 'dallas'"],
    );
    let named = answered(&config("hot-day.yaml"), points, &["--site", "dallas"]);
    assert_eq!(named, answered(&config("hot-day.yaml"), points, &[]));
}

/// The second site is the hall of the hot day at half its losses in the UPS.
#[test]
fn the_site_is_chosen_by_name() {
    let text = fs::read_to_string(config("hot-day.yaml")).expect("a scenario");
    let (head, rest) = text.split_once("    - name: dallas\n").expect("the site");
    let (site, tail) = rest.split_once("\nfailures:").expect("the end of the site");
    let eco = site.replace("mode: double_conversion", "mode: eco");
    let two = format!("{head}    - name: dallas\n{site}\n    - name: austin\n{eco}\nfailures:{tail}");
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("two.yaml");
    fs::write(&path, two).expect("scenario");
    let points = "wet_bulb_c,it_mw\n27.6,0.2\n";
    let [first, second] =
        ["dallas", "austin"].map(|name| answered(&path, points, &["--site", name]).remove(0));
    assert_eq!(answered(&path, points, &[])[0], first, "the first without --site");
    assert!(second.loss_w < first.loss_w);
    assert!(second.limit.starts_with("austin."), "{second:?}");
}
