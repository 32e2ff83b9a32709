//! A catalog under other coefficients than the fitted ones, kept to what its checks ask.
//!
//! A coefficient is fitted on its own; what an entry makes of it (times a factor, beside numbers that do not follow the
//! fit) may then be a share above 1, or a GPU that draws less busy than idle. Numbers that follow the fit are moved to
//! the nearest value that is none of this; all others stay.

use super::entry::{Engine, Gpu, Node, Sourced};
use super::{Catalog, Overrides};

/// Keeps a product from falling short of a bound by the last digit.
const A_TOUCH: f64 = 1.0 + 4.0 * f64::EPSILON;

impl Catalog {
    /// [`Catalog::with_coefficients`], with every number within what the checks of a catalog file ask.
    pub fn with_drawn(&self, values: &[f64]) -> Self {
        let mut other = self.with_coefficients(values);
        other.gpus.iter_mut().for_each(hold_gpu);
        other.nodes.iter_mut().for_each(hold_node);
        other.engines.iter_mut().for_each(hold_engine);
        other
    }
}

/// Moves a number that follows the fit into a range.
fn hold(number: &mut Sourced<f64>, low: f64, high: f64) {
    if number.fit.is_some() {
        number.value = number.value.min(high).max(low);
    }
}

fn hold_share(share: &mut Sourced<f64>) {
    hold(share, 0.0, 1.0);
}

fn hold_gpu(gpu: &mut Gpu) {
    let f = &mut gpu.fractions;
    let shares = [
        &mut f.gemm_mfu_bf16,
        &mut f.weight_mbu,
        &mut f.expert_mfu_factor,
        &mut f.attn_mbu,
        &mut f.absorbed_attn_mfu,
        &mut f.prefill_attn_mfu,
    ];
    shares.into_iter().for_each(hold_share);
    f.gemm_mfu_fp8.iter_mut().chain(&mut f.gemm_mfu_fp4).for_each(hold_share);
    hold_share(&mut gpu.power.min_clock);
    hold_share(&mut gpu.power.memory_clock_knee);
    hold_ladder(gpu);
}

/// Empty, idle, busy and full draw in rising order, busy at most the TDP.
fn hold_ladder(gpu: &mut Gpu) {
    let power = &mut gpu.power;
    let fixed_w = |number: &Sourced<f64>| if number.fit.is_none() { number.value } else { 0.0 };
    let least_w = fixed_w(&power.empty_w).max(fixed_w(&power.idle_loaded_w));
    hold(&mut gpu.tdp_w, least_w * A_TOUCH, f64::INFINITY);
    let tdp_w = gpu.tdp_w.value;
    let steps = [
        (&mut power.empty_w, 1.0),
        (&mut power.idle_loaded_w, 1.0),
        (&mut power.p0_tdp, tdp_w),
        (&mut power.pmax_tdp, tdp_w),
    ];
    // Between the numbers that stay, which are in order themselves.
    for k in 0..steps.len() {
        let stays = |step: &(&mut Sourced<f64>, f64)| step.0.fit.is_none().then_some(step.0.value * step.1);
        let low_w = steps[..k].iter().filter_map(stays).fold(0.0, f64::max);
        let high_w = steps[k + 1..].iter().filter_map(stays).fold(f64::INFINITY, f64::min);
        let unit = steps[k].1;
        let low = if low_w > 0.0 { low_w / unit * A_TOUCH } else { 0.0 };
        let high = if k == 2 { (high_w / unit).min(1.0) } else { high_w / unit };
        hold(steps[k].0, low, high);
    }
    // Then each at most the one above it.
    for k in (0..steps.len() - 1).rev() {
        let above_w = steps[k + 1].0.value * steps[k + 1].1;
        let high = above_w / steps[k].1;
        hold(steps[k].0, 0.0, if above_w < steps[k].0.value * steps[k].1 { high / A_TOUCH } else { high });
    }
}

fn hold_node(node: &mut Node) {
    hold(&mut node.gpu_factor, 1.0, f64::INFINITY);
    if let Some(Overrides { idle_w: _, clock_exponent: _, min_clock, memory_clock_knee }) =
        &mut node.overrides
    {
        min_clock.iter_mut().chain(memory_clock_knee).for_each(hold_share);
    }
}

fn hold_engine(engine: &mut Engine) {
    hold_share(&mut engine.expert_spread);
}
