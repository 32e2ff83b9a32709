//! The fleet: sites, pools and replicas as a graph, with each pool's laws in integers.

mod build;
mod facility;
mod graph;
mod plant;
mod signals;
mod speculation;
pub mod steady;
mod supply;
mod weather;

pub use build::{UNLIMITED_KV_BLOCKS, memory_plan};
pub(crate) use build::{add_memory, model_of};
pub(crate) use facility::kind as device_kind;
pub use facility::{Facility, ZoneSpec};
pub use graph::{Device, FleetGraph};
pub use signals::Grid;
pub use speculation::Speculation;
pub(crate) use speculation::{Host, draft_of};
pub use supply::{Modules, Supply};

use std::ops::Range;

use crate::physics::clock::Clock;
use crate::physics::draw::PowerLaw;
use crate::physics::step::StepLaw;
use crate::scenario::types::{Policy, PowerPriority};

/// Everything that serves.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Sites in the scenario's order.
    pub sites: Vec<Site>,
    /// Pools of all sites; a site's pools are contiguous.
    pub pools: Vec<Pool>,
    /// Pool of each replica; a pool's replicas are contiguous.
    pub pool_of: Vec<u16>,
    /// Meter → power devices → pools as a graph of named devices.
    pub graph: FleetGraph,
    /// By class: the pools that may serve it.
    pub pools_of_class: Vec<Vec<u16>>,
    /// Of them, those for problems not flagged hard, and for problems flagged hard.
    pub pools_by_flag: Vec<[Vec<u16>; 2]>,
    /// By class that answers in several legs, and number of the leg: the pools that may serve it.
    pub pools_of_leg: Vec<Vec<Vec<u16>>>,
}

/// A site behind one utility meter.
#[derive(Debug, Clone)]
pub struct Site {
    /// Name.
    pub name: String,
    /// Facility power over IT power.
    pub pue: f64,
    /// Its pools.
    pub pools: Range<usize>,
    /// Its replicas.
    pub replicas: Range<usize>,
    /// Installed GPUs.
    pub gpus: u64,
    /// Facility cap over time, sorted; empty without a cap. The first entry holds at t = 0.
    pub cap: Vec<CapLevel>,
    /// How the cap is kept.
    pub policy: Policy,
    /// The device of the facility that the policy watches, if it watches one.
    pub watched: Option<usize>,
    /// Prices and carbon.
    pub grid: Grid,
    /// Power tree and cooling; `None`: `pue` stands for them.
    pub facility: Option<Facility>,
}

/// A facility cap from an instant on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapLevel {
    /// From [fs].
    pub from_fs: i128,
    /// At the utility meter [W].
    pub facility_w: f64,
    /// IT power that fits under it: cap over PUE [nW].
    pub it_nw: i128,
}

/// Identical replicas.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// Its site.
    pub site: usize,
    /// Name of its model as the scenario writes it.
    pub model: String,
    /// Name of its GPU.
    pub gpu: String,
    /// Its replicas.
    pub replicas: Range<usize>,
    /// GPUs of a replica.
    pub gpus_per_replica: u32,
    /// Step time.
    pub step: StepLaw,
    /// Speculative decoding; there is a draft in `step`, too.
    pub speculation: Option<Speculation>,
    /// Tokens of a step that a decoding sequence takes: 1, with speculation those proposed and one more.
    pub tok_per_seq: u32,
    /// Watts.
    pub power: PowerLaw,
    /// Clocks from lowest to full, for a policy with steps; empty for any clock.
    pub clocks: Vec<Clock>,
    /// Most running sequences.
    pub max_seqs: u32,
    /// Most tokens in a step.
    pub max_step_tok: u32,
    /// Tokens per KV block.
    pub block_tok: u32,
    /// KV blocks of a replica.
    pub kv_blocks: u64,
    /// Whether shared prefixes stay in its KV memory, and a class that may come has any.
    pub prefix_cache: bool,
    /// Most waiting requests at a replica.
    pub max_queue: u64,
    /// Catalog entries it rests on: (entry, weakest quality, source).
    pub sources: Vec<(String, String, String)>,
    /// Whose clocks go down first, for the policies that ask.
    pub power_priority: PowerPriority,
    /// The device of its site's facility that its nodes hang from; `None` without a power tree.
    pub feed: Option<usize>,
    /// The zone of its site's facility that its nodes heat; `None` without cooling.
    pub zone: Option<usize>,
    /// How hot its GPUs get; present where there is a zone.
    pub thermal: Option<GpuThermal>,
    /// Its nodes, and the GPUs of each; GPUs of a replica are neighbours.
    pub nodes: usize,
    /// See `nodes`.
    pub gpus_per_node: u32,
    /// From power, or a repair, until a replica serves again [fs].
    pub start_up_fs: i128,
    /// From when to when its nodes are there [fs].
    pub installed_fs: std::ops::Range<i128>,
}

impl Pool {
    /// Whether its nodes are there.
    #[inline]
    pub fn is_installed(&self, at_fs: i128) -> bool {
        self.installed_fs.contains(&at_fs)
    }

    /// Share of a stretch of time in which its nodes are there; of an instant whether they are.
    pub fn installed_share(&self, from_fs: i128, until_fs: i128) -> f64 {
        if until_fs <= from_fs {
            return f64::from(u8::from(self.is_installed(from_fs)));
        }
        let there_fs = self.installed_fs.end.min(until_fs) - self.installed_fs.start.max(from_fs);
        there_fs.max(0) as f64 / (until_fs - from_fs) as f64
    }
}

/// Temperature of a GPU, T = T_supply + R_th·P.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuThermal {
    /// Chip above supply temperature per watt of the GPU [K/W].
    pub r_th_k_per_w: f64,
    /// Temperature at which it lowers its clock [°C].
    pub throttle_c: f64,
}

impl CapLevel {
    /// At the utility meter [nW].
    pub fn meter_nw(&self) -> i128 {
        (self.facility_w * 1e9).floor() as i128
    }
}

impl Fleet {
    /// Number of replicas.
    pub fn replicas(&self) -> usize {
        self.pool_of.len()
    }

    /// The pool of a replica.
    pub fn pool(&self, replica: usize) -> &Pool {
        &self.pools[usize::from(self.pool_of[replica])]
    }

    /// Installed GPUs.
    pub fn gpus(&self) -> u64 {
        self.sites.iter().map(|site| site.gpus).sum()
    }
}
