//! Power domains: every start of an iteration at new watts is granted here, or waits.
//!
//! A domain is a site's meter. It keeps two integer sums: `drawn`, what its replicas draw now, and the policy's
//! *plan*, what they would draw at their ceilings. A start that would break the budget first lowers ceilings
//! (`plan` fits again at once; the others come down at their next iteration boundaries), then takes the highest
//! clock that fits what is unreserved *now*, else waits. Ceilings rise after the policy's dwell time only.

mod buildings;
mod ceilings;
mod grants;

use serde::{Deserialize, Serialize};

use super::bill::Accounts;
use super::building::{Building, Held};
use super::capping::polca::PolcaTotals;
use super::domain::{Domain, Mode, Replica, idle_reading};
use super::failures::Timeline;
use super::meter::Meter;
use super::nodes::NodeMeters;
use crate::fleet::{CapLevel, Fleet, GpuThermal};
use crate::physics::clock::Clock;
use crate::physics::draw::{Draw, PowerLaw};
use crate::scenario::types::PowerPriority;

/// The answer to a request for a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Run at this clock, drawing these watts.
    Run {
        /// The clock.
        clock: Clock,
        /// Wall watts [nW].
        it_nw: i64,
        /// GPU watts [nW].
        gpu_nw: i64,
        /// What keeps the clock from being full.
        hold: Hold,
    },
    /// Not even the lowest clock fits: wait for [`Effect::Retry`].
    Wait,
}

/// What keeps a granted clock from being full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// It is full.
    #[default]
    Free,
    /// A limit set on the GPUs.
    GpuCap,
    /// The temperature of the air or water that the GPUs take in.
    GpuTemperature,
    /// The site: [`PowerControl::held`] says which device or zone.
    Site,
    /// A cap by thresholds: [`PowerControl::last_device`] says of which device.
    Device,
    /// The emergency brake of that device.
    Brake,
}

/// What control asks of the engine; in the order in which it came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The replica's clock may have to change: ask again at its first iteration boundary after now.
    Recheck(usize),
    /// A waiting replica should try again now (rank `Retry`).
    Retry(usize),
    /// Call [`PowerControl::release`] for this site at this instant [fs].
    ReleaseAt(usize, i128),
    /// Call [`PowerControl::building_event`] for this site at this instant [fs].
    BuildingAt(usize, i128),
    /// What holds this site's clocks changed between power and cooling: bring its labels up to date.
    Relabel(usize),
    /// Pools of this site begin or cease to drain: see [`PowerControl::draining`] (rank `Drain`).
    Drain(usize),
    /// Replicas of this site fail, or may start again: see [`PowerControl::is_up`] (rank `Outage`).
    Outage(usize),
}

/// Power control of the whole fleet.
pub struct PowerControl {
    replicas: Vec<Replica>,
    domains: Vec<Domain>,
    effects: Vec<Effect>,
    moved: Vec<usize>,
    waits: u64,
    throttles: Throttles,
    pools: Vec<PoolLaws>,
    /// By pool: whether its cooling zone is critical.
    draining: Vec<bool>,
    /// By replica: failures of its node under way.
    broken: Vec<u32>,
    /// By pool: whether there is power at its feed.
    powered: Vec<bool>,
}

/// How often cooling acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Throttles {
    /// A zone's ladder went to another stage.
    pub stages: u64,
    /// Starts at a clock that a zone keeps from being full.
    pub by_zone: u64,
    /// Starts at a clock that the GPUs' temperature keeps from being full.
    pub by_gpu: u64,
}

/// What control needs to know of a pool.
struct PoolLaws {
    power: PowerLaw,
    /// Draw of a replica without work.
    idle: Draw,
    clocks: Vec<Clock>,
    thermal: Option<GpuThermal>,
    priority: PowerPriority,
}

impl PowerControl {
    /// Control at t = 0 with every replica idle; `failures`: all that are to come.
    pub fn new(fleet: &Fleet, failures: &Timeline) -> Self {
        let mut replicas: Vec<Replica> = (0..fleet.replicas())
            .map(|r| {
                let pool = fleet.pool(r);
                let idle = pool.power.idle();
                Replica {
                    site: pool.site as u16,
                    pool: fleet.pool_of[r],
                    group: 0,
                    mode: Mode::Idle,
                    working_at: 0,
                    reading: idle_reading(&idle),
                }
            })
            .collect();
        let domains = fleet
            .sites
            .iter()
            .map(|site| Domain::new(site, fleet, &mut replicas[site.replicas.clone()]))
            .collect();
        let pools = fleet
            .pools
            .iter()
            .map(|pool| PoolLaws {
                power: pool.power,
                idle: pool.power.idle(),
                clocks: pool.clocks.clone(),
                thermal: pool.thermal,
                priority: pool.power_priority,
            })
            .collect();
        let mut control = Self {
            replicas,
            domains,
            effects: Vec::new(),
            moved: Vec::new(),
            waits: 0,
            throttles: Throttles::default(),
            draining: vec![false; fleet.pools.len()],
            broken: vec![0; fleet.replicas()],
            powered: vec![true; fleet.pools.len()],
            pools,
        };
        for site in 0..fleet.sites.len() {
            control.open_building(site, fleet, failures);
            control.limit_watched(0, site);
        }
        control
    }

