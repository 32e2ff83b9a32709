//! Figure `knee`: useful tokens/s against the power cap, or any column against another, and where it stops growing.

use super::frame::Frame;
use super::lines::{self, Axes, Line, Lines};
use super::picture::{Align, MARGIN, Picture, Style};
use super::sweep::{self, by_axis, said, x_axis};
use super::theme::{TICK_PX, Theme};
use super::{Figure, Table, csv_text};
use crate::report::columns::{self, AxisUnit};
use crate::report::knee::{self, Knee};
use crate::report::numbers::significant;
use crate::report::palette::{GRID, WHITE, ink_of};
use crate::report::points::{Points, PointsError};
use crate::report::redraw::Asked;

/// Draws the figure.
pub(super) fn draw<'a>(points: &Points, asked: &Asked, theme: &'a Theme) -> Result<Figure<'a>, PointsError> {
    let x = x_axis(points, asked)?;
    let y = match &asked.y {
        Some(name) => points.numbers("--y", name)?,
        None => points.first_of("knee", &["throughput.useful_tok_per_s", "throughput.output_tok_per_s"])?,
    };
    let by = by_axis(points, asked, x)?;
    let lines = Lines::of(points, x, by, |group| points.value(group, y))?;
    let (x_words, y_words) = (columns::quantity(points.name_of(x)), columns::quantity(points.name_of(y)));
    let Some(axes) = Axes::of(theme, &lines, x_words, &y_words) else {
        return Err(PointsError(format!("--figure knee: `{}` has no values", points.name_of(y))));
    };
    let knees: Vec<Option<Knee>> = lines.all.iter().map(|line| knee::find(&line.means())).collect();
    let axis = format!("{}{}", y_words.words, axes.y_unit.bracket());
    let titles = titles(points, &lines, &knees, &axes, &columns::small(&y_words.words), x);
    let description = format!("{axis}, against {}{}.", columns::small(&axes.x.words), axes.x_unit.bracket());
    let mut picture = Picture::new(theme, titles[0].clone(), description);
    picture.head(&titles, &[format!("{axis}{}", lines.told_apart()), axis.clone()]);
    let frame = axes.frame;
    // Below the lines: where the knee stands on the axis, if there is but one.
    if let ([Some(knee)], [_]) = (knees.as_slice(), lines.all.as_slice()) {
        let x = frame.x(knee.x);
        picture.path(vec![(x, frame.y(on_curve(&lines.all[0], knee.x))), (x, frame.bottom)], 2.0, GRID);
    }
    axes.draw(&mut picture);
    lines.draw(&mut picture, &frame, |line, at, value| {
        let name = if line.name.is_empty() { String::new() } else { format!("{}: ", line.name) };
        format!("{name}{} at {}", axes.y_unit.write(value.mean), said(points, x, at))
    });
    draw_knees(&mut picture, &frame, &lines, &knees, &axes.x_unit);
    lines.draw_names(&mut picture, &frame);
    let n = knees.iter().flatten().count();
    let found = match n {
        0 => format!(" · no {}", knee::METHOD),
        _ => format!(" · {}", knee::METHOD),
    };
    sweep::draw_footer(&mut picture, points, &(lines.remark() + &found));
    let tables = vec![
        Table { name: "knee", csv: lines::csv(points, &lines, x, by, points.name_of(y)) },
        Table { name: "knee_points", csv: knees_csv(points, &lines, &knees, x, y, by) },
    ];
    Ok(Figure { name: "knee", picture, tables })
}

/// The finding, from the most to the least detailed wording.
fn titles(
    points: &Points,
    lines: &Lines,
    knees: &[Option<Knee>],
    axes: &Axes,
    what: &str,
    x: usize,
) -> Vec<String> {
    let found: Vec<(&Line, Knee)> =
        lines.all.iter().zip(knees).filter_map(|(line, knee)| Some((line, (*knee)?))).collect();
    match found.as_slice() {
        [] => {
            vec![format!("No knee: the {what} has no bend within this range"), "No knee in this range".into()]
        }
        [(_, knee)] if lines.all.len() == 1 => {
            let at = said(points, x, knee.x);
            let rest = match knee.after / knee.before {
                r if r.abs() < 0.005 => "nothing".to_string(),
                r if r < 0.0 => "a loss".to_string(),
                r => format!("{:.0} % as much", r * 100.0),
            };
            vec![
                format!("The knee is at {at}: beyond it, more brings {rest}"),
                format!("The knee is at {at}"),
                format!("Knee at {}", axes.x_unit.write(knee.x)),
            ]
        }
        several => {
            let place = |f: fn(f64, f64) -> f64| several.iter().map(|s| s.1.x).reduce(f).unwrap_or(0.0);
            let (low, high) = (place(f64::min), place(f64::max));
            let range = match (axes.x_unit.write(low), axes.x_unit.write(high)) {
                (a, b) if a == b => a,
                (_, b) => format!("{} to {b}", significant(low / axes.x_unit.factor, 3)),
            };
            let of = format!("{} of {} lines have a knee, from {range}", several.len(), lines.all.len());
            match several.len() == lines.all.len() {
                true => vec![format!("The knee is at {range}"), format!("Knee at {range}")],
                false => vec![of, format!("Knees at {range}")],
            }
        }
    }
}

