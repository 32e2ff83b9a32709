//! Watts of one replica: by what its GPUs do, by its tokens or by its state, and as a function of its clock.

use super::clock::{Clock, ClockLaw, scale};
use super::power::GpuPower;
use super::step::{Activity, PowerState, StepLaw};

/// Watts of a replica as a function of its clock: `fixed + swing·gain(clock)`, at the wall and at the GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Draw {
    /// Wall watts that do not depend on the clock [nW].
    pub fixed_nw: i64,
    /// Wall watts at full clock on top of it [nW].
    pub swing_nw: i64,
    /// GPU watts that do not depend on the clock [nW].
    pub gpu_fixed_nw: i64,
    /// GPU watts at full clock on top of it [nW].
    pub gpu_swing_nw: i64,
}

impl Draw {
    /// Wall watts at a clock [nW].
    #[inline]
    pub fn it_nw(&self, clock: &Clock) -> i64 {
        self.fixed_nw + scale(self.swing_nw, clock.gain)
    }

    /// GPU watts at a clock [nW].
    #[inline]
    pub fn gpu_nw(&self, clock: &Clock) -> i64 {
        self.gpu_fixed_nw + scale(self.gpu_swing_nw, clock.gain)
    }
}

/// Where the watts of a working replica come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PowerSource {
    /// The GPU's activity.
    Activity {
        /// Watts by utilisation.
        gpu: GpuPower,
        /// Peak HBM bandwidth [byte/s].
        hbm_byte_s: f64,
    },
    /// Node joules per processed token.
    PerToken {
        /// [J]
        it_j_per_tok: f64,
    },
    /// Node watts by what the replica does.
    PerState {
        /// Without work [W].
        idle_w: f64,
        /// Working [W].
        base_w: f64,
        /// Per running sequence [W].
        per_seq_w: f64,
    },
}

/// Watts of a replica, its share of the node included: wall = overhead + factor·ΣGPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// Where the watts come from.
    pub source: PowerSource,
    /// GPUs of the replica.
    pub gpus: u32,
    /// The replica's share of the node's constant power [W].
    pub node_overhead_w: f64,
    /// Wall watts per GPU watt (fans, conversion).
    pub node_factor: f64,
    /// Answer to the clock.
    pub clock: ClockLaw,
    /// Limit set on each GPU [W].
    pub gpu_cap_w: Option<f64>,
}

impl PowerLaw {
    /// Draw of a replica without work.
    pub fn idle(&self) -> Draw {
        match self.source {
            PowerSource::Activity { gpu, .. } => self.by_gpu_w(gpu.idle_loaded_w, gpu.idle_loaded_w),
            PowerSource::PerToken { .. } => self.by_wall_w(0.0, 0.0),
            PowerSource::PerState { idle_w, .. } => self.by_wall_w(idle_w, idle_w),
        }
    }

    /// Draw of a replica in a power state.
    #[inline(always)]
    pub fn at_state(&self, law: &StepLaw, state: &PowerState) -> Draw {
        let (tokens, seqs) = (f64::from(state.n + state.p), f64::from(state.n + state.chunks));
        self.at_step(&law.activity(state), tokens, seqs)
    }

    /// Draw in a step that processes `tokens` tokens for `seqs` sequences.
    #[inline(always)]
    pub fn at_step(&self, step: &Activity, tokens: f64, seqs: f64) -> Draw {
        let seconds = step.step_s.max(1e-15);
        match self.source {
            PowerSource::Activity { gpu, hbm_byte_s } => {
                let mbu = step.bytes / (seconds * hbm_byte_s);
                let mfu = step.peak_s / seconds;
                self.by_gpu_w(gpu.idle_loaded_w, gpu.natural_w(mbu, mfu))
            }
            PowerSource::PerToken { it_j_per_tok } => self.by_wall_w(0.0, it_j_per_tok * tokens / seconds),
            PowerSource::PerState { idle_w, base_w, per_seq_w } => {
                self.by_wall_w(idle_w, base_w + per_seq_w * seqs)
            }
        }
    }

    /// The most that a replica draws: its GPUs at their TDP; watts by state, at `max_seqs` sequences; by token, in the
    /// step with the most tokens per second, contexts empty.
    pub fn nameplate(&self, law: &StepLaw, max_seqs: u32, max_step_tok: u32) -> Draw {
        if let PowerSource::Activity { gpu, .. } = self.source {
            return self.by_gpu_w(gpu.idle_loaded_w, gpu.tdp_w);
        }
        let n = max_seqs.min(max_step_tok);
        // Tokens over seconds that are linear in n and p: the most is at a corner.
        let corners = [(n, 0), (n, max_step_tok - n), (0, max_step_tok)];
        let draws = corners.into_iter().filter(|(n, p)| n + p > 0).map(|(n, p)| {
            let chunks = u32::from(p > 0);
            self.at_state(law, &PowerState { n, p, chunks, ..PowerState::default() })
        });
        let most = |a: Draw, b: Draw| {
            if b.fixed_nw + b.swing_nw > a.fixed_nw + a.swing_nw { b } else { a }
        };
        draws.fold(self.idle(), most)
    }

    /// The clock that a limit on each GPU allows for a draw (full when there is none or it does not bind).
    pub fn local_share(&self, draw: &Draw) -> f64 {
        self.gpu_cap_w.map_or(1.0, |cap_w| self.share_within(draw, cap_w))
    }

    /// The clock at which each GPU stays within `cap_w` for a draw.
    pub fn share_within(&self, draw: &Draw, cap_w: f64) -> f64 {
        let cap_nw = cap_w * 1e9 * f64::from(self.gpus);
        let (fixed, swing) = (draw.gpu_fixed_nw as f64, draw.gpu_swing_nw as f64);
        if fixed + swing <= cap_nw || swing <= 0.0 {
            return 1.0;
        }
        ((cap_nw - fixed).max(0.0) / swing).powf(1.0 / self.clock.exponent)
    }

    fn by_gpu_w(&self, idle_w: f64, full_w: f64) -> Draw {
        let gpus = f64::from(self.gpus);
        let (idle, swing) = (idle_w * gpus, (full_w - idle_w).max(0.0) * gpus);
        Draw {
            fixed_nw: nw(self.node_overhead_w + self.node_factor * idle),
            swing_nw: nw(self.node_factor * swing),
            gpu_fixed_nw: nw(idle),
            gpu_swing_nw: nw(swing),
        }
    }

    /// From wall watts: what the GPUs draw follows from the node's law read backwards.
    fn by_wall_w(&self, idle_w: f64, full_w: f64) -> Draw {
        let swing = (full_w - idle_w).max(0.0);
        let fixed = full_w.min(idle_w);
        Draw {
            fixed_nw: nw(fixed),
            swing_nw: nw(swing),
            gpu_fixed_nw: nw(((fixed - self.node_overhead_w) / self.node_factor).max(0.0)),
            gpu_swing_nw: nw(swing / self.node_factor),
        }
    }
}

/// Watts ≥ 0 in whole nanowatts.
fn nw(watts: f64) -> i64 {
    // The cast rounds down and saturates; rounding to even through libm takes ten times as long.
    (watts * 1e9 + 0.5) as i64
}
