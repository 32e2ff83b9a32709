//! Made-up outcomes for the tests of reports: a day with a power cut, one row, a week, an idle fleet.

use crate::ledger::outcome::*;
use crate::ledger::uncertainty::Band;
use crate::ledger::uncertainty::{
    Change, DrawRow, Drawn, Draws, Figures, FirstBand, FirstBands, Uncertainty,
};

const FULL_W: f64 = 640_000.0;

/// Like noise, but the same everywhere: a value in [−1, 1].
fn wobble(k: usize) -> f64 {
    let x = (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((x ^ (x >> 29)) % 2001) as f64 / 1000.0 - 1.0
}

fn row(time_s: f64, length_s: f64, k: usize, demand: f64, cap_w: f64) -> SeriesRow {
    let demand = demand * (1.0 + 0.03 * wobble(k));
    let compute = 61_000.0;
    let power = compute * ((cap_w / 1.25 - 150_000.0) / (FULL_W / 1.25 - 150_000.0)).clamp(0.0, 1.15);
    let full = 52_000.0_f64;
    let output = demand.min(power).min(full);
    let load = output / compute;
    let binding = if power < demand { Constraint::Power } else { Constraint::Demand };
    let gpu_idle_w = 45_000.0 * (1.0 - load);
    let node_overhead_w = 90_000.0 + 12_000.0 * load;
    let gpu_active_w = match binding {
        Constraint::Power => cap_w / 1.25 - gpu_idle_w - node_overhead_w,
        _ => 380_000.0 * load,
    };
    let it_w = gpu_active_w + gpu_idle_w + node_overhead_w;
    SeriesRow {
        time_s,
        length_s,
        stave_demand_tok_per_s: Some(demand),
        stave_compute_tok_per_s: Some(412_000.0),
        stave_memory_bandwidth_tok_per_s: Some(compute),
        stave_kv_capacity_tok_per_s: Some(full),
        stave_power_tok_per_s: Some(power),
        binding: Some(binding),
        output_tok_per_s: output,
        useful_tok_per_s: output * 0.97,
        gpu_active_w,
        gpu_idle_w,
        node_overhead_w,
        pue_overhead_w: it_w * 0.25,
        it_w,
        facility_w: it_w * 1.25,
        cap_facility_w: Some(cap_w),
        pue: 1.25,
        running: 400,
        clock: Some(0.9),
        arrivals: 100,
        completed: 100,
        ..SeriesRow::default()
    }
}

fn timeline(series: &[SeriesRow]) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    for r in series {
        let constraint = r.binding.unwrap();
        let place = match constraint {
            Constraint::Power => "dallas.meter",
            Constraint::Cooling => "dallas.hall",
            _ => "dallas.large",
        };
        match out.last_mut() {
            Some(last) if last.constraint == constraint => last.end_s = r.time_s + r.length_s,
            _ => out.push(Stretch {
                start_s: r.time_s,
                end_s: r.time_s + r.length_s,
                constraint,
                place: place.to_string(),
            }),
        }
    }
    out
}

