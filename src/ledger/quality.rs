//! Answers: how many were right, and what they cost in thought.

use std::collections::BTreeMap;

use super::outcome::{AnsweringQuality, ClassQuality, DifficultyQuality, Quality, SourceNote};
use crate::catalog::{self, Catalog, Difficulty};
use crate::scenario::Scenario;
use crate::scenario::quality as terms;
use crate::workload::{Itinerary, Request, Workload};

/// What a class with difficulty promises.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// Name of the class.
    pub name: String,
    /// Wanted probability of a right answer.
    pub target: Option<f64>,
    /// Probability of a right answer by the closed form.
    pub expected: Option<f64>,
    /// Quality tiers that answer problems not flagged hard, and flagged hard.
    pub tiers: [String; 2],
    /// Whether answers are found in several legs.
    pub in_legs: bool,
    /// Where the tiers' numbers come from.
    pub sources: Vec<SourceNote>,
}

/// What each class promises; `None` for classes without difficulty.
#[must_use]
pub fn promises(scenario: &Scenario, catalog: &Catalog, workload: &Workload) -> Vec<Option<Promise>> {
    scenario
        .workload
        .classes
        .iter()
        .enumerate()
        .map(|(number, class)| {
            let mix = class.difficulty.as_ref()?;
            let tiers = terms::tiers_of_attempts(scenario, catalog, class).ok()?;
            let number = number as u16;
            // The closed form knows the tier's own thought only.
            let share = workload.recorded_share(number).or(mix.share);
            let share = share.filter(|_| !workload.records_thinking(number));
            let budget = |d, flag| terms::budget_tok(class.reasoning.as_ref(), d, flag);
            Some(Promise {
                name: class.name.clone(),
                target: class.quality_target,
                expected: share
                    .map(|share| terms::expected_of_answers(class, catalog, &tiers, &share, budget)),
                tiers: [0, 1].map(|flag: usize| {
                    let names: Vec<&str> = tiers.iter().map(|tiers| tiers[flag].name.as_str()).collect();
                    names.join(", then ")
                }),
                in_legs: class.answering.is_some(),
                sources: tiers
                    .iter()
                    .flatten()
                    .map(|tier| {
                        let (quality, source) = catalog::weakest(tier.as_ref());
                        let entry = format!("quality tier {}", tier.name);
                        SourceNote { entry, quality: quality.word().into(), source }
                    })
                    .chain(class.answering.iter().filter_map(|_| {
                        let number = catalog.repeat_correlation()?;
                        Some(SourceNote {
                            entry: "repeat_correlation".into(),
                            quality: number.quality.word().into(),
                            source: number.source.clone(),
                        })
                    }))
                    .collect(),
            })
        })
        .collect()
}

/// Sums over answers completed in the window.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    answered: u64,
    correct: u64,
    cut_off: u64,
    flagged_hard: u64,
    thinking_tok: u64,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            correct: self.correct + other.correct,
            cut_off: self.cut_off + other.cut_off,
            flagged_hard: self.flagged_hard + other.flagged_hard,
            thinking_tok: self.thinking_tok + other.thinking_tok,
        }
    }

    fn per_answer(&self, count: u64) -> Option<f64> {
        (self.answered > 0).then(|| count as f64 / self.answered as f64)
    }
}

/// Sums over answers found in several legs.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    answers: u64,
    attempts: u64,
    first_right: u64,
    verified: u64,
    output_tok: u64,
    verdict_tok: u64,
}

impl Found {
    fn report(&self) -> AnsweringQuality {
        let mean = |sum: u64| (self.answers > 0).then(|| sum as f64 / self.answers as f64);
        AnsweringQuality {
            mean_attempts: mean(self.attempts),
            first_attempt_accuracy: mean(self.first_right),
            verified_share: mean(self.verified),
            mean_output_tok: mean(self.output_tok),
            mean_verdict_tok: mean(self.verdict_tok),
        }
    }
}

#[derive(Debug, Clone)]
struct Account {
    promise: Promise,
    by_difficulty: [Tally; 3],
    accepted: u64,
    accepted_in_window: u64,
    correct: u64,
    found: Found,
}

/// Accounts of the classes with difficulty; empty without any.
#[derive(Debug, Clone, Default)]
pub struct QualityBook {
    /// By class number.
    accounts: Vec<Option<Account>>,
}

impl QualityBook {
    /// Accounts for what the classes promise.
    #[must_use]
    pub fn new(promises: Vec<Option<Promise>>) -> Self {
        let account = |promise| Account {
            promise,
            by_difficulty: [Tally::default(); 3],
            accepted: 0,
            accepted_in_window: 0,
            correct: 0,
            found: Found::default(),
        };
        Self { accounts: promises.into_iter().map(|promise| promise.map(account)).collect() }
    }

