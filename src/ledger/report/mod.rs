//! From closed books to the outcome: summary, time series, Token Production Function.

mod series;
mod sites;

use self::sites::{capping_note, distribution, fleet_power, zone_infos};
use super::accounts::SiteAccounts;
use super::book::{CLOCK_BITS, Ledger, Mark, seconds, tokens_f64};
use super::outcome::{
    Counters, DeviceSummary, Energy, EnergyBy, EngineInfo, Latencies, MeanMinMax, Outcome, PerBoundary,
    PoolSummary, PowerSummary, Requests, SCHEMA_VERSION, ScenarioInfo, SiteSummary, SourceNote, Summary,
    Throughput, Tokens, Tpf,
};
use super::staves::{PoolStaves, device_staves, installed, site_at_power};
use crate::control::{PolcaTotals, PowerControl};
use crate::fleet::{Fleet, Pool, Site, UNLIMITED_KV_BLOCKS};
use crate::physics::energy;

/// What the ledger does not know itself.
pub struct Frame {
    /// Of the scenario.
    pub scenario: ScenarioInfo,
    /// Of the engine.
    pub engine: EngineInfo,
    /// Remarks so far.
    pub notes: Vec<String>,
    /// Whether a closed loop makes demand unlimited.
    pub closed_loop: bool,
    /// End of the run [fs].
    pub end_fs: i128,
}

/// A site's power limits over a stretch of time: IT watts allowed (none: unlimited).
struct Budget {
    seconds: f64,
    facility_w: Option<f64>,
    it_w: Option<f64>,
}

