//! Figures of sweeps: their geometry against the closed form, what is written in them, and what is refused.

use std::fs;
use std::path::Path;

use super::figures::{self, sweep};
use super::points::Points;
use super::redraw::{self, Asked, Subject};
use super::{THEMES, Theme, sample};
use crate::ledger::outcome::Constraint;

const NODE_MW: f64 = 0.010_401;
const NODE_TOK_PER_S: f64 = 102_909.0;

/// The closed form of the Token Production Function: 1,000 nodes under a cap, over PUE and cap, a row per point.
fn closed_form(pues: usize, caps: usize, seeds: usize) -> String {
    let shares: Vec<String> = Constraint::ALL.iter().map(|c| format!("binding.share.{}", c.key())).collect();
    let mut out = format!(
        "point_id,replication,seed,site.pue,power.cap_mw,throughput.output_tok_per_s,throughput.useful_tok_per_s,\
         power_w.facility.mean,latency_s.tpot.mean,latency_s.ttft.p99,latency_s.tpot.p99,slo_attainment,\
         j_per_output_token.gpu,j_per_output_token.it,j_per_output_token.facility,{},error\n",
        shares.join(",")
    );
    let step = |from: f64, to: f64, k: usize, n: usize| from + (to - from) * k as f64 / (n.max(2) - 1) as f64;
    for i in 0..pues {
        for j in 0..caps {
            for seed in 0..seeds {
                let (pue, cap) = (step(1.05, 1.60, i, pues), step(4.0, 16.0, j, caps));
                let nodes = 1000.0_f64.min(cap / (pue * NODE_MW));
                let noise = 1.0 + 0.002 * (seed as f64 - (seeds - 1) as f64 / 2.0);
                let rate = nodes * NODE_TOK_PER_S * noise;
                let binds = if nodes < 1000.0 { Constraint::Power } else { Constraint::Compute };
                let share: Vec<&str> =
                    Constraint::ALL.iter().map(|c| if *c == binds { "1" } else { "0" }).collect();
                let joules = nodes * NODE_MW * 1e6 / rate;
                out += &format!(
                    "{},{seed},{},{pue},{cap},{rate},{rate},{},{},{},{},{},{},{joules},{},{},\n",
                    i * caps + j,
                    seed + 1,
                    nodes * NODE_MW * 1e6 * pue,
                    10.0 / nodes,
                    400.0 / nodes / nodes * 1e3,
                    20.0 / nodes,
                    (nodes / 800.0).min(1.0),
                    joules * 0.8,
                    joules * pue,
                    share.join(",")
                );
            }
        }
    }
    out
}

/// A sweep's directory with this table.
fn directory(dir: &Path, table: &str) -> Points {
    fs::write(dir.join("merged.csv"), table).unwrap();
    let manifest =
        r#"{"name":"pue-power-cap","sweep":"0123456789abcdef","axes":["site.pue","power.cap_mw"]}"#;
    fs::write(dir.join("manifest.json"), manifest).unwrap();
    Points::read(dir).unwrap()
}

fn of(table: &str) -> Points {
    directory(tempfile::tempdir().unwrap().path(), table)
}

fn column(csv: &str, name: &str) -> Vec<f64> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|h| h == name).unwrap();
    reader.records().map(|r| r.unwrap()[at].parse().unwrap()).collect()
}

/// All text of a figure by file name.
fn drawn(points: &Points, name: &str, asked: &Asked, file: &str) -> String {
    let theme = Theme::default();
    let kinds = sweep::kinds(&[name.to_string()], asked).unwrap();
    let figure = (kinds[0].draw)(points, asked, &theme).unwrap();
    figure.texts().into_iter().find(|t| t.0 == file).unwrap().1
}

fn prices() -> Asked {
    Asked { usd_per_mwh: Some(60.0), usd_per_gpu_hour: Some(2.0), gpus: Some(8000), ..Asked::default() }
}

