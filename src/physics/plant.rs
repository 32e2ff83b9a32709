//! A cooling plant: the heat it can reject in a given weather, and the power and water that takes.
//!
//! ```text
//! Q_max(T) = G·max(0, T − T_sink) + Q_ch
//! T_sink   = wet bulb + approach (tower)  or  dry bulb (dry cooler)
//! Q_ch     = Q_ch,des·max(0, 1 − κ·(T_wb − T_wb,des)),  at most 1.2·Q_ch,des
//! G        = capacity/(T_set − T_sink at which the outdoors alone carry the capacity)
//! P_cool   = fans·max(u_fan, 0.1)³ + pumps·max(u_pump, 0.3)³ + Q_chilled/COP
//! COP      = min(10, η·T_e/(T_c − T_e)) in kelvin
//! ```
//!
//! T is the supply temperature of the zone. The economiser (tower or dry cooler without chiller) goes first;
//! while the chiller runs, the fans are at full speed. The compressor's power is rejected as well.

use super::parameter::{BadParameter, finite, not_negative, positive, require};
use super::weather::Air;

/// Lowest fan speed, as a share. Quality: guess (turn-down of variable-speed drives).
const FAN_FLOOR: f64 = 0.1;
/// Lowest pump speed, as a share. Quality: guess (minimum flow of a loop in service).
const PUMP_FLOOR: f64 = 0.3;
/// Most a chiller gives in cool weather, as a share of its design capacity. Quality: guess (motor limit).
const CHILLER_CEILING: f64 = 1.2;
/// Best ratio of heat moved to compressor power. Quality: guess (least lift a centrifugal chiller runs at).
const COP_CEILING: f64 = 10.0;
/// Condensing temperature above the sink [K]. Quality: guess (range and approach of the condenser).
const CONDENSER_K: f64 = 6.0;
/// Evaporating temperature below the chilled water [K]. Quality: guess (approach of the evaporator).
const EVAPORATOR_K: f64 = 3.0;
/// 0 °C [K].
const ZERO_C_K: f64 = 273.15;
/// Heat that evaporates a kilogram of water at 30 °C [J/kg]. Source: IAPWS steam tables, 2,429.8 kJ/kg.
const EVAPORATION_J_PER_KG: f64 = 2.4298e6;

/// A cooling tower with an economiser and a chiller.
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

/// A dry cooler: no chiller, no water.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DryCooler {
    /// Heat it carries at `design_dry_bulb_c` [W]; sizes fans and pumps.
    pub capacity_w: f64,
    /// Dry bulb at which it carries `capacity_w` [°C].
    pub design_dry_bulb_c: f64,
    /// Fan power at full speed, as a share of `capacity_w`.
    pub fan_share: f64,
    /// Pump power at full speed, as a share of `capacity_w`.
    pub pump_share: f64,
}

/// What the plant rejects heat to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sink {
    WetBulb { approach_k: f64 },
    DryBulb,
}

/// A chiller at its design point.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Chiller {
    design_w: f64,
    design_wet_bulb_c: f64,
    derate_per_k: f64,
    carnot_share: f64,
    chilled_water_c: f64,
}

/// A cooling plant that holds its zone at a supply temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plant {
    set_c: f64,
    capacity_w: f64,
    sink: Sink,
    conductance_w_per_k: f64,
    chiller: Option<Chiller>,
    fan_w: f64,
    pump_w: f64,
    water_kg_per_j: f64,
}

