//! Speculative decoding of a pool: its draft, and how many steps each request needs.

use rand_distr::{Beta, Distribution};

use crate::catalog::{self, Catalog, Engine, Gpu, Node, Split};
use crate::physics::roofline::RooflineParams;
use crate::physics::speculation::{mean_tok, steps};
use crate::scenario::Problem;
use crate::scenario::types::{self, Scenario};
use crate::workload::Request;
use crate::workload::random::{Key, Purpose, of_request};

/// Draws over which the mean of steps per token is taken.
const MEAN_DRAWS: u64 = 4096;

/// How many tokens of a draft the requests of a pool accept.
#[derive(Debug, Clone, PartialEq)]
pub struct Speculation {
    /// Tokens proposed per sequence and step.
    pub draft_tok: u32,
    /// Of a request's probability to accept a token; `None`: all requests have the mean.
    spread: Option<Beta<f64>>,
    /// That mean.
    acceptance: f64,
    /// Mean steps per token over requests.
    pub step_per_tok: f64,
}

impl Speculation {
    /// By mean and standard deviation of the acceptance; a deviation that no Beta distribution has counts as 0.
    #[must_use]
    pub fn new(draft_tok: u32, acceptance: f64, acceptance_sd: f64) -> Self {
        // Shapes a, b of mean a/(a + b) and variance mean·(1 − mean)/(a + b + 1).
        let sum = acceptance * (1.0 - acceptance) / (acceptance_sd * acceptance_sd) - 1.0;
        let spread = (acceptance_sd > 0.0 && sum > 0.0)
            .then(|| Beta::new(acceptance * sum, (1.0 - acceptance) * sum).ok())
            .flatten();
        let step_per_tok = match &spread {
            None => 1.0 / mean_tok(acceptance, draft_tok),
            Some(beta) => {
                let key = Key::new(0, Purpose::Acceptance, 0);
                let drawn = |k| 1.0 / mean_tok(beta.sample(&mut key.generator(k)), draft_tok);
                (0..MEAN_DRAWS).map(drawn).sum::<f64>() / MEAN_DRAWS as f64
            }
        };
        Self { draft_tok, spread, acceptance, step_per_tok }
    }

    /// Probability that a request accepts a token: drawn from bits of its own, so that it is the same wherever and however
    /// often the request is served.
    #[must_use]
    pub fn acceptance(&self, request: &Request) -> f64 {
        match &self.spread {
            None => self.acceptance,
            Some(beta) => beta.sample(&mut of_request(Purpose::Acceptance, request)),
        }
    }

    /// Steps in which a request emits its next `to_go` tokens; each of them ⌊tokens to go / steps to go⌋.
    #[must_use]
    pub fn steps(&self, request: &Request, to_go: u32) -> u32 {
        steps(to_go, mean_tok(self.acceptance(request), self.draft_tok))
    }
}

/// What a replica of the target runs on.
pub(crate) struct Host<'a> {
    pub node: Option<&'a Node>,
    pub gpu: &'a Gpu,
    pub split: Split,
    pub engine: &'a Engine,
}

/// The draft of a model as it runs on a replica of the target; `None` of a model that does not speculate.
///
/// # Errors
/// Why it does not fit the target or its replica.
pub(crate) fn draft_of(
    scenario: &Scenario,
    catalog: &Catalog,
    model: &str,
    target: &catalog::Model,
    host: &Host<'_>,
) -> Result<Option<(RooflineParams, Speculation)>, Problem> {
    let found = scenario.models.iter().enumerate().find(|(_, variant)| variant.name == model);
    let Some((number, variant)) = found else { return Ok(None) };
    let Some(given) = &variant.speculation else { return Ok(None) };
    let problem = |field: &str, message: String| Problem {
        path: format!("models.{number}.speculation{field}"),
        message,
    };
    let (draft, field) = match &given.draft {
        types::Draft::Model(name) => match catalog.model(name) {
            Some(model) => match target.cannot_draft_by(model) {
                Some(message) => return Err(problem(".draft.model", message)),
                None => (catalog::Draft::Model(model), ".draft.model"),
            },
            None => return Err(problem(".draft.model", format!("unknown model '{name}'"))),
        },
        types::Draft::Head(head) => {
            let head = catalog::Draft::Head { of: target, weights: variant.weights, layers: head.layers };
            (head, ".draft.head")
        }
    };
    let Host { node, gpu, split, engine } = *host;
    let params = catalog::draft_in(node, gpu, draft, split, variant.kv_cache, engine)
        .map_err(|message| problem(field, message))?;
    let speculation = Speculation::new(given.draft_tok, given.acceptance, given.acceptance_sd);
    Ok(Some((params, speculation)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Attempt, Leg};

    fn request(route_bits: u64, index: u64) -> Request {
        Request {
            index,
            class: 0,
            arrival_fs: 0,
            prompt_tok: 10,
            output_tok: 100,
            thinking_tok: 0,
            attempt: Attempt::NONE,
            leg: Leg::ONLY,
            prefix: 0,
            prefix_tok: 0,
            route_bits,
        }
    }

    #[test]
    fn acceptances_have_the_mean_and_the_spread_asked_for() {
        let speculation = Speculation::new(3, 0.8, 0.08);
        let key = Key::new(5, Purpose::Route, 1);
        let n = 40_000;
        let draws: Vec<f64> = (0..n).map(|k| speculation.acceptance(&request(key.bits(k), k))).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        // Five standard errors of a mean, and as many of a deviation of about that kurtosis.
        assert!((mean - 0.8).abs() < 5.0 * 0.08 / (n as f64).sqrt(), "{mean}");
        assert!((variance.sqrt() / 0.08 - 1.0).abs() < 5.0 / (2.0 * n as f64).sqrt(), "{variance}");
        // Steps per token, as estimated and as drawn.
        let drawn = draws.iter().map(|&alpha| 1.0 / mean_tok(alpha, 3)).sum::<f64>() / n as f64;
        assert!((drawn / speculation.step_per_tok - 1.0).abs() < 0.01, "{drawn}");
        assert!(speculation.step_per_tok > 1.0 / mean_tok(0.8, 3), "a convex function's mean");
    }

    #[test]
    fn a_request_accepts_alike_wherever_it_is_served() {
        let speculation = Speculation::new(2, 0.6, 0.2);
        let one = speculation.acceptance(&request(77, 1));
        assert_eq!(one, speculation.acceptance(&request(77, 9)));
        assert_ne!(one, speculation.acceptance(&request(78, 1)));
        assert_eq!(Speculation::new(2, 0.6, 0.0).acceptance(&request(77, 1)), 0.6);
    }
}
