//! The clocks that replicas may run at, by pool.

use std::ops::Range;

use crate::fleet::Fleet;
use crate::physics::clock::{Clock, ClockLaw};
use crate::physics::draw::Draw;

/// Clocks of all pools of the fleet, and how many steps those of one domain have.
#[derive(Debug, Clone)]
pub struct Clocks {
    /// By pool: from lowest to full; empty for any clock.
    grids: Vec<Vec<Clock>>,
    laws: Vec<ClockLaw>,
    steps: usize,
}

impl Clocks {
    /// `pools` are those of the domain.
    pub fn new(fleet: &Fleet, pools: Range<usize>) -> Self {
        let grids: Vec<Vec<Clock>> = fleet.pools.iter().map(|pool| pool.clocks.clone()).collect();
        let laws = fleet.pools.iter().map(|pool| pool.power.clock).collect();
        Self::of(grids, laws, pools)
    }

    pub(super) fn of(grids: Vec<Vec<Clock>>, laws: Vec<ClockLaw>, pools: Range<usize>) -> Self {
        let steps = grids[pools].iter().map(Vec::len).max().unwrap_or(0);
        Self { grids, laws, steps }
    }

    /// Length of the longest grid in the domain; 0 for any clock.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The clock of a pool at one of `steps` steps. Pools with a shorter grid (a higher lowest clock) stay at their lowest
    /// while others go further down.
    #[inline]
    pub fn at_step(&self, pool: u16, step: usize) -> Clock {
        let grid = &self.grids[usize::from(pool)];
        grid[(step + grid.len()).saturating_sub(self.steps).min(grid.len() - 1)]
    }

    /// The lowest clock of a pool.
    pub fn lowest(&self, pool: u16) -> Clock {
        let law = &self.laws[usize::from(pool)];
        self.grids[usize::from(pool)].first().copied().unwrap_or_else(|| Clock::at(law.min_share, law))
    }

    /// A pool's clock at a share of the full one, whether there is a step or not.
    pub fn at_share(&self, pool: usize, share: f64) -> Clock {
        Clock::at(share, &self.laws[pool])
    }

    /// Laws by pool.
    pub fn laws(&self) -> &[ClockLaw] {
        &self.laws
    }

    /// The highest clock at which a draw takes at most `most_nw`; the lowest if none does.
    #[inline]
    pub fn within(&self, pool: u16, draw: &Draw, most_nw: i64) -> Clock {
        let grid = &self.grids[usize::from(pool)];
        if !grid.is_empty() {
            let fitting = grid.partition_point(|clock| draw.it_nw(clock) <= most_nw);
            return grid[fitting.saturating_sub(1)];
        }
        let law = &self.laws[usize::from(pool)];
        let (over_nw, swing_nw) = ((most_nw - draw.fixed_nw) as f64, draw.swing_nw as f64);
        if over_nw >= swing_nw {
            return Clock::FULL;
        }
        Clock::at((over_nw.max(0.0) / swing_nw).powf(1.0 / law.exponent), law)
    }

    /// The next lower clock below `clock` at which a draw fits `room_nw`.
    pub fn best_below(&self, pool: u16, draw: &Draw, clock: &Clock, room_nw: i128) -> Option<Clock> {
        let fits = |c: &Clock| c.share < clock.share && i128::from(draw.it_nw(c)) <= room_nw;
        let grid = &self.grids[usize::from(pool)];
        if !grid.is_empty() {
            let fitting = grid.partition_point(|c| fits(c));
            return fitting.checked_sub(1).map(|step| grid[step]);
        }
        let law = &self.laws[usize::from(pool)];
        if !fits(&Clock::at(law.min_share, law)) {
            return None;
        }
        let (mut low, mut high) = (law.min_share, clock.as_share());
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if fits(&Clock::at(middle, law)) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(Clock::at(low, law))
    }

    /// Watts of a draw at the lowest clock [nW].
    pub fn lowest_nw(&self, pool: u16, draw: &Draw) -> i64 {
        draw.it_nw(&self.lowest(pool))
    }
}
