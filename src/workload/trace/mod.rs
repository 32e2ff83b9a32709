//! Recorded requests: one reader for all formats of traces.
//!
//! | format | known by | time |
//! |---|---|---|
//! | wattmill | `arrival_s,prompt_tok,output_tok[,class,difficulty,thinking_tok]` | seconds from the start of the run |
//! | served | `arrival_s,input_tokens,output_tokens` and what was measured | the same |
//! | azure | `TIMESTAMP,ContextTokens,GeneratedTokens` | calendar stamps, relative to the first row |
//! | mooncake | `timestamp`, `input_length`, `output_length` in JSON Lines, or `timestamp[_ms],…` in a CSV | milliseconds |
//! | burstgpt | `Timestamp,Model,Request tokens,Response tokens,…` | seconds from midnight of the first day |
//!
//! and the binary copy of any of them that [`super::cache`] makes, known by its first bytes.
//!
//! Difficulty and thought are read for classes with `difficulty`. `thinking_tok` is the recorded thought, a
//! part of `output_tok`: it is what the problem needs, of which the replayed class spends what its own
//! budget allows. Without the column, `output_tok` is the answer and the needed thought is drawn. Mooncake's hashes of
//! prompt blocks are not used: no engine here shares prefixes yet.
//!
//! Files are read row by row; a run reads them twice, once to check and take moments, once to replay.

mod json_lines;
mod layout;
mod replay;
mod table_rows;

use std::path::Path;

use super::cache::{self, Cache};
use super::reasoning::Recorded;
use crate::input::{InputError, Lines, Table};
use crate::scenario::types::TraceFormat;
use json_lines::JsonRows;
pub(crate) use layout::{CLASS, DIFFICULTY, OWN, THINKING};
pub(crate) use replay::{Replay, Trace};
use table_rows::TableRows;

/// One row, its time as recorded (before `speed_up`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) at_fs: i128,
    pub(crate) prompt_tok: u32,
    /// Output without recorded thought.
    pub(crate) answer_tok: u32,
    pub(crate) recorded: Recorded,
}

impl Row {
    /// All output, recorded thought included.
    pub(crate) fn output_tok(&self) -> u32 {
        self.answer_tok + self.recorded.thinking_tok.unwrap_or(0)
    }
}

/// Rows of a trace in order.
#[derive(Debug)]
pub(crate) struct Rows {
    source: Source,
    thinks: bool,
}

/// Where rows come from.
#[derive(Debug)]
enum Source {
    Table(TableRows),
    Json(JsonRows),
    Cache(Cache),
}

impl Rows {
    /// `thinks`: also reads difficulty and recorded thought where there are such columns.
    pub(crate) fn open(
        path: &Path,
        format: TraceFormat,
        field: &str,
        thinks: bool,
    ) -> Result<Self, InputError> {
        if cache::is_cache(path) {
            if format != TraceFormat::Auto {
                return Err(InputError::file(
                    field,
                    &path.display().to_string(),
                    "is a trace cache, which knows its columns; write `format: auto`",
                ));
            }
            return Ok(Self { source: Source::Cache(Cache::open(path, field)?), thinks });
        }
        let mut lines = Lines::open(path, field)?;
        let any = lines.advance()?;
        let source = if JsonRows::begins(&lines) {
            if !matches!(format, TraceFormat::Auto | TraceFormat::Mooncake) {
                return Err(lines.bad_line(
                    "is JSON; of the traces only mooncake's are JSON Lines: write `format: auto`".into(),
                ));
            }
            Source::Json(JsonRows::new(lines))
        } else {
            Source::Table(TableRows::new(Table::start(lines, any)?, format, thinks)?)
        };
        Ok(Self { source, thinks })
    }

