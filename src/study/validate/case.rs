//! From a measured row to what is simulated: names looked up, lengths chosen, and the scenario of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::measured::{Measured, Metric, Split};
use super::tasks::{DEFAULT_SIGMA, Tasks};
use crate::catalog::{Catalog, EngineMatch, Gpu, Model, Node, Precision};
use crate::scenario::types::Scenario;
use crate::scenario::{Resolved, suggestion};

/// vLLM's default for the tokens of a step when it serves online, on GPUs with at least
/// [`LARGE_GPU_GB`], A100 excepted.
const LARGE_GPU_STEP_TOK: u32 = 8192;
/// The same on all other GPUs.
const STEP_TOK: u32 = 2048;
const LARGE_GPU_GB: f64 = 70.0;
/// The engine of a row that names none.
const DEFAULT_ENGINE: &str = "vllm-0.11";
/// Most tokens of a prompt or an output.
const MOST_TOK: u64 = 10_000_000;

/// Lengths of outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::study) struct Outputs {
    pub mean_tok: f64,
    /// 0: all equally long.
    pub sigma: f64,
}

impl Outputs {
    /// Mean of the tokens that a request in flight has emitted already: E\[L²\]/2E\[L\].
    pub(in crate::study) fn mean_age_tok(self) -> f64 {
        self.mean_tok * (self.sigma * self.sigma).exp() / 2.0
    }
}

/// A row in the catalog's terms.
#[derive(Debug, Clone)]
pub(in crate::study) struct Case {
    pub model: String,
    pub gpu: String,
    pub engine: String,
    /// As the row gives it, with the version.
    pub engine_asked: String,
    pub weights: Option<Precision>,
    /// Of the experts, else of the body: what the row's errors are grouped by.
    pub format: Precision,
    pub kv: Precision,
    /// Moe, dense and so on.
    pub architecture: &'static str,
    /// The node that holds the row's GPUs and no others.
    pub node: Node,
    pub nodes: u32,
    /// Nodes of the catalog that the row's GPUs fill; `None` if they fill none.
    pub whole_nodes: Option<(u32, Node)>,
    pub split: Split,
    pub batch: u32,
    pub prompt_tok: u32,
    pub outputs: Outputs,
    pub max_step_tok: u32,
    pub gpu_cap_w: Option<f64>,
    pub remarks: Vec<String>,
}

impl Case {
    /// Looks up what the row names.
    ///
    /// # Errors
    /// Why it cannot be simulated, in words.
    pub(in crate::study) fn of(row: &Measured, catalog: &Catalog, tasks: &Tasks) -> Result<Self, String> {
        let mut remarks = Vec::new();
        let gpu =
            catalog.gpu_called(&row.gpu).ok_or_else(|| unknown("GPU", &row.gpu, catalog.gpu_names()))?;
        let (model, of_name) = catalog
            .model_called(&row.model)
            .ok_or_else(|| unknown("model", &row.model, catalog.model_names()))?;
        let weights = match &row.precision {
            None => of_name,
            Some(name) => Some(format_called(name, model, catalog)?),
        };
        let (engine, engine_asked) = engine(row, catalog, &mut remarks)?;
        let kv = match row.kv_precision.as_deref() {
            None | Some("auto") if keeps_kv_in_fp8(row, weights) => {
                remarks.push("KV cache in fp8, as TensorRT-LLM keeps it for quantised checkpoints".into());
                Precision::Fp8
            }
            None | Some("auto") => Precision::Bf16,
            Some(name) => format_called(name, model, catalog)?,
        };
        let split = row.split.clone()?;
        let (node, nodes, whole_nodes) = node(row, gpu, split, catalog)?;
        if whole_nodes.is_none() && row.figures.contains_key(&Metric::NodePowerW) {
            remarks.push("its GPUs fill no node: node power is not compared".into());
        }
        let (prompt_tok, outputs) = lengths(row, model, tasks, &mut remarks)?;
        let large = gpu.hbm_gb.value >= LARGE_GPU_GB && !gpu.name.starts_with("A100");
        let default_step_tok = if large { LARGE_GPU_STEP_TOK } else { STEP_TOK };
        let max_seqs = row.batch.div_ceil(split.replicas).max(1);
        let formats = model.weights(weights);
        Ok(Self {
            model: model.name.clone(),
            gpu: gpu.name.clone(),
            engine,
            engine_asked,
            weights,
            format: if model.moe.is_some() { formats.experts } else { formats.body },
            kv,
            architecture: match (&model.moe, &model.mla, &model.sliding) {
                (Some(_), Some(_), _) => "MoE, latent attention",
                (Some(_), None, Some(_)) => "MoE, sliding window",
                (Some(_), None, None) => "MoE",
                (None, _, Some(_)) => "dense, sliding window",
                (None, _, None) => "dense",
            },
            node,
            nodes,
            whole_nodes,
            split,
            batch: row.batch,
            prompt_tok,
            outputs,
            max_step_tok: row.max_step_tok.unwrap_or(default_step_tok).max(max_seqs),
            gpu_cap_w: row.gpu_cap_w,
            remarks,
        })
    }

