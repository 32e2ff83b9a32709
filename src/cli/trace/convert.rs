//! `wattmill trace convert`: public traces into wattmill's columns, published rates into a rate curve.

use std::path::PathBuf;

use clap::Args;
use wattmill::workload::convert::{self, ConvertOptions, Converted};

use super::super::exit::Failure;
use super::{Format, interrupt};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The trace or table of rates (.csv, .jsonl, each also .gz; .wmt), or a folder of ServeGen's chunk-N-trace.csv
    input: PathBuf,
    /// File to write, .csv or .csv.gz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Columns
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Class of all rows [default: the file's own class, or the model that was asked]
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Leave out what is before this, and count time from here [s]
    #[arg(long, value_name = "S")]
    from_s: Option<f64>,
    /// Leave out what is from here on [s]
    #[arg(long, value_name = "S")]
    until_s: Option<f64>,
    /// Share of the requests to keep, each by its own draw
    #[arg(long, value_name = "SHARE")]
    sample: Option<f64>,
    /// Seed of those draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Known are the traces of Azure (2023 and 2024), Mooncake (JSON Lines as published, or a CSV), BurstGPT (failed rows,
without tokens, are left out and counted), records of a served trace, and wattmill's own. They need not be converted to
be replayed: scenarios read the same formats. Mooncake's hashes of prompt blocks are not kept: prefixes are not shared
here yet.
Rates become a curve for `arrivals: { rate_curve: … }`: t_s,total_rate_rps; timestamp_utc,requests_per_minute; and
ServeGen's clients, a file or a folder of chunk-N-trace.csv, summed.
A bad row ends the command with its line and column (exit 2), and nothing is written.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    super::check_trace_output(output, arguments.force)?;
    let stop = interrupt::watch()?;
    let options = ConvertOptions {
        format: arguments.format.into(),
        class: arguments.class.clone(),
        from_s: arguments.from_s,
        until_s: arguments.until_s,
        sample: arguments.sample,
        seed: arguments.seed,
        stop: Some(&stop),
    };
    let converted = convert::convert(&arguments.input, output, &options)?;
    super::print(arguments.json, &converted, || {
        let mut text = format!("wrote {}: ", output.display());
        match &converted {
            Converted::Trace { format, read, failed_left_out, written, columns, columns_not_read } => {
                text +=
                    &format!("{written} of {read} requests ({format})\n  columns   {}", columns.join(","));
                if *failed_left_out > 0 {
                    text += &format!("\n  left out  {failed_left_out} failed rows without tokens");
                }
                if !columns_not_read.is_empty() {
                    text += &format!("\n  not read  {}", columns_not_read.join(", "));
                }
            }
            Converted::RateCurve { format, files, rows, mean_per_s, peak_per_s, client_cv } => {
                text += &format!("a rate curve of {rows} rows ({format}");
                if *files > 1 {
                    text += &format!(", {files} files");
                }
                text += &format!(")\n  rate      {mean_per_s:.3}/s mean, {peak_per_s:.3}/s peak");
                if let Some(cv) = client_cv {
                    text += &format!("\n  not kept  gaps of single clients have a CV of {cv:.3}");
                }
            }
        }
        text
    })
}
