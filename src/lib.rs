//! Watts in, tokens out: a discrete-event simulator of LLM-inference fleets under power limits.
//!
//! The tour follows a run:
//!
//! 1. [`scenario`] reads what the user wrote, [`catalog`] knows the hardware and the models it names;
//! 2. [`fleet`] turns both into sites, pools and replicas with integer laws from [`physics`];
//! 3. [`engine`] takes the earliest event, one handler each; [`workload`] streams the requests;
//! 4. [`serving`] forms batches and segments, [`control`] grants clocks within the power caps;
//! 5. [`ledger`] adds it all up, names what binds, and checks that nothing was lost;
//! 6. [`report`] writes it down and draws it. [`study`] asks many runs one question.
//!
//! ```
//! use std::sync::Arc;
//! use wattmill::catalog::Catalog;
//! use wattmill::scenario::{self, LoadOptions};
//! use wattmill::{SimOptions, simulate};
//!
//! let mut options = LoadOptions::new(Arc::new(Catalog::embedded()?));
//! options.sets = vec!["duration_s=60".into()];
//! let resolved = scenario::load("configs/quickstart.yaml".as_ref(), &options)?;
//! let outcome = simulate(&resolved, &SimOptions::default())?;
//!
//! let summary = &outcome.summary;
//! assert_eq!(summary.requests.arrived, summary.requests.completed + summary.requests.in_flight);
//! let joules = summary.j_per_output_token.it.expect("tokens came out");
//! assert!(joules > summary.j_per_output_token.gpu.unwrap());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(rustdoc::broken_intra_doc_links, reason = "units stand in square brackets")]

pub mod catalog;
pub mod control;
pub mod engine;
pub mod fleet;
pub mod input;
pub mod ledger;
pub mod physics;
pub mod report;
pub mod scenario;
pub mod serving;
pub mod study;
pub mod workload;

pub use engine::{EngineKind, SimError, SimOptions, simulate};
