//! The points of a sweep as a table: `merged.csv` and what its manifest says of it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::input::{InputError, Table, shorten};
use crate::ledger::outcome::Constraint;
use crate::scenario::suggestion;
use crate::study::paired::Mean;

/// Largest table that is read [bytes]; a hundred thousand points take a tenth of it.
const MAX_BYTES: u64 = 512 << 20;

/// Columns that say which run a row is of, and what became of it.
const BOOKKEEPING: [&str; 4] = ["point_id", "replication", "seed", "error"];

/// Rows of a table, one per run.
#[derive(Debug, Clone)]
pub struct Points {
    /// Name of the sweep, or of the file.
    name: String,
    /// Hash of the sweep, or of the file's content, hexadecimal.
    hash: String,
    /// `sweep` or `file`.
    kind: &'static str,
    /// What was swept; empty where only the file is known.
    axes: Vec<String>,
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Runs that failed, of all.
    failed: (usize, usize),
    /// What was kept by `--where`, as written.
    kept: Vec<String>,
}

#[derive(Debug, Clone)]
struct Row {
    /// The cell of `point_id`, empty without that column.
    point: String,
    cells: Vec<Cell>,
}

/// A field of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Empty,
    Number(f64),
    Text(String),
}

impl Cell {
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(v) => Some(*v),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Empty => "–".into(),
            Self::Number(v) => v.to_string(),
            Self::Text(t) => t.clone(),
        }
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Number(_), _) => std::cmp::Ordering::Less,
            (_, Self::Number(_)) => std::cmp::Ordering::Greater,
            (a, b) => a.text().cmp(&b.text()),
        }
    }
}

/// Why a table cannot be drawn: always the input's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PointsError(pub(super) String);

impl From<InputError> for PointsError {
    fn from(error: InputError) -> Self {
        Self(error.to_string())
    }
}

fn wrong<T>(text: impl Into<String>) -> Result<T, PointsError> {
    Err(PointsError(text.into()))
}

/// Mean over replications, with its interval where there are at least two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    pub(super) mean: f64,
    /// Ends of the 95 % interval.
    pub(super) interval: Option<(f64, f64)>,
    /// Replications.
    pub(super) n: usize,
}

impl Value {
    fn of(values: &[f64]) -> Option<Self> {
        match values {
            [] => None,
            [one] => Some(Self { mean: *one, interval: None, n: 1 }),
            _ => Mean::of(values).map(|m| Self {
                mean: m.mean,
                interval: Some((m.ci95_low, m.ci95_high)),
                n: m.n,
            }),
        }
    }
}

/// Runs that share the values of some columns: replications of one point.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) key: Vec<Cell>,
    rows: Vec<usize>,
}

impl Points {
    /// Reads a sweep's directory (its `merged.csv` and `manifest.json`), or a CSV file of that form.
    ///
    /// # Errors
    /// What is missing or wrong, with file, line and column, and what to do first.
    pub fn read(path: &Path) -> Result<Self, PointsError> {
        let shown = path.display();
        if !path.exists() {
            return wrong(format!("{shown}: there is no such file or folder"));
        }
        if !path.is_dir() {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            return Self::read_table(path, name, None);
        }
        let table = path.join("merged.csv");
        let manifest = path.join("manifest.json");
        if !table.exists() {
            return wrong(if manifest.exists() {
                format!("{shown}: the sweep is not merged; `wattmill sweep merge {shown}` comes first")
            } else {
                format!(
                    "{shown}: is neither the result of a run (no summary.json) nor a sweep (no merged.csv); name one, \
                     or a CSV file"
                )
            });
        }
        let known = if manifest.exists() { Some(Manifest::read(&manifest)?) } else { None };
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Self::read_table(&table, name, known)
    }

