//! Quality tiers: how often a checkpoint is right and how long it thinks, by difficulty (PHYSICS §6).

use serde::{Deserialize, Serialize};

use super::Catalog;
use super::entry::Sourced;
use crate::physics::normal::{lognormal_below, lognormal_limited_mean};

/// How hard a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// Like GSM8K.
    Easy,
    /// Like MATH-500.
    Medium,
    /// Like AIME 2024.
    Hard,
}

impl Difficulty {
    /// All, from easy to hard.
    pub const ALL: [Self; 3] = [Self::Easy, Self::Medium, Self::Hard];

    /// As written in scenarios, traces and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

/// A checkpoint's quality: P(right) = a0 + (a1 − a0)·Φ((ln b − μ)/σ) under a thinking budget of b tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityTier {
    /// Name in scenarios.
    pub name: String,
    /// Tier of models with at most so many parameters, embedding and head included, if the scenario names
    /// none [1e9]; absent: never a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_up_to_b: Option<Sourced<f64>>,
    /// Standard deviation σ of the logarithm of the needed thinking length.
    pub sigma: Sourced<f64>,
    /// Easy problems.
    pub easy: Answering,
    /// Medium problems.
    pub medium: Answering,
    /// Hard problems.
    pub hard: Answering,
}

/// A checkpoint on problems of one difficulty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answering {
    /// Probability of a right answer when thinking was cut off.
    pub a0: Sourced<f64>,
    /// Probability of a right answer when thinking came to its end.
    pub a1: Sourced<f64>,
    /// Mean of the needed thinking length, thought to the end [tokens].
    pub mean_thinking_tok: Sourced<f64>,
}

impl QualityTier {
    /// The checkpoint on problems of a difficulty.
    #[must_use]
    pub fn at(&self, difficulty: Difficulty) -> &Answering {
        match difficulty {
            Difficulty::Easy => &self.easy,
            Difficulty::Medium => &self.medium,
            Difficulty::Hard => &self.hard,
        }
    }

    /// Mean μ of the logarithm of the needed thinking length.
    #[must_use]
    pub fn mu(&self, difficulty: Difficulty) -> f64 {
        let sigma = self.sigma.value;
        self.at(difficulty).mean_thinking_tok.value.ln() - 0.5 * sigma * sigma
    }

    /// Probability of a right answer under a budget [tokens].
    #[must_use]
    pub fn p_right(&self, difficulty: Difficulty, budget_tok: f64) -> f64 {
        let answering = self.at(difficulty);
        let (a0, a1) = (answering.a0.value, answering.a1.value);
        a0 + (a1 - a0) * lognormal_below(budget_tok, self.mu(difficulty), self.sigma.value)
    }

    /// Mean tokens of thought under a budget [tokens], before they are rounded up to whole ones.
    #[must_use]
    pub fn mean_thinking_tok(&self, difficulty: Difficulty, budget_tok: f64) -> f64 {
        lognormal_limited_mean(budget_tok, self.mu(difficulty), self.sigma.value)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(0.0..=10.0).contains(&self.sigma.value) {
            return Err(format!("{}: sigma is {}; expected 0 to 10", self.name, self.sigma.value));
        }
        for difficulty in Difficulty::ALL {
            let (name, answering) = (difficulty.name(), self.at(difficulty));
            for (field, value) in [("a0", answering.a0.value), ("a1", answering.a1.value)] {
                // A number that was left to a fit is none.
                if !(0.0..=1.0).contains(&value) {
                    return Err(format!("{}: {name}.{field} is {value}, a probability: 0 to 1", self.name));
                }
            }
            if answering.a0.value > answering.a1.value {
                return Err(format!("{}: {name}.a0 must not exceed {name}.a1", self.name));
            }
            let mean = answering.mean_thinking_tok.value;
            if !(1.0..=1e7).contains(&mean) {
                return Err(format!("{}: {name}.mean_thinking_tok is {mean}; expected 1 to 1e7", self.name));
            }
        }
        Ok(())
    }
}

impl Catalog {
    /// The quality tier of this name.
    #[must_use]
    pub fn quality_tier(&self, name: &str) -> Option<&QualityTier> {
        self.quality_tiers.iter().find(|tier| tier.name == name)
    }

    /// All quality tiers.
    #[must_use]
    pub fn quality_tiers(&self) -> &[QualityTier] {
        &self.quality_tiers
    }

    /// Correlation of the normal scores by which attempts at one problem are right or wrong, 0 to below 1; `None`
    /// if the catalog does not say.
    #[must_use]
    pub fn repeat_correlation(&self) -> Option<&Sourced<f64>> {
        self.repeat_correlation.as_ref()
    }

    /// The tier of a model for which none is named: the smallest that its parameters fit.
    #[must_use]
    pub fn default_quality_tier(&self, model: &super::Model) -> Option<&QualityTier> {
        let params_b = model.total_params() * 1e-9;
        let up_to = |tier: &QualityTier| tier.default_up_to_b.as_ref().map_or(0.0, |limit| limit.value);
        self.quality_tiers
            .iter()
            .filter(|tier| up_to(tier) >= params_b)
            .min_by(|a, b| up_to(a).total_cmp(&up_to(b)))
    }
}
