//! Figure `pareto`: output rate per facility MW against interactivity, and the points that no other beats in both.

use super::frame::{self, Frame};
use super::picture::{Align, MARGIN, Picture, Style};
use super::sweep;
use super::theme::Theme;
use super::{Figure, Table, contour, csv_text};
use crate::ledger::outcome::Constraint;
use crate::report::columns::{self, Unit};
use crate::report::numbers::short;
use crate::report::palette::{self, Color, INK, KINDS, SOFT_INK, WHITE};
use crate::report::points::{Cell, Group, Points, PointsError};
use crate::report::redraw::Asked;

/// Points of the front that are named.
const MOST_NAMED: usize = 5;

/// Rates this near to each other are equal.
const ROUNDING: f64 = 1e-9;

/// A point of the sweep.
struct Dot {
    /// Tokens/s for one user.
    x: f64,
    /// Tokens/s per facility MW.
    y: f64,
    kind: usize,
    name: String,
    key: Vec<Cell>,
}

/// Draws the figure.
pub(super) fn draw<'a>(points: &Points, asked: &Asked, theme: &'a Theme) -> Result<Figure<'a>, PointsError> {
    let tpot = points.first_of("pareto", &["latency_s.tpot.mean", "latency_s.tpot.p50"])?;
    let rate = points.first_of("pareto", &["throughput.output_tok_per_s", "throughput.useful_tok_per_s"])?;
    let power = points.first_of("pareto", &["power_w.facility.mean"])?;
    let axes = points.varying_axes();
    let by = asked.by.as_ref().map(|name| points.column("--by", name)).transpose()?;
    let mut keys = axes.clone();
    if keys.is_empty() {
        keys.push(points.column("the table", "point_id")?);
    }
    keys.extend(by.filter(|k| !keys.contains(k)));
    let groups = points.groups(&keys)?;
    let (kinds, kind_of) = kinds(points, &keys, by, &groups);
    let dots: Vec<Dot> = groups
        .iter()
        .enumerate()
        .filter_map(|(k, group)| {
            let x = points.made(group, &[tpot], |v| (v[0] > 0.0).then(|| 1.0 / v[0]))?.mean;
            let y = points.made(group, &[rate, power], |v| (v[1] > 0.0).then(|| v[0] / (v[1] * 1e-6)))?.mean;
            let name = group.key.iter().zip(&keys).map(|(cell, k)| brief(points, *k, cell));
            Some(Dot {
                x,
                y,
                kind: kind_of[k],
                name: name.collect::<Vec<_>>().join(", "),
                key: group.key.clone(),
            })
        })
        .collect();
    if dots.is_empty() {
        return Err(PointsError("--figure pareto: no point has both tokens and power".into()));
    }
    let front = front(&dots);

    let rate_words = columns::small(&columns::quantity(points.name_of(rate)).words);
    let range = |of: fn(&Dot) -> f64| {
        let values = || dots.iter().map(of);
        (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max))
    };
    let ((x0, x1), (y0, y1)) = (range(|d| d.x), range(|d| d.y));
    let span = |low: f64, high: f64| {
        let pad = 0.08 * (high - low).max(0.02 * high);
        if low < 0.5 * high { (0.0, high + pad) } else { (low - pad, high + pad) }
    };
    let ((x0, x1), (floor, limit)) = (span(x0, x1), span(y0, y1));
    let unit = Unit::Si("tokens/s").for_axis(limit);
    let axis =
        format!("{} per facility MW at the utility meter{}", columns::capital(&rate_words), unit.bracket());
    let titles = titles(&dots, &front);
    let mut picture = Picture::new(
        theme,
        titles[0].clone(),
        format!("{axis}, against tokens/s of one user; the line joins the points that none beats in both."),
    );
    picture.head(&titles, &[format!("{axis}; line: Pareto front"), axis.clone()]);
    draw_key(&mut picture, &kinds);
    let frame = Frame {
        left: 128.0,
        right: theme.page.0 - MARGIN - 30.0,
        top: theme.strip_baseline() + 26.0,
        bottom: theme.plot_bottom(),
        start_s: x0,
        end_s: x1,
        floor,
        limit,
    };
    frame::draw_value_axis(&mut picture, &frame, unit.factor);
    frame::draw_load_axis(
        &mut picture,
        &frame,
        1.0,
        "Interactivity: output tokens/s of one user (1 / mean TPOT)",
    );
    let place = |d: &Dot| (frame.x(d.x), frame.y(d.y));
    for (_, dot) in dots.iter().enumerate().filter(|(k, _)| !front.contains(k)) {
        picture.dot(place(dot), 6.0, palette::pale(kinds[dot.kind].1), tip(dot));
    }
    picture.path(front.iter().map(|k| place(&dots[*k])).collect(), 4.0, SOFT_INK);
    for k in &front {
        picture.dot(place(&dots[*k]), 9.0, kinds[dots[*k].kind].1, tip(&dots[*k]));
    }
    draw_names(&mut picture, &frame, &dots, &front);
    let seeds = points.replications();
    let remark = if seeds > 1 { format!(" · means of {seeds} seeds") } else { String::new() };
    sweep::draw_footer(&mut picture, points, &format!(" · pale: beaten in both{remark}"));
    let table = Table { name: "pareto", csv: csv(points, &keys, &dots, &front, points.name_of(rate)) };
    Ok(Figure { name: "pareto", picture, tables: vec![table] })
}

