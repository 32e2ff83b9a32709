//! What a trace is like: rates, burstiness and lengths of recorded requests, in one pass over the file.
//!
//! Memory does not grow with the number of rows: token counts are kept in exact histograms (they are whole numbers),
//! gaps and windows as running sums, hours as one number each.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::time::{FS_PER_DAY, FS_PER_S, fs_to_seconds, seconds_to_fs};
use super::token_counts::TokenCounts;
use super::trace::{Row, Rows};
use super::written::TraceError;
use crate::input::InputError;
use crate::scenario::types::TraceFormat;

/// Bad rows whose errors are kept; all are counted.
const MOST_SHOWN: usize = 20;
/// Most classes that are told apart.
const MOST_CLASSES: usize = 64;
/// Most hours whose requests are counted: a hundred years.
const MOST_HOURS: usize = 876_600;
/// Rows between looks at the stop flag.
pub(super) const ROWS_PER_LOOK: u64 = 65_536;
/// Lengths of windows over which counts are compared [s].
const WINDOWS_S: [f64; 5] = [1.0, 10.0, 60.0, 600.0, 3600.0];
/// Fewest whole windows from which a dispersion is stated.
const FEWEST_WINDOWS: u64 = 10;

/// What to look at, and how.
#[derive(Debug, Clone, Copy)]
pub struct DescribeOptions<'a> {
    /// The format; `Auto` goes by the header.
    pub format: TraceFormat,
    /// Length of the windows in which the peak rate is sought [s].
    pub window_s: f64,
    /// Raised when the work is to stop.
    pub stop: Option<&'a AtomicBool>,
}

impl Default for DescribeOptions<'_> {
    fn default() -> Self {
        Self { format: TraceFormat::Auto, window_s: 60.0, stop: None }
    }
}

/// A trace described.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// Its path.
    pub file: String,
    /// Format that was recognised.
    pub format: &'static str,
    /// Good rows.
    pub requests: u64,
    /// Rows of failed requests, without tokens, which are no requests here.
    pub failed_left_out: u64,
    /// Rows that cannot be replayed.
    pub bad_rows: BadRows,
    /// Calendar instant of time 0 (UTC), where the trace has stamps.
    pub starts_utc: Option<String>,
    /// Time of day at time 0 [h], where it is known.
    pub start_at_h: Option<f64>,
    /// All requests together.
    #[serde(flatten)]
    pub all: Profile,
    /// By class, or by the model that was asked; empty where rows do not say.
    pub classes: Vec<ClassProfile>,
    /// Requests by difficulty: easy, medium, hard; where rows say.
    pub difficulty: Option<[u64; 3]>,
    /// Columns that are in the file and not read.
    pub columns_not_read: Vec<String>,
}

/// Rows that cannot be replayed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BadRows {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<BadRow>,
}

/// A row that cannot be replayed.
#[derive(Debug, Clone, Serialize)]
pub struct BadRow {
    /// Line in the file, from 1.
    pub line: Option<u64>,
    /// Character in the line, from 1.
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// A class of a trace.
#[derive(Debug, Clone, Serialize)]
pub struct ClassProfile {
    /// Its name.
    pub name: String,
    /// Its requests.
    pub requests: u64,
    /// What they are like.
    #[serde(flatten)]
    pub profile: Profile,
}

/// What requests are like.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// First arrival [s].
    pub first_s: f64,
    /// Last arrival [s].
    pub last_s: f64,
    /// From the first to the last [s].
    pub span_s: f64,
    /// Rates.
    pub rate_per_s: Rates,
    /// Times between successive arrivals; absent below two requests.
    pub gaps: Option<Gaps>,
    /// Variance over mean of the counts in whole windows: 1 for a Poisson process of constant rate.
    pub dispersion: Vec<Dispersion>,
    /// Prompts.
    pub prompt_tok: Lengths,
    /// Outputs, thought included.
    pub output_tok: Lengths,
    /// Thought, where it is recorded.
    pub thinking_tok: Option<Lengths>,
    /// Of prompt and output; absent where one does not vary.
    pub correlation: Option<Correlation>,
    #[serde(skip)]
    pub(crate) counts: Counts,
}

