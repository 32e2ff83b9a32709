//! Which constraint binds: GPU-seconds by label, the label of a site, run lengths on a fixed grid.

use super::outcome::{Binding, Constraint, First, Shares, Stretch};
use crate::control::PowerControl;
use crate::fleet::Fleet;
use crate::physics::{FS_PER_S, s_from_fs};

/// Label of a replica: a constraint, and what exactly it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(u8)]
pub enum Label {
    /// Neither backlogged nor late.
    #[default]
    Demand,
    /// Arithmetic.
    Compute,
    /// The serving engine's host time; counts to compute.
    Host,
    /// Links between GPUs; count to compute.
    Link,
    /// HBM bandwidth.
    MemoryBandwidth,
    /// Slots or KV memory.
    KvCapacity,
    /// The site's meter.
    PowerMeter,
    /// A limit set on the GPUs.
    PowerGpuCap,
    /// A cooling zone.
    Cooling,
    /// The temperature of the GPUs, in a zone that allows the heat; counts to cooling.
    GpuTemperature,
    /// The pool drains: its cooling zone is critical, and nothing is let in.
    Operations,
    /// A power device whose thresholds cap clocks; counts to power.
    PowerDevice,
    /// The emergency brake of a power device; counts to operations.
    Brake,
    /// The replica failed, or boots; counts to operations.
    Failed,
    /// It is not installed yet, or no more; counts nowhere.
    Absent,
}

/// Number of labels.
const LABELS: usize = 15;

impl Label {
    const ALL: [Self; LABELS] = [
        Self::Demand,
        Self::Compute,
        Self::Host,
        Self::Link,
        Self::MemoryBandwidth,
        Self::KvCapacity,
        Self::PowerMeter,
        Self::PowerGpuCap,
        Self::Cooling,
        Self::GpuTemperature,
        Self::Operations,
        Self::PowerDevice,
        Self::Brake,
        Self::Failed,
        Self::Absent,
    ];

    /// The constraint it belongs to.
    pub fn constraint(self) -> Constraint {
        match self {
            Self::Demand => Constraint::Demand,
            Self::Compute | Self::Host | Self::Link => Constraint::Compute,
            Self::MemoryBandwidth => Constraint::MemoryBandwidth,
            Self::KvCapacity => Constraint::KvCapacity,
            Self::PowerMeter | Self::PowerGpuCap | Self::PowerDevice => Constraint::Power,
            Self::Cooling | Self::GpuTemperature => Constraint::Cooling,
            Self::Operations | Self::Brake | Self::Failed | Self::Absent => Constraint::Operations,
        }
    }
}

/// Grid of the timeline [fs].
pub const CELL_FS: i128 = 60 * FS_PER_S;

/// GPUs under a label in a pool, integrated between changes.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    gpus: i64,
    since_fs: i128,
    /// GPU·fs in the measured window, in the current cell.
    window: i128,
    cell: i128,
}

impl Count {
    fn advance(&mut self, now_fs: i128) {
        let grown = i128::from(self.gpus) * (now_fs - self.since_fs);
        self.window += grown;
        self.cell += grown;
        self.since_fs = now_fs;
    }
}

/// Where a label holds: a pool, and for power and cooling the device or zone that held its site last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    pool: usize,
    limit: Option<usize>,
}

/// Pools whose label is taken together: one site, or the fleet.
///
/// A pool speaks for its backlogged or late replicas once they are half of its GPUs. One replica of a hundred that
/// is late for a moment does not make a half-loaded fleet compute-bound: more demand would still be served.
#[derive(Debug, Clone)]
struct Scope {
    pools: std::ops::Range<usize>,
    /// GPUs by label in the pools that speak; those of other pools count under demand.
    gpus: [i64; LABELS],
    label: Label,
    since_fs: i128,
    cell: [i128; LABELS],
    interval: [i128; LABELS],
    stretches: Vec<(i128, i128, Label, Place)>,
}

/// The book of labels.
#[derive(Debug, Clone)]
pub struct BindingBook {
    pools: Vec<[Count; LABELS]>,
    /// What each pool says to its scopes.
    spoken: Vec<[i64; LABELS]>,
    site_of: Vec<usize>,
    zone_of: Vec<Option<usize>>,
    /// One per site, then the fleet.
    scopes: Vec<Scope>,
    cell_start_fs: i128,
}

