//! YAML text to document tree and scenario to YAML text: all that is known of the YAML crate.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_yaml::{Location, Spanned};

use super::document::{Entry, Node, Place, Value};

/// Deepest nesting; the schema needs about 12, and each level costs stack.
const MAX_DEPTH: usize = 48;
/// Most values in a file: bounds the memory of a hostile one, and is a thousand times a large scenario.
const MAX_NODES: usize = 200_000;

/// Why text is not YAML, and where (line and column from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub at: Option<(u32, u32)>,
    pub message: String,
}

/// Parse one YAML document.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            flow_nesting_limit: MAX_DEPTH,
        },
        // NaN and infinity are refused where the field is known.
        non_finite_float_policy: serde_yaml::NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let tree: Spanned<Tree> = serde_yaml::from_str_with_options(text, options).map_err(|e| syntax_error(&e))?;
    Ok(tree.into())
}

/// Write `value` as a YAML document.
pub(crate) fn to_string(value: &impl Serialize) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}

fn syntax_error(error: &serde_yaml::Error) -> SyntaxError {
    let error = error.without_snippet();
    let at = error.location().filter(|at| at.line() > 0).map(|at| position(&at));
    let text = error.to_string();
    let mut message = text.lines().next().unwrap_or("not valid YAML").to_string();
    // The position is shown in front; the crate repeats it at either end.
    if let Some((line, column)) = at {
        for stated in [
            format!(" at line {line}, column {column}"),
            format!(" at line {line} column {column}"),
            format!("error: line {line} column {column}: "),
        ] {
            message = message.replace(&stated, "");
        }
    }
    SyntaxError { at, message }
}

fn position(at: &Location) -> (u32, u32) {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (small(at.line()), small(at.column()))
}

fn place(at: &Location) -> Place {
    let (line, column) = position(at);
    if line == 0 { Place::Nowhere } else { Place::File { line, column } }
}

/// A value as the YAML crate hands it out.
enum Tree {
    Single(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl From<Spanned<Tree>> for Node {
    fn from(tree: Spanned<Tree>) -> Self {
        let value = match tree.value {
            Tree::Single(value) => value,
            Tree::List(items) => Value::List(items.into_iter().map(Node::from).collect()),
            Tree::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| Entry {
                        key_place: place(&key.referenced),
                        key: key.value,
                        node: node.into(),
                    })
                    .collect(),
            ),
        };
        Self { value, place: place(&tree.referenced) }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Null))
    }
    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }
    fn visit_bool<E: de::Error>(self, b: bool) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Bool(b)))
    }
    fn visit_i64<E: de::Error>(self, i: i64) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Int(i.into())))
    }
    fn visit_u64<E: de::Error>(self, u: u64) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Int(u.into())))
    }
    fn visit_i128<E: de::Error>(self, i: i128) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Int(i)))
    }
    fn visit_u128<E: de::Error>(self, u: u128) -> Result<Tree, E> {
        Ok(Tree::Single(i128::try_from(u).map_or(Value::Float(u as f64), Value::Int)))
    }
    fn visit_f64<E: de::Error>(self, f: f64) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Float(f)))
    }
    fn visit_str<E: de::Error>(self, s: &str) -> Result<Tree, E> {
        Ok(Tree::Single(Value::Text(s.to_string())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}
