//! `uniform_clock`: one clock for all members, split over two adjacent steps.

use super::tiered::Ladder;
use super::{Clocks, Member};
use crate::physics::clock::Clock;

/// One tier on the grid of clocks.
#[derive(Debug, Clone)]
pub struct UniformClock {
    steps: usize,
}

impl UniformClock {
    /// On a grid of so many clocks.
    pub fn new(steps: usize) -> Self {
        Self { steps }
    }
}

impl Ladder for UniformClock {
    fn steps(&self) -> usize {
        self.steps
    }

    fn clock(&self, clocks: &Clocks, member: &Member, step: usize) -> Clock {
        clocks.at_step(member.pool, step)
    }
}
