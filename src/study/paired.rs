//! Means of differences under common random numbers, with Student's interval.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean over replications and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// Replications.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Lower end of the 95 % interval; the mean itself if all replications agree.
    pub ci95_low: f64,
    /// Upper end.
    pub ci95_high: f64,
}

impl Mean {
    /// Of values that differ only by the seed; none of fewer than two, whose spread nobody knows.
    ///
    /// The interval is Student's: mean ± t(0.975, n − 1)·s/√n. It holds for means of replications, which are nearly
    /// normal whatever the single requests do.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let t =
            StudentsT::new(0.0, 1.0, n.checked_sub(1).filter(|f| *f > 0)? as f64).ok()?.inverse_cdf(0.975);
        // Sums of equal numbers round; their mean does not.
        let (first, rest) = values.split_first()?;
        if rest.iter().all(|value| value == first) {
            return Some(Self { n, mean: *first, ci95_low: *first, ci95_high: *first });
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let half = t * (variance / n as f64).sqrt();
        Some(Self { n, mean, ci95_low: mean - half, ci95_high: mean + half })
    }

    /// Of b − a, value by value: the same seeds in the same order.
    #[must_use]
    pub fn of_differences(a: &[f64], b: &[f64]) -> Option<Self> {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
        Self::of(&differences)
    }

    /// Whether the interval holds a value.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        (self.ci95_low..=self.ci95_high).contains(&value)
    }

    /// In another unit: everything times `factor` > 0.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            mean: self.mean * factor,
            ci95_low: self.ci95_low * factor,
            ci95_high: self.ci95_high * factor,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 … 8: mean 4.5, s² = 6, s/√8 = 0.866; t(0.975, 7) = 2.3646 of the printed tables: ± 2.0478.
    #[test]
    fn interval_by_hand() {
        let values: Vec<f64> = (1..=8).map(f64::from).collect();
        let mean = Mean::of(&values).unwrap();
        assert_eq!(mean.mean, 4.5);
        assert!((mean.ci95_high - 4.5 - 2.3646 * 0.75_f64.sqrt()).abs() < 1e-4, "{mean:?}");
        assert!((mean.ci95_high + mean.ci95_low - 9.0).abs() < 1e-12);
        assert!(mean.holds(3.0) && !mean.holds(2.0));
    }

    #[test]
    fn differences_are_paired() {
        // Far apart as groups, yet every pair differs by 1.
        let (a, b) = ([1.0, 100.0, 10_000.0], [2.0, 101.0, 10_001.0]);
        let mean = Mean::of_differences(&a, &b).unwrap();
        assert_eq!((mean.mean, mean.ci95_low, mean.ci95_high), (1.0, 1.0, 1.0));
        let same = Mean::of(&[0.999; 8]).unwrap();
        assert_eq!((same.mean, same.ci95_low, same.ci95_high), (0.999, 0.999, 0.999));
        assert_eq!(Mean::of(&[1.0]), None);
        assert_eq!(Mean::of(&[]), None);
    }
}
