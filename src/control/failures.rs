//! What breaks and is repaired in a run: the whole timeline, drawn before it starts.
//!
//! Random failures are a renewal process per part, each from a stream of its own (seed, number of the entry, number of
//! the part): neither the workload nor another failure shifts them.

use rand::RngExt;
use rand_distr::Exp1;

use crate::fleet::Fleet;
use crate::physics::fs_from_s;
use crate::scenario::Problem;
use crate::scenario::types::{Failure, FailureTimes, Part, Scenario};
use crate::workload::random::{Key, Purpose};

/// Most events of a run: more is a slip of a unit.
const MOST_EVENTS: usize = 2_000_000;
const S_PER_H: f64 = 3600.0;

/// Something breaks, or is repaired.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureEvent {
    /// When [fs].
    pub at_fs: i128,
    /// Its site.
    pub site: usize,
    /// What.
    pub what: Broken,
    /// It breaks; else it is repaired.
    pub breaks: bool,
}

impl FailureEvent {
    /// The replicas on nodes that break or are repaired.
    #[must_use]
    pub fn replicas(&self) -> std::ops::Range<usize> {
        match &self.what {
            Broken::Replicas(replicas) => replicas.clone(),
            _ => 0..0,
        }
    }
}

/// A part that is broken.
#[derive(Debug, Clone, PartialEq)]
pub enum Broken {
    /// Replicas of one or more nodes.
    Replicas(std::ops::Range<usize>),
    /// A power device, by its number in the site.
    Device(usize),
    /// So many modules of a power device.
    Modules(usize, u32),
    /// A share of a zone's chillers.
    Chillers(usize, f64),
    /// A share of a zone's plant.
    Plant(usize, f64),
}

/// All failures and repairs of a run that ends at `end_fs`, in order of time; at one instant repairs come first.
///
/// # Errors
/// A part that is not there, or too many events.
pub fn timeline(scenario: &Scenario, fleet: &Fleet, end_fs: i128) -> Result<Vec<FailureEvent>, Problem> {
    let mut events = Vec::new();
    for (number, failure) in scenario.failures.iter().enumerate() {
        let path = format!("failures.{number}");
        let (site, parts) = parts_of(failure, fleet, &path)?;
        match &failure.when {
            FailureTimes::At(outages) => {
                let whole = together(&parts);
                for outage in outages {
                    let from_fs = fs_from_s((outage.at_h - scenario.start_at_h) * S_PER_H).max(0);
                    let until_fs = outage
                        .for_h
                        .map(|hours| fs_from_s((outage.at_h + hours - scenario.start_at_h) * S_PER_H));
                    if until_fs.is_some_and(|until_fs| until_fs <= 0) {
                        continue;
                    }
                    for what in &whole {
                        push(&mut events, site, what, (from_fs, until_fs), end_fs);
                    }
                }
            }
            FailureTimes::Random(times) => {
                let key = Key::new(scenario.seed, Purpose::Failure, number as u16);
                for (part, what) in parts.iter().enumerate() {
                    let mut random = key.generator(part as u64);
                    let mut at_s = 0.0;
                    let end_s = crate::physics::s_from_fs(end_fs);
                    loop {
                        let (up, down): (f64, f64) = (random.sample(Exp1), random.sample(Exp1));
                        at_s += up * times.mtbf_h * S_PER_H;
                        if at_s > end_s {
                            break;
                        }
                        let until_s = at_s + down * times.mttr_h * S_PER_H;
                        let span = (fs_from_s(at_s), Some(fs_from_s(until_s)));
                        push(&mut events, site, what, span, end_fs);
                        at_s = until_s;
                        if events.len() > MOST_EVENTS {
                            return Err(Problem {
                                path: format!("{path}.when.random"),
                                message: format!(
                                    "makes more than {MOST_EVENTS} failures and repairs in this run; raise mtbf_h"
                                ),
                            });
                        }
                    }
                }
            }
        }
    }
    for pool in &fleet.pools {
        // Nodes that are not there are as those that failed, but for their label.
        let (from_fs, until_fs) = (pool.installed_fs.start, pool.installed_fs.end);
        let what = Broken::Replicas(pool.replicas.clone());
        if from_fs > 0 {
            push(&mut events, pool.site, &what, (0, Some(from_fs)), end_fs);
        }
        if until_fs <= end_fs {
            push(&mut events, pool.site, &what, (until_fs, None), end_fs);
        }
    }
    // A stable sort: what happens at one instant keeps the order of the entries, repairs first.
    events.sort_by_key(|event| (event.at_fs, event.breaks));
    Ok(events)
}

