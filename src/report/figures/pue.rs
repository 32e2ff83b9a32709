//! Figure `pue`: power usage effectiveness of each interval against its IT load, coloured by the wet bulb.

use std::fmt::Write as _;

use super::frame::{self, Frame};
use super::intervals::{self, Interval};
use super::picture::{Align, MARGIN, Picture};
use super::theme::{TICK_PX, Theme};
use super::{Figure, Table, csv_number};
use crate::ledger::outcome::Outcome;
use crate::report::numbers::quantity;
use crate::report::palette::{self, INK};

/// Draws the figure; nothing without a building or without work.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let summary = &outcome.summary;
    let (all, rows_each) = intervals::of(&outcome.series);
    let shown: Vec<&Interval> =
        all.iter().filter(|i| i.it_w() > 0.0 && i.parts_w[4] + i.parts_w[5] > 0.0).collect();
    if shown.is_empty() {
        return None;
    }
    let pue = |i: &Interval| i.facility_w / i.it_w();
    let (low, high) =
        shown.iter().map(|i| pue(i)).fold((f64::INFINITY, 1.0), |(l, h), v| (v.min(l), v.max(h)));
    let margin = ((high - low) * 0.12).max(0.01);
    let bulbs = || shown.iter().filter_map(|i| i.wet_bulb_c);
    let (cold, hot) = bulbs().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (v.min(l), v.max(h)));
    let has_weather = cold.is_finite();

    let axis = "PUE (facility over IT power, at the utility meter), per interval".to_string();
    let colour = if has_weather { "; colour: wet bulb" } else { "" };
    let mean = format!("PUE {low:.2} to {high:.2}, mean {:.2}", summary.pue.mean);
    let titles = if has_weather {
        vec![format!("{mean}, at wet bulbs of {cold:.0} to {hot:.0} °C"), mean]
    } else {
        vec![mean]
    };
    let mut picture = Picture::new(
        theme,
        titles.first().cloned().unwrap_or_default(),
        format!("{axis}, against IT power{colour}."),
    );
    picture.head(&titles, &[format!("{axis}{colour}"), axis]);

    let loads = || shown.iter().map(|i| i.it_w());
    let (least, most) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
    // Where all loads are high, the axis shows their range.
    let load_start = if least > 0.5 * most { (2.0 * least - most).clamp(0.0, 0.9 * most) } else { 0.0 };
    let load_limit = most + 0.06 * (most - load_start);
    let (prefix, factor) = frame::axis_prefix(load_limit);
    let frame = Frame {
        left: 138.0,
        right: theme.page.0 - if has_weather { 190.0 } else { MARGIN },
        top: theme.subtitle_baseline() + 34.0,
        bottom: theme.plot_bottom(),
        start_s: load_start,
        end_s: load_limit,
        floor: (low - margin).max(0.0),
        limit: high + margin,
    };
    frame::draw_value_axis(&mut picture, &frame, 1.0);
    for i in &shown {
        let share = |c: f64| if hot > cold { (c - cold) / (hot - cold) } else { 0.5 };
        let fill = i.wet_bulb_c.map_or(INK, |c| palette::heat(share(c)));
        let bulb = i.wet_bulb_c.map(|c| format!(", wet bulb {c:.1} °C")).unwrap_or_default();
        let tip = format!("PUE {:.3} at {} IT{bulb}", pue(i), quantity(i.it_w(), "W"));
        let (x, y) = (frame.x(i.it_w()), frame.y(pue(i)));
        picture.dot((x, y), 6.5, fill, tip);
    }
    frame::draw_load_axis(&mut picture, &frame, factor, &format!("IT power [{prefix}W]"));
    if has_weather {
        draw_scale(&mut picture, &frame, (cold, hot));
    }
    frame::draw_footer_of_dots(&mut picture, summary, &all, rows_each);
    Some(Figure { name: "pue", picture, tables: vec![Table { name: "pue", csv: csv(&shown) }] })
}

/// What the colours mean: a bar from cold to hot.
fn draw_scale(picture: &mut Picture, frame: &Frame, (cold, hot): (f64, f64)) {
    const STEPS: usize = 60;
    let (theme, x) = (picture.theme, frame.right + 40.0);
    let (top, bottom) = (frame.top + 120.0, frame.bottom - 120.0);
    for k in 0..STEPS {
        let y = |k: usize| bottom - (bottom - top) * k as f64 / STEPS as f64;
        let fill = palette::heat((k as f64 + 0.5) / STEPS as f64);
        picture.rect((x, y(k + 1)), (x + 30.0, y(k)), fill);
    }
    picture.text((x, top - 72.0), Align::Left, theme.label(), "wet bulb");
    picture.text((x, top - 34.0), Align::Left, theme.tick(), "[°C]");
    for (value, y) in [(hot, top), ((cold + hot) / 2.0, (top + bottom) / 2.0), (cold, bottom)] {
        picture.text((x + 44.0, y + TICK_PX * 0.36), Align::Left, theme.tick(), &format!("{value:.1}"));
    }
}

fn csv(intervals: &[&Interval]) -> String {
    let mut out = String::from("start_s,end_s,it_w,facility_w,pue,wet_bulb_c\n");
    for i in intervals {
        // Writing to a String cannot fail.
        let pue = i.facility_w / i.it_w();
        let bulb = csv_number(i.wet_bulb_c);
        let _ = writeln!(out, "{},{},{},{},{pue},{bulb}", i.start_s, i.end_s, i.it_w(), i.facility_w);
    }
    out
}
