//! Public traces into wattmill's own columns, and published request rates into a rate curve.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::describe::ROWS_PER_LOOK;
use super::random::{Key, Purpose};
use super::rates::{self, RateTable};
use super::time::{FS_PER_S, LATEST_S, fs_to_seconds, seconds_to_fs};
use super::trace::{CLASS, DIFFICULTY, OWN, Rows, THINKING};
use super::written::{self, TraceError, Written, quoted};
use crate::input::InputError;
use crate::scenario::types::TraceFormat;

/// What to keep, and what to call it.
#[derive(Debug, Clone)]
pub struct ConvertOptions<'a> {
    /// The format; `Auto` goes by the header.
    pub format: TraceFormat,
    /// Class of all rows; default: the file's own class, or the model that was asked; without either, none.
    pub class: Option<String>,
    /// Requests before this are left out, and this becomes time 0 [s].
    pub from_s: Option<f64>,
    /// Requests from this on are left out [s].
    pub until_s: Option<f64>,
    /// Share of the requests to keep, each by its own draw.
    pub sample: Option<f64>,
    /// Seed of those draws.
    pub seed: u64,
    /// Raised when the work is to stop.
    pub stop: Option<&'a AtomicBool>,
}

impl Default for ConvertOptions<'_> {
    fn default() -> Self {
        Self {
            format: TraceFormat::Auto,
            class: None,
            from_s: None,
            until_s: None,
            sample: None,
            seed: 1,
            stop: None,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Converted {
    /// Requests.
    Trace {
        /// Format that was read.
        format: &'static str,
        /// Good rows read.
        read: u64,
        /// Rows of failed requests, without tokens, left out.
        failed_left_out: u64,
        /// Requests written.
        written: u64,
        /// Columns written.
        columns: Vec<&'static str>,
        /// Columns of the file that were not read.
        columns_not_read: Vec<String>,
    },
    /// Rates.
    RateCurve {
        /// Format that was read.
        format: &'static str,
        /// Files read: one, or one for each client.
        files: u64,
        /// Rows written.
        rows: u64,
        /// Mean of the rates over the table [1/s].
        mean_per_s: f64,
        /// Highest rate [1/s].
        peak_per_s: f64,
        /// Coefficient of variation of the gaps of single clients, weighted by their rates; a rate curve does not keep it.
        client_cv: Option<f64>,
    },
}

/// Converts `from` into `to`, a .csv or .csv.gz: a trace into `arrival_s,prompt_tok,output_tok[,…]`, a table of rates or
/// a folder of ServeGen's clients into `time_s,rate_per_s`.
///
/// # Errors
/// The first bad row, with its place; options that cannot be met; a file that cannot be written; a raised stop flag.
/// Nothing is written then.
pub fn convert(from: &Path, to: &Path, options: &ConvertOptions) -> Result<Converted, TraceError> {
    if options.format == TraceFormat::Auto
        && let Some(table) = rates::read(from)?
    {
        if options.class.is_some() || options.sample.is_some() {
            return Err(InputError::file(
                "",
                &from.display().to_string(),
                "holds rates, not requests: --class and --sample do not apply",
            )
            .into());
        }
        return convert_rates(&table, from, to, options);
    }
    convert_trace(from, to, options)
}

fn limits(options: &ConvertOptions) -> Result<(i128, i128), InputError> {
    let limit = |name: &str, given: Option<f64>, default: i128| match given {
        None => Ok(default),
        Some(s) => seconds_to_fs(s)
            .ok_or_else(|| InputError::field(name, format!("is {s}; expected seconds, 0 to 1e12"))),
    };
    let from_fs = limit("--from-s", options.from_s, 0)?;
    let until_fs = limit("--until-s", options.until_s, LATEST_S * FS_PER_S + 1)?;
    if until_fs <= from_fs {
        return Err(InputError::field(
            "--until-s",
            format!("must be after --from-s ({} s)", fs_to_seconds(from_fs)),
        ));
    }
    Ok((from_fs, until_fs))
}

fn convert_trace(from: &Path, to: &Path, options: &ConvertOptions) -> Result<Converted, TraceError> {
    let (from_fs, until_fs) = limits(options)?;
    let share = options.sample.unwrap_or(1.0);
    if !(share > 0.0 && share <= 1.0) {
        return Err(InputError::field(
            "--sample",
            format!("is {share}; expected a share above 0, at most 1"),
        )
        .into());
    }
    // Exact: the product by a power of two; the cast saturates.
    let keep_below = (share * 18_446_744_073_709_551_616.0) as u64;
    let thin = Key::new(options.seed, Purpose::Thin, 0);
    let mut rows = Rows::open(from, options.format, "", true)?;
    let with_class = options.class.is_some() || rows.has_groups();
    let mut columns = OWN.to_vec();
    for (name, there) in
        [(CLASS, with_class), (DIFFICULTY, rows.brings_difficulty()), (THINKING, rows.brings_thinking())]
    {
        columns.extend(there.then_some(name));
    }
    let (mut read, mut written) = (0_u64, 0_u64);
    written::write(to, |out| {
        out.text(&format!("{}\n", columns.join(",")))?;
        let mut line = String::new();
        while let Some(row) = rows.advance()? {
            let number = read;
            read += 1;
            if read.is_multiple_of(ROWS_PER_LOOK) && options.stop.is_some_and(|s| s.load(Ordering::Relaxed)) {
                return Err(TraceError::Interrupted);
            }
            // All rows are read: a bad one after the end of the window is still a bad trace.
            let inside = (from_fs..until_fs).contains(&row.at_fs);
            if !inside || (share < 1.0 && thin.bits(number) >= keep_below) {
                continue;
            }
            written += 1;
            line.clear();
            push_seconds(&mut line, row.at_fs - from_fs);
            // Writing to a String cannot fail.
            let _ = write!(line, ",{},{}", row.prompt_tok, row.output_tok());
            if with_class {
                let class = options.class.clone().or_else(|| rows.group()).unwrap_or_default();
                let _ = write!(line, ",{}", quoted(&class));
            }
            if let Some(difficulty) = row.recorded.difficulty {
                let _ = write!(line, ",{}", difficulty.name());
            }
            if let Some(thinking_tok) = row.recorded.thinking_tok {
                let _ = write!(line, ",{thinking_tok}");
            }
            line.push('\n');
            out.text(&line)?;
        }
        if written == 0 {
            return Err(rows
                .bad_file(match (read, rows.left_out()) {
                    (0, 0) => "has no rows".into(),
                    (0, failed) => format!("all of its {failed} rows are failed requests"),
                    (read, _) => format!("none of its {read} requests is kept by these options"),
                })
                .into());
        }
        Ok(())
    })?;
    Ok(Converted::Trace {
        format: rows.format(),
        read,
        failed_left_out: rows.left_out(),
        written,
        columns,
        columns_not_read: rows.unused(),
    })
}

fn convert_rates(
    table: &RateTable,
    from: &Path,
    to: &Path,
    options: &ConvertOptions,
) -> Result<Converted, TraceError> {
    let (from_fs, until_fs) = limits(options)?;
    // Rows begin anywhere in a window: the one under way at its start belongs to it.
    let under_way = table.rows.iter().rposition(|row| row.start_fs <= from_fs).unwrap_or(0);
    let rows: Vec<(i128, f64)> = table.rows[under_way..]
        .iter()
        .filter(|row| row.start_fs < until_fs)
        .map(|row| ((row.start_fs - from_fs).max(0), row.per_s))
        .collect();
    let Some(&(last_fs, _)) = rows.last() else {
        return Err(InputError::file("", &from.display().to_string(), "has no rate in this time").into());
    };
    written::write(to, |out: &mut Written| {
        out.text("time_s,rate_per_s\n")?;
        let mut line = String::new();
        for &(start_fs, per_s) in &rows {
            line.clear();
            push_seconds(&mut line, start_fs);
            let _ = writeln!(line, ",{per_s}");
            out.text(&line)?;
        }
        Ok(())
    })?;
    // As a scenario reads it: the last row lasts as long as the one before.
    let last_step = if rows.len() > 1 { last_fs - rows[rows.len() - 2].0 } else { 1 };
    let ends = rows.iter().skip(1).map(|row| row.0).chain([last_fs + last_step]);
    let whole = fs_to_seconds(last_fs + last_step);
    let sum: f64 = rows.iter().zip(ends).map(|(row, end)| row.1 * fs_to_seconds(end - row.0)).sum();
    Ok(Converted::RateCurve {
        format: table.format,
        files: table.files,
        rows: rows.len() as u64,
        mean_per_s: sum / whole,
        peak_per_s: rows.iter().map(|row| row.1).fold(0.0, f64::max),
        client_cv: table.client_cv,
    })
}

/// Appends an instant as seconds, exactly.
pub(super) fn push_seconds(line: &mut String, fs: i128) {
    // Writing to a String cannot fail.
    let _ = write!(line, "{}", fs / FS_PER_S);
    let rest = fs % FS_PER_S;
    if rest != 0 {
        let digits = format!("{rest:015}");
        let _ = write!(line, ".{}", digits.trim_end_matches('0'));
    }
}
