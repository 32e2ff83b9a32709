//! Shadow prices for readers: a table with sentences, JSON, CSV.

mod terminal;

use serde::Serialize;

use crate::ledger::outcome::Constraint;
use crate::report::ReportError;
use crate::report::folder;
use crate::study::explain::{Agreement, Explanation, Price};
use crate::study::paired::Mean;
pub use terminal::text;

use std::io;
use std::path::{Path, PathBuf};

/// What was explained.
pub struct Subject<'a> {
    /// Name of the scenario.
    pub name: &'a str,
    /// Its hash.
    pub hash: &'a str,
    /// Identity of the study: scenario and question.
    pub study: &'a str,
    /// Local time of day at t = 0 [h].
    pub start_at_h: f64,
}

#[derive(Serialize)]
struct Study<'a> {
    command: &'static str,
    hash: &'a str,
}

#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    study: Study<'a>,
    scenario: &'a str,
    hash: &'a str,
    window_s: [f64; 2],
    arrivals_from_s: f64,
    seeds: &'a [u64],
    useful_tok_per_s: Mean,
    late_pools: &'a [String],
    limits: Vec<Row<'a>>,
    screened: &'a [String],
    labels: Vec<LabelShare<'a>>,
    by_price: Option<Constraint>,
    by_ledger: Option<Constraint>,
    agrees: bool,
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct LabelShare<'a> {
    constraint: Constraint,
    #[serde(rename = "where")]
    place: &'a str,
    share: f64,
}

/// A limit's row. The interval is that of `delta_useful_tok_per_s`.
#[derive(Serialize)]
struct Row<'a> {
    limit: &'static str,
    #[serde(rename = "where")]
    place: &'a str,
    constraint: Option<Constraint>,
    step: f64,
    unit: &'a str,
    step_share: Option<f64>,
    delta_useful_tok_per_s: Option<f64>,
    ci95_low: Option<f64>,
    ci95_high: Option<f64>,
    per_unit_tok_per_s: Option<f64>,
    delta_output_tok_per_s: Option<f64>,
    elasticity: Option<f64>,
    elasticity_ci95_low: Option<f64>,
    elasticity_ci95_high: Option<f64>,
    binding_share: f64,
    failed: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(price: &'a Price) -> Self {
        let (gain, elasticity) = (price.gain_tok_per_s, price.elasticity);
        Self {
            limit: price.limit.kind.key(),
            place: &price.limit.place,
            constraint: price.limit.kind.constraint(),
            step: price.limit.step,
            unit: price.limit.unit,
            step_share: price.limit.step_share,
            delta_useful_tok_per_s: gain.map(|gain| gain.mean),
            ci95_low: gain.map(|gain| gain.ci95_low),
            ci95_high: gain.map(|gain| gain.ci95_high),
            per_unit_tok_per_s: gain.map(|gain| gain.mean / price.limit.step),
            delta_output_tok_per_s: price.output_gain_tok_per_s.map(|gain| gain.mean),
            elasticity: elasticity.map(|e| e.mean),
            elasticity_ci95_low: elasticity.map(|e| e.ci95_low),
            elasticity_ci95_high: elasticity.map(|e| e.ci95_high),
            binding_share: price.binding_share,
            failed: price.failed.as_deref(),
        }
    }
}

/// The whole answer as JSON (schema in the README).
#[must_use]
pub fn json(explanation: &Explanation, subject: &Subject) -> String {
    let Explanation { window_s, verdict, labels, .. } = explanation;
    let json = Json {
        schema_version: 1,
        study: Study { command: "explain", hash: subject.study },
        scenario: subject.name,
        hash: subject.hash,
        window_s: [window_s.0, window_s.1],
        arrivals_from_s: explanation.arrivals_from_s,
        seeds: &explanation.seeds,
        useful_tok_per_s: explanation.useful_tok_per_s,
        late_pools: &explanation.late_pools,
        limits: explanation.prices.iter().map(Row::of).collect(),
        screened: &explanation.screened,
        labels: labels
            .shares
            .iter()
            .map(|(constraint, place, share)| LabelShare { constraint: *constraint, place, share: *share })
            .collect(),
        by_price: verdict.by_price,
        by_ledger: verdict.by_ledger,
        agrees: verdict.agreement == Agreement::Agree,
        reason: match verdict.agreement {
            Agreement::Agree => None,
            Agreement::Tie => Some("tie"),
            Agreement::Transient => Some("transient"),
            Agreement::Disagree => Some("disagreement"),
        },
    };
    serde_json::to_string_pretty(&json).unwrap_or_default()
}

/// One row per limit.
///
/// # Errors
/// None to be expected: text in memory.
fn csv(explanation: &Explanation) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for price in &explanation.prices {
        writer.serialize(Row::of(price))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Writes the folder `dir` (`summary.json`, `explain.csv`), complete or not at all.
///
/// # Errors
/// The disk said no.
pub fn write(dir: &Path, explanation: &Explanation, subject: &Subject) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let table = csv(explanation).map_err(|error| ReportError::Io {
        path: dir.join("explain.csv"),
        source: io::Error::other(error),
    })?;
    let mut text = json(explanation, subject);
    text.push('\n');
    // `summary.json` marks a folder as one of ours.
    let files = [("summary.json", text.into_bytes()), ("explain.csv", table)];
    for (name, bytes) in &files {
        folder::write_file(&staging.path().join(name), bytes)?;
    }
    staging.put_in_place()?;
    Ok(files.iter().map(|(name, _)| dir.join(name)).collect())
}
