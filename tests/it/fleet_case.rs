//! A random small fleet: plain fields that shrink well, their strategy, and the scenario they stand for.
//!
//! Whatever the fields, the scenario is valid: what depends on other fields (models that pools serve, watts that the
//! fleet draws, files of traces and weather) is put in when it is written. So each field may shrink on its own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Most replicas of a fleet.
const MOST_REPLICAS: u32 = 50;
/// Local time of day at which the weather may turn: it changes with the hour only [h].
const TURN_AT_H: f64 = 12.0;
/// Watts by which a site without any is sized.
const LEAST_W: f64 = 100.0;
/// Warmest outdoor air that a scenario may have [°C].
const WARMEST_C: f64 = 60.0;

/// A fleet, what arrives at it, and for how long.
#[derive(Debug, Clone)]
pub struct FleetCase {
    pub run: Run,
    pub classes: Vec<Class>,
    pub sites: Vec<Site>,
}

#[derive(Debug, Clone)]
pub struct Run {
    pub seed: u16,
    pub duration_ms: u32,
    pub warm_up_pct: u32,
    pub drain: bool,
    pub router: &'static str,
    pub by_difficulty: bool,
    pub interval_ms: u32,
    /// Every step takes a multiple of 5 ms, so that replicas, bursts and constant arrivals meet at one instant.
    pub ticking: bool,
    pub weather_turns_ms: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct Class {
    pub priority: &'static str,
    /// Asks for the model of this pool.
    pub model_of_pool: Option<usize>,
    pub arrivals: Arrivals,
    pub ttft_ms: Option<u32>,
    pub tpot_ms: Option<u32>,
    pub patience_ms: Option<u32>,
    pub problems: Option<Problems>,
}

#[derive(Debug, Clone)]
pub enum Arrivals {
    Trace(Vec<Burst>),
    Constant { per_s: u32, lengths: Lengths },
    ClosedLoop { in_flight: u32, lengths: Lengths },
    Poisson { per_s: u32, lengths: Lengths },
}

/// Requests of one instant, by prompt and output tokens.
#[derive(Debug, Clone)]
pub struct Burst {
    pub gap_ms: u32,
    pub requests: Vec<(u32, u32)>,
}

#[derive(Debug, Clone)]
pub struct Lengths {
    pub prompt: Length,
    pub answer: Length,
}

#[derive(Debug, Clone)]
pub enum Length {
    Constant(u32),
    Exponential(u32),
    Lognormal(u32),
}

/// Problems of all difficulties, and how long they may be thought about.
#[derive(Debug, Clone)]
pub struct Problems {
    pub hard_pct: u32,
    pub flagged_pct: u32,
    pub reasoning: Reasoning,
}

#[derive(Debug, Clone)]
pub enum Reasoning {
    None,
    Fixed(u32),
    Adaptive(u32, u32),
    Oracle(u32, u32, u32),
}

#[derive(Debug, Clone)]
pub struct Site {
    pub pools: Vec<Pool>,
    pub pue_pct: u32,
    pub cap: Option<Cap>,
    pub policy: Policy,
    pub building: Option<Building>,
}

#[derive(Debug, Clone)]
pub struct Pool {
    pub model: &'static str,
    pub replicas: u32,
    pub tensor: u32,
    pub law: Law,
    /// Step of a fleet that ticks [ms].
    pub tick_ms: u32,
    pub energy: &'static str,
    pub ideal_node: bool,
    pub max_seqs: u32,
    pub max_step_tok: u32,
    pub kv_block_tok: u32,
    pub kv_tok: u32,
    pub max_queue: Option<u32>,
}

#[derive(Debug, Clone)]
pub enum Law {
    /// In microseconds: base, with a prompt; in nanoseconds: per prompt token, sequence and resident token.
    Affine {
        base: u32,
        prefill: u32,
        prompt_tok: u32,
        seq: u32,
        kv_tok: u32,
    },
    Roofline {
        gpu_cap_w: Option<u32>,
    },
}

/// A cap in percent of what the site draws without one.
#[derive(Debug, Clone)]
pub struct Cap {
    pub pct: u32,
    /// Milliseconds since the step before, and percent of the cap.
    pub steps: Vec<(u32, u32)>,
}

#[derive(Debug, Clone)]
pub struct Policy {
    pub clock_step_pct: u32,
    pub dwell_ms: u32,
    pub release_below_pct: u32,
}

/// A power tree, rated in percent of what the site draws without it, and cooling.
#[derive(Debug, Clone)]
pub struct Building {
    pub utility_pct: u32,
    pub ups_pct: Option<u32>,
    /// Of each pool's own distribution unit; without them pools hang from the device above.
    pub pdu_pct: Option<u32>,
    pub losses_in_zone: bool,
    pub zones: Vec<Zone>,
    /// How far the outdoor air is from what the plants are made for, in percent of the way to where they reject
    /// nothing: in the first hour, and after the weather turned.
    pub warm_pct: i32,
    pub warm_later_pct: i32,
}

#[derive(Debug, Clone)]
pub struct Zone {
    pub set_c: u32,
    /// Capacity in percent of what the site draws without a building.
    pub capacity_pct: u32,
    pub tower: bool,
    pub chiller_pct: u32,
    pub buffer: Option<Buffer>,
}

/// A zone with mass, so light that it passes its thresholds within seconds.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// Time in which the heat of the whole site would warm it by a kelvin.
    pub ms_per_k: u32,
    /// Distance of its thresholds.
    pub step_dk: u32,
    pub hysteresis_pct: u32,
}

