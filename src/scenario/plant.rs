//! Cooling plants as their author writes them.
//!
//! Defaults are guesses where no source is given: enter your own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facility::is_zero;

/// A cooling plant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plant {
    /// A cooling tower, with an economiser and a water-cooled chiller.
    TowerWithChiller(TowerWithChiller),
    /// A chiller whose condenser is cooled by outdoor air, with a free-cooling coil if wanted: no water.
    AirCooledChiller(AirCooledChiller),
    /// A dry cooler: no chiller, no water unless it has wet pads.
    DryCooler(DryCooler),
    /// Direct liquid cooling: warm facility water to CDUs and cold plates, cooled outdoors without a chiller.
    WarmWater(WarmWater),
}

impl Plant {
    /// Heat it is sized for [MW].
    pub fn capacity_mw(&self) -> f64 {
        match self {
            Self::TowerWithChiller(tower) => tower.capacity_mw,
            Self::AirCooledChiller(chiller) => chiller.capacity_mw,
            Self::DryCooler(cooler) => cooler.capacity_mw,
            Self::WarmWater(warm) => warm.capacity_mw,
        }
    }

    /// As the scenario writes it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::TowerWithChiller(_) => "tower_with_chiller",
            Self::AirCooledChiller(_) => "air_cooled_chiller",
            Self::DryCooler(_) => "dry_cooler",
            Self::WarmWater(_) => "warm_water",
        }
    }
}

/// How the water of a plant flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pumps {
    /// In proportion to the heat, at 30 % at least; pumps draw as its cube.
    #[default]
    Variable,
    /// Always at the full rate, and so the pumps.
    Constant,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_variable(pumps: &Pumps) -> bool {
    *pumps == Pumps::Variable
}

/// `tower_with_chiller`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TowerWithChiller {
    /// Heat the tower alone carries at `free_cooling_below_wet_bulb_c`; sizes chiller, fans and pumps [MW].
    pub capacity_mw: f64,
    /// Chiller capacity at design, as a share of `capacity_mw`; 0: no chiller.
    pub chiller_share: f64,
    /// Wet bulb at which the chiller has exactly that capacity [°C].
    pub design_wet_bulb_c: f64,
    /// Wet bulb up to which the tower alone carries `capacity_mw` [°C]; left out: no economiser, chiller only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_cooling_below_wet_bulb_c: Option<f64>,
    /// Tower water above the wet bulb [K].
    pub approach_k: f64,
    /// Return water above the supply at `capacity_mw` [K]: the tower cools the water that returns, so it helps as long as
    /// it is colder than that. Constant where the flow follows the heat; with constant flow, in proportion to the heat.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub return_rise_k: f64,
    /// How the water flows.
    #[serde(default, skip_serializing_if = "is_variable")]
    pub pumps: Pumps,
    /// Fan power at full speed, as a share of `capacity_mw`.
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_mw`.
    pub pump_share: f64,
    /// Chilled-water temperature, at most `set_c` [°C].
    pub chilled_water_c: f64,
    /// Chiller capacity lost per kelvin of wet bulb above design, as a share [1/K].
    pub chiller_derate_per_k: f64,
    /// Share of the Carnot efficiency the chiller reaches.
    pub carnot_share: f64,
    /// Concentration of the tower water over that of the make-up water, above 1.
    pub cycles_of_concentration: f64,
}

/// `air_cooled_chiller`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AirCooledChiller {
    /// Heat the chiller carries at `design_dry_bulb_c`; sizes fans and pumps [MW].
    pub capacity_mw: f64,
    /// Dry bulb at which it carries `capacity_mw` [°C]; default: 35, at which AHRI 550/590 rates air-cooled chillers.
    #[serde(default = "rated_dry_bulb_c")]
    pub design_dry_bulb_c: f64,
    /// Dry bulb up to which a free-cooling coil alone carries `capacity_mw` [°C]; left out: no coil.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_cooling_below_dry_bulb_c: Option<f64>,
    /// Chilled-water temperature, at most `set_c` [°C].
    pub chilled_water_c: f64,
    /// Condensing temperature above the dry bulb [K]; default: 15. Quality: guess.
    #[serde(default = "condenser_k")]
    pub condenser_k: f64,
    /// Capacity lost per kelvin of dry bulb above design, as a share [1/K]; default: 0.01. Quality: guess, of the size of
    /// catalogue tables.
    #[serde(default = "air_derate_per_k")]
    pub chiller_derate_per_k: f64,
    /// Share of the Carnot efficiency the chiller reaches; default: 0.52. Quality: guess: with the other defaults and water
    /// of 6.7 °C the COP with fans is 2.85 at 35 °C, where ASHRAE 90.1-2010 asks for 2.80 (9.562 EER) at least.
    #[serde(default = "air_carnot_share")]
    pub carnot_share: f64,
    /// Condenser fans at full speed, as they are while the chiller runs, as a share of `capacity_mw`; default: 0.03.
    /// Quality: guess.
    #[serde(default = "cooler_fan_share")]
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_mw`; default: 0.015. Quality: guess.
    #[serde(default = "chilled_pump_share")]
    pub pump_share: f64,
    /// How the water flows.
    #[serde(default, skip_serializing_if = "is_variable")]
    pub pumps: Pumps,
}

