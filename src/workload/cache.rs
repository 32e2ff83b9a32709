//! A compact binary copy of a trace: read faster than the CSV it was made from, and the same requests.
//!
//! ```text
//! magic "WMTRACE1" · SHA-256 of the source file · rows, unit [fs] · flags [· rows left out] · names of optional columns · names of classes
//! per row: units since the row before, prompt, output [, class] [, difficulty] [, thinking]
//! SHA-256 of all of the above
//! ```
//! Numbers are variable-length: seven bits a byte, least significant first. Times are whole multiples of the unit, the
//! largest that all of them share. The source's digest stands for the file in the scenario's hash, so that a run from the
//! copy is the same run; the one at the end tells a copy that was cut or changed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::lengths::MOST_TOK;
use super::reasoning::Recorded;
use super::time::{FS_PER_S, LATEST_S};
use super::trace::{Row, Rows};
use super::written::temporary_beside;
use crate::catalog::Difficulty;
use crate::input::InputError;
use crate::scenario::TRACE_CACHE_MAGIC as MAGIC;
use crate::scenario::types::TraceFormat;

const DIGEST: u64 = 32;
/// Most names of classes or of columns, and their longest [bytes].
const MOST_NAMES: u128 = 65_536;

const HAS_CLASS: u128 = 1;
const HAS_DIFFICULTY: u128 = 2;
const HAS_THINKING: u128 = 4;
/// The source had rows of failed requests; only their number is kept.
const HAS_LEFT_OUT: u128 = 8;

/// What all requests of the copy have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Header {
    source: [u8; 32],
    rows: u64,
    unit_fs: u128,
    flags: u128,
    /// Rows of failed requests in the source.
    left_out: u64,
    /// Columns that are not read for classes without difficulty.
    optional: Vec<String>,
    classes: Vec<String>,
}

/// Whether the file is such a copy. Files that cannot be read are not; their reader says why.
pub(crate) fn is_cache(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *MAGIC
}

/// A copy being read.
pub(crate) struct Cache {
    field: String,
    file: String,
    input: BufReader<Hashing<io::Take<File>>>,
    header: Header,
    /// Rows read.
    number: u64,
    at_fs: u128,
    class: usize,
    ended: bool,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("file", &self.file).field("row", &self.number).finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens `path`, named by the scenario's `field`.
    pub(crate) fn open(path: &Path, field: &str) -> Result<Self, InputError> {
        let file = path.display().to_string();
        let open = || {
            let input = File::open(path)?;
            let length = input.metadata()?.len().saturating_sub(DIGEST);
            let hashing = Hashing { inner: input.take(length), hasher: Sha256::new() };
            let mut input = BufReader::with_capacity(1 << 16, hashing);
            let header = Header::read(&mut input)?;
            Ok((input, header))
        };
        let (input, header) = open().map_err(|error| InputError::file(field, &file, what(&error)))?;
        Ok(Self { field: field.into(), file, input, header, number: 0, at_fs: 0, class: 0, ended: false })
    }

    /// The next row, with recorded thought only where `thinks`; `None` at the end, once the whole file is known to be good.
    pub(crate) fn advance(&mut self, thinks: bool) -> Result<Option<Row>, InputError> {
        let row = if self.number == self.header.rows {
            self.end().map(|()| None)
        } else {
            self.row(thinks).map(Some)
        };
        row.map_err(|error| self.bad_file(what(&error)))
    }

    fn row(&mut self, thinks: bool) -> io::Result<Row> {
        let later = number(&mut self.input)?.checked_mul(self.header.unit_fs);
        let at_fs = later.and_then(|later| self.at_fs.checked_add(later));
        self.at_fs = at_fs.filter(|&t| t <= (LATEST_S * FS_PER_S) as u128).ok_or_else(damaged)?;
        let mut tok = || -> io::Result<u32> {
            let tok = number(&mut self.input)?;
            u32::try_from(tok).ok().filter(|&tok| tok <= MOST_TOK).ok_or_else(damaged)
        };
        let (prompt_tok, output_tok) = (tok()?, tok()?);
        let has = |flag| self.header.flags & flag != 0;
        if has(HAS_CLASS) {
            let class = number(&mut self.input)?;
            self.class =
                usize::try_from(class).ok().filter(|&c| c < self.header.classes.len()).ok_or_else(damaged)?;
        }
        let mut recorded = Recorded::default();
        if has(HAS_DIFFICULTY) {
            let difficulty = usize::try_from(number(&mut self.input)?).map_err(|_| damaged())?;
            recorded.difficulty = Some(*Difficulty::ALL.get(difficulty).ok_or_else(damaged)?);
        }
        if has(HAS_THINKING) {
            recorded.thinking_tok = Some(u32::try_from(number(&mut self.input)?).map_err(|_| damaged())?);
        }
        if !thinks {
            recorded = Recorded::default();
        }
        let answer_tok = output_tok.checked_sub(recorded.thinking_tok.unwrap_or(0)).filter(|&tok| tok >= 1);
        let answer_tok = answer_tok.filter(|_| prompt_tok >= 1).ok_or_else(damaged)?;
        self.number += 1;
        Ok(Row { at_fs: self.at_fs as i128, prompt_tok, answer_tok, recorded })
    }

