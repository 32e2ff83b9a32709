//! Watts in, tokens out: a discrete-event simulator of LLM-inference fleets.

pub mod catalog;
pub mod engine;
pub mod ledger;
pub mod physics;
pub mod report;
pub mod scenario;
pub mod workload;

pub use engine::{EngineKind, SimError, SimOptions, simulate};
