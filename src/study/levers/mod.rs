//! Levers measured by ablation: what each adds to tokens per megawatt and takes from joules per token, at equal quality
//! and service.
//!
//! The scenario is run without levers and with every subset of them, under the same seeds. In each subset thinking budgets
//! are solved anew, so that every class is right as often as is asked (`quality`), and so is the load, so that as many
//! requests meet their SLO (`load`). Effects are ratios; their logarithms are shared out among the levers ([`shapley`]),
//! so that the shares sum to the joint effect.

mod goods;
mod load;
mod quality;
pub mod shapley;

use rayon::prelude::*;

pub use goods::{GOODS, Good};
pub use load::Load;
pub use quality::HeldClass;

use super::batch::{Progress, StudyError};
use super::paired::Mean;
use super::replications;
use crate::ledger::outcome::{Constraint, Stretch, Summary};
use crate::scenario::lever::{overlap, path_of};
use crate::scenario::types::Scenario;
use crate::scenario::{Draft, LoadOptions, Problem, Resolved};

/// A stave is moved if it changes by more than this [natural logarithm].
const MOVED: f64 = 0.01;
/// Shares of GPU time below this do not name what binds.
const BINDS: f64 = 0.001;
/// Share of the rest of a run that makes a label last.
const FOR_GOOD: f64 = 0.9;
/// Seeds of the curves: they are drawn, not judged.
const CURVE_SEEDS: usize = 2;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// At which load.
    pub load: Load,
    /// Replications; at least 2.
    pub seeds: u32,
    /// Orders that are drawn where there are more than [`shapley::MOST_EXACT`] levers.
    pub orders: u32,
    /// Accuracies at which the energy of an answer is looked at, beside the one that is held; 0: none.
    pub curve: u32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Names of the levers.
    pub levers: Vec<String>,
    /// What each sets.
    pub sets: Vec<Vec<String>>,
    /// Accuracies that are held, of classes with difficulty.
    pub held: Vec<HeldClass>,
    /// Whether megawatts are those of a cap; else those drawn.
    pub per_cap: bool,
    /// Seeds of the replications.
    pub seeds: Vec<u64>,
    /// Orders drawn; none where all subsets were looked at.
    pub orders: Option<u32>,
    /// Every subset that was looked at, by mask.
    pub subsets: Vec<Subset>,
    /// Shares, by lever; none while a subset that counts has no result.
    pub shares: Option<Shares>,
    /// Accuracy against energy: without levers, with each alone, with all.
    pub curves: Vec<Curve>,
}

/// Shares of the joint effect, as natural logarithms of factors, in the order of [`Good::ALL`]; none where a subset lacks
/// the number.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// By lever.
    pub by_lever: Vec<[Option<Mean>; GOODS]>,
    /// Of each lever pulled alone.
    pub alone: Vec<[Option<Mean>; GOODS]>,
    /// Of each lever pulled last.
    pub last: Vec<[Option<Mean>; GOODS]>,
    /// Of all together.
    pub joint: [Option<Mean>; GOODS],
    /// What they do together beyond what each does alone.
    pub interaction: [Option<Mean>; GOODS],
}

/// A subset of levers.
#[derive(Debug, Clone, PartialEq)]
pub struct Subset {
    /// Bit k: lever k is pulled.
    pub mask: u32,
    /// Seed by seed, or why there is nothing.
    pub result: Result<Vec<Run>, Unreached>,
}

/// What is kept of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// In the order of [`Good::ALL`].
    pub goods: [Option<f64>; GOODS],
    /// Factor on the scenario's own load.
    pub load: f64,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Share of requests within their SLO.
    pub slo_attainment: Option<f64>,
    /// Shares of GPU time by what binds.
    pub binding: [f64; 7],
    /// Since when power, and since when cooling, binds for good [s]: nine tenths of what is left of the run and more; none
    /// if it does not.
    pub lasting_s: [Option<f64>; 2],
}

