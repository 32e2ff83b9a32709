//! Knees: where a rise or fall goes over into a much flatter one, by least squares through two lines that meet.

/// A rise that slows to more than this share of its slope has no knee.
const FLATTER: f64 = 0.5;
/// Chance that scatter about one straight line looks like two, at which a knee is believed.
const CHANCE: f64 = 0.01;
/// Fewer points show no knee: two lines that meet have four parameters.
const FEWEST: usize = 6;
/// Share of the largest value up to which nothing comes out.
const NOTHING: f64 = 0.02;
/// Below this share of the variance, what a straight line leaves is rounding.
const ROUNDING: f64 = 1e-9;

/// How it is found, for a footer.
pub(super) const METHOD: &str = "knee: two lines that meet, least squares";

/// Where two lines meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Knee {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Slopes of the lines before and after it.
    pub(super) before: f64,
    pub(super) after: f64,
}

/// The knee of a curve through points in order of x, if it has one: two lines that meet must fit much better than a
/// single one (the sum of squares so much smaller that scatter gives it once in a hundred), and the second must be at
/// most half as steep as the first, or turn and be no steeper.
///
/// What lies before anything comes out at all is no part of the rise: of the points near zero that a curve begins with,
/// the last alone counts.
pub(super) fn find(points: &[(f64, f64)]) -> Option<Knee> {
    let points = &points[before_the_rise(points)..];
    let n = points.len();
    if n < FEWEST || points.windows(2).any(|w| w[1].0 <= w[0].0) {
        return None;
    }
    let (start, end) = (points[0].0, points[n - 1].0);
    // In units of the range, so that the sums neither overflow nor vanish.
    let height = points.iter().map(|p| p.1.abs()).fold(0.0, f64::max);
    if !(height > 0.0 && height.is_finite()) {
        return None;
    }
    let scaled: Vec<(f64, f64)> =
        points.iter().map(|p| ((p.0 - start) / (end - start), p.1 / height)).collect();
    let mean = scaled.iter().map(|p| p.1).sum::<f64>() / n as f64;
    let variance: f64 = scaled.iter().map(|p| (p.1 - mean).powi(2)).sum();
    let one = Fit::of(&scaled, None)?.rest;
    if one <= ROUNDING * variance {
        return None;
    }
    // At least two points on each side: between the second and the last but one.
    let (low, high) = (scaled[1].0, scaled[n - 2].0);
    let rest = |at: f64| Fit::of(&scaled, Some(at)).map_or(f64::INFINITY, |fit| fit.rest);
    const STEPS: usize = 400;
    let step = (high - low) / STEPS as f64;
    let best = (0..=STEPS).map(|k| low + step * k as f64).min_by(|a, b| rest(*a).total_cmp(&rest(*b)))?;
    let at = lowest(&rest, (best - step).max(low), (best + step).min(high));
    let fit = Fit::of(&scaled, Some(at))?;
    // The F test of two more parameters has this closed form.
    let chance = (fit.rest / one).powf((n as f64 - 4.0) / 2.0);
    let [level, before, after] = fit.line;
    // A turn counts as far as it goes back no faster than it came.
    let turns = before * after < 0.0;
    let flatter = after.abs() <= if turns { 1.0 } else { FLATTER } * before.abs();
    // At the end of what can be told apart, it may as well lie beyond.
    let at_end = at - low < 1e-6 * (high - low) || high - at < 1e-6 * (high - low);
    if chance > CHANCE || !flatter || at_end || before == 0.0 {
        return None;
    }
    let slope = height / (end - start);
    Some(Knee {
        x: start + at * (end - start),
        y: (level + before * at) * height,
        before: before * slope,
        after: after * slope,
    })
}

/// Points near zero at the beginning, but for the last of them.
fn before_the_rise(points: &[(f64, f64)]) -> usize {
    let height = points.iter().map(|p| p.1.abs()).fold(0.0, f64::max);
    let nothing = points.iter().take_while(|p| p.1.abs() <= NOTHING * height).count();
    // Of nothing but zeros there is no rise.
    if nothing == points.len() { 0 } else { nothing.saturating_sub(1) }
}

/// The lowest value of a function between two places, by golden sections.
fn lowest(f: &impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    for _ in 0..60 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if f(a) <= f(b) { high = b } else { low = a }
    }
    (low + high) / 2.0
}

/// A fit of `level + before·min(x, at) + after·max(0, x − at)`; of one line without `at`.
struct Fit {
    line: [f64; 3],
    /// Sum of squares that it leaves.
    rest: f64,
}

