//! The sweep as the user writes it: YAML with a base scenario, what is changed at every point, and axes.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::SweepError;
use super::axes::{self, WrittenAxis, overlap};
use super::skip::{self, Condition};
use crate::scenario::document::{Node, Place, Value};
use crate::scenario::{self, typed};

/// A mistake in the sweep file, with its place.
pub(super) type Input = SweepError;

/// The file, for messages.
pub(super) struct Written {
    /// As the user named it.
    pub shown: String,
}

impl Written {
    /// `file:line:column: message` as an error.
    pub fn refuse(&self, place: Place, message: String) -> Input {
        SweepError::Input(format!("{}: {message}", self.at(place)))
    }

    /// `file:line:column`.
    pub fn at(&self, place: Place) -> String {
        match place {
            Place::File { line, column } => format!("{}:{line}:{column}", self.shown),
            _ => self.shown.clone(),
        }
    }

    /// A part of the file as a type.
    pub fn typed<T: DeserializeOwned>(&self, node: &Node, name: &str) -> Result<T, Input> {
        typed::from_node(node, name)
            .map_err(|error| self.refuse(error.place.unwrap_or(node.place), error.message()))
    }
}

/// A sweep as it was written.
pub(super) struct Spec {
    pub written: Written,
    /// SHA-256 of the file.
    pub sha256: String,
    pub path: PathBuf,
    pub name: String,
    /// The base scenario, seen from the current directory, and where it is named.
    pub base: PathBuf,
    pub base_place: Place,
    pub seed: u64,
    pub replications: u32,
    pub set: Vec<Setting>,
    pub axes: Vec<WrittenAxis>,
    /// A point is left out where all conditions of one of these hold.
    pub skip: Vec<Vec<Condition>>,
    pub chunk_points: Option<u32>,
    /// What was asked for, with its place; none: the default.
    pub columns: Option<Vec<(String, Place)>>,
}

/// A field that is changed at every point.
pub(super) struct Setting {
    pub path: String,
    pub place: Place,
    pub value: Node,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<String>,
    base: String,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default = "one_u32")]
    replications: u32,
    #[allow(dead_code, reason = "read from the tree, which knows its places")]
    set: Option<IgnoredAny>,
    #[allow(dead_code, reason = "read from the tree, which knows its places")]
    axes: Option<IgnoredAny>,
    #[allow(dead_code, reason = "read from the tree, which knows its places")]
    skip: Option<IgnoredAny>,
    chunk_points: Option<u32>,
    columns: Option<Vec<String>>,
}

fn one() -> u64 {
    1
}

fn one_u32() -> u32 {
    1
}

const KIND: scenario::Kind = scenario::Kind { what: "sweep", needs: "at least base and axes" };

/// Most replications, and rows of a chunk.
const MAX_REPLICATIONS: u32 = 1_000_000;

impl Spec {
    /// Read a sweep file.
    pub fn read(path: &Path) -> Result<Self, Input> {
        let shown = path.display().to_string();
        let text = scenario::text_of(path, &KIND)?;
        let tree = scenario::tree_of(&text, &shown, &KIND)?;
        let written = Written { shown };
        let fields: Fields = written.typed(&tree, "the sweep")?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = fields.name.unwrap_or(stem);
        let unusable = |c: char| c == '/' || c == '\\' || c.is_control();
        if name.trim().is_empty() || name.starts_with('.') || name.contains(unusable) || name.len() > 100 {
            let text = "names the sweep's folder: 1 to 100 characters, no '/' or '\\', and no '.' in front";
            return Err(written.refuse(tree.place_of("name"), format!("name {text}")));
        }
        let base_place = tree.place_of("base");
        if fields.base.is_empty() {
            return Err(written.refuse(base_place, "base is empty; name a scenario file".into()));
        }
        let within = |field: &str, number: u32, most: u32| {
            if (1..=most).contains(&number) {
                return Ok(());
            }
            Err(written.refuse(tree.place_of(field), format!("{field} must be 1 to {most}")))
        };
        within("replications", fields.replications, MAX_REPLICATIONS)?;
        if let Some(chunk_points) = fields.chunk_points {
            within("chunk_points", chunk_points, MAX_REPLICATIONS)?;
        }
        let set = match tree.entry("set").map(|entry| &entry.node).filter(|node| node.value != Value::Null) {
            Some(node) => settings(&written, node)?,
            None => Vec::new(),
        };
        let axes = match tree.entry("axes").map(|entry| &entry.node).filter(|node| node.value != Value::Null)
        {
            Some(node) => axes::read(&written, node)?,
            None => Vec::new(),
        };
        for axis in &axes {
            for path in &axis.paths {
                if overlap(&path.path, "seed") {
                    return Err(written.refuse(path.place, SEED.into()));
                }
                if let Some(setting) = set.iter().find(|setting| overlap(&setting.path, &path.path))
                    && setting.path.len() >= path.path.len()
                {
                    let text = format!(
                        "{} is moved by axis '{}', so setting it does nothing",
                        setting.path, axis.name
                    );
                    return Err(written.refuse(setting.place, text));
                }
            }
        }
        let skip = match tree.entry("skip").map(|entry| &entry.node).filter(|node| node.value != Value::Null)
        {
            Some(node) => skip::read(&written, node, &axes)?,
            None => Vec::new(),
        };
        let columns = fields.columns.map(|columns| {
            let place = |number: usize| tree.place_of(&format!("columns.{number}"));
            columns.into_iter().enumerate().map(|(number, column)| (column, place(number))).collect()
        });
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            sha256: super::digest::of_bytes(text.as_bytes()),
            path: path.to_path_buf(),
            name,
            base: folder.join(&fields.base),
            base_place,
            seed: fields.seed,
            replications: fields.replications,
            set,
            axes,
            skip,
            chunk_points: fields.chunk_points,
            columns,
            written,
        })
    }

    /// The folder that paths in the file are relative to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

const SEED: &str = "a sweep gives each replication its seed, the same at every point: use `seed` and `replications` of \
                    the sweep instead";

fn settings(written: &Written, node: &Node) -> Result<Vec<Setting>, Input> {
    let Value::Map(entries) = &node.value else {
        let said = node.value.describe();
        return Err(written.refuse(
            node.place,
            format!("set is {said}; expected fields of the scenario, each with its value"),
        ));
    };
    entries
        .iter()
        .map(|entry| {
            if overlap(&entry.key, "seed") {
                return Err(written.refuse(entry.key_place, SEED.into()));
            }
            Ok(Setting { path: entry.key.clone(), place: entry.key_place, value: entry.node.clone() })
        })
        .collect()
}
