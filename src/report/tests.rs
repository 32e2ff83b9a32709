//! Result folders as a whole, and the figures of made-up runs.

use std::fs;

use super::*;
use crate::ledger::outcome::{Constraint, RequestOutcome, RequestRow};

fn samples() -> Vec<(&'static str, Outcome)> {
    vec![
        ("day", sample::day()),
        ("drawn", sample::drawn()),
        ("one_row", sample::one_row()),
        ("week", sample::week()),
        ("idle", sample::idle()),
        ("empty", sample::empty()),
        ("hot_day", sample::hot_day()),
        ("three_sites", sample::three_sites()),
        ("four_halls", sample::four_halls()),
    ]
}

#[test]
fn writes_all_files_replaces_them_and_leaves_nothing_beside() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("result");
    let mut outcome = sample::one_row();
    outcome.requests = Some(vec![RequestRow {
        index: 0,
        class: 0,
        arrival_fs: 5,
        first_token_fs: None,
        finish_fs: None,
        prompt_tok: 1,
        cached_tok: None,
        output_tok: 1,
        thinking_tok: 0,
        attempt: crate::workload::Attempt::NONE,
        replica: None,
        outcome: RequestOutcome::InFlight,
        legs: 1,
        spent_tok: 1,
    }]);
    let paths = write(&dir, &outcome, "duration_s: 60\n", true).unwrap();
    let names: Vec<String> =
        paths.iter().map(|p| p.strip_prefix(&dir).unwrap().to_str().unwrap().replace('\\', "/")).collect();
    assert_eq!(
        names,
        [
            "scenario.resolved.yaml",
            "summary.json",
            "timeseries.csv",
            "requests.csv",
            "report.html",
            "figures/binding.svg",
            "figures/binding.png",
            "figures/binding.csv",
            "figures/binding_ribbon.csv",
            "figures/power.svg",
            "figures/power.png",
            "figures/power.csv",
            "figures/duration.svg",
            "figures/duration.png",
            "figures/duration.csv",
            "figures/energy_flow.svg",
            "figures/energy_flow.png",
            "figures/energy_flow.csv",
        ]
    );
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "png")) {
        let bytes = fs::read(path).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n") && (10_000..400_000).contains(&bytes.len()));
    }
    let bytes = |paths: &[PathBuf]| paths.iter().map(|p| fs::read(p).unwrap()).collect::<Vec<_>>();
    let first = bytes(&paths);
    assert_eq!(inspect(&dir).unwrap(), Found::Result { hash: outcome.summary.scenario.hash.clone() });

    // Another clock, the same bytes; a stray file of the old result goes.
    fs::write(dir.join("stray"), "x").unwrap();
    outcome.summary.engine.wall_s = Some(99.0);
    let again = write(&dir, &outcome, "duration_s: 60\n", true).unwrap();
    assert_eq!(paths, again);
    assert!(first == bytes(&again));
    assert!(!dir.join("stray").exists());

    outcome.requests = None;
    assert_eq!(write(&dir, &outcome, "", false).unwrap().len(), 3);
    assert!(!dir.join("figures").exists());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

/// Every element is closed, every attribute quoted, no character that XML forbids.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'));
        let end = start + rest[start..].find('>').expect("a tag is closed");
        let tag = &rest[start + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!tag.contains("NaN") && !tag.contains("inf"), "{tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty());
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
}

fn column(csv: &str, name: &str) -> Vec<f64> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|h| h == name).unwrap();
    reader.records().map(|r| r.unwrap()[at].parse().unwrap_or(0.0)).collect()
}

