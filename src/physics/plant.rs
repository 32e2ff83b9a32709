//! A cooling plant: the heat it can reject in a given weather, and the power and water that takes.
//!
//! ```text
//! Q_rej(T, Q) = G·max(0, T + rise(Q) − T_sink) + Q_ch,  everything at full speed
//! Q_max(T)    = the heat Q that it just rejects:  Q = Q_rej(T, Q)
//! T_sink      = wet bulb + approach (tower)  or  dry bulb (dry cooler)  or  dry bulb behind wet pads
//! rise(Q)     = r (flow follows the heat)  or  r·Q/capacity (constant flow): return over supply water
//! Q_ch        = Q_ch,des·max(0, 1 − κ·(T_out − T_out,des)),  at most 1.2·Q_ch,des;  T_out wet bulb, or dry bulb
//! G           = capacity/(T_set + r − T_sink at which the outdoors alone carry the capacity)
//! P_cool      = fans·max(u_fan, 0.1)³ + pumps·max(u_pump, 0.3)³ + CDU pumps + Q_chilled/COP
//! COP         = min(10, η·T_e/(T_c − T_e)) in kelvin
//! ```
//!
//! T is the supply temperature of the zone. The economiser (tower or cooler without chiller) goes first, on the
//! water that returns; while the chiller runs, the fans are at full speed. The compressor's power is rejected as
//! well. Pumps of constant flow turn at full speed whatever the heat.

mod kinds;
#[cfg(test)]
pub(super) mod tests;

pub use kinds::{Adiabatic, AirCooledChiller, DryCooler, Rejector, TowerWithChiller, WarmWater};

use super::weather::Air;

/// Lowest fan speed, as a share. Quality: guess (turn-down of variable-speed drives).
const FAN_FLOOR: f64 = 0.1;
/// Lowest pump speed, as a share. Quality: guess (minimum flow of a loop in service).
const PUMP_FLOOR: f64 = 0.3;
/// Most a chiller gives in cool weather, as a share of its design capacity. Quality: guess (motor limit).
const CHILLER_CEILING: f64 = 1.2;
/// Best ratio of heat moved to compressor power. Quality: guess (least lift a centrifugal chiller runs at).
const COP_CEILING: f64 = 10.0;
/// Evaporating temperature below the chilled water [K]. Quality: guess (approach of the evaporator).
const EVAPORATOR_K: f64 = 3.0;
/// 0 °C [K].
const ZERO_C_K: f64 = 273.15;

/// What the water of a plant flows like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// In proportion to the heat, so that the rise of its temperature stays.
    #[default]
    Variable,
    /// Always at its full rate: the rise is in proportion to the heat.
    Constant,
}

/// What the plant rejects heat to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sink {
    WetBulb {
        approach_k: f64,
    },
    DryBulb,
    /// Air that wet pads cool down to `above_c`, as far as they get.
    WetPads {
        above_c: f64,
        effectiveness: f64,
    },
}

/// A chiller at its design point.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Chiller {
    design_w: f64,
    /// Outdoor temperature at which it has that capacity: wet bulb with a tower, else dry bulb.
    design_outdoors_c: f64,
    derate_per_k: f64,
    carnot_share: f64,
    chilled_water_c: f64,
    /// Condensing temperature above the sink [K].
    condenser_k: f64,
}

/// Where a plant needs water.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Water {
    None,
    /// All heat leaves by evaporation [kg/J].
    Tower {
        kg_per_j: f64,
    },
    /// Air is cooled by evaporation: [kg/J] of that, and the heat of a kelvin of the air at full speed [W/K].
    Pads {
        kg_per_j: f64,
        air_w_per_k: f64,
    },
}

/// A cooling plant that holds its zone at a supply temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plant {
    set_c: f64,
    capacity_w: f64,
    sink: Sink,
    conductance_w_per_k: f64,
    return_rise_k: f64,
    flow: Flow,
    chiller: Option<Chiller>,
    fan_w: f64,
    pump_w: f64,
    /// Pumps of the CDUs, whose flow is constant.
    cdu_pump_w: f64,
    water: Water,
}

