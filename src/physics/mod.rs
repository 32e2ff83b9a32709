//! Pure functions: step time, power, clock. Knows nothing above it.

pub mod power;
pub mod roofline;

/// Femtoseconds in a second.
pub const FS_PER_S: i128 = 1_000_000_000_000_000;
