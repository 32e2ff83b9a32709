//! What a request of a class with difficulty draws besides its lengths: how hard its problem is, what the
//! predictor says, how much thought it needs, and whether its answer is right.
//!
//! The model that answers is a function of the class and of the predictor's flag (a class whose model
//! would hang on where a request lands is refused), so all of it is known when the request arrives. One
//! draw of the needed length L decides both the tokens, min(L, b), and by which of the two probabilities
//! the answer is right; a uniform draw of its own then decides whether it is. With other budgets the same
//! draws stand: more thought never turns a right answer wrong.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::Request;
use super::itinerary::{Answering, Itinerary};
use super::random::{Key, Purpose};
use crate::catalog::{Catalog, Difficulty};
use crate::input::InputError;
use crate::scenario::quality::{self, Tiers};
use crate::scenario::types::{ByDifficulty, Class, DifficultyMix, Escalate, Reasoning, Scenario};

/// What became of a problem: its difficulty, the predictor's flag, whether the answer is right. One byte,
/// because every request in flight carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempt(u8);

impl Attempt {
    /// Of a request whose class has no difficulty.
    pub const NONE: Self = Self(0);
    const FLAGGED: u8 = 4;
    const CUT_OFF: u8 = 8;
    const CORRECT: u8 = 16;

    /// An attempt at a problem.
    #[must_use]
    pub fn new(difficulty: Difficulty, flagged_hard: bool, cut_off: bool, correct: bool) -> Self {
        let set = |bit: u8, on: bool| if on { bit } else { 0 };
        Self(
            1 + difficulty as u8
                + set(Self::FLAGGED, flagged_hard)
                + set(Self::CUT_OFF, cut_off)
                + set(Self::CORRECT, correct),
        )
    }

    /// How hard the problem is; `None` if the class has no difficulty, so that answers have no quality.
    #[inline]
    #[must_use]
    pub fn difficulty(self) -> Option<Difficulty> {
        match self.0 & 3 {
            0 => None,
            1 => Some(Difficulty::Easy),
            2 => Some(Difficulty::Medium),
            _ => Some(Difficulty::Hard),
        }
    }

    /// Whether the predictor flags it as hard.
    #[inline]
    #[must_use]
    pub fn flagged_hard(self) -> bool {
        self.0 & Self::FLAGGED != 0
    }

    /// Whether the budget ends its thinking early: L > b.
    #[inline]
    #[must_use]
    pub fn cut_off(self) -> bool {
        self.0 & Self::CUT_OFF != 0
    }

    /// Whether its answer is right, if it gets to answer.
    #[inline]
    #[must_use]
    pub fn correct(self) -> bool {
        self.0 & Self::CORRECT != 0
    }
}

/// What a trace knows of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recorded {
    pub(crate) difficulty: Option<Difficulty>,
    pub(crate) thinking_tok: Option<u32>,
}

/// A checkpoint on problems of one difficulty, under a budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thinker {
    pub(super) budget_tok: u32,
    mu: f64,
    sigma: f64,
    pub(super) cut_off_right: f64,
    pub(super) to_the_end_right: f64,
}

/// By difficulty and flag.
pub(super) type Thinkers = [[Thinker; 2]; 3];

impl Thinker {
    /// Thought that a problem needs [tokens], `z` standard deviations of its logarithm above the mean of that.
    #[inline]
    pub(super) fn needed_tok(&self, z: f64) -> u32 {
        // The cast saturates, far above any budget.
        ((self.mu + self.sigma * z).exp().ceil() as u32).max(1)
    }
}

/// Checkpoints of tiers by the predictor's flag, under the budgets of a class.
fn thinkers(class: &Class, tiers: &Tiers) -> Thinkers {
    let thinker = |difficulty: Difficulty, flagged: bool| {
        let tier = &tiers[usize::from(flagged)];
        let answering = tier.at(difficulty);
        Thinker {
            budget_tok: quality::budget_tok(class.reasoning.as_ref(), difficulty, flagged)
                .min(quality::MOST_BUDGET_TOK),
            mu: tier.mu(difficulty),
            sigma: tier.sigma.value,
            cut_off_right: answering.a0.value,
            to_the_end_right: answering.a1.value,
        }
    };
    Difficulty::ALL.map(|d| [thinker(d, false), thinker(d, true)])
}

/// A class that thinks, ready to draw from.
#[derive(Debug, Clone)]
pub(crate) struct Thinking {
    difficulty: Key,
    flag: Key,
    length: Key,
    correct: Key,
    /// Uniform draws below these are easy, and easy or medium.
    below: Option<[f64; 2]>,
    flagged_hard: ByDifficulty,
    /// Of the first attempt.
    thinkers: Thinkers,
    /// What further legs a request takes, if its class answers in several.
    answering: Option<Box<Answering>>,
}

