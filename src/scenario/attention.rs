//! Attention of a model variant, and the model that it makes of the catalog's.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::{self, Catalog, Lever, Sparse};

/// Longest context that a window or a choice of tokens may cover [tokens].
const MOST_SEEN_TOK: u32 = 1 << 24;
/// Most heads of an indexer, and their largest width.
const MOST_INDEX: u32 = 1 << 16;

/// Attention of a model variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// The model's own.
    #[default]
    Native,
    /// A model with latent attention that keeps keys and values of all heads: the same answers from a larger cache.
    Uncompressed,
    /// Another number of key and value heads. A hypothetical checkpoint: its quality is not known, and classes with
    /// `difficulty` want a `quality_tier`.
    Grouped(Grouped),
    /// Layers that see a window only. A hypothetical checkpoint, as with `grouped`.
    SlidingWindow(SlidingWindow),
    /// Attention to the best tokens of the context, found by an indexer that scores all of it, as in DeepSeek-V3.2,
    /// whose published retention of quality it takes on top of the tier's. A hypothetical checkpoint, as with `grouped`.
    SparseTopK(SparseTopK),
}

/// `grouped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grouped {
    /// Key and value heads; must divide the query heads.
    pub kv_heads: u32,
}

/// `sliding_window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlidingWindow {
    /// Tokens that a layer with a window sees.
    pub tokens: u32,
    /// One layer in so many sees the whole context; default: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
}

/// `sparse_top_k`. What the kernels reach is the catalog's, of its first model with sparse attention (DeepSeek-V3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SparseTopK {
    /// Tokens that a token attends to; default: 2,048, as DeepSeek-V3.2's config.json has it.
    #[serde(default = "top_k_tok")]
    pub tokens: u32,
    /// Heads of the indexer; default: 64, by the same source.
    #[serde(default = "index_heads")]
    pub index_heads: u32,
    /// Width of its heads and of the key they share; default: 128, by the same source.
    #[serde(default = "index_head_dim")]
    pub index_head_dim: u32,
}

impl Default for SparseTopK {
    fn default() -> Self {
        Self { tokens: top_k_tok(), index_heads: index_heads(), index_head_dim: index_head_dim() }
    }
}

fn top_k_tok() -> u32 {
    2048
}
fn index_heads() -> u32 {
    64
}
fn index_head_dim() -> u32 {
    128
}

/// What is wrong with a field of an attention.
pub(crate) struct Refused {
    /// The field below `attention`; empty: all of it.
    pub field: &'static str,
    /// What is wrong, to go on after the field's name.
    pub message: String,
}

impl Attention {
    /// Whether no checkpoint with this attention is known whose quality could be looked up.
    pub(crate) fn is_hypothetical(&self) -> bool {
        matches!(self, Self::Grouped(_) | Self::SlidingWindow(_) | Self::SparseTopK(_))
    }

    /// The catalog's model with this attention.
    ///
    /// # Errors
    /// Why it cannot have it.
    pub(crate) fn of<'a>(
        &self,
        model: &'a catalog::Model,
        catalog: &Catalog,
    ) -> Result<Cow<'a, catalog::Model>, Refused> {
        let within = |field, value: u32, most: u32| match value {
            0 => Err(Refused { field, message: "is 0; at least 1".into() }),
            _ if value > most => Err(Refused { field, message: format!("is {value}; at most {most}") }),
            _ => Ok(()),
        };
        let (lever, field) = match *self {
            Self::Native => return Ok(Cow::Borrowed(model)),
            Self::Uncompressed => (Lever::Uncompressed, ""),
            Self::Grouped(Grouped { kv_heads }) => (Lever::Grouped(kv_heads), "grouped.kv_heads"),
            Self::SlidingWindow(SlidingWindow { tokens, every }) => {
                within("sliding_window.tokens", tokens, MOST_SEEN_TOK)?;
                if let Some(every) = every
                    && !(2..=model.layers).contains(&every)
                {
                    return Err(Refused {
                        field: "sliding_window.every",
                        message: format!(
                            "is {every}; one layer in 2 to {} sees everything: leave it out for windows in all",
                            model.layers
                        ),
                    });
                }
                (Lever::Sliding { window_tok: tokens, every }, "")
            }
            Self::SparseTopK(SparseTopK { tokens, index_heads, index_head_dim }) => {
                within("sparse_top_k.tokens", tokens, MOST_SEEN_TOK)?;
                within("sparse_top_k.index_heads", index_heads, MOST_INDEX)?;
                within("sparse_top_k.index_head_dim", index_head_dim, MOST_INDEX)?;
                let Some(known) = catalog.models().iter().find_map(|model| model.sparse.as_ref()) else {
                    return Err(Refused {
                        field: "",
                        message:
                            "needs a model with sparse attention in the catalog, for what its kernels reach"
                                .into(),
                    });
                };
                let sparse = Sparse { top_k_tok: tokens, index_heads, index_head_dim, ..known.clone() };
                (Lever::Sparse(sparse), "")
            }
        };
        let refused = |message: String| Refused { field, message: format!("is {message}") };
        model.with_attention(lever).map(Cow::Owned).map_err(refused)
    }
}
