//! What must hold in the classes of a workload.

use super::super::quality;
use super::super::types::{
    Arrivals, ByDifficulty, Class, DifficultyMix, GammaRate, Length, Prefixes, Reasoning, Routing, Scenario,
};
use super::{Check, MAX_TOK};
use crate::catalog::{Catalog, Difficulty};

/// Most arrivals per second of one class.
const MAX_RATE_PER_S: f64 = 1e9;
/// Most requests held in flight by a closed loop; each costs memory.
const MAX_IN_FLIGHT: u64 = 100_000_000;
/// How far shares may be from summing to 1: what decimal fractions leave.
const SHARE_SLACK: f64 = 1e-6;

impl Check {
    pub(super) fn workload(&mut self, scenario: &Scenario, catalog: &Catalog) {
        let classes = &scenario.workload.classes;
        if classes.is_empty() {
            self.refuse("workload.classes", "is empty; a scenario needs at least one class of requests");
        }
        if classes.len() > usize::from(u16::MAX) {
            self.refuse("workload.classes", format!("has {} classes; at most 65535", classes.len()));
            return;
        }
        self.unique(
            classes.iter().enumerate().map(|(i, c)| (format!("workload.classes.{i}.name"), c.name.as_str())),
            "class",
        );
        for (i, class) in classes.iter().enumerate() {
            let path = format!("workload.classes.{i}");
            self.class(&path, class);
            if let Some(model) = &class.model {
                self.served_model(&format!("{path}.model"), model, scenario, catalog);
            }
            match &class.difficulty {
                Some(mix) => self.difficulty(&path, class, mix, scenario, catalog),
                None => self.without_difficulty(&path, class),
            }
        }
    }

    fn class(&mut self, path: &str, class: &Class) {
        self.name(&format!("{path}.name"), &class.name);
        match &class.arrivals {
            Arrivals::Constant(constant) => {
                self.positive(
                    &format!("{path}.arrivals.constant.rate_per_s"),
                    constant.rate_per_s,
                    MAX_RATE_PER_S,
                );
            }
            Arrivals::ClosedLoop(closed_loop) => {
                self.count(
                    &format!("{path}.arrivals.closed_loop.in_flight"),
                    closed_loop.in_flight,
                    MAX_IN_FLIGHT,
                );
            }
            Arrivals::Poisson(poisson) => {
                self.positive(
                    &format!("{path}.arrivals.poisson.rate_per_s"),
                    poisson.rate_per_s,
                    MAX_RATE_PER_S,
                );
            }
            Arrivals::Gamma(gamma) => {
                let path = format!("{path}.arrivals.gamma");
                self.positive(&format!("{path}.rate_per_s"), gamma.rate_per_s, MAX_RATE_PER_S);
                self.require(
                    &format!("{path}.cv"),
                    gamma.cv,
                    GammaRate::CV.contains(&gamma.cv),
                    "between 0.01 and 30 (1 is a Poisson process; for equal gaps use `constant`)",
                );
            }
            Arrivals::Diurnal(diurnal) => {
                let path = format!("{path}.arrivals.diurnal");
                self.positive(&format!("{path}.mean_per_s"), diurnal.mean_per_s, MAX_RATE_PER_S);
                self.require(
                    &format!("{path}.peak_to_mean"),
                    diurnal.peak_to_mean,
                    (1.0..=2.0).contains(&diurnal.peak_to_mean),
                    "between 1 and 2",
                );
                self.require(
                    &format!("{path}.peak_at_h"),
                    diurnal.peak_at_h,
                    (0.0..=24.0).contains(&diurnal.peak_at_h),
                    "a time of day, 0 to 24",
                );
            }
            Arrivals::RateCurve(curve) => {
                let path = format!("{path}.arrivals.rate_curve");
                self.positive(&format!("{path}.scale"), curve.scale, 1e6);
                for (name, column) in
                    [("time_column", &curve.time_column), ("rate_column", &curve.rate_column)]
                {
                    if column.is_empty() {
                        self.refuse(format!("{path}.{name}"), "must name a column of the CSV");
                    }
                }
            }
            Arrivals::Trace(trace) => {
                self.positive(&format!("{path}.arrivals.trace.scale"), trace.scale, 1e6);
                self.positive(&format!("{path}.arrivals.trace.speed_up"), trace.speed_up, 1e6);
                if class.lengths.is_some() {
                    self.refuse(
                        format!("{path}.lengths"),
                        "must be left out: a trace brings its own token counts",
                    );
                }
            }
        }
        if let Some(lengths) = &class.lengths {
            self.length(&format!("{path}.lengths.prompt"), &lengths.prompt);
            self.length(&format!("{path}.lengths.answer"), &lengths.answer);
        }
        if let Some(prefixes) = &class.prefixes {
            let path = format!("{path}.prefixes");
            if matches!(class.arrivals, Arrivals::Trace(_)) {
                self.refuse(&path, "must be left out: the prompts of a trace are whole");
            }
            self.length(&format!("{path}.tok"), &prefixes.tok);
            self.count(&format!("{path}.count"), prefixes.count.into(), (*Prefixes::COUNT.end()).into());
            self.not_negative(&format!("{path}.zipf"), prefixes.zipf, *Prefixes::ZIPF.end());
        }
        let limits = [
            ("slo.ttft_ms", class.slo.ttft_ms),
            ("slo.tpot_ms", class.slo.tpot_ms),
            ("patience_s", class.patience_s),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit {
                self.positive(&format!("{path}.{name}"), limit, 1e12);
            }
        }
    }

