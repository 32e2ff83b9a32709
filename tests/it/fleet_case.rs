//! A random small fleet: plain fields, and a strategy that shrinks them towards few requests at one replica.
//!
//! Whatever the fields, `fleet_yaml` makes a valid scenario of them, so each may shrink on its own.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Most replicas of a fleet.
pub const MOST_REPLICAS: u32 = 50;
/// Plants that `fleet_yaml` knows to write.
const PLANTS: usize = 6;

/// A fleet, what arrives at it, and for how long.
#[derive(Debug, Clone)]
pub struct FleetCase {
    pub run: Run,
    pub classes: Vec<Class>,
    pub sites: Vec<Site>,
    /// By site; drawn after them, so that fleets are what they were before there were several policies.
    pub cappings: Vec<Capping>,
    /// Drawn after these, for the same reason, as is all that follows.
    pub breakage: Breakage,
    /// By site and pool, two of each.
    pub speculating: Vec<Option<Speculating>>,
    pub sharing: Sharing,
    /// When the nodes of the first site's last pool come and go, in percent of the run.
    pub installed: Option<(u32, Option<u32>)>,
    /// By class. Of use where it has problems.
    pub answering: Vec<Option<Answering>>,
}

/// A draft in front of a model, in place of the pool's own law: that of a replica.
#[derive(Debug, Clone)]
pub struct Speculating {
    pub draft_tok: u32,
    /// A head; else a model of its own.
    pub head: bool,
    pub acceptance_pct: u32,
    /// Its spread over requests, in percent of the largest there can be.
    pub spread_pct: u32,
}

/// Prefixes that prompts share, and what becomes of them.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// By class; of use where it does not replay a trace.
    pub prefixes: Vec<Option<Prefixes>>,
    /// The router goes by them, in place of the other; its overload in percent.
    pub router: Option<u32>,
    /// The pool of each site that keeps none.
    pub uncached: Option<usize>,
}

#[derive(Debug, Clone)]
pub struct Prefixes {
    pub tok: Length,
    pub count: u32,
    pub zipf_pct: u32,
}

/// How answers are found in several legs. Models are those of the pools, from one of them on.
#[derive(Debug, Clone)]
pub struct Answering {
    /// The best of so many answers; else, and if pools serve several models, a cascade over all of them.
    pub best_of: Option<u32>,
    pub first: usize,
    pub verifier: usize,
    pub verdict_tok: u32,
    pub accepts_right_pct: u32,
    pub accepts_wrong_pct: u32,
}

/// What breaks, and what is done about it.
#[derive(Debug, Clone)]
pub struct Breakage {
    pub failures: Vec<Failing>,
    /// By site; of use where it has a building.
    pub supplies: Vec<Option<Supply>>,
    /// By class: whether requests are lost with their replica.
    pub loses: Vec<bool>,
    pub start_up_ms: u32,
}

/// Something that breaks, of all pools and devices the one of a number.
#[derive(Debug, Clone)]
pub struct Failing {
    pub what: What,
    pub at_ms: u32,
    /// Until it is repaired, if it is.
    pub for_ms: Option<u32>,
    /// At random times about as far apart, in place of these.
    pub random: bool,
}

