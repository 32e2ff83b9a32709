//! What the figures over time share: the plot frame, axes, step lines, labels at the right end, footer.

use super::intervals::Interval;
use super::picture::{Align, MARGIN, Picture, Style};
use super::theme::{AXIS_ROOM, TICK_PX, Theme};
use crate::ledger::outcome::Summary;
use crate::report::numbers::{self, significant};
use crate::report::palette::{Color, GRID, INK, WARM_UP};
use crate::report::time_axis;

/// The area of a plot [px] and the data ranges on its axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// Start and end of the time axis [s], or of another horizontal axis in its units.
    pub(super) start_s: f64,
    pub(super) end_s: f64,
    /// Lower end of the value axis.
    pub(super) floor: f64,
    /// Upper end of the value axis.
    pub(super) limit: f64,
}

impl Frame {
    pub(super) fn x(&self, time_s: f64) -> f64 {
        let share = (time_s - self.start_s) / (self.end_s - self.start_s);
        self.left + (self.right - self.left) * share.clamp(0.0, 1.0)
    }

    /// Not clamped: values above the limit lie above the frame.
    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (value - self.floor) / (self.limit - self.floor)
    }
}

/// Round steps of a value axis from `floor` to `limit`: about five, with their labels in units of `factor`.
pub(super) fn value_ticks(floor: f64, limit: f64, factor: f64) -> Vec<(f64, String)> {
    round_ticks(floor, limit, factor, 5.0)
}

/// Round steps, about `n` of them.
pub(super) fn round_ticks(floor: f64, limit: f64, factor: f64, n: f64) -> Vec<(f64, String)> {
    let rough = (limit - floor) / factor / n;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.999);
    let step = step.unwrap_or(power * 10.0);
    let decimals = (0..6usize).find(|d| (step * 10f64.powi(*d as i32)).fract().abs() < 1e-6).unwrap_or(6);
    let first = (floor / factor / step - 1e-9).ceil();
    let n = (limit / factor / step + 1e-9 - first).floor().clamp(0.0, 20.0) as usize;
    (0..=n).map(|k| (first + k as f64) * step).map(|v| (v * factor, format!("{v:.decimals$}"))).collect()
}

/// The prefix that suits a whole axis: kept until the numbers exceed 2,000 of it.
pub(super) fn axis_prefix(limit: f64) -> (&'static str, f64) {
    numbers::prefix(limit / 2.0)
}

/// Whether the warm-up is long enough to be seen.
fn shows_warm_up(summary: &Summary) -> bool {
    summary.scenario.warm_up_s > 0.003 * summary.scenario.duration_s
}

/// Shades the warm-up; the footer names it.
pub(super) fn draw_warm_up(picture: &mut Picture, frame: &Frame, summary: &Summary) {
    if shows_warm_up(summary) {
        let right = frame.x(summary.scenario.warm_up_s);
        picture.rect((frame.left, frame.top), (right, frame.bottom), WARM_UP);
    }
}

/// Grid and labels of the value axis.
pub(super) fn draw_value_axis(picture: &mut Picture, frame: &Frame, factor: f64) {
    draw_levels(picture, frame, value_ticks(frame.floor, frame.limit, factor));
}

/// Grid lines at values, each with its label; one at the floor is the frame's lower edge.
pub(super) fn draw_levels(picture: &mut Picture, frame: &Frame, levels: Vec<(f64, String)>) {
    for (value, label) in levels {
        let y = frame.y(value);
        let (width, color) = if value > frame.floor { (1.5, GRID) } else { (2.5, INK) };
        picture.path(vec![(frame.left, y), (frame.right, y)], width, color);
        picture.text((frame.left - 14.0, y + TICK_PX * 0.36), Align::Right, picture.theme.tick(), &label);
    }
}

/// Marks and labels of the time axis below `y`, and its title below them.
pub(super) fn draw_time_axis(picture: &mut Picture, frame: &Frame, y: f64, start_h: f64) {
    picture.path(vec![(frame.left, y), (frame.right, y)], 2.5, INK);
    let (ticks, title) = time_axis::ticks(start_h, frame.end_s, 8);
    for tick in ticks {
        let x = frame.x(tick.time_s);
        picture.path(vec![(x, y), (x, y + 10.0)], 2.5, INK);
        picture.text((x, y + 12.0 + TICK_PX), Align::Middle, picture.theme.tick(), &tick.label);
    }
    picture.text(
        ((frame.left + frame.right) / 2.0, y + AXIS_ROOM),
        Align::Middle,
        picture.theme.tick(),
        &title,
    );
}

/// Marks, labels and title of a horizontal axis of values, in units of `factor`.
pub(super) fn draw_load_axis(picture: &mut Picture, frame: &Frame, factor: f64, title: &str) {
    let y = frame.bottom;
    picture.path(vec![(frame.left, y), (frame.right, y)], 2.5, INK);
    for (value, label) in value_ticks(frame.start_s, frame.end_s, factor) {
        let x = frame.x(value);
        picture.path(vec![(x, y), (x, y + 10.0)], 2.5, INK);
        picture.text((x, y + 12.0 + TICK_PX), Align::Middle, picture.theme.tick(), &label);
    }
    picture.text(
        ((frame.left + frame.right) / 2.0, y + AXIS_ROOM),
        Align::Middle,
        picture.theme.tick(),
        title,
    );
}

