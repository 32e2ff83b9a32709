//! CSV input, plain or gzip, one line at a time in bounded memory.
//!
//! Not the `csv` crate: its records have no upper length (an unclosed quote or a file without line
//! ends would be read into memory whole), and its positions name a record, not a character. What
//! these files need is small: one record a line, commas, optional quotes.

use std::path::Path;

use super::error::InputError;
use super::lines::Lines;

/// A CSV file with a header, positioned at a row.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Lines,
    header: Vec<String>,
    /// The current row's fields, relative to the line.
    fields: Vec<(u32, u32)>,
}

impl Table {
    /// Opens `path`, named by the scenario's `field`, and reads its header. Gzip is recognised by
    /// its first two bytes, whatever the file's name.
    pub(crate) fn open(path: &Path, field: &str) -> Result<Self, InputError> {
        let mut lines = Lines::open(path, field)?;
        let any = lines.advance()?;
        Self::start(lines, any)
    }

    /// A table that comes with the program; `file` is its place in the sources.
    pub(crate) fn embedded(file: &str, text: &'static str) -> Result<Self, InputError> {
        let mut lines = Lines::embedded(file, text);
        let any = lines.advance()?;
        Self::start(lines, any)
    }

    /// The table that begins with the current line, its header; `any`: there is such a line.
    pub(crate) fn start(lines: Lines, any: bool) -> Result<Self, InputError> {
        let mut table = Self { lines, header: Vec::new(), fields: Vec::new() };
        table.read_header(any)?;
        Ok(table)
    }

    /// A table without a header, whose columns have these names; `lines` stands before its first row.
    pub(crate) fn headless(lines: Lines, names: &[&str]) -> Self {
        Self { lines, header: names.iter().map(ToString::to_string).collect(), fields: Vec::new() }
    }

    fn read_header(&mut self, any: bool) -> Result<(), InputError> {
        if !any {
            return Err(self.bad_file("is empty; a CSV with a header is needed".into()));
        }
        if self.lines.current().starts_with(b"\xef\xbb\xbf") {
            self.lines.skip(3);
        }
        let text = std::str::from_utf8(self.lines.current())
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
            if !self.lines.advance()? {
                return Ok(false);
            }
            if !self.lines.current().trim_ascii().is_empty() {
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
        let field = self.lines.current()[start as usize..end as usize].trim_ascii();
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
        self.lines.bad_at(start, message)
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
        self.lines.number()
    }

    /// An error about the current line.
    pub(crate) fn bad_line(&self, message: String) -> InputError {
        self.lines.bad_line(message)
    }

    /// An error about the header.
    pub(crate) fn bad_header(&self, message: String) -> InputError {
        InputError { line: Some(1), ..self.bad_line(message) }
    }

    /// An error about the file as a whole.
    pub(crate) fn bad_file(&self, message: String) -> InputError {
        self.lines.bad_file(message)
    }

    /// Splits the current line at its commas.
    #[inline]
    fn split(&mut self) -> Result<(), InputError> {
        self.fields.clear();
        let line = self.lines.current();
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
