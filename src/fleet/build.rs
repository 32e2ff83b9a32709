//! From scenario and catalog to fleet: laws in integers, KV blocks from memory, caps in watts.

use super::facility::{self, Facility};
use super::signals::{self, Grid};
use super::{Fleet, FleetGraph, GpuThermal, Pool, Site, speculation};
use std::borrow::Cow;
use std::path::Path;

use crate::catalog::{self, Catalog, Gpu, Node, Quality};
use crate::physics::clock::{Clock, ClockLaw};
use crate::physics::draw::{Draw, PowerLaw, PowerSource};
use crate::physics::fs_from_s;
use crate::physics::roofline::RooflineParams;
use crate::physics::speculation::Speculation;
use crate::physics::step::{LONGEST_STEP_S, StepLaw};
use crate::scenario::types::{self, Energy, Length, Policy, Precision, Scenario};
use crate::scenario::{Problem, quality};
use crate::workload::MOST_TOK;

impl Fleet {
    /// Build the fleet of a scenario whose input paths are relative to `base_dir`.
    ///
    /// # Errors
    /// Everything that cannot be built, by the path of the field.
    pub fn build(scenario: &Scenario, catalog: &Catalog, base_dir: &Path) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut fleet = Self {
            sites: Vec::new(),
            pools: Vec::new(),
            pool_of: Vec::new(),
            graph: FleetGraph::default(),
            pools_of_class: Vec::new(),
            pools_by_flag: Vec::new(),
            pools_of_leg: Vec::new(),
        };
        for (s, site) in scenario.fleet.sites.iter().enumerate() {
            let path = format!("fleet.sites.{s}");
            let facility = match Facility::build(site, &path, base_dir, scenario.start_at_h) {
                Ok(facility) => facility,
                Err(more) => {
                    problems.extend(more);
                    None
                }
            };
            let grid = Grid::build(&site.grid, &path, base_dir, scenario.start_at_h).unwrap_or_else(|more| {
                problems.extend(more);
                Grid::default()
            });
            let cap = signals::cap_levels(scenario, site, &path, base_dir).unwrap_or_else(|problem| {
                problems.push(problem);
                Vec::new()
            });
            match &facility {
                Some(facility) => fleet.graph.add_tree(&facility.names, &facility.parents(), facility.root),
                None => fleet.graph.add_meter(format!("{}.meter", site.name)),
            }
            let (first_pool, first_replica) = (fleet.pools.len(), fleet.pool_of.len());
            for (p, pool) in site.pools.iter().enumerate() {
                let path = format!("fleet.sites.{s}.pools.{p}");
                let first = fleet.pool_of.len();
                match build_pool(scenario, catalog, site, pool, s, first, &path) {
                    Ok(built) => {
                        let name = format!("{}.{}", site.name, pool.name);
                        fleet.graph.add_pool(name, built.replicas.len(), built.feed);
                        fleet.pool_of.extend(built.replicas.clone().map(|_| fleet.pools.len() as u16));
                        fleet.pools.push(built);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
            let pools = first_pool..fleet.pools.len();
            fleet.sites.push(Site {
                name: site.name.clone(),
                pue: site.static_pue.unwrap_or(1.0),
                gpus: fleet.pools[pools.clone()]
                    .iter()
                    .map(|pool| pool.replicas.len() as u64 * u64::from(pool.gpus_per_replica))
                    .sum(),
                pools,
                replicas: first_replica..fleet.pool_of.len(),
                cap,
                watched: facility.as_ref().and_then(|facility| watched(site, facility)),
                policy: site.power.policy.clone(),
                grid,
                facility,
            });
        }
        let serving = |model: Option<&str>| -> Vec<u16> {
            let open = |pool: &Pool| model.is_none_or(|model| model == pool.model);
            (0..fleet.pools.len()).filter(|&p| open(&fleet.pools[p])).map(|p| p as u16).collect()
        };
        let classes = &scenario.workload.classes;
        let pools_of_leg: Vec<Vec<Vec<u16>>> = classes
            .iter()
            .map(|class| {
                let own = class.model.as_deref();
                let models = class.answering.as_ref().map_or(Vec::new(), |answering| answering.models(own));
                models.into_iter().map(serving).collect()
            })
            .collect();
        let pools_by_flag: Vec<[Vec<u16>; 2]> = classes
            .iter()
            .zip(&pools_of_leg)
            .map(|(class, of_leg)| {
                if let Some(first) = of_leg.first() {
                    return [first.clone(), first.clone()];
                }
                let routed = quality::routed_models(scenario, class);
                routed.map_or([class.model.as_deref(); 2], |routed| routed.map(Some)).map(serving)
            })
            .collect();
        fleet.pools_of_class = pools_by_flag
            .iter()
            .zip(&pools_of_leg)
            .map(|([others, hard], of_leg)| {
                let mut all = [others.as_slice(), hard.as_slice(), of_leg.concat().as_slice()].concat();
                all.sort_unstable();
                all.dedup();
                all
            })
            .collect();
        (fleet.pools_by_flag, fleet.pools_of_leg) = (pools_by_flag, pools_of_leg);
        for (c, pools) in fleet.pools_by_flag.iter().enumerate() {
            let legs = &fleet.pools_of_leg[c];
            if pools.iter().chain(legs).any(Vec::is_empty) && problems.is_empty() {
                problems.push(Problem {
                    path: format!("workload.classes.{c}.model"),
                    message: "no pool serves this class; name a pool's model or leave it out".into(),
                });
            }
        }
        if problems.is_empty() { Ok(fleet) } else { Err(problems) }
    }
}

impl Pool {
    /// The clock that a limit on each GPU allows for a draw, on the pool's grid.
    #[inline]
    pub fn local_clock(&self, draw: &Draw) -> Clock {
        if self.power.gpu_cap_w.is_none() {
            return Clock::FULL;
        }
        let share = self.power.local_share(draw);
        if share >= 1.0 {
            return Clock::FULL;
        }
        Clock::on_grid(share, &self.power.clock, &self.clocks)
    }
}

/// The device whose draw the capping policy follows: the one it names, or the meter.
fn watched(site: &types::Site, facility: &Facility) -> Option<usize> {
    let Policy::Polca(polca) = &site.power.policy else { return None };
    match &polca.device {
        Some(name) => site.power.tree.iter().position(|device| device.name == *name),
        None => Some(facility.root),
    }
}

/// A model name of the scenario resolved to the catalog's entry, with the attention asked for, and its formats.
pub(crate) fn model_of<'a>(
    scenario: &Scenario,
    catalog: &'a Catalog,
    name: &str,
) -> Option<(Cow<'a, catalog::Model>, Option<Precision>, Precision)> {
    match scenario.models.iter().find(|model| model.name == name) {
        Some(model) => {
            let served = model.attention.of(catalog.model(&model.catalog)?, catalog).ok()?;
            Some((served, model.weights, model.kv_cache))
        }
        None => Some((Cow::Borrowed(catalog.model(name)?), None, Precision::Bf16)),
    }
}

/// What fits a GPU's memory: weights, and KV blocks beside them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryPlan {
    /// Memory the serving engine may use, per GPU [GB].
    pub usable_gb: f64,
    /// Weights per GPU [GB].
    pub weights_gb: f64,
    /// Sliding windows of `max_seqs` sequences per GPU [GB].
    pub windows_gb: f64,
    /// KV blocks per replica; 0 if weights and windows do not fit, `UNLIMITED_KV_BLOCKS` if no layer keeps the whole context.
    pub kv_blocks: u64,
}

