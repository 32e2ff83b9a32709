//! Rows of timeseries.csv, and the staves that watts allow in them.

use super::{Frame, PowerStaves, budgets};
use crate::fleet::Fleet;
use crate::ledger::book::{Ledger, Mark, SiteMark, seconds, tokens_f64};
use crate::ledger::outcome::{SeriesRow, Staves};
use crate::ledger::staves::{PoolStaves, device_staves, installed, site_at_power};

impl Ledger {
    pub(super) fn series(&self, fleet: &Fleet, frame: &Frame) -> Vec<SeriesRow> {
        let any_cap = fleet.sites.iter().any(|site| !site.cap.is_empty());
        let mut rows = Vec::with_capacity(self.marks.len());
        let mut before: Option<&Mark> = None;
        let any_building = fleet.sites.iter().any(|site| site.facility.is_some());
        let mut power_staves = PowerStaves::default();
        let changing = fleet.pools.iter().any(|pool| pool.installed_share(0, frame.end_fs) < 1.0);
        for (index, mark) in self.marks.iter().enumerate() {
            let start_fs = before.map_or(0, |m| m.at_fs);
            let length_s = seconds(mark.at_fs - start_fs);
            let interval = self.intervals.get(index).copied().unwrap_or_default();
            let zero = SiteMark::default();
            let there = installed(fleet, &self.staves, start_fs, mark.at_fs);
            let fixed = device_staves(&there);
            if changing {
                power_staves = PowerStaves::default();
            }
            let mut row = SeriesRow {
                time_s: seconds(start_fs),
                length_s,
                stave_demand_tok_per_s: (!frame.closed_loop)
                    .then(|| self.demand(before, interval.offered_tokens, length_s)),
                stave_compute_tok_per_s: fixed.compute,
                stave_memory_bandwidth_tok_per_s: fixed.memory_bandwidth,
                stave_kv_capacity_tok_per_s: fixed.kv_capacity,
                binding: Some(mark.binding),
                output_tok_per_s: tokens_f64(interval.tokens) / length_s,
                useful_tok_per_s: interval.useful_tokens as f64 / length_s,
                prompt_cached_tok_per_s: interval.cached_tokens as f64 / length_s,
                queue: mark.gauges.queue,
                running: mark.gauges.running,
                arrivals: interval.arrivals,
                completed: interval.completed,
                shed: interval.shed,
                ..SeriesRow::default()
            };
            let (mut cap, mut clock, mut working, mut stave) = (0.0, 0.0, 0.0, 0.0);
            let mut cooling_stave = Some(0.0);
            for (s, site) in fleet.sites.iter().enumerate() {
                let (now, then) = (&mark.sites[s], before.map_or(&zero, |m| &m.sites[s]));
                let watts = |f: fn(&SiteMark) -> f64| (f(now) - f(then)) / length_s;
                let it_w = watts(|m| m.it_j);
                row.it_w += it_w;
                row.gpu_active_w += watts(|m| m.gpu_active_j);
                row.gpu_idle_w += watts(|m| m.gpu_idle_j);
                if site.facility.is_none() {
                    row.pue_overhead_w += it_w * (site.pue - 1.0);
                }
                row.waiting_for_power += now.waiting;
                clock += now.clock - then.clock;
                working += now.working - then.working;
                row.loss_w += watts(|m| m.loss_j);
                row.cooling_w += watts(|m| m.cooling_j);
                row.battery_w += watts(|m| m.battery_j);
                if let (None, Some((wet, dry))) = (row.wet_bulb_c, now.air_c) {
                    (row.wet_bulb_c, row.dry_bulb_c) = (Some(wet), Some(dry));
                }
                if let Some((supply_c, zone)) =
                    now.supply_c.filter(|(c, _)| row.supply_c.is_none_or(|w| *c > w))
                {
                    row.supply_c = Some(supply_c);
                    row.supply_zone =
                        site.facility.as_ref().map_or_else(String::new, |f| f.zones[zone].name.clone());
                }
                cap += budgets(site, start_fs, mark.at_fs)
                    .iter()
                    .filter_map(|b| Some(b.facility_w? * b.seconds / length_s))
                    .sum::<f64>();
                match now.staves {
                    Some((by_power, by_cooling)) => {
                        stave += by_power;
                        cooling_stave = cooling_stave.zip(by_cooling).map(|(sum, rate)| sum + rate);
                    }
                    None => {
                        let limited = !site.cap.is_empty() && site.policy.caps_power();
                        let budget_w = limited.then(|| watts(|m| m.budget_j));
                        stave += power_staves.rate(fleet, &there, s, budget_w);
                        cooling_stave = None;
                    }
                }
            }
            row.node_overhead_w = row.it_w - row.gpu_active_w - row.gpu_idle_w;
            row.facility_w = row.it_w + row.pue_overhead_w + row.loss_w + row.cooling_w + row.battery_w;
            row.stave_cooling_tok_per_s = cooling_stave;
            row.pue = if row.it_w > 0.0 { row.facility_w / row.it_w } else { fleet.sites[0].pue };
            row.cap_facility_w = any_cap.then_some(cap);
            row.stave_power_tok_per_s = (any_cap || any_building).then_some(stave);
            row.clock = (working > 0.0).then(|| clock / working);
            rows.push(row);
            before = Some(mark);
        }
        rows
    }

    pub(super) fn mean_staves(&self, fleet: &Fleet, frame: &Frame, window_s: f64) -> Staves {
        let there = installed(fleet, &self.staves, self.window_fs, frame.end_fs);
        let mut staves = device_staves(&there);
        if window_s <= 0.0 {
            return staves;
        }
        if !frame.closed_loop {
            // Over the whole window the backlog at its start counts once.
            staves.demand = Some(self.window_demand_tok as f64 / window_s);
        }
        let any_cap = fleet.sites.iter().any(|site| !site.cap.is_empty());
        staves.power = any_cap.then(|| {
            (0..fleet.sites.len())
                .map(|s| {
                    budgets(&fleet.sites[s], self.window_fs, frame.end_fs)
                        .iter()
                        .map(|b| b.seconds / window_s * site_at_power(fleet, &there, s, b.it_w).0)
                        .sum::<f64>()
                })
                .sum()
        });
        staves
    }
}

impl PowerStaves {
    pub(super) fn rate(
        &mut self,
        fleet: &Fleet,
        staves: &[PoolStaves],
        site: usize,
        it_w: Option<f64>,
    ) -> f64 {
        self.last.resize(fleet.sites.len(), None);
        // Means over intervals differ in the last bits; a rate is good to far less than that.
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * b.abs(),
            (a, b) => a == b,
        };
        match self.last[site] {
            Some((known, rate)) if close(known, it_w) => rate,
            _ => {
                let rate = site_at_power(fleet, staves, site, it_w).0;
                self.last[site] = Some((it_w, rate));
                rate
            }
        }
    }
}