/// Horizontal edges of the intervals [px], one more than intervals.
pub(super) fn edges(frame: &Frame, intervals: &[Interval]) -> Vec<f64> {
    let starts = intervals.iter().map(|i| i.start_s);
    starts.chain(intervals.last().map(|i| i.end_s)).map(|t| frame.x(t)).collect()
}

/// A step line through `values`, broken where a value is unknown and cut off at the top of the frame.
pub(super) fn draw_steps(
    picture: &mut Picture,
    frame: &Frame,
    intervals: &[Interval],
    values: &[Option<f64>],
    width: f64,
    color: Color,
) {
    let mut line: Vec<(f64, f64)> = Vec::new();
    let mut was_above = false;
    for (interval, value) in intervals.iter().zip(values) {
        let (x0, x1) = (frame.x(interval.start_s), frame.x(interval.end_s));
        match value {
            Some(value) if *value <= frame.limit => {
                let y = frame.y(*value);
                if line.is_empty() && was_above {
                    line.push((x0, frame.top));
                }
                // A level that goes on is one segment.
                match line.last_mut() {
                    Some(last) if last.1 == y && last.0 == x0 => last.0 = x1,
                    _ => line.extend([(x0, y), (x1, y)]),
                }
                was_above = false;
            }
            Some(_) => {
                if !line.is_empty() {
                    line.push((x0, frame.top));
                    picture.path(std::mem::take(&mut line), width, color);
                }
                was_above = true;
            }
            None => {
                picture.path(std::mem::take(&mut line), width, color);
                was_above = false;
            }
        }
    }
    picture.path(line, width, color);
}

/// A label that belongs at the right end of something drawn at height `y` [px].
#[derive(Debug, Clone)]
pub(super) struct EndLabel {
    pub(super) y: f64,
    pub(super) text: String,
    pub(super) color: Color,
    /// What it names ends above the frame: no leader.
    pub(super) above: bool,
}

/// Room for the labels to the right of a frame [px].
pub(super) fn label_room<'a>(theme: &Theme, texts: impl Iterator<Item = &'a str>) -> f64 {
    texts.map(|t| theme.label().width(t)).fold(60.0, f64::max) + LEADER + MARGIN
}

const LEADER: f64 = 38.0;

/// Draws labels at the right of the frame, moved apart where they would overlap, each with a leader.
pub(super) fn draw_end_labels(picture: &mut Picture, frame: &Frame, mut labels: Vec<EndLabel>) {
    let style = picture.theme.label();
    labels.sort_by(|a, b| a.y.total_cmp(&b.y));
    let wanted: Vec<f64> = labels.iter().map(|l| l.y).collect();
    let half = style.size * 0.6;
    let placed = spread(&wanted, style.size * 1.2, frame.top + half, frame.bottom - half);
    for (label, y) in labels.iter().zip(placed) {
        if !label.above {
            let from = label.y.clamp(frame.top, frame.bottom);
            picture.path(vec![(frame.right + 6.0, from), (frame.right + LEADER - 8.0, y)], 2.0, label.color);
        }
        let style = Style { color: label.color, ..style };
        picture.text((frame.right + LEADER, y + style.size * 0.36), Align::Left, style, &label.text);
    }
}

/// Positions at least `gap` apart, within [low, high] if there is room, as near to `wanted` (ascending) as
/// that allows: neighbours that collide share their mean.
fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    // Clusters of (first index, count, mean of wanted − offset within the cluster).
    let mut clusters: Vec<(usize, usize, f64)> = Vec::new();
    for (i, &want) in wanted.iter().enumerate() {
        let mut cluster = (i, 1usize, want);
        while let Some(&(first, n, base)) = clusters.last() {
            if base + n as f64 * gap <= cluster.2 {
                break;
            }
            clusters.pop();
            let m = cluster.1;
            let joint = (base * n as f64 + (cluster.2 - n as f64 * gap) * m as f64) / (n + m) as f64;
            cluster = (first, n + m, joint);
        }
        // The cluster's first label must leave room for those above it, its last for those below.
        let (first, n, base) = cluster;
        let highest = high - (n - 1) as f64 * gap;
        clusters.push((first, n, base.min(highest).max(low + first as f64 * gap)));
    }
    let mut out = Vec::with_capacity(wanted.len());
    for (_, n, base) in clusters {
        out.extend((0..n).map(|k| base + k as f64 * gap));
    }
    // The pushes at the borders may have moved a cluster into its upper neighbour: close up from below.
    let mut limit = f64::INFINITY;
    for y in out.iter_mut().rev() {
        *y = y.min(limit);
        limit = *y - gap;
    }
    out
}

/// Scenario, hash, seed and remarks below the figure, the last of them `more`.
pub(super) fn draw_footer(
    picture: &mut Picture,
    summary: &Summary,
    intervals: &[Interval],
    rows_each: usize,
    more: &str,
) {
    draw_footer_with(picture, summary, &(remarks(summary, intervals, rows_each) + more));
}

