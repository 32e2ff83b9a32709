//! Figure `parity`: what was simulated against what was measured, a panel per metric.

use std::fmt::Write as _;

use super::picture::{Align, MARGIN, Picture, Shape, Style};
use super::theme::Theme;
use super::{Figure, Table, csv_text};
use super::{frame, logarithmic};
use crate::report::numbers::{count, short, significant};
use crate::report::palette::{BAND, Color, GRID, INK, KINDS, SOFT_INK, pale};
use crate::report::validation::Subject;
use crate::study::validate::{Metric, Row, Spread, Validation};

/// The band: simulated within a quarter of measured.
const WITHIN: f64 = 0.25;
/// Dots of a panel that are named beside them.
const MOST_NAMED: usize = 12;
/// A single dot is no plot, unless no panel has more.
const FEWEST: usize = 2;
/// Radius of dots [px] in panels with up to so many.
const RADII: [(usize, f64); 3] = [(40, 8.0), (400, 4.5), (usize::MAX, 3.0)];
const LEGEND: Style = Style { size: 28.0, bold: true, color: INK, fonts: None };
const LEGEND_DOT: f64 = 30.0;
const PANEL_TITLE: Style = Style { size: 28.0, bold: true, color: INK, fonts: None };
const PANEL_NOTE: Style = Style { size: 24.0, bold: false, color: SOFT_INK, fonts: None };
const TICK: Style = Style { size: 24.0, bold: false, color: SOFT_INK, fonts: None };
const NAME: Style = Style { size: 20.0, bold: false, color: SOFT_INK, fonts: None };
/// Room around the plot of a panel [px].
const LEFT: f64 = 92.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 88.0;
const BOTTOM: f64 = 62.0;
const HEAD: f64 = 150.0;
const FOOT: f64 = 96.0;

/// A row in one panel.
struct Dot<'a> {
    row: &'a Row,
    kind: usize,
    measured: f64,
    simulated: f64,
}

/// One metric.
struct Panel<'a> {
    metric: Metric,
    spread: Spread,
    dots: Vec<Dot<'a>>,
}

/// Where a panel's plot lies [px], and the range of both axes as powers of ten.
#[derive(Clone, Copy)]
struct Plot {
    left: f64,
    top: f64,
    side: f64,
    low: f64,
    high: f64,
}

