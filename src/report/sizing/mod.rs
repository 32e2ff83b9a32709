//! A search for a size, and a frontier, for readers: tables with sentences, JSON, CSV.

mod frontier;
mod terminal;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::subject::Head;
use super::{ReportError, Subject, folder};
use crate::scenario::NumberKind;
use crate::study::metric::{Condition, Verdict};
use crate::study::paired::Mean;
use crate::study::size::{Direction, Point, Question, Sizing, Unfound, unit};
pub use frontier::{csv as frontier_csv, json as frontier_json, text as frontier_text};
pub use terminal::text;

#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    #[serde(flatten)]
    head: Head<'a>,
    find: &'a str,
    unit: Option<&'static str>,
    min: Value,
    max: Value,
    tolerance: f64,
    slo: Vec<String>,
    seeds: &'a [u64],
    found: Option<Value>,
    low: Option<Value>,
    high: Option<Value>,
    direction: Option<Direction>,
    reason: Option<Unfound>,
    monotone: bool,
    contradictions: Vec<Value>,
    trail: Vec<Value>,
}

/// Values of whole-number fields are written whole.
fn number(value: f64, kind: NumberKind) -> Value {
    match kind {
        NumberKind::Integer => json!(value as i64),
        NumberKind::Real => json!(value),
    }
}

fn conditions(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(ToString::to_string).collect()
}

/// The whole answer as JSON (schema in the README).
#[must_use]
pub fn json(sizing: &Sizing, question: &Question, subject: &Subject) -> String {
    let value = |value: f64| number(value, sizing.kind);
    let contradictions =
        sizing.contradictions.iter().map(|c| json!({"value": value(c.value), "sure": c.sure}));
    let json = Json {
        schema_version: 1,
        head: subject.head("size"),
        find: &question.find,
        unit: unit(&question.find),
        min: value(question.min),
        max: value(question.max),
        tolerance: question.tolerance,
        slo: conditions(&question.conditions),
        seeds: &sizing.seeds,
        found: sizing.found.map(value),
        low: sizing.low.map(value),
        high: sizing.high.map(value),
        direction: sizing.direction,
        reason: sizing.unfound,
        monotone: sizing.monotone(),
        contradictions: contradictions.collect(),
        trail: sizing.trail.iter().map(|point| trail(point, sizing)).collect(),
    };
    serde_json::to_string_pretty(&json).unwrap_or_default()
}

fn trail(point: &Point, sizing: &Sizing) -> Value {
    let metrics: Map<String, Value> =
        sizing.metrics.iter().zip(&point.metrics).map(|(path, mean)| (path.clone(), json!(mean))).collect();
    json!({
        "value": number(point.value, sizing.kind),
        "round": point.round,
        "met": point.verdict.met,
        "sure": point.verdict.sure,
        "metrics": metrics,
    })
}

/// One row per value looked at, in order of rounds.
///
/// # Errors
/// None to be expected: text in memory.
fn csv(sizing: &Sizing) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["value", "round", "met", "sure"].map(String::from).into_iter();
    writer.write_record(head.chain(sizing.metrics.iter().flat_map(|path| columns(path))))?;
    for point in &sizing.trail {
        let Verdict { met, sure } = point.verdict;
        let start = [point.value.to_string(), point.round.to_string(), met.to_string(), sure.to_string()];
        writer.write_record(start.into_iter().chain(point.metrics.iter().flat_map(fields)))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Columns of a mean and its interval.
fn columns(name: &str) -> [String; 3] {
    [name.to_string(), format!("{name}.ci95_low"), format!("{name}.ci95_high")]
}

/// The fields under them; empty without a mean.
fn fields(mean: &Option<Mean>) -> [String; 3] {
    match mean {
        Some(mean) => [mean.mean, mean.ci95_low, mean.ci95_high].map(|value| value.to_string()),
        None => Default::default(),
    }
}

/// How a verdict is written in tables: a question mark where the interval holds the limit.
fn mark(verdict: Verdict) -> &'static str {
    match (verdict.met, verdict.sure) {
        (true, true) => "yes",
        (true, false) => "yes?",
        (false, true) => "no",
        (false, false) => "no?",
    }
}

/// Writes the folder `dir` with `summary.json` and `trail.csv`, complete or not at all.
///
/// # Errors
/// The disk said no.
pub fn write(
    dir: &Path,
    sizing: &Sizing,
    question: &Question,
    subject: &Subject,
) -> Result<Vec<PathBuf>, ReportError> {
    put(dir, json(sizing, question, subject), "trail.csv", csv(sizing))
}

/// Writes a folder with `summary.json` and one table, complete or not at all.
///
/// # Errors
/// The disk said no.
pub fn put(
    dir: &Path,
    mut json: String,
    name: &str,
    table: Result<Vec<u8>, csv::Error>,
) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let table =
        table.map_err(|error| ReportError::Io { path: dir.join(name), source: io::Error::other(error) })?;
    json.push('\n');
    // `summary.json` marks a folder as one of ours.
    let files = [("summary.json", json.into_bytes()), (name, table)];
    for (name, bytes) in &files {
        folder::write_file(&staging.path().join(name), bytes)?;
    }
    staging.put_in_place()?;
    Ok(files.iter().map(|(name, _)| dir.join(name)).collect())
}
