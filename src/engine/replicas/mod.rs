//! Replicas in the segment engine: runs of like iterations, where they are cut, and what is posted of them.

pub(super) use failing::Stray;

mod failing;
mod waiting;

use std::collections::VecDeque;

use super::SimError;
use super::journeys::{Journeys, Over};
use super::queue::{Key, Queue, Rank};
use super::setup::Setup;
use crate::control::{Grant, Held, Hold, PowerControl};
use crate::fleet::Pool;
use crate::ledger::outcome::RequestOutcome;
use crate::ledger::{Departure, Label, Ledger, Rest, Run};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::physics::series::Series;
use crate::physics::step::PowerState;
use crate::serving::batch::{Batch, Notes, Plan};
use crate::serving::binding::{Cause, cause};
use crate::serving::draws::Draws;
use crate::serving::slots::Slots;
use crate::workload::Request;

/// A run of like iterations under way.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start_fs: i128,
    stall_fs: i128,
    series: Series,
    /// Iterations until it ends, as planned or cut.
    iterations: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    /// A start is pending at this instant.
    Starting,
    Running(Segment),
    /// Planned, but waiting for watts.
    Waiting,
    /// Failed.
    Down,
    /// On its way back: a restart is pending.
    Booting,
}

struct Replica {
    pool: u16,
    batch: Batch,
    state: State,
    plan: Plan,
    /// Power state of the last request for a clock; none while idle.
    asked: Option<PowerState>,
    draw: Draw,
    local: Clock,
    /// Clock granted last, and when iterations last ran at it.
    clock: Clock,
    hold: Hold,
    ran: bool,
    it_nw: i64,
    gpu_nw: i64,
    /// Control wants to be asked again at the first boundary after this instant.
    recheck_fs: Option<i128>,
    /// End of the last iteration, or of idling [fs].
    last_end_fs: i128,
    /// Start of the stretch without iterations [fs].
    rest_since_fs: i128,
    refused: bool,
    full: bool,
    backlogged: bool,
    /// The sequence that finished last, of those with a TPOT limit, missed it.
    late: bool,
    /// What the iterations' state and clock say about their cause; looked up once somebody asks.
    cause: Option<Cause>,
    label: Label,
}

/// A request on watch until an instant.
#[derive(Debug, Clone, Copy)]
struct Watch {
    at_fs: i128,
    slot: u32,
    order: u64,
}

/// All replicas, their requests and the watches over who waits.
pub(super) struct Replicas {
    replicas: Vec<Replica>,
    slots: Slots,
    pub(super) journeys: Journeys,
    notes: Notes,
    done: Vec<u32>,
    priorities: Vec<usize>,
    overdue: Vec<VecDeque<Watch>>,
    patience: Vec<VecDeque<Watch>>,
    pools: Vec<PoolState>,
    running_total: u64,
}

/// What the replicas of a pool share.
struct PoolState {
    draws: Draws,
    /// Draw of a replica without work.
    idle: Draw,
    /// Replicas that are full.
    full: usize,
    /// Replicas that neither failed nor boot.
    up: usize,
    /// Whether all of those are full, and a closed loop can use the pool.
    crowded: bool,
    /// Whether it lets nothing in.
    draining: bool,
}

/// A replica as a request finds it.
pub(super) struct Door {
    pub(super) pool: usize,
    /// Whether the pool lets nothing in.
    pub(super) drains: bool,
    /// Whether the replica failed, and with it all that are open to the request.
    pub(super) down: bool,
    /// Requests waiting.
    pub(super) waiting: u32,
}

/// What a replica's events need besides the replica.
struct Desk<'a> {
    now_fs: i128,
    number: usize,
    pool: &'a Pool,
    shared: &'a mut PoolState,
    ledger: &'a mut Ledger,
    power: &'a mut PowerControl,
    queue: &'a mut Queue,
}

