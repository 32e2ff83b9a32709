//! `wattmill trace fit`: arrivals and lengths of a scenario, fitted on a trace.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use wattmill::workload::describe::{DescribeOptions, describe};
use wattmill::workload::fit::{ArrivalFit, fit};
use wattmill::workload::write_text;

use super::super::exit::Failure;
use super::super::terminal;
use super::{Format, interrupt};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The trace
    trace: PathBuf,
    /// File to write, .yaml [default: print it]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Columns
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Arrival process
    #[arg(long, value_enum, default_value_t)]
    arrivals: Process,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Print the fit as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Process {
    /// A cosine day if it explains half of the variance of hourly counts; else gamma, or Poisson at a CV of about 1
    #[default]
    Auto,
    /// Independent exponential gaps
    Poisson,
    /// Independent gamma gaps with the trace's coefficient of variation
    Gamma,
    /// Poisson with a cosine day, by least squares of hourly counts
    Diurnal,
    /// Poisson with the rate of each hour, in a CSV beside the fit
    Hourly,
}

const AFTER_HELP: &str = "\
Writes the part of a scenario that a trace can tell: duration, time of day, and workload.classes, one for each class (or
model) of the trace. Add a fleet, and it is a scenario; `trace synth --fit` draws a trace from it. Lengths are lognormals
with the trace's sigma of the logarithm, its mean (after rounding and the limit) and its longest as the limit. Beside
each fit stands what it does not keep, and for lengths the Kolmogorov-Smirnov distance: above 0.1 the shape is poor.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let output = arguments.output.as_deref();
    if let Some(output) = output {
        super::check_output(output, arguments.force, &[".yaml", ".yml"], "a fit is a .yaml file")?;
    }
    let stop = interrupt::watch()?;
    let options =
        DescribeOptions { format: arguments.format.into(), stop: Some(&stop), ..DescribeOptions::default() };
    let description = describe(&arguments.trace, &options)?;
    if let Some(bad) = description.bad_rows.first.first() {
        let place = |number: Option<u64>| number.map_or(String::new(), |n| format!("{n}:"));
        return Err(Failure::input(format!(
            "{}:{}{} {} ({} bad rows; `wattmill trace info` lists them)",
            description.file,
            place(bad.line),
            place(bad.column),
            bad.message,
            description.bad_rows.count
        )));
    }
    let process = match arguments.arrivals {
        Process::Auto => ArrivalFit::Auto,
        Process::Poisson => ArrivalFit::Poisson,
        Process::Gamma => ArrivalFit::Gamma,
        Process::Diurnal => ArrivalFit::Diurnal,
        Process::Hourly => ArrivalFit::Hourly,
    };
    let fitted = fit(&description, process, output)?;
    let mut wrote = Vec::new();
    if let Some(output) = output {
        let folder = output.parent().unwrap_or(Path::new(""));
        for (name, text) in fitted.rate_files() {
            let path = folder.join(name);
            super::check_output(&path, arguments.force, &[".csv"], "rates are a .csv file")?;
            write_text(&path, &text)?;
            wrote.push(path.display().to_string());
        }
        write_text(output, &fitted.yaml())?;
        wrote.push(output.display().to_string());
    }
    if arguments.json || output.is_none() {
        return super::print(arguments.json, &fitted, || fitted.yaml());
    }
    terminal::print(&format!("{}\nwrote {}", fitted.yaml(), wrote.join(", ")))?;
    Ok(())
}
