//! The immutable record of a planned sweep, and the folder it stands in.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SweepError;
use super::axes::Axis;
use super::columns::Column;
use super::digest;
use super::points::Points;
use super::skip::Condition;
use crate::catalog;
use crate::scenario::hash_of_files;

/// Version of the folder's format; another is refused.
pub const FORMAT: u32 = 1;
/// Largest manifest [bytes]: ten million labels.
const MAX_BYTES: u64 = 1 << 30;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const BASE: &str = "base.yaml";
pub(super) const POINTS: &str = "points.csv";
pub(super) const CHUNKS: &str = "chunks";
pub(super) const CATALOG: &str = "catalog";

/// `manifest.json`. Paths are relative to its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the folder's format.
    pub format: u32,
    /// SHA-256 of the manifest without this field: it was not edited.
    pub check: String,
    /// Identity of the sweep: SHA-256 of all that its results depend on, wherever the folder is.
    pub sweep: String,
    /// Name of the sweep.
    pub name: String,
    /// Version of wattmill.
    pub wattmill: String,
    /// SHA-256 of the embedded catalog.
    pub catalog: String,
    /// SHA-256 of the user's own catalog entries, which stand in `catalog/`; none without.
    pub catalog_overlay: Option<String>,
    /// Seed of the sweep.
    pub seed: u64,
    /// Number of points.
    pub points: u64,
    /// Runs of each point, each under another seed.
    pub replications: u32,
    /// Number of rows: points times replications.
    pub rows: u64,
    /// Rows of a chunk; the last may be shorter.
    pub chunk_points: u32,
    /// Number of chunks.
    pub chunks: u64,
    /// The sweep file as planned.
    pub spec: Original,
    /// The base scenario as planned.
    pub base: Original,
    /// Files that scenarios of the sweep read.
    pub inputs: Vec<InputFile>,
    /// SHA-256 of this folder's own files.
    pub files: BTreeMap<String, String>,
    /// Fields changed at every point; `base.yaml` has them already.
    pub set: Vec<(String, serde_json::Value)>,
    /// The axes; the first varies slowest.
    pub axes: Vec<Axis>,
    /// A point is left out where all conditions of one of these hold.
    pub skip: Vec<Vec<Condition>>,
    /// Columns of the results.
    pub columns: Vec<Column>,
}

/// A file the sweep was planned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Where it was, relative to the sweep's folder.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// A file that scenarios read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Where it is, relative to the sweep's folder.
    pub path: String,
    /// As the scenario or the sweep file names it.
    pub written: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Manifest {
    /// As text, with its own check filled in.
    pub(super) fn sealed(mut self) -> Result<String, SweepError> {
        self.check = self.own_check()?;
        let mut text = serde_json::to_string_pretty(&self).map_err(internal)?;
        text.push('\n');
        Ok(text)
    }

    fn own_check(&self) -> Result<String, SweepError> {
        let unsealed = Self { check: String::new(), ..self.clone() };
        Ok(digest::of_bytes(serde_json::to_string(&unsealed).map_err(internal)?.as_bytes()))
    }
}

fn internal(error: serde_json::Error) -> SweepError {
    SweepError::Failed(format!("internal error, please report: {error}"))
}

/// SHA-256 of the catalog that this binary holds.
pub(super) fn embedded_catalog() -> String {
    let files = catalog::embedded_files();
    let lines = files.iter().map(|(name, bytes)| format!("{name} {}\n", digest::of_bytes(bytes)));
    digest::of_bytes(lines.collect::<String>().as_bytes())
}

/// SHA-256 of a user's catalog entries.
pub(super) fn overlay_hash(dir: &Path) -> Result<String, SweepError> {
    hash_of_files("sweep catalog\n", &[], Some(dir))
        .map_err(|(path, error)| SweepError::Input(format!("{}: cannot be read: {error}", path.display())))
}

/// A planned sweep in its folder.
#[derive(Debug, Clone)]
pub struct Sweep {
    dir: PathBuf,
    /// Its record.
    pub manifest: Manifest,
    points: Points,
}

