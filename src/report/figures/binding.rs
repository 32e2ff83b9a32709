//! Figure `binding`: the rate that each limit alone would allow, the output, and which limit binds, over time.

use std::fmt::Write as _;

use super::frame::{self, EndLabel, Frame};
use super::intervals::{self, Interval};
use super::picture::{Align, MARGIN, Picture, Shape, Style};
use super::theme::{AXIS_ROOM, Theme};
use super::{Figure, Table, brackets, csv_number};
use crate::ledger::outcome::{Constraint, Outcome, SiteSummary, Stretch};
use crate::report::numbers::{percent, short, time_of_day};
use crate::report::palette::{self, AREA, INK, WHITE};
use crate::report::ribbon;

/// The constraints that have a stave, in the order of [`Interval::staves`].
const STAVES: [Constraint; 6] = [
    Constraint::Demand,
    Constraint::Compute,
    Constraint::MemoryBandwidth,
    Constraint::KvCapacity,
    Constraint::Power,
    Constraint::Cooling,
];

/// More stretches than this are drawn as shares per column.
const MOST_STRETCHES: usize = 300;
/// Columns of a ribbon of shares.
const COLUMNS: usize = 500;
/// More sites than this share the fleet's ribbon.
const MOST_SITES: usize = 4;

/// Draws the figure.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Figure<'a> {
    let summary = &outcome.summary;
    let (intervals, rows_each) = intervals::of(&outcome.series);
    let end_s = frame::end_of_time(summary, &intervals);
    let rows = ribbon_rows(outcome, end_s);
    let title = title(&rows);

    let limit = limit(&intervals);
    let (prefix, factor) = frame::axis_prefix(limit);
    let space = if prefix.is_empty() { "" } else { " " };
    let axis = format!("Output rate, and the rate each limit alone would allow [{prefix}{space}tok/s]");
    let mut picture = Picture::new(
        theme,
        title.first().cloned().unwrap_or_default(),
        format!("{axis}, over time; below, the constraint that binds."),
    );
    picture.head(&title, &[axis]);

    let off_scale = off_scale(&intervals, limit);
    let strip = draw_off_scale(&mut picture, &off_scale);
    let (labels, label_texts) = end_labels(&intervals, limit, &off_scale);
    let site_names = rows.iter().filter_map(|r| r.name.as_deref());
    let mut frame = Frame {
        left: 128.0,
        right: theme.page.0
            - frame::label_room(theme, label_texts.iter().map(String::as_str).chain(site_names)),
        top: if strip { theme.strip_baseline() + 20.0 } else { theme.subtitle_baseline() + 28.0 },
        bottom: ribbon_bottom(theme) - ribbon_height(rows.len()) - RIBBON_GAP,
        start_s: 0.0,
        end_s,
        floor: 0.0,
        limit,
    };
    // The changes are the fleet's: sites that stand apart have ribbons of their own.
    let bracketed = if rows.len() == 1 { summary.uncertainty.as_ref() } else { None };
    frame.bottom -= brackets::room(bracketed, &frame, theme);
    frame::draw_warm_up(&mut picture, &frame, summary);
    draw_area(&mut picture, &frame, &intervals);
    frame::draw_value_axis(&mut picture, &frame, factor);
    draw_lines(&mut picture, &frame, &intervals);
    let labels = labels.into_iter().map(|(value, text, color)| EndLabel {
        y: frame.y(value.min(limit)),
        text,
        color,
        above: value > limit,
    });
    frame::draw_end_labels(&mut picture, &frame, labels.collect());

    draw_tips(&mut picture, &frame, &intervals, outcome);
    draw_ribbon(&mut picture, &frame, &rows);
    frame::draw_time_axis(&mut picture, &frame, ribbon_bottom(theme) + 8.0, summary.scenario.start_at_h);
    draw_key(&mut picture, &frame, &rows);
    let mut tables = vec![
        Table { name: "binding", csv: lines_csv(&intervals) },
        Table { name: "binding_ribbon", csv: ribbon_csv(&rows) },
    ];
    if bracketed.is_some() {
        brackets::draw(&mut picture, &frame, ribbon_bottom(theme) - ribbon_height(rows.len()), summary);
        tables.extend(brackets::table(summary));
    }
    let remark = bracketed.map_or(String::new(), |_| brackets::remark(summary, &frame, theme));
    frame::draw_footer(&mut picture, summary, &intervals, rows_each, &remark);
    Figure { name: "binding", picture, tables }
}

