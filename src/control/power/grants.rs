//! Power control as replicas meet it: who asks for watts runs, waits, stops, fails or boots.

use super::{Effect, Grant, Hold, PoolLaws, PowerControl};
use crate::control::building::Held;
use crate::control::capping::watts;
use crate::control::domain::{Domain, Mode, idle_reading};
use crate::control::meter::Reading;
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::physics::zone::ZoneChange;

impl PowerControl {
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
    pub(super) fn request_within(
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

    /// A replica runs at a clock, drawing these watts at the wall and in its GPUs [nW].
    #[inline(always)]
    pub(super) fn run(
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

    pub(super) fn switch(&mut self, now_fs: i128, replica: usize, it_nw: i64, reading: Reading, mode: Mode) {
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

    /// A replica draws something else; `working_at` is the share of the full clock, 0 for none.
    #[inline(always)]
    pub(super) fn set_reading(&mut self, now_fs: i128, replica: usize, reading: Reading, working_at: u64) {
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

    /// Have the longest waiting replica try again if its lowest watts fit now. One at a time: it may take more.
    #[inline]
    pub(super) fn wake(&mut self, site: usize) {
        if !self.domains[site].waiters.is_empty() {
            self.wake_first(site);
        }
    }

    pub(super) fn wake_first(&mut self, site: usize) {
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
    pub(super) fn wake_others(&mut self, site: usize, refused: usize) {
        if self.domains[site].waiters.front() != Some(&refused) {
            self.wake(site);
        }
    }
}

impl PoolLaws {
    /// The clock at which a draw keeps the GPUs at their throttle temperature; none if they are cool enough.
    #[inline]
    pub(super) fn within_temperature(&self, domain: &Domain, pool: u16, draw: &Draw) -> Option<Clock> {
        let thermal = self.thermal?;
        let inlet_c = domain.building.as_ref()?.inlet_c(usize::from(pool) - domain.first_pool)?;
        let gpu_w = ((thermal.throttle_c - inlet_c) / thermal.r_th_k_per_w).max(0.0);
        let share = self.power.share_within(draw, gpu_w);
        (share < 1.0).then(|| Clock::on_grid(share, &self.power.clock, &self.clocks))
    }

    /// The clock that thresholds of a device leave the pool, if it hangs from that device; none without a cap.
    #[inline]
    pub(super) fn within_thresholds(&self, domain: &Domain, pool: u16) -> Option<(Clock, Hold)> {
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