    fn read_table(path: &Path, name: String, manifest: Option<Manifest>) -> Result<Self, PointsError> {
        let shown = path.display().to_string();
        let cannot = |e: std::io::Error| PointsError(format!("{shown}: cannot be read: {e}"));
        let size = std::fs::metadata(path).map_err(cannot)?.len();
        if size > MAX_BYTES {
            return wrong(format!(
                "{shown}: has {} MB; a table to draw has at most {}",
                size >> 20,
                MAX_BYTES >> 20
            ));
        }
        let mut table = Table::open(path, "")?;
        let columns = table.header().to_vec();
        let at = |name: &str| columns.iter().position(|c| c == name);
        let (point, error) = (at("point_id"), at("error"));
        let mut rows = Vec::new();
        let (mut failed, mut all) = (0, 0);
        while table.advance()? {
            all += 1;
            let is_failed = error.is_some_and(|k| !table.bytes(k).is_empty());
            failed += usize::from(is_failed);
            let cell = |k: usize| match table.text(k) {
                text if text.is_empty() => Cell::Empty,
                text => match text.parse::<f64>() {
                    Ok(v) if v.is_finite() => Cell::Number(v),
                    _ => Cell::Text(text),
                },
            };
            rows.push(Row {
                point: point.map_or(String::new(), |k| table.text(k)),
                cells: (0..columns.len()).map(cell).collect(),
            });
        }
        if rows.is_empty() {
            return wrong(format!("{shown}: has no rows"));
        }
        if failed == all {
            return wrong(format!("{shown}: all {all} runs failed; there is nothing to draw"));
        }
        let (name, hash, kind, axes) = match manifest {
            Some(m) => (m.name, m.hash, "sweep", m.axes),
            None => {
                let hash = crate::scenario::hash_of_files("", &[path.to_path_buf()], None);
                (name, hash.map_err(|(_, e)| cannot(e))?, "file", Vec::new())
            }
        };
        if let Some(axis) = axes.iter().find(|axis| !columns.contains(axis)) {
            return wrong(format!("{shown}: has no column `{axis}`, an axis of the sweep; merge it again"));
        }
        Ok(Self { name, hash, kind, axes, columns, rows, failed: (failed, all), kept: Vec::new() })
    }

    /// Keeps the rows in which a column has a value, written `NAME=VALUE`.
    ///
    /// # Errors
    /// Not of that form, no such column, or no such value.
    pub fn keep(&mut self, condition: &str) -> Result<(), PointsError> {
        let Some((name, value)) = condition.split_once('=') else {
            return wrong(format!("--where {condition}: is written NAME=VALUE, e.g. --where site.pue=1.1"));
        };
        let (name, value) = (name.trim(), value.trim());
        let k = self.column("--where", name)?;
        let wanted = value.parse::<f64>().ok();
        let same = |cell: &Cell| match (cell, wanted) {
            (Cell::Number(v), Some(w)) => (v - w).abs() <= 1e-9 * v.abs().max(w.abs()),
            (cell, _) => *cell == Cell::Text(value.into()),
        };
        if !self.rows.iter().any(|row| same(&row.cells[k])) {
            let there: Vec<String> = self.values(k).iter().map(Cell::text).collect();
            let list = shorten(&there.join(", "), 120);
            return wrong(format!("--where {condition}: no row has that value; `{name}` is one of {list}"));
        }
        self.rows.retain(|row| same(&row.cells[k]));
        self.kept.push(format!("{name} = {value}"));
        Ok(())
    }

    /// Number of a column, or what `option` should have named.
    pub(super) fn column(&self, option: &str, name: &str) -> Result<usize, PointsError> {
        match self.columns.iter().position(|c| c == name) {
            Some(k) => Ok(k),
            None => {
                let known = self.columns.iter().map(String::as_str).filter(|c| !BOOKKEEPING.contains(c));
                wrong(format!("{option} {name}: there is no such column{}", suggestion(name, known)))
            }
        }
    }

