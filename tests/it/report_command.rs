//! `wattmill report`: figures of a run drawn again to the byte, and what the command refuses.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn wattmill(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wattmill"))
        .current_dir(dir)
        .args(arguments)
        .output()
        .expect("wattmill starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn figures_of_a_run_are_drawn_again_to_the_byte() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/quickstart.yaml");
    let scenario = scenario.to_str().unwrap();
    // Twenty intervals, of lengths that are no round numbers.
    let run = wattmill(dir, &["run", scenario, "--set", "duration_s=100.7", "-o", "run", "--quiet"]);
    assert!(run.status.success(), "{}", said(&run));
    let report = wattmill(dir, &["report", "run", "-o", "again"]);
    assert!(report.status.success(), "{}", said(&report));
    let mut names: Vec<_> =
        fs::read_dir(dir.join("run/figures")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert!(names.contains(&"duration.csv".into()) && names.len() >= 12, "{names:?}");
    for name in &names {
        let read = |folder: &str| fs::read(dir.join(folder).join(name)).unwrap();
        assert!(read("run/figures") == read("again"), "{name:?}");
    }
    assert_eq!(fs::read_dir(dir.join("again")).unwrap().count(), names.len());

    // In its own folder a figure replaces itself, elsewhere only when told so.
    let slide = wattmill(dir, &["report", "run", "--figure", "power", "--theme", "slide", "--quiet"]);
    assert!(slide.status.success() && slide.stdout.is_empty(), "{}", said(&slide));
    let svg = fs::read_to_string(dir.join("run/figures/power.svg")).unwrap();
    assert!(svg.contains("width=\"1920\" height=\"1080\""));
    let refused = wattmill(dir, &["report", "run", "--figure", "power", "--theme", "slide", "-o", "again"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("--force"), "{}", said(&refused));
}

#[test]
fn bad_input_ends_with_two_and_says_what_would_be_right() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    fs::create_dir(dir.join("sweep")).unwrap();
    fs::write(dir.join("sweep/manifest.json"), r#"{"name":"a","sweep":"b","axes":[]}"#).unwrap();
    fs::write(dir.join("theme.yaml"), "base: slide\nlins: 2\n").unwrap();
    for (arguments, expected) in [
        (vec!["report", "none"], "there is no such file or folder"),
        (vec!["report", "sweep"], "`wattmill sweep merge sweep` comes first"),
        (vec!["report", "sweep", "--theme", "theme.yaml"], "theme.yaml:2:1: unknown field 'lins'"),
        (vec!["report", "sweep", "--theme", "poster"], "no theme of that name"),
        (vec!["report", "sweep", "--usd-per-mwh", "nan"], "a price is a number of at least 0"),
    ] {
        let output = wattmill(dir, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), 2, "nothing was written");
}
