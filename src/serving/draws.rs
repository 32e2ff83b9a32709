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
    /// By decoding sequences: coefficients of a step at full clock; a base of 0 where none were looked up.
    steps: Vec<Coefficients>,
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

    /// Coefficients of a step of `n` decoding sequences without prompts, at full clock.
    #[inline]
    pub fn step(&mut self, pool: &Pool, n: u32) -> Coefficients {
        match self.steps.get(n as usize) {
            Some(step) if step.base_fs != 0 => *step,
            _ => self.look_up_step(pool, n),
        }
    }

    #[cold]
    fn look_up_step(&mut self, pool: &Pool, n: u32) -> Coefficients {
        if n as usize >= self.steps.len() {
            self.steps.resize(n as usize + 1, Coefficients::default());
        }
        let step = pool.step.coefficients(n, 0, 0, &Clock::FULL);
        self.steps[n as usize] = step;
        step
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