/// Why a subset has no result.
#[derive(Debug, Clone, PartialEq)]
pub enum Unreached {
    /// Classes cannot be right as often as is asked, however long they think: at least one.
    Quality(Vec<Missed>),
    /// At no load do as many requests meet their SLO.
    Service {
        /// What is asked.
        target: f64,
        /// The most that was seen.
        best: f64,
    },
    /// It makes no fleet, in words.
    Build(String),
}

/// A class that cannot be right as often as is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// The class.
    pub class: String,
    /// What is asked.
    pub target: f64,
    /// The most it can reach.
    pub best: f64,
}

/// Accuracy against the energy of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Levers pulled.
    pub mask: u32,
    /// Mean accuracy as measured and joules at the meter per accepted answer, by rising accuracy; the one that is held
    /// among them is marked.
    pub points: Vec<(f64, f64, bool)>,
}

impl Subset {
    /// Mean over the seeds; none if one has none.
    #[must_use]
    pub fn mean(&self, good: Good) -> Option<f64> {
        self.mean_of(|run| run.goods[good as usize])
    }

    /// Mean of another number.
    #[must_use]
    pub fn mean_of(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let runs = self.result.as_ref().ok()?;
        let values: Vec<f64> = runs.iter().map(of).collect::<Option<_>>()?;
        Some(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }

    /// What binds most GPU time, demand apart; none if nothing else does.
    #[must_use]
    pub fn binding(&self) -> Option<(Constraint, f64)> {
        let runs = self.result.as_ref().ok()?;
        let share = |k: usize| runs.iter().map(|run| run.binding[k]).sum::<f64>() / runs.len().max(1) as f64;
        let others =
            Constraint::ALL.into_iter().enumerate().filter(|(_, label)| *label != Constraint::Demand);
        let most = others.map(|(k, label)| (label, share(k))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most.1 >= BINDS).then_some(most)
    }

    /// Since when power binds for good [s], mean over the seeds; none unless it does under each.
    #[must_use]
    pub fn power_lasting_s(&self) -> Option<f64> {
        self.mean_of(|run| run.lasting_s[0])
    }

    /// Since when cooling binds for good [s], likewise.
    #[must_use]
    pub fn cooling_lasting_s(&self) -> Option<f64> {
        self.mean_of(|run| run.lasting_s[1])
    }

    /// The shortest stave, demand apart.
    #[must_use]
    pub fn shortest(&self) -> Option<Good> {
        let staves = Good::STAVES.into_iter().filter_map(|good| Some((good, self.mean(good)?)));
        staves.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(good, _)| good)
    }
}

impl Answer {
    /// The subset of a mask.
    #[must_use]
    pub fn subset(&self, mask: u32) -> Option<&Subset> {
        self.subsets.iter().find(|subset| subset.mask == mask)
    }

    /// The mask of all levers.
    #[must_use]
    pub fn all(&self) -> u32 {
        (1 << self.levers.len()) - 1
    }

    /// The names of the levers of a mask.
    #[must_use]
    pub fn names(&self, mask: u32) -> Vec<&str> {
        let on = self.levers.iter().enumerate().filter(|(k, _)| mask & (1 << k) != 0);
        on.map(|(_, name)| name.as_str()).collect()
    }

    /// The staves that a lever moved, by its share of them [natural logarithm].
    #[must_use]
    pub fn moved(&self, lever: usize) -> Vec<(Good, f64)> {
        let Some(shares) = &self.shares else { return Vec::new() };
        let staves = Good::STAVES.into_iter();
        let all = staves.filter_map(|good| Some((good, shares.by_lever[lever][good as usize]?.mean)));
        all.filter(|(_, ln)| ln.abs() > MOVED).collect()
    }

    /// Whether some run delivers nothing useful: nothing is a factor of that.
    #[must_use]
    pub fn delivers_nothing(&self, subset: &Subset) -> bool {
        let none = |run: &Run| run.goods[Good::UsefulTokPerS as usize].is_none_or(|rate| rate <= 0.0);
        subset.result.as_ref().is_ok_and(|runs| runs.iter().any(none))
    }

