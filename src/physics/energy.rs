//! Exact energy: nanowatts times femtoseconds, carried in whole joules and a remainder.

use std::ops::AddAssign;

/// nW·fs in a joule.
const PER_JOULE: i128 = 1_000_000_000_000_000_000_000_000;

/// An energy, exact; normalised so that equal energies compare equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Energy {
    /// Whole joules.
    pub joules: i128,
    /// Remainder [nW·fs], 0 ≤ rest < 1 J.
    pub rest_nw_fs: i128,
}

impl Energy {
    /// `watts_nw` [nW] over `duration_fs` [fs].
    pub fn of(watts_nw: i128, duration_fs: i128) -> Self {
        // Site power over a year (10^17 nW · 3·10^22 fs) is beyond i128: split the duration.
        const CHUNK_FS: i128 = 1_000_000_000_000_000_000;
        if duration_fs <= CHUNK_FS {
            return Self::normal(0, watts_nw * duration_fs);
        }
        let chunks = duration_fs / CHUNK_FS;
        let mut sum = Self::normal(0, watts_nw * (duration_fs % CHUNK_FS));
        // One chunk is 1,000 s, so `watts_nw` over it is a whole number of (1,000 nW·s) = 10^-6 J units.
        let micro_joules = watts_nw * chunks;
        sum += Self::normal(micro_joules / 1_000_000, (micro_joules % 1_000_000) * (PER_JOULE / 1_000_000));
        sum
    }

    fn normal(joules: i128, rest: i128) -> Self {
        Self { joules: joules + rest.div_euclid(PER_JOULE), rest_nw_fs: rest.rem_euclid(PER_JOULE) }
    }

    /// In joules.
    pub fn as_j(&self) -> f64 {
        self.joules as f64 + self.rest_nw_fs as f64 / PER_JOULE as f64
    }

    /// Difference.
    pub fn minus(&self, other: &Self) -> Self {
        Self::normal(self.joules - other.joules, self.rest_nw_fs - other.rest_nw_fs)
    }
}

impl AddAssign for Energy {
    fn add_assign(&mut self, other: Self) {
        let rest = self.rest_nw_fs + other.rest_nw_fs;
        let carry = rest >= PER_JOULE;
        self.joules += other.joules + i128::from(carry);
        self.rest_nw_fs = if carry { rest - PER_JOULE } else { rest };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_durations_agree() {
        let one = Energy::of(123_456_789_012, 2_500_000_000_000_000_007);
        let mut sum = Energy::default();
        for _ in 0..2 {
            sum += Energy::of(123_456_789_012, 1_000_000_000_000_000_000);
        }
        sum += Energy::of(123_456_789_012, 500_000_000_000_000_007);
        assert_eq!(one, sum);
        assert!((one.as_j() - 123.456_789_012 * 2_500.0).abs() < 1e-6);
        let year = Energy::of(100_000_000_000_000_000, 31_536_000 * super::super::FS_PER_S);
        assert!((year.as_j() / (1e8 * 31_536_000.0) - 1.0).abs() < 1e-15);
        let mut back = one;
        back += year;
        assert_eq!(back.minus(&year), one);
    }
}