impl Plot {
    fn share(&self, value: f64) -> f64 {
        (value.log10() - self.low) / (self.high - self.low)
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.side * self.share(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.side * (1.0 - self.share(value))
    }

    fn right(&self) -> f64 {
        self.left + self.side
    }

    fn bottom(&self) -> f64 {
        self.top + self.side
    }
}

/// Draws the figure; nothing without a figure that was measured and simulated.
pub(in crate::report) fn draw<'a>(
    validation: &Validation,
    subject: &Subject,
    theme: &'a Theme,
) -> Option<Figure<'a>> {
    let kinds = kinds(validation);
    let mut panels: Vec<Panel> =
        Metric::ALL.into_iter().filter_map(|m| panel(validation, m, &kinds)).collect();
    if panels.iter().any(|panel| panel.dots.len() >= FEWEST) {
        panels.retain(|panel| panel.dots.len() >= FEWEST);
    }
    let named = panels.iter().all(|panel| panel.dots.len() <= MOST_NAMED);
    let columns = match panels.len() {
        0 => return None,
        1 => 1,
        2 | 4 => 2,
        _ if named => 2,
        _ => 3,
    };
    let (lines, head) = legend(&kinds, theme.page.0);
    let rows = panels.len().div_ceil(columns);
    let cell = if columns == 1 { 900.0 } else { (theme.page.0 - 2.0 * MARGIN) / columns as f64 };
    let side = cell - LEFT - RIGHT;
    let cell_height = TOP + side + BOTTOM;
    let median = |panel: &Panel| {
        panel.spread.median_abs_err.map(|error| format!("{} {}", brief(panel.metric), percent(error)))
    };
    let medians: Vec<String> = panels.iter().filter_map(median).collect();
    let titles: Vec<String> =
        (1..=medians.len()).rev().map(|n| format!("Median error: {}", medians[..n].join(", "))).collect();
    let description = "Simulated against measured values on logarithmic axes, a panel per metric; a dot on the \
                       diagonal is exact, in the band within 25 %.";
    let mut picture = Picture::new(theme, titles.first().cloned().unwrap_or_default(), description.into());
    picture.height = head + rows as f64 * cell_height + FOOT;
    let failed = validation.failed().count();
    let shown = validation.rows.len() - failed;
    let not = if failed > 0 { format!(", {} could not be", count(failed as u64)) } else { String::new() };
    let subtitle =
        format!("{} rows simulated against measurement{not}; band: within 25 %", count(shown as u64));
    picture.head(&titles, &[subtitle]);
    for (x, y, kind) in lines {
        let (fill, ink) = color(kind);
        let (name, style) = (&kinds[kind], Style { color: ink, ..LEGEND });
        picture.dot((x + 10.0, y - 10.0), 9.0, fill, name.clone());
        picture.text((x + LEGEND_DOT, y), Align::Left, style, name);
    }
    for (i, panel) in panels.iter().enumerate() {
        let corner = (MARGIN + (i % columns) as f64 * cell, head + (i / columns) as f64 * cell_height);
        draw_panel(&mut picture, panel, corner, side, columns < 3 && panel.dots.len() <= MOST_NAMED);
    }
    draw_footer(&mut picture, validation, subject);
    let table = Table { name: "parity", csv: csv(&panels) };
    Some(Figure { name: "parity", picture, tables: vec![table] })
}

/// The GPUs that were simulated, in the order of their names.
fn kinds(validation: &Validation) -> Vec<String> {
    let simulated = validation.rows.iter().filter(|row| !row.errors.is_empty());
    let mut names: Vec<String> =
        simulated.filter_map(|row| Some(row.understood.as_ref()?.gpu.clone())).collect();
    names.sort();
    names.dedup();
    names
}

fn color(kind: usize) -> (Color, Color) {
    KINDS[kind.min(KINDS.len() - 1)]
}

fn panel<'a>(validation: &'a Validation, metric: Metric, kinds: &[String]) -> Option<Panel<'a>> {
    let dots: Vec<Dot> = validation
        .rows
        .iter()
        .filter(|row| row.errors.contains_key(&metric))
        .filter_map(|row| {
            let gpu = &row.understood.as_ref()?.gpu;
            Some(Dot {
                row,
                kind: kinds.iter().position(|kind| kind == gpu)?,
                measured: *row.measured.figures.get(&metric)?,
                simulated: *row.simulated.as_ref().ok()?.get(&metric)?,
            })
        })
        .filter(|dot| dot.measured > 0.0 && dot.simulated > 0.0)
        .collect();
    if dots.is_empty() {
        return None;
    }
    Some(Panel { metric, spread: validation.spread(metric, |_| true), dots })
}

/// Where the name of each kind stands, line by line, and where the panels begin [px].
fn legend(kinds: &[String], page: f64) -> (Vec<(f64, f64, usize)>, f64) {
    let (mut x, mut y) = (MARGIN, HEAD);
    let mut places = Vec::new();
    for (kind, name) in kinds.iter().enumerate() {
        let width = LEGEND_DOT + LEGEND.width(name);
        if x > MARGIN && x + width > page - MARGIN {
            (x, y) = (MARGIN, y + LEGEND.size * 1.4);
        }
        places.push((x, y, kind));
        x += width + 36.0;
    }
    (places, y + 38.0)
}

