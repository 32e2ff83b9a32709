//! Step time of one replica: integer laws, affine in context, evaluated per iteration shape.

use super::bucket;
use super::clock::{Clock, scale};
use super::roofline::RooflineParams;
use super::speculation::Speculation;
use super::{FS_PER_S, fs_from_s};

/// Longest step that a law may have [s]: durations fit 64 bits with room to spare.
pub const LONGEST_STEP_S: f64 = 3600.0;

/// What one iteration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Decoding sequences.
    pub n: u32,
    /// Tokens they hold in the KV cache at the start of the iteration.
    pub kv_tok: i64,
    /// Σ min(context, window) over them; 0 for a law without a window.
    pub window_tok: i64,
    /// Prompt tokens in the iteration.
    pub p: u32,
    /// Prompts they belong to.
    pub chunks: u32,
    /// Σ chunk·c0 + chunk·(chunk+1)/2: pairs of prompt token and token it attends to.
    pub pairs: i64,
    /// Of them, those within a window: Σ min(position, window) over the prompt tokens, positions from 1; 0 for a
    /// law without a window.
    pub window_pairs: i64,
}

/// What each iteration of a run of like ones adds to the shape of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Growth {
    /// To `kv_tok`: the decoding sequences.
    pub kv_tok: i64,
    /// To `window_tok`: those of them whose context is still below the window.
    pub window_tok: i64,
    /// To `pairs`.
    pub pairs: i64,
    /// To `window_pairs`.
    pub window_pairs: i64,
}

/// The part of a shape that power and binding may depend on; constant within a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PowerState {
    /// Decoding sequences.
    pub n: u32,
    /// Prompt tokens.
    pub p: u32,
    /// Prompts.
    pub chunks: u32,
    /// Bucket of `kv_tok`.
    pub kv_bucket: u16,
    /// Bucket of pairs/p, the mean context of a prompt token.
    pub prefill_bucket: u16,
}

impl Shape {
    /// The power state of this shape.
    #[inline]
    pub fn power_state(&self) -> PowerState {
        PowerState {
            n: self.n,
            p: self.p,
            chunks: self.chunks,
            kv_bucket: bucket::bucket(self.kv_tok),
            prefill_bucket: if self.p == 0 { 0 } else { bucket::bucket(self.pairs / i64::from(self.p)) },
        }
    }
}

/// Costs that depend on the number of tokens in a step (decoding + prompt) alone, at full clock.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LinearCost {
    /// Time that stretches with 1/clock [fs].
    pub compute_fs: i64,
    /// Time bound by memory [fs].
    pub memory_fs: i64,
    /// Link time, independent of the clock [fs].
    pub link_fs: i64,
    /// Floating point operations per GPU.
    pub flop: f64,
    /// Seconds these operations would take at the peak rates of their formats.
    pub peak_s: f64,
    /// Bytes moved per GPU.
    pub bytes: f64,
}

/// Arithmetic and traffic of one GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Floating point operations.
    pub flop: f64,
    /// Seconds they would take at the peak rates of their formats.
    pub peak_s: f64,
    /// Bytes moved.
    pub bytes: f64,
}

impl Work {
    fn add(&mut self, work: &Self, times: f64) {
        self.flop += work.flop * times;
        self.peak_s += work.peak_s * times;
        self.bytes += work.bytes * times;
    }
}

