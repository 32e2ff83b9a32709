//! Step time of one replica: what one iteration costs in compute, memory traffic, links and host.
//!
//! ```text
//! t = linear(n + p, sampled) + decode_attention(S) + prefill_attention(p, pairs) + comm(n + p) + host(n)
//! ```
//!
//! for n decoding sequences with S tokens of context, and p prompt tokens; of S and pairs, layers that see a
//! window only count what is inside it. Compute and memory times of
//! the linear layers add (they overlap only in part); those of attention do not (the larger counts).
//! Sparse attention has the same form: its indexer reads all of the context, and attention as much of it as a window
//! of its best k tokens would hold. Of prompts, positions below a threshold are attended to in full, as that is
//! cheaper there, and since the cost of each token stops to grow at it, it is a window too.
//! A replica is `groups` groups of `tp` GPUs: attention and dense layers are split over the GPUs of a group, each
//! group has its share of the sequences, and the routed experts are spread over all GPUs. All numbers are for **one
//! GPU**, and where experts are unevenly asked for, times are those of the busiest: the GPUs work in step.
//! Times are at full clock: a lower clock stretches compute times, memory times less, links and host not.

use super::normal::quantile;
use super::step::FluidShape;

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

/// What kernels of attention reach on one GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionRate {
    /// Peak rate of their arithmetic [FLOP/s].
    pub peak_flop_s: f64,
    /// Share of that peak.
    pub mfu: f64,
    /// Share of the memory bandwidth.
    pub mbu: f64,
}

impl AttentionRate {
    fn flop_s(&self) -> f64 {
        self.peak_flop_s * self.mfu
    }
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
    /// Groups of them, each with its own part of the sequences; 1 but for data-parallel attention.
    pub groups: f64,
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
    /// Tokens that pick their experts independently, per token of a step after the first: below 1 as routing has
    /// favourites, and neighbouring tokens like ones.
    pub expert_spread: f64,
    /// Rows of a tile in the grouped products of experts: each expert touched computes whole tiles [tokens].
    pub expert_tile_tok: f64,
    /// GPUs over which whole experts are spread; 1: each expert is split over all.
    pub expert_groups: f64,
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
    /// Attention.
    pub attention: AttentionParams,
    /// All-reduces per step.
    pub all_reduces: f64,
    /// Message of one all-reduce per token [byte].
    pub all_reduce_bytes_per_tok: f64,
    /// Time of an all-reduce in one shot, in which each GPU reads all the others' messages, without their bytes [s].
    pub one_shot_latency_s: f64,
    /// Its time per byte of message [s/byte].
    pub one_shot_s_per_byte: f64,
    /// Time of an all-reduce in two phases, for larger messages, without their bytes; also of an all-to-all [s].
    pub link_latency_s: f64,
    /// Its time per byte of message [s/byte].
    pub all_reduce_s_per_byte: f64,
    /// Whether a step may be split in two halves, of which one computes while the other communicates.
    pub two_batch_overlap: bool,
    /// All-to-alls per step: tokens to the GPUs of their experts, and back.
    pub all_to_alls: f64,
    /// Bytes that leave one GPU in an all-to-all, per token of its group [byte].
    pub all_to_all_bytes_per_tok: f64,
    /// Time per byte of it [s/byte].
    pub link_s_per_byte: f64,
    /// The network between the replica's nodes; `None` within one.
    pub network: Option<NetworkParams>,
    /// Time per step in which the GPU waits: the host, the gaps between the kernels of the layers [s].
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

/// Attention of a replica: two parts, over all of the context and within windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionParams {
    /// Decode attention, or the indexer, over all of the context.
    pub decode_rate: AttentionRate,
    /// Decode attention within windows.
    pub decode_window_rate: AttentionRate,
    /// Prefill attention, or the indexer, over all of long contexts.
    pub prefill_rate: AttentionRate,
    /// Prefill attention within windows.
    pub prefill_window_rate: AttentionRate,
    /// KV cache read per decoded token and token of context, one GPU, layers that see all of it, or indexers [byte].
    pub kv_read_bytes_per_ctx_tok: f64,
    /// Of them, what tokens that one step verifies of a sequence do not share: scores of indexers [byte].
    pub own_bytes_per_ctx_tok: f64,
    /// FLOP per decoded token and token of context, one GPU, layers that see all of it, or indexers.
    pub decode_flop_per_ctx_tok: f64,
    /// Tokens that the other layers see; `None` if all layers see everything.
    pub window_tok: Option<u32>,
    /// The same of a prompt's tokens; `None` together with it.
    pub prompt_window_tok: Option<u32>,
    /// KV cache read per decoded token and token in its window, one GPU, layers that see a window only [byte].
    pub window_read_bytes_per_tok: f64,
    /// Whether the tokens that one step verifies of a sequence read their windows each: the best tokens, which each
    /// chooses for itself; a sliding window is read once for all.
    pub windows_apart: bool,
    /// FLOP per decoded token and token in its window, one GPU, layers that see a window only.
    pub window_flop_per_tok: f64,
    /// FLOP per prompt token and token it attends to, one GPU, layers that see all of it, or indexers.
    pub prefill_flop_per_pair: f64,
    /// Memory traffic per such pair, the indexer's scores, added to the time of its arithmetic [byte].
    pub prefill_bytes_per_pair: f64,
    /// FLOP per prompt token and token in its window, one GPU, layers that see a window only.
    pub prefill_window_flop_per_pair: f64,
    /// Context by which short prompts are less efficient: K in flop · (pairs + p·K) / (peak · mfu) [tokens].
    pub prefill_overhead_tok: f64,
    /// The same of attention within windows [tokens].
    pub prefill_window_overhead_tok: f64,
}

