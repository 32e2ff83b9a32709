//! The event queue: one pending event per source, in order of (time, rank, number).

/// Bits of a key: 80 for the instant [fs] (38 years), 8 for the rank, 40 for the number.
const RANK_BITS: u32 = 8;
const NUMBER_BITS: u32 = 40;

/// Order of what happens at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// An iteration ends.
    IterationEnd = 0,
    /// A request arrives; arrivals are streamed, never queued.
    Arrival = 1,
    /// An iteration starts.
    IterationStart = 2,
    /// Waiting requests of a class run out of patience.
    Patience = 3,
    /// A waiting request of a class crosses its TTFT limit.
    Overdue = 4,
    /// A site's weather changes, or a cooling zone passes a threshold.
    Building = 5,
    /// A site's cap changes.
    CapStep = 6,
    /// A site's policy may raise clocks.
    Release = 7,
    /// A replica that waited for watts tries again.
    Retry = 8,
    /// The measured window opens.
    WindowOpens = 9,
    /// A reporting interval or a cell of the timeline ends.
    Tick = 10,
    /// The last instant at which requests may arrive.
    End = 11,
}

impl Rank {
    const ALL: [Self; 12] = [
        Self::IterationEnd,
        Self::Arrival,
        Self::IterationStart,
        Self::Patience,
        Self::Overdue,
        Self::Building,
        Self::CapStep,
        Self::Release,
        Self::Retry,
        Self::WindowOpens,
        Self::Tick,
        Self::End,
    ];
}

/// Order key of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(u128);

impl Key {
    /// Later than every event.
    pub const NEVER: Self = Self(u128::MAX);

    /// The key of an event at an instant ≥ 0.
    pub fn new(at_fs: i128, rank: Rank, number: usize) -> Self {
        Self(
            ((at_fs as u128) << (RANK_BITS + NUMBER_BITS)) | ((rank as u128) << NUMBER_BITS) | number as u128,
        )
    }

    /// Instant [fs].
    pub fn at_fs(self) -> i128 {
        (self.0 >> (RANK_BITS + NUMBER_BITS)) as i128
    }

    /// Rank.
    pub fn rank(self) -> Rank {
        Rank::ALL[((self.0 >> NUMBER_BITS) & ((1 << RANK_BITS) - 1)) as usize]
    }

    /// Replica, class or site.
    pub fn number(self) -> usize {
        (self.0 & ((1 << NUMBER_BITS) - 1)) as usize
    }
}

/// Children of a place in the heap: fewer levels, and the four keys compared share a cache line.
const ARITY: usize = 4;

/// A heap of sources, each with at most one pending event whose key can be moved.
///
/// The place of the event taken last stays open until the next call: as a rule its source sets its next event
/// at once, which then sinks from there, in one pass where taking and setting would need two.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Keys with the sources they belong to, as a heap.
    keys: Vec<Key>,
    sources: Vec<u32>,
    places: Vec<u32>,
    /// Whether the root is open: its event was taken.
    open: bool,
}

/// Place of a source that is not in the heap.
const ABSENT: u32 = u32::MAX;

impl Queue {
    /// A queue for sources 0..count, none pending.
    pub fn new(count: usize) -> Self {
        Self {
            keys: Vec::with_capacity(count),
            sources: Vec::with_capacity(count),
            places: vec![ABSENT; count],
            open: false,
        }
    }

    /// Key of the earliest event, or [`Key::NEVER`].
    #[inline]
    pub fn peek(&self) -> Key {
        if self.open {
            return self.keys.iter().skip(1).take(ARITY).copied().min().unwrap_or(Key::NEVER);
        }
        self.keys.first().copied().unwrap_or(Key::NEVER)
    }

    /// Whether a source has a pending event.
    pub fn is_pending(&self, source: usize) -> bool {
        self.places[source] != ABSENT
    }

    /// Set or move a source's event.
    #[inline]
    pub fn set(&mut self, source: usize, key: Key) {
        let place = self.places[source];
        if place == ABSENT {
            if self.open {
                self.open = false;
                self.sink(0, source as u32, key);
            } else {
                self.keys.push(key);
                self.sources.push(source as u32);
                self.rise(self.keys.len() - 1, source as u32, key);
            }
            return;
        }
        if self.open {
            // Another source moves: its place is below the open root.
            self.close();
        }
        let place = self.places[source] as usize;
        if key < self.keys[place] {
            self.rise(place, source as u32, key);
        } else {
            self.sink(place, source as u32, key);
        }
    }

