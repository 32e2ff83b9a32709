//! The batch of a replica: queue, running sequences, KV blocks; what starts and ends with an iteration.
//!
//! Bookkeeping is O(log batch): decoding sequences stand in a heap by the iteration that ends them, and in a
//! histogram by context modulo block size that tells how many blocks the next iterations take.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::prefix_cache::{Hit, PrefixCache};
use super::slots::{List, NONE, Slots, Stage};
use super::speculation::Speculation;
use super::window::{self, Window};
use crate::fleet::Pool;
use crate::physics::bucket;
use crate::physics::step::{Growth, PowerState, Shape};
use crate::scenario::types::Priority;

/// Queues and running lists by priority, high first.
const PRIORITIES: usize = 3;

/// Place of a priority among the queues.
pub fn rank_of(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

/// What an iteration, and the like ones after it, will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Plan {
    /// Shape of the first iteration.
    pub shape: Shape,
    /// Its power state, that of all of them.
    pub state: PowerState,
    /// What each of the like iterations adds to the shape.
    pub growth: Growth,
    /// Tokens per iteration of the sequence that stays in prefill; 0 if none does.
    pub partial_tok: u32,
    /// Like iterations at most, ≥ 1.
    pub iterations: u64,
    /// Prompts that end with the (only) iteration.
    pub ending: u32,
}

/// What happened while a plan was made; reused between starts.
#[derive(Debug, Default)]
pub struct Notes {
    /// Slots admitted, in order.
    pub admitted: Vec<u32>,
    /// Slots preempted, the tokens they lost, and whether they were decoding, in order.
    pub preempted: Vec<(u32, u64, bool)>,
    /// Whether the head of the queue was refused for slots or KV blocks.
    pub refused: bool,
    /// Tokens that preempted sequences took from the prefix cache in place of recomputing them.
    pub spared_tok: u64,
}

impl Notes {
    fn clear(&mut self) {
        self.admitted.clear();
        self.preempted.clear();
        self.refused = false;
        self.spared_tok = 0;
    }
}

/// When something happens to a decoding sequence: iteration, the request's order and slot, in 40, 56 and 32 bits, so
/// that they order by one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due(u128);

impl Due {
    pub(super) fn new(iteration: u64, order: u64, slot: u32) -> Self {
        debug_assert!(iteration >> 40 == 0 && order >> 56 == 0, "more than 2^40 iterations or 2^48 requests");
        Self((u128::from(iteration) << 88) | (u128::from(order) << 32) | u128::from(slot))
    }

    pub(super) fn iteration(self) -> u64 {
        (self.0 >> 88) as u64
    }

    pub(super) fn order(self) -> u64 {
        (self.0 >> 32) as u64 & ((1 << 56) - 1)
    }

    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// Queue and running sequences of a replica.
#[derive(Debug, Clone)]
pub struct Batch {
    queues: [List; PRIORITIES],
    waiting: u32,
    /// In order of admission.
    running_lists: [List; PRIORITIES],
    running: u32,
    decoding: u32,
    /// Tokens in the cache of decoding sequences.
    kv_tok: i64,
    /// Iterations completed.
    iter: u64,
    /// When decoding sequences end; entries of preempted ones are stale.
    finish: BinaryHeap<Reverse<Due>>,
    /// Iteration of the first of them; `u64::MAX` of none.
    first_finish: u64,
    /// Decoding sequences by (context − iter) mod block size; none of those that speculate.
    residues: Vec<u32>,
    /// (−iter) mod block size: the sequences that need a block in the next iteration.
    growing: usize,
    /// Blocks not in use, those of idle prefixes in the cache among them.
    free_blocks: u64,
    /// The sequence in prefill and its tokens in the cache.
    prefill: Option<(u32, u32)>,
    /// Prompts that end with the planned iteration.
    ending: Vec<u32>,
    /// Of a model with windowed layers.
    window: Option<Box<Window>>,
    /// Of a model that speculates.
    speculation: Option<Box<Speculation>>,
    /// Of a pool with requests that share prefixes.
    prefixes: Option<Box<PrefixCache>>,
}

/// The chunk of the sequence that stays in prefill.
#[derive(Debug, Clone, Copy, Default)]
struct Partial {
    /// Tokens; 0 if no sequence stays.
    tok: u32,
    /// Tokens in the cache before it.
    done: u32,
    /// Tokens not in the cache before it.
    remaining: u32,
}

impl Batch {
    /// Empty.
    pub fn new(pool: &Pool) -> Self {
        let window_tok = pool.step.windows().map_or(0, |(decode, _)| decode);
        Self {
            queues: [List::default(); PRIORITIES],
            waiting: 0,
            running_lists: [List::default(); PRIORITIES],
            running: 0,
            decoding: 0,
            kv_tok: 0,
            iter: 0,
            finish: BinaryHeap::new(),
            first_finish: u64::MAX,
            residues: vec![0; pool.block_tok as usize],
            growing: 0,
            free_blocks: pool.kv_blocks,
            prefill: None,
            ending: Vec::new(),
            window: pool.step.windows().map(|(decode, prompt)| Box::new(Window::new(decode, prompt))),
            speculation: pool
                .speculation
                .as_ref()
                .map(|speculation| Box::new(Speculation::new(speculation, pool.block_tok, window_tok))),
            prefixes: pool.prefix_cache.then(Box::default),
        }
    }

