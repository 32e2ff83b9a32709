//! What must hold in a zone's cooling plant.

use super::super::types::{
    Adiabatic, AirCooledChiller, DryCooler, Plant, Rejector, TowerWithChiller, WarmWater, Zone,
};
use super::Check;
use super::facility::{INDOORS_C, MAX_MW, OUTDOORS_C};

impl Check {
    /// The plant of the zone at `zone_path`.
    pub(super) fn plant(&mut self, zone_path: &str, zone: &Zone) {
        let path = format!("{zone_path}.plant.{}", zone.plant.word());
        self.positive(&format!("{path}.capacity_mw"), zone.plant.capacity_mw(), MAX_MW);
        match &zone.plant {
            Plant::TowerWithChiller(tower) => self.tower(zone_path, &path, zone, tower),
            Plant::AirCooledChiller(chiller) => self.air_cooled(zone_path, &path, zone, chiller),
            Plant::DryCooler(cooler) => self.dry_cooler(zone_path, &path, zone, cooler),
            Plant::WarmWater(warm) => self.warm_water(&path, zone, warm),
        }
    }

    fn tower(&mut self, zone_path: &str, path: &str, zone: &Zone, tower: &TowerWithChiller) {
        self.shares(path, &[("fan_share", tower.fan_share), ("pump_share", tower.pump_share)]);
        self.not_negative(&format!("{path}.chiller_share"), tower.chiller_share, 10.0);
        self.not_negative(&format!("{path}.approach_k"), tower.approach_k, 50.0);
        self.not_negative(&format!("{path}.return_rise_k"), tower.return_rise_k, 100.0);
        self.between(&format!("{path}.design_wet_bulb_c"), tower.design_wet_bulb_c, OUTDOORS_C, "°C");
        self.chiller(path, zone, tower.chilled_water_c, tower.chiller_derate_per_k, tower.carnot_share);
        self.concentration(path, tower.cycles_of_concentration);
        match tower.free_cooling_below_wet_bulb_c {
            Some(free_c) => {
                let field = format!("{path}.free_cooling_below_wet_bulb_c");
                self.between(&field, free_c, OUTDOORS_C, "°C");
                let sink_c = free_c + tower.approach_k;
                if zone.set_c <= sink_c {
                    self.refuse(
                        format!("{zone_path}.set_c"),
                        format!(
                            "must be above the tower water at which it is to carry the capacity, {sink_c} °C \
                             (free_cooling_below_wet_bulb_c {free_c} + approach_k {}), is {}",
                            tower.approach_k, zone.set_c
                        ),
                    );
                }
            }
            None => {
                self.require(
                    &format!("{path}.chiller_share"),
                    tower.chiller_share,
                    tower.chiller_share > 0.0,
                    "above 0, as without free_cooling_below_wet_bulb_c the chiller is all there is",
                );
                if tower.return_rise_k > 0.0 {
                    self.refuse(
                        format!("{path}.return_rise_k"),
                        "is what an economiser works against, and without free_cooling_below_wet_bulb_c there is \
                         none; leave it out",
                    );
                }
            }
        }
    }

    fn air_cooled(&mut self, zone_path: &str, path: &str, zone: &Zone, chiller: &AirCooledChiller) {
        self.shares(path, &[("fan_share", chiller.fan_share), ("pump_share", chiller.pump_share)]);
        self.between(&format!("{path}.design_dry_bulb_c"), chiller.design_dry_bulb_c, OUTDOORS_C, "°C");
        self.not_negative(&format!("{path}.condenser_k"), chiller.condenser_k, 50.0);
        self.chiller(path, zone, chiller.chilled_water_c, chiller.chiller_derate_per_k, chiller.carnot_share);
        if let Some(free_c) = chiller.free_cooling_below_dry_bulb_c {
            self.between(&format!("{path}.free_cooling_below_dry_bulb_c"), free_c, OUTDOORS_C, "°C");
            self.require(
                &format!("{zone_path}.set_c"),
                zone.set_c,
                zone.set_c > free_c,
                &format!("above the air in which its coil is to carry the capacity, free_cooling_below_dry_bulb_c ({free_c})"),
            );
        }
    }

