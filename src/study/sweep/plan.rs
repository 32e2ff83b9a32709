//! From a sweep file to its immutable folder. Every mistake that can be found by trying each value of each axis once is
//! found here, with its place; combinations are left to their runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::SweepError;
use super::axes::{Axis, AxisPath};
use super::cell::Cell;
use super::columns;
use super::digest;
use super::manifest::{
    self, BASE, CATALOG, CHUNKS, FORMAT, InputFile, MANIFEST, Manifest, Original, POINTS, Sweep,
};
use super::point::{csv_line, keys};
use super::points::{MAX_ROWS, Points};
use super::spec::Spec;
use crate::catalog::Catalog;
use crate::fleet::Fleet;
use crate::scenario::document::{Node, Place, Value};
use crate::scenario::types::Scenario;
use crate::scenario::{self, Change, Draft, LoadOptions, ScenarioError};

/// Chunks of a long sweep that does not say how long its chunks are: few enough for a folder.
const MOST_CHUNKS: u64 = 500;
/// Chunks of a short one: many enough that an interrupt loses little and shards are even.
const LEAST_CHUNKS: u64 = 50;
/// Rows of a chunk between the two: writing a chunk costs as much as a few short rows.
const FEW_ROWS: u64 = 10;
/// Values of an axis that are tried; of a longer one, as many spread over it.
const VALUES_TRIED: usize = 500;
/// Corners of the sweep that are tried.
const CORNERS_TRIED: usize = 64;

/// What planning found that is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Combinations tried.
    pub tried: usize,
    /// Of them, those that cannot be run: their rows will hold an error.
    pub failing: usize,
    /// What is wrong with the first of these.
    pub first: Option<String>,
}

/// A sweep file that has been read and checked, not yet written anywhere.
pub struct Plan {
    spec: Spec,
    overlay: Option<PathBuf>,
    options: LoadOptions,
    /// The base with what is set at every point; input paths can be opened.
    draft: Draft,
    /// Input files, as they can be opened, and where they are named.
    inputs: Vec<FoundInput>,
    /// By axis and field, its values with input paths that can be opened.
    values: Vec<Vec<Vec<Node>>>,
    /// The axes; values of input files are still as written.
    axes: Vec<Axis>,
    points: Points,
    columns: Vec<columns::Column>,
    base_sha256: String,
    /// What was found on the way.
    pub remarks: Remarks,
}

/// An input file and the text that names it.
struct FoundInput {
    /// In the base scenario, or at a value of an axis.
    owner: Owner,
    /// Its path below the owner, e.g. `trace.path`.
    field: String,
    written: String,
    full: PathBuf,
    sha256: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Base,
    Value { axis: usize, path: usize, value: usize },
}

impl Plan {
    /// Read a sweep file and check it against its base scenario.
    ///
    /// # Errors
    /// The first mistake, with file, line and column.
    pub fn read(path: &Path, overlay: Option<&Path>) -> Result<Self, SweepError> {
        let spec = Spec::read(path)?;
        let catalog = match overlay {
            Some(dir) => Catalog::with_overlay(dir),
            None => Catalog::embedded(),
        };
        let catalog = Arc::new(catalog.map_err(|error| SweepError::Input(error.to_string()))?);
        let options =
            LoadOptions { catalog_dir: overlay.map(Path::to_path_buf), ..LoadOptions::new(catalog) };
        let base = Draft::read(&spec.base).map_err(|error| match error {
            ScenarioError::File { shown, message } => {
                spec.written.refuse(spec.base_place, format!("base '{shown}' {message}"))
            }
            other => other.into(),
        })?;
        let base_sha256 = digest::of_file(&spec.base).map_err(|error| {
            spec.written
                .refuse(spec.base_place, format!("base '{}' cannot be read: {error}", spec.base.display()))
        })?;
        let name = base.name().to_string();
        let settings = spec.set.iter().map(|setting| Change {
            path: &setting.path,
            value: setting.value.clone(),
            shown: shown(&spec, setting.place, &setting.path, &setting.value.to_json()),
        });
        let draft = base.with(settings.collect())?;
        let (draft, inputs) = open_inputs(&spec, draft, &name)?;
        let mut plan = Self {
            axes: spec.axes.iter().map(as_axis).collect(),
            values: spec
                .axes
                .iter()
                .map(|axis| axis.paths.iter().map(|p| p.values.clone()).collect())
                .collect(),
            points: Points::new(&[], &[], 1, 1).ok_or_else(|| too_many(&spec))?,
            columns: Vec::new(),
            remarks: Remarks::default(),
            overlay: overlay.map(Path::to_path_buf),
            spec,
            options,
            draft,
            inputs,
            base_sha256,
        };
        plan.check_paths()?;
        plan.open_inputs_of_values()?;
        let spec = &plan.spec;
        plan.points = Points::new(&plan.axes, &spec.skip, spec.replications, spec.seed)
            .ok_or_else(|| too_many(spec))?;
        if plan.points.rows() == 0 {
            return Err(SweepError::Input(format!("{}: all points are skipped", spec.written.shown)));
        }
        let scenario = plan.try_values()?;
        plan.columns = plan.choose_columns(&scenario)?;
        Ok(plan)
    }

