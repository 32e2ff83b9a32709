//! Watts of a GPU from what it does, its clock from a cap, and a node's wall power from its GPUs.
//!
//! At full clock a working GPU draws
//!
//! ```text
//! natural = min(TDP, p0 + (pmax − p0)·(1 − exp(−a·MBU − b·√MFU)))
//! ```
//!
//! MBU and MFU are the shares of the peak memory bandwidth and of the peak FLOP rate that the step
//! uses, averaged over the whole step; rows of tiles that hold no token count as FLOP here, they burn
//! watts all the same. The law saturates: the first tenth of either costs more watts than the last, and
//! of FLOP so much that its root describes it better than its share (held against whole groups of
//! measured rows that the fit had not seen). At a lower clock f (share of the full clock) only the part above the idle draw
//! shrinks:
//!
//! ```text
//! P(f) = idle_loaded + (natural − idle_loaded)·f^α
//! ```
//!
//! so a cap above the natural draw changes nothing, and no cap brings a GPU below its idle draw.

/// Power law of one GPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuPower {
    /// Weights resident, no work [W].
    pub idle_loaded_w: f64,
    /// Draw of a step that uses next to no bandwidth and no FLOP: the GPU is busy waiting [W].
    pub p0_w: f64,
    /// Draw the law tends to when both bandwidth and FLOP are fully used [W].
    pub pmax_w: f64,
    /// Weight of the bandwidth share in the exponent.
    pub a: f64,
    /// Weight of the root of the FLOP share in the exponent.
    pub b: f64,
    /// Limit the GPU keeps by itself [W].
    pub tdp_w: f64,
    /// Exponent of the clock.
    pub alpha: f64,
}

impl GpuPower {
    /// Draw at full clock of a step with these shares of peak bandwidth and peak FLOP rate [W].
    pub fn natural_w(&self, mbu: f64, mfu: f64) -> f64 {
        let activity = -(-self.a * mbu - self.b * mfu.sqrt()).exp_m1();
        (self.p0_w + (self.pmax_w - self.p0_w) * activity).min(self.tdp_w)
    }

    /// Draw at `clock` (share of the full clock) of a step whose draw at full clock is `natural_w` [W].
    pub fn at_clock_w(&self, natural_w: f64, clock: f64) -> f64 {
        self.idle_loaded_w + (natural_w - self.idle_loaded_w) * clock.powf(self.alpha)
    }

    /// Highest clock (share of the full clock, at most 1) at which a step whose draw at full clock is
    /// `natural_w` stays within `cap_w`; 0 if none does.
    pub fn clock_within(&self, natural_w: f64, cap_w: f64) -> f64 {
        if cap_w >= natural_w {
            1.0
        } else if cap_w <= self.idle_loaded_w {
            0.0
        } else {
            ((cap_w - self.idle_loaded_w) / (natural_w - self.idle_loaded_w)).powf(1.0 / self.alpha)
        }
    }
}

/// Wall power of a node: `overhead + factor · Σ GPU`. The factor holds fans and supply losses that grow
/// with the load, the overhead everything that does not: CPUs, memory, network, fans at rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodePower {
    /// P_0 [W].
    pub overhead_w: f64,
    /// k, watts at the wall per watt of GPU.
    pub gpu_factor: f64,
}

impl NodePower {
    /// Wall power at a total GPU power [W].
    pub fn wall_w(&self, gpus_w: f64) -> f64 {
        self.overhead_w + self.gpu_factor * gpus_w
    }

    /// Total GPU power that a wall budget leaves [W]; negative if the budget is below the overhead.
    pub fn gpus_within_w(&self, wall_w: f64) -> f64 {
        (wall_w - self.overhead_w) / self.gpu_factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: GpuPower = GpuPower {
        idle_loaded_w: 92.0,
        p0_w: 300.0,
        pmax_w: 720.0,
        a: 2.0,
        b: 4.0,
        tdp_w: 700.0,
        alpha: 1.8,
    };

    #[test]
    fn natural_draw_lies_between_p0_and_the_smaller_of_pmax_and_tdp() {
        assert_eq!(LAW.natural_w(0.0, 0.0), 300.0);
        assert_eq!(LAW.natural_w(1.0, 1.0), 700.0);
        let cool = GpuPower { pmax_w: 600.0, ..LAW };
        let hottest = cool.natural_w(1.0, 1.0);
        assert!(hottest < 600.0 && hottest > 598.0, "{hottest}");
        let mut last = 0.0;
        for i in 0..=100 {
            let share = f64::from(i) / 100.0;
            let watts = LAW.natural_w(share, share / 2.0);
            assert!(watts >= last && (300.0..=700.0).contains(&watts));
            last = watts;
        }
    }

    #[test]
    fn clock_and_watts_are_inverse() {
        for natural in [350.0, 512.0, 700.0] {
            for cap in [120.0, 200.0, 349.0] {
                let clock = LAW.clock_within(natural, cap);
                assert!((LAW.at_clock_w(natural, clock) - cap).abs() < 1e-9);
            }
            assert_eq!(LAW.clock_within(natural, 700.0), 1.0);
            assert_eq!(LAW.clock_within(natural, 92.0), 0.0);
            assert_eq!(LAW.at_clock_w(natural, 1.0), natural);
        }
    }

    #[test]
    fn more_clock_never_draws_less() {
        let mut last = 0.0;
        for i in 0..=100 {
            let watts = LAW.at_clock_w(650.0, f64::from(i) / 100.0);
            assert!(watts >= last);
            last = watts;
        }
    }

    /// 8 x H200, air-cooled, 500 W caps: 1,550 + 1.153 · 8 · 500 = 6,162 W; measured 6,153 W (MLPerf v4.1).
    #[test]
    fn wall_power_by_hand() {
        let node = NodePower { overhead_w: 1550.0, gpu_factor: 1.153 };
        assert!((node.wall_w(4000.0) - 6162.0).abs() < 1e-9);
        assert!((node.gpus_within_w(6162.0) - 4000.0).abs() < 1e-9);
    }
}
