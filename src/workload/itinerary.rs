//! Requests answered in several legs: cascades, and the best of several answers.
//!
//! A *leg* is a request to one model: an attempt at the problem, or the verification of one. Legs of a *round* run at
//! once; when all of them have ended, the next round begins. In a cascade every round is one leg: attempt, verdict, next
//! attempt, …, and the last model's answer stands as it is. For the best of n there are two rounds, n attempts and n
//! verdicts; of the answers accepted one drawn at random is delivered, or of all if none was.
//!
//! All of it is drawn when the request arrives: an itinerary is a function of the seed, the class and the request's number
//! in it. The first attempt is the one that the class would make without further legs, draw for draw. Attempt j is right
//! if Φ(x_j) lies below its model's probability (which of the two, L ≤ b decides, as ever), with x_j = √ρ·z + √(1−ρ)·ε_j,
//! one z for the problem: so each attempt by itself is right as often as if it were the only one, and two of them agree as
//! ρ says (`repeat_correlation` of the catalog). x_0 is Φ⁻¹ of the first attempt's uniform draw, and z is drawn from what
//! that leaves of it. The thought L that a problem needs is one draw for all models of a cascade, each with its own mean
//! and spread; several answers of one model need thoughts of their own, whose logarithms are correlated by the same ρ.
//!
//! The visible answer to a problem is as long in every attempt. A verifier reads prompt and answer without the thought,
//! and writes its verdict in a fixed number of tokens.

use rand::RngExt;
use rand_distr::StandardNormal;
use rand_pcg::Pcg64Mcg;

use super::Request;
use super::random::{Key, Purpose, mix64};
use super::reasoning::{Attempt, Thinkers};
use crate::physics::normal::{from_uniform, quantile};
use crate::scenario::types;

/// Which leg of its request a request is. One byte, because every request in flight carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leg(pub(super) u8);

impl Leg {
    /// Of a request that is answered at once: its only one.
    pub const ONLY: Self = Self(0);
    /// The first of several.
    pub(crate) const FIRST: Self = Self(1);
    /// Bits it takes in an order of legs.
    pub(super) const BITS: u32 = 8;

    /// Its number among the legs of its request, from 0; `None` if it is the only one.
    #[inline]
    #[must_use]
    pub fn number(self) -> Option<u8> {
        self.0.checked_sub(1)
    }

    /// Whether it is the only one.
    #[inline]
    #[must_use]
    pub fn is_only(self) -> bool {
        self.0 == 0
    }
}

/// What a leg asks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Prompt tokens.
    pub prompt_tok: u32,
    /// Output tokens, thought included.
    pub output_tok: u32,
    /// Of them, thought.
    pub thinking_tok: u32,
    /// What comes of an attempt; [`Attempt::NONE`] of a verification.
    pub attempt: Attempt,
    /// Whether it verifies another leg.
    pub verifies: bool,
}

/// All legs of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Itinerary {
    /// By number.
    pub tasks: Vec<Task>,
    /// Legs of a round.
    pub width: u8,
    /// Number of the leg whose answer is delivered.
    pub delivered: u8,
    /// Whether a verdict comes before the answer is shown.
    pub verified: bool,
}

impl Itinerary {
    /// Numbers of the legs of a round; empty after the last.
    #[must_use]
    pub fn round(&self, round: u8) -> std::ops::Range<u8> {
        let (width, all) = (usize::from(self.width), self.tasks.len());
        let from = usize::from(round) * width;
        if from < all { from as u8..(from + width).min(all) as u8 } else { 0..0 }
    }

    /// A leg as a request that sets out at an instant; `first` is the first of them.
    #[must_use]
    pub fn leg(&self, first: &Request, number: u8, now_fs: i128) -> Request {
        let task = &self.tasks[usize::from(number)];
        Request {
            arrival_fs: now_fs,
            prompt_tok: task.prompt_tok,
            output_tok: task.output_tok,
            thinking_tok: task.thinking_tok,
            attempt: task.attempt,
            leg: Leg(number + 1),
            route_bits: if number == 0 {
                first.route_bits
            } else {
                mix64(first.route_bits ^ mix64(number.into()))
            },
            ..*first
        }
    }
}

/// How a class answers, ready to draw from.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    kind: Kind,
    /// By model of a cascade; one for the best of several.
    models: Vec<Model>,
    verdict_tok: u32,
    accepts_right: f64,
    accepts_wrong: f64,
    /// √ρ and √(1−ρ).
    common: f64,
    own: f64,
    repeat: Key,
    rethink: Key,
    verdict: Key,
    pick: Key,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Cascade,
    BestOf(u8),
}

#[derive(Debug, Clone)]
struct Model {
    thinkers: Thinkers,
    /// By difficulty and flag: scores below which it is right when cut off, and when thought to the end.
    right_below: [[[f64; 2]; 2]; 3],
}

impl Answering {
    pub(super) fn new(
        answering: &types::Answering,
        models: Vec<Thinkers>,
        correlation: f64,
        seed: u64,
        class: u16,
    ) -> Self {
        let (kind, verify) = match answering {
            types::Answering::Cascade(cascade) => (Kind::Cascade, &cascade.verify),
            types::Answering::BestOf(best_of) => (Kind::BestOf(best_of.n as u8), &best_of.verify),
        };
        let key = |purpose| Key::new(seed, purpose, class);
        let model = |thinkers: Thinkers| Model {
            right_below: thinkers.each_ref().map(|by_flag| {
                by_flag.each_ref().map(|t| [quantile(t.cut_off_right), quantile(t.to_the_end_right)])
            }),
            thinkers,
        };
        Self {
            kind,
            models: models.into_iter().map(model).collect(),
            verdict_tok: verify.output_tok,
            accepts_right: verify.accepts_right,
            accepts_wrong: verify.accepts_wrong,
            common: correlation.sqrt(),
            own: (1.0 - correlation).sqrt(),
            repeat: key(Purpose::Repeat),
            rethink: key(Purpose::Rethink),
            verdict: key(Purpose::Verdict),
            pick: key(Purpose::Pick),
        }
    }

