//! The smallest fleet, the lowest cap or the largest load that meets conditions: a bracketing search.
//!
//! Every value looked at is run under the same seeds. It meets if the mean of every condition's metric over the seeds
//! does, and it is *sure* if the 95 % intervals leave no doubt ([`Condition::verdict`]). The ends of the range say in
//! which direction to look; a coarse scan of the range shows whether the verdict changes once; then three crossings are
//! bisected side by side: where values stop being surely missed, where they begin to meet, and where they
//! surely meet. The middle one is the answer, the outer two are its interval.
//!
//! The interval inverts a test: it holds all values at which the limit lies within the 95 % interval of the metric. So it
//! misses the true crossing only where the interval of the metric misses the metric's expectation there: in about 5 of
//! 100 searches. It includes the steps of the search, whose size is the tolerance. Of several conditions each has its own
//! interval. A share that is 1 under every seed has an interval without width: it counts as sure.

mod bracket;
mod frontier;
mod grid;

use std::collections::BTreeMap;

use serde::Serialize;

pub use frontier::{Axis, Frontier, FrontierPoint, FrontierQuestion, Prices, frontier};

use super::batch::{Progress, StudyError, run_all};
use super::metric::{Condition, Metric, Verdict, tree};
use super::paired::Mean;
use super::replications;
use crate::scenario::types::AtEnd;
use crate::scenario::{self, Draft, LoadOptions, NumberKind, Resolved};
use bracket::{Bracket, Crossing};

/// Metrics of the trail beside those of the conditions.
const ALSO: [&str; 3] = ["throughput.useful_tok_per_s", "power_w.facility.mean", "slo_attainment"];

/// Length of the run that shows which metrics a summary has [s].
const REHEARSAL_S: f64 = 1.0;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Field that is moved, as of `--set`.
    pub find: String,
    /// Ends of the range, in the field's unit.
    pub min: f64,
    /// Above `min`.
    pub max: f64,
    /// All must hold; at least one.
    pub conditions: Vec<Condition>,
    /// Steps of the search, as a share of the value (of the range if `min` is not above 0).
    pub tolerance: f64,
    /// Values looked at first, both ends included: at least 2.
    pub scan: u32,
    /// Replications; at least 2.
    pub seeds: u32,
}

/// Which end of the range meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The upper: the smallest value that meets is the answer.
    Smallest,
    /// The lower: the largest.
    Largest,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfound {
    /// Both ends of the range meet: the crossing, if there is one, lies outside.
    BothEndsMeet,
    /// Neither does.
    NeitherEndMeets,
}

/// One value of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Value of the field.
    pub value: f64,
    /// In which round it was looked at, from 1.
    pub round: u32,
    /// Of all conditions together.
    pub verdict: Verdict,
    /// Of each condition.
    pub by_condition: Vec<Verdict>,
    /// Of the metrics in the order of [`Sizing::metrics`]; none where a run has none.
    pub metrics: Vec<Option<Mean>>,
}

/// A value whose verdict does not fit the others: it meets although one further on does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Contradiction {
    /// Value of the field.
    pub value: f64,
    /// Not within the intervals.
    pub sure: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizing {
    /// Kind of the field.
    pub kind: NumberKind,
    /// Which way the search went; none if it did not.
    pub direction: Option<Direction>,
    /// The value furthest to the end that fails which meets.
    pub found: Option<f64>,
    /// Lower end of its interval; none if it lies outside the range.
    pub low: Option<f64>,
    /// Upper end; likewise.
    pub high: Option<f64>,
    /// Why nothing was found.
    pub unfound: Option<Unfound>,
    /// Seeds of the replications.
    pub seeds: Vec<u64>,
    /// Paths of the metrics of the trail: those of the conditions first.
    pub metrics: Vec<String>,
    /// Every value looked at, in order of rounds.
    pub trail: Vec<Point>,
    /// Values whose verdict does not fit; empty if it changes once.
    pub contradictions: Vec<Contradiction>,
}

