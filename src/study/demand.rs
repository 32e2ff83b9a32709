//! More or less demand, without any other change.

use crate::scenario::types::{Arrivals, Scenario};

/// All arrivals of a scenario times a factor; of closed loops the requests in flight, rounded up.
pub(super) fn scale(scenario: &mut Scenario, factor: f64) {
    for class in &mut scenario.workload.classes {
        match &mut class.arrivals {
            Arrivals::Constant(constant) => constant.rate_per_s *= factor,
            Arrivals::ClosedLoop(closed) => {
                closed.in_flight = scaled(closed.in_flight, factor);
            }
            Arrivals::Poisson(poisson) => poisson.rate_per_s *= factor,
            Arrivals::Gamma(gamma) => gamma.rate_per_s *= factor,
            Arrivals::Diurnal(diurnal) => diurnal.mean_per_s *= factor,
            Arrivals::RateCurve(curve) => curve.scale *= factor,
            Arrivals::Trace(trace) => trace.scale *= factor,
        }
    }
}

/// Requests in flight times a factor, rounded up but for what multiplying adds.
fn scaled(in_flight: u64, factor: f64) -> u64 {
    let product = in_flight as f64 * factor;
    (product * (1.0 - 1e-12)).ceil() as u64
}

/// By which share demand grows if it is [`scale`]d by 1 + `share`: more, where it is one closed loop of few requests. Among
/// several classes each is rounded for itself, and it is taken to be `share`.
pub(super) fn growth(scenario: &Scenario, share: f64) -> f64 {
    let [class] = scenario.workload.classes.as_slice() else { return share };
    match &class.arrivals {
        Arrivals::ClosedLoop(closed) if closed.in_flight > 0 => {
            scaled(closed.in_flight, 1.0 + share) as f64 / closed.in_flight as f64 - 1.0
        }
        _ => share,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_grow_by_whole_requests() {
        assert_eq!((scaled(4, 1.05), scaled(50, 1.1), scaled(170, 1.1), scaled(3, 1.0)), (5, 55, 187, 3));
        // Scaled by how much it grows it is the same loop.
        for in_flight in [1, 3, 4, 7, 90, 1000, 12_345] {
            let more = scaled(in_flight, 1.05);
            assert_eq!(scaled(in_flight, 1.0 + (more as f64 / in_flight as f64 - 1.0)), more);
        }
    }
}
