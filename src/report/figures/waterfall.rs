//! Figure `waterfall`: tokens per megawatt from without levers to with all of them, a step per lever.

use super::frame::{self, Frame};
use super::logarithmic;
use super::picture::{Align, MARGIN, Picture, Style};
use super::theme::{TICK_PX, Theme};
use super::{Figure, Table, csv_number, csv_text};
use crate::report::Subject;
use crate::report::levers::held_in_words;
use crate::report::numbers::{short, significant};
use crate::report::palette::{Color, GRID, INK, KINDS, SOFT_INK};
use crate::study::levers::{Answer, Good, Question};
use crate::study::paired::Mean;

const UP: Color = KINDS[2].0;
const DOWN: Color = KINDS[1].0;
const WHOLE: Color = (0x6B, 0x76, 0x85);
/// What the rows above and below the levers are called.
const WITHOUT: &str = "without levers";
const WITH_ALL: &str = "with all";
/// Share of a bar in its place.
const BAR: f64 = 0.62;
/// Room left and right of the steps on a logarithmic axis, in powers of ten.
const PAD: f64 = 0.04;

/// A step of the figure.
struct Step<'a> {
    name: &'a str,
    /// Share of the lever [natural logarithm].
    ln: Mean,
    from: f64,
    to: f64,
}

/// Draws the figure; nothing without shares.
pub(in crate::report) fn draw<'a>(
    answer: &Answer,
    question: &Question,
    subject: &Subject,
    theme: &'a Theme,
) -> Option<Figure<'a>> {
    let g = Good::UsefulTokPerSPerMw as usize;
    let shares = answer.shares.as_ref()?;
    let base = answer.subset(0)?.result.as_ref().ok()?;
    // The geometric mean over the seeds: that of logarithms.
    let lns: Vec<f64> = base.iter().map(|run| run.goods[g].map(f64::ln)).collect::<Option<_>>()?;
    let without = (lns.iter().sum::<f64>() / lns.len() as f64).exp();
    let joint = shares.joint[g]?;
    let all = without * joint.mean.exp();
    let mut levers: Vec<(&str, Mean)> = answer
        .levers
        .iter()
        .zip(&shares.by_lever)
        .map(|(name, share)| Some((name.as_str(), share[g]?)))
        .collect::<Option<_>>()?;
    levers.sort_by(|a, b| b.1.mean.total_cmp(&a.1.mean));
    let mut at = without;
    let steps: Vec<Step> = levers
        .into_iter()
        .map(|(name, ln)| {
            let from = at;
            at *= ln.mean.exp();
            Step { name, ln, from, to: at }
        })
        .collect();

    let mw = if answer.per_cap { "MW of facility cap" } else { "facility MW drawn" };
    let brief = if answer.per_cap { "MW of cap" } else { "MW drawn" };
    let held = held_in_words(answer, question);
    let subtitle = format!("Useful tokens/s per {mw}, by lever: {held}");
    let titles = titles(&steps, joint);
    let mut picture = Picture::new(theme, titles[0].clone(), format!("{subtitle}; logarithmic."));
    picture.head(
        &titles,
        &[subtitle, format!("Useful tokens/s per {brief}: {held}"), format!("Useful tokens/s per {mw}")],
    );

    // Steps with their whiskers.
    let ends_of = |step: &Step| {
        let whiskers = [step.ln.ci95_low, step.ln.ci95_high].map(|ln| step.from * ln.exp());
        [step.from, step.to, whiskers[0], whiskers[1]]
    };
    let ends = steps.iter().flat_map(ends_of).chain([without, all]);
    let (low, high) = ends.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = (low.log10() - PAD, high.log10() + PAD);
    let name = Style { bold: false, ..theme.label() };
    let wholes = [WITHOUT, WITH_ALL].map(|text| theme.label().width(text));
    let names = steps.iter().map(|step| name.width(step.name)).chain(wholes);
    let widest = names.fold(0.0, f64::max).min(0.34 * theme.page.0);
    let number = "×8.888 [8.888, 8.888]";
    let frame = Frame {
        left: MARGIN + widest + 0.6 * name.size,
        right: theme.page.0 - MARGIN - name.width(number) - 0.6 * name.size,
        top: theme.strip_baseline() - 0.4 * name.size,
        bottom: theme.plot_bottom(),
        start_s: low,
        end_s: high,
        floor: 0.0,
        limit: (steps.len() + 2) as f64,
    };
    for (value, label) in logarithmic::ticks(low, high) {
        let x = frame.x(value.log10());
        picture.path(vec![(x, frame.top), (x, frame.bottom)], 1.5, GRID);
        picture.text((x, frame.bottom + 12.0 + TICK_PX), Align::Middle, theme.tick(), &label);
    }
    picture.path(vec![(frame.left, frame.bottom), (frame.right, frame.bottom)], 2.5, INK);
    let pitch = (frame.bottom - frame.top) / frame.limit;
    let half = (0.5 * BAR * pitch).min(1.2 * name.size);
    let middle = |row: usize| frame.top + (row as f64 + 0.5) * pitch;
    let baseline = |row: usize| middle(row) + 0.36 * name.size;
    let mut row_of = |row: usize, text: &str, value: &str, style: Style| {
        let fitted = style.fit(&[text.to_string()], widest + 1.0);
        picture.text((frame.left - 0.6 * name.size, baseline(row)), Align::Right, style, &fitted);
        picture.text((theme.page.0 - MARGIN, baseline(row)), Align::Right, style, value);
    };
    let last = steps.len() + 1;
    row_of(0, WITHOUT, &short(without), theme.label());
    row_of(last, WITH_ALL, &short(all), theme.label());
    for (k, step) in steps.iter().enumerate() {
        let [mean, from, to] = [step.ln.mean, step.ln.ci95_low, step.ln.ci95_high].map(f64::exp);
        row_of(k + 1, step.name, &format!("×{mean:.3} [{from:.3}, {to:.3}]"), name);
    }
    for (row, value) in [(0, without), (last, all)] {
        let y = middle(row);
        picture.rect((frame.left, y - half), (frame.x(value.log10()), y + half), WHOLE);
    }
    for (k, step) in steps.iter().enumerate() {
        let (a, b) = (frame.x(step.from.log10()), frame.x(step.to.log10()));
        let y = middle(k + 1);
        // A step of nothing is still seen.
        let (left, right) =
            if (b - a).abs() < 3.0 { (a.min(b) - 1.5, a.max(b) + 1.5) } else { (a.min(b), a.max(b)) };
        picture.rect((left, y - half), (right, y + half), if step.ln.mean >= 0.0 { UP } else { DOWN });
        let whisker = |ln: f64| frame.x((step.from * ln.exp()).log10());
        picture.path(vec![(whisker(step.ln.ci95_low), y), (whisker(step.ln.ci95_high), y)], 3.0, INK);
        picture.path(vec![(a, middle(k) + half), (a, y - half)], 1.5, SOFT_INK);
    }
    let end = frame.x(all.log10());
    picture.path(vec![(end, middle(last - 1) + half), (end, middle(last) - half)], 1.5, SOFT_INK);
    let title = format!("Useful tokens/s per {mw} (logarithmic)");
    let x = (frame.left + frame.right) / 2.0;
    picture.text((x, frame.bottom + super::theme::AXIS_ROOM), Align::Middle, theme.tick(), &title);
    draw_footer(&mut picture, answer, subject, " · Shapley shares of the logarithm, lines: 95 %");
    let table = Table { name: "waterfall", csv: csv(&steps, without, all) };
    Some(Figure { name: "waterfall", picture, tables: vec![table] })
}

