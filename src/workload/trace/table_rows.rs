//! Rows of a trace in CSV.

use super::Row;
use super::layout::{CLASS, Clock, DIFFICULTY, Layout, THINKING};
use crate::catalog::Difficulty;
use crate::input::{InputError, Table, shorten};
use crate::scenario::suggestion;
use crate::scenario::types::TraceFormat;
use crate::workload::arrivals::{instant, parse_instant};
use crate::workload::lengths::parse_tok;
use crate::workload::reasoning::Recorded;
use crate::workload::time::{FS_PER_S, LATEST_S, fs_to_seconds, parse_stamp};

/// Rows of a CSV in order.
#[derive(Debug)]
pub(super) struct TableRows {
    table: Table,
    layout: &'static Layout,
    /// Columns of time, prompt and output.
    columns: [usize; 3],
    class_column: Option<usize>,
    model_column: Option<usize>,
    difficulty_column: Option<usize>,
    thinking_column: Option<usize>,
    /// The first stamp; none where time is counted from the start.
    origin_fs: Option<i128>,
    before_fs: i128,
    left_out: u64,
}

impl TableRows {
    /// `thinks`: also reads difficulty and recorded thought where there are such columns.
    pub(super) fn new(table: Table, format: TraceFormat, thinks: bool) -> Result<Self, InputError> {
        let layout = Layout::of(&table, format)?;
        let columns = layout.columns(&table)?;
        let extra = |name: &str, read: bool| if read { table.column(name) } else { None };
        let class_column = extra(CLASS, layout.extras);
        let difficulty_column = extra(DIFFICULTY, layout.extras && thinks);
        let thinking_column = extra(THINKING, layout.extras && thinks);
        let model_column = layout.model.and_then(|name| table.column(name));
        Ok(Self {
            table,
            layout,
            columns,
            class_column,
            model_column,
            difficulty_column,
            thinking_column,
            origin_fs: None,
            before_fs: 0,
            left_out: 0,
        })
    }

    pub(super) fn layout(&self) -> &'static Layout {
        self.layout
    }

    pub(super) fn optional(&self) -> Vec<String> {
        let always = |i: usize| self.columns.contains(&i) || self.class_column == Some(i);
        let header = self.table.header().iter().enumerate();
        header.filter(|&(i, _)| !always(i)).map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn has_classes(&self) -> bool {
        self.class_column.is_some()
    }

    pub(super) fn has_models(&self) -> bool {
        self.model_column.is_some()
    }

    pub(super) fn has_difficulty(&self) -> bool {
        self.difficulty_column.is_some()
    }

    pub(super) fn has_thinking(&self) -> bool {
        self.thinking_column.is_some()
    }

    pub(super) fn class(&self) -> Option<String> {
        self.class_column.map(|c| self.table.text(c))
    }

    pub(super) fn model(&self) -> Option<String> {
        self.model_column.map(|c| self.table.text(c))
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn origin_fs(&self) -> Option<i128> {
        self.origin_fs
    }

    pub(super) fn bad_time(&self, problem: &str) -> InputError {
        self.table.bad_value(self.columns[0], problem)
    }

    pub(super) fn bad_file(&self, message: String) -> InputError {
        self.table.bad_file(message)
    }

    /// Whether the current row belongs to the workload class `name`.
    #[inline]
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.class_column.is_none_or(|c| {
            self.table.bytes(c) == name.as_bytes() || (name.contains('"') && self.table.text(c) == name)
        })
    }

    /// The next row.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<Row>, InputError> {
        loop {
            if !self.table.advance()? {
                return Ok(None);
            }
            let at_fs = self.at_fs()?;
            if at_fs < self.before_fs {
                let before = fs_to_seconds(self.before_fs);
                return Err(self.bad_time(&format!(
                    "is earlier than the row before it ({before} s); sort the rows by time"
                )));
            }
            self.before_fs = at_fs;
            let [_, prompt, output] = self.columns;
            if self.layout.has_failed && (self.is_zero(prompt) || self.is_zero(output)) {
                self.left_out += 1;
                continue;
            }
            let prompt_tok = parse_tok(&self.table, prompt)?;
            let output_tok = parse_tok(&self.table, output)?;
            let recorded = Recorded {
                difficulty: self.difficulty_column.map(|c| self.difficulty(c)).transpose()?,
                thinking_tok: self.thinking_column.map(|c| self.thinking(c, output_tok)).transpose()?,
            };
            let answer_tok = output_tok - recorded.thinking_tok.unwrap_or(0);
            return Ok(Some(Row { at_fs, prompt_tok, answer_tok, recorded }));
        }
    }

    /// Time of the current row from the start of the trace [fs].
    #[inline]
    fn at_fs(&mut self) -> Result<i128, InputError> {
        let time = self.columns[0];
        match self.layout.clock {
            Clock::Seconds => parse_instant(&self.table, time),
            Clock::Milliseconds => {
                instant(self.table.bytes(time), 12).map_err(|problem| self.bad_time(&problem))
            }
            Clock::Stamps => self.stamp_fs(),
        }
    }

    #[inline]
    fn stamp_fs(&mut self) -> Result<i128, InputError> {
        let time = self.columns[0];
        let stamp = parse_stamp(self.table.bytes(time)).map_err(|e| {
            let wanted = "a time stamp like 2023-11-16 18:15:46.6805900";
            self.table.bad_value(time, &format!("is not {wanted}: {}", shorten(&e, 120)))
        })?;
        let origin = *self.origin_fs.get_or_insert(stamp);
        if stamp - origin < self.before_fs {
            let by = fs_to_seconds(self.before_fs + origin - stamp);
            return Err(
                self.bad_time(&format!("is {by} s earlier than the row before it; sort the rows by time"))
            );
        }
        if stamp - origin > LATEST_S * FS_PER_S {
            return Err(self.bad_time(&format!("is more than {LATEST_S} s after the first row")));
        }
        Ok(stamp - origin)
    }

    /// Whether column `i` holds a zero, however it is written.
    fn is_zero(&self, i: usize) -> bool {
        is_zero(self.table.bytes(i))
    }

    fn difficulty(&self, column: usize) -> Result<Difficulty, InputError> {
        let bytes = self.table.bytes(column);
        Difficulty::ALL.into_iter().find(|d| d.name().as_bytes() == bytes).ok_or_else(|| {
            let text = String::from_utf8_lossy(bytes);
            let known = suggestion(&text, Difficulty::ALL.map(Difficulty::name));
            self.table.bad_value(column, &format!("is no difficulty{known}"))
        })
    }

    /// Recorded thought; it leaves at least one token of `output_tok` for the answer.
    fn thinking(&self, column: usize, output_tok: u32) -> Result<u32, InputError> {
        let thinking_tok = if self.is_zero(column) { 0 } else { parse_tok(&self.table, column)? };
        if thinking_tok >= output_tok {
            return Err(self.table.bad_value(
                column,
                &format!("must be below output_tok ({output_tok}): thinking is a part of the output, and an answer follows it"),
            ));
        }
        Ok(thinking_tok)
    }
}

/// Whether `text` is a zero: `0`, `0.0`.
#[inline]
fn is_zero(text: &[u8]) -> bool {
    text.first() == Some(&b'0') && text.iter().all(|b| matches!(b, b'0' | b'.'))
}
