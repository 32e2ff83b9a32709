//! The week of `configs/big`: its rates are the formula of `traces/README.md` and nothing else, and both scenarios load.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use wattmill::workload::Workload;

use crate::support::{catalog, close, load_file};

/// Requests of the week, rates of the days from Sunday on [1/s], shapes of working days and of the weekend.
type Profile = (f64, [f64; 7], [f64; 8], [f64; 8]);

const CONVERSATION: Profile = (
    27.3e6,
    [28.745, 53.256, 55.181, 51.14, 51.543, 46.413, 29.694],
    [-0.184, -0.068, -0.025, 0.063, 0.044, 0.015, -0.027, 0.098],
    [-0.076, -0.174, 0.01, 0.044, 0.032, -0.013, -0.013, 0.03],
);
const CODE: Profile = (
    16.8e6,
    [10.981, 34.532, 36.976, 36.893, 35.496, 28.28, 11.285],
    [0.133, -0.92, -0.272, 0.058, -0.065, -0.022, -0.097, 0.108],
    [0.452, -0.37, -0.053, 0.108, -0.015, -0.025, -0.01, 0.013],
);

fn rate_per_s((_, days, working, weekend): &Profile, hour: usize) -> f64 {
    let day = hour / 24;
    let shape = if day == 0 || day == 6 { weekend } else { working };
    let angle = TAU * ((hour % 24) as f64 + 0.5) / 24.0;
    let swing: f64 = shape
        .chunks(2)
        .zip(1..)
        .map(|(ab, k)| ab[0] * (f64::from(k) * angle).cos() + ab[1] * (f64::from(k) * angle).sin())
        .sum();
    days[day] * (1.0 + swing)
}

#[test]
fn rates_are_the_formula_of_the_readme() {
    for (service, profile) in [("conversation", CONVERSATION), ("code", CODE)] {
        let path = format!("{}/traces/azure-2024-week-{service}.csv", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).expect("rates");
        let rows: Vec<(f64, f64)> = text
            .lines()
            .skip(1)
            .map(|row| row.split_once(',').expect("two columns"))
            .map(|(t, rate)| (t.parse().expect("time"), rate.parse().expect("rate")))
            .collect();
        assert_eq!(rows.len(), 7 * 24, "{service}");
        for (hour, &(time_s, rate)) in rows.iter().enumerate() {
            assert_eq!(time_s, 3600.0 * hour as f64, "{service}");
            // Rows are rounded to 0.0001.
            let formula = rate_per_s(&profile, hour);
            assert!((rate - formula).abs() < 1e-4, "{service}, hour {hour}: {rate}, not {formula}");
        }
        let count: f64 = rows.iter().map(|row| 3600.0 * row.1).sum();
        close(service, count, profile.0, 1e-5);
    }
}

#[test]
fn both_weeks_offer_the_same_requests_to_fleets_of_their_own() {
    let mut fleets = Vec::new();
    for name in ["azure-week", "azure-week-loaded"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/big/{name}.yaml"));
        let resolved = load_file(&path, &[], catalog());
        let workload = Workload::open(&resolved.scenario, &resolved.base_dir, &catalog()).expect("workload");
        let week_s = 7.0 * 86_400.0;
        for (mix, (count, ..)) in workload.mix().iter().zip([CONVERSATION, CODE]) {
            close(name, mix.requests_per_s.expect("an open loop") * week_s, count, 1e-5);
        }
        let sites = &resolved.scenario.fleet.sites;
        assert_eq!(sites.len(), 4, "{name}");
        let nodes: u32 = sites.iter().flat_map(|site| &site.pools).map(|pool| pool.nodes).sum();
        fleets.push(8 * nodes);
    }
    assert_eq!(fleets, [10_000, 352]);
}