/// What an all-to-all takes where it leaves the node: the copies for experts in other nodes go over the network, and
/// meanwhile the others over the links of the node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkParams {
    /// Of the bytes that leave a GPU, those that leave its node.
    pub share: f64,
    /// Time of an all-to-all without its bytes [s].
    pub latency_s: f64,
    /// Time per byte that leaves the node [s/byte].
    pub s_per_byte: f64,
}

/// Linear layers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearTerm {
    /// Time of the arithmetic [s].
    pub compute_s: f64,
    /// Time of the memory traffic, added to it [s].
    pub memory_s: f64,
    /// FLOP of one GPU that the model asks for.
    pub flop: f64,
    /// Memory traffic of one GPU [byte].
    pub bytes: f64,
    /// Time the arithmetic, empty rows of tiles included, would take at the peak rate of its format [s]: numerator
    /// of MFU in the power law.
    pub peak_flop_s: f64,
}

/// Attention of decoding sequences: `S·max(memory, compute)_s_per_ctx_tok + W·max(memory, compute)_s_per_window_tok`,
/// where S is the sum of contexts and W is Σ min(context, window).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeAttention {
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
    /// Of it, what tokens of one sequence do not share [byte].
    pub own_bytes_per_ctx_tok: f64,
    /// Its time [s].
    pub own_memory_s_per_ctx_tok: f64,
    /// FLOP per token in a window, one GPU.
    pub flop_per_window_tok: f64,
    /// Memory traffic per token in a window, one GPU [byte].
    pub bytes_per_window_tok: f64,
    /// Rate that divides FLOP for MFU, one GPU [FLOP/s].
    pub peak_flop_s: f64,
    /// The same within windows [FLOP/s].
    pub window_peak_flop_s: f64,
}

