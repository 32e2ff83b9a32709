//! `summary.json` of a validation.

use serde_json::{Map, Value, json};

use super::{GROUPINGS, Subject, groups};
use crate::study::validate::{Figures, Metric, Row, Validation};

/// Version of the layout.
const SCHEMA_VERSION: u32 = 1;

/// The validation as JSON: metrics, groups, rows.
pub fn summary_json(validation: &Validation, subject: &Subject) -> String {
    let by_metric = |spreads: Vec<(Metric, _)>| -> Map<String, Value> {
        spreads.into_iter().map(|(metric, spread)| (metric.key().into(), json!(spread))).collect()
    };
    let all = Metric::ALL.map(|metric| (metric, validation.spread(metric, |_| true)));
    let mut by = Map::new();
    for grouping in GROUPINGS {
        let inner: Map<String, Value> = groups(validation, grouping)
            .into_iter()
            .map(|group| (group.name, Value::Object(by_metric(group.spreads))))
            .collect();
        by.insert(grouping.0.into(), Value::Object(inner));
    }
    let failed = validation.failed().count();
    let value = json!({
        "schema_version": SCHEMA_VERSION,
        "kind": "validate",
        "scenario": { "name": subject.name, "hash": subject.hash, "seed": subject.seed },
        "table": validation.layout,
        "counts": {
            "rows": validation.rows.len(),
            "simulated": validation.rows.len() - failed,
            "failed": failed,
        },
        "metrics": by_metric(all.to_vec()),
        "by": by,
        "rows": validation.rows.iter().map(row).collect::<Vec<Value>>(),
        "warnings": validation.warnings,
    });
    // Values of maps with text keys always serialise.
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

fn row(row: &Row) -> Value {
    let measured = &row.measured;
    let figures = |figures: &Figures| -> Map<String, Value> {
        figures.iter().map(|(metric, value)| (metric.key().into(), json!(value))).collect()
    };
    let understood = row.understood.as_ref();
    let copied: Map<String, Value> =
        measured.copied.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
    json!({
        "id": measured.id,
        "line": measured.line,
        "model": measured.model,
        "gpu": measured.gpu,
        "gpus": measured.gpus,
        "batch": measured.batch,
        "input_tok": measured.input_tok,
        "output_tok": measured.output_tok,
        "task": measured.task,
        "suspect_host_bound": measured.suspect_host_bound,
        "source": measured.source,
        "simulated_as": understood.map(|names| json!({
            "model": names.model,
            "gpu": names.gpu,
            "engine": names.engine,
            "precision": names.precision,
            "prompt_tok": names.prompt_tok,
            "output_sigma": names.output_sigma,
        })),
        "error": row.simulated.as_ref().err(),
        "measured": figures(&measured.figures),
        "simulated": row.simulated.as_ref().map(figures).unwrap_or_default(),
        "errors": figures(&row.errors),
        "remarks": measured.remarks,
        "copied": copied,
    })
}
