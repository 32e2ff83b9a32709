//! What a run leaves behind: the contract that reports, studies and users read.
//!
//! Field names are stable (they are the keys of `summary.json`); every number is finite or absent.
//! SI units. Counts (`requests`, `tokens`, `energy_j`, water, carbon, cost) cover the whole run; rates, percentiles, shares
//! and per-token figures cover the measured window, warm-up excluded.

use std::collections::BTreeMap;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::uncertainty::{Draws, Uncertainty};
use crate::catalog::Difficulty;
use crate::control::{PolcaTotals, Throttles};
use crate::workload::Attempt;

/// Version of `summary.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// The result of one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `summary.json`.
    pub summary: Summary,
    /// `timeseries.csv`: one row per reporting interval, in time order.
    pub series: Vec<SeriesRow>,
    /// `power_distribution.csv`: for how much of the window nodes and power devices draw how much at most.
    pub distribution: Vec<DistributionRow>,
    /// `requests.csv` in order of index, if asked for.
    pub requests: Option<Vec<RequestRow>>,
    /// `uncertainty.csv`: one row per draw of the fit's coefficients, if asked for.
    pub draws: Option<Draws>,
    /// What the engine went through; equal in both engines unless named otherwise.
    pub counters: Counters,
}

/// `summary.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys, documented in the README")]
pub struct Summary {
    pub schema_version: u32,
    pub scenario: ScenarioInfo,
    pub engine: EngineInfo,
    pub requests: Requests,
    pub tokens: Tokens,
    pub throughput: Throughput,
    pub latency_s: Latencies,
    /// Share of requests finished or shed in the window that met their SLO; null without any.
    pub slo_attainment: Option<f64>,
    pub energy_j: Energy,
    pub j_per_output_token: PerBoundary,
    pub j_per_useful_token: PerBoundary,
    /// Energy of the whole fleet per accepted answer (see `quality`); null without any.
    pub j_per_accepted_answer: PerBoundary,
    /// Answers of classes with difficulty; null without such a class.
    pub quality: Option<Quality>,
    pub power_w: PowerSummary,
    pub pue: MeanMinMax,
    #[serde(flatten)]
    pub accounts: Accounts,
    /// Money and carbon of the measured window over its useful tokens; null without tokens, price or carbon.
    pub cost_usd_per_million_useful_tok: Option<f64>,
    pub carbon_g_per_million_useful_tok: Option<f64>,
    pub staves_tok_per_s: Staves,
    pub binding: Binding,
    pub tpf: Tpf,
    /// What the catalog's fit leaves open; null unless asked for.
    pub uncertainty: Option<Uncertainty>,
    pub per_site: Vec<SiteSummary>,
    pub per_pool: Vec<PoolSummary>,
    /// Catalog entries this run rests on, with the quality of their numbers.
    pub sources: Vec<SourceNote>,
    /// Things a reader must know, in plain words (requests left in flight, rows dropped, …).
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct ScenarioInfo {
    pub name: String,
    /// SHA-256 of the canonical resolved scenario and its input files' contents, hexadecimal.
    pub hash: String,
    pub seed: u64,
    pub duration_s: f64,
    pub warm_up_s: f64,
    /// End of the measured window: `duration_s`, or the last completion when draining.
    pub end_s: f64,
    pub start_at_h: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct EngineInfo {
    /// `segments` or `stepwise`.
    pub kind: String,
    pub events: u64,
    pub segments: u64,
    pub iterations_represented: u64,
    /// Wall time of the simulation; absent in files that must be reproducible.
    pub wall_s: Option<f64>,
    pub requests_per_s: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Requests {
    pub arrived: u64,
    pub completed: u64,
    pub shed: u64,
    pub in_flight: u64,
    /// Completed within their SLO.
    pub met_slo: u64,
    /// Completed with a right answer, of classes with difficulty; null without such a class.
    pub met_quality: Option<u64>,
    /// Met their SLO and, where their class has difficulty, answered right.
    pub useful: u64,
    /// Shed by cause; their sum is `shed`.
    pub shed_by: ShedBy,
    /// Sent to another replica because theirs failed; a request counts as often as that happened.
    pub retried: u64,
}

/// Answers of classes with difficulty. `accepted_answers` counts over the whole run; shares and means are of
/// requests completed in the measured window, and null without any.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Quality {
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Right and within the SLO.
    pub accepted_answers: u64,
    pub mean_thinking_tok: Option<f64>,
    /// By the class's name.
    pub by_class: BTreeMap<String, ClassQuality>,
}

/// Answers of one class.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct ClassQuality {
    pub answered: u64,
    pub accuracy: Option<f64>,
    /// By the closed form, over all its problems; null where only the trace knows their difficulty.
    pub expected_accuracy: Option<f64>,
    /// `quality_target`.
    pub target: Option<f64>,
    /// Whether `accuracy` reaches the target; null without either.
    pub target_met: Option<bool>,
    /// Whole run.
    pub accepted_answers: u64,
    pub mean_thinking_tok: Option<f64>,
    /// Share of answers whose thinking the budget ended early.
    pub cut_off_share: Option<f64>,
    /// Share of answered problems that were flagged hard.
    pub flagged_hard_share: Option<f64>,
    /// Quality tier that answers problems not flagged hard.
    pub tier: String,
    /// Quality tier that answers problems flagged hard.
    pub tier_flagged_hard: String,
    /// How the answers were found; absent where each is found at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answering: Option<AnsweringQuality>,
    #[serde(deserialize_with = "by_difficulty")]
    pub by_difficulty: BTreeMap<&'static str, DifficultyQuality>,
}

/// What it took to find the answers of a class, means over those of the measured window; null without any.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct AnsweringQuality {
    /// Attempts at a problem.
    pub mean_attempts: Option<f64>,
    /// Share of problems of which the first attempt is right.
    pub first_attempt_accuracy: Option<f64>,
    /// Share of answers that a verdict stands before, whatever it was; the others stand without.
    pub verified_share: Option<f64>,
    /// Tokens of all legs for an answer, and those of verdicts among them.
    pub mean_output_tok: Option<f64>,
    pub mean_verdict_tok: Option<f64>,
}