/// Attention of prompts. A step with p prompt tokens that attend to `pairs` (token, context token) pairs, of which
/// `window_pairs` are within a window, takes `s_per_pair · (pairs + p·overhead_tok) + s_per_window_pair ·
/// (window_pairs + p·window_overhead_tok)`; all of it counts as compute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrefillAttention {
    /// Time per pair [s].
    pub s_per_pair: f64,
    /// Pairs to add per prompt token: what short prompts lose.
    pub overhead_tok: f64,
    /// Time per pair within a window, for layers that see no more [s].
    pub s_per_window_pair: f64,
    /// Pairs within a window to add per prompt token.
    pub window_overhead_tok: f64,
    /// FLOP per pair, one GPU.
    pub flop_per_pair: f64,
    /// Memory traffic per pair, one GPU [byte].
    pub bytes_per_pair: f64,
    /// FLOP per pair within a window, one GPU.
    pub flop_per_window_pair: f64,
    /// Rate that divides FLOP for MFU, one GPU [FLOP/s].
    pub peak_flop_s: f64,
    /// The same within windows [FLOP/s].
    pub window_peak_flop_s: f64,
}

impl RooflineParams {
    /// GPUs of the replica.
    pub fn gpus(&self) -> f64 {
        self.tp * self.groups
    }

    /// Distinct routed experts of a layer that `tokens` tokens touch, if the first and `expert_spread` of each
    /// further one pick `experts_per_tok` evenly: E·(1 − (1 − k/E)^(1 + spread·(tokens − 1))).
    pub fn experts_touched(&self, tokens: f64) -> f64 {
        if self.experts == 0.0 || tokens <= 0.0 {
            return 0.0;
        }
        let share = (self.experts_per_tok / self.experts).min(1.0);
        let independent = tokens.min(1.0) + self.expert_spread * (tokens - 1.0).max(0.0);
        self.experts * -(independent * (-share).ln_1p()).exp_m1()
    }

    /// Experts of a layer touched on the busiest GPU over those on the mean GPU, at least 1, where whole experts are
    /// spread over G GPUs: with a share π of the experts touched at random, a GPU's number of them has mean
    /// m = π·E/G and standard deviation √(m(1 − π)), and the largest of G of them lies
    /// Φ⁻¹((G − 3/8)/(G + 1/4)) deviations higher (Blom 1958). It has no more than its E/G.
    pub fn busiest_over_mean(&self, touched: f64) -> f64 {
        if self.expert_groups <= 1.0 || touched <= 0.0 {
            return 1.0;
        }
        let share = (touched / self.experts).min(1.0);
        let mean = touched / self.expert_groups;
        let z = quantile((self.expert_groups - 0.375) / (self.expert_groups + 0.25));
        (1.0 + z * ((1.0 - share) / mean).sqrt()).min(1.0 / share)
    }

    /// Linear layers of a step with `tokens` tokens, decoding and prompt together, of which `sampled`
    /// yield an output token and so pass the head.
    pub fn linear(&self, tokens: f64, sampled: f64) -> LinearTerm {
        let gpus = self.gpus();
        let dense_flop = 2.0 * self.dense_params * tokens / gpus;
        let head_flop = 2.0 * self.head_params * sampled / gpus;
        let mut term = LinearTerm {
            compute_s: self.dense.compute_s(dense_flop) + self.head.compute_s(head_flop),
            memory_s: 0.0,
            flop: dense_flop + head_flop,
            bytes: 0.0,
            peak_flop_s: dense_flop / self.dense.peak_flop_s + head_flop / self.head.peak_flop_s,
        };
        if tokens > 0.0 {
            term.bytes += self.dense_params * self.dense.bytes_per_param / self.tp;
            term.bytes += self.activation_bytes_per_tok * tokens / self.groups;
        }
        if sampled > 0.0 {
            term.bytes += self.head_params * self.head.bytes_per_param / self.tp;
        }
        let mut busiest_bytes = term.bytes;
        let touched = self.experts_touched(tokens);
        if touched > 0.0 {
            let busiest = self.busiest_over_mean(touched);
            let rows = tokens * self.experts_per_tok.min(self.experts) / touched;
            let in_tiles = (rows + 0.5 * self.expert_tile_tok).max(self.expert_tile_tok) / rows;
            let flop = 2.0 * self.expert_params * self.moe_layers * touched * rows / gpus;
            let bytes = self.expert_params * self.moe_layers * touched * self.expert.bytes_per_param / gpus;
            term.flop += flop;
            term.compute_s += self.expert.compute_s(flop * in_tiles * busiest);
            term.peak_flop_s += flop * in_tiles / self.expert.peak_flop_s;
            term.bytes += bytes;
            busiest_bytes += bytes * busiest;
        }
        term.memory_s = busiest_bytes / (self.hbm_byte_s * self.weight_mbu);
        term
    }

