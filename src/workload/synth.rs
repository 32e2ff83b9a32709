//! Traces written from published statistics.
//!
//! A preset knows a service by a few of its statistics, not by its rows: quantiles of both lengths,
//! how far long answers follow from the prompt's length, and how the rate varied. The generator uses
//! nothing but additions, multiplications and comparisons of IEEE doubles (exponentials by von
//! Neumann's method of comparisons), so the same options give the same bytes on every platform.
//!
//! Or a file of `trace fit` is drawn from, as a run of a scenario with it would draw.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::Workload;
use super::convert::push_seconds;
use super::describe::ROWS_PER_LOOK;
pub use super::presets::Preset;
use super::presets::{Pairing, Shape, Variation};
use super::random::{Key, Purpose};
use super::time::{FS_PER_S, fs_to_seconds};
use super::trace::{CLASS, OWN, THINKING};
use super::written::{self, TraceError, quoted};
use crate::catalog::Catalog;
use crate::input::InputError;
use crate::scenario::types::{self, Arrivals, Scenario};

/// Most requests of one generated trace.
const MOST_REQUESTS: u64 = 100_000_000;
/// Longest trace that is generated [s].
const LONGEST_S: f64 = 1e10;
/// Larger files are no fits [byte].
const MOST_FIT_BYTES: u64 = 4 << 20;

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct SynthOptions<'a> {
    /// At most so many requests. Default: as many as the preset's original had, or as the duration brings.
    pub requests: Option<u64>,
    /// At most so long [s]; a preset's course over time is stretched over it. Default: what the requests take at the
    /// mean rate, or the duration of the fit.
    pub duration_s: Option<f64>,
    /// Seed of every draw.
    pub seed: u64,
    /// Raised when the work is to stop.
    pub stop: Option<&'a AtomicBool>,
}

