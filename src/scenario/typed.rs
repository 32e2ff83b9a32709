//! Document tree to typed scenario: a serde deserializer that keeps the place of every mistake.
//!
//! It is more generous than plain serde in three ways, all needed by people and sweeps: an enum is a map or
//! a bare word, `{ word: {} }` is the same as `word`, and `4.0` is an integer. It is stricter in one: NaN and
//! infinity are refused.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::document::{Entry, Node, Place, Value};
use super::nearest::suggestion;

/// Largest float that is surely a whole number a person wrote.
const MAX_WHOLE_FLOAT: f64 = 9_007_199_254_740_992.0;

/// What does not fit the schema, and where.
#[derive(Debug, Clone)]
pub(crate) struct TypeError {
    pub place: Option<Place>,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Done(String),
    /// Needs the name of the map around it.
    UnknownField {
        field: String,
        known: &'static [&'static str],
    },
    /// Needs the name of the map around it.
    MissingField(&'static str),
    /// Needs the name of the enum.
    UnknownVariant {
        word: String,
        known: &'static [&'static str],
    },
}

impl TypeError {
    fn at(place: Place, message: String) -> Self {
        Self { place: Some(place), what: What::Done(message) }
    }

    /// Complete an error that was raised without knowledge of its surroundings.
    fn within(mut self, place: Place, name: &str) -> Self {
        if self.place.is_none() {
            self.place = Some(place);
        }
        let inside = if name.is_empty() { String::new() } else { format!(" in {name}") };
        self.what = What::Done(match self.what {
            What::Done(message) => message,
            What::UnknownField { field, known: [] } => {
                format!("unknown field '{field}'{inside}, which has no fields")
            }
            What::UnknownField { field, known } => {
                format!("unknown field '{field}'{inside}{}", suggestion(&field, known.iter().copied()))
            }
            What::MissingField(field) => format!("missing field '{field}'{inside}"),
            What::UnknownVariant { word, known } => {
                format!("unknown {name} '{word}'{}", suggestion(&word, known.iter().copied()))
            }
        });
        self
    }

    /// The message, without its place.
    pub fn message(&self) -> String {
        match &self.what {
            What::Done(message) => message.clone(),
            What::UnknownField { field, .. } => format!("unknown field '{field}'"),
            What::MissingField(field) => format!("missing field '{field}'"),
            What::UnknownVariant { word, .. } => format!("unknown word '{word}'"),
        }
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for TypeError {}

impl de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, what: What::Done(message.to_string()) }
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self { place: None, what: What::UnknownField { field: field.into(), known } }
    }
    fn missing_field(field: &'static str) -> Self {
        Self { place: None, what: What::MissingField(field) }
    }
    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self { place: None, what: What::UnknownVariant { word: word.into(), known } }
    }
}

/// Type a whole scenario.
pub(crate) fn from_tree<T: de::DeserializeOwned>(root: &Node) -> Result<T, TypeError> {
    from_node(root, "")
}

/// Type a part of a document, or a document of another kind, that messages call `name`.
pub(crate) fn from_node<T: de::DeserializeOwned>(node: &Node, name: &str) -> Result<T, TypeError> {
    T::deserialize(At { node, name, key_place: node.place })
}

/// A node on its way to a type, with the name of its field.
#[derive(Clone, Copy)]
struct At<'a> {
    node: &'a Node,
    /// The last key on the way here, and the number in its list.
    name: &'a str,
    key_place: Place,
}

impl<'a> At<'a> {
    fn refuse<T>(&self, expected: &str) -> Result<T, TypeError> {
        let subject = if self.name.is_empty() { "the scenario" } else { self.name };
        // An empty value has no text of its own to point at.
        let place = if self.node.value == Value::Null { self.key_place } else { self.node.place };
        Err(TypeError::at(place, format!("{subject} is {}; expected {expected}", self.node.value.describe())))
    }

    fn whole(&self) -> Result<i128, TypeError> {
        match self.node.value {
            Value::Int(i) => Ok(i),
            Value::Float(f) if f.fract() == 0.0 && f.abs() <= MAX_WHOLE_FLOAT => Ok(f as i128),
            _ => self.refuse("a whole number"),
        }
    }

    fn unsigned(&self, max: u64) -> Result<u64, TypeError> {
        let whole = self.whole()?;
        match u64::try_from(whole) {
            Ok(value) if value <= max => Ok(value),
            _ if whole < 0 => self.refuse("a whole number of at least 0"),
            _ => self.refuse(&format!("a whole number of at most {max}")),
        }
    }

    fn signed(&self, max: i64) -> Result<i64, TypeError> {
        match i64::try_from(self.whole()?) {
            Ok(value) if value <= max && value >= -max - 1 => Ok(value),
            _ => self.refuse(&format!("a whole number of at most {max}")),
        }
    }

    fn number(&self) -> Result<f64, TypeError> {
        match self.node.value {
            Value::Int(i) => Ok(i as f64),
            Value::Float(f) if f.is_finite() => Ok(f),
            Value::Float(_) => self.refuse("a finite number"),
            _ => self.refuse("a number"),
        }
    }

    fn entries(&self, expected: &str) -> Result<&'a [Entry], TypeError> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => self.refuse(expected),
        }
    }
}

