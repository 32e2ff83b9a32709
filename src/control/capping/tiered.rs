//! Tiers of members on a ladder of steps: what `uniform_clock`, `proportional`, `priority` and `phase_aware` share.
//!
//! Every tier is split over two adjacent steps in order of number, so that the budget is used to within one member.
//! The lowest tier goes down to the bottom first, then the next; they come up again in the opposite order.

use super::{CappingPolicy, Clocks, Member, watts};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;

/// What sets one such policy apart.
pub trait Ladder {
    /// Steps from the lowest clock (0) to the full clock.
    fn steps(&self) -> usize;

    /// The clock of a member at a step; full at the last.
    fn clock(&self, clocks: &Clocks, member: &Member, step: usize) -> Clock;

    /// Number of tiers.
    fn tiers(&self) -> usize {
        1
    }

    /// The tier of a member; tier 0 goes down first.
    fn tier_of(&self, member: &Member) -> usize {
        let _ = member;
        0
    }
}

/// A policy of tiers.
#[derive(Debug, Clone)]
pub struct Tiered<L> {
    ladder: L,
    clocks: Clocks,
    tiers: Vec<Tier>,
    /// By member.
    tier_of: Vec<u8>,
    top: usize,
    full: bool,
}

/// Members that go up and down together: those with a number below `above` are at `step + 1`, the others at `step`.
#[derive(Debug, Clone)]
struct Tier {
    members: Numbers,
    step: usize,
    above: usize,
}

impl Tier {
    #[inline]
    fn step_of(&self, number: usize) -> usize {
        self.step + usize::from(number < self.above)
    }

    /// The member that is the next to go a step down; it is counted as down. None at the bottom.
    fn go_down(&mut self) -> Option<usize> {
        let mut next = self.members.last_below(self.above);
        if next.is_none() && self.step > 0 {
            self.step -= 1;
            next = self.members.last_below(usize::MAX);
        }
        if next.is_none() {
            self.step = 0;
        }
        self.above = next.unwrap_or(0);
        next
    }

    /// The member that is the next to go a step up, to `step + 1`. None at the top.
    fn next_up(&mut self, top: usize) -> Option<usize> {
        while self.step < top {
            match self.members.first_from(self.above) {
                Some(number) => return Some(number),
                None if self.above > 0 => (self.step, self.above) = (self.step + 1, 0),
                None => self.step = top,
            }
        }
        None
    }
}

impl<L: Ladder> Tiered<L> {
    /// All at full clock.
    pub fn new(ladder: L, clocks: Clocks, members: &[Member]) -> Self {
        let top = ladder.steps().saturating_sub(1);
        let tier = Tier { members: Numbers::new(members.len()), step: top, above: 0 };
        let mut tiers = vec![tier; ladder.tiers()];
        let tier_of: Vec<u8> = members.iter().map(|member| ladder.tier_of(member) as u8).collect();
        for (number, &tier) in tier_of.iter().enumerate() {
            tiers[usize::from(tier)].members.insert(number);
        }
        Self { ladder, clocks, tiers, tier_of, top, full: true }
    }

    #[inline]
    fn step_of(&self, number: usize) -> usize {
        self.tiers[usize::from(self.tier_of[number])].step_of(number)
    }

    /// Bring one member's plan to its ceiling; returns the change of the plan [nW].
    fn settle(&self, members: &mut [Member], number: usize, moved: &mut Vec<usize>) -> i128 {
        let member = &mut members[number];
        if !member.working {
            return 0;
        }
        let planned = watts(member, &self.ladder.clock(&self.clocks, member, self.step_of(number)));
        let change = planned - member.planned_nw;
        member.planned_nw = planned;
        if change != 0 {
            moved.push(number);
        }
        i128::from(change)
    }
}

impl<L: Ladder> CappingPolicy for Tiered<L> {
    fn ceiling(&self, number: usize, member: &Member) -> Clock {
        if self.full { Clock::FULL } else { self.ladder.clock(&self.clocks, member, self.step_of(number)) }
    }

    fn change_phase(&mut self, number: usize, member: &Member) {
        let (from, to) = (self.tier_of[number], self.ladder.tier_of(member) as u8);
        if from != to {
            self.tier_of[number] = to;
            self.tiers[usize::from(from)].members.remove(number);
            self.tiers[usize::from(to)].members.insert(number);
        }
    }

    fn lower(
        &mut self,
        members: &mut [Member],
        mut planned: i128,
        budget: i128,
        fell: &mut Vec<usize>,
    ) -> i128 {
        for tier in 0..self.tiers.len() {
            while planned > budget {
                let Some(number) = self.tiers[tier].go_down() else { break };
                planned += self.settle(members, number, fell);
            }
        }
        self.full = self.tiers.iter().all(|tier| tier.step == self.top);
        planned
    }

    fn raise(
        &mut self,
        members: &mut [Member],
        mut planned: i128,
        budget: i128,
        rose: &mut Vec<usize>,
    ) -> i128 {
        for tier in (0..self.tiers.len()).rev() {
            while let Some(number) = self.tiers[tier].next_up(self.top) {
                let member = &members[number];
                let next = self.ladder.clock(&self.clocks, member, self.tiers[tier].step + 1);
                if planned + i128::from(watts(member, &next) - member.planned_nw) > budget {
                    // What is left belongs to this tier.
                    return planned;
                }
                self.tiers[tier].above = number + 1;
                planned += self.settle(members, number, rose);
            }
        }
        self.full = true;
        planned
    }

    fn best_below(&self, pool: u16, draw: &Draw, clock: &Clock, room_nw: i128) -> Option<Clock> {
        self.clocks.best_below(pool, draw, clock, room_nw)
    }

    fn lowest_nw(&self, pool: u16, draw: &Draw) -> i64 {
        self.clocks.lowest_nw(pool, draw)
    }

    fn at_full(&self) -> bool {
        self.full
    }

    fn lowest_reached(&self) -> bool {
        self.tiers.iter().all(|tier| tier.step == 0 && tier.above == 0)
    }
}

/// A set of numbers, of which the next from any place is found a word at a time.
#[derive(Debug, Clone)]
struct Numbers {
    words: Vec<u64>,
}

impl Numbers {
    fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)] }
    }

    fn insert(&mut self, number: usize) {
        self.words[number / 64] |= 1 << (number % 64);
    }

    fn remove(&mut self, number: usize) {
        self.words[number / 64] &= !(1 << (number % 64));
    }

    /// The largest below `end`.
    fn last_below(&self, end: usize) -> Option<usize> {
        let end = end.min(self.words.len() * 64);
        let (mut word, bits) = (end / 64, end % 64);
        let mut left = if bits > 0 { self.words[word] & ((1 << bits) - 1) } else { 0 };
        while left == 0 {
            word = word.checked_sub(1)?;
            left = self.words[word];
        }
        Some(word * 64 + left.ilog2() as usize)
    }

    /// The smallest from `start` on.
    fn first_from(&self, start: usize) -> Option<usize> {
        let mut word = start / 64;
        let mut left = self.words.get(word)? & (u64::MAX << (start % 64));
        while left == 0 {
            word += 1;
            left = *self.words.get(word)?;
        }
        Some(word * 64 + left.trailing_zeros() as usize)
    }
}
