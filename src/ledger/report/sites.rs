//! Sites and their devices over the measured window.

use super::{Frame, SiteTotals, budgets};
use crate::control::{DeviceMeter, PolcaTotals, PowerControl};
use crate::fleet::{Facility, Fleet, Site, ZoneSpec};
use crate::ledger::book::{Ledger, seconds};
use crate::ledger::devices;
use crate::ledger::outcome::{
    DeviceSummary, DistributionRow, Energy, MeanP99Max, PowerSummary, SeriesRow, Staves, Tpf, ZoneInfo,
};
use crate::physics::energy;
use crate::physics::zone::{Ladder, Mode};

impl Ledger {
    pub(super) fn site_totals(
        &self,
        fleet: &Fleet,
        power: &mut PowerControl,
        s: usize,
        window_s: f64,
        end_fs: i128,
    ) -> SiteTotals {
        let pue = fleet.sites[s].pue;
        let capping = power.polca_totals(end_fs, s);
        let capped = !fleet.sites[s].cap.is_empty();
        let names = fleet.sites[s].facility.as_ref().map(part_names);
        let meter = power.meter(s);
        let (sums, opened) = (meter.integrals(), self.site_at_window[s]);
        let since = |now: &energy::Energy, then: &energy::Energy| now.minus(then).as_j();
        let opened_parts = self.around_at_window.get(s).cloned().flatten();
        let parts = |since_window: bool| -> Option<Vec<(String, f64)>> {
            let now = meter.around()?;
            let joules = now.iter().enumerate().map(|(part, energy)| match (&opened_parts, since_window) {
                (Some(opened), true) => {
                    opened.get(part).map_or(energy.as_j(), |then| energy.minus(then).as_j())
                }
                _ => energy.as_j(),
            });
            Some(names.as_ref()?.iter().cloned().zip(joules).collect())
        };
        let energy = Energy::of(sums.it.as_j(), sums.gpu_active.as_j(), sums.gpu_idle.as_j(), pue)
            .within(parts(false));
        let window = Energy::of(
            since(&sums.it, &opened.it),
            since(&sums.gpu_active, &opened.gpu_active),
            since(&sums.gpu_idle, &opened.gpu_idle),
            pue,
        )
        .within(parts(true));
        let mean = if window_s > 0.0 { window.it / window_s } else { 0.0 };
        let (p99, max) = (meter.quantile_w(0.99), meter.max_w());
        let spread = |factor: f64| MeanP99Max {
            mean: mean * factor,
            // The histogram's cells are up to 0.1 % wide: never report a percentile above the maximum.
            p99: p99.min(max) * factor,
            max: max * factor,
        };
        let facility = match meter.facility_peaks_w() {
            Some((p99, max)) => MeanP99Max {
                mean: if window_s > 0.0 { window.facility / window_s } else { 0.0 },
                p99: p99.min(max),
                max,
            },
            None => spread(pue),
        };
        let overshoot_factor = if meter.around().is_some() { 1.0 } else { pue };
        let cap_mean_w = budgets(&fleet.sites[s], self.window_fs, end_fs)
            .iter()
            .filter_map(|b| Some(b.facility_w? * b.seconds / window_s))
            .sum();
        let power = PowerSummary {
            it: spread(1.0),
            facility,
            delivered_it_mean: mean,
            cap_facility_mean: (capped && window_s > 0.0).then_some(cap_mean_w),
            overshoot_s: seconds(sums.overshoot_fs - opened.overshoot_fs),
            overshoot_j: since(&sums.overshoot, &opened.overshoot) * overshoot_factor,
        };
        let devices = self.device_rows(fleet, s, meter.devices(), window_s, end_fs);
        SiteTotals { energy, window, power, capping, devices }
    }

    pub(super) fn device_rows(
        &self,
        fleet: &Fleet,
        s: usize,
        meters: &[DeviceMeter],
        window_s: f64,
        end_fs: i128,
    ) -> Vec<DeviceSummary> {
        let site = &fleet.sites[s];
        let Some(facility) = site.facility.as_ref().filter(|_| !meters.is_empty()) else { return Vec::new() };
        let caps = budgets(site, self.window_fs, end_fs).into_iter().filter_map(|level| level.facility_w);
        let window = devices::Window { end_fs, length_s: window_s, cap_w: caps.reduce(f64::max) };
        devices::rows(facility, &fleet.pools[site.pools.clone()], meters, &window)
    }

