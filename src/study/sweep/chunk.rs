//! A chunk of results: a text file that says what it is, its rows as CSV, and a checksum over both.
//!
//! ```text
//! #wattmill chunk {"sweep":"…","chunk":12,"first_row":120,"rows":10}
//! 120,0,…
//! #end {"rows":10,"errors":0,"sha256":"…"}
//! ```
//!
//! It is written beside its place and renamed, so it is there whole or not at all; two processes that publish the same
//! chunk publish the same bytes.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::digest;
use super::manifest::Sweep;

/// Of chunk files.
pub(super) const EXTENSION: &str = "chunk";
const HEAD: &str = "#wattmill chunk ";
const END: &str = "#end ";
/// Bounds of the first and last line [bytes].
const MAX_LINE: u64 = 1024;
/// Temporary files start with this.
const TEMPORARY: &str = ".tmp-";
/// A temporary file lives for seconds; one older than this has lost its process.
const STALE: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    sweep: String,
    chunk: u64,
    first_row: u64,
    rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Trailer {
    rows: u64,
    errors: u64,
    sha256: String,
}

/// What stands where a chunk goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Missing,
    /// The chunk.
    Done {
        /// Rows that hold an error instead of a result.
        errors: u64,
    },
    /// A part of a chunk, or one whose bytes have changed: can be made again.
    Damaged(String),
    /// Something that is not this chunk of this sweep: not ours to replace.
    Foreign(String),
}

/// The bytes of a chunk; `rows` are CSV lines.
pub(super) fn bytes(sweep: &Sweep, chunk: u64, rows: &[Vec<u8>], errors: u64) -> Vec<u8> {
    let header = header(sweep, chunk);
    // Structs of numbers and texts convert.
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let mut bytes = format!("{HEAD}{}\n", json(serde_json::to_string(&header))).into_bytes();
    rows.iter().for_each(|row| bytes.extend_from_slice(row));
    let trailer = Trailer { rows: rows.len() as u64, errors, sha256: digest::of_bytes(&bytes) };
    bytes.extend_from_slice(format!("{END}{}\n", json(serde_json::to_string(&trailer))).as_bytes());
    bytes
}

fn header(sweep: &Sweep, chunk: u64) -> Header {
    let range = sweep.range(chunk);
    Header {
        sweep: sweep.manifest.sweep.clone(),
        chunk,
        first_row: range.start,
        rows: range.end - range.start,
    }
}

/// What stands at a chunk's place, by its first and last line alone: fast, however long it is.
pub(super) fn glance(sweep: &Sweep, chunk: u64) -> io::Result<State> {
    let mut file = match File::open(sweep.chunk_path(chunk)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
        Err(error) => return Err(error),
    };
    let mut start = Vec::new();
    (&file).take(MAX_LINE).read_to_end(&mut start)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LINE)))?;
    let mut end = Vec::new();
    file.take(MAX_LINE).read_to_end(&mut end)?;
    Ok(state(sweep, chunk, &start, &end)
        .map_or_else(|state| state, |trailer| State::Done { errors: trailer.errors }))
}

/// What stands at a chunk's place, checked to the last byte; with its rows as CSV if it is the chunk.
pub(super) fn read(sweep: &Sweep, chunk: u64) -> io::Result<(State, Vec<u8>)> {
    let mut bytes = match fs::read(sweep.chunk_path(chunk)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((State::Missing, Vec::new())),
        Err(error) => return Err(error),
    };
    let trailer = match state(sweep, chunk, &bytes, &bytes) {
        Ok(trailer) => trailer,
        Err(state) => return Ok((state, Vec::new())),
    };
    let end = last_line(&bytes).map_or(bytes.len(), |line| bytes.len() - line.len() - 1);
    if digest::of_bytes(&bytes[..end]) != trailer.sha256 {
        return Ok((State::Damaged("its checksum does not match".into()), Vec::new()));
    }
    bytes.truncate(end);
    let start = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    bytes.drain(..start);
    Ok((State::Done { errors: trailer.errors }, bytes))
}

