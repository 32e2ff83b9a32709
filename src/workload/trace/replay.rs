//! Replay of recorded requests in a run: a trace checked once, then read again as the run goes on.

use std::path::{Path, PathBuf};

use super::{Row, Rows};
use crate::input::{InputError, shorten};
use crate::scenario::types::{ByDifficulty, TraceFormat, TraceReplay};
use crate::workload::Moments;
use crate::workload::random::Key;
use crate::workload::reasoning::{Attempt, Recorded, Thinking};
use crate::workload::time::{FS_PER_S, LATEST_S, Ratio, fs_to_seconds};

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
        if rows.left_out() > 0 {
            trace.notes.push(format!(
                "{}: {} failed rows without tokens are left out",
                trace.path.display(),
                rows.left_out()
            ));
        }
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
