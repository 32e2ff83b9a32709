//! The scenario that a random fleet stands for, with the files beside it.
//!
//! What depends on other fields is put in here: models that pools serve, limits in watts by what the fleet draws
//! without them, traces and weather.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::fleet_case::{
    Answering, Arrivals, Building, Burst, Capping, Class, Failing, FleetCase, Law, Length, Lengths,
    MOST_REPLICAS, Policy, Pool, Prefixes, Reasoning, Site, Speculating, Supply, What, Zone,
};

/// Local time of day at which the weather may turn: it changes with the hour only [h].
const TURN_AT_H: f64 = 12.0;
/// Watts by which a site without any is sized.
const LEAST_W: f64 = 100.0;
/// Warmest outdoor air that a scenario may have [°C].
const WARMEST_C: f64 = 60.0;

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
        let decides = |(number, class): (usize, &Class)| {
            class.problems.is_some() && class.model_of_pool.is_none() && self.answering(number).is_none()
        };
        self.run.by_difficulty && self.classes.iter().enumerate().any(decides)
    }

    /// How a class answers in several legs, if it does.
    fn answering(&self, number: usize) -> Option<&Answering> {
        self.answering[number].as_ref().filter(|_| self.classes[number].problems.is_some())
    }

    /// How a pool speculates, if it does. Steps with a draft are no multiple of anything.
    fn speculating(&self, site: usize, place: usize) -> Option<&Speculating> {
        self.speculating[2 * site + place].as_ref().filter(|_| !self.run.ticking)
    }

    /// Models of pools that speculate.
    fn drafts(&self) -> Vec<String> {
        let places = (0..self.sites.len())
            .flat_map(|site| (0..self.sites[site].pools.len()).map(move |place| (site, place)));
        places
            .filter_map(|(site, place)| {
                let Speculating { draft_tok, head, acceptance_pct, spread_pct } =
                    *self.speculating(site, place)?;
                let target = self.sites[site].pools[place].model;
                // The sparse one drafts for nobody.
                let draft = match target {
                    _ if head => "head: { layers: 1 }".into(),
                    "Qwen3-8B" => "head: { layers: 2 }".into(),
                    own => format!("model: {own}"),
                };
                let acceptance = f64::from(acceptance_pct) / 1e2;
                let sd = f64::from(spread_pct) / 1e2 * (acceptance * (1.0 - acceptance)).sqrt();
                Some(format!(
                    "  - name: draft{site}{place}\n    catalog: {target}\n    speculation: {{ draft_tok: {draft_tok}, \
                     draft: {{ {draft} }}, acceptance: {acceptance}, acceptance_sd: {sd} }}\n"
                ))
            })
            .collect()
    }

    /// Models by pool.
    fn models(&self) -> Vec<String> {
        let of_site = |(s, site): (usize, &Site)| -> Vec<String> {
            let pools = site.pools.iter().enumerate();
            pools.map(|(place, pool)| self.model(s, place, pool)).collect()
        };
        self.sites.iter().enumerate().flat_map(of_site).collect()
    }

    fn model(&self, site: usize, place: usize, pool: &Pool) -> String {
        match self.speculating(site, place) {
            Some(_) => format!("draft{site}{place}"),
            None => pool.model.into(),
        }
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
        let drafts = self.drafts();
        if !drafts.is_empty() {
            let _ = writeln!(text, "models:\n{}", drafts.concat());
        }
        text.push_str("fleet:\n  sites:\n");
        for (number, site) in self.sites.iter().enumerate() {
            self.site(&mut text, number, site, peaks.map(|peaks| peaks[number]), start_at_h);
        }
        // A run that only finds out the watts has no building to break.
        let failures: Vec<String> = match peaks {
            Some(_) => self.breakage.failures.iter().filter_map(|f| self.failure(f, start_at_h)).collect(),
            None => Vec::new(),
        };
        if !failures.is_empty() {
            let _ = writeln!(text, "failures:\n{}", failures.join("\n"));
        }
        text
    }

    fn failure(&self, failing: &Failing, start_at_h: f64) -> Option<String> {
        let of = match &failing.what {
            What::Nodes { pool, count } => {
                let pools: Vec<String> = (0..self.sites.len())
                    .flat_map(|site| {
                        (0..self.sites[site].pools.len()).map(move |pool| format!("s{site}.p{pool}"))
                    })
                    .collect();
                let place = pool % pools.len();
                let most = MOST_REPLICAS / self.pools().count() as u32;
                let nodes = self.pools().nth(place)?.nodes(most);
                format!("{{ nodes: {{ pool: {}, count: {} }} }}", pools[place], count.min(&nodes))
            }
            What::Device { site, number } => {
                let site_number = site % self.sites.len();
                let site = &self.sites[site_number];
                let supply = self.breakage.supplies[site_number].as_ref();
                let devices = site.building.as_ref()?.devices(site.pools.len(), supply);
                format!("{{ device: s{site_number}.{} }}", devices[number % devices.len()])
            }
            What::Modules { site, count } => {
                let site = site % self.sites.len();
                self.sites[site].building.as_ref()?.ups_pct?;
                format!("{{ ups_modules: {{ device: s{site}.ups, count: {count} }} }}")
            }
            What::Plant { site, zone, chillers, share_pct } => {
                let site = site % self.sites.len();
                let zones = self.sites[site].building.as_ref()?.zones.len();
                let word = if *chillers { "chillers" } else { "cooling" };
                let zone = zone % zones.max(1);
                (zones > 0).then(|| {
                    format!(
                        "{{ {word}: {{ zone: s{site}.z{zone}, share: {} }} }}",
                        f64::from(*share_pct) / 1e2
                    )
                })?
            }
        };
        let hours = |ms: u32| f64::from(ms) / 3.6e6;
        let when = match (failing.random, failing.for_ms) {
            (true, for_ms) => format!(
                "{{ random: {{ mtbf_h: {}, mttr_h: {} }} }}",
                hours(failing.at_ms + 20),
                hours(for_ms.unwrap_or(100))
            ),
            (false, None) => format!("{{ at: [{{ at_h: {} }}] }}", start_at_h + hours(failing.at_ms)),
            (false, Some(ms)) => {
                format!("{{ at: [{{ at_h: {}, for_h: {} }}] }}", start_at_h + hours(failing.at_ms), hours(ms))
            }
        };
        Some(format!("  - {{ of: {of}, when: {when} }}"))
    }

    fn routing(&self) -> String {
        let share = |(class, prefixes): (&Class, &Option<Prefixes>)| {
            prefixes.is_some() && !matches!(class.arrivals, Arrivals::Trace(_))
        };
        let router = match self.sharing.router {
            Some(pct) if self.classes.iter().zip(&self.sharing.prefixes).any(share) => {
                format!("{{ prefix_aware: {{ overload: {} }} }}", f64::from(pct) / 1e2)
            }
            _ => self.run.router.into(),
        };
        if !self.by_difficulty() {
            return router;
        }
        let models = self.models();
        let (easy, hard) = (&models[0], &models[models.len() - 1]);
        format!("{{ difficulty_aware: {{ easy: {easy}, hard: {hard}, within: {router} }} }}")
    }

    fn class(&self, text: &mut String, number: usize, class: &Class) {
        let _ = writeln!(text, "    - name: c{number}\n      priority: {}", class.priority);
        let models = self.models();
        let models: Vec<&str> = models.iter().map(String::as_str).collect();
        let mut model = class.model_of_pool.map(|pool| models[pool % models.len()]);
        if class.problems.is_some() && !self.by_difficulty() && models.iter().any(|m| *m != models[0]) {
            // How long a request thinks must not hang on where it lands.
            model = model.or(Some(models[0]));
        }
        if let Some(answering) = self.answering(number) {
            let (found, own) = answering.yaml(&models, model);
            model = own;
            let _ = writeln!(text, "      answering: {found}");
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
            if let Some(Prefixes { tok, count, zipf_pct }) = &self.sharing.prefixes[number] {
                let (tok, zipf) = (tok.yaml(), f64::from(*zipf_pct) / 1e2);
                let _ = writeln!(text, "      prefixes: {{ tok: {tok}, count: {count}, zipf: {zipf} }}");
            }
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
        if self.breakage.loses[number] {
            text.push_str("      on_failure: lose\n");
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
        let capping = &self.cappings[number];
        let device = building.map(|(building, _)| building.feed(0));
        let limited = device.is_some() || (site.cap.is_some() && peak.is_some());
        let _ = writeln!(text, "        policy: {}", site.policy.yaml(capping, limited, device));
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
            let turns = self.run.weather_turns_ms.is_some();
            let supply = self.breakage.supplies[number].as_ref();
            building.yaml(text, number, site.pools.len(), peak, turns, supply);
        }
        text.push_str("      pools:\n");
        let most = MOST_REPLICAS / self.pools().count() as u32;
        for (place, pool) in site.pools.iter().enumerate() {
            let priority = capping.power_priorities[place];
            let mut pool = pool.clone();
            if let Some(Speculating { draft_tok, .. }) = self.speculating(number, place) {
                if let Law::Affine { .. } = pool.law {
                    pool.law = Law::Roofline { gpu_cap_w: None };
                }
                pool.max_step_tok = pool.max_step_tok.max(pool.max_seqs * (draft_tok + 1));
            }
            let model = self.model(number, place, &pool);
            let caches = self.sharing.uncached != Some(place);
            pool.yaml(
                text,
                place,
                most,
                self.run.ticking,
                priority,
                self.breakage.start_up_ms,
                (&model, caches),
            );
            if let Some((from_pct, until_pct)) =
                self.installed.filter(|_| number == 0 && place + 1 == site.pools.len())
            {
                let hour = |pct: u32| start_at_h + f64::from(self.run.duration_ms * pct) * 1e-5 / 3600.0;
                let _ = writeln!(text, "          installed_h: {}", hour(from_pct));
                if let Some(pct) = until_pct {
                    let _ = writeln!(text, "          removed_h: {}", hour(pct));
                }
            }
            if let Some((building, _)) = building {
                let _ = writeln!(text, "          feed: {}", building.feed(place));
                if !building.zones.is_empty() {
                    let _ = writeln!(text, "          zone: z{}", place % building.zones.len());
                }
            }
        }
    }
}