impl Replicas {
    pub(super) fn new(setup: &Setup) -> Self {
        let classes = setup.classes.len();
        let replicas = (0..setup.fleet.replicas())
            .map(|r| {
                let pool = setup.fleet.pool(r);
                let idle = pool.power.idle();
                Replica {
                    pool: setup.fleet.pool_of[r],
                    batch: Batch::new(pool),
                    state: State::Idle,
                    plan: Plan::default(),
                    asked: None,
                    draw: idle,
                    local: Clock::FULL,
                    clock: Clock::FULL,
                    hold: Hold::Free,
                    ran: false,
                    it_nw: idle.fixed_nw,
                    gpu_nw: idle.gpu_fixed_nw,
                    recheck_fs: None,
                    last_end_fs: 0,
                    rest_since_fs: 0,
                    refused: false,
                    full: false,
                    backlogged: false,
                    late: false,
                    cause: None,
                    label: Label::Demand,
                }
            })
            .collect();
        Self {
            replicas,
            slots: Slots::default(),
            journeys: Journeys::default(),
            notes: Notes::default(),
            done: Vec::new(),
            priorities: setup.classes.iter().map(|class| class.priority).collect(),
            overdue: vec![VecDeque::new(); classes],
            patience: vec![VecDeque::new(); classes],
            pools: setup.fleet.pools.iter().map(PoolState::new).collect(),
            running_total: 0,
        }
    }

    /// What decides whether a replica lets a request in.
    #[inline]
    pub(super) fn door(&self, replica: usize) -> Door {
        let replica = &self.replicas[replica];
        let pool = usize::from(replica.pool);
        let down = matches!(replica.state, State::Down | State::Booting);
        Door { pool, drains: self.pools[pool].draining, down, waiting: replica.batch.waiting() }
    }

    pub(super) fn pool_drains(&self, pool: usize) -> bool {
        self.pools[pool].draining
    }

    pub(super) fn running_total(&self) -> u64 {
        self.running_total
    }

    /// A request joins a replica: an idle one starts at this instant, a running one is cut at its next boundary
    /// if the request could be admitted there; `after`: a boundary at this very instant is already over.
    pub(super) fn enqueue(
        &mut self,
        now_fs: i128,
        number: usize,
        request: Request,
        after: bool,
        setup: &mut Setup,
        queue: &mut Queue,
    ) -> u32 {
        let priority = self.priorities[usize::from(request.class)];
        let id = self.slots.take(request, priority, number as u32);
        self.join(now_fs, number, id, after, setup, queue);
        id
    }

    /// As [`Self::enqueue`], of a request that has a slot.
    #[inline]
    fn join(
        &mut self,
        now_fs: i128,
        number: usize,
        id: u32,
        after: bool,
        setup: &mut Setup,
        queue: &mut Queue,
    ) {
        let priority = usize::from(self.slots[id].priority);
        let replica = &mut self.replicas[number];
        let is_head = replica.batch.enqueue(&mut self.slots, id, priority);
        match replica.state {
            State::Idle => {
                replica.state = State::Starting;
                queue.set(number, Key::new(now_fs, Rank::IterationStart, number));
            }
            State::Running(_) if step_is_full(replica, setup) => self.set_full(now_fs, number, true, setup),
            State::Running(_) if is_head => self.next_in_line(now_fs, number, after, setup, queue),
            State::Waiting if is_head => self.cut(now_fs, number, after, queue),
            _ => {}
        }
    }

    /// The head of a running replica's queue is new: mark it refused if no slot is free, else let the next
    /// boundary decide. Nothing happens while the step has no token left for it.
    fn next_in_line(
        &mut self,
        now_fs: i128,
        number: usize,
        after: bool,
        setup: &mut Setup,
        queue: &mut Queue,
    ) {
        let replica = &mut self.replicas[number];
        if step_is_full(replica, setup) {
            return;
        }
        let pool = &setup.fleet.pools[usize::from(replica.pool)];
        if replica.batch.running() == pool.max_seqs {
            if !replica.refused {
                replica.refused = true;
                self.relabel(now_fs, number, setup);
            }
        } else {
            self.cut(now_fs, number, after, queue);
        }
    }