/// Any fleet.
pub fn fleets() -> impl Strategy<Value = FleetCase> {
    (run(), vec(class(), 1..=3), prop_oneof![3 => vec(site(), 1), 1 => vec(site(), 2)])
        .prop_map(|(run, classes, sites)| FleetCase { run, classes, sites })
}

fn run() -> impl Strategy<Value = Run> {
    let routers = select(vec![
        "round_robin",
        "least_loaded",
        "{ least_loaded: { probe: 2 } }",
        "power_of_two",
        "random",
    ]);
    (
        (0_u16..1000, 50_u32..=3000, select(vec![0_u32, 0, 25, 50]), any::<bool>()),
        (routers, any::<bool>(), select(vec![60_000_u32, 500, 370])),
        (any::<bool>(), option::of(10_u32..1500)),
    )
        .prop_map(
            |(
                (seed, duration_ms, warm_up_pct, drain),
                (router, by_difficulty, interval_ms),
                (ticking, weather_turns_ms),
            )| Run {
                seed,
                duration_ms,
                warm_up_pct,
                drain,
                router,
                by_difficulty,
                interval_ms,
                ticking,
                weather_turns_ms,
            },
        )
}

fn class() -> impl Strategy<Value = Class> {
    (
        select(vec!["normal", "high", "low"]),
        option::weighted(0.25, 0..4_usize),
        arrivals(),
        option::of(select(vec![200_u32, 20, 1000])),
        option::of(select(vec![20_u32, 5, 2])),
        option::of(select(vec![1000_u32, 300, 50, 10])),
        option::weighted(0.3, problems()),
    )
        .prop_map(|(priority, model_of_pool, arrivals, ttft_ms, tpot_ms, patience_ms, problems)| Class {
            priority,
            model_of_pool,
            arrivals,
            ttft_ms,
            tpot_ms,
            patience_ms,
            problems,
        })
}

