//! Names of columns as axis titles: words, unit, and the boundary at which energy is counted.

use super::numbers::{prefix, significant};
use super::palette;
use crate::ledger::outcome::Constraint;

/// How numbers of a column are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    /// A pure number.
    None,
    /// A share of 1, written in per cent.
    Share,
    /// Takes the prefix that suits the axis: W, J, tokens/s.
    Si(&'static str),
    /// Watts in units of 1e6 or 1e3: as it is, unless all are below 1 of it.
    Watts(f64),
    /// Seconds: written in s, ms or µs.
    Seconds,
    /// As it is.
    Fixed(&'static str),
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantity {
    /// With a capital: `Output rate`.
    pub(super) words: String,
    pub(super) unit: Unit,
}

/// The unit of an axis that reaches up to a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AxisUnit {
    /// What the numbers are divided by.
    pub(super) factor: f64,
    /// After the number: `MW`; empty for pure numbers.
    pub(super) text: String,
}

impl AxisUnit {
    /// ` [MW]`, or nothing.
    pub(super) fn bracket(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!(" [{}]", self.text) }
    }

    /// `9.15 MW`.
    pub(super) fn write(&self, value: f64) -> String {
        let number = significant(value / self.factor, 3);
        match self.text.as_str() {
            "" => number,
            unit => format!("{number} {unit}"),
        }
    }
}

impl Unit {
    /// The unit for an axis whose largest value is `limit`.
    pub(super) fn for_axis(self, limit: f64) -> AxisUnit {
        let of = |factor: f64, text: String| AxisUnit { factor, text };
        match self {
            Self::None => of(1.0, String::new()),
            Self::Share => of(0.01, "%".into()),
            Self::Fixed(text) => of(1.0, text.into()),
            Self::Si(text) => {
                // As the axes of runs: a prefix is kept until its numbers exceed 2,000.
                let (name, factor) = prefix(limit / 2.0);
                let space = if name.is_empty() || text.len() == 1 { "" } else { " " };
                of(factor, format!("{name}{space}{text}"))
            }
            Self::Watts(base) => {
                // Nobody reads 0.0045 MW.
                let (name, factor) = prefix(limit.abs() * base);
                match limit.abs() {
                    v if v >= 1.0 || v == 0.0 => of(1.0, if base == 1e6 { "MW" } else { "kW" }.into()),
                    _ => of(factor / base, format!("{name}W")),
                }
            }
            Self::Seconds => match limit.abs() {
                s if s >= 2.0 || s == 0.0 => of(1.0, "s".into()),
                s if s >= 2e-3 => of(1e-3, "ms".into()),
                _ => of(1e-6, "µs".into()),
            },
        }
    }
}

/// Ends of names, the longer before the shorter.
const SUFFIXES: [(&str, Unit); 31] = [
    ("_usd_per_million_useful_tok", Unit::Fixed("$/M tokens")),
    ("_g_per_million_useful_tok", Unit::Fixed("g/M tokens")),
    ("_g_per_kwh", Unit::Fixed("g/kWh")),
    ("_kg_per_kwh", Unit::Fixed("kg/kWh")),
    ("_l_per_kwh", Unit::Fixed("l/kWh")),
    ("_tok_per_s", Unit::Si("tokens/s")),
    ("_req_per_s", Unit::Si("requests/s")),
    ("_flop_per_s", Unit::Si("FLOP/s")),
    ("_per_s", Unit::Si("1/s")),
    ("_j_per_tok", Unit::Fixed("J/token")),
    ("_usd_per_mwh", Unit::Fixed("$/MWh")),
    ("_flop", Unit::Si("FLOP")),
    ("_mwh", Unit::Fixed("MWh")),
    ("_kwh", Unit::Fixed("kWh")),
    ("_mw", Unit::Watts(1e6)),
    ("_kw", Unit::Watts(1e3)),
    ("_w", Unit::Si("W")),
    ("_mj", Unit::Fixed("MJ")),
    ("_kj", Unit::Fixed("kJ")),
    ("_j", Unit::Si("J")),
    ("_ms", Unit::Fixed("ms")),
    ("_us", Unit::Fixed("µs")),
    ("_s", Unit::Seconds),
    ("_h", Unit::Fixed("h")),
    ("_c", Unit::Fixed("°C")),
    ("_kg", Unit::Fixed("kg")),
    ("_usd", Unit::Fixed("$")),
    ("_gb", Unit::Fixed("GB")),
    ("_tok", Unit::Fixed("tokens")),
    ("_l", Unit::Fixed("l")),
    ("_mhz", Unit::Fixed("MHz")),
];

