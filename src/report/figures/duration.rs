//! Figure `duration`: for how much of the measured time facility, IT equipment and cap are above a power.

use std::fmt::Write as _;

use super::frame::{self, EndLabel, Frame};
use super::picture::{Picture, Shape};
use super::theme::Theme;
use super::{Figure, Table, csv_number};
use crate::ledger::outcome::{Constraint, Outcome, SeriesRow};
use crate::report::numbers::{percent, significant};
use crate::report::palette::{self, AREA, BOUNDARIES};

/// A curve is drawn in so many columns of equal time.
const COLUMNS: usize = 500;
/// So near to the cap a facility is said to be at it.
const AT_CAP: f64 = 0.98;

/// Draws the figure; nothing without power.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let summary = &outcome.summary;
    let measured: Vec<&SeriesRow> = outcome
        .series
        .iter()
        .filter(|r| r.time_s + 1e-9 >= summary.scenario.warm_up_s && r.length_s > 0.0)
        .collect();
    // A run that ends in its warm-up still has a curve.
    let rows = if measured.is_empty() { outcome.series.iter().collect() } else { measured };
    let facility = curve(rows.iter().map(|r| (r.facility_w, r.length_s)));
    let it = curve(rows.iter().map(|r| (r.it_w, r.length_s)));
    let cap = if rows.iter().all(|r| r.cap_facility_w.is_some()) {
        curve(rows.iter().filter_map(|r| Some((r.cap_facility_w?, r.length_s))))
    } else {
        Vec::new()
    };
    let peak = *facility.first()?;
    if !(peak > 0.0 && peak.is_finite()) {
        return None;
    }
    let cap_peak = cap.first().copied().unwrap_or(0.0);
    // A cap far above the draw would flatten what there is to see; the title still says it.
    let cap_fits = !cap.is_empty() && cap_peak <= 2.5 * peak;
    let limit = 1.12 * if cap_fits { peak.max(cap_peak) } else { peak };
    let (prefix, factor) = frame::axis_prefix(limit);
    let unit = format!("{prefix}W");

    let mean = facility.iter().sum::<f64>() / facility.len() as f64;
    let at_cap = share_at_cap(&rows);
    let titles = titles(mean, peak, at_cap, factor, &unit);
    let axis =
        format!("Power exceeded for a share of the time: facility at the utility meter, and IT [{unit}]");
    let short = format!("Power, facility at the utility meter, and IT [{unit}]");
    let mut picture =
        Picture::new(theme, titles[0].clone(), format!("{axis}; intervals sorted from high to low."));
    picture.head(&titles, &[axis, short]);
    let mut labels = vec![("facility", BOUNDARIES[0].0, &facility, 6.0), ("IT", BOUNDARIES[1].0, &it, 5.0)];
    let cap_name = format!("cap {} {unit}", frame::in_units(cap.last().copied().unwrap_or(0.0), factor));
    // Columns are means: equal up to rounding.
    let flat = cap.last().is_none_or(|low| cap_peak - low <= 1e-9 * cap_peak);
    let cap_name = if flat { cap_name.as_str() } else { "cap, sorted too" };
    if cap_fits {
        labels.push((cap_name, palette::text(Constraint::Power), &cap, 5.0));
    }
    let frame = Frame {
        left: 128.0,
        right: theme.page.0 - frame::label_room(theme, labels.iter().map(|l| l.0)),
        top: theme.subtitle_baseline() + 34.0,
        bottom: theme.plot_bottom(),
        start_s: 0.0,
        end_s: 1.0,
        floor: 0.0,
        limit,
    };
    let edges: Vec<f64> = (0..=COLUMNS).map(|k| frame.x(k as f64 / COLUMNS as f64)).collect();
    picture.shapes.push(Shape::Band {
        top: it.iter().map(|w| frame.y(*w)).collect(),
        bottom: vec![frame.bottom; COLUMNS],
        edges: edges.clone(),
        fill: AREA,
    });
    frame::draw_value_axis(&mut picture, &frame, factor);
    let mut ends = Vec::new();
    // The cap lies below what is held against it.
    for (name, color, curve, width) in labels.into_iter().rev() {
        let mut line = vec![(edges[0], frame.y(curve[0]))];
        for (k, watts) in curve.iter().enumerate() {
            let y = frame.y(*watts);
            // A level that goes on is one piece.
            match line.last_mut() {
                Some(last) if last.1 == y && k > 0 => last.0 = edges[k + 1],
                _ => line.extend([(edges[k], y), (edges[k + 1], y)]),
            }
        }
        let y = line.last().map_or(frame.bottom, |p| p.1);
        picture.path(
            line,
            width,
            if width < 6.0 && name.starts_with("cap") { palette::fill(Constraint::Power) } else { color },
        );
        ends.push(EndLabel { y, text: name.to_string(), color, above: false });
    }
    frame::draw_end_labels(&mut picture, &frame, ends);
    frame::draw_load_axis(&mut picture, &frame, 0.01, "Share of the measured time [%]");
    let intervals = rows.len();
    let remark = match intervals {
        n if n > COLUMNS => format!(" · {n} intervals, in steps of {} % of the time", 100.0 / COLUMNS as f64),
        n => format!(" · {n} intervals"),
    };
    frame::draw_footer_with(&mut picture, summary, &remark);
    let table = Table { name: "duration", csv: csv(&facility, &it, &cap) };
    Some(Figure { name: "duration", picture, tables: vec![table] })
}