    /// The most that a class can be held at in all subsets, of those that a subset cannot hold.
    #[must_use]
    pub fn reachable(&self) -> Vec<(String, f64)> {
        let mut out: Vec<(String, f64)> = Vec::new();
        for subset in &self.subsets {
            let Err(Unreached::Quality(missed)) = &subset.result else { continue };
            for Missed { class, best, .. } in missed {
                match out.iter_mut().find(|(name, _)| name == class) {
                    Some((_, least)) => *least = least.min(*best),
                    None => out.push((class.clone(), *best)),
                }
            }
        }
        out
    }
}

/// Whether all sites have a cap: what is then divided by.
fn capped(scenario: &Scenario) -> bool {
    scenario.fleet.sites.iter().all(|site| site.power.cap_mw.is_some())
}

/// Measures the levers of a scenario, in parallel on the pool of threads that it is called in. The answer does not depend
/// on their number.
///
/// # Errors
/// See [`StudyError`].
pub fn levers(
    draft: &Draft,
    load: &LoadOptions,
    question: &Question,
    progress: &Progress,
) -> Result<Answer, StudyError> {
    let base = draft.resolve(load).map_err(|error| StudyError::Question(error.to_string()))?;
    let scenario = &base.scenario;
    fits(&base, load, question)?;
    let targets = quality::targets(&base).map_err(StudyError::Question)?;
    let names: Vec<String> = scenario.levers.iter().map(|lever| lever.name.clone()).collect();
    let n = names.len();
    let orders = (n > shapley::MOST_EXACT).then(|| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        shapley::orders(&names, scenario.seed, question.orders)
    });
    let masks = masks(n, orders.as_deref());
    let variants: Vec<Resolved> = masks
        .iter()
        .map(|mask| {
            let pulled: Vec<usize> = (0..n).filter(|k| mask & (1 << k) != 0).collect();
            draft.resolve_pulled(&base, &pulled, load).map_err(|error| {
                let pulled: Vec<&str> = pulled.iter().map(|k| names[*k].as_str()).collect();
                StudyError::Question(format!("{error} (levers {} together)", pulled.join(" + ")))
            })
        })
        .collect::<Result<_, StudyError>>()?;
    if let Some(k) = variants.iter().position(|variant| capped(&variant.scenario) != capped(scenario)) {
        let pulled: Vec<&str> =
            (0..n).filter(|lever| masks[k] & (1 << lever) != 0).map(|l| names[l].as_str()).collect();
        let (does, instead) = match capped(scenario) {
            false => {
                ("gives a site a cap", "give all sites one without levers, too, as high as the feed allows")
            }
            true => ("takes a cap away", "set a higher one instead"),
        };
        return Err(StudyError::Question(format!(
            "lever {} {does}: tokens per MW of cap and per MW drawn are no factor of each other; {instead}",
            pulled.join(" + ")
        )));
    }
    let seeds: Vec<u64> =
        (0..question.seeds.max(2)).map(|number| replications::seed(scenario.seed, number)).collect();

    let held: Vec<Result<Resolved, Unreached>> =
        variants.iter().map(|variant| held_at(variant, &targets)).collect();
    (progress.runs)(masks.len() * seeds.len());
    let jobs: Vec<(usize, u64)> =
        (0..masks.len()).flat_map(|k| seeds.iter().map(move |seed| (k, *seed))).collect();
    let runs: Vec<Result<Result<Run, Unreached>, StudyError>> = jobs
        .par_iter()
        .map(|&(k, seed)| {
            let run = match &held[k] {
                Ok(resolved) => one(resolved, seed, question.load, progress)?,
                Err(unreached) => Err(unreached.clone()),
            };
            (progress.run_done)();
            Ok(run)
        })
        .collect();
    let mut runs = runs.into_iter();
    let mut subsets = Vec::with_capacity(masks.len());
    for &mask in &masks {
        let of_mask: Vec<_> = runs.by_ref().take(seeds.len()).collect::<Result<_, StudyError>>()?;
        subsets.push(Subset { mask, result: of_mask.into_iter().collect() });
    }
    let per_cap = capped(scenario);
    let shares = shares(n, &subsets, orders.as_deref(), seeds.len());
    let mut answer = Answer {
        sets: scenario.levers.iter().map(|lever| lever.set.clone()).collect(),
        levers: names,
        held: targets.iter().flatten().cloned().collect(),
        per_cap,
        orders: orders.map(|orders| orders.len() as u32),
        seeds,
        subsets,
        shares,
        curves: Vec::new(),
    };
    answer.curves = curves(&answer, &masks, &variants, &targets, question, progress)?;
    Ok(answer)
}

