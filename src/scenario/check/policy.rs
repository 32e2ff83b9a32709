//! What must hold in capping policies.

use super::super::nearest::suggestion;
use super::super::types::{ClockSteps, Polca, Policy, Power};
use super::{Check, MAX_DURATION_S};

/// Shortest dwell and delay: below it a run would be events of the capping policy and little else [s].
const LEAST_DELAY_S: f64 = 0.001;
/// Highest threshold of the brake, as a share of what the device may carry.
const MAX_BRAKE_AT: f64 = 10.0;

impl Check {
    /// The capping policy of the power limits at `path`.
    pub(super) fn policy(&mut self, path: &str, power: &Power) {
        let policy = &power.policy;
        let path = format!("{path}.policy.{}", policy.name());
        self.steps(&path, &policy.steps());
        match policy {
            Policy::Priority(steps) | Policy::PhaseAware(steps) => self.require(
                &format!("{path}.clock_step"),
                steps.clock_step,
                steps.clock_step > 0.0,
                "above 0: one group after the other goes down step by step; any clock (0) is for uniform_clock",
            ),
            Policy::Proportional(policy) => self.require(
                &format!("{path}.share_step"),
                policy.share_step,
                (0.001..=0.5).contains(&policy.share_step),
                "between 0.001 and 0.5 of the watts at full clock",
            ),
            Policy::Polca(polca) => self.polca(&path, polca, power),
            Policy::UniformClock(_) | Policy::None(_) => {}
        }
    }

    fn steps(&mut self, path: &str, steps: &ClockSteps) {
        self.require(
            &format!("{path}.clock_step"),
            steps.clock_step,
            (0.0..=0.5).contains(&steps.clock_step),
            "between 0 (any clock) and 0.5 of the full clock",
        );
        self.require(
            &format!("{path}.release_below"),
            steps.release_below,
            steps.release_below > 0.0 && steps.release_below <= 1.0,
            "above 0 and at most 1",
        );
        // Ceilings are looked at once a dwell: without one, again and again at the same instant.
        self.delay(&format!("{path}.dwell_s"), steps.dwell_s);
    }

    fn delay(&mut self, path: &str, delay_s: f64) {
        self.require(
            path,
            delay_s,
            (LEAST_DELAY_S..=MAX_DURATION_S).contains(&delay_s),
            &format!("at least {LEAST_DELAY_S} and at most {MAX_DURATION_S}"),
        );
    }

    fn polca(&mut self, path: &str, polca: &Polca, power: &Power) {
        if power.tree.is_empty() && power.cap_mw.is_none() {
            self.refuse(path, "watches the meter, which has no limit; add power.cap_mw or a power.tree");
        }
        if let Some(name) = &polca.device
            && !power.tree.iter().any(|device| device.name == *name)
        {
            let known = power.tree.iter().map(|device| device.name.as_str());
            let told = if power.tree.is_empty() {
                "; the site has no power.tree: leave it out for the meter".into()
            } else {
                suggestion(name, known)
            };
            self.refuse(format!("{path}.device"), format!("unknown power device '{name}'{told}"));
        }
        let mut share = |name: &str, value: f64, holds: bool, expected: &str| {
            self.require(&format!("{path}.{name}"), value, holds, expected);
        };
        share(
            "t1",
            polca.t1,
            polca.t1 > 0.0 && polca.t1 < polca.t2,
            &format!("above 0 and below t2 ({})", polca.t2),
        );
        share(
            "t2",
            polca.t2,
            polca.t2 > 0.0 && polca.t2 <= polca.brake_at,
            &format!("above 0 and at most brake_at ({})", polca.brake_at),
        );
        share(
            "brake_at",
            polca.brake_at,
            polca.brake_at > 0.0 && polca.brake_at <= MAX_BRAKE_AT,
            &format!("above 0 and at most {MAX_BRAKE_AT}"),
        );
        share(
            "hysteresis",
            polca.hysteresis,
            (0.0..polca.t1.max(0.0)).contains(&polca.hysteresis),
            &format!("at least 0 and below t1 ({})", polca.t1),
        );
        for (name, clock) in [("low_clock_t1", polca.low_clock_t1), ("high_clock_t2", polca.high_clock_t2)] {
            share(name, clock, clock > 0.0 && clock <= 1.0, "above 0 and at most 1, the full clock");
        }
        let (t1, t2, high) = (polca.low_clock_t1, polca.low_clock_t2, polca.high_clock_t2);
        share("low_clock_t2", t2, t2 > 0.0 && t2 <= t1, &format!("above 0 and at most low_clock_t1 ({t1})"));
        let most = t2.min(high);
        share(
            "brake_clock",
            polca.brake_clock,
            polca.brake_clock > 0.0 && polca.brake_clock <= most,
            &format!("above 0 and at most the capped clocks ({most})"),
        );
        self.delay(&format!("{path}.cap_delay_s"), polca.cap_delay_s);
        self.delay(&format!("{path}.brake_delay_s"), polca.brake_delay_s);
    }
}