impl Ledger {
    /// The outcome of the run; the books must be closed.
    pub fn outcome(&mut self, fleet: &Fleet, power: &mut PowerControl, mut frame: Frame) -> Outcome {
        let counters = self.counters(power);
        let end_fs = frame.end_fs;
        let window_s = seconds((end_fs - self.window_fs).max(0));
        let per_s = |count: f64| if window_s > 0.0 { count / window_s } else { 0.0 };
        let window_tokens: f64 = tokens_f64(self.pools.iter().map(|p| p.window_tokens).sum());
        let output_rate = per_s(window_tokens);

        let sites: Vec<SiteTotals> =
            (0..fleet.sites.len()).map(|s| self.site_totals(fleet, power, s, window_s, end_fs)).collect();
        let total = sites.iter().fold(Energy::zero(), |sum, site| sum.plus(&site.energy));
        let window = sites.iter().fold(Energy::zero(), |sum, site| sum.plus(&site.window));
        let accounts: Vec<SiteAccounts> = sites
            .iter()
            .enumerate()
            .map(|(s, site)| {
                let opened = self.accounts_at_window.get(s).copied().unwrap_or_default();
                let total = power.accounts(end_fs, s);
                SiteAccounts::new(&fleet.sites[s], total, &opened, &site.window)
            })
            .collect();
        let of_all = SiteAccounts::of_all(&accounts);
        let (usd_per_million, carbon_g_per_million) =
            of_all.per_million(tokens_f64(self.window_useful_tokens));
        let power_w = fleet_power(&sites, window_s);
        let useful = per_s(tokens_f64(self.window_useful_tokens));
        let pue_mean = if window.it > 0.0 { window.facility / window.it } else { 1.0 };
        let series = self.series(fleet, &frame);
        let mut staves = self.mean_staves(fleet, &frame, window_s);
        let mut tpf = self.tpf(fleet, &sites, end_fs, output_rate, power_w.facility.mean);
        let moves = |pool: &Pool| pool.installed_share(self.window_fs, end_fs) < 1.0;
        if fleet.sites.iter().any(|site| site.facility.is_some()) || fleet.pools.iter().any(moves) {
            self.weather_means(&series, &frame, output_rate, &mut staves, &mut tpf);
        }
        let measured =
            series.iter().filter(|row| row.time_s + 1e-9 >= frame.scenario.warm_up_s && row.it_w > 0.0);
        let pues: Vec<f64> = measured.map(|row| row.pue).collect();
        let pue_of = |f: fn(f64, f64) -> f64| pues.iter().copied().reduce(f).unwrap_or(pue_mean);
        let shed = self.shed.total();
        self.remark(fleet, &mut frame, end_fs);
        let capped =
            sites.iter().zip(&fleet.sites).filter_map(|(totals, site)| Some((totals.capping?, site)));
        frame.notes.extend(capped.map(|(capping, site)| capping_note(&capping, site)));
        for ((site, totals), accounts) in fleet.sites.iter().zip(&sites).zip(&accounts) {
            if let Some(joules) = accounts.unbilled_j(&totals.energy) {
                frame.notes.push(format!(
                    "generators of {} gave {:.1} kWh, which cost and carbon do not count: both are of the grid",
                    site.name,
                    joules / 3.6e6
                ));
            }
        }
        frame.engine.segments = self.segments;
        frame.engine.iterations_represented = self.iterations;

        let distribution = distribution(fleet, power, end_fs);

        let summary = Summary {
            schema_version: SCHEMA_VERSION,
            requests: Requests {
                arrived: self.arrived,
                completed: self.completed,
                shed,
                in_flight: self.in_flight,
                met_slo: self.met_slo,
                met_quality: self.quality.correct(),
                useful: self.useful,
                shed_by: self.shed.clone(),
                retried: self.retried,
            },
            tokens: Tokens {
                prompt: self.prompt_tokens,
                output: self.output_tokens,
                useful_output: self.useful_tokens,
                recomputed: self.recomputed_tokens,
                prompt_cached: self.pools.iter().map(|account| account.cached_tokens).sum(),
            },
            throughput: Throughput {
                output_tok_per_s: output_rate,
                useful_tok_per_s: useful,
                utilisation_adjusted_tok_per_s: tpf.predicted_tok_per_s.zip(tpf.u).map(|(q, u)| q * u),
                prompt_tok_per_s: per_s(self.window_prompt_tokens as f64),
                completed_req_per_s: per_s(self.window_completed as f64),
            },
            latency_s: Latencies {
                ttft: self.ttft.quantiles(),
                tpot: self.tpot.quantiles(),
                itl: self.itl.quantiles(),
                e2e: self.e2e.quantiles(),
                queue: self.queue.quantiles(),
            },
            slo_attainment: (self.window_done > 0).then(|| self.window_met as f64 / self.window_done as f64),
            j_per_output_token: per_token(&window, window_tokens),
            j_per_useful_token: per_token(&window, tokens_f64(self.window_useful_tokens)),
            j_per_accepted_answer: per_token(&window, self.quality.accepted_in_window() as f64),
            quality: self.quality.report(),
            energy_j: total,
            power_w,
            pue: MeanMinMax { mean: pue_mean, min: pue_of(f64::min), max: pue_of(f64::max) },
            accounts: of_all.report(&window),
            cost_usd_per_million_useful_tok: usd_per_million,
            carbon_g_per_million_useful_tok: carbon_g_per_million,
            staves_tok_per_s: staves,
            binding: self.binding.report(fleet, None),
            tpf,
            uncertainty: None,
            per_pool: self.pool_summaries(fleet, window_s),
            per_site: sites
                .into_iter()
                .enumerate()
                .map(|(s, totals)| SiteSummary {
                    name: fleet.sites[s].name.clone(),
                    gpus: fleet.sites[s].gpus,
                    pue: match totals.window.it {
                        it if it > 0.0 => totals.window.facility / it,
                        _ => fleet.sites[s].pue,
                    },
                    accounts: accounts[s].report(&totals.window),
                    energy_j: totals.energy,
                    power_w: totals.power,
                    binding: self.binding.report(fleet, Some(s)),
                    capping: totals.capping,
                    zones: fleet.sites[s].facility.as_ref().map(zone_infos).unwrap_or_default(),
                    devices: totals.devices,
                })
                .collect(),
            sources: source_notes(fleet, self.quality.sources()),
            scenario: frame.scenario.clone(),
            engine: frame.engine.clone(),
            notes: std::mem::take(&mut frame.notes),
        };
        let requests = self.keep.then(|| {
            let mut rows = std::mem::take(&mut self.rows);
            rows.sort_by_key(|row| row.index);
            rows
        });
        Outcome { summary, series, distribution, requests, draws: None, counters }
    }

