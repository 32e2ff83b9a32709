//! Latency statistics in constant memory: exact means, percentiles within 0.1 %.

use hdrhistogram::Histogram;

use super::outcome::Quantiles;
use crate::physics::series::Series;

/// Femtoseconds in a nanosecond, the unit of the histograms.
const FS_PER_NS: i128 = 1_000_000;
/// Longest latency told apart: eleven days; longer ones count as this in percentiles, exactly in means.
const MOST_NS: u64 = 1_000_000_000_000_000;

/// One latency.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
    sum_fs: i128,
    count: u64,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MOST_NS, 3).expect("the bounds are valid");
        Self { histogram, sum_fs: 0, count: 0 }
    }
}

impl Latency {
    /// Record one latency `count` times.
    pub fn record(&mut self, latency_fs: i128, count: u64) {
        self.sum_fs += latency_fs * i128::from(count);
        self.count += count;
        self.histogram.saturating_record_n(in_ns(latency_fs), count);
    }

    /// Record iterations `from..until` of a series, `count` times each.
    pub fn record_series(&mut self, series: &Series, from: i128, until: i128, count: u64) {
        if until <= from || count == 0 {
            return;
        }
        self.sum_fs += (series.sum_fs(until) - series.sum_fs(from)) * i128::from(count);
        self.count += (until - from) as u64 * count;
        let mut index = from;
        while index < until {
            let duration = series.nth_fs(index);
            let value = in_ns(duration);
            // All iterations that fall into this histogram cell at once.
            let cell_end_fs = (i128::from(self.histogram.highest_equivalent(value)) + 1) * FS_PER_NS - 1;
            let alike = if series.nth_fs(until - 1) <= cell_end_fs {
                until - index
            } else {
                (cell_end_fs - duration) / series.increment_fs + 1
            };
            self.histogram.saturating_record_n(value, alike as u64 * count);
            index += alike;
        }
    }

    /// Mean and percentiles [s].
    pub fn quantiles(&self) -> Quantiles {
        if self.count == 0 {
            return Quantiles::default();
        }
        let at = |q: f64| Some(self.histogram.value_at_quantile(q) as f64 * 1e-9);
        Quantiles {
            n: self.count,
            mean: Some(self.sum_fs as f64 / self.count as f64 * 1e-15),
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
        }
    }
}

/// Whole nanoseconds, at most what the histograms tell apart.
fn in_ns(latency_fs: i128) -> u64 {
    // A 128 bit division is an order of magnitude slower, and only latencies of hours need it.
    match u64::try_from(latency_fs) {
        Ok(short) => short / FS_PER_NS as u64,
        Err(_) => ((latency_fs / FS_PER_NS) as u64).min(MOST_NS),
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
            one_by_one.record(series.nth_fs(index), 17);
        }
        assert_eq!(at_once.sum_fs, one_by_one.sum_fs);
        assert_eq!(at_once.count, one_by_one.count);
        assert!(at_once.histogram == one_by_one.histogram, "same cells");
    }
}