/// Step time of a replica at full clock; see [`StepLaw::coefficients`] for the formula.
#[derive(Debug, Clone, PartialEq)]
pub struct StepLaw {
    /// By tokens in the step, 0..=max_step_tok.
    pub linear: Vec<LinearCost>,
    /// Compute time of a step with prompt tokens [fs].
    pub prefill_compute_fs: i64,
    /// Compute time per prompt token, attention overhead included [fs].
    pub prompt_tok_compute_fs: i64,
    /// Compute time per (prompt token × context token) pair [fs].
    pub pair_compute_fs: i64,
    /// Compute time per sampled token (decoding sequence or prompt chunk) [fs].
    pub sampled_compute_fs: i64,
    /// Tokens that layers with a window see; `None` if no layer has one.
    pub window_tok: Option<u32>,
    /// The same of a prompt's tokens; `None` together with it.
    pub prompt_window_tok: Option<u32>,
    /// Attention per token in the window of a decoding sequence: whichever of compute and memory is slower at the
    /// clock [fs].
    pub window_tok_compute_fs: i64,
    /// See `window_tok_compute_fs` [fs].
    pub window_tok_memory_fs: i64,
    /// Compute time per pair within a window [fs].
    pub window_pair_compute_fs: i64,
    /// Attention per resident token: whichever of compute and memory is slower at the clock [fs].
    pub kv_tok_compute_fs: i64,
    /// See `kv_tok_compute_fs` [fs].
    pub kv_tok_memory_fs: i64,
    /// Of it, what each token that a step verifies of a sequence takes anew; they share the rest [fs].
    pub kv_tok_own_memory_fs: i64,
    /// Whether such tokens read their windows each; else they share them.
    pub windows_apart: bool,
    /// Time per step in which GPUs wait for the host or between kernels [fs].
    pub host_step_fs: i64,
    /// Host time per running sequence (decoding or chunk) [fs].
    pub host_seq_fs: i64,
    /// Work per sampled token.
    pub sampled: Work,
    /// Work per token resident in the cache of decoding sequences.
    pub kv_tok: Work,
    /// Of its bytes, those that tokens which a step verifies of a sequence do not share.
    pub kv_tok_own_bytes: f64,
    /// Work per token in the window of a decoding sequence.
    pub in_window: Work,
    /// Work per pair.
    pub pair: Work,
    /// Work per pair within a window.
    pub window_pair: Work,
    /// Whether the law knows FLOP and bytes (a user's own does not).
    pub knows_flop: bool,
    /// A draft that proposes tokens; all else is the target's own.
    pub speculation: Option<Box<Speculation>>,
}

/// Duration of an iteration: `base_fs + kv_tok·kv_tok_fs + window_tok·window_tok_fs + pairs·pair_fs +
/// window_pairs·window_pair_fs`, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coefficients {
    /// Constant part [fs].
    pub base_fs: i64,
    /// Per token resident [fs].
    pub kv_tok_fs: i64,
    /// Per token in a window [fs].
    pub window_tok_fs: i64,
    /// Per pair [fs].
    pub pair_fs: i64,
    /// Per pair within a window [fs].
    pub window_pair_fs: i64,
}

impl Coefficients {
    /// Duration of an iteration of this shape [fs]; at least 1.
    #[inline]
    pub fn duration_fs(&self, shape: &Shape) -> i64 {
        let global = shape.kv_tok * self.kv_tok_fs + shape.pairs * self.pair_fs;
        let windowed = shape.window_tok * self.window_tok_fs + shape.window_pairs * self.window_pair_fs;
        (self.base_fs + global + windowed).max(1)
    }

    /// As [`Self::duration_fs`], of a shape without prompt tokens.
    #[inline]
    pub fn decoding_fs(&self, shape: &Shape) -> i64 {
        let attention = shape.kv_tok * self.kv_tok_fs + shape.window_tok * self.window_tok_fs;
        (self.base_fs + attention).max(1)
    }

    /// As [`Self::increment_fs`], of a run without prompt tokens.
    #[inline]
    pub fn decoding_increment_fs(&self, growth: &Growth) -> i64 {
        growth.kv_tok * self.kv_tok_fs + growth.window_tok * self.window_tok_fs
    }

    /// What each iteration of a run takes longer than the one before [fs].
    #[inline]
    pub fn increment_fs(&self, growth: &Growth) -> i64 {
        let global = growth.kv_tok * self.kv_tok_fs + growth.pairs * self.pair_fs;
        let windowed = growth.window_tok * self.window_tok_fs + growth.window_pairs * self.window_pair_fs;
        global + windowed
    }
}

/// Where the time of a step goes, at a power state's bucket centres [s].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Breakdown {
    /// Arithmetic.
    pub compute_s: f64,
    /// HBM traffic.
    pub memory_s: f64,
    /// Links between GPUs.
    pub link_s: f64,
    /// Serving engine on the host.
    pub host_s: f64,
    /// ∂ln t / ∂ln b: how the step grows with the batch. Prompts come in proportion to the sequences that they
    /// replace, so n, context and prefill all grow alike; what is left are weights, calls and the host's steps.
    pub batch_elasticity: f64,
}

impl Breakdown {
    /// The whole step [s].
    pub fn total_s(&self) -> f64 {
        self.compute_s + self.memory_s + self.link_s + self.host_s
    }
}

