//! Power domains: every start of an iteration at new watts is granted here, or waits.
//!
//! A domain is a site's meter. It keeps two integer sums: `drawn`, what its replicas draw now, and the policy's
//! *plan*, what they would draw at their ceilings. A start that would break the budget first lowers ceilings
//! (`plan` fits again at once; the others come down at their next iteration boundaries), then takes the highest
//! clock that fits what is unreserved *now*, else waits. Ceilings rise after the policy's dwell time only.

use std::collections::VecDeque;

use super::capping::{CappingPolicy, Member, UniformClockPolicy, watts};
use super::meter::{Meter, Reading};
use crate::fleet::{Fleet, Site};
use crate::physics::clock::Clock;
use crate::physics::fs_from_s;
use crate::physics::step::Draw;

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
    },
    /// Not even the lowest clock fits: wait for [`Effect::Retry`].
    Wait,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Idle,
    Running,
    Waiting,
    /// Off the waiting list, its retry is on the way.
    Retrying,
}

#[derive(Debug, Clone)]
struct Replica {
    site: u16,
    mode: Mode,
    clock: Clock,
    idle: Draw,
    /// Clock of the iterations it runs; none while idle or waiting.
    working_at: Option<Clock>,
    /// Reading of what it draws now.
    reading: Reading,
}

struct Domain {
    first: usize,
    pue: f64,
    budget_nw: Option<i128>,
    planned_nw: i128,
    drawn_nw: i128,
    members: Vec<Member>,
    waiters: VecDeque<usize>,
    policy: Box<dyn CappingPolicy>,
    release_below: f64,
    dwell_fs: i128,
    changed_fs: i128,
    release_pending: bool,
    meter: Meter,
    /// Working replicas' clocks over time: Σ share and count, for the time mean.
    working: i64,
    clock_sum: i128,
    clock_integral: f64,
    working_integral: f64,
    clock_since_fs: i128,
}

/// Power control of the whole fleet.
pub struct PowerControl {
    replicas: Vec<Replica>,
    domains: Vec<Domain>,
    effects: Vec<Effect>,
    moved: Vec<usize>,
    waits: u64,
}

impl PowerControl {
    /// Control at t = 0 with every replica idle.
    pub fn new(fleet: &Fleet) -> Self {
        let replicas: Vec<Replica> = (0..fleet.replicas())
            .map(|r| {
                let pool = fleet.pool(r);
                let idle = pool.power.idle();
                Replica {
                    site: pool.site as u16,
                    mode: Mode::Idle,
                    clock: Clock::FULL,
                    idle,
                    working_at: None,
                    reading: idle_reading(&idle),
                }
            })
            .collect();
        let domains = fleet
            .sites
            .iter()
            .map(|site| Domain::new(site, fleet, &replicas[site.replicas.clone()]))
            .collect();
        Self { replicas, domains, effects: Vec::new(), moved: Vec::new(), waits: 0 }
    }

    /// A replica asks to run iterations that draw `draw`, at most at `local` (a limit of its own GPUs).
    pub fn request(&mut self, now_fs: i128, replica: usize, draw: Draw, local: Clock) -> Grant {
        let site = usize::from(self.replicas[replica].site);
        let domain = &mut self.domains[site];
        let number = replica - domain.first;
        let pool = domain.members[number].pool;
        let before = self.replicas[replica].reading;
        let Some(budget) = domain.budget_nw else {
            return self.run(now_fs, replica, draw, local);
        };
        let member = &mut domain.members[number];
        let ceiling = domain.policy.ceiling(number, pool);
        member.draw = draw;
        member.local = local;
        member.working = true;
        domain.planned_nw -= i128::from(member.planned_nw);
        member.planned_nw = watts(member, &ceiling);
        domain.planned_nw += i128::from(member.planned_nw);
        if domain.planned_nw > budget && !domain.policy.lowest_reached() {
            self.lower(now_fs, site, Some(replica));
        }
        let domain = &mut self.domains[site];
        let ceiling = domain.policy.ceiling(number, pool);
        let wanted = if local.share < ceiling.share { local } else { ceiling };
        let room = budget - (domain.drawn_nw - before.it_nw);
        if i128::from(draw.it_nw(&wanted)) <= room {
            let grant = self.run(now_fs, replica, draw, wanted);
            self.wake(site);
            return grant;
        }
        if let Some(clock) = domain.policy.best_below(pool, &draw, &wanted, room) {
            // Others are still on their way down: ask again at the next boundary, until the ceiling fits.
            let grant = self.run(now_fs, replica, draw, clock);
            self.effects.push(Effect::Recheck(replica));
            return grant;
        }
        self.waits += 1;
        let domain = &mut self.domains[site];
        if domain.planned_nw > budget {
            // Even the lowest clocks do not fit everyone: plan without this one until it is granted.
            let member = &mut domain.members[number];
            let idle = self.replicas[replica].idle;
            domain.planned_nw -= i128::from(member.planned_nw);
            member.working = false;
            member.planned_nw = idle.fixed_nw;
            domain.planned_nw += i128::from(member.planned_nw);
        }
        // A refused retry keeps its place at the head of the line.
        if self.replicas[replica].mode == Mode::Retrying {
            domain.waiters.push_front(replica);
        } else {
            domain.waiters.push_back(replica);
        }
        self.replicas[replica].mode = Mode::Waiting;
        let idle = idle_reading(&self.replicas[replica].idle);
        self.set_reading(now_fs, replica, idle, None);
        self.wake_others(site, replica);
        Grant::Wait
    }