    /// After the last row: nothing more, and the digest of what was read.
    fn end(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(damaged());
        }
        let hashing = self.input.get_mut();
        let expected: [u8; 32] = hashing.hasher.clone().finalize().into();
        let mut digest = [0; DIGEST as usize];
        hashing.inner.set_limit(DIGEST);
        hashing.inner.read_exact(&mut digest)?;
        self.ended = true;
        if digest == expected { Ok(()) } else { Err(damaged()) }
    }

    /// Whether rows name their classes.
    pub(crate) fn has_classes(&self) -> bool {
        self.header.flags & HAS_CLASS != 0
    }

    /// Whether rows bring their difficulty.
    pub(crate) fn has_difficulty(&self) -> bool {
        self.header.flags & HAS_DIFFICULTY != 0
    }

    /// Whether rows bring their thought.
    pub(crate) fn has_thinking(&self) -> bool {
        self.header.flags & HAS_THINKING != 0
    }

    /// Rows of failed requests in the source.
    pub(crate) fn left_out(&self) -> u64 {
        self.header.left_out
    }

    /// The class of the current row.
    pub(crate) fn class(&self) -> &str {
        self.header.classes.get(self.class).map_or("", String::as_str)
    }

    /// Columns of the source that are not read for classes without difficulty.
    pub(crate) fn optional(&self) -> &[String] {
        &self.header.optional
    }

    /// An error about the current row.
    pub(crate) fn bad_row(&self, problem: &str) -> InputError {
        self.bad_file(format!("request {} {problem}", self.number))
    }

    /// An error about the file as a whole.
    pub(crate) fn bad_file(&self, message: String) -> InputError {
        InputError::file(&self.field, &self.file, message)
    }
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn what(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            "is a trace cache that was cut or changed; make it again with `wattmill trace cache`".into()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Writes the copy of a trace to `path`; returns its rows. The file appears complete or not at all.
///
/// # Errors
/// A trace that cannot be replayed, with its place; a file that cannot be written.
pub fn write_cache(source: &Path, format: TraceFormat, path: &Path) -> Result<u64, InputError> {
    if is_cache(source) {
        let source = source.display().to_string();
        return Err(InputError::file("", &source, "is a trace cache already; give the CSV"));
    }
    let header = survey(source, format)?;
    let temporary = temporary_beside(path);
    let unwritten =
        |e: io::Error| InputError::file("", &path.display().to_string(), format!("cannot be written: {e}"));
    let result = File::create(&temporary)
        .map_err(unwritten)
        .and_then(|file| write_rows(source, format, &header, file, &unwritten))
        .and_then(|()| std::fs::rename(&temporary, path).map_err(unwritten));
    if result.is_err() {
        // The reason is reported; whether the remains could be removed does not matter then.
        let _ = std::fs::remove_file(&temporary);
    }
    result.map(|()| header.rows)
}

/// First reading: what goes into the header.
fn survey(source: &Path, format: TraceFormat) -> Result<Header, InputError> {
    let name = source.display().to_string();
    let mut rows = Rows::open(source, format, "", true)?;
    let mut header = Header { optional: rows.optional(), flags: rows.flags(), ..Header::default() };
    while let Some(row) = rows.advance()? {
        header.rows += 1;
        header.unit_fs = gcd(header.unit_fs, row.at_fs as u128);
        if let Some(class) = rows.class()
            && header.classes.last() != Some(&class)
            && !header.classes.contains(&class)
        {
            if header.classes.len() as u128 == MOST_NAMES {
                return Err(InputError::file("", &name, format!("names more than {MOST_NAMES} classes")));
            }
            header.classes.push(class);
        }
    }
    header.left_out = rows.left_out();
    if header.left_out > 0 {
        header.flags |= HAS_LEFT_OUT;
    }
    if header.rows == 0 {
        return Err(InputError::file("", &name, "has a header but no rows"));
    }
    header.unit_fs = header.unit_fs.max(1);
    header.source =
        digest(source).map_err(|e| InputError::file("", &name, format!("cannot be read: {e}")))?;
    Ok(header)
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut hashing = Hashing { inner: File::open(path)?, hasher: Sha256::new() };
    io::copy(&mut hashing, &mut io::sink())?;
    Ok(hashing.hasher.finalize().into())
}

/// Second reading: the file.
fn write_rows(
    source: &Path,
    format: TraceFormat,
    header: &Header,
    file: File,
    unwritten: &dyn Fn(io::Error) -> InputError,
) -> Result<(), InputError> {
    let mut out = BufWriter::new(Hashing { inner: &file, hasher: Sha256::new() });
    header.write(&mut out).map_err(unwritten)?;
    let mut rows = Rows::open(source, format, "", true)?;
    let (mut before_fs, mut count) = (0, 0);
    while let Some(row) = rows.advance()? {
        count += 1;
        let class = rows.class().map(|class| header.classes.iter().position(|c| *c == class));
        if !(row.at_fs as u128).is_multiple_of(header.unit_fs) || class == Some(None) || count > header.rows {
            return Err(InputError::file("", &source.display().to_string(), "changed while it was read"));
        }
        let mut put = |n: u128| write_number(&mut out, n).map_err(unwritten);
        put((row.at_fs - before_fs) as u128 / header.unit_fs)?;
        before_fs = row.at_fs;
        put(row.prompt_tok.into())?;
        put(u128::from(row.answer_tok) + u128::from(row.recorded.thinking_tok.unwrap_or(0)))?;
        if let Some(Some(class)) = class {
            put(class as u128)?;
        }
        if let Some(difficulty) = row.recorded.difficulty {
            put(difficulty as u128)?;
        }
        if let Some(thinking_tok) = row.recorded.thinking_tok {
            put(thinking_tok.into())?;
        }
    }
    let hashing = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
    let digest = hashing.hasher.finalize();
    (&file).write_all(&digest).and_then(|()| file.sync_all()).map_err(unwritten)
}

impl Header {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&self.source)?;
        for n in [self.rows.into(), self.unit_fs, self.flags] {
            write_number(out, n)?;
        }
        if self.left_out > 0 {
            write_number(out, self.left_out.into())?;
        }
        for names in [&self.optional, &self.classes] {
            write_number(out, names.len() as u128)?;
            for name in names {
                write_number(out, name.len() as u128)?;
                out.write_all(name.as_bytes())?;
            }
        }
        Ok(())
    }

    fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        let mut header = Self::default();
        input.read_exact(&mut header.source)?;
        header.rows = u64::try_from(number(input)?).map_err(|_| damaged())?;
        header.unit_fs = number(input)?;
        header.flags = number(input)?;
        if header.flags & HAS_LEFT_OUT != 0 {
            let left_out = u64::try_from(number(input)?).ok().filter(|&n| n > 0);
            header.left_out = left_out.ok_or_else(damaged)?;
        }
        for names in [&mut header.optional, &mut header.classes] {
            for _ in 0..limited(number(input)?)? {
                let mut name = vec![0; limited(number(input)?)?];
                input.read_exact(&mut name)?;
                names.push(String::from_utf8(name).map_err(|_| damaged())?);
            }
        }
        let whole = header.rows > 0 && header.unit_fs > 0 && header.flags < 16;
        let classes = (header.flags & HAS_CLASS != 0) != header.classes.is_empty();
        if magic == *MAGIC && whole && classes { Ok(header) } else { Err(damaged()) }
    }
}

