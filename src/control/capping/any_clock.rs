//! `uniform_clock` without steps: the same real-valued clock for all.

use super::{CappingPolicy, Clocks, Member, watts};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;

/// One real-valued clock for all members.
#[derive(Debug, Clone)]
pub struct AnyClock {
    clocks: Clocks,
    /// Share of the full clock.
    share: f64,
}

impl AnyClock {
    /// All at full clock.
    pub fn new(clocks: Clocks) -> Self {
        Self { clocks, share: 1.0 }
    }

    fn all_at(&self, share: f64) -> Vec<Clock> {
        self.clocks.laws().iter().map(|law| Clock::at(share, law)).collect()
    }

    /// Plan of all working members at a common clock.
    fn plan_at(&self, members: &[Member], share: f64) -> i128 {
        let clocks = self.all_at(share);
        members.iter().map(|m| i128::from(watts(m, &clocks[usize::from(m.pool)]))).sum()
    }

    /// Highest common clock whose plan fits, by bisection on the share; exact to the last bit of a double.
    fn solve(&self, members: &[Member], budget_nw: i128) -> f64 {
        let lowest = self.clocks.laws().iter().map(|law| law.min_share).fold(1.0, f64::min);
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
        let clocks = self.all_at(share);
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

impl CappingPolicy for AnyClock {
    fn ceiling(&self, _number: usize, member: &Member) -> Clock {
        if self.at_full() { Clock::FULL } else { self.clocks.at_share(usize::from(member.pool), self.share) }
    }

    fn lower(&mut self, members: &mut [Member], planned: i128, budget: i128, fell: &mut Vec<usize>) -> i128 {
        let share = self.solve(members, budget);
        if share < self.share { self.settle(members, share, fell) } else { planned }
    }

    fn raise(&mut self, members: &mut [Member], planned: i128, budget: i128, rose: &mut Vec<usize>) -> i128 {
        let share = self.solve(members, budget);
        if share > self.share { self.settle(members, share, rose) } else { planned }
    }

    fn best_below(&self, pool: u16, draw: &Draw, clock: &Clock, room_nw: i128) -> Option<Clock> {
        self.clocks.best_below(pool, draw, clock, room_nw)
    }

    fn lowest_nw(&self, pool: u16, draw: &Draw) -> i64 {
        self.clocks.lowest_nw(pool, draw)
    }

    fn at_full(&self) -> bool {
        self.share >= 1.0
    }

    fn lowest_reached(&self) -> bool {
        false
    }
}