    /// Legs of a round.
    pub(super) fn legs_at_once(&self) -> u8 {
        match self.kind {
            Kind::Cascade => 1,
            Kind::BestOf(n) => n,
        }
    }

    /// The legs of a request whose first attempt drew `u` for its answer and `z` for its thought.
    pub(super) fn draw(&self, request: &Request, number: u64, u: f64, z: f64, itinerary: &mut Itinerary) {
        itinerary.tasks.clear();
        let first = Task {
            prompt_tok: request.prompt_tok,
            output_tok: request.output_tok,
            thinking_tok: request.thinking_tok,
            attempt: request.attempt,
            verifies: false,
        };
        match self.kind {
            Kind::Cascade => self.cascade(first, number, u, z, itinerary),
            Kind::BestOf(n) => self.best_of(n, first, number, u, z, itinerary),
        }
    }

    fn cascade(&self, first: Task, number: u64, u: f64, z: f64, itinerary: &mut Itinerary) {
        let mut verdicts = self.verdict.generator(number);
        let mut repeats = None;
        let mut attempt = first;
        (itinerary.width, itinerary.verified) = (1, false);
        for (place, model) in self.models.iter().enumerate() {
            if place > 0 {
                let scores = repeats.get_or_insert_with(|| Scores::new(self, &self.repeat, number, score(u)));
                attempt = model.attempt(&first, z, scores.next(self));
            }
            itinerary.delivered = itinerary.tasks.len() as u8;
            itinerary.tasks.push(attempt);
            if place + 1 < self.models.len() {
                itinerary.tasks.push(self.verification(&attempt));
                if self.accepts(&attempt, &mut verdicts) {
                    itinerary.verified = true;
                    return;
                }
            }
        }
    }

    fn best_of(&self, n: u8, first: Task, number: u64, u: f64, z: f64, itinerary: &mut Itinerary) {
        let mut scores = Scores::new(self, &self.repeat, number, score(u));
        let mut thoughts = Scores::new(self, &self.rethink, number, z);
        (itinerary.width, itinerary.verified) = (n, true);
        itinerary.tasks.push(first);
        for _ in 1..n {
            let thought = thoughts.next(self);
            let attempt = self.models[0].attempt(&first, thought, scores.next(self));
            itinerary.tasks.push(attempt);
        }
        let mut verdicts = self.verdict.generator(number);
        let mut accepted = Vec::with_capacity(n.into());
        for leg in 0..n {
            let attempt = itinerary.tasks[usize::from(leg)];
            itinerary.tasks.push(self.verification(&attempt));
            if self.accepts(&attempt, &mut verdicts) {
                accepted.push(leg);
            }
        }
        if accepted.is_empty() {
            accepted.extend(0..n);
        }
        // High half of a product: uniform without a division.
        let place = (u128::from(self.pick.bits(number)) * accepted.len() as u128) >> 64;
        itinerary.delivered = accepted[place as usize];
    }

    fn verification(&self, of: &Task) -> Task {
        Task {
            prompt_tok: of.prompt_tok + of.output_tok - of.thinking_tok,
            output_tok: self.verdict_tok,
            thinking_tok: 0,
            attempt: Attempt::NONE,
            verifies: true,
        }
    }

    fn accepts(&self, attempt: &Task, verdicts: &mut Pcg64Mcg) -> bool {
        let share = if attempt.attempt.correct() { self.accepts_right } else { self.accepts_wrong };
        verdicts.random::<f64>() < share
    }
}

impl Model {
    /// Its attempt at the problem of another, with scores for thought and answer.
    fn attempt(&self, at: &Task, thought: f64, answer: f64) -> Task {
        let Some(difficulty) = at.attempt.difficulty() else { return *at };
        let flagged = at.attempt.flagged_hard();
        let (d, flag) = (difficulty as usize, usize::from(flagged));
        let thinker = &self.thinkers[d][flag];
        let needed_tok = thinker.needed_tok(thought);
        let cut_off = needed_tok > thinker.budget_tok;
        let correct = answer < self.right_below[d][flag][usize::from(!cut_off)];
        let thinking_tok = needed_tok.min(thinker.budget_tok);
        Task {
            output_tok: at.output_tok - at.thinking_tok + thinking_tok,
            thinking_tok,
            attempt: Attempt::new(difficulty, flagged, cut_off, correct),
            ..*at
        }
    }
}

/// Standard normal scores of further attempts, correlated with the first and among each other.
struct Scores {
    draws: Pcg64Mcg,
    common: f64,
}

impl Scores {
    /// `first`: the score of the first attempt.
    fn new(answering: &Answering, key: &Key, number: u64, first: f64) -> Self {
        let mut draws = key.generator(number);
        // What all have in common, given the first.
        let own: f64 = draws.sample(StandardNormal);
        Self { draws, common: answering.common * first + answering.own * own }
    }

    fn next(&mut self, answering: &Answering) -> f64 {
        let own: f64 = self.draws.sample(StandardNormal);
        answering.common * self.common + answering.own * own
    }
}

/// The score of a uniform draw of 53 bits.
fn score(u: f64) -> f64 {
    // In the middle of its cell, so that 0 has one.
    from_uniform(u + 0.5 / 9_007_199_254_740_992.0)
}