fn by_difficulty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<&'static str, DifficultyQuality>, D::Error> {
    let known = BTreeMap::<Difficulty, DifficultyQuality>::deserialize(deserializer)?;
    Ok(known.into_iter().map(|(difficulty, quality)| (difficulty.name(), quality)).collect())
}

/// Answers to problems of one difficulty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct DifficultyQuality {
    pub answered: u64,
    pub accuracy: Option<f64>,
    pub mean_thinking_tok: Option<f64>,
    pub cut_off_share: Option<f64>,
    pub flagged_hard_share: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct ShedBy {
    pub patience: u64,
    pub queue_full: u64,
    /// Could never fit the KV cache of its replica.
    pub too_long: u64,
    /// Waiting at, or sent to, a pool whose cooling zone was critical.
    pub overheated: u64,
    /// On a replica that failed, of a class that does not retry.
    pub lost: u64,
    /// No replica that could serve it was up.
    pub unavailable: u64,
}

impl ShedBy {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.patience + self.queue_full + self.too_long + self.overheated + self.lost + self.unavailable
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Tokens {
    /// Each completed or started prompt once, when its prefill ends; recomputation apart.
    pub prompt: u64,
    pub output: u64,
    pub useful_output: u64,
    /// Tokens processed again after preemption.
    pub recomputed: u64,
    /// Of `prompt`, tokens of shared prefixes that were taken from the cache, not computed.
    #[serde(default)]
    pub prompt_cached: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Throughput {
    pub output_tok_per_s: f64,
    pub useful_tok_per_s: f64,
    /// predicted · u of the Token Production Function.
    pub utilisation_adjusted_tok_per_s: Option<f64>,
    pub prompt_tok_per_s: f64,
    pub completed_req_per_s: f64,
}

/// Mean and percentiles [s]; absent without samples.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Quantiles {
    pub n: u64,
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Latencies {
    pub ttft: Quantiles,
    pub tpot: Quantiles,
    pub itl: Quantiles,
    pub e2e: Quantiles,
    /// Arrival to admission, of each leg from where it set out.
    pub queue: Quantiles,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Energy {
    pub gpu: f64,
    pub it: f64,
    pub facility: f64,
    /// gpu_active, gpu_idle, node_overhead, pue_overhead; sums to `facility`.
    pub by: EnergyBy,
}

/// Energy by where it goes; its keys in `summary.json` are gpu_active, gpu_idle, node_overhead, and with a static
/// PUE pue_overhead, else `loss_<device>`, fans, pumps and chiller.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct EnergyBy {
    pub gpu_active: f64,
    pub gpu_idle: f64,
    pub node_overhead: f64,
    /// (static PUE − 1) · IT: stands for losses and cooling.
    pub pue_overhead: f64,
    /// (`loss_<device>`, fans, pumps, chiller) and their joules; empty without a power tree.
    pub building: Vec<(String, f64)>,
}

impl Serialize for EnergyBy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("gpu_active", &self.gpu_active)?;
        map.serialize_entry("gpu_idle", &self.gpu_idle)?;
        map.serialize_entry("node_overhead", &self.node_overhead)?;
        map.serialize_entry("pue_overhead", &self.pue_overhead)?;
        for (name, joules) in &self.building {
            map.serialize_entry(name, joules)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for EnergyBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnergyByVisitor)
    }
}