/// A shape of real numbers, for fluid estimates; fields as in [`Shape`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FluidShape {
    /// Decoding sequences.
    pub n: f64,
    /// Tokens in their cache.
    pub kv_tok: f64,
    /// Of them, those within a window.
    pub window_tok: f64,
    /// Prompt tokens.
    pub p: f64,
    /// Prompts.
    pub chunks: f64,
    /// Attention pairs.
    pub pairs: f64,
    /// Of them, those within a window.
    pub window_pairs: f64,
}

/// Real-valued step for fluid estimates (staves, b*): see [`StepLaw::fluid`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FluidStep {
    /// Where the time goes.
    pub parts: Breakdown,
    /// Work per GPU.
    pub work: Work,
}

impl FluidStep {
    /// `times` further passes after this one.
    pub(super) fn add(&mut self, pass: &Self, times: f64) {
        let (before_s, more_s) = (self.parts.total_s(), times * pass.parts.total_s());
        let parts = &mut self.parts;
        if before_s + more_s > 0.0 {
            let growing_s = parts.batch_elasticity * before_s + pass.parts.batch_elasticity * more_s;
            parts.batch_elasticity = growing_s / (before_s + more_s);
        }
        parts.compute_s += times * pass.parts.compute_s;
        parts.memory_s += times * pass.parts.memory_s;
        parts.link_s += times * pass.parts.link_s;
        parts.host_s += times * pass.parts.host_s;
        self.work.add(&pass.work, times);
    }
}

/// How busy one GPU is in a step at full clock.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Activity {
    /// The whole step [s].
    pub step_s: f64,
    /// Seconds its operations would take at the peak rates of their formats.
    pub peak_s: f64,
    /// Bytes it moves.
    pub bytes: f64,
}

impl From<&FluidStep> for Activity {
    fn from(step: &FluidStep) -> Self {
        Self { step_s: step.parts.total_s(), peak_s: step.work.peak_s, bytes: step.work.bytes }
    }
}

impl StepLaw {
    /// The law of a replica by its roofline, tabulated up to `max_step_tok` tokens a step.
    pub fn roofline(params: &RooflineParams, max_step_tok: u32) -> Self {
        let one = params.linear(1.0, 1.0);
        let two = params.linear(1.0, 2.0);
        let sampled_compute_s = two.compute_s - one.compute_s;
        let sampled = Work {
            flop: two.flop - one.flop,
            peak_s: two.peak_flop_s - one.peak_flop_s,
            bytes: two.bytes - one.bytes,
        };
        let linear = (0..=max_step_tok)
            .map(|tokens| {
                if tokens == 0 {
                    return LinearCost::default();
                }
                // The head's weights stream once a step; its arithmetic is charged per sampled token.
                let (term, links_s) = params.linear_and_links(f64::from(tokens), 1.0);
                LinearCost {
                    compute_fs: round_fs(term.compute_s - sampled_compute_s),
                    memory_fs: round_fs(term.memory_s),
                    link_fs: round_fs(links_s),
                    flop: term.flop - sampled.flop,
                    peak_s: term.peak_flop_s - sampled.peak_s,
                    bytes: term.bytes - sampled.bytes,
                }
            })
            .collect();
        let decode = params.decode_attention();
        let prefill = params.prefill_attention();
        let work = |flop: f64, peak: f64, bytes: f64| Work { flop, peak_s: flop / peak, bytes };
        Self {
            linear,
            prefill_compute_fs: 0,
            prompt_tok_compute_fs: round_fs(
                prefill.overhead_tok * prefill.s_per_pair
                    + prefill.window_overhead_tok * prefill.s_per_window_pair,
            ),
            pair_compute_fs: round_fs(prefill.s_per_pair),
            sampled_compute_fs: round_fs(sampled_compute_s),
            window_tok: params.attention.window_tok,
            prompt_window_tok: params.attention.prompt_window_tok,
            window_tok_compute_fs: round_fs(decode.compute_s_per_window_tok),
            window_tok_memory_fs: round_fs(decode.memory_s_per_window_tok),
            window_pair_compute_fs: round_fs(prefill.s_per_window_pair),
            kv_tok_compute_fs: round_fs(decode.compute_s_per_ctx_tok),
            kv_tok_memory_fs: round_fs(decode.memory_s_per_ctx_tok),
            kv_tok_own_memory_fs: round_fs(decode.own_memory_s_per_ctx_tok),
            windows_apart: params.attention.windows_apart,
            host_step_fs: round_fs(params.host_step_s),
            host_seq_fs: round_fs(params.host_seq_s),
            sampled,
            kv_tok: work(decode.flop_per_ctx_tok, decode.peak_flop_s, decode.bytes_per_ctx_tok),
            kv_tok_own_bytes: decode.own_bytes_per_ctx_tok,
            in_window: work(
                decode.flop_per_window_tok,
                decode.window_peak_flop_s,
                decode.bytes_per_window_tok,
            ),
            pair: work(prefill.flop_per_pair, prefill.peak_flop_s, prefill.bytes_per_pair),
            window_pair: work(prefill.flop_per_window_pair, prefill.window_peak_flop_s, 0.0),
            knows_flop: true,
            speculation: None,
        }
    }

