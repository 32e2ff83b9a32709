//! What must hold in a scenario beyond its types: ranges, names, and options that would be ignored.

use std::fmt::Display;
use std::path::Path;

use super::lookup::{self, Kind};
use super::nearest::suggestion;
use super::types::{
    Affine, Arrivals, Batching, ByDifficulty, CapFraction, Class, DifficultyMix, Energy, Length, Policy,
    Pool, Reasoning, Routing, Scenario, Site, StepLaw,
};
use super::{Problem, inputs, quality};
use crate::catalog::{Catalog, Difficulty};

/// Longest run [s], about 31 years: far from where integer femtoseconds end.
const MAX_DURATION_S: f64 = 1e9;
/// Most arrivals per second of one class.
const MAX_RATE_PER_S: f64 = 1e9;
/// Longest prompt or answer [tokens].
const MAX_TOK: u32 = 1 << 24;
/// Most requests held in flight by a closed loop; each costs memory.
const MAX_IN_FLIGHT: u64 = 100_000_000;
/// Most nodes of a pool; each replica costs memory.
const MAX_NODES: u32 = 1_000_000;
/// Most rows of `timeseries.csv`.
const MAX_INTERVALS: f64 = 5e6;
/// Shortest step of an own step law [µs]; a step without duration would never let time pass.
const MIN_STEP_US: f64 = 1e-3;
/// Longest step of an own step law [µs]: eleven days.
const MAX_STEP_US: f64 = 1e12;
/// How far shares may be from summing to 1: what decimal fractions leave.
const SHARE_SLACK: f64 = 1e-6;

/// All problems of a scenario whose defaults are filled in.
pub(crate) fn all(scenario: &Scenario, base_dir: &Path, catalog: &Catalog) -> Vec<Problem> {
    let mut check = Check { problems: Vec::new() };
    check.run(scenario);
    check.workload(scenario, catalog);
    check.models(scenario, catalog);
    check.routing(scenario, catalog);
    check.fleet(scenario, catalog);
    check.inputs(scenario, base_dir);
    check.problems
}

pub(super) struct Check {
    problems: Vec<Problem>,
}

