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
    /// Something breaks, or is repaired.
    Failure = 7,
    /// Replicas of a site fail, or boot.
    Outage = 8,
    /// A site's policy may raise clocks.
    Release = 9,
    /// A replica that waited for watts tries again.
    Retry = 10,
    /// Pools of a site begin or cease to drain.
    Drain = 11,
    /// A replica has booted.
    Restart = 12,
    /// The measured window opens.
    WindowOpens = 13,
    /// A reporting interval or a cell of the timeline ends.
    Tick = 14,
    /// The last instant at which requests may arrive.
    End = 15,
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
    #[inline]
    pub fn rank(self) -> Rank {
        match (self.0 >> NUMBER_BITS) as u8 {
            0 => Rank::IterationEnd,
            1 => Rank::Arrival,
            2 => Rank::IterationStart,
            3 => Rank::Patience,
            4 => Rank::Overdue,
            5 => Rank::Building,
            6 => Rank::CapStep,
            7 => Rank::Failure,
            8 => Rank::Outage,
            9 => Rank::Release,
            10 => Rank::Retry,
            11 => Rank::Drain,
            12 => Rank::Restart,
            13 => Rank::WindowOpens,
            14 => Rank::Tick,
            _ => Rank::End,
        }
    }

    /// Replica, class or site.
    pub fn number(self) -> usize {
        (self.0 & ((1 << NUMBER_BITS) - 1)) as usize
    }
}

/// Bits of an instant that coarse ones leave out: 4 ps remain told apart, and 64 bits reach 2.3 years.
const COARSE_BITS: u32 = 12;
/// Slots of the wheel per source: a source's next event is rarely further ahead than that many mean gaps.
const SLOTS_PER_SOURCE: usize = 4;
const LEAST_SLOTS: usize = 256;
const MOST_SLOTS: usize = 1 << 17;
/// Events between two looks at the width of slots.
const REVIEW_EVERY: u32 = 1024;
/// Width of slots at first, in coarse instants as a power of two: a millisecond.
const FIRST_SHIFT: u32 = 28;

/// No source, no slot.
const NONE: u32 = u32::MAX;
/// The slot of events beyond the wheel.
const FAR: u32 = u32::MAX - 1;

/// A calendar of sources, each with at most one pending event whose key can be moved.
///
/// A wheel of time slots, each a list in order of keys; what lies a turn or more ahead waits in a list of its own.
/// The width of a slot follows the mean gap between events, so that slots hold about one: setting, moving and taking
/// an event cost the same whatever the number of sources. Order never depends on the width.
#[derive(Debug, Clone)]
pub struct Queue {
    /// By source.
    entries: Vec<Entry>,
    /// First and last source by slot.
    slots: Vec<Ends>,
    /// A bit for each slot with events.
    occupied: Vec<u64>,
    far: Ends,
    /// Not later than the first of `far`, in slots.
    far_from: u64,
    /// Slot of the event taken last: nothing is pending before it.
    cursor: u64,
    shift: u32,
    /// The source with the earliest event, if known.
    first: u32,
    until_review: u32,
    reviewed: u64,
}

/// A source's event, [`Key::NEVER`] where nothing is pending; where it stands: its slot in the wheel, [`FAR`], or
/// [`NONE`]; and its neighbours there.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    slot: u32,
    before: u32,
    after: u32,
}

const ABSENT: Entry = Entry { key: Key::NEVER, slot: NONE, before: NONE, after: NONE };

/// Ends of a list.
#[derive(Debug, Clone, Copy)]
struct Ends {
    head: u32,
    tail: u32,
}

const EMPTY: Ends = Ends { head: NONE, tail: NONE };

impl Queue {
    /// A queue for sources 0..count, none pending.
    pub fn new(count: usize) -> Self {
        let slots = (SLOTS_PER_SOURCE * count).next_power_of_two().clamp(LEAST_SLOTS, MOST_SLOTS);
        Self {
            entries: vec![ABSENT; count],
            slots: vec![EMPTY; slots],
            occupied: vec![0; slots / 64],
            far: EMPTY,
            far_from: u64::MAX,
            cursor: 0,
            shift: FIRST_SHIFT,
            first: NONE,
            until_review: REVIEW_EVERY,
            reviewed: 0,
        }
    }

    /// Key of the earliest event, or [`Key::NEVER`].
    #[inline]
    pub fn peek(&mut self) -> Key {
        if self.first == NONE {
            self.find_first();
        }
        self.entries.get(self.first as usize).map_or(Key::NEVER, |entry| entry.key)
    }

    /// Whether nothing is pending before `key`, at the instant of the event taken last, right after it was taken.
    #[inline]
    pub fn is_next(&mut self, key: Key) -> bool {
        // Events of one instant share a slot, and what is left in that of the event taken last is known as first.
        let alone = self.first == NONE && self.far_from > self.cursor;
        debug_assert!(!alone || self.peek() > key, "an event of this instant is in another slot");
        alone || self.peek() > key
    }

