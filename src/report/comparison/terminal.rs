//! Scenarios side by side on a terminal: what was changed, what that does, what binds.

use std::fmt::Write as _;

use serde_json::Value;

use super::{end_s, start_at_h};
use crate::ledger::outcome::Constraint;
use crate::report::numbers::{quantity, short, short_time, significant, span};
use crate::report::{palette, terminal};
use crate::study::compare::{Change, Comparison, METRICS, Quantity, Side};
use crate::study::paired::Mean;

/// More changed fields than this are counted instead of listed.
const MOST_CHANGES: usize = 40;

/// Changes, tables and ribbons, in at most `width` columns; styled if `color`.
#[must_use]
pub fn text(comparison: &Comparison, width: usize, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() };
    let mut out = String::new();
    let Some((base, others)) = comparison.sides.split_first() else { return out };
    let names: Vec<&str> = comparison.sides.iter().map(|side| side.name.as_str()).collect();
    let _ = writeln!(out, "{}, {} seeds", bold(&names.join(" · ")), comparison.seeds.len());
    for warning in warnings(base, others) {
        let _ = writeln!(out, "{}", bold(&warning));
    }
    changes(&mut out, comparison, width, &bold);
    for side in others {
        table(&mut out, comparison, base, side, &bold);
    }
    let _ = writeln!(out, "* the 95 % interval of the difference does not hold 0");
    ribbons(&mut out, comparison, width, color, &bold);
    out
}

/// What makes a comparison less than a comparison of like with like.
fn warnings(base: &Side, others: &[Side]) -> Vec<String> {
    let mut warnings = Vec::new();
    for side in others {
        if side.info.duration_s != base.info.duration_s {
            warnings.push(format!(
                "Note: {} lasts {}, {} {}: rates are compared, not totals.",
                base.name,
                span(base.info.duration_s),
                side.name,
                span(side.info.duration_s)
            ));
        }
        if !side.paired {
            warnings.push(format!(
                "Note: {} has another workload (or start) than {}: their requests differ, so seeds do not pair and intervals are wider.",
                side.name, base.name
            ));
        }
    }
    warnings
}

fn changes(out: &mut String, comparison: &Comparison, width: usize, bold: &dyn Fn(&str) -> String) {
    if comparison.identical() {
        let _ = writeln!(out, "\nThe scenarios are identical but for their names and seeds.");
        return;
    }
    let _ = writeln!(out, "\n{}", bold("Changed fields"));
    for change in comparison.changes.iter().take(MOST_CHANGES) {
        let place = if change.place.is_empty() { String::new() } else { format!(" ({})", change.place) };
        let start = format!("  {}{place}: ", change.path);
        let used = start.chars().count() + 3 * (change.values.len() - 1);
        let room = (width.saturating_sub(used) / change.values.len()).max(12);
        let values: Vec<String> = change.values.iter().map(|value| written(value.as_ref(), room)).collect();
        let _ = writeln!(out, "{start}{}", values.join(" → "));
    }
    let more: &[Change] = comparison.changes.get(MOST_CHANGES..).unwrap_or_default();
    if !more.is_empty() {
        let _ = writeln!(out, "  and {} more (all of them with --json)", more.len());
    }
}

