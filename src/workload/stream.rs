//! The requests of all classes, merged in time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::arrivals::{Constant, Day, Gaps, Poisson, Renewal, Steps};
use super::itinerary::{Itinerary, Leg};
use super::lengths::Sampler;
use super::prefixes::Sharing;
use super::random::{Key, Purpose};
use super::reasoning::{Attempt, Recorded, Thinking};
use super::trace::Replay;
use super::{Process, Request, Workload};
use crate::input::InputError;

/// Requests in order of (time, class number); see [`Workload::stream`].
#[derive(Debug)]
pub struct Stream {
    duration_fs: i128,
    /// The next instant of every class that has one; requests themselves are drawn when handed out.
    heads: BinaryHeap<Reverse<(i128, u16)>>,
    sources: Vec<Source>,
    index: u64,
}

/// One class under way.
#[derive(Debug)]
struct Source {
    times: Times,
    lengths: Option<(Sampler, Sampler)>,
    thinking: Option<Thinking>,
    sharing: Option<Sharing>,
    prompt: Key,
    answer: Key,
    route: Key,
    /// Requests of the class handed out so far.
    number: u64,
}

#[derive(Debug)]
enum Times {
    Never,
    Constant(Constant),
    Poisson(Poisson),
    Gamma(Renewal),
    Day(Day),
    Steps(Steps),
    /// Requests still to be handed out at the start, and that instant [fs].
    ClosedLoop(u64, i128),
    Trace(Box<Replay>),
}

impl Times {
    /// The next instant of the class, or `None` when nothing more arrives.
    #[inline]
    fn advance(&mut self) -> Result<Option<i128>, InputError> {
        Ok(match self {
            Self::Never => None,
            Self::Constant(c) => c.advance(),
            Self::Poisson(p) => p.advance(),
            Self::Gamma(r) => r.advance(),
            Self::Day(d) => d.advance(),
            Self::Steps(s) => s.advance(),
            Self::ClosedLoop(left, from_fs) => left.checked_sub(1).map(|rest| {
                *left = rest;
                *from_fs
            }),
            Self::Trace(t) => t.advance()?,
        })
    }

    /// The first instant of the class at or after `from_fs`.
    fn first_from(&mut self, from_fs: i128) -> Result<Option<i128>, InputError> {
        match self {
            Self::Never | Self::ClosedLoop(..) | Self::Trace(_) => {}
            Self::Constant(c) => c.skip_to(from_fs),
            Self::Poisson(p) => p.skip_to(from_fs),
            Self::Gamma(r) => r.skip_to(from_fs),
            Self::Day(d) => d.skip_to(from_fs),
            Self::Steps(s) => s.skip_to(from_fs),
        }
        loop {
            match self.advance()? {
                Some(at_fs) if at_fs < from_fs => {}
                first => return Ok(first),
            }
        }
    }
}

impl Source {
    #[inline]
    fn draw(&mut self, index: u64, class: u16, arrival_fs: i128) -> Request {
        let k = self.number;
        self.number += 1;
        let (prompt_tok, answer_tok, recorded) = match (&self.lengths, &self.times) {
            (Some((prompt, answer)), _) => {
                (prompt.draw(&self.prompt, k), answer.draw(&self.answer, k), Recorded::default())
            }
            (None, Times::Trace(replay)) => replay.current(),
            // Not reached: only traces have no lengths of their own.
            (None, _) => (1, 1, Recorded::default()),
        };
        let (thinking_tok, attempt) = match &self.thinking {
            Some(thinking) => thinking.draw(k, recorded),
            None => (0, Attempt::NONE),
        };
        let (prefix, prefix_tok) = self.sharing.as_ref().map_or((0, 0), |sharing| sharing.draw(k));
        let leg = match &self.thinking {
            Some(thinking) if thinking.answers_in_legs() => Leg::FIRST,
            _ => Leg::ONLY,
        };
        Request {
            index,
            class,
            arrival_fs,
            prompt_tok: prefix_tok + prompt_tok,
            output_tok: thinking_tok + answer_tok,
            thinking_tok,
            attempt,
            prefix,
            prefix_tok,
            leg,
            route_bits: self.route.bits(k),
        }
    }
}

