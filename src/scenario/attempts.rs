//! How often the answer that several attempts end in is right, in closed form but for one or two integrals over what
//! attempts at one problem have in common (`workload/itinerary.rs` draws the same).

use super::quality::Tiers;
use super::types::{Answering, ByDifficulty, Class, Verify};
use crate::catalog::Difficulty;
use crate::physics::normal::{phi, quantile};

/// Scores beyond this count for nothing: a tail below 1e-15.
const FAR: f64 = 8.0;

/// A model's attempt at a problem of one difficulty, under its budget.
struct Attempt {
    /// It is thought to the end if the score of the needed thought is at most this.
    ends_below: f64,
    /// Scores below which it is right: cut off, and thought to the end.
    right_below: [f64; 2],
}

/// Nodes and weights of an integral over a standard normal score.
struct Normal(Vec<(f64, f64)>);

impl Normal {
    /// So dense that a normal step of spread √(1−ρ)/√ρ is resolved: on equal nodes the error falls exponentially.
    fn new(correlation: f64) -> Self {
        let spread = ((1.0 - correlation) / correlation.max(1e-9)).sqrt();
        let step = (spread / 4.0).clamp(1.0 / 256.0, 0.125);
        let nodes = (FAR / step).ceil() as i32;
        let node = |k: i32| {
            let z = f64::from(k) * step;
            (z, step * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt())
        };
        Self((-nodes..=nodes).map(node).collect())
    }

    fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|&(z, weight)| weight * of(z)).sum()
    }
}

/// Probability that the delivered answer of a class is right; `tiers` by attempt as of [`super::quality`], `budget`
/// [tokens] by difficulty and flag.
pub(crate) fn expected_accuracy(
    class: &Class,
    answering: &Answering,
    tiers: &[Tiers],
    share: &ByDifficulty,
    correlation: f64,
    budget: impl Fn(Difficulty, bool) -> u32,
) -> f64 {
    let normal = Normal::new(correlation);
    let flagged = class.difficulty.as_ref().and_then(|mix| mix.flagged_hard);
    let (mut sum, mut total) = (0.0, 0.0);
    for difficulty in Difficulty::ALL {
        let flagged = flagged.map_or(0.0, |flagged| flagged.of(difficulty));
        total += share.of(difficulty);
        for (flag, probability) in [(false, 1.0 - flagged), (true, flagged)] {
            let weight = share.of(difficulty) * probability;
            if weight > 0.0 {
                let budget_tok = f64::from(budget(difficulty, flag));
                let attempts: Vec<Attempt> = tiers
                    .iter()
                    .map(|tiers| {
                        let tier = &tiers[usize::from(flag)];
                        let at = tier.at(difficulty);
                        Attempt {
                            ends_below: score_of(budget_tok, tier.mu(difficulty), tier.sigma.value),
                            right_below: [quantile(at.a0.value), quantile(at.a1.value)],
                        }
                    })
                    .collect();
                sum += weight
                    * match answering {
                        Answering::Cascade(cascade) => {
                            of_cascade(&attempts, &cascade.verify, correlation, &normal)
                        }
                        Answering::BestOf(best_of) => {
                            let n = best_of.n as i32;
                            attempts.first().map_or(0.0, |attempt| {
                                of_best(n, attempt, &best_of.verify, correlation, &normal)
                            })
                        }
                    };
            }
        }
    }
    sum / total.max(f64::MIN_POSITIVE)
}

/// The score up to which a problem needs at most `budget_tok` of thought.
fn score_of(budget_tok: f64, mu: f64, sigma: f64) -> f64 {
    if budget_tok < 1.0 {
        f64::NEG_INFINITY
    } else if sigma > 0.0 {
        (budget_tok.ln() - mu) / sigma
    } else if budget_tok.ln() >= mu {
        f64::INFINITY
    } else {
        f64::NEG_INFINITY
    }
}

/// Probability that an attempt is right whose score is below `threshold`, given what attempts have in common.
fn given(threshold: f64, common: f64, correlation: f64) -> f64 {
    phi((threshold - correlation.sqrt() * common) / (1.0 - correlation).sqrt())
}

fn of_cascade(attempts: &[Attempt], verify: &Verify, correlation: f64, normal: &Normal) -> f64 {
    // All models need their thoughts by one score: between two limits of it the same ones come to their ends.
    let mut edges: Vec<f64> = attempts.iter().map(|attempt| attempt.ends_below).collect();
    edges.push(f64::INFINITY);
    edges.sort_by(f64::total_cmp);
    let (mut sum, mut below) = (0.0, 0.0);
    for edge in edges {
        let probability = phi(edge) - below;
        below = phi(edge);
        if probability <= 0.0 {
            continue;
        }
        sum += probability
            * normal.mean(|common| {
                let (mut right, mut reached) = (0.0, 1.0);
                for (place, attempt) in attempts.iter().enumerate() {
                    let ends = attempt.ends_below >= edge;
                    let p = given(attempt.right_below[usize::from(ends)], common, correlation);
                    if place + 1 == attempts.len() {
                        right += reached * p;
                    } else {
                        right += reached * p * verify.accepts_right;
                        reached *= 1.0 - p * verify.accepts_right - (1.0 - p) * verify.accepts_wrong;
                    }
                }
                right
            });
    }
    sum
}

fn of_best(n: i32, attempt: &Attempt, verify: &Verify, correlation: f64, normal: &Normal) -> f64 {
    normal.mean(|common_thought| {
        let ends = given(attempt.ends_below, common_thought, correlation);
        normal.mean(|common| {
            let [cut_off, to_the_end] = attempt.right_below.map(|below| given(below, common, correlation));
            let p = (1.0 - ends) * cut_off + ends * to_the_end;
            // Given what they have in common answers are alike, so one drawn of those accepted is right as often as any.
            let accepted = p * verify.accepts_right + (1.0 - p) * verify.accepts_wrong;
            let none = (1.0 - accepted).powi(n);
            let of_accepted = if accepted > 0.0 { p * verify.accepts_right / accepted } else { 0.0 };
            let of_others =
                if accepted < 1.0 { p * (1.0 - verify.accepts_right) / (1.0 - accepted) } else { 0.0 };
            (1.0 - none) * of_accepted + none * of_others
        })
    })
}
