//! The property: on any small fleet the segment engine and the stepwise oracle come to the same, to the last bit. A
//! fleet on which they do not is shrunk to a small one.
//!
//! `WATTMILL_CASES` and `WATTMILL_SEED` choose how many and which fleets. A case hangs on the seed and its number
//! alone, so the same ones come at any number of threads, and the first that fails is always the same.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rayon::prelude::*;
use tempfile::TempDir;
use wattmill::engine::{PlantedFault, SimError, simulate_with_fault};
use wattmill::fleet::Fleet;
use wattmill::ledger::outcome::{Outcome, SiteSummary};
use wattmill::physics::clock::Clock;
use wattmill::scenario::{self, LoadOptions, Resolved};
use wattmill::{EngineKind, SimOptions, simulate};

use crate::engines::{Tally, difference};
use crate::fleet_case::{FleetCase, fleets};
use crate::fleet_yaml::Peak;
use crate::windows::short_windows;

/// Cases of a usual run.
const CASES: u64 = 2000;
/// Cases between two looks whether one has failed.
const BLOCK: u64 = 64;
/// Cases between two lines on how far a long run is.
const TELL_EVERY: u64 = 10_000;
/// Most runs spent on making a failing case small.
const MOST_SHRINKS: u32 = 10_000;

/// Looks of both engines at the outside world, one every 65,536 events, after which a case is too long.
const MOST_LOOKS: u32 = 256;

/// What comparing the engines on a case says.
pub enum Verdict {
    /// Nothing differs; the segment engine's outcome.
    Equal(Box<Outcome>),
    /// What differs, the earliest first.
    Different(String),
    /// It is no scenario: a mistake of the generator.
    Refused(String),
}

/// A case on which the engines differ, and what became of it.
pub struct Counterexample {
    /// The scenario of the smallest found, and the first request and instant that differ.
    pub told: String,
    /// Replicas of the smallest found, and requests that come in it.
    pub replicas: u64,
    pub requests: u64,
    /// Runs it took to make it small.
    pub shrinks: u32,
}

fn load(dir: &Path) -> Result<Resolved, String> {
    scenario::load(&dir.join("case.yaml"), &LoadOptions::new(short_windows()))
        .map_err(|error| error.to_string())
}

/// What the sites draw without limits; `None` if nothing would be limited.
fn peaks(case: &FleetCase, dir: &Path) -> Result<Option<Vec<Peak>>, String> {
    if !case.is_limited() {
        return Ok(None);
    }
    case.write(dir, None);
    let free = simulate(&load(dir)?, &SimOptions::default()).map_err(|error| error.to_string())?;
    let of = |site: &SiteSummary| Peak { it_w: site.power_w.it.max, facility_w: site.power_w.facility.max };
    Ok(Some(free.summary.per_site.iter().map(of).collect()))
}

/// A policy that plans keeps the cap: P ≤ cap but for the iterations in flight when it fell. Says where it does not.
fn overshoot(resolved: &Resolved, outcome: &Outcome) -> Option<String> {
    // Who boots after a failure draws watts at once, and others come down at their next boundaries.
    if !resolved.scenario.failures.is_empty() {
        return None;
    }
    if outcome.summary.notes.iter().any(|note| note.contains("it cannot be kept")) {
        return None;
    }
    let fleet = Fleet::build(&resolved.scenario, &resolved.catalog, &resolved.base_dir).ok()?;
    let sites = fleet.sites.iter().zip(&outcome.summary.per_site);
    for (site, summary) in sites.filter(|(site, _)| site.facility.is_none() && site.policy.plans_power()) {
        let longest_s = fleet.pools[site.pools.clone()].iter().map(|pool| {
            let kv_tok = pool.kv_blocks as f64 * f64::from(pool.block_tok);
            let lowest = Clock::at(pool.power.clock.min_share, &pool.power.clock);
            pool.step.longest_s(pool.max_seqs, kv_tok, &lowest)
        });
        let falls = site.cap.windows(2).filter(|levels| levels[1].it_nw < levels[0].it_nw).count();
        // Nodes that are installed draw watts at once, likewise.
        let arrivals =
            fleet.pools[site.pools.clone()].iter().filter(|pool| pool.installed_fs.start > 0).count();
        let (above_s, most_s) =
            (summary.power_w.overshoot_s, (falls + arrivals) as f64 * longest_s.fold(0.0, f64::max));
        if above_s > most_s {
            let policy = site.policy.name();
            return Some(format!(
                "the cap is not kept\n{}, {policy}: {above_s} s above it, at most {most_s} s",
                site.name
            ));
        }
    }
    None
}

