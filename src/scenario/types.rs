//! The scenario as its author writes it: one struct per YAML map, defaults included.
//!
//! Keys carry their unit. Enums are externally tagged maps; a variant without fields may be written
//! as a bare word. Every field has its default here, so that a loaded [`Scenario`] serialises to the
//! complete `scenario.resolved.yaml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::answering::{Answering, BestOf, Cascade, Verify};
pub use super::attention::{Attention, Grouped, SlidingWindow, SparseTopK};
pub use super::escalation::{Escalate, TargetBudget};
pub use super::expect::{Binds, Bound, Expectation, MetricRange};
pub use super::facility::{
    Cooling, Device, EpwFile, Ladder, Loss, PowerDevice, Rating, Spell, TemperatureCourse, Ups, UpsMode,
    Weather, Zone, ZoneMode,
};
pub use super::failures::{
    Failure, FailureTimes, ModulesOf, NodesOf, OnFailure, Outage, Part, RandomTimes, ShareOf,
};
pub use super::lever::Lever;
pub use super::plant::{
    Adiabatic, AirCooledChiller, DryCooler, Plant, Pumps, Rejector, RejectorDryCooler, RejectorTower,
    TowerWithChiller, WarmWater,
};
pub use super::policy::{ClockSteps, Polca, Policy, PowerPriority, Proportional};
pub use super::signals::{CapWindow, Column, Daily, Grid, SignalCourse};
pub use super::speculation::{Draft, DraftHead, Speculation};
pub use super::supply::{Battery, Breaker, Generator};
use crate::catalog::Difficulty;
pub use crate::catalog::Precision;

/// A complete scenario: what arrives, what serves it, what limits it, what is reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of the result; default: the file's name without extension.
    #[serde(default)]
    pub name: String,
    /// Seed of every random draw.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Length of the run [s]. May be left out when a class replays a trace: as long as its traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Local time of day at t = 0 [h].
    #[serde(default)]
    pub start_at_h: f64,
    /// Start of the run that is kept in the ledger and left out of rates and percentiles [s].
    #[serde(default)]
    pub warm_up_s: f64,
    /// What happens to requests in flight at the end.
    #[serde(default)]
    pub at_end: AtEnd,
    /// What arrives.
    pub workload: Workload,
    /// Model variants that pools may name besides the catalog's own entries.
    #[serde(default)]
    pub models: Vec<Model>,
    /// How requests are spread over replicas.
    #[serde(default)]
    pub routing: Routing,
    /// What serves.
    pub fleet: Fleet,
    /// What breaks.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// What `wattmill levers` pulls, alone and together; a run pulls none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levers: Vec<Lever>,
    /// What the author expects of the run; whether it held is told at its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
    /// What is written.
    #[serde(default)]
    pub report: Report,
}

/// What happens at the end of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtEnd {
    /// Stop at `duration_s` and report what is in flight.
    #[default]
    Cut,
    /// No more arrivals after `duration_s`; finish what is in flight.
    Drain,
}

/// The offered work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Classes of requests; their arrivals are merged in time.
    pub classes: Vec<Class>,
}

/// One class of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Name, unique among the classes.
    pub name: String,
    /// High is admitted before normal before low, and preempted last.
    #[serde(default)]
    pub priority: Priority,
    /// Only pools that serve this model (a name under `models` or of the catalog); default: any pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When requests arrive.
    pub arrivals: Arrivals,
    /// Token counts per request; must be absent for trace replay, which brings its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
    /// Prefixes that its prompts share, such as system prompts or documents; their tokens come on top of
    /// `lengths.prompt`. Default: no prompt has anything in common with another. Must be absent for trace replay, whose
    /// prompts are whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<Prefixes>,
    /// How hard its problems are; without it, answers have no quality and nothing is thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<DifficultyMix>,
    /// How long it may think before it answers; default: not at all. Thinking comes on top of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// How an answer is found; default: by asking one model once. Needs `difficulty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answering: Option<Answering>,
    /// Wanted probability that an answer is right, 0 to 1, as the mean over the class's problems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_target: Option<f64>,
    /// Limits a request must meet to count as useful; an absent limit always holds.
    #[serde(default)]
    pub slo: Slo,
    /// A request that has waited this long without being started gives up and counts as shed [s];
    /// default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_s: Option<f64>,
    /// What becomes of a request on a replica that fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// How hard the problems of a class are, and what a predictor makes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifficultyMix {
    /// Shares of problems; they sum to 1. Left out where a trace brings its own `difficulty` column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<ByDifficulty>,
    /// Probability that the predictor flags a problem as hard; needed by what goes by prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flagged_hard: Option<ByDifficulty>,
}

