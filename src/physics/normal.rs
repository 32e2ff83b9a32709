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

/// The standard normal number that a uniform draw in (0, 1) stands for: Φ⁻¹(p) by Wichura's rational functions
/// (algorithm AS 241, Applied Statistics 37, 1988), to 1e-15 of it and much faster than [`quantile`].
#[must_use]
pub fn from_uniform(p: f64) -> f64 {
    const MIDDLE: ([f64; 8], [f64; 8]) = (
        [
            3.387_132_872_796_366_5,
            133.141_667_891_784_38,
            1_971.590_950_306_551_3,
            13_731.693_765_509_46,
            45_921.953_931_549_87,
            67_265.770_927_008_7,
            33_430.575_583_588_13,
            2_509.080_928_730_122_7,
        ],
        [
            1.0,
            42.313_330_701_600_91,
            687.187_007_492_057_9,
            5_394.196_021_424_751,
            21_213.794_301_586_597,
            39_307.895_800_092_71,
            28_729.085_735_721_943,
            5_226.495_278_852_854,
        ],
    );
    const TAILS: ([f64; 8], [f64; 8]) = (
        [
            1.423_437_110_749_683_5,
            4.630_337_846_156_546,
            5.769_497_221_460_691,
            3.647_848_324_763_204_5,
            1.270_458_252_452_368_4,
            0.241_780_725_177_450_6,
            0.022_723_844_989_269_184,
            7.745_450_142_783_414e-4,
        ],
        [
            1.0,
            2.053_191_626_637_759,
            1.676_384_830_183_803_8,
            0.689_767_334_985_1,
            0.148_103_976_427_480_08,
            0.015_198_666_563_616_457,
            5.475_938_084_995_345e-4,
            1.050_750_071_644_416_9e-9,
        ],
    );
    const FAR_TAILS: ([f64; 8], [f64; 8]) = (
        [
            6.657_904_643_501_103,
            5.463_784_911_164_114,
            1.784_826_539_917_291_3,
            0.296_560_571_828_504_87,
            0.026_532_189_526_576_124,
            0.001_242_660_947_388_078_4,
            2.711_555_568_743_487_6e-5,
            2.010_334_399_292_288_1e-7,
        ],
        [
            1.0,
            0.599_832_206_555_888,
            0.136_929_880_922_735_8,
            0.014_875_361_290_850_615,
            7.868_691_311_456_133e-4,
            1.846_318_317_510_054_8e-5,
            1.421_511_758_316_446e-7,
            2.044_263_103_389_94e-15,
        ],
    );
    let ratio = |(above, below): &([f64; 8], [f64; 8]), x: f64| {
        let at = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
        at(above) / at(below)
    };
    let off = p - 0.5;
    if off.abs() <= 0.425 {
        return off * ratio(&MIDDLE, 0.180_625 - off * off);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let z = if r <= 5.0 { ratio(&TAILS, r - 1.6) } else { ratio(&FAR_TAILS, r - 5.0) };
    z.copysign(off)
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
    fn uniform_draws_become_normal_ones() {
        for p in [1e-16, 1e-9, 1e-4, 0.01, 0.074, 0.076, 0.3, 0.5, 0.700_1, 0.924, 0.926, 0.999, 1.0 - 1e-12]
        {
            let (fast, slow) = (from_uniform(p), quantile(p));
            // Above the middle Φ itself, of which the slow one is the inverse, is known to a spacing of doubles below 1 only.
            let density = (-0.5 * slow * slow).exp() / std::f64::consts::TAU.sqrt();
            let known = 1e-11 + if p > 0.5 { f64::EPSILON / density } else { 0.0 };
            assert!((fast - slow).abs() < known, "{p}: {fast}, {slow}");
        }
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
