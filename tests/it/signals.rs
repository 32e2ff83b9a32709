//! Prices, carbon and courses of the cap: accounts against independent sums, and what is refused.

use std::fs;

use wattmill::ledger::outcome::{Outcome, SeriesRow};
use wattmill::report::summary_json;
use wattmill::scenario::{self, LoadOptions};
use wattmill::{EngineKind, SimOptions, simulate};

use crate::support::{catalog, close, load, load_file, run};

/// Six hours from half past ten at night: the load rises and falls, and so do losses, chiller and water.
const WORK: &str = "\
duration_s: 21600
start_at_h: 22.5
workload:
  classes:
    - name: work
      arrivals: { diurnal: { mean_per_s: 0.4, peak_to_mean: 1.8, peak_at_h: 1 } }
      lengths: { prompt: { constant: { tok: 20 } }, answer: { exponential: { mean_tok: 400, max_tok: 4096 } } }
fleet:
  sites:
    - name: here
";
const POOL: &str = "          model: Llama-3.1-8B
          gpu: H100-SXM-80GB
          nodes: 3
          parallel: { tensor: 8 }
          batching: { max_seqs: 8 }
          step_law:
            affine: { base_us: 20000, energy: { per_state: { idle_w: 2400, base_w: 5000, per_seq_w: 300 } } }
";
const PLAIN: &str = "      static_pue: 1.3\n";
const BUILDING: &str = "      power:
        tree:
          - { name: meter, device: { utility: { rated_mw: 0.1 } } }
          - { name: ups, parent: meter, zone: hall, device: { ups: { rated_mw: 0.05 } } }
          - { name: row, parent: ups, device: { pdu: { rated_mw: 0.05 } } }
          - { name: bus, parent: meter, device: { mechanical_bus: { rated_mw: 0.05 } } }
      weather: { wet_bulb_c: { daily: { min: 10, max: 20, max_at_h: 16 } }, dry_bulb_c: { constant: 25 } }
      cooling:
        zones:
          - name: hall
            feed: bus
            set_c: 27
            mode: instantaneous
            plant:
              tower_with_chiller:
                { capacity_mw: 0.03, chiller_share: 1, design_wet_bulb_c: 24, free_cooling_below_wet_bulb_c: 12,
                  approach_k: 4, fan_share: 0.02, pump_share: 0.02, chilled_water_c: 20, chiller_derate_per_k: 0.01,
                  carnot_share: 0.5, cycles_of_concentration: 5 }
";
/// By the local hour: 22, 23, 0, 1, 2, 3, 4.
const PRICES: [f64; 7] = [50.0, -20.0, 30.0, 30.0, 90.0, 70.0, 10.0];
const CARBON: [f64; 7] = [400.0, 420.0, 0.0, 300.0, 300.0, 250.0, 270.0];

/// The site with a building or a static PUE, and more of its keys.
fn scenario(building: bool, more: &str) -> String {
    let (around, place) =
        if building { (BUILDING, "          feed: row\n          zone: hall\n") } else { (PLAIN, "") };
    format!("{WORK}{around}{more}      pools:\n        - name: nodes\n{POOL}{place}")
}

/// 24 local hours that hold `of` from 22 o'clock on, and 1,000 where no run here comes.
fn hours(of: &[f64; 7]) -> String {
    let values: Vec<String> =
        (0..24).map(|hour: usize| of.get((hour + 2) % 24).map_or("1000".into(), f64::to_string)).collect();
    format!("{{ hours: [{}] }}", values.join(", "))
}

fn grid() -> String {
    format!("      grid: {{ price_usd_per_mwh: {}, carbon_g_per_kwh: {} }}\n", hours(&PRICES), hours(&CARBON))
}

/// Σ P·Δt·s over rows of which none crosses a full hour, from `from_s` on [J times the signal].
fn summed(series: &[SeriesRow], of: &[f64; 7], from_s: f64) -> f64 {
    let inside = series.iter().filter(|row| row.time_s >= from_s);
    inside
        .map(|row| row.facility_w * row.length_s * of[((row.time_s + 0.5 * 3600.0) / 3600.0) as usize])
        .sum()
}

