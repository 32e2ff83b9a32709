//! Scenarios side by side for readers: tables with ribbons, JSON, CSV, a figure.

mod terminal;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{ReportError, Theme, figures, folder};
use crate::study::compare::{Comparison, METRICS};
pub use terminal::text;

/// The whole answer as JSON (schema in the README); `study` is its identity.
#[must_use]
pub fn json(comparison: &Comparison, study: &str) -> String {
    let sides = comparison.sides.iter().map(|side| {
        let metrics: Map<String, Value> = METRICS
            .iter()
            .zip(&side.cells)
            .map(|((path, _, _), cell)| {
                let mean = json!({
                    "value": cell.mean,
                    "difference": cell.difference,
                    "relative": cell.relative,
                    "differs": cell.difference.map(|_| cell.differs()),
                });
                ((*path).to_string(), mean)
            })
            .collect();
        json!({
            "name": side.name,
            "scenario": { "name": side.info.name, "hash": side.info.hash, "duration_s": side.info.duration_s },
            "same_requests_as_base": side.paired,
            "metrics": metrics,
            "timeline": side.timeline,
        })
    });
    let changes = comparison
        .changes
        .iter()
        .map(|change| json!({ "path": change.path, "where": change.place, "values": change.values }));
    let json = json!({
        "schema_version": 1,
        "study": { "command": "compare", "hash": study },
        "seeds": comparison.seeds,
        "identical": comparison.identical(),
        "changes": changes.collect::<Vec<_>>(),
        "scenarios": sides.collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&json).unwrap_or_default()
}

/// One row per scenario and metric.
///
/// # Errors
/// None to be expected: text in memory.
fn csv(comparison: &Comparison) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "scenario",
        "metric",
        "mean",
        "ci95_low",
        "ci95_high",
        "difference",
        "difference.ci95_low",
        "difference.ci95_high",
        "relative",
    ])?;
    for side in &comparison.sides {
        for ((path, _, _), cell) in METRICS.iter().zip(&side.cells) {
            let mut row = vec![side.name.clone(), (*path).to_string()];
            for mean in [cell.mean, cell.difference] {
                let numbers = mean.map(|mean| [mean.mean, mean.ci95_low, mean.ci95_high]);
                row.extend(numbers.map_or_else(Default::default, |numbers| numbers.map(|n| n.to_string())));
            }
            row.push(cell.relative.map(|relative| relative.to_string()).unwrap_or_default());
            writer.write_record(&row)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Writes the folder `dir` with `summary.json`, `metrics.csv` and the figure `compare`, complete or not at all.
///
/// # Errors
/// The disk said no, or the figure cannot be drawn.
pub fn write(dir: &Path, comparison: &Comparison, study: &str) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let table = csv(comparison).map_err(|error| ReportError::Io {
        path: dir.join("metrics.csv"),
        source: io::Error::other(error),
    })?;
    let mut text = json(comparison, study);
    text.push('\n');
    let files = [("summary.json", text.into_bytes()), ("metrics.csv", table)];
    for (name, bytes) in &files {
        folder::write_file(&staging.path().join(name), bytes)?;
    }
    let inner = staging.path().join("figures");
    std::fs::create_dir(&inner).map_err(|source| ReportError::Io { path: inner.clone(), source })?;
    let theme = Theme::default();
    let drawn = figures::write(&inner, &[figures::ribbons(comparison, &theme)])?;
    staging.put_in_place()?;
    let names = files.iter().map(|(name, _)| PathBuf::from(name));
    let drawn = drawn.into_iter().map(|name| Path::new("figures").join(name));
    Ok(names.chain(drawn).map(|name| dir.join(name)).collect())
}

/// End of the time axis that all scenarios share [s].
pub(super) fn end_s(comparison: &Comparison) -> f64 {
    let ends = comparison
        .sides
        .iter()
        .map(|side| side.timeline.last().map_or(0.0, |last| last.end_s).max(side.info.duration_s));
    ends.filter(|end| end.is_finite()).fold(0.0, f64::max).max(f64::MIN_POSITIVE)
}

/// The local time at which all of them start [h]; none if they do not start together.
pub(super) fn start_at_h(comparison: &Comparison) -> Option<f64> {
    let mut starts = comparison.sides.iter().map(|side| side.info.start_at_h);
    let first = starts.next()?;
    starts.all(|start| start == first).then_some(first)
}
