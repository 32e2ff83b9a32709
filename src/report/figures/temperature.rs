//! Figure `temperature`: supply temperature of the warmest zone against its throttle ladder, and the weather.

use std::fmt::Write as _;

use super::binding;
use super::frame::{self, EndLabel, Frame};
use super::intervals::{self, Interval};
use super::picture::{Align, Picture, Style};
use super::theme::Theme;
use super::{Figure, Table, csv_number};
use crate::ledger::outcome::{Outcome, ZoneInfo};
use crate::report::palette::{DRY_BULB, INK, LADDER, SOFT_INK, WET_BULB};

/// Draws the figure; nothing without a zone or its temperature.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let summary = &outcome.summary;
    let zone = warmest_zone(outcome)?;
    let (intervals, rows_each) = intervals::of(&outcome.series);
    let values = intervals.iter().flat_map(|i| [i.supply_c, i.wet_bulb_c, i.dry_bulb_c]).flatten();
    let (low, high) =
        values.clone().fold((zone.set_c, zone.set_c), |(low, high), v| (low.min(v), high.max(v)));
    let peak = intervals.iter().filter_map(|i| i.supply_c).reduce(f64::max)?;
    let ladder = zone.mode == "buffered";
    // The hold is what the reader waits for; the stages above it show only where they are near.
    let near = [zone.hold_c, zone.critical_c, zone.trip_c].into_iter().filter(|c| ladder && *c <= peak + 1.5);
    let floor = (low - 1.0).floor();
    let limit = near.fold(high.max(if ladder { zone.hold_c } else { high }), f64::max) + 1.5;

    let rows = binding::ribbon_rows(outcome, frame::end_of_time(summary, &intervals));
    let axis = "Temperature at the supply of the warmest zone, and outdoors [°C]";
    let titles = titles(zone, &intervals, peak);
    let mut picture = Picture::new(
        theme,
        titles.first().cloned().unwrap_or_default(),
        format!("{axis}, over time, with the throttle ladder shaded."),
    );
    picture.head(&titles, &[axis.to_string()]);

    let lines = [
        ("supply", INK, 6.0, intervals.iter().map(|i| i.supply_c).collect::<Vec<_>>()),
        ("dry bulb", DRY_BULB, 4.0, intervals.iter().map(|i| i.dry_bulb_c).collect()),
        ("wet bulb", WET_BULB, 4.0, intervals.iter().map(|i| i.wet_bulb_c).collect()),
    ];
    let names = lines.iter().map(|l| l.0).chain(rows.iter().filter_map(|r| r.name.as_deref()));
    let frame = Frame {
        left: 128.0,
        right: theme.page.0 - frame::label_room(theme, names),
        top: theme.subtitle_baseline() + 28.0,
        bottom: binding::ribbon_bottom(theme) - binding::ribbon_height(rows.len()) - binding::RIBBON_GAP,
        start_s: 0.0,
        end_s: frame::end_of_time(summary, &intervals),
        floor,
        limit,
    };
    frame::draw_warm_up(&mut picture, &frame, summary);
    if ladder {
        draw_ladder(&mut picture, &frame, zone);
    }
    frame::draw_value_axis(&mut picture, &frame, 1.0);
    let mut labels = Vec::new();
    for (name, color, width, values) in lines {
        frame::draw_steps(&mut picture, &frame, &intervals, &values, width, color);
        if let Some(last) = values.iter().rev().find_map(|v| *v) {
            labels.push(EndLabel { y: frame.y(last), text: name.to_string(), color, above: false });
        }
    }
    frame::draw_end_labels(&mut picture, &frame, labels);
    binding::draw_ribbon(&mut picture, &frame, &rows);
    frame::draw_time_axis(
        &mut picture,
        &frame,
        binding::ribbon_bottom(theme) + 8.0,
        summary.scenario.start_at_h,
    );
    binding::draw_key(&mut picture, &frame, &rows);
    frame::draw_footer(&mut picture, summary, &intervals, rows_each, "");
    let table = Table { name: "temperature", csv: csv(&intervals, zone) };
    Some(Figure { name: "temperature", picture, tables: vec![table] })
}

/// The zone with the warmest supply of the run, else the first.
fn warmest_zone(outcome: &Outcome) -> Option<&ZoneInfo> {
    let mut warmest: Option<(f64, &str)> = None;
    for row in &outcome.series {
        if let Some(supply) = row.supply_c.filter(|c| warmest.is_none_or(|w| *c > w.0)) {
            warmest = Some((supply, &row.supply_zone));
        }
    }
    let zones = || outcome.summary.per_site.iter().flat_map(|s| &s.zones);
    zones().find(|z| warmest.is_some_and(|w| w.1 == z.name)).or_else(|| zones().next())
}

/// The finding, from the most to the least detailed wording.
fn titles(zone: &ZoneInfo, intervals: &[Interval], peak: f64) -> Vec<String> {
    let supply = format!("{} supplied at up to {peak:.1} °C", zone.name);
    let plain = format!("Supply up to {peak:.1} °C");
    match intervals.iter().filter_map(|i| i.wet_bulb_c).reduce(f64::max) {
        Some(wet) => vec![format!("{supply}, wet bulb up to {wet:.1} °C"), supply, plain],
        None => vec![supply, plain],
    }
}

/// Shades each stage from its threshold to the next, and names it.
fn draw_ladder(picture: &mut Picture, frame: &Frame, zone: &ZoneInfo) {
    let stages = [
        ("warn", zone.warn_c),
        ("hold: heat capped", zone.hold_c),
        ("critical: load shed", zone.critical_c),
        ("trip: off", zone.trip_c),
    ];
    let theme = picture.theme;
    let style = Style { size: theme.readable(25.0), color: SOFT_INK, ..theme.tick() };
    for (k, (name, from_c)) in stages.into_iter().enumerate() {
        let to_c = stages.get(k + 1).map_or(frame.limit, |next| next.1).min(frame.limit);
        if from_c >= frame.limit {
            break;
        }
        let (bottom, top) = (frame.y(from_c), frame.y(to_c));
        picture.rect((frame.left, top), (frame.right, bottom), LADDER[k]);
        if bottom - top > style.size - 3.0 {
            let text = format!("{name} from {from_c} °C");
            picture.text((frame.left + 12.0, bottom - 6.0), Align::Left, style, &text);
        }
    }
    let y = frame.y(zone.set_c);
    picture.path(vec![(frame.left, y), (frame.right, y)], 2.0, SOFT_INK);
    let text = format!("set point {} °C", zone.set_c);
    picture.text((frame.left + 12.0, y + style.size), Align::Left, style, &text);
}

fn csv(intervals: &[Interval], zone: &ZoneInfo) -> String {
    let mut out =
        String::from("start_s,end_s,supply_c,wet_bulb_c,dry_bulb_c,set_c,warn_c,hold_c,critical_c,trip_c\n");
    for i in intervals {
        // Writing to a String cannot fail.
        let _ = write!(out, "{},{}", i.start_s, i.end_s);
        for value in [i.supply_c, i.wet_bulb_c, i.dry_bulb_c] {
            let _ = write!(out, ",{}", csv_number(value));
        }
        let ZoneInfo { set_c, warn_c, hold_c, critical_c, trip_c, .. } = zone;
        let _ = writeln!(out, ",{set_c},{warn_c},{hold_c},{critical_c},{trip_c}");
    }
    out
}