    /// Most sequences of one replica.
    pub(super) fn max_seqs(&self) -> u32 {
        self.batch.div_ceil(self.split.replicas).max(1)
    }

    /// The scenario of one closed loop, `most_output_tok` being the longest output that fits a replica.
    ///
    /// # Errors
    /// Why it cannot be simulated, in words.
    pub(super) fn closed_loop(
        &self,
        catalog: &Arc<Catalog>,
        seed: u64,
        warm_up_s: f64,
        window_s: f64,
        most_output_tok: u64,
    ) -> Result<Resolved, String> {
        let most = most_output_tok.clamp(1, MOST_TOK);
        let answer = if self.outputs.sigma > 0.0 {
            json!({ "lognormal": {
                "mean_tok": self.outputs.mean_tok, "sigma": self.outputs.sigma, "max_tok": most,
            }})
        } else {
            json!({ "constant": { "tok": (self.outputs.mean_tok.round() as u64).clamp(1, most) } })
        };
        let duration_s = warm_up_s + window_s;
        let class = json!({
            "name": "measured",
            "arrivals": { "closed_loop": { "in_flight": self.batch.max(1) } },
            "lengths": { "prompt": { "constant": { "tok": self.prompt_tok } }, "answer": answer },
        });
        self.resolved(
            catalog,
            json!({
                "seed": seed,
                "duration_s": duration_s,
                "warm_up_s": warm_up_s,
                "workload": { "classes": [class] },
                "report": { "interval_s": duration_s, "figures": "none" },
            }),
            std::path::Path::new("."),
        )
    }

    /// A scenario with the row's fleet, and the workload and times of `rest`, whose paths are relative to
    /// `base_dir`.
    ///
    /// # Errors
    /// Why it cannot be simulated, in words.
    pub(super) fn resolved(
        &self,
        catalog: &Arc<Catalog>,
        mut rest: Value,
        base_dir: &std::path::Path,
    ) -> Result<Resolved, String> {
        rest["name"] = json!("validate");
        rest["models"] = json!([{
            "name": "measured", "catalog": self.model, "weights": self.weights, "kv_cache": self.kv,
        }]);
        rest["routing"] = json!({ "least_loaded": {} });
        rest["fleet"] = json!({ "sites": [{ "pools": [{
            "name": "measured",
            "model": "measured",
            "gpu": self.gpu,
            "node": self.node.name,
            "nodes": self.nodes,
            "engine": self.engine,
            "parallel": self.parallel(),
            "batching": { "max_seqs": self.max_seqs(), "max_step_tok": self.max_step_tok },
            "gpu_cap_w": self.gpu_cap_w,
        }]}]});
        let scenario: Scenario = serde_json::from_value(rest).map_err(|error| error.to_string())?;
        Resolved::new(scenario, base_dir, catalog.clone()).map_err(|error| error.to_string())
    }

    /// The scenario's `parallel`.
    fn parallel(&self) -> Value {
        let Split { tensor, attention_data, expert, replicas: _ } = self.split;
        json!({ "tensor": tensor, "attention_data": attention_data, "expert": expert })
    }
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let tail = name.rsplit('/').next().unwrap_or(name);
    format!("unknown {kind} '{name}'{}", suggestion(tail, known))
}

/// `fp4` is whichever 4-bit format the checkpoint has.
fn format_called(name: &str, model: &Model, catalog: &Catalog) -> Result<Precision, String> {
    if name.eq_ignore_ascii_case("fp4")
        && let native @ Precision::Mxfp4 = model.native().experts
    {
        return Ok(native);
    }
    catalog.precision_called(name).ok_or_else(|| {
        format!("unknown precision '{name}'; known are bf16, fp8, nvfp4, fp4, mxfp4, int8 and int4")
    })
}

