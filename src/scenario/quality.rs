//! What a class's answers are worth: which quality tier answers, under which budget, how often it is right.

use std::borrow::Cow;

use super::types::{Answering, ByDifficulty, Class, Escalate, Reasoning, Routing, Scenario};
use super::{attempts, escalation};
use crate::catalog::{self, Catalog, Difficulty, Precision, QualityTier};

/// Largest thinking budget [tokens]: longer than any thought, so unlimited in effect.
pub(crate) const MOST_BUDGET_TOK: u32 = 1 << 24;

/// Quality tiers that answer a class: problems not flagged hard, problems flagged hard.
pub(crate) type Tiers<'a> = [Cow<'a, QualityTier>; 2];

/// The tier of a model by the name scenarios give it: named under `models`, else by the model's size, which says
/// nothing of a checkpoint that nobody has; and of its quality what the model's formats and attention keep.
pub(crate) fn tier_of_model<'a>(
    scenario: &Scenario,
    catalog: &'a Catalog,
    name: &str,
) -> Option<Cow<'a, QualityTier>> {
    let variant = scenario.models.iter().find(|model| model.name == name);
    let entry = catalog.model(variant.map_or(name, |model| model.catalog.as_str()))?;
    let tier = match variant.and_then(|model| model.quality_tier.as_deref()) {
        Some(tier) => catalog.quality_tier(tier)?,
        None if variant.is_some_and(|model| model.attention.is_hypothetical()) => return None,
        None => catalog.default_quality_tier(entry)?,
    };
    let levered = match variant {
        Some(model) => {
            let served = model.attention.of(entry, catalog).ok()?;
            catalog::levered(&served, model.weights, model.kv_cache)
        }
        None => catalog::levered(entry, None, Precision::Bf16),
    };
    let kept = levered.into_iter().filter_map(|lever| catalog.retention(lever));
    Some(kept.fold(Cow::Borrowed(tier), |tier, retention| Cow::Owned(tier.keeping(retention))))
}

/// The models between which the predictor's flag decides for a class, by a difficulty-aware router or as its quality
/// target asks: others, flagged hard.
pub(crate) fn routed_models<'a>(scenario: &'a Scenario, class: &'a Class) -> Option<[&'a str; 2]> {
    if let Some(models) = escalation::models(class) {
        return Some(models);
    }
    match &scenario.routing {
        // A class that names its models stays with them.
        Routing::DifficultyAware(aware) if class.model.is_none() && class.answering.is_none() => {
            let hard = if class.difficulty.is_some() { &aware.hard } else { &aware.easy };
            Some([aware.easy.as_str(), hard.as_str()])
        }
        _ => None,
    }
}

/// The tiers that answer a class with difficulty, as far as its model is known when a request arrives.
///
/// # Errors
/// In words: models of several tiers are open to the class, or a name is unknown.
pub(crate) fn tiers_of_class<'a>(
    scenario: &Scenario,
    catalog: &'a Catalog,
    class: &Class,
) -> Result<Tiers<'a>, String> {
    let tier = |model: &str| {
        tier_of_model(scenario, catalog, model).ok_or_else(|| {
            format!("the model '{model}' has no quality tier; name one under models.quality_tier")
        })
    };
    let first = match &class.answering {
        Some(Answering::Cascade(cascade)) => cascade.models.first(),
        _ => class.model.as_ref(),
    };
    if let (Some(model), None) = (first, escalation::of_class(class)) {
        let tier = tier(model)?;
        return Ok([tier.clone(), tier]);
    }
    if let Some([easy, hard]) = routed_models(scenario, class) {
        return Ok([tier(easy)?, tier(hard)?]);
    }
    let mut found: Vec<(&str, Cow<QualityTier>)> = Vec::new();
    for pool in scenario.fleet.sites.iter().flat_map(|site| &site.pools) {
        let tier = tier(&pool.model)?;
        if !found.iter().any(|(_, other)| *other == tier) {
            found.push((&pool.model, tier));
        }
    }
    match found.as_slice() {
        [] => Err("needs a pool that answers".into()),
        [(_, only)] => Ok([only.clone(), only.clone()]),
        several => {
            // One tier in several formats, or with several attentions, is several as well.
            let alike = several.iter().all(|(_, tier)| tier.name == several[0].1.name);
            let names: Vec<String> = several
                .iter()
                .map(
                    |(model, tier)| {
                        if alike { format!("{} as kept by {model}", tier.name) } else { tier.name.clone() }
                    },
                )
                .collect();
            Err(format!(
                "pools of several quality tiers ({}) are open to this class, so how long a request thinks would \
                 hang on where it lands; name the class's model, or use routing: {{ difficulty_aware: … }}",
                names.join(", ")
            ))
        }
    }
}