/// Traces first: whatever fails on another process is tried on them too, and they shrink request by request.
fn arrivals() -> impl Strategy<Value = Arrivals> {
    let burst = (prop_oneof![1 => Just(0_u32), 4 => 0_u32..400], vec((1_u32..=90, 1_u32..=60), 1..=20))
        .prop_map(|(gap_ms, requests)| Burst { gap_ms, requests });
    prop_oneof![
        2 => vec(burst, 1..=8).prop_map(Arrivals::Trace),
        2 => (select(vec![10_u32, 50, 100, 200]), lengths())
            .prop_map(|(per_s, lengths)| Arrivals::Constant { per_s, lengths }),
        1 => (1_u32..=30, lengths())
            .prop_map(|(in_flight, lengths)| Arrivals::ClosedLoop { in_flight, lengths }),
        1 => (select(vec![5_u32, 40, 150]), lengths())
            .prop_map(|(per_s, lengths)| Arrivals::Poisson { per_s, lengths }),
    ]
}

fn lengths() -> impl Strategy<Value = Lengths> {
    (length(100), length(60)).prop_map(|(prompt, answer)| Lengths { prompt, answer })
}

fn length(most: u32) -> impl Strategy<Value = Length> {
    prop_oneof![
        (1..=most).prop_map(Length::Constant),
        (1..=most).prop_map(Length::Exponential),
        (1..=most).prop_map(Length::Lognormal),
    ]
}

fn problems() -> impl Strategy<Value = Problems> {
    let budget = || prop_oneof![1 => Just(0_u32), 3 => 1_u32..=80];
    let reasoning = prop_oneof![
        Just(Reasoning::None),
        budget().prop_map(Reasoning::Fixed),
        (budget(), budget()).prop_map(|(easy, hard)| Reasoning::Adaptive(easy, hard)),
        (budget(), budget(), budget()).prop_map(|(easy, medium, hard)| Reasoning::Oracle(easy, medium, hard)),
    ];
    (0_u32..=100, 0_u32..=100, reasoning).prop_map(|(hard_pct, flagged_pct, reasoning)| Problems {
        hard_pct,
        flagged_pct,
        reasoning,
    })
}

fn site() -> impl Strategy<Value = Site> {
    (
        prop_oneof![2 => vec(pool(), 1), 1 => vec(pool(), 2)],
        select(vec![100_u32, 125]),
        option::weighted(0.7, cap()),
        policy(),
        option::weighted(0.5, building()),
    )
        .prop_map(|(pools, pue_pct, cap, policy, building)| Site {
            pools,
            pue_pct,
            cap,
            policy,
            building,
        })
}

fn pool() -> impl Strategy<Value = Pool> {
    // Windows of attention only show in a roofline of a model that has them.
    let models = select(vec!["Llama-3.1-8B", "Llama-3.1-8B", "Qwen3-8B", "gpt-oss-20b"]);
    let energies = select(vec![
        "{ per_state: { idle_w: 500, base_w: 1500, per_seq_w: 100 } }",
        "{ per_state: { idle_w: 1600, base_w: 4000, per_seq_w: 60 } }",
        "{ per_token: { it_j_per_tok: 0.5 } }",
    ]);
    (
        (models, prop_oneof![14 => 1_u32..=3, 1 => 4_u32..=MOST_REPLICAS], select(vec![8_u32, 4, 2, 1])),
        (law(), select(vec![10_u32, 5]), energies, any::<bool>()),
        (
            select(vec![1_u32, 2, 4, 8, 32]),
            select(vec![256_u32, 64, 16, 4]),
            select(vec![1_u32, 2, 7, 16]),
            40_u32..540,
            option::weighted(0.25, 0_u32..8),
        ),
    )
        .prop_map(
            |(
                (model, replicas, tensor),
                (law, tick_ms, energy, ideal_node),
                (max_seqs, max_step_tok, kv_block_tok, kv_tok, max_queue),
            )| Pool {
                model,
                replicas,
                tensor,
                law,
                tick_ms,
                energy,
                ideal_node,
                max_seqs,
                max_step_tok,
                kv_block_tok,
                kv_tok,
                max_queue,
            },
        )
}

