//! Routers: which replica a request goes to.

use super::loads::Loads;
use crate::fleet::Fleet;
use crate::scenario::types::Routing;
use crate::workload::Request;

/// A router sees a request and the loads; it never sees the clock or other routers' draws.
pub trait Router {
    /// The replica for a request: an open one, unless all that may serve it are closed.
    fn route(&mut self, request: &Request, loads: &Loads) -> usize;
}

/// The router a scenario names, and loads as it needs them. Which replicas are open to a request is the
/// fleet's: by its class and, where routing goes by difficulty, by the predictor's flag.
pub fn build(routing: &Routing, fleet: &Fleet) -> (Box<dyn Router>, Loads) {
    let candidates = Candidates::new(fleet);
    let replicas = fleet.replicas();
    match routing {
        Routing::DifficultyAware(aware) => build(&aware.within, fleet),
        Routing::RoundRobin => {
            let next = vec![0; candidates.ranges.len()];
            (Box::new(RoundRobin { candidates, next }), Loads::new(replicas, false))
        }
        Routing::Random => (Box::new(Probing { candidates, probes: 1 }), Loads::new(replicas, false)),
        Routing::PowerOfTwo => (Box::new(Probing { candidates, probes: 2 }), Loads::new(replicas, false)),
        Routing::PrefixAware(aware) => {
            let (random, overload) = (Probing { candidates, probes: 2 }, aware.overload);
            (Box::new(PrefixAware { random, overload }), Loads::new(replicas, false))
        }
        Routing::LeastLoaded(options) => match options.probe {
            Some(probes) => (Box::new(Probing { candidates, probes }), Loads::new(replicas, false)),
            None => (Box::new(LeastLoadedOfAll { candidates }), Loads::new(replicas, true)),
        },
    }
}

/// Replicas open to requests, as ranges of numbers.
struct Candidates {
    /// By class: the group of problems not flagged hard, and of those flagged hard; the same where the flag
    /// decides nothing.
    groups: Vec<[usize; 2]>,
    /// By class that answers in several legs: the group of each leg.
    legs: Vec<Vec<usize>>,
    /// By group.
    ranges: Vec<Vec<std::ops::Range<usize>>>,
    counts: Vec<usize>,
    all: usize,
}

impl Candidates {
    fn new(fleet: &Fleet) -> Self {
        let (mut groups, mut ranges) = (Vec::new(), Vec::<Vec<std::ops::Range<usize>>>::new());
        for [others, hard] in &fleet.pools_by_flag {
            let mut group = |pools: &[u16]| {
                ranges.push(ranges_of(fleet, pools));
                ranges.len() - 1
            };
            let first = group(others);
            groups.push([first, if others == hard { first } else { group(hard) }]);
        }
        let mut legs = Vec::new();
        for (class, of_leg) in fleet.pools_of_leg.iter().enumerate() {
            // Legs of one model share a group, and so whose turn it is.
            let mut seen: Vec<(&[u16], usize)> = vec![];
            if let Some(first) = of_leg.first() {
                seen.push((first, groups[class][0]));
            }
            let mut of_class = Vec::new();
            for pools in of_leg {
                let known = seen.iter().find(|(other, _)| other == pools).map(|&(_, group)| group);
                of_class.push(known.unwrap_or_else(|| {
                    ranges.push(ranges_of(fleet, pools));
                    seen.push((pools, ranges.len() - 1));
                    ranges.len() - 1
                }));
            }
            legs.push(of_class);
        }
        let counts = ranges.iter().map(|ranges| ranges.iter().map(std::ops::Range::len).sum()).collect();
        Self { groups, legs, ranges, counts, all: fleet.replicas() }
    }

    fn group(&self, request: &Request) -> usize {
        match request.leg.number() {
            None => self.groups[usize::from(request.class)][usize::from(request.attempt.flagged_hard())],
            Some(leg) => self.legs[usize::from(request.class)][usize::from(leg)],
        }
    }

    fn count(&self, request: &Request) -> usize {
        self.counts[self.group(request)]
    }

    fn nth(&self, request: &Request, index: usize) -> usize {
        nth(&self.ranges[self.group(request)], index)
    }
}

/// Replicas of some pools.
fn ranges_of(fleet: &Fleet, pools: &[u16]) -> Vec<std::ops::Range<usize>> {
    pools.iter().map(|&p| fleet.pools[usize::from(p)].replicas.clone()).collect()
}

