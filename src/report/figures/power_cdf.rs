//! Figure `power_cdf`: for how much of the time nodes draw, and power devices put out, at most how much.

use std::fmt::Write as _;

use super::frame::{self, EndLabel, Frame};
use super::picture::{Align, Picture};
use super::theme::{AXIS_ROOM, TICK_PX, Theme};
use super::{Figure, Table, csv_number, csv_text};
use crate::ledger::outcome::{Constraint, DistributionRow, Outcome};
use crate::report::numbers::{percent, quantity};
use crate::report::palette::{self, BOUNDARIES, KINDS};

/// The page with two panels over the usual one.
const HIGHER: f64 = 1.45;
/// Lines beyond these are drawn in grey.
const NAMED: usize = 6;

/// What a panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Nodes,
    Devices,
}

/// A distribution: shares of time, ascending, and what is not exceeded for each.
struct Line<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// The distributions of a kind in the order of the file, devices in shares of their limits.
fn lines(rows: &[DistributionRow], of: Of) -> Vec<Line<'_>> {
    let key = if of == Of::Nodes { "node" } else { "device" };
    let value = |row: &DistributionRow| match of {
        Of::Nodes => Some(row.power_w),
        Of::Devices => row.limit_share,
    };
    rows.chunk_by(|a, b| a.of == b.of && a.name == b.name)
        .filter(|rows| rows[0].of == key)
        .map(|rows| Line {
            name: &rows[0].name,
            points: rows.iter().filter_map(|row| Some((row.time_share, value(row)?))).collect(),
        })
        .filter(|line| line.points.len() > 1 && line.points.iter().all(|p| p.1.is_finite()))
        .collect()
}

impl Line<'_> {
    /// What is not exceeded for a share of the time.
    fn at(&self, share: f64) -> f64 {
        let point = self.points.iter().find(|point| point.0 + 1e-9 >= share).or(self.points.last());
        point.map_or(0.0, |point| point.1)
    }

    fn most(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.1)
    }
}

/// Draws the figure; nothing without power.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let rows = &outcome.distribution;
    let panels: Vec<(Of, Vec<Line>)> = [Of::Nodes, Of::Devices]
        .into_iter()
        .map(|of| (of, lines(rows, of)))
        .filter(|(_, lines)| lines.iter().any(|line| line.most() > 0.0))
        .collect();
    let titles = titles(&panels)?;
    let subtitles = match panels.as_slice() {
        [(Of::Nodes, _)] => {
            vec!["Power of a node at the wall, not exceeded for a share of the time".to_string()]
        }
        _ => vec![
            "Not exceeded for a share of the time: power of a node, and output of power devices".to_string(),
            "Power of nodes and of devices, not exceeded for a share of the time".to_string(),
        ],
    };
    let mut picture =
        Picture::new(theme, titles[0].clone(), format!("{}; in the measured window.", subtitles[0]));
    picture.head(&titles, &subtitles);
    picture.height = if panels.len() > 1 { theme.higher(HIGHER) } else { theme.page.1 };

    let top = theme.subtitle_baseline() + 18.0;
    let bottom = picture.height - theme.foot() - AXIS_ROOM - 12.0;
    let caption = 1.5 * TICK_PX;
    let height = (bottom - top) / panels.len() as f64;
    // One site needs no name.
    let one = outcome.summary.per_site.len() == 1;
    let prefix = outcome.summary.per_site.first().filter(|_| one).map(|site| format!("{}.", site.name));
    let called = |line: &Line| {
        let short = prefix.as_ref().and_then(|prefix| line.name.strip_prefix(prefix.as_str()));
        short.unwrap_or(line.name).to_string()
    };
    let names: Vec<String> =
        panels.iter().flat_map(|(_, lines)| named(lines).into_iter().map(|k| called(&lines[k]))).collect();
    let texts = names.iter().map(String::as_str);
    let right = theme.page.0 - frame::label_room(theme, texts);
    for (number, (of, lines)) in panels.iter().enumerate() {
        let top = top + number as f64 * height;
        let last = number + 1 == panels.len();
        let most = lines.iter().map(Line::most).fold(0.0, f64::max);
        let limit = if *of == Of::Devices { (1.05 * most).clamp(1.05, 2.0) } else { 1.08 * most };
        let frame = Frame {
            left: 128.0,
            right,
            top: top + caption,
            bottom: if last { bottom } else { top + height - 0.5 * TICK_PX },
            start_s: 0.0,
            end_s: 1.0,
            floor: 0.0,
            limit,
        };
        let (what, factor) = match of {
            Of::Nodes => {
                let (prefix, factor) = frame::axis_prefix(limit);
                (format!("Node at the wall [{prefix}W]"), factor)
            }
            Of::Devices => ("Output over limit [%]".to_string(), 0.01),
        };
        picture.text((frame.left, frame.top - 0.45 * TICK_PX), Align::Left, theme.tick(), &what);
        frame::draw_value_axis(&mut picture, &frame, factor);
        if *of == Of::Devices {
            let y = frame.y(1.0);
            picture.path(vec![(frame.left, y), (right, y)], 3.0, palette::fill(Constraint::Power));
        }
        draw_lines(&mut picture, &frame, lines, &called);
        if last {
            frame::draw_load_axis(&mut picture, &frame, 0.01, "Share of the measured time [%]");
        }
    }
    let grey = panels.iter().any(|(_, lines)| lines.len() > NAMED);
    let remark = if grey { " · grey: the others" } else { "" };
    frame::draw_footer_with(&mut picture, &outcome.summary, remark);
    Some(Figure { name: "power_cdf", picture, tables: vec![Table { name: "power_cdf", csv: csv(rows) }] })
}