    /// Name of the sweep.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Every field of an axis exists.
    fn check_paths(&self) -> Result<(), SweepError> {
        for (axis, values) in self.spec.axes.iter().zip(&self.values) {
            for (path, values) in axis.paths.iter().zip(values) {
                let Some(first) = values.first() else { continue };
                let shown = format!("{}: {}", self.spec.written.at(path.place), path.path);
                // Fields before it may make room for it.
                let mut changes = self.changes_of(axis, 0);
                changes.retain(|change| change.path != path.path);
                changes.push(Change { path: &path.path, value: first.clone(), shown });
                self.draft.with(changes)?;
            }
        }
        Ok(())
    }

    /// All changes of one value of an axis.
    fn changes_of<'a>(&'a self, axis: &'a super::axes::WrittenAxis, at: usize) -> Vec<Change<'a>> {
        let number = self.spec.axes.iter().position(|other| other.name == axis.name).unwrap_or_default();
        let paths = axis.paths.iter().zip(&self.values[number]);
        paths
            .filter_map(|(path, values)| {
                let value = values.get(at)?.clone();
                let place = path.values.get(at)?.place;
                let shown = shown(&self.spec, place, &path.path, &path.values.get(at)?.to_json());
                Some(Change { path: path.path.as_str(), value, shown })
            })
            .collect()
    }

    /// Input files that values of axes name are relative to the sweep file.
    fn open_inputs_of_values(&mut self) -> Result<(), SweepError> {
        let first = self.spec.set.len();
        for number in 0..self.spec.axes.len() {
            let axis = &self.spec.axes[number];
            let count = axis.labels.len();
            for at in 0..count {
                let axis = &self.spec.axes[number];
                if !axis.paths.iter().any(|path| path.values[at].has_text()) {
                    continue;
                }
                let inputs = self.draft.with(self.changes_of(axis, at))?.inputs()?;
                let mut found = Vec::new();
                for input in inputs {
                    let Some(path) = input.change.and_then(|change| change.checked_sub(first)) else {
                        continue;
                    };
                    let Some(written) = axis.paths.get(path) else { continue };
                    let field = input.field.strip_prefix(&written.path).unwrap_or_default();
                    let place = written.values[at].place;
                    let owner = Owner::Value { axis: number, path, value: at };
                    let file = open(
                        owner,
                        field.trim_start_matches('.'),
                        &input.path,
                        self.spec.folder(),
                        &|what| self.spec.written.refuse(place, format!("{}: {what}", input.field)),
                    )?;
                    found.push((path, file));
                }
                for (path, file) in found {
                    self.values[number][path][at].replace_text(&file.field, &absolute(&file.full));
                    self.inputs.push(file);
                }
            }
        }
        Ok(())
    }

