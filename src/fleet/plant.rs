//! Cooling plants of the scenario, in watts.

use crate::physics::parameter::BadParameter;
use crate::physics::plant::{
    Adiabatic, AirCooledChiller, DryCooler, Flow, Plant, Rejector, TowerWithChiller, WarmWater,
};
use crate::scenario::types::{self, Pumps};

/// The plant as written, `scale` [W/MW] times as large, of a zone held at `set_c` [°C].
pub(super) fn plant(written: &types::Plant, scale: f64, set_c: f64) -> Result<Plant, BadParameter> {
    let capacity_w = written.capacity_mw() * scale;
    match written {
        types::Plant::TowerWithChiller(tower) => Plant::tower_with_chiller(
            &TowerWithChiller {
                capacity_w,
                chiller_share: tower.chiller_share,
                design_wet_bulb_c: tower.design_wet_bulb_c,
                free_cooling_below_wet_bulb_c: tower.free_cooling_below_wet_bulb_c,
                approach_k: tower.approach_k,
                return_rise_k: tower.return_rise_k,
                flow: flow(tower.pumps),
                fan_share: tower.fan_share,
                pump_share: tower.pump_share,
                chilled_water_c: tower.chilled_water_c,
                chiller_derate_per_k: tower.chiller_derate_per_k,
                carnot_share: tower.carnot_share,
                cycles_of_concentration: tower.cycles_of_concentration,
            },
            set_c,
        ),
        types::Plant::AirCooledChiller(chiller) => Plant::air_cooled_chiller(
            &AirCooledChiller {
                capacity_w,
                design_dry_bulb_c: chiller.design_dry_bulb_c,
                free_cooling_below_dry_bulb_c: chiller.free_cooling_below_dry_bulb_c,
                condenser_k: chiller.condenser_k,
                flow: flow(chiller.pumps),
                fan_share: chiller.fan_share,
                pump_share: chiller.pump_share,
                chilled_water_c: chiller.chilled_water_c,
                chiller_derate_per_k: chiller.chiller_derate_per_k,
                carnot_share: chiller.carnot_share,
            },
            set_c,
        ),
        types::Plant::DryCooler(cooler) => Plant::dry_cooler(
            &DryCooler {
                capacity_w,
                design_dry_bulb_c: cooler.design_dry_bulb_c,
                adiabatic: cooler.adiabatic.as_ref().map(adiabatic),
                flow: flow(cooler.pumps),
                fan_share: cooler.fan_share,
                pump_share: cooler.pump_share,
            },
            set_c,
        ),
        types::Plant::WarmWater(warm) => {
            let (rejector, approach_k, fan_share) = match &warm.rejector {
                types::Rejector::DryCooler(cooler) => (
                    Rejector::DryCooler(cooler.adiabatic.as_ref().map(adiabatic)),
                    cooler.approach_k,
                    cooler.fan_share,
                ),
                types::Rejector::Tower(tower) => (
                    Rejector::Tower { cycles_of_concentration: tower.cycles_of_concentration },
                    tower.approach_k,
                    tower.fan_share,
                ),
            };
            Plant::warm_water(
                &WarmWater {
                    capacity_w,
                    rejector,
                    approach_k,
                    cdu_approach_k: warm.cdu_approach_k,
                    flow: flow(warm.pumps),
                    fan_share,
                    pump_share: warm.pump_share,
                    cdu_pump_share: warm.cdu_pump_share,
                },
                set_c,
            )
        }
    }
}

fn flow(pumps: Pumps) -> Flow {
    match pumps {
        Pumps::Variable => Flow::Variable,
        Pumps::Constant => Flow::Constant,
    }
}

fn adiabatic(pads: &types::Adiabatic) -> Adiabatic {
    Adiabatic {
        above_dry_bulb_c: pads.above_dry_bulb_c,
        effectiveness: pads.effectiveness,
        air_rise_k: pads.air_rise_k,
        cycles_of_concentration: pads.cycles_of_concentration,
    }
}
