//! What a scenario's author expects of its run, so that a change that breaks it shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An expectation of a run; whether it held is told at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// What binds in a stretch of time.
    Binds(Binds),
    /// A number of `summary.json`.
    Metric(MetricRange),
}

/// `binds`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binds {
    /// What binds.
    pub constraint: Bound,
    /// The device, zone or pool that binds, `<site>.<name>`; default: any.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The site that is looked at; default: all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Start of the stretch: local time counted from midnight before t = 0 [h]; default: the start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_h: Option<f64>,
    /// Its end [h]; default: the end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_h: Option<f64>,
    /// Share of the stretch in which it binds at least.
    #[serde(default = "default_at_least")]
    pub at_least: f64,
    /// Share of the stretch in which it binds at most.
    #[serde(default = "super::types::one")]
    pub at_most: f64,
}

/// A constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "as in `binding` of summary.json")]
pub enum Bound {
    Demand,
    Compute,
    MemoryBandwidth,
    KvCapacity,
    Power,
    Cooling,
    Operations,
}

impl Bound {
    /// As `summary.json` writes it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Compute => "compute",
            Self::MemoryBandwidth => "memory_bandwidth",
            Self::KvCapacity => "kv_capacity",
            Self::Power => "power",
            Self::Cooling => "cooling",
            Self::Operations => "operations",
        }
    }
}

/// `metric`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricRange {
    /// Its path in `summary.json`, e.g. `requests.shed_by.lost`.
    pub path: String,
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

fn default_at_least() -> f64 {
    0.5
}