/// An outcome around a series.
pub(super) fn around(name: &str, series: Vec<SeriesRow>, start_at_h: f64) -> Outcome {
    let duration_s = series.last().map_or(0.0, |r| r.time_s + r.length_s);
    let sum = |f: &dyn Fn(&SeriesRow) -> f64| series.iter().map(|r| f(r) * r.length_s).sum::<f64>();
    let most = |f: &dyn Fn(&SeriesRow) -> f64| series.iter().map(f).fold(0.0, f64::max);
    let time = duration_s.max(1e-9);
    let energy = Energy {
        gpu: sum(&|r| r.gpu_active_w + r.gpu_idle_w),
        it: sum(&|r| r.it_w),
        facility: sum(&|r| r.facility_w),
        by: EnergyBy {
            gpu_active: sum(&|r| r.gpu_active_w),
            gpu_idle: sum(&|r| r.gpu_idle_w),
            node_overhead: sum(&|r| r.node_overhead_w),
            pue_overhead: sum(&|r| r.pue_overhead_w),
            building: Vec::new(),
        },
    };
    let output = sum(&|r| r.output_tok_per_s);
    let per = |tokens: f64| {
        let per = |joules: f64| (tokens > 0.0).then(|| joules / tokens);
        PerBoundary { gpu: per(energy.gpu), it: per(energy.it), facility: per(energy.facility) }
    };
    let power_w = PowerSummary {
        it: MeanP99Max { mean: energy.it / time, p99: most(&|r| r.it_w), max: most(&|r| r.it_w) },
        facility: MeanP99Max {
            mean: energy.facility / time,
            p99: most(&|r| r.facility_w),
            max: most(&|r| r.facility_w),
        },
        delivered_it_mean: energy.it / time,
        cap_facility_mean: series
            .first()
            .and_then(|r| r.cap_facility_w)
            .map(|_| sum(&|r| r.cap_facility_w.unwrap_or(0.0)) / time),
        overshoot_s: if series.len() > 30 { 0.42 } else { 0.0 },
        overshoot_j: if series.len() > 30 { 3100.0 } else { 0.0 },
    };
    let mean = |f: &dyn Fn(&SeriesRow) -> Option<f64>| {
        series.iter().all(|r| f(r).is_some()).then(|| sum(&|r| f(r).unwrap_or(0.0)) / time)
    };
    let staves = Staves {
        demand: mean(&|r| r.stave_demand_tok_per_s),
        compute: mean(&|r| r.stave_compute_tok_per_s),
        memory_bandwidth: mean(&|r| r.stave_memory_bandwidth_tok_per_s),
        kv_capacity: mean(&|r| r.stave_kv_capacity_tok_per_s),
        power: mean(&|r| r.stave_power_tok_per_s),
        cooling: None,
    };
    let timeline = timeline(&series);
    let power_share = sum(&|r| f64::from(u8::from(r.binding == Some(Constraint::Power)))) / time;
    let cooling = sum(&|r| f64::from(u8::from(r.binding == Some(Constraint::Cooling)))) / time;
    let demand = 1.0 - power_share - cooling;
    let share = Shares { demand, power: power_share, cooling, ..Shares::default() };
    let first = First {
        power_s: timeline.iter().find(|s| s.constraint == Constraint::Power).map(|s| s.start_s),
        cooling_s: None,
    };
    let binding = Binding { share, timeline, first };
    let pue = MeanMinMax { mean: 1.25, min: 1.25, max: 1.25 };
    let quantiles = |p50: f64| Quantiles {
        n: 119_000,
        mean: Some(p50 * 1.2),
        p50: Some(p50),
        p90: Some(p50 * 2.0),
        p99: Some(p50 * 5.5),
    };
    let summary = Summary {
        schema_version: SCHEMA_VERSION,
        scenario: ScenarioInfo {
            name: name.to_string(),
            hash: "3f2a9c1d".repeat(8),
            seed: 42,
            duration_s,
            warm_up_s: if duration_s > 3600.0 { 600.0 } else { 0.0 },
            end_s: duration_s,
            start_at_h,
        },
        engine: EngineInfo {
            kind: "segments".to_string(),
            events: 812_345,
            segments: 640_021,
            iterations_represented: 41_203_444,
            wall_s: Some(0.081),
            requests_per_s: Some(1_480_000.0),
        },
        requests: Requests {
            arrived: 120_034,
            completed: 119_000,
            shed: 1_000,
            in_flight: 34,
            met_slo: 116_000,
            met_quality: None,
            useful: 116_000,
            shed_by: ShedBy { patience: 900, queue_full: 100, ..ShedBy::default() },
            retried: 0,
        },
        tokens: Tokens {
            prompt: 60_000_000,
            output: output as u64,
            useful_output: (output * 0.97) as u64,
            recomputed: 1200,
            prompt_cached: 0,
        },
        throughput: Throughput {
            output_tok_per_s: output / time,
            useful_tok_per_s: output * 0.97 / time,
            utilisation_adjusted_tok_per_s: Some(output / time),
            prompt_tok_per_s: 4000.0,
            completed_req_per_s: 8.2,
        },
        latency_s: Latencies {
            ttft: quantiles(0.21),
            tpot: quantiles(0.019),
            itl: quantiles(0.018),
            e2e: quantiles(9.0),
            queue: quantiles(0.05),
        },
        slo_attainment: Some(0.9667),
        j_per_output_token: per(output),
        j_per_useful_token: per(output * 0.97),
        j_per_accepted_answer: PerBoundary::default(),
        quality: None,
        accounts: Accounts { itue: Some(1.3), tue: Some(1.625), ..Accounts::default() },
        cost_usd_per_million_useful_tok: None,
        carbon_g_per_million_useful_tok: None,
        staves_tok_per_s: staves,
        tpf: Tpf {
            k_eff_flop_per_s: Some(3.1e16),
            c_tok_flop: Some(1.4e11),
            e_tok_j: Some(6.0),
            theta: Some(0.8),
            p_facility_w: Some(600_000.0),
            phi: None,
            u: Some(0.83),
            predicted_tok_per_s: Some(output / time / 0.83),
            measured_tok_per_s: Some(output / time),
        },
        uncertainty: None,
        per_site: vec![SiteSummary {
            name: "dallas".to_string(),
            gpus: 512,
            pue: 1.25,
            accounts: Accounts { itue: Some(1.3), tue: Some(1.625), ..Accounts::default() },
            energy_j: energy.clone(),
            power_w: power_w.clone(),
            binding: binding.clone(),
            capping: None,
            zones: Vec::new(),
            devices: Vec::new(),
        }],
        per_pool: vec![PoolSummary {
            name: "large".to_string(),
            site: "dallas".to_string(),
            model: "Llama-3.1-70B".to_string(),
            gpu: "H100-SXM-80GB".to_string(),
            replicas: 64,
            gpus: 512,
            kv_blocks_per_replica: Some(90_000),
            output_tok_per_s: output / time,
            busy_share: 0.93,
            mean_clock: Some(0.95),
            energy_it_j: energy.it,
            preemptions: 12,
            prompt_cached_tok: 0,
            prefix_hit_rate: None,
            staves_tok_per_s: staves,
            feasible_batch: 210.0,
            feasible_batch_limit: "kv".to_string(),
            share,
        }],
        energy_j: energy,
        power_w,
        pue,
        binding,
        sources: vec![SourceNote {
            entry: "gpu H100-SXM-80GB".to_string(),
            quality: "fitted".to_string(),
            source: "vendor data sheet and fitted rows".to_string(),
        }],
        notes: vec![
            "34 requests were in flight when the run ended; their tokens so far are counted, their latencies are not."
                .to_string(),
        ],
    };
    let distribution = Vec::new();
    Outcome { summary, series, distribution, requests: None, draws: None, counters: Counters::default() }
}