fn push(
    events: &mut Vec<FailureEvent>,
    site: usize,
    what: &Broken,
    (from_fs, until_fs): (i128, Option<i128>),
    end_fs: i128,
) {
    if from_fs > end_fs {
        return;
    }
    events.push(FailureEvent { at_fs: from_fs, site, what: what.clone(), breaks: true });
    if let Some(at_fs) = until_fs {
        events.push(FailureEvent { at_fs: at_fs.max(from_fs), site, what: what.clone(), breaks: false });
    }
}

/// Parts that break together: neighbouring replicas as one, modules as a number of them.
fn together(parts: &[Broken]) -> Vec<Broken> {
    match (parts.first(), parts.last()) {
        (Some(Broken::Replicas(first)), Some(Broken::Replicas(last))) => {
            vec![Broken::Replicas(first.start..last.end)]
        }
        (Some(Broken::Modules(device, _)), Some(_)) => vec![Broken::Modules(*device, parts.len() as u32)],
        _ => parts.to_vec(),
    }
}

/// The parts of an entry that can each break alone, and their site.
fn parts_of(failure: &Failure, fleet: &Fleet, path: &str) -> Result<(usize, Vec<Broken>), Problem> {
    let unknown = |what: &str, name: &str| Problem {
        path: format!("{path}.of"),
        message: format!("no {what} is called '{name}'"),
    };
    match &failure.of {
        Part::Nodes(nodes) => {
            let full = |pool: &crate::fleet::Pool| format!("{}.{}", fleet.sites[pool.site].name, pool.name);
            let pool = fleet.pools.iter().find(|pool| pool.name == nodes.pool || full(pool) == nodes.pool);
            let pool = pool.ok_or_else(|| unknown("pool", &nodes.pool))?;
            let (per_node, per_replica) = (pool.gpus_per_node as usize, pool.gpus_per_replica as usize);
            let count = nodes.count.map_or(pool.nodes, |count| pool.nodes.min(count as usize));
            // A replica stands on part of a node, or on several.
            let on = |node: usize| {
                let first = pool.replicas.start + node * per_node / per_replica;
                let end = pool.replicas.start + ((node + 1) * per_node - 1) / per_replica + 1;
                Broken::Replicas(first.min(pool.replicas.end)..end.min(pool.replicas.end))
            };
            Ok((pool.site, (0..count).map(on).collect()))
        }
        Part::Device(name) => {
            let (site, device) = device_named(fleet, name).ok_or_else(|| unknown("power device", name))?;
            Ok((site, vec![Broken::Device(device)]))
        }
        Part::UpsModules(modules) => {
            let (site, device) = device_named(fleet, &modules.device)
                .ok_or_else(|| unknown("power device", &modules.device))?;
            Ok((site, vec![Broken::Modules(device, 1); modules.count as usize]))
        }
        Part::Chillers(lost) | Part::Cooling(lost) => {
            let (site, zone) =
                zone_named(fleet, &lost.zone).ok_or_else(|| unknown("cooling zone", &lost.zone))?;
            let part = match failure.of {
                Part::Chillers(_) => Broken::Chillers(zone, lost.share),
                _ => Broken::Plant(zone, lost.share),
            };
            Ok((site, vec![part]))
        }
    }
}

/// Site and number of a power device; `<site>.` may be left out.
fn device_named(fleet: &Fleet, name: &str) -> Option<(usize, usize)> {
    fleet.sites.iter().enumerate().find_map(|(number, site)| {
        let names = &site.facility.as_ref()?.names;
        Some((number, names.iter().position(|full| is_called(full, &site.name, name))?))
    })
}

/// Site and number of a cooling zone; `<site>.` may be left out.
fn zone_named(fleet: &Fleet, name: &str) -> Option<(usize, usize)> {
    fleet.sites.iter().enumerate().find_map(|(number, site)| {
        let zones = &site.facility.as_ref()?.zones;
        Some((number, zones.iter().position(|zone| is_called(&zone.name, &site.name, name))?))
    })
}

/// Whether `full`, `<site>.<name>`, is meant by a name with or without its site.
fn is_called(full: &str, site: &str, name: &str) -> bool {
    full == name || full.strip_prefix(site).and_then(|rest| rest.strip_prefix('.')) == Some(name)
}
