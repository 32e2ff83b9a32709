//! Measured levers on a terminal: a table of factors, then what binds, and what could not be held.

use std::fmt::Write as _;

use super::{PHI, held_in_words};
use crate::report::Subject;
use crate::report::numbers::{short, significant, span};
use crate::report::palette;
use crate::study::levers::{Answer, Good, Load, Missed, Question, Subset, Unreached};
use crate::study::paired::Mean;

/// Subsets without a result that are told one by one.
const MOST_TOLD: usize = 6;

/// Table and sentences; styled if `color`.
#[must_use]
pub fn text(answer: &Answer, question: &Question, subject: &Subject, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() };
    let mut out = String::new();
    let n = answer.levers.len();
    let counted = match answer.orders {
        None => format!("all {} subsets", answer.subsets.len()),
        Some(orders) => format!("{} subsets of {orders} drawn orders", answer.subsets.len()),
    };
    let _ = writeln!(
        out,
        "{}  {n} lever{}, {counted}, {} seeds",
        bold(subject.name),
        if n == 1 { "" } else { "s" },
        answer.seeds.len()
    );
    let _ = writeln!(out, "held: {}", held_in_words(answer, question));
    for held in &answer.held {
        let why = if held.is_target { "its quality_target" } else { "as it is without levers" };
        let _ = writeln!(out, "  {} right in {:.1} % ({why})", held.class, held.accuracy * 100.0);
    }
    out.push('\n');
    table(&mut out, answer, &bold);
    infeasible(&mut out, answer);
    nothing(&mut out, answer);
    bindings(&mut out, answer);
    if question.load == Load::Given {
        crossings(&mut out, answer);
    }
    out
}

fn table(out: &mut String, answer: &Answer, bold: &dyn Fn(&str) -> String) {
    let Some(shares) = &answer.shares else { return };
    let names = answer.levers.iter().map(|name| name.chars().count());
    let room = names.max().unwrap_or(0).clamp(11, 28);
    let mw = if answer.per_cap { "MW of cap" } else { "MW drawn" };
    let answers = !answer.held.is_empty();
    let _ = writeln!(
        out,
        "factors on useful tokens/s per {mw} (Φ) and at all, on J per useful token at the meter{}:",
        if answers { ", on J per accepted answer" } else { "" }
    );
    let head = format!(
        "{:<room$}  {:>6} {:<16} {:>6} {:>6}  {:>6}  {:>6}{}  staves moved",
        "lever",
        "Φ",
        "[95 %]",
        "alone",
        "last",
        "tok/s",
        "J/tok",
        if answers { "   J/ans" } else { "" }
    );
    let _ = writeln!(out, "{}", bold(&head));
    let x = |ln: Option<Mean>| ln.map_or("–".into(), |ln| format!("{:.3}", ln.mean.exp()));
    let interval = |ln: Option<Mean>| {
        ln.map_or(String::new(), |ln| format!("[{:.3}, {:.3}]", ln.ci95_low.exp(), ln.ci95_high.exp()))
    };
    let mut line =
        |name: &str, phi: Option<Mean>, alone: String, last: String, j: [Option<Mean>; 3], moved: String| {
            let name: String = name.chars().take(room).collect();
            let answers = if answers { format!("  {:>6}", x(j[2])) } else { String::new() };
            let text = format!(
                "{name:<room$}  {:>6} {:<16} {alone:>6} {last:>6}  {:>6}  {:>6}{answers}  {moved}",
                x(phi),
                interval(phi),
                x(j[0]),
                x(j[1])
            );
            let _ = writeln!(out, "{}", text.trim_end());
        };
    let (rate, tok, ans) =
        (Good::UsefulTokPerS as usize, Good::FacilityJPerTok as usize, Good::JPerAcceptedAnswer as usize);
    for (lever, name) in answer.levers.iter().enumerate() {
        let own = &shares.by_lever[lever];
        let moved =
            answer.moved(lever).into_iter().map(|(good, ln)| format!("{} ×{:.2}", stave(good), ln.exp()));
        line(
            name,
            own[PHI],
            x(shares.alone[lever][PHI]),
            x(shares.last[lever][PHI]),
            [own[rate], own[tok], own[ans]],
            moved.collect::<Vec<_>>().join(", "),
        );
    }
    let joint = &shares.joint;
    let more = shares.interaction[PHI]
        .map_or(String::new(), |i| format!("×{:.3} of the product of each alone", i.mean.exp()));
    line("together", joint[PHI], String::new(), String::new(), [joint[rate], joint[tok], joint[ans]], more);
    out.push('\n');
}

fn stave(good: Good) -> &'static str {
    match good {
        Good::Compute => "compute",
        Good::MemoryBandwidth => "bandwidth",
        Good::KvCapacity => "KV",
        Good::Power => "power",
        Good::Cooling => "cooling",
        _ => good.key(),
    }
}

