//! Models by their geometry; parameters, weight bytes and KV bytes follow from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attention::Sparse;
use super::entry::Quality;

/// Number format of weights or KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 16 bit.
    Bf16,
    /// 8 bit floating point.
    Fp8,
    /// 8 bit integer.
    Int8,
    /// 4 bit integer weights, 16 bit arithmetic.
    Int4,
    /// 4 bit floating point, NVIDIA block scales.
    Nvfp4,
    /// 4 bit floating point, OCP block scales.
    Mxfp4,
}

impl Precision {
    /// Whether serving engines keep a KV cache in it.
    ///
    /// # Errors
    /// They do not; says in which they do.
    pub fn keeps_kv(self) -> Result<(), String> {
        match self {
            Self::Bf16 | Self::Fp8 | Self::Int8 => Ok(()),
            _ => Err(format!("a KV cache cannot be kept in {}; use bf16, fp8 or int8", self.name())),
        }
    }

    /// Bytes per number, block scales included (int4: one 16 bit scale per 128 numbers; nvfp4: 8 bit per
    /// 16; mxfp4: 8 bit per 32; fp8 and int8: scales are negligible).
    pub fn bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 | Self::Int8 => 1.0,
            Self::Int4 => 0.5 + 2.0 / 128.0,
            Self::Nvfp4 => 0.5 + 1.0 / 16.0,
            Self::Mxfp4 => 0.5 + 1.0 / 32.0,
        }
    }

    /// Name as scenarios spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Nvfp4 => "nvfp4",
            Self::Mxfp4 => "mxfp4",
        }
    }
}

/// Number formats of a checkpoint. Embedding and output head are always 16 bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Everything but routed experts, embedding and head.
    pub body: Precision,
    /// Routed experts.
    pub experts: Precision,
}

/// A model's geometry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name in scenarios.
    pub name: String,
    /// Where the geometry comes from.
    pub source: String,
    /// How much it can be trusted.
    pub quality: Quality,
    /// Layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Width of the dense feed-forward.
    pub ffn: u32,
    /// Matrices of a feed-forward block: 3 with a gate, 2 without.
    #[serde(default = "gated")]
    pub ffn_matrices: u32,
    /// Vocabulary.
    pub vocab: u32,
    /// Format of the published weights.
    pub native_weights: Precision,
    /// Format of the published routed experts, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_experts: Option<Precision>,
    /// Routed experts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moe: Option<Moe>,
    /// Latent attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mla: Option<Mla>,
    /// Layers that see a window only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding: Option<Sliding>,
    /// Attention to the best of the context only, in every layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse: Option<Sparse>,
}

fn gated() -> u32 {
    3
}

/// Mixture of experts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moe {
    /// Routed experts of a layer.
    pub experts: u32,
    /// Experts a token passes.
    pub experts_per_tok: u32,
    /// Width of an expert.
    pub ffn: u32,
    /// Experts that every token passes besides.
    #[serde(default)]
    pub shared_experts: u32,
    /// Layers with a dense feed-forward instead.
    #[serde(default)]
    pub dense_layers: u32,
}

/// Multi-head latent attention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mla {
    /// Rank of the query's down-projection.
    pub q_lora_rank: u32,
    /// Rank of the cached latent.
    pub kv_lora_rank: u32,
    /// Width of a head's query and key without position.
    pub qk_nope: u32,
    /// Width of the shared rotary key.
    pub qk_rope: u32,
    /// Width of a head's value.
    pub v_head: u32,
    /// The cache holds every head's key and value instead of the latent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expanded: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Sliding-window attention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sliding {
    /// Tokens such a layer sees.
    pub window_tok: u32,
    /// Layers that have it.
    pub layers: u32,
}

impl Model {
    /// Formats of the published checkpoint.
    pub fn native(&self) -> Weights {
        Weights { body: self.native_weights, experts: self.native_experts.unwrap_or(self.native_weights) }
    }

    /// Formats when a scenario asks for `weights`: the published mix if it asks for the experts' own
    /// format (gpt-oss in mxfp4: experts only), else the same for body and experts.
    pub fn weights(&self, weights: Option<Precision>) -> Weights {
        match weights {
            None => self.native(),
            Some(asked) if self.native_experts == Some(asked) => self.native(),
            Some(asked) => Weights { body: asked, experts: asked },
        }
    }