/// A share or probability, 0 to 1, per difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ByDifficulty {
    /// Of easy problems (like GSM8K).
    pub easy: f64,
    /// Of medium problems (like MATH-500).
    pub medium: f64,
    /// Of hard problems (like AIME 2024).
    pub hard: f64,
}

impl ByDifficulty {
    /// The value for a difficulty.
    #[must_use]
    pub fn of(&self, difficulty: Difficulty) -> f64 {
        match difficulty {
            Difficulty::Easy => self.easy,
            Difficulty::Medium => self.medium,
            Difficulty::Hard => self.hard,
        }
    }
}

/// How long a request may think.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// Not at all.
    #[default]
    None,
    /// As long for every problem.
    Fixed(FixedBudget),
    /// By predicted difficulty.
    Adaptive(AdaptiveBudget),
    /// By true difficulty: what a predictor without errors could do.
    Oracle(OracleBudget),
    /// As long for every problem as the class's `quality_target` asks, and by a larger model where its own cannot meet it.
    QualityTarget(TargetBudget),
}

/// `fixed`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedBudget {
    /// Most tokens of thought; default: the fewest with which the class meets its `quality_target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tok: Option<u32>,
}

/// `adaptive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveBudget {
    /// Most tokens of thought.
    pub budget_tok: BudgetByFlag,
}

/// Budgets by predicted difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetByFlag {
    /// Of problems not flagged hard [tokens].
    pub easy: u32,
    /// Of problems flagged hard [tokens].
    pub hard: u32,
}

/// `oracle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OracleBudget {
    /// Most tokens of thought.
    pub budget_tok: BudgetByDifficulty,
}

/// Budgets by true difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetByDifficulty {
    /// Of easy problems [tokens].
    pub easy: u32,
    /// Of medium problems [tokens].
    pub medium: u32,
    /// Of hard problems [tokens].
    pub hard: u32,
}

/// Order of admission and, reversed, of preemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Admitted first.
    High,
    /// The default.
    #[default]
    Normal,
    /// Admitted last, preempted first.
    Low,
}

/// An arrival process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Equally spaced, the first one gap after t = 0.
    Constant(ConstantRate),
    /// A fixed number in flight: each is replaced at the instant it finishes (or is shed).
    ClosedLoop(ClosedLoop),
    /// Independent exponential gaps.
    Poisson(PoissonRate),
    /// Independent gamma-distributed gaps: bursts.
    Gamma(GammaRate),
    /// Poisson with a cosine day.
    Diurnal(Diurnal),
    /// Poisson with rates from a CSV, constant within each row's interval.
    RateCurve(RateCurve),
    /// Arrivals and lengths replayed from a file.
    Trace(TraceReplay),
}

/// `constant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstantRate {
    /// Arrivals per second.
    pub rate_per_s: f64,
}

/// `closed_loop`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedLoop {
    /// Requests in flight.
    pub in_flight: u64,
}

/// `poisson`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoissonRate {
    /// Mean arrivals per second.
    pub rate_per_s: f64,
}

/// `gamma`: a stationary renewal process. Above 1, `cv` makes bursts; at 1 it is a Poisson process; below, it is
/// more regular.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GammaRate {
    /// Mean arrivals per second.
    pub rate_per_s: f64,
    /// Coefficient of variation of the gaps (standard deviation over mean), 0.01 to 30.
    pub cv: f64,
}

impl GammaRate {
    /// What `cv` may be: below, a constant rate is meant; above, nearly all gaps are shorter than a femtosecond.
    pub const CV: std::ops::RangeInclusive<f64> = 0.01..=30.0;
}

/// `diurnal`: rate(h) = mean_per_s · (1 + (peak_to_mean − 1) · cos(2π (h − peak_at_h) / 24)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diurnal {
    /// Mean arrivals per second over a day.
    pub mean_per_s: f64,
    /// Peak rate over mean rate, 1 to 2.
    pub peak_to_mean: f64,
    /// Local time of the peak [h].
    pub peak_at_h: f64,
}

