//! GPUs, models, nodes, serving engines: typed look-ups over `configs/catalog/*.yaml`.

/// All entries.
#[derive(Debug, Clone, Default)]
pub struct Catalog {}
