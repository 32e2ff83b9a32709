//! What keeps a power device going, or cuts it off, as its author writes it: breaker, battery, generator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A breaker at a device's output, with an inverse-time trip: dh/dt = (x^m − h)/τ at load x, trips at h = 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Load it carries for ever [MW]; default: what the device is rated at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rated_mw: Option<f64>,
    /// m; quality: guess.
    #[serde(default = "default_exponent")]
    pub exponent: f64,
    /// τ [s]; quality: guess, with which 1.1 × the rating trips from cold in about 1,000 s.
    #[serde(default = "default_time_constant_s")]
    pub time_constant_s: f64,
    /// Closed again so long after it tripped [s]; default: it stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclose_s: Option<f64>,
}

/// A battery beside a device. Without a feed it carries the device's load while its charge lasts; with one, it may
/// shave peaks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Battery {
    /// What it can give in all [MWh].
    pub energy_mwh: f64,
    /// What it can give at most, losses of the device included [MW]; default: 1.1 × what the device is rated at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discharge_mw: Option<f64>,
    /// What it takes at most [MW]; default: full in ten hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge_mw: Option<f64>,
    /// What it gives of what it takes; quality: guess, of lithium-ion with its converter.
    #[serde(default = "default_efficiency")]
    pub round_trip_efficiency: f64,
    /// It gives what the device's output is beyond this [MW]; default: only without a feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shave_above_mw: Option<f64>,
    /// It charges with what the output leaves below this [MW]; default: shave_above_mw, else the device's rating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recharge_below_mw: Option<f64>,
    /// Charge at the start, as a share of energy_mwh.
    #[serde(default = "super::types::one")]
    pub initial_share: f64,
}

/// `generator`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Rated output [MW].
    pub rated_mw: f64,
    /// From the loss of what it stands in for until it carries load [s]; quality: guess.
    #[serde(default = "default_start_s")]
    pub start_s: f64,
}

fn default_exponent() -> f64 {
    2.0
}

fn default_time_constant_s() -> f64 {
    570.0
}

fn default_efficiency() -> f64 {
    0.9
}

fn default_start_s() -> f64 {
    30.0
}