    /// A user's own law: every term is compute time [s].
    pub fn affine(
        base_s: f64,
        prefill_s: f64,
        prompt_tok_s: f64,
        seq_s: f64,
        kv_tok_s: f64,
        max_step_tok: u32,
    ) -> Self {
        let base = LinearCost { compute_fs: round_fs(base_s), ..LinearCost::default() };
        Self {
            linear: vec![base; max_step_tok as usize + 1],
            prefill_compute_fs: round_fs(prefill_s),
            prompt_tok_compute_fs: round_fs(prompt_tok_s),
            pair_compute_fs: 0,
            sampled_compute_fs: 0,
            window_tok: None,
            prompt_window_tok: None,
            window_tok_compute_fs: 0,
            window_tok_memory_fs: 0,
            window_pair_compute_fs: 0,
            kv_tok_compute_fs: round_fs(kv_tok_s),
            kv_tok_memory_fs: 0,
            kv_tok_own_memory_fs: 0,
            windows_apart: false,
            host_step_fs: 0,
            host_seq_fs: 0,
            sampled: Work::default(),
            kv_tok: Work::default(),
            kv_tok_own_bytes: 0.0,
            in_window: Work::default(),
            pair: Work::default(),
            window_pair: Work::default(),
            knows_flop: false,
            speculation: None,
        }
        .with_seq_compute(round_fs(seq_s))
    }

    /// Charge compute time per decoding sequence by way of the token table and the prompt tokens: a step's
    /// tokens are n + p, so the table carries it for both and prompt tokens give it back.
    fn with_seq_compute(mut self, seq_fs: i64) -> Self {
        for (tokens, cost) in self.linear.iter_mut().enumerate() {
            cost.compute_fs += seq_fs * tokens as i64;
        }
        self.prompt_tok_compute_fs -= seq_fs;
        self
    }

    /// Coefficients of an iteration with n decoding sequences and p prompt tokens in `chunks` prompts.
    ///
    /// base = compute(n + p)·1/f + memory(n + p)/min(1, f/f_bw) + link + host; the per-token terms scale alike.
    /// A pure function of (n, p, chunks, clock), so that both engines build the same integers. Steps of the law
    /// must stay below [`LONGEST_STEP_S`].
    #[inline]
    pub fn coefficients(&self, n: u32, p: u32, chunks: u32, clock: &Clock) -> Coefficients {
        if let Some(speculation) = &self.speculation {
            return speculation.coefficients(self, n, p, chunks, clock);
        }
        let linear = &self.linear[(n + p) as usize];
        let sampled = i64::from(n + chunks);
        let mut compute = linear.compute_fs + sampled * self.sampled_compute_fs;
        let fixed = linear.link_fs + self.host_step_fs + sampled * self.host_seq_fs;
        if p > 0 {
            compute += self.prefill_compute_fs + i64::from(p) * self.prompt_tok_compute_fs;
        }
        if clock.keeps_pace() {
            return self.assemble(n, compute, linear.memory_fs, fixed, clock, |value, _| value);
        }
        self.assemble(n, compute, linear.memory_fs, fixed, clock, scale)
    }

    /// Coefficients of an iteration in which each decoding sequence has `verify_tok` tokens, all of them sampled, but for
    /// their attention to all of the context.
    pub(super) fn verifying(
        &self,
        n: u32,
        p: u32,
        chunks: u32,
        verify_tok: u32,
        clock: &Clock,
    ) -> Coefficients {
        let verified = n * verify_tok;
        let linear = &self.linear[(verified + p) as usize];
        let mut compute = linear.compute_fs + i64::from(verified + chunks) * self.sampled_compute_fs;
        let fixed = linear.link_fs + self.host_step_fs + i64::from(n + chunks) * self.host_seq_fs;
        if p > 0 {
            compute += self.prefill_compute_fs + i64::from(p) * self.prompt_tok_compute_fs;
        }
        Coefficients {
            window_tok_fs: self.window_tok_fs(verify_tok, clock),
            ..self.assemble(0, compute, linear.memory_fs, fixed, clock, scale)
        }
    }

