//! The oracle's batch: who waits and who runs at a replica, counted afresh in every iteration.

use super::PlantedFault;
use crate::fleet::Pool;
use crate::physics::step::Shape;
use crate::workload::Request;

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    pub(super) request: Request,
    /// Place of its priority, 0 first.
    pub(super) priority: usize,
    pub(super) emitted: u32,
    /// Tokens in the cache.
    cached: u32,
    /// Tokens to cache before it emits its next token.
    need: u32,
    /// Tokens it adds to the cache in the iteration under way; while in prefill.
    chunk: u32,
    pub(super) decoding: bool,
    pub(super) ever_admitted: bool,
    pub(super) first_token_fs: Option<i128>,
    last_token_fs: i128,
}

impl Sequence {
    /// A request that has just arrived.
    pub(super) fn new(request: Request, priority: usize) -> Self {
        Self {
            request,
            priority,
            emitted: 0,
            cached: 0,
            need: request.prompt_tok,
            chunk: 0,
            decoding: false,
            ever_admitted: false,
            first_token_fs: None,
            last_token_fs: 0,
        }
    }

    /// KV blocks it holds once its next token has a place.
    fn blocks(&self, block_tok: u32, fault: Option<PlantedFault>) -> u64 {
        let late = u32::from(fault == Some(PlantedFault::KvBlockOffByOne));
        let tokens = if self.decoding { self.cached + 1 - late } else { self.need };
        u64::from(tokens.div_ceil(block_tok))
    }
}

/// What the start of an iteration did.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Cached tokens lost by each victim.
    pub(super) lost: Vec<u64>,
    /// Requests admitted for the first time.
    pub(super) admitted: Vec<Request>,
    pub(super) refused: bool,
    pub(super) shape: Shape,
    /// Prompts that the iteration completes.
    pub(super) ending: u32,
}

/// A prompt whose end emitted a token, and when the sequence had emitted one before.
pub(super) enum Prompt {
    First(Request),
    Again(i128),
}

/// Queue and running sequences.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// By priority, then in order of service.
    pub(super) waiting: Vec<Sequence>,
    /// In order of admission.
    pub(super) running: Vec<Sequence>,
}

impl Batch {
    /// A request joins the end of its priority's queue; whether it is now the next to be admitted.
    pub(super) fn enqueue(&mut self, sequence: Sequence) -> bool {
        let place = self.waiting.iter().position(|other| other.priority > sequence.priority);
        let place = place.unwrap_or(self.waiting.len());
        self.waiting.insert(place, sequence);
        place == 0
    }

    /// Everybody leaves, the cache lost; returns them with what each had there while it decoded.
    pub(super) fn leave(&mut self) -> Vec<(Sequence, u64)> {
        let all = self.running.drain(..).chain(self.waiting.drain(..));
        let left = all.map(|mut sequence| {
            let lost = if sequence.decoding { u64::from(sequence.cached) } else { 0 };
            sequence.need = sequence.request.prompt_tok + sequence.emitted;
            (sequence.cached, sequence.chunk, sequence.decoding) = (0, 0, false);
            (sequence, lost)
        });
        left.collect()
    }

