//! Arrivals and lengths: a stream of requests.
//!
//! [`Workload::open`] checks everything a workload names (every row of every trace, rate curve and
//! length table) and takes the moments of the offered mix; [`Workload::stream`] then hands out the
//! requests, one at a time, merged over the classes in order of (time, class). Memory does not grow
//! with the number of requests or of trace rows.
//!
//! Requests arrive at 0 ≤ t ≤ [`Workload::duration_fs`], both ends included. What a request draws is
//! a function of the seed, its class number and its number in the class alone: see [`random`].

mod arrivals;
mod cache;
pub mod convert;
pub mod describe;
pub mod fit;
mod itinerary;
mod lengths;
mod prefixes;
mod presets;
pub mod random;
mod rates;
mod reasoning;
mod stream;
pub mod synth;
mod time;
mod token_counts;
mod trace;
mod written;

pub use cache::write_cache;
pub use itinerary::{Itinerary, Leg, Task};
pub use lengths::MOST_TOK;
pub use reasoning::Attempt;
pub use stream::Stream;
pub use time::{FS_PER_S, fs_to_seconds, seconds_to_fs};
pub use written::{TraceError, write_text};

use std::path::Path;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::input::InputError;
use crate::scenario::types::{self, Arrivals, ByDifficulty, Scenario};
use arrivals::{Cosine, Curve, check_rate};
use lengths::Sampler;
use prefixes::Sharing;
use random::{Key, Purpose};
use reasoning::{Recorded, Thinking};
use trace::Trace;

/// A request as it arrives; nothing about it depends on the fleet that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Number in order of handing out, from 0.
    pub index: u64,
    /// Class number.
    pub class: u16,
    /// Instant of arrival [fs].
    pub arrival_fs: i128,
    /// Prompt tokens, ≥ 1, those of its shared prefix among them.
    pub prompt_tok: u32,
    /// Output tokens, ≥ 1: thinking and answer.
    pub output_tok: u32,
    /// Of the output tokens, those of thinking; the answer has at least one.
    pub thinking_tok: u32,
    /// Its problem and what comes of it, if its class has difficulty.
    pub attempt: Attempt,
    /// Number of the shared prefix its prompt begins with, among those of all classes from 1; 0: none.
    pub prefix: u32,
    /// Tokens of that prefix, fewer than the prompt's.
    pub prefix_tok: u32,
    /// Which leg of a request it is, where a class answers in several.
    pub leg: Leg,
    /// 64 random bits of this request's own for routing: hash(seed, "route", class, number in class).
    pub route_bits: u64,
}

impl Request {
    /// Place among all requests and legs where several come at once: by index, then by leg.
    #[inline]
    #[must_use]
    pub fn order(&self) -> u64 {
        (self.index << Leg::BITS) | u64::from(self.leg.0)
    }
}

/// Draws over which the moments of drawn lengths are taken.
const MIX_DRAWS: u64 = 16_384;

/// Most requests of one closed loop: all of them exist from t = 0 on.
const MOST_IN_FLIGHT: u64 = 100_000_000;

/// What one class offers on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassMix {
    /// Class number.
    pub class: u16,
    /// Expected arrivals over the run by its length [1/s]; `None` for a closed loop.
    pub requests_per_s: Option<f64>,
    /// Mean prompt [tokens].
    pub mean_prompt_tok: f64,
    /// Mean output [tokens].
    pub mean_output_tok: f64,
    /// Mean of prompt · output [tokens²].
    pub mean_prompt_times_output: f64,
    /// Mean of output² [tokens²].
    pub mean_output_sq: f64,
    /// Mean of prompt² [tokens²].
    pub mean_prompt_sq: f64,
    /// Mean tokens of the shared prefix, 0 of a request without one.
    pub mean_prefix_tok: f64,
    /// Mean of prefix² [tokens²].
    pub mean_prefix_sq: f64,
    /// Mean of prefix · output [tokens²].
    pub mean_prefix_times_output: f64,
    /// Requests over which the means are taken: all rows of a trace, also those after the end of the
    /// run, or the first 16,384 draws of the class (a pure function of the seed).
    pub n: u64,
}

/// Sums over requests; integers, so that their order does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moments {
    n: u64,
    prompt: u128,
    output: u128,
    prompt_times_output: u128,
    output_sq: u128,
    prompt_sq: u128,
    prefix: u128,
    prefix_sq: u128,
    prefix_times_output: u128,
}