/// KV blocks of a model whose layers all slide: what a sequence keeps does not grow with its context.
pub const UNLIMITED_KV_BLOCKS: u64 = u64::MAX;

/// A draft takes memory beside its target.
pub(crate) fn add_memory(target: &mut RooflineParams, draft: &RooflineParams) {
    target.weight_bytes_per_gpu += draft.weight_bytes_per_gpu;
    target.kv_bytes_per_tok_per_gpu += draft.kv_bytes_per_tok_per_gpu;
    target.kv_window_bytes_per_seq_per_gpu += draft.kv_window_bytes_per_seq_per_gpu;
}

/// How a replica's memory is used.
pub fn memory_plan(gpu: &Gpu, params: &RooflineParams, batching: &types::Batching) -> MemoryPlan {
    let usable = gpu.hbm_gb.value * 1e9 * batching.hbm_fraction;
    let windows = params.kv_window_bytes_per_seq_per_gpu * f64::from(batching.max_seqs);
    let free = usable - params.weight_bytes_per_gpu - windows;
    // Nothing but the windows is kept where this is 0.
    let block_bytes = params.kv_bytes_per_tok_per_gpu * f64::from(batching.kv_block_tok);
    MemoryPlan {
        usable_gb: usable * 1e-9,
        weights_gb: params.weight_bytes_per_gpu * 1e-9,
        windows_gb: windows * 1e-9,
        kv_blocks: match (free > 0.0, block_bytes > 0.0) {
            (false, _) => 0,
            (true, false) => UNLIMITED_KV_BLOCKS,
            (true, true) => (free / block_bytes) as u64,
        },
    }
}