    /// A replica has no work left.
    pub fn idle(&mut self, now_fs: i128, replica: usize) {
        let site = usize::from(self.replicas[replica].site);
        let idle = self.replicas[replica].idle;
        self.replicas[replica].mode = Mode::Idle;
        self.set_reading(now_fs, replica, idle_reading(&idle), None);
        let domain = &mut self.domains[site];
        if domain.budget_nw.is_some() {
            let member = &mut domain.members[replica - domain.first];
            domain.planned_nw += i128::from(idle.fixed_nw - member.planned_nw);
            member.planned_nw = idle.fixed_nw;
            member.working = false;
            self.wake(site);
        }
    }

    /// The facility cap of a site changes to `budget_nw` of IT power.
    pub fn set_budget(&mut self, now_fs: i128, site: usize, budget_nw: i128) {
        let domain = &mut self.domains[site];
        domain.meter.set_budget(now_fs, Some(budget_nw));
        domain.budget_nw = Some(budget_nw);
        if domain.planned_nw > budget_nw {
            self.lower(now_fs, site, None);
        }
        self.wake(site);
    }

    /// The policy may raise clocks at a site.
    pub fn release(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.release_pending = false;
        let Some(budget) = domain.budget_nw else { return };
        if domain.policy.at_full() {
            return;
        }
        let due = domain.changed_fs + domain.dwell_fs;
        if now_fs >= due && domain.waiters.is_empty() {
            let threshold = (budget as f64 * domain.release_below) as i128;
            if domain.planned_nw < threshold {
                self.moved.clear();
                domain.planned_nw =
                    domain.policy.raise(&mut domain.members, domain.planned_nw, budget, &mut self.moved);
                domain.changed_fs = now_fs;
                self.recheck_moved(site, None);
            }
        }
        let domain = &mut self.domains[site];
        if !domain.policy.at_full() {
            domain.release_pending = true;
            let at = if due > now_fs { due } else { now_fs + domain.dwell_fs };
            self.effects.push(Effect::ReleaseAt(site, at));
        }
    }

    /// Take the next effect, oldest first.
    pub fn take_effects(&mut self, into: &mut Vec<Effect>) {
        into.append(&mut self.effects);
    }

    /// Whether there are effects to take.
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Clock a replica was last granted.
    pub fn clock(&self, replica: usize) -> Clock {
        self.replicas[replica].clock
    }