impl Moments {
    #[inline]
    fn add(&mut self, prompt_tok: u32, output_tok: u32) {
        let (p, o) = (u64::from(prompt_tok), u64::from(output_tok));
        self.n += 1;
        self.prompt += u128::from(p);
        self.output += u128::from(o);
        self.prompt_times_output += u128::from(p * o);
        self.output_sq += u128::from(o * o);
        self.prompt_sq += u128::from(p * p);
    }

    /// Of a request that was added, its shared prefix.
    fn add_prefix(&mut self, prefix_tok: u32, output_tok: u32) {
        let (p, o) = (u64::from(prefix_tok), u64::from(output_tok));
        self.prefix += u128::from(p);
        self.prefix_sq += u128::from(p * p);
        self.prefix_times_output += u128::from(p * o);
    }

    /// The sum of two.
    fn and(&self, other: &Self) -> Self {
        Self {
            n: self.n + other.n,
            prompt: self.prompt + other.prompt,
            output: self.output + other.output,
            prompt_times_output: self.prompt_times_output + other.prompt_times_output,
            output_sq: self.output_sq + other.output_sq,
            prompt_sq: self.prompt_sq + other.prompt_sq,
            prefix: self.prefix + other.prefix,
            prefix_sq: self.prefix_sq + other.prefix_sq,
            prefix_times_output: self.prefix_times_output + other.prefix_times_output,
        }
    }

    fn mix(&self, class: u16, requests_per_s: Option<f64>) -> ClassMix {
        let n = self.n.max(1) as f64;
        ClassMix {
            class,
            requests_per_s,
            mean_prompt_tok: self.prompt as f64 / n,
            mean_output_tok: self.output as f64 / n,
            mean_prompt_times_output: self.prompt_times_output as f64 / n,
            mean_output_sq: self.output_sq as f64 / n,
            mean_prompt_sq: self.prompt_sq as f64 / n,
            mean_prefix_tok: self.prefix as f64 / n,
            mean_prefix_sq: self.prefix_sq as f64 / n,
            mean_prefix_times_output: self.prefix_times_output as f64 / n,
            n: self.n,
        }
    }
}

/// When the requests of a class arrive: checked, not yet started.
#[derive(Debug, Clone)]
enum Process {
    Constant(f64),
    ClosedLoop(u64),
    Poisson(f64),
    /// Rate [1/s] and coefficient of variation of the gaps.
    Gamma(f64, f64),
    Diurnal(Cosine),
    RateCurve(Arc<Curve>),
    Trace(Box<Trace>),
}

/// A checked class.
#[derive(Debug, Clone)]
struct OpenClass {
    process: Process,
    /// Prompt and answer; `None` for a trace, which brings its own.
    lengths: Option<(Sampler, Sampler)>,
    /// Difficulty and thinking.
    thinking: Option<Thinking>,
    /// Shared prefixes.
    sharing: Option<Sharing>,
}

/// The offered work of a scenario, with all its files checked.
#[derive(Debug, Clone)]
pub struct Workload {
    seed: u64,
    duration_fs: i128,
    classes: Vec<OpenClass>,
    mix: Vec<ClassMix>,
    mix_by_flag: Vec<[ClassMix; 2]>,
    mix_by_leg: Vec<Vec<ClassMix>>,
    notes: Vec<String>,
}