    /// Counts that both engines must agree on.
    pub fn counters(&self, power: &PowerControl) -> Counters {
        let mut it = energy::Energy::default();
        let mut gpu = energy::Energy::default();
        for account in &self.pools {
            it += account.it;
            gpu += account.gpu_active;
            gpu += account.gpu_idle;
        }
        Counters {
            preemptions: self.preemptions,
            clock_changes: self.clock_changes,
            power_waits: power.waits(),
            throttles: power.throttles(),
            admissions: self.admissions,
            iterations: self.iterations,
            it_energy_j: it.parts().0,
            it_energy_rest_nw_fs: it.parts().1,
            gpu_energy_j: gpu.parts().0,
            gpu_energy_rest_nw_fs: gpu.parts().1,
        }
    }

    fn remark(&self, fleet: &Fleet, frame: &mut Frame, end_fs: i128) {
        for site in &fleet.sites {
            let idle_w: f64 =
                self.staves[site.pools.clone()].iter().map(PoolStaves::idle_watts).sum::<f64>() * site.pue;
            let lowest_w = site.cap.iter().map(|level| level.facility_w).reduce(f64::min);
            if let Some(lowest_w) = lowest_w.filter(|&w| w < idle_w) {
                frame.notes.push(format!(
                    "the cap of {} ({:.1} kW at its lowest) is below what the site draws without any work \
                     ({:.1} kW): it cannot be kept",
                    site.name,
                    lowest_w * 1e-3,
                    idle_w * 1e-3
                ));
            }
        }
        if self.in_flight > 0 {
            frame.notes.push(format!(
                "{} of {} requests were still in flight at the end and count neither as completed nor as shed",
                self.in_flight, self.arrived
            ));
        }
        if self.shed.too_long > 0 {
            frame.notes.push(format!(
                "{} requests were shed on arrival because they could never fit the KV cache of a replica",
                self.shed.too_long
            ));
        }
        if self.shed.overheated > 0 {
            frame.notes.push(format!(
                "{} requests were shed because the cooling zone of their pool was critical",
                self.shed.overheated
            ));
        }
        if self.shed.unavailable > 0 {
            frame.notes.push(format!(
                "{} requests were shed because no replica that could serve them was up",
                self.shed.unavailable
            ));
        }
        if self.quality.shares_fleet() {
            frame.notes.push(
                "joules per accepted answer hold the whole fleet's energy, also that of classes without difficulty"
                    .into(),
            );
        }
        if self.window_fs >= end_fs {
            frame.notes.push("nothing was measured: the run ended within its warm-up".into());
        }
    }

    /// Offered rate over an interval: what arrived and what had been waiting.
    fn demand(&self, from: Option<&Mark>, offered_tok: u64, length_s: f64) -> f64 {
        let backlog = from.map_or(0, |mark| mark.backlog_tok);
        (offered_tok + backlog) as f64 / length_s
    }