    /// Requests waiting.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Sequences running: decoding or in prefill.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Iterations completed.
    pub fn iterations(&self) -> u64 {
        self.iter
    }

    /// A request joins the end of its queue; returns whether it is the next to be admitted.
    pub fn enqueue(&mut self, slots: &mut Slots, id: u32, priority: usize) -> bool {
        let is_head = self.waiting == 0 || self.queues[..=priority].iter().all(List::is_empty);
        self.queues[priority].push_back(slots, id);
        self.waiting += 1;
        is_head
    }

    /// A waiting request leaves; returns whether it was the next to be admitted.
    pub fn abandon(&mut self, slots: &mut Slots, id: u32, priority: usize) -> bool {
        let was_head = self.head().is_some_and(|(_, head)| head == id);
        self.queues[priority].remove(slots, id);
        self.waiting -= 1;
        was_head
    }

    /// All waiting requests that were never admitted leave, by priority, the front first; returns whether the
    /// next to be admitted was one of them.
    pub fn shed(&mut self, slots: &mut Slots, left: &mut Vec<u32>) -> bool {
        let head_leaves = self.head().is_some_and(|(_, head)| !slots[head].admitted);
        for queue in &mut self.queues {
            let mut id = queue.head;
            while id != NONE {
                let next = slots[id].next;
                if !slots[id].admitted {
                    queue.remove(slots, id);
                    self.waiting -= 1;
                    left.push(id);
                }
                id = next;
            }
        }
        head_leaves
    }

    /// Everybody leaves: waits anew, with what it had in the cache to be recomputed. The batch is of no use then.
    pub fn evict(&mut self, slots: &mut Slots, left: &mut Vec<u32>) {
        for list in self.running_lists.iter().chain(&self.queues) {
            let mut id = list.head;
            while id != NONE {
                let emitted = self.emitted(slots, id, 0);
                let slot = &mut slots[id];
                slot.was_decoding = slot.stage == Stage::Decoding;
                slot.emitted = emitted;
                slot.need = slot.request.prompt_tok + emitted;
                slot.stage = Stage::Waiting;
                left.push(id);
                id = slot.next;
            }
        }
    }

    fn head(&self) -> Option<(usize, u32)> {
        self.queues.iter().enumerate().find(|(_, q)| !q.is_empty()).map(|(priority, q)| (priority, q.head))
    }

    /// Make room, admit, and plan the next iterations; false if there is nothing to do.
    #[inline]
    pub fn start(&mut self, slots: &mut Slots, pool: &Pool, notes: &mut Notes, plan: &mut Plan) -> bool {
        notes.clear();
        self.ending.clear();
        if self.next_blocks() > self.free_blocks {
            self.make_room(slots, pool, notes);
        }
        // Who was preempted waits.
        if self.waiting == 0 && self.prefill.is_none() {
            return self.plan_decoding(plan);
        }
        self.plan_prompts(slots, pool, notes, plan)
    }