    #[inline]
    fn assemble(
        &self,
        n: u32,
        compute_fs: i64,
        memory_fs: i64,
        fixed_fs: i64,
        clock: &Clock,
        scaled: impl Fn(i64, u64) -> i64,
    ) -> Coefficients {
        let kv_tok_fs = scaled(self.kv_tok_compute_fs, clock.slow_compute)
            .max(scaled(self.kv_tok_memory_fs, clock.slow_memory));
        Coefficients {
            // Each decoding sequence attends to its cache and to the token that it writes.
            base_fs: scaled(compute_fs, clock.slow_compute)
                + scaled(memory_fs, clock.slow_memory)
                + i64::from(n) * kv_tok_fs
                + fixed_fs,
            kv_tok_fs,
            pair_fs: scaled(self.pair_compute_fs, clock.slow_compute),
            ..self.windowed(clock)
        }
    }

    /// Time per token in the window of a decoding sequence of which a step has `verify_tok` tokens [fs].
    #[inline]
    fn window_tok_fs(&self, verify_tok: u32, clock: &Clock) -> i64 {
        let attended = i64::from(verify_tok);
        let read = if self.windows_apart { attended } else { 1 };
        scale(self.window_tok_compute_fs * attended, clock.slow_compute)
            .max(scale(self.window_tok_memory_fs * read, clock.slow_memory))
    }

    /// The coefficients of layers with a window; zeros without one.
    #[inline]
    fn windowed(&self, clock: &Clock) -> Coefficients {
        if self.window_tok.is_none() {
            return Coefficients::default();
        }
        Coefficients {
            window_tok_fs: self.window_tok_fs(1, clock),
            window_pair_fs: scale(self.window_pair_compute_fs, clock.slow_compute),
            ..Coefficients::default()
        }
    }

    /// What layers with a window see of a decoding sequence's context and of a prompt token's [tokens].
    #[inline]
    pub fn windows(&self) -> Option<(u32, u32)> {
        Some((self.window_tok?, self.prompt_window_tok?))
    }

    /// Σ min(context, window) where only the sum of contexts is known: as if all were equally long, n·min(S/n,
    /// window), which is never too little; 0 without a window.
    #[inline]
    pub fn even_window_tok(&self, n: f64, kv_tok: f64) -> f64 {
        self.window_tok.map_or(0.0, |window| kv_tok.min(n * f64::from(window)))
    }

    /// Pairs within a window where only the sums over prompts are known: as if all chunks were equally long and
    /// stood at the same place, at positions spread evenly around the mean pairs/p; 0 without a window.
    #[inline]
    pub fn even_window_pairs(&self, p: f64, chunks: f64, pairs: f64) -> f64 {
        let Some(window) = self.prompt_window_tok.map(f64::from) else { return 0.0 };
        if p <= 0.0 || chunks <= 0.0 {
            return 0.0;
        }
        let (mean, half) = (pairs / p, 0.5 * p / chunks);
        let (first, last) = (mean - half, mean + half);
        if last <= window {
            pairs
        } else if first >= window {
            p * window
        } else {
            // What lies beyond the window is a triangle over the last positions.
            p * (mean - 0.5 * (last - window) * (last - window) / (last - first))
        }
    }