/// Run both engines on a case, the oracle with a mistake if there is to be one.
pub fn compare(case: &FleetCase, dir: &Path, fault: Option<PlantedFault>) -> Verdict {
    let loaded = peaks(case, dir).and_then(|peaks| {
        case.write(dir, peaks.as_deref());
        load(dir)
    });
    let resolved = match loaded {
        Ok(resolved) => resolved,
        Err(error) => return Verdict::Refused(error),
    };
    // An engine that never ends is a difference, too; it looks up every so many events.
    let looks = AtomicU32::new(0);
    let goes_on = |_: f64, _: u64| looks.fetch_add(1, Ordering::Relaxed) < MOST_LOOKS;
    let options = |engine| SimOptions { engine, keep_requests: true, progress: Some(&goes_on) };
    let segments = simulate(&resolved, &options(EngineKind::Segments));
    let stepwise = match fault {
        Some(fault) => simulate_with_fault(&resolved, &options(EngineKind::Stepwise), fault),
        None => simulate(&resolved, &options(EngineKind::Stepwise)),
    };
    match (segments, stepwise) {
        (Ok(segments), Ok(stepwise)) => match difference(&segments, &stepwise) {
            None => match overshoot(&resolved, &segments) {
                None => Verdict::Equal(Box::new(segments)),
                Some(above) => Verdict::Different(above),
            },
            Some(difference) => Verdict::Different(difference),
        },
        (segments, stepwise) => {
            let said = |result: Result<Outcome, SimError>| {
                result.map_or_else(|error| error.to_string(), |_| "fine".into())
            };
            Verdict::Different(format!("segments / stepwise\n  {}\n  {}\n", said(segments), said(stepwise)))
        }
    }
}

/// One case of a run.
fn case(seed: u64, number: u64) -> FleetCase {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    // No file of failures: the same cases everywhere.
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    fleets().new_tree(&mut runner).expect("a strategy without filters").current()
}

/// Shrink the case of a run on which the engines differ; `None` if they do not.
pub fn shrink(seed: u64, number: u64, fault: Option<PlantedFault>) -> Option<Counterexample> {
    let dir = tempfile::tempdir().expect("temporary folder");
    let mut shrinks = 0;
    let mut case = case(seed, number);
    let Verdict::Different(mut told) = verdict(&case, dir.path(), fault) else { return None };
    // A difference that names a request is not made a smaller one of joules alone.
    let named = names_a_request(&told);
    let mut smaller = |candidates: fn(&FleetCase) -> Vec<FleetCase>| {
        let (mut at, mut helped) = (0, false);
        // Each part is tried once, what comes after one that can go from its place on.
        while shrinks < MOST_SHRINKS
            && let Some((place, less, difference)) =
                candidates(&case).into_iter().enumerate().skip(at).find_map(|(place, less)| {
                    shrinks += 1;
                    match verdict(&less, dir.path(), fault) {
                        Verdict::Different(told) if !named || names_a_request(&told) => {
                            Some((place, less, told))
                        }
                        _ => None,
                    }
                })
        {
            (at, case, told, helped) = (place, less, difference, true);
        }
        helped
    };
    while smaller(FleetCase::with_less) || smaller(FleetCase::with_two_less) {}
    let peaks = peaks(&case, dir.path()).ok()?;
    case.write(dir.path(), peaks.as_deref());
    let summary =
        simulate(&load(dir.path()).ok()?, &SimOptions::default()).ok().map(|outcome| outcome.summary);
    Some(Counterexample {
        told: format!("{}\n{told}", case.shown(peaks.as_deref())),
        replicas: summary.iter().flat_map(|summary| &summary.per_pool).map(|pool| pool.replicas).sum(),
        requests: summary.map_or(0, |summary| summary.requests.arrived),
        shrinks,
    })
}