#[test]
fn figures_of_all_kinds_of_run_are_sound() {
    for (name, outcome) in samples() {
        // To look at the pictures: WATTMILL_FIGURES=some/folder cargo test figures_of_all_kinds
        if let Some(keep) = std::env::var_os("WATTMILL_FIGURES") {
            let start = std::time::Instant::now();
            for path in write(&PathBuf::from(keep).join(name), &outcome, "", true).unwrap() {
                let size = fs::metadata(&path).unwrap().len();
                assert!(path.extension().is_none_or(|e| e != "png") || size < 400_000, "{}", path.display());
            }
            println!("{name}: {:?}", start.elapsed());
        }
        let texts = figures::texts(&outcome);
        let read = |file: &str| texts.iter().find(|t| t.0 == file).unwrap().1.clone();
        for (_, svg) in texts.iter().filter(|t| t.0.ends_with(".svg")) {
            assert_well_formed(svg);
        }
        let drawn = |file: &str| texts.iter().any(|t| t.0 == file);
        let building = ["hot_day", "four_halls"].contains(&name);
        assert_eq!(drawn("temperature.csv"), building);
        assert_eq!(drawn("pue.csv"), building);
        assert_eq!(drawn("headroom.csv"), building, "left out without a power tree");
        assert_eq!(drawn("power_cdf.csv"), building);
        assert_eq!(drawn("energy_per_token.csv"), !["one_row", "idle", "empty"].contains(&name), "{name}");
        assert_eq!(drawn("energy_flow.csv"), name != "empty");
        if drawn("energy_flow.csv") {
            let sum: f64 = column(&read("energy_flow.csv"), "energy_j").iter().sum();
            let facility = outcome.summary.energy_j.facility;
            assert!((sum - facility).abs() <= 1e-9 * facility, "{name}: {sum} {facility}");
        }

        // What is drawn sums to what happened.
        let lengths = |csv: &str| -> Vec<f64> {
            let starts = column(csv, "start_s");
            column(csv, "end_s").iter().zip(starts).map(|(e, s)| e - s).collect()
        };
        let power = read("power.csv");
        let energy = &outcome.summary.energy_j;
        for (key, joules) in [
            ("gpu_active_w", energy.by.gpu_active),
            ("gpu_idle_w", energy.by.gpu_idle),
            ("node_overhead_w", energy.by.node_overhead),
            ("pue_overhead_w", energy.by.pue_overhead),
            ("facility_w", energy.facility),
        ] {
            let drawn: f64 = column(&power, key).iter().zip(lengths(&power)).map(|(w, s)| w * s).sum();
            assert!((drawn - joules).abs() <= 1e-9 * joules.max(1.0), "{name} {key}: {drawn} {joules}");
        }
        let binding = read("binding.csv");
        let drawn: f64 =
            column(&binding, "output_tok_per_s").iter().zip(lengths(&binding)).map(|(w, s)| w * s).sum();
        assert!((drawn - outcome.summary.tokens.output as f64).abs() <= 1.0, "{name}");
        let ribbon = read("binding_ribbon.csv");
        let rows = match outcome.summary.per_site.len() {
            1 => 1.0,
            n => n as f64,
        };
        let total: f64 = lengths(&ribbon).iter().sum();
        assert!((total - rows * outcome.summary.scenario.duration_s).abs() < 1e-6, "{name}: {total}");
        for row in 0..column(&ribbon, "start_s").len() {
            let keys = Constraint::ALL.map(|c| format!("share_{}", c.key()));
            let sum: f64 = keys.iter().map(|k| column(&ribbon, k)[row]).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{name} {row}");
            if row > 20 {
                break;
            }
        }
    }
}

#[test]
fn draws_are_rows_and_brackets() {
    let outcome = sample::drawn();
    let csv = draws::csv(outcome.draws.as_ref().unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 21);
    let header = csv.lines().next().unwrap();
    assert!(header.starts_with("draw,failed,output_tok_per_s,useful_tok_per_s,j_per_output_token.gpu,"));
    assert!(
        header.ends_with(
            "first.power_s,first.cooling_s,coefficient.hopper.weight_mbu,coefficient.power.p0_tdp"
        )
    );
    assert_eq!(column(&csv, "coefficient.power.p0_tdp"), [0.4; 20]);
    assert!(csv.lines().nth(4).unwrap().starts_with("3,\"fleet: a step could take 1e9 s, at most 1e7 s\",,"));
    let texts = figures::texts(&outcome);
    let of = |file: &str| texts.iter().find(|t| t.0 == file).unwrap().1.clone();
    let changes = of("binding_changes.csv");
    let expected = &outcome.summary.uncertainty.as_ref().unwrap().changes;
    assert_eq!(changes.lines().count(), expected.len() + 1);
    assert_eq!(column(&changes, "at_s"), expected.iter().map(|c| c.at_s).collect::<Vec<_>>());
    assert!(of("binding.svg").contains("brackets: 5 to 95 % of 20 draws"));
}

#[test]
fn the_page_holds_its_figures_and_loads_nothing() {
    let theme = Theme::default();
    for (name, mut outcome) in samples() {
        outcome.summary.notes.push("a <script> & \"more\"".to_string());
        let drawn = figures::draw(&outcome, &theme);
        let page = html::page(&outcome, "a: <b>\nc: 1\n", &drawn);
        assert_eq!(page.matches("<svg ").count(), drawn.len(), "{name}");
        assert_well_formed(&page.split_once("<body>").unwrap().1.replace("</body>\n</html>\n", ""));
        let addresses = page.matches("http").count();
        assert_eq!(addresses, drawn.len(), "only the name space of SVG");
        for part in ["src=", "@import", "url(", "<script"] {
            assert!(!page.contains(part), "{name}: {part}");
        }
        assert!(page.contains("<pre>a: &lt;b&gt;\nc: 1</pre>") && page.contains("&lt;script&gt;"));
    }
}

#[test]
fn the_terminal_summary_fits_its_width() {
    for (name, outcome) in samples() {
        for width in [56, 80, 100] {
            let text = terminal(&outcome, width, false);
            if std::env::var_os("WATTMILL_FIGURES").is_some() && width == 80 {
                println!("{text}{}", terminal_footer(&[PathBuf::from("output/x/summary.json")]));
                println!("{}", terminal(&outcome, width, true));
            }
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{name} at {width}: {line}");
                assert!(line.trim_end() == line, "trailing space: {line:?}");
            }
            assert!(!text.contains("NaN") && !text.contains('\u{1b}'));
            let coloured = terminal(&outcome, width, true);
            assert!(coloured.contains("\u{1b}["));
        }
    }
    let drawn = terminal(&sample::drawn(), 80, false);
    for part in ["20 draws", "power binds from", "in 95 %", "1 of 20 draws could not be built", "guesses"] {
        assert!(drawn.contains(part), "{part} is missing:\n{drawn}");
    }
    let day = terminal(&sample::day(), 80, false);
    for part in ["dallas.meter", "10:00", "J/output token", "SLO", "in flight", "shortest"] {
        assert!(day.contains(part), "{part} is missing:\n{day}");
    }
}
