//! Step time of one replica: what one iteration costs in compute, memory traffic, links and host.
//!
//! ```text
//! t = linear(n + p, sampled) + decode_attention(S, n) + prefill_attention(p, pairs) + comm(n + p) + host(n)
//! ```
//!
//! for n decoding sequences with S tokens of context, and p prompt tokens; of S and pairs, layers that see a
//! window only count what is inside it. Compute and memory times of
//! the linear layers add (they overlap only in part); those of attention do not (the larger counts).
//! All numbers are for **one GPU** of a replica that is split over `tp` GPUs; the GPUs work in step.
//! Times are at full clock: a lower clock stretches compute times, memory times less, links and host not.

/// Weights that are multiplied in one number format.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WeightGroup {
    /// Bytes read per parameter, block scales included.
    pub bytes_per_param: f64,
    /// Peak rate of the arithmetic used for it, one GPU [FLOP/s].
    pub peak_flop_s: f64,
    /// Share of that peak reached by large matrix products.
    pub mfu: f64,
}

impl WeightGroup {
    fn compute_s(&self, flop: f64) -> f64 {
        flop / (self.peak_flop_s * self.mfu)
    }
}

/// Everything the step time of one replica depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct RooflineParams {
    /// GPUs over which each layer is split.
    pub tp: f64,
    /// Parameters that every token passes: projections, dense feed-forward, shared experts, routers.
    pub dense_params: f64,
    /// How they are stored and multiplied.
    pub dense: WeightGroup,
    /// Parameters of one routed expert of one layer.
    pub expert_params: f64,
    /// Layers with routed experts.
    pub moe_layers: f64,
    /// Routed experts of a layer; 0: none.
    pub experts: f64,
    /// Experts a token passes in each such layer.
    pub experts_per_tok: f64,
    /// How experts are stored and multiplied.
    pub expert: WeightGroup,
    /// Parameters of the output head, hidden × vocabulary.
    pub head_params: f64,
    /// How the head is stored and multiplied.
    pub head: WeightGroup,
    /// Activations read and written per token, one GPU [byte].
    pub activation_bytes_per_tok: f64,
    /// Peak memory bandwidth, one GPU [byte/s].
    pub hbm_byte_s: f64,
    /// Share of it reached when weights are streamed.
    pub weight_mbu: f64,
    /// Layers with attention.
    pub attn_layers: f64,
    /// Fixed time of an attention call [s].
    pub attn_layer_s: f64,
    /// Share of the peak bandwidth reached when the KV cache is read.
    pub attn_mbu: f64,
    /// Peak rate of attention's arithmetic, one GPU [FLOP/s].
    pub attn_peak_flop_s: f64,
    /// Share of that peak reached by attention over long contexts.
    pub attn_mfu: f64,
    /// KV cache read per decoded token and token of context, one GPU, layers that see all of it [byte].
    pub kv_read_bytes_per_ctx_tok: f64,
    /// FLOP per decoded token and token of context, one GPU, layers that see all of it.
    pub decode_flop_per_ctx_tok: f64,
    /// Tokens that the other layers see; `None` if all layers see everything.
    pub window_tok: Option<u32>,
    /// KV cache read per decoded token and token in its window, one GPU, layers that see a window only [byte].
    pub window_read_bytes_per_tok: f64,
    /// FLOP per decoded token and token in its window, one GPU, layers that see a window only.
    pub window_flop_per_tok: f64,
    /// FLOP per prompt token and token it attends to, one GPU, layers that see all of it.
    pub prefill_flop_per_pair: f64,
    /// FLOP per prompt token and token in its window, one GPU, layers that see a window only.
    pub prefill_window_flop_per_pair: f64,
    /// Context by which short prompts are less efficient: K in flop · (pairs + p·K) / (peak · mfu) [tokens].
    pub prefill_overhead_tok: f64,
    /// All-reduces per step.
    pub all_reduces: f64,
    /// Message of one all-reduce per token [byte].
    pub all_reduce_bytes_per_tok: f64,
    /// Time of an empty all-reduce [s].
    pub all_reduce_latency_s: f64,
    /// Time per byte of message [s/byte].
    pub all_reduce_s_per_byte: f64,
    /// Host time per step, with the fixed times of expert layers [s].
    pub host_step_s: f64,
    /// Host time per decoding sequence and step [s].
    pub host_seq_s: f64,
    /// Weights resident on one GPU [byte].
    pub weight_bytes_per_gpu: f64,
    /// KV cache per token of context on one GPU, layers that see all of it [byte].
    pub kv_bytes_per_tok_per_gpu: f64,
    /// KV cache per sequence on one GPU in the layers that see a window only, once it is full [byte].
    pub kv_window_bytes_per_seq_per_gpu: f64,
}

/// Linear layers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearTerm {
    /// Time of the arithmetic [s].
    pub compute_s: f64,
    /// Time of the memory traffic, added to it [s].
    pub memory_s: f64,
    /// FLOP of one GPU.
    pub flop: f64,
    /// Memory traffic of one GPU [byte].
    pub bytes: f64,
    /// Time the arithmetic would take at the peak rate of its format [s]: numerator of MFU.
    pub peak_flop_s: f64,
}

