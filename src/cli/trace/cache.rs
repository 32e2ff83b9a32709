//! `wattmill trace cache`: a compact copy that is read faster.

use std::path::PathBuf;

use clap::Args;

use super::super::exit::Failure;
use super::super::{backend, terminal};

#[derive(Args)]
pub struct Arguments {
    /// The trace, .csv or .csv.gz
    trace: PathBuf,
    /// File to write, .wmt
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    super::check_output(output, arguments.force, &[".wmt"], "a trace cache is a .wmt file")?;
    let requests = backend::write_trace_cache(&arguments.trace, output)?;
    terminal::print(&format!("wrote {} ({requests} requests)", output.display()))?;
    Ok(())
}