impl Default for SynthOptions<'_> {
    fn default() -> Self {
        Self { requests: None, duration_s: None, seed: 1, stop: None }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Synthesised {
    /// Requests.
    pub requests: u64,
    /// Last arrival [s].
    pub last_s: f64,
}

/// Uniform in [0, 1), all 53 bits.
fn uniform(generator: &mut Pcg64Mcg) -> f64 {
    (generator.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// A unit exponential by von Neumann's method (1951): runs of falling uniforms; a run of even
/// length fails and adds one. No logarithm, hence the same on every platform.
fn exponential(generator: &mut Pcg64Mcg) -> f64 {
    let mut whole = 0.0;
    loop {
        let first = uniform(generator);
        let (mut last, mut odd) = (first, true);
        loop {
            let u = uniform(generator);
            if u >= last {
                break;
            }
            last = u;
            odd = !odd;
        }
        if odd {
            return whole + first;
        }
        whole += 1.0;
    }
}

/// A draw in [0, 1) with density 1 + tilt · (1 − 2v), |tilt| ≤ 1: some draws become the lesser (or, for
/// a negative tilt, the greater) of two uniform ones.
fn tilted(generator: &mut Pcg64Mcg, tilt: f64) -> f64 {
    let (a, b, c) = (uniform(generator), uniform(generator), uniform(generator));
    match (c < tilt.abs(), tilt > 0.0) {
        (false, _) => a,
        (true, true) => a.min(b),
        (true, false) => a.max(b),
    }
}

/// The value at share `u` of a distribution given by quantiles.
fn value_at(points: &[(f64, f64)], u: f64) -> f64 {
    let i = points.iter().position(|p| u < p.0).unwrap_or(points.len() - 1).max(1);
    let ((u0, x0), (u1, x1)) = (points[i - 1], points[i]);
    x0 + (x1 - x0) * ((u - u0) / (u1 - u0))
}

/// The same in whole tokens.
fn tokens_at(points: &[(f64, f64)], u: f64) -> u32 {
    (value_at(points, u).round() as u32).max(1)
}

/// Mean of a distribution given by quantiles.
fn mean(points: &[(f64, f64)]) -> f64 {
    points.windows(2).map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) * 0.5).sum()
}

impl Shape {
    /// Prompt and output tokens of request `number`.
    fn lengths(&self, prompt: &Key, answer: &Key, number: u64) -> (u32, u32) {
        let u = uniform(&mut prompt.generator(number));
        let mut draws = answer.generator(number);
        let v = match self.pairing {
            Pairing::Independent => uniform(&mut draws),
            Pairing::LongAnswers(long_above, (low, high)) => {
                // Among prompts that may have long answers, so many do that the share over all is right.
                let may = u >= low && u < high;
                let long = may && uniform(&mut draws) * (high - low) < 1.0 - long_above;
                if long {
                    long_above + uniform(&mut draws) * (1.0 - long_above)
                } else {
                    // The longest prompts get the shorter of the short answers, with density 2(1 − v) instead
                    // of 1; the others get what is left of the uniform one.
                    let longest = (1.0 - high) / long_above;
                    let tilt = if u >= high { 1.0 } else { -longest / (1.0 - longest) };
                    tilted(&mut draws, tilt) * long_above
                }
            }
        };
        (tokens_at(self.prompt, u), tokens_at(self.output, v))
    }

    /// Of an output, the thought; at least one token is left for the answer.
    fn thinking(&self, key: &Key, number: u64, output_tok: u32) -> Option<u32> {
        let shares = self.thinking?;
        let share = value_at(shares, uniform(&mut key.generator(number))) * 1e-3;
        Some(((share * f64::from(output_tok)).round() as u32).min(output_tok - 1))
    }

    /// The rate during slice `number` of a trace that spans `span_s` [1/s].
    fn rate(&self, thin: &Key, number: u64, span_s: f64) -> f64 {
        let part = (number as f64 + 0.5) * self.slice_s / span_s * self.profile.len() as f64;
        let part = (part as usize).min(self.profile.len() - 1);
        let u = uniform(&mut thin.generator(number));
        let factor = match self.variation {
            Variation::Uniform(jitter) => 1.0 + jitter * (2.0 * u - 1.0),
            Variation::Factor(points) => value_at(points, u) / mean(points),
        };
        self.rate_per_s * self.profile[part] * factor
    }
}

/// A request to be written.
struct Line {
    arrival_us: u64,
    prompt_tok: u32,
    output_tok: u32,
    thinking_tok: Option<u32>,
}

/// Calls `row` with every request in order.
fn generate(
    shape: &Shape,
    requests: u64,
    (span_s, end_s): (f64, f64),
    seed: u64,
    mut row: impl FnMut(&Line) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
    let key = |purpose| Key::new(seed, purpose, 0);
    let (gap, prompt, answer, thin) =
        (key(Purpose::Gap), key(Purpose::Prompt), key(Purpose::Answer), key(Purpose::Thin));
    let thinking = key(Purpose::Thinking);
    let (mut slice, mut within_s) = (0_u64, 0.0);
    let mut rate = shape.rate(&thin, slice, span_s);
    for number in 0..requests {
        let mut need = exponential(&mut gap.generator(number));
        while need > rate * (shape.slice_s - within_s) || rate <= 0.0 {
            need -= rate * (shape.slice_s - within_s);
            slice += 1;
            within_s = 0.0;
            rate = shape.rate(&thin, slice, span_s);
            if slice as f64 * shape.slice_s > end_s {
                return Ok(());
            }
        }
        within_s += need / rate;
        let at_s = slice as f64 * shape.slice_s + within_s;
        if at_s > end_s {
            return Ok(());
        }
        let stamp_s = if shape.tick_s > 0.0 { (at_s / shape.tick_s).floor() * shape.tick_s } else { at_s };
        let (prompt_tok, output_tok) = shape.lengths(&prompt, &answer, number);
        row(&Line {
            arrival_us: (stamp_s * 1e6).round() as u64,
            prompt_tok,
            output_tok,
            thinking_tok: shape.thinking(&thinking, number, output_tok),
        })?;
    }
    Ok(())
}

/// The limits of what is asked for.
fn check(options: &SynthOptions) -> Result<(), InputError> {
    if let Some(requests) = options.requests.filter(|r| !(1..=MOST_REQUESTS).contains(r)) {
        return Err(InputError::field(
            "requests",
            format!("is {requests}; it must lie in 1..={MOST_REQUESTS}"),
        ));
    }
    if let Some(s) = options.duration_s.filter(|s| !(*s > 0.0 && *s <= LONGEST_S)) {
        return Err(InputError::field(
            "duration_s",
            format!("is {s}; it must be above 0 and at most 1e10 s"),
        ));
    }
    Ok(())
}

/// Counts rows, and looks now and then whether to stop.
struct Count<'a> {
    rows: u64,
    last_s: f64,
    stop: Option<&'a AtomicBool>,
}