/// Judge by the start and the end of a file.
fn state(sweep: &Sweep, chunk: u64, start: &[u8], end: &[u8]) -> Result<Trailer, State> {
    let damaged = |why: &str| Err(State::Damaged(why.into()));
    let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(text) = std::str::from_utf8(first).ok().and_then(|line| line.strip_prefix(HEAD)) else {
        return damaged(if start.is_empty() { "it is empty" } else { "its first line is not a chunk's" });
    };
    let Ok(found) = serde_json::from_str::<Header>(text) else { return damaged("its first line is cut off") };
    let expected = header(sweep, chunk);
    if found.sweep != expected.sweep {
        let sweep = found.sweep.get(..8).unwrap_or(&found.sweep);
        return Err(State::Foreign(format!(
            "is of another sweep ({sweep}), or of another version of wattmill"
        )));
    }
    if found.chunk != chunk {
        return Err(State::Foreign(format!("holds chunk {} of this sweep, not {chunk}", found.chunk)));
    }
    if found != expected {
        return Err(State::Foreign(format!(
            "holds {} rows from {}; planned are {} from {}",
            found.rows, found.first_row, expected.rows, expected.first_row
        )));
    }
    let line =
        last_line(end).and_then(|line| std::str::from_utf8(line).ok()).and_then(|l| l.strip_prefix(END));
    let Some(text) = line else { return damaged("its end is missing") };
    match serde_json::from_str::<Trailer>(text) {
        Ok(trailer) if trailer.rows == expected.rows && trailer.errors <= trailer.rows => Ok(trailer),
        Ok(_) => damaged("its last line does not match its first"),
        Err(_) => damaged("its end is cut off"),
    }
}

/// The last line of bytes that end in a line break, without it.
fn last_line(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_suffix(b"\n")?;
    let start = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Some(&bytes[start..])
}

/// Put `bytes` at `path` in one step, on disk before they are seen.
pub(super) fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = Temporary::beside(path)?;
    temporary.write(bytes)?;
    temporary.put(path)
}

/// A new file that no other process or machine writes; gone again unless it is put somewhere.
pub(super) struct Temporary {
    path: PathBuf,
    /// Open until it is put in place.
    pub file: File,
}

impl Temporary {
    /// In the folder of `path`.
    pub fn beside(path: &Path) -> io::Result<Self> {
        loop {
            // Machines that share the folder may share process numbers; the hasher's keys are random.
            let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
            let path = path.with_file_name(format!("{TEMPORARY}{}-{random:016x}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    /// Wait until it is on disk, and give it its name; what had the name is replaced.
    pub fn put(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        sync_folder(path.parent().unwrap_or(Path::new(".")));
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Renamed, or not worth keeping.
        let _ = fs::remove_file(&self.path);
    }
}

/// Best effort: some platforms cannot sync a folder, and none needs it for the files to be whole.
pub(super) fn sync_folder(dir: &Path) {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let _ = File::open(dir).and_then(|folder| folder.sync_all());
}

/// Make sure that chunks can be written, and remove what killed processes left behind long ago.
pub(super) fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let probe = Temporary::beside(&dir.join("probe"))?;
    // The clock of the disk, which may be another machine's.
    let now = probe.file.metadata()?.modified();
    drop(probe);
    let Ok(now) = now else { return Ok(()) };
    for entry in fs::read_dir(dir)? {
        let Ok(entry) = entry else { continue };
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY)
            && modified.is_ok_and(|then| now.duration_since(then).is_ok_and(|age| age > STALE))
        {
            // Another process may clean up as well.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Files among the chunks that are no chunk of the sweep, by name, in order.
pub(super) fn strangers(sweep: &Sweep) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(sweep.chunks_dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(EXTENSION).and_then(|name| name.strip_suffix('.'));
        let number = stem.and_then(|stem| stem.parse::<u64>().ok());
        let planned =
            number.is_some_and(|n| n < sweep.manifest.chunks && sweep.chunk_path(n).ends_with(&name));
        if !planned && !name.starts_with(TEMPORARY) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