impl Policy {
    /// `limited`: the meter has a limit; `device`: one that could be watched instead.
    fn yaml(&self, capping: &Capping, limited: bool, device: Option<String>) -> String {
        let share = |pct: u32| f64::from(pct) / 1e2;
        let seconds = |ms: u32| f64::from(ms) / 1e3;
        // What the meter without a limit has no thresholds for, the same without any.
        let kind = if capping.kind == "polca" && !limited { "none" } else { capping.kind };
        let step_pct = match kind {
            "priority" | "phase_aware" => self.clock_step_pct.max(1),
            _ => self.clock_step_pct,
        };
        let mut fields = format!(
            "clock_step: {}, dwell_s: {}, release_below: {}",
            share(step_pct),
            seconds(self.dwell_ms),
            share(self.release_below_pct)
        );
        match kind {
            "proportional" => {
                let _ = write!(fields, ", share_step: {}", share(capping.share_step_pct));
            }
            "polca" => {
                let polca = &capping.polca;
                if let (true, Some(device)) = (polca.own_device, device) {
                    let _ = write!(fields, ", device: {device}");
                }
                let _ = write!(
                    fields,
                    ", t1: {}, t2: {}, hysteresis: {}, cap_delay_s: {}, brake_delay_s: {}, brake_at: {}",
                    share(polca.t1_pct),
                    share((polca.t1_pct + polca.gap_pct).min(polca.brake_at_pct)),
                    share(polca.hysteresis_pct.min(polca.t1_pct - 1)),
                    seconds(polca.cap_delay_ms),
                    seconds(polca.brake_delay_ms),
                    share(polca.brake_at_pct)
                );
            }
            _ => {}
        }
        format!("{{ {kind}: {{ {fields} }} }}")
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

impl Answering {
    /// As a field, and the model that its class names; `models` by pool.
    fn yaml<'a>(&self, models: &[&'a str], own: Option<&'a str>) -> (String, Option<&'a str>) {
        let from = |place: usize| models.iter().cycle().skip(place % models.len()).take(models.len());
        let mut tried: Vec<&str> = Vec::new();
        for model in from(self.first) {
            if !tried.contains(model) {
                tried.push(model);
            }
        }
        let verify = format!(
            "verify: {{ model: {}, output_tok: {}, accepts_right: {}, accepts_wrong: {} }}",
            models[self.verifier % models.len()],
            self.verdict_tok,
            f64::from(self.accepts_right_pct) / 1e2,
            f64::from(self.accepts_wrong_pct) / 1e2
        );
        match self.best_of {
            None if tried.len() > 1 => {
                (format!("{{ cascade: {{ models: [{}], {verify} }} }}", tried.join(", ")), None)
            }
            best_of => {
                let n = best_of.unwrap_or(2);
                (format!("{{ best_of: {{ n: {n}, {verify} }} }}"), own.or(from(self.first).next().copied()))
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
    fn nodes(&self, most: u32) -> u32 {
        (self.replicas.min(most) / (8 / self.tensor)).max(1)
    }

    #[allow(clippy::too_many_arguments, reason = "what of the case is no field of the pool")]
    fn yaml(
        &self,
        text: &mut String,
        place: usize,
        most: u32,
        ticking: bool,
        power_priority: &str,
        start_up_ms: u32,
        (model, caches): (&str, bool),
    ) {
        let nodes = self.nodes(most);
        let max_step_tok = self.max_step_tok.max(self.max_seqs);
        let kv_blocks = self.kv_tok.div_ceil(self.kv_block_tok).max(2);
        let queue = self.max_queue.map_or(String::new(), |most| format!(", max_queue: {most}"));
        let cache = if caches { "" } else { ", prefix_cache: false" };
        let _ = writeln!(
            text,
            "        - name: p{place}\n          model: {}\n          gpu: H100-SXM-80GB\n          nodes: {nodes}\n          \
             power_priority: {}\n          parallel: {{ tensor: {} }}\n          batching: {{ max_seqs: {}, max_step_tok: {max_step_tok}, kv_block_tok: {}, \
             kv_blocks: {kv_blocks}{queue}{cache} }}",
            model, power_priority, self.tensor, self.max_seqs, self.kv_block_tok
        );
        let _ = writeln!(text, "          start_up_s: {}", f64::from(start_up_ms) / 1e3);
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

    /// Names of its power devices.
    fn devices(&self, pools: usize, supply: Option<&Supply>) -> Vec<String> {
        let mut names = vec!["meter".to_string(), "trafo".into(), "plant".into()];
        names.extend(supply.filter(|supply| supply.second).map(|_| "trafo2".into()));
        names.extend(supply.and_then(|supply| supply.generator_ms).map(|_| "gen".into()));
        names.extend(self.ups_pct.map(|_| "ups".into()));
        names.extend((0..pools).filter(|_| self.pdu_pct.is_some()).map(|pool| format!("pdu{pool}")));
        names
    }

    fn feed(&self, pool: usize) -> String {
        match (self.pdu_pct, self.ups_pct) {
            (Some(_), _) => format!("pdu{pool}"),
            (None, Some(_)) => "ups".into(),
            (None, None) => "trafo".into(),
        }
    }

    fn yaml(
        &self,
        text: &mut String,
        site: usize,
        pools: usize,
        peak: Peak,
        turns: bool,
        supply: Option<&Supply>,
    ) {
        let hall = if self.losses_in_zone && !self.zones.is_empty() { ", zone: z0" } else { "" };
        text.push_str("        tree:\n");
        let mut device = |name: &str, place: &str, kind: &str, pct: u32, more: &str, own: &str| {
            let rated = format!("rated_mw: {}{more}", mw(peak.it_w, pct));
            let _ = writeln!(
                text,
                "          - {{ name: {name}{place}, device: {{ {kind}: {{ {rated} }} }}{own} }}"
            );
        };
        let generator = supply.and_then(|supply| supply.generator_ms);
        let second = supply.is_some_and(|supply| supply.second);
        device("meter", "", "utility", self.utility_pct, "", "");
        if let Some(ms) = generator {
            device("gen", "", "generator", 150, &format!(", start_s: {}", f64::from(ms) / 1e3), "");
        }
        let backups = if generator.is_some() { ", backups: [gen]" } else { "" };
        let breaker = supply.and_then(|supply| {
            let (pct, ms) = supply.breaker?;
            let reclose = supply.reclose_ms.map(|ms| format!(", reclose_s: {}", f64::from(ms) / 1e3));
            Some(format!(
                ", breaker: {{ rated_mw: {}, time_constant_s: {}{} }}",
                mw(peak.it_w, pct),
                f64::from(ms) / 1e3,
                reclose.unwrap_or_default()
            ))
        });
        let battery = supply.and_then(|supply| {
            let (ms, shave) = supply.battery?;
            let mwh = mw(peak.it_w, 100) * f64::from(ms) / 3.6e6;
            let shave = shave.map(|pct| format!(", shave_above_mw: {}", mw(peak.it_w, pct)));
            Some(format!(", battery: {{ energy_mwh: {mwh}{} }}", shave.unwrap_or_default()))
        });
        let battery = battery.unwrap_or_default();
        device(
            "trafo",
            &format!(", parent: meter{backups}"),
            "transformer",
            250,
            "",
            &breaker.unwrap_or_default(),
        );
        if second {
            device("trafo2", ", parent: meter", "transformer", 250, "", "");
        }
        let backups = if second { ", backups: [trafo2]" } else { "" };
        device("plant", &format!(", parent: trafo{backups}"), "mechanical_bus", 250, "", "");
        if let Some(pct) = self.ups_pct {
            let place = format!(", parent: trafo{backups}{hall}");
            device("ups", &place, "ups", pct, ", modules: 2, redundant: 1", &battery);
        }
        if let Some(pct) = self.pdu_pct {
            let (parent, battery) = match self.ups_pct {
                Some(_) => ("ups", ""),
                None => ("trafo", battery.as_str()),
            };
            for pool in 0..pools {
                let place = format!(", parent: {parent}{hall}");
                device(&format!("pdu{pool}"), &place, "pdu", pct, "", battery);
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
        let tower = |more: &str| {
            format!(
                "tower_with_chiller: {{ {sizes}, chiller_share: {}, design_wet_bulb_c: {design_c}, \
                 free_cooling_below_wet_bulb_c: {}, approach_k: 4, chilled_water_c: {}, chiller_derate_per_k: 0.012, \
                 carnot_share: 0.55, cycles_of_concentration: 5{more} }}",
                f64::from(self.chiller_pct) / 1e2,
                design_c - 5.0,
                set_c - 3.0
            )
        };
        let pads = format!("adiabatic: {{ above_dry_bulb_c: {} }}", design_c - 2.0);
        let warm = format!("warm_water: {{ capacity_mw: {capacity}, cdu_approach_k: 5");
        let plant = match self.plant {
            0 => tower(""),
            1 => tower(", return_rise_k: 6, pumps: constant"),
            2 => format!(
                "air_cooled_chiller: {{ {sizes}, design_dry_bulb_c: {design_c}, free_cooling_below_dry_bulb_c: {}, \
                 chilled_water_c: {} }}",
                design_c - 10.0,
                set_c - 3.0
            ),
            3 => format!("dry_cooler: {{ {sizes}, design_dry_bulb_c: {design_c} }}"),
            4 => format!("{warm}, rejector: {{ dry_cooler: {{ approach_k: 10, {pads} }} }} }}"),
            _ => format!("{warm}, rejector: {{ tower: {{ approach_k: 10 }} }} }}"),
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
                    set_c + if buffer.edgy { 2.05 } else { 4.0 } * step_k,
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