#[derive(Debug, Clone)]
pub enum What {
    Nodes { pool: usize, count: u32 },
    Device { site: usize, number: usize },
    Modules { site: usize, count: u32 },
    Plant { site: usize, zone: usize, chillers: bool, share_pct: u32 },
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

/// Which policy keeps the cap, and what only some of them ask.
#[derive(Debug, Clone)]
pub struct Capping {
    pub kind: &'static str,
    pub share_step_pct: u32,
    pub polca: Polca,
    /// By pool of the site.
    pub power_priorities: Vec<&'static str>,
}

/// Thresholds in percent of what the device may carry, delays so short that caps come and go within a case.
#[derive(Debug, Clone)]
pub struct Polca {
    pub own_device: bool,
    pub t1_pct: u32,
    pub gap_pct: u32,
    pub hysteresis_pct: u32,
    pub cap_delay_ms: u32,
    pub brake_delay_ms: u32,
    pub brake_at_pct: u32,
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

/// What keeps power devices going, or cuts them off.
#[derive(Debug, Clone)]
pub struct Supply {
    /// A second transformer behind the first.
    pub second: bool,
    /// A generator, and the time it takes to start.
    pub generator_ms: Option<u32>,
    /// A breaker at the transformer, rated in percent of what the site draws, and its time constant.
    pub breaker: Option<(u32, u32)>,
    pub reclose_ms: Option<u32>,
    /// A battery at the supply, or else at each distribution unit: how long it carries the whole site, and above
    /// what percent of that it shaves peaks.
    pub battery: Option<(u32, Option<u32>)>,
}

#[derive(Debug, Clone)]
pub struct Zone {
    pub set_c: u32,
    /// Capacity in percent of what the site draws without a building.
    pub capacity_pct: u32,
    /// Which of the plants of `fleet_yaml`.
    pub plant: usize,
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
    /// Critical just above hold, where the heat of steps under way still reaches.
    pub edgy: bool,
    pub hysteresis_pct: u32,
}

impl FleetCase {
    /// The same with one part less, the largest parts first.
    pub fn with_less(&self) -> Vec<Self> {
        let mut all = Vec::new();
        self.less_fleet(&mut all);
        self.less_features(&mut all);
        self.less_run(&mut all);
        self.less_arrivals(&mut all);
        all
    }

    /// The same with two requests or replicas less: what one of them is for may only show when the other is gone, as
    /// limits are in percent of what the fleet draws.
    pub fn with_two_less(&self) -> Vec<Self> {
        let mut small = Vec::new();
        self.less_requests(&mut small);
        self.less_replicas(&mut small);
        small
            .iter()
            .flat_map(|less| {
                let mut all = Vec::new();
                less.less_requests(&mut all);
                less.less_replicas(&mut all);
                all
            })
            .collect()
    }

    fn less(&self, all: &mut Vec<Self>, change: impl FnOnce(&mut Self)) {
        let mut less = self.clone();
        change(&mut less);
        all.push(less);
    }

    fn less_fleet(&self, all: &mut Vec<Self>) {
        for i in (0..self.sites.len()).filter(|_| self.sites.len() > 1) {
            self.less(all, |less| {
                less.sites.remove(i);
                less.cappings.remove(i);
                less.speculating.drain(2 * i..2 * i + 2);
            });
        }
        for (i, site) in self.sites.iter().enumerate() {
            for k in (0..site.pools.len()).filter(|_| site.pools.len() > 1) {
                self.less(all, |less| {
                    less.sites[i].pools.remove(k);
                    less.cappings[i].power_priorities.remove(k);
                    less.speculating.remove(2 * i + k);
                    less.speculating.insert(2 * i + 1, None);
                });
            }
        }
        for i in (0..self.classes.len()).filter(|_| self.classes.len() > 1) {
            self.less(all, |less| _ = less.classes.remove(i));
        }
    }

    fn less_features(&self, all: &mut Vec<Self>) {
        if self.installed.is_some() {
            self.less(all, |less| less.installed = None);
        }
        for i in 0..self.breakage.failures.len() {
            self.less(all, |less| _ = less.breakage.failures.remove(i));
        }
        for i in (0..self.breakage.supplies.len()).filter(|&i| self.breakage.supplies[i].is_some()) {
            self.less(all, |less| less.breakage.supplies[i] = None);
        }
        for i in (0..self.speculating.len()).filter(|&i| self.speculating[i].is_some()) {
            self.less(all, |less| less.speculating[i] = None);
        }
        for i in (0..self.sharing.prefixes.len()).filter(|&i| self.sharing.prefixes[i].is_some()) {
            self.less(all, |less| less.sharing.prefixes[i] = None);
        }
        for i in (0..self.answering.len()).filter(|&i| self.answering[i].is_some()) {
            self.less(all, |less| less.answering[i] = None);
        }
        if self.run.weather_turns_ms.is_some() {
            self.less(all, |less| less.run.weather_turns_ms = None);
        }
        for (i, site) in self.sites.iter().enumerate() {
            if let Some(building) = &site.building {
                self.less(all, |less| less.sites[i].building = None);
                for zone in (0..building.zones.len()).filter(|_| building.zones.len() > 1) {
                    self.less(all, |less| _ = less.sites[i].building.as_mut().map(|b| b.zones.remove(zone)));
                }
            }
            if let Some(cap) = &site.cap {
                self.less(all, |less| less.sites[i].cap = None);
                for step in 0..cap.steps.len() {
                    self.less(all, |less| _ = less.sites[i].cap.as_mut().map(|cap| cap.steps.remove(step)));
                }
            }
            for (k, pool) in site.pools.iter().enumerate() {
                if pool.max_queue.is_some() {
                    self.less(all, |less| less.sites[i].pools[k].max_queue = None);
                }
                if pool.tensor < 8 {
                    self.less(all, |less| less.sites[i].pools[k].tensor = 8);
                }
            }
        }
        for (i, class) in self.classes.iter().enumerate() {
            if class.problems.is_some() {
                self.less(all, |less| less.classes[i].problems = None);
            }
            if class.patience_ms.is_some() {
                self.less(all, |less| less.classes[i].patience_ms = None);
            }
            if class.ttft_ms.is_some() || class.tpot_ms.is_some() {
                self.less(all, |less| (less.classes[i].ttft_ms, less.classes[i].tpot_ms) = (None, None));
            }
        }
    }

