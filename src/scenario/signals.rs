//! What changes by the hour beside the weather, as its author writes it: prices, the grid's carbon, windows of the cap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the grid and the water works ask of a site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Price of electricity at the utility meter [$/MWh]; may be negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_usd_per_mwh: Option<SignalCourse>,
    /// Carbon that the grid emits for what the utility meter reads [g CO2-eq/kWh].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carbon_g_per_kwh: Option<SignalCourse>,
    /// Price of the water that cooling evaporates and bleeds [$/m³]; needs cooling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub water_usd_per_m3: Option<SignalCourse>,
}

impl Grid {
    /// Nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The courses with their keys.
    pub fn courses(&self) -> [(&'static str, Option<&SignalCourse>); 3] {
        [
            ("price_usd_per_mwh", self.price_usd_per_mwh.as_ref()),
            ("carbon_g_per_kwh", self.carbon_g_per_kwh.as_ref()),
            ("water_usd_per_m3", self.water_usd_per_m3.as_ref()),
        ]
    }

    /// The courses with their keys, to be changed.
    pub fn courses_mut(&mut self) -> [(&'static str, Option<&mut SignalCourse>); 3] {
        [
            ("price_usd_per_mwh", self.price_usd_per_mwh.as_mut()),
            ("carbon_g_per_kwh", self.carbon_g_per_kwh.as_mut()),
            ("water_usd_per_m3", self.water_usd_per_m3.as_mut()),
        ]
    }
}

/// The course of a price or of carbon, constant within each local hour, in the unit of its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalCourse {
    /// Always the same.
    Constant(f64),
    /// A cosine over the day; an hour has the mean of its cosine.
    Daily(Daily),
    /// The 24 local hours of every day, from midnight on.
    Hours(Vec<f64>),
    /// One row an hour, the first for the hour from the midnight before t = 0 on; after the last row the table starts
    /// again.
    Csv(Column),
}

/// `daily`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Daily {
    /// Lowest value, 12 h from the highest, in the unit of the course.
    pub min: f64,
    /// Highest value, in the unit of the course.
    pub max: f64,
    /// Local time of day of the highest value [h].
    pub max_at_h: f64,
}

/// `csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// A CSV with a header, relative to the scenario file.
    pub path: String,
    /// The column with the values, in the unit of the course.
    pub column: String,
}

/// A window of the cap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapWindow {
    /// Its beginning: local time counted from midnight before t = 0 [h]; beyond 24: following days.
    pub at_h: f64,
    /// How long it lasts [h].
    pub for_h: f64,
    /// Share of `cap_mw` within it.
    pub value: f64,
}
