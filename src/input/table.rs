//! CSV input, plain or gzip, one line at a time in bounded memory.
//!
//! Not the `csv` crate: its records have no upper length (an unclosed quote or a file without line
//! ends would be read into memory whole), and its positions name a record, not a character. What
//! these files need is small: one record a line, commas, optional quotes.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::InputError;

/// Longest line [bytes]; a longer one means that the file is not a table.
const LONGEST_LINE: usize = 65_536;

/// A CSV file with a header, positioned at a row.
pub(crate) struct Table {
    field: String,
    file: String,
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Bytes `next..filled` of the buffer are still to be read.
    next: usize,
    filled: usize,
    at_end: bool,
    /// The current line in the buffer, without its end.
    line: (usize, usize),
    number: u64,
    header: Vec<String>,
    /// The current row's fields, relative to the line.
    fields: Vec<(u32, u32)>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("file", &self.file).field("line", &self.number).finish_non_exhaustive()
    }
}

impl Table {
    /// Opens `path`, named by the scenario's `field`, and reads its header. Gzip is recognised by
    /// its first two bytes, whatever the file's name.
    pub(crate) fn open(path: &Path, field: &str) -> Result<Self, InputError> {
        let file = path.display().to_string();
        let fail = |message: String| InputError::file(field, &file, message);
        let metadata = std::fs::metadata(path).map_err(|e| fail(format!("cannot be opened: {e}")))?;
        if !metadata.is_file() {
            // A pipe could not be read twice, which validation before the run needs.
            return Err(fail("is not a regular file; give a .csv or .csv.gz".into()));
        }
        let mut source = File::open(path).map_err(|e| fail(format!("cannot be opened: {e}")))?;
        let mut magic = Vec::with_capacity(2);
        source.by_ref().take(2).read_to_end(&mut magic).map_err(|e| fail(format!("cannot be read: {e}")))?;
        let gzip = magic == [0x1f, 0x8b];
        let source = Cursor::new(magic).chain(source);
        let input: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        Self::start(file, field, input)
    }

    /// A table that comes with the program; `file` is its place in the sources.
    pub(crate) fn embedded(file: &str, text: &'static str) -> Result<Self, InputError> {
        Self::start(file.into(), "", Box::new(text.as_bytes()))
    }

    fn start(file: String, field: &str, input: Box<dyn Read + Send>) -> Result<Self, InputError> {
        let mut table = Self {
            field: field.into(),
            file,
            input,
            buffer: vec![0; 2 * LONGEST_LINE],
            next: 0,
            filled: 0,
            at_end: false,
            line: (0, 0),
            number: 0,
            header: Vec::new(),
            fields: Vec::new(),
        };
        table.read_header()?;
        Ok(table)
    }

    fn read_header(&mut self) -> Result<(), InputError> {
        if !self.next_line()? {
            return Err(InputError::file(&self.field, &self.file, "is empty; a CSV with a header is needed"));
        }
        if self.current().starts_with(b"\xef\xbb\xbf") {
            self.line.0 += 3;
        }
        let text = std::str::from_utf8(self.current())
            .ok()
            .filter(|t| !t.contains(|c: char| c.is_control() && c != '\t'));
        if text.is_none() {
            return Err(self.bad_line("is not text; a CSV (or CSV.gz) with a header is needed".into()));
        }
        self.split()?;
        self.header = (0..self.fields.len()).map(|i| self.text(i)).collect();
        for (i, name) in self.header.iter().enumerate() {
            if self.header[..i].contains(name) {
                return Err(self.bad(i, format!("the column `{name}` appears twice")));
            }
        }
        Ok(())
    }