/// A number of names or of their bytes: a changed file must not ask for all memory.
fn limited(n: u128) -> io::Result<usize> {
    if n <= MOST_NAMES { Ok(n as usize) } else { Err(damaged()) }
}

/// The flags of a trace with these columns.
pub(crate) fn flags(class: bool, difficulty: bool, thinking: bool) -> u128 {
    [(class, HAS_CLASS), (difficulty, HAS_DIFFICULTY), (thinking, HAS_THINKING)]
        .into_iter()
        .filter_map(|(has, flag)| has.then_some(flag))
        .sum()
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn write_number(out: &mut impl Write, mut n: u128) -> io::Result<()> {
    let mut bytes = [0; 19];
    let mut length = 0;
    loop {
        bytes[length] = (n & 0x7f) as u8 | if n > 0x7f { 0x80 } else { 0 };
        length += 1;
        n >>= 7;
        if n == 0 {
            return out.write_all(&bytes[..length]);
        }
    }
}

#[inline]
fn number(input: &mut impl BufRead) -> io::Result<u128> {
    let (mut n, mut shift) = (0, 0);
    loop {
        let Some(&byte) = input.fill_buf()?.first() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        input.consume(1);
        n |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(n);
        }
        shift += 7;
        // 17 bytes hold 119 bits: more than any time in femtoseconds.
        if shift > 112 {
            return Err(damaged());
        }
    }
}

/// Adds what passes to a digest.
struct Hashing<T> {
    inner: T,
    hasher: Sha256,
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
