//! Clocks: a share of the full clock, what it does to step times and to watts.

/// Fraction bits of the fixed-point numbers here.
pub const FRACTION_BITS: u32 = 40;
/// 1 in fixed point.
pub const ONE: u64 = 1 << FRACTION_BITS;

/// How a device answers to its clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockLaw {
    /// Dynamic power ∝ clock^exponent.
    pub exponent: f64,
    /// Lowest clock as a share of the full clock.
    pub min_share: f64,
    /// Share below which memory slows down as well (PHYSICS §2: f_bw).
    pub memory_knee: f64,
}

/// A clock in force, with its effects in fixed point (40 fraction bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Share of the full clock.
    pub share: u64,
    /// Factor on compute time, 1/share.
    pub slow_compute: u64,
    /// Factor on memory time, 1/min(1, share/knee).
    pub slow_memory: u64,
    /// Factor on dynamic watts, share^exponent, rounded down so that a sum planned to fit does fit.
    pub gain: u64,
}

impl Clock {
    /// The full clock: every factor is exactly 1.
    pub const FULL: Self = Self { share: ONE, slow_compute: ONE, slow_memory: ONE, gain: ONE };

    /// The clock at `share` (0 < share ≤ 1; kept within the law's range).
    pub fn at(share: f64, law: &ClockLaw) -> Self {
        let share = share.clamp(law.min_share, 1.0);
        if share >= 1.0 {
            return Self::FULL;
        }
        let one = ONE as f64;
        Self {
            share: (share * one).round() as u64,
            slow_compute: (one / share).round() as u64,
            slow_memory: (one / (share / law.memory_knee).min(1.0)).round() as u64,
            gain: (share.powf(law.exponent) * one).floor() as u64,
        }
    }

    /// The highest clock of a rising grid at or below `share`, the lowest if none is; of an empty grid, any clock.
    pub fn on_grid(share: f64, law: &ClockLaw, grid: &[Self]) -> Self {
        let wanted = Self::at(share, law);
        match grid.partition_point(|clock| clock.share <= wanted.share) {
            0 => grid.first().copied().unwrap_or(wanted),
            above => grid[above - 1],
        }
    }

    /// Whether it leaves step times as they are at full clock.
    #[inline]
    pub fn keeps_pace(&self) -> bool {
        self.slow_compute == ONE && self.slow_memory == ONE
    }

    /// Share of the full clock as a real number.
    pub fn as_share(&self) -> f64 {
        self.share as f64 / ONE as f64
    }
}

/// Scale an integer by a fixed-point factor below 2^23, rounding down.
#[inline]
pub fn scale(value: i64, factor: u64) -> i64 {
    if factor == ONE {
        return value;
    }
    // Both signed: one product of 64 bits.
    ((i128::from(value) * i128::from(factor as i64)) >> FRACTION_BITS) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_clocks_take_longer_and_draw_less() {
        let law = ClockLaw { exponent: 1.8, min_share: 0.3, memory_knee: 0.5 };
        let mut last = Clock::FULL;
        for percent in (1..100).rev() {
            let clock = Clock::at(f64::from(percent) / 100.0, &law);
            assert!(clock.slow_compute >= last.slow_compute && clock.gain <= last.gain);
            assert!(clock.slow_memory >= last.slow_memory);
            assert!(percent < 50 || clock.slow_memory == ONE, "memory keeps its speed above the knee");
            last = clock;
        }
        assert_eq!(last, Clock::at(0.3, &law), "never below the lowest clock");
        assert_eq!(scale(12_345, ONE), 12_345);
    }
}
