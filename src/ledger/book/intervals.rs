//! Reporting intervals in the books, and what is read off the meters where one ends.

use super::{Gauges, Interval, Ledger, Mark, SiteMark};
use crate::control::{Building, OTHER_PARTS, PowerControl};
use crate::fleet::Fleet;
use crate::ledger::binding::CELL_FS;
use crate::ledger::staves::{PoolStaves, installed, site_at_power};
use crate::physics::energy::Energy;

impl Ledger {
    /// Next instant at which [`Self::tick`] is due [fs].
    pub fn next_tick_fs(&self) -> i128 {
        self.next_mark_fs.min(self.next_cell_fs)
    }

    /// Close the interval and the cell of the timeline that end now.
    pub fn tick(&mut self, now_fs: i128, power: &mut PowerControl, fleet: &Fleet, gauges: Gauges) {
        if now_fs >= self.next_cell_fs {
            self.binding.close_cell(now_fs, power);
            self.next_cell_fs += CELL_FS;
        }
        if now_fs >= self.next_mark_fs {
            self.mark(now_fs, power, fleet, gauges);
            if let Some(count) = &mut self.count
                && now_fs == count.until_fs
            {
                count.binding = self.binding.shares_by_pool(now_fs);
            }
            self.mark_start_fs = self.next_mark_fs;
            self.next_mark_fs += self.interval_fs;
            self.plain_from_fs = self.window_fs.max(self.mark_start_fs);
        }
    }

    pub(super) fn mark(&mut self, now_fs: i128, power: &mut PowerControl, fleet: &Fleet, gauges: Gauges) {
        self.flush_plain();
        let binding = self.binding.close_interval(now_fs);
        let staves = installed(fleet, &self.staves, now_fs, now_fs);
        let sites = (0..fleet.sites.len())
            .map(|site| {
                let (clock, working) = power.clock_integrals(now_fs, site);
                let waiting = power.waiting(site);
                let staves = building_staves(fleet, &staves, power, site);
                let building = power.building(site);
                let air = building.and_then(|building| building.air(now_fs));
                let supply_c = building.and_then(|building| warmest_zone(building, now_fs));
                let meter = power.meter(site);
                meter.advance(now_fs);
                let (mut loss_j, mut cooling_j, mut battery_j) = (0.0, 0.0, 0.0);
                if let Some(parts) = meter.around() {
                    let (losses, others) = parts.split_at(parts.len() - OTHER_PARTS);
                    loss_j = losses.iter().map(Energy::as_j).sum();
                    // Batteries are the last.
                    let (plants, batteries) = others.split_at(OTHER_PARTS - 1);
                    cooling_j = plants.iter().map(Energy::as_j).sum();
                    battery_j = batteries.iter().map(Energy::as_j).sum();
                }
                let sums = meter.integrals();
                SiteMark {
                    it_j: sums.it.as_j(),
                    gpu_active_j: sums.gpu_active.as_j(),
                    gpu_idle_j: sums.gpu_idle.as_j(),
                    budget_j: sums.budget.as_j(),
                    clock,
                    working,
                    waiting,
                    loss_j,
                    cooling_j,
                    battery_j,
                    air_c: air.map(|air| (air.wet_bulb_c, air.dry_bulb_c)),
                    supply_c,
                    staves,
                }
            })
            .collect();
        self.marks.push(Mark { at_fs: now_fs, sites, gauges, binding, backlog_tok: self.backlog_tok });
    }

    #[inline]
    pub(super) fn interval_at(&mut self, now_fs: i128) -> &mut Interval {
        let index = self.index_at(now_fs);
        self.interval_mut(index)
    }

    /// Number of the interval an instant lies in; most lie in the one that ends next.
    #[inline]
    pub(super) fn index_at(&self, at_fs: i128) -> usize {
        if at_fs >= self.mark_start_fs && at_fs < self.next_mark_fs {
            self.marks.len()
        } else {
            (at_fs / self.interval_fs) as usize
        }
    }

    #[inline]
    pub(super) fn interval_mut(&mut self, index: usize) -> &mut Interval {
        if index >= self.intervals.len() {
            self.grow_intervals(index);
        }
        &mut self.intervals[index]
    }

    #[cold]
    fn grow_intervals(&mut self, index: usize) {
        self.intervals.resize(index + 1, Interval::default());
    }
}

/// Power and cooling staves of a site with a building, in the weather and under the cap of now [tok/s].
fn building_staves(
    fleet: &Fleet,
    staves: &[PoolStaves],
    power: &PowerControl,
    site: usize,
) -> Option<(f64, Option<f64>)> {
    let building = power.building(site)?;
    let pools = fleet.sites[site].pools.clone();
    let watts: Vec<f64> = pools.map(|p| staves[p].watts_at(&fleet.pools[p], 1.0)).collect();
    let asked_w: f64 = watts.iter().sum();
    if asked_w <= 0.0 {
        return None;
    }
    let shares: Vec<f64> = watts.iter().map(|w| w / asked_w).collect();
    let (by_power_w, by_cooling_w) = building.sustainable_w(&shares, asked_w, power.cap_nw(site));
    let rate = |it_w: f64| site_at_power(fleet, staves, site, Some(it_w)).0;
    let by_power_w = if fleet.sites[site].policy.caps_power() { by_power_w } else { asked_w };
    Some((rate(by_power_w), (!building.zones().is_empty()).then(|| rate(by_cooling_w))))
}

/// The warmest zone of a building: supply temperature [°C] and number; the first of equals.
fn warmest_zone(building: &Building, now_fs: i128) -> Option<(f64, usize)> {
    let zones = building.zones().iter().enumerate().map(|(z, zone)| (zone.temperature_c(now_fs), z));
    zones.reduce(|warmest, zone| if zone.0 > warmest.0 { zone } else { warmest })
}