    /// Try every value of every axis in two points, and the corners. A value that no tried point can be run with is a
    /// mistake; other failures are rows with an error. Gives the scenario of a point that can be run.
    fn try_values(&mut self) -> Result<Scenario, SweepError> {
        let mut tried: BTreeMap<Vec<usize>, Option<String>> = BTreeMap::new();
        let mut good: Option<Scenario> = None;
        let mut bad: Vec<(usize, usize, String)> = Vec::new();
        let mut values_tried = 0;
        let mut attempt = |plan: &Self, at: &Vec<usize>| -> Option<String> {
            if let Some(known) = tried.get(at) {
                return known.clone();
            }
            let end = plan.try_point(at);
            let said = match end {
                Ok(scenario) => {
                    good.get_or_insert(scenario);
                    None
                }
                Err(why) => Some(why),
            };
            tried.insert(at.clone(), said.clone());
            said
        };
        let ends = self.ends_of_values();
        let whole = ends.is_empty();
        for (axis, values) in ends.into_iter().enumerate() {
            for value in spread(values.len(), VALUES_TRIED) {
                let Some([first, last]) = &values[value] else { continue };
                values_tried += 1;
                if let Some(why) = attempt(self, first)
                    && attempt(self, last).is_some()
                {
                    bad.push((axis, value, why));
                }
            }
        }
        if whole && let Some(why) = attempt(self, &Vec::new()) {
            return Err(SweepError::Input(why));
        }
        if let Some((axis, value, why)) = bad.first() {
            let all = bad.len() == values_tried;
            return Err(SweepError::Input(self.value_refused(*axis, *value, why, all)));
        }
        for at in self.corners() {
            attempt(self, &at);
        }
        let failing = || tried.values().filter_map(Option::as_ref);
        self.remarks =
            Remarks { tried: tried.len(), failing: failing().count(), first: failing().next().cloned() };
        good.ok_or_else(|| SweepError::Input(self.remarks.first.clone().unwrap_or_default()))
    }

    /// What is wrong with a value, at its place.
    fn value_refused(&self, axis: usize, value: usize, why: &str, all: bool) -> String {
        let here = format!("{}:", self.spec.written.shown);
        if why.starts_with(&here) || all {
            return why.to_string();
        }
        let axis = &self.spec.axes[axis];
        let path = &axis.paths[0];
        let place = path.values.get(value).map_or(path.place, |node| node.place);
        let value = path.values.get(value).map(Node::to_json).unwrap_or_default();
        format!("{}: with {}={}: {why}", self.spec.written.at(place), path.path, brief(&value))
    }

    /// By axis and value, the first and the last point that has it; none where all are skipped.
    fn ends_of_values(&self) -> Vec<Vec<Option<[Vec<usize>; 2]>>> {
        let lengths: Vec<usize> = self.axes.iter().map(|axis| axis.labels.len()).collect();
        if self.spec.skip.is_empty() {
            let of = |axis: usize, value: usize| {
                let with = |others: &dyn Fn(usize) -> usize| {
                    (0..lengths.len()).map(|i| if i == axis { value } else { others(i) }).collect()
                };
                Some([with(&|_| 0), with(&|i| lengths[i] - 1)])
            };
            return (0..lengths.len()).map(|a| (0..lengths[a]).map(|v| of(a, v)).collect()).collect();
        }
        let mut ends: Vec<Vec<Option<[Vec<usize>; 2]>>> = lengths.iter().map(|n| vec![None; *n]).collect();
        let replications = u64::from(self.spec.replications);
        for point in 0..self.points.points() {
            let at = self.points.row(point * replications).at;
            for (axis, value) in at.iter().enumerate() {
                match &mut ends[axis][*value] {
                    Some([_, last]) => last.clone_from(&at),
                    none => *none = Some([at.clone(), at.clone()]),
                }
            }
        }
        ends
    }

