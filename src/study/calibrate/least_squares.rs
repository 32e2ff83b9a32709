//! Robust non-linear least squares with priors: Levenberg–Marquardt on logarithms.

use rayon::prelude::*;

use crate::study::cholesky::{back_substitute, cholesky, inverse};

/// Where a residual's influence stops growing: pseudo-Huber, in the unit of the residuals before scaling.
const HUBER: f64 = 0.15;
/// Step of numeric derivatives.
const STEP: f64 = 1e-5;
/// Most iterations; a fit from afar takes about 20.
const MOST_ITERATIONS: usize = 60;
/// Change of the sum of squares, as a share of it, below which it is done.
const ENOUGH: f64 = 1e-8;

/// A problem: residuals of logarithms as a function of parameters, which are logarithms too.
pub(super) trait Problem: Sync {
    /// ln(modelled / measured) of every observation, in a fixed order. Those that are the same at the parameters
    /// `near`, which differ in one, may be taken from there.
    fn residuals(&self, parameters: &[f64], near: Option<Known>) -> Vec<f64>;
}

/// Residuals that are known, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub parameters: &'a [f64],
    pub residuals: &'a [f64],
}

/// What a parameter is believed to be: its logarithm, how sure that is, and the highest it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prior {
    pub mean: f64,
    pub sd: f64,
    pub at_most: f64,
}

/// A solution.
#[derive(Debug, Clone)]
pub(super) struct Solution {
    pub parameters: Vec<f64>,
    /// Inverse of JᵀJ with the priors: the covariance of the parameters if residuals were independent.
    pub covariance: Vec<Vec<f64>>,
}

/// Pseudo-Huber: about the residual while small, growing with its root when large, so that its square is the loss.
fn robust(residual: f64) -> f64 {
    let x = residual / HUBER;
    HUBER * (2.0 * ((1.0 + x * x).sqrt() - 1.0)).sqrt().copysign(x)
}

/// Minimises Σ (robust(rᵢ)·wᵢ)² + Σ ((x − mean)/sd)² from `start`; `weights` are 1/sd of the residuals, 0 leaves one
/// out. Parameters stay at or below their bounds.
pub(super) fn solve(problem: &impl Problem, priors: &[Prior], weights: &[f64], start: &[f64]) -> Solution {
    let n = priors.len();
    let bounded = |x: f64, j: usize| x.min(priors[j].at_most);
    let mut x: Vec<f64> = start.iter().enumerate().map(|(j, x)| bounded(*x, j)).collect();
    let mut raw = problem.residuals(&x, None);
    let cost = |x: &[f64], raw: &[f64]| -> f64 {
        let data: f64 = raw.iter().zip(weights).map(|(r, w)| (robust(*r) * w).powi(2)).sum();
        let prior: f64 = x.iter().zip(priors).map(|(x, p)| ((x - p.mean) / p.sd).powi(2)).sum();
        data + prior
    };
    let mut now = cost(&x, &raw);
    let mut damping = 1e-3;
    let mut normal = normal_equations(problem, priors, weights, &x, &raw);
    for _ in 0..MOST_ITERATIONS {
        let mut improved = false;
        while damping < 1e10 {
            // A parameter at its bound that wants to go beyond stays.
            let held: Vec<bool> = (0..n).map(|j| x[j] >= priors[j].at_most && normal.1[j] < 0.0).collect();
            let mut matrix = normal.0.clone();
            let mut right: Vec<f64> = normal.1.iter().map(|g| -g).collect();
            for j in 0..n {
                matrix[j][j] *= 1.0 + damping;
                if held[j] {
                    matrix[j].fill(0.0);
                    matrix.iter_mut().for_each(|row| row[j] = 0.0);
                    matrix[j][j] = 1.0;
                    right[j] = 0.0;
                }
            }
            let Some(factor) = cholesky(&matrix) else {
                damping *= 10.0;
                continue;
            };
            let step = back_substitute(&factor, &right);
            let trial: Vec<f64> =
                x.iter().zip(&step).enumerate().map(|(j, (x, d))| bounded(x + d, j)).collect();
            let trial_raw = problem.residuals(&trial, None);
            let then = cost(&trial, &trial_raw);
            if then.is_finite() && then < now {
                improved = now - then > ENOUGH * now;
                (x, raw, now) = (trial, trial_raw, then);
                damping = (damping * 0.3).max(1e-9);
                break;
            }
            damping *= 10.0;
        }
        if !improved {
            break;
        }
        normal = normal_equations(problem, priors, weights, &x, &raw);
    }
    let covariance = cholesky(&normal.0).map_or_else(|| vec![vec![0.0; n]; n], |factor| inverse(&factor));
    Solution { parameters: x, covariance }
}