    /// PHYSICS D3: predicted = min(K_eff/c_tok, θ·P_available/e_tok) over sites and levels of the cap.
    fn tpf(
        &self,
        fleet: &Fleet,
        sites: &[SiteTotals],
        end_fs: i128,
        measured: f64,
        facility_mean_w: f64,
    ) -> Tpf {
        let window_s = seconds((end_fs - self.window_fs).max(0));
        if window_s <= 0.0 {
            return Tpf { phi: None, ..Tpf::default() };
        }
        let there = installed(fleet, &self.staves, self.window_fs, end_fs);
        let (mut predicted, mut it_w_at_batch, mut rate_at_batch) = (0.0, 0.0, 0.0);
        for (s, site) in fleet.sites.iter().enumerate() {
            let compute: f64 = there[site.pools.clone()].iter().map(|p| p.compute).sum();
            for budget in budgets(site, self.window_fs, end_fs) {
                let share = budget.seconds / window_s;
                let (rate, watts) = site_at_power(fleet, &there, s, budget.it_w);
                it_w_at_batch += share * watts;
                rate_at_batch += share * rate;
                // P_available·θ/e_tok at the clock in force.
                let by_power = budget.it_w.filter(|_| watts > 0.0).map(|it_w| it_w * rate / watts);
                predicted += share * by_power.map_or(compute, |q| q.min(compute));
            }
        }
        let compute: f64 = there.iter().map(|p| p.compute).sum();
        let weighted_flop = there.iter().map(|p| p.c_tok_flop.map(|c| c * p.compute)).sum::<Option<f64>>();
        let it_mean: f64 = sites.iter().map(|site| site.power.it.mean).sum();
        Tpf {
            k_eff_flop_per_s: weighted_flop,
            c_tok_flop: weighted_flop.filter(|_| compute > 0.0).map(|k| k / compute),
            e_tok_j: (rate_at_batch > 0.0).then(|| it_w_at_batch / rate_at_batch),
            theta: (facility_mean_w > 0.0).then(|| it_mean / facility_mean_w),
            p_facility_w: Some(facility_mean_w),
            phi: None,
            u: (predicted > 0.0).then(|| measured / predicted),
            predicted_tok_per_s: Some(predicted),
            measured_tok_per_s: Some(measured),
        }
    }

    fn pool_summaries(&self, fleet: &Fleet, window_s: f64) -> Vec<PoolSummary> {
        let per_pool = |p: usize| -> PoolSummary {
            let (pool, account, staves) = (&fleet.pools[p], &self.pools[p], &self.staves[p]);
            let replicas = pool.replicas.len() as u64;
            let busy_s = account.busy_fs as f64 * 1e-15;
            let there = pool.installed_share(self.window_fs, self.window_fs + (window_s * 1e15) as i128);
            let available_s = window_s * there * replicas as f64;
            PoolSummary {
                name: pool.name.clone(),
                site: fleet.sites[pool.site].name.clone(),
                model: pool.model.clone(),
                gpu: pool.gpu.clone(),
                replicas,
                gpus: replicas * u64::from(pool.gpus_per_replica),
                kv_blocks_per_replica: (pool.kv_blocks != UNLIMITED_KV_BLOCKS).then_some(pool.kv_blocks),
                output_tok_per_s: if window_s > 0.0 {
                    tokens_f64(account.window_tokens) / window_s
                } else {
                    0.0
                },
                busy_share: if available_s > 0.0 { busy_s / available_s } else { 0.0 },
                mean_clock: (account.busy_fs > 0).then(|| {
                    account.clock_fs as f64 / account.busy_fs as f64 / f64::from(1_u32 << CLOCK_BITS)
                }),
                energy_it_j: account.it.as_j(),
                preemptions: account.preemptions,
                prompt_cached_tok: account.cached_tokens,
                prefix_hit_rate: (account.prefix_tokens > 0)
                    .then(|| account.cached_tokens as f64 / account.prefix_tokens as f64),
                staves_tok_per_s: device_staves(&[staves.scaled(there)]),
                feasible_batch: staves.batch,
                feasible_batch_limit: staves.limit.into(),
                share: self.binding.pool_shares(p),
            }
        };
        (0..fleet.pools.len()).map(per_pool).collect()
    }
}