struct EnergyByVisitor;

impl<'de> Visitor<'de> for EnergyByVisitor {
    type Value = EnergyBy;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("joules by where they go")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EnergyBy, A::Error> {
        let mut by = EnergyBy::default();
        let mut fixed = [false; 4];
        while let Some((name, joules)) = map.next_entry::<String, f64>()? {
            let (k, place) = match name.as_str() {
                "gpu_active" => (0, &mut by.gpu_active),
                "gpu_idle" => (1, &mut by.gpu_idle),
                "node_overhead" => (2, &mut by.node_overhead),
                "pue_overhead" => (3, &mut by.pue_overhead),
                _ => {
                    by.building.push((name, joules));
                    continue;
                }
            };
            *place = joules;
            fixed[k] = true;
        }
        let names = ["gpu_active", "gpu_idle", "node_overhead", "pue_overhead"];
        match names.into_iter().zip(fixed).find(|(_, there)| !there) {
            Some((name, _)) => Err(de::Error::missing_field(name)),
            None => Ok(by),
        }
    }
}

/// Joules per token at the three accounting boundaries; absent without tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct PerBoundary {
    pub gpu: Option<f64>,
    pub it: Option<f64>,
    pub facility: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct PowerSummary {
    pub it: MeanP99Max,
    pub facility: MeanP99Max,
    /// Mean IT power delivered: facility power over PUE.
    pub delivered_it_mean: f64,
    /// Mean facility cap over the window; null without a cap.
    pub cap_facility_mean: Option<f64>,
    /// Time with power above the cap (clocks change at iteration boundaries only) and the joules above it.
    pub overshoot_s: f64,
    pub overshoot_j: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct MeanP99Max {
    pub mean: f64,
    pub p99: f64,
    pub max: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct MeanMinMax {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

/// What a site, or all of them, used up: water, carbon and money of the whole run, ratios of the measured window. Null
/// where the scenario does not say enough: of the fleet, as soon as one site does not.
///
/// PUE, WUE and CUE after The Green Grid (white papers 49, 35 and 32); partial PUE after its white paper 49; ITUE and TUE
/// after Patterson et al., "TUE, a New Energy-Efficiency Metric Applied at ORNL's Jaguar" (ISC 2013).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Accounts {
    /// Make-up water of the cooling plants: evaporated and bled; null without cooling.
    pub water_l: Option<f64>,
    /// CO2-equivalent of what was drawn from the grid; null without `grid.carbon_g_per_kwh`.
    pub carbon_kg: Option<f64>,
    /// Electricity drawn from the grid and water, of those that have a price; null if neither has.
    pub cost_usd: Option<f64>,
    #[serde(default)]
    pub ppue: PartialPue,
    /// IT energy over that of the GPUs, which are what computes: fans, conversion and host are its overhead; null without
    /// GPU energy.
    pub itue: Option<f64>,
    /// ITUE · PUE: facility energy over that of the GPUs.
    pub tue: Option<f64>,
    /// Water over IT energy.
    pub wue_l_per_kwh: Option<f64>,
    /// Carbon over IT energy.
    pub cue_kg_per_kwh: Option<f64>,
}

/// 1 + energy of a subsystem over IT energy; null without a power tree, of cooling without zones. What batteries took
/// belongs to neither.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct PartialPue {
    /// Losses of the power tree.
    pub power_chain: Option<f64>,
    /// Fans, pumps and chillers of the plants.
    pub cooling: Option<f64>,
}

/// Output rates that each limit alone would allow [tok/s]; null: unlimited or unknown.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Staves {
    pub demand: Option<f64>,
    pub compute: Option<f64>,
    pub memory_bandwidth: Option<f64>,
    pub kv_capacity: Option<f64>,
    pub power: Option<f64>,
    pub cooling: Option<f64>,
}

