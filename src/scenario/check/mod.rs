//! What must hold in a scenario beyond its types: ranges, names, and options that would be ignored.

mod answering;
mod facility;
mod fleet;
mod levers;
mod plant;
mod policy;
mod signals;
mod speculation;
mod supply;
mod workload;

pub(crate) use signals::TOUCH_H;

use std::fmt::Display;
use std::path::Path;

use super::lookup::{self, Kind};
use super::nearest::suggestion;
use super::types::{Arrivals, Class, PrefixAware, Routing, Scenario};
use super::{Problem, inputs};
use crate::catalog::Catalog;

/// Longest run [s], about 31 years: far from where integer femtoseconds end.
const MAX_DURATION_S: f64 = 1e9;
/// Longest prompt or answer [tokens].
const MAX_TOK: u32 = 1 << 24;
/// Most rows of `timeseries.csv`.
const MAX_INTERVALS: f64 = 5e6;

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
        self.failures(scenario);
        self.expectations(scenario);
        self.levers(scenario);
        self.positive("report.interval_s", scenario.report.interval_s, MAX_DURATION_S);
    }

    fn routing(&mut self, scenario: &Scenario, catalog: &Catalog) {
        self.probe("routing", &scenario.routing);
        self.prefix_aware("routing", &scenario.routing, scenario);
        let Routing::DifficultyAware(aware) = &scenario.routing else { return };
        let path = "routing.difficulty_aware";
        self.served_model(&format!("{path}.easy"), &aware.easy, scenario, catalog);
        self.served_model(&format!("{path}.hard"), &aware.hard, scenario, catalog);
        self.probe(&format!("{path}.within"), &aware.within);
        self.prefix_aware(&format!("{path}.within"), &aware.within, scenario);
        if matches!(*aware.within, Routing::DifficultyAware(_)) {
            self.refuse(
                format!("{path}.within"),
                "spreads requests over the replicas of one model: use another router, such as power_of_two",
            );
        }
        let decides =
            |class: &Class| class.difficulty.is_some() && class.model.is_none() && class.answering.is_none();
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

    fn prefix_aware(&mut self, path: &str, routing: &Routing, scenario: &Scenario) {
        let Routing::PrefixAware(aware) = routing else { return };
        let path = format!("{path}.prefix_aware");
        self.require(
            &format!("{path}.overload"),
            aware.overload,
            PrefixAware::OVERLOAD.contains(&aware.overload),
            "a factor between 1 and 1,000,000",
        );
        if scenario.workload.classes.iter().all(|class| class.prefixes.is_none()) {
            self.refuse(path, "has nothing to go by: no class has `prefixes`; add them, or use power_of_two");
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

    fn models(&mut self, scenario: &Scenario, catalog: &Catalog) {
        let models = &scenario.models;
        self.unique(
            models.iter().enumerate().map(|(i, m)| (format!("models.{i}.name"), m.name.as_str())),
            "model",
        );
        for (i, model) in models.iter().enumerate() {
            self.name(&format!("models.{i}.name"), &model.name);
            self.known(&format!("models.{i}.catalog"), &model.catalog, Kind::Model, catalog);
            if let Some(entry) = catalog.model(&model.catalog)
                && let Err(refused) = model.attention.of(entry, catalog)
            {
                let path = format!("models.{i}.attention.{}", refused.field);
                self.refuse(path.trim_end_matches('.'), refused.message);
            }
            if let Err(message) = model.kv_cache.keeps_kv() {
                self.refuse(format!("models.{i}.kv_cache"), message);
            }
            self.speculation(&format!("models.{i}"), model, catalog);
            if let Some(tier) = &model.quality_tier {
                self.known(&format!("models.{i}.quality_tier"), tier, Kind::QualityTier, catalog);
            }
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