/// The cost of a kilowatt-hour is its price, whatever the clock or the load does; so for carbon.
#[test]
fn accounts_are_watts_times_the_signal_of_the_hour() {
    for building in [false, true] {
        let text = scenario(building, &grid());
        let outcome = run(&load(&text, &["report.interval_s=20"]));
        let summary = &outcome.summary;
        let (usd, kg) =
            (summary.accounts.cost_usd.expect("a cost"), summary.accounts.carbon_kg.expect("carbon"));
        close("cost", usd, summed(&outcome.series, &PRICES, 0.0) / 3.6e9, 1e-9);
        close("carbon", kg, summed(&outcome.series, &CARBON, 0.0) / 3.6e9, 1e-9);
        let it_kwh = summary.energy_j.it / 3.6e6;
        close("CUE", summary.accounts.cue_kg_per_kwh.expect("CUE"), kg / it_kwh, 1e-12);

        // Sums are of the whole run, rates of the measured window: here from a quarter past midnight on.
        let warm = run(&load(&text, &["report.interval_s=20", "warm_up_s=6300"]));
        let summary = &warm.summary;
        assert_eq!(summary.accounts.cost_usd, Some(usd));
        let useful = summary.throughput.useful_tok_per_s * (21600.0 - 6300.0);
        let per_million = summary.cost_usd_per_million_useful_tok.expect("a cost of tokens");
        close("window", per_million * useful, summed(&warm.series, &PRICES, 6300.0) / 3.6e3, 1e-9);
        let grams = summary.carbon_g_per_million_useful_tok.expect("carbon of tokens");
        close("window", grams * useful, summed(&warm.series, &CARBON, 6300.0) / 3.6, 1e-9);

        // Both engines, and whatever is reported how often, the same to the last bit.
        let engine = SimOptions { engine: EngineKind::Stepwise, ..SimOptions::default() };
        let stepwise = simulate(&load(&text, &["report.interval_s=20"]), &engine).expect("runs");
        assert_eq!(stepwise.summary.accounts, outcome.summary.accounts);
        for interval_s in [7.0, 3600.0, 20_000.0] {
            let other = run(&load(&text, &[&format!("report.interval_s={interval_s}")]));
            assert_eq!(other.summary.accounts, outcome.summary.accounts, "every {interval_s} s");
        }
    }
}

#[test]
fn a_negative_price_earns() {
    let price = "      grid: { price_usd_per_mwh: { constant: -20 } }\n";
    let summary = run(&load(&scenario(false, price), &[])).summary;
    close(
        "cost",
        summary.accounts.cost_usd.expect("a cost"),
        -20.0 * summary.energy_j.facility / 3.6e9,
        1e-12,
    );
    assert_eq!(summary.accounts.carbon_kg, None);
    // A cosine over whole days is its mean for a constant load; here: within its bounds.
    let daily = "      grid: { carbon_g_per_kwh: { daily: { min: 100, max: 300, max_at_h: 13 } } }\n";
    let summary = run(&load(&scenario(false, daily), &[])).summary;
    let mean = summary.accounts.carbon_kg.expect("carbon") / (summary.energy_j.facility / 3.6e6) * 1000.0;
    assert!(mean > 100.0 && mean < 160.0, "from half past ten at night to half past four: {mean} g/kWh");
}

