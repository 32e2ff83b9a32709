//! Figure `energy`: joules per token of a sweep, split into GPUs, nodes and facility, against load, batch or cap.

use super::frame::{self, EndLabel};
use super::lines::{self, Axes, Lines};
use super::picture::{Align, Picture, Shape, Style};
use super::sweep::{self, by_axis, said, x_axis};
use super::theme::Theme;
use super::{Figure, Table, csv_number, csv_text};
use crate::report::columns;
use crate::report::numbers::significant;
use crate::report::palette::{Color, INK, POWER_PARTS};
use crate::report::points::{Points, PointsError};
use crate::report::redraw::Asked;

/// Kinds of tokens, the useful ones first.
const PER: [&str; 2] = ["j_per_useful_token", "j_per_output_token"];
/// What lies between the boundaries, from the GPUs on.
const PARTS: [(&str, Color); 3] =
    [("GPUs", POWER_PARTS[0]), ("rest of nodes", POWER_PARTS[2]), ("losses, cooling", POWER_PARTS[5])];

/// Draws the figure: the parts of a single line, or the facility's energy of several.
pub(super) fn draw<'a>(points: &Points, asked: &Asked, theme: &'a Theme) -> Result<Figure<'a>, PointsError> {
    let x = x_axis(points, asked)?;
    let by = by_axis(points, asked, x)?;
    let facility = points
        .first_of("energy", &PER.map(|per| format!("{per}.facility")).each_ref().map(String::as_str))?;
    let per = points.name_of(facility).split('.').next().unwrap_or_default().to_string();
    let lines = Lines::of(points, x, by, |group| points.value(group, facility))?;
    let quantity = columns::quantity(points.name_of(facility));
    let Some(mut axes) = Axes::of(theme, &lines, columns::quantity(points.name_of(x)), &quantity) else {
        return Err(PointsError(format!("--figure energy: `{}` has no values", points.name_of(facility))));
    };
    let off = axes.cut_off(&lines);
    let inner = [points.optional(&format!("{per}.gpu")), points.optional(&format!("{per}.it"))];
    let token = if per == PER[0] { "useful token" } else { "output token" };
    let titles = titles(points, x, &lines, token);
    let parts = match (lines.all.as_slice(), inner) {
        ([_], [Some(gpu), Some(it)]) => Some([gpu, it, facility]),
        _ => None,
    };
    let axis = match parts {
        Some(_) => format!("Energy per {token} at the utility meter, and where it goes [J/token]"),
        None => format!("{} [J/token]", quantity.words),
    };
    let mut picture =
        Picture::new(theme, titles[0].clone(), format!("{axis}, against {}.", columns::small(&axes.x.words)));
    picture.head(&titles, &[format!("{axis}{}", lines.told_apart()), axis.clone()]);
    let Some(parts) = parts else {
        axes.draw(&mut picture);
        lines.draw(&mut picture, &axes.frame, |line, at, value| {
            format!("{}: {} J/token at {}", line.name, significant(value.mean, 3), said(points, x, at))
        });
        lines.draw_names(&mut picture, &axes.frame);
        sweep::draw_footer(&mut picture, points, &(lines.remark() + &off));
        let csv = lines::csv(points, &lines, x, by, points.name_of(facility));
        return Ok(Figure { name: "energy", picture, tables: vec![Table { name: "energy", csv }] });
    };

    axes.frame.floor = 0.0;
    axes.frame.right = theme.page.0 - frame::label_room(theme, PARTS.iter().map(|p| p.0));
    let boundaries: Vec<Lines> = parts
        .iter()
        .map(|k| Lines::of(points, x, by, |group| points.value(group, *k)))
        .collect::<Result<_, _>>()?;
    let curves: Vec<Vec<(f64, f64)>> = boundaries
        .iter()
        .map(|l| {
            // Only where all three boundaries are known.
            let at = |b: &Lines, k: usize| b.all.first().and_then(|l| l.points.get(k)?.1).map(|v| v.mean);
            let points = l.all.first().map(|l| l.points.as_slice()).unwrap_or_default();
            let known = (0..points.len()).filter(|k| boundaries.iter().all(|b| at(b, *k).is_some()));
            known.filter_map(|k| Some((points[k].0, at(l, k)?))).collect()
        })
        .collect();
    axes.draw(&mut picture);
    let frame = axes.frame;
    let mut floor: Vec<(f64, f64)> = curves[0].iter().map(|p| (p.0, 0.0)).collect();
    let mut labels = Vec::new();
    for ((name, fill), ceiling) in PARTS.into_iter().zip(&curves) {
        area(&mut picture, &floor, ceiling, |p| (frame.x(p.0), frame.y(p.1)), frame.top, fill);
        if let (Some(low), Some(high)) = (floor.last(), ceiling.last())
            && high.1 - low.1 > 2e-3 * frame.limit
        {
            labels.push(EndLabel {
                y: frame.y((low.1 + high.1) / 2.0),
                text: name.into(),
                color: INK,
                above: false,
            });
        }
        floor = ceiling.clone();
    }
    lines.draw(&mut picture, &frame, |_, at, value| {
        format!("{} J/token at {}", significant(value.mean, 3), said(points, x, at))
    });
    if let Some((at, least)) = floor.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a }) {
        let style = Style { size: theme.readable(28.0), ..theme.label() };
        let text = format!("{} J", significant(least, 3));
        let half = style.width(&text) / 2.0;
        let x = frame.x(at).clamp(frame.left + half + 4.0, frame.right - half - 4.0);
        picture.text((x, frame.y(least) - 16.0), Align::Middle, style, &text);
    }
    frame::draw_end_labels(&mut picture, &frame, labels);
    sweep::draw_footer(&mut picture, points, &(lines.remark() + &off));
    let mut csv =
        format!("{},gpu_j_per_token,it_j_per_token,facility_j_per_token\n", csv_text(points.name_of(x)));
    for ((gpu, it), facility) in curves[0].iter().zip(&curves[1]).zip(&curves[2]) {
        csv += &format!("{},{},{},{}\n", gpu.0, csv_number(Some(gpu.1)), it.1, facility.1);
    }
    Ok(Figure { name: "energy", picture, tables: vec![Table { name: "energy", csv }] })
}