/// Whether the question suits the scenario.
fn fits(base: &Resolved, load: &LoadOptions, question: &Question) -> Result<(), StudyError> {
    let scenario = &base.scenario;
    if scenario.levers.is_empty() {
        let message =
            "none to measure; name some, e.g. `levers: [{ name: fp8, set: [models.0.weights=fp8] }]`";
        let problem = Problem { path: "levers".into(), message: message.into() };
        return Err(StudyError::Question(base.render_problems(&[problem])));
    }
    for set in &load.sets {
        let path = path_of(set);
        let lever = scenario.levers.iter().find(|lever| lever.paths().any(|own| overlap(own, path)));
        if let Some(lever) = lever {
            let text =
                format!("--set {set}: lever '{}' sets this field; change the lever instead", lever.name);
            return Err(StudyError::Question(text));
        }
    }
    let limits = scenario.workload.classes.iter().any(|class| class.slo != Default::default());
    if !limits && matches!(question.load, Load::Solved { .. }) {
        let text =
            "no class has an slo, so nothing says how large the load may be; give one, or --load given";
        return Err(StudyError::Question(text.into()));
    }
    Ok(())
}

/// The subsets to look at: all of them, or those that the drawn orders pass through and what is told of single levers.
fn masks(n: usize, orders: Option<&[Vec<usize>]>) -> Vec<u32> {
    let all = (1_u32 << n) - 1;
    let mut masks: Vec<u32> = match orders {
        None => (0..=all).collect(),
        Some(orders) => {
            let passed = orders.iter().flat_map(|order| shapley::passed(order));
            let single = (0..n).flat_map(|k| [1 << k, all & !(1 << k)]);
            passed.chain(single).collect()
        }
    };
    masks.sort_unstable();
    masks.dedup();
    masks
}

/// A variant with every class at its accuracy.
fn held_at(variant: &Resolved, targets: &[Option<HeldClass>]) -> Result<Resolved, Unreached> {
    let mut resolved = variant.clone();
    quality::hold(&mut resolved.scenario, &variant.catalog, targets)?;
    Ok(resolved)
}

fn one(
    resolved: &Resolved,
    seed: u64,
    load: Load,
    progress: &Progress,
) -> Result<Result<Run, Unreached>, StudyError> {
    let at = load::hold(resolved, seed, load, progress)?;
    Ok(at.map(|at| Run::of(&at.outcome.summary, at.factor)))
}

impl Run {
    fn of(summary: &Summary, load: f64) -> Self {
        Self {
            goods: Good::ALL.map(|good| good.of(summary)),
            load,
            accuracy: summary.quality.as_ref().and_then(|quality| quality.accuracy),
            slo_attainment: summary.slo_attainment,
            binding: Constraint::ALL.map(|label| summary.binding.share.of(label)),
            lasting_s: [Constraint::Power, Constraint::Cooling]
                .map(|label| lasting_s(&summary.binding.timeline, label)),
        }
    }
}

/// The first stretch of a label from which on it holds for nine tenths of the time and more.
fn lasting_s(timeline: &[Stretch], label: Constraint) -> Option<f64> {
    let end_s = timeline.last()?.end_s;
    let (mut held_s, mut since_s) = (0.0, None);
    for stretch in timeline.iter().rev().filter(|stretch| stretch.constraint == label) {
        held_s += stretch.end_s - stretch.start_s;
        if held_s >= FOR_GOOD * (end_s - stretch.start_s) {
            since_s = Some(stretch.start_s);
        }
    }
    since_s
}