#[allow(
    clippy::too_many_arguments,
    reason = "the pool, where it stands, and where its problems are reported"
)]
fn build_pool(
    scenario: &Scenario,
    catalog: &Catalog,
    site: &types::Site,
    pool: &types::Pool,
    site_number: usize,
    first_replica: usize,
    path: &str,
) -> Result<Pool, Problem> {
    let problem = |field: &str, message: String| Problem { path: format!("{path}.{field}"), message };
    let gpu = catalog.gpu(&pool.gpu).ok_or_else(|| problem("gpu", format!("unknown GPU '{}'", pool.gpu)))?;
    let (model, weights, kv) = model_of(scenario, catalog, &pool.model)
        .ok_or_else(|| problem("model", format!("unknown model '{}'", pool.model)))?;
    let node_name = pool.node.as_deref().unwrap_or(&gpu.node);
    let node =
        catalog.node(node_name).ok_or_else(|| problem("node", format!("unknown node '{node_name}'")))?;
    let engine = catalog
        .engine(&pool.engine)
        .ok_or_else(|| problem("engine", format!("unknown serving engine '{}'", pool.engine)))?;
    let split = catalog::Split::from(&pool.parallel);
    let gpus = split.gpus();
    let per_node = node.gpus.value;
    let nodes_each = gpus / per_node.max(1);
    if gpus > per_node && !pool.nodes.is_multiple_of(nodes_each) {
        return Err(problem(
            "nodes",
            format!(
                "is {}; a replica of {gpus} GPUs takes {nodes_each} nodes: use a multiple of {nodes_each}",
                pool.nodes
            ),
        ));
    }
    if gpus == 0 || gpus <= per_node && !per_node.is_multiple_of(gpus) {
        let field = if split.attention_data > 1 { "parallel" } else { "parallel.tensor" };
        return Err(problem(
            field,
            format!("{gpus} does not divide the {per_node} GPUs of a node; use a divisor"),
        ));
    }
    let mut params =
        catalog::replica_in(Some(node), gpu, &model, split, weights, kv, engine).map_err(|message| {
            let field = if split.expert > 1 { "parallel.expert" } else { "parallel.tensor" };
            problem(field, message)
        })?;
    params.two_batch_overlap = pool.parallel.two_batch_overlap;
    if params.two_batch_overlap && model.moe.is_none() {
        let message =
            format!("hides all-to-alls, and {} has no experts to send tokens to; leave it out", model.name);
        return Err(problem("parallel.two_batch_overlap", message));
    }
    let host = speculation::Host { node: Some(node), gpu, split, engine };
    let speculating = speculation::draft_of(scenario, catalog, &pool.model, &model, &host)?;
    let (draft, speculation) = speculating.unzip();
    if let Some(draft) = &draft {
        add_memory(&mut params, draft);
    }
    let memory = memory_plan(gpu, &params, &pool.batching);
    let kv_blocks = pool.batching.kv_blocks.unwrap_or(memory.kv_blocks);
    // An own step law with its own KV blocks asks nothing of the GPU's memory.
    let own_memory = pool.batching.kv_blocks.is_some() && pool.step_law != types::StepLaw::Roofline;
    if memory.kv_blocks == 0 && !own_memory && memory.windows_gb > 0.0 && memory.weights_gb < memory.usable_gb
    {
        return Err(problem("batching.max_seqs", windows_too_large(gpu, &pool.batching, &memory)));
    }
    if memory.kv_blocks == 0 && !own_memory {
        let drafted = draft.is_some();
        return Err(problem("parallel.tensor", too_large(gpu, &model, drafted, gpus, per_node, &memory)));
    }
    if kv_blocks > memory.kv_blocks && !own_memory {
        return Err(problem(
            "batching.kv_blocks",
            format!("{kv_blocks} blocks do not fit beside the weights; at most {}", memory.kv_blocks),
        ));
    }
    if let Some(cap_w) = pool.gpu_cap_w {
        let law = catalog::gpu_power(gpu, node);
        let lowest_w = law.at_clock_w(law.tdp_w, node.min_clock(gpu));
        if cap_w < lowest_w {
            return Err(problem(
                "gpu_cap_w",
                format!(
                    "{cap_w} W cannot be kept: {} draws up to {lowest_w:.0} W at its lowest clock; use at least that",
                    gpu.name
                ),
            ));
        }
    }
    let clock = ClockLaw {
        exponent: node.clock_exponent(gpu),
        min_share: node.min_clock(gpu),
        memory_knee: node.memory_clock_knee(gpu),
    };
    let max_step_tok = pool.batching.max_step_tok;
    let (step, source) = match &pool.step_law {
        types::StepLaw::Roofline => {
            let source = PowerSource::Activity {
                gpu: catalog::gpu_power(gpu, node),
                hbm_byte_s: gpu.hbm_tb_s.value * 1e12,
            };
            let mut step = StepLaw::roofline(&params, max_step_tok);
            step.speculation = draft.as_ref().zip(speculation.as_ref()).map(|(draft, speculation)| {
                let mut draft = StepLaw::roofline(draft, max_step_tok);
                if draft.window_tok.is_some() {
                    // One window is followed: that of the target, which a draft shares but for rounding.
                    (draft.window_tok, draft.prompt_window_tok) = (step.window_tok, step.prompt_window_tok);
                }
                Box::new(Speculation { draft_tok: speculation.draft_tok, draft })
            });
            (step, source)
        }
        types::StepLaw::Affine(law) => {
            if pool.gpu_cap_w.is_some() {
                return Err(problem(
                    "gpu_cap_w",
                    "an own step law does not know its GPU watts; use `roofline`, or set the site's power.cap_mw"
                        .into(),
                ));
            }
            let us = 1e-6;
            let step = StepLaw::affine(
                law.base_us * us,
                law.prefill_us * us,
                law.per_prompt_tok_us * us,
                law.per_seq_us * us,
                law.per_kv_tok_us * us,
                max_step_tok,
            );
            let source = match &law.energy {
                Energy::PerToken(energy) => PowerSource::PerToken { it_j_per_tok: energy.it_j_per_tok },
                Energy::PerState(energy) => PowerSource::PerState {
                    idle_w: energy.idle_w,
                    base_w: energy.base_w,
                    per_seq_w: energy.per_seq_w,
                },
            };
            (step, source)
        }
    };
    // Prompts and outputs have at most so many tokens, and the cache has room for so many.
    let kv_tok = (kv_blocks as f64 * f64::from(pool.batching.kv_block_tok))
        .min(f64::from(pool.batching.max_seqs) * 2.0 * f64::from(MOST_TOK));
    // What sequences share takes room once, but each of them reads it.
    let longest_prefix_tok = longest_prefix_tok(scenario, pool);
    let shared_tok = kv_tok.min(f64::from(longest_prefix_tok.unwrap_or(0)));
    let kv_tok = kv_tok + f64::from(pool.batching.max_seqs) * shared_tok;
    let longest_s = step.longest_s(pool.batching.max_seqs, kv_tok, &Clock::at(clock.min_share, &clock));
    if longest_s > LONGEST_STEP_S {
        return Err(problem(
            "step_law",
            format!(
                "a step could take {longest_s:.0} s; at most {LONGEST_STEP_S} s can be simulated: use a faster law, or lower batching.max_step_tok, max_seqs or kv_blocks"
            ),
        ));
    }
    let power = PowerLaw {
        source,
        gpus,
        node_overhead_w: node.overhead_w.value * f64::from(gpus) / f64::from(per_node),
        node_factor: node.gpu_factor.value,
        clock,
        gpu_cap_w: pool.gpu_cap_w,
    };
    let feed = pool.feed.as_deref();
    let feed = feed.map(|name| facility::device_named(site, name, &format!("{path}.feed"))).transpose()?;
    let zone = pool.zone.as_deref();
    let zone = zone.map(|name| facility::zone_named(site, name, &format!("{path}.zone"))).transpose()?;
    let thermal = match zone {
        None => None,
        Some(_) => Some(gpu_thermal(gpu, node).map_err(|message| problem("zone", message))?),
    };
    let tok_per_seq = speculation.as_ref().map_or(1, |speculation| speculation.draft_tok + 1);
    let cooled = thermal.is_some();
    let mut sources = sources(gpu, &model, node, engine, &pool.step_law, cooled, gpus > per_node);
    if speculation.is_some() {
        let why = "the scenario's own acceptance of a draft's tokens".into();
        sources.push((format!("draft of {}", pool.model), Quality::Guess.word().into(), why));
    }
    let replicas = (u64::from(pool.nodes) * u64::from(per_node) / u64::from(gpus)) as usize;
    Ok(Pool {
        name: pool.name.clone(),
        site: site_number,
        model: pool.model.clone(),
        gpu: pool.gpu.clone(),
        replicas: first_replica..first_replica + replicas,
        gpus_per_replica: gpus,
        tok_per_seq,
        step,
        speculation,
        power,
        clocks: clock_grid(&clock, site.power.policy.steps().clock_step),
        // A checked scenario has no more; one with an additional slot, to find out its worth, may.
        max_seqs: match tok_per_seq {
            1 => pool.batching.max_seqs,
            each => pool.batching.max_seqs.min(max_step_tok / each),
        },
        max_step_tok,
        block_tok: pool.batching.kv_block_tok,
        kv_blocks,
        prefix_cache: longest_prefix_tok.is_some(),
        max_queue: pool.batching.max_queue.unwrap_or(u64::MAX),
        sources,
        power_priority: pool.power_priority,
        feed,
        zone,
        thermal,
        nodes: pool.nodes as usize,
        gpus_per_node: per_node,
        start_up_fs: fs_from_s(pool.start_up_s),
        installed_fs: installed(pool, scenario.start_at_h),
    })
}

