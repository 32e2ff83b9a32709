//! Brackets above a ribbon: between which times a change of the binding constraint lies in the draws of the fit.

use super::frame::Frame;
use super::picture::{Align, Picture, Style};
use super::theme::Theme;
use super::{Table, csv_number};
use crate::ledger::outcome::Summary;
use crate::ledger::uncertainty::{Change, Uncertainty};
use crate::report::numbers::{percent, time_of_day};
use crate::report::palette;

/// Height of a lane of brackets [px].
const LANE: f64 = 22.0;
/// More lanes than this would crowd the plot.
const MOST_LANES: usize = 3;
/// Half of the tick at each end [px].
const TICK: f64 = 6.0;
/// Brackets of one lane keep this distance [px].
const APART: f64 = 10.0;
/// Changes that occur in fewer draws have no bracket.
const LEAST_SHARE: f64 = 0.5;
/// Size of the share beside a bracket [px].
const SHARE_SIZE: f64 = 22.0;

/// A bracket in its lane, 0 next to the ribbon.
struct Bracket<'a> {
    change: &'a Change,
    /// [s]
    from: f64,
    to: f64,
    lane: usize,
    /// In how many of the draws, where not in all.
    share: String,
}

fn share_style<'a>(theme: &'a Theme, change: &Change) -> Style<'a> {
    Style { size: theme.readable(SHARE_SIZE), color: palette::text(change.to), ..theme.tick() }
}

/// The brackets of a frame, each in the lowest lane that is free.
fn brackets<'a>(uncertainty: Option<&'a Uncertainty>, frame: &Frame, theme: &Theme) -> Vec<Bracket<'a>> {
    let mut free = [f64::NEG_INFINITY; MOST_LANES];
    let mut changes: Vec<(&Change, f64, f64)> = uncertainty
        .iter()
        .flat_map(|uncertainty| &uncertainty.changes)
        .filter(|change| change.share.is_some_and(|share| share >= LEAST_SHARE))
        .filter_map(|change| Some((change, change.p5_s?, change.p95_s?)))
        .collect();
    changes.sort_by(|a, b| a.1.total_cmp(&b.1));
    let placed = changes.into_iter().filter_map(|(change, from, to)| {
        let lane = free.iter().position(|x| *x <= frame.x(from))?;
        let share = change.share.filter(|share| *share < 1.0).map_or(String::new(), percent);
        free[lane] = frame.x(to) + 2.0 * APART + share_style(theme, change).width(&share);
        Some(Bracket { change, from, to, lane, share })
    });
    placed.collect()
}

/// Room that the brackets take above the ribbon [px].
pub(super) fn room(uncertainty: Option<&Uncertainty>, frame: &Frame, theme: &Theme) -> f64 {
    brackets(uncertainty, frame, theme).iter().map(|b| (b.lane + 1) as f64 * LANE).fold(0.0, f64::max)
}

/// Draws them above a ribbon that begins at `top`, in the colour of what binds from then on.
pub(super) fn draw(picture: &mut Picture, frame: &Frame, top: f64, summary: &Summary) {
    let (start_h, theme) = (summary.scenario.start_at_h, picture.theme);
    for Bracket { change, from, to, lane, share } in brackets(summary.uncertainty.as_ref(), frame, theme) {
        let y = top - (lane as f64 + 0.5) * LANE - 2.0;
        let color = palette::text(change.to);
        let (x0, x1) = (frame.x(from), frame.x(to));
        picture.path(vec![(x0, y - TICK), (x0, y + TICK)], 3.0, color);
        picture.path(vec![(x1, y - TICK), (x1, y + TICK)], 3.0, color);
        picture.path(vec![(x0, y), (x1, y)], 3.0, color);
        let style = share_style(theme, change);
        // To the left where the page ends.
        let (x, align) = match x1 + APART + style.width(&share) {
            end if end <= frame.right => (x1 + APART, Align::Left),
            _ => (x0 - APART, Align::Right),
        };
        picture.text((x, y + style.size * 0.36), align, style, &share);
        if let Some(x) = change.p50_s.map(|at| frame.x(at)) {
            let name = palette::name(change.to);
            let tip = format!(
                "{name} binds from {}, in the draws from {} to {}, in {} of them",
                time_of_day(start_h, change.at_s),
                time_of_day(start_h, from),
                time_of_day(start_h, to),
                percent(change.share.unwrap_or(0.0))
            );
            picture.dot((x, y), 5.0, color, tip);
        }
    }
}

/// What the brackets are, for the footer; empty without any.
pub(super) fn remark(summary: &Summary, frame: &Frame, theme: &Theme) -> String {
    match &summary.uncertainty {
        Some(uncertainty) if !brackets(Some(uncertainty), frame, theme).is_empty() => {
            format!(" · brackets: 5 to 95 % of {} draws", uncertainty.draws)
        }
        _ => String::new(),
    }
}

/// The numbers behind them.
pub(super) fn table(summary: &Summary) -> Option<Table> {
    let uncertainty = summary.uncertainty.as_ref()?;
    let mut csv = String::from("from,to,where,at_s,p5_s,p50_s,p95_s,share\n");
    for change in &uncertainty.changes {
        let place = super::csv_text(&change.place);
        csv += &format!("{},{},{place},{}", change.from.key(), change.to.key(), change.at_s);
        for value in [change.p5_s, change.p50_s, change.p95_s, change.share] {
            csv += &format!(",{}", csv_number(value));
        }
        csv.push('\n');
    }
    Some(Table { name: "binding_changes", csv })
}
