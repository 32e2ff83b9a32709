//! What a model's attention stores, reads and computes, its own or another in its place.

use serde::{Deserialize, Serialize};

use super::entry::Sourced;
use super::model::{Mla, Model, Precision, Sliding};

/// Attention to the `top_k_tok` best tokens of the context, which an indexer finds by scoring all of it (DeepSeek
/// Sparse Attention): per layer `index_heads` queries against one key that they share, kept in 8 bit beside the cache.
/// What kernels reach of the peaks is here, not with the GPU: published figures are of single kernels on single GPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sparse {
    /// Tokens that a token attends to.
    pub top_k_tok: u32,
    /// Heads of the indexer.
    pub index_heads: u32,
    /// Width of its heads and of its key.
    pub index_head_dim: u32,
    /// Decode attention to gathered tokens, where arithmetic limits it, share of the 16 bit peak.
    pub decode_gather_mfu: Sourced<f64>,
    /// The same of prompts.
    pub prefill_gather_mfu: Sourced<f64>,
    /// The indexer's products, share of the 8 bit peak, of the 16 bit peak where there is none.
    pub index_mfu: Sourced<f64>,
    /// The indexer's reading of keys and scores, share of the memory bandwidth.
    pub index_mbu: Sourced<f64>,
}

/// Bytes of the scale of an indexer's key, 32 bit.
const INDEX_SCALE_BYTES: f64 = 4.0;
/// Bytes of a score, 32 bit, which the indexer writes and the selection reads.
const SCORE_BYTES: f64 = 2.0 * 4.0;

impl Sparse {
    /// Every number with a source.
    pub(super) fn numbers_mut(&mut self) -> [&mut Sourced<f64>; 4] {
        let Self { decode_gather_mfu, prefill_gather_mfu, index_mfu, index_mbu, .. } = self;
        [decode_gather_mfu, prefill_gather_mfu, index_mfu, index_mbu]
    }

    /// Bytes that the indexer keeps per token and layer: an 8 bit key and its scale.
    pub fn index_bytes(&self) -> f64 {
        f64::from(self.index_head_dim) + INDEX_SCALE_BYTES
    }

    /// Bytes that the indexer of one layer moves per decoded token and token of context: the key, and the score there
    /// and back.
    pub fn decode_index_bytes(&self) -> f64 {
        self.index_bytes() + self.score_bytes()
    }

    /// Of them the score's: all that a token of a prompt or of a draft moves, as the tokens of a step share the key.
    pub fn score_bytes(&self) -> f64 {
        SCORE_BYTES
    }

    /// FLOP of one layer's indexer per token and token of context.
    pub fn index_flop(&self) -> f64 {
        2.0 * f64::from(self.index_heads) * f64::from(self.index_head_dim)
    }
}

/// Attention in place of a model's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Lever {
    /// Latent attention that keeps every head's key and value.
    Uncompressed,
    /// So many heads of keys and values.
    Grouped(u32),
    /// All layers, or all but one in `every`, see so many tokens.
    Sliding {
        /// Tokens that such a layer sees.
        window_tok: u32,
        /// One layer in so many sees everything; `None`: no layer does.
        every: Option<u32>,
    },
    /// Attention to the best tokens.
    Sparse(Box<Sparse>),
}

impl Model {
    /// This model with another attention.
    ///
    /// # Errors
    /// Why it cannot have it, in words that go on after "is".
    pub fn with_attention(&self, lever: Lever) -> Result<Self, String> {
        let mut model = self.clone();
        let own = match (&self.sliding, &self.sparse) {
            (Some(_), _) => Some("sliding windows"),
            (_, Some(_)) => Some("sparse attention"),
            (None, None) => None,
        };
        if let (Lever::Sliding { .. } | Lever::Sparse(_), Some(own)) = (&lever, own) {
            return Err(format!("not possible: {} has {own} of its own; use native", self.name));
        }
        match lever {
            Lever::Uncompressed => {
                let Some(mla) = &mut model.mla else {
                    return Err(format!(
                        "not possible: {} has no latent attention, its cache is not compressed; use native",
                        self.name
                    ));
                };
                if model.sparse.is_some() {
                    return Err(format!(
                        "not possible: the sparse attention of {} gathers latents; use native",
                        self.name
                    ));
                }
                mla.expanded = true;
            }
            Lever::Grouped(kv_heads) => {
                if self.mla.is_some() {
                    return Err(format!(
                        "not possible: {} has latent attention; use uncompressed or native",
                        self.name
                    ));
                }
                if kv_heads == 0 || !self.heads.is_multiple_of(kv_heads) {
                    return Err(format!("{kv_heads}; must divide the {} heads of {}", self.heads, self.name));
                }
                model.kv_heads = kv_heads;
            }
            Lever::Sliding { window_tok, every } => {
                let global = every.map_or(0, |every| self.layers / every.max(1));
                model.sliding = Some(Sliding { window_tok, layers: self.layers - global });
            }
            Lever::Sparse(sparse) => model.sparse = Some(*sparse),
        }
        Ok(model)
    }