    /// Plan iterations without prompts; false if nothing is decoding.
    #[inline]
    fn plan_decoding(&self, plan: &mut Plan) -> bool {
        if self.decoding == 0 {
            return false;
        }
        let mut shape = Shape { n: self.decoding, kv_tok: self.kv_tok, ..Shape::default() };
        if let Some(speculation) = &self.speculation {
            let mut growth = Growth { kv_tok: i64::from(speculation.tok()), ..Growth::default() };
            (shape.window_tok, growth.window_tok) = speculation.in_windows();
            let state = shape.power_state();
            let iterations = self.like_chunks(&shape, &state, &Partial::default());
            *plan = Plan { shape, state, growth, partial_tok: 0, iterations, ending: 0 };
            return true;
        }
        let mut growth = Growth { kv_tok: i64::from(self.decoding), ..Growth::default() };
        if let Some(window) = &self.window {
            shape.window_tok = window.inside();
            growth.window_tok = i64::from(window.below());
        }
        let state = shape.power_state();
        let mut iterations = self.like_iterations(&shape, &state, &Partial::default());
        if let Some(window) = &self.window {
            iterations = iterations.min(window.until_first(self.iter));
        }
        *plan = Plan { shape, state, growth, partial_tok: 0, iterations, ending: 0 };
        true
    }

    /// Let prompts in, and plan iterations with some of their tokens; false if there is nothing to do.
    #[inline(never)]
    fn plan_prompts(&mut self, slots: &mut Slots, pool: &Pool, notes: &mut Notes, plan: &mut Plan) -> bool {
        let growth = self.next_blocks();
        let mut left = pool.max_step_tok - self.decoding * pool.tok_per_seq;
        let mut shape = Shape { n: self.decoding, kv_tok: self.kv_tok, ..Shape::default() };
        let window = self.window.as_deref().map(Window::prompt_tokens);
        let within;
        (shape.window_tok, within) = self.in_windows();
        let mut partial = Partial::default();
        let mut take = |shape: &mut Shape, left: &mut u32, need: u32, done: u32| {
            let chunk = (need - done).min(*left);
            *left -= chunk;
            shape.p += chunk;
            shape.chunks += 1;
            shape.pairs += i64::from(chunk) * i64::from(done) + i64::from(chunk) * (i64::from(chunk) + 1) / 2;
            if let Some(window) = window {
                shape.window_pairs += window::pairs(done, chunk, window);
            }
            if done + chunk < need {
                partial = Partial { tok: chunk, done, remaining: need - done };
            }
            done + chunk == need
        };
        if let Some((id, done)) = self.prefill
            && left > 0
            && take(&mut shape, &mut left, slots[id].need, done)
        {
            self.ending.push(id);
            self.prefill = None;
        }
        if notes.preempted.is_empty() {
            while left > 0
                && self.waiting > 0
                && let Some((priority, id)) = self.head()
            {
                let need = slots[id].need;
                let mut blocks = u64::from(need.div_ceil(pool.block_tok));
                let mut hit = Hit::default();
                if let Some(cache) = &mut self.prefixes {
                    // This start's growth, and who was admitted before, took their blocks first.
                    cache.fit(self.free_blocks - growth);
                    hit = cache.find(slots[id].request.prefix);
                    blocks -= if hit.in_use { u64::from(hit.blocks) } else { 0 };
                }
                if self.running == pool.max_seqs || blocks > self.free_blocks - growth {
                    notes.refused = true;
                    break;
                }
                self.queues[priority].remove(slots, id);
                self.waiting -= 1;
                self.running += 1;
                self.free_blocks -= blocks;
                self.running_lists[priority].push_back(slots, id);
                slots[id].stage = Stage::Prefill;
                notes.admitted.push(id);
                let done = if self.prefixes.is_some() { self.share(slots, pool, id, hit, notes) } else { 0 };
                if take(&mut shape, &mut left, need, done) {
                    self.ending.push(id);
                } else {
                    self.prefill = Some((id, done));
                }
            }
        }
        if shape.n == 0 && shape.p == 0 {
            return false;
        }
        let ending = self.ending.len() as u32;
        let state = shape.power_state();
        let mut growth = Growth {
            kv_tok: i64::from(self.next_tok()),
            pairs: i64::from(partial.tok) * i64::from(partial.tok),
            window_tok: within,
            ..Growth::default()
        };
        let mut iterations = if ending > 0 || !notes.preempted.is_empty() {
            1
        } else {
            self.like_chunks(&shape, &state, &partial)
        };
        if let Some(window) = &self.window {
            iterations = iterations.min(window.until_first(self.iter));
            if partial.tok > 0 {
                let (chunks, more) = window::like_chunks(partial.done, partial.tok, window.prompt_tokens());
                iterations = iterations.min(chunks);
                growth.window_pairs = more;
            }
        }
        *plan = Plan { shape, state, growth, partial_tok: partial.tok, iterations, ending };
        true
    }

