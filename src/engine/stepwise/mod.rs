//! The oracle: a second engine that takes every iteration as an event, written for being obvious.
//!
//! It follows the contract of ARCHITECTURE.md on plain vectors, counts everything anew each time, and shares
//! with the segment engine only what both are given (scenario, fleet, stream, router, power control, ledger) and
//! the physics of a single iteration. Both must come to the same result to the last bit.

mod batch;
mod journeys;
mod outage;
mod replica;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::SimError;
use super::ended::Ended;
use super::setup::Setup;
use super::stall::Stall;
use crate::control::Effect;
use crate::ledger::outcome::RequestOutcome;
use crate::ledger::{Departure, Gauges};
use crate::physics::s_from_fs;
use crate::workload::Request;
use batch::Sequence;
use journeys::Journey;
use replica::{Doing, Replica};

/// Events between two looks at the outside world.
const PROGRESS_EVERY: u64 = 1 << 16;

/// A mistake planted into the oracle, to show that comparing the engines would find it.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedFault {
    /// One sequence more than there are slots is admitted.
    AdmissionOffByOne,
    /// The block for a sequence's next token is counted one token late.
    KvBlockOffByOne,
    /// A recheck acts on an iteration that starts at the same instant, not only on later ones.
    ClockChangeOneIterationEarly,
    /// Layers with a window see one token more.
    WindowOffByOne,
    /// Of the prefixes nobody shares the one that was left last gives way.
    YoungestPrefixGivesWay,
    /// Steps with a draft emit more tokens first, not fewer.
    DraftRoundsUp,
}

/// Order of what happens at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    IterationEnd,
    Arrival,
    IterationStart,
    Patience,
    Overdue,
    Building,
    CapStep,
    Failure,
    Outage,
    Release,
    Retry,
    Drain,
    Restart,
    WindowOpens,
    Tick,
    End,
}

/// (instant, rank, number of the replica, class or site).
type Event = (i128, Rank, usize);

/// The stepwise engine.
pub(super) struct Stepwise<'a> {
    setup: &'a mut Setup,
    replicas: Vec<Replica>,
    pending: BTreeSet<Event>,
    /// Closed-loop requests that arrive now.
    replaced: VecDeque<Request>,
    /// Requests answered in several legs, by index.
    journeys: BTreeMap<u64, Journey>,
    /// Legs of them that set out now, after the first.
    setting_out: Vec<Request>,
    /// By site: the next step of its cap.
    cap_next: Vec<usize>,
    stall: Stall,
    /// By pool: whether its hall is too hot to let anything in.
    draining: Vec<bool>,
    /// Requests of closed loops that draining pools shed (pool, class); each has a successor once that is over.
    owed: Vec<(usize, u16)>,
    fault: Option<PlantedFault>,
}

impl<'a> Stepwise<'a> {
    /// An engine at t = 0.
    pub(super) fn new(setup: &'a mut Setup, fault: Option<PlantedFault>) -> Self {
        let mut pending = BTreeSet::new();
        pending.insert((setup.end_fs, Rank::End, 0));
        pending.insert((setup.ledger.next_tick_fs(), Rank::Tick, 0));
        if setup.warm_up_fs > 0 {
            pending.insert((setup.warm_up_fs, Rank::WindowOpens, 0));
        }
        for (number, site) in setup.fleet.sites.iter().enumerate() {
            if let Some(level) = site.cap.get(1) {
                pending.insert((level.from_fs, Rank::CapStep, number));
            }
        }
        if let Some(at_fs) = setup.failures.peek_fs() {
            pending.insert((at_fs, Rank::Failure, 0));
        }
        Self {
            replicas: (0..setup.fleet.replicas()).map(|number| Replica::new(number, setup)).collect(),
            pending,
            replaced: VecDeque::new(),
            journeys: BTreeMap::new(),
            setting_out: Vec::new(),
            cap_next: vec![1; setup.fleet.sites.len()],
            stall: Stall::default(),
            draining: vec![false; setup.fleet.pools.len()],
            owed: Vec::new(),
            fault,
            setup,
        }
    }