    /// Coefficients of decode attention.
    pub fn decode_attention(&self) -> DecodeAttention {
        let attention = &self.attention;
        let (all, window) = (attention.decode_rate, attention.decode_window_rate);
        DecodeAttention {
            memory_s_per_ctx_tok: attention.kv_read_bytes_per_ctx_tok / (self.hbm_byte_s * all.mbu),
            compute_s_per_ctx_tok: attention.decode_flop_per_ctx_tok / all.flop_s(),
            memory_s_per_window_tok: attention.window_read_bytes_per_tok / (self.hbm_byte_s * window.mbu),
            compute_s_per_window_tok: attention.window_flop_per_tok / window.flop_s(),
            flop_per_ctx_tok: attention.decode_flop_per_ctx_tok,
            bytes_per_ctx_tok: attention.kv_read_bytes_per_ctx_tok,
            own_bytes_per_ctx_tok: attention.own_bytes_per_ctx_tok,
            own_memory_s_per_ctx_tok: attention.own_bytes_per_ctx_tok / (self.hbm_byte_s * all.mbu),
            flop_per_window_tok: attention.window_flop_per_tok,
            bytes_per_window_tok: attention.window_read_bytes_per_tok,
            peak_flop_s: all.peak_flop_s,
            window_peak_flop_s: window.peak_flop_s,
        }
    }

    /// Coefficients of prefill attention.
    pub fn prefill_attention(&self) -> PrefillAttention {
        let attention = &self.attention;
        let (all, window) = (attention.prefill_rate, attention.prefill_window_rate);
        PrefillAttention {
            s_per_pair: attention.prefill_flop_per_pair / all.flop_s()
                + attention.prefill_bytes_per_pair / (self.hbm_byte_s * all.mbu),
            overhead_tok: attention.prefill_overhead_tok,
            s_per_window_pair: attention.prefill_window_flop_per_pair / window.flop_s(),
            window_overhead_tok: attention.prefill_window_overhead_tok,
            flop_per_pair: attention.prefill_flop_per_pair,
            bytes_per_pair: attention.prefill_bytes_per_pair,
            flop_per_window_pair: attention.prefill_window_flop_per_pair,
            peak_flop_s: all.peak_flop_s,
            window_peak_flop_s: window.peak_flop_s,
        }
    }

    /// Links in a step with `tokens` tokens [s]: all-reduces within a group, all-to-alls between groups; 0 on a
    /// single GPU.
    pub fn comm_s(&self, tokens: f64) -> f64 {
        if tokens <= 0.0 {
            return 0.0;
        }
        let in_group = tokens / self.groups;
        let mut time_s = 0.0;
        if self.tp > 1.0 {
            let message = in_group * self.all_reduce_bytes_per_tok;
            let one_shot_s = self.one_shot_latency_s + message * self.one_shot_s_per_byte;
            let two_phases_s = self.link_latency_s + message * self.all_reduce_s_per_byte;
            time_s += self.all_reduces * one_shot_s.min(two_phases_s);
        }
        if self.groups > 1.0 {
            let message = in_group * self.all_to_all_bytes_per_tok;
            let one_s = match &self.network {
                None => self.link_latency_s + message * self.link_s_per_byte,
                Some(NetworkParams { share, latency_s, s_per_byte }) => {
                    latency_s + message * (share * s_per_byte).max((1.0 - share) * self.link_s_per_byte)
                }
            };
            time_s += self.all_to_alls * one_s;
        }
        time_s
    }