    /// Preempt until the next token of every decoding sequence has a block.
    #[cold]
    fn make_room(&mut self, slots: &mut Slots, pool: &Pool, notes: &mut Notes) {
        while self.next_blocks() > self.free_blocks {
            let Some(id) = self.running_lists.iter().rev().find(|l| !l.is_empty()).map(|l| l.tail) else {
                break;
            };
            debug_assert_ne!(id, NONE);
            let priority = usize::from(slots[id].priority);
            self.running_lists[priority].remove(slots, id);
            self.running -= 1;
            let emitted = self.emitted(slots, id, 0);
            let slot = &mut slots[id];
            let was_decoding = slot.stage == Stage::Decoding;
            let lost = if was_decoding {
                slot.emitted = emitted;
                let context = slot.request.prompt_tok + slot.emitted - 1;
                self.decoding -= 1;
                self.kv_tok -= i64::from(context);
                self.forget(id, context);
                self.free_blocks += u64::from(context.div_ceil(pool.block_tok));
                slot.need = slot.request.prompt_tok + slot.emitted;
                u64::from(context)
            } else {
                let done = self.prefill.take().map_or(0, |(_, done)| done);
                self.free_blocks += u64::from(slot.need.div_ceil(pool.block_tok));
                // A first prompt has lost what it computed; of a later one, what it took from the cache was
                // counted as spared.
                let taken = if slot.emitted == 0 { slot.cached_tok } else { 0 };
                u64::from(done - taken)
            };
            slot.stage = Stage::Waiting;
            if self.prefixes.is_some() {
                self.unshare(slots, id);
            }
            self.queues[priority].push_front(slots, id);
            self.waiting += 1;
            notes.preempted.push((id, lost, was_decoding));
        }
        if !notes.preempted.is_empty() {
            self.find_first_finish(slots);
            if let Some(window) = &mut self.window {
                window.find_first(slots);
            }
            if let Some(speculation) = &mut self.speculation {
                speculation.find_first(slots);
            }
        }
    }

    /// Tokens that decoding sequences emit in the next iteration.
    #[inline]
    fn next_tok(&self) -> u32 {
        self.speculation.as_ref().map_or(self.decoding, |speculation| speculation.tok())
    }

    /// What windows see of decoding sequences, and what the next iteration adds to it [tokens].
    #[inline]
    fn in_windows(&self) -> (i64, i64) {
        match (&self.speculation, &self.window) {
            (Some(speculation), _) => speculation.in_windows(),
            (None, Some(window)) => (window.inside(), window.below().into()),
            (None, None) => (0, 0),
        }
    }

    /// Blocks that decoding sequences take with the next iteration.
    #[inline]
    fn next_blocks(&self) -> u64 {
        match &self.speculation {
            None => self.growth(0),
            Some(speculation) => speculation.blocks(1),
        }
    }

    /// A decoding sequence with `context` tokens in the cache is one no more.
    #[inline]
    fn forget(&mut self, id: u32, context: u32) {
        match &mut self.speculation {
            None => {
                let residue = self.residue(context);
                self.residues[residue] -= 1;
                if let Some(window) = &mut self.window {
                    window.remove(context);
                }
            }
            Some(speculation) => speculation.remove(id, context),
        }
    }

    /// Blocks that decoding sequences take with iteration `ahead` from now, `ahead` at most a block's tokens.
    #[inline]
    fn growth(&self, ahead: usize) -> u64 {
        let block = self.residues.len();
        let at = if self.growing >= ahead { self.growing - ahead } else { self.growing + block - ahead };
        u64::from(self.residues[at])
    }

    /// Blocks that decoding sequences take with the next `count` iterations.
    #[inline]
    fn growth_over(&self, count: u64) -> u64 {
        if count == 1 {
            return self.growth(0);
        }
        self.growth_over_many(count)
    }

