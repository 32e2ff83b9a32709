//! Accounts, staves, binding constraint, latency and energy statistics. It only adds.

mod accounts;
pub mod binding;
pub mod book;
mod devices;
mod journeys;
pub mod latency;
pub mod outcome;
pub mod quality;
mod report;
pub mod staves;
pub mod uncertainty;

pub use binding::Label;
pub use book::{Counted, Departure, Gauges, Ledger, Rest, Run, Terms};
pub use journeys::LegDone;
pub use report::Frame;