/// JᵀJ with the priors, and Jᵀr: half the gradient.
fn normal_equations(
    problem: &impl Problem,
    priors: &[Prior],
    weights: &[f64],
    x: &[f64],
    raw: &[f64],
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let n = x.len();
    let here: Vec<f64> = raw.iter().zip(weights).map(|(r, w)| robust(*r) * w).collect();
    let columns: Vec<Vec<(usize, f64)>> = (0..n)
        .into_par_iter()
        .map(|j| {
            let mut moved = x.to_vec();
            // Away from the bound.
            let step = if x[j] + STEP > priors[j].at_most { -STEP } else { STEP };
            moved[j] += step;
            let there = problem.residuals(&moved, Some(Known { parameters: x, residuals: raw }));
            let slope = |i: usize| (robust(there[i]) * weights[i] - here[i]) / step;
            (0..raw.len())
                .filter(|i| weights[*i] > 0.0)
                .map(|i| (i, slope(i)))
                .filter(|(_, s)| *s != 0.0)
                .collect()
        })
        .collect();
    let mut matrix = vec![vec![0.0; n]; n];
    let mut gradient = vec![0.0; n];
    let mut dense = vec![0.0; raw.len()];
    for j in 0..n {
        for (i, slope) in &columns[j] {
            dense[*i] = *slope;
            gradient[j] += slope * here[*i];
        }
        for k in 0..=j {
            let sum: f64 = columns[k].iter().map(|(i, slope)| slope * dense[*i]).sum();
            matrix[j][k] = sum;
            matrix[k][j] = sum;
        }
        for (i, _) in &columns[j] {
            dense[*i] = 0.0;
        }
        let Prior { mean, sd, .. } = priors[j];
        matrix[j][j] += 1.0 / (sd * sd);
        gradient[j] += (x[j] - mean) / (sd * sd);
    }
    (matrix, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ln y = a + b·t, measured exactly but for one wild point.
    struct Line {
        t: Vec<f64>,
        ln_y: Vec<f64>,
    }

    impl Problem for Line {
        fn residuals(&self, x: &[f64], _: Option<Known>) -> Vec<f64> {
            self.t.iter().zip(&self.ln_y).map(|(t, y)| x[0] + x[1] * t - y).collect()
        }
    }

    const LOOSE: Prior = Prior { mean: 0.0, sd: 1e3, at_most: f64::INFINITY };

    fn line(wild: f64) -> Line {
        let t: Vec<f64> = (0..21).map(f64::from).collect();
        let mut ln_y: Vec<f64> = t.iter().map(|t| 0.5 + 0.1 * t).collect();
        ln_y[10] += wild;
        Line { t, ln_y }
    }

    #[test]
    fn finds_a_line_and_hardly_minds_a_wild_point() {
        let exact = solve(&line(0.0), &[LOOSE; 2], &[10.0; 21], &[0.0, 0.0]);
        assert!((exact.parameters[0] - 0.5).abs() < 1e-6 && (exact.parameters[1] - 0.1).abs() < 1e-6);
        // Plain least squares would move the level by 5/21 = 0.24.
        let wild = solve(&line(5.0), &[LOOSE; 2], &[10.0; 21], &[0.0, 0.0]);
        let level = wild.parameters[0] + 10.0 * wild.parameters[1];
        assert!((level - 1.5).abs() < 0.02, "{level}");
    }

    /// Covariance of a straight line with 21 points of sd 0.1 each: var(slope) = sd²/Σ(t − mean)² = 0.01/770.
    #[test]
    fn covariance_of_a_line() {
        let fit = solve(&line(0.0), &[LOOSE; 2], &[10.0; 21], &[0.0, 0.0]);
        assert!((fit.covariance[1][1] - 0.01 / 770.0).abs() < 1e-8, "{}", fit.covariance[1][1]);
        assert!((fit.covariance[0][1] - fit.covariance[1][0]).abs() < 1e-15);
    }

    /// One point of sd 0.1 at 0.5 against a prior of sd 0.1 at 0: half way, as far as the loss is square.
    #[test]
    fn a_prior_counts_as_an_observation_and_a_bound_holds() {
        let one = Line { t: vec![0.0], ln_y: vec![0.02] };
        let prior = Prior { mean: 0.0, sd: 0.1, at_most: f64::INFINITY };
        let fit = solve(&one, &[prior, LOOSE], &[10.0], &[0.0, 0.0]);
        assert!((fit.parameters[0] - 0.01).abs() < 1e-4, "{:?}", fit.parameters);
        let bounded = Prior { at_most: 0.005, ..prior };
        let fit = solve(&one, &[bounded, LOOSE], &[10.0], &[0.0, 0.0]);
        assert_eq!(fit.parameters[0], 0.005);
    }
}
