//! Shadow prices on a terminal: a table, then what the next MW, node or °C buys.

use std::fmt::Write as _;

use super::Subject;
use crate::ledger::outcome::Constraint;
use crate::report::numbers::{self, quantity, short, significant};
use crate::study::explain::{Agreement, Explanation, LimitKind, Price};

/// Sentences at most.
const MOST_SENTENCES: usize = 6;

/// Table and sentences, in at most `width` columns; styled if `color`.
#[must_use]
pub fn text(explanation: &Explanation, subject: &Subject, width: usize, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() };
    let mut out = String::new();
    let (from_s, until_s) = explanation.window_s;
    let clock = |at_s: f64| numbers::time_of_day(subject.start_at_h, at_s);
    let useful = explanation.useful_tok_per_s;
    let _ = writeln!(
        out,
        "{}  {} to {} ({}..{} s), {} seeds",
        bold(subject.name),
        clock(from_s),
        clock(until_s),
        significant(from_s, 6),
        significant(until_s, 6),
        explanation.seeds.len()
    );
    let _ = writeln!(
        out,
        "useful tokens of requests that arrive then: {}/s [{}, {}]\n",
        short(useful.mean),
        short(useful.ci95_low),
        short(useful.ci95_high)
    );
    let places = explanation.prices.iter().map(|price| price.limit.place.chars().count());
    let room = places.max().unwrap_or(0).clamp(5, width.saturating_sub(75).max(12));
    let head = format!(
        "{:<17}{:<room$}  {:<22}{:>23}  {:>10}  {:>5}",
        "limit", "where", "moved by", "useful tokens/s [95 %]", "elasticity", "binds"
    );
    let _ = writeln!(out, "{}", bold(&head));
    for price in &explanation.prices {
        let place: String = price.limit.place.chars().take(room).collect();
        let (gain, elasticity) = match (&price.gain_tok_per_s, &price.failed) {
            (Some(gain), _) => (
                format!("{} [{}, {}]", signed(gain.mean), signed(gain.ci95_low), signed(gain.ci95_high)),
                price.elasticity.map_or("–".into(), |e| format!("{:+.2}", e.mean)),
            ),
            (None, _) => ("cannot be built".into(), "–".into()),
        };
        let binds =
            if price.binding_share > 0.0 { numbers::percent(price.binding_share) } else { "–".into() };
        let _ = writeln!(
            out,
            "{:<17}{place:<room$}  {:<22}{gain:>23}  {elasticity:>10}  {binds:>5}",
            price.limit.kind.key(),
            moved_by(price),
        );
    }
    for price in explanation.prices.iter().filter(|price| price.failed.is_some()) {
        let why = price.failed.as_deref().unwrap_or_default();
        let _ = writeln!(out, "  {} {}: {why}", price.limit.kind.key(), price.limit.place);
    }
    if !explanation.screened.is_empty() {
        let _ = writeln!(out, "not priced, as they bound nowhere then: {}", explanation.screened.join(", "));
    }
    if !explanation.late_pools.is_empty() {
        let _ = writeln!(
            out,
            "hardly a token of {} is useful: its requests miss their SLO whatever a small step changes, so its limits have \
             no price; its part of the verdict goes by all its tokens",
            explanation.late_pools.join(", ")
        );
    }
    out.push('\n');
    for sentence in sentences(explanation) {
        let _ = writeln!(out, "{sentence}");
    }
    let _ = writeln!(out, "{}", verdict(explanation));
    out
}

fn signed(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{}{}", if value > 0.0 { "+" } else { "" }, short(value)) }
}

fn moved_by(price: &Price) -> String {
    let limit = &price.limit;
    let number = significant(limit.step, 3);
    let share = limit.step_share.map(|share| format!(" ({:.0} %)", share * 100.0)).unwrap_or_default();
    match limit.unit {
        "MW" => format!("+{}{share}", quantity(limit.step * 1e6, "W")),
        "W" => format!("+{number} W{share}"),
        "node" | "nodes" | "sequences" => format!("+{} {}{share}", limit.step, limit.unit),
        unit if unit.starts_with("% less") => format!("−{number} %"),
        unit if unit.starts_with("°C") => format!("{number} {unit}"),
        unit => format!("+{} {}", number, unit),
    }
}

/// What the next unit buys, of the limits whose interval lies above 0.
fn sentences(explanation: &Explanation) -> Vec<String> {
    let worth =
        explanation.prices.iter().filter(|price| price.gain_tok_per_s.is_some_and(|g| g.ci95_low > 0.0));
    let mut sentences: Vec<String> = worth.filter_map(sentence).take(MOST_SENTENCES).collect();
    if sentences.is_empty() {
        sentences.push("No limit is worth anything in this stretch: all its intervals hold 0.".into());
    }
    sentences
}

fn sentence(price: &Price) -> Option<String> {
    let gain = price.gain_tok_per_s?;
    let limit = &price.limit;
    let place = &limit.place;
    let each = gain.times(1.0 / limit.step);
    let buys = |what: String, gain: crate::study::paired::Mean| {
        Some(format!(
            "{what} buys {} useful tokens/s [{}, {}].",
            short(gain.mean),
            short(gain.ci95_low),
            short(gain.ci95_high)
        ))
    };
    let percent = significant(limit.step, 3);
    match limit.kind {
        LimitKind::PowerCap => buys(format!("The next kW of cap at {place}"), each.times(1e-3)),
        LimitKind::DeviceRating => buys(format!("The next kW of rating of {place}"), each.times(1e-3)),
        LimitKind::ZoneCapacity => {
            buys(format!("The next kW of heat that {place} can reject"), each.times(1e-3))
        }
        LimitKind::Replicas => buys(format!("The next node of {place}"), each),
        LimitKind::OutdoorAir => buys(format!("Outdoor air 1 °C colder at {place}"), each),
        LimitKind::GpuCap => buys(format!("The next watt of each GPU of {place}"), each),
        LimitKind::Overhead => buys(format!("{percent} % less overhead at {place}"), gain),
        LimitKind::Demand => buys(format!("{percent} % more arrivals"), gain),
        LimitKind::Flops => buys(format!("{percent} % more FLOP/s in {place}"), gain),
        LimitKind::HbmBandwidth => buys(format!("{percent} % more memory bandwidth in {place}"), gain),
        LimitKind::HostAndLinks => buys(format!("Host and links {percent} % faster in {place}"), gain),
        LimitKind::KvBytes => buys(format!("{percent} % more KV memory in {place}"), gain),
        LimitKind::Slots => buys(format!("The next slot of each replica of {place}"), each),
    }
}

fn verdict(explanation: &Explanation) -> String {
    let name =
        |label: Option<Constraint>| label.map_or("nothing".into(), |label| label.key().replace('_', " "));
    let (price, ledger) = (name(explanation.verdict.by_price), name(explanation.verdict.by_ledger));
    let share = explanation.labels.by_constraint().first().map_or(0.0, |(_, share)| *share);
    let ledger = format!("{ledger} ({} of the stretch)", numbers::percent(share));
    match explanation.verdict.agreement {
        Agreement::Agree => format!("By its prices and by the ledger it is bound by {ledger}."),
        Agreement::Tie => {
            format!("By its prices bound by {price}, by the ledger by {ledger}: a tie within the intervals.")
        }
        Agreement::Transient => format!(
            "By its prices bound by {price}, by the ledger by {ledger}: what binds changes within the stretch; take a shorter one."
        ),
        Agreement::Disagree => {
            format!("By its prices bound by {price}, by the ledger by {ledger}: they disagree.")
        }
    }
}