fn draw_panel(picture: &mut Picture, panel: &Panel, corner: (f64, f64), side: f64, named: bool) {
    let plot = plot(panel, corner, side);
    let words = panel.metric.words();
    let title = PANEL_TITLE.fit(&[capital(words), capital(brief(panel.metric))], LEFT + side);
    picture.text((corner.0, corner.1 + 30.0), Align::Left, PANEL_TITLE, &title);
    let Spread { n, median_abs_err, p90_abs_err, bias } = panel.spread;
    let known = |error: Option<f64>| error.map_or("–".into(), percent);
    let middle =
        format!("n {} · median {} · 90 % in {}", count(n as u64), known(median_abs_err), known(p90_abs_err));
    let signed = bias.map_or("–".into(), |bias| {
        format!("{}{}", if bias < 0.0 { "−" } else { "+" }, percent(bias.abs()))
    });
    let without_n = format!("median {} · 90 % in {}", known(median_abs_err), known(p90_abs_err));
    let note = PANEL_NOTE.fit(&[format!("{middle} · bias {signed}"), middle, without_n], side + LEFT);
    picture.text((corner.0, corner.1 + 64.0), Align::Left, PANEL_NOTE, &note);
    draw_band(picture, &plot);
    draw_axes(picture, &plot);
    for dot in &panel.dots {
        let fill = color(dot.kind).0;
        let fill = if dot.row.measured.suspect_host_bound { pale(fill) } else { fill };
        let radius =
            RADII.iter().find(|(most, _)| panel.dots.len() <= *most).map_or(3.0, |(_, radius)| *radius);
        let tip = format!(
            "{}: measured {}, simulated {}",
            dot.row.measured.id,
            short(dot.measured),
            short(dot.simulated)
        );
        let (x, y) = (plot.x(dot.measured), plot.y(dot.simulated));
        picture.dot((x, y), radius, fill, tip);
    }
    if named {
        draw_names(picture, panel, &plot);
    }
}

/// The plot with room for all dots.
fn plot(panel: &Panel, corner: (f64, f64), side: f64) -> Plot {
    let logs = panel.dots.iter().flat_map(|dot| [dot.measured.log10(), dot.simulated.log10()]);
    let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let pad = (0.06 * (high - low)).max(0.08);
    Plot { left: corner.0 + LEFT, top: corner.1 + TOP, side, low: low - pad, high: high + pad }
}

/// Within a quarter of the diagonal, and the diagonal.
fn draw_band(picture: &mut Picture, plot: &Plot) {
    let steps = plot.side.round().max(2.0) as usize;
    let at = |k: f64| plot.left + plot.side * k / steps as f64;
    let value = |x: f64| 10f64.powf(plot.low + (plot.high - plot.low) * (x - plot.left) / plot.side);
    let edges: Vec<f64> = (0..=steps).map(|k| at(k as f64)).collect();
    let middle = |k: usize| value(at(k as f64 + 0.5));
    let inside = |y: f64| y.clamp(plot.top, plot.bottom());
    picture.shapes.push(Shape::Band {
        top: (0..steps).map(|k| inside(plot.y(middle(k) * (1.0 + WITHIN)))).collect(),
        bottom: (0..steps).map(|k| inside(plot.y(middle(k) * (1.0 - WITHIN)))).collect(),
        edges,
        fill: BAND,
    });
}

fn draw_axes(picture: &mut Picture, plot: &Plot) {
    let ticks = logarithmic::ticks(plot.low, plot.high);
    for &(value, _) in &ticks {
        picture.path(vec![(plot.x(value), plot.top), (plot.x(value), plot.bottom())], 1.5, GRID);
        picture.path(vec![(plot.left, plot.y(value)), (plot.right(), plot.y(value))], 1.5, GRID);
    }
    picture.path(vec![(plot.left, plot.bottom()), (plot.right(), plot.top)], 2.0, SOFT_INK);
    picture.path(vec![(plot.left, plot.bottom()), (plot.right(), plot.bottom())], 2.5, INK);
    picture.path(vec![(plot.left, plot.top), (plot.left, plot.bottom())], 2.5, INK);
    let mut taken = f64::NEG_INFINITY;
    for (value, label) in &ticks {
        let half = TICK.width(label) / 2.0;
        let x = plot.x(*value);
        // Labels that would run into their neighbours are left out; their lines stay.
        if x - half > taken + 8.0 {
            picture.text((x, plot.bottom() + 12.0 + TICK.size), Align::Middle, TICK, label);
            taken = x + half;
        }
        picture.text((plot.left - 12.0, plot.y(*value) + TICK.size * 0.36), Align::Right, TICK, label);
    }
}

