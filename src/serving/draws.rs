//! Watts by power state, remembered: decoding fleets pass through the same few thousand states all the time.

use crate::fleet::Pool;
use crate::physics::draw::Draw;
use crate::physics::step::PowerState;

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
