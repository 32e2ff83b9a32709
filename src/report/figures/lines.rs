//! Lines through the points of a sweep, one per value of an axis, and their names.

use super::frame::{self, EndLabel, Frame};
use super::picture::{Align, MARGIN, Picture};
use super::theme::Theme;
use crate::report::columns::{self, AxisUnit, Quantity};
use crate::report::numbers;
use crate::report::palette::{self, Color, INK, KINDS};
use crate::report::points::{Cell, Group, Points, PointsError, Value};

/// More lines than this are a tangle: every second, third, … of them is drawn.
const MOST: usize = 7;
/// More points of a line than this have no dot each.
const MOST_DOTS: usize = 60;
/// Points this many times above the middle one are above the scale, where that is allowed.
const OFF_SCALE: f64 = 4.0;
/// Swatch of a key [px].
const SWATCH: f64 = 40.0;
/// Half of the mark at the end of an interval [px].
const CAP: f64 = 6.0;

/// A place on the horizontal axis, and what is there.
type LinePoint = (f64, Option<Value>);

/// A line: its points in order of x, a gap where a value is missing.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The value that it stands for; empty if it is the only one.
    pub(super) name: String,
    pub(super) color: Color,
    pub(super) points: Vec<LinePoint>,
}

impl Line {
    /// The points that are there.
    pub(super) fn means(&self) -> Vec<(f64, f64)> {
        self.points.iter().filter_map(|(x, v)| Some((*x, v.as_ref()?.mean))).collect()
    }
}

/// The lines of a figure.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    /// All of them, for the table.
    pub(super) all: Vec<Line>,
    /// Those that are drawn.
    pub(super) drawn: Vec<usize>,
    /// What tells them apart.
    pub(super) by: Option<Quantity>,
}

impl Lines {
    /// A line per value of the column `by`, of what `value` reads of a group of replications.
    pub(super) fn of(
        points: &Points,
        x: usize,
        by: Option<usize>,
        value: impl Fn(&Group) -> Option<Value>,
    ) -> Result<Self, PointsError> {
        let keys: Vec<usize> = by.into_iter().chain([x]).collect();
        let groups = points.groups(&keys)?;
        let mut lines: Vec<(Option<Cell>, Vec<LinePoint>)> = Vec::new();
        for group in &groups {
            let of = by.map(|_| group.key[0].clone());
            let Some(at) = group.key.last().and_then(Cell::number) else { continue };
            let point = (at, value(group));
            match lines.last_mut() {
                Some(line) if line.0 == of => line.1.push(point),
                _ => lines.push((of, vec![point])),
            }
        }
        lines.retain(|line| line.1.iter().any(|p| p.1.is_some()));
        let cells: Vec<Cell> = lines.iter().filter_map(|l| l.0.clone()).collect();
        let quantity = by.map(|k| columns::quantity(points.name_of(k)));
        let names = names(&cells, quantity.as_ref());
        let n = lines.len();
        // Ordered values are coloured in order.
        let ordered = cells.iter().all(|c| c.number().is_some());
        let all = lines
            .into_iter()
            .enumerate()
            .map(|(k, (_, points))| Line {
                name: names.get(k).cloned().unwrap_or_default(),
                color: match n {
                    1 => INK,
                    _ if ordered => palette::heat(0.95 * k as f64 / (n - 1) as f64),
                    _ => KINDS[k % KINDS.len()].0,
                },
                points,
            })
            .collect();
        let drawn = match n {
            0 => Vec::new(),
            n => (0..n).step_by(n.div_ceil(MOST)).collect(),
        };
        Ok(Self { all, drawn, by: quantity })
    }

