//! `wattmill trace synth`: a trace from published statistics, or from a fit.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wattmill::workload::synth::{self, Preset, SynthOptions};

use super::super::exit::Failure;
use super::interrupt;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    from: From,
    /// At most so many requests [default: as many as the preset's original had; with --duration-s or --fit, as many as
    /// arrive]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// At most so long [s]; a preset's course over time is stretched over it [default: what the requests take; with
    /// --fit, its duration_s]
    #[arg(long, value_name = "S")]
    duration_s: Option<f64>,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// File to write, .csv or .csv.gz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct From {
    /// Statistics to follow
    #[arg(long, value_enum)]
    preset: Option<PresetName>,
    /// What `trace fit` wrote
    #[arg(long, value_name = "FILE")]
    fit: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Presets are short profiles of public data, and give the same bytes on every platform. Largest errors against the data:
  azure-2023-conversation  prompts within 0.08, outputs 0.06 (KS distance), means 2 %; outputs' two modes and their prompts
  azure-2023-code          prompts within 0.02, outputs 0.06, means 2 %; bursts over 10 s, not the longer ones
  mooncake-conversation    lengths within 0.02, means 1 %; stamps every 3 s, not the shared prefixes
  servegen-reasoning       lengths within 0.02, mean output 1 %; hourly rates of a day, not the bursts of its clients
The README of traces/ has the tables.";

#[derive(Clone, Copy, ValueEnum)]
enum PresetName {
    /// Azure LLM inference trace 2023, conversation
    #[value(name = "azure-2023-conversation")]
    Azure2023Conversation,
    /// Azure LLM inference trace 2023, code
    #[value(name = "azure-2023-code")]
    Azure2023Code,
    /// Mooncake, conversation: long prompts
    #[value(name = "mooncake-conversation")]
    MooncakeConversation,
    /// ServeGen, DeepSeek-R1: thought is marked (thinking_tok)
    #[value(name = "servegen-reasoning")]
    ServegenReasoning,
}

impl PresetName {
    fn preset(self) -> Preset {
        match self {
            Self::Azure2023Conversation => Preset::Azure2023Conversation,
            Self::Azure2023Code => Preset::Azure2023Code,
            Self::MooncakeConversation => Preset::MooncakeConversation,
            Self::ServegenReasoning => Preset::ServegenReasoning,
        }
    }
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    super::check_trace_output(output, arguments.force)?;
    let stop = interrupt::watch()?;
    let options = SynthOptions {
        requests: arguments.requests,
        duration_s: arguments.duration_s,
        seed: arguments.seed,
        stop: Some(&stop),
    };
    let written = match (&arguments.from.preset, &arguments.from.fit) {
        (Some(preset), _) => synth::write_trace(output, preset.preset(), &options)?,
        (None, Some(fit)) => synth::write_fitted(output, fit, &options)?,
        // Not reached: one of them is required.
        (None, None) => return Err(Failure::input("give --preset or --fit")),
    };
    super::print(arguments.json, &written, || {
        let source = arguments
            .from
            .preset
            .map_or(String::new(), |preset| format!("\nstatistics: {}", preset.preset().source()));
        format!(
            "wrote {} ({} requests, the last at {:.3} s){source}",
            output.display(),
            written.requests,
            written.last_s
        )
    })
}