/// Values sorted from high to low, as means over columns of equal time; no energy is lost.
fn curve(values: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    let mut sorted: Vec<(f64, f64)> = values.collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let total: f64 = sorted.iter().map(|v| v.1).sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let width = total / COLUMNS as f64;
    let mut out = vec![0.0; COLUMNS];
    let mut from = 0.0;
    for (watts, length) in sorted {
        let to = from + length;
        let first = ((from / width) as usize).min(COLUMNS - 1);
        let last = ((to / width) as usize).min(COLUMNS - 1);
        for (k, sum) in out.iter_mut().enumerate().take(last + 1).skip(first) {
            // The last column takes what rounding leaves.
            let right = if k + 1 == COLUMNS { to } else { ((k + 1) as f64 * width).min(to) };
            let seconds = (right - (k as f64 * width).max(from)).max(0.0);
            *sum += watts * seconds;
        }
        from = to;
    }
    out.iter_mut().for_each(|sum| *sum /= width);
    out
}

/// Share of the time in which the facility draws nearly its cap; none without a cap.
fn share_at_cap(rows: &[&SeriesRow]) -> Option<f64> {
    let all: f64 = rows.iter().map(|r| r.length_s).sum();
    let capped = rows.iter().filter(|r| r.cap_facility_w.is_some());
    capped.clone().next()?;
    let at = capped.filter(|r| r.cap_facility_w.is_some_and(|cap| r.facility_w >= AT_CAP * cap));
    Some(at.map(|r| r.length_s).sum::<f64>() / all)
}

/// The finding, from the most to the least detailed wording.
fn titles(mean: f64, peak: f64, at_cap: Option<f64>, factor: f64, unit: &str) -> Vec<String> {
    let load = format!(
        "Load factor {}: mean {} of peak {} {unit}",
        significant(mean / peak, 2),
        frame::in_units(mean, factor),
        frame::in_units(peak, factor)
    );
    match at_cap {
        Some(share) if share > 0.0 => vec![
            format!(
                "{} of the time within 2 % of the cap; load factor {}",
                percent(share),
                significant(mean / peak, 2)
            ),
            format!("{} of the time within 2 % of the cap", percent(share)),
        ],
        Some(_) => vec![format!("{load}, never at the cap"), load],
        None => vec![format!("{load}, no cap"), load],
    }
}

fn csv(facility: &[f64], it: &[f64], cap: &[f64]) -> String {
    let mut out = String::from("from_share,to_share,facility_w,it_w,cap_facility_w\n");
    for (k, watts) in facility.iter().enumerate() {
        let share = |k: usize| k as f64 / COLUMNS as f64;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{},{},{},{},{}",
            share(k),
            share(k + 1),
            watts,
            csv_number(it.get(k).copied()),
            csv_number(cap.get(k).copied())
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_falls_and_keeps_its_energy() {
        for n in [1, 3, 499, 500, 501, 10_080] {
            let rows = || (0..n).map(|k| (((k * 7919) % 1000) as f64 + 1.0, 60.0 + (k % 3) as f64));
            let curve = curve(rows());
            assert_eq!(curve.len(), COLUMNS);
            assert!(curve.windows(2).all(|w| w[1] <= w[0] + 1e-9), "{n}");
            let (joules, seconds) = rows().fold((0.0, 0.0), |s, r| (s.0 + r.0 * r.1, s.1 + r.1));
            let mean = curve.iter().sum::<f64>() / COLUMNS as f64;
            assert!((mean - joules / seconds).abs() < 1e-9 * mean, "{n}: {mean}");
        }
        assert!(curve(std::iter::empty()).is_empty());
    }
}
