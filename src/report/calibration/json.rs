//! `summary.json` of a calibration.

use serde_json::{Value, json};

use super::{Subject, TOLD, spreads};
use crate::study::calibrate::{Calibration, Split};

/// Version of the layout.
const SCHEMA_VERSION: u32 = 1;

/// The summary as text, for the file and for `--json`.
pub fn summary_json(calibration: &Calibration, subject: &Subject) -> String {
    let mut tables = Vec::new();
    for (table, name) in subject.tables.iter().enumerate() {
        let mut errors = serde_json::Map::new();
        for split in Split::ALL {
            let mut metrics = serde_json::Map::new();
            for told in &TOLD {
                let (fitted, roofline) = spreads(calibration, table, split, told);
                metrics.insert(told.key.into(), json!({ "fitted": fitted, "data_sheet_roofline": roofline }));
            }
            let key = serde_json::to_value(split).ok();
            let key = key.as_ref().and_then(Value::as_str).unwrap_or_default();
            errors.insert(key.into(), Value::Object(metrics));
        }
        let rows = calibration.rows.iter().filter(|row| row.table == table).count();
        tables.push(json!({ "name": name, "rows": rows, "left_out": errors }));
    }
    let coefficients: Vec<Value> = calibration
        .fit
        .coefficients
        .iter()
        .map(|c| {
            let (low, high) = c.interval95();
            json!({
                "name": c.name, "value": c.value, "interval95": [low, high],
                "prior": c.prior, "prior_sd_ln": c.prior_sd_ln,
            })
        })
        .collect();
    let summary = json!({
        "schema_version": SCHEMA_VERSION,
        "scenario": { "name": "calibrate", "hash": subject.hash },
        "date": calibration.fit.date,
        "tables": tables,
        "all_reduce": calibration.links,
        "not_fitted": calibration.left_out,
        "coefficients": coefficients,
    });
    let mut text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    text.push('\n');
    text
}