impl Sweep {
    /// Open the folder of a planned sweep.
    ///
    /// # Errors
    /// It is none, or its manifest was changed.
    pub fn open(dir: &Path) -> Result<Self, SweepError> {
        let path = dir.join(MANIFEST);
        let refuse = |what: String| SweepError::Input(format!("{}: {what}", path.display()));
        let size = fs::metadata(&path).map(|metadata| metadata.len());
        let text = match size.and_then(|size| match size {
            0..=MAX_BYTES => fs::read_to_string(&path),
            _ => Err(io::Error::other("is too large for a manifest")),
        }) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(SweepError::Input(format!(
                    "{}: is not the folder of a sweep (it has no {MANIFEST}); plan one with: wattmill sweep plan \
                     SWEEP.yaml -o DIR",
                    dir.display()
                )));
            }
            Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let other_format = match serde_json::from_str::<Format>(&text) {
            Ok(Format { format }) if format == FORMAT => None,
            Ok(Format { format }) => {
                Some(format!("has format {format}; this wattmill reads format {FORMAT}"))
            }
            Err(error) => Some(format!("is damaged ({error}); plan the sweep again")),
        };
        if let Some(what) = other_format {
            return Err(refuse(what));
        }
        let manifest: Manifest = serde_json::from_str(&text)
            .map_err(|error| refuse(format!("is damaged ({error}); plan the sweep again")))?;
        if manifest.check != manifest.own_check()? {
            return Err(refuse(
                "was changed after planning; a planned sweep stays as it is: restore the file, or plan another".into(),
            ));
        }
        let points = Points::new(&manifest.axes, &manifest.skip, manifest.replications, manifest.seed)
            .filter(|points| points.rows() == manifest.rows)
            .ok_or_else(|| refuse("does not add up; plan the sweep again".into()))?;
        Ok(Self { dir: dir.to_path_buf(), manifest, points })
    }

    /// One that stands nowhere yet.
    pub(super) fn unwritten(manifest: Manifest, points: Points) -> Self {
        Self { dir: PathBuf::new(), manifest, points }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its points.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Rows of chunk number `chunk`.
    pub(super) fn range(&self, chunk: u64) -> std::ops::Range<u64> {
        let rows = u64::from(self.manifest.chunk_points);
        let first = chunk.saturating_mul(rows).min(self.manifest.rows);
        first..first.saturating_add(rows).min(self.manifest.rows)
    }

    /// Where chunk number `chunk` stands.
    pub(super) fn chunk_path(&self, chunk: u64) -> PathBuf {
        self.chunks_dir().join(format!("{chunk:06}.{}", super::chunk::EXTENSION))
    }

    /// Where chunks stand.
    pub(super) fn chunks_dir(&self) -> PathBuf {
        self.dir.join(CHUNKS)
    }

    /// That rows computed now would be those that were planned.
    ///
    /// # Errors
    /// What differs, and what to do.
    pub(super) fn check_unchanged(&self) -> Result<(), SweepError> {
        let manifest = &self.manifest;
        let here = self.dir.display();
        let version = env!("CARGO_PKG_VERSION");
        if manifest.wattmill != version {
            return Err(SweepError::Input(format!(
                "{here}: was planned by wattmill {}, this is {version}; finish it with that version, or plan it again \
                 with this one (rows of two versions are not mixed)",
                manifest.wattmill
            )));
        }
        if manifest.catalog != embedded_catalog() {
            return Err(SweepError::Input(format!(
                "{here}: was planned with another catalog than this wattmill {version} holds; finish it with the binary \
                 that planned it, or plan it again"
            )));
        }
        for (name, sha256) in &manifest.files {
            let path = self.dir.join(name);
            match digest::of_file(&path) {
                Ok(found) if found == *sha256 => {}
                Ok(_) => {
                    return Err(SweepError::Input(format!(
                        "{}: was changed after planning; a planned sweep stays as it is: restore the file, or plan \
                         another sweep",
                        path.display()
                    )));
                }
                Err(error) => {
                    return Err(SweepError::Input(format!("{}: cannot be read: {error}", path.display())));
                }
            }
        }
        if let Some(planned) = &manifest.catalog_overlay {
            let dir = self.dir.join(CATALOG);
            if overlay_hash(&dir)? != *planned {
                return Err(SweepError::Input(format!(
                    "{}: was changed after planning; restore it, or plan another sweep",
                    dir.display()
                )));
            }
        }
        let base = self.dir.join(&manifest.base.path);
        if base.exists() && digest::of_file(&base).is_ok_and(|found| found != manifest.base.sha256) {
            return Err(SweepError::Input(format!(
                "{}: the base scenario was changed after this sweep was planned; restore it to finish the sweep, or \
                 plan another one",
                base.display()
            )));
        }
        for input in &manifest.inputs {
            let path = self.dir.join(&input.path);
            match digest::of_file(&path) {
                Ok(found) if found == input.sha256 => {}
                Ok(_) => {
                    return Err(SweepError::Input(format!(
                        "{}: the input file was changed after this sweep was planned; restore it to finish the sweep, \
                         or plan another one",
                        path.display()
                    )));
                }
                Err(error) => {
                    return Err(SweepError::Input(format!(
                        "{}: the input file cannot be read: {error}; the sweep needs it where it was when it was planned",
                        path.display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether the sweep file has changed since; the sweep goes on as planned.
    pub fn spec_has_changed(&self) -> Option<PathBuf> {
        let path = self.dir.join(&self.manifest.spec.path);
        digest::of_file(&path).is_ok_and(|found| found != self.manifest.spec.sha256).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::sweep::{Plan, Shard, survey};

    /// Another version or another catalog is refused by what runs and not by what only reads.
    #[test]
    fn another_binary_does_not_add_rows() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("s");
        let plan = Plan::read(Path::new("configs/sweeps/pue-power-cap.yaml"), None).unwrap();
        let planned = plan.write(&dir).unwrap();
        planned.check_unchanged().unwrap();
        let path = dir.join(MANIFEST);
        let with = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = planned.manifest.clone();
            change(&mut manifest);
            fs::write(&path, manifest.sealed().unwrap()).unwrap();
            let sweep = Sweep::open(&dir).unwrap();
            crate::study::sweep::status(&sweep).unwrap();
            survey(&sweep, Shard::WHOLE).unwrap_err().to_string()
        };
        let said = with(&|manifest| manifest.wattmill = "0.0.1".into());
        assert!(said.contains("was planned by wattmill 0.0.1, this is"), "{said}");
        let said = with(&|manifest| manifest.catalog = "0".repeat(64));
        assert!(said.contains("another catalog"), "{said}");
        // What does not add up is no manifest.
        let manifest = Manifest { rows: 299, ..planned.manifest.clone() };
        fs::write(&path, manifest.sealed().unwrap()).unwrap();
        assert!(Sweep::open(&dir).unwrap_err().to_string().contains("does not add up"));
    }
}
