//! Geometric buckets of context, ratio 2^(1/8): power and binding are evaluated at a bucket's centre.

use std::sync::LazyLock;

/// Edges E_j = ⌈2^(j/8)⌉ up to 2^48 tokens; bucket 0 holds only 0.
static EDGES: LazyLock<Vec<i64>> =
    LazyLock::new(|| (0..=8 * 48).map(|j| (f64::from(j) / 8.0).exp2().ceil() as i64).collect());

/// Centres, parallel to buckets.
static CENTRES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut centres = vec![0.0];
    for pair in EDGES.windows(2) {
        // Integers lo..hi-1 belong to the bucket; the geometric mean of its real extent represents it.
        centres.push(((pair[0] as f64) * (pair[1] as f64)).sqrt());
    }
    centres
});

/// Bucket of a token count ≥ 0.
pub fn bucket(tokens: i64) -> u16 {
    if tokens <= 0 {
        return 0;
    }
    let octave = 63 - tokens.leading_zeros() as usize;
    let edges = &*EDGES;
    let mut j = (octave * 8).min(edges.len() - 2);
    while j + 2 < edges.len() && edges[j + 1] <= tokens {
        j += 1;
    }
    (j + 1) as u16
}

/// Smallest token count above a bucket.
pub fn upper_edge(bucket: u16) -> i64 {
    if bucket == 0 { 1 } else { EDGES.get(usize::from(bucket)).copied().unwrap_or(i64::MAX) }
}

/// Token count that represents a bucket.
pub fn centre(bucket: u16) -> f64 {
    CENTRES[usize::from(bucket).min(CENTRES.len() - 1)]
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
    }
}
