//! The scenario file and what changes it: arguments that several commands share.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use wattmill::scenario::{self, Draft, LoadOptions, Resolved};

use super::backend;
use super::exit::Failure;

#[derive(Args)]
pub struct ScenarioArguments {
    /// Scenario file (YAML)
    #[arg(value_name = "SCENARIO")]
    pub path: PathBuf,
    /// Override a field, e.g. --set fleet.sites.0.pools.0.nodes=4; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Folder with your own catalog entries (GPUs, models, nodes, engines)
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
}

impl ScenarioArguments {
    /// The file as it was written, and how it is to be read: for studies that resolve it many times.
    pub fn draft(&self) -> Result<(Draft, LoadOptions), Failure> {
        let catalog = Arc::new(backend::catalog(self.catalog.as_deref())?);
        let options =
            LoadOptions { sets: self.sets.clone(), seed: None, catalog, catalog_dir: self.catalog.clone() };
        Ok((Draft::read(&self.path)?, options))
    }

    /// Load the scenario and make sure that a fleet can be built from it.
    pub fn load(&self, seed: Option<u64>) -> Result<Resolved, Failure> {
        let catalog = Arc::new(backend::catalog(self.catalog.as_deref())?);
        let options =
            LoadOptions { sets: self.sets.clone(), seed, catalog, catalog_dir: self.catalog.clone() };
        let resolved = scenario::load(&self.path, &options)?;
        backend::build_fleet(&resolved)
            .map_err(|problems| Failure::input(resolved.render_problems(&problems)))?;
        Ok(resolved)
    }
}
