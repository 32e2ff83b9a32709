//! `wattmill trace`: make request traces, and copies that are read faster.

use std::path::{Path, PathBuf};

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
    /// Copy a trace into a compact file that is read faster and gives the same requests
    Cache(Cache),
}

#[derive(Args)]
struct Cache {
    /// The trace, .csv or .csv.gz
    trace: PathBuf,
    /// File to write, .wmt
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
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
    match &arguments.command {
        Command::Synth(synth) => {
            check_output(
                &synth.output,
                synth.force,
                &[".csv", ".csv.gz"],
                "a trace is a .csv or .csv.gz file",
            )?;
            backend::write_trace(&synth.output, synth.preset.name(), synth.requests, synth.seed)?;
            terminal::print(&format!("wrote {}", synth.output.display()))?;
        }
        Command::Cache(cache) => {
            check_output(&cache.output, cache.force, &[".wmt"], "a trace cache is a .wmt file")?;
            let requests = backend::write_trace_cache(&cache.trace, &cache.output)?;
            terminal::print(&format!("wrote {} ({requests} requests)", cache.output.display()))?;
        }
    }
    Ok(())
}

/// Whether the file may be written; before any work.
fn check_output(output: &Path, force: bool, endings: &[&str], wanted: &str) -> Result<(), Failure> {
    let shown = output.display();
    let name = output.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !endings.iter().any(|ending| name.ends_with(ending)) {
        return Err(Failure::input(format!("-o {shown}: {wanted}")));
    }
    if output.is_dir() {
        return Err(Failure::input(format!("-o {shown}: is a folder; name a file")));
    }
    if output.exists() && !force {
        return Err(Failure::input(format!("-o {shown}: exists; use --force to replace it")));
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Failure::input(format!("-o {shown}: there is no folder '{}'", folder.display())));
    }
    Ok(())
}