/// The tiers that answer a class, by attempt with a model of its own: those of a cascade, else one.
///
/// # Errors
/// As of [`tiers_of_class`].
pub(crate) fn tiers_of_attempts<'a>(
    scenario: &Scenario,
    catalog: &'a Catalog,
    class: &Class,
) -> Result<Vec<Tiers<'a>>, String> {
    let Some(Answering::Cascade(cascade)) = &class.answering else {
        return Ok(vec![tiers_of_class(scenario, catalog, class)?]);
    };
    let tiers = |model: &String| {
        let alone = Class { model: Some(model.clone()), answering: None, ..class.clone() };
        tiers_of_class(scenario, catalog, &alone)
    };
    cascade.models.iter().map(tiers).collect()
}

/// Expected share of right answers of a class as it is answered, under budgets; `tiers` by attempt.
pub(crate) fn expected_of_answers(
    class: &Class,
    catalog: &Catalog,
    tiers: &[Tiers],
    share: &ByDifficulty,
    budget: impl Fn(Difficulty, bool) -> u32,
) -> f64 {
    match (&class.answering, tiers) {
        (None, [tiers, ..]) => expected_accuracy(class, tiers, share, budget),
        (Some(answering), _) => {
            let correlation = catalog.repeat_correlation().map_or(0.0, |number| number.value);
            attempts::expected_accuracy(class, answering, tiers, share, correlation, budget)
        }
        (None, []) => 0.0,
    }
}

/// Thinking budget of a request [tokens].
pub(crate) fn budget_tok(reasoning: Option<&Reasoning>, difficulty: Difficulty, flagged: bool) -> u32 {
    match reasoning {
        None | Some(Reasoning::None) => 0,
        Some(Reasoning::Fixed(fixed)) => fixed.budget_tok.unwrap_or(0),
        Some(Reasoning::QualityTarget(target)) => target.budget_tok.unwrap_or(0),
        Some(Reasoning::Adaptive(adaptive)) if flagged => adaptive.budget_tok.hard,
        Some(Reasoning::Adaptive(adaptive)) => adaptive.budget_tok.easy,
        Some(Reasoning::Oracle(oracle)) => match difficulty {
            Difficulty::Easy => oracle.budget_tok.easy,
            Difficulty::Medium => oracle.budget_tok.medium,
            Difficulty::Hard => oracle.budget_tok.hard,
        },
    }
}

/// Expected share of right answers of a class with `share` of difficulties, under budgets.
pub(crate) fn expected_accuracy(
    class: &Class,
    tiers: &Tiers,
    share: &ByDifficulty,
    budget: impl Fn(Difficulty, bool) -> u32,
) -> f64 {
    let total: f64 = Difficulty::ALL.iter().map(|&d| share.of(d)).sum();
    let flagged = |d| class.difficulty.as_ref().and_then(|mix| mix.flagged_hard).map_or(0.0, |f| f.of(d));
    let of = |d: Difficulty| {
        let right = |flag: bool| tiers[usize::from(flag)].p_right(d, f64::from(budget(d, flag)));
        (1.0 - flagged(d)) * right(false) + flagged(d) * right(true)
    };
    Difficulty::ALL.iter().map(|&d| share.of(d) * of(d)).sum::<f64>() / total.max(f64::MIN_POSITIVE)
}