/// A ring at each knee, with its place beside it where nothing is in the way.
fn draw_knees(picture: &mut Picture, frame: &Frame, lines: &Lines, knees: &[Option<Knee>], unit: &AxisUnit) {
    let theme = picture.theme;
    let mut taken: Vec<[f64; 4]> = Vec::new();
    let alone = lines.all.len() == 1;
    let mut shown: Vec<(f64, f64, &Line, Knee)> = lines
        .drawn
        .iter()
        .filter_map(|k| Some((&lines.all[*k], knees[*k]?)))
        .map(|(line, knee)| (frame.x(knee.x), frame.y(on_curve(line, knee.x)), line, knee))
        .collect();
    shown.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (x, y, line, knee) in shown {
        let text = if alone { unit.write(knee.x) } else { significant(knee.x / unit.factor, 3) };
        let tip = format!("knee of {} at {text}", if line.name.is_empty() { "the line" } else { &line.name });
        picture.dot((x, y), 11.0, line.color, tip.clone());
        picture.dot((x, y), 6.0, WHITE, tip);
        let style = Style { color: ink_of(line.color), ..theme.label() };
        let style = Style { size: theme.readable(28.0), ..style };
        let (width, height) = (style.width(&text), style.size);
        // Above the knee, where a curve that flattens has nothing; else below it, to the right.
        let above = (x - width / 2.0).min(frame.right - width).max(frame.left);
        let free = [(above, y - 22.0), (x + 20.0, y + 16.0 + height)].into_iter().find(|(left, baseline)| {
            let area = [left - 8.0, baseline - height, left + width + 8.0, baseline + 4.0];
            let crossed = lines.shown().any(|l| passes(frame, l, &area));
            let meets = |other: &[f64; 4]| {
                area[0] < other[2] && other[0] < area[2] && area[1] < other[3] && other[1] < area[3]
            };
            let inside =
                area[1] > frame.top - TICK_PX && area[2] < picture.width - MARGIN && area[3] < frame.bottom;
            inside && !crossed && !taken.iter().any(meets)
        });
        if let Some((left, baseline)) = free {
            picture.text((left, baseline), Align::Left, style, &text);
            taken.push([left - 8.0, baseline - height, left + width + 8.0, baseline + 4.0]);
        }
    }
}

/// Height of a line at a place between its points: the two fitted lines may meet above or below it.
fn on_curve(line: &Line, x: f64) -> f64 {
    let means = line.means();
    let k = means.partition_point(|p| p.0 < x).clamp(1, means.len().max(2) - 1);
    let ((x0, y0), (x1, y1)) = (means[k - 1], means[k]);
    y0 + (y1 - y0) * (x - x0) / (x1 - x0)
}

/// Whether a line passes through an area.
fn passes(frame: &Frame, line: &Line, area: &[f64; 4]) -> bool {
    line.means().windows(2).any(|w| {
        let ((x0, y0), (x1, y1)) = ((frame.x(w[0].0), frame.y(w[0].1)), (frame.x(w[1].0), frame.y(w[1].1)));
        (0..=20).map(|k| f64::from(k) / 20.0).any(|t| {
            let (x, y) = (x0 + t * (x1 - x0), y0 + t * (y1 - y0));
            (area[0]..=area[2]).contains(&x) && (area[1]..=area[3]).contains(&y)
        })
    })
}

/// One row per line: where its knee is, empty without.
fn knees_csv(
    points: &Points,
    lines: &Lines,
    knees: &[Option<Knee>],
    x: usize,
    y: usize,
    by: Option<usize>,
) -> String {
    let head = by.map(|k| format!("{},", csv_text(points.name_of(k)))).unwrap_or_default();
    let (x, y) = (csv_text(points.name_of(x)), csv_text(points.name_of(y)));
    let mut out = format!("{head}{x},{y},slope_before,slope_after\n");
    for (line, knee) in lines.all.iter().zip(knees) {
        if by.is_some() {
            out += &format!("{},", csv_text(&line.name));
        }
        match knee {
            Some(Knee { x, y, before, after }) => out += &format!("{x},{y},{before},{after}\n"),
            None => out += ",,,\n",
        }
    }
    out
}
