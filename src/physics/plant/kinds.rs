//! The kinds of plant, and what each is made of.

use super::super::parameter::{BadParameter, finite, not_negative, positive, require};
use super::{Chiller, EVAPORATOR_K, Flow, Plant, Sink, Water, ZERO_C_K};

/// Condensing temperature above the tower water [K]. Quality: guess (range and approach of the condenser).
const WATER_CONDENSER_K: f64 = 6.0;
/// Heat that evaporates a kilogram of water at 30 °C [J/kg]. Source: IAPWS steam tables, 2,429.8 kJ/kg.
const EVAPORATION_J_PER_KG: f64 = 2.4298e6;

/// A cooling tower with an economiser and a water-cooled chiller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TowerWithChiller {
    /// Heat the tower alone carries at `free_cooling_below_wet_bulb_c` [W]; sizes chiller, fans and pumps.
    pub capacity_w: f64,
    /// Chiller capacity at design, as a share of `capacity_w`.
    pub chiller_share: f64,
    /// Wet bulb at which the chiller has exactly that capacity [°C].
    pub design_wet_bulb_c: f64,
    /// Wet bulb up to which the tower alone carries `capacity_w` [°C]; `None`: no economiser, chiller only.
    pub free_cooling_below_wet_bulb_c: Option<f64>,
    /// Tower water above the wet bulb [K].
    pub approach_k: f64,
    /// Return over supply water at `capacity_w` [K]: the economiser cools what returns.
    pub return_rise_k: f64,
    /// How the water flows.
    pub flow: Flow,
    /// Fan power at full speed, as a share of `capacity_w`.
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_w`.
    pub pump_share: f64,
    /// Chilled-water temperature [°C].
    pub chilled_water_c: f64,
    /// Chiller capacity lost per kelvin of wet bulb above design, as a share, κ [1/K].
    pub chiller_derate_per_k: f64,
    /// Share of the Carnot efficiency the chiller reaches, η.
    pub carnot_share: f64,
    /// Concentration of the tower water over that of the make-up water, > 1.
    pub cycles_of_concentration: f64,
}

/// A chiller whose condenser is cooled by outdoor air: no water.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AirCooledChiller {
    /// Heat the chiller carries at `design_dry_bulb_c` [W]; sizes fans and pumps.
    pub capacity_w: f64,
    /// Dry bulb at which it carries `capacity_w` [°C].
    pub design_dry_bulb_c: f64,
    /// Dry bulb up to which a free-cooling coil alone carries `capacity_w` [°C]; `None`: no coil.
    pub free_cooling_below_dry_bulb_c: Option<f64>,
    /// Condensing temperature above the dry bulb [K].
    pub condenser_k: f64,
    /// How the water flows.
    pub flow: Flow,
    /// Fan power at full speed, as a share of `capacity_w`.
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_w`.
    pub pump_share: f64,
    /// Chilled-water temperature [°C].
    pub chilled_water_c: f64,
    /// Capacity lost per kelvin of dry bulb above design, as a share, κ [1/K].
    pub chiller_derate_per_k: f64,
    /// Share of the Carnot efficiency the chiller reaches, η.
    pub carnot_share: f64,
}

