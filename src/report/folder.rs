//! The result folder: written beside its final place, then put there in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::ReportError;

/// What stands where a result is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or an empty folder.
    Nothing,
    /// A result folder: its `summary.json` has a schema version.
    Result {
        /// Hash of the scenario that it is the result of, hexadecimal.
        hash: String,
    },
    /// A file, or a folder that was not written by [`super::write`].
    Foreign,
}

/// Looks at the place of a result before it is replaced.
///
/// # Errors
/// The folder or its `summary.json` cannot be read.
pub fn inspect(dir: &Path) -> Result<Found, ReportError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| ReportError::Io { path, source }
    };
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) => return Err(failed(dir)(e)),
    };
    if !metadata.is_dir() {
        return Ok(Found::Foreign);
    }
    let marker = dir.join("summary.json");
    let text = match fs::read(&marker) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let empty = fs::read_dir(dir).map_err(failed(dir))?.next().is_none();
            return Ok(if empty { Found::Nothing } else { Found::Foreign });
        }
        Err(e) => return Err(failed(&marker)(e)),
    };
    let Ok(summary) = serde_json::from_slice::<serde_json::Value>(&text) else { return Ok(Found::Foreign) };
    if summary["schema_version"].as_u64().is_none() {
        return Ok(Found::Foreign);
    }
    Ok(Found::Result { hash: summary["scenario"]["hash"].as_str().unwrap_or_default().to_string() })
}

/// A new folder beside its final place; removed again unless it is put there.
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Makes the temporary folder, and the folders above `target` where they are missing.
    pub(super) fn beside(target: &Path) -> Result<Self, ReportError> {
        // A link to a folder stays: what it points to is replaced.
        let target = match fs::canonicalize(target) {
            Ok(existing) => existing,
            Err(_) => target.to_path_buf(),
        };
        if target.exists() && !target.is_dir() {
            return Err(ReportError::NotAFolder { path: target });
        }
        let Some(parent) = target.parent().filter(|_| target.file_name().is_some()) else {
            return Err(ReportError::NotAFolder { path: target });
        };
        if !parent.as_os_str().is_empty() {
            fs::create_dir_all(parent).map_err(|source| ReportError::Io { path: parent.into(), source })?;
        }
        loop {
            let path = sibling(&target, "new");
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, target }),
                // Left behind by a killed process that had our number.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(ReportError::Io { path, source }),
            }
        }
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the folder in its place. A folder that stands there is moved aside first, restored if the move
    /// fails, and deleted once the new one is in.
    pub(super) fn put_in_place(self) -> Result<(), ReportError> {
        sync_tree(&self.path)?;
        let old = swap(&self.path, &self.target)?;
        if let Some(parent) = self.target.parent() {
            sync_folder(parent);
        }
        match old {
            Some(old) => fs::remove_dir_all(&old).map_err(|source| ReportError::Io { path: old, source }),
            None => Ok(()),
        }
    }
}

impl Staging {
    /// Moves files one by one into the target folder, beside what is there.
    pub(super) fn put_files_into_place(self, names: &[PathBuf]) -> Result<(), ReportError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ReportError::Io { path, source }
        };
        fs::create_dir_all(&self.target).map_err(failed(&self.target))?;
        for name in names {
            let to = self.target.join(name);
            fs::rename(self.path.join(name), &to).map_err(failed(&to))?;
        }
        sync_folder(&self.target);
        Ok(())
    }
}

/// Moves `new` to `target`, and returns where what stood there went.
fn swap(new: &Path, target: &Path) -> Result<Option<PathBuf>, ReportError> {
    let failed = |path: &Path, source| ReportError::Io { path: path.to_path_buf(), source };
    let mut old = None;
    if target.exists() {
        let aside = sibling(target, "old");
        fs::rename(target, &aside).map_err(|e| failed(target, e))?;
        old = Some(aside);
    }
    if let Err(e) = fs::rename(new, target) {
        if let Some(old) = &old {
            fs::rename(old, target).map_err(|e| failed(old, e))?;
        }
        return Err(failed(target, e));
    }
    Ok(old)
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Gone after a successful move; otherwise nothing half-written may stay.
        if self.path.exists() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A hidden name beside `target` that no other process or thread uses.
fn sibling(target: &Path, purpose: &str) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".{name}.{purpose}-{}-{number}", std::process::id()))
}

/// Writes a new file and waits until it is on disk.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let failed = |source| ReportError::Io { path: path.to_path_buf(), source };
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Waits until a file that something else wrote is on disk.
pub(super) fn sync_file(path: &Path) -> Result<(), ReportError> {
    let synced = File::options().write(true).open(path).and_then(|f| f.sync_all());
    synced.map_err(|source| ReportError::Io { path: path.to_path_buf(), source })
}

fn sync_tree(dir: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::Io { path: dir.to_path_buf(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_tree(&entry.path())?;
        }
    }
    sync_folder(dir);
    Ok(())
}

/// Best effort: some platforms cannot sync a folder, and none needs it for the files to be whole.
fn sync_folder(dir: &Path) {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let _ = File::open(dir).and_then(|f| f.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_whole_and_leaves_nothing_beside() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("a/result");
        for round in 0..3 {
            let staging = Staging::beside(&target).unwrap();
            write_file(&staging.path().join(format!("file{round}")), b"x").unwrap();
            staging.put_in_place().unwrap();
            assert_eq!(names(&target), [format!("file{round}")]);
            assert_eq!(names(&temp.path().join("a")), ["result"]);
        }
    }

    #[test]
    fn given_up_work_leaves_the_old_result() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("result");
        fs::create_dir(&target).unwrap();
        write_file(&target.join("old"), b"x").unwrap();
        let staging = Staging::beside(&target).unwrap();
        write_file(&staging.path().join("half"), b"x").unwrap();
        drop(staging);
        assert_eq!(names(&target), ["old"]);
        assert_eq!(names(temp.path()), ["result"]);
    }

    #[test]
    fn a_failed_move_restores_the_old_result() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("result");
        fs::create_dir(&target).unwrap();
        write_file(&target.join("old"), b"x").unwrap();
        assert!(swap(&temp.path().join("missing"), &target).is_err());
        assert_eq!(names(&target), ["old"]);
        assert_eq!(names(temp.path()), ["result"]);
    }

    #[test]
    fn places_that_cannot_be_a_folder_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        write_file(&file, b"x").unwrap();
        assert!(matches!(Staging::beside(&file), Err(ReportError::NotAFolder { .. })));
        assert!(matches!(Staging::beside(Path::new("/")), Err(ReportError::NotAFolder { .. })));
    }

    #[test]
    fn tells_results_from_other_folders() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(inspect(&temp.path().join("none")).unwrap(), Found::Nothing);
        assert_eq!(inspect(temp.path()).unwrap(), Found::Nothing);
        write_file(&temp.path().join("thesis.tex"), b"x").unwrap();
        assert_eq!(inspect(temp.path()).unwrap(), Found::Foreign);
        write_file(&temp.path().join("summary.json"), b"{}").unwrap();
        assert_eq!(inspect(temp.path()).unwrap(), Found::Foreign);
        let ours = br#"{"schema_version":1,"scenario":{"hash":"ab"}}"#;
        write_file(&temp.path().join("summary.json"), ours).unwrap();
        assert_eq!(inspect(temp.path()).unwrap(), Found::Result { hash: "ab".into() });
        assert_eq!(inspect(&temp.path().join("thesis.tex")).unwrap(), Found::Foreign);
    }
}