/// `rate_curve`: a CSV with one row per interval; a row's rate holds until the next row's time, the
/// last row's for as long as the one before it; then the curve repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateCurve {
    /// The CSV, relative to the scenario file.
    pub path: String,
    /// Name of the column with the row's start [s from the start of the run].
    #[serde(default = "default_time_column")]
    pub time_column: String,
    /// Name of the column with the rate [arrivals/s].
    #[serde(default = "default_rate_column")]
    pub rate_column: String,
    /// Multiplies every rate.
    #[serde(default = "one")]
    pub scale: f64,
}

/// `trace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceReplay {
    /// The trace (.csv or .csv.gz, or its .wmt copy by `wattmill trace cache`), relative to the scenario file.
    pub path: String,
    /// Columns; `auto` goes by the header.
    #[serde(default)]
    pub format: TraceFormat,
    /// Requests per row: 2 doubles every request, 0.5 keeps each with probability ½ (by its own draw).
    #[serde(default = "one")]
    pub scale: f64,
    /// Divides every arrival time: 2 replays in half the time.
    #[serde(default = "one")]
    pub speed_up: f64,
}

/// Trace columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceFormat {
    /// By header.
    #[default]
    Auto,
    /// `arrival_s,prompt_tok,output_tok[,class,difficulty,thinking_tok]`.
    Wattmill,
    /// `TIMESTAMP,ContextTokens,GeneratedTokens`.
    Azure,
    /// `arrival_s,input_tokens,output_tokens`, as records of a served trace have them.
    Served,
    /// `timestamp` or `timestamp_ms` [ms], `input_length`, `output_length`: JSON Lines as published, or a CSV.
    Mooncake,
    /// `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`; failed rows, without tokens, are left out.
    Burstgpt,
}

/// Token counts of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lengths {
    /// Prompt tokens.
    #[serde(default = "default_prompt")]
    pub prompt: Length,
    /// Answer (output) tokens.
    #[serde(default = "default_answer")]
    pub answer: Length,
}

/// Shared prefixes of a class: each prompt begins with one of them, number k of them with probability ∝ k^(−zipf).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prefixes {
    /// Tokens of a prefix, drawn once for each.
    pub tok: Length,
    /// How many there are, 1 to 1,000,000.
    pub count: u32,
    /// Exponent of their popularity, 0 (all alike) to 10. Default 1, Zipf's law: a guess.
    #[serde(default = "one")]
    pub zipf: f64,
}

impl Prefixes {
    /// What `count` may be; each prefix costs memory, here and in every cache.
    pub const COUNT: std::ops::RangeInclusive<u32> = 1..=1_000_000;
    /// What `zipf` may be; at the upper end, the first prefix is drawn 999 times of 1,000.
    pub const ZIPF: std::ops::RangeInclusive<f64> = 0.0..=10.0;
}

/// A distribution of token counts. Real draws are rounded up; results lie in 1..=max_tok.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Always the same.
    Constant(ConstantLength),
    /// Exponential.
    Exponential(ExponentialLength),
    /// Lognormal, by its mean (before the limit) and the σ of its logarithm.
    Lognormal(LognormalLength),
    /// Drawn from the rows of a CSV column.
    Empirical(EmpiricalLength),
}

/// `constant`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConstantLength {
    /// Tokens.
    pub tok: u32,
}

/// `exponential`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExponentialLength {
    /// Mean [tokens].
    pub mean_tok: f64,
    /// Longer draws are set to this.
    #[serde(default = "default_max_tok")]
    pub max_tok: u32,
}

/// `lognormal`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LognormalLength {
    /// Mean before the limit [tokens].
    pub mean_tok: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
    /// Longer draws are set to this.
    #[serde(default = "default_max_tok")]
    pub max_tok: u32,
}

/// `empirical`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmpiricalLength {
    /// A CSV with a header, relative to the scenario file.
    pub path: String,
    /// The column with the token counts.
    pub column: String,
}

/// Service-level objectives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Time to first token [ms].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Time per output token after the first [ms].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpot_ms: Option<f64>,
}

/// A model variant: a catalog entry with levers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name pools and classes use.
    pub name: String,
    /// The catalog's name.
    pub catalog: String,
    /// Precision of the weights; default: the checkpoint's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Precision>,
    /// Precision of the KV cache.
    #[serde(default = "bf16")]
    pub kv_cache: Precision,
    /// Attention: the model's own, or what it would be with another. It acts on FLOP, bytes and memory; see each
    /// variant for what it says of quality.
    #[serde(default)]
    pub attention: Attention,
    /// Speculative decoding; default: none, one token per decoding step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculation: Option<Speculation>,
    /// What there was before `speculation`: only `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speculative: Option<Speculative>,
    /// The catalog's quality tier: how often it is right; default: by the model's size. Only classes with
    /// `difficulty` ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_tier: Option<String>,
}