    /// A bound on the duration of a step at a clock, with at most `max_seqs` sequences and `kv_tok` tokens in the
    /// cache [s].
    pub fn longest_s(&self, max_seqs: u32, kv_tok: f64, clock: &Clock) -> f64 {
        if let Some(speculation) = &self.speculation {
            return speculation.longest_s(self, max_seqs, kv_tok, clock);
        }
        let most = |of: fn(&LinearCost) -> i64| self.linear.iter().map(of).max().unwrap_or(0) as f64;
        let tokens = self.linear.len() as f64;
        let seqs = f64::from(max_seqs) + tokens;
        let window = self.window_tok.map_or(0.0, f64::from);
        let window_tok = kv_tok.min(f64::from(max_seqs) * window);
        let prompt_window = self.prompt_window_tok.map_or(0.0, f64::from);
        let compute = most(|c| c.compute_fs)
            + seqs * self.sampled_compute_fs as f64
            + self.prefill_compute_fs as f64
            + tokens * self.prompt_tok_compute_fs.max(0) as f64
            + kv_tok * self.kv_tok_compute_fs as f64
            + window_tok * self.window_tok_compute_fs as f64
            + tokens * prompt_window * self.window_pair_compute_fs as f64
            // Of one prompt that fills the cache, the last chunk.
            + tokens.min(kv_tok) * (kv_tok - 0.5 * tokens.min(kv_tok)) * self.pair_compute_fs as f64;
        let memory = most(|c| c.memory_fs)
            + kv_tok * self.kv_tok_memory_fs as f64
            + window_tok * self.window_tok_memory_fs as f64;
        let fixed = most(|c| c.link_fs) + self.host_step_fs as f64 + seqs * self.host_seq_fs as f64;
        let one = super::clock::ONE as f64;
        (compute * (clock.slow_compute as f64 / one) + memory * (clock.slow_memory as f64 / one) + fixed)
            * 1e-15
    }

    /// Real-valued step of a real-valued shape at a clock.
    pub fn fluid(&self, shape: &FluidShape, clock: &Clock) -> FluidStep {
        match &self.speculation {
            None => self.pass(shape, 1.0, clock),
            Some(speculation) => speculation.fluid(self, shape, clock),
        }
    }

    /// A pass of this law alone, in which each decoding sequence has `verify_tok` tokens, all of them sampled.
    pub(super) fn pass(&self, shape: &FluidShape, verify_tok: f64, clock: &Clock) -> FluidStep {
        let FluidShape { n, kv_tok, window_tok, p, chunks, pairs, window_pairs } = *shape;
        let one = super::clock::ONE as f64;
        let (slow_c, slow_m) = (clock.slow_compute as f64 / one, clock.slow_memory as f64 / one);
        let verified = n * verify_tok;
        let linear = self.linear_at(verified + p);
        let prompt = if p > 0.0 {
            self.prefill_compute_fs as f64 + p * self.prompt_tok_compute_fs as f64
        } else {
            0.0
        };
        let slower_of =
            |compute: f64, memory: f64| if compute > memory { (compute, 0.0) } else { (0.0, memory) };
        let slower = |attended: f64, read: f64, compute_fs: i64, memory_fs: i64| {
            slower_of(attended * (compute_fs as f64 * slow_c), read * (memory_fs as f64 * slow_m))
        };
        // With the tokens that each decoding sequence writes: all are read once, and attended to by those after them.
        let attended = verify_tok * kv_tok + n * (0.5 * verify_tok * (verify_tok + 1.0));
        let read = kv_tok + verified;
        let own_fs = self.kv_tok_own_memory_fs;
        let global = slower_of(
            attended * (self.kv_tok_compute_fs as f64 * slow_c),
            read * ((self.kv_tok_memory_fs - own_fs) as f64 * slow_m) + attended * (own_fs as f64 * slow_m),
        );
        let seen = verify_tok * window_tok;
        let seen_read = if self.windows_apart { seen } else { window_tok };
        let windowed = slower(seen, seen_read, self.window_tok_compute_fs, self.window_tok_memory_fs);
        let (attention_c, attention_m) = (global.0 + windowed.0, global.1 + windowed.1);
        let prompt_attention =
            pairs * self.pair_compute_fs as f64 + window_pairs * self.window_pair_compute_fs as f64;
        let compute = (linear.compute_fs
            + prompt
            + prompt_attention
            + (verified + chunks) * self.sampled_compute_fs as f64)
            * slow_c
            + attention_c;
        let memory = linear.memory_fs * slow_m + attention_m;
        let host = self.host_step_fs as f64 + (n + chunks) * self.host_seq_fs as f64;
        let total = compute + memory + linear.link_fs + host;
        let growth = (verified + p)
            * (linear.compute_slope_fs * slow_c + linear.memory_slope_fs * slow_m + linear.link_slope_fs)
            + (prompt + prompt_attention) * slow_c
            + (n + chunks) * (self.sampled_compute_fs as f64 * slow_c + self.host_seq_fs as f64)
            + (verified - n) * (self.sampled_compute_fs as f64 * slow_c)
            + attention_c
            + attention_m;
        let mut work = linear.work;
        work.add(&self.sampled, verified + chunks);
        work.add(&Work { bytes: 0.0, ..self.kv_tok }, attended);
        work.bytes += (self.kv_tok.bytes - self.kv_tok_own_bytes) * read + self.kv_tok_own_bytes * attended;
        work.add(&Work { bytes: 0.0, ..self.in_window }, seen);
        work.bytes += self.in_window.bytes * seen_read;
        work.add(&self.pair, pairs);
        work.add(&self.window_pair, window_pairs);
        let fs = 1.0 / FS_PER_S as f64;
        FluidStep {
            parts: Breakdown {
                compute_s: compute * fs,
                memory_s: memory * fs,
                link_s: linear.link_fs * fs,
                host_s: host * fs,
                batch_elasticity: if total > 0.0 { growth / total } else { 0.0 },
            },
            work,
        }
    }