/// Subsets that could not be held, and what would do.
fn infeasible(out: &mut String, answer: &Answer) {
    let failed: Vec<&Subset> = answer.subsets.iter().filter(|subset| subset.result.is_err()).collect();
    if failed.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "{} of {} subsets cannot be held equal, so there are no shares:",
        failed.len(),
        answer.subsets.len()
    );
    for subset in failed.iter().take(MOST_TOLD) {
        let names = answer.names(subset.mask);
        let names = if names.is_empty() { "without levers".to_string() } else { names.join(" + ") };
        let why = match &subset.result {
            Err(Unreached::Quality(missed)) => {
                let each = missed.iter().map(|Missed { class, target, best }| {
                    format!(
                        "{class} is right in at most {:.2} %, not in {:.2} %",
                        best * 100.0,
                        target * 100.0
                    )
                });
                each.collect::<Vec<_>>().join("; ")
            }
            Err(Unreached::Service { target, best }) => format!(
                "at most {:.2} % of requests are within their SLO at any load, not {:.2} %",
                best * 100.0,
                target * 100.0
            ),
            Err(Unreached::Build(text)) => text.lines().next().unwrap_or_default().to_string(),
            Ok(_) => continue,
        };
        let _ = writeln!(out, "  {names}: {why}");
    }
    if failed.len() > MOST_TOLD {
        let _ = writeln!(out, "  and {} more", failed.len() - MOST_TOLD);
    }
    for (class, accuracy) in answer.reachable() {
        // Rounded down: what is said must be reachable.
        let most = (accuracy * 1e4).floor() / 1e4;
        let _ = writeln!(
            out,
            "every subset reaches {:.2} % for {class}: give it `quality_target: {most}`, or less",
            most * 100.0
        );
    }
    out.push('\n');
}

/// Subsets that deliver nothing, and what that takes away.
fn nothing(out: &mut String, answer: &Answer) {
    let none: Vec<String> = answer
        .subsets
        .iter()
        .filter(|subset| answer.delivers_nothing(subset))
        .map(|subset| match answer.names(subset.mask).as_slice() {
            [] => "without levers".to_string(),
            names => names.join(" + "),
        })
        .collect();
    if none.is_empty() {
        return;
    }
    let more = none.len().saturating_sub(MOST_TOLD);
    let told = none[..none.len() - more].join("; ");
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let _ = writeln!(
        out,
        "no useful token under a seed, of which nothing is a factor, so shares are not told: {told}{more}\n"
    );
}

/// What binds without levers, with each alone, with all.
fn bindings(out: &mut String, answer: &Answer) {
    let Some(base) = answer.subset(0) else { return };
    let mut say = |what: &str, subset: &Subset| {
        if subset.result.is_err() {
            return;
        }
        let binds = subset.binding().map_or("nothing binds".to_string(), |(label, share)| {
            format!(
                "{} binds {} % of GPU time",
                palette::name(label).to_lowercase(),
                significant(share * 100.0, 2)
            )
        });
        let stave =
            subset.shortest().map_or(String::new(), |good| format!("; shortest stave: {}", stave(good)));
        let rate = subset.mean(Good::UsefulTokPerS).map_or("–".into(), short);
        let load = subset.mean_of(|run| Some(run.load)).map_or("–".into(), |load| significant(load, 3));
        let _ = writeln!(out, "{what}: {rate} useful tokens/s at {load} × the load, {binds}{stave}");
    };
    say("without levers", base);
    for (lever, name) in answer.levers.iter().enumerate() {
        if let Some(alone) = answer.subset(1 << lever).filter(|_| answer.levers.len() > 1) {
            say(&format!("with {name} alone"), alone);
        }
    }
    if let Some(all) = answer.subset(answer.all()) {
        say(if answer.levers.len() > 1 { "with all" } else { "with it" }, all);
    }
}

/// Since when power and cooling bind for good with all levers, and how much earlier without each.
fn crossings(out: &mut String, answer: &Answer) {
    for what in ["power", "cooling"] {
        let when = if what == "power" { Subset::power_lasting_s } else { Subset::cooling_lasting_s };
        let at = |mask: u32| answer.subset(mask).map(when);
        let (Some(without), Some(all)) = (at(0), at(answer.all())) else { continue };
        let Some(all) = all else {
            if let Some(without) = without {
                let _ = writeln!(
                    out,
                    "{what} binds for good after {} without levers, and not with all of them",
                    span(without)
                );
            }
            continue;
        };
        let first = without.map_or("not".into(), |without| format!("after {}", span(without)));
        let _ = writeln!(
            out,
            "{what} binds for good {first} without levers, after {} with all of them",
            span(all)
        );
        for (lever, name) in answer.levers.iter().enumerate() {
            let Some(Some(but)) = at(answer.all() & !(1 << lever)) else { continue };
            let (by, which) = if but <= all { (all - but, "earlier") } else { (but - all, "later") };
            let _ = writeln!(out, "  {} {which} without {name}", span(by));
        }
    }
}
