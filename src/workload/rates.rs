//! Published request rates: tables of one rate a row, and ServeGen's folders of clients.
//!
//! | format | rows |
//! |---|---|
//! | rates of a service | `t_s,total_rate_rps[,rate_weighted_client_cv]`, `time_s,rate_per_s` |
//! | rates with stamps | `timestamp_utc,requests_per_minute` |
//! | ServeGen client | `chunk-N-trace.csv` without a header: start [s], rate [1/s], CV of the gaps, pattern and its two parameters |
//!
//! A folder of `chunk-N-trace.csv` is the sum of its clients.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::arrivals::{MOST_PER_S, parse_instant};
use super::time::parse_stamp;
use crate::input::{InputError, Lines, Table, shorten};

/// Columns of a ServeGen client, which has no header.
const CLIENT: [&str; 6] = ["start_s", "rate_per_s", "cv", "pattern", "parameter 1", "parameter 2"];
/// Most rows of one table: a rate curve has no more.
const MOST_ROWS: usize = 1_100_000;
/// Names of the files of a folder of clients.
const CLIENT_FILE: (&str, &str) = ("chunk-", "-trace.csv");

/// From when on which rate holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateRow {
    /// From the first row on [fs].
    pub start_fs: i128,
    /// Requests per second.
    pub per_s: f64,
}

/// A table of rates in order of time.
#[derive(Debug)]
pub(super) struct RateTable {
    pub format: &'static str,
    pub files: u64,
    pub rows: Vec<RateRow>,
    /// CV of the gaps of single clients, weighted by rate.
    pub client_cv: Option<f64>,
}

/// The rates that a file or folder holds; `None`: it holds something else, perhaps requests.
pub(super) fn read(path: &Path) -> Result<Option<RateTable>, InputError> {
    if path.is_dir() {
        return read_clients(path).map(Some);
    }
    let mut lines = Lines::open(path, "")?;
    if !lines.advance()? {
        return Ok(None);
    }
    if is_client(lines.current()) {
        return read_client_files(&[path.to_path_buf()]).map(Some);
    }
    // What is no table at all is left to the reader of traces to explain.
    let Ok(table) = Table::start(lines, true) else { return Ok(None) };
    let has = |name: &str| table.column(name);
    let (time, rate, stamps, scale, format) = match (has("t_s"), has("total_rate_rps")) {
        (Some(time), Some(rate)) => (time, rate, false, 1.0, "servegen rates"),
        _ => match (has("time_s"), has("rate_per_s"), has("timestamp_utc"), has("requests_per_minute")) {
            (Some(time), Some(rate), _, _) => (time, rate, false, 1.0, "rate curve"),
            (_, _, Some(time), Some(rate)) => (time, rate, true, 1.0 / 60.0, "rates with time stamps"),
            _ => return Ok(None),
        },
    };
    let cv = has("rate_weighted_client_cv");
    read_rates(table, [time, rate], cv, stamps, scale, format).map(Some)
}

fn read_rates(
    mut table: Table,
    [time, rate]: [usize; 2],
    cv: Option<usize>,
    stamps: bool,
    scale: f64,
    format: &'static str,
) -> Result<RateTable, InputError> {
    let mut rows: Vec<RateRow> = Vec::new();
    let mut origin = None;
    let (mut weight, mut weighted_cv) = (0.0, 0.0);
    while table.advance()? {
        let at_fs = if stamps {
            parse_stamp(table.bytes(time))
                .map_err(|e| table.bad_value(time, &format!("is no time stamp: {}", shorten(&e, 120))))?
        } else {
            parse_instant(&table, time)?
        };
        // A curve starts where the run starts.
        let start_fs = at_fs - *origin.get_or_insert(at_fs);
        let late_enough = rows.last().is_none_or(|before| start_fs > before.start_fs);
        if !late_enough {
            return Err(table.bad_value(time, "is not later than the row before it"));
        }
        if rows.len() == MOST_ROWS {
            return Err(table.bad_line(format!("a rate curve has at most {MOST_ROWS} rows")));
        }
        let per_s = number(&table, rate)? * scale;
        if let Some(cv) = cv {
            weight += per_s;
            weighted_cv += per_s * number(&table, cv)?;
        }
        rows.push(RateRow { start_fs, per_s });
    }
    if rows.is_empty() {
        return Err(table.bad_file("has a header but no rows".into()));
    }
    Ok(RateTable { format, files: 1, rows, client_cv: (weight > 0.0).then(|| weighted_cv / weight) })
}

/// A number of at least 0; an empty field is 0.
fn number(table: &Table, i: usize) -> Result<f64, InputError> {
    let text = table.bytes(i);
    if text.is_empty() {
        return Ok(0.0);
    }
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    value
        .filter(|value| (0.0..=MOST_PER_S).contains(value))
        .ok_or_else(|| table.bad_value(i, &format!("is not a number in 0..={MOST_PER_S}")))
}

/// Whether a first line is one of a ServeGen client: two numbers, a number or nothing, and a pattern's name.
fn is_client(line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    fields.len() == CLIENT.len() && is_number(fields[0]) && is_number(fields[1]) && !is_number(fields[3])
}

fn read_clients(folder: &Path) -> Result<RateTable, InputError> {
    let shown = folder.display().to_string();
    let fail = |e: std::io::Error| InputError::file("", &shown, format!("cannot be read: {e}"));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(CLIENT_FILE.0) && name.ends_with(CLIENT_FILE.1) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let (start, end) = CLIENT_FILE;
        return Err(InputError::file(
            "",
            &shown,
            format!("is a folder without ServeGen's {start}N{end}; give a trace, or a folder of such files"),
        ));
    }
    // Sums in one order, whatever the folder's.
    files.sort();
    read_client_files(&files)
}

fn read_client_files(files: &[PathBuf]) -> Result<RateTable, InputError> {
    let mut sum: BTreeMap<i128, f64> = BTreeMap::new();
    let (mut weight, mut weighted_cv) = (0.0, 0.0);
    for path in files {
        let mut table = Table::headless(Lines::open(path, "")?, &CLIENT);
        let mut before = None;
        while table.advance()? {
            let start_fs = parse_instant(&table, 0)?;
            if before.is_some_and(|before| start_fs <= before) {
                return Err(table.bad_value(0, "is not later than the row before it"));
            }
            before = Some(start_fs);
            let per_s = number(&table, 1)?;
            weight += per_s;
            weighted_cv += per_s * number(&table, 2)?;
            *sum.entry(start_fs).or_default() += per_s;
            if sum.len() > MOST_ROWS {
                return Err(table.bad_line(format!("a rate curve has at most {MOST_ROWS} rows")));
            }
        }
    }
    let first = sum.keys().next().copied().unwrap_or(0);
    let rows: Vec<RateRow> =
        sum.into_iter().map(|(at, per_s)| RateRow { start_fs: at - first, per_s }).collect();
    Ok(RateTable {
        format: "servegen clients",
        files: files.len() as u64,
        rows,
        client_cv: (weight > 0.0).then(|| weighted_cv / weight),
    })
}
