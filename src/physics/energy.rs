//! Exact energy: nanowatts times femtoseconds, in whole joules and a remainder.

use std::ops::AddAssign;

/// nW·fs in a joule.
const PER_JOULE: i128 = 1_000_000_000_000_000_000_000_000;

/// Site power over a year (10^17 nW · 3·10^22 fs) is beyond i128: longer durations are split.
const CHUNK_FS: i128 = 1_000_000_000_000_000_000;

/// A duration in 64 bits if it is short: at most 1,000 s, so that any site's energy over it fits [fs].
#[inline]
pub fn short(duration_fs: i128) -> Option<u64> {
    u64::try_from(duration_fs).ok().filter(|&short_fs| short_fs <= CHUNK_FS as u64)
}

/// Remainders beyond about 10^12 J are carried into joules: so much in the upper half of one.
const CARRY_AT: i64 = ((1_000_000_000_000 * PER_JOULE) >> 64) as i64;

/// An energy, exact. The remainder is carried late: sums of short runs need no division.
#[derive(Debug, Clone, Copy, Default)]
pub struct Energy {
    joules: i128,
    rest_nw_fs: i128,
}

impl Energy {
    /// `watts_nw` [nW] over `duration_fs` [fs].
    #[inline]
    pub fn of(watts_nw: i128, duration_fs: i128) -> Self {
        let mut energy = Self::default();
        energy.add(watts_nw, duration_fs);
        energy
    }

    #[cold]
    fn of_long(watts_nw: i128, duration_fs: i128) -> Self {
        // One chunk is 1,000 s: `watts_nw` over it is a whole number of microjoules.
        let micro_joules = watts_nw * (duration_fs / CHUNK_FS);
        let rest = watts_nw * (duration_fs % CHUNK_FS) + (micro_joules % 1_000_000) * (PER_JOULE / 1_000_000);
        Self { joules: micro_joules / 1_000_000, rest_nw_fs: rest }
    }

    /// Add `watts_nw` [nW] over `duration_fs` [fs].
    #[inline]
    pub fn add(&mut self, watts_nw: i128, duration_fs: i128) {
        match short(duration_fs) {
            Some(duration_fs) => self.add_short(watts_nw, duration_fs),
            None => *self += Self::of_long(watts_nw, duration_fs),
        }
    }

    /// Add `watts_nw` [nW] over a short duration [fs]; see [`short`].
    #[inline]
    pub fn add_short(&mut self, watts_nw: i128, duration_fs: u64) {
        self.rest_nw_fs += watts_nw * i128::from(duration_fs);
        self.carry_late();
    }

    /// Whole joules, and the remainder [nW·fs], 0 ≤ remainder < 1 J: equal energies give equal parts.
    pub fn parts(&self) -> (i128, i128) {
        (self.joules + self.rest_nw_fs.div_euclid(PER_JOULE), self.rest_nw_fs.rem_euclid(PER_JOULE))
    }

    /// As [`Self::add_short`], with watts that fit 64 bits: one product instead of two.
    #[inline]
    pub fn add_one(&mut self, watts_nw: i64, duration_fs: u64) {
        self.rest_nw_fs += i128::from(watts_nw) * i128::from(duration_fs as i64);
        self.carry_late();
    }

    #[inline]
    fn carry_late(&mut self) {
        if (self.rest_nw_fs >> 64) as i64 > CARRY_AT {
            self.carry();
        }
    }

    #[cold]
    fn carry(&mut self) {
        (self.joules, self.rest_nw_fs) = self.parts();
    }

    /// In joules.
    pub fn as_j(&self) -> f64 {
        let (joules, rest) = self.parts();
        joules as f64 + rest as f64 / PER_JOULE as f64
    }

    /// Difference.
    pub fn minus(&self, other: &Self) -> Self {
        Self { joules: self.joules - other.joules, rest_nw_fs: self.rest_nw_fs - other.rest_nw_fs }
    }
}

impl PartialEq for Energy {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Energy {}

impl AddAssign for Energy {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.joules += other.joules;
        self.rest_nw_fs += other.rest_nw_fs;
        self.carry_late();
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