/// What a fit needs besides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) prompt: TokenCounts,
    pub(crate) output: TokenCounts,
    /// Requests in each hour from time 0 on; `None` beyond a hundred years.
    pub(crate) hours: Option<Vec<u64>>,
}

/// Arrival rates [1/s].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rates {
    /// One over the mean gap; absent where all arrive at once.
    pub mean: Option<f64>,
    /// Most requests in one of the windows that follow each other from the first arrival on, over its length.
    pub peak: f64,
    /// Start of that window [s].
    pub peak_at_s: f64,
    /// Length of the windows [s].
    pub window_s: f64,
}

/// Times between successive arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gaps {
    /// Mean [s].
    pub mean_s: f64,
    /// Coefficient of variation: 1 for a Poisson process of constant rate, above it for bursts.
    pub cv: Option<f64>,
    /// Share of gaps of zero length.
    pub simultaneous: f64,
}

/// Index of dispersion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Dispersion {
    /// Length of the windows [s].
    pub window_s: f64,
    /// Whole windows.
    pub windows: u64,
    /// Variance over mean of the requests in them.
    pub index: f64,
}

/// Token counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lengths {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
    /// Fewest.
    pub min: u32,
    /// Median: the smallest count that half of the requests do not exceed.
    pub p50: u32,
    /// So for 90 %.
    pub p90: u32,
    /// So for 99 %.
    pub p99: u32,
    /// Most.
    pub max: u32,
    /// Mean of the logarithm.
    pub mean_ln: f64,
    /// Standard deviation of the logarithm: σ of a lognormal.
    pub sigma_ln: f64,
}

/// Correlation of prompt and output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Correlation {
    /// Of the token counts (Pearson).
    pub tokens: f64,
    /// Of their logarithms.
    pub logarithms: f64,
}

/// Describes a trace; rows that are bad are counted, and the others described.
///
/// # Errors
/// A file that cannot be opened or is of no known format; a file without a good row; a raised stop flag.
pub fn describe(path: &Path, options: &DescribeOptions) -> Result<Description, TraceError> {
    let window_fs = seconds_to_fs(options.window_s).filter(|&fs| fs > 0).ok_or_else(|| {
        InputError::field(
            "--window-s",
            format!("is {}; expected seconds above 0, at most 1e12", options.window_s),
        )
    })?;
    let mut rows = Rows::open(path, options.format, "", true)?;
    let mut all = Gathered::new(window_fs);
    let mut classes: Vec<(String, Gathered)> = Vec::new();
    let mut bad_rows = BadRows::default();
    let mut difficulty = [0_u64; 3];
    let mut seen = 0_u64;
    loop {
        seen += 1;
        if seen.is_multiple_of(ROWS_PER_LOOK) && options.stop.is_some_and(|s| s.load(Ordering::Relaxed)) {
            return Err(TraceError::Interrupted);
        }
        let row = match rows.advance() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) if error.line.is_some() && rows.resumes() => {
                bad_rows.count += 1;
                if bad_rows.first.len() < MOST_SHOWN {
                    let InputError { line, column, message, .. } = error;
                    bad_rows.first.push(BadRow { line, column, message });
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        all.add(&row);
        if let Some(group) = rows.group() {
            gathered_of(&mut classes, group, window_fs, &rows)?.add(&row);
        }
        if let Some(of) = row.recorded.difficulty {
            difficulty[of as usize] += 1;
        }
    }
    if all.n == 0 {
        let first = bad_rows.first.first();
        return Err(match first {
            Some(BadRow { line, column, message }) => InputError {
                line: *line,
                column: *column,
                ..rows.bad_file(format!("{message} (none of its {} rows is good)", bad_rows.count))
            },
            None if rows.left_out() > 0 => {
                rows.bad_file(format!("all of its {} rows are failed requests", rows.left_out()))
            }
            None => rows.bad_file("has no rows".into()),
        }
        .into());
    }
    let origin = rows.origin_fs();
    let start_at_h = match origin {
        Some(fs) => Some(fs_to_seconds(fs.rem_euclid(FS_PER_DAY)) / 3600.0),
        None => rows.starts_at_midnight().then_some(0.0),
    };
    Ok(Description {
        file: path.display().to_string(),
        format: rows.format(),
        requests: all.n,
        failed_left_out: rows.left_out(),
        bad_rows,
        starts_utc: origin.and_then(utc),
        start_at_h,
        all: all.profile(),
        classes: classes
            .into_iter()
            .map(|(name, of)| ClassProfile { name, requests: of.n, profile: of.profile() })
            .collect(),
        difficulty: rows.brings_difficulty().then_some(difficulty),
        columns_not_read: rows.unused(),
    })
}

fn utc(fs: i128) -> Option<String> {
    jiff::Timestamp::from_nanosecond(fs / 1_000_000).ok().map(|stamp| stamp.to_string())
}

fn gathered_of<'a>(
    classes: &'a mut Vec<(String, Gathered)>,
    name: String,
    window_fs: i128,
    rows: &Rows,
) -> Result<&'a mut Gathered, TraceError> {
    let i = match classes.iter().position(|(other, _)| *other == name) {
        Some(i) => i,
        None if classes.len() == MOST_CLASSES => {
            return Err(rows.bad_file(format!("names more than {MOST_CLASSES} classes")).into());
        }
        None => {
            classes.push((name, Gathered::new(window_fs)));
            classes.len() - 1
        }
    };
    Ok(&mut classes[i].1)
}