impl Count<'_> {
    fn add(&mut self, at_s: f64) -> Result<(), TraceError> {
        self.rows += 1;
        self.last_s = at_s;
        if self.rows > MOST_REQUESTS {
            return Err(InputError::field(
                "duration_s",
                format!("brings more than {MOST_REQUESTS} requests; limit them with `requests`"),
            )
            .into());
        }
        let look = self.rows.is_multiple_of(ROWS_PER_LOOK);
        if look && self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(TraceError::Interrupted);
        }
        Ok(())
    }

    fn end(&self) -> Result<Synthesised, TraceError> {
        if self.rows == 0 {
            return Err(InputError::field("duration_s", "ends before the first request").into());
        }
        Ok(Synthesised { requests: self.rows, last_s: self.last_s })
    }
}

/// Writes a trace of a preset in wattmill's own format to `path`, gzip if it ends in `.gz`. The file appears
/// complete or not at all. Same options, same rows on every platform.
///
/// # Errors
/// No or too many requests; a file that cannot be written; a raised stop flag.
pub fn write_trace(path: &Path, preset: Preset, options: &SynthOptions) -> Result<Synthesised, TraceError> {
    check(options)?;
    let shape = preset.shape();
    let (requests, span_s, end_s) = match (options.requests, options.duration_s) {
        (requests, Some(s)) => (requests.unwrap_or(u64::MAX), s, s),
        (requests, None) => {
            let requests = requests.unwrap_or_else(|| preset.requests());
            (requests, requests as f64 / shape.rate_per_s, f64::INFINITY)
        }
    };
    written::write(path, |out| {
        let mut columns = OWN.to_vec();
        columns.extend(shape.thinking.map(|_| THINKING));
        out.text(&format!("{}\n", columns.join(",")))?;
        let mut text = String::new();
        let mut count = Count { rows: 0, last_s: 0.0, stop: options.stop };
        generate(shape, requests, (span_s, end_s), options.seed, |line| {
            let Line { arrival_us: us, prompt_tok, output_tok, thinking_tok } = line;
            text.clear();
            // Writing to a String cannot fail.
            let _ = write!(text, "{}.{:06},{prompt_tok},{output_tok}", us / 1_000_000, us % 1_000_000);
            if let Some(thinking_tok) = thinking_tok {
                let _ = write!(text, ",{thinking_tok}");
            }
            text.push('\n');
            count.add(*us as f64 * 1e-6)?;
            out.text(&text)
        })?;
        count.end()
    })
}

/// What `trace fit` writes: a scenario without a fleet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FitFile {
    duration_s: Option<f64>,
    #[serde(default)]
    start_at_h: f64,
    workload: types::Workload,
}