impl Sizing {
    /// Whether the verdict changes once along the trail, as far as the intervals can tell.
    #[must_use]
    pub fn monotone(&self) -> bool {
        !self.contradictions.iter().any(|contradiction| contradiction.sure)
    }
}

/// Searches, in parallel on the pool of threads that it is called in. The answer does not depend on their number.
///
/// # Errors
/// See [`StudyError`].
pub fn size(
    draft: &Draft,
    load: &LoadOptions,
    question: &Question,
    progress: &Progress,
) -> Result<Sizing, StudyError> {
    let kind = field(draft, load, &question.find, question.min, question.max)?;
    if question.conditions.is_empty() {
        return Err(StudyError::Question("no condition; name one, e.g. --slo 'slo_attainment>=0.99'".into()));
    }
    let values = grid::values(question.min, question.max, question.tolerance, kind);
    let mut search = Search::begin(draft, load, question, values, kind, progress)?;
    search.scan()?;
    let last = search.values.len() - 1;
    let (lower, upper) = (search.verdict(0).met, search.verdict(last).met);
    let direction = match (lower, upper) {
        (false, true) => Direction::Smallest,
        (true, false) => Direction::Largest,
        (both, _) => return Ok(search.unfound(both)),
    };
    loop {
        let seen = search.seen(direction);
        let mut next: Vec<usize> = Crossing::ALL
            .iter()
            .filter_map(|crossing| Bracket::of(&seen, *crossing).middle())
            .map(|position| search.index(direction, position))
            .collect();
        if next.is_empty() {
            return Ok(search.found(direction));
        }
        next.sort_unstable();
        next.dedup();
        search.look_at(&next)?;
    }
}

/// The kind of a field and whether a range suits it.
fn field(
    draft: &Draft,
    load: &LoadOptions,
    path: &str,
    min: f64,
    max: f64,
) -> Result<NumberKind, StudyError> {
    let kind = match scenario::number_field(path) {
        Ok(kind) => kind,
        // Setting an unknown field tells what is known there.
        Err(text) => {
            variant(draft, load, &[(path, min)])?;
            return Err(StudyError::Question(format!("--find {text}")));
        }
    };
    if !(min.is_finite() && max.is_finite() && min < max) {
        let text = format!("--find {path}: the range {min} to {max} is none; --min must be below --max");
        return Err(StudyError::Question(text));
    }
    if kind == NumberKind::Integer && (min.fract() != 0.0 || max.fract() != 0.0) {
        let text = format!("--find {path}: takes whole numbers; {min} to {max} are not");
        return Err(StudyError::Question(text));
    }
    Ok(kind)
}

/// The scenario with fields set to values.
fn variant(draft: &Draft, load: &LoadOptions, sets: &[(&str, f64)]) -> Result<Resolved, StudyError> {
    let mut load = load.clone();
    load.sets.extend(sets.iter().map(|(path, value)| format!("{path}={value}")));
    draft.resolve(&load).map_err(|error| {
        let asked = |text: String, (path, _): &(&str, f64)| {
            text.replace(&format!("--set {path}="), &format!("--find {path}="))
        };
        StudyError::Question(sets.iter().fold(error.to_string(), asked))
    })
}

/// Metrics must be in the summary of a run: that of a moment shows it, before hours are spent.
fn rehearse(resolved: &Resolved, metrics: &[Metric], progress: &Progress) -> Result<(), StudyError> {
    let mut brief = resolved.clone();
    let scenario = &mut brief.scenario;
    scenario.duration_s = Some(scenario.duration_s.map_or(REHEARSAL_S, |length| length.min(REHEARSAL_S)));
    scenario.warm_up_s = 0.0;
    scenario.at_end = AtEnd::Cut;
    let silent = Progress { go_on: progress.go_on, runs: &|_| (), run_done: &|| () };
    let seed = brief.scenario.seed;
    let summaries = run_all(&[brief], &[seed], &silent, &|outcome| tree(&outcome.summary))
        .map_err(|(_, error)| StudyError::of_run(error, "the run", resolved))?;
    let Some(summary) = summaries.into_iter().flatten().next() else { return Ok(()) };
    for metric in metrics {
        metric
            .check(&summary)
            .map_err(|text| StudyError::Question(format!("--slo {}: {text}", metric.path())))?;
    }
    Ok(())
}