/// The smallest fixed budget with which a class expects to meet its target [tokens].
///
/// # Errors
/// The most it can expect, however long it thinks.
pub(crate) fn smallest_budget(
    class: &Class,
    tiers: &Tiers,
    share: &ByDifficulty,
    target: f64,
) -> Result<u32, f64> {
    let reached = |budget: u32| expected_accuracy(class, tiers, share, |_, _| budget);
    let most = reached(MOST_BUDGET_TOK);
    if most < target {
        return Err(most);
    }
    let (mut low, mut high) = (0, MOST_BUDGET_TOK);
    while low < high {
        let middle = low + (high - low) / 2;
        if reached(middle) >= target {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(high)
}

/// That a target cannot be met, with the way out: the tier that could.
pub(crate) fn out_of_reach(
    catalog: &Catalog,
    share: &ByDifficulty,
    tiers: &Tiers,
    most: f64,
    target: f64,
) -> String {
    let mut names = vec![tiers[0].name.as_str()];
    if tiers[1].name != tiers[0].name {
        names.push(&tiers[1].name);
    }
    let at_most = |tier: &QualityTier| {
        let total: f64 = Difficulty::ALL.iter().map(|&d| share.of(d)).sum();
        let right = |d: Difficulty| tier.p_right(d, f64::from(MOST_BUDGET_TOK));
        Difficulty::ALL.iter().map(|&d| share.of(d) * right(d)).sum::<f64>() / total.max(f64::MIN_POSITIVE)
    };
    let enough = catalog
        .quality_tiers()
        .iter()
        .map(|tier| (at_most(tier), tier))
        .filter(|(reach, _)| *reach >= target)
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let escalate = match enough {
        Some((reach, tier)) => {
            format!("escalate to a model of tier {} (up to {reach:.3}), or lower the target", tier.name)
        }
        None => "no tier of the catalog reaches it; lower the target".into(),
    };
    format!(
        "is {target}, out of reach: {} is right in at most {most:.3} however long it thinks; {escalate}",
        names.join(" with ")
    )
}

/// Fill in what follows from the catalog: tiers by size, and the budget that a target asks for. The
/// scenario has passed its checks.
pub(crate) fn fill(scenario: &mut Scenario, catalog: &Catalog) {
    if scenario.workload.classes.iter().all(|class| class.difficulty.is_none()) {
        return;
    }
    let tiers: Vec<Option<String>> = scenario
        .models
        .iter()
        .map(|model| tier_of_model(scenario, catalog, &model.name).map(|tier| tier.name.clone()))
        .collect();
    for (model, tier) in scenario.models.iter_mut().zip(tiers) {
        model.quality_tier = tier;
    }
    let found: Vec<Option<(u32, Escalate)>> = scenario
        .workload
        .classes
        .iter()
        .map(|class| {
            let share = class.difficulty.as_ref()?.share?;
            escalation::find(scenario, catalog, class, &share, class.quality_target?).ok()
        })
        .collect();
    for (class, found) in scenario.workload.classes.iter_mut().zip(found) {
        if let (Some(Reasoning::QualityTarget(target)), Some((budget_tok, escalate))) =
            (&mut class.reasoning, found)
            && target.escalate.is_none()
        {
            (target.budget_tok, target.escalate) = (Some(budget_tok), Some(escalate));
        }
    }
    let budgets: Vec<Option<u32>> = scenario
        .workload
        .classes
        .iter()
        .map(|class| {
            let share = class.difficulty.as_ref()?.share?;
            let tiers = tiers_of_class(scenario, catalog, class).ok()?;
            smallest_budget(class, &tiers, &share, class.quality_target?).ok()
        })
        .collect();
    for (class, budget) in scenario.workload.classes.iter_mut().zip(budgets) {
        if let Some(Reasoning::Fixed(fixed)) = &mut class.reasoning
            && fixed.budget_tok.is_none()
        {
            fixed.budget_tok = budget;
        }
    }
}