impl Check {
    pub(super) fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), message: message.into() });
    }

    pub(super) fn require<T: Display>(&mut self, path: &str, value: T, holds: bool, must: &str) {
        if !holds {
            self.refuse(path, format!("must be {must}, is {value}"));
        }
    }

    /// Above 0 and at most `max`.
    pub(super) fn positive(&mut self, path: &str, value: f64, max: f64) {
        self.require(path, value, value > 0.0, "above 0");
        self.require(path, value, value <= max, &format!("at most {max}"));
    }

    pub(super) fn not_negative(&mut self, path: &str, value: f64, max: f64) {
        self.require(path, value, value >= 0.0, "at least 0");
        self.require(path, value, value <= max, &format!("at most {max}"));
    }

    pub(super) fn count(&mut self, path: &str, value: u64, max: u64) {
        self.require(path, value, value >= 1, "at least 1");
        self.require(path, value, value <= max, &format!("at most {max}"));
    }

    /// Names are shown, joined with dots, and one of them is a folder.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        if name.trim().is_empty() {
            self.refuse(path, "must not be empty");
        } else if name.chars().count() > 100 {
            self.refuse(path, "must have at most 100 characters");
        } else if name.chars().any(char::is_control) {
            self.refuse(path, "must not contain control characters");
        }
    }

    pub(super) fn unique<'a>(&mut self, names: impl Iterator<Item = (String, &'a str)>, what: &str) {
        let mut seen: Vec<&str> = Vec::new();
        for (path, name) in names {
            if seen.contains(&name) {
                self.refuse(path, format!("there is already a {what} named '{name}'; names must differ"));
            }
            seen.push(name);
        }
    }

    fn run(&mut self, scenario: &Scenario) {
        self.name("name", &scenario.name);
        if scenario.name.contains(['/', '\\']) || scenario.name.starts_with('.') {
            self.refuse("name", "names the result folder: no '/' or '\\', and no '.' in front");
        }
        let replays =
            scenario.workload.classes.iter().any(|class| matches!(class.arrivals, Arrivals::Trace(_)));
        match scenario.duration_s {
            Some(duration_s) => {
                self.positive("duration_s", duration_s, MAX_DURATION_S);
                self.require(
                    "warm_up_s",
                    scenario.warm_up_s,
                    duration_s <= 0.0 || scenario.warm_up_s < duration_s,
                    &format!("shorter than duration_s ({duration_s})"),
                );
                let intervals = duration_s / scenario.report.interval_s;
                if scenario.report.interval_s > 0.0 && intervals > MAX_INTERVALS {
                    self.refuse(
                        "report.interval_s",
                        format!(
                            "must be at least {}, so that timeseries.csv has at most {MAX_INTERVALS} rows",
                            duration_s / MAX_INTERVALS
                        ),
                    );
                }
            }
            None if !replays => {
                self.refuse(
                    "duration_s",
                    "is missing; only a scenario that replays a trace may leave it out",
                );
            }
            None => {}
        }
        self.not_negative("warm_up_s", scenario.warm_up_s, MAX_DURATION_S);
        self.require(
            "start_at_h",
            scenario.start_at_h,
            (0.0..24.0).contains(&scenario.start_at_h),
            "a time of day, 0 to below 24",
        );
        if !scenario.failures.is_empty() {
            self.refuse("failures", "must be empty: failures cannot be simulated yet");
        }
        self.positive("report.interval_s", scenario.report.interval_s, MAX_DURATION_S);
    }

    fn routing(&mut self, scenario: &Scenario, catalog: &Catalog) {
        self.probe("routing", &scenario.routing);
        let Routing::DifficultyAware(aware) = &scenario.routing else { return };
        let path = "routing.difficulty_aware";
        self.served_model(&format!("{path}.easy"), &aware.easy, scenario, catalog);
        self.served_model(&format!("{path}.hard"), &aware.hard, scenario, catalog);
        self.probe(&format!("{path}.within"), &aware.within);
        if matches!(*aware.within, Routing::DifficultyAware(_)) {
            self.refuse(
                format!("{path}.within"),
                "spreads requests over the replicas of one model: use another router, such as power_of_two",
            );
        }
        let decides = |class: &Class| class.difficulty.is_some() && class.model.is_none();
        if !scenario.workload.classes.iter().any(decides) {
            self.refuse(
                path,
                format!(
                    "has nothing to decide: no class without a model of its own has `difficulty`, so all would go to '{}'",
                    aware.easy
                ),
            );
        }
    }

    fn probe(&mut self, path: &str, routing: &Routing) {
        if let Routing::LeastLoaded(least_loaded) = routing
            && let Some(probe) = least_loaded.probe
        {
            self.count(&format!("{path}.least_loaded.probe"), probe.into(), u32::MAX.into());
        }
    }

    /// A model that is known and that a pool serves.
    fn served_model(&mut self, path: &str, model: &str, scenario: &Scenario, catalog: &Catalog) {
        let mut served: Vec<&str> = scenario
            .fleet
            .sites
            .iter()
            .flat_map(|site| &site.pools)
            .map(|pool| pool.model.as_str())
            .collect();
        if self.model(path, model, scenario, catalog) && !served.contains(&model) {
            served.sort_unstable();
            served.dedup();
            self.refuse(path, format!("no pool serves '{model}'; pools serve {}", served.join(", ")));
        }
    }

    fn workload(&mut self, scenario: &Scenario, catalog: &Catalog) {
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
        } else if quality::routed_models(scenario, class).is_some() {
            self.refuse(
                &mix_path,
                "flagged_hard is missing; difficulty_aware routing goes by predicted difficulty",
            );
        }
        self.budgets(&format!("{path}.reasoning"), class, mix);
        if let Some(target) = class.quality_target {
            let target_path = format!("{path}.quality_target");
            self.require(&target_path, target, (0.0..=1.0).contains(&target), "a probability, 0 to 1");
        }
        // Names that are wrong anywhere are said already; tiers are looked up through them.
        if self.problems.len() > before || !self.names_known(scenario, catalog) {
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
        let listed = |name: &str| scenario.models.iter().any(|model| model.name == name);
        let known = |name: &String| listed(name) || catalog.model(name).is_some();
        let pools = scenario.fleet.sites.iter().flat_map(|site| &site.pools).map(|pool| &pool.model);
        let routed = match &scenario.routing {
            Routing::DifficultyAware(aware) => vec![&aware.easy, &aware.hard],
            _ => vec![],
        };
        scenario.models.iter().all(|model| {
            catalog.model(&model.catalog).is_some()
                && model.quality_tier.as_ref().is_none_or(|tier| catalog.quality_tier(tier).is_some())
        }) && pools.chain(routed).all(known)
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

    fn models(&mut self, scenario: &Scenario, catalog: &Catalog) {
        let models = &scenario.models;
        self.unique(
            models.iter().enumerate().map(|(i, m)| (format!("models.{i}.name"), m.name.as_str())),
            "model",
        );
        for (i, model) in models.iter().enumerate() {
            self.name(&format!("models.{i}.name"), &model.name);
            self.known(&format!("models.{i}.catalog"), &model.catalog, Kind::Model, catalog);
            if let Some(tier) = &model.quality_tier {
                self.known(&format!("models.{i}.quality_tier"), tier, Kind::QualityTier, catalog);
            }
        }
    }

    fn fleet(&mut self, scenario: &Scenario, catalog: &Catalog) {
        let sites = &scenario.fleet.sites;
        if sites.is_empty() {
            self.refuse("fleet.sites", "is empty; a fleet needs at least one site");
        }
        self.unique(
            sites.iter().enumerate().map(|(i, site)| (format!("fleet.sites.{i}.name"), site.name.as_str())),
            "site",
        );
        for (i, site) in sites.iter().enumerate() {
            let path = format!("fleet.sites.{i}");
            self.site(&path, site);
            self.facility(&path, site);
            for (k, pool) in site.pools.iter().enumerate() {
                self.pool(&format!("{path}.pools.{k}"), pool, scenario, catalog);
            }
        }
    }

    fn site(&mut self, path: &str, site: &Site) {
        self.name(&format!("{path}.name"), &site.name);
        if let Some(static_pue) = site.static_pue {
            self.require(
                &format!("{path}.static_pue"),
                static_pue,
                (1.0..=10.0).contains(&static_pue),
                "at least 1 (all facility power over IT power) and at most 10",
            );
        }
        let power = &site.power;
        if let Some(cap_mw) = power.cap_mw {
            self.positive(&format!("{path}.power.cap_mw"), cap_mw, 1e6);
        }
        let fraction_path = format!("{path}.power.cap_fraction");
        match &power.cap_fraction {
            CapFraction::Constant(value) => self.positive(&format!("{fraction_path}.constant"), *value, 10.0),
            CapFraction::Steps(steps) => {
                let path = format!("{fraction_path}.steps");
                if steps.is_empty() {
                    self.refuse(&path, "is empty; leave cap_fraction out for a constant cap");
                }
                for (i, step) in steps.iter().enumerate() {
                    self.not_negative(&format!("{path}.{i}.at_h"), step.at_h, MAX_DURATION_S / 3600.0);
                    self.positive(&format!("{path}.{i}.value"), step.value, 10.0);
                    if let Some(before) = i.checked_sub(1).and_then(|k| steps.get(k)) {
                        self.require(
                            &format!("{path}.{i}.at_h"),
                            step.at_h,
                            step.at_h > before.at_h,
                            &format!("later than the step before ({})", before.at_h),
                        );
                    }
                }
            }
        }
        if power.cap_mw.is_none() && power.cap_fraction != CapFraction::default() {
            self.refuse(&fraction_path, "is a share of cap_mw, which is missing; add power.cap_mw");
        }
        let Policy::UniformClock(clock) = &power.policy;
        let policy_path = format!("{path}.power.policy.uniform_clock");
        self.require(
            &format!("{policy_path}.clock_step"),
            clock.clock_step,
            (0.0..=0.5).contains(&clock.clock_step),
            "between 0 (any clock) and 0.5 of the full clock",
        );
        self.require(
            &format!("{policy_path}.release_below"),
            clock.release_below,
            clock.release_below > 0.0 && clock.release_below <= 1.0,
            "above 0 and at most 1",
        );
        self.not_negative(&format!("{policy_path}.dwell_s"), clock.dwell_s, MAX_DURATION_S);
        if site.pools.is_empty() {
            self.refuse(format!("{path}.pools"), "is empty; a site needs at least one pool");
        }
        self.unique(
            site.pools
                .iter()
                .enumerate()
                .map(|(i, pool)| (format!("{path}.pools.{i}.name"), pool.name.as_str())),
            "pool",
        );
    }

    fn pool(&mut self, path: &str, pool: &Pool, scenario: &Scenario, catalog: &Catalog) {
        self.name(&format!("{path}.name"), &pool.name);
        self.model(&format!("{path}.model"), &pool.model, scenario, catalog);
        let gpu_known = self.known(&format!("{path}.gpu"), &pool.gpu, Kind::Gpu, catalog);
        if let Some(node) = &pool.node {
            self.known(&format!("{path}.node"), node, Kind::Node, catalog);
        }
        self.known(&format!("{path}.engine"), &pool.engine, Kind::Engine, catalog);
        self.count(&format!("{path}.nodes"), pool.nodes.into(), MAX_NODES.into());
        for (name, parts) in [("pipeline", pool.parallel.pipeline), ("expert", pool.parallel.expert)] {
            self.require(
                &format!("{path}.parallel.{name}"),
                parts,
                parts == 1,
                "1: only tensor parallelism can be simulated yet",
            );
        }
        let tensor = pool.parallel.tensor;
        let tensor_path = format!("{path}.parallel.tensor");
        self.require(&tensor_path, tensor, tensor >= 1, "at least 1");
        if gpu_known
            && tensor >= 1
            && let Some(gpus) = lookup::gpus_per_node(catalog, &pool.gpu, pool.node.as_deref())
            && gpus % tensor != 0
        {
            let fitting: Vec<String> = (1..=gpus).filter(|t| gpus % t == 0).map(|t| t.to_string()).collect();
            self.refuse(
                tensor_path,
                format!("is {tensor}; must divide the {gpus} GPUs of a node: {}", fitting.join(", ")),
            );
        }
        if let Some(gpu_cap_w) = pool.gpu_cap_w {
            self.positive(&format!("{path}.gpu_cap_w"), gpu_cap_w, 1e6);
        }
        if let StepLaw::Affine(affine) = &pool.step_law {
            self.affine(&format!("{path}.step_law.affine"), affine);
        }
        self.batching(&format!("{path}.batching"), &pool.batching);
    }

    fn affine(&mut self, path: &str, affine: &Affine) {
        let times = [
            ("base_us", affine.base_us),
            ("prefill_us", affine.prefill_us),
            ("per_prompt_tok_us", affine.per_prompt_tok_us),
            ("per_seq_us", affine.per_seq_us),
            ("per_kv_tok_us", affine.per_kv_tok_us),
        ];
        for (name, time_us) in times {
            self.not_negative(&format!("{path}.{name}"), time_us, MAX_STEP_US);
        }
        if times.iter().all(|(_, time_us)| *time_us >= 0.0) {
            let decode_us = affine.base_us + affine.per_seq_us;
            let prefill_us = affine.base_us + affine.prefill_us + affine.per_prompt_tok_us;
            for (kind, field, step_us) in
                [("decoding", "per_seq_us", decode_us), ("prompt", "per_prompt_tok_us", prefill_us)]
            {
                if step_us < MIN_STEP_US {
                    self.refuse(
                        format!("{path}.base_us"),
                        format!("a {kind} step takes no time; raise base_us or {field} (sum at least {MIN_STEP_US})"),
                    );
                }
            }
        }
        let (name, joules_or_watts) = match &affine.energy {
            Energy::PerToken(per_token) => ("per_token", vec![("it_j_per_tok", per_token.it_j_per_tok)]),
            Energy::PerState(per_state) => (
                "per_state",
                vec![
                    ("idle_w", per_state.idle_w),
                    ("base_w", per_state.base_w),
                    ("per_seq_w", per_state.per_seq_w),
                ],
            ),
        };
        for (field, value) in joules_or_watts {
            self.not_negative(&format!("{path}.energy.{name}.{field}"), value, 1e9);
        }
    }

    fn batching(&mut self, path: &str, batching: &Batching) {
        let most_seqs = batching.max_step_tok;
        self.count(&format!("{path}.max_seqs"), batching.max_seqs.into(), u32::MAX.into());
        self.count(&format!("{path}.max_step_tok"), batching.max_step_tok.into(), MAX_TOK.into());
        self.require(
            &format!("{path}.max_seqs"),
            batching.max_seqs,
            batching.max_seqs <= most_seqs,
            &format!("at most max_step_tok ({most_seqs}): each decoding sequence takes one token of a step"),
        );
        self.count(&format!("{path}.kv_block_tok"), batching.kv_block_tok.into(), 65_536);
        self.require(
            &format!("{path}.hbm_fraction"),
            batching.hbm_fraction,
            batching.hbm_fraction > 0.0 && batching.hbm_fraction <= 1.0,
            "above 0 and at most 1",
        );
        if let Some(kv_blocks) = batching.kv_blocks {
            self.count(&format!("{path}.kv_blocks"), kv_blocks, 1 << 40);
        }
    }

    fn inputs(&mut self, scenario: &Scenario, base_dir: &Path) {
        // A copy, because one walk over the fields serves reading and rewriting.
        for (field, path) in inputs::paths_mut(&mut scenario.clone()) {
            let full = base_dir.join(path.as_str());
            if path.is_empty() {
                self.refuse(field, "is empty; name a file");
            } else if full.is_dir() {
                self.refuse(field, format!("'{}' is a folder, not a file", full.display()));
            } else if let Err(error) = std::fs::metadata(&full) {
                let reason = match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file".to_string(),
                    _ => error.to_string(),
                };
                let hint = if Path::new(path.as_str()).is_absolute() {
                    ""
                } else {
                    "; paths in a scenario are relative to its own folder"
                };
                self.refuse(field, format!("'{}': {reason}{hint}", full.display()));
            }
        }
    }

    /// Whether a name stands under `models` or in the catalog.
    fn model(&mut self, path: &str, name: &str, scenario: &Scenario, catalog: &Catalog) -> bool {
        let mut known: Vec<&str> = scenario.models.iter().map(|model| model.name.as_str()).collect();
        known.extend(lookup::names(catalog, Kind::Model));
        self.one_of(path, name, Kind::Model, &known)
    }

    fn known(&mut self, path: &str, name: &str, kind: Kind, catalog: &Catalog) -> bool {
        self.one_of(path, name, kind, &lookup::names(catalog, kind))
    }

    fn one_of(&mut self, path: &str, name: &str, kind: Kind, known: &[&str]) -> bool {
        if known.contains(&name) {
            return true;
        }
        self.refuse(
            path,
            format!("unknown {} '{name}'{}", kind.word(), suggestion(name, known.iter().copied())),
        );
        false
    }
}