/// Attention of decoding sequences. Per step with at least one of them:
/// `layer_s + S·max(memory, compute)_s_per_ctx_tok + W·max(memory, compute)_s_per_window_tok`, where W is
/// Σ min(context, window).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeAttention {
    /// Fixed time, once per step with decoding sequences; does not scale with the clock [s].
    pub layer_s: f64,
    /// Memory time per token of context [s].
    pub memory_s_per_ctx_tok: f64,
    /// Compute time per token of context [s].
    pub compute_s_per_ctx_tok: f64,
    /// Memory time per token in a window, for layers that see no more [s].
    pub memory_s_per_window_tok: f64,
    /// Compute time per token in a window, for layers that see no more [s].
    pub compute_s_per_window_tok: f64,
    /// FLOP per token of context, one GPU.
    pub flop_per_ctx_tok: f64,
    /// Memory traffic per token of context, one GPU [byte].
    pub bytes_per_ctx_tok: f64,
    /// FLOP per token in a window, one GPU.
    pub flop_per_window_tok: f64,
    /// Memory traffic per token in a window, one GPU [byte].
    pub bytes_per_window_tok: f64,
    /// Rate that divides FLOP for MFU, one GPU [FLOP/s].
    pub peak_flop_s: f64,
}

/// Attention of prompts. A step with p prompt tokens that attend to `pairs` (token, context token) pairs, of which
/// `window_pairs` are within a window, takes `s_per_pair · (pairs + p·overhead_tok) + s_per_window_pair ·
/// window_pairs`; all of it is compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrefillAttention {
    /// Time per pair [s].
    pub s_per_pair: f64,
    /// Pairs to add per prompt token: what short prompts lose.
    pub overhead_tok: f64,
    /// Time per pair within a window, for layers that see no more [s].
    pub s_per_window_pair: f64,
    /// FLOP per pair, one GPU.
    pub flop_per_pair: f64,
    /// FLOP per pair within a window, one GPU.
    pub flop_per_window_pair: f64,
    /// Rate that divides FLOP for MFU, one GPU [FLOP/s].
    pub peak_flop_s: f64,
}

impl RooflineParams {
    /// Distinct routed experts of a layer that `tokens` tokens touch, if each picks `experts_per_tok` of
    /// them evenly: E·(1 − (1 − k/E)^tokens).
    pub fn experts_touched(&self, tokens: f64) -> f64 {
        if self.experts == 0.0 || tokens <= 0.0 {
            return 0.0;
        }
        let share = (self.experts_per_tok / self.experts).min(1.0);
        self.experts * -(tokens * (-share).ln_1p()).exp_m1()
    }

    /// Linear layers of a step with `tokens` tokens, decoding and prompt together, of which `sampled`
    /// yield an output token and so pass the head.
    pub fn linear(&self, tokens: f64, sampled: f64) -> LinearTerm {
        let dense_flop = 2.0 * self.dense_params * tokens / self.tp;
        let expert_flop =
            2.0 * self.expert_params * self.moe_layers * self.experts_per_tok.min(self.experts) * tokens
                / self.tp;
        let head_flop = 2.0 * self.head_params * sampled / self.tp;

        let mut bytes = 0.0;
        if tokens > 0.0 {
            bytes += self.dense_params * self.dense.bytes_per_param / self.tp;
            bytes += self.activation_bytes_per_tok * tokens;
            bytes += self.expert_params
                * self.moe_layers
                * self.experts_touched(tokens)
                * self.expert.bytes_per_param
                / self.tp;
        }
        if sampled > 0.0 {
            bytes += self.head_params * self.head.bytes_per_param / self.tp;
        }
        let mut compute_s = self.dense.compute_s(dense_flop) + self.head.compute_s(head_flop);
        let mut peak_flop_s = dense_flop / self.dense.peak_flop_s + head_flop / self.head.peak_flop_s;
        if expert_flop > 0.0 {
            compute_s += self.expert.compute_s(expert_flop);
            peak_flop_s += expert_flop / self.expert.peak_flop_s;
        }
        LinearTerm {
            compute_s,
            memory_s: bytes / (self.hbm_byte_s * self.weight_mbu),
            flop: dense_flop + expert_flop + head_flop,
            bytes,
            peak_flop_s,
        }
    }

    /// Coefficients of decode attention.
    pub fn decode_attention(&self) -> DecodeAttention {
        let byte_s = self.hbm_byte_s * self.attn_mbu;
        let flop_s = self.attn_peak_flop_s * self.attn_mfu;
        DecodeAttention {
            layer_s: self.attn_layers * self.attn_layer_s,
            memory_s_per_ctx_tok: self.kv_read_bytes_per_ctx_tok / byte_s,
            compute_s_per_ctx_tok: self.decode_flop_per_ctx_tok / flop_s,
            memory_s_per_window_tok: self.window_read_bytes_per_tok / byte_s,
            compute_s_per_window_tok: self.window_flop_per_tok / flop_s,
            flop_per_ctx_tok: self.decode_flop_per_ctx_tok,
            bytes_per_ctx_tok: self.kv_read_bytes_per_ctx_tok,
            flop_per_window_tok: self.window_flop_per_tok,
            bytes_per_window_tok: self.window_read_bytes_per_tok,
            peak_flop_s: self.attn_peak_flop_s,
        }
    }

    /// Coefficients of prefill attention.
    pub fn prefill_attention(&self) -> PrefillAttention {
        let flop_s = self.attn_peak_flop_s * self.attn_mfu;
        PrefillAttention {
            s_per_pair: self.prefill_flop_per_pair / flop_s,
            overhead_tok: self.prefill_overhead_tok,
            s_per_window_pair: self.prefill_window_flop_per_pair / flop_s,
            flop_per_pair: self.prefill_flop_per_pair,
            flop_per_window_pair: self.prefill_window_flop_per_pair,
            peak_flop_s: self.attn_peak_flop_s,
        }
    }

    /// All-reduces of a step with `tokens` tokens [s]; 0 on a single GPU.
    pub fn comm_s(&self, tokens: f64) -> f64 {
        if self.tp <= 1.0 || tokens <= 0.0 {
            return 0.0;
        }
        let message = tokens * self.all_reduce_bytes_per_tok;
        self.all_reduces * (self.all_reduce_latency_s + message * self.all_reduce_s_per_byte)
    }
}
