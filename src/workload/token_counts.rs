//! Token counts of many requests: exact, in memory that the longest count bounds and the number of rows does not.

use super::lengths::MOST_TOK;
use crate::physics::normal::{lognormal_below, lognormal_limited_mean};

/// How often each count of tokens occurs: 8 bytes for each count up to the largest, at most 80 MB.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenCounts {
    /// By count of tokens.
    times: Vec<u64>,
    n: u64,
    sum: u128,
}

impl TokenCounts {
    #[inline]
    pub(crate) fn add(&mut self, tok: u32) {
        let i = tok as usize;
        if i >= self.times.len() {
            // In steps, so that a slow climb does not copy the counts again and again.
            let room = (i + 1).next_power_of_two().min(MOST_TOK as usize + 1).max(i + 1);
            self.times.resize(room, 0);
        }
        self.times[i] += 1;
        self.n += 1;
        self.sum += u128::from(tok);
    }

    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum as f64 / self.n.max(1) as f64
    }

    /// Counts that occur, in order, and how often.
    fn counts(&self) -> impl DoubleEndedIterator<Item = (u32, u64)> {
        self.times
            .iter()
            .enumerate()
            .filter(|&(_, &times)| times > 0)
            .map(|(tok, &times)| (tok as u32, times))
    }

    pub(crate) fn least(&self) -> u32 {
        self.counts().next().map_or(0, |(tok, _)| tok)
    }

    pub(crate) fn most(&self) -> u32 {
        self.counts().next_back().map_or(0, |(tok, _)| tok)
    }

    /// The smallest count that at least a share `q` of the requests does not exceed.
    pub(crate) fn quantile(&self, q: f64) -> u32 {
        let wanted = (q * self.n as f64).ceil().max(1.0);
        let mut below = 0_u64;
        for (tok, times) in self.counts() {
            below += times;
            if below as f64 >= wanted {
                return tok;
            }
        }
        self.most()
    }

    /// Standard deviation [tokens].
    pub(crate) fn sd(&self) -> f64 {
        let mean = self.mean();
        let sum: f64 = self.counts().map(|(tok, times)| times as f64 * (f64::from(tok) - mean).powi(2)).sum();
        (sum / self.n.max(1) as f64).sqrt()
    }

    /// Mean and standard deviation of the logarithm; 0 for counts of 0, which only thought can have.
    pub(crate) fn ln_moments(&self) -> (f64, f64) {
        let n = self.n.max(1) as f64;
        let ln = |tok: u32| f64::from(tok.max(1)).ln();
        let mean = self.counts().map(|(tok, times)| times as f64 * ln(tok)).sum::<f64>() / n;
        let var = self.counts().map(|(tok, times)| times as f64 * (ln(tok) - mean).powi(2)).sum::<f64>() / n;
        (mean, var.sqrt())
    }

    /// Largest distance between the shares of requests up to a count here and in a model, whose share up to k tokens
    /// is `below(k)` (Kolmogorov–Smirnov).
    pub(crate) fn distance(&self, below: impl Fn(u32) -> f64) -> f64 {
        let n = self.n.max(1) as f64;
        let (mut share, mut most) = (0.0_f64, 0.0_f64);
        let mut seen = 0_u64;
        for (tok, times) in self.counts() {
            // Both are steps at whole tokens: the sample is flat up to `tok`, the model grows.
            if tok > 0 {
                most = most.max((below(tok - 1) - share).abs());
            }
            seen += times;
            share = seen as f64 / n;
            most = most.max((below(tok) - share).abs());
        }
        most
    }
}

/// Mean of draws of LogNormal(μ, σ) rounded up to whole tokens and limited to `max_tok`, as scenarios draw them.
pub(crate) fn drawn_lognormal_mean(mu: f64, sigma: f64, max_tok: u32) -> f64 {
    // A mean of whole numbers is the sum of the shares above 0, 1, 2 …: term by term while rounding matters, then
    // as an integral and half of its ends (Euler and Maclaurin; the next term is below 1e-6).
    const EXACT: u32 = 1024;
    let above = |k: u32| 1.0 - lognormal_below(f64::from(k), mu, sigma);
    let exact: f64 = (0..max_tok.min(EXACT)).map(above).sum();
    if max_tok <= EXACT {
        return exact;
    }
    let limited = |k: u32| lognormal_limited_mean(f64::from(k), mu, sigma);
    exact + limited(max_tok) - limited(EXACT) + 0.5 * (above(EXACT) - above(max_tok))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_counts() {
        let mut counts = TokenCounts::default();
        for tok in [5, 1, 9, 9, 3, 2, 70_000, 4, 8, 9] {
            counts.add(tok);
        }
        assert_eq!(
            [0.1, 0.5, 0.51, 0.9, 0.91, 1.0].map(|q| counts.quantile(q)),
            [1, 5, 8, 9, 70_000, 70_000]
        );
        assert_eq!((counts.least(), counts.most(), counts.n()), (1, 70_000, 10));
        assert_eq!(counts.mean(), 7005.0);
        let sd = (counts.counts().map(|(t, k)| k as f64 * (f64::from(t) - 7005.0).powi(2)).sum::<f64>()
            / 10.0)
            .sqrt();
        assert!((counts.sd() - sd).abs() < 1e-9 && sd > 20_000.0);
    }

    #[test]
    fn the_distance_is_found_on_both_sides_of_a_step() {
        let mut counts = TokenCounts::default();
        for tok in [10, 10, 10, 20] {
            counts.add(tok);
        }
        // Against a model that has all at 15: 3/4 are below at 14, 1/4 above from 15 on.
        let d = counts.distance(|k| f64::from(u8::from(k >= 15)));
        assert_eq!(d, 0.75);
        // Against itself, nothing.
        assert_eq!(
            counts.distance(|k| if k < 10 {
                0.0
            } else if k < 20 {
                0.75
            } else {
                1.0
            }),
            0.0
        );
        // Against all at 12 of a sample at 20 only: everything, just before 20.
        let mut late = TokenCounts::default();
        late.add(20);
        assert_eq!(late.distance(|k| f64::from(u8::from(k >= 12))), 1.0);
    }

    #[test]
    fn the_mean_of_drawn_lengths_is_the_sum_of_their_tail() {
        for (mu, sigma, max) in [(0.0, 1.5, 900), (6.0, 1.1, 16_384), (3.0, 2.0, 4_000), (9.0, 0.5, 200_000)]
        {
            let sum: f64 = (0..max).map(|k| 1.0 - lognormal_below(f64::from(k), mu, sigma)).sum();
            let mean = drawn_lognormal_mean(mu, sigma, max);
            assert!((mean / sum - 1.0).abs() < 1e-6, "{mu} {sigma} {max}: {mean}, not {sum}");
        }
    }
}
