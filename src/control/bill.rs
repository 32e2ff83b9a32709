//! What a site's meters add up to in money, carbon and water.

use crate::fleet::Grid;
use crate::physics::course::Weighted;
use crate::physics::energy::Energy;

/// Joules in a megawatt-hour.
const J_PER_MWH: f64 = 3.6e9;
/// Joules in a kilowatt-hour, times grams in a kilogram.
const J_G_PER_KWH_KG: f64 = 3.6e9;

/// Sums from the start of the run; absent where the scenario has no course for them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accounts {
    /// Paid for electricity and water, of those that have a price [$].
    pub usd: Option<f64>,
    /// Emitted by the grid for what the utility meter read [kg].
    pub carbon_kg: Option<f64>,
    /// Evaporated and bled by cooling; absent without cooling [kg].
    pub water_kg: Option<f64>,
    /// Drawn from the grid. What generators give is bought elsewhere [J].
    pub grid_j: f64,
}

impl Accounts {
    /// What was added since `then`.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        let less = |now: Option<f64>, then: Option<f64>| now.map(|now| now - then.unwrap_or(0.0));
        Self {
            usd: less(self.usd, then.usd),
            carbon_kg: less(self.carbon_kg, then.carbon_kg),
            water_kg: less(self.water_kg, then.water_kg),
            grid_j: self.grid_j - then.grid_j,
        }
    }
}

/// The price and the carbon of what a utility meter reads.
#[derive(Debug, Clone)]
pub(super) struct Bill {
    price: Option<Weighted<Energy>>,
    carbon: Option<Weighted<Energy>>,
}

impl Bill {
    /// From t = 0; none where the grid has neither price nor carbon.
    pub(super) fn new(grid: &Grid) -> Option<Self> {
        let price = grid.price_usd_per_mwh.clone().map(Weighted::new);
        let carbon = grid.carbon_g_per_kwh.clone().map(Weighted::new);
        (price.is_some() || carbon.is_some()).then_some(Self { price, carbon })
    }

    /// When the price or the carbon changes next [fs]; never: the end of time.
    pub(super) fn next_fs(&self) -> i128 {
        let both = [&self.price, &self.carbon].into_iter().flatten();
        both.filter_map(Weighted::next_fs).min().unwrap_or(i128::MAX)
    }

    /// What changes at [`Self::next_fs`] does, when the meter had read `energy` in all.
    pub(super) fn turn(&mut self, energy: Energy) {
        let now_fs = self.next_fs();
        for weighted in [&mut self.price, &mut self.carbon].into_iter().flatten() {
            if weighted.next_fs() == Some(now_fs) {
                weighted.turn(energy);
            }
        }
    }

    /// ($, kg) of all the meter has read, `energy`.
    pub(super) fn read(&self, energy: Energy) -> (Option<f64>, Option<f64>) {
        let of = |weighted: &Option<Weighted<Energy>>| weighted.as_ref().map(|w| w.read(energy));
        (of(&self.price).map(|usd| usd / J_PER_MWH), of(&self.carbon).map(|kg| kg / J_G_PER_KWH_KG))
    }
}

#[cfg(test)]
mod tests {
    use super::super::meter::{Meter, Reading};
    use super::*;
    use crate::physics::course::{Course, FS_PER_H, Signal};

    /// 3 kW at the wall, with 1 kW around the nodes in a building, over five hours from half past the first on.
    #[test]
    fn one_step_over_many_hours_is_many_steps() {
        let course = |values: &[f64]| Signal::new(Course::Hourly(values.to_vec()), 0.5).ok();
        let grid = Grid {
            price_usd_per_mwh: course(&[40.0, -10.0, 40.0, 80.0, 0.0, 20.0]),
            carbon_g_per_kwh: course(&[100.0, 100.0, 300.0]),
            water_usd_per_m3: None,
        };
        let (usd_hours, g_hours) =
            (20.0 - 10.0 + 40.0 + 80.0 + 0.0 + 10.0, 50.0 + 100.0 + 300.0 + 100.0 + 100.0 + 150.0);
        for (building, kw) in [(false, 3.0), (true, 4.0)] {
            let read = |steps: i128| {
                let mut meter = Meter::new(None);
                meter.charge(Bill::new(&grid).expect("a price"));
                meter.change(
                    0,
                    &Reading::default(),
                    &Reading { it_nw: 3_000_000_000_000, ..Reading::default() },
                );
                if building {
                    meter.surround(0, 4);
                    meter.set_utility(0, 9_000_000_000_000, 4_000_000_000_000, None);
                }
                (1..=steps).for_each(|step| meter.advance(5 * FS_PER_H * step / steps));
                meter.charged()
            };
            let (usd, kg) = read(1);
            assert_eq!((usd, kg), read(300));
            assert!((usd.unwrap_or(0.0) - kw * usd_hours / 1e3).abs() < 1e-12, "{usd:?}");
            assert!((kg.unwrap_or(0.0) - kw * g_hours / 1e3).abs() < 1e-12, "{kg:?}");
        }
    }
}