/// From when to when the nodes of a pool are there [fs].
fn installed(pool: &types::Pool, start_at_h: f64) -> std::ops::Range<i128> {
    let at_fs = |hours: f64| fs_from_s((hours - start_at_h) * 3600.0).max(0);
    pool.installed_h.map_or(0, at_fs)..pool.removed_h.map_or(i128::MAX, at_fs)
}

/// Most tokens of a prefix that the cache of a pool may hold; `None` if it has no cache, or nothing for it.
fn longest_prefix_tok(scenario: &Scenario, pool: &types::Pool) -> Option<u32> {
    let may_come = |class: &&types::Class| {
        let own = class.model.as_deref();
        let models = match (&class.answering, quality::routed_models(scenario, class)) {
            (Some(answering), _) => answering.models(own),
            (None, Some(routed)) => routed.map(Some).to_vec(),
            (None, None) => vec![own],
        };
        models.into_iter().any(|model| model.is_none_or(|model| model == pool.model))
    };
    let prefixes =
        scenario.workload.classes.iter().filter(may_come).filter_map(|class| class.prefixes.as_ref());
    let longest = |tok: &Length| match tok {
        Length::Constant(constant) => constant.tok,
        Length::Exponential(exponential) => exponential.max_tok,
        Length::Lognormal(lognormal) => lognormal.max_tok,
        Length::Empirical(_) => MOST_TOK,
    };
    prefixes.map(|prefixes| longest(&prefixes.tok)).max().filter(|_| pool.batching.prefix_cache)
}