/// Four hours from 9:00 in minutes: a power cut from 10:30 to 11:45, demand around it.
pub(super) fn day() -> Outcome {
    let rows = (0..240).map(|k| {
        let cap = if (90..165).contains(&k) { 430_000.0 } else { 640_000.0 };
        let demand = 36_000.0 + 9_000.0 * (k as f64 / 60.0).sin();
        row(k as f64 * 60.0, 60.0, k, demand, cap)
    });
    around("power-cut", rows.collect(), 9.0)
}

/// The same with bands over twenty draws, one of which failed.
pub(super) fn drawn() -> Outcome {
    let mut outcome = day();
    let summary = &outcome.summary;
    let bands = Figures::each(|_, read| {
        read(summary).map(|value| Band { p5: 0.9 * value, p50: value, p95: 1.15 * value })
    });
    let timeline = &summary.binding.timeline;
    let changes = timeline.windows(2).map(|pair| Change {
        from: pair[0].constraint,
        to: pair[1].constraint,
        place: pair[1].place.clone(),
        at_s: pair[1].start_s,
        p5_s: Some(pair[1].start_s - 900.0),
        p50_s: Some(pair[1].start_s + 60.0),
        p95_s: Some(pair[1].start_s + 1200.0),
        share: Some(0.95),
    });
    let never = FirstBand { p5: None, p50: None, p95: None, share: Some(0.0) };
    let coefficients = vec!["hopper.weight_mbu".to_string(), "power.p0_tdp".to_string()];
    let drawn = Drawn { figures: Figures::each(|_, read| read(summary)), first: First::default() };
    let rows = (0..20).map(|k| DrawRow {
        values: vec![0.9, 0.4],
        outcome: if k == 3 {
            Err("fleet: a step could take 1e9 s, at most 1e7 s".into())
        } else {
            Ok(drawn.clone())
        },
    });
    outcome.draws = Some(Draws { rows: rows.collect(), coefficients: coefficients.clone() });
    outcome.summary.uncertainty = Some(Uncertainty {
        draws: 20,
        failed: 1,
        coefficients,
        bands,
        changes: changes.collect(),
        first: FirstBands { power_s: never, cooling_s: never },
    });
    outcome
}

/// One minute in one row, without a cap.
pub(super) fn one_row() -> Outcome {
    let mut only = row(0.0, 60.0, 0, 36_000.0, 640_000.0);
    only.cap_facility_w = None;
    only.stave_power_tok_per_s = None;
    around("one-minute", vec![only], 0.0)
}

