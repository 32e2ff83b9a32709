//! The loop: the earliest of {next arrival, next queued event} goes to one handler.

use super::SimError;
use super::ended::Ended;
use super::journeys::{Dropped, Journeys, Over};
use super::queue::{Key, Queue, Rank};
use super::replicas::{Replicas, Stray};
use super::setup::Setup;
use super::stall::Stall;
use crate::control::Effect;
use crate::ledger::outcome::RequestOutcome;
use crate::ledger::{Departure, Gauges};
use crate::physics::s_from_fs;
use crate::workload::Request;

/// Events between two looks at the outside world.
const PROGRESS_EVERY: u64 = 1 << 16;

/// The segment engine.
pub struct Engine<'a> {
    pub(super) setup: &'a mut Setup,
    pub(super) queue: Queue,
    pub(super) replicas: Replicas,
    sources: Sources,
    replaced: std::collections::VecDeque<Request>,
    effects: Vec<Effect>,
    /// Requests that are over with the event at hand.
    over: Vec<Over>,
    /// Whether any class is a closed loop.
    closed_loops: bool,
    /// By draining pool: classes of the closed-loop requests it shed, in order; replaced when it drains no more.
    held: Vec<Vec<u16>>,
    pub(super) in_flight: u64,
    cap_next: Vec<usize>,
    stall: Stall,
    strays: Vec<Stray>,
    /// The event taken from the queue last that started no iterations.
    last: Key,
}

/// Numbers of event sources in the queue: replicas first, then classes and sites twice, then the run's own.
struct Sources {
    patience: usize,
    overdue: usize,
    cap: usize,
    release: usize,
    building: usize,
    drain: usize,
    outage: usize,
    failure: usize,
    window: usize,
    tick: usize,
    end: usize,
    count: usize,
}

impl Sources {
    fn new(replicas: usize, classes: usize, sites: usize) -> Self {
        let overdue = replicas + classes;
        let cap = overdue + classes;
        let release = cap + sites;
        let building = release + sites;
        let drain = building + sites;
        let outage = drain + sites;
        let failure = outage + sites;
        let window = failure + 1;
        Self {
            patience: replicas,
            overdue,
            cap,
            release,
            building,
            drain,
            outage,
            failure,
            window,
            tick: window + 1,
            end: window + 2,
            count: window + 3,
        }
    }
}

impl<'a> Engine<'a> {
    /// An engine at t = 0.
    pub fn new(setup: &'a mut Setup) -> Self {
        let sites = setup.fleet.sites.len();
        let sources = Sources::new(setup.fleet.replicas(), setup.classes.len(), sites);
        let mut queue = Queue::new(sources.count);
        queue.set(sources.end, Key::new(setup.end_fs, Rank::End, 0));
        queue.set(sources.tick, Key::new(setup.ledger.next_tick_fs(), Rank::Tick, 0));
        if setup.warm_up_fs > 0 {
            queue.set(sources.window, Key::new(setup.warm_up_fs, Rank::WindowOpens, 0));
        }
        for (number, site) in setup.fleet.sites.iter().enumerate() {
            if let Some(level) = site.cap.get(1) {
                queue.set(sources.cap + number, Key::new(level.from_fs, Rank::CapStep, number));
            }
        }
        if let Some(at_fs) = setup.failures.peek_fs() {
            queue.set(sources.failure, Key::new(at_fs, Rank::Failure, 0));
        }
        Self {
            replicas: Replicas::new(setup),
            queue,
            sources,
            replaced: std::collections::VecDeque::new(),
            effects: Vec::new(),
            over: Vec::new(),
            closed_loops: setup.closed_loop.contains(&true),
            held: vec![Vec::new(); setup.fleet.pools.len()],
            in_flight: 0,
            cap_next: vec![1; sites],
            stall: Stall::default(),
            strays: Vec::new(),
            last: Key::new(0, Rank::IterationEnd, 0),
            setup,
        }
    }

