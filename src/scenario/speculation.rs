//! Speculative decoding of a model variant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Speculative decoding: a draft proposes tokens, the model verifies them all in one step, and emits those it accepts and
/// one more. Verification keeps the model's distribution (Leviathan et al. 2023), so quality is the model's own. Needs the
/// `roofline` step law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Speculation {
    /// Tokens proposed per sequence and step, 1 to 8.
    pub draft_tok: u32,
    /// What proposes them, on the same GPUs; its weights and KV cache take memory.
    pub draft: Draft,
    /// Mean probability that a proposed token is accepted, 0 to 1. It belongs to model, draft and text, so there is no
    /// default. Published: the one token of DeepSeek-V3's MTP module is accepted 85 to 90 times in 100 (DeepSeek-V3 report,
    /// section 5.4.3).
    pub acceptance: f64,
    /// Standard deviation of that probability over requests (a Beta distribution, drawn once per request); 0: all
    /// alike.
    #[serde(default)]
    pub acceptance_sd: f64,
}

/// What proposes tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Draft {
    /// A model of the catalog with the same vocabulary, as published, run `draft_tok` times a step. Its layers see the whole
    /// context, or as much of it as the model's own do.
    Model(String),
    /// A head on the model's own hidden states: an MTP module or an EAGLE head, run `draft_tok` times a step. Its layers see
    /// the whole context where those of the model have sliding windows, and have an indexer where those have.
    Head(DraftHead),
}

/// `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftHead {
    /// Layers like the model's last, before its own output head.
    #[serde(default = "one")]
    pub layers: u32,
}

fn one() -> u32 {
    1
}