    /// The meter of a site.
    pub fn meter(&mut self, site: usize) -> &mut Meter {
        &mut self.domains[site].meter
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

    /// (∫ Σ clock dt, ∫ working replicas dt) of a site up to now [replica·s].
    pub fn clock_integrals(&mut self, now_fs: i128, site: usize) -> (f64, f64) {
        let domain = &mut self.domains[site];
        domain.advance_clocks(now_fs);
        (domain.clock_integral, domain.working_integral)
    }

    fn run(&mut self, now_fs: i128, replica: usize, draw: Draw, clock: Clock) -> Grant {
        let (it_nw, gpu_nw) = (draw.it_nw(&clock), draw.gpu_nw(&clock));
        let reading = Reading { it_nw: i128::from(it_nw), gpu_active_nw: i128::from(gpu_nw), gpu_idle_nw: 0 };
        self.replicas[replica].mode = Mode::Running;
        self.set_reading(now_fs, replica, reading, Some(clock));
        self.replicas[replica].clock = clock;
        Grant::Run { clock, it_nw, gpu_nw }
    }

    fn set_reading(&mut self, now_fs: i128, replica: usize, reading: Reading, clock: Option<Clock>) {
        let state = &mut self.replicas[replica];
        let before = std::mem::replace(&mut state.reading, reading);
        let domain = &mut self.domains[usize::from(state.site)];
        let was = state.working_at;
        state.working_at = clock;
        if was.map(|c| c.share) != clock.map(|c| c.share) {
            domain.advance_clocks(now_fs);
            if let Some(c) = was {
                domain.working -= 1;
                domain.clock_sum -= i128::from(c.share);
            }
            if let Some(c) = clock {
                domain.working += 1;
                domain.clock_sum += i128::from(c.share);
            }
        }
        if before != reading {
            domain.drawn_nw += reading.it_nw - before.it_nw;
            domain.meter.change(now_fs, before, reading);
        }
    }

    /// Lower ceilings until the plan fits, and have the replicas above theirs come down.
    fn lower(&mut self, now_fs: i128, site: usize, asking: Option<usize>) {
        let domain = &mut self.domains[site];
        let Some(budget) = domain.budget_nw else { return };
        self.moved.clear();
        domain.planned_nw =
            domain.policy.lower(&mut domain.members, domain.planned_nw, budget, &mut self.moved);
        domain.changed_fs = now_fs;
        if !domain.release_pending && !domain.policy.at_full() {
            domain.release_pending = true;
            self.effects.push(Effect::ReleaseAt(site, now_fs + domain.dwell_fs));
        }
        self.recheck_moved(site, asking);
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
    fn wake(&mut self, site: usize) {
        let domain = &mut self.domains[site];
        let (Some(&head), Some(budget)) = (domain.waiters.front(), domain.budget_nw) else { return };
        let state = &self.replicas[head];
        let member = &domain.members[head - domain.first];
        let lowest = i128::from(domain.policy.lowest_nw(member.pool, &member.draw));
        if domain.drawn_nw - state.reading.it_nw + lowest <= budget {
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

impl Domain {
    fn new(site: &Site, fleet: &Fleet, replicas: &[Replica]) -> Self {
        let grids = fleet.pools.iter().map(|pool| pool.clocks.clone()).collect();
        let laws = fleet.pools.iter().map(|pool| pool.power.clock).collect();
        let members: Vec<Member> = site
            .replicas
            .clone()
            .zip(replicas)
            .map(|(r, state)| Member {
                pool: fleet.pool_of[r],
                draw: state.idle,
                local: Clock::FULL,
                planned_nw: state.idle.fixed_nw,
                working: false,
            })
            .collect();
        let budget_nw = site.cap.first().map(|level| level.it_nw);
        let idle_nw: i128 = members.iter().map(|m| i128::from(m.planned_nw)).sum();
        let mut meter = Meter::new(budget_nw);
        for state in replicas {
            meter.change(0, Reading::default(), state.reading);
        }
        Self {
            first: site.replicas.start,
            pue: site.pue,
            budget_nw,
            planned_nw: idle_nw,
            drawn_nw: idle_nw,
            policy: Box::new(UniformClockPolicy::new(grids, laws, site.pools.clone(), members.len())),
            members,
            waiters: VecDeque::new(),
            release_below: site.policy.release_below,
            dwell_fs: fs_from_s(site.policy.dwell_s),
            changed_fs: 0,
            release_pending: false,
            meter,
            working: 0,
            clock_sum: 0,
            clock_integral: 0.0,
            working_integral: 0.0,
            clock_since_fs: 0,
        }
    }

    fn advance_clocks(&mut self, now_fs: i128) {
        let seconds = (now_fs - self.clock_since_fs) as f64 * 1e-15;
        self.clock_integral += self.clock_sum as f64 / crate::physics::clock::ONE as f64 * seconds;
        self.working_integral += self.working as f64 * seconds;
        self.clock_since_fs = now_fs;
    }
}

fn idle_reading(idle: &Draw) -> Reading {
    Reading { it_nw: i128::from(idle.fixed_nw), gpu_active_nw: 0, gpu_idle_nw: i128::from(idle.gpu_fixed_nw) }
}
