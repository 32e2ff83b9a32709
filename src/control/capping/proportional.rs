//! `proportional`: every member's watts are cut to the same share of what it would draw.

use super::tiered::Ladder;
use super::{Clocks, Member};
use crate::physics::clock::Clock;

/// One tier on a grid of shares.
#[derive(Debug, Clone)]
pub struct Proportional {
    share_step: f64,
    /// Steps below the full share.
    down: usize,
}

impl Proportional {
    /// Shares 1, 1 − step, … above 0.
    pub fn new(share_step: f64) -> Self {
        Self { share_step, down: (1.0 / share_step - 1e-9).ceil() as usize }
    }
}

impl Ladder for Proportional {
    fn steps(&self) -> usize {
        self.down + 1
    }

    /// The highest clock whose watts fit the share of what the member would draw without this policy.
    fn clock(&self, clocks: &Clocks, member: &Member, step: usize) -> Clock {
        if step >= self.down {
            return Clock::FULL;
        }
        if step == 0 {
            return clocks.lowest(member.pool);
        }
        let share = 1.0 - (self.down - step) as f64 * self.share_step;
        let most_nw = member.draw.it_nw(&member.local) as f64 * share;
        clocks.within(member.pool, &member.draw, most_nw as i64)
    }
}