impl Plant {
    /// A tower with chiller whose zone is held at `set_c` [°C].
    pub fn tower_with_chiller(tower: &TowerWithChiller, set_c: f64) -> Result<Self, BadParameter> {
        let t = tower;
        finite("design_wet_bulb_c", t.design_wet_bulb_c)?;
        not_negative("chiller_share", t.chiller_share)?;
        not_negative("approach_k", t.approach_k)?;
        not_negative("chiller_derate_per_k", t.chiller_derate_per_k)?;
        require(
            t.carnot_share > 0.0 && t.carnot_share <= 1.0,
            "carnot_share",
            "above 0, at most 1",
            t.carnot_share,
        )?;
        require(
            t.chilled_water_c > EVAPORATOR_K - ZERO_C_K,
            "chilled_water_c",
            "a temperature",
            t.chilled_water_c,
        )?;
        require(
            t.cycles_of_concentration > 1.0,
            "cycles_of_concentration",
            "above 1",
            t.cycles_of_concentration,
        )?;
        let free_c = t.free_cooling_below_wet_bulb_c;
        let design_sink_c = match free_c {
            Some(free_c) => Some(free_c + t.approach_k),
            None => {
                positive("chiller_share", t.chiller_share)?;
                None
            }
        };
        let plant = Self::new(
            Sizes { capacity_w: t.capacity_w, fan_share: t.fan_share, pump_share: t.pump_share },
            set_c,
            design_sink_c,
            "set_c",
            "above free_cooling_below_wet_bulb_c + approach_k",
        )?;
        let chiller = Chiller {
            design_w: t.chiller_share * t.capacity_w,
            design_wet_bulb_c: t.design_wet_bulb_c,
            derate_per_k: t.chiller_derate_per_k,
            carnot_share: t.carnot_share,
            chilled_water_c: t.chilled_water_c,
        };
        // What is bled so that the salts of the evaporated water stay at CoC times those of the make-up.
        let blow_down = 1.0 / (t.cycles_of_concentration - 1.0);
        Ok(Self {
            sink: Sink::WetBulb { approach_k: t.approach_k },
            chiller: (t.chiller_share > 0.0).then_some(chiller),
            water_kg_per_j: (1.0 + blow_down) / EVAPORATION_J_PER_KG,
            ..plant
        })
    }

    /// A dry cooler whose zone is held at `set_c` [°C].
    pub fn dry_cooler(cooler: &DryCooler, set_c: f64) -> Result<Self, BadParameter> {
        Self::new(
            Sizes {
                capacity_w: cooler.capacity_w,
                fan_share: cooler.fan_share,
                pump_share: cooler.pump_share,
            },
            set_c,
            Some(cooler.design_dry_bulb_c),
            "set_c",
            "above design_dry_bulb_c",
        )
    }

    /// Fans, pumps and the conductance that carries the capacity at a sink temperature.
    fn new(
        sizes: Sizes,
        set_c: f64,
        design_sink_c: Option<f64>,
        name: &'static str,
        rule: &'static str,
    ) -> Result<Self, BadParameter> {
        let Sizes { capacity_w, fan_share, pump_share } = sizes;
        positive("capacity_w", capacity_w)?;
        not_negative("fan_share", fan_share)?;
        not_negative("pump_share", pump_share)?;
        finite("set_c", set_c)?;
        let conductance_w_per_k = match design_sink_c {
            None => 0.0,
            Some(sink_c) => {
                finite("sink temperature at design", sink_c)?;
                require(set_c > sink_c, name, rule, set_c)?;
                capacity_w / (set_c - sink_c)
            }
        };
        finite("conductance", conductance_w_per_k)?;
        Ok(Self {
            set_c,
            capacity_w,
            sink: Sink::DryBulb,
            conductance_w_per_k,
            chiller: None,
            fan_w: fan_share * capacity_w,
            pump_w: pump_share * capacity_w,
            water_kg_per_j: 0.0,
        })
    }

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
            ..*self
        }
    }

    /// The plant in a given weather.
    pub fn under(&self, air: Air) -> PlantNow {
        let sink_c = match self.sink {
            Sink::WetBulb { approach_k } => air.wet_bulb_c + approach_k,
            Sink::DryBulb => air.dry_bulb_c,
        };
        let (chiller_w, cop) = self.chiller.map_or((0.0, COP_CEILING), |chiller| {
            let share = 1.0 - chiller.derate_per_k * (air.wet_bulb_c - chiller.design_wet_bulb_c);
            let evaporator_k = chiller.chilled_water_c - EVAPORATOR_K + ZERO_C_K;
            let lift_k = sink_c + CONDENSER_K + ZERO_C_K - evaporator_k;
            let ideal = chiller.carnot_share * evaporator_k;
            // A small or negative lift would give any ratio: the ceiling holds.
            let cop = if lift_k <= ideal / COP_CEILING { COP_CEILING } else { ideal / lift_k };
            (chiller.design_w * share.clamp(0.0, CHILLER_CEILING), cop)
        });
        PlantNow { plant: *self, sink_c, chiller_w, cop }
    }
}

/// What fans and pumps are sized by.
struct Sizes {
    capacity_w: f64,
    fan_share: f64,
    pump_share: f64,
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
}

impl PlantNow {
    /// Heat rejected without chiller per kelvin of supply temperature above the sink, G [W/K].
    pub fn conductance_w_per_k(&self) -> f64 {
        self.plant.conductance_w_per_k
    }