    /// Run to the end.
    ///
    /// # Errors
    /// An input file that went bad, an interruption, or a violated invariant.
    pub(super) fn run(
        mut self,
        progress: Option<&(dyn Fn(f64, u64) -> bool + Sync)>,
    ) -> Result<Ended, SimError> {
        let (mut events, mut arrivals, mut now_fs) = (0_u64, 0_u64, 0);
        let mut notes = Vec::new();
        self.apply_effects(0);
        self.break_at_start()?;
        let end_fs = loop {
            events += 1;
            if events.is_multiple_of(PROGRESS_EVERY)
                && let Some(report) = progress
                && !report(s_from_fs(now_fs), arrivals)
            {
                return Err(SimError::Interrupted);
            }
            if let Some(request) = self.next_arrival()? {
                arrivals += u64::from(request.leg.number().unwrap_or(0) == 0);
                self.arrival(request);
                continue;
            }
            let Some((at_fs, rank, number)) = self.pending.pop_first() else {
                return Err(SimError::Invariant("no event is left before the end".into()));
            };
            now_fs = at_fs;
            match rank {
                Rank::IterationEnd => self.iteration_end(now_fs, number),
                Rank::IterationStart => self.iteration_start(now_fs, number)?,
                Rank::Patience => self.patience(now_fs, number),
                Rank::Overdue => self.overdue(now_fs, number),
                Rank::Building => self.setup.power.building_event(now_fs, number),
                Rank::CapStep => self.cap_step(now_fs, number),
                Rank::Failure => self.failure(now_fs)?,
                Rank::Outage => self.outage(now_fs, number),
                Rank::Restart => self.restart(now_fs, number),
                Rank::Release => self.setup.power.release(now_fs, number),
                Rank::Retry => self.ask(now_fs, number),
                Rank::Drain => self.drain(now_fs, number),
                Rank::WindowOpens => {
                    let sites = self.setup.fleet.sites.len();
                    self.setup.ledger.open_window(now_fs, &mut self.setup.power, sites);
                }
                Rank::Tick => self.tick(now_fs),
                Rank::End if !self.setup.drain => break now_fs,
                Rank::End | Rank::Arrival => {}
            }
            self.apply_effects(now_fs);
            if self.setup.drain && now_fs >= self.setup.end_fs && rank != Rank::Tick {
                let arriving = !self.replaced.is_empty()
                    || !self.setting_out.is_empty()
                    || self.setup.stream.peek_fs().is_some();
                if self.in_flight() == 0 && !arriving {
                    break now_fs;
                }
                let around =
                    self.pending.iter().any(|(_, rank, _)| matches!(rank, Rank::Building | Rank::Failure));
                if !arriving && !around && !self.anything_moves() {
                    let waits = self.replicas.iter().any(|r| matches!(r.doing, Doing::WaitingForWatts));
                    notes.push(Stall::for_ever(self.in_flight(), waits)?);
                    break now_fs;
                }
                if rank == Rank::IterationEnd {
                    self.stall.progress(now_fs);
                }
                let around = matches!(
                    rank,
                    Rank::Building | Rank::Failure | Rank::Outage | Rank::Restart | Rank::Release
                );
                if around
                    && self.stall.is_too_long(now_fs, self.any_at_work())
                    && !arriving
                    && !self.anything_certain()
                {
                    notes.push(self.stall.too_long(now_fs, self.in_flight()));
                    break now_fs;
                }
            }
        };
        self.close(end_fs)?;
        Ok(Ended { end_fs, events, notes })
    }

    /// The next arrival if it comes before the next pending event.
    fn next_arrival(&mut self) -> Result<Option<Request>, SimError> {
        let comes_first =
            |at_fs: i128| self.pending.first().is_none_or(|&event| (at_fs, Rank::Arrival, 0) < event);
        if self.setting_out.first().is_some_and(|leg| comes_first(leg.arrival_fs)) {
            return Ok(self.next_leg());
        }
        if let Some(request) = self.replaced.front()
            && comes_first(request.arrival_fs)
        {
            return Ok(self.replaced.pop_front());
        }
        if self.setup.stream.peek_fs().is_some_and(comes_first) {
            return self.setup.stream.next().map_err(|error| SimError::Input(error.to_string()));
        }
        Ok(None)
    }

