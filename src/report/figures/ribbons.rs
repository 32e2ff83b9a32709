//! Figure `compare`: what binds in several scenarios, a ribbon each, on one time axis.

use std::fmt::Write as _;

use super::frame::{self, Frame};
use super::picture::{Align, MARGIN, Picture, Style};
use super::theme::Theme;
use super::{Figure, Table, binding, csv_text};
use crate::ledger::outcome::{Constraint, Stretch};
use crate::report::comparison::{end_s, start_at_h};
use crate::report::numbers::percent;
use crate::report::palette;
use crate::study::compare::{Comparison, Side};

/// Highest ribbon [px].
const MOST: f64 = 180.0;
/// Room beside the marks at both ends of the time axis [px].
const ASIDE: f64 = 40.0;

/// Draws the figure.
pub(in crate::report) fn draw<'a>(comparison: &Comparison, theme: &'a Theme) -> Figure<'a> {
    let end_s = end_s(comparison);
    let title = title(comparison);
    let seed = comparison.seeds.first().copied().unwrap_or_default();
    let subtitle = format!("What binds over time, and how much of it (seed {seed})");
    let description = format!("{subtitle}: a ribbon per scenario, on one time axis.");
    let mut picture = Picture::new(theme, title.first().cloned().unwrap_or_default(), description);
    picture.head(&title, &[subtitle]);
    let frame = Frame {
        left: MARGIN + ASIDE,
        right: theme.page.0 - MARGIN - ASIDE,
        top: theme.subtitle_baseline() + 28.0,
        bottom: binding::ribbon_bottom(theme),
        start_s: 0.0,
        end_s,
        floor: 0.0,
        limit: 1.0,
    };
    draw_ribbons(&mut picture, &frame, comparison);
    frame::draw_time_axis(&mut picture, &frame, frame.bottom + 8.0, start_at_h(comparison).unwrap_or(0.0));
    draw_key(&mut picture, comparison);
    draw_footer(&mut picture, comparison);
    Figure { name: "compare", picture, tables: vec![Table { name: "compare", csv: csv(comparison) }] }
}

fn draw_ribbons(picture: &mut Picture, frame: &Frame, comparison: &Comparison) {
    let pitch = (frame.bottom - frame.top) / comparison.sides.len().max(1) as f64;
    let label = picture.theme.label();
    let name = Style { size: label.size.min(pitch * 0.36), ..label };
    let height = (pitch - name.size * 1.5).min(MOST);
    for (k, side) in comparison.sides.iter().enumerate() {
        let bottom = frame.top + (k + 1) as f64 * pitch;
        let top = bottom - height;
        let shares = listed(&side.timeline, 4);
        let texts = [format!("{}: {shares}", side.name), side.name.clone()];
        let text = name.fit(&texts, frame.right - frame.left);
        picture.text((frame.left, top - name.size * 0.3), Align::Left, name, &text);
        binding::draw_pieces(picture, frame, &binding::pieces(&side.timeline, frame.end_s), (top, bottom));
    }
}

/// Shares of the time by constraint, the largest first.
fn shares(timeline: &[Stretch]) -> Vec<(Constraint, f64)> {
    let total: f64 = timeline.iter().map(|stretch| stretch.end_s - stretch.start_s).sum();
    let of = |constraint: Constraint| {
        let own = timeline.iter().filter(|stretch| stretch.constraint == constraint);
        own.map(|stretch| stretch.end_s - stretch.start_s).sum::<f64>() / total
    };
    let mut shares: Vec<(Constraint, f64)> = Constraint::ALL.into_iter().map(|c| (c, of(c))).collect();
    shares.retain(|(_, share)| *share > 0.0);
    // Stable: ties stay in the order of reports.
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

fn listed(timeline: &[Stretch], most: usize) -> String {
    let text =
        |(constraint, share): (Constraint, f64)| format!("{} {}", palette::name(constraint), percent(share));
    shares(timeline).into_iter().take(most).map(text).collect::<Vec<_>>().join(", ")
}

/// The finding: what binds most in each, or what all of them share.
fn title(comparison: &Comparison) -> Vec<String> {
    let first = |side: &Side| Some((side.name.clone(), shares(&side.timeline).first().copied()?));
    let firsts: Vec<(String, (Constraint, f64))> = comparison.sides.iter().filter_map(first).collect();
    let Some((_, (constraint, _))) = firsts.first() else {
        return vec!["What binds in each scenario".to_string()];
    };
    let one = firsts.iter().all(|(_, (other, _))| other == constraint);
    let capital = |text: &str| {
        let mut letters = text.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    let listed: Vec<String> = firsts
        .iter()
        .map(|(name, (constraint, share))| match one {
            true => format!("{} in {name}", percent(*share)),
            false => format!("{} {} in {name}", palette::name(*constraint), percent(*share)),
        })
        .collect();
    let listed = listed.join(", ");
    let name = capital(palette::name(*constraint));
    if one {
        vec![format!("{name} binds {listed}"), format!("{name} binds most in all of them")]
    } else {
        vec![capital(&listed), "What binds most is not the same in all of them".to_string()]
    }
}

fn draw_key(picture: &mut Picture, comparison: &Comparison) {
    const SWATCH: f64 = 24.0;
    let bound = |constraint: &Constraint| {
        let mut stretches = comparison.sides.iter().flat_map(|side| &side.timeline);
        stretches.any(|stretch| stretch.constraint == *constraint)
    };
    let names: Vec<Constraint> = Constraint::ALL.into_iter().filter(bound).collect();
    let (theme, style) = (picture.theme, picture.theme.footer());
    let wide = |constraint: &Constraint| SWATCH + 40.0 + style.width(palette::name(*constraint));
    let mut x = (theme.page.0 - names.iter().map(wide).sum::<f64>()) / 2.0;
    let baseline = theme.page.1 - theme.foot();
    for constraint in names {
        picture.rect((x, baseline - 22.0), (x + SWATCH, baseline + 2.0), palette::fill(constraint));
        picture.text((x + SWATCH + 8.0, baseline), Align::Left, style, palette::name(constraint));
        x += wide(&constraint);
    }
}

fn draw_footer(picture: &mut Picture, comparison: &Comparison) {
    let scenario = |side: &Side| {
        let hash: String = side.info.hash.chars().take(8).collect();
        format!("{} {hash}", side.name)
    };
    let all = comparison.sides.iter().map(scenario).collect::<Vec<_>>().join(" · ");
    let remark = match start_at_h(comparison) {
        Some(_) => "",
        None => " · times since each start",
    };
    frame::draw_footer_text(picture, &all, &format!(" · wattmill {}", env!("CARGO_PKG_VERSION")), remark);
}

fn csv(comparison: &Comparison) -> String {
    let mut out = String::from("scenario,start_s,end_s,constraint,where\n");
    for side in &comparison.sides {
        for stretch in &side.timeline {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "{},{},{},{},{}",
                csv_text(&side.name),
                stretch.start_s,
                stretch.end_s,
                stretch.constraint.key(),
                csv_text(&stretch.place)
            );
        }
    }
    out
}
