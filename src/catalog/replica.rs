//! From catalog entries to the plain numbers that the physics computes with.

use super::entry::{Engine, Gpu, Node};
use super::model::{Model, Precision};
use crate::physics::power::{GpuPower, NodePower};
use crate::physics::roofline::{AttentionParams, AttentionRate, NetworkParams, RooflineParams, WeightGroup};

/// The unit that multiplies weights of some format on some GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// Format of the products.
    pub format: Precision,
    /// Peak rate [FLOP/s].
    pub peak_flop_s: f64,
    /// Share of it reached by large matrix products.
    pub mfu: f64,
}

/// How `gpu` multiplies weights stored as `weights`. Where it has no unit for the format, or the format is
/// int4, which none multiplies, the weights are expanded and multiplied in 16 bit; the memory traffic is
/// that of the stored format all the same. Both 4 bit floating-point formats use the 4 bit unit.
pub fn arithmetic(gpu: &Gpu, weights: Precision) -> Arithmetic {
    let f = &gpu.fractions;
    let unit = |format, peak: &Option<super::Sourced<f64>>, mfu: &Option<super::Sourced<f64>>| {
        let (peak, mfu) = (peak.as_ref()?, mfu.as_ref()?);
        Some(Arithmetic { format, peak_flop_s: peak.value * 1e12, mfu: mfu.value })
    };
    let bf16 = Arithmetic {
        format: Precision::Bf16,
        peak_flop_s: gpu.bf16_dense_tflops.value * 1e12,
        mfu: f.gemm_mfu_bf16.value,
    };
    let fp8 = || unit(Precision::Fp8, &gpu.fp8_dense_tflops, &f.gemm_mfu_fp8);
    let fp4 = || unit(weights, &gpu.fp4_dense_tflops, &f.gemm_mfu_fp4);
    // The share that 8 bit integers reach is that of 8 bit floats where there are any, else of 16 bit.
    let int8_mfu = f.gemm_mfu_fp8.clone().or_else(|| Some(f.gemm_mfu_bf16.clone()));
    match weights {
        Precision::Bf16 | Precision::Int4 => None,
        Precision::Fp8 => fp8(),
        Precision::Int8 => unit(Precision::Int8, &gpu.int8_dense_tops, &int8_mfu),
        Precision::Nvfp4 | Precision::Mxfp4 => fp4(),
    }
    .unwrap_or(bf16)
}

/// How the GPUs of a replica share its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// GPUs over which attention and dense layers are split.
    pub tensor: u32,
    /// Groups of so many GPUs, each with its own part of the sequences.
    pub attention_data: u32,
    /// GPUs over which whole experts are spread; 1: each expert is split over all.
    pub expert: u32,
}

impl Split {
    /// Everything split over `tensor` GPUs.
    pub fn tensor(tensor: u32) -> Self {
        Self { tensor, attention_data: 1, expert: 1 }
    }

    /// GPUs of the replica.
    pub fn gpus(self) -> u32 {
        self.tensor.saturating_mul(self.attention_data)
    }
}

/// What one replica of `model` within one node costs per step; see [`replica_in`].
///
/// # Errors
/// As there.
pub fn replica(
    gpu: &Gpu,
    model: &Model,
    split: Split,
    weights: Option<Precision>,
    kv: Precision,
    engine: &Engine,
) -> Result<RooflineParams, String> {
    replica_in(None, gpu, model, split, weights, kv, engine)
}

