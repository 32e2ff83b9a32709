//! From a row's number to its line of results.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::SweepError;
use super::cell::Cell;
use super::columns::{self, Column};
use super::manifest::{BASE, CATALOG, Sweep};
use super::points::Row;
use crate::catalog::Catalog;
use crate::engine::{SimError, SimOptions, simulate};
use crate::ledger::outcome::Summary;
use crate::scenario::document::{Node, Place};
use crate::scenario::{Change, Draft, LoadOptions};

/// Runs the rows of a sweep; threads may share it.
pub(super) struct Runner<'a> {
    sweep: &'a Sweep,
    draft: Draft,
    options: LoadOptions,
    /// Columns that a summary has.
    of_summary: Vec<Column>,
    /// In an error's text: what names this folder, and what stands in its place.
    renamed: Vec<(String, String)>,
    /// Size and time of the input files.
    inputs: Vec<Option<(u64, SystemTime)>>,
}

/// A line of results.
pub(super) struct Line {
    /// CSV, with its line break.
    pub csv: Vec<u8>,
    /// It says why there is no result.
    pub is_error: bool,
}

/// Why there is no line.
pub(super) enum Stop {
    /// It was asked for.
    Interrupted,
    /// Going on makes no sense.
    Failed(SweepError),
}

impl<'a> Runner<'a> {
    /// Reads what the rows have in common. The sweep must be unchanged.
    pub fn new(sweep: &'a Sweep) -> Result<Self, SweepError> {
        let manifest = &sweep.manifest;
        let path = sweep.dir().join(BASE);
        let text = fs::read_to_string(&path)
            .map_err(|error| SweepError::Input(format!("{}: cannot be read: {error}", path.display())))?;
        // Absolute, so that the folder's name in an error's text cannot be mistaken for a word of it.
        let folder = std::path::absolute(sweep.dir()).unwrap_or_else(|_| sweep.dir().to_path_buf());
        let draft = Draft::parse(&text, BASE.into(), folder.clone(), manifest.name.clone())?;
        let catalog_dir = manifest.catalog_overlay.as_ref().map(|_| sweep.dir().join(CATALOG));
        let catalog = match &catalog_dir {
            Some(dir) => Catalog::with_overlay(dir),
            None => Catalog::embedded(),
        };
        let catalog = Arc::new(catalog.map_err(|error| SweepError::Input(error.to_string()))?);
        let options = LoadOptions { catalog_dir, ..LoadOptions::new(catalog) };
        let in_folder = |path: &str| folder.join(path).display().to_string();
        // Longer names first: the folder's own begins them.
        let mut renamed: Vec<(String, String)> =
            manifest.inputs.iter().map(|input| (in_folder(&input.path), input.written.clone())).collect();
        renamed.push((format!("{}/", folder.display()), String::new()));
        let of_summary = manifest.columns.iter().filter(|column| !column.keys.is_empty()).cloned().collect();
        let inputs = manifest.inputs.iter().map(|input| stamp(&sweep.dir().join(&input.path))).collect();
        Ok(Self { sweep, draft, options, of_summary, renamed, inputs })
    }

    /// Run row number `number`; `go_on` is asked now and then.
    pub fn run(&self, number: u64, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Line, Stop> {
        let row = self.sweep.points().row(number);
        let end = match catch_unwind(AssertUnwindSafe(|| self.simulate(&row, go_on))) {
            Ok(Err(SimError::Interrupted)) => return Err(Stop::Interrupted),
            Ok(Ok(summary)) => Ok(summary),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => {
                let said = panic.downcast_ref::<String>().map(String::as_str);
                let said =
                    said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
                Err(format!("internal error, please report: {said}"))
            }
        };
        if end.is_err() {
            // The fault may be that of a file that was there at the start: no row may say so for good.
            self.inputs_are_there().map_err(Stop::Failed)?;
        }
        let is_error = end.is_err();
        Ok(Line { csv: self.line(&row, end), is_error })
    }

    fn simulate(&self, row: &Row, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Summary, SimError> {
        let resolved = self
            .draft
            .resolve_with(self.changes(row), &self.options)
            .map_err(|error| SimError::Input(error.to_string()))?;
        let progress = |_: f64, _: u64| go_on();
        let options = SimOptions { progress: Some(&progress), ..SimOptions::default() };
        match simulate(&resolved, &options) {
            Ok(outcome) => Ok(outcome.summary),
            Err(SimError::Scenario(problems)) => Err(SimError::Input(resolved.render_problems(&problems))),
            Err(other) => Err(other),
        }
    }

    fn changes(&self, row: &Row) -> Vec<Change<'_>> {
        let mut changes = vec![Change {
            path: "seed",
            value: Node::from_json(&row.seed.into(), Place::Nowhere),
            shown: format!("replication {}: seed={}", row.replication, row.seed),
        }];
        for (axis, at) in self.sweep.manifest.axes.iter().zip(&row.at) {
            for path in &axis.paths {
                let value = path.values.get(*at).unwrap_or(&serde_json::Value::Null);
                changes.push(Change {
                    path: &path.path,
                    value: Node::from_json(value, Place::Nowhere),
                    shown: format!("axis {}: {}={value}", axis.name, path.path),
                });
            }
        }
        changes
    }

    /// The row's cells in the order of the columns.
    fn line(&self, row: &Row, end: Result<Summary, String>) -> Vec<u8> {
        let mut cells = keys(self.sweep, row);
        match end {
            Ok(summary) => {
                cells.extend(columns::cells(summary, &self.of_summary));
                cells.push(Cell::Null);
            }
            Err(why) => {
                cells.extend(self.of_summary.iter().map(|_| Cell::Null));
                cells.push(Cell::Text(self.portable(&why)));
            }
        }
        csv_line(&cells)
    }

    /// An error on one line, which says nothing of where the sweep stands.
    fn portable(&self, why: &str) -> String {
        let lines: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        self.renamed.iter().fold(lines.join("; "), |text, (from, to)| text.replace(from, to))
    }

    fn inputs_are_there(&self) -> Result<(), SweepError> {
        for (input, then) in self.sweep.manifest.inputs.iter().zip(&self.inputs) {
            let path = self.sweep.dir().join(&input.path);
            let opened = fs::File::open(&path);
            if opened.is_err() || stamp(&path) != *then {
                let what = opened.map_or_else(|e| format!("cannot be read: {e}"), |_| "was changed".into());
                return Err(SweepError::Input(format!(
                    "{}: the input file {what} while the sweep ran; restore it and run again (finished chunks are kept)",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

/// What tells a row apart: its numbers, its seed, and its place on the axes.
pub(super) fn keys(sweep: &Sweep, row: &Row) -> Vec<Cell> {
    let mut cells = vec![
        Cell::Int(row.point_id as i64),
        Cell::Int(i64::from(row.replication)),
        Cell::Int(row.seed as i64),
    ];
    let label = |(axis, at): (&super::axes::Axis, &usize)| {
        axis.labels.get(*at).cloned().unwrap_or(Cell::Null).cast(axis.kind)
    };
    cells.extend(sweep.manifest.axes.iter().zip(&row.at).map(label));
    cells
}

/// Cells as a line of CSV.
pub(super) fn csv_line(cells: &[Cell]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(1024).from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(cells.iter().map(Cell::csv));
    writer.into_inner().unwrap_or_default()
}

fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