impl Workload {
    /// Opens and checks everything the workload of `scenario` names; its paths are relative to
    /// `base_dir`, its models and quality tiers are in `catalog`.
    pub fn open(scenario: &Scenario, base_dir: &Path, catalog: &Catalog) -> Result<Self, InputError> {
        let given = &scenario.workload.classes;
        if given.is_empty() {
            return Err(InputError::field("workload.classes", "is empty; a run needs at least one class"));
        }
        if given.len() > usize::from(u16::MAX) {
            return Err(InputError::field("workload.classes", "has more than 65,535 classes"));
        }
        let duration_fs = match scenario.duration_s {
            None => None,
            Some(s) => Some(seconds_to_fs(s).filter(|&fs| fs > 0).ok_or_else(|| {
                InputError::field(
                    "duration_s",
                    format!("is {s}; it must be above 0 and at most 1e12 seconds"),
                )
            })?),
        };
        let mut classes = Vec::with_capacity(given.len());
        // 0 is no prefix.
        let mut next_prefix = 1;
        for (i, class) in given.iter().enumerate() {
            let field = format!("workload.classes.{i}");
            let thinking = Thinking::open(scenario, catalog, i as u16, &field)?;
            let process =
                open_process(class, &field, scenario.start_at_h, base_dir, duration_fs, thinking.as_ref())?;
            if let (Process::Trace(trace), Some(thinking)) = (&process, &thinking)
                && trace.records_thinking
                && thinking.answers_in_legs()
            {
                return Err(InputError::field(
                    format!("{field}.answering"),
                    "must be left out: the trace records thinking_tok, which is known of one attempt only",
                ));
            }
            let lengths = open_lengths(class, &field, base_dir)?;
            let sharing = open_prefixes(class, scenario.seed, i as u16, next_prefix, &field, base_dir)?;
            next_prefix = sharing.as_ref().map_or(next_prefix, Sharing::end);
            classes.push(OpenClass { process, lengths, thinking, sharing });
        }
        let duration_fs = match duration_fs {
            Some(fs) => fs,
            None => duration_of_traces(&classes)?,
        };
        let mut workload = Self {
            seed: scenario.seed,
            duration_fs,
            classes,
            mix: Vec::new(),
            mix_by_flag: Vec::new(),
            mix_by_leg: Vec::new(),
            notes: Vec::new(),
        };
        for number in 0..workload.classes.len() as u16 {
            let (whole, by_flag) = workload.class_mix(number);
            let by_leg = workload.legs_mix(number, &whole)?;
            workload.mix.push(whole);
            workload.mix_by_flag.push(by_flag);
            workload.mix_by_leg.push(by_leg);
        }
        for class in &workload.classes {
            if let Process::Trace(trace) = &class.process {
                for note in &trace.notes {
                    if !workload.notes.contains(note) {
                        workload.notes.push(note.clone());
                    }
                }
            }
        }
        for (class, open) in given.iter().zip(&workload.classes) {
            if let Some(mix) = &class.difficulty
                && !matches!(&open.process, Process::Trace(trace) if trace.records_thinking)
            {
                let recorded = if let Process::Trace(trace) = &open.process { trace.share } else { None };
                workload.notes.extend(reasoning::notes(scenario, catalog, class, mix, recorded));
            }
        }
        Ok(workload)
    }

    /// Length of the run [fs]: `duration_s`, or without it the last arrival of the traces after
    /// `speed_up`, rounded up to a whole microsecond. Requests arrive at t ≤ this.
    #[must_use]
    pub fn duration_fs(&self) -> i128 {
        self.duration_fs
    }

    /// What each class offers, by class number.
    #[must_use]
    pub fn mix(&self) -> &[ClassMix] {
        &self.mix
    }

    /// What each class offers in problems not flagged hard, and in those flagged hard, by class number;
    /// all of a class without difficulty is in the first.
    #[must_use]
    pub fn mix_by_flag(&self) -> &[[ClassMix; 2]] {
        &self.mix_by_flag
    }

    /// What the legs of each class that answers in several offer, by class number and number of the leg: `n` of a leg
    /// counts the requests that come to it, of the `n` of the class.
    #[must_use]
    pub fn mix_by_leg(&self) -> &[Vec<ClassMix>] {
        &self.mix_by_leg
    }

    /// Legs of a class's requests that run at once.
    #[must_use]
    pub fn legs_at_once(&self, class: u16) -> f64 {
        let thinking = self.classes.get(usize::from(class)).and_then(|class| class.thinking.as_ref());
        thinking.map_or(1, Thinking::legs_at_once).into()
    }

    /// Shares of difficulties in the rows of a class's trace, where it records them.
    #[must_use]
    pub fn recorded_share(&self, class: u16) -> Option<ByDifficulty> {
        match &self.classes.get(usize::from(class))?.process {
            Process::Trace(trace) => trace.share,
            _ => None,
        }
    }

    /// Whether a class's trace records how long was thought: the needed thought is then not the tier's.
    #[must_use]
    pub fn records_thinking(&self, class: u16) -> bool {
        matches!(
            self.classes.get(usize::from(class)),
            Some(OpenClass { process: Process::Trace(trace), .. }) if trace.records_thinking
        )
    }

    /// What the user should know although it is no error: columns that are not used, rows of a trace
    /// after the end of the run, quality targets that are not met.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Starts the stream of requests from t = 0. Every stream of a workload is the same.
    pub fn stream(&self) -> Result<Stream, InputError> {
        Stream::start(self, 0)
    }

    /// Starts the stream at `from_fs` ≥ 0, as if nothing had arrived before: the rates, days and rows of the time from
    /// then on, the draws of a stream that begins. Closed loops begin then.
    ///
    /// # Errors
    /// As of [`Workload::stream`].
    pub fn stream_from(&self, from_fs: i128) -> Result<Stream, InputError> {
        Stream::start(self, from_fs.max(0))
    }