impl Plant {
    /// Supply temperature it holds [°C].
    pub fn set_c(&self) -> f64 {
        self.set_c
    }

    /// Design capacity [W].
    pub fn capacity_w(&self) -> f64 {
        self.capacity_w
    }

    /// What is left of it: `plant_share` of all its equipment, and of the chillers in that, `chiller_share`. What is
    /// sized by the capacity shrinks with it; with all there, it is the same plant to the bit.
    #[must_use]
    pub fn reduced(&self, plant_share: f64, chiller_share: f64) -> Self {
        Self {
            capacity_w: self.capacity_w * plant_share,
            conductance_w_per_k: self.conductance_w_per_k * plant_share,
            chiller: self.chiller.map(|chiller| Chiller {
                design_w: chiller.design_w * plant_share * chiller_share,
                ..chiller
            }),
            fan_w: self.fan_w * plant_share,
            pump_w: self.pump_w * plant_share,
            cdu_pump_w: self.cdu_pump_w * plant_share,
            water: match self.water {
                Water::Pads { kg_per_j, air_w_per_k } => {
                    Water::Pads { kg_per_j, air_w_per_k: air_w_per_k * plant_share }
                }
                other => other,
            },
            ..*self
        }
    }

    /// The plant in a given weather.
    pub fn under(&self, air: Air) -> PlantNow {
        let (sink_c, outdoors_c) = match self.sink {
            Sink::WetBulb { approach_k } => (air.wet_bulb_c + approach_k, air.wet_bulb_c),
            Sink::DryBulb => (air.dry_bulb_c, air.dry_bulb_c),
            Sink::WetPads { above_c, effectiveness } => {
                let depression_k = (air.dry_bulb_c - air.wet_bulb_c).max(0.0);
                let reach_c = air.dry_bulb_c - effectiveness * depression_k;
                // They are wetted no more than it takes: the air behind them is never the cooler for a warmer day.
                (air.dry_bulb_c.min(reach_c.max(above_c)), air.dry_bulb_c)
            }
        };
        let (chiller_w, cop) = self.chiller.map_or((0.0, COP_CEILING), |chiller| {
            let share = 1.0 - chiller.derate_per_k * (outdoors_c - chiller.design_outdoors_c);
            let evaporator_k = chiller.chilled_water_c - EVAPORATOR_K + ZERO_C_K;
            let lift_k = sink_c + chiller.condenser_k + ZERO_C_K - evaporator_k;
            let ideal = chiller.carnot_share * evaporator_k;
            // A small or negative lift would give any ratio: the ceiling holds.
            let cop = if lift_k <= ideal / COP_CEILING { COP_CEILING } else { ideal / lift_k };
            (chiller.design_w * share.clamp(0.0, CHILLER_CEILING), cop)
        });
        PlantNow { plant: *self, sink_c, chiller_w, cop, wetted_k: air.dry_bulb_c - sink_c }
    }
}

/// A plant in a given weather.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlantNow {
    plant: Plant,
    /// Temperature of what heat is rejected to, T_sink [°C].
    pub sink_c: f64,
    /// Heat the chiller can take, Q_ch [W].
    pub chiller_w: f64,
    /// Heat the chiller moves per joule of compressor work.
    pub cop: f64,
    /// What pads cool the air by, if there are any [K].
    wetted_k: f64,
}

impl PlantNow {
    /// Heat rejected without chiller per kelvin of supply temperature above the sink, G [W/K].
    pub fn conductance_w_per_k(&self) -> f64 {
        self.plant.conductance_w_per_k
    }

    /// Supply temperature up to which the outdoors take nothing of heat `heat_w` [°C]: the sink, less the rise of the
    /// water that returns.
    pub fn reach_c(&self, heat_w: f64) -> f64 {
        let rise_k = match self.plant.flow {
            Flow::Variable => self.plant.return_rise_k,
            // Without a plant there is no flow.
            Flow::Constant if self.plant.capacity_w > 0.0 => {
                self.plant.return_rise_k * (heat_w / self.plant.capacity_w)
            }
            Flow::Constant => 0.0,
        };
        self.sink_c - rise_k
    }

