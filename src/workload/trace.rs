//! Replay of recorded requests.
//!
//! Formats are known by their header: wattmill's own,
//! `arrival_s,prompt_tok,output_tok[,class,difficulty,thinking_tok]` with seconds from the start of the
//! run, and that of the Azure traces,
//! `TIMESTAMP,ContextTokens,GeneratedTokens`, with calendar stamps taken relative to the first row. Records of a
//! served trace, `arrival_s,input_tokens,output_tokens` and what was measured, are read like wattmill's own.
//! The last two columns are read for classes with `difficulty`. `thinking_tok` is the recorded thought, a
//! part of `output_tok`: it is what the problem needs, of which the replayed class spends what its own
//! budget allows. Without the column, `output_tok` is the answer and the needed thought is drawn.
//!
//! A third is the binary copy of either that [`super::cache`] makes, known by its first bytes.
//!
//! A file is read twice, row by row: once to check it and take its moments, once to replay it.

use std::path::{Path, PathBuf};

use super::Moments;
use super::arrivals::parse_instant;
use super::cache::{self, Cache};
use super::lengths::parse_tok;
use super::random::Key;
use super::reasoning::{Attempt, Recorded, Thinking};
use super::time::{FS_PER_S, LATEST_S, Ratio, fs_to_seconds, parse_stamp};
use crate::catalog::Difficulty;
use crate::input::{InputError, Table, shorten};
use crate::scenario::suggestion;
use crate::scenario::types::{ByDifficulty, TraceFormat, TraceReplay};

/// Columns of wattmill's own format.
pub(crate) const OWN: [&str; 3] = ["arrival_s", "prompt_tok", "output_tok"];
/// Columns of the Azure LLM inference traces.
const AZURE: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
/// Columns of records of a served trace.
const SERVED: [&str; 3] = ["arrival_s", "input_tokens", "output_tokens"];
const CLASS: &str = "class";
const DIFFICULTY: &str = "difficulty";
const THINKING: &str = "thinking_tok";

/// One row, its time as recorded (before `speed_up`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) at_fs: i128,
    pub(crate) prompt_tok: u32,
    /// Output without recorded thought.
    pub(crate) answer_tok: u32,
    pub(crate) recorded: Recorded,
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
        let source = if cache::is_cache(path) {
            if format != TraceFormat::Auto {
                return Err(InputError::file(
                    field,
                    &path.display().to_string(),
                    "is a trace cache, which knows its columns; write `format: auto`",
                ));
            }
            Source::Cache(Cache::open(path, field)?)
        } else {
            Source::Table(TableRows::open(path, format, field, thinks)?)
        };
        Ok(Self { source, thinks })
    }

    /// Names of the columns that are not read.
    fn unused(&self) -> Vec<String> {
        let read = |name: &String| {
            (name == DIFFICULTY && self.brings_difficulty()) || (name == THINKING && self.brings_thinking())
        };
        self.optional().into_iter().filter(|name| !read(name)).collect()
    }

    /// Names of the columns that are not read for classes without difficulty.
    pub(crate) fn optional(&self) -> Vec<String> {
        match &self.source {
            Source::Table(rows) => rows.optional(),
            Source::Cache(cache) => cache.optional().to_vec(),
        }
    }

    /// What else rows bring, as a cache writes it.
    pub(crate) fn flags(&self) -> u128 {
        let class = match &self.source {
            Source::Table(rows) => rows.class_column.is_some(),
            Source::Cache(cache) => cache.has_classes(),
        };
        cache::flags(class, self.brings_difficulty(), self.brings_thinking())
    }

    /// Whether rows bring their difficulty, and it is read.
    fn brings_difficulty(&self) -> bool {
        match &self.source {
            Source::Table(rows) => rows.difficulty_column.is_some(),
            Source::Cache(cache) => self.thinks && cache.has_difficulty(),
        }
    }

    /// Whether rows bring their thought, and it is read.
    fn brings_thinking(&self) -> bool {
        match &self.source {
            Source::Table(rows) => rows.thinking_column.is_some(),
            Source::Cache(cache) => self.thinks && cache.has_thinking(),
        }
    }

    /// The class of the current row, if the trace names classes.
    pub(crate) fn class(&self) -> Option<String> {
        match &self.source {
            Source::Table(rows) => rows.class_column.map(|c| rows.table.text(c)),
            Source::Cache(cache) => cache.has_classes().then(|| cache.class().to_owned()),
        }
    }

    /// Whether the current row belongs to the workload class `name`.
    #[inline]
    fn is_of(&self, name: &str) -> bool {
        match &self.source {
            Source::Table(rows) => rows.is_of(name),
            Source::Cache(cache) => !cache.has_classes() || cache.class() == name,
        }
    }

    /// The next row.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<Row>, InputError> {
        match &mut self.source {
            Source::Table(rows) => rows.advance(),
            Source::Cache(cache) => cache.advance(self.thinks),
        }
    }

    /// An error about the time of the current row.
    fn bad_time(&self, problem: &str) -> InputError {
        match &self.source {
            Source::Table(rows) => rows.table.bad_value(rows.columns[0], problem),
            Source::Cache(cache) => cache.bad_row(problem),
        }
    }

    /// An error about the file as a whole.
    fn bad_file(&self, message: String) -> InputError {
        match &self.source {
            Source::Table(rows) => rows.table.bad_file(message),
            Source::Cache(cache) => cache.bad_file(message),
        }
    }
}

