//! Speculative decoding: a draft proposes tokens, one step of the target verifies them, and those accepted are emitted.
//!
//! A proposed token is accepted with probability α, the first that is not is replaced by the target's own, and after
//! k accepted ones the target adds another: a step emits (1 − α^(k+1))/(1 − α) = 1 + α + … + α^k tokens on average
//! (Leviathan, Kalman, Matias 2023, eq. 1). Verification keeps the target's distribution (theorem 3.5 there), so it costs no
//! quality.
//!
//! ```text
//! t = target(n·(k+1) + p tokens, contexts read once) + draft(n + p tokens) + (k − 1)·draft(n tokens)
//! ```
//!
//! Read once are caches, sliding windows and the keys of indexers; scores, and the best tokens that sparse attention gathers,
//! each token has its own of (as kernels do it, even where neighbours choose the same). Of windows that are not full yet,
//! tokens proposed in the step itself are left out.
//!
//! The draft's first pass of a step also processes the chunks of prompts, whose context it needs as well.

use super::clock::{Clock, scale};
use super::step::{Coefficients, FluidShape, FluidStep, StepLaw};

/// Mean tokens of a step of a sequence that has `draft_tok` tokens proposed, each accepted with a probability.
#[must_use]
pub fn mean_tok(acceptance: f64, draft_tok: u32) -> f64 {
    // The sum is exact at both ends, where the closed form is 0/0 or cancels.
    (0..draft_tok).fold(1.0, |sum, _| 1.0 + acceptance * sum)
}

/// Steps that a sequence needs for `to_go` tokens at `mean_tok` tokens a step on average: a whole number, at least 1.
/// Each of them emits ⌊tokens to go / steps to go⌋ tokens.
#[must_use]
pub fn steps(to_go: u32, mean_tok: f64) -> u32 {
    ((f64::from(to_go) / mean_tok).ceil() as u32).max(1)
}

/// What speculation adds to the step of a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Speculation {
    /// Tokens proposed per sequence and step, k ≥ 1.
    pub draft_tok: u32,
    /// Step of the draft: one pass over all sequences.
    pub draft: StepLaw,
}

impl Speculation {
    /// Tokens that the target processes per decoding sequence and step: those proposed, and the one before them.
    #[inline]
    #[must_use]
    pub fn verify_tok(&self) -> u32 {
        self.draft_tok + 1
    }

    /// As [`StepLaw::coefficients`], of target and draft together.
    pub(super) fn coefficients(
        &self,
        target: &StepLaw,
        n: u32,
        p: u32,
        chunks: u32,
        clock: &Clock,
    ) -> Coefficients {
        let (passes, verify) = (i64::from(self.draft_tok), i64::from(self.verify_tok()));
        let seqs = i64::from(n);
        let mut sum = target.verifying(n, p, chunks, self.verify_tok(), clock);
        // One read of the cache serves all tokens of a sequence, but for what each moves for itself; token i of those
        // verified attends to i of them.
        let own_fs = target.kv_tok_own_memory_fs;
        let (compute_fs, shared_fs) = (target.kv_tok_compute_fs, target.kv_tok_memory_fs - own_fs);
        let slower = |attended: i64, read: i64| {
            let memory_fs = shared_fs * read + own_fs * attended;
            scale(compute_fs * attended, clock.slow_compute).max(scale(memory_fs, clock.slow_memory))
        };
        sum.kv_tok_fs = slower(verify, 1);
        sum.base_fs += seqs * slower(verify * (verify + 1) / 2, verify);
        let first = self.draft.coefficients(n, p, chunks, clock);
        sum.base_fs += first.base_fs;
        sum.kv_tok_fs += first.kv_tok_fs;
        sum.window_tok_fs += first.window_tok_fs;
        sum.pair_fs += first.pair_fs;
        sum.window_pair_fs += first.window_pair_fs;
        if n > 0 && passes > 1 {
            let further = self.draft.coefficients(n, 0, 0, clock);
            // Pass j also attends to the j − 1 tokens proposed before.
            let proposed = seqs * (passes - 1) * passes / 2;
            sum.base_fs += (passes - 1) * further.base_fs + proposed * further.kv_tok_fs;
            sum.kv_tok_fs += (passes - 1) * further.kv_tok_fs;
            sum.window_tok_fs += (passes - 1) * further.window_tok_fs;
        }
        sum
    }

    /// As [`StepLaw::fluid`], of target and draft together.
    pub(super) fn fluid(&self, target: &StepLaw, shape: &FluidShape, clock: &Clock) -> FluidStep {
        let mut sum = target.pass(shape, f64::from(self.verify_tok()), clock);
        sum.add(&self.draft.pass(shape, 1.0, clock), 1.0);
        let more = f64::from(self.draft_tok) - 1.0;
        if shape.n > 0.0 && more > 0.0 {
            // On average, they attend to half of the proposed tokens.
            let kv_tok = shape.kv_tok + 0.5 * f64::from(self.draft_tok) * shape.n;
            let window_tok = shape.window_tok;
            let further = FluidShape { n: shape.n, kv_tok, window_tok, ..FluidShape::default() };
            sum.add(&self.draft.pass(&further, 1.0, clock), more);
        }
        sum
    }