    /// Number of a column of numbers.
    pub(super) fn numbers(&self, option: &str, name: &str) -> Result<usize, PointsError> {
        let k = self.column(option, name)?;
        match self.rows.iter().find_map(|row| match &row.cells[k] {
            Cell::Text(text) => Some(text),
            _ => None,
        }) {
            Some(text) => {
                let text = shorten(text, 40);
                wrong(format!("{option} {name}: holds `{text}`; a column of numbers is needed here"))
            }
            None if self.rows.iter().all(|row| row.cells[k] == Cell::Empty) => {
                wrong(format!("{option} {name}: the column is empty"))
            }
            None => Ok(k),
        }
    }

    /// Number of the column, if there is one with numbers.
    pub(super) fn optional(&self, name: &str) -> Option<usize> {
        self.numbers("", name).ok()
    }

    /// The first of these columns that is there.
    pub(super) fn first_of(&self, figure: &str, names: &[&str]) -> Result<usize, PointsError> {
        match names.iter().find_map(|name| self.optional(name)) {
            Some(k) => Ok(k),
            None => wrong(format!(
                "--figure {figure} needs the column {}, which {} has not{}",
                names.join(" or "),
                self.name,
                if self.kind == "sweep" { "; add it to `columns` of the sweep" } else { "" }
            )),
        }
    }

    /// Numbers of the columns of numbers whose names are such.
    pub(super) fn columns_like(&self, is: impl Fn(&str) -> bool) -> Vec<usize> {
        let named = self.columns.iter().filter(|name| is(name));
        named.filter_map(|name| self.optional(name)).collect()
    }

    pub(super) fn name_of(&self, column: usize) -> &str {
        &self.columns[column]
    }

    /// Axes of the sweep that have more than one value; none where only the file is known.
    pub(super) fn varying_axes(&self) -> Vec<usize> {
        let at = self.axes.iter().filter_map(|axis| self.columns.iter().position(|c| c == axis));
        at.filter(|k| self.values(*k).len() > 1).collect()
    }

    /// Distinct values of a column in order; empty ones left out.
    pub(super) fn values(&self, column: usize) -> Vec<Cell> {
        let mut out: Vec<Cell> =
            self.rows.iter().map(|r| &r.cells[column]).filter(|c| **c != Cell::Empty).cloned().collect();
        out.sort_by(Cell::order);
        out.dedup();
        out
    }

    /// Whether all values of a column are numbers.
    pub(super) fn is_numeric(&self, column: usize) -> bool {
        self.values(column).iter().all(|c| c.number().is_some())
    }

    /// Runs by the values of the `keys`, in their order; runs that share them must be replications.
    pub(super) fn groups(&self, keys: &[usize]) -> Result<Vec<Group>, PointsError> {
        for axis in self.varying_axes() {
            if !keys.contains(&axis) {
                let (name, n) = (&self.columns[axis], self.values(axis).len());
                let first = self.values(axis).first().map(Cell::text).unwrap_or_default();
                return wrong(format!(
                    "the axis {name} has {n} values, which would be averaged: give it a place in the figure (--by \
                     {name}), or keep one value (--where {name}={first})"
                ));
            }
        }
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let compare = |a: &usize, b: &usize| {
            keys.iter()
                .map(|k| self.rows[*a].cells[*k].order(&self.rows[*b].cells[*k]))
                .find(|o| o.is_ne())
                .unwrap_or(std::cmp::Ordering::Equal)
        };
        order.sort_by(compare);
        let mut groups: Vec<Group> = Vec::new();
        for row in order {
            let key: Vec<Cell> = keys.iter().map(|k| self.rows[row].cells[*k].clone()).collect();
            if key.contains(&Cell::Empty) {
                continue;
            }
            match groups.last_mut() {
                Some(group) if group.key == key => group.rows.push(row),
                _ => groups.push(Group { key, rows: vec![row] }),
            }
        }
        for group in &groups {
            let mut points: Vec<&str> = group.rows.iter().map(|r| self.rows[*r].point.as_str()).collect();
            points.dedup();
            if points.len() > 1 {
                let at: Vec<String> = keys
                    .iter()
                    .zip(&group.key)
                    .map(|(k, cell)| format!("{} = {}", self.columns[*k], cell.text()))
                    .collect();
                return wrong(format!(
                    "{} points have {}: name the column that tells them apart with --by, or keep one of its values \
                     with --where NAME=VALUE",
                    points.len(),
                    at.join(", ")
                ));
            }
        }
        Ok(groups)
    }

