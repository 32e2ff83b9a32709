//! Whose columns a table has, by its header.

use super::measured::Metric;

/// The columns of a kind of table.
pub(super) struct Layout {
    /// As reports call it.
    pub name: &'static str,
    /// Columns that only this kind has.
    known_by: &'static [&'static str],
    /// Pairs of our name and the table's.
    renamed: &'static [(&'static str, &'static str)],
    /// Columns without use here, whose loss needs no warning.
    pub unused: &'static [&'static str],
    /// All requests have the same length.
    pub constant_lengths: bool,
    /// A zero where none can be means that the value is not known.
    pub zero_is_unknown: bool,
    /// What served all of its rows, where no column says so: engine and version.
    pub engine: Option<(&'static str, &'static str)>,
    /// What a reader of all its rows must know.
    pub warnings: &'static [&'static str],
}

/// wattmill's own schema.
const OWN: Layout = Layout {
    name: "wattmill",
    known_by: &["model", "gpu", "batch"],
    renamed: &[],
    unused: &[],
    constant_lengths: false,
    zero_is_unknown: false,
    engine: None,
    warnings: &[],
};

/// The ML.ENERGY Benchmark's results (version 3, vLLM 0.11.1): steady state with all slots taken, GPU energy alone.
const ML_ENERGY: Layout = Layout {
    name: "ML.ENERGY",
    known_by: &["model_id", "max_num_seqs", "avg_output_len"],
    renamed: &[
        ("model", "model_id"),
        ("precision", "weight_precision"),
        ("gpu", "gpu_model"),
        ("gpus", "num_gpus"),
        ("batch", "max_num_seqs"),
        ("running", "avg_batch_size"),
        ("output_tok", "avg_output_len"),
        ("output_tok_per_s", "output_throughput_tokens_per_sec"),
        ("gpu_power_w", "avg_power_watts"),
        ("j_per_output_token", "energy_per_token_joules"),
        ("itl_p50_ms", "median_itl_ms"),
    ],
    unused: &[
        "architecture",
        "total_params_billions",
        "activated_params_billions",
        "energy_per_request_joules",
        "p90_itl_ms",
        "p95_itl_ms",
        "p99_itl_ms",
    ],
    constant_lengths: false,
    zero_is_unknown: false,
    engine: Some(("vllm", "0.11.1")),
    warnings: &[],
};

/// InferenceX-style results: closed loop, all prompts and all outputs of one length.
const INFERENCE_X: Layout = Layout {
    name: "InferenceX",
    known_by: &["isl", "osl", "concurrency"],
    renamed: &[
        ("engine", "backend"),
        ("engine_version", "backend_version"),
        ("model", "model_path"),
        ("gpu", "system"),
        ("input_tok", "isl"),
        ("output_tok", "osl"),
        ("batch", "concurrency"),
        ("gpus", "n_gpus"),
        ("tensor_parallel", "tp_size"),
        ("pipeline_parallel", "pp_size"),
        ("attention_dp", "attention_dp_size"),
        ("expert_parallel", "moe_ep_size"),
        ("ttft_ms", "silicon_ttft_ms"),
        ("tpot_ms", "silicon_tpot_ms"),
        ("output_tok_per_s", "out_tok_s_est"),
    ],
    unused: &["origin", "measured", "batch_size"],
    constant_lengths: true,
    zero_is_unknown: true,
    engine: None,
    warnings: &[
        "out_tok_s_est is the table's own estimate, from its time to first token and per output token",
    ],
};

impl Layout {
    /// The kind of table that has this header.
    pub(super) fn of(header: &[String]) -> Option<&'static Self> {
        let has = |name: &&str| header.iter().any(|column| column == name);
        [&ML_ENERGY, &INFERENCE_X, &OWN].into_iter().find(|layout| layout.known_by.iter().all(has))
    }

    /// What known kinds are known by, for an error message.
    pub(super) fn known() -> String {
        let kinds = [&OWN, &ML_ENERGY, &INFERENCE_X];
        kinds.map(|layout| format!("{} (`{},…`)", layout.name, layout.known_by.join(","))).join(", ")
    }

    /// The table's name for one of our columns.
    pub(super) fn column(&self, ours: &'static str) -> &'static str {
        self.renamed.iter().find(|(name, _)| *name == ours).map_or(ours, |(_, theirs)| theirs)
    }

    /// The table's name for a metric's column.
    pub(super) fn metric(&self, metric: Metric) -> &'static str {
        self.column(metric.key())
    }
}