fn seeds(resolved: &Resolved, n: u32) -> Vec<u64> {
    (0..n.max(2)).map(|number| replications::seed(resolved.scenario.seed, number)).collect()
}

/// A search under way.
struct Search<'a> {
    draft: &'a Draft,
    load: &'a LoadOptions,
    question: &'a Question,
    progress: &'a Progress<'a>,
    kind: NumberKind,
    values: Vec<f64>,
    seeds: Vec<u64>,
    metrics: Vec<Metric>,
    trail: Vec<Point>,
    /// Position in the trail by index of the value.
    known: BTreeMap<usize, usize>,
}

impl<'a> Search<'a> {
    fn begin(
        draft: &'a Draft,
        load: &'a LoadOptions,
        question: &'a Question,
        values: Vec<f64>,
        kind: NumberKind,
        progress: &'a Progress<'a>,
    ) -> Result<Self, StudyError> {
        let paths = question.conditions.iter().map(|condition| condition.metric.path()).chain(ALSO);
        let mut metrics: Vec<Metric> = Vec::new();
        for metric in paths.map(Metric::new) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        let first = variant(draft, load, &[(&question.find, question.max)])?;
        rehearse(&first, &metrics, progress)?;
        let seeds = seeds(&first, question.seeds);
        let (trail, known) = (Vec::new(), BTreeMap::new());
        Ok(Self { draft, load, question, progress, kind, values, seeds, metrics, trail, known })
    }

    /// The first round: values all over the range.
    fn scan(&mut self) -> Result<(), StudyError> {
        let (last, steps) = (self.values.len() - 1, self.question.scan.max(2) as usize - 1);
        let mut indices: Vec<usize> = (0..=steps).map(|k| k * last / steps).collect();
        indices.dedup();
        self.look_at(&indices)
    }

    fn look_at(&mut self, indices: &[usize]) -> Result<(), StudyError> {
        let round = self.trail.last().map_or(1, |point| point.round + 1);
        let find = self.question.find.as_str();
        let at = |index: usize| format!("{find}={}", self.values[index]);
        let variants: Vec<Resolved> = indices
            .iter()
            .map(|index| variant(self.draft, self.load, &[(find, self.values[*index])]))
            .collect::<Result<_, _>>()?;
        (self.progress.runs)((self.trail.len() + indices.len()) * self.seeds.len());
        let metrics = &self.metrics;
        let runs = run_all(&variants, &self.seeds, self.progress, &|outcome| {
            let summary = tree(&outcome.summary);
            metrics.iter().map(|metric| metric.of(&summary)).collect::<Vec<_>>()
        })
        .map_err(|(number, error)| StudyError::of_run(error, &at(indices[number]), &variants[number]))?;
        for (index, runs) in indices.iter().zip(runs) {
            self.known.insert(*index, self.trail.len());
            self.trail.push(self.point(self.values[*index], round, &runs));
        }
        Ok(())
    }

    fn point(&self, value: f64, round: u32, runs: &[Vec<Option<f64>>]) -> Point {
        let of_metric = |m: usize| runs.iter().map(move |run| run[m]);
        let metrics: Vec<Option<Mean>> =
            (0..self.metrics.len()).map(|m| Mean::of(&of_metric(m).collect::<Option<Vec<_>>>()?)).collect();
        let by_condition: Vec<Verdict> = self
            .question
            .conditions
            .iter()
            .map(|condition| {
                let m = self.metrics.iter().position(|metric| *metric == condition.metric);
                let all_null = m.is_none_or(|m| of_metric(m).all(|value| value.is_none()));
                condition.verdict(m.and_then(|m| metrics[m].as_ref()), all_null)
            })
            .collect();
        Point { value, round, verdict: Verdict::all(&by_condition), by_condition, metrics }
    }

