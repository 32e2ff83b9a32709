//! The label is true (PHYSICS D5): under common random numbers every limit is raised by a small step, and the
//! constraint that a run blames is the one whose step yields the most tokens.
//!
//! Limits: demand, the offered rate or the requests in flight; power, the cap; cooling, the plant; compute, peak FLOP rates, host and
//! links; memory bandwidth, HBM and the pace of attention calls that goes with it; KV capacity, slots and blocks.
//! An envelope label (demand, power, cooling) must have the largest envelope elasticity; a device label the largest device
//! elasticity, with every envelope elasticity below 0.05.

use std::fmt::Write as _;
use std::sync::Arc;

use rayon::prelude::*;
use wattmill::catalog::Catalog;
use wattmill::fleet::Fleet;
use wattmill::ledger::outcome::{Constraint, Shares, Summary};
use wattmill::physics::clock::Clock;
use wattmill::physics::step::FluidShape;

use super::support::{Draw, catalog, close, load_with};

/// Size of a step.
const STEP: f64 = 1.05;
/// Seeds over which a rate is averaged.
const SEEDS: u64 = 3;
/// An envelope elasticity below this is none.
const SLACK: f64 = 0.05;
/// Elasticities within this share of each other are a tie.
const TIE: f64 = 0.2;
/// Seed of the scenarios.
const GENERATOR: u64 = 20_260_518;

const GPUS: &str = include_str!("../../configs/catalog/gpus.yaml");
const ENGINES: &str = include_str!("../../configs/catalog/engines.yaml");

/// A limit to raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Demand,
    Power,
    Cooling,
    Compute,
    MemoryBandwidth,
    KvCapacity,
}

impl Limit {
    const ALL: [Self; 6] =
        [Self::Demand, Self::Power, Self::Cooling, Self::Compute, Self::MemoryBandwidth, Self::KvCapacity];
    const ENVELOPE: [Self; 3] = [Self::Demand, Self::Power, Self::Cooling];
    const DEVICE: [Self; 3] = [Self::Compute, Self::MemoryBandwidth, Self::KvCapacity];

    fn of(label: Constraint) -> Self {
        match label {
            Constraint::Demand => Self::Demand,
            Constraint::Power => Self::Power,
            Constraint::Compute => Self::Compute,
            Constraint::MemoryBandwidth => Self::MemoryBandwidth,
            Constraint::KvCapacity => Self::KvCapacity,
            Constraint::Cooling => Self::Cooling,
            Constraint::Operations => panic!("nothing fails here"),
        }
    }

