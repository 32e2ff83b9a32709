//! What the user writes: YAML → typed → resolved → checked.
//!
//! [`load`] tells the story: the text becomes a document tree that knows where everything stands, the tree is
//! changed by `--set`, typed, completed with defaults and checked. Every mistake is found here, before anything
//! runs, and said with file, line and column.

mod attention;
mod check;
mod defaults;
pub(crate) mod document;
mod expect;
mod facility;
mod failures;
mod hash;
mod inputs;
mod lookup;
mod nearest;
mod overrides;
mod plant;
mod policy;
pub(crate) mod quality;
mod schema;
mod signals;
mod source;
mod speculation;
mod supply;
pub(crate) mod typed;
pub mod types;
mod variant;
pub(crate) mod yaml;

pub(crate) use check::TOUCH_H;
pub(crate) use hash::{TRACE_CACHE_MAGIC, of_files as hash_of_files};
pub(crate) use inputs::relative_to;
pub use nearest::suggestion;
pub use schema::{NumberKind, json_schema};
pub use source::Source;
pub use types::Scenario;
pub(crate) use variant::Change;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::Catalog;
use document::{Node, Place};
use hash::Digests;

/// Largest scenario file [bytes]; a large fleet takes a few thousand.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// A loaded scenario with every default filled in, ready to run.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The scenario; names are filled in, input paths are as written.
    pub scenario: Scenario,
    /// SHA-256 of the canonical resolved scenario and its input files' contents, hexadecimal.
    pub hash: String,
    /// Folder to which input paths in the scenario are relative.
    pub base_dir: PathBuf,
    /// The catalog it was resolved against.
    pub catalog: Arc<Catalog>,
    /// Where its fields were written.
    pub source: Arc<Source>,
}

/// Something wrong with a scenario, by the path of the offending field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, e.g. `fleet.sites.0.pools.1.gpu`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// How a scenario file is to be read.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Overrides, each `path=value`, in the order in which they apply.
    pub sets: Vec<String>,
    /// Replaces the seed of the file.
    pub seed: Option<u64>,
    /// Names are looked up here.
    pub catalog: Arc<Catalog>,
    /// Folder of the user's own catalog entries; it becomes part of the hash.
    pub catalog_dir: Option<PathBuf>,
}

impl LoadOptions {
    /// No overrides.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { sets: Vec::new(), seed: None, catalog, catalog_dir: None }
    }
}

/// Why a scenario cannot be used. Always the input's fault: exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read as text, or is not a scenario's size.
    #[error("{shown}: {message}")]
    File {
        /// The file as the user named it.
        shown: String,
        /// What is wrong.
        message: String,
    },
    /// Not YAML, or not a scenario: the first mistake, with its place.
    #[error("{0}")]
    Syntax(String),
    /// Each line is one problem with its place.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
}

/// Read, change, type, complete and check a scenario file.
///
/// # Errors
/// The first mistake of form, or all mistakes of substance (at most ten), each with its place.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Resolved, ScenarioError> {
    Draft::read(path)?.resolve(options)
}

/// A scenario file as it was written, read once: many variants of it can be resolved.
#[derive(Debug, Clone)]
pub struct Draft {
    shown: String,
    tree: Node,
    base_dir: PathBuf,
    stem: String,
    /// Changes that a program has made, as messages name them.
    changes: Vec<String>,
    digests: Digests,
}

impl Draft {
    /// Read a file and parse it; its values are not looked at.
    ///
    /// # Errors
    /// The file cannot be read, or is not YAML.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let shown = path.display().to_string();
        let text = text_of(path, &SCENARIO)?;
        let base_dir = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Self::parse(&text, shown, base_dir, stem)
    }

    /// Parse the text of a file called `shown`; its input paths are relative to `base_dir`.
    ///
    /// # Errors
    /// It is not YAML.
    pub(crate) fn parse(
        text: &str,
        shown: String,
        base_dir: PathBuf,
        stem: String,
    ) -> Result<Self, ScenarioError> {
        let tree = tree_of(text, &shown, &SCENARIO)?;
        Ok(Self { shown, tree, base_dir, stem, changes: Vec::new(), digests: Digests::default() })
    }

    /// Change, type, complete and check it. Input files are hashed once for all variants of a draft: they must not
    /// change while it lives.
    ///
    /// # Errors
    /// As of [`load`].
    pub fn resolve(&self, options: &LoadOptions) -> Result<Resolved, ScenarioError> {
        let (tree, written) = changed(self.tree.clone(), self.changes.clone(), options)?;
        let source = Source::new(self.shown.clone(), written, tree.clone());
        let mut scenario: Scenario = typed::from_tree(&tree).map_err(|error| {
            ScenarioError::Syntax(source.locate(error.place.unwrap_or_default(), &error.message()))
        })?;
        paths_from_here(&mut scenario, &source, self.changes.len());
        finish(scenario, &self.stem, self.base_dir.clone(), options, source, &self.digests)
    }
}

