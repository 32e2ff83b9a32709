//! Random numbers that belong to a request.
//!
//! Every request draws each of its attributes from a generator of its own, seeded by
//! hash(seed, purpose, class number, number in class). So a changed rate leaves every length as it
//! was, a changed length leaves every arrival as it was, and nothing a fleet does can shift a
//! workload (common random numbers). Classes are told apart by their *number*: renaming a class
//! changes nothing, exchanging two classes exchanges their draws.
//!
//! The hash is the 64-bit finaliser of splitmix64 (Steele, Lea, Flood 2014) over a Weyl sequence,
//! the generator is PCG XSL 128/64 MCG (`Pcg64Mcg`): both are named and portable.

use rand_pcg::Pcg64Mcg;

use super::Request;

/// Increment of the Weyl sequence of splitmix64: 2^64 over the golden ratio, odd.
const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64: a bijection of 64 bits in which every bit depends on every bit.
#[inline]
#[must_use]
pub fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The bits of which [`mix64`] makes these.
#[inline]
fn unmix64(mut z: u64) -> u64 {
    z = z ^ (z >> 31) ^ (z >> 62);
    z = z.wrapping_mul(inverse(0x94d0_49bb_1331_11eb));
    z = z ^ (z >> 27) ^ (z >> 54);
    z = z.wrapping_mul(inverse(0xbf58_476d_1ce4_e5b9));
    z ^ (z >> 30) ^ (z >> 60)
}

/// The inverse of an odd number modulo 2^64, by Newton: each round doubles the bits that are right, three at first.
const fn inverse(odd: u64) -> u64 {
    let (mut x, mut round) = (odd, 0);
    while round < 5 {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

/// What a draw is for; different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The gap before a request.
    Gap,
    /// Its prompt tokens.
    Prompt,
    /// Its answer tokens.
    Answer,
    /// Whether a trace row is kept by a fractional `scale`.
    Thin,
    /// Routing.
    Route,
    /// How hard its problem is.
    Difficulty,
    /// Whether the predictor flags it as hard.
    Flag,
    /// The thought it needs.
    Thinking,
    /// Whether its answer is right.
    Correct,
    /// The share of a draft's tokens that it accepts; see [`of_request`].
    Acceptance,
    /// The shared prefix its prompt begins with.
    Prefix,
    /// Tokens of a shared prefix; no request's, and its number is that of the prefix in its class, from 0.
    PrefixTokens,
    /// Whether further attempts at its problem are right.
    Repeat,
    /// The thought that further attempts need.
    Rethink,
    /// What verifications say.
    Verdict,
    /// Which of several answers is delivered.
    Pick,
    /// Coefficients of the catalog's fit; no request's, and its number is that of the draw.
    Fit,
    /// Failures and repairs; no request's: its class is the entry under `failures`, its number the part.
    Failure,
}

impl Purpose {
    /// The purpose as a number: its name in ASCII, so that adding one never moves another.
    const fn tag(self) -> u64 {
        u64::from_le_bytes(match self {
            Self::Gap => *b"gap\0\0\0\0\0",
            Self::Prompt => *b"prompt\0\0",
            Self::Answer => *b"answer\0\0",
            Self::Thin => *b"thin\0\0\0\0",
            Self::Route => *b"route\0\0\0",
            Self::Difficulty => *b"difficul",
            Self::Flag => *b"flag\0\0\0\0",
            Self::Thinking => *b"thinking",
            Self::Correct => *b"correct\0",
            Self::Acceptance => *b"accept\0\0",
            Self::Prefix => *b"prefix\0\0",
            Self::PrefixTokens => *b"pre tok\0",
            Self::Repeat => *b"repeat\0\0",
            Self::Rethink => *b"rethink\0",
            Self::Verdict => *b"verdict\0",
            Self::Pick => *b"pick\0\0\0\0",
            Self::Fit => *b"fit\0\0\0\0\0",
            Self::Failure => *b"failure\0",
        })
    }
}

/// The key of one purpose of one class: everything of the hash but the request's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// The key for `purpose` in class number `class`.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, class: u16) -> Self {
        let mut k = mix64(seed.wrapping_add(WEYL));
        k = mix64((k ^ purpose.tag()).wrapping_add(WEYL));
        k = mix64((k ^ u64::from(class)).wrapping_add(WEYL));
        Self { low: k, high: mix64(k.wrapping_add(WEYL)) }
    }

    /// 64 random bits of request number `number` in its class.
    #[inline]
    #[must_use]
    pub fn bits(&self, number: u64) -> u64 {
        mix64(self.low.wrapping_add(number.wrapping_add(1).wrapping_mul(WEYL)))
    }

    /// The number of the request that has these bits of this key.
    #[inline]
    #[must_use]
    pub fn number_of(&self, bits: u64) -> u64 {
        unmix64(bits).wrapping_sub(self.low).wrapping_mul(inverse(WEYL)).wrapping_sub(1)
    }

    /// The generator of request number `number` in its class.
    #[inline]
    #[must_use]
    pub fn generator(&self, number: u64) -> Pcg64Mcg {
        let step = number.wrapping_add(1).wrapping_mul(WEYL);
        let low = mix64(self.low.wrapping_add(step));
        let high = mix64(self.high.wrapping_add(step));
        Pcg64Mcg::new((u128::from(high) << 64) | u128::from(low))
    }
}

