//! Decoding sequences that emit several tokens an iteration: their speeds, when these change, and the KV blocks they take.
//!
//! A sequence with D tokens to go has T iterations to go, and emits ⌊tokens to go / iterations to go⌋ in each. That is
//! g = ⌊D/T⌋ in the first T − (D mod T) of them and g + 1 in the others, so its context is affine but for one *kink*.
//! What a window sees of it grows alike until less than g tokens are left of the window, by those in one iteration, and
//! no more from then on. At a *turn* the context kinks or the window's part does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::batch::Due;
use super::slots::{Slot, Slots, Stage};
use crate::fleet;

/// How a decoding sequence goes on.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Tokens an iteration up to its kink; one more after it.
    tok: u32,
    /// Iteration after which it kinks; its last if it does not (any more).
    kink_iter: u64,
    /// Tokens an iteration within the window, up to its turn.
    within: u32,
    /// Iteration after which either changes; not before its last if none does.
    turn_iter: u64,
}

impl Pace {
    /// Tokens to go of a sequence after iteration `iter`.
    fn to_go(self, slot: &Slot, iter: u64) -> u32 {
        let slow = self.kink_iter.saturating_sub(iter);
        let fast = slot.finish_iter - self.kink_iter.max(iter);
        self.tok * slow as u32 + (self.tok + 1) * fast as u32
    }
}

/// Sequences that emit equally many tokens an iteration.
#[derive(Debug, Clone)]
struct Speed {
    /// Tokens an iteration.
    tok: u64,
    count: u32,
    /// By (context − tok·iterations) mod block size.
    residues: Vec<u32>,
    /// (−tok·iterations) mod block size: those whose last block is full.
    full: usize,
}

impl Speed {
    /// Where a sequence with `context` tokens in the cache stands in the histogram.
    fn place(&mut self, context: u32) -> &mut u32 {
        let block = self.residues.len();
        &mut self.residues[(context as usize % block + self.full) % block]
    }

    fn add(&mut self, context: u32) {
        self.count += 1;
        *self.place(context) += 1;
    }

    fn remove(&mut self, context: u32) {
        self.count -= 1;
        *self.place(context) -= 1;
    }

    /// Blocks that they take with the next `count` iterations.
    fn blocks(&self, count: u64) -> u64 {
        if self.count == 0 {
            return 0;
        }
        let block = self.residues.len() as u64;
        let each = self.tok * count;
        // With y places free in its last block, a sequence takes ⌈(each − y)/block⌉ more.
        let up_to = each.min(block);
        let taken = |free: u64| {
            let at = (self.full as u64 + block - free) % block;
            u64::from(self.residues[at as usize]) * (each - free).div_ceil(block)
        };
        (0..up_to).map(taken).sum()
    }

    fn advance(&mut self, count: u64) {
        let block = self.residues.len();
        let on = (self.tok * (count % block as u64) % block as u64) as usize;
        self.full = (self.full + block - on) % block;
    }
}

/// What a batch keeps of its decoding sequences while a draft proposes tokens.
#[derive(Debug, Clone)]
pub(super) struct Speculation {
    law: fleet::Speculation,
    /// By tokens an iteration, from 1.
    speeds: Vec<Speed>,
    /// Tokens that all of them emit in an iteration.
    tok: u32,
    /// Tokens that layers with a window see; 0 if no layer has one.
    window_tok: u32,
    /// Σ min(context, window).
    inside: i64,
    /// What an iteration adds to it.
    within: u32,
    /// By slot.
    paces: BTreeMap<u32, Pace>,
    /// When sequences turn; entries of preempted ones are stale.
    turns: BinaryHeap<Reverse<Due>>,
    /// Iteration of the first of them; `u64::MAX` of none.
    first: u64,
}