/// Names and colours of kinds of points, and the kind of each: by a column, else by what binds most.
fn kinds(
    points: &Points,
    keys: &[usize],
    by: Option<usize>,
    groups: &[Group],
) -> (Vec<(String, Color)>, Vec<usize>) {
    if let Some(at) = by.and_then(|by| keys.iter().position(|k| *k == by)) {
        let values = points.values(keys[at]);
        let ordered = values.iter().all(|v| v.number().is_some());
        let names: Vec<String> = values.iter().map(|v| brief(points, keys[at], v)).collect();
        let n = names.len();
        let color = |k: usize| match (ordered, n) {
            (true, 2..) => palette::heat(0.95 * k as f64 / (n - 1) as f64),
            _ => KINDS[k % KINDS.len()].0,
        };
        let kinds = names.into_iter().enumerate().map(|(k, name)| (name, color(k))).collect();
        let of = groups.iter().map(|g| values.iter().position(|v| *v == g.key[at]).unwrap_or(0));
        return (kinds, of.collect());
    }
    match points.share_columns() {
        Some(columns) => {
            let kinds = Constraint::ALL.map(|c| (format!("{} binds", palette::name(c)), palette::fill(c)));
            let of = groups.iter().map(|g| points.shares(g, columns).map_or(0, |s| contour::dominant(&s)));
            let of: Vec<usize> = of.collect();
            // Only what occurs has a name in the key.
            let there: Vec<usize> = (0..7).filter(|k| of.contains(k)).collect();
            let place = |k: &usize| there.iter().position(|t| t == k).unwrap_or(0);
            (there.iter().map(|k| kinds[*k].clone()).collect(), of.iter().map(place).collect())
        }
        None => (vec![(String::new(), INK)], vec![0; groups.len()]),
    }
}

/// The points that no other beats or equals in both, by rising interactivity.
fn front(dots: &[Dot]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..dots.len()).collect();
    order.sort_by(|a, b| dots[*b].x.total_cmp(&dots[*a].x).then(dots[*b].y.total_cmp(&dots[*a].y)));
    let mut best = 0.0;
    let mut out: Vec<usize> = Vec::new();
    for k in order {
        // Beyond rounding: points of one law differ by it.
        if dots[k].y > best * (1.0 + ROUNDING) {
            best = dots[k].y;
            out.push(k);
        }
    }
    out.reverse();
    out
}

/// The finding, from the most to the least detailed wording.
fn titles(dots: &[Dot], front: &[usize]) -> Vec<String> {
    match front {
        [only] => {
            let d = &dots[*only];
            vec![
                format!("One point beats all: {} tokens/s per MW at {} a user", short(d.y), short(d.x)),
                "One point beats all others in both".into(),
            ]
        }
        [first, .., last] => {
            let (a, b) = (&dots[*first], &dots[*last]);
            let ratio = |v: f64| if v < 1.1 { format!("{:.2}", v) } else { format!("{v:.1}") };
            vec![
                format!(
                    "{}-fold speed for a user costs {} % of tokens per MW",
                    ratio(b.x / a.x),
                    lost(a.y, b.y)
                ),
                format!("{} of {} points are on the front", front.len(), dots.len()),
            ]
        }
        [] => vec!["No point".into()],
    }
}

/// What is lost, in per cent.
fn lost(from: f64, to: f64) -> String {
    crate::report::numbers::significant((1.0 - to / from) * 100.0, 2)
}

fn tip(dot: &Dot) -> String {
    format!("{}: {} tokens/s per MW, {} tokens/s a user", dot.name, short(dot.y), short(dot.x))
}

/// `PUE 1.05`, `power cap 0.12 MW`, or the words.
fn brief(points: &Points, column: usize, cell: &Cell) -> String {
    let name = points.name_of(column);
    match cell.number() {
        Some(_) if name == "point_id" => format!("point {}", cell.text()),
        Some(value) => sweep::said(points, column, value),
        None => cell.text(),
    }
}