/// A binding constraint (PHYSICS D4/D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Not enough work.
    Demand,
    /// FLOP/s, host or links.
    Compute,
    /// HBM bandwidth.
    MemoryBandwidth,
    /// Slots or KV memory.
    KvCapacity,
    /// A power device or a GPU cap.
    Power,
    /// A cooling zone.
    Cooling,
    /// Refused admission, failed, starting.
    Operations,
}

impl Constraint {
    /// All, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Demand,
        Self::Compute,
        Self::MemoryBandwidth,
        Self::KvCapacity,
        Self::Power,
        Self::Cooling,
        Self::Operations,
    ];

    /// The key in `summary.json`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Compute => "compute",
            Self::MemoryBandwidth => "memory_bandwidth",
            Self::KvCapacity => "kv_capacity",
            Self::Power => "power",
            Self::Cooling => "cooling",
            Self::Operations => "operations",
        }
    }
}

impl Shares {
    /// The share of a label.
    #[must_use]
    pub fn of(&self, label: Constraint) -> f64 {
        match label {
            Constraint::Demand => self.demand,
            Constraint::Compute => self.compute,
            Constraint::MemoryBandwidth => self.memory_bandwidth,
            Constraint::KvCapacity => self.kv_capacity,
            Constraint::Power => self.power,
            Constraint::Cooling => self.cooling,
            Constraint::Operations => self.operations,
        }
    }
}

/// GPU-seconds by label over installed GPU-seconds; sums to 1.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Shares {
    pub demand: f64,
    pub compute: f64,
    pub memory_bandwidth: f64,
    pub kv_capacity: f64,
    pub power: f64,
    pub cooling: f64,
    pub operations: f64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Binding {
    pub share: Shares,
    /// Run lengths of the site label on a fixed 60 s grid over the whole run.
    pub timeline: Vec<Stretch>,
    pub first: First,
}

/// A stretch of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Stretch {
    pub start_s: f64,
    pub end_s: f64,
    pub constraint: Constraint,
    /// The device, pool or class that binds, e.g. `dallas.meter` or `dallas.large`.
    #[serde(rename = "where")]
    pub place: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct First {
    /// Start of the first power-bound stretch.
    pub power_s: Option<f64>,
    /// Start of the first cooling-bound stretch.
    pub cooling_s: Option<f64>,
}

/// Token Production Function of the run (PHYSICS §1, D3). Predicted from the physics and the offered mix,
/// never from the run's own token count.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct Tpf {
    /// Null where a pool has its own step law and so knows no FLOP.
    pub k_eff_flop_per_s: Option<f64>,
    pub c_tok_flop: Option<f64>,
    pub e_tok_j: Option<f64>,
    pub theta: Option<f64>,
    pub p_facility_w: Option<f64>,
    pub phi: Option<f64>,
    pub u: Option<f64>,
    pub predicted_tok_per_s: Option<f64>,
    pub measured_tok_per_s: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct SiteSummary {
    pub name: String,
    pub gpus: u64,
    /// Facility over IT energy in the window.
    pub pue: f64,
    #[serde(flatten)]
    pub accounts: Accounts,
    pub energy_j: Energy,
    pub power_w: PowerSummary,
    pub binding: Binding,
    /// Caps by thresholds in the window; null under policies without any.
    #[serde(default)]
    pub capping: Option<PolcaTotals>,
    /// Cooling zones in the scenario's order; empty without cooling.
    pub zones: Vec<ZoneInfo>,
    /// Power devices in the scenario's order; empty without a power tree.
    #[serde(default)]
    pub devices: Vec<DeviceSummary>,
}

