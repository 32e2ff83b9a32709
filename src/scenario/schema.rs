//! JSON Schema of the scenario file, as it is really accepted: for editors, and to follow `--set` paths.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

use super::types::Scenario;

/// The schema as derived from the types; choices are maps, or words where they have no fields.
static DERIVED: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Scenario).to_value());

/// JSON Schema (draft 2020-12) of the scenario file.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Scenario);
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    BareWords { definitions: &definitions }.transform(&mut schema);
    schema.insert("title".into(), json!("wattmill scenario"));
    schema.to_value()
}

/// Lets every variant without required fields be written as a bare word or as `word: {}`.
struct BareWords<'a> {
    definitions: &'a Value,
}

impl Transform for BareWords<'_> {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(variants)) = schema.get_mut("oneOf") {
            let mut more = Vec::new();
            for variant in variants.iter() {
                let description = variant.get("description").cloned();
                for (word, payload) in variant_words(variant) {
                    let also = match payload {
                        None => json!({
                            "type": "object",
                            "properties": { word: { "type": ["object", "null"], "maxProperties": 0 } },
                            "required": [word],
                            "additionalProperties": false,
                        }),
                        Some(payload) if self.all_optional(payload) => {
                            json!({ "type": "string", "const": word })
                        }
                        Some(_) => continue,
                    };
                    more.push(with_description(also, description.clone()));
                }
            }
            variants.append(&mut more);
        }
        transform_subschemas(self, schema);
    }
}

impl BareWords<'_> {
    fn all_optional(&self, payload: &Value) -> bool {
        let target = payload
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|r| r.strip_prefix("#/$defs/"))
            .and_then(|name| self.definitions.get(name))
            .unwrap_or(payload);
        target.get("properties").is_some()
            && target.get("required").and_then(Value::as_array).is_none_or(Vec::is_empty)
    }
}

fn with_description(mut schema: Value, description: Option<Value>) -> Value {
    if let (Value::Object(map), Some(text)) = (&mut schema, description) {
        map.insert("description".into(), text);
    }
    schema
}

/// The words of one `oneOf` branch; words without fields have no payload.
fn variant_words(branch: &Value) -> Vec<(&str, Option<&Value>)> {
    if let Some(word) = branch.get("const").and_then(Value::as_str) {
        return vec![(word, None)];
    }
    if let Some(words) = branch.get("enum").and_then(Value::as_array) {
        return words.iter().filter_map(Value::as_str).map(|word| (word, None)).collect();
    }
    match branch.get("properties").and_then(Value::as_object) {
        Some(properties) => properties.iter().map(|(word, payload)| (word.as_str(), Some(payload))).collect(),
        None => Vec::new(),
    }
}

/// What may stand at one place of a scenario.
pub(crate) enum Shape {
    /// A map with these fields.
    Fields(&'static Map<String, Value>),
    /// One of these words, some with something under them.
    Choice(Vec<(&'static str, Option<&'static Value>)>),
    /// A list of this.
    List(&'static Value),
    /// A number, a text, true or false.
    Single,
}

/// The schema of the whole scenario.
pub(crate) fn root() -> &'static Value {
    &DERIVED
}

/// Kinds of numbers that a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberKind {
    /// Whole numbers alone.
    Integer,
    /// Any.
    Real,
}

/// The kind of number that the field at a path takes; none if it takes something else, or does not exist.
pub(crate) fn number_at(parts: &[&str]) -> Option<NumberKind> {
    let schema = parts.iter().try_fold(root(), |schema, part| match shape(schema) {
        Shape::Fields(fields) => fields.get(*part),
        Shape::Choice(variants) => variants.into_iter().find(|(word, _)| word == part)?.1,
        Shape::List(items) => part.parse::<usize>().ok().map(|_| items),
        Shape::Single => None,
    })?;
    let kinds = followed(schema)?.get("type")?;
    let is = |kind: &str| match kinds {
        Value::String(only) => only == kind,
        Value::Array(several) => several.iter().any(|k| k == kind),
        _ => false,
    };
    if is("integer") { Some(NumberKind::Integer) } else { is("number").then_some(NumberKind::Real) }
}

/// A schema with references followed and `null` left aside.
fn followed(mut schema: &'static Value) -> Option<&'static Value> {
    // References and options nest a level or two; the bound only guards against a cycle.
    for _ in 0..16 {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            schema = DERIVED.pointer(reference.trim_start_matches('#'))?;
        } else if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            schema = options.iter().find(|o| o.get("type").and_then(Value::as_str) != Some("null"))?;
        } else {
            break;
        }
    }
    Some(schema)
}

/// What a schema allows.
pub(crate) fn shape(schema: &'static Value) -> Shape {
    let Some(schema) = followed(schema) else { return Shape::Single };
    if let Some(branches) = schema.get("oneOf").and_then(Value::as_array) {
        return Shape::Choice(branches.iter().flat_map(variant_words).collect());
    }
    if schema.get("enum").is_some() {
        return Shape::Choice(variant_words(schema));
    }
    if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
        return Shape::Fields(fields);
    }
    match schema.get("items") {
        Some(items) => Shape::List(items),
        None => Shape::Single,
    }
}