/// How hot a GPU gets in a node, which only a pool in a cooling zone asks.
fn gpu_thermal(gpu: &Gpu, node: &Node) -> Result<GpuThermal, String> {
    let Some(r_th) = &node.r_th_k_per_w else {
        return Err(format!("node '{}' has no r_th_k_per_w; a pool in a cooling zone needs it", node.name));
    };
    let Some(throttle) = &gpu.throttle_c else {
        return Err(format!("GPU '{}' has no throttle_c; a pool in a cooling zone needs it", gpu.name));
    };
    Ok(GpuThermal { r_th_k_per_w: r_th.value, throttle_c: throttle.value })
}

/// Clocks 1, 1 − step, … down to the lowest, in rising order; empty for any clock.
fn clock_grid(law: &ClockLaw, step: f64) -> Vec<Clock> {
    if step <= 0.0 {
        return Vec::new();
    }
    let steps = ((1.0 - law.min_share) / step + 1e-9).floor() as u32;
    (0..=steps).rev().map(|down| Clock::at(1.0 - f64::from(down) * step, law)).collect()
}

fn too_large(
    gpu: &Gpu,
    model: &catalog::Model,
    drafted: bool,
    gpus: u32,
    per_node: u32,
    memory: &MemoryPlan,
) -> String {
    let needed = memory.weights_gb * f64::from(gpus);
    let fits = (1..=per_node)
        .filter(|tp| per_node.is_multiple_of(*tp) && model.heads.is_multiple_of(*tp))
        .find(|tp| needed / f64::from(*tp) < 0.95 * memory.usable_gb);
    let advice = match fits {
        Some(tp) => format!("use parallel: {{ tensor: {tp} }} or smaller weights"),
        None if drafted => "use weights of fewer bits, a smaller draft or a GPU with more memory".into(),
        None => "use weights of fewer bits or a GPU with more memory".into(),
    };
    format!(
        "{}{} needs {:.1} GB per GPU for its weights, {} offers {:.1} GB at this hbm_fraction; {advice}",
        model.name,
        if drafted { " with its draft" } else { "" },
        memory.weights_gb,
        gpu.name,
        memory.usable_gb
    )
}