/// Shares of the joint effect, seed by seed; the interval is over the seeds, and over the orders where they are drawn.
fn shares(n: usize, subsets: &[Subset], orders: Option<&[Vec<usize>]>, seeds: usize) -> Option<Shares> {
    let mut runs: Vec<Option<&[Run]>> = vec![None; 1 << n];
    for subset in subsets {
        runs[subset.mask as usize] = Some(subset.result.as_deref().ok()?);
    }
    let all = (1_u32 << n) - 1;
    let none = || vec![[None; GOODS]; n];
    let mut shares = Shares {
        by_lever: none(),
        alone: none(),
        last: none(),
        joint: [None; GOODS],
        interaction: [None; GOODS],
    };
    for good in Good::ALL {
        let g = good as usize;
        // Nothing is a factor of 0: what asks for its logarithm is not a number, and not told.
        let ln = |mask: u32, seed: usize| {
            let value = runs[mask as usize].and_then(|runs| runs[seed].goods[g]);
            value.filter(|value| *value > 0.0).map_or(f64::NAN, f64::ln)
        };
        let over_seeds = |of: &dyn Fn(usize) -> f64| {
            Mean::of(&(0..seeds).map(of).collect::<Vec<_>>()).filter(|mean| mean.mean.is_finite())
        };
        let by_seed: Vec<Vec<f64>> = (0..seeds)
            .map(|seed| match orders {
                None => shapley::exact(n, |mask| ln(mask, seed)),
                Some(orders) => mean_of_orders(orders, |mask| ln(mask, seed)),
            })
            .collect();
        for (lever, own) in shares.by_lever.iter_mut().enumerate() {
            let bit = 1 << lever;
            let share = over_seeds(&|seed| by_seed[seed][lever]);
            own[g] = match orders {
                None => share,
                Some(orders) => share.map(|share| widened(share, lever, orders, seeds, &ln)),
            };
            shares.alone[lever][g] = over_seeds(&|seed| ln(bit, seed) - ln(0, seed));
            shares.last[lever][g] = over_seeds(&|seed| ln(all, seed) - ln(all & !bit, seed));
        }
        let joint = |seed: usize| ln(all, seed) - ln(0, seed);
        shares.joint[g] = over_seeds(&joint);
        shares.interaction[g] = over_seeds(&|seed| {
            joint(seed) - (0..n).map(|lever| ln(1 << lever, seed) - ln(0, seed)).sum::<f64>()
        });
    }
    Some(shares)
}

fn mean_of_orders(orders: &[Vec<usize>], value: impl Fn(u32) -> f64) -> Vec<f64> {
    let mut mean = vec![0.0; orders.first().map_or(0, Vec::len)];
    for order in orders {
        for (mean, gain) in mean.iter_mut().zip(shapley::of_order(order, &value)) {
            *mean += gain / orders.len() as f64;
        }
    }
    mean
}

/// A share of drawn orders with an interval that also holds what the draw leaves open: half-widths add as squares.
fn widened(
    share: Mean,
    lever: usize,
    orders: &[Vec<usize>],
    seeds: usize,
    ln: &dyn Fn(u32, usize) -> f64,
) -> Mean {
    let mean = |mask: u32| (0..seeds).map(|seed| ln(mask, seed)).sum::<f64>() / seeds as f64;
    // An order and its reverse belong together: their mean is one draw.
    let draws: Vec<f64> = orders
        .chunks(2)
        .map(|pair| {
            pair.iter().map(|order| shapley::of_order(order, mean)[lever]).sum::<f64>() / pair.len() as f64
        })
        .collect();
    let of_draw = Mean::of(&draws).map_or(f64::INFINITY, |m| 0.5 * (m.ci95_high - m.ci95_low));
    let half = of_draw.hypot(0.5 * (share.ci95_high - share.ci95_low));
    Mean { ci95_low: share.mean - half, ci95_high: share.mean + half, ..share }
}