/// What one replica of `model` costs per step. Where it has more GPUs than a node, `node` brings the network that its
/// experts talk over; whole nodes take part, and a group of tensor-parallel GPUs never spans two.
///
/// `weights`: `None` for the published checkpoint. Formats that the GPU cannot multiply are expanded to
/// 16 bit ([`arithmetic`]).
///
/// # Errors
/// A split that the geometry or the node does not allow, or a format no KV cache can have, in words.
pub fn replica_in(
    node: Option<&Node>,
    gpu: &Gpu,
    model: &Model,
    split: Split,
    weights: Option<Precision>,
    kv: Precision,
    engine: &Engine,
) -> Result<RooflineParams, String> {
    let tp = split.tensor;
    let gpus = split.gpus();
    let linked = gpu.gpus_per_node.value;
    let network = match node.and_then(|node| node.network.as_ref()) {
        _ if gpus >= 1 && gpus <= linked => None,
        Some(network) if gpus > linked => {
            spans_nodes(gpu, model, split)?;
            Some(NetworkParams {
                share: f64::from(gpus - linked) / f64::from(gpus - 1),
                latency_s: network.all_to_all_us.value * 1e-6,
                s_per_byte: 1e-9 / (network.port_gb_s.value * network.port_fraction.value),
            })
        }
        _ => {
            return Err(format!(
                "a replica over {gpus} GPUs does not fit: {linked} are linked in a node of {}, and {}",
                gpu.name,
                node.map_or("the node is not known".into(), |node| format!(
                    "the node {} has no network in the catalog",
                    node.name
                ))
            ));
        }
    };
    if split.expert == 0 || !gpus.is_multiple_of(split.expert) {
        return Err(format!(
            "experts over {} GPUs do not fit the {gpus} GPUs of a replica; use a divisor of {gpus}",
            split.expert
        ));
    }
    match &model.moe {
        None if split.expert > 1 => {
            return Err(format!("{} has no experts to spread over {} GPUs", model.name, split.expert));
        }
        Some(moe) if split.expert > moe.experts => {
            return Err(format!(
                "the {} experts of {} cannot be spread over {} GPUs",
                moe.experts, model.name, split.expert
            ));
        }
        _ => {}
    }
    if !model.heads.is_multiple_of(tp) {
        return Err(format!(
            "the {} heads of {} cannot be split over {tp} GPUs; use a divisor of {}",
            model.heads, model.name, model.heads
        ));
    }
    kv.keeps_kv()?;
    let weights = model.weights(weights);
    let f = &gpu.fractions;
    let group = |format: Precision, factor: f64| {
        let unit = arithmetic(gpu, format);
        WeightGroup { bytes_per_param: format.bytes(), peak_flop_s: unit.peak_flop_s, mfu: unit.mfu * factor }
    };
    let (tensor, groups) = (f64::from(tp), f64::from(split.attention_data));
    let all = tensor * groups;
    let (moe_layer_us, expert_tile_tok) = match weights.experts {
        Precision::Bf16 => (&engine.per_moe_layer_us, &engine.expert_tile_bf16_tok),
        Precision::Fp8 | Precision::Int8 => (&engine.per_fp8_moe_layer_us, &engine.expert_tile_fp8_tok),
        Precision::Int4 | Precision::Nvfp4 | Precision::Mxfp4 => {
            (&engine.per_fp4_moe_layer_us, &engine.expert_tile_fp4_tok)
        }
    };
    let layers = f64::from(model.layers);
    let cache = Cache::of(model, kv, split);
    // What is whole on every GPU of a group counts once for each: its linear layers are taken to be split.
    let more_params = layers * model.indexer_params_per_layer() * (tensor - 1.0);
    let link_byte_s = gpu.link_gb_s.value / 2.0 * 1e9 * gpu.comm.link_fraction.value;

    let link_s_per_byte = 1.0 / link_byte_s;
    let experts_per_tok = model.moe.as_ref().map_or(0.0, |moe| f64::from(moe.experts_per_tok));

    Ok(RooflineParams {
        tp: tensor,
        groups,
        dense_params: model.dense_params() + more_params,
        dense: group(weights.body, 1.0),
        expert_params: model.expert_params(),
        moe_layers: model.moe_layers(),
        experts: model.moe.as_ref().map_or(0.0, |moe| f64::from(moe.experts)),
        experts_per_tok,
        expert: group(weights.experts, f.expert_mfu_factor.value),
        expert_spread: engine.expert_spread.value,
        expert_tile_tok: expert_tile_tok.value,
        expert_groups: f64::from(split.expert),
        head_params: model.head_params(),
        head: group(Precision::Bf16, 1.0),
        activation_bytes_per_tok: model.activation_bytes_per_tok(tensor),
        hbm_byte_s: gpu.hbm_tb_s.value * 1e12,
        weight_mbu: f.weight_mbu.value,
        attention: attention(gpu, model, split, &cache),
        all_reduces: 2.0 * layers,
        all_reduce_bytes_per_tok: f64::from(model.hidden) * 2.0,
        one_shot_latency_s: gpu.comm.one_shot_us.value * 1e-6,
        one_shot_s_per_byte: (tensor - 1.0) * link_s_per_byte,
        link_latency_s: gpu.comm.latency_us.value * 1e-6,
        all_reduce_s_per_byte: 2.0 * (tensor - 1.0) / tensor * link_s_per_byte,
        two_batch_overlap: false,
        all_to_alls: 2.0 * model.moe_layers(),
        // There in 8 bit and back in 16, to as many other GPUs as a token has experts.
        all_to_all_bytes_per_tok: 1.5 * f64::from(model.hidden) * experts_per_tok.min(all) * (all - 1.0)
            / all,
        link_s_per_byte,
        network,
        host_step_s: (engine.per_step_us.value
            + layers * engine.per_layer_us.value
            + model.moe_layers() * moe_layer_us.value)
            * 1e-6,
        // Each node's host looks after the sequences of its own GPUs.
        host_seq_s: engine.per_seq_us.value * 1e-6 / f64::from(gpus.div_ceil(linked)),
        weight_bytes_per_gpu: (model.weight_bytes(weights) - model.expert_bytes(weights)
            + more_params * weights.body.bytes())
            / tensor
            + model.expert_bytes(weights) / all,
        kv_bytes_per_tok_per_gpu: cache.bytes_per_tok + cache.index_bytes_per_tok,
        kv_window_bytes_per_seq_per_gpu: cache.window_bytes_per_seq,
    })
}

