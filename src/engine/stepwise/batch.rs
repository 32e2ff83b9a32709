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
    /// Blocks of them that it shares with others of its prefix.
    shared: u32,
    /// Tokens of its prompt that were there when it was last admitted without having emitted any.
    pub(super) found: u32,
    /// Tokens to cache before it emits its next token.
    need: u32,
    /// Tokens it adds to the cache in the iteration under way; while in prefill.
    chunk: u32,
    /// Iterations until it is done; while decoding.
    steps_to_go: u32,
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
            shared: 0,
            found: 0,
            need: request.prompt_tok,
            chunk: 0,
            steps_to_go: 0,
            decoding: false,
            ever_admitted: false,
            first_token_fs: None,
            last_token_fs: 0,
        }
    }

    /// Tokens that it emits in its next iteration; while decoding.
    fn next_tok(&self, fault: Option<PlantedFault>) -> u32 {
        let to_go = self.request.output_tok - self.emitted;
        match fault {
            Some(PlantedFault::DraftRoundsUp) => to_go.div_ceil(self.steps_to_go),
            _ => to_go / self.steps_to_go,
        }
    }

    /// KV blocks it holds alone once its next tokens have a place.
    fn blocks(&self, block_tok: u32, fault: Option<PlantedFault>) -> u64 {
        let late = u32::from(fault == Some(PlantedFault::KvBlockOffByOne));
        let tokens = if self.decoding { self.cached + self.next_tok(fault) - late } else { self.need };
        u64::from(tokens.div_ceil(block_tok) - self.shared)
    }

    /// Whether it shares blocks of a prefix.
    fn shares(&self, prefix: u32) -> bool {
        self.shared > 0 && self.request.prefix == prefix
    }
}

/// A prefix in the cache.
#[derive(Debug, Clone, Copy)]
struct Cached {
    prefix: u32,
    blocks: u32,
    /// After how many iterations the last sequence that shared it left; none while there is one.
    left: Option<u64>,
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
    /// Tokens that it emits: of decoding sequences, and of the prompts that it completes.
    pub(super) emitted: u32,
    /// Tokens that preempted sequences found in the cache.
    pub(super) spared: u64,
}

/// A prompt whose end emitted a token, and when the sequence had emitted one before.
pub(super) enum Prompt {
    /// With the tokens it found in the cache.
    First(Request, u32),
    Again(i128),
}

