//! `rows.csv`: every row with what was measured, what was simulated, and the errors.

use crate::report::figures::{csv_number, csv_text};
use crate::study::validate::{Metric, Validation};

/// The table; metrics that no row has are left out.
pub(super) fn csv(validation: &Validation) -> String {
    let has = |metric: &Metric| validation.rows.iter().any(|row| row.measured.figures.contains_key(metric));
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(has).collect();
    let mut copied: Vec<&str> = Vec::new();
    for (name, _) in validation.rows.iter().flat_map(|row| &row.measured.copied) {
        if !copied.contains(&name.as_str()) {
            copied.push(name);
        }
    }
    let mut header: Vec<String> = [
        "id",
        "line",
        "model",
        "gpu",
        "gpus",
        "batch",
        "input_tok",
        "output_tok",
        "task",
        "suspect_host_bound",
        "simulated_model",
        "simulated_gpu",
        "simulated_engine",
        "simulated_precision",
        "simulated_prompt_tok",
        "simulated_output_sigma",
    ]
    .map(String::from)
    .to_vec();
    for metric in &metrics {
        for kind in ["measured", "simulated", "error"] {
            header.push(format!("{kind}_{}", metric.key()));
        }
    }
    header.extend(["error", "remarks", "source"].map(String::from));
    header.extend(copied.iter().map(|name| csv_text(name)));
    let mut out = header.join(",") + "\n";
    for row in &validation.rows {
        let measured = &row.measured;
        let names = row.understood.as_ref();
        let name = |of: fn(&crate::study::validate::Understood) -> &str| names.map_or("", of);
        let mut cells = vec![
            csv_text(&measured.id),
            measured.line.to_string(),
            csv_text(&measured.model),
            csv_text(&measured.gpu),
            measured.gpus.to_string(),
            measured.batch.to_string(),
            measured.input_tok.map(|tokens| tokens.to_string()).unwrap_or_default(),
            measured.output_tok.to_string(),
            csv_text(measured.task.as_deref().unwrap_or_default()),
            u8::from(measured.suspect_host_bound).to_string(),
            csv_text(name(|names| &names.model)),
            csv_text(name(|names| &names.gpu)),
            csv_text(name(|names| &names.engine)),
            csv_text(name(|names| names.precision)),
            csv_number(names.and_then(|names| names.prompt_tok).map(f64::from)),
            csv_number(names.and_then(|names| names.output_sigma)),
        ];
        for metric in &metrics {
            let simulated = row.simulated.as_ref().ok().and_then(|figures| figures.get(metric));
            cells.push(csv_number(measured.figures.get(metric).copied()));
            cells.push(csv_number(simulated.copied()));
            cells.push(csv_number(row.errors.get(metric).copied()));
        }
        cells.push(csv_text(row.simulated.as_ref().err().map_or("", String::as_str)));
        cells.push(csv_text(&measured.remarks.join("; ")));
        cells.push(csv_text(measured.source.as_deref().unwrap_or_default()));
        for wanted in &copied {
            let text = measured.copied.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.as_str());
            cells.push(csv_text(text.unwrap_or_default()));
        }
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}
