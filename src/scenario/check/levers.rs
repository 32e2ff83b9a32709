//! Levers: their names, and that each sets fields of its own.

use super::Check;
use crate::scenario::lever::{self, MOST_LEVERS};
use crate::scenario::types::Scenario;

impl Check {
    pub(super) fn levers(&mut self, scenario: &Scenario) {
        let levers = &scenario.levers;
        if levers.len() > MOST_LEVERS {
            self.refuse("levers", format!("has {} of them; at most {MOST_LEVERS}", levers.len()));
            return;
        }
        let names =
            levers.iter().enumerate().map(|(i, lever)| (format!("levers.{i}.name"), lever.name.as_str()));
        for (path, name) in names.clone() {
            self.name(&path, name);
        }
        self.unique(names, "lever");
        for (i, lever) in levers.iter().enumerate() {
            if lever.set.is_empty() {
                self.refuse(format!("levers.{i}.set"), "is empty; a lever sets at least one field");
            }
            for (k, path) in lever.paths().enumerate() {
                let at = format!("levers.{i}.set.{k}");
                if let Some(why) = lever::refused(path) {
                    self.refuse(&at, why);
                }
                let other = levers[..i].iter().find(|other| other.paths().any(|p| lever::overlap(p, path)));
                if lever.paths().take(k).any(|earlier| lever::overlap(earlier, path)) {
                    self.refuse(&at, format!("sets {path} again; a lever sets a field once"));
                }
                if let Some(other) = other {
                    let message = format!(
                        "sets {path}, as lever '{}' does; two levers of one field are one",
                        other.name
                    );
                    self.refuse(at, message);
                }
            }
        }
    }
}