/// At 1 $/l before midnight and nothing after, water costs what a run up to midnight evaporates.
#[test]
fn water_is_paid_at_the_price_of_its_hour() {
    let price = hours(&[1000.0, 1000.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let text = scenario(true, &format!("      grid: {{ water_usd_per_m3: {price} }}\n"));
    let whole = run(&load(&text, &[])).summary.accounts;
    let evening = run(&load(&text, &["duration_s=5400"])).summary.accounts;
    let (litres, usd) = (evening.water_l.expect("water"), whole.cost_usd.expect("a cost"));
    assert!(litres > 1.0 && whole.water_l > evening.water_l);
    close("evening", evening.cost_usd.expect("a cost"), litres, 1e-9);
    close("whole", usd, litres, 1e-9);
    let wue = whole.wue_l_per_kwh.expect("WUE");
    let summary = run(&load(&scenario(true, ""), &[])).summary;
    close("WUE", wue, summary.accounts.water_l.expect("water") / (summary.energy_j.it / 3.6e6), 1e-12);
    // Electricity comes on top.
    let both = scenario(
        true,
        &format!("      grid: {{ water_usd_per_m3: {price}, price_usd_per_mwh: {{ constant: 50 }} }}\n"),
    );
    let both = run(&load(&both, &[])).summary;
    close("both", both.accounts.cost_usd.expect("a cost"), usd + 50.0 * both.energy_j.facility / 3.6e9, 1e-9);
}

#[test]
fn ratios_are_those_of_the_energies() {
    let summary = run(&load(&scenario(true, ""), &[])).summary;
    let (energy, accounts) = (&summary.energy_j, &summary.accounts);
    let by =
        |name: &str| energy.by.building.iter().filter(|p| p.0.starts_with(name)).map(|p| p.1).sum::<f64>();
    let (chain, cooling) = (accounts.ppue.power_chain.expect("pPUE"), accounts.ppue.cooling.expect("pPUE"));
    close("power chain", chain - 1.0, by("loss_") / energy.it, 1e-12);
    close("cooling", cooling - 1.0, (by("fans") + by("pumps") + by("chiller")) / energy.it, 1e-12);
    close("they add up to PUE", chain + cooling - 1.0, summary.pue.mean, 1e-12);
    close("ITUE", accounts.itue.expect("ITUE"), energy.it / energy.gpu, 1e-12);
    close("TUE", accounts.tue.expect("TUE"), energy.facility / energy.gpu, 1e-12);
    // What the scenario does not say is not known.
    assert_eq!((accounts.carbon_kg, accounts.cost_usd, accounts.cue_kg_per_kwh), (None, None, None));
    let plain = run(&load(&scenario(false, &grid()), &[])).summary;
    let unknown = &plain.accounts;
    assert_eq!((unknown.water_l, unknown.wue_l_per_kwh), (None, None));
    assert_eq!((unknown.ppue.power_chain, unknown.ppue.cooling), (None, None));
    // Of two sites, one with a price: it has a cost, the fleet has none.
    let text = format!(
        "{}    - name: there\n      pools:\n        - name: others\n{POOL}",
        scenario(false, &grid())
    );
    let two = run(&load(&text, &["duration_s=600"])).summary;
    assert!(two.per_site[0].accounts.cost_usd.is_some() && two.per_site[1].accounts.cost_usd.is_none());
    assert_eq!((two.accounts.cost_usd, two.cost_usd_per_million_useful_tok), (None, None));
    assert!(two.accounts.itue.is_some());
}

/// Prices change nothing but the accounts.
#[test]
fn a_price_moves_nothing() {
    for building in [false, true] {
        let (with, without) =
            (run(&load(&scenario(building, &grid()), &[])), run(&load(&scenario(building, ""), &[])));
        assert_eq!(format!("{:?}", with.series), format!("{:?}", without.series));
        assert_eq!(with.requests, without.requests);
        assert_eq!(format!("{:?}", with.summary.power_w), format!("{:?}", without.summary.power_w));
    }
}

/// What generators give is not bought from the grid.
#[test]
fn an_outage_costs_nothing_at_the_meter() {
    let price = "      grid: { price_usd_per_mwh: { constant: 3600 } }\n";
    let tree = BUILDING
        .replace("name: ups, parent: meter,", "name: ups, parent: meter, backups: [gen],")
        .replace("name: bus, parent: meter,", "name: bus, parent: meter, backups: [gen],")
        .replace("        tree:\n", "        tree:\n          - { name: gen, device: { generator: { rated_mw: 0.1, start_s: 20 } } }\n");
    let fails = "failures:\n  - { of: { device: meter }, when: { at: [{ at_h: 23, for_h: 0.5 }] } }\n";
    let text = format!("{}{fails}", scenario(true, price).replace(BUILDING, &tree));
    let outcome = run(&load(&text, &["report.interval_s=20", "duration_s=7200"]));
    let energy_j = |inside: bool| -> f64 {
        let rows = outcome.series.iter().filter(|row| (1800.0..3600.0).contains(&row.time_s) == inside);
        rows.map(|row| row.facility_w * row.length_s).sum()
    };
    assert!(energy_j(true) > 1e6, "the generator carries the load: {}", energy_j(true));
    close("cost", outcome.summary.accounts.cost_usd.expect("a cost"), energy_j(false) * 1e-6, 1e-9);
    let told = format!("generators of here gave {:.1} kWh", energy_j(true) / 3.6e6);
    assert!(
        outcome.summary.notes.iter().any(|note| note.contains(&told)),
        "{told}: {:?}",
        outcome.summary.notes
    );
}

/// `summary.json` and the series of a run under a cap with this course, but for the scenario's hash.
fn capped(building: bool, fraction: &str) -> (String, String) {
    let power = format!("cap_mw: 0.028, cap_fraction: {fraction}");
    let text = if building {
        let power =
            format!("        {}\n        tree:\n", power.replace(", cap_fraction", "\n        cap_fraction"));
        scenario(true, "").replace("        tree:\n", &power)
    } else {
        scenario(false, &format!("      power: {{ {power} }}\n"))
    };
    let outcome = run(&load(&text, &[]));
    strip(&outcome)
}

fn strip(outcome: &Outcome) -> (String, String) {
    let json = summary_json(outcome);
    let lines: Vec<&str> = json.lines().filter(|line| !line.contains("\"hash\"")).collect();
    (lines.join("\n"), format!("{:?}", outcome.series))
}

#[test]
fn windows_are_steps_there_and_back() {
    let windows = "{ windows: [{ at_h: 20, for_h: 3, value: 0.8 }, { at_h: 24, for_h: 0.75, value: 0.6 }, \
                   { at_h: 24.75, for_h: 0.5, value: 0.7 }, { at_h: 26, for_h: 24, value: 0.9 }] }";
    let steps = "{ steps: [{ at_h: 20, value: 0.8 }, { at_h: 23, value: 1 }, { at_h: 24, value: 0.6 }, \
                 { at_h: 24.75, value: 0.7 }, { at_h: 25.25, value: 1 }, { at_h: 26, value: 0.9 }] }";
    for building in [false, true] {
        assert_eq!(capped(building, windows), capped(building, steps));
        assert_ne!(capped(building, windows), capped(building, "{ constant: 1 }"));
    }
}

#[test]
fn tables_are_courses_by_the_hour() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("a file");
    let ran = |more: &str, sets: &[&str]| {
        file("a.yaml", &scenario(false, more));
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        strip(&run(&load_file(&dir.path().join("a.yaml"), &sets, catalog())))
    };
    // 25 rows: the second day begins with the last, and the third with the first again.
    let mut rows = String::from("hour,share\n");
    for hour in 0..25 {
        rows += &format!(
            "{hour},{}\n",
            if hour == 23 {
                0.7
            } else if hour == 24 {
                0.6
            } else {
                1.0
            }
        );
    }
    file("cap.csv", &rows);
    let table =
        ran("      power: { cap_mw: 0.028, cap_fraction: { csv: { path: cap.csv, column: share } } }\n", &[]);
    let steps = "{ steps: [{ at_h: 23, value: 0.7 }, { at_h: 24, value: 0.6 }, { at_h: 25, value: 1 }] }";
    let by_steps = ran(&format!("      power: {{ cap_mw: 0.028, cap_fraction: {steps} }}\n"), &[]);
    assert_eq!(table, by_steps);
    let prices: Vec<String> =
        (0..24).map(|h: usize| PRICES.get((h + 2) % 24).map_or("1000".into(), f64::to_string)).collect();
    file("price.csv", &format!("usd\n{}\n", prices.join("\n")));
    let by_table = ran("      grid: { price_usd_per_mwh: { csv: { path: price.csv, column: usd } } }\n", &[]);
    let by_hours = ran(&format!("      grid: {{ price_usd_per_mwh: {} }}\n", hours(&PRICES)), &[]);
    assert_eq!(by_table, by_hours);
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("bad.csv"), "usd\n50\n-1\n").expect("a file");
    let said = |building: bool, more: &str, words: &[&str]| {
        let path = dir.path().join("a.yaml");
        fs::write(&path, scenario(building, more)).expect("a scenario");
        let refusal = match scenario::load(&path, &LoadOptions::new(catalog())) {
            Err(error) => error.to_string(),
            Ok(resolved) => match simulate(&resolved, &SimOptions::default()) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("not refused: {more}"),
            },
        };
        for word in words {
            assert!(refusal.contains(word), "expected '{word}' in: {refusal}");
        }
    };
    let grid = |text: &str| format!("      grid: {{ {text} }}\n");
    said(false, &grid("water_usd_per_m3: { constant: 2 }"), &["grid.water_usd_per_m3", "add cooling"]);
    said(false, &grid("carbon_g_per_kwh: { constant: -1 }"), &["carbon_g_per_kwh.constant", "0 to"]);
    said(false, &grid("price_usd_per_mwh: { hours: [1, 2] }"), &["24 values", "has 2"]);
    said(
        false,
        &grid("price_usd_per_mwh: { daily: { min: 3, max: 1, max_at_h: 3 } }"),
        &["at least min (3)"],
    );
    said(false, &grid("price: { constant: 1 }"), &["price_usd_per_mwh"]);
    let table = "csv: { path: bad.csv, column: usd }";
    said(false, &grid(&format!("carbon_g_per_kwh: {{ {table} }}")), &["bad.csv:3:1", "`-1`", "0 or above"]);
    said(
        false,
        &grid("carbon_g_per_kwh: { csv: { path: none.csv, column: usd } }"),
        &["there is no such file"],
    );
    let cap = |text: &str| format!("      power: {{ cap_mw: 1, cap_fraction: {{ {text} }} }}\n");
    said(false, &cap("windows: []"), &["windows", "is empty"]);
    let overlapping = "windows: [{ at_h: 1, for_h: 2, value: 0.5 }, { at_h: 2, for_h: 1, value: 0.5 }]";
    said(false, &cap(overlapping), &["windows.1.at_h", "at least 3", "may not overlap"]);
    said(false, &cap("windows: [{ at_h: 1, for_h: 0, value: 0.5 }]"), &["windows.0.for_h", "above 0"]);
    said(false, &cap(table), &["bad.csv:2:1", "above 0, at most 10"]);
}
