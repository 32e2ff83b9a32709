//! Figure `power`: facility power at the utility meter, stacked by what it feeds, against the cap over time.

use std::fmt::Write as _;

use super::frame::{self, EndLabel, Frame};
use super::intervals::{self, Interval};
use super::picture::{Align, MARGIN, Picture, Shape, Style};
use super::theme::Theme;
use super::{Figure, Table, csv_number};
use crate::ledger::outcome::{Constraint, Outcome};
use crate::report::numbers::significant;
use crate::report::palette::{self, INK, POWER_PARTS, SOFT_INK};

/// Layers that never reach this share of the axis are not labelled: nothing of them would be seen.
const LEAST_SHARE: f64 = 2e-3;
const PARTS: [&str; 6] = ["GPU active", "GPU idle", "node overhead", "losses, cooling", "losses", "cooling"];

/// Draws the figure.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Figure<'a> {
    let summary = &outcome.summary;
    let (intervals, rows_each) = intervals::of(&outcome.series);
    let end_s = frame::end_of_time(summary, &intervals);

    let finite = |v: &f64| v.is_finite() && *v > 0.0;
    let highest = intervals.iter().map(|i| i.parts_w.iter().sum()).filter(finite).fold(0.0, f64::max);
    let caps = || intervals.iter().filter_map(|i| i.cap_w).filter(|v| v.is_finite());
    let (cap_low, cap_high) = (caps().fold(f64::INFINITY, f64::min), caps().fold(0.0, f64::max));
    let has_cap = cap_low.is_finite();
    // A cap far above the draw would flatten what there is to see; it is then named above the plot.
    let cap_fits = has_cap && (cap_low <= 2.5 * highest || highest <= 0.0);
    let reference = if cap_fits { highest.max(cap_high.min(2.5 * highest.max(cap_low))) } else { highest };
    let limit = if reference > 0.0 { reference * 1.12 } else { 1.1 };
    let (prefix, factor) = frame::axis_prefix(limit);
    let unit = format!("{prefix}W");

    let title = title(outcome, (cap_low, cap_high), has_cap, factor, &unit);
    let axis = format!("Facility power, at the utility meter [{unit}]");
    let pue = &summary.pue;
    let static_pue = if significant(pue.min, 3) == significant(pue.max, 3) {
        significant(pue.mean, 3)
    } else {
        format!("{}–{}", significant(pue.min, 3), significant(pue.max, 3))
    };
    let has_building = intervals.iter().any(|i| i.parts_w[4] > 0.0);
    let pue_text = if has_building {
        format!("PUE {static_pue}")
    } else {
        format!("losses and cooling: static PUE {static_pue}")
    };
    let axis_lines = [format!("{axis}; {pue_text}"), axis.clone()];
    let mut picture = Picture::new(
        theme,
        title.first().cloned().unwrap_or_default(),
        format!("{axis}, stacked: {}; and the cap, over time.", PARTS.join(", ")),
    );
    picture.head(&title, &axis_lines);
    let strip = has_cap && !cap_fits;
    if strip {
        let style = Style { color: palette::text(Constraint::Power), bold: true, ..theme.subtitle() };
        let text = format!("cap {} {unit} ↑ off the scale", range(cap_low, cap_high, factor));
        picture.text((MARGIN, theme.strip_baseline()), Align::Left, style, &text);
    }

    let labels = end_labels(&intervals, limit, factor, &unit, cap_fits);
    let frame = Frame {
        left: 128.0,
        right: theme.page.0 - frame::label_room(theme, labels.iter().map(|l| l.1.as_str())),
        top: if strip { theme.strip_baseline() + 26.0 } else { theme.subtitle_baseline() + 34.0 },
        bottom: theme.plot_bottom(),
        start_s: 0.0,
        end_s,
        floor: 0.0,
        limit,
    };
    frame::draw_warm_up(&mut picture, &frame, summary);
    frame::draw_value_axis(&mut picture, &frame, factor);
    draw_areas(&mut picture, &frame, &intervals);
    if cap_fits {
        let cap: Vec<Option<f64>> = intervals.iter().map(|i| i.cap_w).collect();
        frame::draw_steps(&mut picture, &frame, &intervals, &cap, 6.0, palette::fill(Constraint::Power));
    }
    let labels = labels.into_iter().map(|(value, text, color)| EndLabel {
        y: frame.y(value.min(limit)),
        text,
        color,
        above: value > limit,
    });
    frame::draw_end_labels(&mut picture, &frame, labels.collect());
    frame::draw_time_axis(&mut picture, &frame, frame.bottom, summary.scenario.start_at_h);
    frame::draw_footer(&mut picture, summary, &intervals, rows_each, "");
    Figure { name: "power", picture, tables: vec![Table { name: "power", csv: csv(&intervals) }] }
}