    /// What watts depend on, at a power state's bucket centres and full clock: [`StepLaw::at_state`] without what
    /// only causes need.
    #[inline(always)]
    pub fn activity(&self, state: &PowerState) -> Activity {
        if self.speculation.is_some() {
            return Activity::from(&self.at_state(state, &Clock::FULL));
        }
        let linear = &self.linear[(state.n + state.p) as usize];
        let sampled = f64::from(state.n + state.chunks);
        let mut fs = linear.compute_fs as f64
            + linear.memory_fs as f64
            + linear.link_fs as f64
            + self.host_step_fs as f64
            + sampled * (self.sampled_compute_fs as f64 + self.host_seq_fs as f64);
        let mut peak_s = linear.peak_s + sampled * self.sampled.peak_s;
        let mut bytes = linear.bytes + sampled * self.sampled.bytes;
        if state.n > 0 {
            let kv_tok = bucket::centre(state.kv_bucket);
            let attended = kv_tok + f64::from(state.n);
            fs += attended * self.kv_tok_compute_fs.max(self.kv_tok_memory_fs) as f64;
            peak_s += attended * self.kv_tok.peak_s;
            bytes += attended * self.kv_tok.bytes;
            if self.window_tok.is_some() {
                let tok = self.even_window_tok(f64::from(state.n), kv_tok);
                fs += tok * self.window_tok_compute_fs.max(self.window_tok_memory_fs) as f64;
                peak_s += tok * self.in_window.peak_s;
                bytes += tok * self.in_window.bytes;
            }
        }
        if state.p > 0 {
            let p = f64::from(state.p);
            let pairs = p * bucket::centre(state.prefill_bucket);
            fs += self.prefill_compute_fs as f64
                + p * self.prompt_tok_compute_fs as f64
                + pairs * self.pair_compute_fs as f64;
            peak_s += pairs * self.pair.peak_s;
            bytes += pairs * self.pair.bytes;
            if self.window_tok.is_some() {
                let inside = self.even_window_pairs(p, f64::from(state.chunks), pairs);
                fs += inside * self.window_pair_compute_fs as f64;
                peak_s += inside * self.window_pair.peak_s;
                bytes += inside * self.window_pair.bytes;
            }
        }
        Activity { step_s: fs * (1.0 / FS_PER_S as f64), peak_s, bytes }
    }

    /// The step at a power state's bucket centres; what is inside windows follows from them, evenly.
    pub fn at_state(&self, state: &PowerState, clock: &Clock) -> FluidStep {
        let (n, p, chunks) = (f64::from(state.n), f64::from(state.p), f64::from(state.chunks));
        let kv_tok = if state.n == 0 { 0.0 } else { bucket::centre(state.kv_bucket) };
        let pairs = p * bucket::centre(state.prefill_bucket);
        let (window_tok, window_pairs) =
            (self.even_window_tok(n, kv_tok), self.even_window_pairs(p, chunks, pairs));
        self.fluid(&FluidShape { n, kv_tok, window_tok, p, chunks, pairs, window_pairs }, clock)
    }