    /// Parameters of one layer's attention projections, those of an indexer included.
    pub fn attention_params_per_layer(&self) -> f64 {
        let (h, n) = (f64::from(self.hidden), f64::from(self.heads));
        let indexer = self.indexer_params_per_layer();
        indexer
            + match &self.mla {
                Some(mla) => {
                    let (q, kv) = (f64::from(mla.q_lora_rank), f64::from(mla.kv_lora_rank));
                    let (nope, rope, v) =
                        (f64::from(mla.qk_nope), f64::from(mla.qk_rope), f64::from(mla.v_head));
                    h * q + q * n * (nope + rope) + h * (kv + rope) + kv * n * (nope + v) + n * v * h
                }
                None => {
                    let d = f64::from(self.head_dim);
                    2.0 * h * n * d + 2.0 * h * f64::from(self.kv_heads) * d
                }
            }
    }

    /// Layers with routed experts.
    pub fn moe_layers(&self) -> f64 {
        self.moe.as_ref().map_or(0.0, |moe| f64::from(self.layers - moe.dense_layers))
    }

    /// Parameters of one routed expert of one layer; 0 without.
    pub fn expert_params(&self) -> f64 {
        self.moe
            .as_ref()
            .map_or(0.0, |moe| f64::from(self.ffn_matrices) * f64::from(self.hidden) * f64::from(moe.ffn))
    }

    /// Parameters that every token passes, without embedding and head: projections, norms, dense
    /// feed-forward, shared experts, routers.
    pub fn dense_params(&self) -> f64 {
        let (h, layers) = (f64::from(self.hidden), f64::from(self.layers));
        let dense_layers = layers - self.moe_layers();
        let mut params = layers * (self.attention_params_per_layer() + 2.0 * h) + h;
        params += dense_layers * f64::from(self.ffn_matrices) * h * f64::from(self.ffn);
        if let Some(moe) = &self.moe {
            let shared = f64::from(moe.shared_experts) * self.expert_params();
            params += self.moe_layers() * (shared + h * f64::from(moe.experts));
        }
        params
    }

    /// Parameters of all routed experts.
    pub fn routed_params(&self) -> f64 {
        self.moe.as_ref().map_or(0.0, |moe| f64::from(moe.experts) * self.moe_layers() * self.expert_params())
    }

    /// Parameters without embedding and head.
    pub fn body_params(&self) -> f64 {
        self.dense_params() + self.routed_params()
    }

    /// Of [`Self::body_params`], those a token passes.
    pub fn active_body_params(&self) -> f64 {
        let routed = self
            .moe
            .as_ref()
            .map_or(0.0, |moe| f64::from(moe.experts_per_tok) * self.moe_layers() * self.expert_params());
        self.dense_params() + routed
    }

    /// Parameters of the output head; the input embedding has as many.
    pub fn head_params(&self) -> f64 {
        f64::from(self.hidden) * f64::from(self.vocab)
    }

    /// All parameters, embedding and head included.
    pub fn total_params(&self) -> f64 {
        self.body_params() + 2.0 * self.head_params()
    }

    /// Parameters a token passes, embedding and head counted whole.
    pub fn active_params(&self) -> f64 {
        self.active_body_params() + 2.0 * self.head_params()
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self, weights: Weights) -> f64 {
        self.dense_params() * weights.body.bytes()
            + self.expert_bytes(weights)
            + 2.0 * self.head_params() * Precision::Bf16.bytes()
    }

    /// Bytes of the routed experts' weights.
    pub fn expert_bytes(&self, weights: Weights) -> f64 {
        self.routed_params() * weights.experts.bytes()
    }

    /// Activations read and written per token by the linear layers on one of `tp` GPUs, 16 bit [byte].
    /// The wide sides of the matrices are split with the weights, the sides as wide as the residual
    /// stream are not.
    pub(super) fn activation_bytes_per_tok(&self, tp: f64) -> f64 {
        let (h, heads, d) = (f64::from(self.hidden), f64::from(self.heads), f64::from(self.head_dim));
        let layers = f64::from(self.layers);
        let attention_wide = match &self.mla {
            Some(mla) => heads * f64::from(mla.qk_nope + mla.qk_rope + mla.v_head),
            None => 2.0 * heads * d + 2.0 * f64::from(self.kv_heads) * d,
        };
        let matrices = f64::from(self.ffn_matrices);
        let dense_layers = layers - self.moe_layers();
        let mut wide = layers * attention_wide + dense_layers * matrices * f64::from(self.ffn);
        let mut narrow = layers * 2.0 * h + dense_layers * 2.0 * h;
        if let Some(moe) = &self.moe {
            let passed = f64::from(moe.experts_per_tok + moe.shared_experts);
            wide += self.moe_layers() * passed * (matrices * f64::from(moe.ffn) + 2.0 * h);
            narrow += self.moe_layers() * 2.0 * h;
        }
        2.0 * (narrow + wide / tp)
    }
}