fn law() -> impl Strategy<Value = Law> {
    prop_oneof![
        (500_u32..8000, 0_u32..500, 0_u32..20_000, 0_u32..50_000, 0_u32..1000).prop_map(
            |(base, prefill, prompt_tok, seq, kv_tok)| Law::Affine { base, prefill, prompt_tok, seq, kv_tok }
        ),
        option::weighted(0.3, 150_u32..600).prop_map(|gpu_cap_w| Law::Roofline { gpu_cap_w }),
    ]
}

fn cap() -> impl Strategy<Value = Cap> {
    (40_u32..=105, vec((1_u32..1000, 20_u32..130), 0..=4)).prop_map(|(pct, steps)| Cap { pct, steps })
}

fn policy() -> impl Strategy<Value = Policy> {
    (select(vec![5_u32, 1, 0]), select(vec![20_u32, 300, 10_000, 5]), select(vec![98_u32, 90, 100])).prop_map(
        |(clock_step_pct, dwell_ms, release_below_pct)| Policy {
            clock_step_pct,
            dwell_ms,
            release_below_pct,
        },
    )
}

fn building() -> impl Strategy<Value = Building> {
    (
        60_u32..200,
        option::of(50_u32..150),
        option::of(30_u32..150),
        any::<bool>(),
        prop_oneof![1 => vec(zone(), 0), 4 => vec(zone(), 1), 1 => vec(zone(), 2)],
        -40_i32..90,
        -40_i32..90,
    )
        .prop_map(|(utility_pct, ups_pct, pdu_pct, losses_in_zone, zones, warm_pct, warm_later_pct)| {
            Building { utility_pct, ups_pct, pdu_pct, losses_in_zone, zones, warm_pct, warm_later_pct }
        })
}

fn zone() -> impl Strategy<Value = Zone> {
    // GPUs throttle at 87 °C: in the warm ones by a watt or by all of them.
    let set_c = prop_oneof![1 => Just(25_u32), 3 => 40_u32..80];
    let buffer = (2_u32..400, 1_u32..15, 5_u32..=100)
        .prop_map(|(ms_per_k, step_dk, hysteresis_pct)| Buffer { ms_per_k, step_dk, hysteresis_pct });
    (set_c, 20_u32..130, any::<bool>(), select(vec![0_u32, 40]), option::weighted(0.75, buffer)).prop_map(
        |(set_c, capacity_pct, tower, chiller_pct, buffer)| Zone {
            set_c,
            capacity_pct,
            tower,
            chiller_pct,
            buffer,
        },
    )
}

/// What a site draws without a cap or a building [W].
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    pub it_w: f64,
    pub facility_w: f64,
}

impl FleetCase {
    /// Whether anything limits its watts.
    pub fn is_limited(&self) -> bool {
        self.sites.iter().any(|site| site.cap.is_some() || site.building.is_some())
    }

    /// The scenario and the files beside it, as (name, content); without `peaks` nothing limits its watts.
    pub fn files(&self, peaks: Option<&[Peak]>) -> Vec<(String, String)> {
        let mut files = vec![("case.yaml".to_string(), self.yaml(peaks))];
        for (number, class) in self.classes.iter().enumerate() {
            if let Arrivals::Trace(bursts) = &class.arrivals {
                files.push((format!("c{number}.csv"), trace(bursts)));
            }
        }
        for (number, site) in self.sites.iter().enumerate() {
            if let (Some(building), Some(_), Some(_)) = (&site.building, peaks, self.run.weather_turns_ms)
                && !building.zones.is_empty()
            {
                // Row 0 is for even hours, and the turn is at one.
                let hours = [building.warm_later_pct, building.warm_pct].map(|warm| building.air_c(warm));
                let rows = hours.map(|(wet_c, dry_c)| format!("{wet_c},{dry_c}\n"));
                files.push((format!("s{number}.csv"), format!("wet_c,dry_c\n{}", rows.concat())));
            }
        }
        files
    }

