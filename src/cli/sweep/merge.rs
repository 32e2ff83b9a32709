//! `wattmill sweep merge`: all rows in one table.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wattmill::study::sweep::{self, Sweep};

use super::{Folder, Output, counted};
use crate::cli::exit::Failure;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    folder: Folder,
    /// The table, .parquet or .csv; may be repeated; default: DIR/merged.parquet and DIR/merged.csv
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

const AFTER_HELP: &str = "\
Columns: point_id, replication, seed; the axes by name; the chosen values by their path in summary.json; error. An empty
cell is a value that the point does not have. Units are in the Parquet file's metadata (wattmill.units). A sweep with
missing chunks is refused. The bytes depend on the sweep alone.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let dir = &arguments.folder.dir;
    let sweep = Sweep::open(dir)?;
    let files = if arguments.files.is_empty() {
        vec![dir.join("merged.parquet"), dir.join("merged.csv")]
    } else {
        arguments.files.clone()
    };
    let merged = sweep::merge(&sweep, &files)?;
    let (status, _) = sweep::status(&sweep)?;
    let mut lines: Vec<String> = merged
        .iter()
        .map(|file| {
            format!("wrote {} ({}, {} bytes)", file.path.display(), counted(file.rows, "row"), file.bytes)
        })
        .collect();
    if status.points.error > 0 {
        lines.push(format!("{} with an error instead of a result", counted(status.points.error, "row")));
    }
    let json = json!({ "files": merged, "rows": sweep.manifest.rows, "errors": status.points.error });
    arguments.output.print(&json, &lines.join("\n"))
}