/// A power device: its output over the window, and what of its limit can be used. Watts are of its output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct DeviceSummary {
    /// `<site>.<device>`.
    pub name: String,
    /// The device that feeds it as built; null of a source.
    pub parent: Option<String>,
    pub rated_w: f64,
    /// Derated rating; at the meter the highest cap of the window if that is less.
    pub limit_w: f64,
    pub mean_w: f64,
    pub p99_w: f64,
    pub max_w: f64,
    /// 99th percentile of output over the limit in force, which caps, failures and empty batteries change.
    pub p99_share_of_limit: f64,
    /// What that leaves of `limit_w`; below 0: it is exceeded for over 1 % of the time.
    pub headroom_p99_w: f64,
    /// Time with output above the limit in force, and the joules above it.
    pub overshoot_s: f64,
    pub overshoot_j: f64,
    /// Part of `limit_w` that no load can use; see the README.
    pub stranded_w: f64,
    /// What strands most of it; null where nothing does.
    pub stranded_by: Option<Stranded>,
    /// Ratings of the devices that hang from it as built, what its pools draw at most, and its cooling plants.
    pub nameplate_below_w: f64,
    /// The same over `rated_w`; null where nothing hangs from it.
    pub oversubscription: Option<f64>,
}

/// What strands power at a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stranded {
    /// Devices above cannot deliver it.
    Above,
    /// Devices, pools and plants below cannot take it.
    Below,
}

/// A row of `power_distribution.csv`: a share of the window in which something draws at most so much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the CSV columns")]
pub struct DistributionRow {
    /// `node`: all nodes of a pool together, at the wall; `device`: output of a power device.
    pub of: String,
    /// `<site>.<pool>` or `<site>.<device>`.
    pub name: String,
    pub time_share: f64,
    pub power_w: f64,
    /// Of devices: output over the limit in force.
    pub limit_share: Option<f64>,
}