/// Rows of a CSV in order.
#[derive(Debug)]
struct TableRows {
    table: Table,
    columns: [usize; 3],
    class_column: Option<usize>,
    difficulty_column: Option<usize>,
    thinking_column: Option<usize>,
    format: TraceFormat,
    /// The first stamp; zero in the own format.
    origin_fs: Option<i128>,
    before_fs: i128,
}

impl TableRows {
    /// `thinks`: also reads difficulty and recorded thought where there are such columns.
    fn open(path: &Path, format: TraceFormat, field: &str, thinks: bool) -> Result<Self, InputError> {
        let table = Table::open(path, field)?;
        let format = match format {
            TraceFormat::Auto if table.column(AZURE[0]).is_some() => TraceFormat::Azure,
            TraceFormat::Auto if SERVED.iter().all(|name| table.column(name).is_some()) => {
                TraceFormat::Served
            }
            TraceFormat::Auto if table.column(OWN[0]).is_some() => TraceFormat::Wattmill,
            TraceFormat::Auto => {
                return Err(table.bad_header(format!(
                    "the header `{}` is of no known trace; known are `{}[,{CLASS},{DIFFICULTY},{THINKING}]` (wattmill), `{}` (served) and `{}` (azure)",
                    table.shown_header(),
                    OWN.join(","),
                    SERVED.join(","),
                    AZURE.join(",")
                )));
            }
            known => known,
        };
        let names = match format {
            TraceFormat::Azure => AZURE,
            TraceFormat::Served => SERVED,
            TraceFormat::Auto | TraceFormat::Wattmill => OWN,
        };
        let columns = [table.require(names[0])?, table.require(names[1])?, table.require(names[2])?];
        let class_column = if format == TraceFormat::Azure { None } else { table.column(CLASS) };
        let extra =
            |name: &str| if thinks && format != TraceFormat::Azure { table.column(name) } else { None };
        let (difficulty_column, thinking_column) = (extra(DIFFICULTY), extra(THINKING));
        Ok(Self {
            table,
            columns,
            class_column,
            difficulty_column,
            thinking_column,
            format,
            origin_fs: None,
            before_fs: 0,
        })
    }

    fn optional(&self) -> Vec<String> {
        let always = |i: usize| self.columns.contains(&i) || self.class_column == Some(i);
        let header = self.table.header().iter().enumerate();
        header.filter(|&(i, _)| !always(i)).map(|(_, name)| name.clone()).collect()
    }

    /// Whether the current row belongs to the workload class `name`.
    #[inline]
    fn is_of(&self, name: &str) -> bool {
        self.class_column.is_none_or(|c| {
            self.table.bytes(c) == name.as_bytes() || (name.contains('"') && self.table.text(c) == name)
        })
    }

