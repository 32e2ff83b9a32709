//! A breaker with an inverse-time trip: the more it carries above its rating, the sooner it opens.
//!
//! ```text
//! dh/dt = (x^m − h)/τ,   x = load/rating,   trips at h = 1
//! ```
//!
//! h is the heat of its bimetal. At a constant load x > 1 it trips after τ·ln((x^m − h0)/(x^m − 1)); at x ≤ 1 never.

use super::lag::FirstOrderLag;
use super::parameter::{BadParameter, positive, require};
use super::{FS_PER_S, real, rounded_up};

/// Trips further away than this are no events: the load will have changed [s].
const HORIZON_S: f64 = 1e9;
/// Nanowatts in a watt.
const NW_PER_W: f64 = 1e9;

/// A breaker as built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerParams {
    /// Load it carries for ever [W].
    pub rated_w: f64,
    /// m
    pub exponent: f64,
    /// τ [s]
    pub time_constant_s: f64,
}

impl BreakerParams {
    /// Whether the numbers make a breaker.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), BadParameter> {
        positive("rated_w", self.rated_w)?;
        positive("time_constant_s", self.time_constant_s)?;
        require((0.1..=10.0).contains(&self.exponent), "exponent", "0.1 to 10", self.exponent)
    }
}

/// A closed breaker at an instant.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    params: BreakerParams,
    load_nw: i128,
    /// x^m
    drive: f64,
    /// h at `since_fs`.
    heat: f64,
    since_fs: i128,
    trips_fs: Option<i128>,
}

impl Breaker {
    /// At t = 0, as warm as `load_nw` [nW] keeps it for ever (at most just below its trip).
    pub fn new(params: BreakerParams, load_nw: i128) -> Self {
        let mut breaker = Self { params, load_nw, drive: 0.0, heat: 0.0, since_fs: 0, trips_fs: None };
        breaker.drive = breaker.drive_of(load_nw);
        breaker.heat = breaker.drive.min(1.0 - f64::EPSILON);
        breaker.look_ahead();
        breaker
    }

    /// It carries `load_nw` from now on [nW].
    #[inline]
    pub fn set_load(&mut self, now_fs: i128, load_nw: i128) {
        if load_nw != self.load_nw {
            self.change(now_fs, load_nw);
        }
    }

    fn change(&mut self, now_fs: i128, load_nw: i128) {
        self.heat = self.heat(now_fs);
        self.since_fs = now_fs;
        self.load_nw = load_nw;
        self.drive = self.drive_of(load_nw);
        self.look_ahead();
    }

    /// h at an instant.
    pub fn heat(&self, now_fs: i128) -> f64 {
        self.lag().advance(self.heat, real(now_fs - self.since_fs) / FS_PER_S as f64)
    }

    /// When it trips if nothing changes [fs].
    pub fn trips_fs(&self) -> Option<i128> {
        self.trips_fs
    }

    fn drive_of(&self, load_nw: i128) -> f64 {
        (real(load_nw.max(0)) / NW_PER_W / self.params.rated_w).powf(self.params.exponent)
    }

    fn lag(&self) -> FirstOrderLag {
        FirstOrderLag::toward(self.drive, self.params.time_constant_s)
    }

    fn look_ahead(&mut self) {
        // Rounding may leave a heat of 1 where the load is about to trip it.
        let crossing = if self.drive > 1.0 && self.heat >= 1.0 {
            Some(0.0)
        } else {
            self.lag().crossing(self.heat, 1.0)
        };
        self.trips_fs = crossing
            .filter(|&seconds| seconds <= HORIZON_S && self.drive > 1.0)
            .map(|seconds| self.since_fs + rounded_up(seconds * FS_PER_S as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: BreakerParams = BreakerParams { rated_w: 1e6, exponent: 2.0, time_constant_s: 570.0 };

    fn nw(watts: f64) -> i128 {
        (watts * 1e9) as i128
    }

    #[test]
    fn trips_at_the_closed_form_and_never_within_its_rating() {
        // From cold, 1.1 × its rating: τ·ln(1.21/0.21) = 998 s.
        let mut cold = Breaker::new(PARAMS, 0);
        cold.set_load(0, nw(1.1e6));
        let by_hand = 570.0 * (1.21_f64 / 0.21).ln();
        assert!((cold.trips_fs().unwrap() as f64 * 1e-15 - by_hand).abs() < 1e-6, "{by_hand}");
        assert!((by_hand - 998.2).abs() < 0.1);
        // Warm from 90 %.
        let mut warm = Breaker::new(PARAMS, nw(0.9e6));
        warm.set_load(0, nw(1.1e6));
        let by_hand = 570.0 * ((1.21_f64 - 0.81) / 0.21).ln();
        assert!((warm.trips_fs().unwrap() as f64 * 1e-15 - by_hand).abs() < 1e-6);
        let mut full = Breaker::new(PARAMS, nw(1e6));
        full.set_load(0, nw(0.999e6));
        full.set_load(nw(1.0), nw(1e6));
        assert_eq!(full.trips_fs(), None);
    }

    #[test]
    fn a_load_in_steps_equals_the_sum_of_its_stretches() {
        let mut breaker = Breaker::new(PARAMS, 0);
        let mut heat = 0.0_f64;
        let mut at_s = 0.0;
        for (load, seconds) in [(1.3, 100.0), (0.4, 700.0), (1.05, 300.0), (1.2, 50.0)] {
            breaker.set_load((at_s * 1e15) as i128, nw(load * 1e6));
            at_s += seconds;
            heat = load * load + (heat - load * load) * f64::exp(-seconds / 570.0);
            assert!((breaker.heat((at_s * 1e15) as i128) - heat).abs() < 1e-12);
        }
    }
}
