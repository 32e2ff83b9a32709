//! `configs/heat-wave.yaml`: which of four sites runs out of cooling, and when.

use std::path::Path;

use wattmill::ledger::outcome::{Constraint, SiteSummary};
use wattmill::{SimOptions, simulate};

use crate::support::{catalog, load_file};

const DAY_S: f64 = 86_400.0;
/// Wednesday to Friday.
const WAVE_S: (f64, f64) = (2.0 * DAY_S, 5.0 * DAY_S);

fn sites(sets: &[String]) -> Vec<SiteSummary> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/heat-wave.yaml");
    let outcome = simulate(&load_file(&path, sets, catalog()), &SimOptions::default());
    outcome.unwrap_or_else(|error| panic!("{error}")).summary.per_site
}

/// Stretches in which cooling binds a site [s].
fn bound(site: &SiteSummary) -> Vec<(f64, f64)> {
    let cooling = site.binding.timeline.iter().filter(|stretch| stretch.constraint == Constraint::Cooling);
    cooling.map(|stretch| (stretch.start_s, stretch.end_s)).collect()
}

/// Plants that lean on the outdoors bind in the afternoons of the wave and at no other time; a chiller, and pads in dry
/// air, carry it, and what they draw more stays below what the wave takes off their COP or adds to their fans.
#[test]
fn the_wave_binds_where_the_outdoors_cool() {
    let week = sites(&[]);
    let names: Vec<&str> = week.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["singapore", "dallas", "frankfurt", "dallas-warm-water"]);
    for (site, binds) in week.iter().zip([true, false, true, false]) {
        let hours = bound(site);
        let total_s: f64 = hours.iter().map(|(start, end)| end - start).sum();
        println!("{}: cooling binds {:.1} h, PUE {:.3}", site.name, total_s / 3600.0, site.pue);
        assert_eq!(total_s > 6.0 * 3600.0, binds, "{} {hours:?}", site.name);
        assert_eq!(hours.is_empty(), !binds, "{} {hours:?}", site.name);
        for (start, end) in &hours {
            assert!(*start >= WAVE_S.0 && *end <= WAVE_S.1, "{} {hours:?}", site.name);
            let (from_h, to_h) = (start % DAY_S / 3600.0, end % DAY_S / 3600.0);
            assert!(from_h >= 10.0 && to_h <= 22.0, "{} {hours:?}", site.name);
        }
        let days: Vec<i64> = hours.iter().map(|(start, _)| (start / DAY_S) as i64).collect();
        assert!(!binds || [2, 3, 4].iter().all(|day| days.contains(day)), "{} {days:?}", site.name);
        assert!(site.pue > 1.0);
    }
    let calm: Vec<String> = (0..4).map(|i| format!("fleet.sites.{i}.weather.spells=[]")).collect();
    let calm = sites(&calm);
    for (site, usual) in week.iter().zip(&calm) {
        assert!(bound(usual).is_empty(), "{} binds without a wave", usual.name);
        assert!(site.pue >= usual.pue, "{}: {} {}", site.name, site.pue, usual.pue);
    }
    // The air-cooled chiller serves all, and pays: 3 of about 21 K of lift, for three days of the week.
    assert!(week[1].pue - calm[1].pue > 0.005, "{} {}", week[1].pue, calm[1].pue);
}
