//! Coefficients that were fitted together: values, priors and how sure the fit is of them.

use serde::{Deserialize, Serialize};

/// A joint fit, as the catalog's `fit` section holds it and `wattmill calibrate` writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Day of the fit.
    pub date: String,
    /// The rows it stands on and how it was made.
    pub source: String,
    /// In the order of the correlations.
    pub coefficients: Vec<Coefficient>,
    /// Correlations of the logarithms: row i has those with the coefficients before it, so row 0 is empty.
    #[serde(default)]
    pub correlations: Vec<Vec<f64>>,
}

/// What a coefficient is fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FittedOn {
    /// Measured times of all-reduces.
    Links,
    /// Measured step times.
    Time,
    /// Measured watts, once the step times are fitted.
    Watts,
    /// Measured throughput under caps, once step times and watts are fitted.
    Caps,
}

/// A positive number that is fitted in its logarithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficient {
    /// What entries call it.
    pub name: String,
    /// The fitted value, in the unit of the fields that follow it.
    pub value: f64,
    /// Standard deviation of its logarithm after the fit.
    pub sd_ln: f64,
    /// What it is fitted on.
    pub on: FittedOn,
    /// What was believed before the fit.
    pub prior: f64,
    /// Standard deviation of the logarithm of that belief.
    pub prior_sd_ln: f64,
    /// Why.
    pub prior_source: String,
    /// Highest value it may take: 1 for shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}

impl Coefficient {
    /// The interval that holds the coefficient with 95 % by the fit's own account.
    pub fn interval95(&self) -> (f64, f64) {
        let factor = (1.96 * self.sd_ln).exp();
        let high = self.value * factor;
        (self.value / factor, self.at_most.map_or(high, |most| high.min(most)))
    }
}

impl Fit {
    /// The coefficient of this name.
    pub fn coefficient(&self, name: &str) -> Option<&Coefficient> {
        self.coefficients.iter().find(|coefficient| coefficient.name == name)
    }

    /// All values, in order.
    pub fn values(&self) -> Vec<f64> {
        self.coefficients.iter().map(|coefficient| coefficient.value).collect()
    }

    /// Correlations of the logarithms as a whole matrix; without any, coefficients are independent.
    pub fn correlation_matrix(&self) -> Vec<Vec<f64>> {
        let n = self.coefficients.len();
        let mut matrix = vec![vec![0.0; n]; n];
        for (i, row) in matrix.iter_mut().enumerate() {
            row[i] = 1.0;
        }
        for (i, row) in self.correlations.iter().enumerate().take(n) {
            for (j, r) in row.iter().enumerate().take(i) {
                matrix[i][j] = *r;
                matrix[j][i] = *r;
            }
        }
        matrix
    }

    /// What is wrong with it, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        for (i, coefficient) in self.coefficients.iter().enumerate() {
            let Coefficient { name, value, sd_ln, prior, prior_sd_ln, at_most, .. } = coefficient;
            if self.coefficients[..i].iter().any(|other| other.name == *name) {
                return Err(format!("fit: '{name}' is there twice"));
            }
            let positive = [value, prior, prior_sd_ln].into_iter().chain(at_most);
            if positive.into_iter().any(|number| !number.is_finite() || *number <= 0.0) {
                return Err(format!(
                    "fit: value, prior, prior_sd_ln and at_most of '{name}' must be above 0"
                ));
            }
            if !sd_ln.is_finite() || *sd_ln < 0.0 {
                return Err(format!("fit: sd_ln of '{name}' must be at least 0"));
            }
        }
        let well_shaped = self.correlations.is_empty()
            || (self.correlations.len() == self.coefficients.len()
                && self.correlations.iter().enumerate().all(|(i, row)| row.len() == i));
        if !well_shaped {
            return Err(format!(
                "fit: correlations must have a row for each of the {} coefficients, row i with i numbers",
                self.coefficients.len()
            ));
        }
        if self.correlations.iter().flatten().any(|r| !r.is_finite() || r.abs() > 1.0) {
            return Err("fit: correlations are numbers from -1 to 1".into());
        }
        Ok(())
    }
}
