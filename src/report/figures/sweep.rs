//! Figures of sweeps: what each takes, and the columns it stands on.

use super::theme::Theme;
use super::{Figure, cost, energy, frame, heatmap, knee, pareto, slo};
use crate::report::columns::{self, Unit};
use crate::report::points::{Points, PointsError};
use crate::report::redraw::Asked;
use crate::scenario::suggestion;

/// Draws a figure of a sweep, or says what it lacks.
type Draw = for<'a> fn(&Points, &Asked, &'a Theme) -> Result<Figure<'a>, PointsError>;

/// A figure of sweeps.
pub(in crate::report) struct Kind {
    pub(in crate::report) name: &'static str,
    /// Options of [`Asked`] that it takes.
    takes: &'static [&'static str],
    pub(in crate::report) draw: Draw,
}

/// Every figure of sweeps, in the order of reports.
pub(in crate::report) const ALL: [Kind; 6] = [
    Kind { name: "knee", takes: &["--x", "--y", "--by"], draw: knee::draw },
    Kind { name: "slo", takes: &["--x", "--by"], draw: slo::draw },
    Kind { name: "heatmap", takes: &["--x", "--y", "--z"], draw: heatmap::draw },
    Kind { name: "pareto", takes: &["--by"], draw: pareto::draw },
    Kind { name: "energy", takes: &["--x", "--by"], draw: energy::draw },
    Kind {
        name: "cost",
        takes: &["--x", "--by", "--usd-per-mwh", "--usd-per-gpu-hour", "--gpus"],
        draw: cost::draw,
    },
];

/// The figures of these names; every option given must mean something to one of them.
pub(in crate::report) fn kinds(names: &[String], asked: &Asked) -> Result<Vec<&'static Kind>, PointsError> {
    let mut out: Vec<&'static Kind> = Vec::new();
    for name in names {
        let Some(kind) = ALL.iter().find(|kind| kind.name == name) else {
            let known = suggestion(name, ALL.iter().map(|kind| kind.name));
            return Err(PointsError(format!("--figure {name}: no such figure of a sweep{known}")));
        };
        if !out.iter().any(|k| k.name == kind.name) {
            out.push(kind);
        }
    }
    for option in asked.given() {
        if !out.iter().any(|kind| kind.takes.contains(&option)) {
            let takers: Vec<&str> =
                ALL.iter().filter(|k| k.takes.contains(&option)).map(|k| k.name).collect();
            return Err(PointsError(format!(
                "{option} means nothing here: it is of --figure {}",
                takers.join(", ")
            )));
        }
    }
    Ok(out)
}

/// The horizontal axis of figures of lines: as asked, else the cap, else the last axis of numbers.
pub(super) fn x_axis(points: &Points, asked: &Asked) -> Result<usize, PointsError> {
    if let Some(name) = &asked.x {
        return points.numbers("--x", name);
    }
    let axes: Vec<usize> = points.varying_axes().into_iter().filter(|k| points.is_numeric(*k)).collect();
    let is_cap =
        |k: &&usize| points.name_of(**k).rsplit('.').next().is_some_and(|last| last.starts_with("cap_"));
    let found = axes.iter().find(is_cap).or(axes.last());
    found.copied().ok_or_else(|| PointsError("--x NAME is needed: the axis of the figure".into()))
}

/// What tells lines apart: as asked, else the one other axis.
pub(super) fn by_axis(points: &Points, asked: &Asked, x: usize) -> Result<Option<usize>, PointsError> {
    if let Some(name) = &asked.by {
        let by = points.column("--by", name)?;
        return match by == x {
            true => Err(PointsError(format!("--by {name}: is the horizontal axis already"))),
            false => Ok(Some(by)),
        };
    }
    let others: Vec<usize> = points.varying_axes().into_iter().filter(|k| *k != x).collect();
    Ok(match others.as_slice() {
        [one] => Some(*one),
        _ => None,
    })
}

/// `PUE 1.10`, `power cap 9 MW`: the value of an axis in a few words.
pub(super) fn said(points: &Points, column: usize, value: f64) -> String {
    let quantity = columns::quantity(points.name_of(column));
    let unit = quantity.unit.for_axis(value);
    let number = super::lines::written_alike(&[value / unit.factor]).remove(0);
    let words = quantity.words.split([',', '(']).next().unwrap_or_default().trim();
    let words = columns::small(words);
    match (quantity.unit, unit.text.as_str()) {
        (Unit::None, _) | (_, "") => format!("{words} {number}"),
        (_, unit) => format!("{words} {number} {unit}"),
    }
}

/// Where the points come from, and remarks, below a figure.
pub(super) fn draw_footer(picture: &mut super::picture::Picture, points: &Points, remark: &str) {
    let (fixed, failed) = points.origin();
    frame::draw_footer_text(picture, points.name(), &fixed, &format!("{failed}{remark}"));
}
