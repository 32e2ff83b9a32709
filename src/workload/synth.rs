//! Traces written from published statistics.
//!
//! A preset knows a service by a few of its statistics, not by its rows: quantiles of both lengths,
//! how far long answers follow from the prompt's length, and how the rate varied. The generator uses
//! nothing but additions, multiplications and comparisons of IEEE doubles (exponentials by von
//! Neumann's method of comparisons), so the same options give the same bytes on every platform.

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;

use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::random::{Key, Purpose};
use super::trace::OWN;
use super::written::temporary_beside;
use crate::input::InputError;

/// Most requests of one generated trace.
const MOST_REQUESTS: u64 = 100_000_000;

/// A service whose statistics are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The conversation service of the Azure LLM inference trace of November 2023.
    ///
    /// Statistics of `AzureLLMInferenceTrace_conv.csv` of the Azure Public Dataset (CC-BY-4.0;
    /// Patel et al., *Splitwise*, ISCA 2024): 19,366 requests in 3,502 s; prompts of mean 1,155 and
    /// median 1,020 tokens, at most 14,050; outputs of mean 211 and median 129, at most 1,000. The
    /// outputs have two modes, near 100 and near 400 tokens; practically all of the long ones answer
    /// prompts of 512 to 2,047 tokens, and prompts from 2,048 on get 80 tokens on average.
    Azure2023Conversation,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 1] = [Self::Azure2023Conversation];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Azure2023Conversation => "azure-2023-conversation",
        }
    }

    fn shape(self) -> &'static Shape {
        match self {
            Self::Azure2023Conversation => &AZURE_2023_CONVERSATION,
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|p| p.name()).collect();
            format!("there is no preset `{name}`; there is: {}", known.join(", "))
        })
    }
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthOptions {
    /// The service.
    pub preset: Preset,
    /// Rows; the time they span follows from the preset's mean rate.
    pub requests: u64,
    /// Seed of every draw.
    pub seed: u64,
}

/// The statistics of a service.
struct Shape {
    /// Mean arrivals [1/s].
    rate_per_s: f64,
    /// Rate over its mean in equal parts of the trace, whatever its length.
    profile: &'static [f64],
    /// The rate also varies uniformly by ± this share from one `slice_s` to the next.
    jitter: f64,
    slice_s: f64,
    /// Quantiles (share, tokens); linear between them.
    prompt: &'static [(f64, f64)],
    output: &'static [(f64, f64)],
    /// Outputs above this share of the distribution are long …
    long_above: f64,
    /// … and answer prompts between these shares of theirs only. The longest prompts, above the second
    /// share, get rather short answers.
    long_prompts: (f64, f64),
}

static AZURE_2023_CONVERSATION: Shape = Shape {
    rate_per_s: 5.53,
    profile: &[0.85, 0.84, 0.92, 0.92, 1.11, 1.32, 1.31, 1.09, 1.00, 0.99, 0.86, 0.79],
    jitter: 0.22,
    slice_s: 10.0,
    prompt: &[
        (0.0, 2.0),
        (0.05, 181.0),
        (0.2, 387.0),
        (0.3, 403.0),
        (0.5, 1020.0),
        (0.75, 1189.0),
        (0.85, 1876.0),
        (0.9, 2734.0),
        (0.95, 4083.0),
        (0.99, 4142.0),
        (0.999, 6122.0),
        (1.0, 14050.0),
    ],
    output: &[
        (0.0, 7.0),
        (0.05, 41.0),
        (0.2, 77.0),
        (0.5, 129.0),
        (0.6, 177.0),
        (0.665, 240.0),
        (0.67, 371.0),
        (0.9, 424.0),
        (0.95, 451.0),
        (0.99, 601.0),
        (0.998, 916.0),
        (1.0, 1000.0),
    ],
    long_above: 0.665,
    long_prompts: (0.394, 0.860),
};

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

/// The value at share `u` of a distribution given by quantiles, in whole tokens.
fn quantile(points: &[(f64, f64)], u: f64) -> u32 {
    let i = points.iter().position(|p| u < p.0).unwrap_or(points.len() - 1).max(1);
    let ((u0, x0), (u1, x1)) = (points[i - 1], points[i]);
    ((x0 + (x1 - x0) * ((u - u0) / (u1 - u0))).round() as u32).max(1)
}

