//! Pure functions: step time, power, clock. Knows nothing above it.
//!
//! Instants and durations are `i128` femtoseconds; watts are integer nanowatts; coefficients are rounded
//! once, when a pool is built, so that sums over iterations are exact.

pub mod battery;
pub mod breaker;
pub mod bucket;
pub mod clock;
pub mod course;
pub mod draw;
pub mod energy;
pub mod histogram;
pub mod lag;
pub mod loss;
pub mod normal;
pub mod parameter;
pub mod plant;
pub mod power;
pub mod roofline;
pub mod series;
pub mod speculation;
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

/// An integer as a real number; by way of 64 bits where it fits, which is ten times as fast.
#[inline]
pub(crate) fn real(value: i128) -> f64 {
    match i64::try_from(value) {
        Ok(short) => short as f64,
        Err(_) => real_of_long(value),
    }
}

// Apart, or the compiler sees that both ways give the same number, and takes the slow one for all.
#[cold]
#[inline(never)]
fn real_of_long(value: i128) -> f64 {
    value as f64
}

/// A real number without its fraction; by way of 64 bits where it fits.
#[inline]
pub(crate) fn truncated(value: f64) -> i128 {
    if value.abs() < 9e18 { i128::from(value as i64) } else { truncated_long(value) }
}

#[cold]
#[inline(never)]
fn truncated_long(value: f64) -> i128 {
    value as i128
}

/// A real number ≥ 0, rounded up to a whole one.
#[inline]
pub(crate) fn rounded_up(value: f64) -> i128 {
    if value < 9e18 { i128::from(short_rounded_up(value)) } else { truncated_long(value) }
}

/// As [`rounded_up`], of a number below 9e18.
#[inline]
pub(crate) fn short_rounded_up(value: f64) -> i64 {
    let whole = value as i64;
    whole + i64::from(whole as f64 != value)
}
