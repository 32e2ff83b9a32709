//! The limits of a scenario, and the scenario with one of them moved by a small step.
//!
//! A limit is moved alone. More cooling capacity leaves what fans and pumps draw at a given heat as it was, a rating
//! leaves losses as they were: what a better plant or a larger transformer would save is priced as `overhead`.

use crate::catalog::{self, Catalog, Gpu, Sourced};
use crate::fleet::memory_plan;
use crate::ledger::outcome::Constraint;
use crate::physics::loss::LossShares;
use crate::scenario::Resolved;
use crate::scenario::types::{
    Device, Loss, Plant, Policy, Pool, PowerDevice, Pumps, Rejector, Site, StepLaw,
};
use crate::study::demand;

/// Clock steps that a move of watts is worth at least: less could be lost between two P-states.
const P_STATES: f64 = 2.0;
/// Colder air by so much [K].
const COLDER_K: f64 = 1.0;

/// What is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Arrivals of all classes.
    Demand,
    /// Nodes of a pool.
    Replicas,
    /// FLOP/s of a pool's GPUs.
    Flops,
    /// Bytes/s of their memory.
    HbmBandwidth,
    /// Host times and links.
    HostAndLinks,
    /// Memory for the KV cache.
    KvBytes,
    /// Sequences that may run at once.
    Slots,
    /// Power limit of each GPU.
    GpuCap,
    /// Cap at the utility meter.
    PowerCap,
    /// Rating of a power device.
    DeviceRating,
    /// Heat that a zone's plant can reject.
    ZoneCapacity,
    /// Outdoor air.
    OutdoorAir,
    /// What losses and cooling (or a static PUE) take on top of IT power.
    Overhead,
}

/// Levels of binding (PHYSICS D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Demand, power, cooling.
    Envelope,
    /// Compute, memory bandwidth, KV capacity.
    Device,
    /// No stave of its own: a price, no label.
    Price,
}

impl LimitKind {
    /// All, in the order in which they are explained.
    pub const ALL: [Self; 13] = [
        Self::Demand,
        Self::PowerCap,
        Self::DeviceRating,
        Self::GpuCap,
        Self::ZoneCapacity,
        Self::OutdoorAir,
        Self::Overhead,
        Self::Replicas,
        Self::Flops,
        Self::HbmBandwidth,
        Self::HostAndLinks,
        Self::KvBytes,
        Self::Slots,
    ];

    /// As in `explain --json`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Demand => "demand",
            Self::Replicas => "replicas",
            Self::Flops => "flop_s",
            Self::HbmBandwidth => "hbm_bandwidth",
            Self::HostAndLinks => "host_and_links",
            Self::KvBytes => "kv_bytes",
            Self::Slots => "slots",
            Self::GpuCap => "gpu_cap",
            Self::PowerCap => "power_cap",
            Self::DeviceRating => "power_device",
            Self::ZoneCapacity => "cooling_capacity",
            Self::OutdoorAir => "outdoor_air",
            Self::Overhead => "overhead",
        }
    }

    /// The label whose limit it is.
    #[must_use]
    pub fn constraint(self) -> Option<Constraint> {
        match self {
            Self::Demand => Some(Constraint::Demand),
            Self::Flops | Self::HostAndLinks => Some(Constraint::Compute),
            Self::HbmBandwidth => Some(Constraint::MemoryBandwidth),
            Self::KvBytes | Self::Slots => Some(Constraint::KvCapacity),
            Self::GpuCap | Self::PowerCap | Self::DeviceRating => Some(Constraint::Power),
            Self::ZoneCapacity => Some(Constraint::Cooling),
            Self::Replicas | Self::OutdoorAir | Self::Overhead => None,
        }
    }

    /// Its level.
    #[must_use]
    pub fn level(self) -> Level {
        match self.constraint() {
            Some(Constraint::Demand | Constraint::Power | Constraint::Cooling) => Level::Envelope,
            Some(_) => Level::Device,
            None => Level::Price,
        }
    }
}

/// A limit, and by how much it is moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What is moved.
    pub kind: LimitKind,
    /// Whose: a pool, device, zone or site; empty for demand.
    pub place: String,
    /// Size of the move in `unit`, above 0.
    pub step: f64,
    /// The same over the limit; none where it has no size of its own (outdoor air).
    pub step_share: Option<f64>,
    /// Unit of `step`, in words.
    pub unit: &'static str,
    target: Target,
}

