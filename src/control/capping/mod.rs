//! Capping policies: which clock each member of a power domain may use at most. One file a policy; all but
//! `uniform_clock` without steps and `polca` move tiers of members along a ladder of steps (`tiered`).
//!
//! `none` and `polca` plan for the caps of cooling zones only, by `uniform_clock`; a building is told so when it is made.

mod any_clock;
mod clocks;
mod phase_aware;
pub mod polca;
mod priority;
mod proportional;
mod tiered;
mod uniform_clock;

use crate::fleet::{Fleet, Site};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::scenario::types::Policy;
use any_clock::AnyClock;
use clocks::Clocks;
use phase_aware::PhaseAware;
use priority::Priority;
use proportional::Proportional;
use tiered::Tiered;
use uniform_clock::UniformClock;

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
    /// Whether its iterations have prompt tokens.
    pub prefills: bool,
}

/// A policy keeps Σ planned watts within a budget by moving ceilings.
pub trait CappingPolicy {
    /// Ceiling of a member.
    fn ceiling(&self, number: usize, member: &Member) -> Clock;

    /// A member begins or ceases to work on prompts; `member` says which.
    fn change_phase(&mut self, number: usize, member: &Member) {
        let _ = (number, member);
    }

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

/// The policy that a site's scenario names, all at full clock. `members` by number in the site.
pub(super) fn of(site: &Site, fleet: &Fleet, members: &[Member]) -> Box<dyn CappingPolicy> {
    let clocks = Clocks::new(fleet, site.pools.clone());
    match &site.policy {
        Policy::Proportional(policy) => {
            Box::new(Tiered::new(Proportional::new(policy.share_step), clocks, members))
        }
        Policy::Priority(_) => {
            let priorities = fleet.pools.iter().map(|pool| pool.power_priority);
            Box::new(Tiered::new(Priority::new(priorities, clocks.steps()), clocks, members))
        }
        Policy::PhaseAware(_) => Box::new(Tiered::new(PhaseAware::new(clocks.steps()), clocks, members)),
        Policy::UniformClock(_) | Policy::None(_) | Policy::Polca(_) => match clocks.steps() {
            0 => Box::new(AnyClock::new(clocks)),
            steps => Box::new(Tiered::new(UniformClock::new(steps), clocks, members)),
        },
    }
}

/// Watts of a member under a ceiling [nW].
#[inline]
pub(super) fn watts(member: &Member, ceiling: &Clock) -> i64 {
    let clock = if member.local.share < ceiling.share { &member.local } else { ceiling };
    if member.working { member.draw.it_nw(clock) } else { member.planned_nw }
}

#[cfg(test)]
mod tests;