    fn short(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Power => "power",
            Self::Cooling => "cooling",
            Self::Compute => "compute",
            Self::MemoryBandwidth => "memory",
            Self::KvCapacity => "kv",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// Requests in flight per slot.
    Closed(f64),
    /// Offered rate over what the pool can do.
    Open(f64),
}

/// A building instead of a static PUE: a power tree, and a hall with a plant.
#[derive(Debug, Clone, Copy)]
enum Building {
    /// A dry cooler that caps heat at its set point.
    Instantaneous,
    /// A tower with a chiller beyond its design weather, and a hall that warms up to where it holds.
    Buffered,
}

/// A scenario; counts are multiples of 20, so that a step of 5 % is a whole number.
#[derive(Debug, Clone)]
struct Case {
    model: &'static str,
    gpu: &'static str,
    tensor: u32,
    engine: &'static str,
    /// An own law: step, and per sequence [µs].
    affine: Option<(f64, f64)>,
    max_seqs: u32,
    /// KV blocks per slot times a mean request's blocks at its end; none: what memory holds, less 10 %.
    kv_share: Option<f64>,
    prompt_tok: u32,
    answer_tok: f64,
    load: Load,
    /// Cap over the natural draw.
    cap: Option<f64>,
    pue: f64,
    /// Building, and the heat its plant carries for good over the natural heat.
    cooled: Option<(Building, f64)>,
}

/// Scenarios of one family; what they turn out to be bound by is for the runs to say.
fn draw(family: usize, draw: &mut Draw) -> Case {
    let served = [
        ("Llama-3.1-8B", "H100-SXM-80GB", 1),
        ("Llama-3.1-8B", "H200-SXM-141GB", 2),
        ("Llama-3.1-70B", "H100-SXM-80GB", 4),
        ("Llama-3.1-70B", "H200-SXM-141GB", 4),
        ("Llama-3.1-70B", "B200-SXM-180GB", 2),
        ("Qwen3-32B", "H100-SXM-80GB", 4),
        ("Qwen3-32B", "B200-SXM-180GB", 2),
        ("Qwen3-30B-A3B", "H100-SXM-80GB", 2),
    ];
    let (model, gpu, tensor) = draw.of(&served);
    let full = match draw.of(&[0, 1]) {
        0 => Load::Closed(1.5),
        _ => Load::Open(draw.between(1.4, 2.0)),
    };
    let mut case = Case {
        model,
        gpu,
        tensor,
        engine: draw.of(&["vllm-0.11", "vllm-0.19"]),
        affine: None,
        max_seqs: 20 * draw.between(2.0, 8.0) as u32,
        kv_share: None,
        prompt_tok: draw.between(100.0, 600.0) as u32,
        answer_tok: draw.between(100.0, 300.0),
        load: full,
        cap: None,
        pue: draw.between(1.0, 1.4),
        cooled: None,
    };
    match family {
        // Little work: slots, KV and watts to spare.
        0 => {
            case.load = match draw.of(&[0, 1]) {
                0 => Load::Open(draw.between(0.2, 0.6)),
                _ => Load::Closed(draw.of(&[0.25, 0.5])),
            }
        }
        // Long prompts, short answers.
        1 => {
            case.prompt_tok = draw.between(1500.0, 4000.0) as u32;
            case.answer_tok = draw.between(40.0, 120.0);
        }
        // Long contexts: the cache streams.
        2 => {
            case.engine = "vllm-0.19";
            case.prompt_tok = draw.between(2000.0, 5000.0) as u32;
            case.answer_tok = draw.between(800.0, 1500.0);
        }
        // Few slots, or few blocks.
        3 => match draw.of(&[0, 1]) {
            0 => case.max_seqs = 20,
            _ => {
                case.max_seqs = 200;
                case.kv_share = Some(draw.between(0.1, 0.2));
            }
        },
        // Too few watts.
        4 => case.cap = Some(draw.between(0.6, 0.95)),
        // Few slots and long prompts: most of the time goes to prefill while slots are taken.
        5 => {
            case.max_seqs = draw.of(&[20, 40]);
            case.prompt_tok = draw.between(800.0, 2000.0) as u32;
            case.answer_tok = draw.between(30.0, 120.0);
        }
        // A law of one's own: growing with the batch, or hardly.
        6 => {
            case.affine = Some((draw.between(5e3, 3e4), draw.of(&[10.0, 500.0])));
            case.cap = draw.of(&[None, Some(0.7)]);
        }
        // A cap and a plant, of which one is small.
        7 => {
            let (small, ample) = (draw.between(0.65, 0.9), draw.between(1.2, 1.5));
            let (cap, plant) = draw.of(&[(small, ample), (ample, small)]);
            case.cap = Some(cap);
            case.cooled = Some((Building::Instantaneous, plant));
        }
        // Weather too hot for the plant.
        _ => case.cooled = Some((Building::Buffered, draw.between(0.65, 0.9))),
    }
    case
}

/// What a run without limits says about a case.
#[derive(Debug, Clone, Copy)]
struct Scale {
    requests_per_s: f64,
    it_w: f64,
    kv_blocks: u64,
    /// Time a request stays running [s].
    stay_s: f64,
}

impl Case {
    fn kv_blocks(&self, all: u64) -> u64 {
        let wanted = match self.kv_share {
            Some(share) => {
                let blocks = (f64::from(self.prompt_tok) + self.answer_tok) / 16.0;
                (share * f64::from(self.max_seqs) * blocks) as u64
            }
            None => all,
        };
        // Multiples of 20, and room for the step.
        (wanted.min(all * 9 / 10) / 20).max(2) * 20
    }