/// Places in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Fleet,
    Site(usize),
    Pool(usize, usize),
    Device(usize, usize),
    Zone(usize, usize),
}

/// All limits of a scenario, each to be moved by about `share` of it.
#[must_use]
pub fn all(resolved: &Resolved, share: f64) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut add = |kind, place: String, step: f64, share, unit, target| {
        limits.push(Limit { kind, place, step, step_share: share, unit, target });
    };
    let growth = demand::growth(&resolved.scenario, share);
    add(LimitKind::Demand, String::new(), growth * 100.0, Some(growth), "% of arrivals", Target::Fleet);
    for (s, site) in resolved.scenario.fleet.sites.iter().enumerate() {
        let watts = watts_share(resolved, site, share);
        if let Some(cap_mw) = site.power.cap_mw {
            let place = meter(site);
            add(LimitKind::PowerCap, place, cap_mw * watts, Some(watts), "MW", Target::Site(s));
        }
        for (d, device) in site.power.tree.iter().enumerate() {
            let place = format!("{}.{}", site.name, device.name);
            let rated_mw = device.device.rated_mw() * device.derate;
            add(LimitKind::DeviceRating, place, rated_mw * watts, Some(watts), "MW", Target::Device(s, d));
        }
        for (z, zone) in site.cooling.iter().flat_map(|cooling| &cooling.zones).enumerate() {
            let capacity_mw = zone.plant.capacity_mw() * zone.capacity_scale;
            let place = format!("{}.{}", site.name, zone.name);
            add(LimitKind::ZoneCapacity, place, capacity_mw * watts, Some(watts), "MW", Target::Zone(s, z));
        }
        if site.weather.is_some() {
            add(LimitKind::OutdoorAir, site.name.clone(), COLDER_K, None, "°C colder", Target::Site(s));
        }
        if let Some(off) = overhead_share(site, watts) {
            add(LimitKind::Overhead, site.name.clone(), off * 100.0, Some(off), "% less", Target::Site(s));
        }
        for (p, pool) in site.pools.iter().enumerate() {
            let place = format!("{}.{}", site.name, pool.name);
            let target = Target::Pool(s, p);
            let each = nodes_of_replica(resolved, pool);
            let nodes = (f64::from(pool.nodes) * share / each).round().max(1.0) * each;
            let unit = if nodes > 1.0 { "nodes" } else { "node" };
            let of_nodes = (pool.nodes > 0).then(|| nodes / f64::from(pool.nodes));
            add(LimitKind::Replicas, place.clone(), nodes, of_nodes, unit, target);
            let percent = share * 100.0;
            add(LimitKind::Flops, place.clone(), percent, Some(share), "% FLOP/s", target);
            if pool.step_law == StepLaw::Roofline {
                add(LimitKind::HbmBandwidth, place.clone(), percent, Some(share), "% bytes/s", target);
                add(LimitKind::HostAndLinks, place.clone(), percent, Some(share), "% faster", target);
            }
            // Blocks that are given are whole.
            let of_kv = pool.batching.kv_blocks.map_or(share, |blocks| {
                let blocks = blocks.max(1) as f64;
                (blocks * share).ceil() / blocks
            });
            add(LimitKind::KvBytes, place.clone(), of_kv * 100.0, Some(of_kv), "% bytes", target);
            let slots = (f64::from(pool.batching.max_seqs) * share).ceil();
            let of_slots = slots / f64::from(pool.batching.max_seqs.max(1));
            add(LimitKind::Slots, place.clone(), slots, Some(of_slots), "sequences", target);
            if let Some(cap_w) = pool.gpu_cap_w {
                add(LimitKind::GpuCap, place, cap_w * watts, Some(watts), "W", target);
            }
        }
    }
    limits
}

/// The name of a site's meter, as labels have it.
fn meter(site: &Site) -> String {
    let root = site.power.tree.iter().find(|device| device.parent.is_none());
    let name = root.map_or("meter", |device| device.name.as_str());
    format!("{}.{name}", site.name)
}

