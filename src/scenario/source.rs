//! Where the fields of a scenario were written, for messages.

use super::Problem;
use super::document::{Node, Place};

/// Most problems shown at once; more rarely help.
const MOST_SHOWN: usize = 10;

/// The document a scenario was read from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file as the user named it; empty if a program built the scenario.
    shown: String,
    /// The overrides as the user would write them, e.g. `--set seed=2`.
    overrides: Vec<String>,
    /// The document, overrides applied; none if a program built the scenario.
    tree: Option<Node>,
}

impl Source {
    pub(crate) fn new(shown: String, overrides: Vec<String>, tree: Node) -> Self {
        Self { shown, overrides, tree: Some(tree) }
    }

    /// The file as the user named it; empty if a program built the scenario.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether `--set` or `--seed` changed the scenario.
    pub fn is_changed(&self) -> bool {
        !self.overrides.is_empty()
    }

    /// The document, if there is one.
    pub(crate) fn tree(&self) -> Option<&Node> {
        self.tree.as_ref()
    }

    pub(crate) fn place_of(&self, path: &str) -> Place {
        self.tree.as_ref().map_or(Place::Nowhere, |tree| tree.place_of(path))
    }

    /// `file:line:column: message`, or what else is known of the place.
    pub(crate) fn locate(&self, place: Place, message: &str) -> String {
        match place {
            Place::File { line, column } => format!("{}:{line}:{column}: {message}", self.shown),
            Place::Override(n) => match self.overrides.get(n) {
                Some(text) => format!("{text}: {message}"),
                None => message.to_string(),
            },
            Place::Nowhere if self.shown.is_empty() => message.to_string(),
            Place::Nowhere => format!("{}: {message}", self.shown),
        }
    }

    /// One problem as one line.
    pub(crate) fn render(&self, problem: &Problem) -> String {
        let Problem { path, message } = problem;
        let place = self.place_of(path);
        let already_named = match place {
            Place::Override(n) => {
                self.overrides.get(n).is_some_and(|text| text.contains(&format!(" {path}=")))
            }
            _ => path.is_empty(),
        };
        // One line per problem, whatever the message quotes.
        let message = message.replace(['\n', '\r'], " ");
        if already_named {
            self.locate(place, &message)
        } else {
            self.locate(place, &format!("{path}: {message}"))
        }
    }

    /// Problems, one a line, each with file, line and column, or the override it comes from; at most ten.
    pub fn render_problems(&self, problems: &[Problem]) -> String {
        self.lines(problems).join("\n")
    }

    pub(crate) fn lines(&self, problems: &[Problem]) -> Vec<String> {
        let mut lines: Vec<String> = problems.iter().take(MOST_SHOWN).map(|p| self.render(p)).collect();
        if problems.len() > MOST_SHOWN {
            lines.push(format!("and {} more", problems.len() - MOST_SHOWN));
        }
        lines
    }
}
