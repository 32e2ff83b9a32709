//! `wattmill sweep status`: how much is done.

use std::path::Path;

use clap::Args;
use wattmill::study::sweep::{self, Status, Sweep};

use super::{Folder, Output, counted};
use crate::cli::exit::Failure;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    output: Output,
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let sweep = Sweep::open(&arguments.folder.dir)?;
    let (status, unusable) = sweep::status(&sweep)?;
    for (name, why) in &unusable {
        arguments.output.note(&format!("{name}: {why}"));
    }
    arguments.output.print(&status, &lines(&status, &arguments.folder.dir))
}

/// A status in words, and what to do next.
pub fn lines(status: &Status, dir: &Path) -> String {
    let (chunks, points) = (&status.chunks, &status.points);
    let mut text = format!("{} of {} done", chunks.done, counted(chunks.total, "chunk"));
    if chunks.failed > 0 {
        text.push_str(&format!(", {} unusable", chunks.failed));
    }
    text.push_str(&format!("; {} of {} have a result", points.ok, counted(points.total, "point")));
    if points.error > 0 {
        text.push_str(&format!(", {} an error instead (column `error`)", points.error));
    }
    let verb = if chunks.done == chunks.total { "merge" } else { "run" };
    text.push_str(&format!("\nnext: wattmill sweep {verb} {}", dir.display()));
    text
}
