//! Drafts of speculative decoding: models, or heads of a target, on the GPUs of its replica.

use super::entry::{Engine, Gpu, Node};
use super::model::{Model, Moe, Precision};
use super::replica::{Split, replica_in};
use crate::physics::roofline::RooflineParams;

/// What proposes tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Draft<'a> {
    /// A model of its own, as published.
    Model(&'a Model),
    /// So many layers like the last of the target and its output head, fed with the target's hidden state and the
    /// token after it through a matrix of 2·hidden × hidden: an MTP module (DeepSeek-V3 report, section 2.2) or an
    /// EAGLE head. Embedding and output head are the target's. They see the whole context where the target's windows
    /// slide (EAGLE heads are trained on their own), and have an indexer where it has.
    Head {
        /// The target.
        of: &'a Model,
        /// Format of its weights; `None`: as published.
        weights: Option<Precision>,
        /// Layers.
        layers: u32,
    },
}

impl Model {
    /// Why a model cannot draft for this one, if so: a batch is followed in one window, that of the target.
    pub(crate) fn cannot_draft_by(&self, draft: &Self) -> Option<String> {
        let window = |model: &Self| model.sliding.as_ref().filter(|s| s.layers > 0).map(|s| s.window_tok);
        let own = draft.sparse.is_some() || (window(draft).is_some() && window(draft) != window(self));
        own.then(|| {
            format!(
                "cannot be simulated: {} has layers that see part of the context only, and those of {} see not just that \
                 part; use a head, or a model whose layers see all of it, or have windows as long as the model's",
                draft.name, self.name
            )
        })
    }

    /// A model of `layers` of its last layers: those with routed experts where it has any, with its sparse attention if
    /// it has that, but no sliding windows.
    fn last_layers(&self, layers: u32) -> Self {
        Self {
            layers,
            moe: self.moe.as_ref().map(|moe| Moe { dense_layers: 0, ..moe.clone() }),
            sliding: None,
            ..self.clone()
        }
    }
}

/// What one pass of a draft costs on the GPUs of a replica that is split in some way. The host schedules once a step,
/// for the target: a pass only waits between its kernels.
///
/// # Errors
/// As of [`replica_in`].
pub fn draft_in(
    node: Option<&Node>,
    gpu: &Gpu,
    draft: Draft<'_>,
    split: Split,
    kv: Precision,
    engine: &Engine,
) -> Result<RooflineParams, String> {
    let (model, weights) = match draft {
        Draft::Model(model) => (model.clone(), None),
        Draft::Head { of, weights, layers } => (of.last_layers(layers), weights),
    };
    let split = Split { expert: if model.moe.is_none() { 1 } else { split.expert }, ..split };
    let mut params = replica_in(node, gpu, &model, split, weights, kv, engine)?;
    params.host_step_s -= engine.per_step_us.value * 1e-6;
    params.host_seq_s = 0.0;
    if let Draft::Head { .. } = draft {
        let body = model.weights(weights).body.bytes();
        let joining = 2.0 * f64::from(model.hidden) * f64::from(model.hidden);
        let shared_bytes = 2.0 * model.head_params() * Precision::Bf16.bytes();
        params.dense_params += joining;
        params.weight_bytes_per_gpu += (joining * body - shared_bytes) / params.tp;
    }
    Ok(params)
}