    fn without_difficulty(&mut self, path: &str, class: &Class) {
        let needs = "needs to know how hard the problems are; add `difficulty` to the class";
        if class.reasoning.as_ref().is_some_and(|reasoning| *reasoning != Reasoning::None) {
            self.refuse(format!("{path}.reasoning"), needs);
        }
        if class.quality_target.is_some() {
            self.refuse(format!("{path}.quality_target"), needs);
        }
        if class.answering.is_some() {
            self.refuse(format!("{path}.answering"), needs);
        }
    }

    fn difficulty(
        &mut self,
        path: &str,
        class: &Class,
        mix: &DifficultyMix,
        scenario: &Scenario,
        catalog: &Catalog,
    ) {
        let before = self.problems.len();
        let mix_path = format!("{path}.difficulty");
        if let Some(share) = &mix.share {
            self.probabilities(&format!("{mix_path}.share"), share);
            let sum = share.easy + share.medium + share.hard;
            if (sum - 1.0).abs() > SHARE_SLACK {
                self.refuse(format!("{mix_path}.share"), format!("must sum to 1, sums to {sum}"));
            }
        } else if !matches!(class.arrivals, Arrivals::Trace(_)) {
            self.refuse(
                &mix_path,
                "share is missing; only a trace with a `difficulty` column brings its own",
            );
        }
        if let Some(flagged_hard) = &mix.flagged_hard {
            self.probabilities(&format!("{mix_path}.flagged_hard"), flagged_hard);
        } else if matches!(class.reasoning, Some(Reasoning::Adaptive(_))) {
            self.refuse(
                &mix_path,
                "flagged_hard is missing; adaptive reasoning goes by predicted difficulty",
            );
        } else if matches!(class.reasoning, Some(Reasoning::QualityTarget(_))) {
            self.refuse(
                &mix_path,
                "flagged_hard is missing; reasoning.quality_target escalates by predicted difficulty",
            );
        } else if quality::routed_models(scenario, class).is_some() {
            self.refuse(
                &mix_path,
                "flagged_hard is missing; difficulty_aware routing goes by predicted difficulty",
            );
        }
        self.budgets(&format!("{path}.reasoning"), class, mix);
        if let Some(Reasoning::QualityTarget(target)) = &class.reasoning {
            self.escalation(path, class, mix, target, scenario, catalog);
        }
        if let Some(answering) = &class.answering {
            self.answering(path, class, answering, scenario, catalog);
        }
        if let Some(target) = class.quality_target {
            let target_path = format!("{path}.quality_target");
            self.require(&target_path, target, (0.0..=1.0).contains(&target), "a probability, 0 to 1");
        }
        // Names that are wrong anywhere are said already; tiers are looked up through them.
        if self.problems.len() > before || !self.names_known(scenario, catalog) {
            return;
        }
        if class.answering.is_some() {
            self.answers(path, class, mix, scenario, catalog);
            return;
        }
        if let Some(Reasoning::QualityTarget(target)) = &class.reasoning
            && target.escalate.is_none()
        {
            self.reached(path, class, mix, scenario, catalog);
            return;
        }
        match quality::tiers_of_class(scenario, catalog, class) {
            Err(message) => self.refuse(mix_path, message),
            Ok(tiers) => {
                if let (Some(target), Some(share)) = (class.quality_target, &mix.share)
                    && let Err(most) = quality::smallest_budget(class, &tiers, share, target)
                {
                    let message = quality::out_of_reach(catalog, share, &tiers, most, target);
                    self.refuse(format!("{path}.quality_target"), message);
                }
            }
        }
    }