    /// As [`StepLaw::longest_s`], of target and draft together.
    pub(super) fn longest_s(&self, target: &StepLaw, max_seqs: u32, kv_tok: f64, clock: &Clock) -> f64 {
        let verify = self.verify_tok();
        let seqs = f64::from(max_seqs);
        let times = |one_fs: i64| one_fs.saturating_mul(verify.into());
        let target = StepLaw {
            kv_tok_compute_fs: times(target.kv_tok_compute_fs),
            kv_tok_memory_fs: target.kv_tok_memory_fs.saturating_add(times(target.kv_tok_own_memory_fs)),
            window_tok_compute_fs: times(target.window_tok_compute_fs),
            window_tok_memory_fs: times(target.window_tok_memory_fs),
            speculation: None,
            ..target.clone()
        };
        let verified_s =
            target.longest_s(max_seqs.saturating_mul(verify), kv_tok + seqs * f64::from(verify), clock);
        let draft_tok = f64::from(self.draft_tok);
        verified_s + draft_tok * self.draft.longest_s(max_seqs, kv_tok + seqs * draft_tok, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::clock::ClockLaw;
    use crate::physics::step::Shape;

    #[test]
    fn mean_tokens_are_leviathans() {
        for draft_tok in 1..=8 {
            assert_eq!(mean_tok(0.0, draft_tok), 1.0);
            assert_eq!(mean_tok(1.0, draft_tok), f64::from(draft_tok + 1));
            for acceptance in [0.1_f64, 0.5, 0.8, 0.99] {
                let closed = (1.0 - acceptance.powi(draft_tok as i32 + 1)) / (1.0 - acceptance);
                assert!((mean_tok(acceptance, draft_tok) / closed - 1.0).abs() < 1e-12);
            }
        }
        // One proposed token, accepted 85 to 90 times in 100: 1.85 to 1.9 tokens a step, as DeepSeek-V3 says of its 1.8
        // times as many tokens per second.
        assert_eq!(mean_tok(0.85, 1), 1.85);
    }

    /// ⌊tokens to go / steps to go⌋ emits each token once, and never more in a step than it can yield.
    #[test]
    fn steps_emit_all_tokens() {
        for draft_tok in 1..=8_u32 {
            for acceptance in [0.0, 0.3, 0.8, 0.97, 1.0] {
                let mean = mean_tok(acceptance, draft_tok);
                for to_go in 1..200_u32 {
                    let steps = steps(to_go, mean);
                    assert!(
                        f64::from(steps) >= f64::from(to_go) / mean
                            && f64::from(steps - 1) * mean < f64::from(to_go)
                    );
                    let mut left = to_go;
                    for to_come in (1..=steps).rev() {
                        let tok = left / to_come;
                        assert!((1..=draft_tok + 1).contains(&tok), "{tok} of {to_go} at {mean}");
                        left -= tok;
                    }
                    assert_eq!(left, 0);
                }
            }
        }
    }

    /// Compute of 1,000 fs per token beside 10^9 of the weights, 300 fs of memory and 100 of compute per token in the cache.
    fn law(weights_fs: i64, memory_fs: i64, compute_fs: i64) -> StepLaw {
        let mut law = StepLaw::affine(0.0, 0.0, 0.0, 0.0, 0.0, 64);
        for (tokens, cost) in law.linear.iter_mut().enumerate() {
            cost.memory_fs = weights_fs;
            cost.compute_fs = 1000 * tokens as i64;
        }
        (law.kv_tok_memory_fs, law.kv_tok_compute_fs) = (memory_fs, compute_fs);
        law.sampled_compute_fs = 7;
        law.host_seq_fs = 11;
        law
    }

    #[test]
    fn a_step_worked_by_hand() {
        let draft = law(10_000, 20, 1);
        let target = law(1_000_000, 300, 100);
        let speculation = Some(Box::new(Speculation { draft_tok: 3, draft }));
        let target = StepLaw { speculation, ..target };
        // Two sequences with 30 tokens in the cache, beside a chunk of 5 tokens.
        let shape = Shape { n: 2, kv_tok: 30, p: 5, chunks: 1, pairs: 15, ..Shape::default() };
        // Verified: 2·4 + 5 = 13 tokens, 2·4 + 1 sampled, 3 running; 30 tokens in the cache at max(4·100, 300); per sequence
        // the four tokens attend to 1 + 2 + 3 + 4, and read 4: max(1000, 1200).
        let verified = 1_000_000 + 13_000 + 9 * 7 + 3 * 11 + 30 * 400 + 2 * 1200;
        // Drafted: 7 tokens with the prompt, then twice 2; the second and third pass attend to 1 and 2 tokens more.
        let first = 10_000 + 7000 + 3 * (7 + 11) + (30 + 2) * 20;
        let second = 10_000 + 2000 + 2 * (7 + 11) + (30 + 2 + 2) * 20;
        let third = second + 2 * 20;
        let got = target.coefficients(2, 5, 1, &Clock::FULL).duration_fs(&shape);
        assert_eq!(got, verified + first + second + third);
        // The real-valued step takes as long where the same of arithmetic and memory is slower throughout.
        let real =
            FluidShape { n: 2.0, kv_tok: 30.0, p: 5.0, chunks: 1.0, pairs: 15.0, ..FluidShape::default() };
        let fluid_s = target.fluid(&real, &Clock::FULL).parts.total_s();
        let pooled = 30 * 400 + 2 * 1000;
        let expected = verified - (30 * 400 + 2 * 1200) + pooled + first + second + third;
        assert!((fluid_s * 1e15 / expected as f64 - 1.0).abs() < 1e-12);
        // A prompt alone is processed by both, once.
        let alone = Shape { p: 5, chunks: 1, pairs: 15, ..Shape::default() };
        let got = target.coefficients(0, 5, 1, &Clock::FULL).duration_fs(&alone);
        assert_eq!(got, 1_000_000 + 5000 + 7 + 11 + 10_000 + 5000 + 7 + 11);
    }

    /// 40 fs of the 300 are scores, one for each token verified; each gathers its own of a window, or all share a window.
    #[test]
    fn keys_are_shared_and_scores_are_not() {
        for (windows_apart, window_fs) in [(true, 3 * 50), (false, 3 * 20)] {
            let windows = |law: StepLaw, compute_fs, memory_fs| StepLaw {
                window_tok: Some(8),
                prompt_window_tok: Some(8),
                window_tok_compute_fs: compute_fs,
                window_tok_memory_fs: memory_fs,
                windows_apart,
                kv_tok_own_memory_fs: 40,
                ..law
            };
            let draft = windows(law(10_000, 100, 1), 2, 5);
            let speculation = Some(Box::new(Speculation { draft_tok: 2, draft }));
            let target = StepLaw { speculation, ..windows(law(1_000_000, 300, 100), 20, 50) };
            // Two sequences, 5 and 25 tokens in the cache, of which 5 and 8 in the window.
            let shape = Shape { n: 2, kv_tok: 30, window_tok: 13, ..Shape::default() };
            // Three tokens each: keys of 260 once and three scores of 40 are more than arithmetic of 300; the tokens of the
            // step: 1 + 2 + 3 scores and 3 keys.
            let verified = 1_000_000 + 6000 + 6 * 7 + 2 * 11 + 30 * (260 + 120) + 2 * (3 * 260 + 6 * 40);
            let first = 10_000 + 2000 + 2 * 18 + (30 + 2) * 100 + 13 * 5;
            let got = target.coefficients(2, 0, 0, &Clock::FULL).duration_fs(&shape);
            assert_eq!(got, verified + 13 * window_fs + first + first + 2 * 100);
            let real = FluidShape { n: 2.0, kv_tok: 30.0, window_tok: 13.0, ..FluidShape::default() };
            let fluid_s = target.fluid(&real, &Clock::FULL).parts.total_s();
            assert!((fluid_s * 1e15 / got as f64 - 1.0).abs() < 1e-12, "{fluid_s} {got}");
        }
    }

    #[test]
    fn no_step_is_longer_than_the_longest() {
        let target = StepLaw {
            speculation: Some(Box::new(Speculation { draft_tok: 4, draft: law(10_000, 20, 30) })),
            kv_tok_own_memory_fs: 250,
            window_tok: Some(30),
            prompt_window_tok: Some(30),
            window_tok_compute_fs: 2000,
            window_tok_memory_fs: 3000,
            windows_apart: true,
            ..law(1_000_000, 300, 100)
        };
        let clock = Clock::at(0.4, &ClockLaw { exponent: 2.0, min_share: 0.3, memory_knee: 0.5 });
        for clock in [Clock::FULL, clock] {
            let longest_s = target.longest_s(12, 500.0, &clock);
            for n in 0..=12_u32 {
                for p in (0..=64 - 5 * n).filter(|p| n + p > 0) {
                    let chunks = p.min(3);
                    let (kv_tok, window_tok) = if n > 0 { (500, i64::from(n) * 30) } else { (0, 0) };
                    let shape = Shape { n, kv_tok, window_tok, p, chunks, ..Shape::default() };
                    let step_fs = target.coefficients(n, p, chunks, &clock).duration_fs(&shape);
                    assert!(step_fs as f64 * 1e-15 <= longest_s);
                }
            }
        }
    }
}
