//! A closed loop in its mean field: what a row's GPUs do in the average step, without simulating it.
//!
//! n sequences with outputs of mean length m and prompts of q tokens: λ = n/m requests end in a step, and as many come.
//! A share 1 − e^(−λ) of the steps holds prompts, λ over that share at a time. A sequence in flight has emitted
//! E[L²]/2E[L] tokens on average.

use crate::physics::roofline::{RooflineParams, RooflineStep};
use crate::physics::step::FluidShape;

/// What the loop is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Loop {
    /// Sequences in flight on one replica.
    pub seqs: f64,
    /// Prompt of each [tokens].
    pub prompt_tok: f64,
    /// Mean output [tokens].
    pub output_tok: f64,
    /// Mean of what a sequence in flight has emitted [tokens].
    pub age_tok: f64,
}

/// The mean step, and the step without prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct MeanStep {
    /// Over all steps.
    pub mean: RooflineStep,
    /// Of a step that only decodes: the median one where prompts are rare [s].
    pub decode_s: f64,
}

impl Loop {
    /// Its mean step on a replica at full clock.
    pub(super) fn mean_step(&self, params: &RooflineParams) -> MeanStep {
        self.slow_mean_step(params, 1.0, 1.0)
    }

    /// The same where arithmetic and memory take so many times as long.
    pub(super) fn slow_mean_step(
        &self,
        params: &RooflineParams,
        slow_compute: f64,
        slow_memory: f64,
    ) -> MeanStep {
        let Self { seqs, prompt_tok, output_tok, age_tok } = *self;
        let context = prompt_tok + age_tok;
        let window = params.attention.window_tok.map_or(0.0, f64::from);
        let prompt_window = params.attention.prompt_window_tok.map_or(0.0, f64::from);
        let with = |n: f64, prompts: f64| {
            let first = prompt_tok.min(prompt_window);
            // Positions 1 to q see themselves and what is before them, within the window at most that.
            let pairs = 0.5 * prompt_tok * (prompt_tok + 1.0);
            let window_pairs = 0.5 * first * (first + 1.0) + (prompt_tok - first) * prompt_window;
            let shape = FluidShape {
                n,
                kv_tok: n * context,
                window_tok: n * context.min(window),
                p: prompts * prompt_tok,
                chunks: prompts,
                pairs: prompts * pairs,
                window_pairs: if prompt_window > 0.0 { prompts * window_pairs } else { 0.0 },
            };
            params.slow_step(&shape, slow_compute, slow_memory)
        };
        let arrivals = seqs / output_tok.max(1.0);
        let share = -(-arrivals).exp_m1();
        let at_a_time = arrivals / share;
        let decode = with(seqs, 0.0);
        let mixed = with((seqs - at_a_time).max(0.0), at_a_time);
        let mean = |of: fn(&RooflineStep) -> f64| of(&decode) * (1.0 - share) + of(&mixed) * share;
        MeanStep {
            mean: RooflineStep {
                step_s: mean(|s| s.step_s),
                peak_s: mean(|s| s.peak_s),
                bytes: mean(|s| s.bytes),
            },
            decode_s: decode.step_s,
        }
    }
}
