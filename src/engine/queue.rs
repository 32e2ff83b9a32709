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
    /// Pools of a site begin or cease to drain.
    Drain = 9,
    /// The measured window opens.
    WindowOpens = 10,
    /// A reporting interval or a cell of the timeline ends.
    Tick = 11,
    /// The last instant at which requests may arrive.
    End = 12,
}

impl Rank {
    const ALL: [Self; 13] = [
        Self::IterationEnd,
        Self::Arrival,
        Self::IterationStart,
        Self::Patience,
        Self::Overdue,
        Self::Building,
        Self::CapStep,
        Self::Release,
        Self::Retry,
        Self::Drain,
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

    /// Its instant without the lowest bits; keys with different ones are in the order of these.
    #[inline]
    fn coarse(self) -> u64 {
        (self.0 >> (RANK_BITS + NUMBER_BITS + COARSE_BITS)).min(u128::from(u64::MAX)) as u64
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

/// Bits of an instant that coarse keys leave out: 4 ps remain told apart, and 64 bits reach 2.3 years.
const COARSE_BITS: u32 = 12;

/// A tournament of sources, each with at most one pending event whose key can be moved: a changed key is played
/// against one other on each of log2(sources) levels.
///
/// The event taken last leaves its path unplayed until the next call: as a rule its source sets its next event at
/// once, which then costs one pass where taking and setting would need two. Players are compared by coarse instants
/// of 64 bits, and by their whole keys where those are equal.
#[derive(Debug, Clone)]
pub struct Queue {
    /// By source; [`Key::NEVER`] where nothing is pending.
    keys: Vec<Key>,
    /// Winners: node 1 is the root, leaf of source s is node `leaves + s`.
    nodes: Vec<Player>,
    leaves: usize,
    /// The source whose event was taken last, while its path is unplayed.
    taken: Option<u32>,
}

/// A source and the coarse instant of its event.
#[derive(Debug, Clone, Copy)]
struct Player {
    instant: u64,
    source: u32,
}

impl Queue {
    /// A queue for sources 0..count, none pending.
    pub fn new(count: usize) -> Self {
        let leaves = count.next_power_of_two().max(2);
        let mut nodes = vec![Player { instant: u64::MAX, source: 0 }; 2 * leaves];
        for node in (1..2 * leaves).rev() {
            nodes[node].source = if node >= leaves { (node - leaves) as u32 } else { nodes[2 * node].source };
        }
        Self { keys: vec![Key::NEVER; leaves], nodes, leaves, taken: None }
    }

    /// Key of the earliest event, or [`Key::NEVER`].
    #[inline]
    pub fn peek(&self) -> Key {
        let Some(taken) = self.taken else { return self.keys[self.nodes[1].source as usize] };
        let mut node = self.leaves + taken as usize;
        let mut least = self.nodes[node ^ 1];
        node /= 2;
        while node > 1 {
            let other = self.nodes[node ^ 1];
            if self.beats(other, least) {
                least = other;
            }
            node /= 2;
        }
        self.keys[least.source as usize]
    }

    /// Whether a source has a pending event.
    pub fn is_pending(&self, source: usize) -> bool {
        self.keys[source] != Key::NEVER
    }

    /// Set or move a source's event.
    #[inline]
    pub fn set(&mut self, source: usize, key: Key) {
        if let Some(taken) = self.taken.take()
            && taken as usize != source
        {
            self.play(taken as usize, u64::MAX);
        }
        self.keys[source] = key;
        self.play(source, key.coarse());
    }

    /// Take the earliest event: its source and key.
    #[inline]
    pub fn pop(&mut self) -> Option<(usize, Key)> {
        if let Some(taken) = self.taken.take() {
            self.play(taken as usize, u64::MAX);
        }
        let source = self.nodes[1].source;
        let key = std::mem::replace(&mut self.keys[source as usize], Key::NEVER);
        if key == Key::NEVER {
            return None;
        }
        self.taken = Some(source);
        Some((source as usize, key))
    }

    /// Play a source's key up to the root.
    #[inline]
    fn play(&mut self, source: usize, instant: u64) {
        let mut winner = Player { instant, source: source as u32 };
        let mut node = self.leaves + source;
        self.nodes[node] = winner;
        while node > 1 {
            let other = self.nodes[node ^ 1];
            if self.beats(other, winner) {
                winner = other;
            }
            node /= 2;
            self.nodes[node] = winner;
        }
    }

    #[inline]
    fn beats(&self, one: Player, other: Player) -> bool {
        one.instant < other.instant || (one.instant == other.instant && self.beats_by_key(one, other))
    }

    #[cold]
    fn beats_by_key(&self, one: Player, other: Player) -> bool {
        self.keys[one.source as usize] < self.keys[other.source as usize]
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
