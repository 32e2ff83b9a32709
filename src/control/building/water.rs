//! Water of a building's plants, and what it costs.

use super::Building;
use crate::physics::course::{Signal, Weighted};

/// Kilograms of water in a cubic metre.
const KG_PER_M3: f64 = 1000.0;

impl Building {
    /// Water has this price [$/m³]; at t = 0.
    pub(in crate::control) fn price_water(&mut self, price: Option<Signal>) {
        self.water = price.map(|price| Box::new(Weighted::new(price)));
        self.water_next_fs = self.water.as_ref().and_then(|water| water.next_fs()).unwrap_or(i128::MAX);
    }

    /// Make-up water of all zones since the start [kg].
    pub fn water_kg(&self, now_fs: i128) -> f64 {
        self.zones.iter().map(|zone| zone.totals(now_fs).water_kg).sum()
    }

    /// What it cost, if it has a price [$].
    pub fn water_usd(&self, now_fs: i128) -> Option<f64> {
        let mut water = self.water.clone()?;
        self.turn_water(&mut water, now_fs);
        Some(water.read(self.water_kg(now_fs)) / KG_PER_M3)
    }

    /// The price of water changes on the way to an instant, before which nothing else happens.
    fn turn_water(&self, water: &mut Weighted<f64>, now_fs: i128) {
        while let Some(at_fs) = water.next_fs().filter(|at_fs| *at_fs <= now_fs) {
            water.turn(self.water_kg(at_fs));
        }
    }

    /// Before anything changes: what evaporated up to now was bought at the prices up to now.
    #[inline]
    pub(super) fn pay_water(&mut self, now_fs: i128) {
        if now_fs >= self.water_next_fs {
            self.pay_old_prices(now_fs);
        }
    }

    #[cold]
    fn pay_old_prices(&mut self, now_fs: i128) {
        let Some(mut water) = self.water.take() else { return };
        self.turn_water(&mut water, now_fs);
        self.water_next_fs = water.next_fs().unwrap_or(i128::MAX);
        self.water = Some(water);
    }
}
