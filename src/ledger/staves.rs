//! Staves and the Token Production Function: what each limit alone would allow, from the physics and the
//! offered mix (PHYSICS D3, D4); nothing here reads what the run produced.

use super::outcome::Staves;
use crate::fleet::{Fleet, Pool};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::physics::step::{Activity, FluidShape, FluidStep};

/// Mean tokens of the requests offered to a pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// E[prompt].
    pub prompt_tok: f64,
    /// E[output].
    pub output_tok: f64,
    /// E[prompt·output].
    pub prompt_output: f64,
    /// E[output²].
    pub output_sq: f64,
    /// E[prompt²].
    pub prompt_sq: f64,
    /// Tightest TPOT limit [s].
    pub tpot_s: Option<f64>,
}

/// A pool at its largest feasible batch b*.
#[derive(Debug, Clone)]
pub struct PoolStaves {
    /// Sequences in flight per replica, prefill included.
    pub batch: f64,
    /// What limits b*.
    pub limit: &'static str,
    /// Rates at full clock over all replicas [tok/s].
    pub compute: f64,
    /// None where the law knows no bytes.
    pub memory_bandwidth: Option<f64>,
    /// Full step time.
    pub kv_capacity: f64,
    /// FLOP per output token, all GPUs of a replica; none where the law knows none.
    pub c_tok_flop: Option<f64>,
    /// Watts of a replica at b*.
    pub draw: Draw,
    /// Watts of a replica without work.
    pub idle: Draw,
    replicas: f64,
    mix: Mix,
}

/// Steady step of a replica with `b` sequences in flight. A request is in flight for the step that ends its prefill and
/// emits its first token, and for those of its other tokens: as many as these, with speculation fewer.
fn steady_step(pool: &Pool, mix: &Mix, b: f64, clock: &Clock) -> (FluidStep, f64) {
    let finishing = b / stay(pool, mix);
    let n = b - finishing;
    let p = finishing * mix.prompt_tok;
    // Mean context of a decoding sequence over its life.
    let context = (mix.prompt_output + 0.5 * mix.output_sq) / mix.output_tok;
    let pairs = finishing * 0.5 * (mix.prompt_sq + mix.prompt_tok);
    let shape = FluidShape {
        n,
        kv_tok: n * context,
        window_tok: pool.step.even_window_tok(n, n * context),
        p,
        chunks: finishing,
        pairs,
        window_pairs: pool.step.even_window_pairs(p, finishing, pairs),
    };
    (pool.step.fluid(&shape, clock), n * f64::from(pool.tok_per_seq) + p)
}

/// Mean steps that a request is in flight.
fn stay(pool: &Pool, mix: &Mix) -> f64 {
    match &pool.speculation {
        None => mix.output_tok,
        // Acceptance is drawn apart from lengths; that steps are whole only makes them more.
        Some(speculation) => 1.0 + (mix.output_tok - 1.0) * speculation.step_per_tok,
    }
}

/// Tokens that a steady step emits with `b` sequences in flight.
fn step_tok(pool: &Pool, mix: &Mix, b: f64) -> f64 {
    if pool.speculation.is_some() { b / stay(pool, mix) * mix.output_tok } else { b }
}

