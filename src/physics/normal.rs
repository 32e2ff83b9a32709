//! The normal distribution function, and what a limit leaves of a lognormal mean.

/// Beyond this the tail is below 1e-300 and its complement 1 in double precision.
const FAR: f64 = 38.0;
/// Where the series for the middle gives way to the continued fraction for the tails.
const TAIL: f64 = 3.0;
/// Levels of the continued fraction; from [`TAIL`] on they give full precision.
const LEVELS: u32 = 120;

/// Φ(z): the share of a standard normal at or below `z`; absolute error below 1e-14.
#[must_use]
pub fn phi(z: f64) -> f64 {
    if z.is_nan() {
        return z;
    }
    let x = z.abs();
    let upper = if x > FAR {
        0.0
    } else {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        if x < TAIL {
            // Marsaglia's series: Φ(x) = 1/2 + density·(x + x³/3 + x⁵/15 + …).
            let (mut term, mut sum, mut odd) = (x, x, 1.0);
            while term > 1e-18 * sum && odd < 400.0 {
                odd += 2.0;
                term *= x * x / odd;
                sum += term;
            }
            0.5 - density * sum
        } else {
            // Laplace's continued fraction of the tail: density / (x + 1/(x + 2/(x + …))).
            density / (1..=LEVELS).rev().fold(x, |below, level| x + f64::from(level) / below)
        }
    };
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// Φ⁻¹(p) by bisection of [`phi`], to 1e-12; ±38 at the ends.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-FAR, FAR);
    while high - low > 1e-12 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if phi(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Share of LogNormal(μ, σ) at or below `limit`; σ = 0 is a constant.
#[must_use]
pub fn lognormal_below(limit: f64, mu: f64, sigma: f64) -> f64 {
    if limit <= 0.0 {
        0.0
    } else if sigma > 0.0 {
        phi((limit.ln() - mu) / sigma)
    } else {
        f64::from(u8::from(limit.ln() >= mu))
    }
}

/// Mean of min(X, `limit`) for X ~ LogNormal(μ, σ).
#[must_use]
pub fn lognormal_limited_mean(limit: f64, mu: f64, sigma: f64) -> f64 {
    if limit <= 0.0 {
        return 0.0;
    }
    let below = (mu + 0.5 * sigma * sigma).exp() * lognormal_below(limit, mu + sigma * sigma, sigma);
    below + limit * (1.0 - lognormal_below(limit, mu, sigma))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabulated_values() {
        // Abramowitz and Stegun, table 26.1, and exact tails.
        for (z, value) in [
            (0.0, 0.5),
            (0.5, 0.691_462_461_274_013),
            (1.0, 0.841_344_746_068_543),
            (2.0, 0.977_249_868_051_821),
            (2.999_999_999, 0.998_650_101_963_937),
            (3.000_000_001, 0.998_650_101_972_802),
            (4.0, 0.999_968_328_758_167),
            (5.0, 0.999_999_713_348_428),
        ] {
            assert!((phi(z) - value).abs() < 1e-14, "{z}: {}", phi(z));
            assert!((phi(-z) - (1.0 - value)).abs() < 1e-14, "-{z}");
        }
        assert!((phi(-8.0) / 6.220_960_574_271_785e-16 - 1.0).abs() < 1e-12, "{}", phi(-8.0));
        assert_eq!((phi(f64::INFINITY), phi(f64::NEG_INFINITY)), (1.0, 0.0));
    }

    #[test]
    fn a_limited_mean_is_the_integral_of_the_tail() {
        let (mu, sigma, limit) = (8.0, 0.7, 4000.0);
        let n = 40_000;
        let step = limit / f64::from(n);
        let integral: f64 =
            (0..n).map(|i| (1.0 - lognormal_below((f64::from(i) + 0.5) * step, mu, sigma)) * step).sum();
        assert!((lognormal_limited_mean(limit, mu, sigma) / integral - 1.0).abs() < 1e-8);
        let mean = (mu + 0.5 * sigma * sigma).exp();
        assert!((lognormal_limited_mean(1e12, mu, sigma) / mean - 1.0).abs() < 1e-12);
        assert_eq!(lognormal_limited_mean(0.0, mu, sigma), 0.0);
        assert_eq!(lognormal_limited_mean(100.0, 2.0, 0.0), 2.0_f64.exp());
    }
}