impl Speculation {
    /// Over an empty batch.
    pub(super) fn new(law: &fleet::Speculation, block_tok: u32, window_tok: u32) -> Self {
        let speed =
            |tok: u32| Speed { tok: tok.into(), count: 0, residues: vec![0; block_tok as usize], full: 0 };
        Self {
            law: law.clone(),
            speeds: (1..=law.draft_tok + 1).map(speed).collect(),
            tok: 0,
            window_tok,
            inside: 0,
            within: 0,
            paces: BTreeMap::new(),
            turns: BinaryHeap::new(),
            first: u64::MAX,
        }
    }

    /// Tokens that the decoding sequences emit in an iteration.
    pub(super) fn tok(&self) -> u32 {
        self.tok
    }

    /// Σ min(context, window) over the decoding sequences, and what an iteration adds to it.
    pub(super) fn in_windows(&self) -> (i64, i64) {
        (self.inside, self.within.into())
    }

    /// Iterations from `iter` until the first turn.
    pub(super) fn until_first(&self, iter: u64) -> u64 {
        self.first - iter
    }

    /// Blocks that decoding sequences take with the next `count` iterations, none of which is beyond a turn.
    #[inline(never)]
    pub(super) fn blocks(&self, count: u64) -> u64 {
        self.speeds.iter().map(|speed| speed.blocks(count)).sum()
    }

