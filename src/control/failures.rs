//! What breaks and is repaired in a run, and when.
//!
//! Random failures are a renewal process per part, each from a stream of its own (seed, number of the entry, number of
//! the part): neither the workload nor another failure shifts them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand_distr::Exp1;
use rand_pcg::Pcg64Mcg;

use crate::fleet::Fleet;
use crate::physics::{fs_from_s, s_from_fs};
use crate::scenario::Problem;
use crate::scenario::types::{Failure, FailureTimes, Part, Scenario};
use crate::workload::random::{Key, Purpose};

/// Most events of a run: more is a slip of a unit.
const MOST_EVENTS: usize = 2_000_000;
const S_PER_H: f64 = 3600.0;
/// What would come later does not come: arrivals end within 1e9 s, and keys of events hold 2^80 fs, 1.2e9 s [fs].
const FAR_FS: i128 = 1_100_000_000 * 1_000_000_000_000_000;

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

/// All failures and repairs of a run, in order of time; at one instant repairs come first. It has no end: what a run
/// drains after its last arrival breaks as before.
#[derive(Debug, Default)]
pub struct Timeline {
    due: BinaryHeap<Reverse<Due>>,
    sources: Vec<Source>,
    /// Events yet to be drawn before this is a slip of a unit.
    left: usize,
}

/// An event to come, in the order in which they come.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_fs: i128,
    breaks: bool,
    source: usize,
}

/// What breaks together, by a list or again and again.
#[derive(Debug)]
struct Source {
    site: usize,
    what: Broken,
    renewal: Option<Renewal>,
}

/// A part that breaks and is repaired for ever.
#[derive(Debug)]
struct Renewal {
    random: Pcg64Mcg,
    mtbf_s: f64,
    mttr_s: f64,
    /// When it is repaired of what comes next, or came last [s].
    repaired_s: f64,
    /// Where its numbers stand in the scenario.
    path: String,
}

impl Renewal {
    /// When it breaks next [fs]; draws the repair too.
    fn next_fs(&mut self) -> i128 {
        let (up, down): (f64, f64) = (self.random.sample(Exp1), self.random.sample(Exp1));
        let breaks_s = self.repaired_s + up * self.mtbf_s;
        self.repaired_s = breaks_s + down * self.mttr_s;
        fs_from_s(breaks_s)
    }

    fn too_many(&self) -> Problem {
        Problem {
            path: format!("{}.when.random", self.path),
            message: format!("makes more than {MOST_EVENTS} failures and repairs in this run; raise mtbf_h"),
        }
    }
}

impl Timeline {
    /// What breaks in a run with `duration_fs` of arrivals.
    ///
    /// # Errors
    /// A part that is not there, or too many events.
    pub fn new(scenario: &Scenario, fleet: &Fleet, duration_fs: i128) -> Result<Self, Problem> {
        let mut timeline = Self { due: BinaryHeap::new(), sources: Vec::new(), left: MOST_EVENTS };
        let hour_fs = |hours: f64| fs_from_s((hours - scenario.start_at_h) * S_PER_H);
        let mut expected = 0.0;
        for (number, failure) in scenario.failures.iter().enumerate() {
            let path = format!("failures.{number}");
            let (site, parts) = parts_of(failure, fleet, &path)?;
            match &failure.when {
                FailureTimes::At(outages) => {
                    let spans: Vec<Span> = outages
                        .iter()
                        .map(|outage| {
                            let until_fs = outage.for_h.map(|hours| hour_fs(outage.at_h + hours));
                            (hour_fs(outage.at_h).max(0), until_fs)
                        })
                        .filter(|(_, until_fs)| until_fs.is_none_or(|until_fs| until_fs > 0))
                        .collect();
                    for what in together(&parts) {
                        timeline.listed(site, what, &spans);
                    }
                }
                FailureTimes::Random(times) => {
                    let key = Key::new(scenario.seed, Purpose::Failure, number as u16);
                    let cycle_s = (times.mtbf_h + times.mttr_h) * S_PER_H;
                    expected += 2.0 * parts.len() as f64 * s_from_fs(duration_fs) / cycle_s;
                    for (part, what) in parts.into_iter().enumerate() {
                        let renewal = Renewal {
                            random: key.generator(part as u64),
                            mtbf_s: times.mtbf_h * S_PER_H,
                            mttr_s: times.mttr_h * S_PER_H,
                            repaired_s: 0.0,
                            path: path.clone(),
                        };
                        if expected > MOST_EVENTS as f64 {
                            return Err(renewal.too_many());
                        }
                        timeline.random(site, what, renewal);
                    }
                }
            }
        }
        for pool in &fleet.pools {
            // Nodes that are not there are as those that failed, but for their label.
            let there = &pool.installed_fs;
            let before = (there.start > 0).then_some((0, Some(there.start)));
            let after = (there.end < i128::MAX).then_some((there.end, None));
            let spans: Vec<Span> = before.into_iter().chain(after).collect();
            timeline.listed(pool.site, Broken::Replicas(pool.replicas.clone()), &spans);
        }
        Ok(timeline)
    }

    fn listed(&mut self, site: usize, what: Broken, spans: &[Span]) {
        if spans.is_empty() {
            return;
        }
        let source = self.sources.len();
        self.sources.push(Source { site, what, renewal: None });
        for &(from_fs, until_fs) in spans {
            self.push(Due { at_fs: from_fs, breaks: true, source });
            if let Some(until_fs) = until_fs {
                self.push(Due { at_fs: until_fs.max(from_fs), breaks: false, source });
            }
        }
    }

    fn random(&mut self, site: usize, what: Broken, mut renewal: Renewal) {
        let due = Due { at_fs: renewal.next_fs(), breaks: true, source: self.sources.len() };
        self.push(due);
        self.sources.push(Source { site, what, renewal: Some(renewal) });
    }

    fn push(&mut self, due: Due) {
        if due.at_fs < FAR_FS {
            self.due.push(Reverse(due));
        }
    }

    /// When something breaks or is repaired next [fs].
    #[must_use]
    pub fn peek_fs(&self) -> Option<i128> {
        self.due.peek().map(|Reverse(due)| due.at_fs)
    }

    /// What breaks or is repaired next.
    ///
    /// # Errors
    /// Too many events.
    pub fn pop(&mut self) -> Result<Option<FailureEvent>, Problem> {
        let Some(Reverse(due)) = self.due.pop() else { return Ok(None) };
        let source = &mut self.sources[due.source];
        let event = FailureEvent {
            at_fs: due.at_fs,
            site: source.site,
            what: source.what.clone(),
            breaks: due.breaks,
        };
        if let Some(renewal) = &mut source.renewal {
            self.left = self.left.checked_sub(1).ok_or_else(|| renewal.too_many())?;
            // Not at one instant: repairs come first there, and it would stay broken.
            let at_fs =
                if due.breaks { fs_from_s(renewal.repaired_s).max(due.at_fs + 1) } else { renewal.next_fs() };
            self.push(Due { at_fs, breaks: !due.breaks, source: due.source });
        }
        Ok(Some(event))
    }

    /// Whether power devices, chillers or plants of a site may break.
    #[must_use]
    pub fn breaks_building(&self, site: usize) -> bool {
        self.sources.iter().any(|source| source.site == site && !matches!(source.what, Broken::Replicas(_)))
    }
}

/// From when to when something is broken [fs]; to the end, if never repaired.
type Span = (i128, Option<i128>);

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