    /// Heat it rejects at supply temperature `supply_c` while `heat_w` come in, everything at full speed [W].
    pub fn rejected_w(&self, supply_c: f64, heat_w: f64) -> f64 {
        self.free_w(supply_c, heat_w) + self.chiller_w
    }

    /// Heat it can reject for good at supply temperature `supply_c` [W].
    pub fn max_w(&self, supply_c: f64) -> f64 {
        let free_w = self.free_w(supply_c, self.chiller_w);
        if self.plant.flow == Flow::Variable || free_w == 0.0 {
            return free_w + self.chiller_w;
        }
        // Q = G·(T + r·Q/capacity − T_sink) + Q_ch; the slope in Q is below 1, as the plant was sized above its sink.
        let per_heat = self.plant.conductance_w_per_k * self.plant.return_rise_k / self.plant.capacity_w;
        let above_w = self.plant.conductance_w_per_k * (supply_c - self.sink_c);
        (above_w + self.chiller_w) / (1.0 - per_heat)
    }

    /// Heat it can reject for good at the temperature it holds [W].
    pub fn max_at_set_w(&self) -> f64 {
        self.max_w(self.plant.set_c)
    }

    /// Holding its temperature at heat `heat_w`; at full speed if that is more than it can reject.
    pub fn regulated(&self, heat_w: f64) -> Operation {
        if heat_w > self.max_at_set_w() {
            return self.full_speed();
        }
        let heat_w = heat_w.max(0.0);
        let free_max_w = self.free_w(self.plant.set_c, heat_w);
        let free_w = heat_w.min(free_max_w);
        let chilled_w = heat_w - free_w;
        let fan = if chilled_w > 0.0 {
            1.0
        } else if free_w > 0.0 {
            free_w / free_max_w
        } else {
            0.0
        };
        // In the cold the tower can carry more than the design heat: the flow stays at its full rate then.
        // A plant that is out of order has no flow at all, and no heat to carry.
        let pump = if heat_w > 0.0 { (heat_w / self.plant.capacity_w).min(1.0) } else { 0.0 };
        self.operation(fan, pump, chilled_w)
    }

    /// Fans, pumps and chiller at full speed.
    pub fn full_speed(&self) -> Operation {
        self.operation(1.0, 1.0, self.chiller_w)
    }

    /// Make-up water that takes heat `rejected_w` out of the zone [kg/s]: a tower's, the compressor's heat added; of
    /// pads, what their air takes.
    pub fn water_kg_per_s(&self, rejected_w: f64, operation: &Operation) -> f64 {
        match self.plant.water {
            Water::None => 0.0,
            Water::Tower { kg_per_j } => kg_per_j * (rejected_w + operation.compressor_w),
            Water::Pads { kg_per_j, .. } => kg_per_j * operation.wetted_w,
        }
    }

    fn free_w(&self, supply_c: f64, heat_w: f64) -> f64 {
        self.plant.conductance_w_per_k * (supply_c - self.reach_c(heat_w)).max(0.0)
    }

    fn operation(&self, fan: f64, pump: f64, chilled_w: f64) -> Operation {
        let pump = match self.plant.flow {
            Flow::Variable => pump.max(PUMP_FLOOR),
            Flow::Constant => 1.0,
        };
        let wetted_w = match self.plant.water {
            Water::Pads { air_w_per_k, .. } => fan * air_w_per_k * self.wetted_k,
            Water::None | Water::Tower { .. } => 0.0,
        };
        Operation {
            fan_w: self.plant.fan_w * fan.max(FAN_FLOOR).powi(3),
            pump_w: self.plant.pump_w * pump.powi(3) + self.plant.cdu_pump_w,
            compressor_w: chilled_w / self.cop,
            wetted_w,
        }
    }
}

/// Power a plant draws.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Operation {
    /// Tower or cooler fans [W].
    pub fan_w: f64,
    /// Pumps, those of CDUs included [W].
    pub pump_w: f64,
    /// Chiller [W].
    pub compressor_w: f64,
    /// Heat that evaporates from wet pads, no power [W].
    pub wetted_w: f64,
}

impl Operation {
    /// All the power of it [W].
    pub fn power_w(&self) -> f64 {
        self.fan_w + self.pump_w + self.compressor_w
    }
}
