//! Figure `heatmap`: a column over two others, with borders between the regions in which one constraint binds most.

use super::contour::{self, Border, Shares};
use super::frame::{self, Frame};
use super::lines::written_alike;
use super::picture::{Align, MARGIN, Picture, Shape, Style};
use super::sweep;
use super::theme::{AXIS_ROOM, TICK_PX, Theme};
use super::{Figure, Table, csv_number, csv_text};
use crate::ledger::outcome::Constraint;
use crate::report::columns::{self, AxisUnit, Quantity};
use crate::report::numbers::percent;
use crate::report::palette::{self, INK, WHITE};
use crate::report::points::{Cell, Points, PointsError};
use crate::report::redraw::Asked;

/// Steps of a numeric axis within this share of each other are equal.
const EVEN: f64 = 0.02;
/// More cells than this show no values under the pointer.
const MOST_TIPS: usize = 4000;
/// More cells than this are not all tried as the place of a name.
const MOST_TRIED: usize = 400;
/// Room around a name [px].
const PAD: (f64, f64) = (14.0, 8.0);

/// An axis of equal cells: values in order, marks at positions in units of cells.
struct CellAxis {
    quantity: Quantity,
    unit: AxisUnit,
    values: Vec<Cell>,
    marks: Vec<(f64, String)>,
}

impl CellAxis {
    fn of(points: &Points, column: usize) -> Self {
        let quantity = columns::quantity(points.name_of(column));
        let values = points.values(column);
        let numbers: Option<Vec<f64>> = values.iter().map(Cell::number).collect();
        let largest = numbers.iter().flatten().map(|v| v.abs()).fold(0.0, f64::max);
        let unit = quantity.unit.for_axis(largest);
        let marks = match &numbers {
            Some(numbers) if is_even(numbers) && numbers.len() > 4 => {
                let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
                let step = (last - first) / (numbers.len() - 1) as f64;
                frame::round_ticks(first, last, unit.factor, 7.0)
                    .into_iter()
                    .map(|(value, label)| ((value - first) / step, label))
                    .collect()
            }
            Some(numbers) => {
                let names = written_alike(&numbers.iter().map(|v| v / unit.factor).collect::<Vec<_>>());
                names.into_iter().enumerate().map(|(k, name)| (k as f64, name)).collect()
            }
            None => values.iter().enumerate().map(|(k, cell)| (k as f64, cell.text())).collect(),
        };
        Self { quantity, unit, values, marks }
    }

    fn position(&self, cell: &Cell) -> Option<usize> {
        self.values.iter().position(|v| v == cell)
    }

    /// The value at a position in units of cells, between numbers by proportion, beyond them in their last step.
    fn value(&self, at: f64) -> String {
        let numbers: Option<Vec<f64>> = self.values.iter().map(Cell::number).collect();
        match numbers.as_deref() {
            Some(numbers) if numbers.len() > 1 => {
                let k = (at.floor().max(0.0) as usize).min(numbers.len() - 2);
                (numbers[k] + (numbers[k + 1] - numbers[k]) * (at - k as f64)).to_string()
            }
            _ => at.to_string(),
        }
    }

    fn title(&self) -> String {
        format!("{}{}", self.quantity.words, self.unit.bracket())
    }
}

fn is_even(numbers: &[f64]) -> bool {
    let steps: Vec<f64> = numbers.windows(2).map(|w| w[1] - w[0]).collect();
    let mean = steps.iter().sum::<f64>() / steps.len().max(1) as f64;
    steps.len() > 1 && steps.iter().all(|s| (s - mean).abs() <= EVEN * mean)
}

/// The values of a sweep on the grid of two of its axes.
struct Grid {
    x: CellAxis,
    y: CellAxis,
    /// Row by row.
    values: Vec<Option<f64>>,
    shares: Vec<Shares>,
}

impl Grid {
    fn of(points: &Points, x: usize, y: usize, z: usize) -> Result<Self, PointsError> {
        let (xs, ys) = (CellAxis::of(points, x), CellAxis::of(points, y));
        let n = xs.values.len() * ys.values.len();
        let share_columns = points.share_columns();
        let mut grid = Self { values: vec![None; n], shares: vec![None; n], x: xs, y: ys };
        for group in points.groups(&[x, y])? {
            let [cell_x, cell_y] = group.key.as_slice() else { continue };
            let (Some(i), Some(j)) = (grid.x.position(cell_x), grid.y.position(cell_y)) else { continue };
            let at = grid.at(i, j);
            grid.values[at] = points.value(&group, z).map(|v| v.mean);
            grid.shares[at] = share_columns.and_then(|columns| points.shares(&group, columns));
        }
        Ok(grid)
    }

