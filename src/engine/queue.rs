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

/// A binary heap of sources, each with at most one pending event whose key can be moved.
#[derive(Debug, Clone)]
pub struct Queue {
    keys: Vec<Key>,
    heap: Vec<u32>,
    places: Vec<u32>,
}

/// Place of a source that is not in the heap.
const ABSENT: u32 = u32::MAX;

impl Queue {
    /// A queue for sources 0..count, none pending.
    pub fn new(count: usize) -> Self {
        Self { keys: vec![Key::NEVER; count], heap: Vec::with_capacity(count), places: vec![ABSENT; count] }
    }

    /// Key of the earliest event, or [`Key::NEVER`].
    pub fn peek(&self) -> Key {
        self.heap.first().map_or(Key::NEVER, |&source| self.keys[source as usize])
    }

    /// Key of a source's event, or [`Key::NEVER`].
    pub fn key_of(&self, source: usize) -> Key {
        self.keys[source]
    }

    /// Set or move a source's event.
    pub fn set(&mut self, source: usize, key: Key) {
        let before = self.keys[source];
        self.keys[source] = key;
        if self.places[source] == ABSENT {
            self.places[source] = self.heap.len() as u32;
            self.heap.push(source as u32);
            self.rise(self.heap.len() - 1);
        } else if key < before {
            self.rise(self.places[source] as usize);
        } else {
            self.sink(self.places[source] as usize);
        }
    }

    /// Take the earliest event: its source and key.
    pub fn pop(&mut self) -> Option<(usize, Key)> {
        let source = *self.heap.first()? as usize;
        let key = self.keys[source];
        self.keys[source] = Key::NEVER;
        self.places[source] = ABSENT;
        let last = self.heap.pop()?;
        if last as usize != source {
            self.heap[0] = last;
            self.places[last as usize] = 0;
            self.sink(0);
        }
        Some((source, key))
    }

    fn rise(&mut self, mut place: usize) {
        let source = self.heap[place];
        let key = self.keys[source as usize];
        while place > 0 {
            let above = (place - 1) / 2;
            if self.keys[self.heap[above] as usize] <= key {
                break;
            }
            self.heap[place] = self.heap[above];
            self.places[self.heap[place] as usize] = place as u32;
            place = above;
        }
        self.heap[place] = source;
        self.places[source as usize] = place as u32;
    }

    fn sink(&mut self, mut place: usize) {
        let source = self.heap[place];
        let key = self.keys[source as usize];
        loop {
            let mut below = 2 * place + 1;
            if below >= self.heap.len() {
                break;
            }
            if below + 1 < self.heap.len()
                && self.keys[self.heap[below + 1] as usize] < self.keys[self.heap[below] as usize]
            {
                below += 1;
            }
            if self.keys[self.heap[below] as usize] >= key {
                break;
            }
            self.heap[place] = self.heap[below];
            self.places[self.heap[place] as usize] = place as u32;
            place = below;
        }
        self.heap[place] = source;
        self.places[source as usize] = place as u32;
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
}