    fn less_run(&self, all: &mut Vec<Self>) {
        if self.run.warm_up_pct > 0 {
            self.less(all, |less| less.run.warm_up_pct = 0);
        }
        if self.run.duration_ms > 20 {
            self.less(all, |less| less.run.duration_ms /= 2);
            self.less(all, |less| less.run.duration_ms = less.run.duration_ms * 7 / 8);
        }
        self.less_replicas(all);
    }

    fn less_replicas(&self, all: &mut Vec<Self>) {
        for (i, site) in self.sites.iter().enumerate() {
            for (k, pool) in site.pools.iter().enumerate() {
                for fewer in [1, pool.replicas / 2, pool.replicas - 1] {
                    if fewer > 0 && fewer < pool.replicas {
                        self.less(all, |less| less.sites[i].pools[k].replicas = fewer);
                    }
                }
            }
        }
    }

    fn less_arrivals(&self, all: &mut Vec<Self>) {
        let mut shorter = |i: usize, lengths: &Lengths| {
            for prompt in [true, false] {
                let of = if prompt { &lengths.prompt } else { &lengths.answer };
                let (Length::Constant(tok) | Length::Exponential(tok) | Length::Lognormal(tok)) = *of;
                if tok > 1 {
                    self.less(all, |less| {
                        let class = &mut less.classes[i];
                        let (Arrivals::Constant { lengths, .. }
                        | Arrivals::ClosedLoop { lengths, .. }
                        | Arrivals::Poisson { lengths, .. }) = &mut class.arrivals
                        else {
                            return;
                        };
                        let of = if prompt { &mut lengths.prompt } else { &mut lengths.answer };
                        *of = Length::Constant(tok / 2);
                    });
                }
            }
        };
        for (i, class) in self.classes.iter().enumerate() {
            match &class.arrivals {
                Arrivals::Trace(_) => {}
                Arrivals::Constant { lengths, .. }
                | Arrivals::ClosedLoop { lengths, .. }
                | Arrivals::Poisson { lengths, .. } => shorter(i, lengths),
            }
        }
        self.less_requests(all);
        for (i, class) in self.classes.iter().enumerate() {
            let Arrivals::Trace(bursts) = &class.arrivals else { continue };
            for (k, burst) in bursts.iter().enumerate() {
                for (r, &(prompt, output)) in burst.requests.iter().enumerate() {
                    for (fewer, more) in [((prompt / 2, output), prompt), ((prompt, output / 2), output)] {
                        if more > 1 {
                            self.less(all, |less| {
                                let Arrivals::Trace(bursts) = &mut less.classes[i].arrivals else { return };
                                bursts[k].requests[r] = fewer;
                            });
                        }
                    }
                }
            }
        }
    }