    fn at(&self, i: usize, j: usize) -> usize {
        j * self.x.values.len() + i
    }

    fn size(&self) -> (usize, usize) {
        (self.x.values.len(), self.y.values.len())
    }

    /// What binds most in a cell.
    fn dominant(&self, i: usize, j: usize) -> Option<usize> {
        self.shares[self.at(i, j)].as_ref().map(contour::dominant)
    }

    /// Cells by what binds most in them, the most first.
    fn regions(&self) -> Vec<(usize, usize)> {
        let mut counts = [0usize; 7];
        self.shares.iter().flatten().for_each(|s| counts[contour::dominant(s)] += 1);
        let mut out: Vec<(usize, usize)> = counts.into_iter().enumerate().filter(|c| c.1 > 0).collect();
        out.sort_by_key(|c| std::cmp::Reverse(c.1));
        out
    }
}

/// Draws the figure.
pub(super) fn draw<'a>(points: &Points, asked: &Asked, theme: &'a Theme) -> Result<Figure<'a>, PointsError> {
    let axes = points.varying_axes();
    let axis = |option: &str, asked: &Option<String>, k: usize| match (asked, axes.get(k)) {
        (Some(name), _) => points.column(option, name),
        (None, Some(axis)) => Ok(*axis),
        (None, None) => Err(PointsError(format!("{option} NAME is needed: an axis of the heatmap"))),
    };
    // The axis that is not asked for is the first that is not taken.
    let (x, y) = match (&asked.x, &asked.y) {
        (Some(_), None) => {
            let x = axis("--x", &asked.x, 0)?;
            let other = axes.iter().position(|k| *k != x).unwrap_or(axes.len());
            (x, axis("--y", &None, other)?)
        }
        (None, Some(_)) => {
            let y = axis("--y", &asked.y, 1)?;
            let other = axes.iter().position(|k| *k != y).unwrap_or(axes.len());
            (axis("--x", &None, other)?, y)
        }
        _ => (axis("--x", &asked.x, 0)?, axis("--y", &asked.y, 1)?),
    };
    if x == y {
        return Err(PointsError(format!(
            "--x and --y are both {}; a heatmap has two axes",
            points.name_of(x)
        )));
    }
    let z = match &asked.z {
        Some(name) => points.numbers("--z", name)?,
        None => {
            points.first_of("heatmap", &["throughput.output_tok_per_s", "throughput.useful_tok_per_s"])?
        }
    };
    let grid = Grid::of(points, x, y, z)?;
    let known = || grid.values.iter().flatten().copied();
    let (low, high) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if !low.is_finite() {
        return Err(PointsError(format!("--z {}: has no values on this grid", points.name_of(z))));
    }
    let quantity = columns::quantity(points.name_of(z));
    let unit = quantity.unit.for_axis(high.abs().max(low.abs()));
    let titles = titles(&grid, &quantity, &unit, (low, high));
    let colour = format!("Colour: {}{}", columns::small(&quantity.words), unit.bracket());
    let has_borders = grid.regions().len() > 1;
    let line = "; lines: where another limit takes over";
    let mut picture = Picture::new(
        theme,
        titles[0].clone(),
        format!(
            "{colour}, over {} and {}.",
            columns::small(&grid.x.title()),
            columns::small(&grid.y.title())
        ),
    );
    let subtitles = [format!("{colour}{}", if has_borders { line } else { "" }), colour.clone()];
    picture.head(&titles, &subtitles);
    let y_title = format!("Vertical: {}", columns::small(&grid.y.title()));
    let y_title = theme.tick().fit(&[y_title, grid.y.title()], theme.page.0 - 2.0 * MARGIN);
    picture.text((MARGIN, theme.strip_baseline()), Align::Left, theme.subtitle(), &y_title);

    let bar = ColourBar::of((low, high), &unit);
    let labels = grid.y.marks.iter().map(|m| theme.tick().width(&m.1)).fold(0.0, f64::max);
    let (columns, rows) = grid.size();
    let frame = Frame {
        left: (labels + MARGIN + 16.0).max(96.0),
        right: theme.page.0 - MARGIN - bar.room(theme),
        top: theme.strip_baseline() + 28.0,
        bottom: theme.plot_bottom(),
        start_s: -0.5,
        end_s: columns as f64 - 0.5,
        floor: -0.5,
        limit: rows as f64 - 0.5,
    };
    draw_cells(&mut picture, &frame, &grid, (low, high), &unit);
    let borders = contour::borders(columns, rows, |i, j| grid.shares[grid.at(i, j)]);
    for border in &borders {
        let line: Vec<(f64, f64)> = border.points.iter().map(|p| (frame.x(p.0), frame.y(p.1))).collect();
        let line = within(line, &frame);
        picture.path(line.clone(), 10.0, WHITE);
        picture.path(line, 4.5, INK);
    }
    draw_axes(&mut picture, &frame, &grid);
    let unnamed = draw_names(&mut picture, &frame, &grid);
    bar.draw(&mut picture, &frame);
    let mut remark = String::new();
    if known().count() < grid.values.len() {
        remark += " · white: no value";
    }
    if !unnamed.is_empty() {
        remark += &format!(" · too small to name: {}", unnamed.join(", "));
    }
    if points.replications() > 1 {
        remark += &format!(" · means of {} seeds", points.replications());
    }
    sweep::draw_footer(&mut picture, points, &remark);
    let names = [x, y, z].map(|k| csv_text(points.name_of(k)));
    let tables = vec![
        Table { name: "heatmap", csv: csv(&grid, &names) },
        Table { name: "heatmap_borders", csv: borders_csv(&grid, &borders, &names) },
    ];
    Ok(Figure { name: "heatmap", picture, tables })
}