    /// End a replica's segment at its first iteration boundary at or (`after`) after now; of one that waits for
    /// watts, after the iteration it has planned.
    fn cut(&mut self, now_fs: i128, number: usize, after: bool, queue: &mut Queue) {
        let replica = &mut self.replicas[number];
        if let State::Waiting = replica.state {
            replica.plan.iterations = 1;
        }
        let State::Running(segment) = &mut replica.state else { return };
        let elapsed = now_fs - segment.start_fs;
        let (over, over_fs) = segment.series.completed_by(elapsed);
        let at_boundary = over > 0 && !after && over_fs == elapsed;
        let until = if at_boundary { over } else { over + 1 };
        if until < segment.iterations as i64 {
            segment.iterations = until as u64;
            let more_fs = if at_boundary { 0 } else { segment.series.nth_fs(over) };
            let end = segment.start_fs + over_fs + i128::from(more_fs);
            queue.set(number, Key::new(end, Rank::IterationEnd, number));
        }
    }

    /// Control asks for a recheck: at the first boundary after now.
    pub(super) fn recheck(&mut self, now_fs: i128, number: usize, queue: &mut Queue) {
        // The earliest counts: a second one at the very instant of the boundary must not put the first one off.
        self.replicas[number].recheck_fs.get_or_insert(now_fs);
        self.cut(now_fs, number, true, queue);
    }

    /// A segment ends: post it, let prompts join and sequences leave. `over` gets each request that is over with it, in
    /// order of index. Returns how many sequences left.
    pub(super) fn end(
        &mut self,
        now_fs: i128,
        number: usize,
        setup: &mut Setup,
        over: &mut Vec<Over>,
    ) -> u64 {
        let replica = &mut self.replicas[number];
        let State::Running(segment) = &replica.state else { return 0 };
        let iterations = segment.iterations;
        let pool_number = usize::from(replica.pool);
        let pool = &setup.fleet.pools[pool_number];
        let ledger = &mut setup.ledger;
        ledger.post_whole(run_of(replica, segment, now_fs, iterations as i64, false));
        self.done.clear();
        let journeys = &self.journeys;
        replica.batch.end(
            &mut self.slots,
            pool,
            replica.plan.partial_tok,
            iterations,
            &mut self.done,
            |slots, id| {
                let slot = &mut slots[id];
                if slot.first_token_fs < 0 {
                    slot.first_token_fs = now_fs;
                    if slot.request.leg.is_only() {
                        ledger.first_token(now_fs, &slot.request);
                    } else {
                        let shown_since = journeys.shown_since(id, &slot.request);
                        ledger.leg_first_token(now_fs, &slot.request, shown_since);
                    }
                    if slot.request.prefix > 0 {
                        ledger.prefix(now_fs, pool_number, &slot.request, slot.cached_tok);
                    }
                } else {
                    ledger.resumed(now_fs, slot.last_token_fs);
                }
            },
        );
        for &id in &self.done {
            let slot = &self.slots[id];
            let class = slot.request.class;
            if slot.request.leg.is_only() {
                ledger.completed(
                    now_fs,
                    &Departure {
                        request: &slot.request,
                        first_token_fs: Some(slot.first_token_fs),
                        replica: Some(number as u32),
                        outcome: RequestOutcome::Completed,
                    },
                );
                over.push(Over { class, outcome: RequestOutcome::Completed, replica: None });
            } else {
                let (leg, first_fs) = (slot.request, slot.first_token_fs);
                over.extend(self.journeys.done(now_fs, id, &leg, first_fs, number as u32, ledger));
            }
            let gaps = i128::from(slot.request.output_tok) - 1;
            if let Some(limit) = setup.classes[usize::from(class)].tpot_fs
                && gaps > 0
            {
                replica.late = now_fs - slot.first_token_fs > limit * gaps;
            }
            setup.loads.remove(number);
            self.slots.give_back(id);
        }
        self.running_total -= self.done.len() as u64;
        let replica = &mut self.replicas[number];
        replica.state = State::Starting;
        replica.last_end_fs = now_fs;
        #[cfg(debug_assertions)]
        if let Some(error) = replica.batch.audit(&self.slots, pool) {
            panic!("replica {number} at {now_fs} fs: {error}");
        }
        self.done.len() as u64
    }