    /// Corners of the sweep that are not skipped: all, or first and last where there are too many.
    fn corners(&self) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = self.axes.iter().map(|axis| axis.labels.len()).collect();
        let all = 1_usize.checked_shl(lengths.len() as u32).unwrap_or(usize::MAX);
        let numbers: Vec<usize> = if all <= CORNERS_TRIED { (0..all).collect() } else { vec![0, usize::MAX] };
        let corner = |bits: usize| -> Vec<usize> {
            let last = |i: usize| bits.checked_shr(i as u32).unwrap_or(1) & 1 == 1;
            lengths.iter().enumerate().map(|(i, n)| if last(i) { n - 1 } else { 0 }).collect()
        };
        let kept = |at: &Vec<usize>| {
            let holds = |c: &super::skip::Condition| c.holds(&self.axes[c.axis].labels[at[c.axis]]);
            !self.spec.skip.iter().any(|conditions| conditions.iter().all(holds))
        };
        numbers.into_iter().map(corner).filter(kept).collect()
    }

    /// Resolve a point and build its fleet.
    fn try_point(&self, at: &[usize]) -> Result<Scenario, String> {
        let changes = self.spec.axes.iter().zip(at).flat_map(|(axis, at)| self.changes_of(axis, *at));
        let resolved =
            self.draft.resolve_with(changes.collect(), &self.options).map_err(|error| error.to_string())?;
        Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir)
            .map_err(|problems| resolved.render_problems(&problems))?;
        Ok(resolved.scenario)
    }

    fn choose_columns(&self, scenario: &Scenario) -> Result<Vec<columns::Column>, SweepError> {
        let spec = &self.spec;
        let asked: Option<Vec<String>> =
            spec.columns.as_ref().map(|columns| columns.iter().map(|(name, _)| name.clone()).collect());
        let chosen =
            columns::choose(asked.as_deref(), &columns::all(scenario)).map_err(|(number, why)| {
                let place =
                    spec.columns.as_ref().and_then(|columns| columns.get(number)).map(|(_, place)| *place);
                spec.written.refuse(place.unwrap_or_default(), why)
            })?;
        columns::of_results(&self.axes, chosen)
            .map_err(|(_, why)| SweepError::Input(format!("{}: {why}", spec.written.shown)))
    }

    /// Write the sweep's folder, which must not exist: it is written beside its place and put there whole.
    ///
    /// # Errors
    /// The place is taken or cannot be written.
    pub fn write(self, target: &Path) -> Result<Sweep, SweepError> {
        let folder = NewFolder::beside(target)?;
        let write = |name: &str, bytes: &[u8]| {
            folder.write(name, bytes).map_err(|error| unwritten(&target.join(name), &error))
        };
        // As they are opened from the folder.
        let moved: Vec<String> = self.inputs.iter().map(|input| portable(&input.full, target)).collect();
        let mut tree = self.draft.tree().clone();
        let mut axes = self.axes.clone();
        for (input, moved) in self.inputs.iter().zip(&moved) {
            put_input(&mut tree, &mut axes, input, moved);
        }
        let base = base_yaml(&tree)?;
        let mut files = BTreeMap::new();
        files.insert(BASE.to_string(), digest::of_bytes(base.as_bytes()));
        write(BASE, base.as_bytes())?;
        let mut catalog_overlay = None;
        if let Some(overlay) = &self.overlay {
            let copy = folder.path.join(CATALOG);
            copy_catalog(overlay, &copy).map_err(|error| unwritten(&target.join(CATALOG), &error))?;
            catalog_overlay = Some(manifest::overlay_hash(&copy)?);
        }
        fs::create_dir(folder.path.join(CHUNKS)).map_err(|error| unwritten(&target.join(CHUNKS), &error))?;

        let spec = &self.spec;
        let rows = self.points.rows();
        let by_default = || {
            let few = FEW_ROWS.min(rows.div_ceil(LEAST_CHUNKS));
            rows.div_ceil(MOST_CHUNKS).max(few) as u32
        };
        let chunk_points = spec.chunk_points.unwrap_or_else(by_default);
        let mut inputs: Vec<InputFile> = Vec::new();
        for (input, path) in self.inputs.iter().zip(moved) {
            if !inputs.iter().any(|known| known.path == path) {
                inputs.push(InputFile { path, written: input.written.clone(), sha256: input.sha256.clone() });
            }
        }
        let original =
            |path: &Path, sha256: &str| Original { path: portable(path, target), sha256: sha256.to_string() };
        let manifest = Manifest {
            format: FORMAT,
            check: String::new(),
            sweep: self.identity(catalog_overlay.as_deref()),
            name: spec.name.clone(),
            wattmill: env!("CARGO_PKG_VERSION").into(),
            catalog: manifest::embedded_catalog(),
            catalog_overlay,
            seed: spec.seed,
            points: self.points.points(),
            replications: spec.replications,
            rows,
            chunk_points,
            chunks: rows.div_ceil(u64::from(chunk_points)),
            spec: original(&spec.path, &spec.sha256),
            base: original(&spec.base, &self.base_sha256),
            inputs,
            files,
            set: spec.set.iter().map(|setting| (setting.path.clone(), setting.value.to_json())).collect(),
            axes,
            skip: spec.skip.clone(),
            columns: self.columns.clone(),
        };
        // The points need the axes only, so a first manifest can list them.
        let listing = Sweep::unwritten(manifest.clone(), self.points.clone());
        let points =
            folder.write_points(&listing).map_err(|error| unwritten(&target.join(POINTS), &error))?;
        let mut manifest = manifest;
        manifest.files.insert(POINTS.to_string(), points);
        write(MANIFEST, manifest.sealed()?.as_bytes())?;
        folder.put(target)?;
        Sweep::open(target)
    }

    /// SHA-256 of all that the rows depend on: input files by content, nothing by place.
    fn identity(&self, catalog_overlay: Option<&str>) -> String {
        let mut tree = self.draft.tree().clone();
        let mut axes = self.axes.clone();
        for input in &self.inputs {
            put_input(&mut tree, &mut axes, input, &input.sha256);
        }
        let identity = json!({
            "format": FORMAT,
            "wattmill": env!("CARGO_PKG_VERSION"),
            "catalog": manifest::embedded_catalog(),
            "catalog_overlay": catalog_overlay,
            "name": self.spec.name,
            "base": tree.to_json(),
            "seed": self.spec.seed,
            "replications": self.spec.replications,
            "axes": axes,
            "skip": self.spec.skip,
            "columns": self.columns,
        });
        digest::of_bytes(identity.to_string().as_bytes())
    }
}

