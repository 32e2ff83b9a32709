//! Capping policies as the scenario writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A capping policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// One clock for all replicas, split over two adjacent steps in order of number.
    UniformClock(ClockSteps),
    /// Every replica's watts are cut to the same share of what it would draw.
    Proportional(Proportional),
    /// Pools of low `power_priority` go down to their lowest clock first, then normal ones, then high ones.
    Priority(ClockSteps),
    /// Replicas that only decode go down to their lowest clock before any that works on a prompt.
    PhaseAware(ClockSteps),
    /// Power caps nothing: devices may carry more than they should. The heat caps of cooling zones are kept by one clock
    /// for all, and limits of the GPUs' own act as ever.
    None(ClockSteps),
    /// Thresholds of one device, low priority first, with the delays of out-of-band control (POLCA). Nothing is planned, so
    /// devices may carry more than they should for a while. The heat caps of cooling zones are kept by one clock for all.
    Polca(Polca),
}

impl Default for Policy {
    fn default() -> Self {
        Self::UniformClock(ClockSteps::default())
    }
}

impl Policy {
    /// As the scenario names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::UniformClock(_) => "uniform_clock",
            Self::Proportional(_) => "proportional",
            Self::Priority(_) => "priority",
            Self::PhaseAware(_) => "phase_aware",
            Self::None(_) => "none",
            Self::Polca(_) => "polca",
        }
    }

    /// How its clocks move.
    #[must_use]
    pub fn steps(&self) -> ClockSteps {
        match self {
            Self::UniformClock(steps)
            | Self::Priority(steps)
            | Self::PhaseAware(steps)
            | Self::None(steps) => *steps,
            Self::Proportional(Proportional { share_step: _, clock_step, release_below, dwell_s })
            | Self::Polca(Polca { clock_step, release_below, dwell_s, .. }) => {
                ClockSteps { clock_step: *clock_step, release_below: *release_below, dwell_s: *dwell_s }
            }
        }
    }

    /// Whether cap and ratings ever hold clocks down.
    #[must_use]
    pub fn caps_power(&self) -> bool {
        !matches!(self, Self::None(_))
    }

    /// Whether power is planned within cap and ratings.
    #[must_use]
    pub fn plans_power(&self) -> bool {
        !matches!(self, Self::None(_) | Self::Polca(_))
    }
}

/// How clocks move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClockSteps {
    /// Distance of clock steps as a share of the full clock; 0: any clock (not with `priority` and `phase_aware`).
    pub clock_step: f64,
    /// Clocks are raised only while the planned power is below this share of the budget.
    pub release_below: f64,
    /// Shortest time between a change of clocks and a raise [s].
    pub dwell_s: f64,
}

impl Default for ClockSteps {
    fn default() -> Self {
        Self { clock_step: 0.01, release_below: 0.98, dwell_s: 10.0 }
    }
}

/// `proportional`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proportional {
    /// Distance of the shares of watts; replicas are split over two adjacent ones in order of number.
    pub share_step: f64,
    /// Distance of clock steps as a share of the full clock; 0: any clock.
    pub clock_step: f64,
    /// Clocks are raised only while the planned power is below this share of the budget.
    pub release_below: f64,
    /// Shortest time between a change of clocks and a raise [s].
    pub dwell_s: f64,
}

impl Default for Proportional {
    fn default() -> Self {
        let ClockSteps { clock_step, release_below, dwell_s } = ClockSteps::default();
        Self { share_step: 0.01, clock_step, release_below, dwell_s }
    }
}

/// `polca`. Defaults are those of Patel et al., Characterizing Power Management Opportunities for LLMs in the Cloud,
/// ASPLOS'24: measured on A100 servers, whose full clock is 1410 MHz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Polca {
    /// The power device that is watched; default: the meter. Thresholds are shares of what it may carry: of its derated
    /// rating, at the meter of the cap if that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Above this share, pools of low `power_priority` go to `low_clock_t1`.
    pub t1: f64,
    /// Above this share, they go to `low_clock_t2`, and the others to `high_clock_t2` if that is not enough.
    pub t2: f64,
    /// A cap is lifted once the draw is below its threshold by this share.
    pub hysteresis: f64,
    /// Share of the full clock (1275 of 1410 MHz).
    pub low_clock_t1: f64,
    /// Share of the full clock (1110 of 1410 MHz).
    pub low_clock_t2: f64,
    /// Share of the full clock (1305 of 1410 MHz), for pools of high and normal `power_priority`.
    pub high_clock_t2: f64,
    /// Share of the full clock under the emergency brake (288 of 1410 MHz); no GPU goes below its lowest clock.
    pub brake_clock: f64,
    /// From a threshold's crossing to its cap, both ways: out-of-band actuation [s].
    pub cap_delay_s: f64,
    /// Time above `brake_at` after which the brake comes on, and not above `t2` after which it is released [s].
    pub brake_delay_s: f64,
    /// The brake's threshold, as a share of what the device may carry.
    pub brake_at: f64,
    /// Distance of clock steps that the heat caps of cooling zones and limits of the GPUs' own lead to, as a share of the
    /// full clock; 0: any clock.
    pub clock_step: f64,
    /// After a zone's cap: clocks are raised only while the planned power is below this share of the budget.
    pub release_below: f64,
    /// After a zone's cap: shortest time between a change of clocks and a raise [s].
    pub dwell_s: f64,
}

impl Default for Polca {
    fn default() -> Self {
        let ClockSteps { clock_step, release_below, dwell_s } = ClockSteps::default();
        Self {
            device: None,
            t1: 0.80,
            t2: 0.89,
            hysteresis: 0.05,
            low_clock_t1: 0.904,
            low_clock_t2: 0.787,
            high_clock_t2: 0.926,
            brake_clock: 0.204,
            cap_delay_s: 40.0,
            brake_delay_s: 5.0,
            brake_at: 1.0,
            clock_step,
            release_below,
            dwell_s,
        }
    }
}

/// Whose clocks are slowed down first where power is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PowerPriority {
    /// Last.
    High,
    /// After low ones.
    #[default]
    Normal,
    /// First.
    Low,
}