    /// The lines to draw, with their numbers among all.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Line> {
        self.drawn.iter().map(|k| &self.all[*k])
    }

    /// Everything drawn, ends of intervals included.
    pub(super) fn extent(&self) -> Option<((f64, f64), (f64, f64))> {
        let mut out: Option<((f64, f64), (f64, f64))> = None;
        for (x, value) in self.shown().flat_map(|l| &l.points) {
            let Some(value) = value else { continue };
            let (low, high) = value.interval.unwrap_or((value.mean, value.mean));
            let ((x0, x1), (y0, y1)) = out.unwrap_or(((*x, *x), (low, high)));
            out = Some(((x0.min(*x), x1.max(*x)), (y0.min(low), y1.max(high))));
        }
        out
    }

    /// `; lines: PUE`, for the subtitle.
    pub(super) fn told_apart(&self) -> String {
        match &self.by {
            Some(by) if self.all.len() > 1 => format!("; lines: {}", columns::small(&by.words)),
            _ => String::new(),
        }
    }

    /// For the footer: how many lines are not drawn, and what the bars are.
    pub(super) fn remark(&self) -> String {
        let mut out = String::new();
        if self.drawn.len() < self.all.len() {
            out += &format!(" · {} of {} lines", self.drawn.len(), self.all.len());
        }
        let most = self.shown().flat_map(|l| &l.points).filter_map(|p| p.1).map(|v| v.n).max().unwrap_or(1);
        if most > 1 {
            out += &format!(" · bars: 95 % over {most} seeds");
        }
        out
    }

    /// Room for the names at the right of a frame [px].
    pub(super) fn room(&self, theme: &Theme) -> f64 {
        if self.all.len() < 2 {
            return MARGIN + 20.0;
        }
        let heading = self.by.as_ref().map_or(0.0, |by| theme.tick().width(&brief(by)));
        let names = self.shown().map(|l| theme.label().width(&l.name)).fold(0.0, f64::max);
        (SWATCH + 12.0 + names).max(heading) + 30.0 + MARGIN
    }

    /// Draws lines, dots and intervals.
    pub(super) fn draw(
        &self,
        picture: &mut Picture,
        frame: &Frame,
        tip: impl Fn(&Line, f64, &Value) -> String,
    ) {
        for line in self.shown() {
            let mut piece: Vec<(f64, f64)> = Vec::new();
            let mut above: Option<(f64, f64)> = None;
            let dots = line.points.len() <= MOST_DOTS;
            for (x, value) in &line.points {
                let Some(value) = value else {
                    picture.path(std::mem::take(&mut piece), 4.5, line.color);
                    above = None;
                    continue;
                };
                let at = (frame.x(*x), frame.y(value.mean));
                if at.1 < frame.top {
                    // Above the scale: the line goes on to where it leaves, and comes back there.
                    if let Some(last) = piece.last().copied() {
                        piece.push(leaving(last, at, frame.top));
                    }
                    picture.path(std::mem::take(&mut piece), 4.5, line.color);
                    above = Some(at);
                    continue;
                }
                if let Some(from) = above.take() {
                    piece.push(leaving(at, from, frame.top));
                }
                if let Some((low, high)) =
                    value.interval.filter(|(low, high)| frame.y(*low) - frame.y(*high) > 2.0)
                {
                    let inside = |v: f64| frame.y(v).clamp(frame.top, frame.bottom);
                    let (low, high) = (inside(low), inside(high));
                    picture.path(vec![(at.0, low), (at.0, high)], 2.0, line.color);
                    for y in [low, high] {
                        picture.path(vec![(at.0 - CAP, y), (at.0 + CAP, y)], 2.0, line.color);
                    }
                }
                if dots {
                    picture.dot(at, 5.5, line.color, tip(line, *x, value));
                }
                piece.push(at);
            }
            picture.path(piece, 4.5, line.color);
        }
    }

    /// Names the lines: at their ends where these are apart, else in a key in the order of their values.
    pub(super) fn draw_names(&self, picture: &mut Picture, frame: &Frame) {
        if self.all.len() < 2 {
            return;
        }
        let theme = picture.theme;
        let style = theme.label();
        let ends: Vec<EndLabel> = self
            .shown()
            .filter_map(|line| {
                let (_, y) = *line.means().last()?;
                let color = palette::ink_of(line.color);
                Some(EndLabel { y: frame.y(y), text: line.name.clone(), color, above: false })
            })
            .collect();
        let mut heights: Vec<f64> = ends.iter().map(|e| e.y).collect();
        heights.sort_by(f64::total_cmp);
        if heights.windows(2).all(|w| w[1] - w[0] >= 0.8 * style.size) {
            let highest = heights.first().copied().unwrap_or(frame.bottom);
            if let Some(by) = self.by.as_ref().filter(|_| highest - frame.top > 1.6 * style.size) {
                let at = (frame.right + 26.0, frame.top + 0.3 * style.size);
                picture.text(at, Align::Left, theme.tick(), &brief(by));
            }
            frame::draw_end_labels(picture, frame, ends);
            return;
        }
        let x = frame.right + 26.0;
        let mut y = frame.top + 0.8 * style.size;
        if let Some(by) = &self.by {
            picture.text((x, y), Align::Left, theme.tick(), &brief(by));
            y += 1.4 * style.size;
        }
        for line in self.shown() {
            picture.path(
                vec![(x, y - 0.36 * style.size), (x + SWATCH, y - 0.36 * style.size)],
                5.0,
                line.color,
            );
            picture.text((x + SWATCH + 12.0, y), Align::Left, style, &line.name);
            y += 1.3 * style.size;
        }
    }
}

