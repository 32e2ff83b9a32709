//! `wattmill sweep`: one scenario at many points.

mod merge;
mod plan;
mod run;
mod status;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::Failure;
use super::terminal;

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a sweep file and write its folder
    Plan(plan::Arguments),
    /// Do the chunks that are not done yet
    Run(run::Arguments),
    /// Say how much is done
    Status(status::Arguments),
    /// Put all rows into one table
    Merge(merge::Arguments),
}

/// What all four take.
#[derive(Args)]
struct Output {
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON on stdout and nothing else
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Whether nothing may be shown on the way.
    fn silent(&self) -> bool {
        self.quiet || self.json
    }

    /// A remark on stderr.
    fn note(&self, text: &str) {
        if !self.silent() {
            terminal::error_line(text);
        }
    }

    /// The result: as JSON, as text, or not at all.
    fn print(&self, json: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.json {
            terminal::print(&serde_json::to_string_pretty(json).map_err(anyhow::Error::from)?)?;
        } else if !self.quiet {
            terminal::print(text)?;
        }
        Ok(())
    }
}

/// The folder of a planned sweep.
#[derive(Args)]
struct Folder {
    /// Folder of a planned sweep
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Plan(arguments) => plan::main(arguments),
        Command::Run(arguments) => run::main(arguments),
        Command::Status(arguments) => status::main(arguments),
        Command::Merge(arguments) => merge::main(arguments),
    }
}

/// `1 point`, `2 points`.
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Cores that runs may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
