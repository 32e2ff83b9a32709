//! `wattmill trace info`: what a trace is like.

use std::path::PathBuf;

use clap::Args;
use wattmill::catalog::Difficulty;
use wattmill::workload::describe::{DescribeOptions, Description, Lengths, Profile, describe};

use super::super::exit::Failure;
use super::{Format, interrupt};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The trace (.csv, .jsonl, each also .gz; .wmt)
    trace: PathBuf,
    /// Columns
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Length of the windows in which the peak rate is sought [s]
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    window_s: f64,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
One pass, row by row: memory does not grow with the rows. Quantiles are exact, from counts of each number of tokens: the
smallest number that a share of the requests does not exceed. CV: standard deviation over mean of the gaps between
arrivals, 1 for Poisson. Dispersion: variance over mean of the requests in whole windows, 1 for Poisson. sigma ln:
standard deviation of the logarithm. Rows that cannot be replayed are listed and left out of everything else.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let stop = interrupt::watch()?;
    let options =
        DescribeOptions { format: arguments.format.into(), window_s: arguments.window_s, stop: Some(&stop) };
    let description = describe(&arguments.trace, &options)?;
    super::print(arguments.json, &description, || table(&description))
}

fn table(d: &Description) -> String {
    let mut lines = vec![format!("{}: {}, {} requests", d.file, d.format, grouped(d.requests))];
    let mut put = |name: &str, text: String| lines.push(format!("  {name:<12}{text}"));
    if let Some(utc) = &d.starts_utc {
        put("starts", format!("{utc}, time 0"));
    }
    for (name, text) in of_profile(&d.all) {
        put(name, text);
    }
    for class in &d.classes {
        put("class", format!("{}: {} requests", class.name, grouped(class.requests)));
        for (name, text) in of_profile(&class.profile) {
            put("", format!("  {name:<12}{text}"));
        }
    }
    if let Some(counts) = d.difficulty {
        let shown: Vec<String> = Difficulty::ALL
            .into_iter()
            .zip(counts)
            .map(|(difficulty, count)| format!("{} {}", difficulty.name(), grouped(count)))
            .collect();
        put("difficulty", shown.join(", "));
    }
    if d.failed_left_out > 0 {
        put("failed", format!("{} rows without tokens, left out", grouped(d.failed_left_out)));
    }
    if !d.columns_not_read.is_empty() {
        put("not read", d.columns_not_read.join(", "));
    }
    put("bad rows", grouped(d.bad_rows.count));
    for row in &d.bad_rows.first {
        let place = [row.line, row.column].map(|n| n.map_or(String::new(), |n| format!("{n}:"))).concat();
        put("", format!("{}:{place} {}", d.file, row.message));
    }
    let more = d.bad_rows.count - d.bad_rows.first.len() as u64;
    if more > 0 {
        put("", format!("and {} more", grouped(more)));
    }
    lines.join("\n")
}

fn of_profile(p: &Profile) -> Vec<(&'static str, String)> {
    let rates = &p.rate_per_s;
    let mut lines = vec![("time", format!("{:.3} to {:.3} s, {}", p.first_s, p.last_s, span(p.span_s)))];
    let mean = rates.mean.map_or("all at one instant".into(), |mean| format!("{}/s mean", short(mean)));
    lines.push((
        "rate",
        format!(
            "{mean}, {}/s peak over {} s (from {:.0} s on)",
            short(rates.peak),
            rates.window_s,
            rates.peak_at_s
        ),
    ));
    if let Some(gaps) = &p.gaps {
        let cv = gaps.cv.map_or("no".into(), short);
        lines.push((
            "gaps",
            format!(
                "{} s mean, CV {cv}, {:.1} % of zero length",
                short(gaps.mean_s),
                100.0 * gaps.simultaneous
            ),
        ));
    }
    if !p.dispersion.is_empty() {
        let all: Vec<String> =
            p.dispersion.iter().map(|d| format!("{} over {} s", short(d.index), d.window_s)).collect();
        lines.push(("dispersion", all.join(", ")));
    }
    lines.push((
        "[tok]",
        ["mean", "sd", "min", "p50", "p90", "p99", "max", "sigma ln"]
            .map(|name| format!("{name:>10}"))
            .concat(),
    ));
    lines.push(("prompt", of_lengths(&p.prompt_tok)));
    lines.push(("output", of_lengths(&p.output_tok)));
    if let Some(thinking) = &p.thinking_tok {
        lines.push(("thinking", of_lengths(thinking)));
    }
    if let Some(c) = &p.correlation {
        lines.push((
            "correlation",
            format!("{:.3} of prompt and output, {:.3} of their logarithms", c.tokens, c.logarithms),
        ));
    }
    lines
}

fn of_lengths(l: &Lengths) -> String {
    let whole = [l.min, l.p50, l.p90, l.p99, l.max].map(|tok| format!("{:>10}", grouped(u64::from(tok))));
    format!("{:>10.1}{:>10.1}{}{:>10.3}", l.mean, l.sd, whole.concat(), l.sigma_ln)
}

/// Four digits.
fn short(x: f64) -> String {
    if x == 0.0 || (0.001..1e6).contains(&x) {
        let decimals = if x >= 1000.0 { 0 } else { 3 - (x.max(0.001).log10().floor() as i32).min(3) };
        format!("{x:.*}", decimals as usize)
    } else {
        format!("{x:.3e}")
    }
}

fn span(s: f64) -> String {
    match s {
        s if s < 120.0 => format!("{} s", short(s)),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// A whole number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