/// A line cut off where its width would reach beyond the plot.
fn within(mut line: Vec<(f64, f64)>, frame: &Frame) -> Vec<(f64, f64)> {
    const INSET: f64 = 6.0;
    let inside = |p: (f64, f64)| {
        (frame.left + INSET..=frame.right - INSET).contains(&p.0)
            && (frame.top + INSET..=frame.bottom - INSET).contains(&p.1)
    };
    for _ in 0..2 {
        while line.len() > 2 && !inside(line[line.len() - 2]) {
            line.pop();
        }
        if let [.., before, end] = line.as_mut_slice()
            && !inside(*end)
        {
            // By halves: the last place of the piece that is inside.
            let (mut low, mut high) = (0.0, 1.0);
            let at = |t: f64| (before.0 + t * (end.0 - before.0), before.1 + t * (end.1 - before.1));
            for _ in 0..20 {
                let t = (low + high) / 2.0;
                if inside(at(t)) { low = t } else { high = t }
            }
            *end = at(low);
        }
        line.reverse();
    }
    line
}

/// The finding, from the most to the least detailed wording.
fn titles(grid: &Grid, quantity: &Quantity, unit: &AxisUnit, (low, high): (f64, f64)) -> Vec<String> {
    let regions = grid.regions();
    let all: usize = regions.iter().map(|r| r.1).sum();
    let range = format!("{}: {} to {}", quantity.words, unit.write(low), unit.write(high));
    let name = |k: usize| palette::name(Constraint::ALL[k]);
    match regions.as_slice() {
        [] => vec![range],
        [(only, _)] => vec![format!("{} binds everywhere", columns::capital(name(*only))), range],
        [(first, n), rest @ ..] => {
            let share = |n: usize| percent(n as f64 / all as f64);
            let start = format!("{} binds at {} of the points", columns::capital(name(*first)), share(*n));
            let with = |take: usize| {
                rest.iter()
                    .take(take)
                    .fold(start.clone(), |text, (k, n)| text + &format!(", {} at {}", name(*k), share(*n)))
            };
            (0..=rest.len().min(3)).rev().map(with).collect()
        }
    }
}

fn draw_cells(picture: &mut Picture, frame: &Frame, grid: &Grid, (low, high): (f64, f64), unit: &AxisUnit) {
    let (columns, rows) = grid.size();
    for j in 0..rows {
        for i in 0..columns {
            let Some(value) = grid.values[grid.at(i, j)] else { continue };
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            let (x, y) = (i as f64, j as f64);
            let corners = ((frame.x(x - 0.5), frame.y(y + 0.5)), (frame.x(x + 0.5), frame.y(y - 0.5)));
            picture.rect(corners.0, corners.1, palette::depth(share));
            if columns * rows <= MOST_TIPS {
                let binds =
                    grid.dominant(i, j).map(|k| format!(", {} binds", palette::name(Constraint::ALL[k])));
                let tip = format!(
                    "{} at {}, {}{}",
                    unit.write(value),
                    grid.x.values[i].text(),
                    grid.y.values[j].text(),
                    binds.unwrap_or_default()
                );
                let ((x0, y0), (x1, y1)) = corners;
                picture.shapes.push(Shape::Hover { x0, y0, x1, y1, tip });
            }
        }
    }
}