    /// Heat it can reject at supply temperature `supply_c`, everything at full speed [W].
    pub fn max_w(&self, supply_c: f64) -> f64 {
        self.free_w(supply_c) + self.chiller_w
    }

    /// Heat it can reject at the temperature it holds [W].
    pub fn max_at_set_w(&self) -> f64 {
        self.max_w(self.plant.set_c)
    }

    /// Holding its temperature at heat `heat_w`; at full speed if that is more than it can reject.
    pub fn regulated(&self, heat_w: f64) -> Operation {
        let free_max_w = self.free_w(self.plant.set_c);
        if heat_w > free_max_w + self.chiller_w {
            return self.full_speed();
        }
        let heat_w = heat_w.max(0.0);
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

    /// Make-up water that takes heat `rejected_w` out of the zone, the compressor's heat added [kg/s].
    pub fn water_kg_per_s(&self, rejected_w: f64, operation: &Operation) -> f64 {
        self.plant.water_kg_per_j * (rejected_w + operation.compressor_w)
    }

    fn free_w(&self, supply_c: f64) -> f64 {
        self.plant.conductance_w_per_k * (supply_c - self.sink_c).max(0.0)
    }

    fn operation(&self, fan: f64, pump: f64, chilled_w: f64) -> Operation {
        Operation {
            fan_w: self.plant.fan_w * fan.max(FAN_FLOOR).powi(3),
            pump_w: self.plant.pump_w * pump.max(PUMP_FLOOR).powi(3),
            compressor_w: chilled_w / self.cop,
        }
    }
}

/// Power a plant draws.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Operation {
    /// Tower or cooler fans [W].
    pub fan_w: f64,
    /// Pumps [W].
    pub pump_w: f64,
    /// Chiller [W].
    pub compressor_w: f64,
}