impl BindingBook {
    /// All GPUs under demand at t = 0.
    pub fn new(fleet: &Fleet) -> Self {
        let gpus_of =
            |pool: &crate::fleet::Pool| pool.replicas.len() as i64 * i64::from(pool.gpus_per_replica);
        let pools: Vec<[Count; LABELS]> = fleet
            .pools
            .iter()
            .map(|pool| {
                let mut counts = [Count::default(); LABELS];
                counts[Label::Demand as usize].gpus = gpus_of(pool);
                counts
            })
            .collect();
        let scope = |range: std::ops::Range<usize>| {
            let mut gpus = [0; LABELS];
            gpus[Label::Demand as usize] = fleet.pools[range.clone()].iter().map(gpus_of).sum();
            Scope {
                pools: range,
                gpus,
                label: Label::Demand,
                since_fs: 0,
                cell: [0; LABELS],
                interval: [0; LABELS],
                stretches: Vec::new(),
            }
        };
        let mut scopes: Vec<Scope> = fleet.sites.iter().map(|site| scope(site.pools.clone())).collect();
        scopes.push(scope(0..fleet.pools.len()));
        let spoken = pools.iter().map(|counts| counts.map(|count| count.gpus)).collect();
        Self {
            pools,
            spoken,
            site_of: fleet.pools.iter().map(|p| p.site).collect(),
            zone_of: fleet.pools.iter().map(|p| p.zone).collect(),
            scopes,
            cell_start_fs: 0,
        }
    }

    /// A replica of `gpus` GPUs changes its label.
    pub fn change(&mut self, now_fs: i128, pool: usize, gpus: u32, from: Label, to: Label) {
        for (label, sign) in [(from, -1), (to, 1)] {
            let count = &mut self.pools[pool][label as usize];
            count.advance(now_fs);
            count.gpus += sign * i64::from(gpus);
        }
        let counts = self.pools[pool].map(|count| count.gpus);
        let spoke = std::mem::replace(&mut self.spoken[pool], spoken(&counts));
        let speaks = self.spoken[pool];
        if spoke == speaks {
            return;
        }
        let fleet = self.scopes.len() - 1;
        for scope in [self.site_of[pool], fleet] {
            let scope = &mut self.scopes[scope];
            for (slot, sum) in scope.gpus.iter_mut().enumerate() {
                *sum += speaks[slot] - spoke[slot];
            }
            let label = leading(&scope.gpus);
            if label != scope.label {
                scope.advance(now_fs);
                scope.label = label;
            }
        }
    }

    /// The measured window opens: shares start from zero.
    pub fn open_window(&mut self, now_fs: i128) {
        for count in self.pools.iter_mut().flatten() {
            count.advance(now_fs);
            count.window = 0;
        }
    }

    /// Close a cell of the timeline at `now_fs`.
    pub fn close_cell(&mut self, now_fs: i128, power: &PowerControl) {
        if now_fs <= self.cell_start_fs {
            return;
        }
        for count in self.pools.iter_mut().flatten() {
            count.advance(now_fs);
        }
        for scope in &mut self.scopes {
            scope.advance(now_fs);
            let label = longest(&scope.cell);
            let pool = scope
                .pools
                .clone()
                .max_by_key(|&p| (self.pools[p][label as usize].cell, std::cmp::Reverse(p)))
                .unwrap_or(scope.pools.start);
            let limit = match label {
                Label::PowerMeter | Label::PowerDevice | Label::Brake => {
                    power.last_device(self.site_of[pool])
                }
                Label::Cooling => power.last_zone(self.site_of[pool]),
                Label::Operations => self.zone_of[pool],
                _ => None,
            };
            // A device or zone is the same place, whichever pool tells of it.
            let site = self.site_of[pool];
            let first = self.site_of.iter().position(|&of| of == site).unwrap_or(pool);
            let shared = limit.is_some() || label == Label::PowerMeter;
            let place = Place { pool: if shared { first } else { pool }, limit };
            match scope.stretches.last_mut() {
                // Demand is demand wherever it is low; other labels are told apart by place.
                Some((_, end, last, at)) if *last == label && (*at == place || label == Label::Demand) => {
                    *end = now_fs
                }
                _ => scope.stretches.push((self.cell_start_fs, now_fs, label, place)),
            }
            scope.cell = [0; LABELS];
        }
        for count in self.pools.iter_mut().flatten() {
            count.cell = 0;
        }
        self.cell_start_fs = now_fs;
    }

    /// The fleet's label that held longest since the last call.
    pub fn close_interval(&mut self, now_fs: i128) -> Constraint {
        let fleet = self.scopes.len() - 1;
        let scope = &mut self.scopes[fleet];
        scope.advance(now_fs);
        let label = longest(&scope.interval);
        scope.interval = [0; LABELS];
        label.constraint()
    }

    /// Shares and timeline of a site, or of the fleet for `None`; call after the last cell is closed.
    pub fn report(&self, fleet: &Fleet, site: Option<usize>) -> Binding {
        let scope = &self.scopes[site.unwrap_or(self.scopes.len() - 1)];
        let timeline: Vec<Stretch> = scope
            .stretches
            .iter()
            .map(|&(start, end, label, place)| Stretch {
                start_s: s_from_fs(start),
                end_s: s_from_fs(end),
                constraint: label.constraint(),
                place: place_name(fleet, label, place),
            })
            .collect();
        let first = |constraint| timeline.iter().find(|s| s.constraint == constraint).map(|s| s.start_s);
        let first = First { power_s: first(Constraint::Power), cooling_s: first(Constraint::Cooling) };
        Binding { share: self.shares(scope.pools.clone()), timeline, first }
    }