/// Sums over the requests seen so far.
#[derive(Debug)]
struct Gathered {
    n: u64,
    first_fs: i128,
    last_fs: i128,
    zero_gaps: u64,
    /// Mean and sum of squared deviations of gaps, by Welford's recurrence [s, s²].
    gap_mean_s: f64,
    gap_m2: f64,
    windows: Vec<Windows>,
    peak: Windows,
    thinking: TokenCounts,
    prompt_times_output: u128,
    ln_prompt_times_output: f64,
    counts: Counts,
}

impl Gathered {
    fn new(window_fs: i128) -> Self {
        Self {
            n: 0,
            first_fs: 0,
            last_fs: 0,
            zero_gaps: 0,
            gap_mean_s: 0.0,
            gap_m2: 0.0,
            windows: WINDOWS_S.iter().map(|&s| Windows::new((s * 1e15) as i128)).collect(),
            peak: Windows::new(window_fs),
            thinking: TokenCounts::default(),
            prompt_times_output: 0,
            ln_prompt_times_output: 0.0,
            counts: Counts { hours: Some(Vec::new()), ..Counts::default() },
        }
    }

    fn add(&mut self, row: &Row) {
        if self.n == 0 {
            self.first_fs = row.at_fs;
        } else {
            let gap_fs = row.at_fs - self.last_fs;
            self.zero_gaps += u64::from(gap_fs == 0);
            let gap_s = fs_to_seconds(gap_fs);
            let off = gap_s - self.gap_mean_s;
            self.gap_mean_s += off / self.n as f64;
            self.gap_m2 += off * (gap_s - self.gap_mean_s);
        }
        self.n += 1;
        self.last_fs = row.at_fs;
        let since_first = row.at_fs - self.first_fs;
        for windows in self.windows.iter_mut().chain([&mut self.peak]) {
            windows.add(since_first);
        }
        let (prompt, output) = (row.prompt_tok, row.output_tok());
        self.counts.prompt.add(prompt);
        self.counts.output.add(output);
        if let Some(tok) = row.recorded.thinking_tok {
            self.thinking.add(tok);
        }
        self.prompt_times_output += u128::from(prompt) * u128::from(output);
        self.ln_prompt_times_output += f64::from(prompt).ln() * f64::from(output).ln();
        let hour = usize::try_from(row.at_fs / (3600 * FS_PER_S)).unwrap_or(usize::MAX);
        match &mut self.counts.hours {
            Some(hours) if hour < MOST_HOURS => {
                if hour >= hours.len() {
                    hours.resize(hour + 1, 0);
                }
                hours[hour] += 1;
            }
            hours => *hours = None,
        }
    }