macro_rules! integers {
    ($($method:ident, $visit:ident, $ty:ty, $read:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
            visitor.$visit(self.$read(<$ty>::MAX.into())? as $ty).map_err(|e: TypeError| e.within(self.node.place, self.name))
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = TypeError;

    integers! {
        deserialize_u8, visit_u8, u8, unsigned;
        deserialize_u16, visit_u16, u16, unsigned;
        deserialize_u32, visit_u32, u32, unsigned;
        deserialize_u64, visit_u64, u64, unsigned;
        deserialize_i8, visit_i8, i8, signed;
        deserialize_i16, visit_i16, i16, signed;
        deserialize_i32, visit_i32, i32, signed;
        deserialize_i64, visit_i64, i64, signed;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(_) => self.deserialize_i64(visitor),
            Value::Float(_) => self.deserialize_f64(visitor),
            Value::Text(s) => visitor.visit_str(s),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
        .map_err(|e: TypeError| e.within(self.node.place, self.name))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.node.value {
            Value::Bool(b) => visitor.visit_bool(b),
            _ => self.refuse("true or false"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_f64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.node.value {
            Value::Text(s) => visitor.visit_str(s),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => self.refuse("a text; put it in quotes"),
            _ => self.refuse("a text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.node.value {
            Value::List(items) => {
                visitor.visit_seq(Items { items: items.iter().enumerate(), name: self.name })
            }
            _ => self.refuse("a list (lines that start with '- ')"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        let entries = self.entries("a map")?;
        visitor
            .visit_map(Fields { entries: entries.iter(), name: self.name, value: None })
            .map_err(|e| e.within(self.key_place, self.name))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let entries = self.entries(&match fields {
            _ if self.name.is_empty() => "a map with 'workload' and 'fleet'".into(),
            [one] => format!("a map with '{one}'"),
            [one, two] => format!("a map with '{one}' and '{two}'"),
            [one, two, ..] => format!("a map with '{one}', '{two}', …"),
            [] => "a map".into(),
        })?;
        visitor
            .visit_map(Fields { entries: entries.iter(), name: self.name, value: None })
            .map_err(|e| e.within(self.key_place, self.name))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let label = enum_label(name);
        let choice = match &self.node.value {
            Value::Text(word) => Choice { word, place: self.node.place, payload: None, label: &label },
            Value::Map(entries) => match entries.as_slice() {
                [entry] => Choice {
                    word: &entry.key,
                    place: entry.key_place,
                    payload: Some(&entry.node),
                    label: &label,
                },
                [] => return self.refuse(&format!("one of {}", variants.join(", "))),
                [_, second, ..] => {
                    return Err(TypeError::at(
                        second.key_place,
                        format!(
                            "{} has {} keys ({}); exactly one says which {label} it is",
                            if self.name.is_empty() { "the scenario" } else { self.name },
                            entries.len(),
                            entries.iter().map(|e| e.key.as_str()).collect::<Vec<_>>().join(", ")
                        ),
                    ));
                }
            },
            _ => return self.refuse(&format!("one of {}", variants.join(", "))),
        };
        visitor.visit_enum(choice).map_err(|e| e.within(self.node.place, &label))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// What a person calls a choice: `StepLaw` is a "step law".
fn enum_label(name: &str) -> String {
    match name {
        "Routing" => return "router".into(),
        "Arrivals" => return "arrival process".into(),
        "Length" => return "length distribution".into(),
        "Reasoning" => return "reasoning policy".into(),
        "Device" => return "power device".into(),
        "Plant" => return "cooling plant".into(),
        "Policy" => return "capping policy".into(),
        "UpsMode" => return "UPS mode".into(),
        _ => {}
    }
    let mut label = String::new();
    for (i, c) in name.char_indices() {
        if c.is_uppercase() && i > 0 {
            label.push(' ');
        }
        label.extend(c.to_lowercase());
    }
    label
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    name: &'a str,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TypeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let name = format!("{}.{index}", self.name);
        seed.deserialize(At { node, name: &name, key_place: node.place })
            .map(Some)
            .map_err(|e| e.within(node.place, &name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'a> {
    entries: std::slice::Iter<'a, Entry>,
    name: &'a str,
    value: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = TypeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        seed.deserialize(entry.key.as_str().into_deserializer())
            .map(Some)
            .map_err(|e: TypeError| e.within(entry.key_place, self.name))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TypeError> {
        let Some(entry) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(At { node: &entry.node, name: &entry.key, key_place: entry.key_place })
            .map_err(|e| e.within(entry.node.place, &entry.key))
    }
}

/// The variant of an enum that was written, with what stands under it.
struct Choice<'a> {
    word: &'a str,
    place: Place,
    payload: Option<&'a Node>,
    label: &'a str,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = TypeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), TypeError> {
        let variant = seed
            .deserialize(self.word.into_deserializer())
            .map_err(|e: TypeError| e.within(self.place, self.label))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = TypeError;

    fn unit_variant(self) -> Result<(), TypeError> {
        match self.payload.map(|node| (&node.value, node.place)) {
            None | Some((Value::Null, _)) => Ok(()),
            Some((Value::Map(entries), _)) if entries.is_empty() => Ok(()),
            Some((Value::Map(entries), place)) => Err(TypeError::at(
                entries.first().map_or(place, |entry| entry.key_place),
                format!("unknown field '{}' in {}, which has no fields", entries[0].key, self.word),
            )),
            Some((value, place)) => Err(TypeError::at(
                place,
                format!(
                    "{} is {}; it has no fields, write just '{}'",
                    self.word,
                    value.describe(),
                    self.word
                ),
            )),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, TypeError> {
        let empty = Node::empty_map(self.place);
        let node = match self.payload {
            Some(node) if node.value != Value::Null => node,
            _ => &empty,
        };
        seed.deserialize(At { node, name: self.word, key_place: self.place })
            .map_err(|e| e.within(node.place, self.word))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, TypeError> {
        self.newtype_variant_seed(Whole(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let empty = Node::empty_map(self.place);
        let node = self.payload.unwrap_or(&empty);
        At { node, name: self.word, key_place: self.place }.deserialize_struct("", fields, visitor)
    }
}

/// Hands a node to a visitor of sequences.
struct Whole<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Whole<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_seq(self.0)
    }
}