fn too_many(spec: &Spec) -> SweepError {
    SweepError::Input(format!(
        "{}: more than {MAX_ROWS} rows (points times replications); split the sweep",
        spec.written.shown
    ))
}

fn as_axis(axis: &super::axes::WrittenAxis) -> Axis {
    let paths = axis.paths.iter().map(|path| AxisPath {
        path: path.path.clone(),
        values: path.values.iter().map(Node::to_json).collect(),
    });
    Axis { name: axis.name.clone(), kind: axis.kind, labels: axis.labels.clone(), paths: paths.collect() }
}

/// How messages name a change: by its place in the sweep file.
fn shown(spec: &Spec, place: Place, path: &str, value: &serde_json::Value) -> String {
    format!("{}: {path}={}", spec.written.at(place), brief(value))
}

/// A value on a line.
fn brief(value: &serde_json::Value) -> String {
    const MOST: usize = 40;
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= MOST { text } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// The draft with a name, and with input paths that can be opened from anywhere; and its input files.
fn open_inputs(spec: &Spec, draft: Draft, name: &str) -> Result<(Draft, Vec<FoundInput>), SweepError> {
    let found = draft.inputs()?;
    let mut inputs = Vec::with_capacity(found.len());
    for input in found {
        let setting = input.change.and_then(|change| spec.set.get(change));
        let folder = if setting.is_some() { spec.folder() } else { draft.base_dir() };
        let place = setting.map(|setting| setting.place);
        let refuse = |what: String| match place {
            Some(place) => spec.written.refuse(place, format!("{}: {what}", input.field)),
            None => SweepError::Input(draft.refuse(&input.field, &what)),
        };
        inputs.push(open(Owner::Base, &input.field, &input.path, folder, &refuse)?);
    }
    let draft = draft.edited(|tree| {
        for input in &inputs {
            tree.replace_text(&input.field, &absolute(&input.full));
        }
        if tree.entry("name").is_none_or(|entry| entry.node.value == Value::Null) {
            tree.put_first("name", Value::Text(name.into()));
        }
    });
    Ok((draft, inputs))
}

fn open(
    owner: Owner,
    field: &str,
    written: &str,
    folder: &Path,
    refuse: &dyn Fn(String) -> SweepError,
) -> Result<FoundInput, SweepError> {
    let full = folder.join(written);
    let sha256 = match full.is_dir() {
        true => Err("is a folder, not a file".to_string()),
        false => digest::of_file(&full).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_string(),
            _ => format!("cannot be read: {error}"),
        }),
    };
    let sha256 = sha256.map_err(|what| refuse(format!("'{}': {what}", full.display())))?;
    Ok(FoundInput { owner, field: field.into(), written: written.into(), full, sha256 })
}

