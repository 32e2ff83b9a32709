//! A measured row: the set-up that was measured, and the figures read off it.

use std::collections::BTreeMap;

use serde::Serialize;

/// A figure that is measured and simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Output tokens per second of all the row's GPUs.
    OutputTokPerS,
    /// Power of all the row's GPUs together [W].
    GpuPowerW,
    /// GPU joules per output token.
    JPerOutputToken,
    /// Mean time between tokens, over tokens [ms].
    ItlMs,
    /// Median time between tokens, over tokens [ms].
    ItlP50Ms,
    /// Time to first token, mean over requests [ms].
    TtftMs,
    /// Time per output token after the first, mean over requests [ms].
    TpotMs,
    /// Arrival to last token, mean over requests [ms].
    E2eMs,
    /// Wall power of the row's nodes, settled [W].
    NodePowerW,
    /// Output rate over that of the row named by `relative_to`.
    ThroughputRatio,
    /// Arrival to admission, mean over requests [ms].
    QueueMs,
    /// First arrival to last token of a replay [s].
    MakespanS,
}

impl Metric {
    /// All, in the order of reports.
    pub const ALL: [Self; 12] = [
        Self::OutputTokPerS,
        Self::GpuPowerW,
        Self::JPerOutputToken,
        Self::ItlMs,
        Self::ItlP50Ms,
        Self::TtftMs,
        Self::TpotMs,
        Self::E2eMs,
        Self::NodePowerW,
        Self::ThroughputRatio,
        Self::QueueMs,
        Self::MakespanS,
    ];

    /// The column of measured tables and the key in `summary.json`.
    pub fn key(self) -> &'static str {
        match self {
            Self::OutputTokPerS => "output_tok_per_s",
            Self::GpuPowerW => "gpu_power_w",
            Self::JPerOutputToken => "j_per_output_token",
            Self::ItlMs => "itl_ms",
            Self::ItlP50Ms => "itl_p50_ms",
            Self::TtftMs => "ttft_ms",
            Self::TpotMs => "tpot_ms",
            Self::E2eMs => "e2e_ms",
            Self::NodePowerW => "node_power_w",
            Self::ThroughputRatio => "throughput_ratio",
            Self::QueueMs => "queue_ms",
            Self::MakespanS => "makespan_s",
        }
    }

    /// In words, with its unit.
    pub fn words(self) -> &'static str {
        match self {
            Self::OutputTokPerS => "output tokens per second",
            Self::GpuPowerW => "GPU power [W]",
            Self::JPerOutputToken => "GPU joules per output token",
            Self::ItlMs => "mean time between tokens [ms]",
            Self::ItlP50Ms => "median time between tokens [ms]",
            Self::TtftMs => "time to first token [ms]",
            Self::TpotMs => "time per output token [ms]",
            Self::E2eMs => "end-to-end time [ms]",
            Self::NodePowerW => "wall power of the nodes [W]",
            Self::ThroughputRatio => "throughput ratio",
            Self::QueueMs => "time in the queue [ms]",
            Self::MakespanS => "makespan [s]",
        }
    }
}

/// Figures by metric.
pub type Figures = BTreeMap<Metric, f64>;

/// How the row's GPUs share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// GPUs over which each layer of a replica is split.
    pub tensor: u32,
    /// Groups of a replica that keep attention to themselves and share the experts.
    pub attention_data: u32,
    /// GPUs over which a replica's experts are spread; 1: split like the rest.
    pub expert: u32,
    /// Replicas that share nothing but the batch.
    pub replicas: u32,
}

impl Split {
    /// GPUs of one replica.
    pub fn replica_gpus(self) -> u32 {
        self.tensor.saturating_mul(self.attention_data)
    }
}

/// What was measured, under the names that the table gives things.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The table's `id`, else the line's number.
    pub id: String,
    /// Line in the table, from 1 (the header).
    pub line: u64,
    /// Model.
    pub model: String,
    /// GPU.
    pub gpu: String,
    /// Node; `None`: the GPU's own.
    pub node: Option<String>,
    /// Format of the weights; `None`: the checkpoint's own.
    pub precision: Option<String>,
    /// Format of the KV cache; `None`: 16 bit.
    pub kv_precision: Option<String>,
    /// Serving engine.
    pub engine: Option<String>,
    /// Its version.
    pub engine_version: Option<String>,
    /// What was asked.
    pub task: Option<String>,
    /// GPUs of the row.
    pub gpus: u32,
    /// How they share the work, or why that cannot be.
    pub split: Result<Split, String>,
    /// Requests in flight; 0: idle.
    pub batch: u32,
    /// Of them, those that were running on average; `None`: not measured.
    pub running: Option<f64>,
    /// Mean prompt; `None`: by the task.
    pub input_tok: Option<u32>,
    /// Mean output.
    pub output_tok: f64,
    /// Spread of the output's logarithm; `None`: by task and model.
    pub output_sigma: Option<f64>,
    /// Most tokens in a step of the serving engine; `None`: its default for the GPU.
    pub max_step_tok: Option<u32>,
    /// Power limit set on each GPU [W].
    pub gpu_cap_w: Option<f64>,
    /// `id` of the row to which `throughput_ratio` relates.
    pub relative_to: Option<String>,
    /// Where a published figure was published.
    pub source: Option<String>,
    /// Whether the table's author suspects that the host was measured.
    pub suspect_host_bound: bool,
    /// What was measured.
    pub figures: Figures,
    /// What a reader of the row must know.
    pub remarks: Vec<String>,
    /// Columns that are not understood, as they are.
    pub copied: Vec<(String, String)>,
}
