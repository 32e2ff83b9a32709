//! `wattmill trace`: look at request traces, convert, fit and generate them.

mod cache;
mod convert;
mod fit;
mod info;
mod synth;

use std::io;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use wattmill::scenario::types::TraceFormat;
use wattmill::workload::TraceError;

use super::exit::Failure;
use super::{interrupt, terminal};

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Describe a trace: rates, burstiness, token counts, bad rows
    Info(info::Arguments),
    /// Convert a public trace into wattmill's columns, or published rates into a rate curve
    Convert(convert::Arguments),
    /// Fit arrivals and lengths of a scenario on a trace
    Fit(fit::Arguments),
    /// Generate a trace from published statistics, or from a fit
    Synth(synth::Arguments),
    /// Copy a trace into a compact file that is read faster and gives the same requests
    Cache(cache::Arguments),
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Info(arguments) => info::main(arguments),
        Command::Convert(arguments) => convert::main(arguments),
        Command::Fit(arguments) => fit::main(arguments),
        Command::Synth(arguments) => synth::main(arguments),
        Command::Cache(arguments) => cache::main(arguments),
    }
}

/// Formats by name.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// By the header
    #[default]
    Auto,
    /// arrival_s,prompt_tok,output_tok[,class,difficulty,thinking_tok]
    Wattmill,
    /// TIMESTAMP,ContextTokens,GeneratedTokens
    Azure,
    /// arrival_s,input_tokens,output_tokens
    Served,
    /// timestamp [ms], input_length, output_length: JSON Lines or CSV
    Mooncake,
    /// Timestamp,Model,Request tokens,Response tokens,…
    Burstgpt,
}

impl From<Format> for TraceFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Auto => Self::Auto,
            Format::Wattmill => Self::Wattmill,
            Format::Azure => Self::Azure,
            Format::Served => Self::Served,
            Format::Mooncake => Self::Mooncake,
            Format::Burstgpt => Self::Burstgpt,
        }
    }
}

impl From<TraceError> for Failure {
    fn from(error: TraceError) -> Self {
        match error {
            TraceError::Input(error) => Self::input(error.to_string()),
            // The user chose the place.
            TraceError::Disk { ref source, .. }
                if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) =>
            {
                Self::input(error.to_string())
            }
            TraceError::Disk { .. } => Self::Failed(anyhow::Error::msg(error.to_string())),
            TraceError::Interrupted => Self::Interrupted(error.to_string()),
        }
    }
}

/// Print `value` as JSON, or `text`.
fn print(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let text = if json { serde_json::to_string_pretty(value).map_err(anyhow::Error::from)? } else { text() };
    terminal::print(&text)?;
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

/// Whether a trace may be written there.
fn check_trace_output(output: &Path, force: bool) -> Result<(), Failure> {
    check_output(output, force, &[".csv", ".csv.gz"], "a trace is a .csv or .csv.gz file")
}
