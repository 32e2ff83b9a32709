//! `--set path=value`: changes to the document before it is typed.

use super::document::{Entry, Node, Place, Value};
use super::nearest::suggestion;
use super::schema::{self, Shape};
use super::yaml;

/// Apply `path=value`, the `number`-th override, to a document. The error says what is wrong, without `--set`.
pub(crate) fn apply(root: &mut Node, assignment: &str, number: usize) -> Result<(), String> {
    let Some((path, text)) = assignment.split_once('=') else {
        return Err("needs a path and a value, e.g. fleet.sites.0.pools.0.nodes=4".into());
    };
    let place = Place::Override(number);
    let value = if text.trim().is_empty() {
        Node { value: Value::Null, place }
    } else {
        yaml::parse(text)
            .map_err(|error| format!("the value is not YAML: {}", error.message))?
            .moved_to(place)
    };
    put_at(root, path.trim(), value)
}

/// Put `value` at `path`, as an override does. The error says what is wrong with the path.
pub(crate) fn put_at(root: &mut Node, path: &str, value: Node) -> Result<(), String> {
    let parts: Vec<&str> = path.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err("the path has an empty part; write it like fleet.sites.0.pools.0.nodes".into());
    }
    put(root, schema::root(), &parts, 0, value)
}

/// Put `value` at `parts[depth..]` below `node`.
fn put(
    node: &mut Node,
    schema: &'static serde_json::Value,
    parts: &[&str],
    depth: usize,
    value: Node,
) -> Result<(), String> {
    let Some(&part) = parts.get(depth) else {
        *node = value;
        return Ok(());
    };
    let place = value.place;
    let here = || if depth == 0 { "the scenario".to_string() } else { parts[..depth].join(".") };
    let last = depth + 1 == parts.len();
    match schema::shape(schema) {
        Shape::Fields(fields) => {
            let Some(field) = fields.get(part) else {
                return Err(format!(
                    "unknown field '{part}' in {}{}",
                    here(),
                    suggestion(part, fields.keys().map(String::as_str))
                ));
            };
            if node.value == Value::Null {
                node.value = Value::Map(Vec::new());
            }
            let Value::Map(entries) = &mut node.value else {
                return Err(format!("{} is {}, not a map", here(), node.value.describe()));
            };
            let index = entries.iter().position(|entry| entry.key == part).unwrap_or_else(|| {
                // A field that is not written is started from its default, so that one of its parts can be set.
                let default = field.get("default").filter(|_| !last).unwrap_or(&serde_json::Value::Null);
                entries.push(Entry {
                    key: part.into(),
                    key_place: place,
                    node: Node::from_json(default, place),
                });
                entries.len() - 1
            });
            if last {
                entries[index].key_place = place;
            }
            put(&mut entries[index].node, field, parts, depth + 1, value)
        }
        Shape::Choice(variants) => {
            let Some((_, payload)) = variants.iter().find(|(word, _)| *word == part) else {
                return Err(format!(
                    "unknown choice '{part}' for {}{}",
                    here(),
                    suggestion(part, variants.iter().map(|(word, _)| *word))
                ));
            };
            // Another variant, or a bare word, gives way to this one.
            if node.entry(part).is_none() {
                node.value = Value::Map(vec![Entry {
                    key: part.into(),
                    key_place: place,
                    node: Node { value: Value::Null, place },
                }]);
                node.place = place;
            }
            let Value::Map(entries) = &mut node.value else {
                return Err(format!("{} is not a map", here()));
            };
            entries.retain(|entry| entry.key == part);
            let Some(entry) = entries.first_mut() else {
                return Err(format!("{} is not a map", here()));
            };
            match payload {
                Some(payload) => put(&mut entry.node, payload, parts, depth + 1, value),
                None if last => {
                    entry.node = value;
                    Ok(())
                }
                None => Err(format!("'{part}' has no fields, so no '{}'", parts[depth + 1])),
            }
        }
        Shape::List(items) => {
            let Value::List(list) = &mut node.value else {
                return Err(match node.value {
                    Value::Null => format!("{} is empty; set the whole list", here()),
                    _ => format!("{} is {}, not a list", here(), node.value.describe()),
                });
            };
            let Ok(index) = part.parse::<usize>() else {
                return Err(format!(
                    "{} is a list, so a number must follow, not '{part}'; e.g. {}.0",
                    here(),
                    here()
                ));
            };
            let count = list.len();
            match list.get_mut(index) {
                Some(item) => put(item, items, parts, depth + 1, value),
                None => Err(match count {
                    0 => format!("{} is empty, so it has no {index}; set the whole list", here()),
                    1 => format!("index {index} is out of range: {} has one entry, 0", here()),
                    _ => format!(
                        "index {index} is out of range: {} has {count} entries, 0 to {}",
                        here(),
                        count - 1
                    ),
                }),
            }
        }
        Shape::Single => Err(format!("{} is a single value; it has no '{part}'", here())),
    }
}
