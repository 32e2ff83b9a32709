//! Errors of a validation: per row and metric, and what they come to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measured::{Figures, Metric};

/// Errors of one metric over rows, as shares of the measured value; null without rows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// Rows with the metric.
    pub n: usize,
    /// Median of |simulated / measured − 1|.
    pub median_abs_err: Option<f64>,
    /// 90th percentile of it.
    pub p90_abs_err: Option<f64>,
    /// Median of simulated / measured − 1.
    pub bias: Option<f64>,
}

impl Spread {
    /// Of signed errors in any order.
    pub fn of(errors: &[f64]) -> Self {
        let sorted = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values
        };
        let signed = sorted(errors.to_vec());
        let sizes = sorted(errors.iter().map(|error| error.abs()).collect());
        Self {
            n: errors.len(),
            median_abs_err: quantile(&sizes, 0.5),
            p90_abs_err: quantile(&sizes, 0.9),
            bias: quantile(&signed, 0.5),
        }
    }
}

/// Quantile of sorted values, linear between neighbours; none of none.
pub(in crate::study) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * sorted.len().checked_sub(1)? as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64))
}

/// simulated / measured − 1 of every figure that was measured and simulated.
pub(super) fn compare(measured: &Figures, simulated: &Figures) -> BTreeMap<Metric, f64> {
    let error = |(metric, measured): (&Metric, &f64)| {
        let simulated = simulated.get(metric)?;
        let error = simulated / measured - 1.0;
        error.is_finite().then_some((*metric, error))
    };
    measured.iter().filter_map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_by_hand() {
        let spread = Spread::of(&[0.1, -0.2, 0.3, -0.4, 0.0]);
        assert_eq!(spread.n, 5);
        // |errors| 0, .1, .2, .3, .4: the median is the third, the 90th percentile lies 0.6 on from the fourth.
        assert!((spread.median_abs_err.unwrap() - 0.2).abs() < 1e-12);
        assert!((spread.p90_abs_err.unwrap() - 0.36).abs() < 1e-12);
        assert!(spread.bias.unwrap().abs() < 1e-12);
        assert_eq!(Spread::of(&[]), Spread::default());
        assert_eq!(Spread::of(&[0.5]).p90_abs_err, Some(0.5));
    }

    #[test]
    fn errors_are_shares_of_what_was_measured() {
        let measured = Figures::from([(Metric::TtftMs, 200.0), (Metric::ItlMs, 10.0)]);
        let simulated = Figures::from([(Metric::TtftMs, 150.0), (Metric::E2eMs, 1.0)]);
        assert_eq!(compare(&measured, &simulated), BTreeMap::from([(Metric::TtftMs, -0.25)]));
    }
}