    fn class_mix(&self, number: u16) -> (ClassMix, [ClassMix; 2]) {
        let class = &self.classes[usize::from(number)];
        let d = self.duration_fs;
        let seconds = fs_to_seconds(d);
        let rate = match &class.process {
            Process::Constant(rate) | Process::Poisson(rate) | Process::Gamma(rate, _) => Some(*rate),
            Process::ClosedLoop(_) => None,
            Process::Diurnal(cosine) => Some(cosine.expected(d) / seconds),
            Process::RateCurve(curve) => Some(curve.expected(d) / seconds),
            Process::Trace(trace) => Some(trace.rows_inside as f64 * trace.scale / seconds),
        };
        let moments = match (&class.process, &class.lengths) {
            (Process::Trace(trace), _) => trace.moments,
            (_, Some((prompt, answer))) => {
                let prompt_key = Key::new(self.seed, Purpose::Prompt, number);
                let answer_key = Key::new(self.seed, Purpose::Answer, number);
                let mut moments = [Moments::default(); 2];
                for k in 0..MIX_DRAWS {
                    let (thinking_tok, attempt) = match &class.thinking {
                        Some(thinking) => thinking.draw(k, Recorded::default()),
                        None => (0, Attempt::NONE),
                    };
                    let output_tok = thinking_tok + answer.draw(&answer_key, k);
                    let prefix_tok = class.sharing.as_ref().map_or(0, |sharing| sharing.draw(k).1);
                    let moments = &mut moments[usize::from(attempt.flagged_hard())];
                    moments.add(prefix_tok + prompt.draw(&prompt_key, k), output_tok);
                    moments.add_prefix(prefix_tok, output_tok);
                }
                moments
            }
            (_, None) => [Moments::default(); 2],
        };
        let whole = moments[0].and(&moments[1]);
        let part = |m: &Moments| m.mix(number, rate.map(|rate| rate * m.n as f64 / whole.n.max(1) as f64));
        (whole.mix(number, rate), [part(&moments[0]), part(&moments[1])])
    }

    /// Means over the first requests of a class that is answered in legs, by leg; empty for other classes.
    fn legs_mix(&self, number: u16, whole: &ClassMix) -> Result<Vec<ClassMix>, InputError> {
        let class = &self.classes[usize::from(number)];
        let key = |purpose| Key::new(self.seed, purpose, number);
        let Some(thinking) = class.thinking.as_ref().filter(|thinking| thinking.answers_in_legs()) else {
            return Ok(Vec::new());
        };
        let mut replay = match &class.process {
            Process::Trace(trace) => Some(trace.replay(key(Purpose::Thin))?),
            _ => None,
        };
        let (prompt_key, answer_key, route) =
            (key(Purpose::Prompt), key(Purpose::Answer), key(Purpose::Route));
        let mut itinerary = Itinerary::default();
        let mut moments: Vec<Moments> = Vec::new();
        for k in 0..MIX_DRAWS {
            let (prompt_tok, answer_tok, recorded) = match (&mut replay, &class.lengths) {
                (Some(replay), _) => match replay.advance()? {
                    Some(_) => replay.current(),
                    None => break,
                },
                (None, Some((prompt, answer))) => {
                    (prompt.draw(&prompt_key, k), answer.draw(&answer_key, k), Recorded::default())
                }
                (None, None) => break,
            };
            let (thinking_tok, attempt) = thinking.draw(k, recorded);
            let (prefix, prefix_tok) = class.sharing.as_ref().map_or((0, 0), |sharing| sharing.draw(k));
            let first = Request {
                index: 0,
                class: number,
                arrival_fs: 0,
                prefix,
                prefix_tok,
                prompt_tok: prefix_tok + prompt_tok,
                output_tok: thinking_tok + answer_tok,
                thinking_tok,
                attempt,
                leg: Leg::FIRST,
                route_bits: route.bits(k),
            };
            thinking.itinerary(&first, k, &mut itinerary);
            if moments.len() < itinerary.tasks.len() {
                moments.resize(itinerary.tasks.len(), Moments::default());
            }
            for (moments, task) in moments.iter_mut().zip(&itinerary.tasks) {
                moments.add(task.prompt_tok, task.output_tok);
                moments.add_prefix(prefix_tok, task.output_tok);
            }
        }
        let requests = moments.first().map_or(1, |first| first.n).max(1) as f64;
        let of_leg =
            |m: &Moments| m.mix(number, whole.requests_per_s.map(|rate| rate * m.n as f64 / requests));
        Ok(moments.iter().map(of_leg).collect())
    }
}