    fn growth_over_many(&self, count: u64) -> u64 {
        let block = self.residues.len() as u64;
        let (wholes, rest) =
            if count < block { (0, count as usize) } else { (count / block, (count % block) as usize) };
        let sum = |residues: &[u32]| residues.iter().sum::<u32>();
        // The places go down from the growing one, round and round.
        let end = self.growing + 1;
        let rest = if rest <= end {
            sum(&self.residues[end - rest..end])
        } else {
            sum(&self.residues[..end]) + sum(&self.residues[self.residues.len() + end - rest..])
        };
        wholes * u64::from(self.decoding) + u64::from(rest)
    }

    /// As [`Self::like_iterations`], beside a prompt that stays, or of sequences that speculate.
    #[inline(never)]
    fn like_chunks(&self, shape: &Shape, state: &PowerState, partial: &Partial) -> u64 {
        match &self.speculation {
            None => self.like_iterations(shape, state, partial),
            Some(speculation) => {
                let mut count = chunks_alike(shape, state, partial);
                if shape.n > 0 {
                    let edge = bucket::upper_edge(state.kv_bucket);
                    count = count.min(iterations_below(edge, shape.kv_tok, speculation.tok().into()));
                    count = count.min(self.first_finish - self.iter);
                    count = count.min(speculation.until_first(self.iter));
                    count = speculation.fitting(count, self.free_blocks);
                }
                count.max(1)
            }
        }
    }

    /// How many iterations alike follow: until a sequence or a prompt ends, blocks run out, or a bucket does.
    #[inline(always)]
    fn like_iterations(&self, shape: &Shape, state: &PowerState, partial: &Partial) -> u64 {
        let mut count = chunks_alike(shape, state, partial);
        if shape.n > 0 {
            let edge = bucket::upper_edge(state.kv_bucket);
            count = count.min(iterations_below(edge, shape.kv_tok, i64::from(shape.n)));
            count = count.min(self.first_finish - self.iter);
            let block = self.residues.len() as u64;
            if (count.div_ceil(block) + 1).saturating_mul(u64::from(shape.n)) > self.free_blocks {
                let mut fits = self.free_blocks / u64::from(shape.n) * block;
                let mut taken = self.growth_over(fits);
                while fits < count {
                    let next = self.growth((fits % block) as usize);
                    if taken + next > self.free_blocks {
                        break;
                    }
                    taken += next;
                    fits += 1;
                }
                count = count.min(fits);
            }
        }
        count.max(1)
    }

    /// `count` iterations are over.
    fn advance(&mut self, count: u64) {
        self.iter += count;
        let block = self.residues.len();
        let on = (count % block as u64) as usize;
        self.growing = if self.growing >= on { self.growing - on } else { self.growing + block - on };
    }

    /// `count` iterations of sequences that speculate are over.
    #[inline(never)]
    fn speculated(&mut self, slots: &Slots, count: u64) {
        let Some(speculation) = &mut self.speculation else { return };
        self.iter += count;
        self.free_blocks -= speculation.blocks(count);
        self.kv_tok += i64::from(speculation.tok()) * count as i64;
        speculation.advance(slots, self.iter, count);
    }

    /// Where a decoding sequence with `context` tokens in the cache stands in the histogram.
    fn residue(&self, context: u32) -> usize {
        let block = self.residues.len();
        let at = (context as usize) % block + self.growing;
        if at >= block { at - block } else { at }
    }

    /// Find the first decoding sequence to end; drops the entries of preempted ones on the way.
    fn find_first_finish(&mut self, slots: &Slots) {
        while let Some(&Reverse(finish)) = self.finish.peek() {
            let slot = &slots[finish.slot()];
            let iteration = finish.iteration();
            if slot.stage == Stage::Decoding
                && slot.finish_iter == iteration
                && slot.request.order() == finish.order()
            {
                self.first_finish = iteration;
                return;
            }
            self.finish.pop();
        }
        self.first_finish = u64::MAX;
    }

