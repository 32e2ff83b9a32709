//! The document tree: what was written, each value with the place it came from.

/// A value of the document and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

/// What a node holds. Numbers keep their kind, so that a fraction is never silently cut to an integer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub node: Node,
}

/// Where something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// Nowhere: built by a program.
    #[default]
    Nowhere,
    /// In the scenario file, both from 1; the column counts characters.
    File { line: u32, column: u32 },
    /// By the n-th override of the command line.
    Override(usize),
}

impl Node {
    /// A map without keys.
    pub fn empty_map(place: Place) -> Self {
        Self { value: Value::Map(Vec::new()), place }
    }

    /// The entry of a map.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The same tree, said to come from `place`.
    pub fn moved_to(mut self, place: Place) -> Self {
        self.set_place(place);
        self
    }

    fn set_place(&mut self, place: Place) {
        self.place = place;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.set_place(place)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_place = place;
                    entry.node.set_place(place);
                }
            }
            _ => {}
        }
    }

    /// A tree of JSON values, e.g. a default from the schema.
    pub fn from_json(json: &serde_json::Value, place: Place) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(i), _) => Value::Int(i.into()),
                (_, Some(u)) => Value::Int(u.into()),
                _ => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(s) => Value::Text(s.clone()),
            Json::Array(items) => {
                Value::List(items.iter().map(|item| Self::from_json(item, place)).collect())
            }
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, item)| Entry {
                        key: key.clone(),
                        key_place: place,
                        node: Self::from_json(item, place),
                    })
                    .collect(),
            ),
        };
        Self { value, place }
    }

    /// Where the field at `path` was written: the value if it is a single one, its key if it is a map or a
    /// list, and the nearest field around it if it was not written at all.
    pub fn place_of(&self, path: &str) -> Place {
        let mut node = self;
        let mut nearest = self.place;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let (next, key_place) = match &node.value {
                Value::Map(entries) => match entries.iter().find(|entry| entry.key == part) {
                    Some(entry) => (&entry.node, entry.key_place),
                    None => return nearest,
                },
                Value::List(items) => match part.parse::<usize>().ok().and_then(|i| items.get(i)) {
                    Some(item) => (item, item.place),
                    None => return nearest,
                },
                _ => return nearest,
            };
            nearest = match next.value {
                Value::Map(_) | Value::List(_) | Value::Null => key_place,
                _ => next.place,
            };
            node = next;
        }
        nearest
    }
}

impl Value {
    /// What a person would call it, for "is …; expected …".
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "empty".into(),
            Self::Bool(b) => format!("{b}"),
            Self::Int(i) => format!("{i}"),
            Self::Float(f) if f.is_nan() => ".nan".into(),
            Self::Float(f) if f.is_infinite() => if *f > 0.0 { ".inf" } else { "-.inf" }.into(),
            Self::Float(f) => format!("{f}"),
            Self::Text(s) if s.chars().count() > 40 => {
                format!("the text '{}…'", s.chars().take(40).collect::<String>())
            }
            Self::Text(s) => format!("the text '{s}'"),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a map".into(),
        }
    }
}
