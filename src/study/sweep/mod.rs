//! One scenario at many points: planned once, run in pieces by any number of processes, merged into one table.
//!
//! [`Plan`] reads the sweep file, tries every value of every axis, and writes an immutable folder: a manifest, the base
//! scenario, and the points with their seeds. [`run`] does the chunks that are missing; a chunk is there whole or not
//! at all, so a run may be killed, repeated, or shared by machines ([`Shard`]). [`status`] reads first and last lines.
//! [`merge`] refuses gaps, and its bytes depend on the sweep alone.
//!
//! ```no_run
//! use wattmill::study::sweep::{self, Plan, Shard};
//!
//! let sweep = Plan::read("configs/sweeps/pue-power-cap.yaml".as_ref(), None)?.write("output/pue".as_ref())?;
//! let survey = sweep::survey(&sweep, Shard::WHOLE)?;
//! let options = sweep::Options { jobs: 2, go_on: &|| true, rows_done: &|_| {} };
//! sweep::run(&sweep, &survey, &options)?;
//! sweep::merge(&sweep, &["output/pue/merged.csv".into()])?;
//! # Ok::<(), wattmill::study::sweep::SweepError>(())
//! ```

mod axes;
mod cell;
mod chunk;
mod columns;
mod digest;
mod manifest;
mod merge;
mod parquet;
mod pilot;
mod plan;
mod point;
mod points;
mod run;
mod skip;
mod spec;
mod status;

pub use axes::{Axis, AxisPath};
pub use cell::{Cell, Kind};
pub use columns::Column;
pub use manifest::{InputFile, Manifest, Original, Sweep};
pub use merge::{Merged, merge};
pub use pilot::{Pilot, pilot};
pub use plan::{Plan, Remarks};
pub use points::{Points, Row};
pub use run::{End, Options, Shard, Survey, run, survey};
pub use skip::Condition;
pub use status::{Chunks, Rows, Status, status};

use crate::scenario::ScenarioError;

/// Why a sweep cannot go on. Each text is complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// The user can mend it: sweep file, scenario, folder. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// Disk, internal error. Exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl From<ScenarioError> for SweepError {
    fn from(error: ScenarioError) -> Self {
        Self::Input(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use crate::catalog::Catalog;
    use crate::scenario::{self, LoadOptions, Scenario};

    /// A scenario without tree and difficulty.
    pub(super) fn small() -> Scenario {
        let options = LoadOptions::new(Arc::new(Catalog::embedded().unwrap()));
        scenario::load(Path::new("configs/quickstart.yaml"), &options).unwrap().scenario
    }
}