    /// `count` iterations of the plan are over, in which the sequence that stays in prefill took `partial_tok` tokens
    /// each. Prompts that ended decode from now on, or are done; pushes all
    /// sequences that are done, in order of request and leg, and calls `token` for each prompt that ended.
    #[inline(always)]
    pub fn end(
        &mut self,
        slots: &mut Slots,
        pool: &Pool,
        partial_tok: u32,
        count: u64,
        done: &mut Vec<u32>,
        mut token: impl FnMut(&mut Slots, u32),
    ) {
        if self.speculation.is_some() {
            self.speculated(slots, count);
        } else {
            self.free_blocks -= self.growth_over(count);
            self.advance(count);
            self.kv_tok += i64::from(self.decoding) * count as i64;
            if let Some(window) = &mut self.window {
                window.advance(slots, self.iter, count);
            }
        }
        if let Some(cache) = &mut self.prefixes {
            // Within a run nobody looks into the cache and blocks are only taken: as if each iteration had done it.
            cache.fit(self.free_blocks);
        }
        if let Some((_, processed)) = &mut self.prefill {
            *processed += partial_tok * count as u32;
        }
        while self.first_finish == self.iter
            && let Some(Reverse(finish)) = self.finish.pop()
        {
            let id = finish.slot();
            let request = &slots[id].request;
            let context = request.prompt_tok + request.output_tok - 1;
            self.decoding -= 1;
            self.kv_tok -= i64::from(context);
            self.forget(id, context);
            self.leave(slots, pool, id, context);
            done.push(id);
            self.find_first_finish(slots);
        }
        if self.ending.is_empty() {
            // Those done came in order.
            return;
        }
        let ending = std::mem::take(&mut self.ending);
        for &id in &ending {
            token(slots, id);
            if self.prefixes.is_some() {
                self.publish(slots, pool, id);
            }
            let slot = &mut slots[id];
            slot.emitted += 1;
            let context = slot.need;
            if slot.emitted == slot.request.output_tok {
                self.leave(slots, pool, id, context);
                done.push(id);
                continue;
            }
            slot.stage = Stage::Decoding;
            slot.finish_iter = match &mut self.speculation {
                None => {
                    let residue = self.residue(context);
                    self.residues[residue] += 1;
                    self.iter + u64::from(slot.request.output_tok - slot.emitted)
                }
                Some(speculation) => speculation.add(slot, id, self.iter, context),
            };
            self.first_finish = self.first_finish.min(slot.finish_iter);
            self.finish.push(Reverse(Due::new(slot.finish_iter, slot.request.order(), id)));
            self.decoding += 1;
            self.kv_tok += i64::from(context);
            if self.speculation.is_none()
                && let Some(window) = &mut self.window
            {
                window.add(&slots[id], id, context);
            }
        }
        self.ending = ending;
        self.ending.clear();
        if done.len() > 1 {
            done.sort_by_key(|&id| slots[id].request.order());
        }
    }

    #[inline]
    fn leave(&mut self, slots: &mut Slots, pool: &Pool, id: u32, context: u32) {
        self.free_blocks += u64::from(context.div_ceil(pool.block_tok));
        self.running -= 1;
        self.running_lists[usize::from(slots[id].priority)].remove(slots, id);
        if self.prefixes.is_some() {
            self.unshare(slots, id);
        }
    }

    /// Who is admitted refers to what the cache has of its prompt; returns how many tokens that is.
    fn share(&mut self, slots: &mut Slots, pool: &Pool, id: u32, hit: Hit, notes: &mut Notes) -> u32 {
        let slot = &mut slots[id];
        if let Some(cache) = &mut self.prefixes
            && hit.blocks > 0
        {
            cache.join(slot.request.prefix);
        }
        slot.shared_blocks = hit.blocks;
        let cached_tok = hit.blocks * pool.block_tok;
        if slot.emitted == 0 {
            slot.cached_tok = cached_tok;
        } else {
            notes.spared_tok += u64::from(cached_tok);
        }
        cached_tok
    }

    /// A prompt is complete: its prefix goes into the cache, unless it is there.
    fn publish(&mut self, slots: &mut Slots, pool: &Pool, id: u32) {
        let slot = &mut slots[id];
        let blocks = slot.request.prefix_tok / pool.block_tok;
        if let Some(cache) = &mut self.prefixes
            && cache.insert(slot.request.prefix, blocks)
        {
            slot.shared_blocks = blocks;
        }
    }

    /// A sequence whose blocks have all been counted as free refers to its prefix no more: the blocks of that are free
    /// only if nobody else does.
    fn unshare(&mut self, slots: &mut Slots, id: u32) {
        let slot = &mut slots[id];
        let blocks = std::mem::take(&mut slot.shared_blocks);
        if let Some(cache) = &mut self.prefixes
            && blocks > 0
            && !cache.leave(slot.request.prefix, self.iter)
        {
            self.free_blocks -= u64::from(blocks);
        }
    }

