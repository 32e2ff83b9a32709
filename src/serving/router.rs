//! Routers: which replica a request goes to.

use super::loads::Loads;
use crate::fleet::Fleet;
use crate::scenario::types::Routing;
use crate::workload::Request;

/// A router sees a request and the loads; it never sees the clock or other routers' draws.
pub trait Router {
    /// The replica for a request.
    fn route(&mut self, request: &Request, loads: &Loads) -> usize;
}

/// The router a scenario names, and loads as it needs them.
pub fn build(routing: &Routing, fleet: &Fleet) -> (Box<dyn Router>, Loads) {
    let candidates = Candidates::new(fleet);
    let replicas = fleet.replicas();
    match routing {
        Routing::RoundRobin => {
            let next = vec![0; fleet.pools_of_class.len()];
            (Box::new(RoundRobin { candidates, next }), Loads::new(replicas, false))
        }
        Routing::Random => (Box::new(Probing { candidates, probes: 1 }), Loads::new(replicas, false)),
        Routing::PowerOfTwo => (Box::new(Probing { candidates, probes: 2 }), Loads::new(replicas, false)),
        Routing::LeastLoaded(options) => match options.probe {
            Some(probes) => (Box::new(Probing { candidates, probes }), Loads::new(replicas, false)),
            None => (Box::new(LeastLoadedOfAll { candidates }), Loads::new(replicas, true)),
        },
    }
}

/// Replicas open to each class, as ranges of numbers.
struct Candidates {
    by_class: Vec<Vec<std::ops::Range<usize>>>,
    counts: Vec<usize>,
    all: usize,
}

impl Candidates {
    fn new(fleet: &Fleet) -> Self {
        let by_class: Vec<Vec<_>> = fleet
            .pools_of_class
            .iter()
            .map(|pools| pools.iter().map(|&p| fleet.pools[usize::from(p)].replicas.clone()).collect())
            .collect();
        let counts =
            by_class.iter().map(|ranges: &Vec<_>| ranges.iter().map(std::ops::Range::len).sum()).collect();
        Self { by_class, counts, all: fleet.replicas() }
    }

    fn count(&self, request: &Request) -> usize {
        self.counts[usize::from(request.class)]
    }

    fn nth(&self, request: &Request, mut index: usize) -> usize {
        for range in &self.by_class[usize::from(request.class)] {
            if index < range.len() {
                return range.start + index;
            }
            index -= range.len();
        }
        0
    }
}

struct RoundRobin {
    candidates: Candidates,
    next: Vec<usize>,
}

impl Router for RoundRobin {
    fn route(&mut self, request: &Request, _loads: &Loads) -> usize {
        let next = &mut self.next[usize::from(request.class)];
        let index = *next;
        *next = (index + 1) % self.candidates.count(request);
        self.candidates.nth(request, index)
    }
}

/// The least loaded of some drawn at random (with replacement), the first drawn of equals. One probe: random.
struct Probing {
    candidates: Candidates,
    probes: u32,
}

impl Router for Probing {
    fn route(&mut self, request: &Request, loads: &Loads) -> usize {
        let count = self.candidates.count(request) as u64;
        let mut bits = request.route_bits;
        let mut best = usize::MAX;
        for probe in 0..self.probes {
            if probe > 0 {
                bits = crate::workload::random::mix64(bits);
            }
            // High half of a product: uniform without a division.
            let index = ((u128::from(bits) * u128::from(count)) >> 64) as usize;
            let replica = self.candidates.nth(request, index);
            if best == usize::MAX || loads.of(replica) < loads.of(best) {
                best = replica;
            }
        }
        best
    }
}

struct LeastLoadedOfAll {
    candidates: Candidates,
}

impl Router for LeastLoadedOfAll {
    fn route(&mut self, request: &Request, loads: &Loads) -> usize {
        if self.candidates.count(request) == self.candidates.all
            && let Some(least) = loads.least()
        {
            return least;
        }
        // Only some pools are open to this class: look at each of their replicas.
        let ranges = &self.candidates.by_class[usize::from(request.class)];
        ranges.iter().cloned().flatten().min_by_key(|&r| (loads.of(r), r)).unwrap_or(0)
    }
}