fn names_a_request(told: &str) -> bool {
    told.contains(" requests differ, first at ")
}

/// The first of these cases, where nothing breaks, on which the engines differ over a request.
pub fn first_different(seed: u64, mut numbers: Range<u64>, fault: Option<PlantedFault>) -> Option<u64> {
    let dir = tempfile::tempdir().expect("temporary folder");
    numbers.find(|&number| {
        let case = case(seed, number);
        if !case.breakage.failures.is_empty() || case.installed.is_some() {
            return false;
        }
        let compared = compare(&case, dir.path(), fault);
        matches!(compared, Verdict::Different(told) if names_a_request(&told))
    })
}

/// As [`compare`]; a panic of an engine is a difference, too, and to be shrunk.
fn verdict(case: &FleetCase, dir: &Path, fault: Option<PlantedFault>) -> Verdict {
    std::panic::catch_unwind(|| compare(case, dir, fault))
        .unwrap_or_else(|_| Verdict::Different("an engine panicked\n".into()))
}

/// Compare one case.
fn compared(seed: u64, number: u64, dir: &TempDir, tally: &mut Tally) -> Result<(), String> {
    let case = case(seed, number);
    match verdict(&case, dir.path(), None) {
        Verdict::Equal(outcome) => {
            tally.add(&outcome);
            Ok(())
        }
        Verdict::Different(difference) => Err(difference),
        Verdict::Refused(error) => Err(format!("no scenario: {error}\n{}", case.shown(None))),
    }
}

fn number_from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is '{text}'; expected a number")),
        Err(_) => default,
    }
}

#[test]
fn random_fleets_are_equal() {
    let (cases, seed) = (number_from_env("WATTMILL_CASES", CASES), number_from_env("WATTMILL_SEED", 1));
    let mut tally = Tally::default();
    for from in (0..cases).step_by(BLOCK as usize) {
        let block: Vec<(Tally, Result<(), String>)> = (from..cases.min(from + BLOCK))
            .into_par_iter()
            .map_init(
                || tempfile::tempdir().expect("temporary folder"),
                |dir, number| {
                    let mut tally = Tally::default();
                    let result = compared(seed, number, dir, &mut tally);
                    (tally, result)
                },
            )
            .collect();
        for (number, (one, result)) in (from..).zip(block) {
            tally.join(&one);
            if let Err(difference) = result {
                let told = match shrink(seed, number, None) {
                    Some(small) => format!("shrunk in {} runs:\n{}", small.shrinks, small.told),
                    None => format!("cannot be shrunk:\n{difference}"),
                };
                panic!(
                    "the engines differ in case {number} of WATTMILL_SEED={seed}: {}\n{told}",
                    difference.lines().nth(1).unwrap_or_default()
                );
            }
        }
        if from / TELL_EVERY != (from + BLOCK) / TELL_EVERY {
            println!("{} of {cases} cases: {tally:?}", from + BLOCK);
        }
    }
    println!("seed {seed}: {tally:?}");
    // Of the usual number of cases: what is compared must not become tame.
    if cases >= CASES {
        let floors = [
            ("preemptions", tally.preemptions, 10_000),
            ("clock changes", tally.clock_changes, 50_000),
            ("waits for watts", tally.power_waits, 4_000),
            ("stages of zones", tally.zone_stages, 400),
            ("throttles by zones", tally.zone_throttles, 20_000),
            ("throttles by GPUs", tally.gpu_throttles, 20_000),
            ("shed by critical zones", tally.overheated, 100),
            ("sent on from failed replicas", tally.retried, 1_000),
            ("lost with failed replicas", tally.lost, 300),
            ("refused, none being up", tally.unavailable, 300),
            ("fleets that speculate", tally.speculating, 300),
            ("tokens found in prefix caches", tally.cached_tok, 300_000),
            ("answers in several legs", tally.in_legs, 3_000),
            ("their legs", tally.legs, 12_000),
            ("legs that failed", tally.legs_failed, 1_000),
        ];
        for (what, count, floor) in floors {
            assert!(count > floor * (cases / CASES), "{what}: {tally:?}");
        }
    }
}