/// `speculative`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speculative {
    /// One token per decoding step.
    None,
}

/// How a request finds its replica.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Routing {
    /// Each replica in turn.
    RoundRobin,
    /// Uniformly at random, by the request's own draw.
    Random,
    /// The replica with the fewest requests waiting and running; ties: the lowest number.
    LeastLoaded(LeastLoaded),
    /// The less loaded of two replicas drawn at random.
    #[default]
    PowerOfTwo,
    /// Each shared prefix has two homes, replicas drawn by a hash of the prefix alone, where it is likely cached: the
    /// less loaded of them. Requests without a prefix: the less loaded of two drawn at random.
    PrefixAware(PrefixAware),
    /// Problems flagged hard to one model, all else to another. A class that names its model stays with it.
    DifficultyAware(DifficultyAware),
}

/// `difficulty_aware`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifficultyAware {
    /// Model of problems not flagged hard, and of classes without difficulty.
    pub easy: String,
    /// Model of problems flagged hard.
    pub hard: String,
    /// How requests are spread over the replicas of the model: any other router.
    #[serde(default)]
    pub within: Box<Routing>,
}

/// `prefix_aware`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixAware {
    /// A home with more than this many times the requests (waiting and running, plus one) of the less loaded of two
    /// replicas drawn at random is passed over for that one, 1 to 1,000,000. Default 2: a guess.
    #[serde(default = "two")]
    pub overload: f64,
}

impl PrefixAware {
    /// What `overload` may be.
    pub const OVERLOAD: std::ops::RangeInclusive<f64> = 1.0..=1e6;
}

impl Default for PrefixAware {
    fn default() -> Self {
        Self { overload: two() }
    }
}

/// `least_loaded`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeastLoaded {
    /// Look at this many replicas drawn at random; default: at all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<u32>,
}

/// The serving side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Sites, each behind one utility meter.
    pub sites: Vec<Site>,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Name; default: `site`, or `site-<n>` when there are several.
    #[serde(default)]
    pub name: String,
    /// Facility power over IT power, a constant that stands for losses and cooling; default 1. Left out where
    /// a power tree computes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_pue: Option<f64>,
    /// Power limits and the devices between meter and nodes.
    #[serde(default)]
    pub power: Power,
    /// Outdoor air; needed by cooling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weather: Option<Weather>,
    /// Cooling zones and their plants; needs a power tree, from which the plants hang.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling: Option<Cooling>,
    /// Prices of electricity and water, and the grid's carbon; default: unknown, as are the accounts of them.
    #[serde(default, skip_serializing_if = "Grid::is_unknown")]
    pub grid: Grid,
    /// Pools of identical replicas.
    pub pools: Vec<Pool>,
}

/// Power limits of a site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Limit at the utility meter [MW]; default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_mw: Option<f64>,
    /// Share of `cap_mw` over time.
    #[serde(default)]
    pub cap_fraction: CapFraction,
    /// How the cap is kept.
    #[serde(default)]
    pub policy: Policy,
    /// Devices between the meter and the nodes, in any order; default: none, see `static_pue`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tree: Vec<PowerDevice>,
}

/// Share of the cap over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapFraction {
    /// Constant.
    Constant(f64),
    /// Steps; before the first, 1.
    Steps(Vec<CapStep>),
    /// Demand response: the value within a window, 1 outside; in order of time, without overlap.
    Windows(Vec<CapWindow>),
    /// One row an hour, the first for the hour from the midnight before t = 0 on; after the last row the table starts
    /// again. What comes after `duration_s` (`at_end: drain`) keeps to the table until it ends, then to its last row.
    Csv(Column),
}

impl Default for CapFraction {
    fn default() -> Self {
        Self::Constant(1.0)
    }
}

/// One step of the cap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapStep {
    /// Local time counted from midnight before t = 0 [h]; beyond 24: following days.
    pub at_h: f64,
    /// Share of `cap_mw` from then on.
    pub value: f64,
}