/// Queue and running sequences.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// By priority, then in order of service.
    pub(super) waiting: Vec<Sequence>,
    /// In order of admission.
    pub(super) running: Vec<Sequence>,
    cache: Vec<Cached>,
    /// Iterations that are over.
    iterations: u64,
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
    pub(super) fn leave(&mut self, pool: &Pool) -> Vec<(Sequence, u64)> {
        self.cache.clear();
        let all = self.running.drain(..).chain(self.waiting.drain(..));
        let left = all.map(|mut sequence| {
            let lost = match sequence.decoding {
                true => sequence.cached,
                // What it computed again is not counted; what it was spared, is not spared.
                false if sequence.emitted > 0 => sequence.shared * pool.block_tok,
                false => 0,
            };
            let lost = u64::from(lost);
            sequence.need = sequence.request.prompt_tok + sequence.emitted;
            (sequence.cached, sequence.shared, sequence.chunk, sequence.decoding) = (0, 0, 0, false);
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
            begun.lost.push(self.preempt(place, pool));
        }
        self.make_way(pool, fault);
        let decoding = || self.running.iter().filter(|s| s.decoding);
        begun.shape.n = decoding().count() as u32;
        begun.shape.kv_tok = decoding().map(|s| i64::from(s.cached)).sum();
        let off = u32::from(fault == Some(PlantedFault::WindowOffByOne));
        let (seen, seen_by_prompts) =
            pool.step.windows().map_or((0, 0), |(w, prompts)| (w + off, prompts + off));
        begun.shape.window_tok = decoding().map(|s| i64::from(s.cached.min(seen))).sum();
        begun.emitted = decoding().map(|s| s.next_tok(fault)).sum();
        let mut budget = pool.max_step_tok - begun.shape.n * pool.tok_per_seq;
        for sequence in self.running.iter_mut().filter(|s| !s.decoding) {
            take_chunk(sequence, seen_by_prompts, &mut budget, &mut begun);
        }
        while begun.lost.is_empty() && budget > 0 && !self.waiting.is_empty() {
            let extra = usize::from(fault == Some(PlantedFault::AdmissionOffByOne));
            let mut sequence = self.waiting[0];
            sequence.shared = self.cached(sequence.request.prefix);
            sequence.cached = sequence.shared * pool.block_tok;
            let places = pool.max_seqs as usize + extra;
            self.running.push(sequence);
            if self.running.len() > places || self.blocks(pool, fault) > pool.kv_blocks {
                self.running.pop();
                begun.refused = true;
                break;
            }
            self.waiting.remove(0);
            self.make_way(pool, fault);
            let Some(sequence) = self.running.last_mut() else { break };
            match sequence.emitted {
                0 => sequence.found = sequence.cached,
                _ => begun.spared += u64::from(sequence.cached),
            }
            if !sequence.ever_admitted {
                sequence.ever_admitted = true;
                begun.admitted.push(sequence.request);
            }
            take_chunk(sequence, seen_by_prompts, &mut budget, &mut begun);
        }
        begun
    }

    /// The iteration is over: tokens are out. Returns the prompts that ended and the sequences that are done.
    pub(super) fn finish(
        &mut self,
        now_fs: i128,
        pool: &Pool,
        fault: Option<PlantedFault>,
    ) -> (Vec<Prompt>, Vec<Sequence>) {
        let mut prompts = Vec::new();
        self.iterations += 1;
        for sequence in &mut self.running {
            if sequence.decoding {
                let tok = sequence.next_tok(fault);
                sequence.cached += tok;
                sequence.emitted += tok;
                sequence.steps_to_go -= 1;
            } else {
                sequence.cached += sequence.chunk;
                sequence.chunk = 0;
                if sequence.cached < sequence.need {
                    continue;
                }
                sequence.decoding = true;
                prompts.push(match sequence.first_token_fs {
                    None => Prompt::First(sequence.request, sequence.found),
                    Some(_) => Prompt::Again(sequence.last_token_fs),
                });
                let (prefix, blocks) =
                    (sequence.request.prefix, sequence.request.prefix_tok / pool.block_tok);
                let known = self.cache.iter().any(|cached| cached.prefix == prefix);
                if pool.prefix_cache && blocks > 0 && !known {
                    self.cache.push(Cached { prefix, blocks, left: None });
                    sequence.shared = blocks;
                }
                sequence.first_token_fs.get_or_insert(now_fs);
                sequence.emitted += 1;
                let to_go = sequence.request.output_tok - sequence.emitted;
                sequence.steps_to_go = match &pool.speculation {
                    None => to_go,
                    Some(speculation) => speculation.steps(&sequence.request, to_go),
                };
            }
            sequence.last_token_fs = now_fs;
        }
        let is_done = |s: &Sequence| s.emitted == s.request.output_tok;
        let mut done: Vec<Sequence> = self.running.iter().copied().filter(is_done).collect();
        self.running.retain(|s| !is_done(s));
        self.look_who_shares();
        done.sort_by_key(|s| s.request.order());
        (prompts, done)
    }

    /// Blocks in use once every decoding sequence has a place for its next token; shared ones once.
    fn blocks(&self, pool: &Pool, fault: Option<PlantedFault>) -> u64 {
        let own: u64 = self.running.iter().map(|s| s.blocks(pool.block_tok, fault)).sum();
        let in_use = |cached: &&Cached| self.running.iter().any(|s| s.shares(cached.prefix));
        own + self.cache.iter().filter(in_use).map(|cached| u64::from(cached.blocks)).sum::<u64>()
    }

    /// Blocks of a prefix that are in the cache.
    fn cached(&self, prefix: u32) -> u32 {
        self.cache.iter().find(|cached| cached.prefix == prefix).map_or(0, |cached| cached.blocks)
    }

    /// Prefixes that nobody shares give way, the one that was left first before others, while they do not fit.
    fn make_way(&mut self, pool: &Pool, fault: Option<PlantedFault>) {
        self.look_who_shares();
        loop {
            let idle: u64 = self.cache.iter().filter(|c| c.left.is_some()).map(|c| u64::from(c.blocks)).sum();
            if idle == 0 || self.blocks(pool, fault) + idle <= pool.kv_blocks {
                return;
            }
            let idle = self.cache.iter().filter_map(|c| Some((c.left?, c.prefix)));
            let first = match fault {
                Some(PlantedFault::YoungestPrefixGivesWay) => idle.max(),
                _ => idle.min(),
            };
            self.cache.retain(|c| Some(c.prefix) != first.map(|(_, prefix)| prefix));
        }
    }

    fn look_who_shares(&mut self) {
        for cached in &mut self.cache {
            let shared = self.running.iter().any(|s| s.shares(cached.prefix));
            cached.left = if shared { None } else { cached.left.or(Some(self.iterations)) };
        }
    }

    /// Back to the front of its queue, its cache lost; returns how many tokens that is.
    fn preempt(&mut self, place: usize, pool: &Pool) -> u64 {
        let mut victim = self.running.remove(place);
        // What a first prompt found in the cache it has not computed.
        let found = if victim.emitted == 0 { victim.shared * pool.block_tok } else { 0 };
        let lost = u64::from(victim.cached - found);
        victim.decoding = false;
        (victim.cached, victim.shared) = (0, 0);
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
    begun.emitted += u32::from(sequence.cached + chunk == sequence.need);
}