/// The border lies on cap = nodes·pue·0.010401 within half a step of the cap, over the whole width of the figure.
#[test]
fn the_regime_contour_of_the_closed_form_is_where_power_meets_nodes() {
    for (pues, caps) in [(12, 25), (7, 40), (30, 9)] {
        let csv =
            drawn(&of(&closed_form(pues, caps, 1)), "heatmap", &Asked::default(), "heatmap_borders.csv");
        let (step_cap, step_pue) = (12.0 / (caps - 1) as f64, 0.55 / (pues - 1) as f64);
        let (pue, cap) = (column(&csv, "site.pue"), column(&csv, "power.cap_mw"));
        assert!(pue.len() > pues, "{pues} × {caps}: {}", pue.len());
        // As many columns as the border crosses before it leaves through the top.
        let reach = pue.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        assert!(reach > 16.0 / (1000.0 * NODE_MW) - 0.1, "{reach}");
        for (pue, cap) in pue.iter().zip(&cap) {
            let switch = 1000.0 * pue * NODE_MW;
            // Across or along the step, whichever is nearer: a steep border is between columns. In the outer half of
            // the outermost cells there is no point to lean on.
            let off =
                ((cap - switch).abs() / step_cap).min((pue - cap / (1000.0 * NODE_MW)).abs() / step_pue);
            let inside = (1.05..=1.60).contains(pue) && (4.0..=16.0).contains(cap);
            let most = if inside { 0.5 } else { 1.0 };
            assert!(off <= most + 1e-9, "{pues} × {caps}: {pue}: {cap}, not {switch}: {off} cells off");
        }
        assert!(csv.lines().skip(1).all(|l| l.contains(",compute,power,")));
    }
}

/// Knees of the closed form, line by line, and none where the cap never lets all nodes work.
#[test]
fn knees_of_the_closed_form_are_where_power_meets_nodes() {
    for seeds in [1, 3] {
        let csv = drawn(&of(&closed_form(12, 25, seeds)), "knee", &Asked::default(), "knee_points.csv");
        let mut found = 0;
        for line in csv.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let pue: f64 = cells[0].parse().unwrap();
            let switch = 1000.0 * pue * NODE_MW;
            match cells[1].parse::<f64>() {
                Ok(knee) => {
                    assert!((knee - switch).abs() < 0.02, "{pue}: {knee}, not {switch}");
                    found += 1;
                }
                Err(_) => assert!(switch > 15.5, "{pue} has its knee at {switch}"),
            }
        }
        assert!(found >= 9, "{found}");
    }
}

/// Dollars by hand: at 8 MW and PUE 1.05, 732.6 nodes make 75.39 M tokens/s = 271,400 M an hour; 8 MWh cost $480,
/// 8,000 GPUs $16,000.
#[test]
fn dollars_of_the_closed_form_by_hand() {
    let csv = drawn(&of(&closed_form(12, 25, 1)), "cost", &prices(), "cost.csv");
    let row = csv.lines().find(|l| l.starts_with("1.05,8,")).unwrap();
    let usd: f64 = row.split(',').nth(2).unwrap().parse().unwrap();
    let tokens_m = 8.0 / (1.05 * NODE_MW) * NODE_TOK_PER_S * 3600.0 / 1e6;
    assert!((usd - (480.0 + 16_000.0) / tokens_m).abs() < 1e-9 * usd, "{usd}");
    assert!((usd - 0.0607).abs() < 1e-4);
    let only_energy = Asked { usd_per_mwh: Some(60.0), ..Asked::default() };
    let csv = drawn(&of(&closed_form(12, 25, 1)), "cost", &only_energy, "cost.csv");
    let row = csv.lines().find(|l| l.starts_with("1.05,8,")).unwrap();
    assert!((row.split(',').nth(2).unwrap().parse::<f64>().unwrap() - 480.0 / tokens_m).abs() < 1e-9);
}

/// Replications become a mean with Student's interval: of three values 0.2 % apart, ± t(0.975, 2)·0.2 %/√3.
#[test]
fn replications_become_means_with_intervals() {
    let csv = drawn(&of(&closed_form(12, 25, 3)), "knee", &Asked::default(), "knee.csv");
    let (mean, low) = (column(&csv, "throughput.useful_tok_per_s"), column(&csv, "ci95_low"));
    let expected = 4.0 / (1.05 * NODE_MW) * NODE_TOK_PER_S;
    assert!((mean[0] - expected).abs() < 1e-9 * expected);
    let half = 4.302_65 * 0.002 / 3f64.sqrt() * expected;
    assert!((mean[0] - low[0] - half).abs() < 1e-4 * half, "{}", (mean[0] - low[0]) / half);
}

