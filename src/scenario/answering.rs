//! How an answer is found: by several attempts and what a verifier says of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the requests of a class are answered, other than at once. Every attempt and every verification is a request of
/// its own to the pools of its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answering {
    /// Models are tried in order, until a verifier accepts an answer; that of the last one stands without.
    Cascade(Cascade),
    /// Several answers of one model at once, each verified; one of those accepted, drawn at random, is delivered, or one
    /// of all if none was.
    BestOf(BestOf),
}

/// `cascade`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cascade {
    /// Names under `models` or of the catalog, 2 to 8, in the order in which they are tried.
    pub models: Vec<String>,
    /// Who decides whether to go on.
    pub verify: Verify,
}

/// `best_of`. The answers come from the class's `model`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BestOf {
    /// Answers, 2 to 64.
    pub n: u32,
    /// Who chooses.
    pub verify: Verify,
}

/// A verifier: it reads the prompt and the visible answer, without the thought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The model that verifies.
    pub model: String,
    /// Tokens of a verdict.
    #[serde(default = "one_token")]
    pub output_tok: u32,
    /// Probability that it accepts a right answer, an input: it hangs on the verifier and on what is asked.
    pub accepts_right: f64,
    /// Probability that it accepts a wrong answer, an input likewise.
    pub accepts_wrong: f64,
}

fn one_token() -> u32 {
    1
}

impl Answering {
    /// Most models of a cascade.
    pub(crate) const MOST_MODELS: usize = 8;
    /// Most answers of which the best is taken.
    pub(crate) const MOST_ANSWERS: u32 = 64;

    /// The verifier.
    #[must_use]
    pub fn verify(&self) -> &Verify {
        match self {
            Self::Cascade(cascade) => &cascade.verify,
            Self::BestOf(best_of) => &best_of.verify,
        }
    }

    /// The models of all legs, by number of the leg; `own`: that of the class's answers, `None` for any.
    #[must_use]
    pub fn models<'a>(&'a self, own: Option<&'a str>) -> Vec<Option<&'a str>> {
        let verifier = Some(self.verify().model.as_str());
        match self {
            Self::Cascade(cascade) => {
                let mut legs: Vec<_> =
                    cascade.models.iter().flat_map(|model| [Some(model.as_str()), verifier]).collect();
                // The last answer stands.
                legs.pop();
                legs
            }
            Self::BestOf(best_of) => {
                let mut legs = vec![own; best_of.n as usize];
                legs.resize(2 * best_of.n as usize, verifier);
                legs
            }
        }
    }
}
