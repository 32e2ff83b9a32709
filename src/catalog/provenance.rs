//! The weakest number of an entry: what a report that rests on it has to admit.

use serde::Serialize;
use serde_json::Value;

use super::Quality;

impl Quality {
    /// As written in the catalog and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Fitted => "fitted",
            Self::Datasheet => "datasheet",
            Self::Guess => "guess",
        }
    }
}

/// The worst quality among an entry's numbers, and in words which numbers have it and why.
pub fn weakest(entry: &impl Serialize) -> (Quality, String) {
    let mut found = Vec::new();
    collect("", &serde_json::to_value(entry).unwrap_or(Value::Null), &mut found);
    let Some(worst) = found.iter().map(|(_, quality, _)| *quality).max() else {
        return (Quality::Guess, "no number has a source".into());
    };
    let of_worst: Vec<_> = found.iter().filter(|(_, quality, _)| *quality == worst).collect();
    // An entry may hold several parts with numbers of one name.
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in &of_worst {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    (worst, format!("{}: {}", names.join(", "), of_worst[0].2))
}

/// Every `{ value, source, quality }` below a value, by its field's name.
fn collect(name: &str, value: &Value, found: &mut Vec<(String, Quality, String)>) {
    let Value::Object(fields) = value else { return };
    let quality = fields.get("quality").and_then(|q| serde_json::from_value::<Quality>(q.clone()).ok());
    if let (Some(quality), Some(source)) = (quality, fields.get("source").and_then(Value::as_str)) {
        found.push((name.to_string(), quality, source.to_string()));
        return;
    }
    for (field, inner) in fields {
        collect(field, inner, found);
    }
}
