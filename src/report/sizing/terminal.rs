//! A search for a size on a terminal: the values looked at, then the answer in a sentence.

use std::fmt::Write as _;

use super::{conditions, mark};
use crate::report::Subject;
use crate::report::numbers::significant;
use crate::study::paired::Mean;
use crate::study::size::{Direction, Point, Question, Sizing, Unfound, unit};

/// Metrics of conditions that have a column each; of more, those alone that decide.
const MOST_COLUMNS: usize = 4;

/// Table and sentences; styled if `color`.
#[must_use]
pub fn text(sizing: &Sizing, question: &Question, subject: &Subject, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() };
    let mut out = String::new();
    let slo = conditions(&question.conditions).join(" and ");
    let _ = writeln!(
        out,
        "{}  {} from {} to {}, {} seeds\nneeded: {slo}\n",
        bold(subject.name),
        question.find,
        with_unit(question.min, question),
        with_unit(question.max, question),
        sizing.seeds.len()
    );
    let mut shown: Vec<&str> = question.conditions.iter().map(|c| c.metric.path()).collect();
    shown.dedup();
    shown.truncate(MOST_COLUMNS);
    let column = |path: &str| path.chars().count().max(30) + 2;
    let mut head = format!("{:>14}  {:<5}", unit(&question.find).unwrap_or("value"), "meets");
    for path in &shown {
        let _ = write!(head, "{path:>width$}", width = column(path));
    }
    let _ = writeln!(out, "{}", bold(&head));
    let mut points: Vec<&Point> = sizing.trail.iter().collect();
    points.sort_by(|a, b| a.value.total_cmp(&b.value));
    for point in points {
        let mut line = format!("{:>14}  {:<5}", point.value.to_string(), mark(point.verdict));
        for path in &shown {
            let m = sizing.metrics.iter().position(|metric| metric == path);
            let mean = m.and_then(|m| point.metrics[m]);
            let _ = write!(line, "{:>width$}", interval(mean), width = column(path));
        }
        let answer = sizing.found == Some(point.value);
        let _ = writeln!(out, "{}", if answer { bold(&format!("{line}  ←")) } else { line });
    }
    let _ = writeln!(out, "\n{}", answer(sizing, question, &slo));
    let doubts: Vec<String> =
        sizing.contradictions.iter().filter(|c| c.sure).map(|c| with_unit(c.value, question)).collect();
    if !doubts.is_empty() {
        let others =
            if sizing.direction.is_some() { "one further on does not" } else { "the ends say otherwise" };
        let (what, meets) = match sizing.unfound {
            Some(Unfound::BothEndsMeet) => ("fails", "fail"),
            _ => ("meets", "meet"),
        };
        let verb = if doubts.len() == 1 { what } else { meets };
        let _ = writeln!(
            out,
            "Not monotone: {} {verb} although {others}. Look at the range with --scan, or narrow it.",
            doubts.join(", ")
        );
    }
    out
}

fn with_unit(value: f64, question: &Question) -> String {
    match unit(&question.find) {
        Some(unit) => format!("{value} {unit}"),
        None => value.to_string(),
    }
}

/// `0.987 [0.98, 0.99]`; large and small numbers in powers of ten.
fn interval(mean: Option<Mean>) -> String {
    let Some(mean) = mean else { return "–".into() };
    let number = |value: f64| {
        if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
            format!("{value:.3e}")
        } else {
            significant(value, 4)
        }
    };
    format!("{} [{}, {}]", number(mean.mean), number(mean.ci95_low), number(mean.ci95_high))
}

fn answer(sizing: &Sizing, question: &Question, slo: &str) -> String {
    let ends = format!("{} and {}", with_unit(question.min, question), with_unit(question.max, question));
    let direction = match (sizing.direction, sizing.unfound) {
        (Some(Direction::Smallest), _) => "smallest",
        (Some(Direction::Largest), _) => "largest",
        (None, Some(Unfound::BothEndsMeet)) => {
            return format!("Nothing to find: at both ends, {ends}, it holds that {slo}. Widen the range.");
        }
        (None, _) => {
            return format!(
                "Nothing found: neither at {} nor at {} it holds that {slo}. Widen the range, or ask for less.",
                with_unit(question.min, question),
                with_unit(question.max, question)
            );
        }
    };
    let found = sizing.found.map_or("–".into(), |value| with_unit(value, question));
    let end = |value: Option<f64>, beyond: String| value.map_or(beyond, |value| value.to_string());
    format!(
        "The {direction} {} with {slo}: {found} (95 % interval {} to {}).",
        question.find,
        end(sizing.low, format!("below {}", question.min)),
        end(sizing.high, format!("above {}", question.max)),
    )
}