impl Thinking {
    /// Checks the difficulty and reasoning of class number `number`; `None` without difficulty. `field` is
    /// the class's path in the scenario.
    pub(crate) fn open(
        scenario: &Scenario,
        catalog: &Catalog,
        number: u16,
        field: &str,
    ) -> Result<Option<Self>, InputError> {
        let Some(class) = scenario.workload.classes.get(usize::from(number)) else { return Ok(None) };
        let Some(mix) = &class.difficulty else { return Ok(None) };
        let refuse = |name: &str, message: &str| InputError::field(format!("{field}.{name}"), message);
        let tiers: Tiers = quality::tiers_of_class(scenario, catalog, class)
            .map_err(|message| refuse("difficulty", &message))?;
        let below = mix.share.as_ref().map(|share| thresholds(share)).transpose();
        let answering = match &class.answering {
            None => None,
            Some(answering) => {
                let tiers = quality::tiers_of_attempts(scenario, catalog, class)
                    .map_err(|message| refuse("answering", &message))?;
                let correlation = catalog
                    .repeat_correlation()
                    .map(|number| number.value)
                    .ok_or_else(|| refuse("answering", "needs a catalog with repeat_correlation"))?;
                let models = tiers.iter().map(|tiers| thinkers(class, tiers)).collect();
                Some(Box::new(Answering::new(answering, models, correlation, scenario.seed, number)))
            }
        };
        let key = |purpose| Key::new(scenario.seed, purpose, number);
        Ok(Some(Self {
            difficulty: key(Purpose::Difficulty),
            flag: key(Purpose::Flag),
            length: key(Purpose::Thinking),
            correct: key(Purpose::Correct),
            below: below.map_err(|message| refuse("difficulty.share", message))?,
            flagged_hard: mix.flagged_hard.unwrap_or(ByDifficulty { easy: 0.0, medium: 0.0, hard: 0.0 }),
            thinkers: thinkers(class, &tiers),
            answering,
        }))
    }

    /// Whether difficulties are drawn; otherwise a trace must bring them.
    pub(crate) fn draws_difficulty(&self) -> bool {
        self.below.is_some()
    }

    /// Thinking tokens of request `number` of the class, and what comes of them.
    #[inline]
    pub(crate) fn draw(&self, number: u64, recorded: Recorded) -> (u32, Attempt) {
        let difficulty = recorded.difficulty.unwrap_or_else(|| {
            let u = uniform(&self.difficulty, number);
            match self.below {
                Some([easy, _]) if u < easy => Difficulty::Easy,
                Some([_, medium]) if u >= medium => Difficulty::Hard,
                _ => Difficulty::Medium,
            }
        });
        let flagged = uniform(&self.flag, number) < self.flagged_hard.of(difficulty);
        let thinker = &self.thinkers[difficulty as usize][usize::from(flagged)];
        let needed_tok = recorded.thinking_tok.unwrap_or_else(|| {
            let z: f64 = self.length.generator(number).sample(StandardNormal);
            thinker.needed_tok(z)
        });
        let cut_off = needed_tok > thinker.budget_tok;
        let right = if cut_off { thinker.cut_off_right } else { thinker.to_the_end_right };
        let correct = uniform(&self.correct, number) < right;
        (needed_tok.min(thinker.budget_tok), Attempt::new(difficulty, flagged, cut_off, correct))
    }

    /// Whether a request of the class is answered in several legs.
    #[inline]
    pub(crate) fn answers_in_legs(&self) -> bool {
        self.answering.is_some()
    }

    /// Legs that run at once.
    pub(crate) fn legs_at_once(&self) -> u8 {
        self.answering.as_ref().map_or(1, |answering| answering.legs_at_once())
    }

    /// All legs of a request of the class, which is its first; `number` is its number in the class.
    pub(crate) fn itinerary(&self, request: &Request, number: u64, itinerary: &mut Itinerary) {
        if let Some(answering) = &self.answering {
            let z: f64 = self.length.generator(number).sample(StandardNormal);
            answering.draw(request, number, uniform(&self.correct, number), z, itinerary);
        }
    }
}

