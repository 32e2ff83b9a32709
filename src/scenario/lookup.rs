//! What the scenario asks of the catalog: which names exist, and how many GPUs a node holds.

use crate::catalog::Catalog;

/// A kind of catalog entry, as messages call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gpu,
    Model,
    Node,
    Engine,
    QualityTier,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gpu => "GPU",
            Self::Model => "model",
            Self::Node => "node",
            Self::Engine => "serving engine",
            Self::QualityTier => "quality tier",
        }
    }
}

/// Names of the entries of a kind.
pub(crate) fn names(catalog: &Catalog, kind: Kind) -> Vec<&str> {
    match kind {
        Kind::Gpu => catalog.gpu_names().collect(),
        Kind::Model => catalog.model_names().collect(),
        Kind::Node => catalog.node_names().collect(),
        Kind::Engine => catalog.engine_names().collect(),
        Kind::QualityTier => catalog.quality_tiers().iter().map(|tier| tier.name.as_str()).collect(),
    }
}

/// GPUs of a pool's node: of the one named, else of the GPU's own.
pub(crate) fn gpus_per_node(catalog: &Catalog, gpu: &str, node: Option<&str>) -> Option<u32> {
    let name = match node {
        Some(name) => name,
        None => &catalog.gpu(gpu)?.node,
    };
    Some(catalog.node(name)?.gpus.value)
}
