//! Accounts, staves, binding constraint, latency and energy statistics.

pub mod outcome;