    /// Tokens a decoding sequence has emitted after `ahead` further iterations.
    pub fn emitted(&self, slots: &Slots, id: u32, ahead: u64) -> u32 {
        let slot = &slots[id];
        match slot.stage {
            Stage::Decoding if let Some(speculation) = &self.speculation => {
                speculation.emitted(slot, id, self.iter + ahead)
            }
            Stage::Decoding => slot.request.output_tok - (slot.finish_iter - self.iter - ahead) as u32,
            _ => slot.emitted,
        }
    }

    /// Check the counts against the running sequences; `None` if they agree. For tests and debug builds.
    pub fn audit(&self, slots: &Slots, pool: &Pool) -> Option<String> {
        let (mut decoding, mut running, mut kv, mut blocks) = (0, 0, 0_i64, 0_u64);
        let seen = self.window.as_deref().map_or(0, Window::tokens);
        let (mut inside, mut below) = (0_i64, 0_i64);
        let mut contexts = Vec::new();
        let mut shared = std::collections::BTreeMap::<u32, (u32, u32)>::new();
        for list in &self.running_lists {
            let mut id = list.head;
            while id != NONE {
                running += 1;
                let slot = &slots[id];
                if slot.stage == Stage::Decoding {
                    decoding += 1;
                    let context = slot.request.prompt_tok + self.emitted(slots, id, 0) - 1;
                    kv += i64::from(context);
                    contexts.push((id, context));
                    inside += i64::from(context.min(seen));
                    below += i64::from(context < seen);
                    blocks += u64::from(context.div_ceil(pool.block_tok));
                } else {
                    blocks += u64::from(slot.need.div_ceil(pool.block_tok));
                }
                if slot.shared_blocks > 0 {
                    blocks -= u64::from(slot.shared_blocks);
                    let entry = shared.entry(slot.request.prefix).or_insert((slot.shared_blocks, 0));
                    entry.1 += 1;
                }
                id = slot.next;
            }
        }
        let windows = self.in_windows();
        blocks += shared.values().map(|&(blocks, _)| u64::from(blocks)).sum::<u64>();
        let shared: Vec<_> =
            shared.into_iter().map(|(prefix, (blocks, users))| (prefix, blocks, users)).collect();
        let cached = self.prefixes.as_deref().map_or_else(Default::default, PrefixCache::contents);
        let idle_blocks = self.prefixes.as_deref().map_or(0, PrefixCache::idle_blocks);
        let ok = (decoding, running, kv) == (self.decoding, self.running, self.kv_tok)
            && blocks + self.free_blocks == pool.kv_blocks
            && match &self.speculation {
                None => self.residues.iter().sum::<u32>() == self.decoding,
                Some(speculation) => speculation.holds(&contexts),
            }
            && (self.speculation.is_some() || (inside, below) == windows)
            && (&shared, idle_blocks) == (&cached.0, cached.1)
            && idle_blocks <= self.free_blocks;
        (!ok).then(|| {
            format!(
                "running {running}/{}, decoding {decoding}/{}, cached {kv}/{}, blocks {blocks} + {} of {}, \
                 in windows {inside} and {below} below / {windows:?}, prefixes {shared:?} / {cached:?}",
                self.running, self.decoding, self.kv_tok, self.free_blocks, pool.kv_blocks
            )
        })
    }
}

/// How many iterations alike follow for the sake of the prompt that stays, if one does.
#[inline(always)]
fn chunks_alike(shape: &Shape, state: &PowerState, partial: &Partial) -> u64 {
    if partial.tok == 0 {
        return u64::MAX;
    }
    let count = u64::from(partial.remaining.div_ceil(partial.tok)) - 1;
    let step = i64::from(partial.tok) * i64::from(partial.tok);
    let edge = bucket::upper_edge(state.prefill_bucket);
    count.min(iterations_below(edge.saturating_mul(i64::from(shape.p)), shape.pairs, step))
}

/// Largest k with `from + (k − 1)·step < edge`.
#[inline(always)]
fn iterations_below(edge: i64, from: i64, step: i64) -> u64 {
    ((edge - from - 1) / step + 1).max(1) as u64
}
