//! Figure `energy`: joules per token of a sweep, split into GPUs, nodes and facility, against load, batch or cap.

use super::frame::{self, EndLabel};
use super::lines::{self, Axes, Lines};
use super::picture::{Picture, Shape};
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
    // Joules at the three boundaries, point by point; none where one is unknown.
    let at = |b: &Lines, k: usize| b.all.first().and_then(|l| l.points.get(k)?.1).map(|v| v.mean);
    let stacks: Vec<(f64, Option<[f64; 3]>)> = lines.all[0]
        .points
        .iter()
        .enumerate()
        .map(|(k, (x, _))| {
            let all: Option<Vec<f64>> = boundaries.iter().map(|b| at(b, k)).collect();
            (*x, all.and_then(|all| all.try_into().ok()))
        })
        .collect();
    axes.draw(&mut picture);
    let frame = axes.frame;
    // A gap, and a stack above the scale, parts the areas.
    let shown = |p: &(f64, Option<[f64; 3]>)| p.1.is_some_and(|s| s[2] <= frame.limit);
    let mut labels = Vec::new();
    for run in stacks.chunk_by(|a, b| shown(a) == shown(b)).filter(|run| shown(&run[0])) {
        let mut floor: Vec<(f64, f64)> = run.iter().map(|p| (frame.x(p.0), frame.bottom)).collect();
        labels.clear();
        for (k, (name, fill)) in PARTS.into_iter().enumerate() {
            let height = |p: &(f64, Option<[f64; 3]>)| frame.y(p.1.map_or(0.0, |s| s[k]));
            let ceiling: Vec<(f64, f64)> = run.iter().map(|p| (frame.x(p.0), height(p))).collect();
            area(&mut picture, &floor, &ceiling, fill);
            if let (Some(low), Some(high)) = (floor.last(), ceiling.last())
                && low.1 - high.1 > 2e-3 * (frame.bottom - frame.top)
            {
                let y = (low.1 + high.1) / 2.0;
                labels.push(EndLabel { y, text: name.into(), color: INK, above: false });
            }
            floor = ceiling;
        }
    }
    lines.draw(&mut picture, &frame, |_, at, value| {
        format!("{} J/token at {}", significant(value.mean, 3), said(points, x, at))
    });
    frame::draw_end_labels(&mut picture, &frame, labels);
    sweep::draw_footer(&mut picture, points, &(lines.remark() + &off));
    let mut csv =
        format!("{},gpu_j_per_token,it_j_per_token,facility_j_per_token\n", csv_text(points.name_of(x)));
    for (x, stack) in &stacks {
        let cell = |k: usize| csv_number(stack.map(|s| s[k]));
        csv += &format!("{x},{},{},{}\n", cell(0), cell(1), cell(2));
    }
    Ok(Figure { name: "energy", picture, tables: vec![Table { name: "energy", csv }] })
}

/// The area between two lines through the same places, in steps of a px.
fn area(picture: &mut Picture, floor: &[(f64, f64)], ceiling: &[(f64, f64)], fill: Color) {
    let (mut edges, mut top, mut bottom) = (Vec::new(), Vec::new(), Vec::new());
    for (low, high) in floor.windows(2).zip(ceiling.windows(2)) {
        let (x0, x1) = (low[0].0, low[1].0);
        let n = (x1 - x0).abs().ceil().max(1.0) as usize;
        for k in 0..n {
            let (t, middle) = (k as f64 / n as f64, (k as f64 + 0.5) / n as f64);
            edges.push(x0 + t * (x1 - x0));
            top.push(high[0].1 + middle * (high[1].1 - high[0].1));
            bottom.push(low[0].1 + middle * (low[1].1 - low[0].1));
        }
    }
    if let Some(last) = ceiling.last().filter(|_| !edges.is_empty()) {
        edges.push(last.0);
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