    /// The scenario with `raised` raised; before the scale is known: closed loop, no cap.
    fn text(&self, scale: Option<&Scale>, raised: Option<Limit>) -> String {
        let by = |limit: Limit| if raised == Some(limit) { STEP } else { 1.0 };
        let slots = f64::from(self.max_seqs) * f64::from(8 / self.tensor);
        let arrivals = match (self.load, scale) {
            (Load::Open(load), Some(scale)) => {
                format!(
                    "{{ poisson: {{ rate_per_s: {} }} }}",
                    load * scale.requests_per_s * by(Limit::Demand)
                )
            }
            (Load::Closed(per_slot), Some(_)) => {
                let count = (per_slot * slots / 20.0).round() * 20.0 * by(Limit::Demand);
                format!("{{ closed_loop: {{ in_flight: {} }} }}", count.round())
            }
            (_, None) => format!("{{ closed_loop: {{ in_flight: {} }} }}", 1.5 * slots),
        };
        // Batches settle, and at 1.4 times the capacity a request first waits 10 s, which makes a backlog, at 35 s.
        let warm_up_s = scale.map_or(0.0, |s| 3.0 * s.stay_s + 45.0);
        let window_s = scale.map_or(10.0, |s| 12.0 * s.stay_s);
        let mut text = format!(
            "\
duration_s: {}
warm_up_s: {warm_up_s}
workload:
  classes:
    - name: work
      arrivals: {arrivals}
      lengths:
        prompt: {{ constant: {{ tok: {} }} }}
        answer: {{ lognormal: {{ mean_tok: {}, sigma: 0.4 }} }}
routing: least_loaded
report: {{ interval_s: 100000 }}
fleet:
  sites:
    - name: here
",
            warm_up_s + window_s,
            self.prompt_tok,
            self.answer_tok,
        );
        let building = self.cooled.zip(scale);
        match building {
            Some(((building, plant), scale)) => {
                let cap = self.cap.map(|cap| cap * by(Limit::Power));
                text += &building_text(building, scale.it_w, cap, plant, by(Limit::Cooling));
            }
            None => {
                let _ = writeln!(text, "      static_pue: {}", self.pue);
                if let (Some(cap), Some(scale)) = (self.cap, scale) {
                    let cap_mw = cap * scale.it_w * self.pue * 1e-6 * by(Limit::Power);
                    let _ = writeln!(text, "      power: {{ cap_mw: {cap_mw} }}");
                }
            }
        }
        let max_seqs = (f64::from(self.max_seqs) * by(Limit::KvCapacity)).round();
        let _ = write!(
            text,
            "      pools:
        - model: {}
          gpu: {}
          nodes: 1
          engine: {}
          parallel: {{ tensor: {} }}
{}          batching:
            max_seqs: {max_seqs}
",
            self.model,
            self.gpu,
            self.engine,
            self.tensor,
            if building.is_some() { "          feed: row\n          zone: hall\n" } else { "" }
        );
        if let Some(scale) = scale {
            let blocks = self.kv_blocks(scale.kv_blocks) as f64 * by(Limit::KvCapacity);
            let _ = writeln!(text, "            kv_blocks: {}", blocks.round());
        }
        if let Some((base_us, per_seq_us)) = self.affine {
            let _ = write!(
                text,
                "          step_law:
            affine:
              base_us: {}
              per_seq_us: {}
              energy: {{ per_state: {{ idle_w: 800, base_w: 3000, per_seq_w: 10 }} }}
",
                base_us / by(Limit::Compute),
                per_seq_us / by(Limit::Compute)
            );
        }
        text
    }
}

/// Power tree, weather and cooling of a site of `it_w` [W]. The cap is over what it would draw (9 % over IT: losses,
/// fans, pumps), the plant over its heat (5 % over IT: losses of the UPS).
fn building_text(building: Building, it_w: f64, cap: Option<f64>, plant: f64, plant_scale: f64) -> String {
    let mw = it_w * 1e-6;
    let heat_mw = 1.05 * mw;
    let cap = cap.map(|cap| format!("        cap_mw: {}\n", cap * 1.09 * mw)).unwrap_or_default();
    let zone = match building {
        // 18 °C out of 15 °C: 0.7 of its capacity at 25 °C.
        Building::Instantaneous => format!(
            "            plant: {{ dry_cooler: {{ capacity_mw: {}, design_dry_bulb_c: 15, fan_share: 0.02, pump_share: 0.01 }} }}
            mode: instantaneous
",
            plant * heat_mw / 0.7
        ),
        // At 27 °C and a wet bulb of 20 °C the tower carries 0.6 of its capacity, the chiller 0.39.
        Building::Buffered => format!(
            "            plant: {{ tower_with_chiller: {{ capacity_mw: {}, chiller_share: 0.4, design_wet_bulb_c: 18, free_cooling_below_wet_bulb_c: 16, approach_k: 4, fan_share: 0.02, pump_share: 0.015, chilled_water_c: 22, chiller_derate_per_k: 0.012, carnot_share: 0.55, cycles_of_concentration: 5 }} }}
            thermal_mass_mj_per_k: {}
            ladder: {{ warn_c: 26, hold_c: 27, critical_c: 30, trip_c: 33, hysteresis_k: 0.5 }}
",
            plant * heat_mw / 0.99,
            // A tenth too much heat warms it by 2 K in 20 s.
            heat_mw
        ),
    };
    format!(
        "      power:
{cap}        tree:
          - {{ name: meter, device: {{ utility: {{ rated_mw: {} }} }} }}
          - {{ name: ups, parent: meter, zone: hall, device: {{ ups: {{ rated_mw: {} }} }} }}
          - {{ name: row, parent: ups, zone: hall, device: {{ pdu: {{ rated_mw: {} }} }} }}
          - {{ name: bus, parent: meter, device: {{ mechanical_bus: {{ rated_mw: {} }} }} }}
      weather: {{ wet_bulb_c: {{ constant: {} }}, dry_bulb_c: {{ constant: {} }} }}
      cooling:
        zones:
          - name: hall
            feed: bus
            set_c: 25
            capacity_scale: {plant_scale}
{zone}",
        3.0 * mw,
        1.5 * mw,
        1.5 * mw,
        mw,
        if matches!(building, Building::Buffered) { 20 } else { 10 },
        if matches!(building, Building::Buffered) { 30 } else { 18 },
    )
}

/// The catalog with a device limit raised.
fn raised_catalog(limit: Limit) -> Arc<Catalog> {
    let (faster, shorter): (&[&str], &[&str]) = match limit {
        Limit::Compute => (
            &["bf16_dense_tflops", "fp8_dense_tflops", "fp4_dense_tflops", "int8_dense_tops", "link_gb_s"],
            &[
                "one_shot_us",
                "latency_us",
                "per_step_us",
                "per_seq_us",
                "per_layer_us",
                "per_moe_layer_us",
                "per_fp8_moe_layer_us",
                "per_fp4_moe_layer_us",
            ],
        ),
        Limit::MemoryBandwidth => (&["hbm_tb_s"], &[]),
        _ => (&[], &[]),
    };
    let edit = |text: &str| -> String {
        let line = |line: &str| -> String {
            let key = line.split(':').next().unwrap_or_default().trim();
            let factor = match (faster.contains(&key), shorter.contains(&key)) {
                (true, _) => STEP,
                (_, true) => 1.0 / STEP,
                _ => return line.into(),
            };
            if let Some((before, fit)) = line.split_once("{ fit: ") {
                return format!("{before}{{ times: {factor}, fit: {fit}");
            }
            let (before, rest) = line.split_once("value: ").expect("a number with its source");
            let (value, after) = rest.split_once(',').expect("a number with its source");
            let value: f64 = value.trim().parse().expect("a number");
            format!("{before}value: {},{after}", value * factor)
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    let dir = tempfile::tempdir().expect("temporary folder");
    std::fs::write(dir.path().join("gpus.yaml"), edit(GPUS)).expect("overlay");
    std::fs::write(dir.path().join("engines.yaml"), edit(ENGINES)).expect("overlay");
    Arc::new(Catalog::with_overlay(dir.path()).unwrap_or_else(|error| panic!("{error}")))
}

/// Runs under each seed.
fn runs(text: &str, catalog: &Arc<Catalog>) -> Vec<Summary> {
    let mut resolved = load_with(text, &[], catalog.clone());
    (1..=SEEDS)
        .map(|seed| {
            resolved.scenario.seed = seed;
            let outcome = wattmill::simulate(&resolved, &Default::default());
            outcome.unwrap_or_else(|error| panic!("{error}")).summary
        })
        .collect()
}

/// Change of the output rate by a step, seed by seed: mean, and its standard error.
fn elasticity(base: &[Summary], raised: &[Summary]) -> (f64, f64) {
    let rate = |s: &Summary| s.throughput.output_tok_per_s;
    let changes: Vec<f64> =
        base.iter().zip(raised).map(|(b, r)| (rate(r) / rate(b)).ln() / STEP.ln()).collect();
    let n = changes.len() as f64;
    let mean = changes.iter().sum::<f64>() / n;
    let variance = changes.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn dominant(shares: &[Shares]) -> (Constraint, f64) {
    let mean = |f: fn(&Shares) -> f64| shares.iter().map(f).sum::<f64>() / shares.len() as f64;
    [
        (Constraint::Demand, mean(|s| s.demand)),
        (Constraint::Power, mean(|s| s.power)),
        (Constraint::Cooling, mean(|s| s.cooling)),
        (Constraint::Compute, mean(|s| s.compute)),
        (Constraint::MemoryBandwidth, mean(|s| s.memory_bandwidth)),
        (Constraint::KvCapacity, mean(|s| s.kv_capacity)),
    ]
    .into_iter()
    .fold((Constraint::Demand, 0.0), |a, b| if b.1 > a.1 { b } else { a })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Agree,
    /// Another limit is within 20 %: priced jointly.
    Tie,
    /// No label holds most of the time: prefill and decoding differ.
    Mixed,
    Disagree,
}

struct Result {
    case: Case,
    label: Limit,
    share: f64,
    elasticities: [(f64, f64); 6],
    verdict: Verdict,
}

fn judge(label: Limit, share: f64, elasticities: &[(f64, f64); 6]) -> Verdict {
    let of = |limit: Limit| elasticities[limit as usize].0;
    // Two standard errors may be noise.
    let slack = |limit: Limit| of(limit) - 2.0 * elasticities[limit as usize].1 < SLACK;
    let own = of(label);
    let rivals = |limits: &[Limit]| {
        limits.iter().filter(|limit| **limit != label).map(|limit| of(*limit)).fold(f64::MIN, f64::max)
    };
    let (allowed, best) = match label {
        Limit::Demand | Limit::Power | Limit::Cooling => (own >= SLACK, rivals(&Limit::ENVELOPE)),
        _ => (Limit::ENVELOPE.into_iter().all(slack), rivals(&Limit::DEVICE)),
    };
    if allowed && own > best {
        Verdict::Agree
    } else if allowed && own > (1.0 - TIE) * best {
        Verdict::Tie
    } else if share < 0.6 {
        Verdict::Mixed
    } else {
        Verdict::Disagree
    }
}

fn examine(case: &Case, plain: &Arc<Catalog>, compute: &Arc<Catalog>, memory: &Arc<Catalog>) -> Result {
    let probe = runs(&case.text(None, None), plain);
    let probe = &probe[0];
    let step_s = probe.latency_s.itl.mean.expect("steps");
    let stay_s = step_s * case.answer_tok;
    let scale = Scale {
        requests_per_s: probe.throughput.output_tok_per_s / case.answer_tok,
        it_w: probe.power_w.it.mean,
        kv_blocks: probe.per_pool[0].kv_blocks_per_replica.expect("blocks"),
        stay_s,
    };
    // The draw and the rate at the case's own KV capacity, in the long run.
    let settled = Case { load: Load::Closed(1.5), cap: None, cooled: None, ..case.clone() };
    let settled = runs(&settled.text(Some(&scale), None), plain);
    let rate = settled[0].throughput.output_tok_per_s;
    let scale = Scale {
        requests_per_s: rate / case.answer_tok,
        it_w: settled[0].power_w.it.mean,
        stay_s: settled[0].latency_s.itl.mean.expect("steps") * case.answer_tok,
        ..scale
    };
    let base = runs(&case.text(Some(&scale), None), plain);
    let shares: Vec<Shares> = base.iter().map(|s| s.binding.share).collect();
    let (label, share) = dominant(&shares);
    let elasticities = Limit::ALL.map(|limit| {
        let absent = match limit {
            Limit::Power => case.cap.is_none(),
            Limit::Cooling => case.cooled.is_none(),
            _ => false,
        };
        if absent {
            return (0.0, 0.0);
        }
        let catalog = match limit {
            Limit::Compute => compute,
            Limit::MemoryBandwidth => memory,
            _ => plain,
        };
        elasticity(&base, &runs(&case.text(Some(&scale), Some(limit)), catalog))
    });
    let label = Limit::of(label);
    Result { verdict: judge(label, share, &elasticities), case: case.clone(), label, share, elasticities }
}

#[test]
fn what_is_blamed_is_what_pays() {
    let mut random = Draw::new(GENERATOR);
    // Five of each family without a building, then four of each with one.
    let families = (0..35).map(|number| number % 7).chain((0..8).map(|number| 7 + number % 2));
    let cases: Vec<Case> = families.map(|family| draw(family, &mut random)).collect();
    let (plain, compute, memory) =
        (catalog(), raised_catalog(Limit::Compute), raised_catalog(Limit::MemoryBandwidth));
    let results: Vec<Result> =
        cases.par_iter().map(|case| examine(case, &plain, &compute, &memory)).collect();
    let mut table = String::from(
        "label    share   demand   power cooling compute  memory      kv  verdict    scenario\n",
    );
    for result in &results {
        let [demand, power, cooling, compute, memory, kv] = result.elasticities.map(|(mean, _)| mean);
        let case = &result.case;
        let _ = writeln!(
            table,
            "{:<8} {:>5.2} {demand:>8.3} {power:>7.3} {cooling:>7.3} {compute:>7.3} {memory:>7.3} {kv:>7.3}  {:<9}  {} on {}x{} {}{} slots {}{} {}+{:.0} tok, {}{}{}",
            result.label.short(),
            result.share,
            format!("{:?}", result.verdict).to_lowercase(),
            case.model,
            case.tensor,
            case.gpu,
            case.engine,
            case.affine.map(|law| format!(" affine {:.0}+{:.0}n us", law.0, law.1)).unwrap_or_default(),
            case.max_seqs,
            case.kv_share.map(|share| format!(" (KV for {share:.2})")).unwrap_or_default(),
            case.prompt_tok,
            case.answer_tok,
            match case.load {
                Load::Closed(per_slot) => format!("closed {per_slot:.2}"),
                Load::Open(load) => format!("open {load:.2}"),
            },
            case.cap.map(|cap| format!(", cap {cap:.2}")).unwrap_or_default(),
            case.cooled.map(|(how, plant)| format!(", plant {plant:.2} {how:?}")).unwrap_or_default(),
        );
    }
    println!("{table}");
    // Tied limits are priced jointly: either name is true.
    let count = |verdict: Verdict| results.iter().filter(|result| result.verdict == verdict).count();
    let (agree, decided) = (count(Verdict::Agree), results.len() - count(Verdict::Tie));
    assert!(agree >= 20 && agree * 10 >= decided * 9, "{agree} of {decided} labels are true\n{table}");
    for limit in Limit::ALL {
        assert!(
            results.iter().any(|result| result.label == limit),
            "no scenario bound by {limit:?}\n{table}"
        );
    }
}

/// ∂ln t/∂ln b against a finite difference: everything that comes with sequences grows alike.
#[test]
fn the_batch_elasticity_is_a_derivative() {
    let mut random = Draw::new(GENERATOR);
    for number in 0..40 {
        let case = draw(number % 7, &mut random);
        let resolved = load_with(&case.text(None, None), &[], catalog());
        let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).expect("a fleet");
        let pool = &fleet.pools[0];
        // Whole tokens at both ends, as the table of the law is linear in between.
        let (n, chunks) = (random.between(10.0, 100.0).round(), random.of(&[0.0, 1.0, 3.0]));
        let p = if chunks > 0.0 { random.between(10.0, 1000.0).round() } else { 0.0 };
        let (kv_tok, pairs) = (n * random.between(100.0, 4000.0), p * random.between(10.0, 2000.0));
        for share in [1.0, 0.6, 0.3] {
            let clock = Clock::at(share, &pool.power.clock);
            let at = |by: f64| {
                let shape = FluidShape {
                    n: n * by,
                    kv_tok: kv_tok * by,
                    window_tok: pool.step.even_window_tok(n, kv_tok) * by,
                    p: p * by,
                    chunks: chunks * by,
                    pairs: pairs * by,
                    window_pairs: pool.step.even_window_pairs(p, chunks, pairs) * by,
                };
                pool.step.fluid(&shape, &clock).parts
            };
            let step = 0.5 / (n + p);
            let change = (at(1.0 + step).total_s() - at(1.0).total_s()) / step / at(1.0).total_s();
            // An own law's extra time of a step with prompts comes with the steps, not with their size.
            close("∂ln t/∂ln b", at(1.0).batch_elasticity, change, 1e-6);
        }
    }
}