    /// Plan the next iterations, ask for a clock if need be, and go.
    #[inline]
    pub(super) fn start(&mut self, now_fs: i128, number: usize, setup: &mut Setup, queue: &mut Queue) {
        let replica = &mut self.replicas[number];
        let pool = &setup.fleet.pools[usize::from(replica.pool)];
        let running = replica.batch.running();
        let works = replica.batch.start(&mut self.slots, pool, &mut self.notes, &mut replica.plan);
        self.running_total = self.running_total + u64::from(replica.batch.running()) - u64::from(running);
        replica.refused = self.notes.refused;
        for &(id, lost, was_decoding) in &self.notes.preempted {
            if was_decoding {
                // Its last token came with the iteration that ended last.
                self.slots[id].last_token_fs = replica.last_end_fs;
            }
            setup.ledger.preempted(usize::from(replica.pool), lost);
        }
        for &id in &self.notes.admitted {
            let slot = &mut self.slots[id];
            if !slot.admitted {
                slot.admitted = true;
                setup.ledger.admitted(now_fs, &slot.request);
            }
        }
        if self.notes.spared_tok > 0 {
            setup.ledger.spared(self.notes.spared_tok);
        }
        let waiting = replica.batch.waiting();
        if waiting == 0 {
            replica.backlogged = false;
        }
        if !works {
            self.go_idle(now_fs, number, setup, queue);
            return;
        }
        let full = waiting > 0 || replica.batch.running() == pool.max_seqs;
        if replica.full != full {
            self.start_as_full(now_fs, number, full, setup, queue);
            return;
        }
        let mut desk = Desk {
            now_fs,
            number,
            pool,
            shared: &mut self.pools[usize::from(replica.pool)],
            ledger: &mut setup.ledger,
            power: &mut setup.power,
            queue,
        };
        desk.begin(replica);
    }

    /// Go on with the start of a replica that is full and was not, or the other way round.
    fn start_as_full(
        &mut self,
        now_fs: i128,
        number: usize,
        full: bool,
        setup: &mut Setup,
        queue: &mut Queue,
    ) {
        self.change_full(now_fs, number, full, setup);
        let (replica, mut desk) = self.at(now_fs, number, setup, queue);
        desk.begin(replica);
    }

    /// A replica, and what its events need besides it.
    #[inline]
    fn at<'a>(
        &'a mut self,
        now_fs: i128,
        number: usize,
        setup: &'a mut Setup,
        queue: &'a mut Queue,
    ) -> (&'a mut Replica, Desk<'a>) {
        let replica = &mut self.replicas[number];
        let pool = usize::from(replica.pool);
        let desk = Desk {
            now_fs,
            number,
            pool: &setup.fleet.pools[pool],
            shared: &mut self.pools[pool],
            ledger: &mut setup.ledger,
            power: &mut setup.power,
            queue,
        };
        (replica, desk)
    }

    /// Ask control for a clock once more.
    pub(super) fn retry(&mut self, now_fs: i128, number: usize, setup: &mut Setup, queue: &mut Queue) {
        let (replica, mut desk) = self.at(now_fs, number, setup, queue);
        desk.ask(replica);
    }

    fn go_idle(&mut self, now_fs: i128, number: usize, setup: &mut Setup, queue: &mut Queue) {
        let (replica, mut desk) = self.at(now_fs, number, setup, queue);
        if replica.asked.is_some() {
            desk.post_rest(replica);
            desk.power.idle(now_fs, number);
            let idle = &desk.shared.idle;
            (replica.it_nw, replica.gpu_nw) = (idle.fixed_nw, idle.gpu_fixed_nw);
        }
        replica.state = State::Idle;
        replica.late = false;
        replica.asked = None;
        replica.ran = false;
        replica.recheck_fs = None;
        self.set_full(now_fs, number, false, setup);
        self.relabel(now_fs, number, setup);
    }

    /// Bring the labels of a site up to date.
    pub(super) fn relabel_site(&mut self, now_fs: i128, site: usize, setup: &mut Setup) {
        for number in setup.fleet.sites[site].replicas.clone() {
            self.relabel(now_fs, number, setup);
        }
    }

    /// Bring a replica's label up to date (PHYSICS D5).
    pub(super) fn relabel(&mut self, now_fs: i128, number: usize, setup: &mut Setup) {
        let replica = &mut self.replicas[number];
        let pool = usize::from(replica.pool);
        let (laws, shared) = (&setup.fleet.pools[pool], &self.pools[pool]);
        replica.relabel(now_fs, laws, shared, &mut setup.ledger, &setup.power);
    }

    /// Post what is under way at the end, and hand over the requests in flight.
    pub(super) fn close(&mut self, end_fs: i128, setup: &mut Setup) -> Result<(), SimError> {
        let mut ahead = vec![0_u64; self.replicas.len()];
        for (number, replica) in self.replicas.iter().enumerate() {
            match &replica.state {
                State::Running(segment) => {
                    let over =
                        segment.series.completed(end_fs - segment.start_fs).min(segment.iterations as i64);
                    let run = run_of(replica, segment, end_fs, over, true);
                    ahead[number] = run.iterations as u64;
                    setup.ledger.post(&run);
                }
                _ if end_fs > replica.rest_since_fs && !replica.ran => {
                    setup.ledger.post_rest(&rest_of(replica, end_fs));
                }
                _ => {}
            }
        }
        for (id, slot) in self.slots.in_flight() {
            let number = slot.replica as usize;
            let emitted = self.replicas[number].batch.emitted(&self.slots, id, ahead[number]);
            if !slot.request.leg.is_only() {
                self.journeys.left_over(id, emitted, &mut setup.ledger);
                continue;
            }
            let departure = Departure {
                request: &slot.request,
                first_token_fs: (slot.first_token_fs >= 0).then_some(slot.first_token_fs),
                replica: Some(slot.replica),
                outcome: RequestOutcome::InFlight,
            };
            setup.ledger.left_over(end_fs, &departure, emitted);
        }
        self.journeys.close(end_fs, &mut setup.ledger);
        Ok(())
    }
}