/// Power staves by site for the budget seen last: budgets change rarely.
#[derive(Default)]
struct PowerStaves {
    last: Vec<Option<(Option<f64>, f64)>>,
}

struct SiteTotals {
    energy: Energy,
    window: Energy,
    power: PowerSummary,
    capping: Option<PolcaTotals>,
    devices: Vec<DeviceSummary>,
}

impl Energy {
    fn zero() -> Self {
        Self { gpu: 0.0, it: 0.0, facility: 0.0, by: EnergyBy::default() }
    }

    fn of(it: f64, gpu_active: f64, gpu_idle: f64, pue: f64) -> Self {
        let gpu = gpu_active + gpu_idle;
        let pue_overhead = it * (pue - 1.0);
        let by =
            EnergyBy { gpu_active, gpu_idle, node_overhead: it - gpu, pue_overhead, building: Vec::new() };
        Self { gpu, it, facility: it + pue_overhead, by }
    }

    /// In a building: losses and cooling in place of a static PUE.
    fn within(mut self, building: Option<Vec<(String, f64)>>) -> Self {
        if let Some(parts) = building {
            self.by.pue_overhead = 0.0;
            self.facility = self.it + parts.iter().map(|(_, joules)| joules).sum::<f64>();
            self.by.building = parts;
        }
        self
    }

    fn plus(&self, other: &Self) -> Self {
        let (a, b) = (&self.by, &other.by);
        let mut building = a.building.clone();
        for (name, joules) in &b.building {
            match building.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += joules,
                None => building.push((name.clone(), *joules)),
            }
        }
        Self {
            gpu: self.gpu + other.gpu,
            it: self.it + other.it,
            facility: self.facility + other.facility,
            by: EnergyBy {
                gpu_active: a.gpu_active + b.gpu_active,
                gpu_idle: a.gpu_idle + b.gpu_idle,
                node_overhead: a.node_overhead + b.node_overhead,
                pue_overhead: a.pue_overhead + b.pue_overhead,
                building,
            },
        }
    }
}

fn per_token(energy: &Energy, tokens: f64) -> PerBoundary {
    let per = |joules: f64| (tokens > 0.0).then(|| joules / tokens);
    PerBoundary { gpu: per(energy.gpu), it: per(energy.it), facility: per(energy.facility) }
}

/// Catalog entries of all pools, then those of answers, each once, in order of first use.
fn source_notes<'a>(fleet: &Fleet, answers: impl Iterator<Item = &'a SourceNote>) -> Vec<SourceNote> {
    let mut notes: Vec<SourceNote> = Vec::new();
    for (entry, quality, source) in fleet.pools.iter().flat_map(|pool| &pool.sources) {
        let note = SourceNote { entry: entry.clone(), quality: quality.clone(), source: source.clone() };
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    for note in answers {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    notes
}

/// Levels of a site's cap between two instants.
fn budgets(site: &Site, from_fs: i128, until_fs: i128) -> Vec<Budget> {
    if site.cap.is_empty() {
        return vec![Budget { seconds: seconds(until_fs - from_fs), facility_w: None, it_w: None }];
    }
    // A year has thousands of levels, an interval hardly one.
    let first = site.cap.partition_point(|level| level.from_fs <= from_fs).saturating_sub(1);
    let levels = &site.cap[first..];
    let ends = levels.iter().skip(1).map(|level| level.from_fs).chain([i128::MAX]);
    levels
        .iter()
        .take_while(|level| level.from_fs < until_fs)
        .zip(ends)
        .filter_map(|(level, end_fs)| {
            let overlap = end_fs.min(until_fs) - level.from_fs.max(from_fs);
            (overlap > 0).then(|| Budget {
                seconds: seconds(overlap),
                facility_w: Some(level.facility_w),
                it_w: site.policy.caps_power().then_some(level.it_nw as f64 * 1e-9),
            })
        })
        .collect()
}
