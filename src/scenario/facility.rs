//! The building of a site as its author writes it: power tree, weather, cooling zones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plant::Plant;
use super::supply::{Battery, Breaker, Generator};

/// A device of a site's power tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerDevice {
    /// Name, unique in the site.
    pub name: String,
    /// The device that feeds it; a utility and generators have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Devices that feed it while its parent is without power, the first that has some; a parent with power again
    /// takes over at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<String>,
    /// Cooling zone in which its losses become heat; default: outdoors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What it is.
    pub device: Device,
    /// Share of its rating it may carry, above 0, at most 1.
    #[serde(default = "super::types::one")]
    pub derate: f64,
    /// Its losses; default: by the kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Its breaker; default: none, it carries what it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// Its battery; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery: Option<Battery>,
}

/// A kind of power device. Losses where the device gives none, as (a0, a1, a2); quality: guess, of the shape
/// of data-sheet efficiency curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// The connection to the grid, where the meter is and `cap_mw` applies; no losses.
    Utility(Rating),
    /// Transformer; losses (0.002, 0, 0.008).
    Transformer(Rating),
    /// Uninterruptible supply; losses by its mode.
    Ups(Ups),
    /// Distribution unit or busway; losses (0.001, 0, 0.008).
    Pdu(Rating),
    /// Feed of cooling plants; no losses.
    MechanicalBus(Rating),
    /// Starts when a device that names it among its `backups` is without power; no losses.
    Generator(Generator),
}

impl Device {
    /// Rated output [MW].
    pub fn rated_mw(&self) -> f64 {
        match self {
            Self::Ups(ups) => ups.rated_mw,
            Self::Generator(generator) => generator.rated_mw,
            Self::Utility(rating)
            | Self::Transformer(rating)
            | Self::Pdu(rating)
            | Self::MechanicalBus(rating) => rating.rated_mw,
        }
    }

    /// As the scenario writes it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Utility(_) => "utility",
            Self::Transformer(_) => "transformer",
            Self::Ups(_) => "ups",
            Self::Pdu(_) => "pdu",
            Self::MechanicalBus(_) => "mechanical_bus",
            Self::Generator(_) => "generator",
        }
    }
}

/// The size of a device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// Rated output [MW].
    pub rated_mw: f64,
}

/// `ups`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ups {
    /// Rated output, of `modules` modules [MW].
    pub rated_mw: f64,
    /// Modules that it takes for the rated output.
    #[serde(default = "super::types::one_u32")]
    pub modules: u32,
    /// Modules beyond them (N+1: 1). All share the load, and all lose what they lose without one.
    #[serde(default)]
    pub redundant: u32,
    /// How it works, which decides its losses; default: double_conversion. Left out where `loss` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<UpsMode>,
}

/// How an uninterruptible supply works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpsMode {
    /// Rectifies and inverts all the time; losses (0.010, 0.020, 0.015).
    DoubleConversion,
    /// Passes the grid through and stands by; losses (0.003, 0.005, 0.002).
    Eco,
}

/// Losses of a device, as shares of its rating: a0 + a1·x + a2·x² at output x.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Without load.
    pub a0: f64,
    /// In proportion to the load.
    pub a1: f64,
    /// In proportion to the load squared.
    pub a2: f64,
}

/// Outdoor air, constant within each local hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weather {
    /// Wet bulb, what a tower works against [°C]; never above the dry bulb.
    pub wet_bulb_c: TemperatureCourse,
    /// Dry bulb, what a dry cooler works against [°C].
    pub dry_bulb_c: TemperatureCourse,
    /// Added to both, at all times [K]: the same year, two degrees warmer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset_k: f64,
    /// Heat waves and cold snaps: hours that are warmer or colder than the courses say. They come once; where they
    /// overlap, they add up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spells: Vec<Spell>,
}

/// A heat wave or a cold snap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spell {
    /// Its first hour, counted from the midnight before t = 0 [h].
    pub from_h: u32,
    /// The hour at whose beginning it is over, counted likewise [h].
    pub to_h: u32,
    /// Added to the wet bulb [K].
    pub wet_bulb_k: f64,
    /// Added to the dry bulb [K].
    pub dry_bulb_k: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
pub(super) fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// The course of an outdoor temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureCourse {
    /// Always the same [°C].
    Constant(f64),
    /// A cosine over the day; an hour has the mean of its cosine.
    Daily(DailyTemperature),
    /// One row an hour, the first for the hour from the midnight before t = 0 on; after the last row the
    /// table starts again.
    Csv(TemperatureColumn),
    /// An EnergyPlus weather file: dry bulb from column 7, wet bulb computed from it and the relative
    /// humidity in column 9.
    Epw(EpwFile),
}

/// `daily`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DailyTemperature {
    /// Lowest value, 12 h from the highest [°C].
    pub min: f64,
    /// Highest value [°C].
    pub max: f64,
    /// Local time of day of the highest value [h].
    pub max_at_h: f64,
}

/// `csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemperatureColumn {
    /// A CSV with a header, relative to the scenario file.
    pub path: String,
    /// The column with the temperature [°C].
    pub column: String,
}

/// `epw`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpwFile {
    /// The weather file, relative to the scenario file.
    pub path: String,
    /// Day of the file, from 1, on which the run starts; after its last day the file starts again.
    #[serde(default = "super::types::one_u32")]
    pub from_day: u32,
}

/// Cooling of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cooling {
    /// Zones, each with a plant of its own.
    pub zones: Vec<Zone>,
}

/// A hall or a liquid loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Name, unique in the site.
    pub name: String,
    /// The mechanical bus its plant hangs from.
    pub feed: String,
    /// What rejects its heat.
    pub plant: Plant,
    /// Supply temperature it is held at [°C].
    pub set_c: f64,
    /// What happens when there is more heat than the plant can reject.
    #[serde(default)]
    pub mode: ZoneMode,
    /// Heat that warms the zone by a kelvin [MJ/K]; buffered zones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thermal_mass_mj_per_k: Option<f64>,
    /// Multiplies the plant's `capacity_mw`, and with it everything sized by it.
    #[serde(default = "super::types::one")]
    pub capacity_scale: f64,
    /// Temperatures at which the zone acts; buffered zones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ladder: Option<Ladder>,
}

/// What happens when there is more heat than the plant can reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZoneMode {
    /// The thermal mass warms up, and the ladder acts.
    #[default]
    Buffered,
    /// Heat is capped at what the plant can reject at `set_c`, at all times.
    Instantaneous,
}

/// Thresholds of the supply temperature, set_c < warn < hold < critical < trip.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// A warning [°C].
    pub warn_c: f64,
    /// Heat is capped so that it gets no warmer than this [°C].
    pub hold_c: f64,
    /// Load is shed [°C].
    pub critical_c: f64,
    /// Everything is switched off [°C].
    pub trip_c: f64,
    /// A stage is left this far below its threshold [K]; above 0, at most warn_c − set_c.
    pub hysteresis_k: f64,
}
