//! The sliding window over a batch's contexts: Σ min(context, window), and when sequences outgrow it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::batch::Due;
use super::slots::{Slot, Slots, Stage};

/// Decoding sequences as layers see them that attend to the last `tokens` tokens only.
#[derive(Debug, Clone)]
pub(super) struct Window {
    tokens: u32,
    /// Σ min(context, tokens).
    inside: i64,
    /// Sequences whose context is below the window: by so much grows `inside` with each iteration.
    below: u32,
    /// When their contexts reach it, of those that live to; entries of preempted ones are stale.
    crossings: BinaryHeap<Reverse<Due>>,
    /// Iteration of the first of them; `u64::MAX` of none.
    first: u64,
}

impl Window {
    /// Over an empty batch.
    pub(super) fn new(tokens: u32) -> Self {
        Self { tokens, inside: 0, below: 0, crossings: BinaryHeap::new(), first: u64::MAX }
    }

    /// Its length.
    pub(super) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Σ min(context, window) over decoding sequences.
    pub(super) fn inside(&self) -> i64 {
        self.inside
    }

    /// Decoding sequences whose context is below the window.
    pub(super) fn below(&self) -> u32 {
        self.below
    }

    /// Whether the whole of so many tokens is in the window.
    pub(super) fn covers(&self, tokens: u32) -> bool {
        tokens <= self.tokens
    }

    /// How many iterations from `iter` on grow alike, with chunks of `partial` tokens (if any) of a prompt of which
    /// `done` are in the cache: until a sequence outgrows the window, and until chunks begin or cease to reach
    /// beyond it.
    pub(super) fn like_iterations(&self, iter: u64, done: u32, partial: u32) -> u64 {
        let crossing = self.first - iter;
        if partial == 0 || done + 1 >= self.tokens {
            return crossing;
        }
        crossing.min(u64::from((self.tokens - done) / partial).max(1))
    }

    /// A sequence begins to decode with `context` tokens in the cache; its last iteration is known.
    pub(super) fn add(&mut self, slot: &Slot, id: u32, context: u32) {
        self.inside += i64::from(context.min(self.tokens));
        if context < self.tokens {
            self.below += 1;
            if let Some(iteration) = self.crossing(slot) {
                self.crossings.push(Reverse(Due::new(iteration, slot.request.index, id)));
                self.first = self.first.min(iteration);
            }
        }
    }

    /// A sequence with `context` tokens in the cache leaves.
    pub(super) fn remove(&mut self, context: u32) {
        self.inside -= i64::from(context.min(self.tokens));
        self.below -= u32::from(context < self.tokens);
    }

    /// `count` iterations are over, up to `iter`.
    pub(super) fn advance(&mut self, slots: &Slots, iter: u64, count: u64) {
        self.inside += i64::from(self.below) * count as i64;
        while self.first == iter {
            self.crossings.pop();
            self.below -= 1;
            self.find_first(slots);
        }
    }

    /// Find the first sequence to outgrow the window; drops the entries of preempted ones on the way.
    pub(super) fn find_first(&mut self, slots: &Slots) {
        while let Some(&Reverse(due)) = self.crossings.peek() {
            let slot = &slots[due.slot()];
            if slot.stage == Stage::Decoding
                && slot.request.index == due.index()
                && self.crossing(slot) == Some(due.iteration())
            {
                self.first = due.iteration();
                return;
            }
            self.crossings.pop();
        }
        self.first = u64::MAX;
    }

    /// When the context of a decoding sequence reaches the window; `None` if it ends before.
    fn crossing(&self, slot: &Slot) -> Option<u64> {
        let last_context = slot.request.prompt_tok + slot.request.output_tok - 1;
        let beyond = last_context.checked_sub(self.tokens)?;
        slot.finish_iter.checked_sub(u64::from(beyond))
    }
}