/// Where a line from inside to a place above the plot crosses its upper edge.
fn leaving(inside: (f64, f64), above: (f64, f64), top: f64) -> (f64, f64) {
    let t = (inside.1 - top) / (inside.1 - above.1);
    (inside.0 + t * (above.0 - inside.0), top)
}

/// What tells lines apart, in a word or two.
fn brief(by: &Quantity) -> String {
    let words = by.words.split([',', '(']).next().unwrap_or_default().trim();
    format!("{words}{}", by.unit.for_axis(1.0).bracket())
}

/// The shortest numbers that tell the values apart, or the words.
fn names(cells: &[Cell], by: Option<&Quantity>) -> Vec<String> {
    let numbers: Option<Vec<f64>> = cells.iter().map(Cell::number).collect();
    let factor = by.map_or(1.0, |by| by.unit.for_axis(1.0).factor);
    match numbers {
        Some(values) => written_alike(&values.iter().map(|v| v / factor).collect::<Vec<_>>()),
        None => cells.iter().map(Cell::text).collect(),
    }
}

/// Numbers with as many decimals as tell them apart and give each to a thousandth.
pub(super) fn written_alike(values: &[f64]) -> Vec<String> {
    let write = |d: usize| values.iter().map(|v| format!("{v:.d$}")).collect::<Vec<_>>();
    let good = |d: &usize| {
        let factor = 10f64.powi(*d as i32);
        values.iter().all(|v| ((v * factor).round() / factor - v).abs() <= 1e-3 * v.abs()) && {
            let texts = write(*d);
            let mut distinct = texts.clone();
            distinct.sort();
            distinct.dedup();
            distinct.len() == texts.len()
        }
    };
    match (0..=6).find(good) {
        Some(0) => values
            .iter()
            .map(|v| if v.abs() < 1e4 { format!("{v:.0}") } else { numbers::short(*v) })
            .collect(),
        Some(d) => write(d),
        None => values.iter().map(|v| format!("{v}")).collect(),
    }
}

/// The frame of a figure of lines, with its axes: x over the data, y from zero unless all values are far from it.
pub(super) struct Axes {
    pub(super) x: Quantity,
    pub(super) x_unit: AxisUnit,
    pub(super) y_unit: AxisUnit,
    pub(super) frame: Frame,
}

