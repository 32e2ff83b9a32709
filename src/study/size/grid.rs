//! The values that a field may take in a search: steps of the tolerance between two ends.

use crate::scenario::NumberKind;

/// Significant digits of a value beyond those that the tolerance can tell apart.
const GUARD_DIGITS: i32 = 3;

/// Values from `min` to `max`, both included, ascending, neighbours at most `tolerance` apart: as a share of the value
/// where `min` > 0, else of the range. Integers are whole, and neighbours where the tolerance is less than one.
pub(super) fn values(min: f64, max: f64, tolerance: f64, kind: NumberKind) -> Vec<f64> {
    let reals = if min > 0.0 {
        let steps = ((max / min).ln() / tolerance.ln_1p()).ceil().max(1.0);
        spaced(min, max, steps as usize)
    } else {
        spaced(min, max, (1.0 / tolerance).ceil() as usize)
    };
    if kind == NumberKind::Real {
        let digits = GUARD_DIGITS + (-tolerance.log10()).ceil() as i32;
        let rounded = reals.iter().map(|value| rounded(*value, digits));
        let mut values: Vec<f64> = rounded.filter(|value| *value > min && *value < max).collect();
        values.insert(0, min);
        values.push(max);
        values.dedup();
        return values;
    }
    let mut values = vec![min];
    let mut last = min;
    while last < max {
        let step = if min > 0.0 { last * tolerance } else { (max - min) * tolerance };
        last = (last + step.floor().max(1.0)).min(max);
        values.push(last);
    }
    values
}

/// `steps` + 1 values from `min` to `max`: by equal ratios where `min` > 0, else by equal differences.
fn spaced(min: f64, max: f64, steps: usize) -> Vec<f64> {
    let share = |k: usize| k as f64 / steps as f64;
    let at = |k: usize| {
        if min > 0.0 { min * (max / min).powf(share(k)) } else { min + (max - min) * share(k) }
    };
    (0..=steps).map(at).collect()
}

/// About `points` values from `min` to `max` for a table: as [`spaced`], whole where the field is.
pub(super) fn table(min: f64, max: f64, points: u32, kind: NumberKind) -> Vec<f64> {
    let mut values = spaced(min, max, points.saturating_sub(1).max(1) as usize);
    let last = values.len() - 1;
    for value in &mut values[1..last] {
        *value = if kind == NumberKind::Integer { value.round() } else { rounded(*value, 4) };
    }
    values[last] = max;
    // In a narrow range what is rounded may lie beyond its ends, or beyond its neighbour.
    let mut below = f64::NEG_INFINITY;
    values.retain(|&value| {
        let keeps = value > below && value <= max;
        below = if keeps { value } else { below };
        keeps
    });
    values
}

/// To so many significant digits.
fn rounded(value: f64, digits: i32) -> f64 {
    // By way of text: the nearest double to the decimal, which prints as short as it reads.
    let digits = usize::try_from(digits - 1).unwrap_or(0);
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_within_the_tolerance() {
        for (min, max, tolerance) in [(0.001, 4000.0, 0.01), (3.0, 3.1, 0.5), (1.0, 2.0, 1e-4)] {
            let values = values(min, max, tolerance, NumberKind::Real);
            assert_eq!((values[0], *values.last().unwrap()), (min, max));
            for pair in values.windows(2) {
                assert!(pair[0] < pair[1] && pair[1] / pair[0] < 1.0 + tolerance * 1.01, "{pair:?}");
            }
        }
        let linear = values(-5.0, 5.0, 0.1, NumberKind::Real);
        assert_eq!(linear, (-5..=5).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn integers_are_whole_and_complete_where_it_matters() {
        assert_eq!(values(1.0, 9.0, 0.01, NumberKind::Integer), (1..=9).map(f64::from).collect::<Vec<_>>());
        let wide = values(50.0, 1_024_000.0, 0.01, NumberKind::Integer);
        assert!(wide.iter().all(|value| value.fract() == 0.0));
        assert_eq!(&wide[..3], &[50.0, 51.0, 52.0]);
        assert_eq!(*wide.last().unwrap(), 1_024_000.0);
        for pair in wide.windows(2) {
            assert!(pair[1] - pair[0] <= (pair[0] * 0.01).max(1.0), "{pair:?}");
        }
        assert_eq!(values(0.0, 3.0, 0.01, NumberKind::Integer), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn tables_hold_both_ends_once() {
        assert_eq!(table(1.0, 4.0, 9, NumberKind::Integer), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(table(1.0, 100.0, 3, NumberKind::Real), [1.0, 10.0, 100.0]);
        assert_eq!(table(1000.4, 1000.9, 3, NumberKind::Real), [1000.4, 1000.9]);
        assert_eq!(table(-2.0, 2.0, 5, NumberKind::Real), [-2.0, -1.0, 0.0, 1.0, 2.0]);
    }
}
