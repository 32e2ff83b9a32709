//! What both engines start from: the fleet, its control, the stream of requests, the ledger, the rules of classes.

use crate::control::{PowerControl, Timeline};
use crate::fleet::Fleet;
use crate::ledger::quality;
use crate::ledger::staves::Mix;
use crate::ledger::{Ledger, Terms};
use crate::physics::fs_from_s;
use crate::scenario::Resolved;
use crate::scenario::types::{Arrivals, AtEnd, OnFailure};
use crate::serving::batch::rank_of;
use crate::serving::loads::Loads;
use crate::serving::router::{self, Router};
use crate::workload::{ClassMix, Stream, Workload};

use super::{Probe, SimError};

/// A replica counts as backlogged after this wait where a class has no TTFT limit [s] (PHYSICS D5).
const OVERDUE_S: f64 = 10.0;

/// Rules of a class as the engine needs them.
#[derive(Debug, Clone, Copy)]
pub struct ClassRules {
    /// Place among the queues, 0 first.
    pub priority: usize,
    /// Waiting at least this long makes a replica backlogged [fs].
    pub overdue_fs: i128,
    /// TPOT limit [fs].
    pub tpot_fs: Option<i128>,
    /// Whether a request whose replica fails is sent to another.
    pub retries: bool,
    /// Waiting at most this long [fs].
    pub patience_fs: Option<i128>,
}

/// Everything at t = 0.
pub struct Setup {
    /// The fleet.
    pub fleet: Fleet,
    /// Requests to come.
    pub stream: Stream,
    /// Spreads them.
    pub router: Box<dyn Router>,
    /// What the router sees.
    pub loads: Loads,
    /// The accounts.
    pub ledger: Ledger,
    /// The clocks.
    pub power: PowerControl,
    /// By class.
    pub classes: Vec<ClassRules>,
    /// By pool: whether a closed loop can use it.
    pub closed_loop: Vec<bool>,
    /// Last instant at which requests may arrive [fs].
    pub end_fs: i128,
    /// Whether what is in flight then is finished.
    pub drain: bool,
    /// Start of the measured window [fs].
    pub warm_up_fs: i128,
    /// What breaks and is repaired, in order of time.
    pub failures: Timeline,
    /// Remarks about the inputs.
    pub notes: Vec<String>,
}

/// Build fleet, workload, control and ledger of a scenario.
///
/// # Errors
/// Problems of the fleet, or an unusable input file.
pub fn setup(resolved: &Resolved, keep_requests: bool, probe: Option<&Probe>) -> Result<Setup, SimError> {
    let scenario = &resolved.scenario;
    let fleet = Fleet::build(scenario, &resolved.catalog, &resolved.base_dir).map_err(SimError::Scenario)?;
    let workload = Workload::open(scenario, &resolved.base_dir, &resolved.catalog)
        .map_err(|error| SimError::Input(error.to_string()))?;
    let from_fs = probe.map_or(0, |probe| fs_from_s(probe.arrivals_from_s));
    let stream = workload.stream_from(from_fs).map_err(|error| SimError::Input(error.to_string()))?;
    let ms = |limit: Option<f64>| limit.map(|ms| fs_from_s(ms * 1e-3));
    let classes: Vec<ClassRules> = scenario
        .workload
        .classes
        .iter()
        .map(|class| ClassRules {
            priority: rank_of(class.priority),
            overdue_fs: ms(class.slo.ttft_ms).unwrap_or(fs_from_s(OVERDUE_S)),
            tpot_fs: ms(class.slo.tpot_ms),
            retries: class.on_failure == OnFailure::Retry,
            patience_fs: class.patience_s.map(fs_from_s),
        })
        .collect();
    let terms = scenario
        .workload
        .classes
        .iter()
        .map(|class| Terms { ttft_fs: ms(class.slo.ttft_ms), tpot_fs: ms(class.slo.tpot_ms) })
        .collect();
    let closed_loop = (0..fleet.pools.len())
        .map(|p| {
            (0..classes.len()).any(|class| {
                fleet.pools_of_class[class].contains(&(p as u16))
                    && matches!(scenario.workload.classes[class].arrivals, Arrivals::ClosedLoop(_))
            })
        })
        .collect();
    let mixes: Vec<Mix> = (0..fleet.pools.len())
        .map(|pool| {
            let open: Vec<Part> = (0..classes.len())
                .flat_map(|class| parts_of(&fleet, &workload, class, pool as u16))
                .collect();
            offered_mix(scenario, &open, fleet.pools[pool].prefix_cache)
        })
        .collect();
    let warm_up_fs = fs_from_s(scenario.warm_up_s);
    let mut ledger =
        Ledger::new(&fleet, terms, &mixes, warm_up_fs, scenario.report.interval_s, keep_requests);
    if let Some(probe) = probe {
        ledger.count(&fleet, fs_from_s(probe.from_s), fs_from_s(probe.until_s));
    }
    ledger.judge(quality::promises(scenario, &resolved.catalog, &workload));
    let (router, loads) = router::build(&scenario.routing, &fleet);
    let failures = Timeline::new(scenario, &fleet, workload.duration_fs())
        .map_err(|problem| SimError::Scenario(vec![problem]))?;
    Ok(Setup {
        power: PowerControl::new(&fleet, &failures),
        failures,
        stream,
        router,
        loads,
        ledger,
        classes,
        closed_loop,
        end_fs: workload.duration_fs(),
        drain: scenario.at_end == AtEnd::Drain,
        warm_up_fs,
        notes: workload.notes(),
        fleet,
    })
}

