//! Watts and step laws by power state, remembered: decoding fleets pass through the same few thousand states all the
//! time.

use crate::fleet::Pool;
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::physics::step::{Coefficients, PowerState};

/// Buckets of context told apart per number of sequences: four octaves, more than a batch of one size spans.
const BUCKETS: usize = 32;

/// No bucket: an entry that was never filled.
const EMPTY: u16 = u16::MAX;

/// Draws of one pool in states without prompt tokens. A function of the state alone, so forgetting one costs time
/// and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Draws {
    /// By decoding sequences and low bits of the context bucket: the bucket, and the draw.
    entries: Vec<(u16, Draw)>,
    /// By decoding sequences: coefficients of a step at the two clocks looked up last.
    steps: Vec<[Step; 2]>,
}

/// Coefficients of a step at a clock, of which only the factors on times matter; factors of 0: none.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    slow_compute: u64,
    slow_memory: u64,
    law: Coefficients,
}

impl Step {
    #[inline]
    fn is_at(&self, clock: &Clock) -> bool {
        self.slow_compute == clock.slow_compute && self.slow_memory == clock.slow_memory
    }
}

impl Draws {
    /// The draw of a pool's replica in a state.
    #[inline]
    pub fn of(&mut self, pool: &Pool, state: &PowerState) -> Draw {
        if state.p > 0 {
            return pool.power.at_state(&pool.step, state);
        }
        let place = state.n as usize * BUCKETS + usize::from(state.kv_bucket) % BUCKETS;
        match self.entries.get(place) {
            Some(&(bucket, draw)) if bucket == state.kv_bucket => draw,
            _ => self.look_up(pool, state, place),
        }
    }

    /// Coefficients of a step of `n` decoding sequences without prompts.
    #[inline]
    pub fn step(&mut self, pool: &Pool, n: u32, clock: &Clock) -> &Coefficients {
        let place = n as usize;
        match self.steps.get(place) {
            Some([last, _]) if last.is_at(clock) => &self.steps[place][0].law,
            Some([_, other]) if other.is_at(clock) => &self.steps[place][1].law,
            _ => self.look_up_step(pool, n, clock),
        }
    }

    #[cold]
    fn look_up_step(&mut self, pool: &Pool, n: u32, clock: &Clock) -> &Coefficients {
        let place = n as usize;
        if place >= self.steps.len() {
            self.steps.resize(place + 1, [Step::default(); 2]);
        }
        let law = pool.step.coefficients(n, 0, 0, clock);
        let steps = &mut self.steps[place];
        steps[1] = steps[0];
        steps[0] = Step { slow_compute: clock.slow_compute, slow_memory: clock.slow_memory, law };
        &self.steps[place][0].law
    }

    #[cold]
    fn look_up(&mut self, pool: &Pool, state: &PowerState, place: usize) -> Draw {
        if place >= self.entries.len() {
            self.entries.resize((state.n as usize + 1) * BUCKETS, (EMPTY, Draw::default()));
        }
        let draw = pool.power.at_state(&pool.step, state);
        self.entries[place] = (state.kv_bucket, draw);
        draw
    }
}