    fn profile(self) -> Profile {
        let (prompt, output) = (lengths(&self.counts.prompt), lengths(&self.counts.output));
        let gap_count = self.n.saturating_sub(1) as f64;
        let gaps = (self.n > 1).then(|| Gaps {
            mean_s: self.gap_mean_s,
            cv: (self.gap_mean_s > 0.0).then(|| (self.gap_m2 / gap_count).sqrt() / self.gap_mean_s),
            simultaneous: self.zero_gaps as f64 / gap_count,
        });
        let span_fs = self.last_fs - self.first_fs;
        let span_s = fs_to_seconds(span_fs);
        let n = self.n as f64;
        let covariance = self.prompt_times_output as f64 / n - prompt.mean * output.mean;
        let covariance_ln = self.ln_prompt_times_output / n - prompt.mean_ln * output.mean_ln;
        let correlation = (prompt.sd > 0.0 && output.sd > 0.0).then(|| Correlation {
            tokens: (covariance / (prompt.sd * output.sd)).clamp(-1.0, 1.0),
            logarithms: (covariance_ln / (prompt.sigma_ln * output.sigma_ln)).clamp(-1.0, 1.0),
        });
        let (peak, peak_at_fs) = self.peak.peak();
        let window_s = fs_to_seconds(self.peak.length_fs);
        Profile {
            first_s: fs_to_seconds(self.first_fs),
            last_s: fs_to_seconds(self.last_fs),
            span_s,
            rate_per_s: Rates {
                mean: (span_fs > 0).then(|| gap_count / span_s),
                peak: peak as f64 / window_s,
                peak_at_s: fs_to_seconds(self.first_fs + peak_at_fs),
                window_s,
            },
            gaps,
            dispersion: self.windows.iter().filter_map(|windows| windows.dispersion(span_fs)).collect(),
            prompt_tok: prompt,
            output_tok: output,
            thinking_tok: (self.thinking.n() > 0).then(|| lengths(&self.thinking)),
            correlation,
            counts: self.counts,
        }
    }
}

fn lengths(counts: &TokenCounts) -> Lengths {
    let (mean_ln, sigma_ln) = counts.ln_moments();
    Lengths {
        mean: counts.mean(),
        sd: counts.sd(),
        min: counts.least(),
        p50: counts.quantile(0.5),
        p90: counts.quantile(0.9),
        p99: counts.quantile(0.99),
        max: counts.most(),
        mean_ln,
        sigma_ln,
    }
}

/// Counts in windows of one length that follow each other from the first arrival on.
#[derive(Debug)]
struct Windows {
    length_fs: i128,
    /// The window under way, and the requests in it.
    number: i128,
    count: u64,
    /// Sums over the windows before it.
    sum: u128,
    sum_sq: u128,
    most: u64,
    most_at: i128,
}

impl Windows {
    fn new(length_fs: i128) -> Self {
        Self { length_fs, number: 0, count: 0, sum: 0, sum_sq: 0, most: 0, most_at: 0 }
    }

    #[inline]
    fn add(&mut self, since_first_fs: i128) {
        if since_first_fs >= (self.number + 1) * self.length_fs {
            let count = u128::from(self.count);
            self.sum += count;
            self.sum_sq += count * count;
            (self.most, self.most_at) = self.peak_number();
            self.count = 0;
            // Windows without requests add nothing to the sums.
            self.number = since_first_fs / self.length_fs;
        }
        self.count += 1;
    }

    fn peak_number(&self) -> (u64, i128) {
        if self.count > self.most { (self.count, self.number) } else { (self.most, self.most_at) }
    }

    /// Most requests in a window, and its start after the first arrival [fs].
    fn peak(&self) -> (u64, i128) {
        let (most, number) = self.peak_number();
        (most, number * self.length_fs)
    }

    /// Of the whole windows in a span; `None` for too few of them.
    fn dispersion(&self, span_fs: i128) -> Option<Dispersion> {
        // The window of the last arrival is cut, and so left out.
        let windows = u64::try_from(span_fs / self.length_fs).ok().filter(|&w| w >= FEWEST_WINDOWS)?;
        let mean = self.sum as f64 / windows as f64;
        let variance = self.sum_sq as f64 / windows as f64 - mean * mean;
        (mean > 0.0).then(|| Dispersion {
            window_s: fs_to_seconds(self.length_fs),
            windows,
            index: variance.max(0.0) / mean,
        })
    }
}