/// A failed run is a gap: it is counted, leaves a hole in the heatmap, and breaks a line in two.
#[test]
fn failed_runs_are_gaps() {
    let table = closed_form(12, 25, 1);
    let broken: String = table
        .lines()
        .enumerate()
        .map(|(n, line)| match n {
            6 | 7 => {
                let keys: Vec<&str> = line.split(',').take(5).collect();
                format!(
                    "{}{}the fleet is too small\n",
                    keys.join(","),
                    ",".repeat(line.matches(',').count() - 4)
                )
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let points = of(&broken);
    let heatmap = drawn(&points, "heatmap", &Asked::default(), "heatmap.csv");
    assert_eq!(heatmap.lines().filter(|l| l.contains(",,,,,")).count(), 2);
    let svg = drawn(&points, "heatmap", &Asked::default(), "heatmap.svg");
    assert!(svg.contains("2 of 300 runs failed") && svg.contains("white: no value"));
    let lines = |points: &Points| {
        let svg = drawn(points, "knee", &Asked::default(), "knee.svg");
        svg.matches("stroke-width=\"4.5\"").count()
    };
    assert_eq!(lines(&points), lines(&of(&table)) + 1);
}

/// Text by its place: left, top, right, bottom.
type Place = ([f64; 4], String);

/// Where the text of an SVG stands.
fn places(svg: &str) -> (f64, f64, Vec<Place>) {
    let attribute = |tag: &str, name: &str| -> Option<String> {
        let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        Some(tag[start..].split('"').next()?.to_string())
    };
    let head = &svg[..svg.find('>').unwrap()];
    let page: Vec<f64> = attribute(head, "viewBox").unwrap().split(' ').map(|v| v.parse().unwrap()).collect();
    let texts = svg.lines().filter(|l| l.starts_with("<text")).map(|tag| {
        let number = |name: &str| attribute(tag, name).unwrap().parse::<f64>().unwrap();
        let (x, baseline, size, width) =
            (number("x"), number("y"), number("font-size"), number("textLength"));
        let left = match attribute(tag, "text-anchor").unwrap().as_str() {
            "start" => x,
            "middle" => x - width / 2.0,
            _ => x - width,
        };
        let text = tag.split('>').nth(1).unwrap().split('<').next().unwrap().to_string();
        // Capitals reach 0.73 em above the baseline, descenders 0.2 em below.
        ([left, baseline - 0.73 * size, left + width, baseline + 0.2 * size], text)
    });
    (page[2], page[3], texts.collect())
}

#[track_caller]
fn assert_legible(what: &str, svg: &str) {
    let (width, height, texts) = places(svg);
    assert!(texts.len() > 3, "{what}");
    for (k, ([left, top, right, bottom], text)) in texts.iter().enumerate() {
        assert!(
            *left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height,
            "{what}: '{text}' leaves the page: {left} {top} {right} {bottom} of {width} × {height}"
        );
        for (other, with) in &texts[k + 1..] {
            let apart = right.min(other[2]) - left.max(other[0]) <= 1.0
                || bottom.min(other[3]) - top.max(other[1]) <= 2.0;
            assert!(apart, "{what}: '{text}' runs into '{with}'");
        }
        assert!(!text.contains("NaN") && !text.contains("inf"), "{what}: {text}");
    }
}

/// In every theme, no text of any figure leaves the page or runs into another.
#[test]
fn text_of_sweeps_is_legible_in_every_theme() {
    let tables = [
        ("closed", closed_form(12, 25, 1)),
        ("few", closed_form(2, 2, 1)),
        ("seeds", closed_form(3, 8, 4)),
        ("one line", closed_form(1, 25, 3)),
        ("many", closed_form(40, 60, 1)),
        // A thousandth of the size.
        ("small", closed_form(5, 9, 1).replace("pue,power.cap_mw", "pue,fleet.sites.0.power.cap_kw")),
    ];
    for (what, table) in tables {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("merged.csv"), &table).unwrap();
        let cap = if what == "small" { "fleet.sites.0.power.cap_kw" } else { "power.cap_mw" };
        let manifest = format!(
            r#"{{"name":"a sweep of {what} with a long name of its own","sweep":"abc","axes":["site.pue","{cap}"]}}"#
        );
        fs::write(dir.path().join("manifest.json"), manifest).unwrap();
        let subject = Subject::read(dir.path()).unwrap();
        for name in THEMES {
            let theme = Theme::named(name).unwrap();
            let drawing = redraw::draw(&subject, &[], &prices(), &theme).unwrap();
            let texts = drawing.texts();
            let svgs: Vec<_> = texts.iter().filter(|t| t.0.ends_with(".svg")).collect();
            assert!(svgs.len() >= 5, "{what}: {:?}", drawing.left_out);
            for (file, svg) in svgs {
                assert_legible(&format!("{what}, {name}, {file}"), svg);
            }
        }
    }
}

/// The same for figures of runs.
#[test]
fn text_of_runs_is_legible_in_every_theme() {
    let runs = [
        ("day", sample::day()),
        ("hot day", sample::hot_day()),
        ("drawn", sample::drawn()),
        ("four halls", sample::four_halls()),
    ];
    for (what, outcome) in runs {
        for name in THEMES {
            let theme = Theme::named(name).unwrap();
            for figure in figures::draw(&outcome, &theme) {
                let (file, svg) = &figure.texts()[0];
                assert_legible(&format!("{what}, {name}, {file}"), svg);
            }
        }
    }
}

#[test]
fn mistakes_say_what_would_be_right() {
    let points = Subject::Points(of(&closed_form(12, 25, 1)));
    let run = Subject::Run(Box::new(sample::one_row()));
    let theme = Theme::default();
    let error = |subject: &Subject, names: &[&str], asked: Asked| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        redraw::draw(subject, &names, &asked, &theme).map(|_| ()).unwrap_err().to_string()
    };
    let name = |name: &str| Some(name.to_string());
    let none = Asked::default;
    for (found, expected) in [
        (error(&points, &["heatmp"], none()), "no such figure of a sweep; did you mean 'heatmap'?"),
        (error(&run, &["bindng"], none()), "no such figure of a run; did you mean 'binding'?"),
        (error(&points, &["power"], none()), "is of a single run"),
        (error(&run, &["knee"], none()), "it is of sweeps"),
        (error(&run, &["pue"], none()), "the run has nothing to show in it"),
        (error(&run, &[], Asked { x: name("a"), ..none() }), "--x is of sweeps"),
        (
            error(&points, &["knee"], Asked { z: name("a"), ..none() }),
            "--z means nothing here: it is of --figure heatmap",
        ),
        (error(&points, &[], Asked { y: name("a"), ..none() }), "name one with --figure"),
        (
            error(&points, &["heatmap"], Asked { z: name("throughput.output_tok_per_sec"), ..none() }),
            "did you mean 'throughput.output_tok_per_s'?",
        ),
        (
            error(&points, &["heatmap"], Asked { x: name("site.pue"), y: name("site.pue"), ..none() }),
            "a heatmap has two axes",
        ),
        (
            error(&points, &["knee"], Asked { by: name("seed"), ..none() }),
            "the axis site.pue has 12 values, which would be averaged",
        ),
        (error(&points, &["cost"], none()), "--usd-per-mwh P"),
        (
            error(&points, &["cost"], Asked { usd_per_gpu_hour: Some(2.0), ..none() }),
            "needs the number of GPUs",
        ),
        (
            error(&points, &["cost"], Asked { usd_per_mwh: Some(2.0), gpus: Some(3), ..none() }),
            "--gpus is of",
        ),
    ] {
        assert!(found.contains(expected), "{found}\nnot: {expected}");
    }
}

#[test]
fn a_table_is_refused_with_what_comes_first() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let refused = |path: &Path| Points::read(path).unwrap_err().to_string();
    assert!(refused(&dir.join("none")).contains("there is no such file or folder"));
    assert!(refused(dir).contains("is neither the result of a run"));
    fs::write(dir.join("manifest.json"), r#"{"name":"a","sweep":"b","axes":["site.pue"]}"#).unwrap();
    assert!(refused(dir).contains("`wattmill sweep merge "));
    fs::write(dir.join("merged.csv"), "point_id,replication,seed,x,error\n").unwrap();
    assert!(refused(dir).contains("has no rows"));
    fs::write(dir.join("merged.csv"), "point_id,replication,seed,x,error\n0,0,1,2,\n").unwrap();
    assert!(refused(dir).contains("has no column `site.pue`"));
    fs::write(dir.join("merged.csv"), "point_id,replication,seed,site.pue,error\n0,0,1,2,broken\n").unwrap();
    assert!(refused(dir).contains("all 1 runs failed"));
    fs::write(dir.join("merged.csv"), "point_id,site.pue,error\n0,1\n").unwrap();
    assert!(refused(dir).contains("merged.csv:2:1: the row has 2 fields, the header 3"));
    fs::write(dir.join("manifest.json"), "{").unwrap();
    fs::write(dir.join("merged.csv"), "point_id,site.pue,error\n0,1,\n").unwrap();
    assert!(refused(dir).contains("manifest.json:1:"));
}

/// A file without a manifest: its axes are what is named, and points that differ elsewhere are not averaged.
#[test]
fn a_file_is_drawn_by_the_names_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("merged.csv");
    fs::write(&path, closed_form(12, 25, 2)).unwrap();
    let mut points = Points::read(&path).unwrap();
    let theme = Theme::default();
    let asked =
        |x: &str, by: Option<&str>| Asked { x: Some(x.into()), by: by.map(String::from), ..Asked::default() };
    let draw = |points: &Points, asked: &Asked| {
        let kinds = sweep::kinds(&["knee".into()], asked).unwrap();
        (kinds[0].draw)(points, asked, &theme).map(|f| f.texts())
    };
    let error = draw(&points, &asked("power.cap_mw", None)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("12 points have power.cap_mw = 4"), "{error}");
    let texts = draw(&points, &asked("power.cap_mw", Some("site.pue"))).unwrap();
    assert!(texts[0].1.contains("merged.csv · file "));
    assert!(points.keep("site.pue=1.7").unwrap_err().to_string().contains("no row has that value"));
    assert!(points.keep("site.pu=1.7").unwrap_err().to_string().contains("did you mean 'site.pue'?"));
    assert!(points.keep("site.pue").unwrap_err().to_string().contains("NAME=VALUE"));
    points.keep("site.pue=1.10").unwrap();
    let texts = draw(&points, &asked("power.cap_mw", None)).unwrap();
    assert!(texts[0].1.contains("site.pue = 1.10"));
    assert_eq!(texts.iter().find(|t| t.0 == "knee_points.csv").unwrap().1.lines().count(), 2);
}

