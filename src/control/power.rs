//! Power domains: every start of an iteration at new watts is granted here, or waits.
//!
//! A domain is a site's meter. It keeps two integer sums: `drawn`, what its replicas draw now, and the policy's
//! *plan*, what they would draw at their ceilings. A start that would break the budget first lowers ceilings
//! (`plan` fits again at once; the others come down at their next iteration boundaries), then takes the highest
//! clock that fits what is unreserved *now*, else waits. Ceilings rise after the policy's dwell time only.

use serde::{Deserialize, Serialize};

use super::bill::Accounts;
use super::building::{Building, Held, OTHER_PARTS};
use super::capping::polca::PolcaTotals;
use super::capping::watts;
use super::domain::{Domain, Mode, Replica, idle_reading};
use super::failures::{Broken, FailureEvent};
use super::meter::{Meter, Reading};
use super::nodes::NodeMeters;
use crate::fleet::{CapLevel, Fleet, GpuThermal};
use crate::physics::clock::Clock;
use crate::physics::draw::{Draw, PowerLaw};
use crate::physics::zone::ZoneChange;
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
    pub fn new(fleet: &Fleet, failures: &[FailureEvent]) -> Self {
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

    /// A replica asks to run iterations that draw `draw`, at most at `local` (a limit of its own GPUs); `prefills`:
    /// they have prompt tokens.
    #[inline(always)]
    pub fn request(
        &mut self,
        now_fs: i128,
        replica: usize,
        draw: &Draw,
        local: &Clock,
        prefills: bool,
    ) -> Grant {
        let state = &mut self.replicas[replica];
        let domain = &mut self.domains[usize::from(state.site)];
        if domain.budget_nw.is_none() && domain.polca.is_none() {
            let hold = if local.share < Clock::FULL.share { Hold::GpuCap } else { Hold::Free };
            let (it_nw, gpu_nw) = (draw.it_nw(local), draw.gpu_nw(local));
            state.mode = Mode::Running;
            let reading = Reading { it_nw, gpu_active_nw: gpu_nw, gpu_idle_nw: 0 };
            // A building would have a budget.
            state.read(now_fs, domain, reading, local.share);
            return Grant::Run { clock: *local, it_nw, gpu_nw, hold };
        }
        self.request_within(now_fs, replica, draw, local, prefills)
    }

    /// [`Self::request`] at a site with a budget or thresholds.
    fn request_within(
        &mut self,
        now_fs: i128,
        replica: usize,
        draw: &Draw,
        local: &Clock,
        prefills: bool,
    ) -> Grant {
        let state = &self.replicas[replica];
        let (site, pool, before_nw) = (usize::from(state.site), state.pool, state.reading.it_nw);
        let domain = &mut self.domains[site];
        let number = replica - domain.first;
        let mut local = *local;
        let mut local_hold = if local.share < Clock::FULL.share { Hold::GpuCap } else { Hold::Free };
        if let Some(cool) = self.pools[usize::from(pool)].within_temperature(domain, pool, draw)
            && cool.share < local.share
        {
            (local, local_hold) = (cool, Hold::GpuTemperature);
        }
        if let Some((capped, hold)) = self.pools[usize::from(pool)].within_thresholds(domain, pool)
            && capped.share < local.share
        {
            (local, local_hold) = (capped, hold);
        }
        if domain.building.is_some() {
            let change = domain.set_uncapped(now_fs, number, pool, draw.it_nw(&local));
            if change != ZoneChange::default() {
                self.building_changed(now_fs, site, change);
            }
        }
        let domain = &mut self.domains[site];
        let (mut ceiling, mut wanted_nw) = domain.plan_work(number, draw, &local, prefills);
        let outgrown = domain.outgrown();
        if outgrown {
            self.solve(now_fs, site, Some(replica));
        }
        let domain = &mut self.domains[site];
        let budget = domain.budget_nw.unwrap_or(i128::MAX);
        let lower = domain.planned_nw > budget && !domain.policy.lowest_reached();
        if lower {
            self.lower(now_fs, site, Some(replica));
        }
        let domain = &mut self.domains[site];
        if outgrown || lower {
            let member = &domain.members[number];
            ceiling = domain.policy.ceiling(number, member);
            wanted_nw = watts(member, &ceiling);
        }
        let (wanted, hold) = if local.share < ceiling.share {
            (local, local_hold)
        } else if ceiling.share < Clock::FULL.share {
            (ceiling, Hold::Site)
        } else {
            (ceiling, Hold::Free)
        };
        if domain.fits(pool, i128::from(wanted_nw - before_nw), budget) {
            let grant = self.run(now_fs, replica, (wanted_nw, draw.gpu_nw(&wanted)), &wanted, hold);
            self.wake(site);
            return grant;
        }
        let room = domain.room_nw(pool, budget) + i128::from(before_nw);
        if let Some(clock) = domain.policy.best_below(pool, draw, &wanted, room) {
            // Others are still on their way down: ask again at the next boundary, until the ceiling fits.
            let watts_nw = (draw.it_nw(&clock), draw.gpu_nw(&clock));
            let grant = self.run(now_fs, replica, watts_nw, &clock, Hold::Site);
            self.effects.push(Effect::Recheck(replica));
            return grant;
        }
        self.waits += 1;
        let domain = &mut self.domains[site];
        if domain.planned_nw > budget {
            // Even the lowest clocks do not fit everyone: plan without this one until it is granted.
            domain.members[number].working = false;
            domain.plan(number, self.pools[usize::from(pool)].idle.fixed_nw);
        }
        // A refused retry keeps its place at the head of the line.
        if self.replicas[replica].mode == Mode::Retrying {
            domain.waiters.push_front(replica);
        } else {
            domain.waiters.push_back(replica);
        }
        self.replicas[replica].mode = Mode::Waiting;
        let idle = idle_reading(&self.pools[usize::from(pool)].idle);
        self.set_reading(now_fs, replica, idle, 0);
        self.wake_others(site, replica);
        Grant::Wait
    }

    /// A replica has no work left.
    pub fn idle(&mut self, now_fs: i128, replica: usize) {
        let site = usize::from(self.replicas[replica].site);
        let idle = self.pools[usize::from(self.replicas[replica].pool)].idle;
        let pool = self.replicas[replica].pool;
        self.replicas[replica].mode = Mode::Idle;
        self.set_reading(now_fs, replica, idle_reading(&idle), 0);
        let domain = &mut self.domains[site];
        let number = replica - domain.first;
        let change = domain.set_uncapped(now_fs, number, pool, idle.fixed_nw);
        if change != ZoneChange::default() {
            self.building_changed(now_fs, site, change);
        }
        let domain = &mut self.domains[site];
        if domain.budget_nw.is_some() {
            domain.members[number].working = false;
            domain.plan(number, idle.fixed_nw);
            self.wake(site);
        }
    }

    /// A replica fails: it draws nothing until it boots.
    pub fn fail(&mut self, now_fs: i128, replica: usize) {
        self.switch(now_fs, replica, 0, Reading::default(), Mode::Down);
    }

    /// A replica that failed boots, and draws what it draws without work.
    pub fn boot(&mut self, now_fs: i128, replica: usize) {
        let idle = self.pools[usize::from(self.replicas[replica].pool)].idle;
        self.switch(now_fs, replica, idle.fixed_nw, idle_reading(&idle), Mode::Idle);
    }

    fn switch(&mut self, now_fs: i128, replica: usize, it_nw: i64, reading: Reading, mode: Mode) {
        let (site, pool) = (usize::from(self.replicas[replica].site), self.replicas[replica].pool);
        self.replicas[replica].mode = mode;
        // Nothing is asked of it any more.
        let own = |effect: &Effect| matches!(effect, Effect::Recheck(r) | Effect::Retry(r) if *r == replica);
        self.effects.retain(|effect| !own(effect));
        let domain = &mut self.domains[site];
        domain.waiters.retain(|&waiter| waiter != replica);
        let number = replica - domain.first;
        domain.members[number].working = false;
        domain.plan(number, it_nw);
        self.set_reading(now_fs, replica, reading, 0);
        let change = self.domains[site].set_uncapped(now_fs, number, pool, it_nw);
        if change != ZoneChange::default() {
            self.building_changed(now_fs, site, change);
        }
        // Who boots draws watts that nobody asked for.
        if self.domains[site].outgrown() {
            self.solve(now_fs, site, None);
        }
        let domain = &self.domains[site];
        if domain.budget_nw.is_some_and(|budget| domain.planned_nw > budget) {
            self.lower(now_fs, site, None);
        }
        self.wake(site);
    }

    /// Something breaks, or is repaired.
    pub fn failure(&mut self, now_fs: i128, event: &FailureEvent) {
        if let Broken::Replicas(replicas) = &event.what {
            for count in &mut self.broken[replicas.clone()] {
                *count = if event.breaks { *count + 1 } else { count.saturating_sub(1) };
            }
            self.effects.push(Effect::Outage(event.site));
            return;
        }
        let Some(building) = &mut self.domains[event.site].building else { return };
        let change = building.failure(now_fs, &event.what, event.breaks);
        self.reconnected(now_fs, event.site, change);
    }

    /// Whether a replica may serve: its node is whole and has power.
    pub fn is_up(&self, replica: usize) -> bool {
        self.broken[replica] == 0 && self.powered[usize::from(self.replicas[replica].pool)]
    }

    /// Act on what changed in a building whose feeds may be others.
    fn reconnected(&mut self, now_fs: i128, site: usize, change: ZoneChange) {
        self.building_changed(now_fs, site, change);
        let domain = &self.domains[site];
        let Some(building) = &domain.building else { return };
        let mut changed = false;
        for pool in 0..domain.planned_by_pool.len() {
            let powered = building.powered(pool);
            changed |= std::mem::replace(&mut self.powered[domain.first_pool + pool], powered) != powered;
        }
        if changed {
            self.effects.push(Effect::Outage(site));
        }
        self.limit_watched(now_fs, site);
        self.wake(site);
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

    /// The weather changes or a zone passes a threshold.
    pub fn building_event(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.building_at_fs = None;
        let Some(building) = &mut domain.building else { return };
        let change = building.on_event(now_fs);
        self.reconnected(now_fs, site, change);
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

    /// The policy may raise clocks at a site, or caps by thresholds come into force or go.
    pub fn release(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.release_at_fs = None;
        if let Some(polca) = &mut domain.polca
            && polca.act(now_fs)
        {
            domain.last_device = polca.device.or(domain.last_device);
            self.recheck_working(site);
        }
        if self.domains[site].look_at_fs.is_some_and(|at_fs| at_fs <= now_fs) {
            self.raise(now_fs, site);
        }
        self.schedule_release(site);
    }

    /// Raise ceilings if the dwell is over and the plan leaves room.
    fn raise(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.look_at_fs = None;
        if domain.budget_nw.is_none() || domain.policy.at_full() {
            return;
        }
        if domain.shares_moved() {
            self.solve(now_fs, site, None);
        }
        let domain = &mut self.domains[site];
        let Some(budget) = domain.budget_nw else { return };
        let due = domain.changed_fs + domain.dwell_fs;
        if now_fs >= due && domain.waiters.is_empty() {
            let threshold = (budget as f64 * domain.release_below) as i128;
            if domain.planned_nw < threshold {
                self.moved.clear();
                domain.planned_nw =
                    domain.policy.raise(&mut domain.members, domain.planned_nw, budget, &mut self.moved);
                domain.replan();
                domain.changed_fs = now_fs;
                self.recheck_moved(site, None);
            }
            // What keeps them from rising further is to blame from now on.
            self.hold(site, self.domains[site].tightest);
        }
        let domain = &mut self.domains[site];
        if !domain.policy.at_full() {
            domain.look_at_fs = Some(if due > now_fs { due } else { now_fs + domain.dwell_fs });
        }
    }

    /// Call back when ceilings may rise, or a cap by thresholds is due.
    fn schedule_release(&mut self, site: usize) {
        let domain = &mut self.domains[site];
        let caps = domain.polca.as_ref().and_then(|polca| polca.due_fs());
        let next = domain.look_at_fs.into_iter().chain(caps).min();
        if next != domain.release_at_fs {
            domain.release_at_fs = next;
            if let Some(at_fs) = next {
                self.effects.push(Effect::ReleaseAt(site, at_fs));
            }
        }
    }

    /// What the watched device may carry is another.
    fn limit_watched(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        let Some(polca) = &mut domain.polca else { return };
        let limit_nw = match (&domain.building, polca.device) {
            (Some(building), Some(device)) => building.tree().limit_nw(device),
            _ => domain.meter.budget_nw().unwrap_or(i128::MAX),
        };
        polca.set_limit(now_fs, limit_nw);
        self.watch(now_fs, site);
        self.schedule_release(site);
    }

    /// Compare what the watched device puts out with the thresholds; cheap while it passes none.
    #[inline]
    fn watch(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        let Some(polca) = &mut domain.polca else { return };
        let draw_nw = match (&domain.building, polca.device) {
            (Some(building), Some(device)) => building.tree().out_nw(device),
            _ => domain.drawn_nw,
        };
        if polca.watch(now_fs, draw_nw) {
            self.schedule_release(site);
        }
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

    /// A replica runs at a clock, drawing these watts at the wall and in its GPUs [nW].
    #[inline(always)]
    fn run(
        &mut self,
        now_fs: i128,
        replica: usize,
        (it_nw, gpu_nw): (i64, i64),
        clock: &Clock,
        hold: Hold,
    ) -> Grant {
        let reading = Reading { it_nw, gpu_active_nw: gpu_nw, gpu_idle_nw: 0 };
        if hold != Hold::Free {
            let held = self.domains[usize::from(self.replicas[replica].site)].held;
            match hold {
                Hold::GpuTemperature => self.throttles.by_gpu += 1,
                Hold::Site if matches!(held, Held::Zone(_)) => self.throttles.by_zone += 1,
                _ => {}
            }
        }
        self.replicas[replica].mode = Mode::Running;
        self.set_reading(now_fs, replica, reading, clock.share);
        Grant::Run { clock: *clock, it_nw, gpu_nw, hold }
    }

    /// A replica draws something else; `working_at` is the share of the full clock, 0 for none.
    #[inline(always)]
    fn set_reading(&mut self, now_fs: i128, replica: usize, reading: Reading, working_at: u64) {
        let state = &mut self.replicas[replica];
        let domain = &mut self.domains[usize::from(state.site)];
        let change = state.read(now_fs, domain, reading, working_at);
        if let Some(change_nw) = change
            && (domain.building.is_some() || domain.polca.is_some())
        {
            let site = usize::from(state.site);
            self.draw_building(now_fs, replica, change_nw);
            self.watch(now_fs, site);
        }
    }

    /// A replica draws `change_nw` more [nW] in a building.
    fn draw_building(&mut self, now_fs: i128, replica: usize, change_nw: i64) {
        let state = &self.replicas[replica];
        let site = usize::from(state.site);
        let Domain { building, meter, first_pool, cap_nw, .. } = &mut self.domains[site];
        let Some(building) = building else { return };
        let pool = usize::from(state.pool) - *first_pool;
        let change = building.draw(now_fs, pool, i128::from(change_nw), |device, loss_nw| {
            meter.set_part(now_fs, device, loss_nw);
        });
        if building.feeds().is_some() {
            meter.set_part(now_fs, building.tree().len() + OTHER_PARTS - 1, -building.discharge_nw());
        }
        if change == ZoneChange::default() {
            meter.set_utility(now_fs, building.meter_nw(), building.grid_nw(), *cap_nw);
            meter.set_path(now_fs, building.tree(), building.feed(pool));
            if building.feeds().is_some() {
                self.schedule_building(site);
            }
        } else {
            self.meter_building(now_fs, site);
            self.building_changed(now_fs, site, change);
        }
    }

    /// Idle loads and plants before the first request.
    fn open_building(&mut self, site: usize, fleet: &Fleet, failures: &[FailureEvent]) {
        let domain = &mut self.domains[site];
        let Some(building) = &mut domain.building else { return };
        building.set_cap_nw(domain.cap_nw);
        for (number, member) in domain.members.iter().enumerate() {
            let pool = usize::from(member.pool) - domain.first_pool;
            building.draw(0, pool, i128::from(member.planned_nw), |_, _| {});
            building.uncapped(0, pool, i128::from(member.planned_nw));
            domain.planned_by_pool[pool] += i128::from(member.planned_nw);
            domain.uncapped_nw[number] = member.planned_nw;
        }
        if let Some(facility) = &fleet.sites[site].facility
            && (facility.supply.acts()
                || failures
                    .iter()
                    .any(|event| event.site == site && !matches!(event.what, Broken::Replicas(_))))
        {
            building.open_feeds(facility);
        }
        self.meter_building(0, site);
        self.solve(0, site, None);
        self.schedule_building(site);
    }

    /// Tell the meter the watts of the building.
    fn meter_building(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        let Some(building) = &domain.building else { return };
        let tree = building.tree();
        for device in 0..tree.len() {
            domain.meter.set_part(now_fs, device, tree.loss_nw(device));
        }
        for (number, watts_nw) in building.other_parts_nw().into_iter().enumerate() {
            domain.meter.set_part(now_fs, tree.len() + number, watts_nw);
        }
        domain.meter.set_utility(now_fs, building.meter_nw(), building.grid_nw(), domain.cap_nw);
        domain.meter.set_devices(now_fs, tree);
    }

    /// Act on what changed in the zones.
    fn building_changed(&mut self, now_fs: i128, site: usize, change: ZoneChange) {
        self.throttles.stages += u64::from(change.stage);
        if change.power {
            self.meter_building(now_fs, site);
        }
        // What the plant draws at a given heat depends on weather and stage alone.
        if change.heat_cap || change.stage {
            self.solve(now_fs, site, None);
        }
        if change.inlet {
            self.recheck_hot(site);
        }
        if change.stage {
            self.drain_pools(site);
        }
        self.schedule_building(site);
    }

    /// Tell the engine if a zone became critical, or no longer is.
    fn drain_pools(&mut self, site: usize) {
        let domain = &self.domains[site];
        let Some(building) = &domain.building else { return };
        let mut changed = false;
        for pool in 0..domain.planned_by_pool.len() {
            let drains = building.drains(pool);
            changed |= std::mem::replace(&mut self.draining[domain.first_pool + pool], drains) != drains;
        }
        if changed {
            self.effects.push(Effect::Drain(site));
        }
    }

    /// Call back at the building's next event.
    fn schedule_building(&mut self, site: usize) {
        let domain = &mut self.domains[site];
        let Some(building) = &domain.building else { return };
        let next = building.next_event_fs();
        if next != domain.building_at_fs {
            domain.building_at_fs = next;
            if let Some(at_fs) = next {
                self.effects.push(Effect::BuildingAt(site, at_fs));
            }
        }
    }

    /// Solve for the IT power that the building allows, and bring the plan within it.
    fn solve(&mut self, now_fs: i128, site: usize, asking: Option<usize>) {
        let domain = &mut self.domains[site];
        let Some(building) = &mut domain.building else { return };
        let allowance = building.allowance(&domain.planned_by_pool);
        domain.budget_nw = Some(allowance.it_nw);
        if domain.plans_power {
            domain.meter.set_budget(now_fs, Some(allowance.it_nw));
        }
        // Where power is not planned for, a ceiling that is still down is a zone's.
        domain.tightest = match allowance.held {
            Held::Free if !domain.plans_power => domain.held,
            held => held,
        };
        let outgrown = domain.planned_nw > allowance.it_nw;
        // While ceilings that are down wait for their dwell, what lowered them is to blame.
        if outgrown || domain.policy.at_full() {
            self.hold(site, self.domains[site].tightest);
        }
        if outgrown {
            self.lower(now_fs, site, asking);
        }
    }

    /// This holds a site's ceilings from now on.
    fn hold(&mut self, site: usize, held: Held) {
        let domain = &mut self.domains[site];
        let cooling = |held: Held| matches!(held, Held::Zone(_));
        let before = std::mem::replace(&mut domain.held, held);
        match held {
            Held::Device(device) => domain.last_device = Some(device),
            Held::Zone(zone) => domain.last_zone = Some(zone),
            Held::Free => {}
        }
        if cooling(before) != cooling(held) {
            self.effects.push(Effect::Relabel(site));
        }
    }

    /// The inlet temperature is in another step: working replicas whose GPUs it may limit ask again.
    fn recheck_hot(&mut self, site: usize) {
        let domain = &self.domains[site];
        for (number, member) in domain.members.iter().enumerate() {
            let laws = &self.pools[usize::from(member.pool)];
            let limited = laws.within_temperature(domain, member.pool, &member.draw).is_some();
            let was_limited = member.local.share < Clock::FULL.share;
            let replica = domain.first + number;
            if (limited || was_limited) && self.replicas[replica].mode == Mode::Running {
                self.effects.push(Effect::Recheck(replica));
            }
        }
    }

    /// Lower ceilings until the plan fits, and have the replicas above theirs come down.
    fn lower(&mut self, now_fs: i128, site: usize, asking: Option<usize>) {
        let domain = &mut self.domains[site];
        let Some(budget) = domain.budget_nw else { return };
        self.moved.clear();
        domain.planned_nw =
            domain.policy.lower(&mut domain.members, domain.planned_nw, budget, &mut self.moved);
        domain.replan();
        domain.changed_fs = now_fs;
        if domain.look_at_fs.is_none() && !domain.policy.at_full() {
            domain.look_at_fs = Some(now_fs + domain.dwell_fs);
            self.schedule_release(site);
        }
        // At the lowest ceilings nobody moves; whoever was running there before must still learn that it does not fit.
        if asking.is_none() && self.domains[site].planned_nw > budget {
            self.recheck_working(site);
        } else {
            self.recheck_moved(site, asking);
        }
    }

    /// Working replicas of a site ask again: their caps may be others.
    fn recheck_working(&mut self, site: usize) {
        let domain = &self.domains[site];
        for replica in domain.first..domain.first + domain.members.len() {
            if self.replicas[replica].mode == Mode::Running {
                self.effects.push(Effect::Recheck(replica));
            }
        }
    }

    fn recheck_moved(&mut self, site: usize, asking: Option<usize>) {
        let first = self.domains[site].first;
        for &number in &self.moved {
            let replica = first + number;
            if Some(replica) != asking && self.replicas[replica].mode == Mode::Running {
                self.effects.push(Effect::Recheck(replica));
            }
        }
    }

    /// Have the longest waiting replica try again if its lowest watts fit now. One at a time: it may take more.
    #[inline]
    fn wake(&mut self, site: usize) {
        if !self.domains[site].waiters.is_empty() {
            self.wake_first(site);
        }
    }

    fn wake_first(&mut self, site: usize) {
        let domain = &mut self.domains[site];
        let (Some(&head), Some(budget)) = (domain.waiters.front(), domain.budget_nw) else { return };
        let state = &self.replicas[head];
        let member = domain.members[head - domain.first];
        let lowest = domain.policy.lowest_nw(member.pool, &member.draw);
        if domain.fits(member.pool, i128::from(lowest - state.reading.it_nw), budget) {
            domain.waiters.pop_front();
            self.replicas[head].mode = Mode::Retrying;
            self.effects.push(Effect::Retry(head));
        }
    }

    /// As [`Self::wake`], unless the head is the one just refused: it does not fit.
    fn wake_others(&mut self, site: usize, refused: usize) {
        if self.domains[site].waiters.front() != Some(&refused) {
            self.wake(site);
        }
    }
}

impl PoolLaws {
    /// The clock at which a draw keeps the GPUs at their throttle temperature; none if they are cool enough.
    #[inline]
    fn within_temperature(&self, domain: &Domain, pool: u16, draw: &Draw) -> Option<Clock> {
        let thermal = self.thermal?;
        let inlet_c = domain.building.as_ref()?.inlet_c(usize::from(pool) - domain.first_pool)?;
        let gpu_w = ((thermal.throttle_c - inlet_c) / thermal.r_th_k_per_w).max(0.0);
        let share = self.power.share_within(draw, gpu_w);
        (share < 1.0).then(|| Clock::on_grid(share, &self.power.clock, &self.clocks))
    }

    /// The clock that thresholds of a device leave the pool, if it hangs from that device; none without a cap.
    #[inline]
    fn within_thresholds(&self, domain: &Domain, pool: u16) -> Option<(Clock, Hold)> {
        let polca = domain.polca.as_ref()?;
        let (share, braked) = polca.cap(self.priority)?;
        if let (Some(building), Some(device)) = (&domain.building, polca.device)
            && !building.hangs_from(usize::from(pool) - domain.first_pool, device)
        {
            return None;
        }
        let hold = if braked { Hold::Brake } else { Hold::Device };
        Some((Clock::at(share, &self.power.clock), hold))
    }
}
