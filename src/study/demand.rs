//! More or less demand, without any other change.

use crate::scenario::types::{Arrivals, Scenario};

/// All arrivals of a scenario times a factor; of closed loops the requests in flight, rounded up.
pub(super) fn scale(scenario: &mut Scenario, factor: f64) {
    for class in &mut scenario.workload.classes {
        match &mut class.arrivals {
            Arrivals::Constant(constant) => constant.rate_per_s *= factor,
            Arrivals::ClosedLoop(closed) => {
                closed.in_flight = (closed.in_flight as f64 * factor).ceil() as u64;
            }
            Arrivals::Poisson(poisson) => poisson.rate_per_s *= factor,
            Arrivals::Gamma(gamma) => gamma.rate_per_s *= factor,
            Arrivals::Diurnal(diurnal) => diurnal.mean_per_s *= factor,
            Arrivals::RateCurve(curve) => curve.scale *= factor,
            Arrivals::Trace(trace) => trace.scale *= factor,
        }
    }
}