impl PoolStaves {
    /// Staves of a pool for a mix.
    pub fn new(pool: &Pool, mix: Mix) -> Self {
        let context = (mix.prompt_output + 0.5 * mix.output_sq) / mix.output_tok;
        // Blocks are held for whole prompts and rounded up: half a block each on average.
        let blocks = context / f64::from(pool.block_tok) + 0.5;
        let kv = pool.kv_blocks as f64 / blocks;
        let each = f64::from(pool.tok_per_seq);
        let tokens = f64::from(pool.max_step_tok) / (each + (mix.prompt_tok - each) / stay(pool, &mix));
        let mut batch = f64::from(pool.max_seqs);
        let mut limit = "slots";
        for (bound, name) in [(kv, "kv"), (tokens, "step_tokens")] {
            if bound < batch {
                (batch, limit) = (bound, name);
            }
        }
        batch = batch.max(1.0);
        if let Some(tpot_s) = mix.tpot_s {
            let per_tok = pool.speculation.as_ref().map_or(1.0, |speculation| speculation.step_per_tok);
            let time = |b: f64| steady_step(pool, &mix, b, &Clock::FULL).0.parts.total_s() * per_tok;
            if time(batch) > tpot_s {
                limit = "tpot";
                let (mut low, mut high) = (1.0, batch);
                for _ in 0..60 {
                    let middle = 0.5 * (low + high);
                    if time(middle) <= tpot_s { low = middle } else { high = middle }
                }
                batch = low;
            }
        }
        let (step, processed) = steady_step(pool, &mix, batch, &Clock::FULL);
        let replicas = pool.replicas.len() as f64;
        let emitted = step_tok(pool, &mix, batch);
        let rate = |seconds: f64| replicas * emitted / seconds;
        // Host and link time count to compute, as in the binding rule.
        let compute_s = step.parts.compute_s + step.parts.host_s + step.parts.link_s;
        let gpus = f64::from(pool.gpus_per_replica);
        Self {
            batch,
            limit,
            compute: rate(compute_s),
            memory_bandwidth: (step.parts.memory_s > 0.0).then(|| rate(step.parts.memory_s)),
            kv_capacity: rate(step.parts.total_s()),
            c_tok_flop: pool.step.knows_flop.then(|| step.work.flop * gpus / emitted),
            draw: pool.power.at_step(&Activity::from(&step), processed, batch),
            idle: pool.power.idle(),
            replicas,
            mix,
        }
    }

    /// Rate of the full step time at a clock, all replicas working [tok/s].
    pub fn rate_at(&self, pool: &Pool, share: f64) -> f64 {
        let clock = Clock::at(share, &pool.power.clock);
        let seconds = steady_step(pool, &self.mix, self.batch, &clock).0.parts.total_s();
        self.replicas * step_tok(pool, &self.mix, self.batch) / seconds
    }

    /// Watts of all replicas at b* at a clock [W].
    pub fn watts_at(&self, pool: &Pool, share: f64) -> f64 {
        self.replicas * self.draw.it_nw(&Clock::at(share, &pool.power.clock)) as f64 * 1e-9
    }

    /// Without work [W].
    pub fn idle_watts(&self) -> f64 {
        self.replicas * self.idle.fixed_nw as f64 * 1e-9
    }
}

/// Output rate at b* and IT watts of a site when its IT power may not exceed `it_w`: the highest common clock
/// that fits; below the lowest, the share of replicas that may work. Full clock for `None`.
pub fn site_at_power(fleet: &Fleet, staves: &[PoolStaves], site: usize, it_w: Option<f64>) -> (f64, f64) {
    let pools = fleet.sites[site].pools.clone();
    let sum = |f: &dyn Fn(usize) -> f64| pools.clone().map(f).sum::<f64>();
    let at = |share: f64| {
        (
            sum(&|p| staves[p].rate_at(&fleet.pools[p], share)),
            sum(&|p| staves[p].watts_at(&fleet.pools[p], share)),
        )
    };
    let full = at(1.0);
    let Some(it_w) = it_w else { return full };
    if full.1 <= it_w {
        return full;
    }
    let lowest = pools.clone().map(|p| fleet.pools[p].power.clock.min_share).fold(1.0, f64::min);
    let least = at(lowest);
    if least.1 > it_w {
        let idle = sum(&|p| staves[p].idle_watts());
        let working = ((it_w - idle) / (least.1 - idle)).clamp(0.0, 1.0);
        return (least.0 * working, idle + working * (least.1 - idle));
    }
    let (mut low, mut high) = (lowest, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at(middle).1 <= it_w { low = middle } else { high = middle }
    }
    at(low)
}

/// Time-independent staves of a set of pools [tok/s].
pub fn device_staves(staves: &[PoolStaves]) -> Staves {
    let all = |f: &dyn Fn(&PoolStaves) -> Option<f64>| staves.iter().map(f).sum::<Option<f64>>();
    Staves {
        demand: None,
        compute: all(&|s| Some(s.compute)),
        memory_bandwidth: all(&|s| s.memory_bandwidth),
        kv_capacity: all(&|s| Some(s.kv_capacity)),
        power: None,
        cooling: None,
    }
}
