//! From the outcomes of draws to bands.

use super::changes::{lasting, paired};
use crate::ledger::outcome::{Stretch, Summary};
use crate::ledger::uncertainty::{Band, Change, Figures, FirstBand, FirstBands};
use crate::study::validate::quantile;

/// What of a draw is kept until all are done.
pub(super) struct Kept {
    pub summary: Summary,
    /// Its stretches that last.
    pub stretches: Vec<Stretch>,
}

impl Kept {
    /// Of a run of `duration_s`.
    pub(super) fn of(summary: Summary, duration_s: f64) -> Self {
        Self { stretches: lasting(&summary.binding.timeline, duration_s), summary }
    }
}

/// 5th, 50th and 95th percentile; none of none.
fn band(mut values: Vec<f64>) -> Option<Band> {
    values.sort_by(f64::total_cmp);
    Some(Band { p5: quantile(&values, 0.05)?, p50: quantile(&values, 0.5)?, p95: quantile(&values, 0.95)? })
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Bands of every figure.
pub(super) fn figures(draws: &[Kept]) -> Figures<Option<Band>> {
    Figures::each(|_, read| band(draws.iter().filter_map(|draw| read(&draw.summary)).collect()))
}

/// When power and cooling bind for the first time.
pub(super) fn first(draws: &[Kept]) -> FirstBands {
    let of = |read: fn(&Summary) -> Option<f64>| {
        let times: Vec<f64> = draws.iter().filter_map(|draw| read(&draw.summary)).collect();
        let share = share(times.len(), draws.len());
        let band = band(times);
        FirstBand { p5: band.map(|b| b.p5), p50: band.map(|b| b.p50), p95: band.map(|b| b.p95), share }
    };
    FirstBands { power_s: of(|s| s.binding.first.power_s), cooling_s: of(|s| s.binding.first.cooling_s) }
}

/// Changes of the run's binding constraint, with the times at which the same stretches begin in the draws.
pub(super) fn changes(run: &Summary, draws: &[Kept]) -> Vec<Change> {
    let duration_s = run.scenario.duration_s;
    let stretches = lasting(&run.binding.timeline, duration_s);
    let starts: Vec<Vec<Option<f64>>> =
        draws.iter().map(|draw| paired(&stretches, &draw.stretches, duration_s)).collect();
    stretches
        .windows(2)
        .enumerate()
        .map(|(k, pair)| {
            let times: Vec<f64> = starts.iter().filter_map(|starts| starts[k + 1]).collect();
            let share = share(times.len(), draws.len());
            let band = band(times);
            Change {
                from: pair[0].constraint,
                to: pair[1].constraint,
                place: pair[1].place.clone(),
                at_s: pair[1].start_s,
                p5_s: band.map(|b| b.p5),
                p50_s: band.map(|b| b.p50),
                p95_s: band.map(|b| b.p95),
                share,
            }
        })
        .collect()
}
