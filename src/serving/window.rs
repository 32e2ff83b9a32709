//! The sliding window over a batch's contexts: Σ min(context, window), and when sequences outgrow it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::batch::Due;
use super::slots::{Slot, Slots, Stage};

/// Decoding sequences as layers see them that attend to the last `tokens` tokens only.
#[derive(Debug, Clone)]
pub(super) struct Window {
    tokens: u32,
    /// Its length as the tokens of prompts see it.
    prompt_tokens: u32,
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
    pub(super) fn new(tokens: u32, prompt_tokens: u32) -> Self {
        Self { tokens, prompt_tokens, inside: 0, below: 0, crossings: BinaryHeap::new(), first: u64::MAX }
    }

    /// Its length.
    pub(super) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Its length as the tokens of prompts see it.
    pub(super) fn prompt_tokens(&self) -> u32 {
        self.prompt_tokens
    }

    /// Σ min(context, window) over decoding sequences.
    pub(super) fn inside(&self) -> i64 {
        self.inside
    }

    /// Decoding sequences whose context is below the window.
    pub(super) fn below(&self) -> u32 {
        self.below
    }

    /// Iterations from `iter` until the first sequence outgrows the window.
    pub(super) fn until_first(&self, iter: u64) -> u64 {
        self.first - iter
    }

    /// A sequence begins to decode with `context` tokens in the cache; its last iteration is known.
    pub(super) fn add(&mut self, slot: &Slot, id: u32, context: u32) {
        self.inside += i64::from(context.min(self.tokens));
        if context < self.tokens {
            self.below += 1;
            if let Some(iteration) = self.crossing(slot) {
                self.crossings.push(Reverse(Due::new(iteration, slot.request.order(), id)));
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
                && slot.request.order() == due.order()
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

/// Pairs within a window of a chunk after `done` tokens: Σ min(done + i, window) for i = 1, …, chunk.
pub(super) fn pairs(done: u32, chunk: u32, window: u32) -> i64 {
    let growing = i64::from(window.saturating_sub(done).min(chunk));
    let full = i64::from(chunk) - growing;
    growing * i64::from(done) + growing * (growing + 1) / 2 + full * i64::from(window)
}

/// How many chunks of equal length, the first after `done` tokens, have pairs that grow alike, and by how many from
/// one to the next: those wholly within the window, one that reaches beyond it, those whose every token sees it full.
pub(super) fn like_chunks(done: u32, chunk: u32, window: u32) -> (u64, i64) {
    if done + 1 >= window {
        return (u64::MAX, 0);
    }
    match (window - done) / chunk {
        0 => (1, 0),
        within => (u64::from(within), i64::from(chunk) * i64::from(chunk)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_within_a_window_are_a_sum_of_minima() {
        for window in [1, 2, 7, 32] {
            for done in 0..40 {
                let mut sum = 0;
                for chunk in 0..80 {
                    assert_eq!(pairs(done, chunk, window), sum, "{chunk} after {done}, {window}");
                    sum += i64::from((done + chunk + 1).min(window));
                }
            }
        }
    }

    #[test]
    fn like_chunks_grow_alike() {
        for window in [1, 2, 7, 32] {
            for (done, chunk) in (0..40).flat_map(|done| (1..40).map(move |chunk| (done, chunk))) {
                let (count, more) = like_chunks(done, chunk, window);
                assert!(count >= 1);
                let first = pairs(done, chunk, window);
                for j in 0..count.min(40) {
                    let got = pairs(done + j as u32 * chunk, chunk, window);
                    assert_eq!(got, first + j as i64 * more, "number {j} of {chunk} after {done}, {window}");
                }
            }
        }
    }
}