/// A dry cooler: no chiller, and no water but for its pads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DryCooler {
    /// Heat it carries in air of `design_dry_bulb_c`, pads dry [W]; sizes fans and pumps.
    pub capacity_w: f64,
    /// Dry bulb at which it carries `capacity_w` [°C].
    pub design_dry_bulb_c: f64,
    /// Wet pads before its coils.
    pub adiabatic: Option<Adiabatic>,
    /// How the water flows.
    pub flow: Flow,
    /// Fan power at full speed, as a share of `capacity_w`.
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_w`.
    pub pump_share: f64,
}

/// Wet pads that cool the air of a dry cooler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adiabatic {
    /// Dry bulb above which they are wetted, as much as brings the air down to it [°C].
    pub above_dry_bulb_c: f64,
    /// Share of the wet-bulb depression they can take off the air.
    pub effectiveness: f64,
    /// What the capacity warms the air by at full speed [K]: gives the flow of air, and so the water.
    pub air_rise_k: f64,
    /// Concentration of the water on the pads over that of the make-up water, > 1.
    pub cycles_of_concentration: f64,
}

/// Direct liquid cooling: warm facility water, cooled outdoors without a chiller, and CDUs between it and the cold
/// plates, whose supply is what the zone holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmWater {
    /// Heat at which the approaches are as given [W]; sizes fans and pumps.
    pub capacity_w: f64,
    /// What cools the facility water.
    pub rejector: Rejector,
    /// Facility water above the outdoor air, `approach_k` of the rejector, at capacity; in proportion to the heat [K].
    pub approach_k: f64,
    /// Supply to the cold plates above the facility water at capacity; in proportion to the heat [K].
    pub cdu_approach_k: f64,
    /// How the facility water flows.
    pub flow: Flow,
    /// Fan power at full speed, as a share of `capacity_w`.
    pub fan_share: f64,
    /// Power of the facility water's pumps at full speed, as a share of `capacity_w`.
    pub pump_share: f64,
    /// Power of the CDUs' pumps, whose flow is constant, as a share of `capacity_w`.
    pub cdu_pump_share: f64,
}

/// What cools facility water outdoors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rejector {
    /// A dry cooler, with or without wet pads.
    DryCooler(Option<Adiabatic>),
    /// A tower, against the wet bulb.
    Tower {
        /// Concentration of the tower water over that of the make-up water, > 1.
        cycles_of_concentration: f64,
    },
}

impl Plant {
    /// A tower with chiller whose zone is held at `set_c` [°C].
    pub fn tower_with_chiller(tower: &TowerWithChiller, set_c: f64) -> Result<Self, BadParameter> {
        let t = tower;
        finite("design_wet_bulb_c", t.design_wet_bulb_c)?;
        not_negative("chiller_share", t.chiller_share)?;
        not_negative("approach_k", t.approach_k)?;
        not_negative("return_rise_k", t.return_rise_k)?;
        let design_sink_c = match t.free_cooling_below_wet_bulb_c {
            Some(free_c) => Some(free_c + t.approach_k),
            None => {
                positive("chiller_share", t.chiller_share)?;
                None
            }
        };
        let rule = "above free_cooling_below_wet_bulb_c + approach_k";
        let plant =
            sized(t.capacity_w, (t.fan_share, t.pump_share), set_c, design_sink_c, t.return_rise_k, rule)?;
        let chiller = chiller(Chiller {
            design_w: t.chiller_share * t.capacity_w,
            design_outdoors_c: t.design_wet_bulb_c,
            derate_per_k: t.chiller_derate_per_k,
            carnot_share: t.carnot_share,
            chilled_water_c: t.chilled_water_c,
            condenser_k: WATER_CONDENSER_K,
        })?;
        Ok(Self {
            sink: Sink::WetBulb { approach_k: t.approach_k },
            flow: t.flow,
            chiller: (t.chiller_share > 0.0).then_some(chiller),
            water: Water::Tower { kg_per_j: make_up_kg_per_j(t.cycles_of_concentration)? },
            ..plant
        })
    }

    /// An air-cooled chiller whose zone is held at `set_c` [°C].
    pub fn air_cooled_chiller(air_cooled: &AirCooledChiller, set_c: f64) -> Result<Self, BadParameter> {
        let a = air_cooled;
        finite("design_dry_bulb_c", a.design_dry_bulb_c)?;
        not_negative("condenser_k", a.condenser_k)?;
        let shares = (a.fan_share, a.pump_share);
        let rule = "above free_cooling_below_dry_bulb_c";
        let plant = sized(a.capacity_w, shares, set_c, a.free_cooling_below_dry_bulb_c, 0.0, rule)?;
        let chiller = chiller(Chiller {
            design_w: a.capacity_w,
            design_outdoors_c: a.design_dry_bulb_c,
            derate_per_k: a.chiller_derate_per_k,
            carnot_share: a.carnot_share,
            chilled_water_c: a.chilled_water_c,
            condenser_k: a.condenser_k,
        })?;
        Ok(Self { flow: a.flow, chiller: Some(chiller), ..plant })
    }

    /// A dry cooler whose zone is held at `set_c` [°C].
    pub fn dry_cooler(cooler: &DryCooler, set_c: f64) -> Result<Self, BadParameter> {
        let c = cooler;
        let shares = (c.fan_share, c.pump_share);
        let plant =
            sized(c.capacity_w, shares, set_c, Some(c.design_dry_bulb_c), 0.0, "above design_dry_bulb_c")?;
        Ok(Self { flow: c.flow, ..with_pads(plant, c.adiabatic.as_ref())? })
    }

    /// Direct liquid cooling whose cold plates are supplied at `set_c` [°C].
    pub fn warm_water(warm: &WarmWater, set_c: f64) -> Result<Self, BadParameter> {
        let w = warm;
        positive("approach_k", w.approach_k)?;
        not_negative("cdu_approach_k", w.cdu_approach_k)?;
        not_negative("cdu_pump_share", w.cdu_pump_share)?;
        // Two approaches in proportion to the heat are one; the outdoor air at which they leave the capacity.
        let design_sink_c = set_c - (w.approach_k + w.cdu_approach_k);
        let shares = (w.fan_share, w.pump_share);
        let plant = sized(w.capacity_w, shares, set_c, Some(design_sink_c), 0.0, "above its approaches")?;
        let plant = match w.rejector {
            Rejector::DryCooler(adiabatic) => with_pads(plant, adiabatic.as_ref())?,
            Rejector::Tower { cycles_of_concentration } => Self {
                sink: Sink::WetBulb { approach_k: 0.0 },
                water: Water::Tower { kg_per_j: make_up_kg_per_j(cycles_of_concentration)? },
                ..plant
            },
        };
        Ok(Self { flow: w.flow, cdu_pump_w: w.cdu_pump_share * w.capacity_w, ..plant })
    }
}

/// Fans, pumps and the conductance that carries the capacity at a sink temperature; a dry cooler else.
fn sized(
    capacity_w: f64,
    (fan_share, pump_share): (f64, f64),
    set_c: f64,
    design_sink_c: Option<f64>,
    return_rise_k: f64,
    rule: &'static str,
) -> Result<Plant, BadParameter> {
    positive("capacity_w", capacity_w)?;
    not_negative("fan_share", fan_share)?;
    not_negative("pump_share", pump_share)?;
    finite("set_c", set_c)?;
    let conductance_w_per_k = match design_sink_c {
        None => 0.0,
        Some(sink_c) => {
            finite("sink temperature at design", sink_c)?;
            require(set_c > sink_c, "set_c", rule, set_c)?;
            capacity_w / (set_c + return_rise_k - sink_c)
        }
    };
    finite("conductance", conductance_w_per_k)?;
    Ok(Plant {
        set_c,
        capacity_w,
        sink: Sink::DryBulb,
        conductance_w_per_k,
        return_rise_k,
        flow: Flow::Variable,
        chiller: None,
        fan_w: fan_share * capacity_w,
        pump_w: pump_share * capacity_w,
        cdu_pump_w: 0.0,
        water: Water::None,
    })
}

fn chiller(chiller: Chiller) -> Result<Chiller, BadParameter> {
    not_negative("chiller_derate_per_k", chiller.derate_per_k)?;
    let (share, water_c) = (chiller.carnot_share, chiller.chilled_water_c);
    require(share > 0.0 && share <= 1.0, "carnot_share", "above 0, at most 1", share)?;
    require(water_c > EVAPORATOR_K - ZERO_C_K, "chilled_water_c", "a temperature", water_c)?;
    Ok(chiller)
}

/// A dry cooler's plant with wet pads, if it has them.
fn with_pads(plant: Plant, adiabatic: Option<&Adiabatic>) -> Result<Plant, BadParameter> {
    let Some(pads) = adiabatic else { return Ok(plant) };
    let share = pads.effectiveness;
    finite("above_dry_bulb_c", pads.above_dry_bulb_c)?;
    require(share > 0.0 && share <= 1.0, "effectiveness", "above 0, at most 1", share)?;
    positive("air_rise_k", pads.air_rise_k)?;
    let kg_per_j = make_up_kg_per_j(pads.cycles_of_concentration)?;
    Ok(Plant {
        sink: Sink::WetPads { above_c: pads.above_dry_bulb_c, effectiveness: share },
        water: Water::Pads { kg_per_j, air_w_per_k: plant.capacity_w / pads.air_rise_k },
        ..plant
    })
}

/// Make-up water per joule that evaporates [kg/J], with what is bled so that the salts of the evaporated water stay
/// at `cycles` times those of the make-up.
fn make_up_kg_per_j(cycles: f64) -> Result<f64, BadParameter> {
    require(cycles > 1.0, "cycles_of_concentration", "above 1", cycles)?;
    Ok((1.0 + 1.0 / (cycles - 1.0)) / EVAPORATION_J_PER_KG)
}