    fn arrival(&mut self, request: Request) {
        let now_fs = request.arrival_fs;
        let class = usize::from(request.class);
        let rules = self.setup.classes[class];
        if request.leg.number().unwrap_or(0) == 0 {
            self.setup.ledger.arrived(&request);
        }
        if !request.leg.is_only() {
            self.setup.ledger.leg_sets_out(&request);
        }
        if request.leg.number() == Some(0) {
            self.begin_journey(request);
        }
        let number = self.setup.router.route(&request, &self.setup.loads);
        let outcome = self.refusal(&request, number);
        if let (Some(outcome), false) = (outcome, request.leg.is_only()) {
            self.leg_dropped(now_fs, &request, (0, false), outcome, Some(number));
            if outcome == RequestOutcome::ShedQueueFull && !self.replicas[number].batch.waiting.is_empty() {
                self.backlog(now_fs, number);
            }
            return;
        }
        if let Some(outcome) = outcome {
            let departure =
                Departure { request: &request, first_token_fs: None, replica: Some(number as u32), outcome };
            self.setup.ledger.departed(now_fs, &departure);
            match outcome {
                RequestOutcome::ShedOverheated | RequestOutcome::ShedUnavailable => {
                    self.owe(number, &request);
                }
                RequestOutcome::ShedQueueFull if !self.replicas[number].batch.waiting.is_empty() => {
                    self.backlog(now_fs, number);
                }
                _ => {}
            }
            return;
        }
        self.join(now_fs, number, Sequence::new(request, rules.priority));
        self.pending.insert((now_fs + rules.overdue_fs, Rank::Overdue, class));
        if let Some(patience_fs) = rules.patience_fs {
            self.pending.insert((now_fs + patience_fs, Rank::Patience, class));
        }
    }

    /// Why a replica does not take a request, if it does not.
    fn refusal(&self, request: &Request, number: usize) -> Option<RequestOutcome> {
        let pool = self.setup.fleet.pool(number);
        let replica = &self.replicas[number];
        let most_tok = u64::from(request.prompt_tok) + u64::from(request.output_tok) - 1;
        if most_tok.div_ceil(u64::from(pool.block_tok)) > pool.kv_blocks {
            Some(RequestOutcome::ShedTooLong)
        } else if replica.is_out() {
            Some(RequestOutcome::ShedUnavailable)
        } else if self.draining[usize::from(self.setup.fleet.pool_of[number])] {
            Some(RequestOutcome::ShedOverheated)
        } else if replica.batch.waiting.len() as u64 >= pool.max_queue {
            Some(RequestOutcome::ShedQueueFull)
        } else {
            None
        }
    }

    /// A sequence joins a replica.
    fn join(&mut self, now_fs: i128, number: usize, sequence: Sequence) {
        self.setup.loads.add(number);
        let pool = self.setup.fleet.pool(number);
        let replica = &mut self.replicas[number];
        let is_next = replica.batch.enqueue(sequence);
        match replica.doing {
            Doing::Nothing => {
                replica.doing = Doing::AboutToStart;
                self.pending.insert((now_fs, Rank::IterationStart, number));
            }
            Doing::Iterating(iteration)
                if iteration.shape.n * pool.tok_per_seq + iteration.shape.p >= pool.max_step_tok =>
            {
                self.set_full(now_fs, number, true);
            }
            Doing::Iterating(_) if is_next => self.new_head(now_fs, number),
            _ => {}
        }
    }

    /// Another request is the next to be admitted at a replica that iterates.
    fn new_head(&mut self, now_fs: i128, number: usize) {
        let pool = self.setup.fleet.pool(number);
        let replica = &mut self.replicas[number];
        let Doing::Iterating(iteration) = &replica.doing else { return };
        let has_tokens = iteration.shape.n * pool.tok_per_seq + iteration.shape.p < pool.max_step_tok;
        if has_tokens && replica.batch.running.len() == pool.max_seqs as usize {
            replica.refused = true;
        }
        self.relabel(now_fs, number);
    }