/// What a column or axis of this name holds.
pub(super) fn quantity(name: &str) -> Quantity {
    known(name).unwrap_or_else(|| derived(name))
}

/// Columns of `summary.json` that reports are about.
fn known(name: &str) -> Option<Quantity> {
    let of = |words: String, unit: Unit| Some(Quantity { words, unit });
    let (first, rest) = name.split_once('.').unwrap_or((name, ""));
    match (first, rest) {
        ("throughput", "output_tok_per_s") => of("Output rate".into(), Unit::Si("tokens/s")),
        ("throughput", "useful_tok_per_s") => of("Useful output rate".into(), Unit::Si("tokens/s")),
        ("slo_attainment", "") => of("Requests within their SLO".into(), Unit::Share),
        ("quality", "accuracy") => of("Accuracy".into(), Unit::Share),
        ("binding", share) => {
            let key = share.strip_prefix("share.")?;
            let constraint = Constraint::ALL.into_iter().find(|c| c.key() == key)?;
            of(format!("GPU time bound by {}", palette::name(constraint)), Unit::Share)
        }
        ("j_per_output_token", at) => {
            of(format!("Energy per output token, {}", place(at)?), Unit::Fixed("J/token"))
        }
        ("j_per_useful_token", at) => {
            of(format!("Energy per useful token, {}", place(at)?), Unit::Fixed("J/token"))
        }
        ("j_per_accepted_answer", at) => {
            of(format!("Energy per accepted answer, {}", place(at)?), Unit::Fixed("J/answer"))
        }
        ("energy_j", at) => of(format!("Energy, {}", place(at)?), Unit::Si("J")),
        ("power_w", rest) => {
            let (at, statistic) = rest.split_once('.')?;
            of(format!("{} power, {}", statistic_word(statistic), place(at)?), Unit::Si("W"))
        }
        ("latency_s", rest) => {
            let (what, statistic) = rest.split_once('.')?;
            let what = match what {
                "ttft" => "time to first token",
                "tpot" => "time per output token",
                "itl" => "time between tokens",
                "e2e" => "time of a request",
                "queue" => "waiting time",
                _ => return None,
            };
            of(format!("{} {what}", statistic_word(statistic)), Unit::Seconds)
        }
        ("pue", statistic) if !statistic.is_empty() => {
            of(format!("{} PUE, facility over IT power", statistic_word(statistic)), Unit::None)
        }
        _ => None,
    }
}

/// The boundary at which energy is counted.
fn place(key: &str) -> Option<&'static str> {
    match key {
        "gpu" => Some("at the GPUs"),
        "it" => Some("at the IT equipment"),
        "facility" => Some("facility at the utility meter"),
        _ => None,
    }
}

fn statistic_word(key: &str) -> String {
    match key {
        "mean" => "Mean".into(),
        "min" => "Least".into(),
        "max" => "Largest".into(),
        "p50" => "Median".into(),
        p if p.starts_with('p') => format!("{}th-percentile", &p[1..]),
        other => spelled(other),
    }
}

/// Words and unit from the name itself.
fn derived(name: &str) -> Quantity {
    let parts: Vec<&str> = name.split('.').filter(|p| !p.is_empty() && p.parse::<usize>().is_err()).collect();
    // The part that carries a unit: most often the last, in `power_w.facility.mean` the first.
    let carried = parts.iter().rposition(|part| suffix(part).is_some());
    let unit = carried.and_then(|k| suffix(parts[k])).map_or(Unit::None, |s| s.1);
    let bare = |k: usize, part: &str| match suffix(part) {
        Some((end, _)) if Some(k) == carried => part[..part.len() - end.len()].to_string(),
        _ => part.to_string(),
    };
    let last = parts.last().copied().unwrap_or(name);
    if matches!(last, "pue" | "static_pue") {
        return Quantity { words: "PUE (facility over IT power)".into(), unit };
    }
    let is_power = matches!(unit, Unit::Watts(_) | Unit::Si("W"));
    if is_power && last.starts_with("cap_") && !name.contains("gpu") {
        return Quantity { words: "Power cap, facility at the utility meter".into(), unit };
    }
    // Of a long path, the end says what it is.
    let from = parts.len().saturating_sub(2);
    let words: Vec<String> = parts
        .iter()
        .enumerate()
        .skip(from)
        .map(|(k, part)| spelled(&bare(k, part)))
        .filter(|w| !w.is_empty())
        .collect();
    Quantity { words: capital(&words.join(" ")), unit }
}

