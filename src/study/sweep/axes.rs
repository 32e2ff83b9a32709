//! The axes of a sweep: named lists of values, each value for one or several fields.

use serde::{Deserialize, Serialize};

use super::cell::{Cell, Kind, common_kind};
use super::spec::{Input, Written};
use crate::scenario::document::{Node, Place, Value};
use crate::scenario::suggestion;

/// Most values of one axis.
const MAX_VALUES: u32 = 1_000_000;
/// Significant digits of computed values: more than any measured quantity has, few enough to be free of rounding
/// noise (0.045, not 0.045000000000000005).
const DIGITS: usize = 12;

/// An axis as the manifest keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Its name, and that of its column.
    pub name: String,
    /// What its column holds.
    pub kind: Kind,
    /// What its column holds at each of its values.
    pub labels: Vec<Cell>,
    /// The fields that it moves, together.
    pub paths: Vec<AxisPath>,
}

/// A field that an axis moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AxisPath {
    /// E.g. `fleet.sites.0.power.cap_mw`.
    pub path: String,
    /// Its values, as many as the axis has.
    pub values: Vec<serde_json::Value>,
}

/// An axis as it was written.
pub(super) struct WrittenAxis {
    pub name: String,
    pub labels: Vec<Cell>,
    pub kind: Kind,
    pub paths: Vec<WrittenPath>,
}

/// A field of an axis, and where it and its values were written.
pub(super) struct WrittenPath {
    pub path: String,
    pub place: Place,
    /// Each with its own place, or that of what computes it.
    pub values: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AxisFields {
    name: String,
    #[allow(dead_code, reason = "read from the tree, which knows its places")]
    paths: serde::de::IgnoredAny,
    #[serde(default)]
    #[allow(dead_code, reason = "read from the tree, which knows its places")]
    labels: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spaced {
    from: f64,
    to: f64,
    points: u32,
}

/// All axes of a sweep.
pub(super) fn read(written: &Written, list: &Node) -> Result<Vec<WrittenAxis>, Input> {
    let Value::List(items) = &list.value else {
        let said = list.value.describe();
        return Err(written.refuse(
            list.place,
            format!("axes is {said}; expected a list of axes (lines that start with '- ')"),
        ));
    };
    let mut axes: Vec<WrittenAxis> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let axis = read_one(written, item, number)?;
        if axes.iter().any(|other| other.name == axis.name) {
            return Err(written.refuse(item.place, format!("there is already an axis named '{}'", axis.name)));
        }
        for path in &axis.paths {
            let clashing = |other: &WrittenPath| overlap(&other.path, &path.path);
            if let Some(other) = axes.iter().find(|axis| axis.paths.iter().any(clashing)) {
                let text = format!("{} is moved by axis '{}' already", path.path, other.name);
                return Err(written.refuse(path.place, text));
            }
        }
        axes.push(axis);
    }
    Ok(axes)
}

/// Whether one of two paths is, or lies within, the other.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(a, b) || within(b, a)
}

fn read_one(written: &Written, item: &Node, number: usize) -> Result<WrittenAxis, Input> {
    let fields: AxisFields = written.typed(item, &format!("axes.{number}"))?;
    let name = fields.name;
    let name_place = item.place_of("name");
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(written.refuse(name_place, "an axis needs a name: it heads its column".into()));
    }
    let Some(paths) = item.entry("paths") else {
        return Err(written.refuse(item.place, format!("axis '{name}' has no paths")));
    };
    let Value::Map(entries) = &paths.node.value else {
        let said = paths.node.value.describe();
        let text = format!("paths is {said}; expected fields of the scenario, each with its values");
        return Err(written.refuse(paths.key_place, text));
    };
    let mut read: Vec<WrittenPath> = Vec::with_capacity(entries.len());
    for entry in entries {
        let values = values(written, &entry.node, entry.key_place, &entry.key)?;
        if let Some(first) = read.first()
            && first.values.len() != values.len()
        {
            let text = format!(
                "{} has {} values, but {} has {}; fields of one axis move together, so they need as many",
                entry.key,
                values.len(),
                first.path,
                first.values.len()
            );
            return Err(written.refuse(entry.key_place, text));
        }
        if let Some(other) = read.iter().find(|other| overlap(&other.path, &entry.key)) {
            let text =
                format!("{} and {} are the same field, or one within the other", entry.key, other.path);
            return Err(written.refuse(entry.key_place, text));
        }
        read.push(WrittenPath { path: entry.key.clone(), place: entry.key_place, values });
    }
    let Some(first) = read.first() else {
        return Err(written.refuse(paths.key_place, format!("axis '{name}' moves no field")));
    };
    let labels = match item.entry("labels") {
        Some(entry) => labels(written, &entry.node, first.values.len())?,
        None => first.values.iter().map(|value| Cell::label(&value.to_json())).collect(),
    };
    let kind = common_kind(&labels);
    let labels: Vec<Cell> = labels.into_iter().map(|label| label.cast(kind)).collect();
    Ok(WrittenAxis { name, labels, kind, paths: read })
}

