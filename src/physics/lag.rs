//! A first-order lag: its value, its integral and the instant at which it passes a level, in closed form.
//!
//! ```text
//! dx/dt = drive − decay·(x − reference)
//! ```
//!
//! With decay > 0 the value tends to reference + drive/decay with time constant 1/decay; with decay = 0 it
//! moves in a straight line. Written by its slope rather than by its limit, one formula serves both, and a
//! slow lag (limit far away) loses no digits.

/// The law of one first-order lag. Time is in seconds, the value in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstOrderLag {
    /// Value at which the decay term vanishes.
    pub reference: f64,
    /// Slope there [1/s].
    pub drive: f64,
    /// 1/τ, ≥ 0 [1/s].
    pub decay: f64,
}

impl FirstOrderLag {
    /// Tends to `target` with time constant `tau_s` > 0 [s].
    pub fn toward(target: f64, tau_s: f64) -> Self {
        Self { reference: target, drive: 0.0, decay: 1.0 / tau_s }
    }

    /// Moves by `slope` per second for ever.
    pub fn straight(slope: f64) -> Self {
        Self { reference: 0.0, drive: slope, decay: 0.0 }
    }

    /// Slope at value `x` [1/s].
    pub fn slope(&self, x: f64) -> f64 {
        self.drive - self.decay * (x - self.reference)
    }

    /// Value `dt_s` ≥ 0 after it was `x`.
    pub fn advance(&self, x: f64, dt_s: f64) -> f64 {
        x + self.slope(x) * dt_s * phi1(-self.decay * dt_s)
    }

    /// Integral of the value over the `dt_s` ≥ 0 after it was `x`.
    pub fn integral(&self, x: f64, dt_s: f64) -> f64 {
        x * dt_s + self.slope(x) * dt_s * dt_s * phi2(-self.decay * dt_s)
    }

    /// Seconds until the value, now `x`, is `level`; `None` if it never is.
    pub fn crossing(&self, x: f64, level: f64) -> Option<f64> {
        let (distance, slope) = (level - x, self.slope(x));
        if distance == 0.0 {
            return Some(0.0);
        }
        if !distance.is_finite() || distance * slope <= 0.0 {
            return None;
        }
        let straight = distance / slope;
        // Share of the whole way to the limit; from 1 on, the limit lies before the level.
        let share = straight * self.decay;
        let seconds = if share == 0.0 {
            straight
        } else if share < 1.0 {
            -(-share).ln_1p() / self.decay
        } else {
            return None;
        };
        seconds.is_finite().then_some(seconds)
    }
}

/// (e^z − 1)/z, 1 at 0.
fn phi1(z: f64) -> f64 {
    if z == 0.0 { 1.0 } else { z.exp_m1() / z }
}

/// (e^z − 1 − z)/z², 1/2 at 0.
fn phi2(z: f64) -> f64 {
    if z.abs() > 0.5 {
        return (z.exp_m1() - z) / (z * z);
    }
    // Near 0 the difference above would lose its digits: Σ z^k/(k + 2)!, to 1e-17 of the sum at |z| = 0.5.
    let mut sum = 0.0;
    for k in (0..14).rev() {
        sum = (1.0 + z * sum) / f64::from(k + 2);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_functions_agree_with_their_definitions() {
        for z in [-40.0, -3.0, -0.6, -0.500001, -0.499999, -0.3, -0.01, 0.2] {
            let z: f64 = z;
            assert!((phi1(z) * z + 1.0 - z.exp()).abs() < 1e-15, "{z}");
            assert!((phi2(z) * z + 1.0 - phi1(z)).abs() < 1e-15, "{z}");
        }
        assert_eq!((phi1(0.0), phi2(0.0)), (1.0, 0.5));
        assert!((phi2(-1e-9) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn value_crossing_and_integral_agree() {
        for lag in [
            FirstOrderLag::toward(37.5, 104.0),
            FirstOrderLag { reference: 28.0, drive: 0.02, decay: 1e-14 },
            FirstOrderLag { reference: 28.0, drive: 0.02, decay: 0.01 },
            FirstOrderLag::straight(0.013),
        ] {
            for dt in [1e-9, 0.3, 17.0, 250.0] {
                let there = lag.advance(24.0, dt);
                let back = lag.crossing(24.0, there).unwrap();
                assert!((back - dt).abs() <= 1e-9 * dt.max(1.0), "{lag:?} {dt} {back}");
                // x' = drive − decay·(x − reference), so ∫x follows from x at both ends.
                let balance = lag.drive * dt - lag.decay * (lag.integral(24.0, dt) - lag.reference * dt);
                assert!((there - 24.0 - balance).abs() < 1e-11, "{lag:?} {dt}");
                let halves =
                    lag.integral(24.0, dt / 2.0) + lag.integral(lag.advance(24.0, dt / 2.0), dt / 2.0);
                assert!((halves - lag.integral(24.0, dt)).abs() <= 1e-12 * halves, "{lag:?} {dt}");
            }
        }
    }

    #[test]
    fn a_level_behind_or_beyond_the_limit_is_never_passed() {
        let lag = FirstOrderLag::toward(30.0, 50.0);
        assert_eq!(lag.crossing(25.0, 30.0), None);
        assert_eq!(lag.crossing(25.0, 31.0), None);
        assert_eq!(lag.crossing(25.0, 24.0), None);
        assert_eq!(lag.crossing(25.0, f64::NAN), None);
        assert_eq!(lag.crossing(25.0, 25.0), Some(0.0));
        assert!((lag.crossing(25.0, 27.5).unwrap() - 50.0 * std::f64::consts::LN_2).abs() < 1e-12);
        assert!((lag.advance(25.0, 1e9) - 30.0).abs() < 1e-12);
        assert_eq!(FirstOrderLag::straight(0.0).crossing(1.0, 2.0), None);
    }
}
