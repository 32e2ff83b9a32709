//! Equal quality: thinking budgets with which a class is right as often as is asked, whatever else changed.

use super::{Missed, Unreached};
use crate::catalog::Catalog;
use crate::scenario::Resolved;
use crate::scenario::escalation;
use crate::scenario::quality::{self, MOST_BUDGET_TOK};
use crate::scenario::types::{Arrivals, Class, Reasoning, Scenario};
use crate::workload::Workload;

/// Accuracy that rounding may lose.
const ROUNDING: f64 = 1e-9;

/// What a class is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldClass {
    /// Name of the class.
    pub class: String,
    /// Expected share of right answers, q*.
    pub accuracy: f64,
    /// Whether the scenario names it; else it is what the scenario reaches as it stands.
    pub is_target: bool,
}

/// The accuracy each class of a scenario is to have, by class; none of those without difficulty.
///
/// # Errors
/// In words: a class whose accuracy is known of its trace alone, or a file that cannot be read.
pub(super) fn targets(base: &Resolved) -> Result<Vec<Option<HeldClass>>, String> {
    let (scenario, catalog) = (&base.scenario, &base.catalog);
    let classes = &scenario.workload.classes;
    let replays = classes
        .iter()
        .any(|class| class.difficulty.is_some() && matches!(class.arrivals, Arrivals::Trace(_)));
    let workload = match replays {
        true => Some(Workload::open(scenario, &base.base_dir, catalog).map_err(|error| error.to_string())?),
        false => None,
    };
    let target = |(number, class): (usize, &Class)| -> Result<Option<HeldClass>, String> {
        let Some(mix) = &class.difficulty else { return Ok(None) };
        if mix.share.is_none() {
            return Err(format!(
                "class {}: its trace brings the difficulty of each problem, so no accuracy can be held; give difficulty.share",
                class.name
            ));
        }
        if workload.as_ref().is_some_and(|workload| workload.records_thinking(number as u16)) {
            return Err(format!(
                "class {}: its trace brings how long each problem needs, so no accuracy can be held; leave out its column \
                 thinking_tok",
                class.name
            ));
        }
        let expected = expected(scenario, catalog, class, budgets(class))?;
        let (accuracy, is_target) = class.quality_target.map_or((expected, false), |target| (target, true));
        Ok(Some(HeldClass { class: class.name.clone(), accuracy, is_target }))
    };
    classes.iter().enumerate().map(target).collect()
}

/// The scenario with budgets that hold every class at its accuracy: the smallest fixed one, or the budgets of a policy
/// by difficulty times the smallest factor.
pub(super) fn hold(
    scenario: &mut Scenario,
    catalog: &Catalog,
    targets: &[Option<HeldClass>],
) -> Result<(), Unreached> {
    let mut missed = Vec::new();
    let mut miss = |target: &HeldClass, best: f64| {
        missed.push(Missed { class: target.class.clone(), target: target.accuracy, best });
    };
    for (number, target) in targets.iter().enumerate() {
        let Some(target) = target else { continue };
        let class = scenario.workload.classes[number].clone();
        let reached = |reasoning: Option<&Reasoning>| expected(scenario, catalog, &class, reasoning);
        if let Some(Reasoning::QualityTarget(budget)) = &class.reasoning {
            let mut budget = budget.clone();
            let Some(share) = class.difficulty.as_ref().and_then(|mix| mix.share) else { continue };
            match escalation::find(scenario, catalog, &class, &share, target.accuracy) {
                Ok((budget_tok, escalate)) => {
                    (budget.budget_tok, budget.escalate) = (Some(budget_tok), Some(escalate));
                    let held = &mut scenario.workload.classes[number];
                    held.reasoning = Some(Reasoning::QualityTarget(budget));
                    held.quality_target = Some(target.accuracy);
                }
                Err(best) => miss(target, best.map_or(0.0, |reach| reach.most)),
            }
            continue;
        }
        let scaled = scaled_to(&class, target.accuracy, &reached).map_err(Unreached::Build)?;
        match scaled {
            Ok(reasoning) => scenario.workload.classes[number].reasoning = reasoning,
            Err(best) => miss(target, best),
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(Unreached::Quality(missed)) }
}

/// Accuracies of a class between no thought and all that it may want: the ends of what budgets can do. Equal where
/// budgets do nothing.
pub(super) fn range(scenario: &Scenario, catalog: &Catalog, number: usize) -> Option<(f64, f64)> {
    let class = &scenario.workload.classes[number];
    class.difficulty.as_ref()?.share?;
    let at =
        |factor| expected(scenario, catalog, class, times(class.reasoning.as_ref(), factor).as_ref()).ok();
    Some((at(0.0)?, at(f64::INFINITY)?))
}

type Reached<'a> = &'a dyn Fn(Option<&Reasoning>) -> Result<f64, String>;

/// The reasoning that reaches an accuracy, or the best that can be.
fn scaled_to(
    class: &Class,
    accuracy: f64,
    reached: Reached,
) -> Result<Result<Option<Reasoning>, f64>, String> {
    let at = |factor: f64| times(class.reasoning.as_ref(), factor);
    let best = reached(at(f64::INFINITY).as_ref())?;
    if best < accuracy - ROUNDING {
        return Ok(Err(best));
    }
    // Budgets are at most 2^24 and at least 1, so factors from 2^-24 to 2^24 are all that differ.
    let (mut low, mut high) = (-24.0_f64, 24.0_f64);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if reached(at(middle.exp2()).as_ref())? >= accuracy - ROUNDING { high = middle } else { low = middle }
    }
    Ok(Ok(at(high.exp2())))
}

fn budgets(class: &Class) -> Option<&Reasoning> {
    class.reasoning.as_ref()
}

/// Budgets times a factor, rounded up.
fn times(reasoning: Option<&Reasoning>, factor: f64) -> Option<Reasoning> {
    let times = |budget_tok: &mut u32| {
        let product = f64::from((*budget_tok).max(1)) * factor;
        *budget_tok = product.ceil().min(f64::from(MOST_BUDGET_TOK)) as u32;
    };
    let mut reasoning = reasoning.cloned();
    match &mut reasoning {
        None | Some(Reasoning::None) => {}
        Some(Reasoning::QualityTarget(target)) => times(target.budget_tok.get_or_insert(1)),
        Some(Reasoning::Fixed(fixed)) => times(fixed.budget_tok.get_or_insert(1)),
        Some(Reasoning::Adaptive(adaptive)) => {
            times(&mut adaptive.budget_tok.easy);
            times(&mut adaptive.budget_tok.hard);
        }
        Some(Reasoning::Oracle(oracle)) => {
            times(&mut oracle.budget_tok.easy);
            times(&mut oracle.budget_tok.medium);
            times(&mut oracle.budget_tok.hard);
        }
    }
    reasoning
}

/// Expected accuracy of a class under a policy.
fn expected(
    scenario: &Scenario,
    catalog: &Catalog,
    class: &Class,
    reasoning: Option<&Reasoning>,
) -> Result<f64, String> {
    let Some(share) = class.difficulty.as_ref().and_then(|mix| mix.share) else { return Ok(0.0) };
    let tiers = quality::tiers_of_attempts(scenario, catalog, class)
        .map_err(|message| format!("class {}: {message}", class.name))?;
    let budget = |difficulty, flagged| quality::budget_tok(reasoning, difficulty, flagged);
    Ok(quality::expected_of_answers(class, catalog, &tiers, &share, budget))
}