fn suffix(part: &str) -> Option<(&'static str, Unit)> {
    SUFFIXES.into_iter().find(|(end, _)| part.len() > end.len() && part.ends_with(end))
}

/// `tpot_p99` → `TPOT p99`.
fn spelled(part: &str) -> String {
    let word = |w: &str| match w {
        "pue" | "slo" | "ttft" | "tpot" | "itl" | "gpu" | "it" | "kv" | "ups" | "pdu" | "cdu" | "cop" => {
            w.to_uppercase()
        }
        "seqs" => "sequences".into(),
        "max" => "largest".into(),
        "min" => "least".into(),
        w => w.to_string(),
    };
    part.split('_').filter(|w| !w.is_empty()).map(word).collect::<Vec<_>>().join(" ")
}

/// With a capital letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Without its capital, unless it is an abbreviation: to stand within a sentence.
pub(super) fn small(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words_and_units() {
        for (name, words, unit) in [
            ("throughput.output_tok_per_s", "Output rate", Unit::Si("tokens/s")),
            ("power.cap_mw", "Power cap, facility at the utility meter", Unit::Watts(1e6)),
            ("fleet.sites.0.power.cap_mw", "Power cap, facility at the utility meter", Unit::Watts(1e6)),
            ("site.pue", "PUE (facility over IT power)", Unit::None),
            ("power_w.it.p99", "99th-percentile power, at the IT equipment", Unit::Si("W")),
            ("latency_s.tpot.p99", "99th-percentile time per output token", Unit::Seconds),
            ("j_per_useful_token.gpu", "Energy per useful token, at the GPUs", Unit::Fixed("J/token")),
            ("binding.share.kv_capacity", "GPU time bound by KV capacity", Unit::Share),
            ("cooling.zones.0.set_point_c", "Zones set point", Unit::Fixed("°C")),
            ("slo.ttft_ms", "SLO TTFT", Unit::Fixed("ms")),
            ("pools.0.batching.max_seqs", "Batching largest sequences", Unit::None),
            ("nodes", "Nodes", Unit::None),
            ("cost_usd_per_million_useful_tok", "Cost", Unit::Fixed("$/M tokens")),
            ("wue_l_per_kwh", "Wue", Unit::Fixed("l/kWh")),
            ("cue_kg_per_kwh", "Cue", Unit::Fixed("kg/kWh")),
            ("tpf.k_eff_flop_per_s", "Tpf k eff", Unit::Si("FLOP/s")),
        ] {
            assert_eq!(quantity(name), Quantity { words: words.into(), unit }, "{name}");
        }
    }

    #[test]
    fn axes_take_the_prefix_of_their_largest_value() {
        let at = |unit: Unit, limit: f64| unit.for_axis(limit).text;
        assert_eq!(at(Unit::Si("tokens/s"), 9e7), "M tokens/s");
        assert_eq!(at(Unit::Si("W"), 1_500.0), "W");
        assert_eq!(at(Unit::Si("W"), 15_000.0), "kW");
        assert_eq!(at(Unit::Seconds, 0.05), "ms");
        assert_eq!((at(Unit::Watts(1e6), 16.0), at(Unit::Watts(1e6), 0.16)), ("MW".into(), "kW".into()));
        assert_eq!(Unit::Watts(1e6).for_axis(0.16).write(0.0045), "4.50 kW");
        assert_eq!(Unit::Share.for_axis(1.0).write(0.5), "50.0 %");
        assert_eq!(Unit::None.for_axis(1.0).bracket(), "");
        assert_eq!(small("PUE of it"), "PUE of it");
        assert_eq!(small("Output rate"), "output rate");
    }
}