/// Whether a replica may span nodes.
fn spans_nodes(gpu: &Gpu, model: &Model, split: Split) -> Result<(), String> {
    let (gpus, linked) = (split.gpus(), gpu.gpus_per_node.value);
    if model.moe.is_none() {
        return Err(format!(
            "a replica over {gpus} GPUs does not fit a node of {linked}, and {} has no experts to spread over several; \
             use more replicas",
            model.name
        ));
    }
    if !linked.is_multiple_of(split.tensor.max(1)) {
        return Err(format!(
            "{} GPUs that split each layer do not fit a node of {linked}; use a divisor of {linked}",
            split.tensor
        ));
    }
    if !gpus.is_multiple_of(linked) {
        return Err(format!(
            "a replica over {gpus} GPUs does not fill whole nodes; use a multiple of {linked}"
        ));
    }
    Ok(())
}

/// The KV cache on one GPU of a replica [byte].
struct Cache {
    /// Per token, layers that see all of the context.
    bytes_per_tok: f64,
    /// Keys of indexers per token.
    index_bytes_per_tok: f64,
    /// Per sequence, layers that see a window only, once it is full.
    window_bytes_per_seq: f64,
}

impl Cache {
    /// Latent caches are whole on every GPU of a group; others are split by key heads. Keys of indexers are whole too.
    fn of(model: &Model, kv: Precision, split: Split) -> Self {
        let groups = f64::from(split.attention_data);
        let parts = groups * f64::from(split.tensor.min(model.cache_heads()));
        let index = model.index_bytes_per_tok();
        Self {
            bytes_per_tok: (model.kv_bytes_per_further_tok(kv) - index) / parts,
            index_bytes_per_tok: index / groups,
            window_bytes_per_seq: model.kv_window_bytes_per_seq(kv) / parts,
        }
    }
}