    /// Of the next `most` iterations, how many `free` blocks suffice for.
    #[inline(never)]
    pub(super) fn fitting(&self, most: u64, free: u64) -> u64 {
        if self.blocks(most) <= free {
            return most;
        }
        let (mut fits, mut too_many) = (0, most);
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            if self.blocks(middle) <= free { fits = middle } else { too_many = middle }
        }
        fits
    }

    /// A sequence begins to decode after iteration `iter` with `context` tokens in the cache; returns its last iteration.
    #[inline(never)]
    pub(super) fn add(&mut self, slot: &Slot, id: u32, iter: u64, context: u32) -> u64 {
        let to_go = slot.request.output_tok - slot.emitted;
        let steps = self.law.steps(&slot.request, to_go);
        let (tok, more) = (to_go / steps, to_go % steps);
        let finish_iter = iter + u64::from(steps);
        let kink_iter = finish_iter - u64::from(more);
        self.inside += i64::from(context.min(self.window_tok));
        self.go_on(slot, id, iter, context, tok, (kink_iter, finish_iter));
        finish_iter
    }

    /// From iteration `iter` on, a sequence with `context` tokens emits `tok` an iteration, up to its kink or its last.
    fn go_on(&mut self, slot: &Slot, id: u32, iter: u64, context: u32, tok: u32, (kink, last): (u64, u64)) {
        let room = self.window_tok.saturating_sub(context);
        let within = tok.min(room);
        let alike = if within == 0 { u64::MAX } else { u64::from((room / tok).max(1)) };
        let turn_iter = kink.min(iter.saturating_add(alike));
        self.paces.insert(id, Pace { tok, kink_iter: kink, within, turn_iter });
        self.speeds[tok as usize - 1].add(context);
        self.tok += tok;
        self.within += within;
        if turn_iter < last {
            self.turns.push(Reverse(Due::new(turn_iter, slot.request.order(), id)));
            self.first = self.first.min(turn_iter);
        }
    }

    /// A sequence with `context` tokens in the cache leaves.
    #[inline(never)]
    pub(super) fn remove(&mut self, id: u32, context: u32) {
        self.inside -= i64::from(context.min(self.window_tok));
        self.stop(id, context);
    }

    fn stop(&mut self, id: u32, context: u32) -> Option<Pace> {
        let pace = self.paces.remove(&id)?;
        self.speeds[pace.tok as usize - 1].remove(context);
        self.tok -= pace.tok;
        self.within -= pace.within;
        Some(pace)
    }

    /// Tokens that a decoding sequence has emitted after iteration `iter`.
    #[inline(never)]
    pub(super) fn emitted(&self, slot: &Slot, id: u32, iter: u64) -> u32 {
        slot.request.output_tok - self.paces.get(&id).map_or(0, |pace| pace.to_go(slot, iter))
    }

    /// `count` iterations are over, up to `iter`: who turns goes on otherwise.
    #[inline(never)]
    pub(super) fn advance(&mut self, slots: &Slots, iter: u64, count: u64) {
        for speed in &mut self.speeds {
            speed.advance(count);
        }
        self.inside += i64::from(self.within) * count as i64;
        while self.first == iter {
            if let Some(Reverse(due)) = self.turns.pop() {
                let id = due.slot();
                let slot = &slots[id];
                let context = slot.request.prompt_tok + self.emitted(slot, id, iter) - 1;
                if let Some(Pace { mut tok, mut kink_iter, .. }) = self.stop(id, context) {
                    if kink_iter == iter {
                        // Its last iteration is known, and beyond the kink: what is left divides evenly.
                        let left = slot.request.prompt_tok + slot.request.output_tok - 1 - context;
                        (tok, kink_iter) = (left / (slot.finish_iter - iter) as u32, slot.finish_iter);
                    }
                    self.go_on(slot, id, iter, context, tok, (kink_iter, slot.finish_iter));
                }
            }
            self.find_first(slots);
        }
    }

    /// Find the first sequence to turn; drops the entries of preempted ones on the way.
    #[inline(never)]
    pub(super) fn find_first(&mut self, slots: &Slots) {
        while let Some(&Reverse(due)) = self.turns.peek() {
            let slot = &slots[due.slot()];
            let turns = |pace: &Pace| pace.turn_iter == due.iteration() && pace.turn_iter < slot.finish_iter;
            if slot.stage == Stage::Decoding
                && slot.request.order() == due.order()
                && self.paces.get(&due.slot()).is_some_and(turns)
            {
                self.first = due.iteration();
                return;
            }
            self.turns.pop();
        }
        self.first = u64::MAX;
    }

    /// Whether counts, tokens and blocks are those of these sequences: slots and contexts. For tests and debug builds.
    pub(super) fn holds(&self, decoding: &[(u32, u32)]) -> bool {
        let pace = |id: &u32| self.paces.get(id).map_or(0, |pace| pace.tok);
        let block = self.speeds[0].residues.len() as u64;
        let blocks = |count: u64| -> u64 {
            let taken = |&(id, context): &(u32, u32)| {
                let after = u64::from(context) + u64::from(pace(&id)) * count;
                after.div_ceil(block) - u64::from(context).div_ceil(block)
            };
            decoding.iter().map(taken).sum()
        };
        let seen = |&(_, context): &(u32, u32)| i64::from(context.min(self.window_tok));
        let within = |(id, context): &(u32, u32)| pace(id).min(self.window_tok.saturating_sub(*context));
        decoding.iter().map(|(id, _)| pace(id)).sum::<u32>() == self.tok
            && decoding.iter().map(seen).sum::<i64>() == self.inside
            && decoding.iter().map(within).sum::<u32>() == self.within
            && self.speeds.iter().map(|speed| speed.count).sum::<u32>() as usize == decoding.len()
            && self.paces.len() == decoding.len()
            && [1, 2, 7].into_iter().all(|count| blocks(count) == self.blocks(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks by histogram against each sequence's own, while all of them advance.
    #[test]
    fn speeds_take_the_blocks_that_their_sequences_do() {
        for block in [1_u64, 2, 3, 7, 16] {
            for tok in 1..=9_u64 {
                let mut speed = Speed { tok, count: 0, residues: vec![0; block as usize], full: 0 };
                let mut contexts: Vec<u64> = Vec::new();
                for round in 0..12_u64 {
                    let joins = 5 + 11 * round;
                    speed.add(joins as u32);
                    contexts.push(joins);
                    if round % 4 == 3 {
                        speed.remove(contexts.remove(1) as u32);
                    }
                    for count in 0..20 {
                        let taken = |c: &u64| (c + tok * count).div_ceil(block) - c.div_ceil(block);
                        assert_eq!(speed.blocks(count), contexts.iter().map(taken).sum::<u64>());
                    }
                    let on = 1 + round * 3;
                    speed.advance(on);
                    contexts.iter_mut().for_each(|c| *c += tok * on);
                }
            }
        }
    }
}