/// The finding, from the most to the least detailed wording.
fn title(rows: &[Row]) -> Vec<String> {
    let seconds = seconds(rows);
    let time = if rows.len() > 1 { "the sites' time" } else { "the time" };
    let total: f64 = seconds.iter().sum();
    let mut shares: Vec<(Constraint, f64)> =
        Constraint::ALL.into_iter().zip(seconds).filter(|s| s.1 > 0.0).map(|(c, s)| (c, s / total)).collect();
    // Stable: ties stay in the order of reports.
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let capital = |c: Constraint| {
        let name = palette::name(c);
        name[..1].to_uppercase() + &name[1..]
    };
    match shares.as_slice() {
        [] => vec!["What limits the output rate".to_string()],
        [(only, _)] => vec![format!("{} binds throughout", capital(*only))],
        [(first, share), rest @ ..] => {
            let start = format!("{} binds {} of {time}", capital(*first), percent(*share));
            let with = |n: usize| {
                rest.iter().take(n).fold(start.clone(), |mut text, (c, s)| {
                    let _ = write!(text, ", {} {}", palette::name(*c), percent(*s));
                    text
                })
            };
            (0..=rest.len().min(3)).rev().map(with).collect()
        }
    }
}

/// Upper end of the value axis: what happened and the shortest stave fill most of it; staves up to twice as
/// high are included, those beyond are named above the plot.
fn limit(intervals: &[Interval]) -> f64 {
    let positive = |v: &f64| v.is_finite() && *v > 0.0;
    let shortest =
        |i: &Interval| i.staves.iter().flatten().copied().filter(|v| v.is_finite()).reduce(f64::min);
    let core = intervals
        .iter()
        .flat_map(|i| [Some(i.output_tok_per_s), shortest(i)])
        .flatten()
        .filter(positive)
        .fold(0.0, f64::max);
    let highest = (0..STAVES.len())
        .map(|k| intervals.iter().filter_map(|i| i.staves[k]).filter(positive).fold(0.0, f64::max));
    let highest: Vec<f64> = highest.filter(positive).collect();
    if core <= 0.0 {
        return highest.into_iter().reduce(f64::min).map_or(1.1, |v| v * 1.3);
    }
    highest.into_iter().filter(|v| *v <= 2.0 * core).fold(core * 1.15, |limit, v| limit.max(v * 1.1))
}

/// Staves that never come down into the plot, with their time means.
fn off_scale(intervals: &[Interval], limit: f64) -> Vec<(Constraint, f64)> {
    STAVES
        .into_iter()
        .enumerate()
        .filter_map(|(k, constraint)| {
            let known = || intervals.iter().filter_map(move |i| Some((i.staves[k]?, i.end_s - i.start_s)));
            let time: f64 = known().map(|v| v.1).sum();
            let mean = known().map(|v| v.0 * v.1).sum::<f64>() / time;
            (time > 0.0 && known().all(|v| v.0 > limit)).then_some((constraint, mean))
        })
        .collect()
}

/// One line above the plot: the staves above the scale. Whether there was any.
fn draw_off_scale(picture: &mut Picture, staves: &[(Constraint, f64)]) -> bool {
    let (theme, mut x) = (picture.theme, MARGIN);
    for (i, (constraint, mean)) in staves.iter().enumerate() {
        if i == 0 {
            picture.text((x, theme.strip_baseline()), Align::Left, theme.subtitle(), "Off the scale ↑");
            x += theme.subtitle().width("Off the scale ↑") + 26.0;
        }
        let style = Style { color: palette::text(*constraint), bold: true, ..theme.subtitle() };
        let text = format!("{} {}", palette::name(*constraint), short(*mean));
        picture.text((x, theme.strip_baseline()), Align::Left, style, &text);
        x += style.width(&text) + 26.0;
    }
    !staves.is_empty()
}

type ValueLabel = (f64, String, palette::Color);

/// What is written at the right ends of the lines, by last known value; and all texts.
fn end_labels(
    intervals: &[Interval],
    limit: f64,
    off_scale: &[(Constraint, f64)],
) -> (Vec<ValueLabel>, Vec<String>) {
    let mut labels: Vec<ValueLabel> = Vec::new();
    for (k, constraint) in STAVES.into_iter().enumerate() {
        if off_scale.iter().any(|o| o.0 == constraint) {
            continue;
        }
        let Some(last) = intervals.iter().rev().find_map(|i| i.staves[k]) else { continue };
        let arrow = if last > limit { " ↑" } else { "" };
        let text = format!("{}{arrow}", palette::name(constraint));
        labels.push((last, text, palette::text(constraint)));
    }
    if let Some(last) = intervals.last() {
        labels.push((last.output_tok_per_s, "output".to_string(), INK));
    }
    let texts = labels.iter().map(|l| l.1.clone()).collect();
    (labels, texts)
}

