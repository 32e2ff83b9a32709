//! `phase_aware`: members that only decode go down to their lowest clock before any that works on a prompt.
//!
//! Decoding waits for memory and hardly notices its clock; a prefill is arithmetic and slows by as much.

use super::tiered::Ladder;
use super::{Clocks, Member};
use crate::physics::clock::Clock;

/// A tier for decoding and one for prompts, on the grid of clocks.
#[derive(Debug, Clone)]
pub struct PhaseAware {
    steps: usize,
}

impl PhaseAware {
    /// On a grid of so many clocks.
    pub fn new(steps: usize) -> Self {
        Self { steps }
    }
}

impl Ladder for PhaseAware {
    fn steps(&self) -> usize {
        self.steps
    }

    fn clock(&self, clocks: &Clocks, member: &Member, step: usize) -> Clock {
        clocks.at_step(member.pool, step)
    }

    fn tiers(&self) -> usize {
        2
    }

    fn tier_of(&self, member: &Member) -> usize {
        usize::from(member.prefills)
    }
}
