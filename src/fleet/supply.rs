//! How power gets to the devices of a site: who may feed whom, modules, breakers, batteries, generators.

use super::facility::{device_named, kind, wrong};
use crate::physics::battery::BatteryParams;
use crate::physics::breaker::BreakerParams;
use crate::physics::fs_from_s;
use crate::physics::loss::LossShares;
use crate::scenario::Problem;
use crate::scenario::types::{self, Site};

/// Watts in a megawatt.
const W_PER_MW: f64 = 1e6;
/// Joules in a megawatt-hour.
const J_PER_MWH: f64 = 3.6e9;
/// Hours in which a battery is charged where the scenario does not say how fast. Model choice.
const CHARGE_H: f64 = 10.0;
/// What a battery gives at most over its device's rating where the scenario does not say. Model choice: room for the
/// device's own losses.
const DISCHARGE_SHARE: f64 = 1.1;

/// Feeds of a site's power devices, by number in the site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Supply {
    /// Who may feed each device, in order of preference; nobody: a source.
    pub feeders: Vec<Vec<usize>>,
    /// All devices, each after all that may feed it.
    pub order: Vec<usize>,
    /// Modules of each device.
    pub modules: Vec<Modules>,
    /// Generators, and how long each takes to start [fs].
    pub generators: Vec<(usize, i128)>,
    /// Breakers, and after how long each is closed again [fs].
    pub breakers: Vec<(usize, BreakerParams, Option<i128>)>,
    /// Batteries.
    pub batteries: Vec<(usize, BatteryParams)>,
}

/// Parallel modules of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modules {
    /// What so many of them put out [W].
    pub rated_w: f64,
    /// Those that it takes for that.
    pub needed: u32,
    /// Those there are.
    pub installed: u32,
    /// Losses as shares of what is in service.
    pub loss: LossShares,
    /// Share of the rating it may carry.
    pub derate: f64,
}

impl Supply {
    /// The feeds of the site at `path`.
    ///
    /// # Errors
    /// What cannot be built, by the path of the field.
    pub(super) fn build(site: &Site, path: &str) -> Result<Self, Vec<Problem>> {
        let mut supply = Self::default();
        let mut problems = Vec::new();
        for (number, device) in site.power.tree.iter().enumerate() {
            let path = format!("{path}.power.tree.{number}");
            if let Err(problem) = supply.add(site, number, device, &path) {
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            supply.order = feeders_first(&supply.feeders).map_err(|device| {
                vec![Problem {
                    path: format!("{path}.power.tree.{device}"),
                    message: "is fed, by way of parents and backups, by itself".into(),
                }]
            })?;
            Ok(supply)
        } else {
            Err(problems)
        }
    }

    fn add(
        &mut self,
        site: &Site,
        number: usize,
        device: &types::PowerDevice,
        path: &str,
    ) -> Result<(), Problem> {
        let mut feeders = Vec::new();
        for name in device.parent.iter().chain(&device.backups) {
            feeders.push(device_named(site, name, path)?);
        }
        self.feeders.push(feeders);
        let rated_w = device.device.rated_mw() * W_PER_MW;
        let (needed, redundant) = match &device.device {
            types::Device::Ups(ups) => (ups.modules, ups.redundant),
            _ => (1, 0),
        };
        self.modules.push(Modules {
            rated_w,
            needed,
            installed: needed.saturating_add(redundant),
            loss: device.loss.map_or_else(
                || kind(device).default_loss(),
                |types::Loss { a0, a1, a2 }| LossShares { a0, a1, a2 },
            ),
            derate: device.derate,
        });
        if let types::Device::Generator(generator) = &device.device {
            self.generators.push((number, fs_from_s(generator.start_s)));
        }
        if let Some(breaker) = &device.breaker {
            let params = BreakerParams {
                rated_w: breaker.rated_mw.map_or(rated_w, |mw| mw * W_PER_MW),
                exponent: breaker.exponent,
                time_constant_s: breaker.time_constant_s,
            };
            params.check().map_err(|error| wrong(&format!("{path}.breaker"), &error))?;
            self.breakers.push((number, params, breaker.reclose_s.map(fs_from_s)));
        }
        if let Some(battery) = &device.battery {
            let shave_above_w = battery.shave_above_mw.map(|mw| mw * W_PER_MW);
            let params = BatteryParams {
                capacity_j: battery.energy_mwh * J_PER_MWH,
                discharge_w: battery.discharge_mw.map_or(rated_w * DISCHARGE_SHARE, |mw| mw * W_PER_MW),
                charge_w: battery.charge_mw.unwrap_or(battery.energy_mwh / CHARGE_H) * W_PER_MW,
                round_trip_efficiency: battery.round_trip_efficiency,
                shave_above_w,
                recharge_below_w: battery
                    .recharge_below_mw
                    .map(|mw| mw * W_PER_MW)
                    .or(shave_above_w)
                    .unwrap_or(rated_w),
                initial_share: battery.initial_share,
            };
            params.check().map_err(|error| wrong(&format!("{path}.battery"), &error))?;
            self.batteries.push((number, params));
        }
        Ok(())
    }

    /// Generators: sources besides the utility.
    pub fn generators(&self) -> Vec<usize> {
        self.generators.iter().map(|&(device, _)| device).collect()
    }

    /// Whether anything here can change while nothing fails.
    pub fn acts(&self) -> bool {
        !self.breakers.is_empty() || !self.batteries.is_empty()
    }
}

impl Modules {
    /// Rating of so many modules in service [W].
    pub fn rated_w_of(&self, in_service: u32) -> f64 {
        self.rated_w / f64::from(self.needed.max(1)) * f64::from(in_service)
    }
}

/// All devices, each after all that may feed it; or one that cannot be placed.
fn feeders_first(feeders: &[Vec<usize>]) -> Result<Vec<usize>, usize> {
    let mut missing: Vec<usize> = feeders.iter().map(Vec::len).collect();
    let mut fed = vec![Vec::new(); feeders.len()];
    for (device, feeders) in feeders.iter().enumerate() {
        for &feeder in feeders {
            fed[feeder].push(device);
        }
    }
    let mut order: Vec<usize> = (0..feeders.len()).filter(|&device| missing[device] == 0).collect();
    let mut next = 0;
    while let Some(&feeder) = order.get(next) {
        next += 1;
        for &device in &fed[feeder] {
            missing[device] -= 1;
            if missing[device] == 0 {
                order.push(device);
            }
        }
    }
    match missing.iter().position(|&missing| missing > 0) {
        Some(device) => Err(device),
        None => Ok(order),
    }
}
