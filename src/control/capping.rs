//! Capping policies: which clock each member of a power domain may use at most.

use crate::physics::clock::{Clock, ClockLaw};
use crate::physics::draw::Draw;

/// A member of a power domain as a policy sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Member {
    /// Pool, which decides the clock grid.
    pub pool: u16,
    /// Draw of its current or planned work; for a member without work or refused, its idle draw.
    pub draw: Draw,
    /// Ceiling of its own: a limit on its GPUs.
    pub local: Clock,
    /// Watts planned at the policy's ceiling [nW]; kept by the policy's caller.
    pub planned_nw: i64,
    /// Whether the ceiling moves its watts.
    pub working: bool,
}

/// A policy keeps Σ planned watts within a budget by moving ceilings.
pub trait CappingPolicy {
    /// Ceiling of a member.
    fn ceiling(&self, member: usize, pool: u16) -> Clock;

    /// Lower ceilings until `planned` fits the budget or all are at their lowest; returns the new plan and
    /// pushes the members whose ceiling fell.
    fn lower(
        &mut self,
        members: &mut [Member],
        planned_nw: i128,
        budget_nw: i128,
        fell: &mut Vec<usize>,
    ) -> i128;

    /// Raise ceilings as far as the plan fits the budget; returns the new plan and pushes whose ceiling rose.
    fn raise(
        &mut self,
        members: &mut [Member],
        planned_nw: i128,
        budget_nw: i128,
        rose: &mut Vec<usize>,
    ) -> i128;

    /// The next lower clock a member could run at, below `clock`, if its watts fit `room_nw`.
    fn best_below(&self, pool: u16, draw: &Draw, clock: &Clock, room_nw: i128) -> Option<Clock>;

    /// Watts of a draw at the lowest clock [nW].
    fn lowest_nw(&self, pool: u16, draw: &Draw) -> i64;

    /// Whether every ceiling is at full clock.
    fn at_full(&self) -> bool;

    /// Whether every ceiling is at its lowest.
    fn lowest_reached(&self) -> bool;
}

/// One clock for all members. With steps: split over two adjacent steps in order of number, so that the cap is
/// used to within one member. Without: the same real-valued clock for all.
#[derive(Debug, Clone)]
pub struct UniformClockPolicy {
    /// By pool: clocks from lowest to full, all of the same length; empty vectors for any clock.
    grids: Vec<Vec<Clock>>,
    laws: Vec<ClockLaw>,
    /// Members · (steps − 1) at full clock; members below `position mod members` are one step higher.
    position: usize,
    /// Position over and mod members.
    step: usize,
    above: usize,
    members: usize,
    steps: usize,
    /// The common clock where there are no steps.
    share: f64,
}

impl UniformClockPolicy {
    /// All at full clock. `grids` and `laws` by pool number; `pools` are those of the domain.
    pub fn new(
        grids: Vec<Vec<Clock>>,
        laws: Vec<ClockLaw>,
        pools: std::ops::Range<usize>,
        members: usize,
    ) -> Self {
        let steps = grids[pools].iter().map(Vec::len).max().unwrap_or(0);
        let step = steps.saturating_sub(1);
        Self { grids, laws, position: members * step, step, above: 0, members, steps, share: 1.0 }
    }

    fn step_of(&self, member: usize) -> usize {
        self.step + usize::from(member < self.above)
    }

    fn go_to(&mut self, position: usize) {
        self.position = position;
        (self.step, self.above) = (position / self.members, position % self.members);
    }

    fn grid_clock(&self, pool: u16, step: usize) -> Clock {
        // Pools with a shorter grid (a higher lowest clock) stay at their lowest while others go further down.
        let grid = &self.grids[usize::from(pool)];
        grid[(step + grid.len()).saturating_sub(self.steps).min(grid.len() - 1)]
    }

    /// Plan of all working members at a common real-valued clock.
    fn plan_at(&self, members: &[Member], share: f64) -> i128 {
        let clocks: Vec<Clock> = self.laws.iter().map(|law| Clock::at(share, law)).collect();
        members.iter().map(|m| i128::from(watts(m, &clocks[usize::from(m.pool)]))).sum()
    }

