//! Durations of successive iterations form an arithmetic series; sums and inverses in integers.

/// Iterations of duration first, first + increment, first + 2·increment, … [fs].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Series {
    /// First duration, ≥ 1 [fs].
    pub first_fs: i128,
    /// Growth per iteration, ≥ 0 [fs].
    pub increment_fs: i128,
}

impl Series {
    /// Duration of the first `count` iterations together [fs].
    pub fn sum_fs(&self, count: i128) -> i128 {
        count * self.first_fs + self.increment_fs * (count * (count - 1) / 2)
    }

    /// Duration of iteration number `index`, from 0 [fs].
    pub fn nth_fs(&self, index: i128) -> i128 {
        self.first_fs + self.increment_fs * index
    }

    /// How many iterations are over after `elapsed_fs` ≥ 0: the largest k with sum(k) ≤ elapsed.
    pub fn completed(&self, elapsed_fs: i128) -> i128 {
        if elapsed_fs < self.first_fs {
            return 0;
        }
        if self.increment_fs == 0 {
            // A 128 bit division is an order of magnitude slower, and few runs are longer than five hours.
            return match (u64::try_from(elapsed_fs), u64::try_from(self.first_fs)) {
                (Ok(elapsed), Ok(first)) => i128::from(elapsed / first),
                _ => elapsed_fs / self.first_fs,
            };
        }
        // A real-valued root is within a few units; integers decide.
        let (a, b, x) = (real(self.first_fs), real(self.increment_fs), real(elapsed_fs));
        let linear = a - 0.5 * b;
        let root = 2.0 * x / (linear + (linear * linear + 2.0 * b * x).sqrt());
        let mut k = (root.floor() as i128).max(1);
        while self.sum_fs(k) > elapsed_fs {
            k -= 1;
        }
        while self.sum_fs(k + 1) <= elapsed_fs {
            k += 1;
        }
        k
    }
}

/// As a real number; by way of 64 bits where it fits, which is much faster.
fn real(value: i128) -> f64 {
    i64::try_from(value).map_or(value as f64, |short| short as f64)
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
            for k in 0..2_000_i128 {
                assert_eq!(series.sum_fs(k), walked);
                assert_eq!(series.completed(walked), k);
                assert_eq!(series.completed(walked + series.nth_fs(k) - 1), k);
                walked += series.nth_fs(k);
            }
            let far = series.sum_fs(1_000_000_007);
            assert_eq!(series.completed(far), 1_000_000_007);
            assert_eq!(series.completed(far - 1), 1_000_000_006);
        }
    }
}