/// Numbers of the lines that are named: those with the highest 99th percentiles, in their order.
fn named(lines: &[Line]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|&a, &b| lines[b].at(0.99).total_cmp(&lines[a].at(0.99)));
    order.truncate(NAMED);
    order.sort_unstable();
    order
}

fn draw_lines(picture: &mut Picture, frame: &Frame, lines: &[Line], called: &impl Fn(&Line) -> String) {
    let named = named(lines);
    let path = |line: &Line| -> Vec<(f64, f64)> {
        line.points.iter().map(|p| (frame.x(p.0), frame.y(p.1.min(frame.limit)))).collect()
    };
    for (_, line) in lines.iter().enumerate().filter(|(k, _)| !named.contains(k)) {
        picture.path(path(line), 2.5, BOUNDARIES[0].1);
    }
    let mut labels = Vec::new();
    for (&k, (color, text)) in named.iter().zip(KINDS) {
        let points = path(&lines[k]);
        let y = points.last().map_or(frame.bottom, |point| point.1);
        picture.path(points, 5.0, color);
        labels.push(EndLabel { y, text: called(&lines[k]), color: text, above: false });
    }
    frame::draw_end_labels(picture, frame, labels);
}

/// The finding, from the most to the least detailed wording: the nodes that draw most, or else the tightest device.
fn titles(panels: &[(Of, Vec<Line>)]) -> Option<Vec<String>> {
    let (of, lines) = panels.first()?;
    let line = lines.iter().reduce(|most, line| if line.at(0.99) > most.at(0.99) { line } else { most })?;
    let say = |value: f64| match of {
        Of::Nodes => quantity(value, "W"),
        Of::Devices => format!("{} of its limit", percent(value)),
    };
    let (half, most) = (say(line.at(0.5)), say(line.at(0.99)));
    Some(match of {
        Of::Nodes => vec![
            format!("A node of {} draws up to {half} for half of the time, {most} for 99 %", line.name),
            format!("{}: up to {half} for half of the time, {most} for 99 %", line.name),
            format!("Nodes of {} draw up to {most} for 99 % of the time", line.name),
            format!("A node draws up to {most} for 99 % of the time"),
        ],
        Of::Devices => vec![format!("{} puts out up to {most} for 99 % of the time", line.name)],
    })
}

fn csv(rows: &[DistributionRow]) -> String {
    let mut out = String::from("of,name,time_share,power_w,limit_share\n");
    for row in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{},{},{},{},{}",
            csv_text(&row.of),
            csv_text(&row.name),
            row.time_share,
            row.power_w,
            csv_number(row.limit_share)
        );
    }
    out
}