    /// Shares of every pool, from the start of the window up to now.
    pub fn shares_by_pool(&mut self, now_fs: i128) -> Vec<Shares> {
        for count in self.pools.iter_mut().flatten() {
            count.advance(now_fs);
        }
        (0..self.pools.len()).map(|pool| self.pool_shares(pool)).collect()
    }

    /// Shares of one pool.
    pub fn pool_shares(&self, pool: usize) -> Shares {
        self.shares(pool..pool + 1)
    }

    fn shares(&self, pools: std::ops::Range<usize>) -> Shares {
        let mut by = [0_i128; 7];
        let order = Constraint::ALL;
        for counts in &self.pools[pools] {
            for label in Label::ALL.into_iter().filter(|label| *label != Label::Absent) {
                let constraint = label.constraint();
                let slot = order.iter().position(|c| *c == constraint).unwrap_or(0);
                by[slot] += counts[label as usize].window;
            }
        }
        let total: i128 = by.iter().sum();
        let share = |slot: usize| if total > 0 { by[slot] as f64 / total as f64 } else { 0.0 };
        Shares {
            demand: if total > 0 { share(0) } else { 1.0 },
            compute: share(1),
            memory_bandwidth: share(2),
            kv_capacity: share(3),
            power: share(4),
            cooling: share(5),
            operations: share(6),
        }
    }
}

impl Scope {
    fn advance(&mut self, now_fs: i128) {
        let duration = now_fs - self.since_fs;
        self.cell[self.label as usize] += duration;
        self.interval[self.label as usize] += duration;
        self.since_fs = now_fs;
    }
}

/// What a pool says: its counts once half of its GPUs are under other labels than demand, else demand alone.
fn spoken(gpus: &[i64; LABELS]) -> [i64; LABELS] {
    let mut gpus = *gpus;
    gpus[Label::Absent as usize] = 0;
    let all: i64 = gpus.iter().sum();
    if 2 * gpus[Label::Demand as usize] <= all {
        return gpus;
    }
    let mut demand = [0; LABELS];
    demand[Label::Demand as usize] = all;
    demand
}

/// The cause other than demand with most GPUs, else demand; operations only if there is no other.
fn leading(gpus: &[i64; LABELS]) -> Label {
    let mut by = [(0_i64, Constraint::Demand); 7];
    for label in &Label::ALL[1..] {
        let constraint = label.constraint();
        let slot = Constraint::ALL.iter().position(|c| *c == constraint).unwrap_or(0);
        by[slot] = (by[slot].0 + gpus[*label as usize], constraint);
    }
    let others = by.iter().copied().filter(|(_, constraint)| *constraint != Constraint::Operations);
    let (most, constraint) = others.fold((0, Constraint::Demand), |a, b| if b.0 > a.0 { b } else { a });
    let constraint = if most == 0 { Constraint::Operations } else { constraint };
    Label::ALL[1..]
        .iter()
        .copied()
        .filter(|label| label.constraint() == constraint)
        .fold((0, Label::Demand), |a, l| if gpus[l as usize] > a.0 { (gpus[l as usize], l) } else { a })
        .1
}

/// The label with the longest time; the first of equals.
fn longest(durations: &[i128; LABELS]) -> Label {
    Label::ALL
        .iter()
        .copied()
        .fold(
            (0, Label::Demand),
            |a, l| if durations[l as usize] > a.0 { (durations[l as usize], l) } else { a },
        )
        .1
}

fn place_name(fleet: &Fleet, label: Label, place: Place) -> String {
    let name = fleet.graph.pool_name(place.pool);
    let pool = &fleet.pools[place.pool];
    let facility = fleet.sites[pool.site].facility.as_ref();
    match label {
        Label::Demand => "workload".into(),
        Label::PowerMeter | Label::PowerDevice | Label::Brake => facility
            .zip(place.limit)
            .and_then(|(facility, device)| facility.names.get(device))
            .map_or_else(|| fleet.graph.power_device_of(place.pool).into(), Clone::clone),
        Label::Cooling | Label::Operations => facility
            .zip(place.limit.or(pool.zone))
            .and_then(|(facility, zone)| facility.zones.get(zone))
            .map_or_else(|| name.into(), |zone| zone.name.clone()),
        Label::PowerGpuCap => format!("{name}.gpu_cap"),
        Label::GpuTemperature => format!("{name}.gpu_temperature"),
        Label::Host => format!("{name}.host"),
        Label::Link => format!("{name}.link"),
        Label::Compute | Label::MemoryBandwidth | Label::KvCapacity | Label::Failed | Label::Absent => {
            name.into()
        }
    }
}
