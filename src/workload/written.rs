//! Files that the trace tools write: they appear complete or not at all, gzip if their name says so.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::input::InputError;

/// Why a trace tool did not finish.
#[derive(Debug)]
pub enum TraceError {
    /// What it reads or was asked is wrong; the user can mend it.
    Input(InputError),
    /// A file cannot be written.
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It was asked to stop.
    Interrupted,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Disk { path, source } => write!(f, "{}: cannot be written: {source}", path.display()),
            Self::Interrupted => f.write_str("interrupted; nothing was written"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk { source, .. } => Some(source),
            Self::Input(_) | Self::Interrupted => None,
        }
    }
}

impl From<InputError> for TraceError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

/// A file being written beside its place.
pub(super) struct Written<'a> {
    path: &'a Path,
    out: &'a mut dyn Write,
}

impl Written<'_> {
    /// Writes a piece of text.
    #[inline]
    pub(super) fn text(&mut self, text: &str) -> Result<(), TraceError> {
        self.out
            .write_all(text.as_bytes())
            .map_err(|source| TraceError::Disk { path: self.path.to_path_buf(), source })
    }
}

/// Writes `path` by `content`: to a temporary file beside it, which takes its place when all is written and safe on
/// disk. Gzip if the name ends in `.gz`.
pub(super) fn write<T>(
    path: &Path,
    content: impl FnOnce(&mut Written) -> Result<T, TraceError>,
) -> Result<T, TraceError> {
    let temporary = temporary_beside(path);
    let disk = |source| TraceError::Disk { path: path.to_path_buf(), source };
    let result = File::create(&temporary).map_err(disk).and_then(|file| {
        let result = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
            let encoder = flate2::GzBuilder::new().write(&file, flate2::Compression::best());
            let mut out = BufWriter::with_capacity(1 << 16, encoder);
            let result = content(&mut Written { path, out: &mut out })?;
            out.into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|e| e.finish())
                .map_err(disk)?;
            result
        } else {
            let mut out = BufWriter::with_capacity(1 << 16, &file);
            let result = content(&mut Written { path, out: &mut out })?;
            out.flush().map_err(disk)?;
            result
        };
        file.sync_all().map_err(disk)?;
        std::fs::rename(&temporary, path).map_err(disk)?;
        Ok(result)
    });
    if result.is_err() {
        // The reason is reported; whether the remains could be removed does not matter then.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// Writes a text to `path`; the file appears complete or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn write_text(path: &Path, text: &str) -> Result<(), TraceError> {
    write(path, |out| out.text(text))
}

/// A hidden name in the same folder, so that the rename stays within one file system.
pub(super) fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// A text field of a CSV, quoted where it must be.
pub(super) fn quoted(text: &str) -> String {
    // Readers drop blanks around a bare field.
    if text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}