/// `dry_cooler`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DryCooler {
    /// Heat it carries at `design_dry_bulb_c`, pads dry; sizes fans and pumps [MW].
    pub capacity_mw: f64,
    /// Dry bulb at which it carries `capacity_mw` [°C].
    pub design_dry_bulb_c: f64,
    /// Fan power at full speed, as a share of `capacity_mw`.
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_mw`.
    pub pump_share: f64,
    /// How the water flows.
    #[serde(default, skip_serializing_if = "is_variable")]
    pub pumps: Pumps,
    /// Wet pads that cool its air on hot days; left out: none, and no water.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adiabatic: Option<Adiabatic>,
}

/// `adiabatic`: wet pads before the coils of a dry cooler.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adiabatic {
    /// Dry bulb above which they are wetted [°C]: as much as brings the air down to it, as far as they can.
    pub above_dry_bulb_c: f64,
    /// Share of the difference between dry and wet bulb that they can take off the air; default: 0.75. Quality: guess
    /// (makers claim 0.6 to 0.9).
    #[serde(default = "pad_effectiveness")]
    pub effectiveness: f64,
    /// What `capacity_mw` warms the air by at full fan speed [K], which gives the flow of air and so the water; default:
    /// 10. Quality: guess.
    #[serde(default = "air_rise_k")]
    pub air_rise_k: f64,
    /// Concentration of the water on the pads over that of the make-up water, above 1; default: 3. Quality: guess.
    #[serde(default = "pad_cycles")]
    pub cycles_of_concentration: f64,
}

/// `warm_water`. The zone's `set_c` is the supply to the cold plates. Without a chiller the heat it carries falls as the
/// air warms: it is `capacity_mw` where the outdoors are both approaches below `set_c`, and 0 where they are as warm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmWater {
    /// Heat at which the approaches are as given; sizes fans and pumps [MW].
    pub capacity_mw: f64,
    /// What cools the facility water.
    pub rejector: Rejector,
    /// Supply to the cold plates above the facility water, at capacity; in proportion to the heat [K]; default: 4.
    /// Quality: guess, of the size of CDU data sheets.
    #[serde(default = "cdu_approach_k")]
    pub cdu_approach_k: f64,
    /// Power of the facility water's pumps at full speed, as a share of `capacity_mw`; default: 0.010. Quality: guess.
    #[serde(default = "one_percent")]
    pub pump_share: f64,
    /// How the facility water flows.
    #[serde(default, skip_serializing_if = "is_variable")]
    pub pumps: Pumps,
    /// Power of the CDUs' pumps, which keep up the flow through the cold plates whatever the heat, as a share of
    /// `capacity_mw`; default: 0.010. Quality: guess, of the size of CDU data sheets.
    #[serde(default = "one_percent")]
    pub cdu_pump_share: f64,
}

/// What cools the facility water of `warm_water`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejector {
    /// A dry cooler.
    DryCooler(RejectorDryCooler),
    /// A cooling tower.
    Tower(RejectorTower),
}

/// `rejector.dry_cooler`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectorDryCooler {
    /// Facility water above the dry bulb, at capacity; in proportion to the heat [K]; default: 8. Quality: guess.
    #[serde(default = "dry_approach_k")]
    pub approach_k: f64,
    /// Fan power at full speed, as a share of `capacity_mw`; default: 0.03. Quality: guess.
    #[serde(default = "cooler_fan_share")]
    pub fan_share: f64,
    /// Wet pads that cool its air on hot days; left out: none, and no water.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adiabatic: Option<Adiabatic>,
}

/// `rejector.tower`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectorTower {
    /// Facility water above the wet bulb, at capacity; in proportion to the heat [K]; default: 4. Quality: guess.
    #[serde(default = "tower_approach_k")]
    pub approach_k: f64,
    /// Fan power at full speed, as a share of `capacity_mw`; default: 0.02. Quality: guess.
    #[serde(default = "tower_fan_share")]
    pub fan_share: f64,
    /// Concentration of the tower water over that of the make-up water, above 1; default: 5. Quality: guess.
    #[serde(default = "tower_cycles")]
    pub cycles_of_concentration: f64,
}

fn rated_dry_bulb_c() -> f64 {
    35.0
}

fn condenser_k() -> f64 {
    15.0
}

fn air_derate_per_k() -> f64 {
    0.01
}

fn air_carnot_share() -> f64 {
    0.52
}

fn cooler_fan_share() -> f64 {
    0.03
}

fn tower_fan_share() -> f64 {
    0.02
}

fn chilled_pump_share() -> f64 {
    0.015
}

fn one_percent() -> f64 {
    0.01
}

fn cdu_approach_k() -> f64 {
    4.0
}

fn dry_approach_k() -> f64 {
    8.0
}

fn tower_approach_k() -> f64 {
    4.0
}

fn tower_cycles() -> f64 {
    5.0
}

fn pad_effectiveness() -> f64 {
    0.75
}

fn air_rise_k() -> f64 {
    10.0
}

fn pad_cycles() -> f64 {
    3.0
}