    fn patience(&mut self, now_fs: i128, class: usize) {
        let Some(patience_fs) = self.setup.classes[class].patience_fs else { return };
        // Longest waiting first, over all replicas.
        let mut leaving: Vec<(i128, u64, usize)> = Vec::new();
        for (number, replica) in self.replicas.iter().enumerate() {
            let out = replica.waiting_since(class, now_fs - patience_fs);
            leaving.extend(out.map(|s| (s.request.arrival_fs, s.request.order(), number)));
        }
        leaving.sort_unstable();
        for (_, order, number) in leaving {
            let batch = &mut self.replicas[number].batch;
            let Some(place) = batch.waiting.iter().position(|s| s.request.order() == order) else { continue };
            let request = batch.waiting.remove(place).request;
            self.setup.loads.remove(number);
            let outcome = RequestOutcome::ShedPatience;
            if request.leg.is_only() {
                let departure = Departure {
                    request: &request,
                    first_token_fs: None,
                    replica: Some(number as u32),
                    outcome,
                };
                self.setup.ledger.departed(now_fs, &departure);
                self.replaced.extend(self.setup.stream.replace(request.class, now_fs));
            } else {
                self.leg_dropped(now_fs, &request, (0, false), outcome, Some(number));
            }
            let replica = &mut self.replicas[number];
            if replica.batch.waiting.is_empty() {
                replica.backlogged = false;
                replica.refused = false;
                self.relabel(now_fs, number);
            } else {
                if place == 0 {
                    self.new_head(now_fs, number);
                }
                self.backlog(now_fs, number);
            }
        }
    }

    /// A replica lost a request because others wait there.
    fn backlog(&mut self, now_fs: i128, number: usize) {
        self.replicas[number].backlogged = true;
        self.relabel(now_fs, number);
    }

    fn drain(&mut self, now_fs: i128, site: usize) {
        for pool in self.setup.fleet.sites[site].pools.clone() {
            let drained = self.draining[pool];
            self.draining[pool] = self.setup.power.draining(pool);
            let (begins, ends) = (!drained && self.draining[pool], drained && !self.draining[pool]);
            for number in self.setup.fleet.pools[pool].replicas.clone() {
                if begins {
                    self.shed_queue(now_fs, number);
                }
                if begins || ends {
                    self.relabel(now_fs, number);
                }
            }
            if ends {
                self.settle(now_fs, pool);
            }
        }
    }

    /// Who waits at a replica and was never admitted leaves it.
    fn shed_queue(&mut self, now_fs: i128, number: usize) {
        let waiting = std::mem::take(&mut self.replicas[number].batch.waiting);
        let first = waiting.first().map(|s| s.request.order());
        for sequence in waiting {
            if sequence.ever_admitted {
                self.replicas[number].batch.waiting.push(sequence);
                continue;
            }
            self.setup.loads.remove(number);
            let outcome = RequestOutcome::ShedOverheated;
            let request = sequence.request;
            if !request.leg.is_only() {
                self.leg_dropped(now_fs, &request, (0, false), outcome, Some(number));
                continue;
            }
            let departure =
                Departure { request: &request, first_token_fs: None, replica: Some(number as u32), outcome };
            self.setup.ledger.departed(now_fs, &departure);
            self.owe(number, &request);
        }
        let replica = &mut self.replicas[number];
        let now_first = replica.batch.waiting.first().map(|s| s.request.order());
        if now_first.is_none() {
            replica.backlogged = false;
            replica.refused = false;
        } else if now_first != first {
            self.new_head(now_fs, number);
        }
    }

    /// What closed loops lost to a pool comes back, if it lets requests in.
    fn settle(&mut self, now_fs: i128, pool: usize) {
        if !self.lets_in(pool) {
            return;
        }
        for &(_, class) in self.owed.iter().filter(|&&(of, _)| of == pool) {
            self.replaced.extend(self.setup.stream.replace(class, now_fs));
        }
        self.owed.retain(|&(of, _)| of != pool);
    }

    /// Whether a pool lets requests in.
    fn lets_in(&self, pool: usize) -> bool {
        let replicas = &self.replicas[self.setup.fleet.pools[pool].replicas.clone()];
        !self.draining[pool] && !replicas.iter().all(Replica::is_out)
    }

    /// A draining pool shed a request.
    fn owe(&mut self, number: usize, request: &Request) {
        if self.setup.stream.is_closed_loop(request.class) {
            self.owed.push((usize::from(self.setup.fleet.pool_of[number]), request.class));
        }
    }

    fn overdue(&mut self, now_fs: i128, class: usize) {
        let limit_fs = self.setup.classes[class].overdue_fs;
        for number in 0..self.replicas.len() {
            if self.replicas[number].waiting_since(class, now_fs - limit_fs).next().is_some() {
                self.replicas[number].backlogged = true;
                self.relabel(now_fs, number);
            }
        }
    }

