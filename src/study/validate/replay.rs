//! An open-loop replay: records of a served trace, replayed at their times and compared request by request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::case::Case;
use super::measured::{Figures, Measured, Metric, Split};
use super::steady::{self, Stop};
use super::tasks::Tasks;
use crate::catalog::Catalog;
use crate::engine::{SimOptions, simulate};
use crate::input::{InputError, Table};
use crate::ledger::outcome::RequestRow;

/// Columns of a record, and of those that a replay is known by all but the first.
const ID: &str = "request_id";
const ARRIVAL: &str = "arrival_s";
const INPUT: &str = "input_tokens";
const OUTPUT: &str = "output_tokens";
const QUEUE: &str = "measured_queue_s";
const TTFT: &str = "measured_ttft_s";
const E2E: &str = "measured_e2e_s";
const TPOT: &str = "measured_tpot_ms";

/// Largest description that is read [bytes].
const MOST_META_BYTES: u64 = 1 << 20;

/// Served requests, and what served them.
#[derive(Debug)]
pub struct Replay {
    /// The records' file.
    path: PathBuf,
    /// The description's file.
    pub meta: PathBuf,
    /// What served them.
    server: Server,
    records: Vec<Record>,
}

/// `<records>_meta.json`: what served the trace.
#[derive(Debug, Clone, Deserialize)]
struct Server {
    gpu: String,
    model: String,
    #[serde(default)]
    vllm: Option<String>,
    #[serde(default = "one")]
    tensor_parallel_size: u32,
    #[serde(default = "one")]
    data_parallel_size: u32,
    #[serde(default)]
    enable_expert_parallel: bool,
    max_num_seqs: u32,
    #[serde(default)]
    max_num_batched_tokens: Option<u32>,
    #[serde(default)]
    dtype: Option<String>,
    #[serde(default)]
    kv_cache_dtype: Option<String>,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone)]
struct Record {
    id: String,
    line: u64,
    arrival_s: f64,
    input_tok: u32,
    output_tok: u32,
    queue_s: Option<f64>,
    ttft_s: Option<f64>,
    e2e_s: Option<f64>,
    tpot_ms: Option<f64>,
}

/// Whether a table holds records of a served trace.
pub(super) fn is_replay(table: &Table) -> bool {
    [ARRIVAL, INPUT, OUTPUT].iter().all(|name| table.column(name).is_some())
}

/// Reads the records, and their description: `meta`, or the file beside them.
pub(super) fn read(mut table: Table, path: &Path, meta: Option<&Path>) -> Result<Replay, InputError> {
    let meta = meta.map_or_else(|| beside(path), Path::to_path_buf);
    let server = read_meta(&meta)?;
    let (arrival, input, output) = (table.require(ARRIVAL)?, table.require(INPUT)?, table.require(OUTPUT)?);
    let id = table.column(ID);
    let measured = [QUEUE, TTFT, E2E, TPOT].map(|name| table.column(name));
    if measured.iter().all(Option::is_none) {
        return Err(table.bad_header(format!(
            "nothing was measured: give at least one of the columns {QUEUE}, {TTFT}, {E2E}, {TPOT}"
        )));
    }
    let mut records = Vec::new();
    while table.advance()? {
        let number = |i: usize| -> Result<Option<f64>, InputError> {
            let text = table.text(i);
            match text.parse::<f64>() {
                _ if text.is_empty() => Ok(None),
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
                _ => Err(table.bad_value(i, "must be a number of at least 0 (empty: not measured)")),
            }
        };
        let tokens = |i: usize| match number(i)? {
            Some(tokens) if tokens.fract() == 0.0 && (1.0..=1e7).contains(&tokens) => Ok(tokens as u32),
            _ => Err(table.bad_value(i, "must be a whole number of tokens in 1..=10000000")),
        };
        let figure = |i: Option<usize>| i.map_or(Ok(None), number);
        let [queue_s, ttft_s, e2e_s, tpot_ms] = measured;
        records.push(Record {
            id: id.map_or_else(|| table.line().to_string(), |i| table.text(i)),
            line: table.line(),
            arrival_s: number(arrival)?.ok_or_else(|| table.bad_value(arrival, ""))?,
            input_tok: tokens(input)?,
            output_tok: tokens(output)?,
            queue_s: figure(queue_s)?,
            ttft_s: figure(ttft_s)?,
            e2e_s: figure(e2e_s)?,
            tpot_ms: figure(tpot_ms)?,
        });
    }
    if records.is_empty() {
        return Err(table.bad_file("has a header but no rows".into()));
    }
    Ok(Replay { path: path.to_path_buf(), meta, server, records })
}