/// What of a class a pool is open to: all of it, the problems with one of the predictor's flags, or a leg.
struct Part {
    class: usize,
    mix: ClassMix,
    /// How often a request of the class is one of these.
    share: f64,
    /// Mean output of a request of the class, of legs at once that of one [tokens]: as long it stays.
    class_output_tok: f64,
}

fn parts_of(fleet: &Fleet, workload: &Workload, class: usize, pool: u16) -> Vec<Part> {
    if fleet.pools_of_leg[class].is_empty() {
        return part_of(fleet, workload, class, pool).into_iter().collect();
    }
    let legs = &workload.mix_by_leg()[class];
    let requests = legs.first().map_or(1, |first| first.n).max(1) as f64;
    let share = |mix: &ClassMix| mix.n as f64 / requests;
    let all_tok: f64 = legs.iter().map(|mix| share(mix) * mix.mean_output_tok).sum();
    let class_output_tok = all_tok / workload.legs_at_once(class as u16);
    let open = |leg: &usize| fleet.pools_of_leg[class][*leg].contains(&pool);
    (0..legs.len())
        .filter(open)
        .map(|leg| Part { class, mix: legs[leg], share: share(&legs[leg]), class_output_tok })
        .collect()
}

fn part_of(fleet: &Fleet, workload: &Workload, class: usize, pool: u16) -> Option<Part> {
    let whole = workload.mix()[class];
    let by_flag = &workload.mix_by_flag()[class];
    let mix = match [0, 1].map(|flag: usize| fleet.pools_by_flag[class][flag].contains(&pool)) {
        [true, true] => whole,
        [true, false] => by_flag[0],
        [false, true] => by_flag[1],
        [false, false] => return None,
    };
    let share = mix.n as f64 / whole.n.max(1) as f64;
    Some(Part { class, mix, share, class_output_tok: whole.mean_output_tok })
}

/// Mean tokens of the classes a pool is open to, by their share of requests. Closed loops fill whatever is free,
/// so where there are any, they are the mix: in proportion to in_flight over the time a request stays. `caches`: the
/// pool keeps shared prefixes.
fn offered_mix(scenario: &crate::scenario::Scenario, parts: &[Part], caches: bool) -> Mix {
    let in_flight = |class: usize| match &scenario.workload.classes[class].arrivals {
        Arrivals::ClosedLoop(closed) => Some(closed.in_flight as f64),
        _ => None,
    };
    let any_closed = parts.iter().any(|part| in_flight(part.class).is_some());
    let mut sum = Mix {
        prompt_tok: 0.0,
        output_tok: 0.0,
        prompt_output: 0.0,
        output_sq: 0.0,
        prompt_sq: 0.0,
        cached_tok: 0.0,
        cached_output: 0.0,
        cached_sq: 0.0,
        tpot_s: None,
    };
    let mut total = 0.0;
    for &Part { class, ref mix, share, class_output_tok } in parts {
        let weight = match (in_flight(class), mix.requests_per_s) {
            (Some(slots), _) => slots * share / class_output_tok.max(1.0),
            (None, Some(rate)) if !any_closed => rate,
            _ => 0.0,
        };
        total += weight;
        sum.prompt_tok += weight * mix.mean_prompt_tok;
        sum.output_tok += weight * mix.mean_output_tok;
        sum.prompt_output += weight * mix.mean_prompt_times_output;
        sum.output_sq += weight * mix.mean_output_sq;
        sum.prompt_sq += weight * mix.mean_prompt_sq;
        if caches {
            sum.cached_tok += weight * mix.mean_prefix_tok;
            sum.cached_output += weight * mix.mean_prefix_times_output;
            sum.cached_sq += weight * mix.mean_prefix_sq;
        }
        if let Some(ms) = scenario.workload.classes[class].slo.tpot_ms {
            sum.tpot_s = Some(sum.tpot_s.map_or(ms * 1e-3, |least: f64| least.min(ms * 1e-3)));
        }
    }
    if total > 0.0 {
        for value in [
            &mut sum.prompt_tok,
            &mut sum.output_tok,
            &mut sum.prompt_output,
            &mut sum.output_sq,
            &mut sum.prompt_sq,
            &mut sum.cached_tok,
            &mut sum.cached_output,
            &mut sum.cached_sq,
        ] {
            *value /= total;
        }
    } else {
        // A pool that no class may use, or a workload without requests: one token in, one out.
        sum = Mix {
            prompt_tok: 1.0,
            output_tok: 1.0,
            prompt_output: 1.0,
            output_sq: 1.0,
            prompt_sq: 1.0,
            ..sum
        };
    }
    sum
}
