//! Shared prefixes in the KV memory of a replica: which are cached, which of them sequences refer to, what gives way.
//!
//! A prefix is cached in whole blocks, and as a whole: it comes and goes at once. While sequences refer to it, its
//! blocks are in use, once for all of them. Those of idle prefixes count as free, and stay until they are needed;
//! then the one that was left first gives way, of those left between the same iterations the one of the lowest number.

use std::collections::{BTreeMap, BTreeSet};

/// The cache of a replica.
#[derive(Debug, Clone, Default)]
pub(super) struct PrefixCache {
    entries: BTreeMap<u32, Entry>,
    /// Prefixes that nobody refers to, by the iteration after which the last who did left, and number.
    idle: BTreeSet<(u64, u32)>,
    /// Blocks of those.
    idle_blocks: u64,
}

/// A prefix in the cache.
#[derive(Debug, Clone, Copy)]
struct Entry {
    blocks: u32,
    /// Sequences that refer to it.
    users: u32,
    /// Iteration after which the last of them left; of no meaning while there are any.
    left_iter: u64,
}

/// What the cache has of a prompt's prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hit {
    /// Blocks; 0: nothing.
    pub(super) blocks: u32,
    /// Whether somebody refers to them: then they are not free.
    pub(super) in_use: bool,
}

impl PrefixCache {
    /// What is there of a prefix.
    pub(super) fn find(&self, prefix: u32) -> Hit {
        let entry = self.entries.get(&prefix);
        entry.map_or(Hit::default(), |entry| Hit { blocks: entry.blocks, in_use: entry.users > 0 })
    }

    /// One more sequence refers to a prefix that is there.
    pub(super) fn join(&mut self, prefix: u32) {
        let Some(entry) = self.entries.get_mut(&prefix) else { return };
        if entry.users == 0 {
            self.idle.remove(&(entry.left_iter, prefix));
            self.idle_blocks -= u64::from(entry.blocks);
        }
        entry.users += 1;
    }

    /// A sequence that has computed a prefix hands its blocks over and refers to them from now on; false if the prefix
    /// is there already.
    pub(super) fn insert(&mut self, prefix: u32, blocks: u32) -> bool {
        if blocks == 0 || self.entries.contains_key(&prefix) {
            return false;
        }
        self.entries.insert(prefix, Entry { blocks, users: 1, left_iter: 0 });
        true
    }

