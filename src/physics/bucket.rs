//! Geometric buckets of context, ratio 2^(1/8): power and binding are evaluated at a bucket's centre.

/// ⌈2^(63 + k/8)⌉: where eighths of an octave begin in a token count shifted until its highest bit is set.
const EIGHTHS: [u64; 8] = [
    0x8000_0000_0000_0000,
    0x8b95_c1e3_ea8b_d6e7,
    0x9837_f051_8db8_a970,
    0xa5fe_d6a9_b151_38eb,
    0xb504_f333_f9de_6485,
    0xc567_2a11_5506_dade,
    0xd744_fcca_d69d_6af5,
    0xeac0_c6e7_dd24_392f,
];

/// By the four bits after the highest: the eighth that begins at or before that sixteenth of an octave.
const EIGHTH_AT: [u8; 16] = {
    let mut at = [0; 16];
    let mut sixteenth = 0;
    while sixteenth < 16 {
        let begin = (16 + sixteenth as u64) << 59;
        let mut k = 7;
        while EIGHTHS[k] > begin {
            k -= 1;
        }
        at[sixteenth] = k as u8;
        sixteenth += 1;
    }
    at
};

/// Octaves told apart: up to 2^48 tokens.
const OCTAVES: usize = 48;

/// Edges E_j = ⌈2^(j/8)⌉; bucket 0 holds only 0.
static EDGES: [i64; 8 * OCTAVES + 1] = {
    let mut edges = [0; 8 * OCTAVES + 1];
    let mut j = 0;
    while j <= 8 * OCTAVES {
        let shift = 63 - j / 8;
        let (whole, rest) = (EIGHTHS[j % 8] >> shift, EIGHTHS[j % 8] & ((1 << shift) - 1));
        edges[j] = whole as i64 + if rest > 0 { 1 } else { 0 };
        j += 1;
    }
    edges
};

/// Bucket of a token count ≥ 0.
#[inline]
pub fn bucket(tokens: i64) -> u16 {
    if tokens <= 0 {
        return 0;
    }
    let zeros = tokens.leading_zeros();
    let octave = 63 - zeros as usize;
    if octave >= OCTAVES {
        return 8 * OCTAVES as u16;
    }
    let shifted = (tokens as u64) << zeros;
    // No sixteenth of an octave holds the beginnings of two eighths: one comparison is left.
    let eighth = usize::from(EIGHTH_AT[(shifted >> 59) as usize & 15]);
    let passed = eighth < 7 && shifted >= EIGHTHS[(eighth + 1) & 7];
    (octave * 8 + eighth + usize::from(passed) + 1) as u16
}

/// Smallest token count above a bucket.
#[inline]
pub fn upper_edge(bucket: u16) -> i64 {
    if bucket == 0 { 1 } else { EDGES.get(usize::from(bucket)).copied().unwrap_or(i64::MAX) }
}

/// Token count that represents a bucket: the geometric mean of its edges, 0 for the empty one.
#[inline]
pub fn centre(bucket: u16) -> f64 {
    match usize::from(bucket).min(8 * OCTAVES) {
        0 => 0.0,
        above => (EDGES[above - 1] as f64 * EDGES[above] as f64).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_partition_the_integers() {
        let mut last = 0;
        for tokens in 0..200_000_i64 {
            let b = bucket(tokens);
            assert!(b >= last, "buckets rise with tokens");
            assert!(tokens < upper_edge(b), "{tokens} is below the upper edge of its bucket");
            if tokens > 0 {
                assert!(bucket(upper_edge(b)) > b, "the edge belongs to a later bucket");
                let ratio = centre(b) / tokens as f64;
                assert!(tokens < 16 || (0.91..1.10).contains(&ratio), "{tokens}: {ratio}");
            }
            last = b;
        }
        assert_eq!(bucket(0), 0);
        assert!(bucket(i64::from(u32::MAX)) < bucket(1 << 40));
        for (j, &edge) in EDGES.iter().enumerate().take(8 * OCTAVES) {
            let below = edge - 1;
            let exact = (j as f64 / 8.0).exp2();
            let excess = edge as f64 - exact;
            assert!(excess > -1e-15 * exact && excess < 1.0 + 1e-15 * exact, "edge {j}: {edge} for {exact}");
            assert!(bucket(below) < bucket(edge) || below == 0, "edge {j}");
            assert!(edge < upper_edge(bucket(edge)));
        }
    }
}