    fn cap_step(&mut self, now_fs: i128, site: usize) {
        let levels = &self.setup.fleet.sites[site].cap;
        let level = levels[self.cap_next[site]];
        self.cap_next[site] += 1;
        if let Some(next) = levels.get(self.cap_next[site]) {
            self.pending.insert((next.from_fs, Rank::CapStep, site));
        }
        self.setup.power.set_cap(now_fs, site, &level);
    }

    fn tick(&mut self, now_fs: i128) {
        let gauges = self.gauges();
        self.setup.ledger.tick(now_fs, &mut self.setup.power, &self.setup.fleet, gauges);
        self.pending.insert((self.setup.ledger.next_tick_fs(), Rank::Tick, 0));
    }

    fn apply_effects(&mut self, now_fs: i128) {
        let mut effects = Vec::new();
        self.setup.power.take_effects(&mut effects);
        for effect in effects {
            match effect {
                // The earliest counts: a later one must not put it off.
                Effect::Recheck(number) => {
                    self.replicas[number].recheck_fs.get_or_insert(now_fs);
                }
                Effect::Retry(number) => {
                    self.pending.insert((now_fs, Rank::Retry, number));
                }
                // A site has one next event of its policy, and one of its building: a newer one replaces the older.
                Effect::ReleaseAt(site, at_fs) => {
                    self.pending.retain(|&(_, rank, number)| rank != Rank::Release || number != site);
                    self.pending.insert((at_fs, Rank::Release, site));
                }
                Effect::BuildingAt(site, at_fs) => {
                    self.pending.retain(|&(_, rank, number)| rank != Rank::Building || number != site);
                    self.pending.insert((at_fs, Rank::Building, site));
                }
                Effect::Drain(site) => {
                    self.pending.insert((now_fs, Rank::Drain, site));
                }
                Effect::Outage(site) => {
                    self.pending.insert((now_fs, Rank::Outage, site));
                }
                Effect::Relabel(site) => {
                    for number in self.setup.fleet.sites[site].replicas.clone() {
                        self.relabel(now_fs, number);
                    }
                }
            }
        }
    }

    fn in_flight(&self) -> u64 {
        self.replicas.iter().map(|r| (r.batch.waiting.len() + r.batch.running.len()) as u64).sum()
    }

    fn gauges(&self) -> Gauges {
        let running = self.replicas.iter().map(|r| r.batch.running.len() as u64).sum();
        Gauges { queue: self.in_flight() - running, running }
    }

    /// Whether anything is to come that can change a request's fate.
    fn anything_moves(&self) -> bool {
        self.pending.iter().any(|&(_, rank, number)| match rank {
            Rank::IterationEnd
            | Rank::IterationStart
            | Rank::Retry
            | Rank::CapStep
            | Rank::Outage
            | Rank::Restart
            | Rank::Drain => true,
            Rank::Patience => self.may_give_up(number),
            _ => false,
        })
    }

    fn may_give_up(&self, class: usize) -> bool {
        self.setup.classes[class].patience_fs.is_some()
            && self.replicas.iter().any(|r| r.waiting_since(class, i128::MAX).next().is_some())
    }

    fn any_at_work(&self) -> bool {
        self.replicas.iter().any(|r| matches!(r.doing, Doing::Iterating(_)))
    }

    /// Whether a step of a cap is to come, or somebody may give up.
    fn anything_certain(&self) -> bool {
        self.pending.iter().any(|&(_, rank, number)| {
            rank == Rank::CapStep || rank == Rank::Patience && self.may_give_up(number)
        })
    }

    fn close(&mut self, end_fs: i128) -> Result<(), SimError> {
        for number in 0..self.replicas.len() {
            self.close_replica(end_fs, number)?;
        }
        let in_flight = self.replicas.iter().flat_map(|r| r.batch.waiting.iter().chain(&r.batch.running));
        let legs: Vec<(Request, u32)> =
            in_flight.filter(|s| !s.request.leg.is_only()).map(|s| (s.request, s.emitted)).collect();
        self.close_journeys(end_fs, &legs);
        let gauges = self.gauges();
        self.setup
            .ledger
            .close(end_fs, &mut self.setup.power, &self.setup.fleet, gauges)
            .map_err(SimError::Invariant)
    }
}