/// Marks and labels at the left and below, the title below; labels that would overlap are left out.
fn draw_axes(picture: &mut Picture, frame: &Frame, grid: &Grid) {
    let style = picture.theme.tick();
    picture.path(
        vec![(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)],
        2.5,
        INK,
    );
    let mut taken = f64::NEG_INFINITY;
    for (at, label) in &grid.x.marks {
        let (x, half) = (frame.x(*at), style.width(label) / 2.0);
        picture.path(vec![(x, frame.bottom), (x, frame.bottom + 10.0)], 2.5, INK);
        if x - half > taken + 14.0 && x + half < picture.width {
            picture.text((x, frame.bottom + 12.0 + TICK_PX), Align::Middle, style, label);
            taken = x + half;
        }
    }
    let mut taken = f64::INFINITY;
    for (at, label) in &grid.y.marks {
        let y = frame.y(*at);
        picture.path(vec![(frame.left - 10.0, y), (frame.left, y)], 2.5, INK);
        if y + 0.6 * TICK_PX < taken {
            picture.text((frame.left - 16.0, y + TICK_PX * 0.36), Align::Right, style, label);
            taken = y - 0.6 * TICK_PX;
        }
    }
    let title = style.fit(&[grid.x.title(), grid.x.quantity.words.clone()], picture.width - 2.0 * MARGIN);
    let half = style.width(&title) / 2.0;
    let x = ((frame.left + frame.right) / 2.0).max(MARGIN + half);
    picture.text((x, frame.bottom + AXIS_ROOM), Align::Middle, style, &title);
}

/// Names each region where it is widest; returns the names that have no room.
fn draw_names(picture: &mut Picture, frame: &Frame, grid: &Grid) -> Vec<&'static str> {
    let theme = picture.theme;
    let mut unnamed = Vec::new();
    for (k, _) in grid.regions() {
        let constraint = Constraint::ALL[k];
        let tries = [palette::name(constraint), palette::short_name(constraint)];
        let sizes = [theme.label().size, theme.readable(26.0)];
        let found = sizes.iter().flat_map(|size| tries.map(|name| (*size, name))).find_map(|(size, name)| {
            let style = Style { size, color: palette::on_fill(constraint), ..theme.label() };
            let half = (style.width(name) / 2.0 + PAD.0, size * 0.55 + PAD.1);
            Some((style, name, half, widest(frame, grid, k, half)?))
        });
        match found {
            Some((style, name, half, (x, y))) => {
                // A white rim keeps the block apart from the cells.
                let rim = |by: f64| ((x - half.0 - by, y - half.1 - by), (x + half.0 + by, y + half.1 + by));
                picture.rect(rim(3.0).0, rim(3.0).1, WHITE);
                picture.rect(rim(0.0).0, rim(0.0).1, palette::fill(constraint));
                picture.text((x, y + style.size * 0.36), Align::Middle, style, name);
            }
            None => unnamed.push(palette::name(constraint)),
        }
    }
    unnamed
}

/// The middle of the cell of a region around which a block fits, as far as can be from other regions.
fn widest(frame: &Frame, grid: &Grid, region: usize, half: (f64, f64)) -> Option<(f64, f64)> {
    let (columns, rows) = grid.size();
    let all = || (0..rows).flat_map(move |j| (0..columns).map(move |i| (i, j)));
    let inside: Vec<(usize, usize)> = all().filter(|(i, j)| grid.dominant(*i, *j) == Some(region)).collect();
    let place = |i: usize, j: usize| (frame.x(i as f64), frame.y(j as f64));
    let cell = (frame.x(0.5) - frame.x(-0.5), frame.y(-0.5) - frame.y(0.5));
    let others: Vec<(f64, f64)> = all()
        .filter(|(i, j)| grid.dominant(*i, *j).is_some_and(|k| k != region))
        .map(|(i, j)| place(i, j))
        .collect();
    let n = inside.len() as f64;
    let middle =
        inside.iter().map(|(i, j)| place(*i, *j)).fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
    let mut best: Option<((f64, f64), (f64, f64))> = None;
    // Middles of cells, and of pairs and fours of cells.
    let is_inside = |i: usize, j: usize| i < columns && j < rows && grid.dominant(i, j) == Some(region);
    let tried = inside.iter().step_by(inside.len().div_ceil(MOST_TRIED)).flat_map(|&(i, j)| {
        let right = is_inside(i + 1, j);
        let up = is_inside(i, j + 1);
        let both = right && up && is_inside(i + 1, j + 1);
        [(true, 0.0, 0.0), (right, 0.5, 0.0), (up, 0.0, 0.5), (both, 0.5, 0.5)]
            .into_iter()
            .filter_map(move |(there, dx, dy)| there.then_some((i as f64 + dx, j as f64 + dy)))
    });
    for (i, j) in tried {
        let (x, y) = (frame.x(i), frame.y(j));
        let within = x - half.0 >= frame.left + 6.0
            && x + half.0 <= frame.right - 6.0
            && y - half.1 >= frame.top + 6.0
            && y + half.1 <= frame.bottom - 6.0;
        // Free space between the block and the nearest cell of another region.
        let space = others
            .iter()
            .map(|o| ((o.0 - x).abs() - half.0 - cell.0 / 2.0).max((o.1 - y).abs() - half.1 - cell.1 / 2.0))
            .fold(200.0, f64::min);
        // The edge of the plot counts half: a name at it looks pushed aside.
        let edge = (x - half.0 - frame.left)
            .min(frame.right - x - half.0)
            .min(y - half.1 - frame.top)
            .min(frame.bottom - y - half.1);
        let space = if space >= 0.0 { space.min(2.0 * edge) } else { space };
        let off = (x - middle.0).hypot(y - middle.1);
        if within && space >= 0.0 && best.is_none_or(|b| (space, -off) > b.0) {
            best = Some(((space, -off), (x, y)));
        }
    }
    best.map(|b| b.1)
}