    /// The next row.
    #[inline]
    fn advance(&mut self) -> Result<Option<Row>, InputError> {
        if !self.table.advance()? {
            return Ok(None);
        }
        let [time, prompt, output] = self.columns;
        let at_fs = if self.format == TraceFormat::Azure {
            let stamp = parse_stamp(self.table.bytes(time)).map_err(|e| {
                let wanted = "a time stamp like 2023-11-16 18:15:46.6805900";
                self.table.bad_value(time, &format!("is not {wanted}: {}", shorten(&e, 120)))
            })?;
            let origin = *self.origin_fs.get_or_insert(stamp);
            if stamp - origin < self.before_fs {
                let by = fs_to_seconds(self.before_fs + origin - stamp);
                return Err(self.table.bad_value(
                    time,
                    &format!("is {by} s earlier than the row before it; sort the rows by time"),
                ));
            }
            if stamp - origin > LATEST_S * FS_PER_S {
                return Err(self
                    .table
                    .bad_value(time, &format!("is more than {LATEST_S} s after the first row")));
            }
            stamp - origin
        } else {
            parse_instant(&self.table, time)?
        };
        if at_fs < self.before_fs {
            let before = fs_to_seconds(self.before_fs);
            return Err(self.table.bad_value(
                time,
                &format!("is earlier than the row before it ({before} s); sort the rows by time"),
            ));
        }
        self.before_fs = at_fs;
        let prompt_tok = parse_tok(&self.table, prompt)?;
        let output_tok = parse_tok(&self.table, output)?;
        let recorded = Recorded {
            difficulty: self.difficulty_column.map(|c| self.difficulty(c)).transpose()?,
            thinking_tok: self.thinking_column.map(|c| self.thinking(c, output_tok)).transpose()?,
        };
        let answer_tok = output_tok - recorded.thinking_tok.unwrap_or(0);
        Ok(Some(Row { at_fs, prompt_tok, answer_tok, recorded }))
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
        let bytes = self.table.bytes(column);
        let zero = bytes.first() == Some(&b'0') && bytes.iter().all(|b| matches!(b, b'0' | b'.'));
        let thinking_tok = if zero { 0 } else { parse_tok(&self.table, column)? };
        if thinking_tok >= output_tok {
            return Err(self.table.bad_value(
                column,
                &format!("must be below output_tok ({output_tok}): thinking is a part of the output, and an answer follows it"),
            ));
        }
        Ok(thinking_tok)
    }
}

/// A checked trace of one class.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    path: PathBuf,
    field: String,
    format: TraceFormat,
    class: String,
    copies: u64,
    /// A further copy is made of rows whose own draw is below this, of 2⁶⁴.
    keep_below: u64,
    speed_up: Ratio,
    pub(crate) scale: f64,
    /// Rows of this class.
    pub(crate) rows: u64,
    /// Of them, rows that arrive within the run if its length is given.
    pub(crate) rows_inside: u64,
    /// Arrival of the last of them [fs].
    pub(crate) last_fs: i128,
    /// Moments of rows not flagged hard, and of those flagged hard.
    pub(crate) moments: [Moments; 2],
    /// Shares of the difficulties it records for this class.
    pub(crate) share: Option<ByDifficulty>,
    thinks: bool,
    /// Whether it records thought for this class.
    pub(crate) records_thinking: bool,
    pub(crate) notes: Vec<String>,
}