/// A week in minutes, with a daily wave and a heat-wave cap in its middle.
pub(super) fn week() -> Outcome {
    let rows = (0..10_080).map(|k| {
        let hour = k as f64 / 60.0;
        let demand = 34_000.0 - 14_000.0 * (hour / 24.0 * std::f64::consts::TAU).cos();
        let cap = if (60.0..108.0).contains(&hour) { 500_000.0 } else { 640_000.0 };
        row(k as f64 * 60.0, 60.0, k, demand, cap)
    });
    around("a-week-of-chat", rows.collect(), 0.0)
}

/// Half an hour without a request.
pub(super) fn idle() -> Outcome {
    let rows = (0..30).map(|k| SeriesRow {
        stave_demand_tok_per_s: Some(0.0),
        output_tok_per_s: 0.0,
        ..row(k as f64 * 60.0, 60.0, k as usize, 0.0, 64_000_000.0)
    });
    around("idle", rows.collect(), 0.0)
}

/// A day in a building: weather, a warm hall, and an afternoon in which cooling binds.
pub(super) fn hot_day() -> Outcome {
    let rows = (0..1440).map(|k| {
        let hour = k as f64 / 60.0;
        let wave = ((hour - 16.0) / 24.0 * std::f64::consts::TAU).cos();
        let mut r = row(k as f64 * 60.0, 60.0, k, 36_000.0 + 14_000.0 * wave, 640_000.0);
        let hot = ((hour - 13.0) / 1.5).clamp(0.0, 1.0) * ((19.5 - hour) / 1.5).clamp(0.0, 1.0);
        if hot >= 1.0 {
            r.binding = Some(Constraint::Cooling);
        }
        r.pue_overhead_w = 0.0;
        r.loss_w = 14_000.0 + 0.045 * r.it_w;
        r.cooling_w = 0.09 * r.it_w * (1.0 + 0.5 * wave.max(0.0)) + 6_000.0;
        r.facility_w = r.it_w + r.loss_w + r.cooling_w;
        r.pue = r.facility_w / r.it_w;
        r.cap_facility_w = Some(640_000.0);
        r.stave_cooling_tok_per_s = Some(62_000.0 - 16_000.0 * hot);
        r.output_tok_per_s = r.output_tok_per_s.min(62_000.0 - 16_000.0 * hot);
        r.useful_tok_per_s = r.output_tok_per_s * 0.97;
        r.wet_bulb_c = Some(24.2 + 3.4 * wave);
        r.dry_bulb_c = Some(26.6 + 5.9 * wave);
        r.supply_c = Some(31.0 + 2.0 * hot + 0.3 * hot * wobble(k));
        r.supply_zone = "dallas.hall".to_string();
        r
    });
    let mut outcome = around("hot-day", rows.collect(), 0.0);
    let sum = |f: fn(&SeriesRow) -> f64| outcome.series.iter().map(|r| f(r) * r.length_s).sum::<f64>();
    let (loss, cooling) = (sum(|r| r.loss_w), sum(|r| r.cooling_w));
    let summary = &mut outcome.summary;
    summary.energy_j.by.building = vec![
        ("loss_dallas.trafo".to_string(), loss * 0.25),
        ("loss_dallas.ups".to_string(), loss * 0.75),
        ("fans".to_string(), cooling * 0.2),
        ("pumps".to_string(), cooling * 0.15),
        ("chiller".to_string(), cooling * 0.65),
    ];
    let site = &mut summary.per_site[0];
    site.energy_j = summary.energy_j.clone();
    site.zones = vec![ZoneInfo {
        name: "dallas.hall".to_string(),
        mode: "buffered".to_string(),
        set_c: 31.0,
        warn_c: 32.0,
        hold_c: 33.0,
        critical_c: 36.0,
        trip_c: 39.0,
    }];
    site.devices = devices();
    outcome.distribution = distribution(&site.devices);
    let summary = &mut outcome.summary;
    let pues = || outcome.series.iter().map(|r| r.pue);
    summary.pue = MeanMinMax {
        mean: summary.energy_j.facility / summary.energy_j.it,
        min: pues().fold(f64::INFINITY, f64::min),
        max: pues().fold(0.0, f64::max),
    };
    outcome
}

