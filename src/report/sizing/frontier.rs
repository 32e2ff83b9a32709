//! The Pareto set of power, tokens, service and cost, as table, JSON and CSV.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{columns, conditions, fields, mark, number};
use crate::report::Subject;
use crate::report::numbers::{quantity, short, significant};
use crate::study::paired::Mean;
use crate::study::size::{Frontier, FrontierQuestion, unit};

/// The whole answer as JSON (schema in the README).
#[must_use]
pub fn json(frontier: &Frontier, question: &FrontierQuestion, subject: &Subject) -> String {
    let axes = question.axes.iter().zip(&frontier.kinds).map(|(axis, kind)| {
        json!({
            "path": axis.path,
            "unit": unit(&axis.path),
            "min": number(axis.min, *kind),
            "max": number(axis.max, *kind),
        })
    });
    let points = frontier.points.iter().map(|point| {
        let values: Map<String, Value> = question
            .axes
            .iter()
            .zip(&frontier.kinds)
            .zip(&point.values)
            .map(|((axis, kind), value)| (axis.path.clone(), number(*value, *kind)))
            .collect();
        json!({
            "values": values,
            "facility_mw": point.facility_w.times(1e-6),
            "useful_tok_per_s": point.useful_tok_per_s,
            "slo_attainment": point.slo_attainment,
            "usd_per_mtok": point.usd_per_mtok,
            "met": point.verdict.map(|verdict| verdict.met),
            "sure": point.verdict.map(|verdict| verdict.sure),
            "pareto": point.pareto,
        })
    });
    let json = json!({
        "schema_version": 1,
        "study": { "command": "size --frontier", "hash": subject.study },
        "scenario": { "name": subject.name, "hash": subject.hash },
        "find": axes.collect::<Vec<_>>(),
        "slo": conditions(&question.conditions),
        "prices": question.prices,
        "seeds": frontier.seeds,
        "points": points.collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&json).unwrap_or_default()
}

/// One row per point.
///
/// # Errors
/// None to be expected: text in memory.
pub fn csv(frontier: &Frontier, question: &FrontierQuestion) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut head: Vec<String> = question.axes.iter().map(|axis| axis.path.clone()).collect();
    for name in ["facility_mw", "useful_tok_per_s", "slo_attainment", "usd_per_mtok"] {
        head.extend(columns(name));
    }
    head.extend(["met", "sure", "pareto"].map(String::from));
    writer.write_record(&head)?;
    for point in &frontier.points {
        let means = [
            Some(point.facility_w.times(1e-6)),
            Some(point.useful_tok_per_s),
            point.slo_attainment,
            point.usd_per_mtok,
        ];
        let mut row: Vec<String> = point.values.iter().map(ToString::to_string).collect();
        row.extend(means.iter().flat_map(fields));
        let verdict = |of: Option<bool>| of.map(|holds| holds.to_string()).unwrap_or_default();
        row.push(verdict(point.verdict.map(|v| v.met)));
        row.push(verdict(point.verdict.map(|v| v.sure)));
        row.push(point.pareto.to_string());
        writer.write_record(&row)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Table and sentence; styled if `color`.
#[must_use]
pub fn text(frontier: &Frontier, question: &FrontierQuestion, subject: &Subject, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() };
    let mut out = String::new();
    let paths: Vec<&str> = question.axes.iter().map(|axis| axis.path.as_str()).collect();
    let (name, seeds) = (bold(subject.name), frontier.seeds.len());
    let _ = writeln!(out, "{name}  {}, {seeds} seeds; * is on the frontier", paths.join(" × "));
    if !question.conditions.is_empty() {
        let _ = writeln!(out, "needed: {}", conditions(&question.conditions).join(" and "));
    }
    out.push('\n');
    let mut head = String::from("  ");
    for path in &paths {
        let _ = write!(head, "{:>14}", unit(path).unwrap_or("value"));
    }
    let _ = write!(head, "{:>14}{:>18}{:>10}{:>12}", "facility", "useful tokens/s", "SLO met", "$/Mtok");
    if !question.conditions.is_empty() {
        head += "  meets";
    }
    let _ = writeln!(out, "{}", bold(&head));
    for point in &frontier.points {
        let mut line = String::from(if point.pareto { "* " } else { "  " });
        for value in &point.values {
            let _ = write!(line, "{value:>14}");
        }
        let maybe = |mean: Option<Mean>, text: &dyn Fn(f64) -> String| {
            mean.map_or("–".to_string(), |mean| text(mean.mean))
        };
        let _ = write!(
            line,
            "{:>14}{:>18}{:>10}{:>12}",
            quantity(point.facility_w.mean, "W"),
            short(point.useful_tok_per_s.mean),
            maybe(point.slo_attainment, &|share| format!("{} %", significant(share * 100.0, 4))),
            maybe(point.usd_per_mtok, &|usd| significant(usd, 4)),
        );
        if let Some(verdict) = point.verdict {
            let _ = write!(line, "  {}", mark(verdict));
        }
        let _ = writeln!(out, "{}", if point.pareto { bold(&line) } else { line });
    }
    let on = frontier.points.iter().filter(|point| point.pareto).count();
    let cost = if question.prices.is_some() { " and costs" } else { "" };
    let _ = writeln!(
        out,
        "\n{on} of {} points are on the frontier: none of the others draws less, gives more useful tokens, meets more \
         SLOs{cost} less without being worse in another of these, by the means.",
        frontier.points.len()
    );
    out
}
