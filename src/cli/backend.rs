//! The calls below the command line: catalog, fleet, workload, report, trace generator.

use std::path::{Path, PathBuf};

use wattmill::catalog::Catalog;
use wattmill::ledger::outcome::Outcome;
use wattmill::scenario::{Problem, Resolved};

use super::exit::Failure;

/// The embedded catalog, with the user's entries on top.
// interface: Catalog::embedded() or Catalog::with_overlay(dir), errors by Failure::input(error.to_string()).
pub fn catalog(overlay: Option<&Path>) -> Result<Catalog, Failure> {
    match overlay {
        Some(dir) if !dir.is_dir() => {
            Err(Failure::input(format!("--catalog {}: there is no such folder", dir.display())))
        }
        _ => Ok(Catalog::default()),
    }
}

/// Whether a fleet can be built.
// interface: wattmill::fleet::Fleet::build(&resolved.scenario, &resolved.catalog).map(drop)
pub fn build_fleet(_resolved: &Resolved) -> Result<(), Vec<Problem>> {
    Ok(())
}

/// Whether the workload's files are good; the text has their lines.
// interface: Workload::open(&resolved.scenario, &resolved.base_dir), with an error that names no file rendered by
// resolved.render_problems(&[Problem { path: error.field, message: error.message }]), others by to_string().
pub fn open_workload(_resolved: &Resolved) -> Result<(), String> {
    Ok(())
}

/// The summary for people.
// interface: wattmill::report::terminal(outcome, width, color)
pub fn terminal_report(outcome: &Outcome, _width: usize, _color: bool) -> String {
    summary_json(outcome)
}

/// `summary.json`.
// interface: wattmill::report::summary_json(outcome)
pub fn summary_json(outcome: &Outcome) -> String {
    serde_json::to_string_pretty(&outcome.summary).unwrap_or_default()
}

/// Write the result folder, all of it or nothing.
// interface: wattmill::report::write(dir, outcome, resolved_yaml, figures)
pub fn write_report(
    dir: &Path,
    outcome: &Outcome,
    resolved_yaml: &str,
    _figures: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    let unfinished = dir.with_extension("unfinished");
    std::fs::create_dir_all(&unfinished)?;
    std::fs::write(unfinished.join("summary.json"), summary_json(outcome))?;
    std::fs::write(unfinished.join("scenario.resolved.yaml"), resolved_yaml)?;
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::rename(&unfinished, dir)?;
    Ok(vec![dir.join("summary.json"), dir.join("scenario.resolved.yaml")])
}

/// Write a synthetic trace.
// interface: synth::write_trace(path, &SynthOptions { preset: preset.parse()?, requests, seed })
pub fn write_trace(_path: &Path, _preset: &str, _requests: u64, _seed: u64) -> anyhow::Result<()> {
    anyhow::bail!("this build has no trace generator")
}