/// Names beside dots, on the side away from the diagonal where there is room, moved apart where they would overlap.
fn draw_names(picture: &mut Picture, panel: &Panel, plot: &Plot) {
    let to_the_left = |dot: &Dot| {
        let (x, room) = (plot.x(dot.measured), NAME.width(&dot.row.measured.id) + 18.0);
        let above = dot.simulated > dot.measured;
        if above { x - room > plot.left } else { x + room > plot.right() }
    };
    for left in [false, true] {
        let mut names: Vec<(f64, f64, &Dot)> = panel
            .dots
            .iter()
            .filter(|dot| to_the_left(dot) == left)
            .map(|dot| (plot.x(dot.measured), plot.y(dot.simulated), dot))
            .collect();
        names.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut lowest = plot.top + NAME.size;
        for (x, y, dot) in names {
            let baseline = (y + NAME.size * 0.36).max(lowest).min(plot.bottom() - 6.0);
            lowest = baseline + NAME.size * 1.15;
            let style = Style { color: color(dot.kind).1, ..NAME };
            let (at, align) = if left { (x - 14.0, Align::Right) } else { (x + 14.0, Align::Left) };
            picture.text((at, baseline), align, style, &dot.row.measured.id);
        }
    }
}

fn draw_footer(picture: &mut Picture, validation: &Validation, subject: &Subject) {
    let middle = picture.width / 2.0;
    let axes = "Horizontal: measured; vertical: simulated; watts and joules at the GPU unless said otherwise";
    picture.text((middle, picture.height - 58.0), Align::Middle, PANEL_NOTE, axes);
    let pale = validation.rows.iter().any(|row| row.measured.suspect_host_bound);
    let pale = if pale { " · pale: rows suspected to measure the host" } else { "" };
    let hash: String = subject.hash.chars().take(8).collect();
    let fixed = format!(" · {hash} · seed {} · wattmill {}{pale}", subject.seed, env!("CARGO_PKG_VERSION"));
    frame::draw_footer_text(picture, &subject.name, &fixed, "");
}

/// A metric where there is little room.
fn brief(metric: Metric) -> &'static str {
    match metric {
        Metric::OutputTokPerS => "tokens/s",
        Metric::GpuPowerW => "GPU power",
        Metric::JPerOutputToken => "J/token",
        Metric::ItlMs => "ITL",
        Metric::ItlP50Ms => "median ITL",
        Metric::TtftMs => "TTFT",
        Metric::TpotMs => "TPOT",
        Metric::E2eMs => "E2E",
        Metric::NodePowerW => "node power",
        Metric::ThroughputRatio => "ratios",
        Metric::QueueMs => "queue",
        Metric::MakespanS => "makespan",
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn percent(share: f64) -> String {
    format!("{} %", significant(share * 100.0, if share < 0.1 { 2 } else { 3 }))
}

fn csv(panels: &[Panel]) -> String {
    let mut out = String::from("metric,id,gpu,measured,simulated,error,suspect_host_bound\n");
    for panel in panels {
        for Dot { row, measured, simulated, .. } in &panel.dots {
            let gpu = row.understood.as_ref().map(|names| names.gpu.as_str()).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{},{},{},{measured},{simulated},{},{}",
                panel.metric.key(),
                csv_text(&row.measured.id),
                csv_text(gpu),
                simulated / measured - 1.0,
                u8::from(row.measured.suspect_host_bound)
            );
        }
    }
    out
}