impl Axes {
    /// Axes for lines, if there is anything to draw.
    pub(super) fn of(theme: &Theme, lines: &Lines, x: Quantity, y: &Quantity) -> Option<Self> {
        let ((x0, x1), (y0, y1)) = lines.extent()?;
        let (x0, x1) = if x1 > x0 { (x0, x1) } else { (x0 - 0.5, x1 + 0.5) };
        let height = if y1 > y0 { y1 - y0 } else { y1.abs().max(1e-9) };
        // The ends of an interval may lie below zero, where no value does.
        let lowest = lines.shown().flat_map(Line::means).map(|p| p.1).fold(f64::INFINITY, f64::min);
        let floor = match lowest >= 0.0 {
            true if lowest <= 0.8 * y1 => 0.0,
            true => (y0 - 0.08 * height).max(0.0),
            false => y0 - 0.08 * height,
        };
        let limit = y1 + 0.12 * (y1 - floor).max(height);
        let pad = 0.015 * (x1 - x0);
        Some(Self {
            x_unit: x.unit.for_axis(x1.abs().max(x0.abs())),
            y_unit: y.unit.for_axis(limit.abs().max(floor.abs())),
            x,
            frame: Frame {
                left: 128.0,
                right: theme.page.0 - lines.room(theme),
                top: theme.subtitle_baseline() + 34.0,
                bottom: theme.plot_bottom(),
                start_s: x0 - pad,
                end_s: x1 + pad,
                floor,
                limit,
            },
        })
    }

    /// Ends the scale where a few points far above all others would flatten these; how many are above it, in words.
    pub(super) fn cut_off(&mut self, lines: &Lines) -> String {
        let mut values: Vec<f64> = lines.shown().flat_map(Line::means).map(|p| p.1).collect();
        values.sort_by(f64::total_cmp);
        let Some(middle) = values.get(values.len() / 2).filter(|v| **v > 0.0) else { return String::new() };
        let most = OFF_SCALE * middle;
        let above = values.iter().filter(|v| **v > most).count();
        if above == 0 {
            // Ends of intervals may still be far away.
            self.frame.limit = self.frame.limit.min(1.3 * values[values.len() - 1]);
            return String::new();
        }
        self.frame.limit = most;
        format!(" · {above} above the scale")
    }

    /// Grid and marks of both axes.
    pub(super) fn draw(&self, picture: &mut Picture) {
        frame::draw_value_axis(picture, &self.frame, self.y_unit.factor);
        let title = format!("{}{}", self.x.words, self.x_unit.bracket());
        frame::draw_load_axis(picture, &self.frame, self.x_unit.factor, &title);
    }
}

/// The table behind lines: every point with its interval.
pub(super) fn csv(points: &Points, lines: &Lines, x: usize, by: Option<usize>, value: &str) -> String {
    let mut out = String::new();
    let head = by.map(|k| format!("{},", super::csv_text(points.name_of(k)))).unwrap_or_default();
    out += &format!("{head}{},{value},ci95_low,ci95_high,replications\n", super::csv_text(points.name_of(x)));
    for line in &lines.all {
        let name = by.map(|_| format!("{},", super::csv_text(&line.name))).unwrap_or_default();
        for (x, v) in &line.points {
            let of = |f: &dyn Fn(&Value) -> Option<f64>| super::csv_number(v.as_ref().and_then(f));
            let n = v.map_or(0, |v| v.n);
            out += &format!(
                "{name}{x},{},{},{},{n}\n",
                of(&|v| Some(v.mean)),
                of(&|v| v.interval.map(|i| i.0)),
                of(&|v| v.interval.map(|i| i.1))
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_values_apart() {
        let of = |values: &[f64]| written_alike(values);
        assert_eq!(of(&[1.05, 1.1, 1.150_000_000_000_000_1]), ["1.05", "1.10", "1.15"]);
        assert_eq!(of(&[8.0, 16.0, 32.0]), ["8", "16", "32"]);
        assert_eq!(of(&[10_000.0, 20_000.0]), ["10.0 k", "20.0 k"]);
        assert_eq!(of(&[1e-9, 2e-9]), ["0.000000001", "0.000000002"]);
    }
}
