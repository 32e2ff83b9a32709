//! What the user writes: YAML → typed → resolved → checked.

pub mod types;

pub use types::Scenario;

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Catalog;

/// A loaded scenario with every default filled in, ready to run.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The scenario; names are filled in, input paths are as written.
    pub scenario: Scenario,
    /// SHA-256 of the canonical resolved scenario and its input files' contents, hexadecimal.
    pub hash: String,
    /// Folder to which input paths in the scenario are relative.
    pub base_dir: PathBuf,
    /// The catalog it was resolved against.
    pub catalog: Arc<Catalog>,
}

/// Something wrong with a scenario, by the path of the offending field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, e.g. `fleet.sites.0.pools.1.gpu`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}
