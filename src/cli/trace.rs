//! `wattmill trace`: make request traces.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::exit::Failure;
use super::{backend, terminal};

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate a trace from published statistics
    Synth(Synth),
}

#[derive(Args)]
struct Synth {
    /// Statistics to follow
    #[arg(long, value_enum)]
    preset: Preset,
    /// Number of requests; the default is the original trace's
    #[arg(long, value_name = "N", default_value_t = 19_366, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// File to write, .csv or .csv.gz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// Azure LLM inference trace 2023, conversation
    #[value(name = "azure-2023-conversation")]
    Azure2023Conversation,
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Self::Azure2023Conversation => "azure-2023-conversation",
        }
    }
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Synth(synth) = &arguments.command;
    let shown = synth.output.display();
    let name = synth.output.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !name.ends_with(".csv") && !name.ends_with(".csv.gz") {
        return Err(Failure::input(format!("-o {shown}: a trace is a .csv or .csv.gz file")));
    }
    if synth.output.is_dir() {
        return Err(Failure::input(format!("-o {shown}: is a folder; name a file")));
    }
    if synth.output.exists() && !synth.force {
        return Err(Failure::input(format!("-o {shown}: exists; use --force to replace it")));
    }
    let folder = synth.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Failure::input(format!("-o {shown}: there is no folder '{}'", folder.display())));
    }
    backend::write_trace(&synth.output, synth.preset.name(), synth.requests, synth.seed)?;
    terminal::print(&format!("wrote {shown}"))?;
    Ok(())
}