    /// With a building, power and cooling staves move with cap and weather: means over the rows of the window.
    pub(super) fn weather_means(
        &self,
        series: &[SeriesRow],
        frame: &Frame,
        measured: f64,
        staves: &mut Staves,
        tpf: &mut Tpf,
    ) {
        // A row that the window opens in counts for the part inside.
        let inside_s =
            |row: &SeriesRow| (row.time_s + row.length_s - frame.scenario.warm_up_s).min(row.length_s);
        let mean = |value: &dyn Fn(&SeriesRow) -> Option<f64>| {
            let (sum, length) = series
                .iter()
                .filter(|row| inside_s(row) > 1e-9)
                .filter_map(|row| Some((value(row)? * inside_s(row), inside_s(row))))
                .fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            (length > 0.0).then(|| sum / length)
        };
        staves.power = mean(&|row| row.stave_power_tok_per_s);
        staves.cooling = mean(&|row| row.stave_cooling_tok_per_s);
        // P_available is what cap, ratings and weather let through.
        tpf.predicted_tok_per_s = mean(&|row| {
            let compute = row.stave_compute_tok_per_s?;
            let limits = [row.stave_power_tok_per_s, row.stave_cooling_tok_per_s];
            Some(limits.into_iter().flatten().fold(compute, f64::min))
        });
        tpf.u = tpf.predicted_tok_per_s.filter(|q| *q > 0.0).map(|q| measured / q);
    }
}

/// For how much of the window the nodes of each pool, and the devices of each building, draw how much at most.
pub(super) fn distribution(fleet: &Fleet, power: &mut PowerControl, end_fs: i128) -> Vec<DistributionRow> {
    let mut rows = Vec::new();
    for (s, site) in fleet.sites.iter().enumerate() {
        let nodes = power.nodes(s);
        nodes.settle(end_fs);
        for (number, pool) in fleet.pools[site.pools.clone()].iter().enumerate() {
            let name = format!("{}.{}", site.name, pool.name);
            rows.extend(devices::of_nodes(&name, |shares| nodes.watts(number, shares)));
        }
        let names = site.facility.iter().flat_map(|facility| &facility.names);
        for (name, meter) in names.zip(power.meter(s).devices()) {
            rows.extend(devices::of_device(name, meter));
        }
    }
    rows
}

/// Sums over sites. Peaks of several sites need not coincide: their sum is an upper bound.
pub(super) fn fleet_power(sites: &[SiteTotals], window_s: f64) -> PowerSummary {
    let mut sum = PowerSummary::default();
    let add = |to: &mut MeanP99Max, from: &MeanP99Max| {
        to.mean += from.mean;
        to.p99 += from.p99;
        to.max += from.max;
    };
    for site in sites {
        add(&mut sum.it, &site.power.it);
        add(&mut sum.facility, &site.power.facility);
        sum.delivered_it_mean += site.power.delivered_it_mean;
        sum.overshoot_s = sum.overshoot_s.max(site.power.overshoot_s);
        sum.overshoot_j += site.power.overshoot_j;
    }
    let all_capped = sites.iter().all(|site| site.power.cap_facility_mean.is_some());
    sum.cap_facility_mean = (all_capped && window_s > 0.0)
        .then(|| sites.iter().filter_map(|site| site.power.cap_facility_mean).sum());
    sum
}

/// Names of what a meter keeps of a building, in its order.
pub(super) fn zone_infos(facility: &Facility) -> Vec<ZoneInfo> {
    let info = |zone: &ZoneSpec| {
        let Ladder { warn_c, hold_c, critical_c, trip_c, .. } = zone.params.ladder;
        let mode = match zone.params.mode {
            Mode::Buffered => "buffered",
            Mode::Instantaneous => "instantaneous",
        };
        let (name, set_c) = (zone.name.clone(), zone.params.plant.set_c());
        ZoneInfo { name, mode: mode.to_string(), set_c, warn_c, hold_c, critical_c, trip_c }
    };
    facility.zones.iter().map(info).collect()
}

pub(super) fn part_names(facility: &Facility) -> Vec<String> {
    let losses = facility.names.iter().map(|name| format!("loss_{name}"));
    let others = ["fans", "pumps", "chiller"].into_iter();
    let batteries = (!facility.supply.batteries.is_empty()).then_some("batteries");
    losses.chain(others.chain(batteries).map(String::from)).collect()
}

/// What caps by thresholds did.
pub(super) fn capping_note(capping: &PolcaTotals, site: &Site) -> String {
    format!(
        "polca at {}: above t1 {} times, above t2 {}; low-priority pools capped for {:.0} s, others for {:.0} s; {} \
         brakes, {:.0} s",
        site.name,
        capping.crossings_t1,
        capping.crossings_t2,
        capping.capped_low_s,
        capping.capped_high_s,
        capping.brakes,
        capping.braked_s
    )
}