    /// Highest common clock whose plan fits, by bisection on the share; exact to the last bit of a double.
    fn solve_share(&self, members: &[Member], budget_nw: i128) -> f64 {
        let lowest = self.laws.iter().map(|law| law.min_share).fold(1.0, f64::min);
        let (mut low, mut high) = (lowest, 1.0);
        if self.plan_at(members, high) <= budget_nw {
            return high;
        }
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.plan_at(members, middle) <= budget_nw {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    fn settle(&mut self, members: &mut [Member], share: f64, moved: &mut Vec<usize>) -> i128 {
        self.share = share;
        let clocks: Vec<Clock> = self.laws.iter().map(|law| Clock::at(share, law)).collect();
        let mut planned = 0;
        for (number, member) in members.iter_mut().enumerate() {
            if member.working {
                member.planned_nw = watts(member, &clocks[usize::from(member.pool)]);
                moved.push(number);
            }
            planned += i128::from(member.planned_nw);
        }
        planned
    }
}

/// Watts of a member under a ceiling [nW].
#[inline]
pub(super) fn watts(member: &Member, ceiling: &Clock) -> i64 {
    let clock = if member.local.share < ceiling.share { &member.local } else { ceiling };
    if member.working { member.draw.it_nw(clock) } else { member.planned_nw }
}

impl CappingPolicy for UniformClockPolicy {
    fn ceiling(&self, member: usize, pool: u16) -> Clock {
        if self.steps == 0 {
            if self.share >= 1.0 { Clock::FULL } else { Clock::at(self.share, &self.laws[usize::from(pool)]) }
        } else if self.at_full() {
            // The last clock of every grid.
            Clock::FULL
        } else {
            self.grid_clock(pool, self.step_of(member))
        }
    }

    fn lower(
        &mut self,
        members: &mut [Member],
        mut planned: i128,
        budget: i128,
        fell: &mut Vec<usize>,
    ) -> i128 {
        if self.steps == 0 {
            let share = self.solve_share(members, budget);
            return if share < self.share { self.settle(members, share, fell) } else { planned };
        }
        while planned > budget && self.position > 0 {
            self.go_to(self.position - 1);
            let number = self.above;
            planned += self.move_member(members, number, fell);
        }
        planned
    }

    fn raise(
        &mut self,
        members: &mut [Member],
        mut planned: i128,
        budget: i128,
        rose: &mut Vec<usize>,
    ) -> i128 {
        if self.steps == 0 {
            let share = self.solve_share(members, budget);
            return if share > self.share { self.settle(members, share, rose) } else { planned };
        }
        while !self.at_full() {
            let number = self.above;
            let member = &members[number];
            let next = self.grid_clock(member.pool, self.step + 1);
            let change = i128::from(watts(member, &next) - member.planned_nw);
            if planned + change > budget {
                break;
            }
            self.go_to(self.position + 1);
            planned += self.move_member(members, number, rose);
        }
        planned
    }

    fn best_below(&self, pool: u16, draw: &Draw, clock: &Clock, room_nw: i128) -> Option<Clock> {
        let fits = |c: &Clock| c.share < clock.share && i128::from(draw.it_nw(c)) <= room_nw;
        let grid = &self.grids[usize::from(pool)];
        if !grid.is_empty() {
            let fitting = grid.partition_point(|c| fits(c));
            return fitting.checked_sub(1).map(|step| grid[step]);
        }
        let law = &self.laws[usize::from(pool)];
        if !fits(&Clock::at(law.min_share, law)) {
            return None;
        }
        let (mut low, mut high) = (law.min_share, clock.as_share());
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if fits(&Clock::at(middle, law)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(Clock::at(low, law))
    }

    fn lowest_nw(&self, pool: u16, draw: &Draw) -> i64 {
        let law = &self.laws[usize::from(pool)];
        match self.grids[usize::from(pool)].first() {
            Some(lowest) => draw.it_nw(lowest),
            None => draw.it_nw(&Clock::at(law.min_share, law)),
        }
    }

    fn at_full(&self) -> bool {
        if self.steps == 0 { self.share >= 1.0 } else { self.position >= self.members * (self.steps - 1) }
    }

    fn lowest_reached(&self) -> bool {
        self.steps > 0 && self.position == 0
    }
}

impl UniformClockPolicy {
    /// Bring one member's plan to its ceiling; returns the change of the plan [nW].
    fn move_member(&self, members: &mut [Member], number: usize, moved: &mut Vec<usize>) -> i128 {
        let member = &mut members[number];
        if !member.working {
            return 0;
        }
        let ceiling = self.grid_clock(member.pool, self.step_of(number));
        let planned = watts(member, &ceiling);
        let change = planned - member.planned_nw;
        member.planned_nw = planned;
        if change != 0 {
            moved.push(number);
        }
        i128::from(change)
    }
}