    /// Whether a source has a pending event.
    pub fn is_pending(&self, source: usize) -> bool {
        self.entries[source].key != Key::NEVER
    }

    /// Set or move a source's event, not to before the event taken last.
    pub fn set(&mut self, source: usize, key: Key) {
        self.set_now(source, key);
    }

    /// As [`Self::set`], in place, for where most events are set.
    #[inline(always)]
    pub fn set_now(&mut self, source: usize, key: Key) {
        if self.entries[source].slot != NONE {
            self.unlink(source as u32);
        }
        self.link(source as u32, key);
        if let Some(first) = self.entries.get(self.first as usize)
            && key < first.key
        {
            self.first = source as u32;
        }
    }

    /// Nothing is pending of a source any more.
    pub fn clear(&mut self, source: usize) {
        if self.entries[source].slot != NONE {
            self.unlink(source as u32);
            self.entries[source] = ABSENT;
        }
    }

    /// Take the earliest event: its source and key.
    #[inline]
    pub fn pop(&mut self) -> Option<(usize, Key)> {
        if self.first == NONE {
            self.find_first();
        }
        let source = self.first;
        let Entry { key, slot, after, .. } = *self.entries.get(source as usize)?;
        if let Some(ends) = self.slots.get_mut(slot as usize) {
            // The earliest of all is the first of its slot, and the next there the earliest of the others.
            ends.head = after;
            self.first = after;
            match self.entries.get_mut(after as usize) {
                Some(next) => next.before = NONE,
                None => {
                    ends.tail = NONE;
                    self.occupied[slot as usize / 64] &= !(1 << (slot % 64));
                }
            }
        } else {
            self.unlink(source);
        }
        self.entries[source as usize] = ABSENT;
        self.cursor = self.cursor.max(key.coarse() >> self.shift);
        self.until_review -= 1;
        if self.until_review == 0 {
            self.review(key.coarse());
        }
        Some((source as usize, key))
    }

    /// Find the earliest event.
    #[inline(never)]
    fn find_first(&mut self) {
        let mut ahead = self.first_slot();
        let reaches_far = ahead.is_none_or(|ahead| self.cursor + ahead as u64 >= self.far_from);
        if reaches_far && self.far.head != NONE {
            self.fetch_far();
            ahead = self.first_slot();
        }
        self.first = match ahead {
            Some(ahead) => self.slots[(self.cursor as usize + ahead) & (self.slots.len() - 1)].head,
            None => self.first_of_far(),
        };
    }

    /// The earliest event where all are a turn or more ahead. The cursor stays: others may come before it.
    #[cold]
    fn first_of_far(&self) -> u32 {
        let (mut first, mut at) = (self.far.head, self.far.head);
        while at != NONE {
            if self.entries[at as usize].key < self.entries[first as usize].key {
                first = at;
            }
            at = self.entries[at as usize].after;
        }
        first
    }

    /// Slots from the cursor to the first one with events.
    #[inline]
    fn first_slot(&self) -> Option<usize> {
        let start = self.cursor as usize & (self.slots.len() - 1);
        let words = self.occupied.len();
        let (word, bit) = (start / 64, start % 64);
        let here = self.occupied[word] >> bit;
        if here != 0 {
            return Some(here.trailing_zeros() as usize);
        }
        for turn in 1..=words {
            let bits = self.occupied[(word + turn) & (words - 1)];
            if bits != 0 {
                return Some(64 * turn - bit + bits.trailing_zeros() as usize);
            }
        }
        None
    }

    /// Take what has come within a turn into the wheel.
    fn fetch_far(&mut self) {
        let mut at = std::mem::replace(&mut self.far, EMPTY).head;
        self.far_from = u64::MAX;
        while at != NONE {
            let Entry { key, after, .. } = self.entries[at as usize];
            self.link(at, key);
            at = after;
        }
    }

    #[inline(always)]
    fn link(&mut self, source: u32, key: Key) {
        let slot = (key.coarse() >> self.shift).max(self.cursor);
        if slot - self.cursor >= self.slots.len() as u64 {
            self.link_far(source, key, slot);
            return;
        }
        let place = slot as usize & (self.slots.len() - 1);
        let ends = &mut self.slots[place];
        let tail = std::mem::replace(&mut ends.tail, source);
        match self.entries.get_mut(tail as usize) {
            // As a rule it is alone.
            None => {
                ends.head = source;
                self.entries[source as usize] = Entry { key, slot: place as u32, before: NONE, after: NONE };
                self.occupied[place / 64] |= 1 << (place % 64);
            }
            Some(last) if last.key < key => {
                last.after = source;
                self.entries[source as usize] = Entry { key, slot: place as u32, before: tail, after: NONE };
            }
            Some(_) => {
                ends.tail = tail;
                self.link_before(source, key, place);
            }
        }
    }