    /// Steps 1 to 4 of a start: growth, prefill, admission, shape.
    pub(super) fn begin(&mut self, pool: &Pool, fault: Option<PlantedFault>) -> Begun {
        let mut begun = Begun::default();
        while self.blocks(pool, fault) > pool.kv_blocks {
            let victim = self.running.iter().enumerate().max_by_key(|(place, s)| (s.priority, *place));
            let Some((place, _)) = victim else { break };
            begun.lost.push(self.preempt(place));
        }
        let decoding = || self.running.iter().filter(|s| s.decoding);
        begun.shape.n = decoding().count() as u32;
        begun.shape.kv_tok = decoding().map(|s| i64::from(s.cached)).sum();
        let off = u32::from(fault == Some(PlantedFault::WindowOffByOne));
        let (seen, seen_by_prompts) =
            pool.step.windows().map_or((0, 0), |(w, prompts)| (w + off, prompts + off));
        begun.shape.window_tok = decoding().map(|s| i64::from(s.cached.min(seen))).sum();
        let mut budget = pool.max_step_tok - begun.shape.n;
        for sequence in self.running.iter_mut().filter(|s| !s.decoding) {
            take_chunk(sequence, seen_by_prompts, &mut budget, &mut begun);
        }
        while begun.lost.is_empty() && budget > 0 && !self.waiting.is_empty() {
            let extra = usize::from(fault == Some(PlantedFault::AdmissionOffByOne));
            let blocks = self.blocks(pool, fault) + self.waiting[0].blocks(pool.block_tok, fault);
            if self.running.len() == pool.max_seqs as usize + extra || blocks > pool.kv_blocks {
                begun.refused = true;
                break;
            }
            let mut sequence = self.waiting.remove(0);
            if !sequence.ever_admitted {
                sequence.ever_admitted = true;
                begun.admitted.push(sequence.request);
            }
            take_chunk(&mut sequence, seen_by_prompts, &mut budget, &mut begun);
            self.running.push(sequence);
        }
        begun
    }

    /// The iteration is over: tokens are out. Returns the prompts that ended and the sequences that are done.
    pub(super) fn finish(&mut self, now_fs: i128) -> (Vec<Prompt>, Vec<Sequence>) {
        let mut prompts = Vec::new();
        for sequence in &mut self.running {
            if sequence.decoding {
                sequence.cached += 1;
            } else {
                sequence.cached += sequence.chunk;
                sequence.chunk = 0;
                if sequence.cached < sequence.need {
                    continue;
                }
                sequence.decoding = true;
                prompts.push(match sequence.first_token_fs {
                    None => Prompt::First(sequence.request),
                    Some(_) => Prompt::Again(sequence.last_token_fs),
                });
                sequence.first_token_fs.get_or_insert(now_fs);
            }
            sequence.emitted += 1;
            sequence.last_token_fs = now_fs;
        }
        let is_done = |s: &Sequence| s.emitted == s.request.output_tok;
        let mut done: Vec<Sequence> = self.running.iter().copied().filter(is_done).collect();
        self.running.retain(|s| !is_done(s));
        done.sort_by_key(|s| s.request.order());
        (prompts, done)
    }

    /// Blocks held once every decoding sequence has a place for its next token.
    fn blocks(&self, pool: &Pool, fault: Option<PlantedFault>) -> u64 {
        self.running.iter().map(|s| s.blocks(pool.block_tok, fault)).sum()
    }

    /// Back to the front of its queue, its cache lost; returns how many tokens that is.
    fn preempt(&mut self, place: usize) -> u64 {
        let mut victim = self.running.remove(place);
        let lost = u64::from(victim.cached);
        victim.decoding = false;
        victim.cached = 0;
        victim.need = victim.request.prompt_tok + victim.emitted;
        let front = self.waiting.iter().position(|other| other.priority >= victim.priority);
        self.waiting.insert(front.unwrap_or(self.waiting.len()), victim);
        lost
    }
}

/// Plan a chunk of a prompt within the budget. Layers with a window see `seen` tokens.
fn take_chunk(sequence: &mut Sequence, seen: u32, budget: &mut u32, begun: &mut Begun) {
    let chunk = (sequence.need - sequence.cached).min(*budget);
    sequence.chunk = chunk;
    if chunk == 0 {
        return;
    }
    *budget -= chunk;
    let (tokens, before) = (i64::from(chunk), i64::from(sequence.cached));
    begun.shape.p += chunk;
    begun.shape.chunks += 1;
    begun.shape.pairs += tokens * before + tokens * (tokens + 1) / 2;
    if seen > 0 {
        let positions = sequence.cached + 1..=sequence.cached + chunk;
        begun.shape.window_pairs += positions.map(|position| i64::from(position.min(seen))).sum::<i64>();
    }
    begun.ending += u32::from(sequence.cached + chunk == sequence.need);
}