/// The generator of what is drawn where a request is served, not when it arrives: from the bits of its own that it
/// carries, which are a hash of seed, class and number.
#[must_use]
pub fn of_request(purpose: Purpose, request: &Request) -> Pcg64Mcg {
    Key::new(request.route_bits, purpose, request.class).generator(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn the_hash_is_splitmix64() {
        // Reference outputs of splitmix64 for state 1234567 (Vigna's splitmix64.c).
        let mut state = 1_234_567_u64;
        let mut next = || {
            state = state.wrapping_add(WEYL);
            mix64(state)
        };
        assert_eq!(next(), 6_457_827_717_110_365_317);
        assert_eq!(next(), 3_203_168_211_198_807_973);
        assert_eq!(next(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn bits_name_their_number() {
        for number in [0, 1, 2, 77, 1 << 40, u64::MAX - 1, u64::MAX] {
            let key = Key::new(9, Purpose::Route, 3);
            assert_eq!(key.number_of(key.bits(number)), number);
            assert_eq!(unmix64(mix64(number)), number);
        }
    }

    #[test]
    fn purposes_classes_seeds_and_numbers_are_told_apart() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..4 {
            for purpose in [
                Purpose::Gap,
                Purpose::Prompt,
                Purpose::Answer,
                Purpose::Thin,
                Purpose::Route,
                Purpose::Difficulty,
                Purpose::Flag,
                Purpose::Thinking,
                Purpose::Correct,
                Purpose::Acceptance,
                Purpose::Prefix,
                Purpose::PrefixTokens,
                Purpose::Repeat,
                Purpose::Rethink,
                Purpose::Verdict,
                Purpose::Pick,
                Purpose::Fit,
                Purpose::Failure,
            ] {
                for class in 0..4 {
                    let key = Key::new(seed, purpose, class);
                    for number in 0..50 {
                        assert!(seen.insert(key.generator(number).next_u64()));
                        assert!(seen.insert(key.bits(number)));
                    }
                }
            }
        }
    }

    #[test]
    fn bits_of_neighbours_are_balanced() {
        let key = Key::new(1, Purpose::Route, 0);
        let n = 20_000_u64;
        for bit in 0..64 {
            let ones: u64 = (0..n).map(|i| key.bits(i) >> bit & 1).sum();
            let first: u64 = (0..n).map(|i| key.generator(i).next_u64() >> bit & 1).sum();
            for count in [ones, first] {
                // 5 standard deviations of a fair coin: 5 · √n / 2.
                assert!(count.abs_diff(n / 2) < 354, "bit {bit}: {count} of {n}");
            }
        }
    }
}
