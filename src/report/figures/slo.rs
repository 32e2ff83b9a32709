//! Figure `slo`: requests within their SLO, and the slow end of latencies, against the power cap: a panel each.

use super::frame::{self, Frame};
use super::lines::{self, Axes, Lines};
use super::logarithmic;
use super::picture::{Align, MARGIN, Picture, Style};
use super::sweep::{self, by_axis, said, x_axis};
use super::theme::{AXIS_ROOM, TICK_PX, Theme};
use super::{Figure, Table};
use crate::report::columns;
use crate::report::numbers::{percent, significant};
use crate::report::points::{Points, PointsError, Value};
use crate::report::redraw::Asked;

/// Columns, the name of the table, and what stands above the panel.
const PANELS: [(&str, &str, &str); 3] = [
    ("slo_attainment", "slo_attainment", "Requests within their SLO"),
    ("latency_s.ttft.p99", "slo_ttft", "Time to first token, 99th percentile"),
    ("latency_s.tpot.p99", "slo_tpot", "Time per output token, 99th percentile"),
];
/// Latencies that differ by more than this factor are drawn on a logarithmic axis.
const LOGARITHMIC: f64 = 25.0;
/// What counts as keeping the SLO.
const KEPT: f64 = 0.95;
/// Height of the page over that of other figures.
const HIGHER: f64 = 1.45;

/// Draws the figure.
pub(super) fn draw<'a>(points: &Points, asked: &Asked, theme: &'a Theme) -> Result<Figure<'a>, PointsError> {
    let x = x_axis(points, asked)?;
    let by = by_axis(points, asked, x)?;
    points.first_of("slo", &PANELS.map(|p| p.0))?;
    let missing: Vec<&str> = PANELS.iter().filter(|p| points.optional(p.0).is_none()).map(|p| p.0).collect();
    let mut panels = Vec::new();
    for (column, table, title) in PANELS {
        let Some(k) = points.optional(column) else { continue };
        panels.push((k, table, title, Lines::of(points, x, by, |group| points.value(group, k))?));
    }
    let x_words = columns::quantity(points.name_of(x));
    let titles = titles(points, x, panels.iter().find(|p| p.1 == "slo_attainment").map(|p| &p.3));
    let axis = format!("Against {}", columns::small(&x_words.words));
    let told_apart = panels[0].3.told_apart();
    let mut picture = Picture::new(
        theme,
        titles[0].clone(),
        format!("{}, against {}.", PANELS.map(|p| p.2).join("; "), columns::small(&x_words.words)),
    );
    picture.height = if panels.len() > 1 { theme.higher(HIGHER) } else { theme.page.1 };
    picture.head(&titles, &[format!("{axis}{told_apart}"), axis]);

    let heading = Style { bold: true, ..theme.tick() };
    let top = theme.subtitle_baseline() + 20.0;
    let bottom = picture.height - theme.foot() - AXIS_ROOM - 12.0;
    let n = panels.len() as f64;
    let each = (bottom - top) / n;
    let mut tables = Vec::new();
    for (i, (k, table, title, lines)) in panels.iter().enumerate() {
        let quantity = columns::quantity(points.name_of(*k));
        let largest = lines.extent().map_or(1.0, |e| e.1.1);
        let unit = quantity.unit.for_axis(largest);
        let lowest = lines.shown().flat_map(|line| line.means()).map(|p| p.1).fold(f64::INFINITY, f64::min);
        let is_share = *table == "slo_attainment";
        let logarithmic = !is_share && lowest > 0.0 && largest > LOGARITHMIC * lowest;
        let drawn = if logarithmic { in_powers_of_ten(lines) } else { lines.clone() };
        let Some(axes) = Axes::of(theme, &drawn, x_words.clone(), &quantity) else { continue };
        let panel_top = top + i as f64 * each;
        let mut frame = Frame {
            top: panel_top + 2.0 * TICK_PX,
            bottom: panel_top + each - if i + 1 == panels.len() { 0.0 } else { 0.9 * TICK_PX },
            ..axes.frame
        };
        if is_share {
            (frame.floor, frame.limit) = (0.0, 1.04);
        }
        let scale = if logarithmic { ", logarithmic" } else { "" };
        let title = format!("{title}{}{scale}", unit.bracket());
        picture.text((MARGIN, panel_top + TICK_PX), Align::Left, heading, &title);
        if logarithmic {
            let shift = unit.factor.log10();
            frame.floor = drawn.extent().map_or(frame.floor, |e| e.1.0) - 0.1;
            let levels = logarithmic::ticks(frame.floor - shift, frame.limit - shift);
            let levels = levels.into_iter().map(|(v, label)| (v.log10() + shift, label));
            frame::draw_levels(&mut picture, &frame, apart(levels.collect(), shift, &frame));
            picture.path(
                vec![(frame.left, frame.bottom), (frame.right, frame.bottom)],
                2.5,
                crate::report::palette::INK,
            );
        } else {
            frame::draw_value_axis(&mut picture, &frame, unit.factor);
        }
        drawn.draw(&mut picture, &frame, |line, at, value| {
            let value = if logarithmic { 10f64.powf(value.mean) } else { value.mean };
            let name = if line.name.is_empty() { String::new() } else { format!("{}: ", line.name) };
            format!("{name}{} at {}", unit.write(value), said(points, x, at))
        });
        if i + 1 == panels.len() {
            let title = format!("{}{}", axes.x.words, axes.x_unit.bracket());
            frame::draw_load_axis(&mut picture, &frame, axes.x_unit.factor, &title);
        }
        if i == 0 {
            drawn.draw_names(&mut picture, &frame);
        }
        tables.push(Table { name: table, csv: lines::csv(points, lines, x, by, points.name_of(*k)) });
    }
    let without =
        if missing.is_empty() { String::new() } else { format!(" · without {}", missing.join(", ")) };
    sweep::draw_footer(&mut picture, points, &(panels[0].3.remark() + &without));
    Ok(Figure { name: "slo", picture, tables })
}

