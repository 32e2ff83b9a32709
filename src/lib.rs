//! Watts in, tokens out: a discrete-event simulator of LLM-inference fleets.

pub mod catalog;
pub mod control;
pub mod engine;
pub mod fleet;
pub mod ledger;
pub mod physics;
pub mod report;
pub mod scenario;
pub mod serving;
pub mod workload;

pub use engine::{EngineKind, SimError, SimOptions, simulate};
