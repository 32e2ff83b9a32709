//! Variants of a draft: values that a program puts at paths, such as those of a sweep's points.

use super::document::{Entry, Node, Place, Value};
use super::{Draft, Problem, Resolved, ScenarioError, inputs, overrides, typed};
use super::{LoadOptions, Scenario, Source};

/// A value for one field.
#[derive(Debug, Clone)]
pub(crate) struct Change<'a> {
    /// The field, e.g. `fleet.sites.0.power.cap_mw`.
    pub path: &'a str,
    pub value: Node,
    /// How messages name the change; it replaces file, line and column. Contains ` <path>=`, or the path is said again.
    pub shown: String,
}

/// A field that names an input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputField {
    /// E.g. `workload.classes.0.arrivals.trace.path`.
    pub field: String,
    /// What it holds.
    pub path: String,
    /// The change that wrote it, by number; none where the file did.
    pub change: Option<usize>,
}

impl Draft {
    /// This draft with other values.
    ///
    /// # Errors
    /// A path that no scenario has.
    pub(crate) fn with(&self, changes: Vec<Change>) -> Result<Self, ScenarioError> {
        let mut draft = self.clone();
        for Change { path, value, shown } in changes {
            let value = value.moved_to(Place::Override(draft.changes.len()));
            overrides::put_at(&mut draft.tree, path, value)
                .map_err(|message| ScenarioError::Syntax(format!("{shown}: {message}")))?;
            draft.changes.push(shown);
        }
        Ok(draft)
    }

    /// As [`Draft::resolve`], of a draft with changes.
    ///
    /// # Errors
    /// As of [`super::load`].
    pub(crate) fn resolve_with(
        &self,
        changes: Vec<Change>,
        options: &LoadOptions,
    ) -> Result<Resolved, ScenarioError> {
        self.with(changes)?.resolve(options)
    }

    /// The files it reads, as its fields name them.
    ///
    /// # Errors
    /// It does not have the form of a scenario.
    pub(crate) fn inputs(&self) -> Result<Vec<InputField>, ScenarioError> {
        let source = Source::new(self.shown.clone(), self.changes.clone(), self.tree.clone());
        let mut scenario: Scenario = typed::from_tree(&self.tree).map_err(|error| {
            ScenarioError::Syntax(source.locate(error.place.unwrap_or_default(), &error.message()))
        })?;
        let found = inputs::paths_mut(&mut scenario).into_iter().map(|(field, path)| InputField {
            change: match source.place_of(&field) {
                Place::Override(number) => Some(number),
                _ => None,
            },
            path: path.clone(),
            field,
        });
        Ok(found.collect())
    }

    /// A problem with one of its fields, with its place.
    pub(crate) fn refuse(&self, field: &str, message: &str) -> String {
        let source = Source::new(self.shown.clone(), self.changes.clone(), self.tree.clone());
        source.render_problems(&[Problem { path: field.into(), message: message.into() }])
    }

    /// The draft with a changed document.
    pub(crate) fn edited(mut self, edit: impl FnOnce(&mut Node)) -> Self {
        edit(&mut self.tree);
        self
    }

    /// The document, changes applied.
    pub(crate) fn tree(&self) -> &Node {
        &self.tree
    }

    /// The scenario's name: as written, else the file's.
    pub(crate) fn name(&self) -> &str {
        match self.tree.entry("name").map(|entry| &entry.node.value) {
            Some(Value::Text(name)) => name,
            _ => &self.stem,
        }
    }

    /// The folder that its input paths are relative to.
    pub(crate) fn base_dir(&self) -> &std::path::Path {
        &self.base_dir
    }
}

impl Node {
    /// Replaces the text at `path` below this node; true if there was one.
    pub(crate) fn replace_text(&mut self, path: &str, text: &str) -> bool {
        let mut node = self;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let next = match &mut node.value {
                Value::Map(entries) => {
                    entries.iter_mut().find(|entry| entry.key == part).map(|e| &mut e.node)
                }
                Value::List(items) => part.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return false,
            }
        }
        match &mut node.value {
            Value::Text(old) => {
                *old = text.to_string();
                true
            }
            _ => false,
        }
    }

    /// Whether a text stands at or below this node.
    pub(crate) fn has_text(&self) -> bool {
        match &self.value {
            Value::Text(_) => true,
            Value::List(items) => items.iter().any(Self::has_text),
            Value::Map(entries) => entries.iter().any(|entry| entry.node.has_text()),
            _ => false,
        }
    }

    /// Puts `value` under a key of a map that does not have it, in front.
    pub(crate) fn put_first(&mut self, key: &str, value: Value) {
        if let Value::Map(entries) = &mut self.value {
            entries.retain(|entry| entry.key != key);
            let node = Self { value, place: Place::Nowhere };
            entries.insert(0, Entry { key: key.into(), key_place: Place::Nowhere, node });
        }
    }

    /// The same tree as JSON; what a number of YAML holds beyond JSON's becomes the nearest float.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => match (i64::try_from(*i), u64::try_from(*i)) {
                (Ok(i), _) => i.into(),
                (_, Ok(u)) => u.into(),
                _ => serde_json::Number::from_f64(*i as f64).map_or(Json::Null, Json::Number),
            },
            Value::Float(f) => serde_json::Number::from_f64(*f).map_or(Json::Null, Json::Number),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect())
            }
        }
    }
}

impl serde::Serialize for Node {
    /// Keys in the order of the document.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::List(items) => items.serialize(serializer),
            Value::Map(entries) => serializer.collect_map(entries.iter().map(|e| (&e.key, &e.node))),
            _ => self.to_json().serialize(serializer),
        }
    }
}
