//! Points that are left out: where all conditions of one entry of `skip` hold.

use serde::{Deserialize, Serialize};

use super::axes::WrittenAxis;
use super::cell::{Cell, Kind};
use super::spec::{Input, Written};
use crate::scenario::document::{Node, Value};
use crate::scenario::suggestion;

/// What must hold of an axis's label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Number of the axis.
    pub axis: usize,
    /// The label is above this.
    pub above: Option<f64>,
    /// The label is below this.
    pub below: Option<f64>,
    /// The label is this.
    pub is: Option<Cell>,
}

impl Condition {
    /// Whether it holds of a label.
    pub fn holds(&self, label: &Cell) -> bool {
        let above = self.above.is_none_or(|bound| label.number().is_some_and(|number| number > bound));
        let below = self.below.is_none_or(|bound| label.number().is_some_and(|number| number < bound));
        above && below && self.is.as_ref().is_none_or(|cell| cell == label)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    above: Option<f64>,
    below: Option<f64>,
    #[allow(dead_code, reason = "read from the tree: it may be a number or a word")]
    is: Option<serde::de::IgnoredAny>,
}

/// The entries of `skip`.
pub(super) fn read(
    written: &Written,
    node: &Node,
    axes: &[WrittenAxis],
) -> Result<Vec<Vec<Condition>>, Input> {
    let Value::List(entries) = &node.value else {
        let text = "skip is not a list; expected entries such as { power.cap_mw: { above: 12 } }";
        return Err(written.refuse(node.place, text.into()));
    };
    entries.iter().map(|entry| conditions(written, entry, axes)).collect()
}

fn conditions(written: &Written, node: &Node, axes: &[WrittenAxis]) -> Result<Vec<Condition>, Input> {
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => {
            let text = "expected axes with conditions, such as { power.cap_mw: { above: 12 } }";
            return Err(written.refuse(node.place, text.into()));
        }
    };
    entries
        .iter()
        .map(|entry| {
            let names = axes.iter().map(|axis| axis.name.as_str());
            let Some(axis) = axes.iter().position(|axis| axis.name == entry.key) else {
                let text = format!("there is no axis '{}'{}", entry.key, suggestion(&entry.key, names));
                return Err(written.refuse(entry.key_place, text));
            };
            let fields: Fields = written.typed(&entry.node, &entry.key)?;
            let is = entry.node.entry("is").map(|is| Cell::label(&is.node.to_json()).cast(axes[axis].kind));
            if fields.above.is_none() && fields.below.is_none() && is.is_none() {
                return Err(written.refuse(entry.key_place, "no condition; give above, below or is".into()));
            }
            let ordered = matches!(axes[axis].kind, Kind::Int | Kind::Float);
            if !ordered && (fields.above.is_some() || fields.below.is_some()) {
                let text = format!("axis '{}' has no numbers, so only `is` makes sense", entry.key);
                return Err(written.refuse(entry.key_place, text));
            }
            if is.as_ref().is_some_and(|is| !axes[axis].labels.contains(is)) {
                let text = format!("axis '{}' has no such value", entry.key);
                return Err(written.refuse(entry.node.place_of("is"), text));
            }
            Ok(Condition { axis, above: fields.above, below: fields.below, is })
        })
        .collect()
}