fn draw_area(picture: &mut Picture, frame: &Frame, intervals: &[Interval]) {
    if intervals.is_empty() {
        return;
    }
    picture.shapes.push(Shape::Band {
        edges: frame::edges(frame, intervals),
        top: intervals.iter().map(|i| frame.y(i.output_tok_per_s)).collect(),
        bottom: vec![frame.bottom; intervals.len()],
        fill: AREA,
    });
}

fn draw_lines(picture: &mut Picture, frame: &Frame, intervals: &[Interval]) {
    // The output is wide and below, so that a stave it follows stays visible on top of it.
    let output: Vec<Option<f64>> = intervals.iter().map(|i| Some(i.output_tok_per_s)).collect();
    frame::draw_steps(picture, frame, intervals, &output, 7.0, INK);
    for (k, constraint) in STAVES.into_iter().enumerate() {
        let values: Vec<Option<f64>> = intervals.iter().map(|i| i.staves[k]).collect();
        frame::draw_steps(picture, frame, intervals, &values, 3.5, palette::fill(constraint));
    }
}

/// The numbers of each interval, for a pointer over it.
fn draw_tips(picture: &mut Picture, frame: &Frame, intervals: &[Interval], outcome: &Outcome) {
    let start_h = outcome.summary.scenario.start_at_h;
    for i in intervals {
        let mut tip = time_of_day(start_h, i.start_s);
        let _ = write!(tip, " · output {} tok/s", short(i.output_tok_per_s));
        for (constraint, value) in STAVES.into_iter().zip(i.staves) {
            if let Some(value) = value {
                let _ = write!(tip, " · {} {}", palette::name(constraint), short(value));
            }
        }
        let (x0, x1) = (frame.x(i.start_s), frame.x(i.end_s));
        picture.shapes.push(Shape::Hover { x0, y0: frame.top, x1, y1: frame.bottom, tip });
    }
}

/// A ribbon as drawn.
pub(super) struct Row {
    /// The site, where there are several.
    pub(super) name: Option<String>,
    pieces: Vec<Piece>,
}

/// A piece of a ribbon.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    start_s: f64,
    end_s: f64,
    /// Share of the piece's time that each constraint binds, in the order of [`Constraint::ALL`].
    shares: [f64; 7],
    /// Named if one constraint holds throughout.
    place: String,
}

impl Piece {
    fn only(&self) -> Option<Constraint> {
        Constraint::ALL.into_iter().zip(self.shares).find(|s| s.1 >= 1.0).map(|s| s.0)
    }
}

/// Seconds per constraint over all ribbons, in the order of [`Constraint::ALL`].
fn seconds(rows: &[Row]) -> [f64; 7] {
    let mut out = [0.0; 7];
    for piece in rows.iter().flat_map(|r| &r.pieces) {
        for (sum, share) in out.iter_mut().zip(piece.shares) {
            *sum += share * (piece.end_s - piece.start_s);
        }
    }
    out
}

/// The ribbons of all sites.
pub(super) fn ribbon_rows(outcome: &Outcome, end_s: f64) -> Vec<Row> {
    let sites = &outcome.summary.per_site;
    let apart =
        (2..=MOST_SITES).contains(&sites.len()) && sites.iter().all(|s| !s.binding.timeline.is_empty());
    if apart {
        let row = |s: &SiteSummary| {
            let mut pieces = pieces(&s.binding.timeline, end_s);
            // The row is named after the site: `dallas.meter` is `meter` there.
            for piece in &mut pieces {
                let inner = piece.place.strip_prefix(&s.name).and_then(|p| p.strip_prefix('.'));
                if let Some(inner) = inner.map(str::to_string) {
                    piece.place = inner;
                }
            }
            Row { name: Some(s.name.clone()), pieces }
        };
        sites.iter().map(row).collect()
    } else {
        vec![Row { name: None, pieces: pieces(&ribbon::fleet(outcome), end_s) }]
    }
}

