//! The binding constraint over time, cut to what a ribbon of a given resolution can show.

use crate::ledger::outcome::{Constraint, Outcome, Stretch};

/// Fleet ribbon of an outcome; taken from the time series where the outcome has no timeline.
pub(crate) fn fleet(outcome: &Outcome) -> Vec<Stretch> {
    if !outcome.summary.binding.timeline.is_empty() {
        return outcome.summary.binding.timeline.clone();
    }
    let mut out: Vec<Stretch> = Vec::new();
    for row in &outcome.series {
        let Some(constraint) = row.binding else { continue };
        let end_s = row.time_s + row.length_s;
        match out.last_mut() {
            Some(last) if last.constraint == constraint && last.end_s == row.time_s => last.end_s = end_s,
            _ => out.push(Stretch { start_s: row.time_s, end_s, constraint, place: String::new() }),
        }
    }
    out
}

/// Position in [`Constraint::ALL`].
pub(crate) fn index(constraint: Constraint) -> usize {
    match constraint {
        Constraint::Demand => 0,
        Constraint::Compute => 1,
        Constraint::MemoryBandwidth => 2,
        Constraint::KvCapacity => 3,
        Constraint::Power => 4,
        Constraint::Cooling => 5,
        Constraint::Operations => 6,
    }
}

/// Seconds per constraint in each of `n` equal columns of [0, `end_s`].
pub(crate) fn columns(stretches: &[Stretch], end_s: f64, n: usize) -> Vec<[f64; 7]> {
    let mut out = vec![[0.0; 7]; n];
    if !(end_s > 0.0 && end_s.is_finite()) || n == 0 {
        return out;
    }
    let width = end_s / n as f64;
    for s in stretches {
        let (from, to) = (s.start_s.clamp(0.0, end_s), s.end_s.clamp(0.0, end_s));
        if from >= to {
            continue;
        }
        let first = ((from / width) as usize).min(n - 1);
        let last = ((to / width) as usize).min(n - 1);
        for (column, seconds) in out.iter_mut().enumerate().take(last + 1).skip(first) {
            let left = (column as f64 * width).max(from);
            let right = ((column + 1) as f64 * width).min(to);
            seconds[index(s.constraint)] += (right - left).max(0.0);
        }
    }
    out
}

/// The constraint that holds longest in a column; the first in report order on a tie, none if empty.
pub(crate) fn longest(column: &[f64; 7]) -> Option<Constraint> {
    let mut best: Option<(Constraint, f64)> = None;
    for (constraint, &seconds) in Constraint::ALL.into_iter().zip(column) {
        if seconds > best.map_or(0.0, |b| b.1) {
            best = Some((constraint, seconds));
        }
    }
    best.map(|b| b.0)
}

/// The place that a constraint bound longest at, if it is named.
pub(crate) fn main_place(stretches: &[Stretch], constraint: Constraint) -> Option<&str> {
    let mut sums: Vec<(&str, f64)> = Vec::new();
    for s in stretches.iter().filter(|s| s.constraint == constraint && !s.place.is_empty()) {
        match sums.iter_mut().find(|p| p.0 == s.place) {
            Some(p) => p.1 += s.end_s - s.start_s,
            None => sums.push((&s.place, s.end_s - s.start_s)),
        }
    }
    let mut best: Option<(&str, f64)> = None;
    for (place, seconds) in sums {
        if best.is_none_or(|b| seconds > b.1) {
            best = Some((place, seconds));
        }
    }
    best.map(|b| b.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(start_s: f64, end_s: f64, constraint: Constraint) -> Stretch {
        Stretch { start_s, end_s, constraint, place: format!("at {start_s}") }
    }

    #[test]
    fn columns_lose_no_time() {
        let line = [
            stretch(0.0, 60.0, Constraint::Demand),
            stretch(60.0, 180.0, Constraint::Power),
            stretch(180.0, 250.0, Constraint::Compute),
        ];
        for n in [1, 2, 3, 7, 80] {
            let cut = columns(&line, 250.0, n);
            let total: f64 = cut.iter().flatten().sum();
            assert!((total - 250.0).abs() < 1e-9, "{n}");
            for c in &cut {
                assert!((c.iter().sum::<f64>() - 250.0 / n as f64).abs() < 1e-9);
            }
        }
        assert_eq!(longest(&columns(&line, 250.0, 1)[0]), Some(Constraint::Power));
        assert_eq!(longest(&[0.0; 7]), None);
        assert_eq!(main_place(&line, Constraint::Power), Some("at 60"));
    }
}