/// The share by which watts are moved: at least two P-states of every pool.
fn watts_share(resolved: &Resolved, site: &Site, share: f64) -> f64 {
    let policy = &site.power.policy;
    // A share of watts that a replica is cut to moves in steps of its own.
    let share = match policy {
        Policy::Proportional(policy) => share.max(P_STATES * policy.share_step),
        _ => share,
    };
    let exponents = site.pools.iter().filter_map(|pool| {
        let gpu = resolved.catalog.gpu(&pool.gpu)?;
        let node = resolved.catalog.node(pool.node.as_deref().unwrap_or(&gpu.node))?;
        Some(node.clock_exponent(gpu))
    });
    // d ln P = exponent · d ln f near the full clock, and less of it as some watts do not follow the clock.
    exponents.fold(share, |most, exponent| most.max(P_STATES * policy.steps().clock_step * exponent))
}

/// The share of a site's overhead whose loss frees about `watts` of the facility's power.
fn overhead_share(site: &Site, watts: f64) -> Option<f64> {
    match site.static_pue {
        Some(pue) if pue > 1.0 => Some((watts * pue / (pue - 1.0)).min(1.0)),
        // Of a building the PUE is not known beforehand: a tenth of what losses and cooling take.
        None if !site.power.tree.is_empty() => Some(0.1),
        _ => None,
    }
}

impl Limit {
    /// The scenario with this limit moved: higher, for outdoor air and overhead lower.
    #[must_use]
    pub fn moved(&self, resolved: &Resolved) -> Resolved {
        let mut moved = resolved.clone();
        let share = self.step_share.unwrap_or(0.0);
        let more = 1.0 + share;
        let sites = &mut moved.scenario.fleet.sites;
        match (self.kind, self.target) {
            (LimitKind::Demand, _) => demand::scale(&mut moved.scenario, more),
            (LimitKind::PowerCap, Target::Site(s)) => {
                sites[s].power.cap_mw = sites[s].power.cap_mw.map(|cap_mw| cap_mw * more);
            }
            (LimitKind::DeviceRating, Target::Device(s, d)) => more_rating(&mut sites[s].power.tree[d], more),
            (LimitKind::ZoneCapacity, Target::Zone(s, z)) => {
                if let Some(cooling) = &mut sites[s].cooling {
                    more_capacity(&mut cooling.zones[z].plant, more);
                }
            }
            (LimitKind::OutdoorAir, Target::Site(s)) => {
                if let Some(weather) = &mut sites[s].weather {
                    weather.offset_k -= self.step;
                }
            }
            (LimitKind::Overhead, Target::Site(s)) => less_overhead(&mut sites[s], 1.0 - share),
            (kind, Target::Pool(s, p)) => return pool_moved(moved, kind, (s, p), self.step, more),
            // Every kind has its own target.
            _ => {}
        }
        moved
    }
}

/// A rating without any other change: S·(a0 + a1·(p/S) + a2·(p/S)²) stays the same at every output p.
fn more_rating(device: &mut PowerDevice, more: f64) {
    let LossShares { a0, a1, a2 } = losses(device);
    device.loss = Some(Loss { a0: a0 / more, a1, a2: a2 * more });
    match &mut device.device {
        Device::Ups(ups) => ups.rated_mw *= more,
        Device::Generator(generator) => generator.rated_mw *= more,
        Device::Utility(rating)
        | Device::Transformer(rating)
        | Device::Pdu(rating)
        | Device::MechanicalBus(rating) => rating.rated_mw *= more,
    }
}

/// Capacity without any other change: at the same heat, fans and pumps turn slower by the same share, and draw as the
/// cube of their speed, so their size must grow as its square for the same watts. What always turns at full speed keeps
/// its size.
fn more_capacity(plant: &mut Plant, more: f64) {
    let pumped = |share: &mut f64, pumps| match pumps {
        Pumps::Variable => *share *= more * more,
        Pumps::Constant => *share /= more,
    };
    match plant {
        Plant::TowerWithChiller(tower) => {
            tower.capacity_mw *= more;
            tower.fan_share *= more * more;
            pumped(&mut tower.pump_share, tower.pumps);
            if tower.pumps == Pumps::Constant {
                // The same flow: the same rise at the same heat.
                tower.return_rise_k *= more;
            }
        }
        Plant::AirCooledChiller(chiller) => {
            chiller.capacity_mw *= more;
            match chiller.free_cooling_below_dry_bulb_c {
                Some(_) => chiller.fan_share *= more * more,
                None => chiller.fan_share /= more,
            }
            pumped(&mut chiller.pump_share, chiller.pumps);
        }
        Plant::DryCooler(cooler) => {
            cooler.capacity_mw *= more;
            cooler.fan_share *= more * more;
            pumped(&mut cooler.pump_share, cooler.pumps);
        }
        Plant::WarmWater(warm) => {
            warm.capacity_mw *= more;
            match &mut warm.rejector {
                Rejector::DryCooler(cooler) => cooler.fan_share *= more * more,
                Rejector::Tower(tower) => tower.fan_share *= more * more,
            }
            pumped(&mut warm.pump_share, warm.pumps);
            warm.cdu_pump_share /= more;
        }
    }
}