    /// Table values and slopes at a real token count.
    fn linear_at(&self, tokens: f64) -> LinearAt {
        let last = self.linear.len() - 1;
        let below = (tokens.max(0.0).floor() as usize).min(last.saturating_sub(1));
        let (lo, hi) = (&self.linear[below], &self.linear[(below + 1).min(last)]);
        let part = tokens - below as f64;
        let mix = |f: fn(&LinearCost) -> f64| f(lo) + (f(hi) - f(lo)) * part;
        let slope = |f: fn(&LinearCost) -> i64| (f(hi) - f(lo)) as f64;
        LinearAt {
            compute_fs: mix(|c| c.compute_fs as f64),
            memory_fs: mix(|c| c.memory_fs as f64),
            link_fs: mix(|c| c.link_fs as f64),
            work: Work { flop: mix(|c| c.flop), peak_s: mix(|c| c.peak_s), bytes: mix(|c| c.bytes) },
            compute_slope_fs: slope(|c| c.compute_fs),
            memory_slope_fs: slope(|c| c.memory_fs),
            link_slope_fs: slope(|c| c.link_fs),
        }
    }
}

/// The table of linear costs at a real token count, and its slopes per token.
struct LinearAt {
    compute_fs: f64,
    memory_fs: f64,
    link_fs: f64,
    work: Work,
    compute_slope_fs: f64,
    memory_slope_fs: f64,
    link_slope_fs: f64,
}

fn round_fs(seconds: f64) -> i64 {
    i64::try_from(fs_from_s(seconds)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::clock::ClockLaw;

    /// 1,000 + 10 per prompt token + 3 per token in the cache + 50 per token in a window of 4 + 7 per pair in it.
    fn windowed() -> StepLaw {
        StepLaw {
            window_tok: Some(4),
            prompt_window_tok: Some(4),
            window_tok_compute_fs: 20,
            window_tok_memory_fs: 50,
            window_pair_compute_fs: 7,
            ..StepLaw::affine(1e-12, 0.0, 1e-14, 0.0, 3e-15, 64)
        }
    }

    #[test]
    fn a_window_worked_by_hand() {
        let law = windowed();
        // Contexts 2 and 9, and the two tokens that they write; a chunk of 5 after 2 tokens: positions 3 to 7 see 3, 4,
        // 4, 4, 4.
        let shape = Shape { n: 2, kv_tok: 11, window_tok: 6, p: 5, chunks: 1, pairs: 25, window_pairs: 19 };
        let full = law.coefficients(2, 5, 1, &Clock::FULL);
        assert_eq!((full.base_fs, full.kv_tok_fs, full.window_tok_fs, full.window_pair_fs), (1056, 3, 50, 7));
        assert_eq!(full.duration_fs(&shape), 1056 + 33 + 300 + 133);
        // Next: contexts 3 and 10, positions 8 to 12 see 4 each.
        let next = Shape { kv_tok: 13, window_tok: 7, pairs: 50, window_pairs: 20, ..shape };
        assert_eq!(full.duration_fs(&next), 1056 + 39 + 350 + 140);
        let growth = Growth { kv_tok: 2, window_tok: 1, pairs: 25, window_pairs: 1 };
        assert_eq!(full.increment_fs(&growth), full.duration_fs(&next) - full.duration_fs(&shape));
        // At a third of the clock the arithmetic takes 60 per token in the window, the memory, whose knee is lower, 50.
        let clock = Clock::at(1.0 / 3.0, &ClockLaw { exponent: 1.0, min_share: 0.1, memory_knee: 0.3 });
        let slow = law.coefficients(2, 5, 1, &clock);
        assert_eq!((slow.window_tok_fs, slow.window_pair_fs), (60, 21));
        let none = StepLaw { window_tok: None, ..law };
        assert_eq!(none.coefficients(2, 5, 1, &Clock::FULL).duration_fs(&shape), 1056 + 33);
    }

    /// Where all sequences, or all chunks, are alike, the even estimates are the sums they stand for.
    #[test]
    fn even_windows_are_exact_for_equal_sequences() {
        let law = windowed();
        for context in 0..12_u32 {
            let sum = f64::from(3 * context.min(4));
            assert_eq!(law.even_window_tok(3.0, f64::from(3 * context)), sum);
            for chunk in 1..12_u32 {
                let positions = context + 1..=context + chunk;
                let pairs: u32 = positions.clone().sum();
                let inside: u32 = positions.map(|position| position.min(4)).sum();
                let got = law.even_window_pairs(f64::from(2 * chunk), 2.0, f64::from(2 * pairs));
                // The window's edge is a corner between positions that are taken for continuous: an eighth each.
                let off = got - 2.0 * f64::from(inside);
                assert!((-0.2501..1e-9).contains(&off), "{chunk} after {context}: {off}");
            }
        }
        assert_eq!(StepLaw { window_tok: None, ..windowed() }.even_window_tok(3.0, 30.0), 0.0);
    }
}