fn labels(written: &Written, node: &Node, count: usize) -> Result<Vec<Cell>, Input> {
    let Value::List(items) = &node.value else {
        return Err(written.refuse(node.place, "labels is not a list; it needs one label a value".into()));
    };
    if items.len() != count {
        let text = format!("{} labels for {count} values; give one each", items.len());
        return Err(written.refuse(node.place, text));
    }
    items
        .iter()
        .map(|item| match item.value {
            Value::List(_) | Value::Map(_) | Value::Null => {
                Err(written.refuse(item.place, "a label is a text or a number".into()))
            }
            _ => Ok(Cell::label(&item.to_json())),
        })
        .collect()
}

/// The values of a field: a list as it is written, or one that is computed.
fn values(written: &Written, node: &Node, key_place: Place, path: &str) -> Result<Vec<Node>, Input> {
    const WAYS: [&str; 3] = ["linspace", "logspace", "list"];
    let listed = |node: &Node| -> Result<Vec<Node>, Input> {
        let Value::List(items) = &node.value else {
            return Err(written
                .refuse(node.place, format!("{path}: list is {}; expected a list", node.value.describe())));
        };
        if items.is_empty() {
            return Err(written.refuse(key_place, format!("{path} has no values")));
        }
        Ok(items.clone())
    };
    match &node.value {
        Value::List(_) => listed(node),
        Value::Map(entries) if entries.len() == 1 => {
            let way = &entries[0];
            match way.key.as_str() {
                "list" => listed(&way.node),
                "linspace" => spaced(written, &way.node, way.key_place, false),
                "logspace" => spaced(written, &way.node, way.key_place, true),
                other => {
                    let text = format!("unknown way '{other}' to give values{}", suggestion(other, WAYS));
                    Err(written.refuse(way.key_place, text))
                }
            }
        }
        other => {
            let said = other.describe();
            let text = format!(
                "{path} is {said}; expected a list of values, or linspace, logspace: {{ from, to, points }}"
            );
            Err(written.refuse(key_place, text))
        }
    }
}

/// Evenly spaced values, or their logarithms; both ends are among them. Whole where both ends were written whole and
/// all values are.
fn spaced(written: &Written, node: &Node, place: Place, logarithms: bool) -> Result<Vec<Node>, Input> {
    let name = if logarithms { "logspace" } else { "linspace" };
    let Spaced { from, to, points } = written.typed(node, name)?;
    if points == 0 || points > MAX_VALUES {
        return Err(written.refuse(node.place_of("points"), format!("points must be 1 to {MAX_VALUES}")));
    }
    if points == 1 && from != to {
        return Err(written.refuse(
            node.place_of("points"),
            "one point cannot be both from and to; give at least 2".into(),
        ));
    }
    if logarithms && (from <= 0.0 || to <= 0.0) {
        let field = if from <= 0.0 { "from" } else { "to" };
        return Err(written.refuse(node.place_of(field), format!("{field} must be above 0 for logspace")));
    }
    let last = points - 1;
    let numbers: Vec<f64> = (0..points)
        .map(|i| match i {
            0 => from,
            i if i == last => to,
            i => {
                let share = f64::from(i) / f64::from(last);
                rounded(if logarithms { from * (to / from).powf(share) } else { from + (to - from) * share })
            }
        })
        .collect();
    let is_int = |field: &str| node.entry(field).is_some_and(|e| matches!(e.node.value, Value::Int(_)));
    let whole = is_int("from") && is_int("to") && numbers.iter().all(|number| number.fract() == 0.0);
    let value = |number: f64| if whole { Value::Int(number as i128) } else { Value::Float(number) };
    Ok(numbers.into_iter().map(|number| Node { value: value(number), place }).collect())
}

fn rounded(number: f64) -> f64 {
    format!("{number:.*e}", DIGITS - 1).parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_overlap_by_parts() {
        assert!(overlap("a.b", "a.b") && overlap("a.b.c", "a.b") && overlap("a", "a.b"));
        assert!(!overlap("a.bc", "a.b") && !overlap("a.1", "a.10"));
    }

    #[test]
    fn computed_values_have_no_rounding_noise() {
        assert_eq!(rounded(0.04 + 0.12 * (1.0 / 24.0)), 0.045);
        assert_eq!(rounded(100.0 * (1.0 / 3.0)), 33.333_333_333_3);
    }
}
