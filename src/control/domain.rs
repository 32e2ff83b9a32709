//! A power domain: a site's meter, its building, the plan of its policy and its members.

use std::collections::VecDeque;

use super::bill::Bill;
use super::building::{Building, Held, OTHER_PARTS};
use super::capping::polca::Polca;
use super::capping::{self, CappingPolicy, Member, watts};
use super::meter::{Meter, Reading};
use super::nodes::NodeMeters;
use crate::fleet::{CapLevel, Fleet, Site};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::physics::zone::ZoneChange;
use crate::physics::{fs_from_s, real};
use crate::scenario::types::Policy;

/// What a replica does, as control sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Idle,
    Running,
    Waiting,
    /// Off the waiting list, its retry is on the way.
    Retrying,
    /// It failed.
    Down,
}

/// A replica as control sees it.
#[derive(Debug, Clone)]
pub(super) struct Replica {
    pub(super) site: u16,
    pub(super) pool: u16,
    /// Of its site's nodes.
    pub(super) group: u32,
    pub(super) mode: Mode,
    /// Share of the full clock at which it works; 0 while idle or waiting.
    pub(super) working_at: u64,
    /// Reading of what it draws now.
    pub(super) reading: Reading,
}

/// A site's meter, and who draws from it.
pub(super) struct Domain {
    pub(super) first: usize,
    pub(super) first_pool: usize,
    pub(super) building: Option<Building>,
    /// Planned IT power by pool of the site [nW]; kept with a building only.
    pub(super) planned_by_pool: Vec<i128>,
    /// By member: IT power at full clock [nW]; kept with a building only.
    pub(super) uncapped_nw: Vec<i64>,
    /// What holds its ceilings down, and the tightest limit of the last solution.
    pub(super) held: Held,
    pub(super) tightest: Held,
    pub(super) last_device: Option<usize>,
    pub(super) last_zone: Option<usize>,
    pub(super) building_at_fs: Option<i128>,
    /// Cap at the utility meter [nW]; kept with a building only.
    pub(super) cap_nw: Option<i128>,
    pub(super) pue: f64,
    pub(super) budget_nw: Option<i128>,
    pub(super) planned_nw: i128,
    pub(super) drawn_nw: i128,
    pub(super) members: Vec<Member>,
    pub(super) waiters: VecDeque<usize>,
    pub(super) policy: Box<dyn CappingPolicy>,
    /// Whether the policy plans for cap and ratings; if not, for the heat caps of zones alone.
    pub(super) plans_power: bool,
    /// Caps by thresholds of one device.
    pub(super) polca: Option<Box<Polca>>,
    pub(super) release_below: f64,
    pub(super) dwell_fs: i128,
    pub(super) changed_fs: i128,
    /// When ceilings are looked at next, and when the engine calls for that or for the thresholds of a device [fs].
    pub(super) look_at_fs: Option<i128>,
    pub(super) release_at_fs: Option<i128>,
    pub(super) meter: Meter,
    pub(super) nodes: NodeMeters,
    /// Working replicas' clocks over time: Σ share and count, for the time mean.
    pub(super) working: i64,
    pub(super) clock_sum: i64,
    pub(super) clock_integral: f64,
    pub(super) working_integral: f64,
    pub(super) clock_since_fs: i128,
}

impl Replica {
    /// It draws `reading`, at `working_at` of the full clock, 0 for no work; if it drew something else before, returns
    /// by how much IT power grows [nW].
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        now_fs: i128,
        domain: &mut Domain,
        reading: Reading,
        working_at: u64,
    ) -> Option<i64> {
        let before = std::mem::replace(&mut self.reading, reading);
        let was = std::mem::replace(&mut self.working_at, working_at);
        if was != working_at {
            domain.advance_clocks(now_fs);
            domain.working += i64::from(working_at > 0) - i64::from(was > 0);
            domain.clock_sum += working_at as i64 - was as i64;
        }
        if before == reading {
            return None;
        }
        let change_nw = reading.it_nw - before.it_nw;
        domain.drawn_nw += i128::from(change_nw);
        domain.meter.change(now_fs, &before, &reading);
        domain.nodes.change(now_fs, self.group as usize, change_nw);
        Some(change_nw)
    }
}