impl PoolState {
    fn new(pool: &Pool) -> Self {
        Self {
            draws: Draws::default(),
            idle: pool.power.idle(),
            full: 0,
            up: pool.replicas.len(),
            crowded: false,
            draining: false,
        }
    }
}

impl Desk<'_> {
    /// Begin the iterations that are planned: ask for a clock if need be, and go.
    #[inline(always)]
    fn begin(&mut self, replica: &mut Replica) {
        let state = replica.plan.state;
        let another = replica.asked != Some(state);
        if another {
            replica.draw = self.shared.draws.of(self.pool, &state);
            replica.local = self.pool.local_clock(&replica.draw);
            replica.asked = Some(state);
            replica.cause = None;
        }
        if another || replica.recheck_fs.is_some_and(|at_fs| at_fs < self.now_fs) {
            self.ask(replica);
        } else {
            self.go(replica);
        }
    }

    /// Ask control for a clock; run, or wait for watts.
    #[inline(always)]
    fn ask(&mut self, replica: &mut Replica) {
        replica.recheck_fs = None;
        let prefills = replica.plan.shape.p > 0;
        match self.power.request(self.now_fs, self.number, &replica.draw, &replica.local, prefills) {
            Grant::Run { clock, it_nw, gpu_nw, hold } => {
                self.post_rest(replica);
                if clock != replica.clock {
                    if replica.ran {
                        self.ledger.clock_changed();
                    }
                    replica.clock = clock;
                    replica.cause = None;
                }
                if hold != replica.hold {
                    replica.hold = hold;
                    replica.cause = None;
                }
                (replica.it_nw, replica.gpu_nw, replica.ran) = (it_nw, gpu_nw, true);
                self.go(replica);
            }
            Grant::Wait => {
                self.post_rest(replica);
                let idle = &self.shared.idle;
                replica.state = State::Waiting;
                replica.ran = false;
                (replica.it_nw, replica.gpu_nw) = (idle.fixed_nw, idle.gpu_fixed_nw);
                replica.relabel(self.now_fs, self.pool, self.shared, self.ledger, self.power);
            }
        }
    }

    /// Run the plan at the clock in force.
    #[inline(always)]
    fn go(&mut self, replica: &mut Replica) {
        let shape = &replica.plan.shape;
        let growth = &replica.plan.growth;
        let series = if shape.p == 0 {
            let law = self.shared.draws.step(self.pool, shape.n, &replica.clock);
            Series { first_fs: law.decoding_fs(shape), increment_fs: law.decoding_increment_fs(growth) }
        } else {
            let law = self.pool.step.coefficients(shape.n, shape.p, shape.chunks, &replica.clock);
            Series { first_fs: law.duration_fs(shape), increment_fs: law.increment_fs(growth) }
        };
        // A recheck asked for at this very instant acts at the next boundary.
        let iterations = if replica.recheck_fs.is_some() { 1 } else { replica.plan.iterations };
        let stall_fs = self.now_fs - replica.last_end_fs;
        replica.state = State::Running(Segment { start_fs: self.now_fs, stall_fs, series, iterations });
        let end = self.now_fs + series.sum_fs(iterations as i64);
        self.queue.set_now(self.number, Key::new(end, Rank::IterationEnd, self.number));
        replica.relabel(self.now_fs, self.pool, self.shared, self.ledger, self.power);
    }

    /// Post the stretch without iterations that ends now, if any, and begin the next.
    #[inline]
    fn post_rest(&mut self, replica: &mut Replica) {
        if !replica.ran && self.now_fs > replica.rest_since_fs {
            self.ledger.post_rest(&rest_of(replica, self.now_fs));
        }
        replica.rest_since_fs = self.now_fs;
    }
}