/// What attention reads and computes on one GPU.
fn attention(gpu: &Gpu, model: &Model, split: Split, cache: &Cache) -> AttentionParams {
    let f = &gpu.fractions;
    let (groups, all) = (f64::from(split.attention_data), f64::from(split.gpus()));
    let peak_flop_s = gpu.bf16_dense_tflops.value * 1e12;
    let rate = |mfu: f64| AttentionRate { peak_flop_s, mfu, mbu: f.attn_mbu.value };
    // Only the absorbed form of latent attention is ever limited by arithmetic.
    let decode_rate =
        rate(if model.caches_latents() { f.absorbed_attn_mfu.value } else { f.prefill_attn_mfu.value });
    let prefill_rate = rate(f.prefill_attn_mfu.value);
    let (decode_flop, prefill_flop) = (model.decode_flop_per_layer(), model.prefill_flop_per_layer());
    let overhead_tok = f.prefill_attn_overhead_tok.value;
    let Some(sparse) = &model.sparse else {
        let window = model.sliding.as_ref().filter(|s| s.layers > 0);
        let window_layers = window.map_or(0.0, |s| f64::from(s.layers));
        return AttentionParams {
            decode_rate,
            decode_window_rate: decode_rate,
            prefill_rate,
            prefill_window_rate: prefill_rate,
            kv_read_bytes_per_ctx_tok: cache.bytes_per_tok,
            own_bytes_per_ctx_tok: 0.0,
            decode_flop_per_ctx_tok: model.global_layers() * decode_flop / all,
            window_tok: window.map(|s| s.window_tok),
            prompt_window_tok: window.map(|s| s.window_tok),
            window_read_bytes_per_tok: window
                .map_or(0.0, |s| cache.window_bytes_per_seq / f64::from(s.window_tok)),
            windows_apart: false,
            window_flop_per_tok: window_layers * decode_flop / all,
            prefill_flop_per_pair: model.global_layers() * prefill_flop / all,
            prefill_bytes_per_pair: 0.0,
            prefill_window_flop_per_pair: window_layers * prefill_flop / all,
            prefill_overhead_tok: overhead_tok,
            prefill_window_overhead_tok: overhead_tok,
        };
    };
    let layers = f64::from(model.layers);
    let index_peak_flop_s = gpu.fp8_dense_tflops.as_ref().map_or(peak_flop_s, |peak| peak.value * 1e12);
    let index_rate = AttentionRate {
        peak_flop_s: index_peak_flop_s,
        mfu: sparse.index_mfu.value,
        mbu: sparse.index_mbu.value,
    };
    // A token attends to all before it in full, with a mask of what the indexer chose, as long as that is cheaper than to
    // gather the k chosen, which costs as much at every position: up to k times the cost of a gathered over a dense token.
    // It is scored at either. Of prompts, the dense form is the one that is not absorbed.
    let threshold = |gathered: f64, dense: f64| f64::from(sparse.top_k_tok) * (gathered / dense).max(1.0);
    let prompts = threshold(decode_flop / sparse.prefill_gather_mfu.value, prefill_flop / prefill_rate.mfu);
    let token_s = |mfu: f64| {
        let memory_s = cache.bytes_per_tok / (gpu.hbm_tb_s.value * 1e12 * decode_rate.mbu);
        (layers * decode_flop / all / (peak_flop_s * mfu)).max(memory_s)
    };
    let decoding = threshold(token_s(sparse.decode_gather_mfu.value), token_s(decode_rate.mfu));
    AttentionParams {
        decode_rate: index_rate,
        decode_window_rate: decode_rate,
        prefill_rate: index_rate,
        prefill_window_rate: prefill_rate,
        kv_read_bytes_per_ctx_tok: layers * sparse.decode_index_bytes() / groups,
        own_bytes_per_ctx_tok: layers * sparse.score_bytes() / groups,
        decode_flop_per_ctx_tok: layers * sparse.index_flop() / groups,
        window_tok: Some(decoding.round() as u32),
        prompt_window_tok: Some(prompts.round() as u32),
        window_read_bytes_per_tok: cache.bytes_per_tok,
        windows_apart: true,
        window_flop_per_tok: layers * decode_flop / all,
        prefill_flop_per_pair: layers * sparse.index_flop() / groups,
        prefill_bytes_per_pair: layers * sparse.score_bytes() / groups,
        prefill_window_flop_per_pair: layers * prefill_flop / all,
        prefill_overhead_tok: 0.0,
        prefill_window_overhead_tok: overhead_tok,
    }
}

/// Power law of `gpu` in `node`.
pub fn gpu_power(gpu: &Gpu, node: &Node) -> GpuPower {
    let power = &gpu.power;
    GpuPower {
        idle_loaded_w: node.idle_loaded_w(gpu),
        p0_w: power.p0_tdp.value * gpu.tdp_w.value,
        pmax_w: power.pmax_tdp.value * gpu.tdp_w.value,
        a: power.mbu_weight.value,
        b: power.mfu_weight.value,
        tdp_w: gpu.tdp_w.value,
        alpha: node.clock_exponent(gpu),
    }
}

/// Wall power law of `node`.
pub fn node_power(node: &Node) -> NodePower {
    NodePower { overhead_w: node.overhead_w.value, gpu_factor: node.gpu_factor.value }
}
