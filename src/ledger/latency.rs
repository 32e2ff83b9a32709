//! Latency statistics in constant memory: exact means, percentiles within 0.1 %.

use super::outcome::Quantiles;
use crate::physics::histogram::{Histogram, cell_of, highest_equivalent};
use crate::physics::series::Series;

/// Femtoseconds in a nanosecond, the unit of the histograms.
const FS_PER_NS: u64 = 1_000_000;
/// Longest latency told apart: eleven days; longer ones count as this in percentiles, exactly in means.
const MOST_NS: u64 = 1_000_000_000_000_000;

/// One latency.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    histogram: Histogram,
    sum_fs: i128,
}

impl Latency {
    /// Record one latency `count` times.
    #[inline]
    pub fn record(&mut self, latency_fs: i128, count: u64) {
        self.sum_fs += latency_fs * i128::from(count);
        self.histogram.record_n(in_ns(latency_fs), count);
    }

    /// Record the first `iterations` of a series, `count` times each; together they last `duration_fs`.
    #[inline(always)]
    pub fn record_whole(&mut self, series: &Series, iterations: u64, count: u64, duration_fs: u64) {
        if count == 0 {
            return;
        }
        self.sum_fs += i128::from(duration_fs) * i128::from(count);
        self.record_cells(series, 0, iterations as i64, count);
    }

    /// Record iterations `from..until` of a series, `count` times each.
    #[inline]
    pub fn record_series(&mut self, series: &Series, from: i64, until: i64, count: u64) {
        if until <= from || count == 0 {
            return;
        }
        let first_fs = series.nth_fs(from);
        let last_fs = series.nth_fs(until - 1);
        // n·(first + last) of an arithmetic series is even.
        let twice = i128::from(until - from) * i128::from(first_fs + last_fs);
        self.sum_fs += (twice >> 1) * i128::from(count);
        self.record_cells(series, from, until, count);
    }

    #[inline(always)]
    fn record_cells(&mut self, series: &Series, from: i64, until: i64, count: u64) {
        let first_fs = series.nth_fs(from) as u64;
        let value = first_fs / FS_PER_NS;
        let (cell, next_fs) = (cell_of(value), (highest_equivalent(value) + 1) * FS_PER_NS);
        // As a rule all fall into one cell of the histogram.
        if (series.nth_fs(until - 1) as u64) < next_fs {
            self.histogram.record_cell(cell, (until - from) as u64 * count);
        } else {
            self.record_spread(first_fs, series.increment_fs as u64, (until - from) as u64, count);
        }
    }

    /// As [`Self::record_cells`], over several of them: `iterations` of which the first lasts `duration_fs`.
    fn record_spread(&mut self, mut duration_fs: u64, increment_fs: u64, iterations: u64, count: u64) {
        let mut left = iterations;
        while left > 0 {
            let value = duration_fs / FS_PER_NS;
            // All iterations that fall into this cell at once.
            let last_fs = (highest_equivalent(value) + 1) * FS_PER_NS - 1;
            let alike = ((last_fs - duration_fs) / increment_fs + 1).min(left);
            self.histogram.record_cell(cell_of(value), alike * count);
            duration_fs += alike * increment_fs;
            left -= alike;
        }
    }

    /// Mean and percentiles [s].
    pub fn quantiles(&self) -> Quantiles {
        let count = self.histogram.total();
        if count == 0 {
            return Quantiles::default();
        }
        let at = |q: f64| Some(self.histogram.value_at_quantile(q) as f64 * 1e-9);
        Quantiles {
            n: count,
            mean: Some(self.sum_fs as f64 / count as f64 * 1e-15),
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
        }
    }
}

/// Whole nanoseconds, at most what the histograms tell apart.
#[inline]
fn in_ns(latency_fs: i128) -> u64 {
    // A 128 bit division is an order of magnitude slower, and only latencies of hours need it.
    match u64::try_from(latency_fs) {
        Ok(short) => (short / FS_PER_NS).min(MOST_NS),
        Err(_) => ((latency_fs / i128::from(FS_PER_NS)) as u64).min(MOST_NS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_counts_as_its_iterations_one_by_one() {
        let series = Series { first_fs: 9_123_456_789_012, increment_fs: 1_234_567_890 };
        let (mut at_once, mut one_by_one) = (Latency::default(), Latency::default());
        at_once.record_series(&series, 3, 5_000, 17);
        for index in 3..5_000 {
            one_by_one.record(i128::from(series.nth_fs(index)), 17);
        }
        assert_eq!(at_once.sum_fs, one_by_one.sum_fs);
        assert_eq!(at_once.histogram.total(), 17 * 4_997);
        assert!(at_once.histogram == one_by_one.histogram, "same cells");
    }
}
