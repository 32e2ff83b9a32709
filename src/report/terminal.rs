//! The summary of a run on a terminal: what ran, what came out, what it took, what bound it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::numbers::{count, percent, quantity, short, short_time, significant, span, time_of_day};
use super::{bands, palette, ribbon, time_axis};
use crate::ledger::outcome::{Constraint, Outcome, PerBoundary, Quantiles, Shares, Stretch, Summary};

/// More pools than this are counted instead of listed.
const MOST_POOLS: usize = 6;

/// Text with styles that are left out where there is no colour.
struct Page {
    out: String,
    width: usize,
    color: bool,
}

impl Page {
    fn style(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }

    fn heading(&mut self, text: &str) {
        self.out.push('\n');
        let text = self.style("1", text);
        self.line(&text);
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    /// Words wrapped to the width, later lines indented below the first one's text.
    fn wrapped(&mut self, label: &str, text: &str) {
        let indent = label.chars().count();
        let room = self.width.saturating_sub(indent).max(16);
        let mut line = String::new();
        let mut start = label.to_string();
        for mut word in text.split_whitespace() {
            let used = line.chars().count();
            if used > 0 && used + 1 + word.chars().count() > room {
                self.line(&format!("{start}{line}"));
                start = " ".repeat(indent);
                line.clear();
            }
            // A word longer than a line is cut.
            while word.chars().count() > room {
                let at = word.char_indices().nth(room).map_or(word.len(), |c| c.0);
                self.line(&format!("{start}{}", &word[..at]));
                start = " ".repeat(indent);
                word = &word[at..];
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&format!("{start}{line}"));
    }

    /// A wrapped paragraph whose parts stay whole where they can.
    fn parts(&mut self, label: &str, parts: &[String]) {
        let indent = label.chars().count();
        let room = self.width.saturating_sub(indent).max(16);
        let mut lines: Vec<String> = Vec::new();
        for part in parts {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 3 + part.chars().count() <= room => {
                    line.push_str(" · ");
                    line.push_str(part);
                }
                _ => lines.push(part.clone()),
            }
        }
        for (i, line) in lines.iter().enumerate() {
            self.wrapped(&if i == 0 { label.to_string() } else { " ".repeat(indent) }, line);
        }
    }
}

/// The summary of a run for people, `width` characters wide (40 to 120 are used), with ANSI colours if
/// `color`; readable without them.
pub fn terminal(outcome: &Outcome, width: usize, color: bool) -> String {
    let mut page = Page { out: String::new(), width: width.clamp(40, 120), color };
    let summary = &outcome.summary;
    what_ran(&mut page, summary);
    headline(&mut page, summary);
    service(&mut page, summary);
    binding(&mut page, outcome);
    sites(&mut page, summary);
    staves(&mut page, summary);
    production_function(&mut page, summary);
    uncertainty(&mut page, outcome);
    notes(&mut page, summary);
    engine(&mut page, summary);
    page.out
}

/// The lines that say where the files of a result are.
pub fn terminal_footer(paths: &[PathBuf]) -> String {
    let Some(folder) = paths.first().and_then(|p| p.parent()) else { return String::new() };
    let mut out = format!("\nFiles     {}\n", folder.display());
    // Figures are named once, not per format.
    let mut shown: Vec<String> = Vec::new();
    for path in paths {
        let inner = path.strip_prefix(folder).unwrap_or(path);
        let name = match inner.parent() {
            Some(sub) if sub == Path::new("figures") => {
                format!("figures/{}.*", inner.file_stem().unwrap_or_default().to_string_lossy())
            }
            _ => inner.display().to_string(),
        };
        if !shown.contains(&name) {
            shown.push(name);
        }
    }
    for name in shown {
        let _ = writeln!(out, "          {name}");
    }
    out
}

fn what_ran(page: &mut Page, summary: &Summary) {
    let info = &summary.scenario;
    let hash: String = info.hash.chars().take(8).collect();
    let facts = format!("seed {} · scenario {hash}", info.seed);
    let room = page.width.saturating_sub(facts.chars().count() + 3);
    if info.name.chars().count() <= room {
        let name = page.style("1", &info.name);
        page.line(&format!("{name}   {facts}"));
    } else {
        page.wrapped("", &info.name);
        page.line(&facts);
    }
    let gpus: u64 = summary.per_site.iter().map(|s| s.gpus).sum();
    let sites: Vec<&str> = summary.per_site.iter().map(|s| s.name.as_str()).collect();
    let at = match sites.as_slice() {
        [] => String::new(),
        [only] => format!(" at {only}"),
        many if many.len() <= 4 => format!(" at {}", many.join(", ")),
        many => format!(" at {} sites", many.len()),
    };
    let mut parts = vec![
        format!("{} GPUs{at}", count(gpus)),
        format!("{} from {} local time", span(info.duration_s), time_of_day(info.start_at_h, 0.0)),
    ];
    if info.warm_up_s > 0.0 {
        parts.push(format!("rates leave out the first {}", span(info.warm_up_s)));
    }
    if info.end_s > info.duration_s {
        parts.push(format!("drained until {}", span(info.end_s)));
    }
    page.parts("", &parts);
    for pool in summary.per_pool.iter().take(MOST_POOLS) {
        let text = format!(
            "{}: {} × {} on {} {}",
            pool.name,
            count(pool.replicas),
            pool.model,
            count(pool.gpus),
            pool.gpu
        );
        page.wrapped("  ", &text);
    }
    if summary.per_pool.len() > MOST_POOLS {
        page.line(&format!("  and {} more pools", summary.per_pool.len() - MOST_POOLS));
    }
}

fn headline(page: &mut Page, summary: &Summary) {
    page.out.push('\n');
    let rates = &summary.throughput;
    let output = page.style("1", &format!("{:>8}", short(rates.output_tok_per_s)));
    page.line(&format!("{output} output tok/s   {} useful tok/s", short(rates.useful_tok_per_s)));
    let joules = |label: &str, j: &PerBoundary| {
        let value = |v: Option<f64>| v.map_or("–".to_string(), |v| significant(v, 3));
        format!(
            "{:>8} J/{label} token facility · {} IT · {} GPU",
            value(j.facility),
            value(j.it),
            value(j.gpu)
        )
    };
    page.line(&joules("output", &summary.j_per_output_token));
    page.line(&joules("useful", &summary.j_per_useful_token));
}

fn service(page: &mut Page, summary: &Summary) {
    page.out.push('\n');
    let power = &summary.power_w;
    let facility = &power.facility;
    let mut parts = vec![
        format!("mean {}", quantity(facility.mean, "W")),
        format!("peak {} at the meter", quantity(facility.max, "W")),
    ];
    match power.cap_facility_mean {
        Some(cap) if cap > 0.0 => {
            let used = percent(facility.mean / cap);
            parts.push(format!("cap {} on average, {used} used", quantity(cap, "W")));
        }
        Some(_) => parts.push("cap 0 W".to_string()),
        None => parts.push("no cap".to_string()),
    }
    parts.push(format!("PUE {}", significant(summary.pue.mean, 3)));
    if power.overshoot_s > 0.0 {
        let joules = quantity(power.overshoot_j, "J");
        parts.push(format!("above the cap for {} ({joules})", short_time(power.overshoot_s)));
    }
    page.parts("Power     ", &parts);
    accounts(page, summary);

    let latency = |name: &str, q: &Quantiles| match (q.p50, q.p99) {
        (Some(p50), Some(p99)) => format!("{name} p50 {}, p99 {}", short_time(p50), short_time(p99)),
        _ => format!("{name} –"),
    };
    let met = summary.slo_attainment.map_or("none set or none finished".to_string(), |s| {
        // A share next to 1 is told by its misses.
        format!("{} % met", significant(s * 100.0, if s > 0.99 { 4 } else { 3 }))
    });
    let latencies = &summary.latency_s;
    page.parts("SLO       ", &[met]);
    quality(page, summary);
    page.parts("Latency   ", &[latency("TTFT", &latencies.ttft), latency("TPOT", &latencies.tpot)]);

    let cached = summary.tokens.prompt_cached;
    if cached > 0 {
        let share = percent(cached as f64 / summary.tokens.prompt as f64);
        page.parts("Prompts   ", &[format!("{} tokens from the prefix cache ({share})", count(cached))]);
    }

    let r = &summary.requests;
    let shed = [
        ("out of patience", r.shed_by.patience),
        ("queue full", r.shed_by.queue_full),
        ("too long", r.shed_by.too_long),
        ("overheated", r.shed_by.overheated),
        ("lost with their replica", r.shed_by.lost),
        ("no replica up", r.shed_by.unavailable),
    ];
    let causes: Vec<String> =
        shed.iter().filter(|c| c.1 > 0).map(|c| format!("{} {}", count(c.1), c.0)).collect();
    let causes = if causes.is_empty() { String::new() } else { format!(" ({})", causes.join(", ")) };
    let mut parts = vec![
        format!("{} arrived", count(r.arrived)),
        format!("{} completed", count(r.completed)),
        format!("{} shed{causes}", count(r.shed)),
        format!("{} in flight", count(r.in_flight)),
    ];
    if r.retried > 0 {
        parts.push(format!("{} retried elsewhere", count(r.retried)));
    }
    page.parts("Requests  ", &parts);
}

/// Money, carbon and water, as far as the scenario knows them.
fn accounts(page: &mut Page, summary: &Summary) {
    let accounts = &summary.accounts;
    let per = |value: Option<f64>, unit: &str| {
        value.map_or(String::new(), |value| format!(" ({} {unit})", significant(value, 3)))
    };
    let mut parts = Vec::new();
    if let Some(usd) = accounts.cost_usd {
        let each = per(summary.cost_usd_per_million_useful_tok, "$ per million useful tokens");
        parts.push(format!("{} ${each}", significant(usd, 4)));
    }
    if let Some(kg) = accounts.carbon_kg {
        let each = per(summary.carbon_g_per_million_useful_tok, "g per million useful tokens");
        parts.push(format!("{} kg CO2{each}", significant(kg, 4)));
    }
    if let Some(litres) = accounts.water_l {
        let each = per(accounts.wue_l_per_kwh, "l/kWh IT");
        parts.push(format!("{} l water{each}", significant(litres, 4)));
    }
    if !parts.is_empty() {
        page.parts("Accounts  ", &parts);
    }
}

fn quality(page: &mut Page, summary: &Summary) {
    let Some(quality) = &summary.quality else { return };
    let mut parts = vec![
        quality
            .accuracy
            .map_or("nothing answered".into(), |a| format!("{} % right", significant(a * 100.0, 3))),
        format!("{} accepted", count(quality.accepted_answers)),
    ];
    if let Some(joules) = summary.j_per_accepted_answer.facility {
        parts.push(format!("{} each, facility", quantity(joules, "J")));
    }
    if let Some(tokens) = quality.mean_thinking_tok {
        parts.push(format!("{} tokens of thought on average", count(tokens.round() as u64)));
    }
    for (name, class) in &quality.by_class {
        let Some(found) = &class.answering else { continue };
        if let (Some(attempts), Some(tokens)) = (found.mean_attempts, found.mean_output_tok) {
            parts.push(format!(
                "{name}: {} attempts and {} tokens an answer",
                significant(attempts, 3),
                count(tokens.round() as u64)
            ));
        }
    }
    page.parts("Quality   ", &parts);
}

fn binding(page: &mut Page, outcome: &Outcome) {
    let summary = &outcome.summary;
    let stretches = ribbon::fleet(outcome);
    let last = stretches.iter().map(|s| s.end_s).fold(0.0, f64::max);
    if last > 0.0 {
        draw_ribbon(page, summary, &stretches, summary.scenario.duration_s.max(last));
    }
    let shares = listed(&summary.binding.share);
    if shares.is_empty() {
        return;
    }
    page.heading("Share of GPU time by what binds");
    let bar_width = page.width.saturating_sub(54).clamp(8, 24);
    for (constraint, share) in shares {
        let style = format!("38;5;{}", palette::terminal(constraint));
        let full = ((share * bar_width as f64).round() as usize).clamp(1, bar_width);
        let bar = page.style(&style, &palette::block(constraint).to_string().repeat(full));
        let pad = " ".repeat(bar_width - full);
        let head = format!("  {:<14}{:>6}  ", palette::name(constraint), percent(share));
        let place = place(&stretches, constraint, page.width.saturating_sub(24 + bar_width + 2));
        page.line(&format!("{head}{bar}{pad}  {place}"));
    }
}

/// One character per column: the constraint that holds longest in it; below, the time.
fn draw_ribbon(page: &mut Page, summary: &Summary, stretches: &[Stretch], end_s: f64) {
    page.heading("What binds, over time");
    let columns = page.width - 2;
    let line = ribbon_line(stretches, end_s, columns, page.color);
    page.line(&format!("  {line}"));
    let (marks, labels) = axis(summary.scenario.start_at_h, end_s, columns);
    page.line(&marks);
    page.line(&labels);
}

/// A ribbon of `columns` characters.
pub(super) fn ribbon_line(stretches: &[Stretch], end_s: f64, columns: usize, color: bool) -> String {
    let mut line = String::new();
    let mut run: (Option<Constraint>, usize) = (None, 0);
    let flush = |line: &mut String, run: (Option<Constraint>, usize)| {
        let block = run.0.map_or(' ', palette::block).to_string().repeat(run.1);
        match run.0.filter(|_| color) {
            Some(c) => {
                let _ = write!(line, "\u{1b}[38;5;{}m{block}\u{1b}[0m", palette::terminal(c));
            }
            None => line.push_str(&block),
        }
    };
    for column in ribbon::columns(stretches, end_s, columns) {
        let constraint = ribbon::longest(&column);
        if constraint != run.0 {
            flush(&mut line, run);
            run = (constraint, 0);
        }
        run.1 += 1;
    }
    flush(&mut line, run);
    line
}

/// One line per site, where there are several.
fn sites(page: &mut Page, summary: &Summary) {
    if summary.per_site.len() < 2 {
        return;
    }
    page.heading("Sites");
    for site in &summary.per_site {
        let facility = &site.power_w.facility;
        let mut parts = vec![
            format!("{} GPUs", count(site.gpus)),
            format!("mean {}, peak {}", quantity(facility.mean, "W"), quantity(facility.max, "W")),
        ];
        let shares: Vec<String> = listed(&site.binding.share)
            .into_iter()
            .take(3)
            .map(|(c, s)| format!("{} {}", palette::name(c), percent(s)))
            .collect();
        if !shares.is_empty() {
            parts.push(shares.join(", "));
        }
        page.parts(&format!("  {:<11} ", format!("{}:", site.name)), &parts);
    }
}

/// Constraints with a share, the largest first.
fn listed(share: &Shares) -> Vec<(Constraint, f64)> {
    let values = [
        share.demand,
        share.compute,
        share.memory_bandwidth,
        share.kv_capacity,
        share.power,
        share.cooling,
        share.operations,
    ];
    let mut out: Vec<(Constraint, f64)> =
        Constraint::ALL.into_iter().zip(values).filter(|s| s.1 > 0.0).collect();
    // Stable: ties stay in the order of reports.
    out.sort_by(|a, b| b.1.total_cmp(&a.1));
    out
}

/// Where a constraint bound longest, cut to `room` characters.
fn place(stretches: &[Stretch], constraint: Constraint, room: usize) -> String {
    let Some(place) = ribbon::main_place(stretches, constraint) else { return String::new() };
    let text = format!("at {place}");
    if text.chars().count() <= room {
        return text;
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Marks and labels below a ribbon of `columns` characters that is indented by two.
pub(super) fn axis(start_at_h: f64, end_s: f64, columns: usize) -> (String, String) {
    let (ticks, title) = time_axis::ticks(start_at_h, end_s, columns / 10);
    let mut marks = vec![' '; columns + 2];
    let mut labels: Vec<char> = vec![' '; columns + 2];
    let mut free = 0;
    for tick in ticks {
        let at = 2 + ((tick.time_s / end_s * columns as f64) as usize).min(columns - 1);
        let length = tick.label.chars().count();
        // Centred below its mark, but inside the line.
        let start = at.saturating_sub(length / 2).max(2).min((columns + 2).saturating_sub(length));
        if start < free {
            continue;
        }
        marks[at] = '╵';
        for (cell, c) in labels.iter_mut().skip(start).zip(tick.label.chars()) {
            *cell = c;
        }
        free = start + length + 1;
    }
    let unit = title.split_once('[').map_or("", |t| t.1.trim_end_matches(']'));
    let mut labels: String = labels.into_iter().collect();
    if unit == "s" || unit == "min" {
        // The unit follows the last label where there is room; the marks alone would not tell.
        let end = labels.trim_end().len();
        if end + 1 + unit.len() <= labels.len() {
            labels.truncate(end);
            let _ = write!(labels, " {unit}");
        } else if let Some(first) = labels.find(|c: char| c != ' ')
            && labels[first..].chars().nth(1) == Some(' ')
        {
            // "0" stands alone at the left: name the unit there.
            labels.replace_range(first + 1..first + 2 + unit.len(), &format!(" {unit}"));
        }
    }
    (marks.into_iter().collect(), labels)
}

fn staves(page: &mut Page, summary: &Summary) {
    let s = &summary.staves_tok_per_s;
    let values = [
        (Constraint::Demand, s.demand),
        (Constraint::Compute, s.compute),
        (Constraint::MemoryBandwidth, s.memory_bandwidth),
        (Constraint::KvCapacity, s.kv_capacity),
        (Constraint::Power, s.power),
        (Constraint::Cooling, s.cooling),
    ];
    let shortest = values.iter().filter_map(|v| v.1).reduce(f64::min);
    page.heading("Output rate each limit alone would allow [tok/s, mean]");
    for (constraint, value) in values {
        let name = palette::name(constraint);
        match value {
            Some(value) => {
                let mark = if Some(value) == shortest { "  ← shortest" } else { "" };
                let line = format!("  {name:<14}{:>8}{mark}", short(value));
                let line = if mark.is_empty() { line } else { page.style("1", &line) };
                page.line(&line);
            }
            None => page.line(&format!("  {name:<14}{:>8}  no limit known", "–")),
        }
    }
}

fn production_function(page: &mut Page, summary: &Summary) {
    let tpf = &summary.tpf;
    let rate = |v: Option<f64>| v.map_or("–".to_string(), short);
    page.out.push('\n');
    let parts = [
        format!("predicted {}", rate(tpf.predicted_tok_per_s)),
        format!("measured {} tok/s", rate(tpf.measured_tok_per_s)),
        format!("utilisation u {}", tpf.u.map_or("–".to_string(), |u| significant(u, 3))),
    ];
    page.parts("TPF       ", &parts);
}

/// What the fit leaves open.
fn uncertainty(page: &mut Page, outcome: &Outcome) {
    let summary = &outcome.summary;
    let Some(uncertainty) = &summary.uncertainty else { return };
    page.heading(&bands::heading(uncertainty));
    let row = |what: &str, run: &str, [low, middle, high]: [&str; 3], remark: &str| {
        format!("  {what:<24} {run:>9} {low:>9} {middle:>9} {high:>9}  {remark}")
    };
    let lines = |page: &mut Page, lines: &[bands::Line]| {
        for line in lines {
            let band = [0, 1, 2].map(|k| line.band[k].as_str());
            let text = row(&line.what, &line.run, band, &line.remark);
            if text.chars().count() <= page.width {
                page.line(&text);
            } else {
                let low_high = format!("{} ({} to {})", line.run, line.band[0], line.band[2]);
                page.wrapped("  ", &format!("{} {low_high} {}", line.what, line.remark));
            }
        }
    };
    let head = row("", "run", ["5 %", "50 %", "95 %"], "");
    if head.chars().count() + 9 <= page.width {
        page.line(&head);
    }
    lines(page, &bands::figures(summary, uncertainty));
    let (changes, more) = bands::changes(summary, uncertainty);
    lines(page, &changes);
    if more > 0 {
        page.line(&format!("  and {more} more changes of what binds"));
    }
    if let Some(failed) = bands::failed(outcome, uncertainty) {
        page.wrapped("  ", &format!("{failed}."));
    }
    page.wrapped("  ", bands::LIMITS);
}

fn notes(page: &mut Page, summary: &Summary) {
    let weak: Vec<&str> =
        summary.sources.iter().filter(|s| s.quality == "guess").map(|s| s.entry.as_str()).collect();
    if summary.notes.is_empty() && weak.is_empty() {
        return;
    }
    page.heading("Notes");
    for note in &summary.notes {
        page.wrapped("  - ", note);
    }
    if !weak.is_empty() {
        page.wrapped("  - ", &format!("Rests on guesses, marked so in the catalog: {}.", weak.join(", ")));
    }
}

fn engine(page: &mut Page, summary: &Summary) {
    let engine = &summary.engine;
    let mut parts = vec![
        format!("{} engine", engine.kind),
        format!(
            "{} events for {} iterations",
            short(engine.events as f64),
            short(engine.iterations_represented as f64)
        ),
    ];
    if let Some(wall_s) = engine.wall_s {
        parts.push(format!("simulated in {}", short_time(wall_s)));
    }
    if let Some(rate) = engine.requests_per_s {
        parts.push(format!("{} requests/s", short(rate)));
    }
    page.out.push('\n');
    page.parts("Engine    ", &parts);
}