    /// Linear layers and links of a step. If it may be split in two halves, and that is faster: twice those of half the
    /// tokens, and of the links what does not fit beside the linear layers; attention hides nothing here, as it hangs on
    /// contexts.
    pub fn linear_and_links(&self, tokens: f64, sampled: f64) -> (LinearTerm, f64) {
        let (whole, links_s) = (self.linear(tokens, sampled), self.comm_s(tokens));
        if !self.two_batch_overlap {
            return (whole, links_s);
        }
        let half = self.linear(0.5 * tokens, 0.5 * sampled);
        let both = LinearTerm {
            compute_s: 2.0 * half.compute_s,
            memory_s: 2.0 * half.memory_s,
            flop: 2.0 * half.flop,
            bytes: 2.0 * half.bytes,
            peak_flop_s: 2.0 * half.peak_flop_s,
        };
        let busy_s = both.compute_s + both.memory_s;
        let seen_s = (2.0 * self.comm_s(0.5 * tokens) - busy_s).max(0.0);
        if busy_s + seen_s < whole.compute_s + whole.memory_s + links_s {
            (both, seen_s)
        } else {
            (whole, links_s)
        }
    }

    /// A step of real numbers at full clock, prefill's overhead, gaps and host included: what
    /// [`super::step::StepLaw`] tabulates, for fits, which try thousands of parameters.
    pub fn step(&self, shape: &FluidShape) -> RooflineStep {
        self.slow_step(shape, 1.0, 1.0)
    }

    /// The same where arithmetic takes `slow_compute` times as long and memory traffic `slow_memory` times.
    pub fn slow_step(&self, shape: &FluidShape, slow_compute: f64, slow_memory: f64) -> RooflineStep {
        let FluidShape { n, kv_tok, window_tok, p, chunks, pairs, window_pairs } = *shape;
        let (linear, links_s) = self.linear_and_links(n + p, n + chunks);
        let decode = self.decode_attention();
        let prefill = self.prefill_attention();
        let slower = |compute_s: f64, memory_s: f64| (compute_s * slow_compute).max(memory_s * slow_memory);
        // Decoding attends to the token that it writes.
        let attended = kv_tok + n;
        let attention_s = attended * slower(decode.compute_s_per_ctx_tok, decode.memory_s_per_ctx_tok)
            + window_tok * slower(decode.compute_s_per_window_tok, decode.memory_s_per_window_tok);
        let prompts_s = prefill.s_per_pair * (pairs + p * prefill.overhead_tok)
            + prefill.s_per_window_pair * (window_pairs + p * prefill.window_overhead_tok);
        let all_s = attended * decode.flop_per_ctx_tok / decode.peak_flop_s
            + pairs * prefill.flop_per_pair / prefill.peak_flop_s;
        let windows_s = window_tok * decode.flop_per_window_tok / decode.window_peak_flop_s
            + window_pairs * prefill.flop_per_window_pair / prefill.window_peak_flop_s;
        RooflineStep {
            step_s: (linear.compute_s + prompts_s) * slow_compute
                + linear.memory_s * slow_memory
                + attention_s
                + links_s
                + self.host_step_s
                + (n + chunks) * self.host_seq_s,
            peak_s: linear.peak_flop_s + all_s + windows_s,
            bytes: linear.bytes
                + attended * decode.bytes_per_ctx_tok
                + window_tok * decode.bytes_per_window_tok
                + pairs * prefill.bytes_per_pair,
        }
    }
}

/// A step as [`RooflineParams::step`] gives it, one GPU at full clock.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RooflineStep {
    /// The whole step [s].
    pub step_s: f64,
    /// Seconds its operations would take at the peak rates of their formats.
    pub peak_s: f64,
    /// Bytes it moves.
    pub bytes: f64,
}
