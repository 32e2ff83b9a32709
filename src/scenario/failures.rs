//! What breaks, when, and for how long, as its author writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that breaks and is repaired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What breaks.
    pub of: Part,
    /// When, and for how long.
    pub when: FailureTimes,
}

/// A part that can break. Names are `<site>.<name>`, or the name alone where it is the only one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Nodes of a pool, and with each the replicas on it.
    Nodes(NodesOf),
    /// A power device: what hangs from it goes over to its backup, or without power. A utility: the grid is lost.
    Device(String),
    /// Modules of an uninterruptible supply, of `modules` and `redundant` ones.
    UpsModules(ModulesOf),
    /// Chillers of a cooling zone; towers, dry coolers and pumps go on.
    Chillers(ShareOf),
    /// A zone's cooling as a whole: pumps, distribution units (CDU), towers and chillers.
    Cooling(ShareOf),
}

/// `nodes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesOf {
    /// The pool.
    pub pool: String,
    /// The first so many nodes of it; default: all. At `random` times each breaks alone, by a stream of its own; at
    /// given times they break together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// `ups_modules`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModulesOf {
    /// The supply.
    pub device: String,
    /// So many modules. At `random` times each breaks alone, by a stream of its own; at given times they break
    /// together.
    #[serde(default = "super::types::one_u32")]
    pub count: u32,
}

/// `chillers`, `cooling`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareOf {
    /// The cooling zone.
    pub zone: String,
    /// Share of the capacity that is lost, above 0, at most 1.
    #[serde(default = "super::types::one")]
    pub share: f64,
}

/// When something breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureTimes {
    /// At given times.
    At(Vec<Outage>),
    /// At random times, of the scenario's seed.
    Random(RandomTimes),
}

/// Broken from an instant on, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Local time counted from midnight before t = 0 [h]; beyond 24: following days.
    pub at_h: f64,
    /// How long [h]; default: until the end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_h: Option<f64>,
}

/// `random`: exponential times from a repair to the next failure, and to the repair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomTimes {
    /// Mean time between a repair and the next failure, of each part [h].
    pub mtbf_h: f64,
    /// Mean time to repair [h].
    pub mttr_h: f64,
}

/// What becomes of a request on a replica that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is sent to another replica, which recomputes what was in the cache and goes on from its last token.
    #[default]
    Retry,
    /// It is lost, and counted as shed.
    Lose,
}
