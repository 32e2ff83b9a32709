//! A validation as people and programs read it.

mod json;
mod rows;
mod terminal;

use std::path::{Path, PathBuf};

use super::{ReportError, Theme, figures, folder};
use crate::study::validate::{Metric, Row, Spread, Validation};

pub use json::summary_json;
pub use terminal::text;

/// What was validated.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Name of the table.
    pub name: String,
    /// Identity of the validation, hexadecimal.
    pub hash: String,
    /// Seed of the draws.
    pub seed: u64,
}

/// Writes a result folder and returns the paths of its files in a fixed order. The folder is complete or not
/// there; the same validation gives the same bytes.
///
/// # Errors
/// See [`ReportError`].
pub fn write(dir: &Path, validation: &Validation, subject: &Subject) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let mut names: Vec<PathBuf> = Vec::new();
    for (name, text) in
        [("rows.csv", rows::csv(validation)), ("summary.json", summary_json(validation, subject))]
    {
        folder::write_file(&staging.path().join(name), text.as_bytes())?;
        names.push(name.into());
    }
    let theme = Theme::default();
    if let Some(figure) = figures::parity(validation, subject, &theme) {
        let inner = staging.path().join("figures");
        std::fs::create_dir(&inner).map_err(|source| ReportError::Io { path: inner.clone(), source })?;
        let written = figures::write(&inner, &[figure])?;
        names.extend(written.into_iter().map(|name| Path::new("figures").join(name)));
    }
    staging.put_in_place()?;
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// A way to group rows, with the group's name of a row.
type Grouping = (&'static str, fn(&Row) -> Option<String>);

/// How errors are broken down.
const GROUPINGS: [Grouping; 5] = [
    ("gpu", |row| Some(row.understood.as_ref()?.gpu.clone())),
    ("model", |row| {
        let understood = row.understood.as_ref()?;
        Some(format!("{} ({})", understood.model, understood.architecture))
    }),
    ("engine", |row| Some(row.understood.as_ref()?.engine_asked.clone())),
    ("precision", |row| Some(row.understood.as_ref()?.precision.to_string())),
    ("host", |row| {
        let name =
            if row.measured.suspect_host_bound { "suspected to measure the host" } else { "not suspected" };
        row.understood.as_ref().map(|_| name.to_string())
    }),
];

/// Errors of a group of rows by metric, metrics without rows left out.
struct Group {
    name: String,
    rows: usize,
    spreads: Vec<(Metric, Spread)>,
}

/// The groups of a grouping in the order of their names.
fn groups(validation: &Validation, (_, name_of): Grouping) -> Vec<Group> {
    let mut names: Vec<String> = validation.rows.iter().filter_map(name_of).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let inside = |row: &Row| name_of(row).as_ref() == Some(&name);
            Group {
                rows: validation.rows.iter().filter(|row| inside(row)).count(),
                spreads: spreads(validation, inside),
                name,
            }
        })
        .collect()
}

/// Spreads of the metrics that have rows.
fn spreads(validation: &Validation, of: impl Fn(&Row) -> bool) -> Vec<(Metric, Spread)> {
    Metric::ALL
        .into_iter()
        .map(|metric| (metric, validation.spread(metric, &of)))
        .filter(|(_, spread)| spread.n > 0)
        .collect()
}