/// Stretches as they are, or shares per column where there are too many to see.
pub(super) fn pieces(stretches: &[Stretch], end_s: f64) -> Vec<Piece> {
    if stretches.len() <= MOST_STRETCHES {
        return stretches
            .iter()
            .map(|s| {
                let mut shares = [0.0; 7];
                shares[ribbon::index(s.constraint)] = 1.0;
                let (start_s, end_s) = (s.start_s.clamp(0.0, end_s), s.end_s.clamp(0.0, end_s));
                Piece { start_s, end_s, shares, place: s.place.clone() }
            })
            .filter(|p| p.end_s > p.start_s)
            .collect();
    }
    let width = end_s / COLUMNS as f64;
    let mut out: Vec<Piece> = Vec::new();
    for (k, seconds) in ribbon::columns(stretches, end_s, COLUMNS).into_iter().enumerate() {
        let total: f64 = seconds.iter().sum();
        if total <= 0.0 {
            continue;
        }
        let pure = seconds.iter().filter(|s| **s > 0.0).count() == 1;
        let shares = seconds.map(|s| if pure && s > 0.0 { 1.0 } else { s / total });
        let (start_s, end_s) = (k as f64 * width, (k + 1) as f64 * width);
        match out.last_mut() {
            Some(last) if pure && last.shares == shares && last.end_s == start_s => last.end_s = end_s,
            _ => out.push(Piece { start_s, end_s, shares, place: String::new() }),
        }
    }
    out
}

/// Lower end of the ribbons [px], and the gaps above them and between them.
pub(super) fn ribbon_bottom(theme: &Theme) -> f64 {
    // Above the key, the time axis, and the ends of their letters.
    theme.page.1 - theme.foot() - theme.readable(28.0) - 24.0 - AXIS_ROOM - 8.0
}
pub(super) const RIBBON_GAP: f64 = 16.0;
const ROW_GAP: f64 = 6.0;

/// Height of one ribbon among `rows` [px]: two lines of text for one, one line for several.
fn row_height(rows: usize) -> f64 {
    if rows <= 1 { 96.0 } else { 46.0 }
}

pub(super) fn ribbon_height(rows: usize) -> f64 {
    let n = rows.max(1) as f64;
    row_height(rows) * n + ROW_GAP * (n - 1.0)
}

/// Draws the ribbons between plot and time axis.
pub(super) fn draw_ribbon(picture: &mut Picture, frame: &Frame, rows: &[Row]) {
    let height = row_height(rows.len());
    for (k, row) in rows.iter().enumerate() {
        let top = ribbon_bottom(picture.theme) - ribbon_height(rows.len()) + k as f64 * (height + ROW_GAP);
        let bottom = top + height;
        draw_pieces(picture, frame, &row.pieces, (top, bottom));
        if let Some(name) = &row.name {
            let style = picture.theme.label();
            let baseline = (top + bottom) / 2.0 + style.size * 0.36;
            let room = picture.width - MARGIN - frame.right - 14.0;
            let name = style.fit(std::slice::from_ref(name), room);
            picture.text((frame.right + 14.0, baseline), Align::Left, style, &name);
        }
    }
}

/// Draws the pieces of one ribbon, and what fits into them.
pub(super) fn draw_pieces(picture: &mut Picture, frame: &Frame, pieces: &[Piece], (top, bottom): (f64, f64)) {
    for (i, piece) in pieces.iter().enumerate() {
        let (x0, x1) = (frame.x(piece.start_s), frame.x(piece.end_s));
        let mut y = top;
        for (constraint, share) in Constraint::ALL.into_iter().zip(piece.shares) {
            let next = y + (bottom - top) * share;
            picture.rect((x0, y), (x1, next), palette::fill(constraint));
            y = next;
        }
        let Some(constraint) = piece.only() else { continue };
        // Neighbours of one colour at different places are told apart by a hair line.
        if i > 0 && pieces[i - 1].only() == Some(constraint) && x1 - x0 > 8.0 {
            picture.path(vec![(x0, top), (x0, bottom)], 1.5, WHITE);
        }
        draw_piece_label(picture, piece, constraint, (x0, x1), (top, bottom));
    }
}