/// The finding, from the most to the least detailed wording.
fn titles(points: &Points, x: usize, attainment: Option<&Lines>) -> Vec<String> {
    let Some(lines) = attainment else { return vec!["Latency against the axis".into()] };
    // From where on every further point keeps the SLO.
    let from = |points: &[(f64, f64)]| {
        let kept = points.iter().rev().take_while(|p| p.1 >= KEPT).last().copied();
        kept.map(|p| (p.0, points.first().is_some_and(|first| first.0 == p.0)))
    };
    let found: Vec<Option<(f64, bool)>> = lines.all.iter().map(|l| from(&l.means())).collect();
    let best = lines.all.iter().flat_map(|l| l.means()).map(|p| p.1).fold(0.0, f64::max);
    match found.as_slice() {
        found if found.iter().all(Option::is_none) => {
            vec![
                format!("At most {} of requests keep their SLO", percent(best)),
                "The SLO is not kept".into(),
            ]
        }
        found if found.iter().all(|f| f.is_some_and(|f| f.1)) => {
            vec![format!("{} or more of requests keep their SLO everywhere", percent(KEPT))]
        }
        [Some((at, false))] => vec![
            format!("{} of requests keep their SLO from {} on", percent(KEPT), said(points, x, *at)),
            format!("SLO kept from {} on", said(points, x, *at)),
        ],
        found => {
            let kept: Vec<f64> = found.iter().flatten().map(|f| f.0).collect();
            let (low, high) =
                kept.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
            let never = found.iter().filter(|f| f.is_none()).count();
            let never = if never > 0 { format!(", in {never} lines nowhere") } else { String::new() };
            let unit = columns::quantity(points.name_of(x)).unit.for_axis(high);
            let range = match low == high {
                true => unit.write(low),
                false => format!("{} to {}", significant(low / unit.factor, 3), unit.write(high)),
            };
            vec![
                format!("{} of requests keep their SLO from {range} on{never}", percent(KEPT)),
                format!("SLO kept from {range} on{never}"),
                format!("SLO kept from {range} on"),
            ]
        }
    }
}

/// Marks whose labels do not run into each other: all, else powers of ten, else those that have room.
fn apart(levels: Vec<(f64, String)>, shift: f64, frame: &Frame) -> Vec<(f64, String)> {
    let roomy =
        |levels: &[(f64, String)]| levels.windows(2).all(|w| frame.y(w[0].0) - frame.y(w[1].0) >= TICK_PX);
    if roomy(&levels) {
        return levels;
    }
    let is_power = |v: f64| ((v - shift).round() - (v - shift)).abs() < 1e-9;
    let powers: Vec<(f64, String)> = levels.iter().filter(|l| is_power(l.0)).cloned().collect();
    let mut out: Vec<(f64, String)> = Vec::new();
    for level in if powers.len() > 1 { powers } else { levels } {
        if out.last().is_none_or(|last| frame.y(last.0) - frame.y(level.0) >= TICK_PX) {
            out.push(level);
        }
    }
    out
}

/// The same lines with the logarithms of their values; an interval that reaches zero loses its bar.
fn in_powers_of_ten(lines: &Lines) -> Lines {
    let mut out = lines.clone();
    for (_, value) in out.all.iter_mut().flat_map(|l| &mut l.points) {
        *value = value.filter(|v| v.mean > 0.0).map(|v| Value {
            mean: v.mean.log10(),
            interval: v.interval.filter(|i| i.0 > 0.0).map(|(low, high)| (low.log10(), high.log10())),
            n: v.n,
        });
    }
    out
}