/// Identical replicas on identical nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Name, unique in the site; default: the model's name.
    #[serde(default)]
    pub name: String,
    /// A name under `models`, or of the catalog.
    pub model: String,
    /// The catalog's GPU.
    pub gpu: String,
    /// The catalog's node; default: the GPU's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Number of nodes, fully populated.
    pub nodes: u32,
    /// The catalog's serving engine and version: host time per step and per sequence.
    #[serde(default = "default_engine")]
    pub engine: String,
    /// How a replica is spread over GPUs.
    #[serde(default)]
    pub parallel: Parallel,
    /// Who prefills and who decodes.
    #[serde(default)]
    pub serving: Serving,
    /// Where step times come from.
    #[serde(default)]
    pub step_law: StepLaw,
    /// Limits of the serving engine.
    #[serde(default)]
    pub batching: Batching,
    /// Power limit set on each GPU [W]; default: the GPU's own (TDP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_cap_w: Option<f64>,
    /// Which pools the policies `priority` and `polca` slow down last: high ones.
    #[serde(default)]
    pub power_priority: PowerPriority,
    /// The power device its nodes hang from; needed where the site has a power tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// The cooling zone its nodes heat; needed where the site has cooling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// When its nodes are installed: local time counted from midnight before t = 0 [h]. Before, they draw no power, serve
    /// nothing and count in no share; default: from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_h: Option<f64>,
    /// When they are taken out again, likewise [h]; their requests go elsewhere, as when a node fails. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_h: Option<f64>,
    /// From a repair, or from power again, until a replica serves: boot and loading of weights [s]; quality: guess.
    #[serde(default = "default_start_up_s")]
    pub start_up_s: f64,
}

/// Who prefills and who decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serving {
    /// Every replica does both.
    #[default]
    Aggregated,
}

/// Parallelism of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    /// GPUs over which each layer is split.
    #[serde(default = "one_u32")]
    pub tensor: u32,
    /// Groups of `tensor` GPUs in a replica, each attending to its own part of the sequences; experts are shared by
    /// all. A replica may take several whole nodes, if its model has experts and its node a network in the catalog.
    #[serde(default = "one_u32")]
    pub attention_data: u32,
    /// GPUs of the replica over which whole experts are spread; 1: each expert is split over all of them.
    #[serde(default = "one_u32")]
    pub expert: u32,
    /// Whether a step may be split in two halves, of which one computes while the all-to-alls of the other are under
    /// way. Each half streams the weights; a step is split only where that is faster.
    #[serde(default, skip_serializing_if = "is_false")]
    pub two_batch_overlap: bool,
    /// Stages over which the layers are spread; more than 1 cannot be simulated yet.
    #[serde(default = "one_u32")]
    pub pipeline: u32,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { tensor: 1, attention_data: 1, expert: 1, two_batch_overlap: false, pipeline: 1 }
    }
}

impl From<&Parallel> for crate::catalog::Split {
    fn from(parallel: &Parallel) -> Self {
        let Parallel { tensor, attention_data, expert, two_batch_overlap: _, pipeline: _ } = *parallel;
        Self { tensor, attention_data, expert }
    }
}

/// Step time and power of a replica.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepLaw {
    /// From the catalog's GPU and model.
    #[default]
    Roofline,
    /// The user's own.
    Affine(Affine),
}

/// An own step law:
/// t = base + [p > 0]·prefill + p·per_prompt_tok + n·per_seq + kv·per_kv_tok, all over the clock's share,
/// for n decoding sequences holding kv tokens and p prompt tokens in the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    /// Every step [µs].
    pub base_us: f64,
    /// A step with prompt tokens [µs].
    #[serde(default)]
    pub prefill_us: f64,
    /// Per prompt token in the step [µs].
    #[serde(default)]
    pub per_prompt_tok_us: f64,
    /// Per decoding sequence [µs].
    #[serde(default)]
    pub per_seq_us: f64,
    /// Per token that decoding sequences attend to: those in their KV caches, and the one that each writes [µs].
    #[serde(default)]
    pub per_kv_tok_us: f64,
    /// Energy of a step.
    pub energy: Energy,
}

/// Energy of an own step law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Energy {
    /// In proportion to processed tokens; nothing when idle.
    PerToken(PerToken),
    /// By what the replica is doing.
    PerState(PerState),
}

/// `per_token`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerToken {
    /// Node joules per token that a step processes, prompt or output.
    pub it_j_per_tok: f64,
}