impl Shape {
    /// Prompt and output tokens of request `number`.
    fn lengths(&self, prompt: &Key, answer: &Key, number: u64) -> (u32, u32) {
        let u = uniform(&mut prompt.generator(number));
        let mut draws = answer.generator(number);
        let (low, high) = self.long_prompts;
        // Among prompts that may have long answers, so many do that the share over all is right.
        let may = u >= low && u < high;
        let long = may && uniform(&mut draws) * (high - low) < 1.0 - self.long_above;
        let v = if long {
            self.long_above + uniform(&mut draws) * (1.0 - self.long_above)
        } else {
            // The longest prompts get the shorter of the short answers, with density 2(1 − v) instead
            // of 1; the others get what is left of the uniform one.
            let longest = (1.0 - high) / self.long_above;
            let tilt = if u >= high { 1.0 } else { -longest / (1.0 - longest) };
            tilted(&mut draws, tilt) * self.long_above
        };
        (quantile(self.prompt, u), quantile(self.output, v))
    }

    /// The rate during slice `number` of a trace that spans `span_s` [1/s].
    fn rate(&self, thin: &Key, number: u64, span_s: f64) -> f64 {
        let part = (number as f64 + 0.5) * self.slice_s / span_s * self.profile.len() as f64;
        let part = (part as usize).min(self.profile.len() - 1);
        let jitter = self.jitter * (2.0 * uniform(&mut thin.generator(number)) - 1.0);
        self.rate_per_s * self.profile[part] * (1.0 + jitter)
    }
}

/// Calls `row` with (arrival [µs], prompt [tokens], output [tokens]) of every request in order.
fn generate<E>(options: &SynthOptions, mut row: impl FnMut(u64, u32, u32) -> Result<(), E>) -> Result<(), E> {
    let shape = options.preset.shape();
    let key = |purpose| Key::new(options.seed, purpose, 0);
    let (gap, prompt, answer, thin) =
        (key(Purpose::Gap), key(Purpose::Prompt), key(Purpose::Answer), key(Purpose::Thin));
    let span_s = options.requests as f64 / shape.rate_per_s;
    let (mut slice, mut within_s) = (0_u64, 0.0);
    let mut rate = shape.rate(&thin, slice, span_s);
    for number in 0..options.requests {
        let mut need = exponential(&mut gap.generator(number));
        while need > rate * (shape.slice_s - within_s) {
            need -= rate * (shape.slice_s - within_s);
            slice += 1;
            within_s = 0.0;
            rate = shape.rate(&thin, slice, span_s);
        }
        within_s += need / rate;
        let arrival_us = ((slice as f64 * shape.slice_s + within_s) * 1e6).round() as u64;
        let (p, o) = shape.lengths(&prompt, &answer, number);
        row(arrival_us, p, o)?;
    }
    Ok(())
}

/// Writes a trace in wattmill's own format to `path`, gzip if it ends in `.gz`. The file appears
/// complete or not at all. Same options, same rows on every platform.
///
/// # Errors
/// Zero or too many requests; a file that cannot be written.
pub fn write_trace(path: &Path, options: &SynthOptions) -> Result<(), InputError> {
    if options.requests == 0 || options.requests > MOST_REQUESTS {
        return Err(InputError::field(
            "requests",
            format!("is {}; it must lie in 1..={MOST_REQUESTS}", options.requests),
        ));
    }
    let temporary = temporary_beside(path);
    let result = write_rows(&temporary, path.extension().is_some_and(|e| e == "gz"), options)
        .and_then(|()| std::fs::rename(&temporary, path));
    result.map_err(|e| {
        // The reason is reported; whether the remains could be removed does not matter then.
        let _ = std::fs::remove_file(&temporary);
        InputError::file("", &path.display().to_string(), format!("cannot be written: {e}"))
    })
}

fn write_rows(path: &Path, gzip: bool, options: &SynthOptions) -> std::io::Result<()> {
    let file = std::fs::File::create(path)?;
    if gzip {
        let mut encoder = flate2::GzBuilder::new().write(&file, flate2::Compression::best());
        write_csv(&mut std::io::BufWriter::new(&mut encoder), options)?;
        encoder.finish()?;
    } else {
        write_csv(&mut std::io::BufWriter::new(&file), options)?;
    }
    file.sync_all()
}

fn write_csv(out: &mut impl std::io::Write, options: &SynthOptions) -> std::io::Result<()> {
    writeln!(out, "{}", OWN.join(","))?;
    let mut line = String::new();
    generate(options, |us, prompt, output| {
        line.clear();
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{}.{:06},{prompt},{output}", us / 1_000_000, us % 1_000_000);
        out.write_all(line.as_bytes())
    })?;
    out.flush()
}
