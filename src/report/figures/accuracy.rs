//! Figure `accuracy`: share of right answers against the energy of an accepted answer, a line per choice of levers.

use super::frame::Frame;
use super::logarithmic;
use super::picture::{Align, MARGIN, Picture, Style};
use super::theme::{AXIS_ROOM, TICK_PX, Theme};
use super::waterfall::draw_footer;
use super::{Figure, Table, csv_text, frame};
use crate::report::Subject;
use crate::report::levers::held_in_words;
use crate::report::numbers::{quantity, significant};
use crate::report::palette::{Color, GRID, INK, KINDS, ink_of};
use crate::study::levers::{Answer, Curve, Question};

/// Room around the points, in powers of ten.
const PAD: f64 = 0.05;

/// Draws the figure; nothing without answers.
pub(in crate::report) fn draw<'a>(
    answer: &Answer,
    question: &Question,
    subject: &Subject,
    theme: &'a Theme,
) -> Option<Figure<'a>> {
    let all = || answer.curves.iter().flat_map(|curve| &curve.points);
    let ends = |of: fn(&(f64, f64, bool)) -> f64| {
        all().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((least, most), (low, high)) = (ends(|point| point.1), ends(|point| point.0));
    if !(least > 0.0 && most.is_finite()) {
        return None;
    }
    let name = |curve: &Curve| match curve.mask {
        0 => "without levers".to_string(),
        mask if mask == answer.all() && answer.levers.len() > 1 => "all levers".to_string(),
        mask => answer.names(mask).join(" + "),
    };
    let subtitle = "Right answers against facility joules per accepted answer";
    let service = held_in_words(answer, question);
    let service = service.rsplit_once(", ").map_or(service.as_str(), |(_, service)| service).to_string();
    let titles = titles(answer, &name);
    let mut picture = Picture::new(theme, titles[0].clone(), format!("{subtitle}; {service}."));
    picture.head(&titles, &[format!("{subtitle}; {service}"), subtitle.to_string()]);

    let style = Style { size: theme.readable(28.0), ..theme.label() };
    let room = answer.curves.iter().map(|curve| style.width(&name(curve))).fold(0.0, f64::max);
    let room = room.min(0.3 * theme.page.0) + 34.0;
    // Never so narrow that rounding fills the axis.
    let (low, high) = if high - low < 0.02 { (low - 0.02, high + 0.02) } else { (low, high) };
    let pad = 0.06 * (high - low);
    let frame = Frame {
        left: MARGIN + 110.0,
        right: theme.page.0 - MARGIN - room,
        top: theme.strip_baseline() + 22.0,
        bottom: theme.plot_bottom(),
        start_s: least.log10() - PAD,
        end_s: most.log10() + PAD,
        floor: (low - pad).max(0.0),
        limit: (high + pad).min(1.0),
    };
    frame::draw_levels(&mut picture, &frame, frame::value_ticks(frame.floor, frame.limit, 0.01));
    picture.path(vec![(frame.left, frame.bottom), (frame.right, frame.bottom)], 2.5, INK);
    for (value, label) in logarithmic::ticks(frame.start_s, frame.end_s) {
        let x = frame.x(value.log10());
        picture.path(vec![(x, frame.top), (x, frame.bottom)], 1.5, GRID);
        picture.text((x, frame.bottom + 12.0 + TICK_PX), Align::Middle, theme.tick(), &label);
    }
    let axis = "Facility joules per accepted answer [J] (logarithmic)";
    let x = (frame.left + frame.right) / 2.0;
    picture.text((x, frame.bottom + AXIS_ROOM), Align::Middle, theme.tick(), axis);
    picture.text((MARGIN, frame.top - 14.0), Align::Left, theme.tick(), "right [%]");

    let mut labels = Vec::new();
    for (k, curve) in answer.curves.iter().enumerate() {
        let color = color(k);
        let place = |point: &(f64, f64, bool)| (frame.x(point.1.log10()), frame.y(point.0));
        picture.path(curve.points.iter().map(place).collect(), 4.0, color);
        for point in &curve.points {
            let tip = format!(
                "{}: {} % at {}",
                name(curve),
                significant(point.0 * 100.0, 3),
                quantity(point.1, "J")
            );
            let (at, held) = (place(point), point.2);
            picture.dot(at, if held { 13.0 } else { 7.0 }, if held { INK } else { color }, tip.clone());
            if held {
                picture.dot(at, 9.0, color, tip);
            }
        }
        if let Some(last) = curve.points.last() {
            labels.push((place(last), name(curve), ink_of(color)));
        }
    }
    draw_names(&mut picture, &frame, labels, style);
    draw_footer(&mut picture, answer, subject, " · large dots: the accuracy held");
    let table = Table { name: "accuracy", csv: csv(answer, &name) };
    Some(Figure { name: "accuracy", picture, tables: vec![table] })
}

fn color(k: usize) -> Color {
    KINDS[(k + KINDS.len() - 1) % KINDS.len()].0
}

/// Names at the right, each beside the end of its line as far as the others leave room.
fn draw_names(
    picture: &mut Picture,
    frame: &Frame,
    mut labels: Vec<((f64, f64), String, Color)>,
    style: Style,
) {
    labels.sort_by(|a, b| a.0.1.total_cmp(&b.0.1));
    let gap = 1.15 * style.size;
    let mut taken = f64::NEG_INFINITY;
    let left = frame.right + 34.0;
    for ((x, y), name, color) in labels {
        let at = y.max(taken + gap);
        taken = at;
        picture.path(vec![(x + 12.0, y), (left - 8.0, at)], 1.5, color);
        let text = style.fit(&[name], picture.width - MARGIN - left);
        picture.text((left, at + 0.36 * style.size), Align::Left, Style { color, ..style }, &text);
    }
}

/// The finding: what all levers save at the accuracy held.
fn titles(answer: &Answer, name: &dyn Fn(&Curve) -> String) -> Vec<String> {
    let held = |mask: u32| {
        let curve = answer.curves.iter().find(|curve| curve.mask == mask)?;
        curve.points.iter().find(|point| point.2).map(|point| (name(curve), point.1))
    };
    match (held(0), held(answer.all())) {
        (Some((_, before)), Some((what, after))) if after < before => {
            let times = significant(before / after, 3);
            vec![
                format!("An accepted answer costs a factor {times} less with {what}"),
                format!("A factor {times} less energy per accepted answer"),
            ]
        }
        (Some((_, before)), Some((what, after))) => {
            vec![format!(
                "An accepted answer costs a factor {} more with {what}",
                significant(after / before, 3)
            )]
        }
        _ => vec!["Accuracy and the energy of an answer".into()],
    }
}

fn csv(answer: &Answer, name: &dyn Fn(&Curve) -> String) -> String {
    let mut out = String::from("levers,accuracy,facility_j_per_accepted_answer,held\n");
    for curve in &answer.curves {
        for (accuracy, joules, held) in &curve.points {
            out += &format!("{},{accuracy},{joules},{}\n", csv_text(&name(curve)), u8::from(*held));
        }
    }
    out
}