impl Resolved {
    /// Complete and check a scenario that a program built.
    ///
    /// # Errors
    /// All its problems (at most ten), by field.
    pub fn new(scenario: Scenario, base_dir: &Path, catalog: Arc<Catalog>) -> Result<Self, ScenarioError> {
        let options = LoadOptions::new(catalog);
        finish(scenario, "scenario", base_dir.to_path_buf(), &options, Source::default(), &Digests::default())
    }

    /// Problems found later, e.g. by building the fleet: one a line, each with file, line and column.
    pub fn render_problems(&self, problems: &[Problem]) -> String {
        self.source.render_problems(problems)
    }
}

/// The complete scenario as YAML; it loads from a file in `out_dir` to the same scenario and hash.
///
/// # Errors
/// A value that YAML cannot hold; not to be expected of a checked scenario.
pub fn resolved_yaml(resolved: &Resolved, out_dir: &Path) -> Result<String, ScenarioError> {
    let mut scenario = resolved.scenario.clone();
    for (_, path) in inputs::paths_mut(&mut scenario) {
        let moved = inputs::relative_to(&resolved.base_dir.join(path.as_str()), out_dir);
        *path = moved.to_string_lossy().into_owned();
    }
    let body = yaml::to_string(&scenario)
        .map_err(|message| ScenarioError::File { shown: scenario.name.clone(), message })?;
    Ok(format!(
        "# Every value of the run, defaults included, as wattmill {} understood it.\n# Scenario hash {}.\n\n{body}",
        env!("CARGO_PKG_VERSION"),
        resolved.hash
    ))
}

/// The files the scenario reads, as paths that can be opened.
pub fn input_files(resolved: &Resolved) -> Vec<PathBuf> {
    inputs::paths_mut(&mut resolved.scenario.clone())
        .into_iter()
        .map(|(_, path)| resolved.base_dir.join(path.as_str()))
        .collect()
}

/// The kind of number that the field at `path` (as of `--set`) takes.
///
/// # Errors
/// The field takes no number, in words.
pub fn number_field(path: &str) -> Result<NumberKind, String> {
    let parts: Vec<&str> = path.trim().split('.').collect();
    schema::number_at(&parts).ok_or_else(|| {
        format!("{path}: is no field that takes a number; name one, e.g. fleet.sites.0.pools.0.nodes")
    })
}

/// The complete scenario as JSON, with paths of input files that hold from anywhere: two scenarios that say the same
/// are equal, wherever their files lie.
pub fn to_json(resolved: &Resolved) -> serde_json::Value {
    let mut scenario = resolved.scenario.clone();
    for (_, path) in inputs::paths_mut(&mut scenario) {
        let from_here = resolved.base_dir.join(path.as_str());
        *path = from_here.canonicalize().unwrap_or(from_here).to_string_lossy().into_owned();
    }
    serde_json::to_value(&scenario).unwrap_or_default()
}

/// Apply the overrides after what is `written` already; also gives them as the user would write them.
fn changed(
    mut tree: Node,
    mut written: Vec<String>,
    options: &LoadOptions,
) -> Result<(Node, Vec<String>), ScenarioError> {
    let seed = options.seed.map(|seed| (format!("--seed {seed}"), format!("seed={seed}")));
    let sets = options.sets.iter().map(|set| (format!("--set {set}"), set.clone()));
    for (shown, assignment) in sets.chain(seed) {
        overrides::apply(&mut tree, &assignment, written.len())
            .map_err(|message| ScenarioError::Syntax(format!("{shown}: {message}")))?;
        written.push(shown);
    }
    Ok((tree, written))
}

/// Input paths given on the command line are relative to the current directory, not to the file. The overrides of the
/// command line are those from number `first`.
fn paths_from_here(scenario: &mut Scenario, source: &Source, first: usize) {
    for (field, path) in inputs::paths_mut(scenario) {
        if matches!(source.place_of(&field), Place::Override(number) if number >= first)
            && !path.is_empty()
            && let Ok(absolute) = std::path::absolute(path.as_str())
        {
            *path = absolute.to_string_lossy().into_owned();
        }
    }
}

