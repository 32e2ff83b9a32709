//! Thought and model as a quality target asks: the smallest budget, and a larger model for as few problems as will do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quality::{self, Tiers};
use super::types::{ByDifficulty, Class, Reasoning, Scenario};
use crate::catalog::Catalog;

/// `quality_target`. The fewest tokens of thought with which the class meets its target on its own `model`; where that
/// cannot, with problems flagged hard at `escalate_to`; where that cannot either, with all of them there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetBudget {
    /// The larger model: a name under `models` or of the catalog.
    pub escalate_to: String,
    /// Most tokens of thought; default: as the target asks. Goes with `escalate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tok: Option<u32>,
    /// Which problems go to the larger model; default: as the target asks. Goes with `budget_tok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalate>,
}

/// Problems that go to a larger model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Escalate {
    /// None of them.
    None,
    /// Those that the predictor flags as hard.
    FlaggedHard,
    /// All.
    All,
}

impl Escalate {
    /// As few as possible first.
    const ALL: [Self; 3] = [Self::None, Self::FlaggedHard, Self::All];

    /// Of two, the own and the larger: which one problems not flagged hard, and flagged hard, go to.
    fn of<T: Clone>(self, own: &T, larger: &T) -> [T; 2] {
        match self {
            Self::None => [own.clone(), own.clone()],
            Self::FlaggedHard => [own.clone(), larger.clone()],
            Self::All => [larger.clone(), larger.clone()],
        }
    }
}

/// The budget of a class that goes by its target, if it does.
pub(crate) fn of_class(class: &Class) -> Option<&TargetBudget> {
    match &class.reasoning {
        Some(Reasoning::QualityTarget(target)) => Some(target),
        _ => None,
    }
}

/// The models that answer such a class, of problems not flagged hard and of those flagged hard; as long as it is not
/// known what is escalated, nothing is.
pub(crate) fn models(class: &Class) -> Option<[&str; 2]> {
    let (target, own) = (of_class(class)?, class.model.as_deref()?);
    Some(target.escalate.unwrap_or(Escalate::None).of(&own, &target.escalate_to.as_str()))
}

/// A target that neither model of a class can meet.
pub(crate) struct OutOfReach<'a> {
    /// Its own and the larger one's.
    pub(crate) tiers: Box<Tiers<'a>>,
    /// The most that can be expected of them, however long they think.
    pub(crate) most: f64,
}

/// What the target of a class asks for.
///
/// # Errors
/// It is out of reach; `None` if a tier is not known.
pub(crate) fn find<'a>(
    scenario: &Scenario,
    catalog: &'a Catalog,
    class: &Class,
    share: &ByDifficulty,
    goal: f64,
) -> Result<(u32, Escalate), Option<OutOfReach<'a>>> {
    let tier = |model: Option<&str>| quality::tier_of_model(scenario, catalog, model?);
    let target = of_class(class).ok_or(None)?;
    let own = tier(class.model.as_deref()).ok_or(None)?;
    let larger = tier(Some(&target.escalate_to)).ok_or(None)?;
    let mut most = 0.0_f64;
    for escalate in Escalate::ALL {
        match quality::smallest_budget(class, &escalate.of(&own, &larger), share, goal) {
            Ok(budget_tok) => return Ok((budget_tok, escalate)),
            Err(reached) => most = most.max(reached),
        }
    }
    Err(Some(OutOfReach { tiers: Box::new([own, larger]), most }))
}
