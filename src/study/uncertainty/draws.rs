//! Sets of coefficients drawn from the fit: ln x ~ Normal(ln value, covariance), none above its bound.

use rand_distr::StandardNormal;

use crate::catalog::Fit;
use crate::study::cholesky::cholesky;
use crate::workload::random::{Key, Purpose};

/// No draw is farther from the fitted value than this factor, whatever the fit's standard deviation: finite numbers.
const MOST_LN: f64 = 27.0;
/// Halvings in search of the least shrinkage: to 1e-12.
const HALVINGS: u32 = 40;

/// Draws sets of coefficients, each from its own stream.
pub(super) struct Sampler<'a> {
    fit: &'a Fit,
    /// L of L·Lᵀ, the correlations.
    factor: Vec<Vec<f64>>,
    key: Key,
}

impl<'a> Sampler<'a> {
    /// Under a scenario's seed.
    pub(super) fn new(fit: &'a Fit, seed: u64) -> Self {
        Self { fit, factor: factor(&fit.correlation_matrix()).1, key: Key::new(seed, Purpose::Fit, 0) }
    }

    /// Set number `index`, in the fit's order; it depends on seed, number and fit alone.
    pub(super) fn draw(&self, index: u32) -> Vec<f64> {
        let mut generator = self.key.generator(u64::from(index));
        let independent: Vec<f64> =
            self.factor.iter().map(|_| rand::RngExt::sample(&mut generator, StandardNormal)).collect();
        let coefficients = self.fit.coefficients.iter().zip(&self.factor);
        coefficients
            .map(|(coefficient, row)| {
                let z: f64 = row.iter().zip(&independent).map(|(l, z)| l * z).sum();
                let off = (coefficient.sd_ln * z).clamp(-MOST_LN, MOST_LN);
                let value = coefficient.value * off.exp();
                coefficient.at_most.map_or(value, |most| value.min(most))
            })
            .collect()
    }
}

/// The triangular factor of a correlation matrix, and by how much its correlations were shrunk for it: rounded, it may
/// be barely indefinite.
fn factor(correlations: &[Vec<f64>]) -> (f64, Vec<Vec<f64>>) {
    let shrunk = |share: f64| {
        let mut matrix = correlations.to_vec();
        for (i, row) in matrix.iter_mut().enumerate() {
            for (j, r) in row.iter_mut().enumerate() {
                if i != j {
                    *r *= 1.0 - share;
                }
            }
        }
        cholesky(&matrix)
    };
    if let Some(factor) = shrunk(0.0) {
        return (0.0, factor);
    }
    let (mut too_little, mut enough) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (too_little + enough);
        if shrunk(middle).is_some() { enough = middle } else { too_little = middle }
    }
    // With a share of 1 it is the unit matrix, which has a factor.
    (enough, shrunk(enough).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Coefficient, FittedOn};

    fn coefficient(name: &str, value: f64, sd_ln: f64, at_most: Option<f64>) -> Coefficient {
        Coefficient {
            name: name.into(),
            value,
            sd_ln,
            on: FittedOn::Time,
            prior: value,
            prior_sd_ln: 1.0,
            prior_source: String::new(),
            at_most,
        }
    }

    fn matrix(n: usize, r: f64) -> Vec<Vec<f64>> {
        (0..n).map(|i| (0..n).map(|j| if i == j { 1.0 } else { r }).collect()).collect()
    }

    /// Three coefficients with a correlation r < 0 between any two: the least eigenvalue is 1 + 2r, so r = −0.6 must
    /// shrink to −0.5, which is by a sixth.
    #[test]
    fn correlations_shrink_by_the_least_amount() {
        let (share, l) = factor(&matrix(3, -0.6));
        assert!((share - 1.0 / 6.0).abs() < 1e-9, "{share}");
        let product = |i: usize, j: usize| (0..3).map(|k| l[i][k] * l[j][k]).sum::<f64>();
        assert!((product(1, 0) + 0.5).abs() < 1e-9 && (product(2, 2) - 1.0).abs() < 1e-9);
        // Two that are one are nearly left alone, a good matrix entirely.
        assert!(factor(&matrix(2, 1.0)).0 < 1e-9);
        assert_eq!(factor(&matrix(3, -0.4)).0, 0.0);
        assert_eq!(factor(&[]), (0.0, Vec::new()));
        let (share, l) = factor(&Catalog::embedded().unwrap().fit().correlation_matrix());
        assert!(share < 0.01 && l.len() == Catalog::embedded().unwrap().fit().coefficients.len(), "{share}");
    }

    /// 20,000 draws: a variance has a standard error of 1 %, a correlation at most 0.7 %; five of them are allowed.
    #[test]
    fn draws_have_the_covariance_of_the_fit() {
        let fit = Fit {
            coefficients: vec![
                coefficient("a", 400.0, 0.5, None),
                coefficient("b", 0.3, 0.2, None),
                coefficient("c", 7.0, 0.0, None),
                coefficient("d", 1.0, 0.1, Some(1.0)),
            ],
            correlations: vec![vec![], vec![-0.7], vec![0.0, 0.0], vec![0.3, 0.2, 0.0]],
            ..Fit::default()
        };
        let n = 20_000;
        let sampler = Sampler::new(&fit, 3);
        let draws: Vec<Vec<f64>> = (0..n).map(|index| sampler.draw(index)).collect();
        let off = |draw: &[f64], i: usize| (draw[i] / fit.coefficients[i].value).ln();
        let mean = |i: usize| draws.iter().map(|draw| off(draw, i)).sum::<f64>() / f64::from(n);
        let covariance =
            |i: usize, j: usize| draws.iter().map(|d| off(d, i) * off(d, j)).sum::<f64>() / f64::from(n);
        assert!(
            mean(0).abs() < 5.0 * 0.5 / 20_000_f64.sqrt() && mean(1).abs() < 5.0 * 0.2 / 20_000_f64.sqrt()
        );
        assert!((covariance(0, 0) / 0.25 - 1.0).abs() < 0.05, "{}", covariance(0, 0));
        assert!((covariance(1, 1) / 0.04 - 1.0).abs() < 0.05, "{}", covariance(1, 1));
        assert!((covariance(0, 1) / (0.5 * 0.2) + 0.7).abs() < 0.035, "{}", covariance(0, 1));
        assert!(draws.iter().all(|draw| draw[2] == 7.0 && draw[3] <= 1.0));
        // Half of what is centred at its bound lies on it.
        let bound = draws.iter().filter(|draw| draw[3] == 1.0).count();
        assert!((9_600..10_400).contains(&bound), "{bound}");
    }

    #[test]
    fn a_draw_depends_on_seed_and_number_alone() {
        let catalog = Catalog::embedded().unwrap();
        let draw = |seed, index| Sampler::new(catalog.fit(), seed).draw(index);
        assert_eq!(draw(1, 7), draw(1, 7));
        assert_ne!(draw(1, 7), draw(1, 8));
        assert_ne!(draw(1, 7), draw(2, 7));
        let wild = Fit { coefficients: vec![coefficient("a", 1.0, 1e6, None)], ..Fit::default() };
        assert!((0..100).all(|i| Sampler::new(&wild, 1).draw(i)[0].is_normal()));
    }
}