    /// Take the earliest event: its source and key.
    #[inline]
    pub fn pop(&mut self) -> Option<(usize, Key)> {
        if self.open {
            self.close();
        }
        let key = *self.keys.first()?;
        let source = self.sources[0] as usize;
        self.places[source] = ABSENT;
        self.open = true;
        Some((source, key))
    }

    /// Fill the open root with the last key.
    fn close(&mut self) {
        self.open = false;
        if let (Some(key), Some(source)) = (self.keys.pop(), self.sources.pop())
            && !self.keys.is_empty()
        {
            self.sink(0, source, key);
        }
    }

    #[inline]
    fn put(&mut self, place: usize, source: u32, key: Key) {
        self.keys[place] = key;
        self.sources[place] = source;
        self.places[source as usize] = place as u32;
    }

    fn rise(&mut self, mut place: usize, source: u32, key: Key) {
        while place > 0 {
            let above = (place - 1) / ARITY;
            if self.keys[above] <= key {
                break;
            }
            self.put(place, self.sources[above], self.keys[above]);
            place = above;
        }
        self.put(place, source, key);
    }

    fn sink(&mut self, mut place: usize, source: u32, key: Key) {
        loop {
            let first = ARITY * place + 1;
            let (child, least) = match self.keys.get(first..first + ARITY) {
                Some(&[a, b, c, d]) => {
                    let ab = if b < a { (first + 1, b) } else { (first, a) };
                    let cd = if d < c { (first + 3, d) } else { (first + 2, c) };
                    if cd.1 < ab.1 { cd } else { ab }
                }
                _ => {
                    let rest = self.keys.get(first..).unwrap_or_default();
                    let least = rest.iter().copied().enumerate().min_by_key(|&(_, other)| other);
                    let Some((child, least)) = least else { break };
                    (first + child, least)
                }
            };
            if key <= least {
                break;
            }
            self.put(place, self.sources[child], least);
            place = child;
        }
        self.put(place, source, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_time_then_rank_then_number() {
        let year = 31_536_000 * crate::physics::FS_PER_S;
        let key = Key::new(year, Rank::Retry, 9_999);
        assert_eq!((key.at_fs(), key.rank(), key.number()), (year, Rank::Retry, 9_999));
        assert!(Key::new(5, Rank::End, 7) < Key::new(6, Rank::IterationEnd, 0));
        assert!(Key::new(5, Rank::IterationEnd, 7) < Key::new(5, Rank::Arrival, 0));
        assert!(Key::new(5, Rank::Tick, 1) < Key::new(5, Rank::Tick, 2));
    }

    #[test]
    fn pops_in_order_through_moves() {
        let mut queue = Queue::new(500);
        let mut state = 7_u64;
        let mut wanted: Vec<Key> = Vec::new();
        for round in 0..3 {
            for source in 0..500 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = Key::new(i128::from(state >> 50), Rank::IterationEnd, source);
                queue.set(source, key);
                if round == 2 {
                    wanted.push(key);
                }
            }
        }
        wanted.sort();
        for key in wanted {
            assert_eq!(queue.pop(), Some((key.number(), key)));
        }
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.peek(), Key::NEVER);
    }

    /// Against a sorted set: events set, moved, taken and left out in a random order.
    #[test]
    fn takes_and_moves_agree_with_a_sorted_set() {
        let mut queue = Queue::new(40);
        let mut pending = std::collections::BTreeMap::new();
        let mut state = 3_u64;
        let mut dice = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..50_000 {
            let earliest = pending.iter().map(|(&source, &key)| (key, source)).min();
            assert_eq!(queue.peek(), earliest.map_or(Key::NEVER, |(key, _)| key));
            if dice(2) == 0 {
                assert_eq!(queue.pop(), earliest.map(|(key, source)| (source, key)));
                if let Some((_, source)) = earliest {
                    pending.remove(&source);
                }
            } else {
                let source = dice(40) as usize;
                let key = Key::new(i128::from(dice(1_000)), Rank::IterationEnd, source);
                queue.set(source, key);
                pending.insert(source, key);
            }
            assert!((0..40).all(|source| queue.is_pending(source) == pending.contains_key(&source)));
        }
    }
}