    /// Write the files into `dir`; the first is the scenario.
    pub fn write(&self, dir: &Path, peaks: Option<&[Peak]>) {
        for (name, content) in self.files(peaks) {
            fs::write(dir.join(name), content).expect("a file of the case");
        }
    }

    /// All that is needed to run it by hand.
    pub fn shown(&self, peaks: Option<&[Peak]>) -> String {
        let mut text = String::new();
        for (name, content) in self.files(peaks) {
            let _ = writeln!(text, "--- {name}\n{content}");
        }
        text
    }

    fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.sites.iter().flat_map(|site| &site.pools)
    }

    /// Whether the router goes by difficulty: there must be a class for which it decides.
    fn by_difficulty(&self) -> bool {
        let decides = |class: &Class| class.problems.is_some() && class.model_of_pool.is_none();
        self.run.by_difficulty && self.classes.iter().any(decides)
    }

    fn yaml(&self, peaks: Option<&[Peak]>) -> String {
        let run = &self.run;
        let turns_s = run.weather_turns_ms.map(|ms| f64::from(ms) / 1e3);
        let start_at_h = turns_s.map_or(0.0, |s| TURN_AT_H - s / 3600.0);
        let mut text = format!(
            "name: case\nseed: {}\nduration_s: {}\nwarm_up_s: {}\nstart_at_h: {start_at_h}\nat_end: {}\nrouting: {}\n\
             report: {{ interval_s: {} }}\nworkload:\n  classes:\n",
            run.seed,
            f64::from(run.duration_ms) / 1e3,
            f64::from(run.duration_ms * run.warm_up_pct) * 1e-5,
            if run.drain { "drain" } else { "cut" },
            self.routing(),
            f64::from(run.interval_ms) / 1e3,
        );
        for (number, class) in self.classes.iter().enumerate() {
            self.class(&mut text, number, class);
        }
        text.push_str("fleet:\n  sites:\n");
        for (number, site) in self.sites.iter().enumerate() {
            self.site(&mut text, number, site, peaks.map(|peaks| peaks[number]), start_at_h);
        }
        text
    }

    fn routing(&self) -> String {
        if !self.by_difficulty() {
            return self.run.router.into();
        }
        let easy = self.pools().next().map_or("", |pool| pool.model);
        let hard = self.pools().last().map_or("", |pool| pool.model);
        format!("{{ difficulty_aware: {{ easy: {easy}, hard: {hard}, within: {} }} }}", self.run.router)
    }

    fn class(&self, text: &mut String, number: usize, class: &Class) {
        let _ = writeln!(text, "    - name: c{number}\n      priority: {}", class.priority);
        let models: Vec<&str> = self.pools().map(|pool| pool.model).collect();
        let mut model = class.model_of_pool.map(|pool| models[pool % models.len()]);
        if class.problems.is_some() && !self.by_difficulty() && models.iter().any(|m| *m != models[0]) {
            // How long a request thinks must not hang on where it lands.
            model = model.or(Some(models[0]));
        }
        if let Some(model) = model {
            let _ = writeln!(text, "      model: {model}");
        }
        let (arrivals, lengths) = match &class.arrivals {
            Arrivals::Trace(_) => (format!("trace: {{ path: c{number}.csv }}"), None),
            Arrivals::Constant { per_s, lengths } => {
                (format!("constant: {{ rate_per_s: {per_s} }}"), Some(lengths))
            }
            Arrivals::ClosedLoop { in_flight, lengths } => {
                (format!("closed_loop: {{ in_flight: {in_flight} }}"), Some(lengths))
            }
            Arrivals::Poisson { per_s, lengths } => {
                (format!("poisson: {{ rate_per_s: {per_s} }}"), Some(lengths))
            }
        };
        let _ = writeln!(text, "      arrivals: {{ {arrivals} }}");
        if let Some(Lengths { prompt, answer }) = lengths {
            let _ =
                writeln!(text, "      lengths: {{ prompt: {}, answer: {} }}", prompt.yaml(), answer.yaml());
        }
        let limits: Vec<String> = [("ttft_ms", class.ttft_ms), ("tpot_ms", class.tpot_ms)]
            .iter()
            .filter_map(|(name, limit)| limit.map(|ms| format!("{name}: {ms}")))
            .collect();
        if !limits.is_empty() {
            let _ = writeln!(text, "      slo: {{ {} }}", limits.join(", "));
        }
        if let Some(ms) = class.patience_ms {
            let _ = writeln!(text, "      patience_s: {}", f64::from(ms) / 1e3);
        }
        if let Some(problems) = &class.problems {
            let (hard, flagged) = (f64::from(problems.hard_pct) / 1e2, f64::from(problems.flagged_pct) / 1e2);
            let _ = writeln!(
                text,
                "      difficulty: {{ share: {{ easy: {0}, medium: {0}, hard: {hard} }}, flagged_hard: {{ easy: {1}, \
                 medium: {flagged}, hard: {flagged} }} }}\n      reasoning: {2}",
                (1.0 - hard) / 2.0,
                flagged / 2.0,
                problems.reasoning.yaml()
            );
        }
    }

    fn site(&self, text: &mut String, number: usize, site: &Site, peak: Option<Peak>, start_at_h: f64) {
        let _ = writeln!(text, "    - name: s{number}");
        let building = site.building.as_ref().zip(peak);
        if building.is_none() {
            let _ = writeln!(text, "      static_pue: {}", f64::from(site.pue_pct) / 1e2);
        }
        text.push_str("      power:\n");
        let policy = &site.policy;
        let _ = writeln!(
            text,
            "        policy: {{ uniform_clock: {{ clock_step: {}, dwell_s: {}, release_below: {} }} }}",
            f64::from(policy.clock_step_pct) / 1e2,
            f64::from(policy.dwell_ms) / 1e3,
            f64::from(policy.release_below_pct) / 1e2
        );
        if let (Some(cap), Some(peak)) = (&site.cap, peak) {
            let cap_mw = mw(peak.facility_w, cap.pct);
            let _ = writeln!(text, "        cap_mw: {cap_mw}");
            let mut at_ms = 0;
            let steps: Vec<String> = cap
                .steps
                .iter()
                .map(|(gap_ms, pct)| {
                    at_ms += gap_ms;
                    let at_h = start_at_h + f64::from(at_ms) / 3.6e6;
                    format!("{{ at_h: {at_h}, value: {} }}", f64::from(*pct) / 1e2)
                })
                .collect();
            if !steps.is_empty() {
                let _ = writeln!(text, "        cap_fraction: {{ steps: [{}] }}", steps.join(", "));
            }
        }
        if let Some((building, peak)) = building {
            building.yaml(text, number, site.pools.len(), peak, self.run.weather_turns_ms.is_some());
        }
        text.push_str("      pools:\n");
        let most = MOST_REPLICAS / self.pools().count() as u32;
        for (place, pool) in site.pools.iter().enumerate() {
            pool.yaml(text, place, most, self.run.ticking);
            if let Some((building, _)) = building {
                let _ = writeln!(text, "          feed: {}", building.feed(place));
                if !building.zones.is_empty() {
                    let _ = writeln!(text, "          zone: z{}", place % building.zones.len());
                }
            }
        }
    }
}