    /// What the rows are, in words of the format's name.
    pub(crate) fn format(&self) -> &'static str {
        match &self.source {
            Source::Table(rows) => rows.layout().name,
            Source::Json(_) => "mooncake (JSON Lines)",
            Source::Cache(_) => "wattmill trace cache",
        }
    }

    /// Names of the columns that are not read.
    pub(crate) fn unused(&self) -> Vec<String> {
        let read = |name: &String| {
            (name == DIFFICULTY && self.brings_difficulty()) || (name == THINKING && self.brings_thinking())
        };
        self.optional().into_iter().filter(|name| !read(name)).collect()
    }

    /// Names of the columns that are not read for classes without difficulty.
    pub(crate) fn optional(&self) -> Vec<String> {
        match &self.source {
            Source::Table(rows) => rows.optional(),
            Source::Json(rows) => rows.optional(),
            Source::Cache(cache) => cache.optional().to_vec(),
        }
    }

    /// What else rows bring, as a cache writes it.
    pub(crate) fn flags(&self) -> u128 {
        let class = match &self.source {
            Source::Table(rows) => rows.has_classes(),
            Source::Json(_) => false,
            Source::Cache(cache) => cache.has_classes(),
        };
        cache::flags(class, self.brings_difficulty(), self.brings_thinking())
    }

    /// Whether rows bring their difficulty, and it is read.
    pub(crate) fn brings_difficulty(&self) -> bool {
        match &self.source {
            Source::Table(rows) => rows.has_difficulty(),
            Source::Json(_) => false,
            Source::Cache(cache) => self.thinks && cache.has_difficulty(),
        }
    }

    /// Whether rows bring their thought, and it is read.
    pub(crate) fn brings_thinking(&self) -> bool {
        match &self.source {
            Source::Table(rows) => rows.has_thinking(),
            Source::Json(_) => false,
            Source::Cache(cache) => self.thinks && cache.has_thinking(),
        }
    }

    /// The class of the current row, if the trace names classes.
    pub(crate) fn class(&self) -> Option<String> {
        match &self.source {
            Source::Table(rows) => rows.class(),
            Source::Json(_) => None,
            Source::Cache(cache) => cache.has_classes().then(|| cache.class().to_owned()),
        }
    }

    /// The class of the current row, or what the format has instead: the model that was asked.
    pub(crate) fn group(&self) -> Option<String> {
        match &self.source {
            Source::Table(rows) => rows.class().or_else(|| rows.model()),
            _ => self.class(),
        }
    }

    /// Whether [`Self::group`] tells rows apart.
    pub(crate) fn has_groups(&self) -> bool {
        match &self.source {
            Source::Table(rows) => rows.has_classes() || rows.has_models(),
            Source::Json(_) => false,
            Source::Cache(cache) => cache.has_classes(),
        }
    }

    /// Whether the current row belongs to the workload class `name`.
    #[inline]
    fn is_of(&self, name: &str) -> bool {
        match &self.source {
            Source::Table(rows) => rows.is_of(name),
            Source::Json(_) => true,
            Source::Cache(cache) => !cache.has_classes() || cache.class() == name,
        }
    }

    /// Rows so far that stand for failed requests and are no requests here.
    pub(crate) fn left_out(&self) -> u64 {
        match &self.source {
            Source::Table(rows) => rows.left_out(),
            Source::Json(_) => 0,
            Source::Cache(cache) => cache.left_out(),
        }
    }

    /// The calendar instant of time 0, where rows have stamps, once there was a row [fs since 1970, UTC].
    pub(crate) fn origin_fs(&self) -> Option<i128> {
        match &self.source {
            Source::Table(rows) => rows.origin_fs(),
            Source::Json(_) | Source::Cache(_) => None,
        }
    }

    /// Whether time 0 is a midnight by the format's definition.
    pub(crate) fn starts_at_midnight(&self) -> bool {
        matches!(&self.source, Source::Table(rows) if rows.layout().from_midnight)
    }

    /// The next row. After an error in a row, the rows after it can still be read.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<Row>, InputError> {
        match &mut self.source {
            Source::Table(rows) => rows.advance(),
            Source::Json(rows) => rows.advance(),
            Source::Cache(cache) => cache.advance(self.thinks),
        }
    }

    /// Whether there may be rows after an error: not in a damaged cache.
    pub(crate) fn resumes(&self) -> bool {
        !matches!(self.source, Source::Cache(_))
    }

    /// An error about the time of the current row.
    fn bad_time(&self, problem: &str) -> InputError {
        match &self.source {
            Source::Table(rows) => rows.bad_time(problem),
            Source::Json(rows) => rows.bad_time(problem),
            Source::Cache(cache) => cache.bad_row(problem),
        }
    }

    /// An error about the file as a whole.
    pub(crate) fn bad_file(&self, message: String) -> InputError {
        match &self.source {
            Source::Table(rows) => rows.bad_file(message),
            Source::Json(rows) => rows.bad_file(message),
            Source::Cache(cache) => cache.bad_file(message),
        }
    }
}