impl Stream {
    /// Requests from `from_fs` on. Drawn processes begin there; a trace leaves out its rows before it.
    pub(super) fn start(workload: &Workload, from_fs: i128) -> Result<Self, InputError> {
        let mut stream = Self {
            duration_fs: workload.duration_fs,
            heads: BinaryHeap::with_capacity(workload.classes.len()),
            sources: Vec::with_capacity(workload.classes.len()),
            index: 0,
        };
        for (number, class) in workload.classes.iter().enumerate() {
            let number = number as u16;
            let key = |purpose| Key::new(workload.seed, purpose, number);
            let gaps = Gaps::new(key(Purpose::Gap));
            let mut times = match &class.process {
                Process::Constant(rate) => Times::Constant(Constant::new(*rate)),
                Process::Poisson(rate) if *rate > 0.0 => Times::Poisson(Poisson::new(*rate, gaps)),
                Process::Gamma(rate, cv) if *rate > 0.0 => {
                    Renewal::new(*rate, *cv, gaps).map_or(Times::Never, Times::Gamma)
                }
                Process::Poisson(_) | Process::Gamma(..) => Times::Never,
                Process::Diurnal(cosine) if cosine.expected(super::time::FS_PER_DAY) > 0.0 => {
                    Times::Day(Day::new(*cosine, gaps))
                }
                Process::Diurnal(_) => Times::Never,
                Process::RateCurve(curve) => Times::Steps(Steps::new(curve.clone(), gaps)),
                Process::ClosedLoop(in_flight) => Times::ClosedLoop(*in_flight, from_fs),
                Process::Trace(trace) => Times::Trace(Box::new(trace.replay(key(Purpose::Thin))?)),
            };
            let first = if from_fs > 0 { times.first_from(from_fs)? } else { times.advance()? };
            if let Some(first) = first.filter(|&t| t <= stream.duration_fs) {
                stream.heads.push(Reverse((first, number)));
            }
            stream.sources.push(Source {
                times,
                lengths: class.lengths.clone(),
                thinking: class.thinking.clone(),
                sharing: class.sharing.clone(),
                prompt: key(Purpose::Prompt),
                answer: key(Purpose::Answer),
                route: key(Purpose::Route),
                number: 0,
            });
        }
        Ok(stream)
    }

    /// Instant of the request that [`Stream::next`] hands out [fs].
    #[inline]
    pub fn peek_fs(&mut self) -> Option<i128> {
        self.heads.peek().map(|&Reverse((t, _))| t)
    }

    /// The next request in order of (time, class), or `None` when no more arrive by themselves.
    ///
    /// # Errors
    /// A trace that can no longer be read, or that was changed since it was checked.
    // Not an `Iterator`: that would hide the error inside an item, and `for` would forbid `replace`.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Request>, InputError> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        let Reverse((now, class)) = *head;
        let source = &mut self.sources[usize::from(class)];
        let request = source.draw(self.index, class, now);
        match source.times.advance() {
            Ok(Some(t)) if t <= self.duration_fs => *head = Reverse((t, class)),
            Ok(_) => {
                PeekMut::pop(head);
            }
            Err(error) => {
                PeekMut::pop(head);
                return Err(error);
            }
        }
        self.index += 1;
        Ok(Some(request))
    }

    /// The request that follows in closed loop `class` when one of its requests ends at `at_fs`.
    /// `None` for other classes, and after the end of the run.
    #[inline]
    pub fn replace(&mut self, class: u16, at_fs: i128) -> Option<Request> {
        if at_fs > self.duration_fs || !self.is_closed_loop(class) {
            return None;
        }
        let request = self.sources[usize::from(class)].draw(self.index, class, at_fs);
        self.index += 1;
        Some(request)
    }

    /// All legs of a request of a class that answers in several; `first` as this stream handed it out.
    pub fn itinerary(&self, first: &Request, itinerary: &mut Itinerary) {
        if let Some(Source { thinking: Some(thinking), route, .. }) =
            self.sources.get(usize::from(first.class))
        {
            // Bits for routing are a request's own, so they tell its number.
            thinking.itinerary(first, route.number_of(first.route_bits), itinerary);
        }
    }

    /// Whether `class` is a closed loop.
    #[inline]
    #[must_use]
    pub fn is_closed_loop(&self, class: u16) -> bool {
        matches!(self.sources.get(usize::from(class)), Some(Source { times: Times::ClosedLoop(..), .. }))
    }
}