impl Length {
    fn yaml(&self) -> String {
        match self {
            Self::Constant(tok) => format!("{{ constant: {{ tok: {tok} }} }}"),
            Self::Exponential(mean) => {
                format!("{{ exponential: {{ mean_tok: {mean}, max_tok: {} }} }}", 3 * mean.max(&20))
            }
            Self::Lognormal(mean) => {
                format!("{{ lognormal: {{ mean_tok: {mean}, sigma: 1, max_tok: {} }} }}", 3 * mean.max(&20))
            }
        }
    }
}

impl Reasoning {
    fn yaml(&self) -> String {
        match self {
            Self::None => "none".into(),
            Self::Fixed(tok) => format!("{{ fixed: {{ budget_tok: {tok} }} }}"),
            Self::Adaptive(easy, hard) => {
                format!("{{ adaptive: {{ budget_tok: {{ easy: {easy}, hard: {hard} }} }} }}")
            }
            Self::Oracle(easy, medium, hard) => {
                format!("{{ oracle: {{ budget_tok: {{ easy: {easy}, medium: {medium}, hard: {hard} }} }} }}")
            }
        }
    }
}

impl Pool {
    fn yaml(&self, text: &mut String, place: usize, most: u32, ticking: bool) {
        let per_node = 8 / self.tensor;
        let nodes = (self.replicas.min(most) / per_node).max(1);
        let max_step_tok = self.max_step_tok.max(self.max_seqs);
        let kv_blocks = self.kv_tok.div_ceil(self.kv_block_tok).max(2);
        let queue = self.max_queue.map_or(String::new(), |most| format!(", max_queue: {most}"));
        let _ = writeln!(
            text,
            "        - name: p{place}\n          model: {}\n          gpu: H100-SXM-80GB\n          nodes: {nodes}\n          \
             parallel: {{ tensor: {} }}\n          batching: {{ max_seqs: {}, max_step_tok: {max_step_tok}, kv_block_tok: {}, \
             kv_blocks: {kv_blocks}{queue} }}",
            self.model, self.tensor, self.max_seqs, self.kv_block_tok
        );
        let us = |ns: u32| f64::from(ns) / 1e3;
        let law = match &self.law {
            _ if ticking => format!("base_us: {}", self.tick_ms * 1000),
            Law::Affine { base, prefill, prompt_tok, seq, kv_tok } => format!(
                "base_us: {base}, prefill_us: {prefill}, per_prompt_tok_us: {}, per_seq_us: {}, per_kv_tok_us: {}",
                us(*prompt_tok),
                us(*seq),
                us(*kv_tok)
            ),
            Law::Roofline { gpu_cap_w } => {
                if let Some(watts) = gpu_cap_w {
                    let _ = writeln!(text, "          gpu_cap_w: {watts}");
                }
                return;
            }
        };
        if self.ideal_node {
            text.push_str("          node: ideal_linear\n");
        }
        let _ = writeln!(text, "          step_law: {{ affine: {{ {law}, energy: {} }} }}", self.energy);
    }
}