fn windows_too_large(gpu: &Gpu, batching: &types::Batching, memory: &MemoryPlan) -> String {
    let free_gb = memory.usable_gb - memory.weights_gb;
    let most = free_gb / memory.windows_gb * f64::from(batching.max_seqs);
    let advice = if most < 1.0 {
        "use windows of fewer tokens".into()
    } else {
        format!("use fewer than {most:.0}, or windows of fewer tokens")
    };
    format!(
        "the sliding windows of {} sequences take {:.1} GB per GPU, and {} offers {free_gb:.1} GB beside the weights \
         at this hbm_fraction; {advice}",
        batching.max_seqs, memory.windows_gb, gpu.name
    )
}

/// A model's geometry is as good as its source, what kernels reach on sparse attention as the weakest of its numbers.
fn model_quality(model: &catalog::Model) -> (Quality, String) {
    match &model.sparse {
        Some(sparse) => {
            let (quality, why) = catalog::weakest(sparse);
            if quality > model.quality { (quality, why) } else { (model.quality, model.source.clone()) }
        }
        None => (model.quality, model.source.clone()),
    }
}

/// Catalog entries with the weakest quality among their numbers.
fn sources(
    gpu: &Gpu,
    model: &catalog::Model,
    node: &Node,
    engine: &catalog::Engine,
    law: &types::StepLaw,
    cooled: bool,
    networked: bool,
) -> Vec<(String, String, String)> {
    // What a run without cooling does not use is no weakness of it.
    let (mut gpu, mut node) = (gpu.clone(), node.clone());
    if !cooled {
        (gpu.throttle_c, node.r_th_k_per_w) = (None, None);
    }
    if !networked {
        node.network = None;
    }
    let note = |kind: &str, name: &str, (quality, why): (Quality, String)| {
        (format!("{kind} {name}"), quality.word().to_string(), why)
    };
    let mut list = vec![
        note("model", &model.name, model_quality(model)),
        note("gpu", &gpu.name, catalog::weakest(&gpu)),
        note("node", &node.name, catalog::weakest(&node)),
    ];
    match law {
        types::StepLaw::Roofline => list.push(note("engine", &engine.name, catalog::weakest(engine))),
        types::StepLaw::Affine(_) => {
            list.push(note("step", "law", (Quality::Guess, "the scenario's own".into())))
        }
    }
    list
}