impl Trace {
    /// Reads and checks a whole trace; `field` is the path of `trace` in the scenario,
    /// `duration_fs` the length of the run if it is given.
    pub(crate) fn open(
        replay: &TraceReplay,
        class: &str,
        field: &str,
        base_dir: &Path,
        duration_fs: Option<i128>,
        thinking: Option<&Thinking>,
    ) -> Result<Self, InputError> {
        if !(0.0..=1e6).contains(&replay.scale) {
            return Err(InputError::field(
                format!("{field}.scale"),
                format!("is {}; it must lie in 0..=1e6 requests per row", replay.scale),
            ));
        }
        let speed_up = Some(replay.speed_up)
            .filter(|s| (1e-6..=1e6).contains(s))
            .and_then(Ratio::from_f64)
            .ok_or_else(|| {
            InputError::field(
                format!("{field}.speed_up"),
                format!("is {}; it must lie in 1e-6..=1e6 (2 replays in half the time)", replay.speed_up),
            )
        })?;
        let path = base_dir.join(&replay.path);
        let path_field = format!("{field}.path");
        let mut rows = Rows::open(&path, replay.format, &path_field, thinking.is_some())?;
        if let Some(thinking) = thinking {
            let class_field = field.strip_suffix(".arrivals.trace").unwrap_or(field);
            match (thinking.draws_difficulty(), rows.brings_difficulty()) {
                (true, true) => {
                    return Err(InputError::field(
                        format!("{class_field}.difficulty.share"),
                        "must be left out: the trace brings its own `difficulty` column",
                    ));
                }
                (false, false) => {
                    return Err(InputError::field(
                        format!("{class_field}.difficulty"),
                        "share is missing, and the trace has no `difficulty` column",
                    ));
                }
                _ => {}
            }
        }
        let mut trace = Self {
            path,
            field: path_field,
            format: replay.format,
            class: class.into(),
            copies: replay.scale as u64,
            // Exact: the product by a power of two; the cast saturates.
            keep_below: (replay.scale.fract() * 18_446_744_073_709_551_616.0) as u64,
            speed_up,
            scale: replay.scale,
            rows: 0,
            rows_inside: 0,
            last_fs: 0,
            moments: [Moments::default(); 2],
            share: None,
            thinks: thinking.is_some(),
            records_thinking: rows.brings_thinking(),
            notes: Vec::new(),
        };
        let mut others: Vec<String> = Vec::new();
        let mut any = false;
        let mut difficulties = [0_u64; 3];
        while let Some(row) = rows.advance()? {
            any = true;
            if !rows.is_of(class) {
                if others.len() < 8
                    && let Some(other) = rows.class()
                    && !others.contains(&other)
                {
                    others.push(other);
                }
                continue;
            }
            let (thinking_tok, attempt) = match thinking {
                Some(thinking) => thinking.draw(trace.rows, row.recorded),
                None => (0, Attempt::NONE),
            };
            if let Some(difficulty) = row.recorded.difficulty {
                difficulties[difficulty as usize] += 1;
            }
            trace.rows += 1;
            trace.last_fs = trace.replayed_at(&row, &rows)?;
            if duration_fs.is_none_or(|d| trace.last_fs <= d) {
                trace.rows_inside += 1;
            }
            let flagged = usize::from(attempt.flagged_hard());
            trace.moments[flagged].add(row.prompt_tok, thinking_tok + row.answer_tok);
        }
        if !any {
            return Err(rows.bad_file("has a header but no rows".into()));
        }
        if trace.rows == 0 {
            let others: Vec<String> = others.iter().map(|o| format!("`{}`", shorten(o, 40))).collect();
            return Err(rows.bad_file(format!(
                "has no row of class `{class}` (the name of the workload class); its classes: {}",
                others.join(", ")
            )));
        }
        let of_rows = |count: u64| count as f64 / trace.rows as f64;
        trace.share = rows.brings_difficulty().then(|| {
            let [easy, medium, hard] = difficulties.map(of_rows);
            ByDifficulty { easy, medium, hard }
        });
        let unused = rows.unused();
        if !unused.is_empty() {
            let s = if unused.len() == 1 { "" } else { "s" };
            trace.notes.push(format!(
                "{}: column{s} not used: {}",
                trace.path.display(),
                shorten(&unused.join(", "), 200)
            ));
        }
        if trace.rows_inside < trace.rows {
            trace.notes.push(format!(
                "{}: {} of {} rows of class `{class}` arrive after duration_s and are not replayed",
                trace.path.display(),
                trace.rows - trace.rows_inside,
                trace.rows
            ));
        } else if let Some(d) = duration_fs
            && trace.last_fs < d / 100 * 99
        {
            trace.notes.push(format!(
                "{}: ends at {} s; no request of class `{class}` arrives in the remaining {} s of the run",
                trace.path.display(),
                fs_to_seconds(trace.last_fs),
                fs_to_seconds(d - trace.last_fs)
            ));
        }
        Ok(trace)
    }

    #[inline]
    fn replayed_at(&self, row: &Row, rows: &Rows) -> Result<i128, InputError> {
        self.speed_up
            .divide(row.at_fs)
            .filter(|&t| t <= LATEST_S * FS_PER_S)
            .ok_or_else(|| rows.bad_time(&format!("is replayed beyond {LATEST_S} s with this speed_up")))
    }

    /// Opens the trace again for replay.
    pub(crate) fn replay(&self, thin: Key) -> Result<Replay, InputError> {
        Ok(Replay {
            rows: Rows::open(&self.path, self.format, &self.field, self.thinks)?,
            trace: self.clone(),
            thin,
            number: 0,
            current: Row { at_fs: 0, prompt_tok: 1, answer_tok: 1, recorded: Recorded::default() },
            left: 0,
        })
    }
}

/// A trace being replayed.
#[derive(Debug)]
pub(crate) struct Replay {
    rows: Rows,
    trace: Trace,
    thin: Key,
    number: u64,
    current: Row,
    left: u64,
}

impl Replay {
    /// Goes to the next request: its instant [fs], or `None` at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<i128>, InputError> {
        while self.left == 0 {
            let Some(row) = self.rows.advance()? else { return Ok(None) };
            if !self.rows.is_of(&self.trace.class) {
                continue;
            }
            self.left = self.trace.copies
                + u64::from(self.trace.keep_below > 0 && self.thin.bits(self.number) < self.trace.keep_below);
            self.number += 1;
            self.current = Row { at_fs: self.trace.replayed_at(&row, &self.rows)?, ..row };
        }
        self.left -= 1;
        Ok(Some(self.current.at_fs))
    }

    /// Prompt and answer tokens of the current request, and what else the trace knows of it.
    #[inline]
    pub(crate) fn current(&self) -> (u32, u32, Recorded) {
        (self.current.prompt_tok, self.current.answer_tok, self.current.recorded)
    }
}
