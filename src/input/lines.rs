//! Text input, plain or gzip, one line at a time in bounded memory.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::InputError;

/// Longest line [bytes]; a longer one means that the file is not what its reader takes it for.
pub(super) const LONGEST_LINE: usize = 65_536;

/// A text file, positioned at a line.
pub(crate) struct Lines {
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
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("file", &self.file).field("line", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens `path`, named by the scenario's `field`, before its first line. Gzip is recognised by its first two
    /// bytes, whatever the file's name.
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
        Ok(Self::start(file, field, input))
    }

    /// Text that comes with the program; `file` is its place in the sources.
    pub(super) fn embedded(file: &str, text: &'static str) -> Self {
        Self::start(file.into(), "", Box::new(text.as_bytes()))
    }

    fn start(file: String, field: &str, input: Box<dyn Read + Send>) -> Self {
        Self {
            field: field.into(),
            file,
            input,
            buffer: vec![0; 2 * LONGEST_LINE],
            next: 0,
            filled: 0,
            at_end: false,
            line: (0, 0),
            number: 0,
        }
    }

    /// The current line without its end.
    #[inline]
    pub(crate) fn current(&self) -> &[u8] {
        &self.buffer[self.line.0..self.line.1]
    }

    /// Number of the current line, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Leaves the first `bytes` of the current line out.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.line.0 = (self.line.0 + bytes).min(self.line.1);
    }

    /// An error about the current line.
    pub(crate) fn bad_line(&self, message: String) -> InputError {
        InputError { line: Some(self.number), column: Some(1), ..self.bad_file(message) }
    }

    /// An error about what stands after the first `bytes` of the current line.
    pub(crate) fn bad_at(&self, bytes: usize, message: String) -> InputError {
        let before = &self.current()[..bytes.min(self.current().len())];
        // Characters, not bytes: continuation bytes of UTF-8 do not count.
        let column = before.iter().filter(|&&b| b & 0xc0 != 0x80).count() as u64 + 1;
        InputError { column: Some(column), ..self.bad_line(message) }
    }

    /// An error about the file as a whole.
    pub(crate) fn bad_file(&self, message: String) -> InputError {
        InputError::file(&self.field, &self.file, message)
    }

    /// Goes to the next line; `false` at the end of the file. After an error other than a long line that has an
    /// end, nothing more comes.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, InputError> {
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
                self.give_up();
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

    /// Nothing more can be read.
    fn give_up(&mut self) {
        self.next = self.filled;
        self.line = (self.filled, self.filled);
        self.at_end = true;
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
                    self.give_up();
                    return Err(self.bad_line(format!("the file cannot be read on from here: {e}")));
                }
            }
            return Ok(());
        }
    }
}