    /// A request is completed; `useful` if right and within its SLO.
    pub(super) fn answered(&mut self, request: &Request, useful: bool, in_window: bool) {
        let attempt = request.attempt;
        let Some(difficulty) = attempt.difficulty() else { return };
        let Some(Some(account)) = self.accounts.get_mut(usize::from(request.class)) else { return };
        account.accepted += u64::from(useful);
        account.correct += u64::from(attempt.correct());
        if in_window {
            account.accepted_in_window += u64::from(useful);
            let tally = &mut account.by_difficulty[difficulty as usize];
            tally.answered += 1;
            tally.correct += u64::from(attempt.correct());
            tally.cut_off += u64::from(attempt.cut_off());
            tally.flagged_hard += u64::from(attempt.flagged_hard());
            tally.thinking_tok += u64::from(request.thinking_tok);
        }
    }

    /// A request of the measured window, first leg `first`, is answered in legs that emitted `spent_tok`.
    pub(super) fn found(&mut self, first: &Request, itinerary: &Itinerary, spent_tok: u64) {
        let Some(Some(account)) = self.accounts.get_mut(usize::from(first.class)) else { return };
        let verdicts = || itinerary.tasks.iter().filter(|task| task.verifies);
        let found = &mut account.found;
        found.answers += 1;
        found.attempts += itinerary.tasks.len() as u64 - verdicts().count() as u64;
        found.first_right += u64::from(first.attempt.correct());
        found.verified += u64::from(itinerary.verified);
        found.output_tok += spent_tok;
        found.verdict_tok += verdicts().map(|task| u64::from(task.output_tok)).sum::<u64>();
    }

    fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().flatten()
    }

    /// Whether any class has difficulty.
    fn any(&self) -> bool {
        self.accounts().next().is_some()
    }

    /// Right answers of the whole run.
    pub(super) fn correct(&self) -> Option<u64> {
        self.any().then(|| self.accounts().map(|account| account.correct).sum())
    }

    /// Right answers within their SLO in the measured window.
    pub(super) fn accepted_in_window(&self) -> u64 {
        self.accounts().map(|account| account.accepted_in_window).sum()
    }

    /// Whether classes without difficulty share the fleet, and so its joules.
    pub(super) fn shares_fleet(&self) -> bool {
        self.any() && self.accounts.iter().any(Option::is_none)
    }

    /// Catalog entries that the answers rest on.
    pub(super) fn sources(&self) -> impl Iterator<Item = &SourceNote> {
        self.accounts().flat_map(|account| &account.promise.sources)
    }

    /// The account as reported.
    pub(super) fn report(&self) -> Option<Quality> {
        if !self.any() {
            return None;
        }
        let whole =
            self.accounts().flat_map(|account| account.by_difficulty).fold(Tally::default(), Tally::and);
        Some(Quality {
            accuracy: whole.per_answer(whole.correct),
            accepted_answers: self.accounts().map(|account| account.accepted).sum(),
            mean_thinking_tok: whole.per_answer(whole.thinking_tok),
            by_class: self.accounts().map(|a| (a.promise.name.clone(), a.report())).collect(),
        })
    }
}

impl Account {
    fn report(&self) -> ClassQuality {
        let sum = self.by_difficulty.into_iter().fold(Tally::default(), Tally::and);
        let accuracy = sum.per_answer(sum.correct);
        let by_difficulty: BTreeMap<_, _> = Difficulty::ALL
            .into_iter()
            .map(|difficulty| {
                let tally = &self.by_difficulty[difficulty as usize];
                let quality = DifficultyQuality {
                    answered: tally.answered,
                    accuracy: tally.per_answer(tally.correct),
                    mean_thinking_tok: tally.per_answer(tally.thinking_tok),
                    cut_off_share: tally.per_answer(tally.cut_off),
                    flagged_hard_share: tally.per_answer(tally.flagged_hard),
                };
                (difficulty.name(), quality)
            })
            .collect();
        let [tier, tier_flagged_hard] = self.promise.tiers.clone();
        ClassQuality {
            answered: sum.answered,
            accuracy,
            expected_accuracy: self.promise.expected,
            target: self.promise.target,
            target_met: accuracy.zip(self.promise.target).map(|(accuracy, target)| accuracy >= target),
            accepted_answers: self.accepted,
            mean_thinking_tok: sum.per_answer(sum.thinking_tok),
            cut_off_share: sum.per_answer(sum.cut_off),
            flagged_hard_share: sum.per_answer(sum.flagged_hard),
            tier,
            tier_flagged_hard,
            answering: self.promise.in_legs.then(|| self.found.report()),
            by_difficulty,
        }
    }
}