impl Building {
    /// Outdoor air, so and so far from what the plant of the first zone is made for: (wet bulb, dry bulb) [°C].
    fn air_c(&self, warm_pct: i32) -> (f64, f64) {
        let zone = &self.zones[0];
        let (design_c, set_c) = (zone.design_c(), f64::from(zone.set_c));
        let dry_c = (design_c + (set_c - design_c) * f64::from(warm_pct) / 1e2).min(WARMEST_C);
        (dry_c - 5.0, dry_c)
    }

    fn feed(&self, pool: usize) -> String {
        match (self.pdu_pct, self.ups_pct) {
            (Some(_), _) => format!("pdu{pool}"),
            (None, Some(_)) => "ups".into(),
            (None, None) => "trafo".into(),
        }
    }

    fn yaml(&self, text: &mut String, site: usize, pools: usize, peak: Peak, turns: bool) {
        let hall = if self.losses_in_zone && !self.zones.is_empty() { ", zone: z0" } else { "" };
        let rated = |pct: u32| format!("{{ rated_mw: {} }}", mw(peak.it_w, pct));
        text.push_str("        tree:\n");
        let mut device = |name: &str, place: &str, kind: &str, pct: u32| {
            let _ =
                writeln!(text, "          - {{ name: {name}{place}, device: {{ {kind}: {} }} }}", rated(pct));
        };
        device("meter", "", "utility", self.utility_pct);
        device("trafo", ", parent: meter", "transformer", 250);
        device("plant", ", parent: trafo", "mechanical_bus", 250);
        if let Some(pct) = self.ups_pct {
            device("ups", &format!(", parent: trafo{hall}"), "ups", pct);
        }
        if let Some(pct) = self.pdu_pct {
            let parent = if self.ups_pct.is_some() { "ups" } else { "trafo" };
            for pool in 0..pools {
                device(&format!("pdu{pool}"), &format!(", parent: {parent}{hall}"), "pdu", pct);
            }
        }
        if self.zones.is_empty() {
            return;
        }
        let (wet_c, dry_c) = self.air_c(self.warm_pct);
        let course = |constant: f64, column: &str| match turns {
            true => format!("{{ csv: {{ path: s{site}.csv, column: {column} }} }}"),
            false => format!("{{ constant: {constant} }}"),
        };
        let _ = writeln!(
            text,
            "      weather: {{ wet_bulb_c: {}, dry_bulb_c: {} }}\n      cooling:\n        zones:",
            course(wet_c, "wet_c"),
            course(dry_c, "dry_c")
        );
        for (number, zone) in self.zones.iter().enumerate() {
            zone.yaml(text, number, peak);
        }
    }
}