    /// Run to the end.
    ///
    /// # Errors
    /// An input file that went bad, an interruption, or a violated invariant.
    pub fn run(mut self, progress: Option<&(dyn Fn(f64, u64) -> bool + Sync)>) -> Result<Ended, SimError> {
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
            let queued = self.queue.peek();
            if let Some((request, journey)) = self.next_arrival(queued)? {
                now_fs = request.arrival_fs;
                arrivals += u64::from(journey == Journeys::NONE);
                self.arrival(now_fs, request, journey);
                continue;
            }
            let Some((source, key)) = self.queue.pop() else {
                return Err(SimError::Invariant("the event queue ran dry before the end".into()));
            };
            now_fs = key.at_fs();
            let number = key.number();
            let mut starts = false;
            match key.rank() {
                Rank::IterationEnd => starts = self.iteration_end(now_fs, number),
                Rank::IterationStart => starts = true,
                Rank::Patience => self.patience(now_fs, number),
                Rank::Overdue => self.overdue(now_fs, number),
                Rank::Building => self.setup.power.building_event(now_fs, number),
                Rank::CapStep => self.cap_step(now_fs, number, source),
                Rank::Failure => self.failure(now_fs)?,
                Rank::Outage => self.outage(now_fs, number),
                Rank::Restart => self.restart(now_fs, number),
                Rank::Release => self.setup.power.release(now_fs, number),
                Rank::Retry => self.replicas.retry(now_fs, number, self.setup, &mut self.queue),
                Rank::Drain => self.drain(now_fs, number),
                Rank::WindowOpens => {
                    let sites = self.setup.fleet.sites.len();
                    self.setup.ledger.open_window(now_fs, &mut self.setup.power, sites);
                }
                Rank::Tick => self.tick(now_fs),
                Rank::End if !self.setup.drain => break now_fs,
                Rank::End | Rank::Arrival => {}
            }
            if starts {
                self.replicas.start(now_fs, number, self.setup, &mut self.queue);
            } else {
                self.last = key;
            }
            if self.setup.power.has_effects() {
                self.apply_effects(now_fs);
            }
            if self.setup.drain && now_fs >= self.setup.end_fs && key.rank() != Rank::Tick {
                // A request may still arrive at this very instant.
                let arriving = !self.replaced.is_empty()
                    || !self.replicas.journeys.none_set_out()
                    || self.setup.stream.peek_fs().is_some();
                if self.in_flight == 0 && !arriving {
                    break now_fs;
                }
                let next = self.queue.peek();
                let idle_talk = next == Key::NEVER
                    || matches!(
                        next.rank(),
                        Rank::Patience
                            | Rank::Overdue
                            | Rank::Building
                            | Rank::Failure
                            | Rank::Release
                            | Rank::Tick
                    );
                if idle_talk && !arriving && !self.anything_moves() && !self.anything_around() {
                    notes.push(Stall::for_ever(self.in_flight, self.waiting_for_watts())?);
                    break now_fs;
                }
                if key.rank() == Rank::IterationEnd {
                    self.stall.progress(now_fs);
                }
                let around = matches!(
                    key.rank(),
                    Rank::Building | Rank::Failure | Rank::Outage | Rank::Restart | Rank::Release
                );
                if around
                    && self.stall.is_too_long(now_fs, self.replicas.any_at_work())
                    && !arriving
                    && !self.anything_certain()
                {
                    notes.push(self.stall.too_long(now_fs, self.in_flight));
                    break now_fs;
                }
            }
        };
        self.close(end_fs)?;
        Ok(Ended { end_fs, events, notes })
    }

    /// The next arrival if it comes before the next queued event, and the journey it goes on, if it does.
    #[inline]
    fn next_arrival(&mut self, queued: Key) -> Result<Option<(Request, u32)>, SimError> {
        let comes_first = |at_fs: i128| Key::new(at_fs, Rank::Arrival, 0) < queued;
        if !self.replicas.journeys.none_set_out() && self.replicas.journeys.next_fs().is_some_and(comes_first)
        {
            return Ok(self.replicas.journeys.next());
        }
        let new = |request: Request| (request, Journeys::NONE);
        if self.replaced.front().is_some_and(|first| comes_first(first.arrival_fs)) {
            return Ok(self.replaced.pop_front().map(new));
        }
        match self.setup.stream.peek_fs() {
            Some(at_fs) if comes_first(at_fs) => {
                let next = self.setup.stream.next().map_err(|error| SimError::Input(error.to_string()))?;
                Ok(next.map(new))
            }
            _ => Ok(None),
        }
    }

    /// A request arrives, or (`journey`) a further leg of one sets out.
    fn arrival(&mut self, now_fs: i128, request: Request, mut journey: u32) {
        if journey == Journeys::NONE {
            self.setup.ledger.arrived(&request);
            if !request.leg.is_only() {
                journey = self.replicas.journeys.begin(&request, &self.setup.stream);
            }
        }
        if journey != Journeys::NONE {
            self.setup.ledger.leg_sets_out(&request);
        }
        let replica = self.setup.router.route(&request, &self.setup.loads);
        let refused = self.refusal(&request, replica);
        if let Some(outcome) = refused.filter(|_| journey != Journeys::NONE) {
            let left = Dropped { outcome, replica: Some(replica as u32), emitted: 0, admitted: false };
            self.dropped(now_fs, journey, &request, &left);
            return;
        }
        let setup = &mut *self.setup;
        if let Some(outcome) = refused {
            // Not replaced now in a closed loop: the next one could be refused at this same instant, for ever.
            let departure =
                Departure { request: &request, first_token_fs: None, replica: Some(replica as u32), outcome };
            setup.ledger.departed(now_fs, &departure);
            match outcome {
                RequestOutcome::ShedOverheated | RequestOutcome::ShedUnavailable => {
                    let pool = usize::from(setup.fleet.pool_of[replica]);
                    self.hold(pool, request.class);
                }
                RequestOutcome::ShedQueueFull => self.replicas.overflowed(now_fs, replica, self.setup),
                _ => {}
            }
            return;
        }
        self.in_flight += 1;
        setup.loads.add(replica);
        // Who replaces a request that gave up comes after the iterations that start at this instant.
        let after = self.last >= Key::new(now_fs, Rank::Patience, 0);
        let id = self.replicas.enqueue(now_fs, replica, request, after, setup, &mut self.queue);
        if journey != Journeys::NONE {
            self.replicas.journeys.place(id, journey);
        }
        let class = usize::from(request.class);
        let (overdue, patience) = self.replicas.watch(class, id, setup);
        if let Some(at_fs) = overdue {
            self.queue.set(self.sources.overdue + class, Key::new(at_fs, Rank::Overdue, class));
        }
        if let Some(at_fs) = patience {
            self.queue.set(self.sources.patience + class, Key::new(at_fs, Rank::Patience, class));
        }
    }

    /// A leg of a journey comes to nothing.
    #[inline(never)]
    fn dropped(&mut self, now_fs: i128, journey: u32, leg: &Request, left: &Dropped) {
        let over = self.replicas.journeys.dropped(now_fs, journey, leg, left, &mut self.setup.ledger);
        if let (RequestOutcome::ShedQueueFull, Some(replica)) = (left.outcome, left.replica) {
            self.replicas.overflowed(now_fs, replica as usize, self.setup);
        }
        if let Some(over) = over {
            self.succeed(now_fs, &over);
        }
    }

    /// A request is over; one of a closed loop has a successor, now or when the pool that refused it is open again. None
    /// if a queue was full or it was too long: the next one could be refused at this same instant, for ever.
    fn succeed(&mut self, now_fs: i128, over: &Over) {
        match (over.outcome, over.replica) {
            (RequestOutcome::ShedOverheated | RequestOutcome::ShedUnavailable, Some(replica)) => {
                let pool = usize::from(self.setup.fleet.pool_of[replica as usize]);
                if self.replicas.pool_open(pool) {
                    self.replaced.extend(self.setup.stream.replace(over.class, now_fs));
                } else {
                    self.hold(pool, over.class);
                }
            }
            (RequestOutcome::Completed | RequestOutcome::ShedPatience | RequestOutcome::Lost, _) => {
                self.replaced.extend(self.setup.stream.replace(over.class, now_fs));
            }
            _ => {}
        }
    }

    /// Returns whether the next iteration starts at once.
    fn iteration_end(&mut self, now_fs: i128, replica: usize) -> bool {
        self.over.clear();
        self.in_flight -= self.replicas.end(now_fs, replica, self.setup, &mut self.over);
        if self.closed_loops {
            for place in 0..self.over.len() {
                let over = self.over[place];
                self.succeed(now_fs, &over);
            }
        }
        // The start follows at this instant, after all that comes first; if nothing does, at once.
        let start = Key::new(now_fs, Rank::IterationStart, replica);
        // A draining run that this leaves without requests ends before the replica goes idle.
        let last = self.setup.drain && now_fs >= self.setup.end_fs && self.in_flight == 0;
        let nothing_before = !last
            && self.queue.is_next(start)
            && self.replaced.is_empty()
            && self.replicas.journeys.none_set_out()
            && self.setup.stream.peek_fs().is_none_or(|at_fs| at_fs > now_fs);
        if !nothing_before {
            self.queue.set(replica, start);
        }
        nothing_before
    }

    fn patience(&mut self, now_fs: i128, class: usize) {
        while let Some(over) = self.replicas.give_up(now_fs, class, self.setup, &mut self.queue) {
            self.in_flight -= 1;
            if let Some(over) = over {
                self.succeed(now_fs, &over);
            }
        }
        if let Some(at_fs) = self.replicas.next_patience(class) {
            self.queue.set(self.sources.patience + class, Key::new(at_fs, Rank::Patience, class));
        }
    }

    fn overdue(&mut self, now_fs: i128, class: usize) {
        if let Some(at_fs) = self.replicas.cross_overdue(now_fs, class, self.setup) {
            self.queue.set(self.sources.overdue + class, Key::new(at_fs, Rank::Overdue, class));
        }
    }

    /// Pools of a site begin to drain, or are open again: what closed loops lost to them then comes back.
    fn drain(&mut self, now_fs: i128, site: usize) {
        for pool in self.setup.fleet.sites[site].pools.clone() {
            let drains = self.setup.power.draining(pool);
            if drains == self.replicas.pool_drains(pool) {
                continue;
            }
            if drains {
                let mut over = std::mem::take(&mut self.over);
                over.clear();
                self.in_flight -= self.replicas.drain(now_fs, pool, self.setup, &mut self.queue, &mut over);
                for over in &over {
                    self.succeed(now_fs, over);
                }
                self.over = over;
            } else {
                self.replicas.reopen(now_fs, pool, self.setup);
                self.let_in(now_fs, pool);
            }
        }
    }

    /// What closed loops lost to a pool that is open again comes back.
    fn let_in(&mut self, now_fs: i128, pool: usize) {
        if self.replicas.pool_open(pool) {
            for class in std::mem::take(&mut self.held[pool]) {
                self.replaced.extend(self.setup.stream.replace(class, now_fs));
            }
        }
    }

    /// What is broken, or not installed, from the start is so before anything arrives.
    fn break_at_start(&mut self) -> Result<(), SimError> {
        while self.setup.failures.peek_fs().is_some_and(|at_fs| at_fs <= 0) {
            self.queue.clear(self.sources.failure);
            self.failure(0)?;
            self.apply_effects(0);
            for site in 0..self.setup.fleet.sites.len() {
                self.outage(0, site);
                self.apply_effects(0);
            }
        }
        Ok(())
    }

    fn failure(&mut self, now_fs: i128) -> Result<(), SimError> {
        let next = self.setup.failures.pop().map_err(|problem| SimError::Scenario(vec![problem]))?;
        let Some(event) = next else { return Ok(()) };
        self.setup.power.failure(now_fs, &event);
        // Of a replica that is down for two reasons, one may begin or end: not installed, failed.
        for number in event.replicas() {
            if self.replicas.is_down(number) {
                self.replicas.relabel(now_fs, number, self.setup);
            }
        }
        if let Some(at_fs) = self.setup.failures.peek_fs() {
            self.queue.set(self.sources.failure, Key::new(at_fs, Rank::Failure, 0));
        }
        Ok(())
    }

    /// Replicas of a site fail or boot; then the requests of those that failed go elsewhere, in order of arrival.
    fn outage(&mut self, now_fs: i128, site: usize) {
        let mut strays = std::mem::take(&mut self.strays);
        strays.clear();
        for number in self.setup.fleet.sites[site].replicas.clone() {
            match (self.setup.power.is_up(number), self.replicas.is_down(number)) {
                (false, false) => {
                    self.replicas.fail(now_fs, number, self.setup, &mut self.queue, &mut strays);
                }
                (true, true) => self.replicas.boot(now_fs, number, self.setup, &mut self.queue),
                _ => {}
            }
        }
        strays.sort_by_key(|stray| stray.request.order());
        for stray in &strays {
            self.send_on(now_fs, stray);
        }
        self.strays = strays;
    }

    /// A request that lost its replica goes to another, or is lost.
    fn send_on(&mut self, now_fs: i128, stray: &Stray) {
        let request = &stray.request;
        let refused = if self.setup.classes[usize::from(request.class)].retries {
            let replica = self.setup.router.route(request, &self.setup.loads);
            match self.refusal(request, replica) {
                None => {
                    self.setup.loads.add(replica);
                    self.replicas.readmit(now_fs, replica, stray, self.setup, &mut self.queue);
                    return;
                }
                Some(outcome) => (outcome, Some(replica)),
            }
        } else {
            (RequestOutcome::Lost, None)
        };
        let (outcome, replica) = refused;
        let (first_token_fs, emitted, admitted) = self.replicas.give_up_stray(stray);
        self.in_flight -= 1;
        let number = replica.map(|number| number as u32);
        if !request.leg.is_only() {
            let journey = self.replicas.journeys.of(stray.slot);
            let left = Dropped { outcome, replica: number, emitted, admitted };
            self.dropped(now_fs, journey, request, &left);
            return;
        }
        let departure = Departure { request, first_token_fs, replica: number, outcome };
        self.setup.ledger.abandoned(now_fs, &departure, emitted, admitted);
        match (outcome, replica) {
            (RequestOutcome::ShedOverheated | RequestOutcome::ShedUnavailable, Some(replica)) => {
                let pool = self.replicas.door(replica).pool;
                self.hold(pool, request.class);
            }
            (RequestOutcome::ShedQueueFull, Some(replica)) => {
                self.replicas.overflowed(now_fs, replica, self.setup);
            }
            (RequestOutcome::Lost, _) => {
                self.replaced.extend(self.setup.stream.replace(request.class, now_fs));
            }
            _ => {}
        }
    }

    /// Why a replica does not take a request, if it does not.
    fn refusal(&self, request: &Request, replica: usize) -> Option<RequestOutcome> {
        let door = self.replicas.door(replica);
        let pool = &self.setup.fleet.pools[door.pool];
        let most = (u64::from(request.prompt_tok) + u64::from(request.output_tok) - 1)
            .div_ceil(u64::from(pool.block_tok));
        if most > pool.kv_blocks {
            Some(RequestOutcome::ShedTooLong)
        } else if door.down {
            Some(RequestOutcome::ShedUnavailable)
        } else if door.drains {
            Some(RequestOutcome::ShedOverheated)
        } else if u64::from(door.waiting) >= pool.max_queue {
            Some(RequestOutcome::ShedQueueFull)
        } else {
            None
        }
    }

    /// A replica that failed serves again.
    fn restart(&mut self, now_fs: i128, number: usize) {
        self.replicas.restart(now_fs, number, self.setup);
        // Who waited outside finds all of those that restart at this instant.
        let next = self.queue.peek();
        if next == Key::NEVER || next.at_fs() > now_fs || next.rank() != Rank::Restart {
            for pool in 0..self.held.len() {
                self.let_in(now_fs, pool);
            }
        }
    }

    /// A draining pool shed a request; one of a closed loop has a successor to come.
    fn hold(&mut self, pool: usize, class: u16) {
        if self.setup.stream.is_closed_loop(class) {
            self.held[pool].push(class);
        }
    }

    fn cap_step(&mut self, now_fs: i128, site: usize, source: usize) {
        let levels = &self.setup.fleet.sites[site].cap;
        let level = levels[self.cap_next[site]];
        self.cap_next[site] += 1;
        if let Some(next) = levels.get(self.cap_next[site]) {
            self.queue.set(source, Key::new(next.from_fs, Rank::CapStep, site));
        }
        self.setup.power.set_cap(now_fs, site, &level);
    }

    fn tick(&mut self, now_fs: i128) {
        let gauges = self.gauges();
        self.setup.ledger.tick(now_fs, &mut self.setup.power, &self.setup.fleet, gauges);
        self.queue.set(self.sources.tick, Key::new(self.setup.ledger.next_tick_fs(), Rank::Tick, 0));
    }

    fn apply_effects(&mut self, now_fs: i128) {
        while self.setup.power.has_effects() {
            self.effects.clear();
            self.setup.power.take_effects(&mut self.effects);
            for effect in &self.effects {
                match *effect {
                    Effect::Recheck(replica) => self.replicas.recheck(now_fs, replica, &mut self.queue),
                    Effect::Retry(replica) => {
                        self.queue.set(replica, Key::new(now_fs, Rank::Retry, replica));
                    }
                    Effect::ReleaseAt(site, at_fs) => {
                        self.queue.set(self.sources.release + site, Key::new(at_fs, Rank::Release, site));
                    }
                    Effect::BuildingAt(site, at_fs) => {
                        self.queue.set(self.sources.building + site, Key::new(at_fs, Rank::Building, site));
                    }
                    Effect::Relabel(site) => self.replicas.relabel_site(now_fs, site, self.setup),
                    Effect::Drain(site) => {
                        self.queue.set(self.sources.drain + site, Key::new(now_fs, Rank::Drain, site));
                    }
                    Effect::Outage(site) => {
                        self.queue.set(self.sources.outage + site, Key::new(now_fs, Rank::Outage, site));
                    }
                }
            }
        }
    }

    fn gauges(&self) -> Gauges {
        let running = self.replicas.running_total();
        Gauges { queue: self.in_flight - running, running }
    }

    /// Whether an event is pending that can change a request's fate.
    fn anything_moves(&mut self) -> bool {
        let pending = |source: usize| self.queue.is_pending(source);
        (0..self.sources.patience)
            .chain(self.sources.cap..self.sources.release)
            .chain(self.sources.drain..self.sources.failure)
            .any(pending)
            || (0..self.setup.classes.len()).any(|class| self.replicas.next_patience(class).is_some())
    }

    /// Whether the building changes, or something fails or is repaired, later.
    fn anything_around(&self) -> bool {
        let around = self.sources.building..self.sources.drain;
        around.chain([self.sources.failure]).any(|source| self.queue.is_pending(source))
    }

    /// Whether a step of a cap is to come, or somebody may give up.
    fn anything_certain(&mut self) -> bool {
        (self.sources.cap..self.sources.release).any(|source| self.queue.is_pending(source))
            || (0..self.setup.classes.len()).any(|class| self.replicas.next_patience(class).is_some())
    }

    fn waiting_for_watts(&self) -> bool {
        (0..self.setup.fleet.sites.len()).any(|site| self.setup.power.waiting(site) > 0)
    }

    fn close(&mut self, end_fs: i128) -> Result<(), SimError> {
        let gauges = self.gauges();
        self.replicas.close(end_fs, self.setup)?;
        self.setup
            .ledger
            .close(end_fs, &mut self.setup.power, &self.setup.fleet, gauges)
            .map_err(SimError::Invariant)
    }
}
