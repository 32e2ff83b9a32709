//! Prefixes that the prompts of a class share: which of them a request begins with, and how long each is.

use std::path::Path;
use std::sync::Arc;

use super::lengths::Sampler;
use super::random::{Key, Purpose};
use super::reasoning::uniform;
use crate::input::InputError;
use crate::scenario::types::Prefixes;

/// The prefixes of a class, ready to draw from.
#[derive(Debug, Clone)]
pub(crate) struct Sharing {
    which: Key,
    /// Number of the first among the prefixes of all classes.
    first: u32,
    /// By rank, the most popular first.
    prefixes: Arc<[Ranked]>,
}

#[derive(Debug, Clone, Copy)]
struct Ranked {
    /// Uniform draws below this are of this rank or a more popular one.
    below: f64,
    tok: u32,
}

impl Sharing {
    /// Checks and draws the prefixes of class number `class`, numbered from `first`. `field` is their path in the
    /// scenario.
    pub(crate) fn open(
        given: &Prefixes,
        seed: u64,
        class: u16,
        first: u32,
        field: &str,
        base_dir: &Path,
    ) -> Result<Self, InputError> {
        if !Prefixes::COUNT.contains(&given.count) {
            return Err(InputError::field(
                format!("{field}.count"),
                format!("is {}; it must lie in {:?}", given.count, Prefixes::COUNT),
            ));
        }
        if !Prefixes::ZIPF.contains(&given.zipf) {
            return Err(InputError::field(
                format!("{field}.zipf"),
                format!("is {}; it must lie in 0..=10 (Zipf's law: 1)", given.zipf),
            ));
        }
        if first.checked_add(given.count).is_none() {
            return Err(InputError::field(
                format!("{field}.count"),
                format!("makes more than {} prefixes of all classes", u32::MAX - 1),
            ));
        }
        let length = Sampler::open(&given.tok, &format!("{field}.tok"), base_dir)?;
        let tok_key = Key::new(seed, Purpose::PrefixTokens, class);
        let weight = |rank: u32| f64::from(rank + 1).powf(-given.zipf);
        let total: f64 = (0..given.count).map(weight).sum();
        let mut sum = 0.0;
        let mut ranked = |rank: u32| {
            sum += weight(rank);
            Ranked { below: sum / total, tok: length.draw(&tok_key, rank.into()) }
        };
        let prefixes = (0..given.count).map(&mut ranked).collect();
        Ok(Self { which: Key::new(seed, Purpose::Prefix, class), first, prefixes })
    }

    /// Number after that of the last prefix.
    pub(crate) fn end(&self) -> u32 {
        self.first + self.prefixes.len() as u32
    }

    /// The prefix of request `number` of the class: its number among those of all classes, and its tokens.
    #[inline]
    pub(crate) fn draw(&self, number: u64) -> (u32, u32) {
        let u = uniform(&self.which, number);
        let rank = self.prefixes.partition_point(|prefix| prefix.below <= u).min(self.prefixes.len() - 1);
        (self.first + rank as u32, self.prefixes[rank].tok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::types::{ConstantLength, ExponentialLength, Length};

    fn sharing(tok: Length, count: u32, zipf: f64) -> Sharing {
        let given = Prefixes { tok, count, zipf };
        Sharing::open(&given, 7, 0, 5, "prefixes", Path::new(".")).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn popularity_falls_with_rank_as_a_power() {
        let n = 200_000_u64;
        for zipf in [0.0, 1.0, 2.0] {
            let sharing = sharing(Length::Constant(ConstantLength { tok: 64 }), 20, zipf);
            let mut counts = [0_u64; 20];
            for k in 0..n {
                let (number, tok) = sharing.draw(k);
                assert_eq!(tok, 64);
                counts[number as usize - 5] += 1;
            }
            let weight = |rank: usize| (rank as f64 + 1.0).powf(-zipf);
            let total: f64 = (0..20).map(weight).sum();
            for (rank, &count) in counts.iter().enumerate() {
                let p = weight(rank) / total;
                let sigma = (n as f64 * p * (1.0 - p)).sqrt();
                let off = (count as f64 - n as f64 * p).abs();
                assert!(off < 5.0 * sigma, "exponent {zipf}, rank {rank}: {count} draws of {n}");
            }
        }
    }

    #[test]
    fn a_prefix_keeps_its_length() {
        let mean = Length::Exponential(ExponentialLength { mean_tok: 500.0, max_tok: 10_000 });
        let sharing = sharing(mean, 50, 1.0);
        let mut seen = std::collections::BTreeMap::new();
        for k in 0..5000 {
            let (number, tok) = sharing.draw(k);
            assert_eq!(*seen.entry(number).or_insert(tok), tok);
        }
        let lengths: std::collections::BTreeSet<u32> = seen.values().copied().collect();
        assert!(seen.len() > 40 && lengths.len() > 30, "{} prefixes, {} lengths", seen.len(), lengths.len());
        assert_eq!(sharing.end(), 55);
    }
}