/// The finding, from the most to the least detailed wording.
fn title(outcome: &Outcome, caps: (f64, f64), has_cap: bool, factor: f64, unit: &str) -> Vec<String> {
    let power = &outcome.summary.power_w;
    let mean = frame::in_units(power.facility.mean, factor);
    let peak = frame::in_units(power.facility.max, factor);
    let plain = format!("Mean draw {mean} {unit}, peak {peak} {unit}");
    if !has_cap {
        return vec![format!("{plain}, no cap"), plain];
    }
    let cap = range(caps.0, caps.1, factor);
    vec![format!("{plain}, cap {cap} {unit}"), plain]
}

fn range(low: f64, high: f64, factor: f64) -> String {
    let (low, high) = (frame::in_units(low, factor), frame::in_units(high, factor));
    if low == high { low } else { format!("{low}–{high}") }
}

fn draw_areas(picture: &mut Picture, frame: &Frame, intervals: &[Interval]) {
    if intervals.is_empty() {
        return;
    }
    let edges = frame::edges(frame, intervals);
    let mut floor = vec![0.0; intervals.len()];
    for (k, fill) in POWER_PARTS.into_iter().enumerate() {
        let ceiling: Vec<f64> = floor.iter().zip(intervals).map(|(f, i)| f + i.parts_w[k]).collect();
        let heights = |values: &[f64]| values.iter().map(|v| frame.y(v.min(frame.limit))).collect();
        let (top, bottom) = (heights(&ceiling), heights(&floor));
        picture.shapes.push(Shape::Band { edges: edges.clone(), top, bottom, fill });
        floor = ceiling;
    }
    let total: Vec<Option<f64>> = floor.into_iter().map(Some).collect();
    frame::draw_steps(picture, frame, intervals, &total, 3.0, SOFT_INK);
}

/// Labels of the layers that are there, at the middle of their right ends, and of the cap.
fn end_labels(
    intervals: &[Interval],
    limit: f64,
    factor: f64,
    unit: &str,
    cap_fits: bool,
) -> Vec<(f64, String, palette::Color)> {
    let mut labels = Vec::new();
    let Some(last) = intervals.last() else { return labels };
    let mut floor = 0.0;
    for (k, name) in PARTS.into_iter().enumerate() {
        if intervals.iter().any(|i| i.parts_w[k] > LEAST_SHARE * limit) {
            labels.push((floor + last.parts_w[k] / 2.0, name.to_string(), INK));
        }
        floor += last.parts_w[k];
    }
    if cap_fits && let Some(cap) = intervals.iter().rev().find_map(|i| i.cap_w) {
        let arrow = if cap > limit { " ↑" } else { "" };
        let text = format!("cap {} {unit}{arrow}", frame::in_units(cap, factor));
        labels.push((cap, text, palette::text(Constraint::Power)));
    }
    labels
}

fn csv(intervals: &[Interval]) -> String {
    let mut out = String::from(
        "start_s,end_s,gpu_active_w,gpu_idle_w,node_overhead_w,pue_overhead_w,loss_w,cooling_w,facility_w,cap_facility_w\n",
    );
    for i in intervals {
        // Writing to a String cannot fail.
        let _ = write!(out, "{},{}", i.start_s, i.end_s);
        for part in i.parts_w {
            let _ = write!(out, ",{}", csv_number(Some(part)));
        }
        let _ = writeln!(out, ",{},{}", csv_number(Some(i.facility_w)), csv_number(i.cap_w));
    }
    out
}