/// Checkpoints quantised for TensorRT-LLM say that their KV cache is fp8, and it follows them.
fn keeps_kv_in_fp8(row: &Measured, weights: Option<Precision>) -> bool {
    let name = row.engine.as_deref().unwrap_or_default().to_ascii_lowercase();
    let trt = name.starts_with("trt") || name.starts_with("tensorrt");
    trt && matches!(weights, Some(Precision::Fp8 | Precision::Nvfp4))
}

/// The engine's entry, and what the row calls it.
fn engine(row: &Measured, catalog: &Catalog, remarks: &mut Vec<String>) -> Result<(String, String), String> {
    let version = row.engine_version.as_deref();
    let Some(name) = row.engine.as_deref() else {
        remarks.push(format!("names no engine: simulated as {DEFAULT_ENGINE}"));
        return Ok((DEFAULT_ENGINE.into(), "not given".into()));
    };
    let asked = version.map_or_else(|| name.to_string(), |version| format!("{name} {version}"));
    let (engine, how) = catalog
        .engine_called(name, version)
        .ok_or_else(|| unknown("serving engine", name, catalog.engine_names()))?;
    match how {
        EngineMatch::Exact => {}
        EngineMatch::NearestVersion | EngineMatch::NewestVersion | EngineMatch::Fallback => {
            remarks.push(format!("{asked} is simulated as {}", engine.name));
        }
    }
    Ok((engine.name.clone(), asked))
}

/// A node that holds the row's GPUs and no others, how many of them, and the whole nodes they fill.
#[allow(clippy::type_complexity, reason = "three parts that belong together, taken apart at once")]
fn node(
    row: &Measured,
    gpu: &Gpu,
    split: Split,
    catalog: &Catalog,
) -> Result<(Node, u32, Option<(u32, Node)>), String> {
    let name = row.node.as_deref().unwrap_or(&gpu.node);
    let whole = catalog.node(name).ok_or_else(|| unknown("node", name, catalog.node_names()))?;
    let each = whole.gpus.value;
    let replica = split.replica_gpus();
    if replica > each {
        return Err(format!("a replica over {replica} GPUs does not fit a node of {each} ({})", whole.name));
    }
    if row.gpus.is_multiple_of(each) {
        let nodes = row.gpus / each;
        return Ok((whole.clone(), nodes, Some((nodes, whole.clone()))));
    }
    if row.gpus > each {
        // Replicas are independent: each in a node of its own.
        return Ok((part_of(whole, replica), split.replicas, None));
    }
    Ok((part_of(whole, row.gpus), 1, None))
}

/// A node with fewer GPUs, and its overhead in proportion.
fn part_of(whole: &Node, gpus: u32) -> Node {
    let mut node = whole.clone();
    node.name = format!("{gpus} GPUs of {}", whole.name);
    node.overhead_w.value *= f64::from(gpus) / f64::from(whole.gpus.value);
    node.gpus.value = gpus;
    node
}

fn lengths(
    row: &Measured,
    model: &Model,
    tasks: &Tasks,
    remarks: &mut Vec<String>,
) -> Result<(u32, Outputs), String> {
    let task = row.task.as_deref().and_then(|task| tasks.of(task, &model.name));
    if row.batch == 0 {
        return Ok((1, Outputs { mean_tok: 1.0, sigma: 0.0 }));
    }
    let prompt_tok = match (row.input_tok, task) {
        (Some(tokens), _) => tokens,
        (None, Some(task)) => {
            remarks.push(format!("prompts of {} tokens, by its task", task.prompt_tok));
            task.prompt_tok
        }
        (None, None) => {
            let task = row.task.as_deref().unwrap_or_default();
            return Err(format!("no input_tok, and nothing is known of the task '{task}'"));
        }
    };
    let sigma = match (row.output_sigma, task) {
        (Some(sigma), _) => sigma,
        (None, Some(task)) => {
            remarks.push(format!("outputs lognormal with sigma {}, by its task", task.output_sigma));
            task.output_sigma
        }
        (None, None) if (f64::from(prompt_tok) - row.output_tok).abs() < 1e-9 => {
            remarks.push("outputs of one length, as input_tok = output_tok".into());
            0.0
        }
        (None, None) => {
            remarks.push(format!("outputs lognormal with sigma {DEFAULT_SIGMA}, the default"));
            DEFAULT_SIGMA
        }
    };
    Ok((prompt_tok, Outputs { mean_tok: row.output_tok, sigma }))
}