/// A value of a scenario in at most `room` characters.
fn written(value: Option<&Value>, room: usize) -> String {
    let text = match value {
        None | Some(Value::Null) => "–".to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string().replace('"', ""),
    };
    if text.chars().count() <= room {
        return text;
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn table(out: &mut String, comparison: &Comparison, base: &Side, side: &Side, bold: &dyn Fn(&str) -> String) {
    let cut = |name: &str| name.chars().take(12).collect::<String>();
    let head = format!(
        "{:<25}{:>13}{:>13}  {:>33}{:>11}",
        "",
        cut(&base.name),
        cut(&side.name),
        "difference [95 %]",
        "relative"
    );
    let _ = writeln!(out, "\n{}", bold(&head));
    for m in comparison.known() {
        let (_, words, quantity) = METRICS[m];
        let value = |mean: Option<Mean>| mean.map_or("–".into(), |mean| text_of(mean.mean, quantity));
        let (of_base, cell) = (&base.cells[m], &side.cells[m]);
        let unused = |mean: Option<Mean>| mean.is_none_or(|mean| mean.mean == 0.0);
        // A cause that binds nowhere is not worth a line.
        if words.starts_with("bound by") && unused(of_base.mean) && unused(cell.mean) {
            continue;
        }
        let difference = cell.difference.map_or("–".into(), |d| difference(d, quantity));
        let relative = cell.relative.map_or("–".into(), |relative| match (relative * 1e3).round() / 10.0 {
            0.0 => "0.0 %".to_string(),
            // Of next to nothing everything is a multiple.
            percent if percent >= 1000.0 => "> 10 times".to_string(),
            percent => format!("{percent:+.1} %"),
        });
        let mark = if cell.differs() { " *" } else { "" };
        let _ = writeln!(
            out,
            "{words:<25}{:>13}{:>13}  {difference:>33}{relative:>11}{mark}",
            value(of_base.mean),
            value(cell.mean)
        );
    }
}

fn text_of(value: f64, quantity: Quantity) -> String {
    match quantity {
        Quantity::Rate => short(value),
        Quantity::Share => format!("{} %", share(value * 100.0)),
        Quantity::Time => short_time(value),
        Quantity::Energy => self::quantity(value, "J"),
        Quantity::Power => self::quantity(value, "W"),
        Quantity::Ratio => significant(value, 4),
    }
}

/// Percent with as many digits as a share may need: never more than two decimals.
fn share(percent: f64) -> String {
    let text = format!("{percent:.2}");
    if text == "-0.00" { "0.00".into() } else { text }
}

/// `+1.2 k [+1.1 k, +1.3 k]`.
fn difference(mean: Mean, quantity: Quantity) -> String {
    let signed = |value: f64| {
        let sign = if value > 0.0 { "+" } else { "" };
        format!("{sign}{}", text_of(value, quantity))
    };
    if mean.mean == 0.0 && mean.ci95_low == 0.0 && mean.ci95_high == 0.0 {
        return "0".into();
    }
    format!("{} [{}, {}]", signed(mean.mean), signed(mean.ci95_low), signed(mean.ci95_high))
}

fn ribbons(
    out: &mut String,
    comparison: &Comparison,
    width: usize,
    color: bool,
    bold: &dyn Fn(&str) -> String,
) {
    let seed = comparison.seeds.first().copied().unwrap_or_default();
    let _ = writeln!(out, "\n{}", bold(&format!("What binds, over time (seed {seed})")));
    let names = comparison.sides.iter().map(|side| side.name.chars().count()).max().unwrap_or(0).clamp(4, 20);
    let columns = width.saturating_sub(names + 2).max(20);
    let end_s = end_s(comparison);
    for side in &comparison.sides {
        let name: String = side.name.chars().take(names).collect();
        let line = terminal::ribbon_line(&side.timeline, end_s, columns, color);
        let _ = writeln!(out, "{}", format!("{name:<names$}  {line}").trim_end());
    }
    let (marks, labels) = terminal::axis(start_at_h(comparison).unwrap_or(0.0), end_s, columns);
    for line in [marks, labels] {
        let _ = writeln!(out, "{:names$}{}", "", line.trim_end());
    }
    if start_at_h(comparison).is_none() {
        let _ = writeln!(out, "Times are since each start: the scenarios start at different times of day.");
    }
    let bound = |constraint: &Constraint| {
        let stretches = comparison.sides.iter().flat_map(|side| &side.timeline);
        stretches.into_iter().any(|stretch| stretch.constraint == *constraint)
    };
    let key = Constraint::ALL.into_iter().filter(bound).map(|constraint| {
        let block = palette::block(constraint);
        if color {
            let code = palette::terminal(constraint);
            format!("\u{1b}[38;5;{code}m{block}{block}\u{1b}[0m {}", palette::name(constraint))
        } else {
            format!("{block}{block} {}", palette::name(constraint))
        }
    });
    let _ = writeln!(out, "{:names$}  {}", "", key.collect::<Vec<_>>().join("   "));
}