impl Operation {
    /// All of it [W].
    pub fn power_w(&self) -> f64 {
        self.fan_w + self.pump_w + self.compressor_w
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The hall of `configs/hot-day.yaml`.
    pub(in super::super) fn hot_day() -> TowerWithChiller {
        TowerWithChiller {
            capacity_w: 0.24e6,
            chiller_share: 0.40,
            design_wet_bulb_c: 24.0,
            free_cooling_below_wet_bulb_c: Some(22.0),
            approach_k: 4.0,
            fan_share: 0.020,
            pump_share: 0.015,
            chilled_water_c: 28.0,
            chiller_derate_per_k: 0.012,
            carnot_share: 0.55,
            cycles_of_concentration: 5.0,
        }
    }

    fn at(wet_bulb_c: f64) -> Air {
        Air { wet_bulb_c, dry_bulb_c: wet_bulb_c + 5.0 }
    }

    /// G = 0.24 MW/(31 − 26) K = 48 kW/K. At 24 °C: sink 28 °C, 3 · 48 = 144 kW free and 96 kW chilled; at
    /// 27.6 °C: sink 31.6 °C, nothing free, chiller 96 · (1 − 0.012 · 3.6) = 91.853 kW.
    #[test]
    fn capacity_by_hand() {
        let plant = Plant::tower_with_chiller(&hot_day(), 31.0).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(close(plant.under(at(22.0)).max_w(31.0), 240e3 + 96e3 * 1.024));
        assert!(close(plant.under(at(24.0)).max_at_set_w(), 240e3));
        let hot = plant.under(at(27.6));
        assert!(close(hot.max_at_set_w(), 91_852.8));
        assert!(close(hot.max_w(33.0), 91_852.8 + 1.4 * 48e3));
        assert!(close(plant.under(at(-20.0)).chiller_w, 1.2 * 96e3));
        // Half of the free capacity: fans 4,800 · 0.5³, pumps 3,600 · max(0.3, 72/240)³.
        let half = plant.under(at(24.0)).regulated(72e3);
        assert!(close(half.fan_w, 600.0) && close(half.pump_w, 97.2) && half.compressor_w == 0.0);
        let chilled = plant.under(at(24.0)).regulated(194e3);
        assert!(close(chilled.fan_w, 4800.0) && close(chilled.compressor_w, 50e3 / 10.0));
        assert_eq!(plant.under(at(24.0)).regulated(1e9), plant.under(at(24.0)).full_speed());
    }

    /// 18 °C chilled water, 24 °C wet bulb: T_e = 288.15 K, T_c = 307.15 K, COP = 0.55 · 288.15/19 = 8.3412.
    #[test]
    fn ratio_of_a_chiller_by_hand() {
        let cold_water = TowerWithChiller { chilled_water_c: 18.0, ..hot_day() };
        let plant = Plant::tower_with_chiller(&cold_water, 31.0).unwrap();
        assert!((plant.under(at(24.0)).cop - 8.341_184_2).abs() < 1e-6);
        assert_eq!(plant.under(at(-10.0)).cop, 10.0);
    }

    /// 1 kWh of heat: 3.6 MJ/2.4298 MJ/kg · 1.25 = 1.852 kg.
    #[test]
    fn water_by_hand() {
        let plant = Plant::tower_with_chiller(&hot_day(), 31.0).unwrap().under(at(10.0));
        let free = plant.regulated(100e3);
        assert!((plant.water_kg_per_s(1000.0, &free) * 3600.0 - 1.852).abs() < 1e-3);
        assert!(
            (plant.water_kg_per_s(2000.0, &free) / plant.water_kg_per_s(1000.0, &free) - 2.0).abs() < 1e-12
        );
    }

    #[test]
    fn nothing_improves_with_outdoor_temperature() {
        let dry = DryCooler { capacity_w: 1e6, design_dry_bulb_c: 25.0, fan_share: 0.03, pump_share: 0.01 };
        let chiller_only =
            TowerWithChiller { free_cooling_below_wet_bulb_c: None, chiller_share: 1.0, ..hot_day() };
        let cold_water = TowerWithChiller { chilled_water_c: 10.0, ..hot_day() };
        for plant in [
            Plant::tower_with_chiller(&hot_day(), 31.0).unwrap(),
            Plant::tower_with_chiller(&chiller_only, 31.0).unwrap(),
            Plant::tower_with_chiller(&cold_water, 31.0).unwrap(),
            Plant::dry_cooler(&dry, 35.0).unwrap(),
        ] {
            let mut last = plant.under(at(-40.0));
            for step in -399..=500 {
                let now = plant.under(at(f64::from(step) / 10.0));
                assert!(now.cop <= last.cop && now.cop > 0.0 && now.chiller_w <= last.chiller_w);
                for supply in [20.0, 31.0, 39.0] {
                    assert!(now.max_w(supply) <= last.max_w(supply) && now.max_w(supply) >= 0.0);
                }
                for heat in [0.0, 1e3, 90e3, 150e3, 239e3] {
                    // Beyond its capacity the plant runs at full speed, which a failing chiller makes cheaper.
                    if heat <= now.max_at_set_w() {
                        assert!(now.regulated(heat).power_w() >= last.regulated(heat).power_w() - 1e-9);
                    }
                }
                last = now;
            }
        }
    }

    #[test]
    fn power_never_falls_with_heat() {
        let plant = Plant::tower_with_chiller(&hot_day(), 31.0).unwrap();
        for wet_bulb in [-20.0, 0.0, 15.0, 22.0, 26.0, 30.0, 45.0] {
            let now = plant.under(at(wet_bulb));
            let mut last = 0.0;
            for step in 0..=500 {
                let power = now.regulated(f64::from(step) * 1e3).power_w();
                assert!(power >= last);
                last = power;
            }
            assert!(last <= now.full_speed().power_w());
        }
    }

    #[test]
    fn impossible_plants_are_named() {
        let name =
            |tower: TowerWithChiller, set_c| Plant::tower_with_chiller(&tower, set_c).unwrap_err().name;
        assert_eq!(name(hot_day(), 26.0), "set_c");
        assert_eq!(name(TowerWithChiller { capacity_w: -1.0, ..hot_day() }, 31.0), "capacity_w");
        assert_eq!(
            name(TowerWithChiller { cycles_of_concentration: 1.0, ..hot_day() }, 31.0),
            "cycles_of_concentration"
        );
        assert_eq!(name(TowerWithChiller { carnot_share: f64::NAN, ..hot_day() }, 31.0), "carnot_share");
        let idle = TowerWithChiller { free_cooling_below_wet_bulb_c: None, chiller_share: 0.0, ..hot_day() };
        assert_eq!(name(idle, 31.0), "chiller_share");
        let dry = DryCooler { capacity_w: 1e6, design_dry_bulb_c: 35.0, fan_share: 0.03, pump_share: 0.01 };
        assert!(Plant::dry_cooler(&dry, 35.0).is_err());
    }
}