impl Domain {
    pub(super) fn new(site: &Site, fleet: &Fleet, replicas: &mut [Replica]) -> Self {
        let members: Vec<Member> = site
            .replicas
            .clone()
            .zip(replicas.iter())
            .map(|(r, state)| Member {
                pool: fleet.pool_of[r],
                draw: fleet.pool(r).power.idle(),
                local: Clock::FULL,
                planned_nw: state.reading.it_nw,
                working: false,
                prefills: false,
            })
            .collect();
        let cap_it_nw = site.cap.first().map(|level| level.it_nw);
        let idle_nw: i128 = members.iter().map(|m| i128::from(m.planned_nw)).sum();
        let mut meter = Meter::new(cap_it_nw);
        let mut nodes = NodeMeters::new(&fleet.pools[site.pools.clone()]);
        for (r, state) in site.replicas.clone().zip(replicas) {
            meter.change(0, &Reading::default(), &state.reading);
            state.group = nodes.group(usize::from(state.pool) - site.pools.start, r) as u32;
            nodes.change(0, state.group as usize, state.reading.it_nw);
        }
        let facility = site.facility.as_ref();
        let plans_power = site.policy.plans_power();
        let mut building =
            facility.and_then(|facility| Building::new(fleet, facility, site.pools.clone(), !plans_power));
        if let Some(building) = &mut building {
            meter.surround(building.tree().len(), OTHER_PARTS);
            building.price_water(site.grid.water_usd_per_m3.clone());
        }
        if let Some(bill) = Bill::new(&site.grid) {
            meter.charge(bill);
        }
        let cap_nw = building.as_ref().and(site.cap.first()).map(CapLevel::meter_nw);
        let polca = match &site.policy {
            Policy::Polca(law) => Some(Box::new(Polca::new(law, site.watched))),
            _ => None,
        };
        let steps = site.policy.steps();
        Self {
            first: site.replicas.start,
            first_pool: site.pools.start,
            planned_by_pool: vec![0; site.pools.len()],
            uncapped_nw: if building.is_some() { vec![0; members.len()] } else { Vec::new() },
            building,
            held: Held::Free,
            tightest: Held::Free,
            last_device: None,
            last_zone: None,
            building_at_fs: None,
            cap_nw,
            pue: site.pue,
            budget_nw: cap_it_nw.filter(|_| plans_power),
            planned_nw: idle_nw,
            drawn_nw: idle_nw,
            policy: capping::of(site, fleet, &members),
            plans_power,
            polca,
            members,
            waiters: VecDeque::new(),
            release_below: steps.release_below,
            dwell_fs: fs_from_s(steps.dwell_s),
            changed_fs: 0,
            look_at_fs: None,
            release_at_fs: None,
            meter,
            nodes,
            working: 0,
            clock_sum: 0,
            clock_integral: 0.0,
            working_integral: 0.0,
            clock_since_fs: 0,
        }
    }

    /// A member's plan is another.
    #[inline]
    pub(super) fn plan(&mut self, number: usize, planned_nw: i64) {
        let member = &mut self.members[number];
        let change = i128::from(planned_nw - member.planned_nw);
        member.planned_nw = planned_nw;
        self.planned_nw += change;
        if self.building.is_some() {
            self.planned_by_pool[usize::from(member.pool) - self.first_pool] += change;
        }
    }

    /// A member will draw `draw` at the lower of `local` and its ceiling, for prompts or not; returns that ceiling, and
    /// the IT power of that [nW].
    #[inline]
    pub(super) fn plan_work(
        &mut self,
        number: usize,
        draw: &Draw,
        local: &Clock,
        prefills: bool,
    ) -> (Clock, i64) {
        let member = &mut self.members[number];
        member.draw = *draw;
        member.local = *local;
        member.working = true;
        if member.prefills != prefills {
            member.prefills = prefills;
            self.policy.change_phase(number, member);
        }
        let ceiling = self.policy.ceiling(number, member);
        let planned_nw = watts(member, &ceiling);
        self.plan(number, planned_nw);
        (ceiling, planned_nw)
    }

    /// A member's IT power at full clock is another.
    #[inline]
    pub(super) fn set_uncapped(
        &mut self,
        now_fs: i128,
        number: usize,
        pool: u16,
        uncapped_nw: i64,
    ) -> ZoneChange {
        let Some(building) = &mut self.building else { return ZoneChange::default() };
        let before = std::mem::replace(&mut self.uncapped_nw[number], uncapped_nw);
        if before == uncapped_nw {
            return ZoneChange::default();
        }
        building.uncapped(now_fs, usize::from(pool) - self.first_pool, i128::from(uncapped_nw - before))
    }

    /// Add up the plan by pool after a policy moved members.
    pub(super) fn replan(&mut self) {
        if self.building.is_some() {
            self.planned_by_pool.fill(0);
            for member in &self.members {
                self.planned_by_pool[usize::from(member.pool) - self.first_pool] +=
                    i128::from(member.planned_nw);
            }
        }
    }

    pub(super) fn shares_moved(&self) -> bool {
        self.building.as_ref().is_some_and(|building| building.shares_moved(&self.planned_by_pool))
    }

    /// Whether the plan by pool calls for another solution of the building.
    #[inline]
    pub(super) fn outgrown(&self) -> bool {
        self.building.as_ref().is_some_and(|building| building.outgrown(&self.planned_by_pool))
    }

    /// Whether a replica of a pool may draw this much more now [nW].
    #[inline]
    pub(super) fn fits(&mut self, pool: u16, more_nw: i128, budget_nw: i128) -> bool {
        match &mut self.building {
            Some(building) => building.fits(usize::from(pool) - self.first_pool, more_nw),
            None => self.drawn_nw + more_nw <= budget_nw,
        }
    }

    /// How much more a replica of a pool may draw now [nW].
    pub(super) fn room_nw(&self, pool: u16, budget_nw: i128) -> i128 {
        match &self.building {
            Some(building) => building.room_nw(usize::from(pool) - self.first_pool),
            None => budget_nw - self.drawn_nw,
        }
    }

    #[inline(never)]
    pub(super) fn advance_clocks(&mut self, now_fs: i128) {
        let seconds = real(now_fs - self.clock_since_fs) * 1e-15;
        self.clock_integral += self.clock_sum as f64 / crate::physics::clock::ONE as f64 * seconds;
        self.working_integral += self.working as f64 * seconds;
        self.clock_since_fs = now_fs;
    }
}

/// What a replica without work draws.
pub(super) fn idle_reading(idle: &Draw) -> Reading {
    Reading { it_nw: idle.fixed_nw, gpu_active_nw: 0, gpu_idle_nw: idle.gpu_fixed_nw }
}