impl Zone {
    /// Outdoor air at which the plant has its capacity [°C].
    fn design_c(&self) -> f64 {
        (f64::from(self.set_c) - 15.0).min(50.0)
    }

    fn yaml(&self, text: &mut String, number: usize, peak: Peak) {
        let capacity = mw(peak.it_w, self.capacity_pct);
        let (set_c, design_c) = (f64::from(self.set_c), self.design_c());
        let sizes = format!("capacity_mw: {capacity}, fan_share: 0.02, pump_share: 0.015");
        let plant = if self.tower {
            format!(
                "tower_with_chiller: {{ {sizes}, chiller_share: {}, design_wet_bulb_c: {design_c}, \
                 free_cooling_below_wet_bulb_c: {}, approach_k: 4, chilled_water_c: {}, chiller_derate_per_k: 0.012, \
                 carnot_share: 0.55, cycles_of_concentration: 5 }}",
                f64::from(self.chiller_pct) / 1e2,
                design_c - 5.0,
                set_c - 3.0
            )
        } else {
            format!("dry_cooler: {{ {sizes}, design_dry_bulb_c: {design_c} }}")
        };
        let _ = writeln!(
            text,
            "          - name: z{number}\n            feed: plant\n            plant: {{ {plant} }}\n            set_c: {set_c}"
        );
        match &self.buffer {
            None => text.push_str("            mode: instantaneous\n"),
            Some(buffer) => {
                let step_k = f64::from(buffer.step_dk) * 0.1;
                let mass = peak.it_w.max(LEAST_W) * f64::from(buffer.ms_per_k) / 1e3 * 1e-6;
                let _ = writeln!(
                    text,
                    "            thermal_mass_mj_per_k: {mass}\n            ladder: {{ warn_c: {}, hold_c: {}, critical_c: {}, \
                     trip_c: {}, hysteresis_k: {} }}",
                    set_c + step_k,
                    set_c + 2.0 * step_k,
                    set_c + 4.0 * step_k,
                    set_c + 8.0 * step_k,
                    // Not quite all of the way down to the set point, so that rounding cannot put it below.
                    step_k * f64::from(buffer.hysteresis_pct) * 0.99e-2
                );
            }
        }
    }
}

fn mw(watts: f64, pct: u32) -> f64 {
    watts.max(LEAST_W) * f64::from(pct) * 1e-8
}

fn trace(bursts: &[Burst]) -> String {
    let mut rows = String::from("arrival_s,prompt_tok,output_tok\n");
    let mut at_ms = 0;
    for burst in bursts {
        at_ms += burst.gap_ms;
        for (prompt, output) in &burst.requests {
            let _ = writeln!(rows, "{},{prompt},{output}", f64::from(at_ms) / 1e3);
        }
    }
    rows
}