/// Uniform in [0, 1), 53 bits.
#[inline]
pub(super) fn uniform(key: &Key, number: u64) -> f64 {
    (key.bits(number) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

/// Where easy ends and where medium ends; a share of 0 gets no draw, whatever rounding leaves of the sum.
fn thresholds(share: &ByDifficulty) -> Result<[f64; 2], &'static str> {
    let sum = share.easy + share.medium + share.hard;
    let valid = |value: f64| (0.0..=1.0).contains(&value);
    if ![share.easy, share.medium, share.hard].into_iter().all(valid) || (sum - 1.0).abs() > 1e-6 {
        return Err("must be shares that sum to 1");
    }
    let medium = if share.hard > 0.0 { (share.easy + share.medium) / sum } else { 1.0 };
    let easy = if share.medium > 0.0 { share.easy / sum } else { medium };
    Ok([easy, medium])
}

/// What the user should know of a class's budgets and target; `share` of its problems as far as known.
pub(crate) fn notes(
    scenario: &Scenario,
    catalog: &Catalog,
    class: &Class,
    mix: &DifficultyMix,
    share: Option<ByDifficulty>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let (Some(target), Some(share)) = (class.quality_target, share.or(mix.share)) else { return notes };
    let reasoning = class.reasoning.as_ref();
    if class.answering.is_some() {
        let Ok(tiers) = quality::tiers_of_attempts(scenario, catalog, class) else { return notes };
        let budget = |d, flag| quality::budget_tok(reasoning, d, flag);
        let expected = quality::expected_of_answers(class, catalog, &tiers, &share, budget);
        if expected < target - 1e-9 {
            notes.push(format!(
                "class {}: its answers are right in {:.1} % on average as they are found under these budgets, below its \
                 target of {:.1} %",
                class.name,
                expected * 100.0,
                target * 100.0
            ));
        }
        return notes;
    }
    let Ok(tiers) = quality::tiers_of_class(scenario, catalog, class) else { return notes };
    let expected =
        quality::expected_accuracy(class, &tiers, &share, |d, flag| quality::budget_tok(reasoning, d, flag));
    let smallest = quality::smallest_budget(class, &tiers, &share, target);
    // A budget found by the target meets it but for rounding.
    if expected < target - 1e-9 {
        let way = match &smallest {
            Ok(budget) => format!("a fixed budget of {budget} tokens would meet it"),
            Err(most) => quality::out_of_reach(catalog, &share, &tiers, *most, target),
        };
        notes.push(format!(
            "class {}: its answers are right in {:.1} % on average under these budgets, below its target of {:.1} %; {way}",
            class.name,
            expected * 100.0,
            target * 100.0
        ));
    }
    if let Some(Reasoning::QualityTarget(found)) = reasoning {
        // Which are escalated is decided.
        if notes.is_empty()
            && let (Some(escalate), Some(budget_tok)) = (found.escalate, found.budget_tok)
        {
            let how = match escalate {
                Escalate::None => "on its own model".to_string(),
                Escalate::FlaggedHard => format!("with problems flagged hard at {}", found.escalate_to),
                Escalate::All => format!("with all its problems at {}", found.escalate_to),
            };
            notes.push(format!(
                "class {}: meets its target of {:.1} % {how}, under a budget of {budget_tok} tokens of thought",
                class.name,
                target * 100.0
            ));
        }
        return notes;
    }
    for difficulty in Difficulty::ALL.into_iter().filter(|&d| share.of(d) > 0.0) {
        let flagged = mix.flagged_hard.map_or(0.0, |flagged| flagged.of(difficulty));
        let mut reached: Vec<&str> = Vec::new();
        for (tier, probability) in tiers.iter().zip([1.0 - flagged, flagged]) {
            let most = tier.at(difficulty).a1.value;
            if probability > 0.0 && most < target && !reached.contains(&tier.name.as_str()) {
                reached.push(&tier.name);
                notes.push(format!(
                    "class {}: on {} problems tier {} is right in at most {:.1} %, below the target of {:.1} %, \
                     however long it thinks; escalate them to a larger model",
                    class.name,
                    difficulty.name(),
                    tier.name,
                    most * 100.0,
                    target * 100.0
                ));
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_keeps_what_it_is_told() {
        for difficulty in Difficulty::ALL {
            for bits in 0..8 {
                let (flagged, cut_off, correct) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                let attempt = Attempt::new(difficulty, flagged, cut_off, correct);
                assert_eq!(attempt.difficulty(), Some(difficulty));
                assert_eq!(
                    (attempt.flagged_hard(), attempt.cut_off(), attempt.correct()),
                    (flagged, cut_off, correct)
                );
            }
        }
        assert_eq!(Attempt::NONE.difficulty(), None);
        assert!(!Attempt::NONE.correct() && !Attempt::NONE.flagged_hard() && !Attempt::NONE.cut_off());
        // Four multiples of an instant's alignment; three are one byte more than without a prefix.
        assert_eq!(std::mem::size_of::<super::super::Request>(), 64);
    }

    #[test]
    fn a_share_of_zero_gets_no_draw() {
        let share = |easy, medium, hard| ByDifficulty { easy, medium, hard };
        assert_eq!(thresholds(&share(0.3, 0.7, 0.0)), Ok([0.3, 1.0]));
        assert_eq!(thresholds(&share(1.0, 0.0, 0.0)), Ok([1.0, 1.0]));
        assert_eq!(thresholds(&share(0.4, 0.0, 0.6)), Ok([0.4, 0.4]));
        assert_eq!(thresholds(&share(0.0, 0.0, 1.0)), Ok([0.0, 0.0]));
        assert!(thresholds(&share(0.4, 0.4, 0.4)).is_err());
        assert!(thresholds(&share(-1.0, 1.0, 1.0)).is_err());
    }
}