/// A cooling zone: what its plant aims at, and the thresholds of its throttle ladder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct ZoneInfo {
    /// `<site>.<zone>`.
    pub name: String,
    /// `buffered`, or `instantaneous`: the ladder is not used.
    pub mode: String,
    pub set_c: f64,
    pub warn_c: f64,
    pub hold_c: f64,
    pub critical_c: f64,
    pub trip_c: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct PoolSummary {
    pub name: String,
    pub site: String,
    pub model: String,
    pub gpu: String,
    pub replicas: u64,
    pub gpus: u64,
    /// Null if what a sequence keeps does not grow with its context: no block is asked for.
    pub kv_blocks_per_replica: Option<u64>,
    pub output_tok_per_s: f64,
    /// Share of replica-seconds spent in iterations.
    pub busy_share: f64,
    /// Mean clock of working replicas as a share of the full clock; null if never working.
    pub mean_clock: Option<f64>,
    pub energy_it_j: f64,
    pub preemptions: u64,
    /// Prompt tokens taken from the prefix cache, and their share of the tokens of shared prefixes in completed prompts;
    /// null without those.
    #[serde(default)]
    pub prompt_cached_tok: u64,
    #[serde(default)]
    pub prefix_hit_rate: Option<f64>,
    pub staves_tok_per_s: Staves,
    /// Largest feasible batch b* of the offered mix [sequences], and what limits it.
    pub feasible_batch: f64,
    pub feasible_batch_limit: String,
    pub share: Shares,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct SourceNote {
    /// E.g. `gpu H100-SXM-80GB`.
    pub entry: String,
    /// The weakest quality among the numbers used: measured, fitted, datasheet or guess.
    pub quality: String,
    pub source: String,
}

/// One row of `timeseries.csv`. Energies over the interval are given as mean watts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the CSV columns")]
pub struct SeriesRow {
    /// Start of the interval.
    pub time_s: f64,
    /// Length of the interval (the last may be shorter).
    pub length_s: f64,
    pub stave_demand_tok_per_s: Option<f64>,
    pub stave_compute_tok_per_s: Option<f64>,
    pub stave_memory_bandwidth_tok_per_s: Option<f64>,
    pub stave_kv_capacity_tok_per_s: Option<f64>,
    pub stave_power_tok_per_s: Option<f64>,
    pub stave_cooling_tok_per_s: Option<f64>,
    /// Fleet label that held longest in the interval; empty where none is known.
    pub binding: Option<Constraint>,
    /// Output tokens per second.
    pub output_tok_per_s: f64,
    pub useful_tok_per_s: f64,
    /// Prompt tokens taken from prefix caches, of prompts that were complete in the interval.
    #[serde(default)]
    pub prompt_cached_tok_per_s: f64,
    pub gpu_active_w: f64,
    pub gpu_idle_w: f64,
    pub node_overhead_w: f64,
    /// (static PUE − 1) · IT.
    pub pue_overhead_w: f64,
    /// Losses of the power tree, and what the cooling plants draw; 0 with a static PUE.
    pub loss_w: f64,
    pub cooling_w: f64,
    /// What batteries take; negative while they give.
    #[serde(default)]
    pub battery_w: f64,
    pub it_w: f64,
    pub facility_w: f64,
    /// Mean facility cap; empty without one.
    pub cap_facility_w: Option<f64>,
    pub pue: f64,
    /// Outdoors at the end of the interval; empty without weather.
    pub wet_bulb_c: Option<f64>,
    pub dry_bulb_c: Option<f64>,
    /// Warmest supply temperature of the zones at the end of the interval, and its zone; empty without zones.
    pub supply_c: Option<f64>,
    pub supply_zone: String,
    /// At the end of the interval: waiting, running requests; replicas waiting for watts.
    pub queue: u64,
    pub running: u64,
    pub waiting_for_power: u64,
    /// Mean clock of working replicas over the interval, share of full clock; empty if none worked.
    pub clock: Option<f64>,
    pub arrivals: u64,
    pub completed: u64,
    pub shed: u64,
}

/// One row of `requests.csv`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "names and units are the CSV columns")]
pub struct RequestRow {
    pub index: u64,
    pub class: u16,
    /// [fs]
    pub arrival_fs: i128,
    pub first_token_fs: Option<i128>,
    pub finish_fs: Option<i128>,
    pub prompt_tok: u32,
    /// Of the prompt tokens, those taken from the cache; known of prompts that share a prefix and are complete.
    pub cached_tok: Option<u32>,
    pub output_tok: u32,
    /// Of the output tokens.
    pub thinking_tok: u32,
    /// Problem and answer; columns of their own where any class has difficulty.
    pub attempt: Attempt,
    /// Global replica number; absent if refused before routing.
    pub replica: Option<u32>,
    pub outcome: RequestOutcome,
    /// Legs in which it was answered, and the tokens they emitted; columns of their own where any class answers in
    /// several. Of a request without an answer: 1, and what its legs emitted if it was to have several.
    pub legs: u32,
    pub spent_tok: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// All tokens delivered.
    Completed,
    /// Gave up waiting.
    ShedPatience,
    /// Refused by a full queue.
    ShedQueueFull,
    /// Could never fit.
    ShedTooLong,
    /// Not started when its pool's cooling zone was critical.
    ShedOverheated,
    /// Its replica failed, and it was not retried.
    Lost,
    /// No replica that could serve it was up.
    ShedUnavailable,
    /// Waiting or running at the end.
    InFlight,
}

impl RequestOutcome {
    /// As written to `requests.csv`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ShedPatience => "shed_patience",
            Self::ShedQueueFull => "shed_queue_full",
            Self::ShedTooLong => "shed_too_long",
            Self::ShedOverheated => "shed_overheated",
            Self::Lost => "lost",
            Self::ShedUnavailable => "shed_unavailable",
            Self::InFlight => "in_flight",
        }
    }
}

/// What the engine went through; used by tests to know what they compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "plain counts")]
pub struct Counters {
    pub preemptions: u64,
    /// A working replica went on at another clock.
    pub clock_changes: u64,
    /// Starts refused for lack of watts.
    pub power_waits: u64,
    /// What cooling did.
    pub throttles: Throttles,
    pub admissions: u64,
    pub iterations: u64,
    /// Σ IT energy [nW·fs], exact: whole joules and remainder.
    pub it_energy_j: i128,
    pub it_energy_rest_nw_fs: i128,
    /// Σ GPU energy, likewise.
    pub gpu_energy_j: i128,
    pub gpu_energy_rest_nw_fs: i128,
}
