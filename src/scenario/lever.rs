//! Levers that a study pulls: sets of changes to the scenario, which as it stands has none of them pulled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Node, Value};
use super::types::{Escalate, Reasoning, Scenario};
use super::{
    Draft, LoadOptions, Problem, Resolved, ScenarioError, Source, check, defaults, inputs, overrides, typed,
    yaml,
};

/// Most levers of a scenario.
pub(crate) const MOST_LEVERS: usize = 16;
/// Pairs of levers that contradict each other, told at once.
const MOST_TOLD: usize = 10;

/// Fields that say what is compared, and how: the same whichever levers are pulled.
const HELD: [&str; 12] = [
    "name",
    "seed",
    "duration_s",
    "start_at_h",
    "warm_up_s",
    "at_end",
    "levers",
    "expect",
    "report",
    "arrivals",
    "slo",
    "quality_target",
];

/// A lever of `wattmill levers`. A run takes the scenario as it stands, without any of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lever {
    /// Name, unique among the levers.
    pub name: String,
    /// What pulling it changes, each as of `--set`: `models.0.weights=fp8`. Levers must not set the same fields.
    pub set: Vec<String>,
}

impl Lever {
    /// The paths that it sets.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.set.iter().map(|assignment| path_of(assignment))
    }
}

/// The path of an assignment `path=value`.
pub(crate) fn path_of(assignment: &str) -> &str {
    assignment.split_once('=').map_or(assignment, |(path, _)| path).trim()
}

/// Whether two paths touch the same field: they are the same, or one lies inside the other.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(_), Some(_)) => return false,
            _ => return true,
        }
    }
}

/// Why a lever must not set a path, if so.
pub(crate) fn refused(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let of_class = parts.first() == Some(&"workload");
    let field = if of_class { parts.get(3) } else { parts.first() };
    let held = field.is_some_and(|field| HELD.contains(field)) || (of_class && parts.len() < 4);
    held.then(|| {
        format!("sets {path}, which is held: levers are compared at equal load, service and quality")
    })
}

impl Draft {
    /// This draft, which resolves to `base`, with levers pulled, by number, quality targets taken off: they are for the study to hold. Its own
    /// levers and expectations are gone. `options` apply on top of the levers.
    ///
    /// # Errors
    /// As of [`super::load`]; mistakes of a lever with the place where it is written.
    pub(crate) fn resolve_pulled(
        &self,
        base: &Resolved,
        pulled: &[usize],
        options: &LoadOptions,
    ) -> Result<Resolved, ScenarioError> {
        let tree = self.pulled_tree(base, pulled)?;
        let (tree, written) = super::changed(tree, self.changes.clone(), options)?;
        let (scenario, source) = self.typed_as_base(tree, written)?;
        super::finish(scenario, &self.stem, self.base_dir.clone(), options, source, &self.digests)
    }

    /// What is wrong with the levers of a scenario: each is pulled alone; if that is well, each with each other.
    pub(crate) fn lever_problems(&self, base: &Resolved, options: &LoadOptions) -> Vec<String> {
        let known: Vec<String> =
            inputs::paths_mut(&mut base.scenario.clone()).into_iter().map(|(_, path)| path.clone()).collect();
        let pulled = |numbers: &[usize]| -> Result<(), ScenarioError> {
            let tree = self.pulled_tree(base, numbers)?;
            let (tree, written) = super::changed(tree, self.changes.clone(), options)?;
            let (mut scenario, source) = self.typed_as_base(tree, written)?;
            let named = inputs::paths_mut(&mut scenario).into_iter().find(|(_, path)| !known.contains(*path));
            if let Some((path, file)) = named {
                let message = format!(
                    "names the file '{file}', which the scenario itself does not; a lever may only set values, so that \
                     a scenario that is moved keeps its files"
                );
                return Err(ScenarioError::Problems(source.lines(&[Problem { path, message }])));
            }
            defaults::fill(&mut scenario, &self.stem);
            let problems = check::all(&scenario, &self.base_dir, &options.catalog);
            if problems.is_empty() { Ok(()) } else { Err(ScenarioError::Problems(source.lines(&problems))) }
        };
        let levers = &base.scenario.levers;
        let alone = levers.iter().enumerate().filter_map(|(k, lever)| {
            let error = pulled(&[k]).err()?;
            Some(format!("{error} (lever {})", lever.name))
        });
        let alone: Vec<String> = alone.collect();
        if !alone.is_empty() {
            return alone;
        }
        let pairs = (0..levers.len()).flat_map(|b| (0..b).map(move |a| [a, b]));
        let both = pairs.filter_map(|[a, b]| {
            let error = pulled(&[a, b]).err()?;
            Some(format!("{error} (levers {} and {} together)", levers[a].name, levers[b].name))
        });
        both.take(MOST_TOLD).collect()
    }