/// The scenario and the seeds, and a remark.
pub(super) fn draw_footer(picture: &mut Picture, answer: &Answer, subject: &Subject, remark: &str) {
    let hash: String = subject.hash.chars().take(8).collect();
    let fixed = format!(" · {hash} · {} seeds · wattmill {}", answer.seeds.len(), env!("CARGO_PKG_VERSION"));
    frame::draw_footer_text(picture, subject.name, &fixed, remark);
}

/// The finding, from the most to the least detailed wording.
fn titles(steps: &[Step], joint: Mean) -> Vec<String> {
    let [times, low, high] = [joint.mean, joint.ci95_low, joint.ci95_high].map(|ln| significant(ln.exp(), 3));
    // A lever of which the seeds do not tell whether it helps is not told to do so.
    let Some(first) = steps.first().filter(|first| first.ln.ci95_low > 0.0) else {
        return vec![
            format!("Together the levers come to {times} times ({low} to {high}) the tokens per megawatt"),
            format!("{times} times ({low} to {high}) the tokens per megawatt"),
        ];
    };
    let share = first.ln.mean / joint.mean;
    let part = if steps.len() > 1 && joint.mean > 0.0 && share < 1.0 {
        format!(", {} % of it by {}", significant(share * 100.0, 2), first.name)
    } else {
        String::new()
    };
    vec![
        format!("{times} times ({low} to {high}) the tokens per megawatt{part}"),
        format!("{times} times the tokens per megawatt{part}"),
        format!("{times} times ({low} to {high}) the tokens per megawatt"),
        format!("{times} times the tokens per megawatt"),
    ]
}

fn csv(steps: &[Step], without: f64, all: f64) -> String {
    let mut out = String::from("step,phi,phi_ci95_low,phi_ci95_high,from,to\n");
    out += &format!("without levers,,,,,{without}\n");
    for step in steps {
        let [mean, low, high] =
            [step.ln.mean, step.ln.ci95_low, step.ln.ci95_high].map(|ln| csv_number(Some(ln.exp())));
        out += &format!("{},{mean},{low},{high},{},{}\n", csv_text(step.name), step.from, step.to);
    }
    out + &format!("with all,,,,,{all}\n")
}