/// What the colours mean, in one line above the plot.
fn draw_key(picture: &mut Picture, kinds: &[(String, Color)]) {
    let theme = picture.theme;
    let wide = |style: Style| kinds.iter().map(|k| 28.0 + style.width(&k.0) + 26.0).sum::<f64>();
    let sizes = [theme.subtitle().size, theme.readable(28.0), theme.readable(22.0)];
    let style = |size: f64| Style { size, bold: true, ..theme.subtitle() };
    let room = picture.width - 2.0 * MARGIN;
    let size = sizes.into_iter().find(|s| wide(style(*s)) <= room);
    // Too many to name in a line: the ends say what lies between them.
    let shown: Vec<&(String, Color)> = match (size, kinds) {
        (None, [first, .., last]) => vec![first, last],
        _ => kinds.iter().collect(),
    };
    let style = style(size.unwrap_or(sizes[2]));
    let (mut x, y) = (MARGIN, theme.strip_baseline());
    for (k, (name, color)) in shown.iter().enumerate() {
        if name.is_empty() {
            continue;
        }
        if k == 1 && shown.len() < kinds.len() {
            picture.text((x - 14.0, y), Align::Left, style, "…");
            x += 30.0;
        }
        picture.dot((x + 9.0, y - 0.34 * style.size), 9.0, *color, name.clone());
        picture.text((x + 28.0, y), Align::Left, Style { color: palette::ink_of(*color), ..style }, name);
        x += 28.0 + style.width(name) + 26.0;
    }
}

/// Names the ends of the front and points between them, where there is room.
fn draw_names(picture: &mut Picture, frame: &Frame, dots: &[Dot], front: &[usize]) {
    let theme = picture.theme;
    let style = Style { size: theme.readable(25.0), bold: false, ..theme.label() };
    let n = front.len();
    let chosen = |k: usize| k == 0 || k + 1 == n || k.is_multiple_of(n.div_ceil(MOST_NAMED));
    let all: Vec<(f64, f64)> = dots.iter().map(|d| (frame.x(d.x), frame.y(d.y))).collect();
    let mut taken: Vec<[f64; 4]> = Vec::new();
    // The ends first: they matter most.
    let mut order: Vec<usize> = (0..n).filter(|k| chosen(*k)).collect();
    order.sort_by_key(|k| !(*k == 0 || *k + 1 == n));
    for k in order {
        let (x, y) = all[front[k]];
        let text = &dots[front[k]].name;
        let width = style.width(text);
        // To the upper right, where a front that falls has nothing; else to the left or below.
        let places = [
            (x + 16.0, y - 14.0),
            (x - 16.0 - width, y - 14.0),
            (x - 16.0 - width, y + 34.0),
            (x + 16.0, y + 34.0),
        ];
        let free = places.into_iter().find(|(left, baseline)| {
            let area = [*left, baseline - style.size * 0.8, left + width, baseline + 6.0];
            let inside = area[0] >= frame.left + 4.0
                && area[2] <= picture.width - MARGIN
                && area[1] >= frame.top
                && area[3] <= frame.bottom - 4.0;
            let covers = |p: &(f64, f64)| {
                p.0 > area[0] - 8.0 && p.0 < area[2] + 8.0 && p.1 > area[1] - 8.0 && p.1 < area[3] + 8.0
            };
            let meets = |o: &[f64; 4]| area[0] < o[2] && o[0] < area[2] && area[1] < o[3] && o[1] < area[3];
            inside && !all.iter().any(covers) && !taken.iter().any(meets)
        });
        if let Some((left, baseline)) = free {
            let (low, high) = ((left - 6.0, baseline - style.size), (left + width + 6.0, baseline + 8.0));
            picture.rect(low, high, WHITE);
            taken.push([left - 6.0, baseline - style.size, left + width + 6.0, baseline + 8.0]);
            picture.text((left, baseline), Align::Left, style, text);
        }
    }
}

fn csv(points: &Points, keys: &[usize], dots: &[Dot], front: &[usize], rate: &str) -> String {
    let head: Vec<String> = keys.iter().map(|k| csv_text(points.name_of(*k))).collect();
    let rate = csv_text(rate);
    let mut out = format!("{},tok_per_s_per_user,{rate}_per_facility_mw,on_front\n", head.join(","));
    for (k, dot) in dots.iter().enumerate() {
        let cells: Vec<String> = dot.key.iter().map(|c| csv_text(&c.text())).collect();
        out += &format!("{},{},{},{}\n", cells.join(","), dot.x, dot.y, u8::from(front.contains(&k)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_holds_what_none_beats() {
        let dots: Vec<Dot> =
            [(1.0, 9.0), (2.0, 9.0), (3.0, 5.0), (2.5, 4.0), (4.0, 1.0), (4.0, 0.5), (0.5, 8.0)]
                .into_iter()
                .map(|(x, y)| Dot { x, y, kind: 0, name: String::new(), key: Vec::new() })
                .collect();
        assert_eq!(front(&dots), [1, 2, 4]);
        for (k, d) in dots.iter().enumerate() {
            let beaten = dots.iter().enumerate().any(|(o, e)| o != k && e.x >= d.x && e.y >= d.y);
            assert_eq!(front(&dots).contains(&k), !beaten, "{k}");
        }
    }
}