/// Words on an axis: a category each, in order.
#[test]
fn axes_of_words_are_categories() {
    let table = closed_form(3, 3, 1).replace(",1.05,", ",dry,").replace(",1.6,", ",tower,");
    let points = of(&table.replace(",1.3250000000000002,", ",hybrid,").replace(",1.325,", ",hybrid,"));
    let svg = drawn(&points, "heatmap", &Asked::default(), "heatmap.svg");
    let at = |word: &str| svg.find(&format!(">{word}</text>")).unwrap_or_else(|| panic!("{word}"));
    assert!(at("dry") < at("hybrid") && at("hybrid") < at("tower"));
}

/// Figures join what is there; others are not overwritten unasked, and never the table itself.
#[test]
fn figures_join_a_folder_and_overwrite_nothing_unasked() {
    let temp = tempfile::tempdir().unwrap();
    let table = temp.path().join("pareto.csv");
    fs::write(&table, closed_form(2, 3, 1)).unwrap();
    let subject = Subject::read(&table).unwrap();
    let theme = Theme::default();
    let asked = Asked::default();
    let drawing = redraw::draw(&subject, &["pareto".into()], &asked, &theme);
    // Without axes, every point stands for itself.
    let drawing = drawing.unwrap();
    let error = drawing.write(temp.path(), true, std::slice::from_ref(&table)).unwrap_err();
    assert!(error.to_string().contains("is what the figures are drawn from"), "{error}");
    let out = temp.path().join("out");
    let written = drawing.write(&out, false, &[]).unwrap();
    assert_eq!(written.len(), 3);
    fs::write(out.join("notes.txt"), "x").unwrap();
    drawing.write(&out, false, &[]).unwrap();
    fs::write(out.join("pareto.svg"), "mine").unwrap();
    assert!(drawing.write(&out, false, &[]).unwrap_err().to_string().contains("--force"));
    assert_eq!(fs::read_to_string(out.join("pareto.svg")).unwrap(), "mine");
    drawing.write(&out, true, &[]).unwrap();
    assert!(fs::read_to_string(out.join("pareto.svg")).unwrap().contains("<svg"));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 4);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
}