    /// A sequence that refers to a prefix leaves after iteration `iter`; whether nobody else refers to it.
    pub(super) fn leave(&mut self, prefix: u32, iter: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&prefix) else { return false };
        entry.users -= 1;
        if entry.users > 0 {
            return false;
        }
        entry.left_iter = iter;
        self.idle.insert((iter, prefix));
        self.idle_blocks += u64::from(entry.blocks);
        true
    }

    /// Idle prefixes give way until they fit into the blocks that are free.
    #[inline]
    pub(super) fn fit(&mut self, free_blocks: u64) {
        if self.idle_blocks > free_blocks {
            self.shrink(free_blocks);
        }
    }

    #[cold]
    fn shrink(&mut self, free_blocks: u64) {
        while self.idle_blocks > free_blocks
            && let Some((_, prefix)) = self.idle.pop_first()
        {
            let blocks = self.entries.remove(&prefix).map_or(0, |entry| entry.blocks);
            self.idle_blocks -= u64::from(blocks);
        }
    }

    /// Prefixes that sequences refer to: number, blocks, how many do; and the blocks of the others.
    pub(super) fn contents(&self) -> (Vec<(u32, u32, u32)>, u64) {
        let (used, idle): (Vec<_>, Vec<_>) = self.entries.iter().partition(|(_, entry)| entry.users > 0);
        (
            used.into_iter().map(|(&prefix, entry)| (prefix, entry.blocks, entry.users)).collect(),
            idle.into_iter().map(|(_, entry)| u64::from(entry.blocks)).sum(),
        )
    }

    /// Blocks of idle prefixes as counted on the way.
    pub(super) fn idle_blocks(&self) -> u64 {
        self.idle_blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::random::mix64;

    #[test]
    fn the_prefix_that_was_left_first_gives_way() {
        let mut cache = PrefixCache::default();
        for (prefix, blocks) in [(1, 4), (2, 3), (3, 2), (4, 5)] {
            assert!(cache.insert(prefix, blocks));
        }
        assert!(!cache.insert(2, 3), "it is there");
        assert!(cache.leave(3, 10) && cache.leave(1, 11) && cache.leave(2, 11));
        // 4 is in use. Idle, oldest first: 3 (2 blocks), 1 (4), 2 (3).
        cache.fit(9);
        assert_eq!(cache.contents(), (vec![(4, 5, 1)], 9));
        cache.fit(8);
        assert_eq!((cache.find(3).blocks, cache.find(1).blocks, cache.idle_blocks()), (0, 4, 7));
        // Who is used again is young again.
        cache.join(1);
        assert!(cache.leave(1, 12));
        cache.fit(6);
        assert_eq!((cache.find(2).blocks, cache.find(1).blocks), (0, 4));
        cache.fit(0);
        assert_eq!(cache.contents(), (vec![(4, 5, 1)], 0));
    }

    /// While free blocks only fall, giving way once at the end comes to the same as giving way each time.
    #[test]
    fn giving_way_at_last_is_giving_way_all_along() {
        for seed in 0..200_u64 {
            let mut once = PrefixCache::default();
            for prefix in 1..=12 {
                let bits = mix64(seed << 8 | u64::from(prefix));
                once.insert(prefix, 1 + (bits & 7) as u32);
                if bits >> 8 & 3 > 0 {
                    once.leave(prefix, bits >> 32 & 3);
                }
            }
            let mut each = once.clone();
            let mut free = once.idle_blocks() + 3;
            for step in 0..8 {
                free = free.saturating_sub(mix64(seed ^ step) & 7);
                each.fit(free);
            }
            once.fit(free);
            assert_eq!(once.contents(), each.contents(), "seed {seed}");
            assert_eq!(once.idle, each.idle, "seed {seed}");
        }
    }

    /// A cache that keeps a list, the oldest first, and looks through all of it.
    #[derive(Default)]
    struct Plain {
        /// Prefix, blocks, users.
        list: Vec<(u32, u32, u32)>,
    }

    impl Plain {
        fn place(&self, prefix: u32) -> Option<usize> {
            self.list.iter().position(|entry| entry.0 == prefix)
        }

        fn idle(&self) -> u64 {
            self.list.iter().filter(|entry| entry.2 == 0).map(|entry| u64::from(entry.1)).sum()
        }
    }

    #[test]
    fn it_does_what_a_plain_list_does() {
        let (mut cache, mut plain) = (PrefixCache::default(), Plain::default());
        let mut users: Vec<u32> = Vec::new();
        let (mut hits, mut evicted) = (0, 0);
        for step in 0..20_000_u64 {
            let bits = mix64(step);
            let prefix = 1 + (bits % 24) as u32;
            match bits >> 32 & 3 {
                0 => {
                    let found = cache.find(prefix);
                    match plain.place(prefix) {
                        Some(place) => {
                            let (_, blocks, in_use) = plain.list[place];
                            assert_eq!(found, Hit { blocks, in_use: in_use > 0 });
                            cache.join(prefix);
                            plain.list[place].2 += 1;
                            hits += 1;
                        }
                        None => {
                            assert_eq!(found, Hit::default());
                            let blocks = 1 + (bits >> 40 & 7) as u32;
                            assert!(cache.insert(prefix, blocks));
                            plain.list.push((prefix, blocks, 1));
                        }
                    }
                    users.push(prefix);
                }
                1 | 2 if !users.is_empty() => {
                    let prefix = users.swap_remove((bits >> 40) as usize % users.len());
                    let place = plain.place(prefix).expect("in use");
                    plain.list[place].2 -= 1;
                    let last = plain.list[place].2 == 0;
                    assert_eq!(cache.leave(prefix, step), last);
                    if last {
                        // To the young end.
                        let entry = plain.list.remove(place);
                        plain.list.push(entry);
                    }
                }
                _ => {
                    let free = bits >> 40 & 31;
                    cache.fit(free);
                    while plain.idle() > free {
                        let oldest = plain.list.iter().position(|entry| entry.2 == 0).expect("idle");
                        plain.list.remove(oldest);
                        evicted += 1;
                    }
                }
            }
            let mut used: Vec<_> = plain.list.iter().copied().filter(|entry| entry.2 > 0).collect();
            used.sort_unstable();
            assert_eq!(cache.contents(), (used, plain.idle()), "step {step}");
            assert_eq!(cache.idle_blocks(), plain.idle());
        }
        assert!(hits > 500 && evicted > 500, "{hits} hits, {evicted} gave way");
    }
}
