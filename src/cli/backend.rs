//! The calls below the command line: catalog, checks of fleet and workload, trace cache.

use std::path::Path;

use wattmill::catalog::Catalog;
use wattmill::fleet::Fleet;
use wattmill::scenario::types::TraceFormat;
use wattmill::scenario::{Problem, Resolved};
use wattmill::workload::{Workload, write_cache};

use super::exit::Failure;

/// The embedded catalog, with the user's entries on top.
pub fn catalog(overlay: Option<&Path>) -> Result<Catalog, Failure> {
    let catalog = match overlay {
        Some(dir) if !dir.is_dir() => {
            return Err(Failure::input(format!("--catalog {}: there is no such folder", dir.display())));
        }
        Some(dir) => Catalog::with_overlay(dir),
        None => Catalog::embedded(),
    };
    catalog.map_err(|error| Failure::input(error.to_string()))
}

/// Build the fleet.
pub fn build_fleet(resolved: &Resolved) -> Result<Fleet, Vec<Problem>> {
    Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir)
}

/// Open the workload; the text of an error has the file's line, or the scenario's.
pub fn open_workload(resolved: &Resolved) -> Result<Workload, String> {
    Workload::open(&resolved.scenario, &resolved.base_dir, &resolved.catalog).map_err(|error| {
        match &error.file {
            None => resolved
                .render_problems(&[Problem { path: error.field.clone(), message: error.message.clone() }]),
            Some(_) => error.to_string(),
        }
    })
}

/// Write the binary copy of a trace; returns its requests.
pub fn write_trace_cache(source: &Path, path: &Path) -> Result<u64, Failure> {
    write_cache(source, TraceFormat::Auto, path).map_err(|error| Failure::input(error.to_string()))
}
