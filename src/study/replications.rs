//! Seeds of replications: the same for every variant of a scenario (common random numbers).

use crate::workload::random::mix64;

/// Largest seed that every reader of JSON holds exactly.
const EXACT: u64 = (1 << 53) - 1;

/// Seed of replication `number` of a scenario with `seed`: its own seed for the first.
#[must_use]
pub fn seed(seed: u64, number: u32) -> u64 {
    match number {
        0 => seed,
        _ => mix64(seed ^ mix64(u64::from(number))) & EXACT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_and_the_first_is_the_scenarios() {
        let mut seeds: Vec<u64> = (0..1000).map(|number| seed(7, number)).collect();
        assert_eq!(seeds[0], 7);
        assert!(seeds.iter().all(|seed| *seed <= EXACT));
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 1000);
        assert_ne!(seed(7, 1), seed(8, 1));
    }
}
