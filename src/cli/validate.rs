//! `wattmill validate`: the simulator against measured rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use clap::Args;
use wattmill::report::validation::{self, Subject};
use wattmill::study::validate::{self, Options, ValidateError};

use super::exit::Failure;
use super::out_dir::{self, Place};
use super::tally::Tally;
use super::{backend, interrupt, terminal};

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Measured rows (CSV); default: published figures that come with wattmill
    #[arg(value_name = "MEASURED")]
    path: Option<PathBuf>,
    /// Description of a replay's server; default: <MEASURED>_meta.json beside it
    #[arg(long, value_name = "FILE", requires = "path")]
    meta: Option<PathBuf>,
    /// Folder with your own catalog entries (GPUs, models, nodes, engines, aliases)
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Result folder; default: output/validate-<MEASURED without extension>
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Seed of every row's draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Rows simulated at once; default: one per core. The result is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Print summary.json on stdout and nothing else
    #[arg(long)]
    json: bool,
    /// Replace the result folder whatever it holds
    #[arg(long)]
    force: bool,
}

const AFTER_HELP: &str = "\
Each row is simulated in closed loop (`batch` requests in flight, each replaced when it ends),
past the warm-up, with drawn output lengths; errors are simulated / measured - 1. Written are
rows.csv, summary.json and figures/parity.*.

Columns, known by the header; an empty cell was not measured:
  wattmill    model,precision,gpu,gpus,tensor_parallel,batch,input_tok,output_tok, and any of
              output_tok_per_s
              gpu_power_w         all the row's GPUs together [W]
              j_per_output_token  of the GPUs [J]
              itl_ms, itl_p50_ms  mean and median time between tokens
              ttft_ms, tpot_ms, e2e_ms  means over requests
              node_power_w        at the wall, settled [W]
              throughput_ratio    over the row whose id is relative_to
              Optional: id, expert_parallel, data_parallel, attention_dp, pipeline_parallel,
              kv_precision, engine, engine_version, task, output_sigma (of the logarithm; 0: all
              alike), gpu_cap_w, node, max_num_batched_tokens, suspect_host_bound, source.
              Other columns are copied to the row's output. batch 0 is an idle node.
  ML.ENERGY   model_id,gpu_model,max_num_seqs,avg_output_len,...: compares medians of the time
              between tokens; prompts and the spread of outputs go by the task
  InferenceX  model_path,system,isl,osl,concurrency,...: all requests alike
  replay      request_id,arrival_s,input_tokens,output_tokens,measured_...: one open-loop run,
              compared request by request

Names are the catalog's or aliases of them (configs/catalog/aliases.yaml). A row that cannot be
simulated, as its model is unknown or does not fit, is listed with the reason and is no failure.
Without a task or output_sigma, outputs are lognormal with sigma 1.1, or all alike where
input_tok = output_tok. Steps have at most 8192 tokens (vLLM's default for online serving on
GPUs of at least 70 GB, A100 excepted), else 2048.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let interrupted = interrupt::watch()?;
    let catalog = Arc::new(backend::catalog(arguments.catalog.as_deref())?);
    let input = |error: wattmill::input::InputError| Failure::input(error.to_string());
    let measurements = match &arguments.path {
        Some(path) => validate::read(path, arguments.meta.as_deref()),
        None => validate::published(),
    }
    .map_err(input)?;
    let files: Vec<PathBuf> =
        arguments.path.iter().cloned().chain(measurements.also_read().map(Path::to_path_buf)).collect();
    let subject = Subject {
        name: arguments.path.as_deref().map_or_else(|| "published".into(), stem),
        hash: validate::hash(&files, arguments.catalog.as_deref(), arguments.seed).map_err(input)?,
        seed: arguments.seed,
    };
    let kept = files.into_iter().chain(arguments.catalog.clone());
    let place = Place {
        hash: &subject.hash,
        of: "validation",
        default: Path::new("output").join(format!("validate-{}", subject.name)),
        inputs: kept.map(|path| ("the input".into(), path)).collect(),
    };
    let dir = out_dir::choose_for(&place, arguments.output.as_deref(), arguments.force)?;

    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.jobs.map_or(0, usize::from))
        .build()
        .context("cannot start threads")?;
    let runs = measurements.runs();
    let tally = Tally::new(runs, "rows", arguments.quiet || arguments.json);
    let go_on = || !interrupted.load(Ordering::SeqCst);
    let row_done = || tally.one_more();
    let options = Options { seed: arguments.seed, go_on: &go_on, row_done: &row_done };
    let result = threads.install(|| validate::run(measurements, &catalog, &options));
    tally.clear();
    let validation = result.map_err(|error| match error {
        ValidateError::Input(error) => input(error),
        ValidateError::Invariant(_) => Failure::Failed(error.into()),
        ValidateError::Interrupted => Failure::Interrupted(format!(
            "interrupted after {} of {runs} rows; nothing was written",
            tally.done()
        )),
    })?;

    let written = threads
        .install(|| validation::write(&dir, &validation, &subject))
        .with_context(|| format!("{}: the result could not be written", dir.display()))?;
    if arguments.json {
        terminal::print(&validation::summary_json(&validation, &subject))?;
    } else if !arguments.quiet {
        terminal::print(&validation::text(&validation, &subject, terminal::width(), terminal::color()))?;
        terminal::print(&format!("wrote {} ({} files)", dir.display(), written.len()))?;
    }
    Ok(())
}

/// The file's name without folder and extensions.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(".csv").unwrap_or(name).to_string()
}