/// `trace.csv` is described by `trace_meta.json`.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = stem.strip_suffix(".csv").unwrap_or(stem);
    path.with_file_name(format!("{stem}_meta.json"))
}

fn read_meta(path: &Path) -> Result<Server, InputError> {
    let file = path.display().to_string();
    let fail = |message: String| InputError::file("", &file, message);
    let size = std::fs::metadata(path)
        .map_err(|e| fail(format!("the replay's description cannot be opened: {e}; name it with --meta")))?
        .len();
    if size > MOST_META_BYTES {
        return Err(fail(format!("has {size} bytes; a replay's description has at most {MOST_META_BYTES}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    serde_json::from_str(&text).map_err(|error| InputError {
        line: Some(error.line() as u64),
        column: Some(error.column() as u64),
        ..fail(error.to_string().split(" at line ").next().unwrap_or_default().to_string())
    })
}

impl Replay {
    /// The set-up and a row per request, then a row of the whole.
    pub(super) fn rows(&self) -> Vec<Measured> {
        let mut rows: Vec<Measured> = self.records.iter().map(|record| self.row(record)).collect();
        rows.push(self.whole());
        rows
    }

    fn row(&self, record: &Record) -> Measured {
        let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e3);
        let figures = [
            (Metric::TtftMs, ms(record.ttft_s)),
            (Metric::TpotMs, record.tpot_ms),
            (Metric::E2eMs, ms(record.e2e_s)),
        ];
        Measured {
            id: record.id.clone(),
            line: record.line,
            input_tok: Some(record.input_tok),
            output_tok: f64::from(record.output_tok),
            figures: positive(figures),
            ..self.server.measured()
        }
    }

    fn whole(&self) -> Measured {
        let n = self.records.len() as f64;
        let first_s = self.records.iter().map(|r| r.arrival_s).fold(f64::INFINITY, f64::min);
        let ends = self.records.iter().map(|r| Some(r.arrival_s + r.e2e_s?));
        let last_s = ends.collect::<Option<Vec<f64>>>().map(|ends| ends.into_iter().fold(0.0, f64::max));
        let makespan_s = last_s.map(|last_s| last_s - first_s);
        let output_tok: f64 = self.records.iter().map(|r| f64::from(r.output_tok)).sum();
        let queues: Option<Vec<f64>> = self.records.iter().map(|r| r.queue_s).collect();
        let figures = [
            (Metric::MakespanS, makespan_s),
            (Metric::OutputTokPerS, makespan_s.map(|seconds| output_tok / seconds)),
            (Metric::QueueMs, queues.map(|queues| queues.iter().sum::<f64>() / n * 1e3)),
        ];
        Measured {
            id: "whole replay".into(),
            line: 1,
            output_tok: output_tok / n,
            figures: positive(figures),
            ..self.server.measured()
        }
    }

    /// Replays the records: figures in the order of [`Replay::rows`].
    pub(super) fn run(
        &self,
        catalog: &Arc<Catalog>,
        tasks: &Tasks,
        seed: u64,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Case, Vec<Figures>), Stop> {
        let case = Case::of(&self.whole(), catalog, tasks).map_err(Stop::Row)?;
        let catalog = Arc::new(Catalog::clone(catalog).with_node(case.node.clone()));
        let path = std::path::absolute(&self.path).map_err(|error| Stop::Row(error.to_string()))?;
        let class =
            json!({ "name": "replay", "arrivals": { "trace": { "path": path, "format": "served" } } });
        let rest = json!({
            "seed": seed,
            "at_end": "drain",
            "workload": { "classes": [class] },
            "report": { "figures": "none" },
        });
        let resolved = case.resolved(&catalog, rest, Path::new(".")).map_err(Stop::Row)?;
        let progress = |_: f64, _: u64| go_on();
        let options = SimOptions { keep_requests: true, progress: Some(&progress), ..SimOptions::default() };
        let outcome = simulate(&resolved, &options).map_err(steady::stop)?;
        let requests = outcome.requests.unwrap_or_default();
        if requests.len() != self.records.len() {
            let (found, wanted) = (requests.len(), self.records.len());
            return Err(Stop::Row(format!("{found} of {wanted} requests were replayed")));
        }
        let mut figures: Vec<Figures> = requests.iter().map(of_request).collect();
        let first = requests.iter().map(|r| r.arrival_fs).min();
        let last = requests.iter().filter_map(|r| r.finish_fs).max();
        let makespan_s = first.zip(last).map(|(first, last)| (last - first) as f64 * 1e-15);
        let output_tok: f64 = requests.iter().map(|r| f64::from(r.output_tok)).sum();
        figures.push(positive([
            (Metric::MakespanS, makespan_s),
            (Metric::OutputTokPerS, makespan_s.map(|seconds| output_tok / seconds)),
            (Metric::QueueMs, outcome.summary.latency_s.queue.mean.map(|seconds| seconds * 1e3)),
        ]));
        Ok((case, figures))
    }
}

impl Server {
    /// A row of it, but for what the row's requests are.
    fn measured(&self) -> Measured {
        let gpus = self.tensor_parallel_size.saturating_mul(self.data_parallel_size);
        let expert = if self.enable_expert_parallel { gpus } else { 1 };
        let split = match (self.tensor_parallel_size, self.data_parallel_size) {
            (0, _) | (_, 0) => Err("it was served by no GPU".into()),
            (tensor, data) if self.enable_expert_parallel => {
                Ok(Split { tensor, attention_data: data, expert, replicas: 1 })
            }
            (tensor, replicas) => Ok(Split { tensor, attention_data: 1, expert, replicas }),
        };
        Measured {
            id: String::new(),
            line: 1,
            model: self.model.clone(),
            gpu: self.gpu.clone(),
            node: None,
            precision: self.dtype.clone().filter(|dtype| dtype != "auto"),
            kv_precision: self.kv_cache_dtype.clone(),
            engine: Some("vllm".into()),
            engine_version: self.vllm.clone(),
            task: None,
            gpus,
            split,
            batch: self.max_num_seqs.saturating_mul(self.data_parallel_size),
            running: None,
            input_tok: Some(1),
            output_tok: 1.0,
            output_sigma: Some(0.0),
            max_step_tok: self.max_num_batched_tokens,
            gpu_cap_w: None,
            relative_to: None,
            source: None,
            suspect_host_bound: false,
            figures: Figures::new(),
            remarks: Vec::new(),
            copied: Vec::new(),
        }
    }
}

fn of_request(request: &RequestRow) -> Figures {
    let ms = |from: i128, to: i128| (to - from) as f64 * 1e-12;
    let ttft = request.first_token_fs.map(|first| ms(request.arrival_fs, first));
    let e2e = request.finish_fs.map(|finish| ms(request.arrival_fs, finish));
    let gaps = f64::from(request.output_tok.saturating_sub(1));
    let tpot = request.first_token_fs.zip(request.finish_fs).map(|(first, finish)| ms(first, finish) / gaps);
    positive([(Metric::TtftMs, ttft), (Metric::TpotMs, tpot), (Metric::E2eMs, e2e)])
}

/// Figures that an error can relate to.
fn positive(figures: [(Metric, Option<f64>); 3]) -> Figures {
    let known = |(metric, value): (Metric, Option<f64>)| {
        Some((metric, value.filter(|value| value.is_finite() && *value > 0.0)?))
    };
    figures.into_iter().filter_map(known).collect()
}