/// What is left of the overhead of a site: losses, and what cooling takes.
fn less_overhead(site: &mut Site, left: f64) {
    if let Some(pue) = &mut site.static_pue {
        *pue = 1.0 + (*pue - 1.0) * left;
    }
    for device in &mut site.power.tree {
        let LossShares { a0, a1, a2 } = losses(device);
        device.loss = Some(Loss { a0: a0 * left, a1: a1 * left, a2: a2 * left });
    }
    for zone in site.cooling.iter_mut().flat_map(|cooling| &mut cooling.zones) {
        match &mut zone.plant {
            Plant::TowerWithChiller(tower) => {
                tower.fan_share *= left;
                tower.pump_share *= left;
                // A compressor draws heat over COP, and its COP follows the Carnot share.
                tower.carnot_share /= left;
            }
            Plant::AirCooledChiller(chiller) => {
                chiller.fan_share *= left;
                chiller.pump_share *= left;
                chiller.carnot_share /= left;
            }
            Plant::DryCooler(cooler) => {
                cooler.fan_share *= left;
                cooler.pump_share *= left;
            }
            Plant::WarmWater(warm) => {
                match &mut warm.rejector {
                    Rejector::DryCooler(cooler) => cooler.fan_share *= left,
                    Rejector::Tower(tower) => tower.fan_share *= left,
                }
                warm.pump_share *= left;
                warm.cdu_pump_share *= left;
            }
        }
    }
}

fn losses(device: &PowerDevice) -> LossShares {
    match device.loss {
        Some(loss) => LossShares { a0: loss.a0, a1: loss.a1, a2: loss.a2 },
        None => crate::fleet::device_kind(device).default_loss(),
    }
}

/// Nodes that a replica takes, at least 1.
fn nodes_of_replica(resolved: &Resolved, pool: &Pool) -> f64 {
    let node = pool.node.as_deref().or_else(|| Some(resolved.catalog.gpu(&pool.gpu)?.node.as_str()));
    let of_node = node.and_then(|name| resolved.catalog.node(name)).map_or(1, |node| node.gpus.value.max(1));
    f64::from((catalog::Split::from(&pool.parallel).gpus() / of_node).max(1))
}