    /// Of a value that was looked at.
    fn verdict(&self, index: usize) -> Verdict {
        let unknown = Verdict { met: false, sure: false };
        self.known.get(&index).and_then(|at| self.trail.get(*at)).map_or(unknown, |point| point.verdict)
    }

    /// The index of a value at a position counted from the end that fails.
    fn index(&self, direction: Direction, position: usize) -> usize {
        match direction {
            Direction::Smallest => position,
            Direction::Largest => self.values.len() - 1 - position,
        }
    }

    fn seen(&self, direction: Direction) -> Vec<(usize, Verdict)> {
        let mut seen: Vec<(usize, Verdict)> =
            // A position's index and an index's position are the same reflection.
            self.known.keys().map(|index| (self.index(direction, *index), self.verdict(*index))).collect();
        seen.sort_by_key(|(position, _)| *position);
        seen
    }

    fn found(self, direction: Direction) -> Sizing {
        let seen = self.seen(direction);
        let value = |position: usize| self.values[self.index(direction, position)];
        let begins = Bracket::of(&seen, Crossing::Begins).before.map(|position| {
            // An integer beside one that surely fails may be the answer; that one itself is not.
            let inward = if direction == Direction::Smallest { 1.0 } else { -1.0 };
            value(position) + if self.kind == NumberKind::Integer { inward } else { 0.0 }
        });
        let ends = Bracket::of(&seen, Crossing::Ends).behind.map(value);
        let (low, high) = match direction {
            Direction::Smallest => (begins, ends),
            Direction::Largest => (ends, begins),
        };
        let contradictions = bracket::contradictions(&seen)
            .into_iter()
            .map(|(position, sure)| Contradiction { value: value(position), sure })
            .collect();
        let found = Bracket::of(&seen, Crossing::Met).behind.map(value);
        Sizing { direction: Some(direction), found, low, high, contradictions, ..self.sizing() }
    }

    /// Both ends meet, or neither: what does otherwise in between contradicts that.
    fn unfound(self, both_meet: bool) -> Sizing {
        let inside = self.trail.iter().filter(|point| point.verdict.met != both_meet);
        let contradictions =
            inside.map(|point| Contradiction { value: point.value, sure: point.verdict.sure }).collect();
        let unfound = if both_meet { Unfound::BothEndsMeet } else { Unfound::NeitherEndMeets };
        Sizing { unfound: Some(unfound), contradictions, ..self.sizing() }
    }

    fn sizing(self) -> Sizing {
        Sizing {
            kind: self.kind,
            direction: None,
            found: None,
            low: None,
            high: None,
            unfound: None,
            seeds: self.seeds,
            metrics: self.metrics.iter().map(|metric| metric.path().to_string()).collect(),
            trail: self.trail,
            contradictions: Vec::new(),
        }
    }
}

/// The unit of a field, by its name; none where the name says none.
#[must_use]
pub fn unit(path: &str) -> Option<&'static str> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let whole = [("nodes", "nodes"), ("in_flight", "requests"), ("max_seqs", "sequences")];
    let endings = [
        ("_per_s", "1/s"),
        ("_mw", "MW"),
        ("_kw", "kW"),
        ("_w", "W"),
        ("_c", "°C"),
        ("_k", "K"),
        ("_us", "µs"),
        ("_ms", "ms"),
        ("_s", "s"),
        ("_h", "h"),
        ("_tok", "tokens"),
        ("_gb", "GB"),
    ];
    let of_whole = whole.into_iter().find(|(word, _)| name == *word);
    of_whole.or_else(|| endings.into_iter().find(|(end, _)| name.ends_with(end))).map(|(_, unit)| unit)
}
