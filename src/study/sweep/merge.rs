//! From a complete set of chunks to one file: CSV, Parquet, or both. Refused while anything is missing.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::cell::Cell;
use super::chunk::{self, State, Temporary};
use super::manifest::Sweep;
use super::parquet::Table;
use super::point::keys;
use super::run::{foreign, refuse_strangers};
use super::{SweepError, digest};

/// A merged file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Where it is.
    pub path: PathBuf,
    /// Rows.
    pub rows: u64,
    /// Length [bytes].
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// First columns of every merged file: what is recognised as ours.
const OURS: &str = "point_id,replication,seed";
/// Largest stretch at a Parquet file's end that is searched for our mark [bytes].
const MAX_FOOTER: u64 = 1 << 20;

/// Merge all chunks into `files`, whose names end in `.csv` or `.parquet`. Existing merged files are replaced, others
/// are refused. The bytes depend on the sweep alone.
///
/// # Errors
/// The sweep is not complete, holds what is not its own, or a file cannot be written.
pub fn merge(sweep: &Sweep, files: &[PathBuf]) -> Result<Vec<Merged>, SweepError> {
    files.iter().try_for_each(|path| may_replace(path))?;
    refuse_strangers(sweep)?;
    refuse_gaps(sweep)?;
    let mut outputs = Vec::with_capacity(files.len());
    for path in files {
        outputs.push(Output::new(sweep, path).map_err(|error| unwritten(path, &error))?);
    }
    let mut cells = Vec::new();
    for number in 0..sweep.manifest.chunks {
        let bytes = rows_of(sweep, number)?;
        parse(sweep, number, &bytes, &mut cells)?;
        for (output, path) in outputs.iter_mut().zip(files) {
            output.add(&bytes, &cells).map_err(|error| unwritten(path, &error))?;
        }
    }
    let mut merged = Vec::with_capacity(files.len());
    // All are whole before the first is seen.
    let finished: Result<Vec<Temporary>, SweepError> = outputs
        .into_iter()
        .zip(files)
        .map(|(output, path)| output.finish().map_err(|error| unwritten(path, &error)))
        .collect();
    for (file, path) in finished?.into_iter().zip(files) {
        file.put(path).map_err(|error| unwritten(path, &error))?;
        let sha256 = digest::of_file(path).map_err(|error| unwritten(path, &error))?;
        let bytes = std::fs::metadata(path).map_err(|error| unwritten(path, &error))?.len();
        merged.push(Merged { path: path.clone(), rows: sweep.manifest.rows, bytes, sha256 });
    }
    Ok(merged)
}

fn unwritten(path: &Path, error: &io::Error) -> SweepError {
    let text = format!("{}: cannot be written: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem => SweepError::Input(text),
        _ => SweepError::Failed(text),
    }
}

/// Whether the place of a merged file is free, or holds one.
fn may_replace(path: &Path) -> Result<(), SweepError> {
    let refuse = |what: &str| Err(SweepError::Input(format!("{}: {what}", path.display())));
    let wanted = extension(path);
    if wanted.is_none() {
        return refuse("the name of a merged file ends in .parquet or .csv");
    }
    let Ok(mut file) = File::open(path) else {
        return if path.exists() { refuse("cannot be read, so it is not replaced") } else { Ok(()) };
    };
    if path.is_dir() {
        return refuse("is a folder; name a file that ends in .parquet or .csv");
    }
    let ours = match wanted {
        Some(Extension::Csv) => {
            let mut start = vec![0; OURS.len()];
            file.read_exact(&mut start).is_ok() && start == OURS.as_bytes()
        }
        _ => super::parquet::is_ours(&mut file, MAX_FOOTER).unwrap_or(false),
    };
    if ours { Ok(()) } else { refuse("is there already and no merged sweep; choose another name with -o") }
}

#[derive(Clone, Copy)]
enum Extension {
    Csv,
    Parquet,
}

fn extension(path: &Path) -> Option<Extension> {
    match path.extension()?.to_str()? {
        "csv" => Some(Extension::Csv),
        "parquet" => Some(Extension::Parquet),
        _ => None,
    }
}

/// Most chunks named when some are missing.
const MOST_NAMED: usize = 8;

