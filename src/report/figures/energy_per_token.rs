//! Figure `energy_per_token`: joules per output token of each interval against its output rate, per boundary.

use std::fmt::Write as _;

use super::frame::{self, EndLabel, Frame};
use super::intervals::{self, Interval};
use super::picture::Picture;
use super::theme::Theme;
use super::{Figure, Table};
use crate::ledger::outcome::Outcome;
use crate::report::numbers::{short, significant};
use crate::report::palette::BOUNDARIES;

/// Fewer intervals with tokens than this make no picture.
const FEWEST: usize = 10;
/// Columns of load in which means are drawn.
const COLUMNS: usize = 12;
const NAMES: [&str; 3] = ["facility", "IT", "GPU"];

/// Power at the three boundaries [W], in the order of [`NAMES`].
fn watts(i: &Interval) -> [f64; 3] {
    [i.facility_w, i.it_w(), i.gpu_w()]
}

/// Draws the figure; nothing without enough intervals with tokens.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Option<Figure<'a>> {
    let summary = &outcome.summary;
    let (all, rows_each) = intervals::of(&outcome.series);
    let measured = |i: &&Interval| i.start_s + 1e-9 >= summary.scenario.warm_up_s;
    let shown: Vec<&Interval> = all.iter().filter(measured).filter(|i| i.output_tok_per_s > 0.0).collect();
    if shown.len() < FEWEST {
        return None;
    }
    let per_token = |i: &Interval| i.facility_w / i.output_tok_per_s;
    let highest = shown.iter().map(|i| per_token(i)).fold(0.0, f64::max);
    let load = shown.iter().map(|i| i.output_tok_per_s).fold(0.0, f64::max);
    // Intervals with hardly a token would flatten all others: they are counted instead of drawn.
    let (joules, tokens) = shown.iter().fold((0.0, 0.0), |(j, t), i| {
        let length = i.end_s - i.start_s;
        (j + i.facility_w * length, t + i.output_tok_per_s * length)
    });
    let limit = (highest * 1.1).min(4.0 * joules / tokens);
    let beyond = shown.iter().filter(|i| per_token(i) > limit).count();
    if !(limit > 0.0 && limit.is_finite() && load > 0.0) {
        return None;
    }

    let axis = "Energy per output token, GPU, IT and facility at the meter [J/token]";
    let off = if beyond > 0 { format!("; {beyond} above the scale") } else { String::new() };
    let j = &summary.j_per_output_token;
    let value = |v: Option<f64>| v.map_or("–".to_string(), |v| significant(v, 3));
    let mean = format!("{} J per output token at the meter", value(j.facility));
    let titles = [format!("{mean}, {} in the GPUs", value(j.gpu)), mean];
    let mut picture = Picture::new(
        theme,
        titles[0].clone(),
        format!("{axis}, against the output rate of each interval; lines: means."),
    );
    picture.head(&titles, &[format!("{axis}{off}"), axis.to_string()]);

    let frame = Frame {
        left: 128.0,
        right: theme.page.0 - frame::label_room(theme, NAMES.into_iter()),
        top: theme.subtitle_baseline() + 34.0,
        bottom: theme.plot_bottom(),
        start_s: 0.0,
        end_s: load * 1.03,
        floor: 0.0,
        limit,
    };
    frame::draw_value_axis(&mut picture, &frame, 1.0);
    for i in &shown {
        for ((name, fill), power) in NAMES.into_iter().zip(BOUNDARIES).zip(watts(i)) {
            let joules = power / i.output_tok_per_s;
            if joules <= limit {
                let (x, y) = (frame.x(i.output_tok_per_s), frame.y(joules));
                let rate = short(i.output_tok_per_s);
                let tip = format!("{name}: {} J/token at {rate} tok/s", significant(joules, 3));
                picture.dot((x, y), 4.5, fill.1, tip);
            }
        }
    }
    let labels = draw_means(&mut picture, &frame, &shown, load);
    frame::draw_end_labels(&mut picture, &frame, labels);
    let (prefix, factor) = frame::axis_prefix(load);
    let space = if prefix.is_empty() { "" } else { " " };
    let title = format!("Output rate of the interval [{prefix}{space}tok/s]; lines: means");
    frame::draw_load_axis(&mut picture, &frame, factor, &title);
    frame::draw_footer_of_dots(&mut picture, summary, &all, rows_each);
    let table = Table { name: "energy_per_token", csv: csv(&shown) };
    Some(Figure { name: "energy_per_token", picture, tables: vec![table] })
}

/// Lines through energy over tokens in equal columns of load, and their labels.
fn draw_means(picture: &mut Picture, frame: &Frame, shown: &[&Interval], load: f64) -> Vec<EndLabel> {
    let mut labels = Vec::new();
    for (k, (name, (color, _))) in NAMES.into_iter().zip(BOUNDARIES).enumerate() {
        let mut sums = [(0.0, 0.0, 0.0); COLUMNS];
        for i in shown {
            let column = ((i.output_tok_per_s / load * COLUMNS as f64) as usize).min(COLUMNS - 1);
            let length = i.end_s - i.start_s;
            sums[column].0 += length;
            sums[column].1 += i.output_tok_per_s * length;
            sums[column].2 += watts(i)[k] * length;
        }
        let means = sums.into_iter().filter(|s| s.1 > 0.0).map(|s| (s.1 / s.0, s.2 / s.1));
        let points: Vec<(f64, f64)> =
            means.filter(|m| m.1 <= frame.limit).map(|m| (frame.x(m.0), frame.y(m.1))).collect();
        if let Some(last) = points.last() {
            labels.push(EndLabel { y: last.1, text: name.to_string(), color, above: false });
        }
        picture.path(points, 5.0, color);
    }
    labels
}

fn csv(intervals: &[&Interval]) -> String {
    let mut out =
        String::from("start_s,end_s,output_tok_per_s,facility_j_per_token,it_j_per_token,gpu_j_per_token\n");
    for i in intervals {
        // Writing to a String cannot fail.
        let _ = write!(out, "{},{},{}", i.start_s, i.end_s, i.output_tok_per_s);
        for power in watts(i) {
            let _ = write!(out, ",{}", power / i.output_tok_per_s);
        }
        out.push('\n');
    }
    out
}