/// A pool on other hardware: an entry of the catalog of its own.
fn pool_moved(
    mut moved: Resolved,
    kind: LimitKind,
    (s, p): (usize, usize),
    step: f64,
    more: f64,
) -> Resolved {
    let pool = &mut moved.scenario.fleet.sites[s].pools[p];
    match kind {
        LimitKind::Replicas => pool.nodes += step as u32,
        LimitKind::Slots => pool.batching.max_seqs += step as u32,
        LimitKind::GpuCap => pool.gpu_cap_w = pool.gpu_cap_w.map(|cap_w| cap_w * more),
        LimitKind::KvBytes if pool.batching.kv_blocks.is_some() => {
            pool.batching.kv_blocks =
                pool.batching.kv_blocks.map(|blocks| (blocks as f64 * more).round() as u64);
            // The memory must hold them; twice what they need, so that rounding to blocks cannot refuse them: blocks that
            // are given do not grow with it.
            let kv_gb = kv_gb(&moved, (s, p)).unwrap_or(0.0);
            return with_gpu(moved, (s, p), |gpu| gpu.hbm_gb.value += kv_gb * (more - 1.0) * 2.0);
        }
        LimitKind::KvBytes => {
            let kv_gb = kv_gb(&moved, (s, p)).unwrap_or(0.0);
            return with_gpu(moved, (s, p), |gpu| gpu.hbm_gb.value += kv_gb * (more - 1.0));
        }
        LimitKind::Flops => match &mut pool.step_law {
            StepLaw::Affine(law) => {
                for us in [
                    &mut law.base_us,
                    &mut law.prefill_us,
                    &mut law.per_prompt_tok_us,
                    &mut law.per_seq_us,
                    &mut law.per_kv_tok_us,
                ] {
                    *us /= more;
                }
            }
            StepLaw::Roofline => {
                return with_gpu(moved, (s, p), |gpu| {
                    let whole = |number: &mut Sourced<f64>| number.value *= more;
                    whole(&mut gpu.bf16_dense_tflops);
                    gpu.fp8_dense_tflops.iter_mut().for_each(whole);
                    gpu.fp4_dense_tflops.iter_mut().for_each(whole);
                    gpu.int8_dense_tops.iter_mut().for_each(whole);
                });
            }
        },
        LimitKind::HbmBandwidth => {
            return with_gpu(moved, (s, p), |gpu| gpu.hbm_tb_s.value *= more);
        }
        LimitKind::HostAndLinks => {
            let name = pool.engine.clone();
            if let Some(engine) = moved.catalog.engine(&name) {
                let mut engine = engine.clone();
                engine.name = own_name(&name);
                for us in [
                    &mut engine.per_step_us,
                    &mut engine.per_seq_us,
                    &mut engine.per_layer_us,
                    &mut engine.per_moe_layer_us,
                    &mut engine.per_fp8_moe_layer_us,
                    &mut engine.per_fp4_moe_layer_us,
                ] {
                    us.value /= more;
                }
                moved.scenario.fleet.sites[s].pools[p].engine = engine.name.clone();
                moved.catalog = Catalog::clone(&moved.catalog).with_engine(engine).into();
            }
            return with_gpu(moved, (s, p), |gpu| {
                gpu.link_gb_s.value *= more;
                gpu.comm.one_shot_us.value /= more;
                gpu.comm.latency_us.value /= more;
            });
        }
        _ => {}
    }
    moved
}

/// A name that no entry of a catalog file has: their names have no control characters.
fn own_name(name: &str) -> String {
    format!("{name}\u{1}moved")
}

/// A pool's GPUs changed, in an entry of its own: other pools keep theirs.
fn with_gpu(mut moved: Resolved, (s, p): (usize, usize), change: impl FnOnce(&mut Gpu)) -> Resolved {
    let pool = &mut moved.scenario.fleet.sites[s].pools[p];
    if let Some(gpu) = moved.catalog.gpu(&pool.gpu) {
        let mut gpu = gpu.clone();
        // The default node goes by the GPU's entry.
        pool.node.get_or_insert_with(|| gpu.node.clone());
        gpu.name = own_name(&gpu.name);
        change(&mut gpu);
        pool.gpu = gpu.name.clone();
        moved.catalog = Catalog::clone(&moved.catalog).with_gpu(gpu).into();
    }
    moved
}

/// Memory per GPU beside the weights, as a share of `hbm_gb` would have to hold it [GB].
fn kv_gb(resolved: &Resolved, (s, p): (usize, usize)) -> Option<f64> {
    let scenario = &resolved.scenario;
    let pool = &scenario.fleet.sites[s].pools[p];
    let gpu = resolved.catalog.gpu(&pool.gpu)?;
    let engine = resolved.catalog.engine(&pool.engine)?;
    let (model, weights, kv) = crate::fleet::model_of(scenario, &resolved.catalog, &pool.model)?;
    let split = catalog::Split::from(&pool.parallel);
    let node = resolved.catalog.node(pool.node.as_deref().unwrap_or(&gpu.node));
    let mut params = catalog::replica_in(node, gpu, &model, split, weights, kv, engine).ok()?;
    let host = crate::fleet::Host { node, gpu, split, engine };
    let draft = crate::fleet::draft_of(scenario, &resolved.catalog, &pool.model, &model, &host);
    if let Some((draft, _)) = draft.ok()? {
        crate::fleet::add_memory(&mut params, &draft);
    }
    let memory = memory_plan(gpu, &params, &pool.batching);
    Some((memory.usable_gb - memory.weights_gb).max(0.0) / pool.batching.hbm_fraction)
}