impl Replica {
    /// Bring its label up to date. While its pool drains it has one, so it is looked at anew.
    #[inline]
    fn relabel(
        &mut self,
        now_fs: i128,
        pool: &Pool,
        shared: &PoolState,
        ledger: &mut Ledger,
        power: &PowerControl,
    ) {
        let failed = matches!(self.state, State::Down | State::Booting);
        let demand = !self.backlogged && !self.late && !shared.crowded && self.hold != Hold::Brake;
        if !demand || self.label != Label::Demand || failed {
            self.relabel_anew(now_fs, pool, shared, ledger, power);
        }
    }

    fn relabel_anew(
        &mut self,
        now_fs: i128,
        pool: &Pool,
        shared: &PoolState,
        ledger: &mut Ledger,
        power: &PowerControl,
    ) {
        let bound = self.backlogged || self.late || shared.crowded;
        let label = match self.state {
            State::Down if !pool.is_installed(now_fs) => Label::Absent,
            _ if shared.draining => Label::Operations,
            State::Down | State::Booting => Label::Failed,
            State::Starting => return,
            State::Waiting if bound => Label::PowerMeter,
            State::Running(_) if self.hold == Hold::Brake => Label::Brake,
            State::Running(_) if bound => {
                let cause =
                    self.cause.get_or_insert_with(|| cause(pool, &self.plan.state, &self.clock, self.hold));
                if self.refused { cause.refused } else { cause.plain }
            }
            State::Idle | State::Waiting | State::Running(_) => Label::Demand,
        };
        // Where the site holds clocks down, control knows whether it is a power device or a cooling zone.
        let label = match (label, power.held(pool.site)) {
            (Label::PowerMeter, Held::Zone(_)) => Label::Cooling,
            (label, _) => label,
        };
        if label != self.label {
            ledger.label(now_fs, usize::from(self.pool), pool.gpus_per_replica, self.label, label);
            self.label = label;
        }
    }
}

/// Whether the steps under way have no token left for another prompt.
fn step_is_full(replica: &Replica, setup: &Setup) -> bool {
    let shape = &replica.plan.shape;
    let pool = &setup.fleet.pools[usize::from(replica.pool)];
    shape.n * pool.tok_per_seq + shape.p >= pool.max_step_tok
}

/// The account of a segment up to an instant by which `iterations` of it are over.
#[inline(always)]
fn run_of(replica: &Replica, segment: &Segment, until_fs: i128, iterations: i64, cut: bool) -> Run {
    let shape = &replica.plan.shape;
    Run {
        pool: usize::from(replica.pool),
        start_fs: segment.start_fs,
        until_fs,
        series: segment.series,
        iterations,
        cut,
        decoding: shape.n,
        // What decoding sequences emit, they write to the cache.
        emitted: replica.plan.growth.kv_tok as u32 + replica.plan.ending,
        stall_fs: segment.stall_fs,
        clock: replica.clock,
        it_nw: replica.it_nw,
        gpu_nw: replica.gpu_nw,
    }
}

fn rest_of(replica: &Replica, until_fs: i128) -> Rest {
    Rest {
        pool: usize::from(replica.pool),
        start_fs: replica.rest_since_fs,
        until_fs,
        it_nw: replica.it_nw,
        gpu_nw: replica.gpu_nw,
    }
}
