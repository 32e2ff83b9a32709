//! Pure functions: step time, power, clock. Knows nothing above it.
//!
//! Instants and durations are `i128` femtoseconds; watts are integer nanowatts; coefficients are rounded
//! once, when a pool is built, so that sums over iterations are exact.

pub mod bucket;
pub mod clock;
pub mod energy;
pub mod lag;
pub mod loss;
pub mod normal;
pub mod parameter;
pub mod plant;
pub mod power;
pub mod roofline;
pub mod series;
pub mod step;
pub mod tree;
pub mod weather;
pub mod zone;

/// Femtoseconds in a second.
pub const FS_PER_S: i128 = 1_000_000_000_000_000;

/// Seconds to femtoseconds, rounded to nearest; `s` must be finite and below 10¹⁵ s.
pub fn fs_from_s(s: f64) -> i128 {
    // Whole and fractional part apart: 86,400 s in femtoseconds does not fit the 53 bits of one product.
    let whole = s.trunc();
    (whole as i128) * FS_PER_S + ((s - whole) * 1e15).round() as i128
}

/// Femtoseconds to seconds.
pub fn s_from_fs(fs: i128) -> f64 {
    let whole = fs / FS_PER_S;
    whole as f64 + (fs - whole * FS_PER_S) as f64 * 1e-15
}
