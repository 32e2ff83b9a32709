//! GPUs, models, nodes, serving engines, quality tiers: typed look-ups over `configs/catalog/*.yaml`.
//!
//! The files are embedded; [`Catalog::with_overlay`] adds a user's own, or replaces entries by name.
//! Every number says where it comes from ([`Sourced`]).

mod alias;
mod attention;
mod draft;
mod entry;
mod fit;
mod load;
mod model;
mod provenance;
mod quality;
mod replica;
mod retention;
mod sheet;
#[cfg(test)]
mod tests;
mod within;

pub use alias::EngineMatch;
pub use attention::{Lever, Sparse};
pub use draft::{Draft, draft_in};
pub use entry::{
    CatalogValue, Comm, Engine, Fractions, Gpu, GpuPowerEntry, Network, Node, Overrides, Quality, Sourced,
};
pub use fit::{Coefficient, Fit, FittedOn};
pub use load::CatalogError;
pub(crate) use load::embedded_files;
pub use model::{Mla, Model, Moe, Precision, Sliding, Weights};
pub use provenance::weakest;
pub use quality::{Answering, Difficulty, QualityTier};
pub use replica::{Arithmetic, Split, arithmetic, gpu_power, node_power, replica, replica_in};
pub use retention::{Levered, Retention, levered};
pub use sheet::{Derived, Follows, Kind, Number, Sheet};

/// All entries, in the order of the files.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    gpus: Vec<Gpu>,
    models: Vec<Model>,
    nodes: Vec<Node>,
    engines: Vec<Engine>,
    quality_tiers: Vec<QualityTier>,
    retentions: Vec<Retention>,
    repeat_correlation: Option<Sourced<f64>>,
    fit: Fit,
    aliases: alias::Aliases,
    /// Entries of the user's own files.
    own: Vec<(Kind, String)>,
    /// Whether the user's own files bring the fit.
    own_fit: bool,
}

impl Catalog {
    /// The coefficients that were fitted together.
    pub fn fit(&self) -> &Fit {
        &self.fit
    }

    /// This catalog with other values of the fit's coefficients, in the fit's order.
    pub fn with_coefficients(&self, values: &[f64]) -> Self {
        let mut other = self.clone();
        for (coefficient, value) in other.fit.coefficients.iter_mut().zip(values) {
            coefficient.value = *value;
        }
        let fit = &other.fit;
        let gpus = other.gpus.iter_mut().flat_map(Gpu::numbers_mut);
        let nodes = other.nodes.iter_mut().flat_map(Node::numbers_mut);
        let engines = other.engines.iter_mut().flat_map(Engine::numbers_mut);
        for number in gpus.chain(nodes).chain(engines) {
            let follows = number.fit.as_deref().and_then(|name| fit.coefficient(name));
            if let Some(coefficient) = follows {
                number.take(coefficient.value);
            }
        }
        other
    }

    /// This catalog with one coefficient of the fit a tenth lower, so that shares stay shares: what differs follows it.
    pub fn with_lowered(&self, coefficient: usize) -> Self {
        let mut values = self.fit.values();
        if let Some(value) = values.get_mut(coefficient) {
            *value *= 0.9;
        }
        self.with_coefficients(&values)
    }

    /// The GPU of this name.
    pub fn gpu(&self, name: &str) -> Option<&Gpu> {
        self.gpus.iter().find(|entry| entry.name == name)
    }

    /// The model of this name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|entry| entry.name == name)
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|entry| entry.name == name)
    }

    /// The serving engine of this name.
    pub fn engine(&self, name: &str) -> Option<&Engine> {
        self.engines.iter().find(|entry| entry.name == name)
    }

    /// All GPUs.
    pub fn gpus(&self) -> &[Gpu] {
        &self.gpus
    }

    /// All models.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All serving engines.
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// Names of the GPUs.
    pub fn gpu_names(&self) -> impl Iterator<Item = &str> {
        self.gpus.iter().map(|entry| entry.name.as_str())
    }

    /// Names of the models.
    pub fn model_names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|entry| entry.name.as_str())
    }

    /// Names of the nodes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|entry| entry.name.as_str())
    }

    /// Names of the serving engines.
    pub fn engine_names(&self) -> impl Iterator<Item = &str> {
        self.engines.iter().map(|entry| entry.name.as_str())
    }
    /// The same with one more GPU, which replaces one of its name.
    #[must_use]
    pub fn with_gpu(mut self, gpu: Gpu) -> Self {
        self.gpus.retain(|other| other.name != gpu.name);
        self.gpus.push(gpu);
        self
    }

    /// The same with one more serving engine, which replaces one of its name.
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engines.retain(|other| other.name != engine.name);
        self.engines.push(engine);
        self
    }

    /// The same with one more node, which replaces one of its name.
    #[must_use]
    pub fn with_node(mut self, node: Node) -> Self {
        self.nodes.retain(|other| other.name != node.name);
        self.nodes.push(node);
        self
    }
}

/// The most similar name, if any is similar.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|x, y| x.0.total_cmp(&y.0))
        .map(|(_, other)| other)
}
