//! The scenario's identity: SHA-256 over what determines its result, and over nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::inputs;
use super::types::Scenario;

/// First bytes of a trace cache; the SHA-256 of the file it was made from follows.
pub(crate) const TRACE_CACHE_MAGIC: &[u8; 8] = b"WMTRACE1";

/// Hashes of input files that are known already: a trace is read once, however many scenarios replay it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests(Arc<Mutex<BTreeMap<PathBuf, [u8; 32]>>>);

impl Digests {
    fn of(&self, path: &Path) -> io::Result<[u8; 32]> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(path) {
            return Ok(*known);
        }
        let digest = of_file(path)?;
        lock().insert(path.to_path_buf(), digest);
        Ok(digest)
    }
}

/// Hash of the canonical scenario without its input paths, the input files' contents, and the catalog overlay.
///
/// # Errors
/// A file that cannot be read, with its field (empty for the overlay).
pub(crate) fn of(
    scenario: &Scenario,
    base_dir: &Path,
    overlay: Option<&Path>,
    digests: &Digests,
) -> Result<String, (String, PathBuf, io::Error)> {
    let mut hasher = Sha256::new();
    let mut canonical = scenario.clone();
    let mut files = Vec::new();
    for (field, path) in inputs::paths_mut(&mut canonical) {
        files.push((field, base_dir.join(std::mem::take(path))));
    }
    // Struct order and shortest round-trip floats make this text canonical; typed values have no NaN.
    let text = serde_json::to_string(&canonical).unwrap_or_default();
    hasher.update(b"wattmill scenario 1\n");
    hasher.update(text.as_bytes());
    for (field, path) in files {
        let digest = digests.of(&path).map_err(|error| (field.clone(), path.clone(), error))?;
        hasher.update(format!("\n{field} ").as_bytes());
        hasher.update(digest);
    }
    if let Some(dir) = overlay {
        add_overlay(&mut hasher, dir).map_err(|(path, error)| (String::new(), path, error))?;
    }
    Ok(hexadecimal(&hasher.finalize()))
}

fn add_overlay(hasher: &mut Sha256, dir: &Path) -> Result<(), (PathBuf, io::Error)> {
    for path in overlay_files(dir).map_err(|error| (dir.to_path_buf(), error))? {
        let digest = of_file(&path).map_err(|error| (path.clone(), error))?;
        let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
        hasher.update(format!("\ncatalog {name} ").as_bytes());
        hasher.update(digest);
    }
    Ok(())
}

/// Hash of the contents of `files` and of the catalog overlay, and of what `text` says.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn of_files(
    text: &str,
    files: &[PathBuf],
    overlay: Option<&Path>,
) -> Result<String, (PathBuf, io::Error)> {
    let mut hasher = Sha256::new();
    hasher.update(text.as_bytes());
    for path in files {
        hasher.update(of_file(path).map_err(|error| (path.clone(), error))?);
    }
    if let Some(dir) = overlay {
        add_overlay(&mut hasher, dir)?;
    }
    Ok(hexadecimal(&hasher.finalize()))
}

/// A file's contents; a trace cache counts as the file it was made from, since it gives the same requests.
fn of_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut start = Vec::with_capacity(TRACE_CACHE_MAGIC.len() + 32);
    file.by_ref().take(start.capacity() as u64).read_to_end(&mut start)?;
    if let Some(source) = start.strip_prefix(TRACE_CACHE_MAGIC).and_then(|rest| rest.try_into().ok()) {
        return Ok(source);
    }
    let mut hasher = Sha256::new();
    hasher.update(&start);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The YAML files of a catalog overlay, sorted by name.
fn overlay_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