    /// The document with levers pulled. What a lever writes stands where the lever does.
    fn pulled_tree(&self, base: &Resolved, pulled: &[usize]) -> Result<Node, ScenarioError> {
        let mut tree = self.tree.clone();
        for &number in pulled {
            for (k, assignment) in base.scenario.levers[number].set.iter().enumerate() {
                let path = format!("levers.{number}.set.{k}");
                let place = base.source.place_of(&path);
                let mistake = |message: String| {
                    ScenarioError::Problems(base.source.lines(&[Problem { path: path.clone(), message }]))
                };
                let Some((at, text)) = assignment.split_once('=') else {
                    return Err(mistake(format!(
                        "is '{assignment}'; a path and a value, e.g. models.0.weights=fp8"
                    )));
                };
                let value = match text.trim() {
                    "" => Node { value: Value::Null, place },
                    text => yaml::parse(text)
                        .map_err(|error| mistake(format!("the value is not YAML: {}", error.message)))?
                        .moved_to(place),
                };
                overrides::put_at(&mut tree, at.trim(), value).map_err(mistake)?;
            }
        }
        Ok(tree)
    }

    /// The scenario of a document without what only the base has.
    fn typed_as_base(&self, tree: Node, written: Vec<String>) -> Result<(Scenario, Source), ScenarioError> {
        let source = Source::new(self.shown.clone(), written, tree);
        let tree = source.tree().ok_or_else(|| ScenarioError::Syntax(String::new()))?;
        let mut scenario: Scenario = typed::from_tree(tree).map_err(|error| {
            ScenarioError::Syntax(source.locate(error.place.unwrap_or_default(), &error.message()))
        })?;
        super::paths_from_here(&mut scenario, &source, self.changes.len());
        scenario.levers.clear();
        scenario.expect.clear();
        for class in &mut scenario.workload.classes {
            // Who escalates wants a target; whether it is in reach the study says.
            let escalates = matches!(class.reasoning, Some(Reasoning::QualityTarget(_)));
            class.quality_target = class.quality_target.filter(|_| escalates).map(|_| 0.0);
            // Found by the target; the study finds it again.
            match &mut class.reasoning {
                Some(Reasoning::Fixed(fixed)) => _ = fixed.budget_tok.get_or_insert(1),
                Some(Reasoning::QualityTarget(target)) => {
                    target.budget_tok.get_or_insert(1);
                    target.escalate.get_or_insert(Escalate::None);
                }
                _ => {}
            }
        }
        Ok((scenario, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_overlap_where_one_lies_inside_the_other() {
        assert!(overlap("models.0", "models.0.weights"));
        assert!(overlap("models.0.weights", "models.0.weights"));
        assert!(!overlap("models.0.weights", "models.0.kv_cache"));
        assert!(!overlap("models.1", "models.10"));
    }

    #[test]
    fn what_is_held_is_no_lever() {
        for path in
            ["seed", "workload.classes.0.slo.ttft_ms", "workload.classes.1.arrivals.poisson.rate_per_s"]
        {
            assert!(refused(path).is_some(), "{path}");
        }
        assert!(refused("workload.classes.0").is_some());
        for path in
            ["workload.classes.0.reasoning", "models.0.weights", "fleet.sites.0.power.cap_mw", "routing"]
        {
            assert_eq!(refused(path), None);
        }
    }
}