/// Replica number `index` of those in some ranges.
#[inline]
fn nth(ranges: &[std::ops::Range<usize>], mut index: usize) -> usize {
    // As a rule all are of one pool.
    if let [all] = ranges {
        return all.start + index;
    }
    for range in ranges {
        if index < range.len() {
            return range.start + index;
        }
        index -= range.len();
    }
    0
}

struct RoundRobin {
    candidates: Candidates,
    next: Vec<usize>,
}

impl Router for RoundRobin {
    fn route(&mut self, request: &Request, loads: &Loads) -> usize {
        let count = self.candidates.count(request);
        let next = &mut self.next[self.candidates.group(request)];
        let first = *next;
        for turn in 0..count {
            let index = (first + turn) % count;
            let replica = self.candidates.nth(request, index);
            if loads.is_open(replica) {
                *next = (index + 1) % count;
                return replica;
            }
        }
        *next = (first + 1) % count;
        self.candidates.nth(request, first)
    }
}

/// The least loaded of some drawn at random (with replacement), the first drawn of equals. One probe: random.
struct Probing {
    candidates: Candidates,
    probes: u32,
}

impl Router for Probing {
    fn route(&mut self, request: &Request, loads: &Loads) -> usize {
        self.draw(request, request.route_bits, loads)
    }
}

impl Probing {
    /// By random bits: the request's own, or others.
    #[inline]
    fn draw(&self, request: &Request, mut bits: u64, loads: &Loads) -> usize {
        let group = self.candidates.group(request);
        let count = self.candidates.counts[group] as u64;
        let ranges = &self.candidates.ranges[group];
        // High half of a product: uniform without a division.
        let probe = |bits: u64| nth(ranges, ((u128::from(bits) * u128::from(count)) >> 64) as usize);
        let mut best = probe(bits);
        if !loads.is_open(best) && self.probes == 1 {
            return first_open(ranges, best, bits, loads, probe);
        }
        if self.probes > 1 {
            let mut least = loads.of(best);
            for _ in 1..self.probes {
                bits = crate::workload::random::mix64(bits);
                let replica = probe(bits);
                let load = loads.of(replica);
                if load < least {
                    (best, least) = (replica, load);
                }
            }
            if !loads.is_open(best) {
                return first_open(ranges, best, bits, loads, probe);
            }
        }
        best
    }
}

/// Where every replica drawn is closed: draw on, and at last look at each in turn.
#[cold]
fn first_open(
    ranges: &[std::ops::Range<usize>],
    drawn: usize,
    mut bits: u64,
    loads: &Loads,
    probe: impl Fn(u64) -> usize,
) -> usize {
    for _ in 0..16 {
        bits = crate::workload::random::mix64(bits);
        let replica = probe(bits);
        if loads.is_open(replica) {
            return replica;
        }
    }
    ranges.iter().cloned().flatten().find(|&replica| loads.is_open(replica)).unwrap_or(drawn)
}

/// The less loaded of the two homes of a request's prefix: replicas drawn by a hash of the prefix, the same for all its
/// requests; where both are closed, those that the hash draws on. A home that is overloaded is passed over for one drawn
/// by the request's own bits. Requests without a prefix are spread as by [`Probing`].
///
/// It knows no cache: a home may have lost the prefix, others may have it from requests that were passed on.
struct PrefixAware {
    random: Probing,
    overload: f64,
}

impl Router for PrefixAware {
    fn route(&mut self, request: &Request, loads: &Loads) -> usize {
        let other = self.random.route(request, loads);
        if request.prefix == 0 {
            return other;
        }
        let bits = crate::workload::random::mix64(HOMES ^ u64::from(request.prefix));
        let home = self.random.draw(request, bits, loads);
        let load = |replica: usize| f64::from(loads.of(replica));
        // Where all are closed, neither is better.
        if load(home) > self.overload * (load(other) + 1.0) { other } else { home }
    }
}

/// Told apart from what else is hashed.
const HOMES: u64 = u64::from_le_bytes(*b"prefixes");

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
        // Only some pools are open to this request: look at each of their replicas.
        let ranges = &self.candidates.ranges[self.candidates.group(request)];
        ranges.iter().cloned().flatten().min_by_key(|&r| (loads.of(r), r)).unwrap_or(0)
    }
}
