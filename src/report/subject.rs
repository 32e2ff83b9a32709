//! What a study was asked about, as it stands at the head of its answer.

use serde::Serialize;

/// Scenario and question.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Name of the scenario.
    pub name: &'a str,
    /// Its hash.
    pub hash: &'a str,
    /// Identity of the study: scenario and question.
    pub study: &'a str,
}

/// The head of an answer in JSON: `study` and `scenario`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Head<'a> {
    study: Study<'a>,
    scenario: Scenario<'a>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Study<'a> {
    command: &'static str,
    hash: &'a str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Scenario<'a> {
    name: &'a str,
    hash: &'a str,
}

impl<'a> Subject<'a> {
    /// The head of what `command` answers.
    pub(super) fn head(&self, command: &'static str) -> Head<'a> {
        Head {
            study: Study { command, hash: self.study },
            scenario: Scenario { name: self.name, hash: self.hash },
        }
    }
}