impl Fit {
    fn of(points: &[(f64, f64)], at: Option<f64>) -> Option<Self> {
        let basis = |x: f64| match at {
            Some(at) => [1.0, x.min(at), (x - at).max(0.0)],
            None => [1.0, x, 0.0],
        };
        let size = if at.is_some() { 3 } else { 2 };
        let mut matrix = [[0.0; 4]; 3];
        for &(x, y) in points {
            let b = basis(x);
            for i in 0..size {
                for j in 0..size {
                    matrix[i][j] += b[i] * b[j];
                }
                matrix[i][3] += b[i] * y;
            }
        }
        let line = solved(matrix, size)?;
        let rest = points
            .iter()
            .map(|&(x, y)| {
                let b = basis(x);
                (line[0] * b[0] + line[1] * b[1] + line[2] * b[2] - y).powi(2)
            })
            .sum();
        Some(Self { line, rest })
    }
}

/// Gauss's elimination with pivots; the last column is the right side.
fn solved(mut m: [[f64; 4]; 3], size: usize) -> Option<[f64; 3]> {
    for k in 0..size {
        let pivot = (k..size).max_by(|a, b| m[*a][k].abs().total_cmp(&m[*b][k].abs()))?;
        m.swap(k, pivot);
        if m[k][k].abs() < 1e-14 {
            return None;
        }
        for row in 0..size {
            if row != k {
                let factor = m[row][k] / m[k][k];
                let pivot = m[k];
                for (cell, above) in m[row].iter_mut().zip(pivot).skip(k) {
                    *cell -= factor * above;
                }
            }
        }
    }
    let mut out = [0.0; 3];
    for k in 0..size {
        out[k] = m[k][3] / m[k][k];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(n: usize, from: f64, to: f64, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..n).map(|k| from + (to - from) * k as f64 / (n - 1) as f64).map(|x| (x, f(x))).collect()
    }

    /// 1,000 nodes at PUE 1.10: the switch of the closed form at 11.4411 MW, never a point of the sweep.
    #[test]
    fn the_closed_form_has_its_knee_where_power_meets_nodes() {
        for pue in [1.05, 1.1, 1.3] {
            let switch = 1000.0 * pue * 0.010_401;
            let points = curve(25, 4.0, 16.0, |cap| 1000.0_f64.min(cap / (pue * 0.010_401)) * 102_909.0);
            let knee = find(&points).unwrap();
            assert!((knee.x - switch).abs() < 1e-3 * switch, "{knee:?}, not {switch}");
            assert!((knee.y - 102_909_000.0).abs() < 1e-3 * knee.y);
            assert!(knee.after.abs() < 1e-6 * knee.before);
        }
    }

    #[test]
    fn what_has_no_knee_has_none() {
        assert_eq!(find(&curve(25, 0.0, 1.0, |x| 3.0 * x + 2.0)), None);
        assert_eq!(find(&curve(25, 0.0, 1.0, |_| 7.0)), None);
        assert_eq!(find(&curve(25, 0.0, 1.0, |_| 0.0)), None);
        assert_eq!(find(&curve(5, 0.0, 1.0, |x| x.min(0.5))), None, "too few points");
        // It slows, but evenly: to a third over the whole range.
        assert_eq!(find(&curve(25, 1.0, 4.0, f64::sqrt)), None);
        // Steeper from the middle on.
        assert_eq!(find(&curve(25, 0.0, 1.0, |x| (x - 0.5).max(0.0))), None);
    }

    #[test]
    fn scatter_is_no_knee_and_does_not_hide_one() {
        let noise = |x: f64| ((x * 7919.0).sin() * 43_758.545).fract();
        let mut believed = 0;
        for seed in 0..200 {
            let points = curve(10, 0.0, 1.0, |x| 10.0 + x + noise(x + f64::from(seed)));
            believed += usize::from(find(&points).is_some());
        }
        assert!(believed <= 20, "{believed} of 200 scatters have a knee");
        let points = curve(20, 0.0, 2.0, |x| x.min(0.8) + 0.02 * noise(x + 0.1));
        assert!((find(&points).unwrap().x - 0.8).abs() < 0.05);
    }

    #[test]
    fn what_comes_before_the_rise_does_not_move_the_knee() {
        // Nothing up to 10, then 10 per unit, from 13 on 30.
        let points = curve(25, 0.0, 24.0, |x| 10.0 * (x - 10.0).clamp(0.0, 3.0));
        assert!((find(&points).unwrap().x - 13.0).abs() < 1e-3, "{:?}", find(&points));
    }

    #[test]
    fn a_fall_has_one_too() {
        let points = curve(12, 0.0, 6.0, |x| 5.0 - x.min(2.0) - 0.1 * (x - 2.0).max(0.0));
        let knee = find(&points).unwrap();
        assert!((knee.x - 2.0).abs() < 1e-6 && (knee.y - 3.0).abs() < 1e-6, "{knee:?}");
    }
}
