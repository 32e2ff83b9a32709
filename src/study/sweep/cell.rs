//! A cell of the results: its value, and how it is written in CSV.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Whole numbers.
    Int,
    /// Double precision.
    Float,
    /// True or false.
    Bool,
    /// Text.
    Text,
}

/// One value; what a point does not have is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Nothing: an empty cell of the CSV.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number; finite.
    Float(f64),
    /// Text.
    Text(String),
}

impl Cell {
    /// What a column of `kind` holds of a JSON value; null if it is of another kind.
    pub(super) fn of_json(value: Option<&Json>, kind: Kind) -> Self {
        let Some(value) = value else { return Self::Null };
        let cell = match kind {
            Kind::Int => value.as_i64().map(Self::Int),
            Kind::Float => value.as_f64().map(Self::Float),
            Kind::Bool => value.as_bool().map(Self::Bool),
            Kind::Text => value.as_str().map(|text| Self::Text(text.into())),
        };
        cell.unwrap_or(Self::Null)
    }

    /// The name of a value where it labels a point: numbers and words as they are, the rest as JSON.
    pub(super) fn label(value: &Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => number.as_f64().map_or(Self::Null, Self::Float),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(_) | Json::Object(_) => Self::Text(value.to_string()),
        }
    }

    /// As a column of `kind` holds it: numbers become floats, and anything becomes text.
    pub(super) fn cast(self, kind: Kind) -> Self {
        match (kind, self) {
            (_, Self::Null) => Self::Null,
            (Kind::Float, Self::Int(whole)) => Self::Float(whole as f64),
            (Kind::Text, Self::Text(text)) => Self::Text(text),
            (Kind::Text, other) => Self::Text(other.csv()),
            (_, other) => other,
        }
    }

    /// The number it is, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(whole) => Some(*whole as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// As written in CSV, before quoting. A float is the shortest text that reads back as the same number, and shows
    /// that it is one: `4.0`.
    pub fn csv(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(b) => b.to_string(),
            Self::Int(whole) => whole.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Text(text) => text.clone(),
        }
    }

    /// The cell that [`Cell::csv`] wrote in a column of `kind`; none if no cell of the kind is written so.
    pub(super) fn of_csv(text: &str, kind: Kind) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Null);
        }
        match kind {
            Kind::Int => text.parse().ok().map(Self::Int),
            Kind::Float => text.parse().ok().map(Self::Float),
            Kind::Bool => text.parse().ok().map(Self::Bool),
            Kind::Text => Some(Self::Text(text.into())),
        }
    }
}

/// The narrowest kind that holds all labels of an axis.
pub(super) fn common_kind(cells: &[Cell]) -> Kind {
    let all = |fits: fn(&Cell) -> bool| cells.iter().all(|cell| fits(cell) || *cell == Cell::Null);
    if all(|cell| matches!(cell, Cell::Int(_))) {
        Kind::Int
    } else if all(|cell| cell.number().is_some()) {
        Kind::Float
    } else if all(|cell| matches!(cell, Cell::Bool(_))) {
        Kind::Bool
    } else {
        Kind::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_to_the_bit() {
        for number in [0.1 + 0.2, 1e-300, 4.0, -0.0, 1.0 / 3.0, 5e-324, f64::MAX, 123_456_789.123_456_78] {
            let cell = Cell::Float(number);
            let Some(Cell::Float(back)) = Cell::of_csv(&cell.csv(), Kind::Float) else { panic!("no float") };
            assert_eq!(number.to_bits(), back.to_bits(), "{}", cell.csv());
            let json = serde_json::to_string(&cell).unwrap();
            let Cell::Float(back) = serde_json::from_str(&json).unwrap() else {
                panic!("no float in {json}")
            };
            assert_eq!(number.to_bits(), back.to_bits(), "{json}");
        }
    }

    #[test]
    fn an_axis_has_the_narrowest_kind() {
        let text = || Cell::Text("a".into());
        assert_eq!(common_kind(&[Cell::Int(1), Cell::Null]), Kind::Int);
        assert_eq!(common_kind(&[Cell::Int(1), Cell::Float(1.5)]), Kind::Float);
        assert_eq!(common_kind(&[Cell::Bool(true)]), Kind::Bool);
        assert_eq!(common_kind(&[Cell::Int(1), text()]), Kind::Text);
        assert_eq!(Cell::Int(1).cast(Kind::Text), Cell::Text("1".into()));
        assert_eq!(Cell::Int(1).cast(Kind::Float), Cell::Float(1.0));
    }
}