/// Where an input is named, name it by `text` instead.
fn put_input(tree: &mut Node, axes: &mut [Axis], input: &FoundInput, text: &str) {
    match input.owner {
        Owner::Base => {
            tree.replace_text(&input.field, text);
        }
        Owner::Value { axis, path, value } => {
            let value = axes.get_mut(axis).and_then(|axis| axis.paths.get_mut(path)?.values.get_mut(value));
            if let Some(value) = value {
                let mut node = Node::from_json(value, Place::Nowhere);
                node.replace_text(&input.field, text);
                *value = node.to_json();
            }
        }
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).to_string_lossy().into_owned()
}

/// `file` as seen from `folder`, with forward slashes.
fn portable(file: &Path, folder: &Path) -> String {
    let moved = scenario::relative_to(file, folder);
    moved
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
        .replace("//", "/")
}

/// The base scenario as YAML that reads back as the same document.
fn base_yaml(tree: &Node) -> Result<String, SweepError> {
    let internal = |what: String| SweepError::Failed(format!("internal error, please report: {what}"));
    let body = scenario::yaml::to_string(tree).map_err(internal)?;
    let back = scenario::yaml::parse(&body).map_err(|error| internal(error.message))?;
    if back.to_json() != tree.to_json() {
        return Err(internal("the base scenario does not read back as it was written".into()));
    }
    Ok(format!(
        "# The base scenario of a sweep, with what the sweep sets at every point; axes and seed come on top.\n\
         # Part of a planned sweep: not to be edited.\n\n{body}"
    ))
}

/// Numbers 0 to `count`, or `most` of them spread over it, first and last included.
fn spread(count: usize, most: usize) -> BTreeSet<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|i| i * (count - 1) / (most - 1)).collect()
}

fn copy_catalog(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if let Some(name) = path.file_name().filter(|_| path.is_file() && is_yaml) {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn unwritten(path: &Path, error: &io::Error) -> SweepError {
    let text = format!("{}: cannot be written: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            SweepError::Failed(text)
        }
        _ => SweepError::Input(text),
    }
}

/// A folder beside its final place; gone again unless it is put there. Unlike a result's, it never replaces anything.
struct NewFolder {
    path: PathBuf,
}

impl NewFolder {
    fn beside(target: &Path) -> Result<Self, SweepError> {
        let shown = target.display();
        let Some(name) = target.file_name() else {
            return Err(SweepError::Input(format!("-o {shown}: name a new folder, e.g. output/my-sweep")));
        };
        if fs::symlink_metadata(target).is_ok() {
            return Err(SweepError::Input(format!(
                "{shown}: is there already; a sweep is planned into a new folder: choose another with -o, remove this \
                 one, or go on with it: wattmill sweep run {shown}"
            )));
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(|error| unwritten(parent, &error))?;
        let name = name.to_string_lossy();
        for number in 0_u32.. {
            let path = parent.join(format!(".{name}.new-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                // Left behind by a killed process that had our number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritten(target, &error)),
            }
        }
        Err(SweepError::Failed(format!("{shown}: cannot be written")))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = fs::File::create(self.path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Lists the rows; returns the list's SHA-256.
    fn write_points(&self, sweep: &Sweep) -> io::Result<String> {
        let path = self.path.join(POINTS);
        let mut file = io::BufWriter::new(fs::File::create(&path)?);
        let names = ["point_id", "replication", "seed"].map(String::from).into_iter();
        let names = names.chain(sweep.manifest.axes.iter().map(|axis| axis.name.clone())).map(Cell::Text);
        file.write_all(&csv_line(&names.collect::<Vec<Cell>>()))?;
        for number in 0..sweep.manifest.rows {
            file.write_all(&csv_line(&keys(sweep, &sweep.points().row(number))))?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        digest::of_file(&path)
    }

    fn put(self, target: &Path) -> Result<(), SweepError> {
        super::chunk::sync_folder(&self.path);
        // Fails if something came there meanwhile.
        fs::rename(&self.path, target).map_err(|error| unwritten(target, &error))?;
        super::chunk::sync_folder(target.parent().unwrap_or(Path::new(".")));
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if self.path.exists() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