/// Writes a trace drawn from a fit (what `trace fit` wrote, or the `workload` of a scenario like it) to `path`, with the
/// class of each request: the very requests that a run of a scenario with this workload and seed draws.
///
/// # Errors
/// A fit that cannot be read, with its place; classes whose requests cannot be written down; no or too many requests; a
/// file that cannot be written; a raised stop flag.
pub fn write_fitted(path: &Path, fit: &Path, options: &SynthOptions) -> Result<Synthesised, TraceError> {
    check(options)?;
    let workload = open_fit(fit, options)?;
    let names = workload.names;
    let mut stream = workload.workload.stream()?;
    written::write(path, |out| {
        out.text(&format!("{},{CLASS}\n", OWN.join(",")))?;
        let mut text = String::new();
        let mut count = Count { rows: 0, last_s: 0.0, stop: options.stop };
        while options.requests.is_none_or(|most| count.rows < most)
            && let Some(request) = stream.next()?
        {
            text.clear();
            // To the microsecond, as presets are: finer digits would only make the file longer.
            let us = request.arrival_fs / FS_PER_US;
            push_seconds(&mut text, us * FS_PER_US);
            let class = names.get(usize::from(request.class)).map_or("", String::as_str);
            let _ = writeln!(text, ",{},{},{class}", request.prompt_tok, request.output_tok);
            count.add(fs_to_seconds(request.arrival_fs))?;
            out.text(&text)?;
        }
        count.end()
    })
}

const FS_PER_US: i128 = FS_PER_S / 1_000_000;

/// A fit ready to draw from; names as a CSV writes them.
struct OpenFit {
    workload: Workload,
    names: Vec<String>,
}

fn open_fit(fit: &Path, options: &SynthOptions) -> Result<OpenFit, InputError> {
    let shown = fit.display().to_string();
    let fail = |message: String| InputError::file("", &shown, message);
    let bytes = std::fs::metadata(fit).map_err(|e| fail(format!("cannot be opened: {e}")))?.len();
    if bytes > MOST_FIT_BYTES {
        return Err(fail(format!("has {bytes} bytes; a fit has at most {MOST_FIT_BYTES}")));
    }
    let text = std::fs::read_to_string(fit).map_err(|e| fail(format!("cannot be read: {e}")))?;
    let file: FitFile = serde_yaml::from_str(&text).map_err(|error| {
        let place = error.location();
        let message = error.without_snippet().to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        InputError { line: place.map(|at| at.line()), column: place.map(|at| at.column()), ..fail(first) }
    })?;
    for (i, class) in file.workload.classes.iter().enumerate() {
        let problem = match &class.arrivals {
            Arrivals::ClosedLoop(_) => Some("arrivals in a closed loop depend on the fleet"),
            Arrivals::Trace(_) => Some("it replays a trace; `trace convert` copies one"),
            _ if class.difficulty.is_some() => Some("`difficulty` is a scenario's, not a trace's"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(fail(format!("workload.classes.{i}: cannot be written as a trace: {problem}")));
        }
    }
    // With requests alone, until there are so many.
    let duration_s = options.duration_s.or(match options.requests {
        Some(_) => Some(LONGEST_S),
        None => file.duration_s,
    });
    let names = file.workload.classes.iter().map(|class| quoted(&class.name)).collect();
    let scenario = Scenario {
        name: String::new(),
        seed: options.seed,
        duration_s,
        start_at_h: file.start_at_h,
        warm_up_s: 0.0,
        at_end: types::AtEnd::default(),
        workload: file.workload,
        models: Vec::new(),
        routing: types::Routing::default(),
        fleet: types::Fleet { sites: Vec::new() },
        failures: Vec::new(),
        levers: Vec::new(),
        expect: Vec::new(),
        report: types::Report::default(),
    };
    let base_dir = fit.parent().unwrap_or(Path::new(""));
    let workload = Workload::open(&scenario, base_dir, &Catalog::default()).map_err(|error| {
        if error.file.is_some() { error } else { InputError { file: Some(shown.clone()), ..error } }
    })?;
    Ok(OpenFit { workload, names })
}