fn open_process(
    class: &types::Class,
    field: &str,
    start_at_h: f64,
    base_dir: &Path,
    duration_fs: Option<i128>,
    thinking: Option<&Thinking>,
) -> Result<Process, InputError> {
    let field = format!("{field}.arrivals");
    Ok(match &class.arrivals {
        Arrivals::Constant(c) => {
            check_rate(c.rate_per_s, &format!("{field}.constant.rate_per_s"))?;
            Process::Constant(c.rate_per_s)
        }
        Arrivals::Poisson(p) => {
            check_rate(p.rate_per_s, &format!("{field}.poisson.rate_per_s"))?;
            Process::Poisson(p.rate_per_s)
        }
        Arrivals::Gamma(g) => {
            check_rate(g.rate_per_s, &format!("{field}.gamma.rate_per_s"))?;
            if !types::GammaRate::CV.contains(&g.cv) {
                return Err(InputError::field(
                    format!("{field}.gamma.cv"),
                    format!("is {}; it must lie in 0.01..=30 (1 is a Poisson process)", g.cv),
                ));
            }
            Process::Gamma(g.rate_per_s, g.cv)
        }
        Arrivals::ClosedLoop(c) if c.in_flight > MOST_IN_FLIGHT => {
            return Err(InputError::field(
                format!("{field}.closed_loop.in_flight"),
                format!("is {}; at most {MOST_IN_FLIGHT} requests can be in flight", c.in_flight),
            ));
        }
        Arrivals::ClosedLoop(c) => Process::ClosedLoop(c.in_flight),
        Arrivals::Diurnal(d) => Process::Diurnal(Cosine::open(d, start_at_h, &format!("{field}.diurnal"))?),
        Arrivals::RateCurve(c) => {
            Process::RateCurve(Arc::new(Curve::open(c, &format!("{field}.rate_curve"), base_dir)?))
        }
        Arrivals::Trace(t) => Process::Trace(Box::new(Trace::open(
            t,
            &class.name,
            &format!("{field}.trace"),
            base_dir,
            duration_fs,
            thinking,
        )?)),
    })
}

fn open_lengths(
    class: &types::Class,
    field: &str,
    base_dir: &Path,
) -> Result<Option<(Sampler, Sampler)>, InputError> {
    let field = format!("{field}.lengths");
    match (&class.arrivals, &class.lengths) {
        (Arrivals::Trace(_), Some(_)) => {
            Err(InputError::field(field, "must be absent: a trace brings its own lengths"))
        }
        (Arrivals::Trace(_), None) => Ok(None),
        (_, given) => {
            let default = types::Lengths { prompt: types::default_prompt(), answer: types::default_answer() };
            let lengths = given.as_ref().unwrap_or(&default);
            Ok(Some((
                Sampler::open(&lengths.prompt, &format!("{field}.prompt"), base_dir)?,
                Sampler::open(&lengths.answer, &format!("{field}.answer"), base_dir)?,
            )))
        }
    }
}

fn open_prefixes(
    class: &types::Class,
    seed: u64,
    number: u16,
    first: u32,
    field: &str,
    base_dir: &Path,
) -> Result<Option<Sharing>, InputError> {
    let field = format!("{field}.prefixes");
    match (&class.arrivals, &class.prefixes) {
        (_, None) => Ok(None),
        (Arrivals::Trace(_), Some(_)) => {
            Err(InputError::field(field, "must be left out: the prompts of a trace are whole"))
        }
        (_, Some(given)) => Sharing::open(given, seed, number, first, &field, base_dir).map(Some),
    }
}

/// The length of a run that says none: as long as its traces.
fn duration_of_traces(classes: &[OpenClass]) -> Result<i128, InputError> {
    const FS_PER_US: i128 = 1_000_000_000;
    let last = classes
        .iter()
        .filter_map(|c| if let Process::Trace(t) = &c.process { Some(t.last_fs) } else { None })
        .max();
    match last {
        None => Err(InputError::field(
            "duration_s",
            "is missing; it may be left out only when a class replays a trace (in seconds: `duration_s: 3600`)",
        )),
        Some(0) => Err(InputError::field(
            "duration_s",
            "is missing, and the last row of the trace arrives at 0 s: say how long the run is",
        )),
        Some(fs) => Ok((fs + FS_PER_US - 1) / FS_PER_US * FS_PER_US),
    }
}

#[cfg(test)]
mod tests;