    fn less_requests(&self, all: &mut Vec<Self>) {
        for (i, class) in self.classes.iter().enumerate() {
            match &class.arrivals {
                Arrivals::Trace(bursts) => {
                    for k in (0..bursts.len()).filter(|_| bursts.len() > 1) {
                        self.less(all, |less| {
                            let Arrivals::Trace(bursts) = &mut less.classes[i].arrivals else { return };
                            let gone = bursts.remove(k);
                            // What comes later stays where it is.
                            if let Some(next) = bursts.get_mut(k) {
                                next.gap_ms += gone.gap_ms;
                            }
                        });
                    }
                    for (k, burst) in bursts.iter().enumerate() {
                        let mut without = |requests: std::ops::Range<usize>| {
                            self.less(all, |less| {
                                let Arrivals::Trace(bursts) = &mut less.classes[i].arrivals else { return };
                                bursts[k].requests.drain(requests);
                            });
                        };
                        let count = burst.requests.len();
                        if count > 3 {
                            without(0..count / 2);
                            without(count / 2..count);
                        }
                        (0..count).for_each(|request| without(request..request + 1));
                    }
                }
                Arrivals::Constant { per_s: many, .. }
                | Arrivals::Poisson { per_s: many, .. }
                | Arrivals::ClosedLoop { in_flight: many, .. } => {
                    for fewer in [many / 2, many * 7 / 8, many - 1] {
                        if fewer > 0 && fewer < *many {
                            self.less(all, |less| {
                                let (Arrivals::Constant { per_s: many, .. }
                                | Arrivals::Poisson { per_s: many, .. }
                                | Arrivals::ClosedLoop { in_flight: many, .. }) =
                                    &mut less.classes[i].arrivals
                                else {
                                    return;
                                };
                                *many = fewer;
                            });
                        }
                    }
                }
            }
        }
    }
}

/// Any fleet.
pub fn fleets() -> impl Strategy<Value = FleetCase> {
    let sites = prop_oneof![3 => vec(site(), 1), 1 => vec(site(), 2)];
    let speculating =
        prop_oneof![1 => Just(vec![None; 4]), 1 => vec(option::weighted(0.7, speculating()), 4)];
    let installed = option::weighted(0.3, (0_u32..=80, option::weighted(0.4, 81_u32..=110)));
    let answering = vec(option::weighted(0.5, answering()), 3);
    let last = (speculating, sharing(), installed, answering);
    (run(), vec(class(), 1..=3), sites, vec(capping(), 2), breakage(), last).prop_map(
        |(run, classes, sites, cappings, breakage, (speculating, sharing, installed, answering))| FleetCase {
            run,
            classes,
            sites,
            cappings,
            breakage,
            speculating,
            sharing,
            installed,
            answering,
        },
    )
}

fn speculating() -> impl Strategy<Value = Speculating> {
    (select(vec![1_u32, 2, 3, 5, 8]), any::<bool>(), 0_u32..=100, select(vec![0_u32, 10, 50, 95])).prop_map(
        |(draft_tok, head, acceptance_pct, spread_pct)| Speculating {
            draft_tok,
            head,
            acceptance_pct,
            spread_pct,
        },
    )
}

fn sharing() -> impl Strategy<Value = Sharing> {
    let prefixes = (length(60), 1_u32..=8, select(vec![100_u32, 0, 200]))
        .prop_map(|(tok, count, zipf_pct)| Prefixes { tok, count, zipf_pct });
    let by_class = prop_oneof![
        1 => vec(Just(None), 3),
        1 => vec(option::weighted(0.8, prefixes), 3),
    ];
    let router = option::weighted(0.3, select(vec![200_u32, 100, 1000]));
    (by_class, router, option::weighted(0.2, 0..2_usize)).prop_map(|(prefixes, router, uncached)| Sharing {
        prefixes,
        router,
        uncached,
    })
}

fn answering() -> impl Strategy<Value = Answering> {
    (
        option::weighted(0.5, 2_u32..=5),
        0..4_usize,
        0..4_usize,
        select(vec![1_u32, 2, 7, 30]),
        select(vec![95_u32, 60, 100, 0]),
        select(vec![25_u32, 0, 60, 100]),
    )
        .prop_map(|(best_of, first, verifier, verdict_tok, accepts_right_pct, accepts_wrong_pct)| {
            Answering { best_of, first, verifier, verdict_tok, accepts_right_pct, accepts_wrong_pct }
        })
}

fn breakage() -> impl Strategy<Value = Breakage> {
    (
        prop_oneof![1 => vec(failing(), 0), 1 => vec(failing(), 1..=4)],
        vec(option::weighted(0.5, supply()), 2),
        vec(prop::bool::weighted(0.3), 3),
        select(vec![100_u32, 0, 20, 1000]),
    )
        .prop_map(|(failures, supplies, loses, start_up_ms)| Breakage {
            failures,
            supplies,
            loses,
            start_up_ms,
        })
}

fn failing() -> impl Strategy<Value = Failing> {
    let what = prop_oneof![
        3 => (0..4_usize, 1_u32..4).prop_map(|(pool, count)| What::Nodes { pool, count }),
        3 => (0..2_usize, 0..8_usize).prop_map(|(site, number)| What::Device { site, number }),
        1 => (0..2_usize, 1_u32..4).prop_map(|(site, count)| What::Modules { site, count }),
        1 => (0..2_usize, 0..2_usize, any::<bool>(), select(vec![100_u32, 50, 30])).prop_map(
            |(site, zone, chillers, share_pct)| What::Plant { site, zone, chillers, share_pct }
        ),
    ];
    (what, 0_u32..2000, option::weighted(0.8, 1_u32..800), any::<bool>())
        .prop_map(|(what, at_ms, for_ms, random)| Failing { what, at_ms, for_ms, random })
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

fn capping() -> impl Strategy<Value = Capping> {
    let kinds = prop_oneof![
        4 => Just("uniform_clock"),
        2 => Just("priority"),
        2 => Just("phase_aware"),
        2 => Just("proportional"),
        1 => Just("none"),
        3 => Just("polca"),
    ];
    let priorities = vec(select(vec!["normal", "low", "high"]), 2);
    (kinds, select(vec![1_u32, 5, 30]), polca(), priorities).prop_map(
        |(kind, share_step_pct, polca, power_priorities)| Capping {
            kind,
            share_step_pct,
            polca,
            power_priorities,
        },
    )
}

fn polca() -> impl Strategy<Value = Polca> {
    (
        any::<bool>(),
        select(vec![80_u32, 60, 30]),
        1_u32..30,
        0_u32..30,
        select(vec![20_u32, 5, 100]),
        select(vec![5_u32, 1, 30]),
        select(vec![100_u32, 90, 120]),
    )
        .prop_map(
            |(own_device, t1_pct, gap_pct, hysteresis_pct, cap_delay_ms, brake_delay_ms, brake_at_pct)| {
                Polca {
                    own_device,
                    t1_pct,
                    gap_pct,
                    hysteresis_pct,
                    cap_delay_ms,
                    brake_delay_ms,
                    brake_at_pct,
                }
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

fn supply() -> impl Strategy<Value = Supply> {
    (
        any::<bool>(),
        option::of(select(vec![0_u32, 30, 400])),
        option::of((40_u32..130, select(vec![50_u32, 300, 3000]))),
        option::of(1_u32..500),
        option::of((select(vec![5_u32, 50, 500, 5000]), option::of(30_u32..110))),
    )
        .prop_map(|(second, generator_ms, breaker, reclose_ms, battery)| Supply {
            second,
            generator_ms,
            breaker,
            reclose_ms,
            battery,
        })
}

fn zone() -> impl Strategy<Value = Zone> {
    // GPUs throttle at 87 °C: in the warm ones by a watt or by all of them.
    let set_c = prop_oneof![1 => Just(25_u32), 3 => 40_u32..80];
    let buffer = (2_u32..400, 1_u32..15, any::<bool>(), 5_u32..=100).prop_map(
        |(ms_per_k, step_dk, edgy, hysteresis_pct)| Buffer { ms_per_k, step_dk, edgy, hysteresis_pct },
    );
    (set_c, 20_u32..130, 0..PLANTS, select(vec![0_u32, 40]), option::weighted(0.75, buffer)).prop_map(
        |(set_c, capacity_pct, plant, chiller_pct, buffer)| Zone {
            set_c,
            capacity_pct,
            plant,
            chiller_pct,
            buffer,
        },
    )
}