/// `per_state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerState {
    /// Node watts of a replica without work.
    pub idle_w: f64,
    /// Node watts of a working replica at full clock.
    pub base_w: f64,
    /// On top of it per running sequence: decoding or in prefill.
    #[serde(default)]
    pub per_seq_w: f64,
}

/// Limits of the serving engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batching {
    /// Most sequences running at once.
    #[serde(default = "default_max_seqs")]
    pub max_seqs: u32,
    /// Most tokens in one step: a prefill chunk and one per decoding sequence.
    #[serde(default = "default_max_step_tok")]
    pub max_step_tok: u32,
    /// Who is served first within a step.
    #[serde(default)]
    pub order: StepOrder,
    /// Tokens per KV block.
    #[serde(default = "default_kv_block_tok")]
    pub kv_block_tok: u32,
    /// Share of the GPU memory for weights and KV cache together.
    #[serde(default = "default_hbm_fraction")]
    pub hbm_fraction: f64,
    /// KV blocks of a replica; default: what the memory holds beside the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_blocks: Option<u64>,
    /// What gives way when decoding finds no free KV block.
    #[serde(default)]
    pub on_kv_full: OnKvFull,
    /// Requests that may wait at a replica; a further one is shed. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queue: Option<u64>,
    /// Whether KV blocks of shared prefixes stay in memory while it is not needed, so that later prompts take them
    /// from there; default: yes, as vLLM does. Without effect unless a class has `prefixes`.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub prefix_cache: bool,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            max_seqs: default_max_seqs(),
            max_step_tok: default_max_step_tok(),
            order: StepOrder::default(),
            kv_block_tok: default_kv_block_tok(),
            hbm_fraction: default_hbm_fraction(),
            kv_blocks: None,
            on_kv_full: OnKvFull::default(),
            max_queue: None,
            prefix_cache: yes(),
        }
    }
}

/// Order within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOrder {
    /// Decoding sequences first, then prompts, first come first served.
    #[default]
    DecodeFirst,
}

/// Preemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnKvFull {
    /// The most recently admitted sequence of the lowest priority loses its cache and recomputes it later.
    #[default]
    RecomputeNewest,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Interval of `timeseries.csv` [s]; changes no total.
    #[serde(default = "default_interval_s")]
    pub interval_s: f64,
    /// Write `requests.csv`, one row per request.
    #[serde(default)]
    pub requests: bool,
    /// Which figures are drawn.
    #[serde(default)]
    pub figures: Figures,
}

impl Default for Report {
    fn default() -> Self {
        Self { interval_s: default_interval_s(), requests: false, figures: Figures::default() }
    }
}

/// Figures to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figures {
    /// All that the run can fill.
    #[default]
    Default,
    /// None.
    None,
}

fn default_seed() -> u64 {
    1
}
pub(super) fn one() -> f64 {
    1.0
}
pub(super) fn one_u32() -> u32 {
    1
}
fn default_start_up_s() -> f64 {
    300.0
}
fn yes() -> bool {
    true
}
fn is_yes(flag: &bool) -> bool {
    *flag
}
fn is_false(flag: &bool) -> bool {
    !flag
}
fn bf16() -> Precision {
    Precision::Bf16
}
fn default_time_column() -> String {
    "time_s".into()
}
fn default_rate_column() -> String {
    "rate_per_s".into()
}
/// Chat prompts: mean of the Azure 2023 conversation trace (1,155 tokens); σ as for answers.
pub fn default_prompt() -> Length {
    Length::Lognormal(LognormalLength { mean_tok: 1155.0, sigma: 1.1, max_tok: 16384 })
}
/// Chat answers: ML.ENERGY v3, Llama-3.1-70B, mean 355 tokens, σ 1.10.
pub fn default_answer() -> Length {
    Length::Lognormal(LognormalLength { mean_tok: 355.0, sigma: 1.1, max_tok: 4096 })
}
fn default_engine() -> String {
    "vllm-0.11".into()
}
fn default_max_tok() -> u32 {
    131_072
}
fn default_max_seqs() -> u32 {
    256
}
fn default_max_step_tok() -> u32 {
    2048
}
fn default_kv_block_tok() -> u32 {
    16
}
fn default_hbm_fraction() -> f64 {
    0.9
}
fn two() -> f64 {
    2.0
}
fn default_interval_s() -> f64 {
    60.0
}