    /// Its latent attention as it is served: the cache holds latents.
    fn latent(&self) -> Option<&Mla> {
        self.mla.as_ref().filter(|mla| !mla.expanded)
    }

    /// Whether its cache holds latents, which every GPU of a group needs whole.
    pub fn caches_latents(&self) -> bool {
        self.latent().is_some()
    }

    /// Heads over which the cache can be split.
    pub fn cache_heads(&self) -> u32 {
        match &self.mla {
            Some(mla) if mla.expanded => self.heads,
            Some(_) => 1,
            None => self.kv_heads,
        }
    }

    /// Parameters of one layer's indexer: its queries from the query's latent, or from the residual stream where there
    /// is none; its key; its heads' weights. 0 without.
    pub fn indexer_params_per_layer(&self) -> f64 {
        let Some(sparse) = &self.sparse else { return 0.0 };
        let (heads, dim) = (f64::from(sparse.index_heads), f64::from(sparse.index_head_dim));
        let hidden = f64::from(self.hidden);
        let queries_from = self.mla.as_ref().map_or(hidden, |mla| f64::from(mla.q_lora_rank));
        queries_from * heads * dim + hidden * (dim + heads)
    }

    /// Layers that see the whole context.
    pub fn global_layers(&self) -> f64 {
        f64::from(self.layers) - self.sliding.as_ref().map_or(0.0, |s| f64::from(s.layers))
    }

    /// Numbers one layer caches per token.
    fn kv_per_layer(&self) -> f64 {
        match &self.mla {
            Some(mla) if mla.expanded => {
                f64::from(self.heads) * f64::from(mla.qk_nope + mla.qk_rope + mla.v_head)
            }
            Some(mla) => f64::from(mla.kv_lora_rank + mla.qk_rope),
            None => 2.0 * f64::from(self.kv_heads) * f64::from(self.head_dim),
        }
    }

    /// KV cache per token of a context within every window [byte].
    pub fn kv_bytes_per_tok(&self, kv: Precision) -> f64 {
        f64::from(self.layers) * self.kv_per_layer() * kv.bytes() + self.index_bytes_per_tok()
    }

    /// Keys of the indexers per token [byte]; 0 without.
    pub fn index_bytes_per_tok(&self) -> f64 {
        self.sparse.as_ref().map_or(0.0, |sparse| f64::from(self.layers) * sparse.index_bytes())
    }

    /// KV cache per further token once the windows are full [byte]; the same without windows.
    pub fn kv_bytes_per_further_tok(&self, kv: Precision) -> f64 {
        self.global_layers() * self.kv_per_layer() * kv.bytes() + self.index_bytes_per_tok()
    }

    /// KV cache of a sequence's full windows [byte]; 0 without windows.
    pub fn kv_window_bytes_per_seq(&self, kv: Precision) -> f64 {
        self.sliding
            .as_ref()
            .map_or(0.0, |s| f64::from(s.layers) * f64::from(s.window_tok) * self.kv_per_layer() * kv.bytes())
    }

    /// KV cache per token if every head kept its own key and value, what latent attention saves [byte].
    pub fn kv_bytes_per_tok_uncompressed(&self, kv: Precision) -> f64 {
        match &self.mla {
            Some(mla) => {
                f64::from(self.layers)
                    * f64::from(self.heads)
                    * f64::from(mla.qk_nope + mla.qk_rope + mla.v_head)
                    * kv.bytes()
            }
            None => self.kv_bytes_per_tok(kv),
        }
    }

    /// FLOP of one layer's attention per decoded token and token of context. Latent attention decodes
    /// in its absorbed form, on the cached latent itself.
    pub fn decode_flop_per_layer(&self) -> f64 {
        let heads = f64::from(self.heads);
        match self.latent() {
            Some(mla) => 2.0 * heads * f64::from(2 * mla.kv_lora_rank + mla.qk_rope),
            None => self.prefill_flop_per_layer(),
        }
    }

    /// FLOP of one layer's attention per prompt token and token it attends to.
    pub fn prefill_flop_per_layer(&self) -> f64 {
        let heads = f64::from(self.heads);
        match &self.mla {
            Some(mla) => 2.0 * heads * f64::from(mla.qk_nope + mla.qk_rope + mla.v_head),
            None => 4.0 * heads * f64::from(self.head_dim),
        }
    }
}
