//! YAML text to document tree and scenario to YAML text: all that is known of the YAML crate.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::{Error, Location, MessageFormatter, Spanned, UserMessageFormatter};

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
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let tree: Spanned<Tree> =
        serde_yaml::from_str_with_options(text, options).map_err(|e| syntax_error(&e, text))?;
    Ok(tree.into())
}

/// Write `value` as a YAML document.
pub(crate) fn to_string(value: &impl Serialize) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}

fn syntax_error(error: &serde_yaml::Error, source: &str) -> SyntaxError {
    let mut error = error.without_snippet();
    let mut at = error.location().filter(|at| at.line() > 0).map(|at| position(&at));
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let mut message = match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("duplicate key '{key}'; a map has each key once")
        }
        Error::MultipleDocuments { .. } => "a second document begins here; a scenario is one document".into(),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::Budget { .. } => {
            format!("the document is too large; a scenario has at most {MAX_NODES} values, aliases counted")
        }
        // A key that is a map itself: most often one brace too many.
        Error::Unexpected { expected: "string scalar", .. } => {
            "a key must be a text; is there one '{' or '[' too many?".into()
        }
        other => UserMessageFormatter.format_message(other).lines().next().unwrap_or_default().to_string(),
    };
    if message.contains("recursion limit") {
        message = too_deep();
    }
    if message.contains("tabs disallowed") {
        message = "a tab indents this line; YAML is indented with spaces".into();
        at = at.map(|(line, column)| (line, tab_before(source, line, column)));
    }
    SyntaxError { at, message }
}

fn too_deep() -> String {
    format!("nested too deeply; a scenario has at most {MAX_DEPTH} levels")
}

/// The column of the tab that the parser stumbled over: it stands at `column` or just before it.
fn tab_before(source: &str, line: u32, column: u32) -> u32 {
    let text = source.lines().nth(line as usize - 1).unwrap_or_default();
    let is_tab = |column: u32| column > 0 && text.chars().nth(column as usize - 1) == Some('\t');
    if !is_tab(column) && is_tab(column - 1) { column - 1 } else { column }
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