    /// Mean of a column over a group; none if no run of it has a value.
    pub(super) fn value(&self, group: &Group, column: usize) -> Option<Value> {
        let values: Vec<f64> =
            group.rows.iter().filter_map(|r| self.rows[*r].cells[column].number()).collect();
        Value::of(&values)
    }

    /// Mean over a group of what is made from several columns, run by run; none if no run has them all.
    pub(super) fn made(
        &self,
        group: &Group,
        columns: &[usize],
        of: impl Fn(&[f64]) -> Option<f64>,
    ) -> Option<Value> {
        let values: Vec<f64> = group
            .rows
            .iter()
            .filter_map(|r| {
                let numbers: Option<Vec<f64>> =
                    columns.iter().map(|k| self.rows[*r].cells[*k].number()).collect();
                of(&numbers?).filter(|v| v.is_finite())
            })
            .collect();
        Value::of(&values)
    }

    /// The columns of the shares of GPU time by binding constraint, in the order of [`Constraint::ALL`]; none unless
    /// all are there.
    pub(super) fn share_columns(&self) -> Option<[usize; 7]> {
        let mut out = [0; 7];
        for (column, constraint) in out.iter_mut().zip(Constraint::ALL) {
            *column = self.optional(&format!("binding.share.{}", constraint.key()))?;
        }
        Some(out)
    }

    /// Mean shares of a group.
    pub(super) fn shares(&self, group: &Group, columns: [usize; 7]) -> Option<[f64; 7]> {
        let mut out = [0.0; 7];
        for (share, column) in out.iter_mut().zip(columns) {
            *share = self.value(group, column)?.mean;
        }
        Some(out)
    }

    /// Most replications of a point.
    pub(super) fn replications(&self) -> usize {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in self.rows.iter().filter(|r| !r.point.is_empty()) {
            *counts.entry(&row.point).or_default() += 1;
        }
        counts.into_values().max().unwrap_or(1)
    }

    /// Name of the sweep or file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// For the footer: hash, what was kept, what failed.
    pub(super) fn origin(&self) -> (String, String) {
        let hash: String = self.hash.chars().take(8).collect();
        let fixed = format!(" · {} {hash} · wattmill {}", self.kind, env!("CARGO_PKG_VERSION"));
        let mut remark = String::new();
        for kept in &self.kept {
            remark += &format!(" · {kept}");
        }
        let (failed, all) = self.failed;
        if failed > 0 {
            remark += &format!(" · {failed} of {all} runs failed");
        }
        (fixed, remark)
    }
}

/// What a sweep's `manifest.json` says.
struct Manifest {
    name: String,
    hash: String,
    axes: Vec<String>,
}

impl Manifest {
    fn read(path: &Path) -> Result<Self, PointsError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| PointsError(format!("{shown}: cannot be read: {e}")))?;
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| PointsError(format!("{shown}:{}:{}: not JSON: {e}", e.line(), e.column())))?;
        let text = |key: &str| json[key].as_str().map(str::to_string);
        let axes = json["axes"].as_array().map(|axes| {
            let name = |axis: &serde_json::Value| {
                axis.as_str().or_else(|| axis["name"].as_str()).map(str::to_string)
            };
            axes.iter().filter_map(name).collect()
        });
        match (text("name"), text("sweep"), axes) {
            (Some(name), Some(hash), Some(axes)) => Ok(Self { name, hash, axes }),
            _ => wrong(format!(
                "{shown}: is not the manifest of a sweep: it needs name, sweep (its hash) and axes"
            )),
        }
    }
}