/// A power tree: a meter that its cap strands, a transformer and a UPS, two PDUs of which one is too large for its pool,
/// and the bus of the plant.
fn devices() -> Vec<DeviceSummary> {
    let all = [
        ("utility", None, 700e3, 640e3, 0.71, 1.02, 0.0, None),
        ("trafo", Some("utility"), 700e3, 700e3, 0.6, 0.9, 60e3, Some(Stranded::Above)),
        ("ups-with-a-long-name", Some("trafo"), 650e3, 620e3, 0.58, 0.91, 12e3, Some(Stranded::Above)),
        ("row-a", Some("ups-with-a-long-name"), 400e3, 400e3, 0.5, 0.8, 210e3, Some(Stranded::Below)),
        ("row-b", Some("ups-with-a-long-name"), 330e3, 330e3, 0.7, 1.0, 0.0, None),
        ("mech", Some("trafo"), 90e3, 90e3, 0.4, 0.6, 0.0, None),
    ];
    let device = |(name, parent, rated_w, limit_w, mean, p99, stranded_w, stranded_by)| DeviceSummary {
        name: format!("dallas.{name}"),
        parent: Option::<&str>::map(parent, |parent| format!("dallas.{parent}")),
        rated_w,
        limit_w,
        mean_w: mean * limit_w,
        p99_w: p99 * limit_w,
        max_w: 1.03 * p99 * limit_w,
        p99_share_of_limit: p99,
        headroom_p99_w: (1.0 - p99) * limit_w,
        overshoot_s: 12.0,
        overshoot_j: 34_000.0,
        stranded_w,
        stranded_by,
        nameplate_below_w: 1.3 * rated_w,
        oversubscription: Some(1.3),
    };
    all.into_iter().map(device).collect()
}

/// Nodes of two pools, and these devices.
fn distribution(devices: &[DeviceSummary]) -> Vec<DistributionRow> {
    let of = |of: &str, name: &str, mean_w: f64, p99_w: f64, limit_w: Option<f64>| -> Vec<DistributionRow> {
        let row = |step: u32| {
            let time_share = f64::from(step) / 200.0;
            let power_w = mean_w + (p99_w - mean_w) * (2.0 * time_share - 1.0);
            let limit_share = limit_w.map(|limit_w| power_w / limit_w);
            DistributionRow { of: of.to_string(), name: name.to_string(), time_share, power_w, limit_share }
        };
        (0..=200).map(row).collect()
    };
    let nodes = [("dallas.large", 7_000.0, 9_800.0), ("dallas.small", 6_000.0, 9_700.0)];
    let nodes = nodes.into_iter().flat_map(|(name, mean_w, p99_w)| of("node", name, mean_w, p99_w, None));
    let devices = devices.iter().flat_map(|d| of("device", &d.name, d.mean_w, d.p99_w, Some(d.limit_w)));
    nodes.chain(devices).collect()
}

/// A fleet of four halls like that of the hot day: more devices than a page holds.
pub(super) fn four_halls() -> Outcome {
    let mut outcome = hot_day();
    let hall = outcome.summary.per_site[0].clone();
    let names = ["dallas", "oslo", "singapore", "a-site-with-a-name"];
    outcome.summary.per_site = names
        .into_iter()
        .map(|name| {
            let renamed = |text: &str| text.replace("dallas.", &format!("{name}."));
            let mut site = SiteSummary { name: name.to_string(), ..hall.clone() };
            for device in &mut site.devices {
                device.name = renamed(&device.name);
                device.parent = device.parent.as_deref().map(renamed);
            }
            site
        })
        .collect();
    outcome.distribution =
        outcome.summary.per_site.iter().flat_map(|site| distribution(&site.devices)).collect();
    outcome
}

/// No rows at all.
pub(super) fn empty() -> Outcome {
    around("nothing", Vec::new(), 0.0)
}

/// Three sites that bind for different reasons, labels at six ends, an overload beyond the scale.
pub(super) fn three_sites() -> Outcome {
    let mut outcome = day();
    let site = outcome.summary.per_site[0].clone();
    let all =
        [Constraint::Compute, Constraint::KvCapacity, Constraint::MemoryBandwidth, Constraint::Operations];
    outcome.summary.per_site = ["dallas", "oslo", "singapore"]
        .into_iter()
        .enumerate()
        .map(|(n, name)| {
            let mut site = site.clone();
            site.name = name.to_string();
            if n > 0 {
                let stretch = |k: usize| Stretch {
                    start_s: k as f64 * 1800.0,
                    end_s: (k + 1) as f64 * 1800.0,
                    constraint: all[(k * n + n) % 4],
                    place: format!("{name}.pool-{}", k % 2),
                };
                site.binding.timeline = (0..8).map(stretch).collect();
            }
            site
        })
        .collect();
    for (k, row) in outcome.series.iter_mut().enumerate() {
        row.stave_compute_tok_per_s = Some(55_000.0);
        row.stave_demand_tok_per_s = Some(30_000.0 + 600.0 * k as f64);
    }
    outcome.summary.scenario.name = "three sites & a <name> that is \"long\"".to_string();
    outcome
}