/// Writes constraint and place into a piece, as much as fits.
fn draw_piece_label(
    picture: &mut Picture,
    piece: &Piece,
    constraint: Constraint,
    (x0, x1): (f64, f64),
    (top, bottom): (f64, f64),
) {
    let color = palette::on_fill(constraint);
    let theme = picture.theme;
    let place_style = Style { size: theme.readable(28.0), bold: false, color, ..theme.label() };
    let (x, middle) = ((x0 + x1) / 2.0, (top + bottom) / 2.0);
    let fits = |style: Style, text: &str| style.width(text) + 14.0 <= x1 - x0;
    let sizes = [theme.label().size, 28.0, 24.0].map(|size| Style {
        size: theme.readable(size),
        color,
        ..theme.label()
    });
    let names = [palette::name(constraint), palette::short_name(constraint)];
    let named = names.into_iter().find_map(|name| {
        let style = sizes.into_iter().find(|s| fits(*s, name))?;
        Some((name, style))
    });
    let Some((name, name_style)) = named else { return };
    // A place is said without its site where the whole has no room.
    let within_site = piece.place.split_once('.').map_or("", |(_, within)| within);
    let places = [piece.place.as_str(), within_site];
    let place = places.into_iter().find(|place| !place.is_empty() && fits(place_style, place));
    if let Some(place) = place.filter(|_| bottom - top > 80.0) {
        picture.text((x, middle - 6.0), Align::Middle, name_style, name);
        picture.text((x, middle + 30.0), Align::Middle, place_style, place);
        return;
    }
    let whole = format!("{name}: {}", piece.place);
    let text = if !piece.place.is_empty() && fits(name_style, &whole) { &whole } else { name };
    picture.text((x, middle + name_style.size * 0.36), Align::Middle, name_style, text);
}

/// What the colours of the ribbon mean, and how much of its time each takes.
pub(super) fn draw_key(picture: &mut Picture, frame: &Frame, rows: &[Row]) {
    let seconds = seconds(rows);
    let total: f64 = seconds.iter().sum();
    if total <= 0.0 {
        return;
    }
    let entries: Vec<(Constraint, String)> = Constraint::ALL
        .into_iter()
        .zip(seconds)
        .filter(|s| s.1 > 0.0)
        .map(|(c, s)| (c, format!("{} {}", palette::name(c), percent(s / total))))
        .collect();
    const SWATCH: f64 = 24.0;
    const BESIDE: f64 = 8.0;
    let wide = |start: &str, style: Style, gap: f64| {
        style.width(start) + entries.iter().map(|e| gap + SWATCH + BESIDE + style.width(&e.1)).sum::<f64>()
    };
    let theme = picture.theme;
    let room = picture.width - 2.0 * MARGIN;
    let choices = [("Binds:", 28.0, 32.0), ("Binds:", 26.0, 24.0), ("", 24.0, 22.0), ("", 22.0, 20.0)];
    let choices = choices
        .map(|(start, size, gap)| (start, Style { size: theme.readable(size), ..theme.footer() }, gap));
    let fitting = choices.into_iter().find(|(start, style, gap)| wide(start, *style, *gap) <= room);
    let (start, style, gap) = fitting.unwrap_or(choices[3]);
    let left = (frame.left + frame.right - wide(start, style, gap)) / 2.0;
    let mut x = left.min(picture.width - MARGIN - wide(start, style, gap)).max(MARGIN);
    let baseline = theme.page.1 - theme.foot();
    picture.text((x, baseline), Align::Left, style, start);
    x += style.width(start);
    for (constraint, text) in entries {
        x += gap;
        picture.rect((x, baseline - 22.0), (x + SWATCH, baseline + 2.0), palette::fill(constraint));
        x += SWATCH + BESIDE;
        picture.text((x, baseline), Align::Left, style, &text);
        x += style.width(&text);
    }
}

fn lines_csv(intervals: &[Interval]) -> String {
    let mut out = String::from(
        "start_s,end_s,output_tok_per_s,stave_demand_tok_per_s,stave_compute_tok_per_s,\
         stave_memory_bandwidth_tok_per_s,stave_kv_capacity_tok_per_s,stave_power_tok_per_s,\
         stave_cooling_tok_per_s\n",
    );
    for i in intervals {
        // Writing to a String cannot fail.
        let _ = write!(out, "{},{},{}", i.start_s, i.end_s, csv_number(Some(i.output_tok_per_s)));
        for stave in i.staves {
            let _ = write!(out, ",{}", csv_number(stave));
        }
        out.push('\n');
    }
    out
}

fn ribbon_csv(rows: &[Row]) -> String {
    let mut out = String::from("site,start_s,end_s");
    for constraint in Constraint::ALL {
        let _ = write!(out, ",share_{}", constraint.key());
    }
    out.push_str(",where\n");
    for row in rows {
        for piece in &row.pieces {
            let name = super::csv_text(row.name.as_deref().unwrap_or(""));
            let _ = write!(out, "{name},{},{}", piece.start_s, piece.end_s);
            for share in piece.shares {
                let _ = write!(out, ",{share}");
            }
            let _ = writeln!(out, ",{}", super::csv_text(&piece.place));
        }
    }
    out
}
