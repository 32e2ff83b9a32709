//! Pure functions: step time, power, clock. Knows nothing above it.

/// Femtoseconds in a second.
pub const FS_PER_S: i128 = 1_000_000_000_000_000;