fn finish(
    mut scenario: Scenario,
    file_name: &str,
    base_dir: PathBuf,
    options: &LoadOptions,
    source: Source,
    digests: &Digests,
) -> Result<Resolved, ScenarioError> {
    defaults::fill(&mut scenario, file_name);
    let problems = check::all(&scenario, &base_dir, &options.catalog);
    if !problems.is_empty() {
        return Err(ScenarioError::Problems(source.lines(&problems)));
    }
    quality::fill(&mut scenario, &options.catalog);
    let hash = hash::of(&scenario, &base_dir, options.catalog_dir.as_deref(), digests).map_err(
        |(field, path, error)| {
            let message = format!("'{}' cannot be read: {error}", path.display());
            ScenarioError::Problems(source.lines(&[Problem { path: field, message }]))
        },
    )?;
    Ok(Resolved { scenario, hash, base_dir, catalog: options.catalog.clone(), source: Arc::new(source) })
}

/// What a file is to be, for messages.
pub(crate) struct Kind {
    /// In one word: `scenario`.
    pub what: &'static str,
    /// What stands in it at least, after "needs".
    pub needs: &'static str,
}

const SCENARIO: Kind = Kind { what: "scenario", needs: "at least workload and fleet" };

/// Read and type a YAML file that is no scenario, as strictly as one; also gives where its fields were written.
///
/// # Errors
/// The first mistake of form, with its place.
pub(crate) fn read_other<T: serde::de::DeserializeOwned>(
    path: &Path,
    kind: &Kind,
) -> Result<(T, Source), ScenarioError> {
    let shown = path.display().to_string();
    let tree = read_tree(path, &shown, kind)?;
    let source = Source::new(shown, Vec::new(), tree.clone());
    let mistake = |place: Place, message: &str| ScenarioError::Syntax(source.locate(place, message));
    if !matches!(tree.value, document::Value::Map(_)) {
        let Kind { what, needs } = kind;
        let found = tree.value.describe();
        return Err(mistake(tree.place, &format!("the {what} is {found}; a {what} needs {needs}")));
    }
    let value = typed::from_tree(&tree).map_err(|e| mistake(e.place.unwrap_or_default(), &e.message()))?;
    Ok((value, source))
}

fn read_tree(path: &Path, shown: &str, kind: &Kind) -> Result<Node, ScenarioError> {
    tree_of(&text_of(path, kind)?, shown, kind)
}

/// The tree of a YAML text that stands in the file `shown`.
pub(crate) fn tree_of(text: &str, shown: &str, kind: &Kind) -> Result<Node, ScenarioError> {
    yaml::parse(text).map_err(|error| {
        let message = error.message.replace("a scenario", &format!("a {}", kind.what));
        ScenarioError::Syntax(match error.at {
            Some((line, column)) => format!("{shown}:{line}:{column}: {message}"),
            None => format!("{shown}: {message}"),
        })
    })
}

/// The text of a file, never more than [`MAX_FILE_BYTES`] in memory.
pub(crate) fn text_of(path: &Path, kind: &Kind) -> Result<String, ScenarioError> {
    read(path, kind).map_err(|message| ScenarioError::File { shown: path.display().to_string(), message })
}

fn read(path: &Path, Kind { what, needs }: &Kind) -> Result<String, String> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_string(),
        io::ErrorKind::PermissionDenied => "may not be read (permission denied)".to_string(),
        _ => format!("cannot be read: {error}"),
    };
    let too_large = |size: String| format!("is {size}; a {what} is at most {} MiB", MAX_FILE_BYTES >> 20);
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if metadata.is_dir() {
        return Err(format!("is a folder; name a {what} file (.yaml)"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(too_large(size_text(metadata.len())));
    }
    let mut bytes = Vec::new();
    // Pipes and devices have no size to check beforehand.
    File::open(path).map_err(cannot)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(format!("over {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 text (line {line}); a {what} is YAML")
    })?;
    let meaningful = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        !line.is_empty() && !line.starts_with('#') && line != "---" && line != "..."
    };
    if !text.lines().any(meaningful) {
        return Err(format!("is empty; a {what} needs {needs}"));
    }
    Ok(text)
}

fn size_text(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