/// Accuracy against the energy of an accepted answer, without levers, with each alone, with all: at accuracies between
/// no thought and all that helps, each at the load that holds the service.
fn curves(
    answer: &Answer,
    masks: &[u32],
    variants: &[Resolved],
    targets: &[Option<HeldClass>],
    question: &Question,
    progress: &Progress,
) -> Result<Vec<Curve>, StudyError> {
    if question.curve == 0 || answer.held.is_empty() {
        return Ok(Vec::new());
    }
    let n = answer.levers.len();
    let mut shown: Vec<u32> =
        std::iter::once(0).chain((0..n).map(|k| 1 << k)).chain([answer.all()]).collect();
    shown.dedup();
    let mut jobs: Vec<(u32, Resolved)> = Vec::new();
    for &mask in &shown {
        let Some(variant) = masks.iter().position(|m| *m == mask).map(|k| &variants[k]) else { continue };
        for k in 0..question.curve {
            // Evenly between both ends, and short of the upper one, which takes thought without end.
            let share = f64::from(k) / f64::from(question.curve) * 0.98 + 0.01;
            let at = at_share(variant, targets, share);
            let Some(at) = at else { continue };
            if let Ok(resolved) = held_at(variant, &at) {
                jobs.push((mask, resolved));
            }
        }
    }
    let seeds = &answer.seeds[..CURVE_SEEDS.min(answer.seeds.len())];
    (progress.runs)(masks.len() * answer.seeds.len() + jobs.len() * seeds.len());
    let points: Vec<_> = jobs
        .par_iter()
        .map(|(mask, resolved)| -> Result<Option<(u32, f64, f64)>, StudyError> {
            let mut sum = (0.0, 0.0);
            for seed in seeds {
                let run = one(resolved, *seed, question.load, progress)?;
                (progress.run_done)();
                let Ok(run) = run else { return Ok(None) };
                let energy = run.goods[Good::JPerAcceptedAnswer as usize];
                let (Some(accuracy), Some(joules)) = (run.accuracy, energy) else { return Ok(None) };
                sum = (sum.0 + accuracy / seeds.len() as f64, sum.1 + joules / seeds.len() as f64);
            }
            Ok(Some((*mask, sum.0, sum.1)))
        })
        .collect();
    let points: Vec<(u32, f64, f64)> =
        points.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let curve = |&mask: &u32| {
        let own = points
            .iter()
            .filter(|(of, ..)| *of == mask)
            .map(|(_, accuracy, joules)| (*accuracy, *joules, false));
        let subset = answer.subset(mask);
        let held = subset.and_then(|subset| {
            Some((subset.mean_of(|run| run.accuracy)?, subset.mean(Good::JPerAcceptedAnswer)?, true))
        });
        let mut points: Vec<(f64, f64, bool)> = own.chain(held).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Curve { mask, points }
    };
    Ok(shown.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect())
}

/// Every class whose budgets do something at a share of what they can do; none if none do.
fn at_share(variant: &Resolved, targets: &[Option<HeldClass>], share: f64) -> Option<Vec<Option<HeldClass>>> {
    let mut any = false;
    let at = targets.iter().enumerate().map(|(number, target)| {
        let (low, high) = quality::range(&variant.scenario, &variant.catalog, number)?;
        any |= high > low;
        Some(HeldClass { accuracy: low + share * (high - low), ..target.clone()? })
    });
    let at = at.collect();
    any.then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_lasts_from_where_little_else_follows() {
        let stretch = |start_s: f64, end_s: f64, constraint| Stretch {
            start_s,
            end_s,
            constraint,
            place: String::new(),
        };
        let (power, demand) = (Constraint::Power, Constraint::Demand);
        let timeline = [
            stretch(0.0, 100.0, demand),
            stretch(100.0, 110.0, power),
            stretch(110.0, 400.0, demand),
            stretch(400.0, 500.0, power),
            stretch(500.0, 520.0, demand),
            stretch(520.0, 1000.0, power),
        ];
        // Of the 600 s from 400 on, 580.
        assert_eq!(lasting_s(&timeline, power), Some(400.0));
        assert_eq!(lasting_s(&timeline[..4], power), Some(400.0));
        assert_eq!(lasting_s(&timeline[..3], power), None);
        assert_eq!(lasting_s(&[], power), None);
    }
}
