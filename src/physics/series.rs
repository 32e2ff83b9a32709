//! Durations of successive iterations form an arithmetic series; sums and inverses in integers.

use super::real;

/// Iterations of duration first, first + increment, first + 2·increment, … [fs].
///
/// An iteration lasts less than 2^62 fs (77 minutes; see [`super::step::StepLaw::longest_s`]), so that single
/// durations fit 64 bits; their sums may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Series {
    /// First duration, ≥ 1 [fs].
    pub first_fs: i64,
    /// Growth per iteration, ≥ 0 [fs].
    pub increment_fs: i64,
}

impl Series {
    /// Duration of the first `count` iterations together [fs].
    #[inline]
    pub fn sum_fs(&self, count: i64) -> i128 {
        let firsts = i128::from(count) * i128::from(self.first_fs);
        // A product of 128 bits costs three of 64, and pairs fit the latter.
        if count <= 1 << 31 {
            let pairs = (count * (count - 1)) >> 1;
            return firsts + i128::from(self.increment_fs) * i128::from(pairs);
        }
        let pairs = (i128::from(count) * i128::from(count - 1)) >> 1;
        firsts + i128::from(self.increment_fs) * pairs
    }

    /// Duration of iteration number `index`, from 0; of those there are [fs].
    #[inline]
    pub fn nth_fs(&self, index: i64) -> i64 {
        self.first_fs + self.increment_fs * index
    }

    /// How many iterations are over after `elapsed_fs` ≥ 0: the largest k with sum(k) ≤ elapsed.
    pub fn completed(&self, elapsed_fs: i128) -> i64 {
        self.completed_by(elapsed_fs).0
    }

    /// As [`Self::completed`], and how long those iterations last together [fs].
    #[inline]
    pub fn completed_by(&self, elapsed_fs: i128) -> (i64, i128) {
        if elapsed_fs < i128::from(self.first_fs) {
            return (0, 0);
        }
        self.completed_some(elapsed_fs)
    }

    fn completed_some(&self, elapsed_fs: i128) -> (i64, i128) {
        if self.increment_fs == 0 {
            // A 128 bit division is an order of magnitude slower, and few runs are longer than five hours.
            let count = match u64::try_from(elapsed_fs) {
                Ok(elapsed) => (elapsed / self.first_fs as u64) as i64,
                Err(_) => (elapsed_fs / i128::from(self.first_fs)) as i64,
            };
            return (count, i128::from(count) * i128::from(self.first_fs));
        }
        // A real-valued root is within a few units; integers decide.
        let (a, b, x) = (self.first_fs as f64, self.increment_fs as f64, real(elapsed_fs));
        let linear = a - 0.5 * b;
        let root = 2.0 * x / (linear + (linear * linear + 2.0 * b * x).sqrt());
        let mut k = (root as i64).max(1);
        let mut sum = self.sum_fs(k);
        while sum > elapsed_fs {
            k -= 1;
            sum = self.sum_fs(k);
        }
        loop {
            let next = sum + i128::from(self.first_fs) + i128::from(self.increment_fs) * i128::from(k);
            if next > elapsed_fs {
                return (k, sum);
            }
            (k, sum) = (k + 1, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_inverts_the_sum() {
        for (first, increment) in
            [(1, 0), (7, 0), (1, 1), (10_000_000, 3), (3, 10_000_000), (9_950_538_825_564, 39_126_000)]
        {
            let series = Series { first_fs: first, increment_fs: increment };
            let mut walked = 0;
            for k in 0..2_000_i64 {
                assert_eq!(series.sum_fs(k), walked);
                assert_eq!(series.completed(walked), k);
                let next = i128::from(series.nth_fs(k));
                assert_eq!(series.completed(walked + next - 1), k);
                walked += next;
            }
            let far = series.sum_fs(1_000_000_007);
            assert_eq!(series.completed(far), 1_000_000_007);
            assert_eq!(series.completed(far - 1), 1_000_000_006);
        }
    }
}
