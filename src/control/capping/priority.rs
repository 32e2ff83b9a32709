//! `priority`: pools of low power priority go down to their lowest clock first, then normal ones, then high ones.

use super::tiered::Ladder;
use super::{Clocks, Member};
use crate::physics::clock::Clock;
use crate::scenario::types::PowerPriority;

/// A tier for each power priority, on the grid of clocks.
#[derive(Debug, Clone)]
pub struct Priority {
    /// By pool of the fleet.
    tiers: Vec<usize>,
    steps: usize,
}

impl Priority {
    /// Priorities by pool of the fleet, on a grid of so many clocks.
    pub fn new(priorities: impl Iterator<Item = PowerPriority>, steps: usize) -> Self {
        let tier = |priority| match priority {
            PowerPriority::Low => 0,
            PowerPriority::Normal => 1,
            PowerPriority::High => 2,
        };
        Self { tiers: priorities.map(tier).collect(), steps }
    }
}

impl Ladder for Priority {
    fn steps(&self) -> usize {
        self.steps
    }

    fn clock(&self, clocks: &Clocks, member: &Member, step: usize) -> Clock {
        clocks.at_step(member.pool, step)
    }

    fn tiers(&self) -> usize {
        3
    }

    fn tier_of(&self, member: &Member) -> usize {
        self.tiers[usize::from(member.pool)]
    }
}