/// The area between two curves through the same places, in steps of a px, cut off at a height.
pub(super) fn area(
    picture: &mut Picture,
    floor: &[(f64, f64)],
    ceiling: &[(f64, f64)],
    place: impl Fn((f64, f64)) -> (f64, f64),
    highest: f64,
    fill: Color,
) {
    let (mut edges, mut top, mut bottom) = (Vec::new(), Vec::new(), Vec::new());
    for (low, high) in floor.windows(2).zip(ceiling.windows(2)) {
        let ((x0, l0), (x1, l1)) = (place(low[0]), place(low[1]));
        let ((_, h0), (_, h1)) = (place(high[0]), place(high[1]));
        let n = (x1 - x0).abs().ceil().max(1.0) as usize;
        for k in 0..n {
            let (t, middle) = (k as f64 / n as f64, (k as f64 + 0.5) / n as f64);
            edges.push(x0 + t * (x1 - x0));
            top.push((h0 + middle * (h1 - h0)).max(highest));
            bottom.push((l0 + middle * (l1 - l0)).max(highest));
        }
    }
    if let Some(last) = ceiling.last().filter(|_| !edges.is_empty()) {
        edges.push(place(*last).0);
        picture.shapes.push(Shape::Band { edges, top, bottom, fill });
    }
}

/// The finding, from the most to the least detailed wording.
fn titles(points: &Points, x: usize, lines: &Lines, token: &str) -> Vec<String> {
    let all = lines.all.iter().flat_map(|l| l.means().into_iter().map(|p| (l.name.clone(), p)));
    let Some((name, (at, least))) = all.reduce(|a, b| if b.1.1 < a.1.1 { b } else { a }) else {
        return vec!["Energy per token".into()];
    };
    let of = match &lines.by {
        Some(by) if lines.all.len() > 1 => {
            let words = by.words.split([',', '(']).next().unwrap_or_default().trim();
            format!(" and {} {name}", columns::small(words))
        }
        _ => String::new(),
    };
    let joules = significant(least, 3);
    vec![
        format!("At least {joules} J per {token}, at {}{of}", said(points, x, at)),
        format!("At least {joules} J per {token}"),
    ]
}