    fn dry_cooler(&mut self, zone_path: &str, path: &str, zone: &Zone, cooler: &DryCooler) {
        self.shares(path, &[("fan_share", cooler.fan_share), ("pump_share", cooler.pump_share)]);
        self.between(&format!("{path}.design_dry_bulb_c"), cooler.design_dry_bulb_c, OUTDOORS_C, "°C");
        self.require(
            &format!("{zone_path}.set_c"),
            zone.set_c,
            zone.set_c > cooler.design_dry_bulb_c,
            &format!(
                "above the air to which it rejects its heat, design_dry_bulb_c ({})",
                cooler.design_dry_bulb_c
            ),
        );
        self.adiabatic(path, zone, cooler.adiabatic.as_ref());
    }

    fn warm_water(&mut self, path: &str, zone: &Zone, warm: &WarmWater) {
        self.shares(path, &[("pump_share", warm.pump_share), ("cdu_pump_share", warm.cdu_pump_share)]);
        self.not_negative(&format!("{path}.cdu_approach_k"), warm.cdu_approach_k, 50.0);
        let (word, approach_k, fan_share) = match &warm.rejector {
            Rejector::DryCooler(cooler) => ("dry_cooler", cooler.approach_k, cooler.fan_share),
            Rejector::Tower(tower) => ("tower", tower.approach_k, tower.fan_share),
        };
        let rejector = format!("{path}.rejector.{word}");
        self.shares(&rejector, &[("fan_share", fan_share)]);
        self.positive(&format!("{rejector}.approach_k"), approach_k, 50.0);
        match &warm.rejector {
            Rejector::DryCooler(cooler) => self.adiabatic(&rejector, zone, cooler.adiabatic.as_ref()),
            Rejector::Tower(tower) => self.concentration(&rejector, tower.cycles_of_concentration),
        }
    }

    fn adiabatic(&mut self, path: &str, zone: &Zone, adiabatic: Option<&Adiabatic>) {
        let Some(pads) = adiabatic else { return };
        let path = format!("{path}.adiabatic");
        let field = format!("{path}.above_dry_bulb_c");
        self.between(&field, pads.above_dry_bulb_c, OUTDOORS_C, "°C");
        self.require(
            &field,
            pads.above_dry_bulb_c,
            pads.above_dry_bulb_c < zone.set_c,
            &format!("below set_c ({}): warmer air takes no heat, wet or dry", zone.set_c),
        );
        self.share_above_0(&format!("{path}.effectiveness"), pads.effectiveness);
        self.positive(&format!("{path}.air_rise_k"), pads.air_rise_k, 100.0);
        self.concentration(&path, pads.cycles_of_concentration);
    }

    fn chiller(
        &mut self,
        path: &str,
        zone: &Zone,
        chilled_water_c: f64,
        derate_per_k: f64,
        carnot_share: f64,
    ) {
        self.not_negative(&format!("{path}.chiller_derate_per_k"), derate_per_k, 1.0);
        let field = format!("{path}.chilled_water_c");
        self.between(&field, chilled_water_c, INDOORS_C, "°C");
        self.require(
            &field,
            chilled_water_c,
            chilled_water_c <= zone.set_c,
            &format!("at most set_c ({}): it cools what is held there", zone.set_c),
        );
        self.share_above_0(&format!("{path}.carnot_share"), carnot_share);
    }

    fn share_above_0(&mut self, path: &str, share: f64) {
        self.require(path, share, share > 0.0 && share <= 1.0, "above 0 and at most 1");
    }

    fn concentration(&mut self, path: &str, cycles: f64) {
        self.require(&format!("{path}.cycles_of_concentration"), cycles, cycles > 1.0, "above 1");
    }

    fn shares(&mut self, path: &str, shares: &[(&str, f64)]) {
        for (name, share) in shares {
            self.require(
                &format!("{path}.{name}"),
                *share,
                (0.0..=1.0).contains(share),
                "a share of capacity_mw, 0 to 1",
            );
        }
    }
}