fn refuse_gaps(sweep: &Sweep) -> Result<(), SweepError> {
    let mut gaps: Vec<String> = Vec::new();
    for number in 0..sweep.manifest.chunks {
        let path = sweep.chunk_path(number);
        let state = chunk::glance(sweep, number)
            .map_err(|error| SweepError::Failed(format!("{}: cannot be read: {error}", path.display())))?;
        match state {
            State::Done { .. } => {}
            State::Missing => gaps.push(number.to_string()),
            State::Damaged(why) => gaps.push(format!("{number} (damaged: {why})")),
            State::Foreign(what) => return Err(foreign(&path, &what)),
        }
    }
    if gaps.is_empty() {
        return Ok(());
    }
    let count = gaps.len();
    let more = if count > MOST_NAMED { format!(" and {} more", count - MOST_NAMED) } else { String::new() };
    gaps.truncate(MOST_NAMED);
    Err(SweepError::Input(format!(
        "{}: {count} of {} chunks are missing: {}{more}; finish them with: wattmill sweep run {}",
        sweep.dir().display(),
        sweep.manifest.chunks,
        gaps.join(", "),
        sweep.dir().display()
    )))
}

/// The rows of a chunk as CSV, checked to the last byte.
fn rows_of(sweep: &Sweep, number: u64) -> Result<Vec<u8>, SweepError> {
    let path = sweep.chunk_path(number);
    let read = chunk::read(sweep, number)
        .map_err(|error| SweepError::Failed(format!("{}: cannot be read: {error}", path.display())))?;
    match read {
        (State::Done { .. }, bytes) => Ok(bytes),
        (State::Missing, _) => {
            Err(SweepError::Input(format!("{}: is gone; run the sweep again", path.display())))
        }
        (State::Damaged(why), _) => Err(SweepError::Input(format!(
            "{}: is damaged: {why}; make it again with: wattmill sweep run {}",
            path.display(),
            sweep.dir().display()
        ))),
        (State::Foreign(what), _) => Err(foreign(&path, &what)),
    }
}

/// The cells of a chunk's rows, which must be exactly the planned ones.
fn parse(sweep: &Sweep, number: u64, bytes: &[u8], rows: &mut Vec<Vec<Cell>>) -> Result<(), SweepError> {
    let wrong = |what: String| {
        SweepError::Failed(format!(
            "{}: {what}; remove it and run the sweep again",
            sweep.chunk_path(number).display()
        ))
    };
    rows.clear();
    let columns = &sweep.manifest.columns;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let mut expected = sweep.range(number);
    for record in reader.records() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let Some(row) = expected.next() else { return Err(wrong("has a row too many".into())) };
        if record.len() != columns.len() {
            return Err(wrong(format!("row {row} has {} columns, not {}", record.len(), columns.len())));
        }
        let cells: Option<Vec<Cell>> =
            record.iter().zip(columns).map(|(text, column)| Cell::of_csv(text, column.kind)).collect();
        let cells = cells.ok_or_else(|| wrong(format!("row {row} has a cell of another kind")))?;
        let keys = keys(sweep, &sweep.points().row(row));
        if cells[..3] != keys[..3] {
            return Err(wrong(format!("row {row} is not the planned one")));
        }
        rows.push(cells);
    }
    if let Some(row) = expected.next() {
        return Err(wrong(format!("row {row} is missing")));
    }
    Ok(())
}

/// A merged file on its way.
enum Output {
    Csv(BufWriter<File>, Temporary),
    Parquet(Box<Table>, Temporary),
}

impl Output {
    fn new(sweep: &Sweep, path: &Path) -> io::Result<Self> {
        let temporary = Temporary::beside(path)?;
        let file = temporary.file.try_clone()?;
        Ok(match extension(path) {
            Some(Extension::Parquet) => Self::Parquet(Box::new(Table::new(sweep, file)?), temporary),
            _ => {
                let mut writer = BufWriter::new(file);
                let names = sweep.manifest.columns.iter().map(|column| Cell::Text(column.name.clone()));
                writer.write_all(&super::point::csv_line(&names.collect::<Vec<Cell>>()))?;
                Self::Csv(writer, temporary)
            }
        })
    }

    fn add(&mut self, bytes: &[u8], cells: &[Vec<Cell>]) -> io::Result<()> {
        match self {
            Self::Csv(writer, _) => writer.write_all(bytes),
            Self::Parquet(table, _) => cells.iter().try_for_each(|row| table.add(row)),
        }
    }

    fn finish(self) -> io::Result<Temporary> {
        match self {
            Self::Csv(mut writer, temporary) => writer.flush().map(|()| temporary),
            Self::Parquet(table, temporary) => table.finish().map(|()| temporary),
        }
    }
}