/// What the colours mean.
struct ColourBar {
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl ColourBar {
    fn of((low, high): (f64, f64), unit: &AxisUnit) -> Self {
        let ticks = if high > low {
            frame::value_ticks(low, high, unit.factor)
        } else {
            vec![(low, crate::report::numbers::significant(low / unit.factor, 3))]
        };
        Self { low, high, ticks }
    }

    /// Width, the gap before it included [px].
    fn room(&self, theme: &Theme) -> f64 {
        34.0 + 30.0 + 14.0 + self.ticks.iter().map(|t| theme.tick().width(&t.1)).fold(0.0, f64::max)
    }

    fn draw(&self, picture: &mut Picture, frame: &Frame) {
        const STEPS: usize = 100;
        let (x, style) = (frame.right + 34.0, picture.theme.tick());
        let (top, bottom) = (frame.top, frame.bottom);
        let y = |share: f64| bottom - (bottom - top) * share;
        for k in 0..STEPS {
            let share = |k: usize| k as f64 / STEPS as f64;
            let fill = palette::depth((k as f64 + 0.5) / STEPS as f64);
            picture.rect((x, y(share(k + 1))), (x + 30.0, y(share(k))), fill);
        }
        for (value, label) in &self.ticks {
            let share = if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 };
            let at = y(share);
            picture.path(vec![(x + 30.0, at), (x + 37.0, at)], 2.5, INK);
            let baseline = (at + TICK_PX * 0.36).clamp(top + TICK_PX * 0.72, bottom);
            picture.text((x + 44.0, baseline), Align::Left, style, label);
        }
    }
}

fn csv(grid: &Grid, [x, y, z]: &[String; 3]) -> String {
    let mut out = format!("{x},{y},{z},binds_most");
    for constraint in Constraint::ALL {
        out += &format!(",share_{}", constraint.key());
    }
    out.push('\n');
    let (columns, rows) = grid.size();
    for j in 0..rows {
        for i in 0..columns {
            let cell = |c: &Cell| csv_text(&c.text());
            let binds = grid.dominant(i, j).map_or("", |k| Constraint::ALL[k].key());
            let value = csv_number(grid.values[grid.at(i, j)]);
            out += &format!("{},{},{value},{binds}", cell(&grid.x.values[i]), cell(&grid.y.values[j]));
            for k in 0..7 {
                out += &format!(",{}", csv_number(grid.shares[grid.at(i, j)].map(|s| s[k])));
            }
            out.push('\n');
        }
    }
    out
}

/// The borders as drawn, in the units of the axes.
fn borders_csv(grid: &Grid, borders: &[Border], [x, y, _]: &[String; 3]) -> String {
    let mut out = format!("border,between,and,{x},{y}\n");
    for (n, border) in borders.iter().enumerate() {
        let (a, b) = (Constraint::ALL[border.between.0].key(), Constraint::ALL[border.between.1].key());
        for (at_x, at_y) in &border.points {
            out += &format!("{n},{a},{b},{},{}\n", grid.x.value(*at_x), grid.y.value(*at_y));
        }
    }
    out
}
