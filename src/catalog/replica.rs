//! From catalog entries to the plain numbers that the physics computes with.

use super::entry::{Engine, Gpu, Node};
use super::model::{Model, Precision};
use crate::physics::power::{GpuPower, NodePower};
use crate::physics::roofline::{RooflineParams, WeightGroup};

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

/// What one replica of `model` costs per step.
///
/// `weights`: `None` for the published checkpoint. Formats that the GPU cannot multiply are expanded to
/// 16 bit ([`arithmetic`]).
///
/// # Errors
/// A split that the geometry or the node does not allow, or a format no KV cache can have, in words.
pub fn replica(
    gpu: &Gpu,
    model: &Model,
    split: Split,
    weights: Option<Precision>,
    kv: Precision,
    engine: &Engine,
) -> Result<RooflineParams, String> {
    let tp = split.tensor;
    let gpus = split.gpus();
    if gpus == 0 || gpus > gpu.gpus_per_node.value {
        return Err(format!(
            "a replica over {gpus} GPUs does not fit: {} are linked in a node of {}",
            gpu.gpus_per_node.value, gpu.name
        ));
    }
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
    if !matches!(kv, Precision::Bf16 | Precision::Fp8 | Precision::Int8) {
        return Err(format!("a KV cache cannot be kept in {}; use bf16, fp8 or int8", kv.name()));
    }
    let weights = model.weights(weights);
    let f = &gpu.fractions;
    let group = |format: Precision, factor: f64| {
        let unit = arithmetic(gpu, format);
        WeightGroup { bytes_per_param: format.bytes(), peak_flop_s: unit.peak_flop_s, mfu: unit.mfu * factor }
    };
    let (tensor, groups) = (f64::from(tp), f64::from(split.attention_data));
    let all = tensor * groups;
    // Latent caches are whole on every GPU; others are split by key heads.
    let kv_split = groups * if model.mla.is_some() { 1.0 } else { f64::from(tp.min(model.kv_heads)) };
    let window = model.sliding.as_ref().filter(|s| s.layers > 0);
    let window_layers = window.map_or(0.0, |s| f64::from(s.layers));
    let kv_bytes = model.kv_bytes_per_further_tok(kv) / kv_split;
    let window_bytes = model.kv_window_bytes_per_seq(kv) / kv_split;
    let (moe_layer_us, expert_tile_tok) = match weights.experts {
        Precision::Bf16 => (&engine.per_moe_layer_us, &engine.expert_tile_bf16_tok),
        Precision::Fp8 | Precision::Int8 => (&engine.per_fp8_moe_layer_us, &engine.expert_tile_fp8_tok),
        Precision::Int4 | Precision::Nvfp4 | Precision::Mxfp4 => {
            (&engine.per_fp4_moe_layer_us, &engine.expert_tile_fp4_tok)
        }
    };
    let layers = f64::from(model.layers);
    let bf16_flop_s = gpu.bf16_dense_tflops.value * 1e12;
    let link_byte_s = gpu.link_gb_s.value / 2.0 * 1e9 * gpu.comm.link_fraction.value;

    let link_s_per_byte = 1.0 / link_byte_s;
    let experts_per_tok = model.moe.as_ref().map_or(0.0, |moe| f64::from(moe.experts_per_tok));

    Ok(RooflineParams {
        tp: tensor,
        groups,
        dense_params: model.dense_params(),
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
        attn_mbu: f.attn_mbu.value,
        attn_peak_flop_s: bf16_flop_s,
        // Only the absorbed form of latent attention is ever limited by arithmetic.
        decode_attn_mfu: if model.mla.is_some() {
            f.absorbed_attn_mfu.value
        } else {
            f.prefill_attn_mfu.value
        },
        prefill_attn_mfu: f.prefill_attn_mfu.value,
        kv_read_bytes_per_ctx_tok: kv_bytes,
        decode_flop_per_ctx_tok: model.global_layers() * model.decode_flop_per_layer() / all,
        window_tok: window.map(|s| s.window_tok),
        window_read_bytes_per_tok: window.map_or(0.0, |s| window_bytes / f64::from(s.window_tok)),
        window_flop_per_tok: window_layers * model.decode_flop_per_layer() / all,
        prefill_flop_per_pair: model.global_layers() * model.prefill_flop_per_layer() / all,
        prefill_window_flop_per_pair: window_layers * model.prefill_flop_per_layer() / all,
        prefill_overhead_tok: f.prefill_attn_overhead_tok.value,
        all_reduces: 2.0 * layers,
        all_reduce_bytes_per_tok: f64::from(model.hidden) * 2.0,
        one_shot_latency_s: gpu.comm.one_shot_us.value * 1e-6,
        one_shot_s_per_byte: (tensor - 1.0) * link_s_per_byte,
        link_latency_s: gpu.comm.latency_us.value * 1e-6,
        all_reduce_s_per_byte: 2.0 * (tensor - 1.0) / tensor * link_s_per_byte,
        all_to_alls: 2.0 * model.moe_layers(),
        // There in 8 bit and back in 16, to as many other GPUs as a token has experts.
        all_to_all_bytes_per_tok: 1.5 * f64::from(model.hidden) * experts_per_tok.min(all) * (all - 1.0)
            / all,
        link_s_per_byte,
        host_step_s: (engine.per_step_us.value
            + layers * engine.per_layer_us.value
            + model.moe_layers() * moe_layer_us.value)
            * 1e-6,
        host_seq_s: engine.per_seq_us.value * 1e-6,
        weight_bytes_per_gpu: (model.weight_bytes(weights) - model.expert_bytes(weights)) / tensor
            + model.expert_bytes(weights) / all,
        kv_bytes_per_tok_per_gpu: kv_bytes,
        kv_window_bytes_per_seq_per_gpu: window_bytes,
    })
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