    fn budgets(&mut self, path: &str, class: &Class, mix: &DifficultyMix) {
        let budgets: Vec<(&str, u32)> = match &class.reasoning {
            None | Some(Reasoning::None) => vec![],
            Some(Reasoning::Fixed(fixed)) => match fixed.budget_tok {
                Some(budget_tok) => vec![("fixed.budget_tok", budget_tok)],
                None if class.quality_target.is_none() => {
                    self.refuse(path, "budget_tok is missing; give it, or a quality_target to find it by");
                    vec![]
                }
                None if mix.share.is_none() => {
                    self.refuse(
                        path,
                        "budget_tok is missing; it is found by quality_target only with difficulty.share",
                    );
                    vec![]
                }
                None => vec![],
            },
            Some(Reasoning::QualityTarget(target)) => {
                target.budget_tok.iter().map(|&tok| ("quality_target.budget_tok", tok)).collect()
            }
            Some(Reasoning::Adaptive(adaptive)) => vec![
                ("adaptive.budget_tok.easy", adaptive.budget_tok.easy),
                ("adaptive.budget_tok.hard", adaptive.budget_tok.hard),
            ],
            Some(Reasoning::Oracle(oracle)) => vec![
                ("oracle.budget_tok.easy", oracle.budget_tok.easy),
                ("oracle.budget_tok.medium", oracle.budget_tok.medium),
                ("oracle.budget_tok.hard", oracle.budget_tok.hard),
            ],
        };
        for (name, budget_tok) in budgets {
            let most = quality::MOST_BUDGET_TOK;
            self.require(
                &format!("{path}.{name}"),
                budget_tok,
                budget_tok <= most,
                &format!("at most {most}, longer than any thought"),
            );
        }
    }

    fn probabilities(&mut self, path: &str, values: &ByDifficulty) {
        for difficulty in Difficulty::ALL {
            let value = values.of(difficulty);
            let path = format!("{path}.{}", difficulty.name());
            self.require(&path, value, (0.0..=1.0).contains(&value), "between 0 and 1");
        }
    }

    /// Whether every model and tier that the scenario names exists.
    fn names_known(&self, scenario: &Scenario, catalog: &Catalog) -> bool {
        let classes = &scenario.workload.classes;
        let listed = |name: &str| scenario.models.iter().any(|model| model.name == name);
        let known = |name: &String| listed(name) || catalog.model(name).is_some();
        let pools = scenario.fleet.sites.iter().flat_map(|site| &site.pools).map(|pool| &pool.model);
        let escalated = classes.iter().filter_map(|class| match &class.reasoning {
            Some(Reasoning::QualityTarget(target)) => Some(&target.escalate_to),
            _ => None,
        });
        let routed = match &scenario.routing {
            Routing::DifficultyAware(aware) => vec![&aware.easy, &aware.hard],
            _ => vec![],
        };
        scenario.models.iter().all(|model| {
            catalog.model(&model.catalog).is_some()
                && model.quality_tier.as_ref().is_none_or(|tier| catalog.quality_tier(tier).is_some())
        }) && pools.chain(routed).chain(escalated).all(known)
            && classes.iter().filter_map(|class| class.answering.as_ref()).all(|answering| {
                answering.models(None).into_iter().flatten().all(|name| known(&name.to_string()))
            })
            && scenario.workload.classes.iter().filter_map(|class| class.model.as_ref()).all(known)
    }

    fn length(&mut self, path: &str, length: &Length) {
        let mut tokens =
            |name: &str, tok: u32| self.count(&format!("{path}.{name}"), tok.into(), MAX_TOK.into());
        match length {
            Length::Constant(constant) => tokens("constant.tok", constant.tok),
            Length::Exponential(exponential) => {
                tokens("exponential.max_tok", exponential.max_tok);
                self.positive(&format!("{path}.exponential.mean_tok"), exponential.mean_tok, MAX_TOK.into());
            }
            Length::Lognormal(lognormal) => {
                tokens("lognormal.max_tok", lognormal.max_tok);
                self.positive(&format!("{path}.lognormal.mean_tok"), lognormal.mean_tok, MAX_TOK.into());
                self.not_negative(&format!("{path}.lognormal.sigma"), lognormal.sigma, 10.0);
            }
            Length::Empirical(empirical) => {
                if empirical.column.is_empty() {
                    self.refuse(format!("{path}.empirical.column"), "must name a column of the CSV");
                }
            }
        }
    }
}
