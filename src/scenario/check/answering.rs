//! What must hold of classes that are answered in several legs, or by a larger model where their target asks for it.

use super::super::escalation::{self, OutOfReach};
use super::super::quality;
use super::super::types::{Answering, Class, DifficultyMix, Reasoning, Scenario, TargetBudget};
use super::{Check, MAX_TOK};
use crate::catalog::Catalog;

impl Check {
    pub(super) fn answering(
        &mut self,
        path: &str,
        class: &Class,
        answering: &Answering,
        scenario: &Scenario,
        catalog: &Catalog,
    ) {
        let word = match answering {
            Answering::Cascade(cascade) => {
                let path = format!("{path}.answering.cascade.models");
                let (count, most) = (cascade.models.len(), Answering::MOST_MODELS);
                if !(2..=most).contains(&count) {
                    self.refuse(&path, format!("names {count}; a cascade has 2 to {most} models"));
                }
                for (place, model) in cascade.models.iter().enumerate() {
                    self.served_model(&format!("{path}.{place}"), model, scenario, catalog);
                }
                let names = cascade.models.iter().enumerate();
                self.unique(
                    names.map(|(place, name)| (format!("{path}.{place}"), name.as_str())),
                    "model of the cascade",
                );
                "cascade"
            }
            Answering::BestOf(best_of) => {
                let most = Answering::MOST_ANSWERS;
                self.require(
                    &format!("{path}.answering.best_of.n"),
                    best_of.n,
                    (2..=most).contains(&best_of.n),
                    &format!("between 2 and {most}"),
                );
                "best_of"
            }
        };
        match (answering, &class.model) {
            (Answering::Cascade(_), Some(_)) => self.refuse(
                format!("{path}.model"),
                "must be left out: answering.cascade names the models of this class",
            ),
            (Answering::BestOf(_), None) => {
                let mut pools = scenario.fleet.sites.iter().flat_map(|site| &site.pools);
                let first = pools.next().map(|pool| &pool.model);
                if pools.any(|pool| Some(&pool.model) != first) {
                    self.refuse(
                        format!("{path}.answering.best_of"),
                        "draws its answers from one model, and pools serve several; name it as the class's `model`",
                    );
                }
            }
            _ => {}
        }
        if matches!(&class.reasoning, Some(Reasoning::Fixed(fixed)) if fixed.budget_tok.is_none()) {
            self.refuse(
                format!("{path}.reasoning"),
                "budget_tok is missing; quality_target finds it only where one answer is given (no `answering`)",
            );
        }
        if matches!(&class.reasoning, Some(Reasoning::QualityTarget(_))) {
            self.refuse(
                format!("{path}.reasoning"),
                "quality_target chooses the model, and so does `answering`; leave one of them out",
            );
        }
        let verify = answering.verify();
        let path = format!("{path}.answering.{word}.verify");
        self.served_model(&format!("{path}.model"), &verify.model, scenario, catalog);
        self.count(&format!("{path}.output_tok"), verify.output_tok.into(), MAX_TOK.into());
        for (name, value) in
            [("accepts_right", verify.accepts_right), ("accepts_wrong", verify.accepts_wrong)]
        {
            self.require(
                &format!("{path}.{name}"),
                value,
                (0.0..=1.0).contains(&value),
                "a probability, 0 to 1",
            );
        }
    }

    pub(super) fn escalation(
        &mut self,
        path: &str,
        class: &Class,
        mix: &DifficultyMix,
        target: &TargetBudget,
        scenario: &Scenario,
        catalog: &Catalog,
    ) {
        let own = format!("{path}.reasoning.quality_target");
        self.served_model(&format!("{own}.escalate_to"), &target.escalate_to, scenario, catalog);
        match &class.model {
            None => self.refuse(&own, "needs the class's `model`: the one that is asked first"),
            Some(model) if *model == target.escalate_to => {
                self.refuse(format!("{own}.escalate_to"), "is the class's own model; name a larger one");
            }
            Some(_) => {}
        }
        if class.quality_target.is_none() {
            self.refuse(&own, "needs the class's `quality_target`, the wanted probability of a right answer");
        }
        if target.budget_tok.is_some() != target.escalate.is_some() {
            self.refuse(&own, "takes both budget_tok and escalate, or finds both by the target");
        } else if target.escalate.is_none() && mix.share.is_none() {
            self.refuse(
                &own,
                "finds budget and model only with difficulty.share; give budget_tok and escalate",
            );
        }
    }

    /// Whether the target of a class can be met by its own model or a larger one.
    pub(super) fn reached(
        &mut self,
        path: &str,
        class: &Class,
        mix: &DifficultyMix,
        scenario: &Scenario,
        catalog: &Catalog,
    ) {
        let (Some(target), Some(share)) = (class.quality_target, &mix.share) else { return };
        match escalation::find(scenario, catalog, class, share, target) {
            Ok(_) => {}
            Err(Some(OutOfReach { tiers, most })) => {
                let message = quality::out_of_reach(catalog, share, &tiers, most, target);
                self.refuse(format!("{path}.quality_target"), message);
            }
            Err(None) => self.refuse(
                format!("{path}.reasoning.quality_target"),
                "its models need a quality tier each; name them under models.quality_tier",
            ),
        }
    }

    /// Whether the tiers of all attempts are known, and the target can be met.
    pub(super) fn answers(
        &mut self,
        path: &str,
        class: &Class,
        mix: &DifficultyMix,
        scenario: &Scenario,
        catalog: &Catalog,
    ) {
        let tiers = match quality::tiers_of_attempts(scenario, catalog, class) {
            Ok(tiers) => tiers,
            Err(message) => return self.refuse(format!("{path}.answering"), message),
        };
        let (Some(target), Some(share)) = (class.quality_target, &mix.share) else { return };
        let unlimited = |_, _| quality::MOST_BUDGET_TOK;
        let most = quality::expected_of_answers(class, catalog, &tiers, share, unlimited);
        if most < target {
            self.refuse(
                format!("{path}.quality_target"),
                format!(
                    "is {target}, out of reach: the answers delivered are right in {most:.3} with unlimited thought; \
                     end the cascade in a larger model, use a better verifier, or lower the target"
                ),
            );
        }
    }
}