    /// Link an event that comes before the last one of its slot.
    fn link_before(&mut self, source: u32, key: Key, place: usize) {
        let mut after = self.slots[place].tail;
        let mut before = self.entries[after as usize].before;
        while let Some(entry) = self.entries.get(before as usize)
            && entry.key > key
        {
            (after, before) = (before, entry.before);
        }
        self.entries[source as usize] = Entry { key, slot: place as u32, before, after };
        self.entries[after as usize].before = source;
        match self.entries.get_mut(before as usize) {
            Some(neighbour) => neighbour.after = source,
            None => self.slots[place].head = source,
        }
    }

    /// Link an event that lies a turn or more ahead, in slot number `slot` from the start of time.
    #[cold]
    fn link_far(&mut self, source: u32, key: Key, slot: u64) {
        self.far_from = self.far_from.min(slot);
        let tail = std::mem::replace(&mut self.far.tail, source);
        self.entries[source as usize] = Entry { key, slot: FAR, before: tail, after: NONE };
        match self.entries.get_mut(tail as usize) {
            Some(last) => last.after = source,
            None => self.far.head = source,
        }
    }

    /// Take a source out of its list; its entry stays as it is.
    fn unlink(&mut self, source: u32) {
        let Entry { slot, before, after, .. } = self.entries[source as usize];
        let ends = if slot == FAR { &mut self.far } else { &mut self.slots[slot as usize] };
        match self.entries.get_mut(before as usize) {
            Some(neighbour) => neighbour.after = after,
            None => ends.head = after,
        }
        match self.entries.get_mut(after as usize) {
            Some(neighbour) => neighbour.before = before,
            None => ends.tail = before,
        }
        if ends.head == NONE && slot != FAR {
            self.occupied[slot as usize / 64] &= !(1 << (slot % 64));
        }
        if self.first == source {
            self.first = NONE;
        }
    }

    /// Fit the width of slots to the mean gap between the last events.
    #[cold]
    fn review(&mut self, now: u64) {
        let gap = (now - self.reviewed) / u64::from(REVIEW_EVERY);
        (self.until_review, self.reviewed) = (REVIEW_EVERY, now);
        let wanted = gap.max(1).ilog2();
        if wanted.abs_diff(self.shift) < 2 {
            return;
        }
        self.shift = wanted;
        self.cursor = now >> wanted;
        self.first = NONE;
        self.slots.fill(EMPTY);
        self.occupied.fill(0);
        (self.far, self.far_from) = (EMPTY, u64::MAX);
        for source in 0..self.entries.len() {
            let key = self.entries[source].key;
            if key != Key::NEVER {
                self.link(source as u32, key);
            }
        }
        // The rest of the slot of the event taken last must be known.
        self.find_first();
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

    /// As the engine uses it, with gaps from femtoseconds to days, many ties, and events far ahead.
    #[test]
    fn time_runs_forward_at_any_pace() {
        let mut queue = Queue::new(300);
        let mut pending = std::collections::BTreeMap::new();
        let mut state = 11_u64;
        let mut dice = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let mut now_fs = 0;
        for round in 0..60_000_u64 {
            let scale = 10_i128.pow((round / 6_000) as u32 * 2);
            for _ in 0..1 + dice(2) {
                let source = dice(300) as usize;
                let far = if dice(20) == 0 { 1_000_000 } else { 1 };
                let key = Key::new(now_fs + i128::from(dice(50)) * scale * far, Rank::Retry, source);
                queue.set(source, key);
                pending.insert(source, key);
            }
            let earliest = pending.iter().map(|(&source, &key)| (key, source)).min();
            assert_eq!(queue.peek(), earliest.map_or(Key::NEVER, |(key, _)| key), "round {round}");
            if dice(3) > 0 {
                assert_eq!(queue.pop(), earliest.map(|(key, source)| (source, key)), "round {round}");
                if let Some((key, source)) = earliest {
                    pending.remove(&source);
                    now_fs = key.at_fs();
                    let start = Key::new(now_fs, Rank::Retry, dice(300) as usize);
                    let next = pending.values().all(|&key| key > start);
                    assert_eq!(queue.is_next(start), next, "round {round}");
                }
            }
        }
    }

    #[test]
    fn an_event_may_come_before_one_seen_far_ahead() {
        let mut queue = Queue::new(3);
        let key = |s: i128, source| Key::new(s * crate::physics::FS_PER_S, Rank::Tick, source);
        queue.set(0, key(3600, 0));
        assert_eq!(queue.peek(), key(3600, 0));
        for at_s in 1..200 {
            queue.set(1, key(at_s, 1));
            queue.set(2, key(at_s, 2));
            assert_eq!(queue.pop(), Some((1, key(at_s, 1))));
            assert_eq!(queue.pop(), Some((2, key(at_s, 2))));
            assert_eq!(queue.peek(), key(3600, 0));
            let slots = queue.cursor + queue.slots.len() as u64;
            assert!(slots << queue.shift < key(3600, 0).coarse(), "the wheel stays with the events taken");
        }
    }
}