    /// The header's names.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// Number of the column `name`.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|h| h == name)
    }

    /// Number of the column `name`, or an error that shows the header.
    pub(crate) fn require(&self, name: &str) -> Result<usize, InputError> {
        self.column(name).ok_or_else(|| {
            self.bad_header(format!("there is no column `{name}`; the header is `{}`", self.shown_header()))
        })
    }

    /// The header for an error message.
    pub(crate) fn shown_header(&self) -> String {
        shorten(&self.header.join(","), 200)
    }

    /// Goes to the next row; `false` at the end. Blank lines are skipped.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, InputError> {
        loop {
            if !self.next_line()? {
                return Ok(false);
            }
            if !self.current().trim_ascii().is_empty() {
                break;
            }
        }
        self.split()?;
        if self.fields.len() != self.header.len() {
            let (found, wanted) = (self.fields.len(), self.header.len());
            return Err(self.bad_line(format!(
                "the row has {found} field{}, the header {wanted}",
                if found == 1 { "" } else { "s" }
            )));
        }
        Ok(true)
    }

    /// Bytes of field `i` of the current row, without surrounding blanks and quotes.
    #[inline]
    pub(crate) fn bytes(&self, i: usize) -> &[u8] {
        let (start, end) = self.fields[i];
        let field = self.current()[start as usize..end as usize].trim_ascii();
        match field {
            [b'"', inner @ .., b'"'] => inner,
            _ => field,
        }
    }

    /// Field `i` of the current row as text; doubled quotes are single ones.
    pub(crate) fn text(&self, i: usize) -> String {
        String::from_utf8_lossy(self.bytes(i)).replace("\"\"", "\"")
    }

    /// An error about field `i` of the current row.
    pub(crate) fn bad(&self, i: usize, message: String) -> InputError {
        let start = self.fields.get(i).map_or(0, |f| f.0 as usize);
        let before = &self.current()[..start.min(self.current().len())];
        // Characters, not bytes: continuation bytes of UTF-8 do not count.
        let column = before.iter().filter(|&&b| b & 0xc0 != 0x80).count() as u64 + 1;
        InputError { column: Some(column), ..self.bad_line(message) }
    }

    /// An error about field `i` of the current row, which it shows.
    pub(crate) fn bad_value(&self, i: usize, problem: &str) -> InputError {
        let value = shorten(&self.text(i), 40);
        let name = &self.header[i];
        self.bad(
            i,
            if value.is_empty() {
                format!("`{name}` is empty")
            } else {
                format!("`{name}` = `{value}` {problem}")
            },
        )
    }

    /// Number of the current line, from 1 (the header).
    pub(crate) fn line(&self) -> u64 {
        self.number
    }

    /// An error about the current line.
    pub(crate) fn bad_line(&self, message: String) -> InputError {
        InputError {
            line: Some(self.number),
            column: Some(1),
            ..InputError::file(&self.field, &self.file, message)
        }
    }

    /// An error about the header.
    pub(crate) fn bad_header(&self, message: String) -> InputError {
        InputError { line: Some(1), ..self.bad_line(message) }
    }

    /// An error about the file as a whole.
    pub(crate) fn bad_file(&self, message: String) -> InputError {
        InputError::file(&self.field, &self.file, message)
    }

    #[inline]
    fn current(&self) -> &[u8] {
        &self.buffer[self.line.0..self.line.1]
    }

    /// Reads one line into the buffer; `false` at the end of the file.
    #[inline]
    fn next_line(&mut self) -> Result<bool, InputError> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.next..self.filled];
            if let Some(at) = unread[searched..].iter().position(|&b| b == b'\n') {
                let (start, end) = (self.next, self.next + searched + at);
                self.next = end + 1;
                self.number += 1;
                self.set_line(start, end)?;
                return Ok(true);
            }
            searched = unread.len();
            if searched > LONGEST_LINE + 1 {
                self.number += 1;
                self.line = (self.next, self.next);
                return Err(self.too_long());
            }
            if self.at_end {
                if searched == 0 {
                    return Ok(false);
                }
                let (start, end) = (self.next, self.filled);
                self.next = end;
                self.number += 1;
                self.set_line(start, end)?;
                return Ok(true);
            }
            self.fill()?;
        }
    }

    #[inline]
    fn set_line(&mut self, start: usize, end: usize) -> Result<(), InputError> {
        let end = if end > start && self.buffer[end - 1] == b'\r' { end - 1 } else { end };
        self.line = (start, end);
        if end - start > LONGEST_LINE { Err(self.too_long()) } else { Ok(()) }
    }

    fn too_long(&self) -> InputError {
        self.bad_line(format!("the line is longer than {LONGEST_LINE} bytes; this is not a table of numbers"))
    }

    #[cold]
    fn fill(&mut self) -> Result<(), InputError> {
        self.buffer.copy_within(self.next..self.filled, 0);
        self.filled -= self.next;
        self.next = 0;
        self.line = (0, 0);
        loop {
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.at_end = true,
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.number += 1;
                    return Err(self.bad_line(format!("the file cannot be read on from here: {e}")));
                }
            }
            return Ok(());
        }
    }

    /// Splits the current line at its commas.
    #[inline]
    fn split(&mut self) -> Result<(), InputError> {
        self.fields.clear();
        let line = &self.buffer[self.line.0..self.line.1];
        let mut start = 0;
        loop {
            // A comma inside quotes does not separate; quotes only count at the start of a field.
            let mut at = start;
            if line.get(start) == Some(&b'"') {
                at = start + 1;
                loop {
                    match line[at..].iter().position(|&b| b == b'"') {
                        Some(q) if line.get(at + q + 1) == Some(&b'"') => at += q + 2,
                        Some(q) => break at += q + 1,
                        None => {
                            self.fields.push((start as u32, line.len() as u32));
                            let i = self.fields.len() - 1;
                            return Err(
                                self.bad(i, "a quote opens here and does not close on this line".into())
                            );
                        }
                    }
                }
            }
            match line[at..].iter().position(|&b| b == b',') {
                Some(comma) => {
                    self.fields.push((start as u32, (at + comma) as u32));
                    start = at + comma + 1;
                }
                None => {
                    self.fields.push((start as u32, line.len() as u32));
                    return Ok(());
                }
            }
        }
    }
}

/// At most `most` characters of `text`, control characters made visible.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .take(most)
        .map(|c| if c.is_control() || c == '\u{fffd}' { '\u{b7}' } else { c })
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}
