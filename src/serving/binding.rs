//! The label of a replica: the rule of PHYSICS D5, the same for both engines.

use crate::control::Hold;
use crate::fleet::Pool;
use crate::ledger::Label;
use crate::physics::clock::Clock;
use crate::physics::step::PowerState;

/// What a step time more than this above the full clock's means: the cap binds.
const SLOWDOWN: f64 = 1.01;

/// What an iteration's state says about its cause; constant within a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// Label if the replica is backlogged or late and nothing is refused.
    pub plain: Label,
    /// Label if admission is refused for slots or KV memory.
    pub refused: Label,
}

/// The cause of iterations in a power state at a clock; `hold` keeps the clock from being full.
pub fn cause(pool: &Pool, state: &PowerState, clock: &Clock, hold: Hold) -> Cause {
    let full = pool.step.at_state(state, &Clock::FULL).parts;
    let slowed = clock.share < Clock::FULL.share;
    let parts = if slowed { pool.step.at_state(state, clock).parts } else { full };
    let step_s = parts.total_s();
    if slowed {
        let full_s = full.total_s();
        if step_s > SLOWDOWN * full_s {
            let label = match hold {
                Hold::GpuCap => Label::PowerGpuCap,
                Hold::GpuTemperature => Label::GpuTemperature,
                Hold::Device => Label::PowerDevice,
                Hold::Brake => Label::Brake,
                // Told apart from a zone by whoever knows what holds the site.
                Hold::Site | Hold::Free => Label::PowerMeter,
            };
            return Cause { plain: label, refused: label };
        }
    }
    let compute = parts.compute_s + parts.host_s + parts.link_s;
    let plain = if parts.memory_s > compute {
        Label::MemoryBandwidth
    } else if parts.compute_s >= parts.host_s.max(parts.link_s) {
        Label::Compute
    } else if parts.host_s >= parts.link_s {
        Label::Host
    } else {
        Label::Link
    };
    let largest = parts.memory_s.max(compute) / step_s;
    let refused = if 1.0 - parts.batch_elasticity > largest { Label::KvCapacity } else { plain };
    Cause { plain, refused }
}