    /// Whether a replica may serve: its node is whole and has power.
    pub fn is_up(&self, replica: usize) -> bool {
        self.broken[replica] == 0 && self.powered[usize::from(self.replicas[replica].pool)]
    }

    /// The facility cap of a site changes.
    pub fn set_cap(&mut self, now_fs: i128, site: usize, level: &CapLevel) {
        let domain = &mut self.domains[site];
        if let Some(building) = &mut domain.building {
            domain.cap_nw = Some(level.meter_nw());
            building.set_cap_nw(domain.cap_nw);
            self.meter_building(now_fs, site);
            self.solve(now_fs, site, None);
        } else {
            domain.meter.set_budget(now_fs, Some(level.it_nw));
            if domain.plans_power {
                domain.budget_nw = Some(level.it_nw);
                if domain.planned_nw > level.it_nw {
                    self.lower(now_fs, site, None);
                }
            }
        }
        self.limit_watched(now_fs, site);
        self.wake(site);
    }

    /// Whether a pool must drain: its cooling zone is critical or has tripped.
    pub fn draining(&self, pool: usize) -> bool {
        self.draining[pool]
    }

    /// What holds a site's clocks down, if anything does.
    pub fn held(&self, site: usize) -> Held {
        self.domains[site].held
    }

    /// Cap at the utility meter of a site with a building [nW].
    pub fn cap_nw(&self, site: usize) -> Option<i128> {
        self.domains[site].cap_nw
    }

    /// The power device that limited a site last.
    pub fn last_device(&self, site: usize) -> Option<usize> {
        self.domains[site].last_device
    }

    /// The cooling zone that limited a site last.
    pub fn last_zone(&self, site: usize) -> Option<usize> {
        self.domains[site].last_zone
    }

    /// The building of a site.
    pub fn building(&self, site: usize) -> Option<&Building> {
        self.domains[site].building.as_ref()
    }

    /// Caps of a site by thresholds, and its brakes; none under other policies.
    pub fn polca_totals(&mut self, now_fs: i128, site: usize) -> Option<PolcaTotals> {
        self.domains[site].polca.as_mut().map(|polca| polca.totals(now_fs))
    }

    /// Count what policies do from now on.
    pub fn open_window(&mut self, now_fs: i128, site: usize) {
        if let Some(polca) = &mut self.domains[site].polca {
            polca.open_window(now_fs);
        }
    }

    /// Take the next effect, oldest first.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    /// Whether there are effects to take.
    #[inline]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// The meter of a site.
    pub fn meter(&mut self, site: usize) -> &mut Meter {
        &mut self.domains[site].meter
    }

    /// Money, carbon and water of a site up to now.
    pub fn accounts(&mut self, now_fs: i128, site: usize) -> Accounts {
        let Domain { meter, building, pue, .. } = &mut self.domains[site];
        meter.advance(now_fs);
        let (usd, carbon_kg) = meter.charged();
        // A building's meter reads what the grid gives; a static PUE stands for all around the nodes.
        let factor = if building.is_some() { 1.0 } else { *pue };
        let (usd, carbon_kg) = (usd.map(|usd| usd * factor), carbon_kg.map(|kg| kg * factor));
        let cooling = building.as_ref().filter(|building| !building.zones().is_empty());
        let water_usd = building.as_ref().and_then(|building| building.water_usd(now_fs));
        Accounts {
            usd: if water_usd.is_none() { usd } else { Some(usd.unwrap_or(0.0) + water_usd.unwrap_or(0.0)) },
            carbon_kg,
            water_kg: cooling.map(|building| building.water_kg(now_fs)),
            grid_j: meter.grid().as_j() * factor,
        }
    }

    /// The nodes of a site.
    pub fn nodes(&mut self, site: usize) -> &mut NodeMeters {
        &mut self.domains[site].nodes
    }

    /// IT budget of a site now [nW].
    pub fn budget_nw(&self, site: usize) -> Option<i128> {
        self.domains[site].budget_nw
    }

    /// Facility power over IT power of a site.
    pub fn pue(&self, site: usize) -> f64 {
        self.domains[site].pue
    }

    /// Replicas of a site that wait for watts.
    pub fn waiting(&self, site: usize) -> u64 {
        self.domains[site].waiters.len() as u64
    }

    /// Starts refused for lack of watts so far.
    pub fn waits(&self) -> u64 {
        self.waits
    }

    /// How often cooling acted so far.
    pub fn throttles(&self) -> Throttles {
        self.throttles
    }

    /// (∫ Σ clock dt, ∫ working replicas dt) of a site up to now [replica·s].
    pub fn clock_integrals(&mut self, now_fs: i128, site: usize) -> (f64, f64) {
        let domain = &mut self.domains[site];
        domain.advance_clocks(now_fs);
        (domain.clock_integral, domain.working_integral)
    }
}