/// The footer of a figure without a time axis, each of whose dots is an interval.
pub(super) fn draw_footer_of_dots(
    picture: &mut Picture,
    summary: &Summary,
    intervals: &[Interval],
    rows_each: usize,
) {
    let remark = intervals.first().filter(|_| rows_each > 1);
    let remark = remark.map(|i| format!(" · dots: means over {}", numbers::span(i.end_s - i.start_s)));
    draw_footer_with(picture, summary, &remark.unwrap_or_default());
}

/// Scenario, hash and seed, followed by a remark.
pub(super) fn draw_footer_with(picture: &mut Picture, summary: &Summary, remark: &str) {
    let info = &summary.scenario;
    let hash: String = info.hash.chars().take(8).collect();
    let fixed = format!(" · {hash} · seed {} · wattmill {}", info.seed, env!("CARGO_PKG_VERSION"));
    draw_footer_text(picture, &info.name, &fixed, remark);
}

/// A name is cut to no less than this before the footer takes a second line [px].
const LEAST_NAME: f64 = 160.0;

/// The footer of any figure: a name that may be cut, where it comes from, and a remark.
pub(super) fn draw_footer_text(picture: &mut Picture, name: &str, fixed: &str, remark: &str) {
    if !picture.theme.shows_footer {
        return;
    }
    let style = picture.theme.footer();
    let room = picture.width - 2.0 * MARGIN;
    let name_room = room - style.width(fixed) - style.width(remark);
    if name_room >= style.width(name).min(LEAST_NAME) {
        let line = style.fit(&[name.to_string()], name_room) + fixed + remark;
        picture.text((MARGIN, picture.height - 18.0), Align::Left, style, &line);
        return;
    }
    // Too long for a line: remarks go below, as many as fit; the first line must not grow into the figure.
    let name = style.fit(&[name.to_string()], room - style.width(fixed));
    let (mut lines, mut filled) = (vec![name + fixed, String::new()], false);
    for part in remark.split(" · ").filter(|part| !part.is_empty()) {
        let with = |line: &str| if line.is_empty() { part.to_string() } else { format!("{line} · {part}") };
        let (first, second) = (with(&lines[0]), with(&lines[1]));
        if lines[1].is_empty() && style.width(&first) <= room {
            lines[0] = first;
        } else if !filled {
            filled = style.width(&second) > room;
            lines[1] = style.fit(&[second], room);
        }
    }
    let gap = 1.2 * style.size;
    for (k, line) in lines.iter().rev().enumerate() {
        picture.text((MARGIN, picture.height - 14.0 - k as f64 * gap), Align::Left, style, line);
    }
}

/// What the shading is, and what a step is where it averages several rows.
fn remarks(summary: &Summary, intervals: &[Interval], rows_each: usize) -> String {
    let mut out = String::new();
    if let Some(first) = intervals.first().filter(|_| rows_each > 1) {
        out = format!(" · steps: means over {}", numbers::span(first.end_s - first.start_s));
    }
    if shows_warm_up(summary) {
        out += " · shaded: warm-up";
    }
    out
}

/// End of the time axis [s]: all of the run, and never zero.
pub(super) fn end_of_time(summary: &Summary, intervals: &[Interval]) -> f64 {
    let end = intervals.last().map_or(0.0, |i| i.end_s).max(summary.scenario.duration_s);
    if end.is_finite() && end > 0.0 { end } else { 1.0 }
}

/// A value in units of the axis, without its unit.
pub(super) fn in_units(value: f64, factor: f64) -> String {
    let value = value / factor;
    if value >= 1000.0 { numbers::count(value.round() as u64) } else { significant(value, 3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        for wanted in [
            vec![],
            vec![50.0],
            vec![10.0, 11.0, 12.0, 13.0],
            vec![0.0, 0.0, 0.0, 100.0, 100.0],
            vec![95.0, 96.0, 97.0, 98.0],
            vec![20.0, 60.0, 61.0, 99.0],
        ] {
            let placed = spread(&wanted, 20.0, 0.0, 100.0);
            assert_eq!(placed.len(), wanted.len());
            for pair in placed.windows(2) {
                assert!(pair[1] - pair[0] >= 20.0 - 1e-9, "{wanted:?} → {placed:?}");
            }
            for y in &placed {
                assert!((-1e-9..=100.0 + 1e-9).contains(y), "{wanted:?} → {placed:?}");
            }
        }
        assert_eq!(spread(&[30.0, 70.0], 20.0, 0.0, 100.0), [30.0, 70.0]);
    }

    #[test]
    fn value_ticks_are_round() {
        let labels =
            |limit, factor| value_ticks(0.0, limit, factor).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(labels(10.0, 1.0), ["0", "2", "4", "6", "8", "10"].map(String::from));
        let low = value_ticks(18.3, 40.2, 1.0).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(low, ["20", "25", "30", "35", "40"].map(String::from));
        assert_eq!(labels(12_400.0, 1e3), ["0.0", "2.5", "5.0", "7.5", "10.0"].map(String::from));
    }
}
