//! The oracle's replicas: one iteration after the other, its clock, its account, its label.

use super::batch::{Batch, Prompt, Sequence};
use super::{PlantedFault, Rank, Stepwise};
use crate::control::{Grant, Held, Hold};
use crate::engine::SimError;
use crate::engine::setup::Setup;
use crate::ledger::outcome::RequestOutcome;
use crate::ledger::{Departure, Label, Rest, Run};
use crate::physics::clock::Clock;
use crate::physics::draw::Draw;
use crate::physics::series::Series;
use crate::physics::step::{PowerState, Shape};
use crate::serving::binding::{Cause, cause};

/// An iteration under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Iteration {
    start_fs: i128,
    duration_fs: i64,
    /// What it waited for watts before it began [fs].
    stall_fs: i128,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    Nothing,
    /// A start is pending at this instant.
    AboutToStart,
    Iterating(Iteration),
    WaitingForWatts,
    /// It failed.
    Failed,
    /// It boots.
    Booting,
}

/// A replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) batch: Batch,
    pub(super) doing: Doing,
    /// Shape of the iteration planned or under way, and tokens that it emits.
    shape: Shape,
    emitted: u32,
    /// When it was planned [fs].
    planned_fs: i128,
    /// Power state of the last request for a clock; none while idle.
    asked: Option<PowerState>,
    /// Earliest recheck that control asked for since then [fs].
    pub(super) recheck_fs: Option<i128>,
    clock: Clock,
    braked: bool,
    /// Watts since `rest_since_fs` if it rests, else of its iterations [nW].
    it_nw: i64,
    gpu_nw: i64,
    /// Start of the stretch without iterations [fs]; none while it iterates.
    rest_since_fs: Option<i128>,
    pub(super) refused: bool,
    full: bool,
    pub(super) backlogged: bool,
    /// Whether the last sequence to finish here that had a TPOT to keep did not keep it.
    late: bool,
    cause: Option<Cause>,
    label: Label,
}

impl Replica {
    pub(super) fn new(number: usize, setup: &Setup) -> Self {
        let idle = setup.fleet.pool(number).power.idle();
        Self {
            batch: Batch::default(),
            doing: Doing::Nothing,
            shape: Shape::default(),
            emitted: 0,
            planned_fs: 0,
            asked: None,
            recheck_fs: None,
            clock: Clock::FULL,
            braked: false,
            it_nw: idle.fixed_nw,
            gpu_nw: idle.gpu_fixed_nw,
            rest_since_fs: Some(0),
            refused: false,
            full: false,
            backlogged: false,
            late: false,
            cause: None,
            label: Label::Demand,
        }
    }

    /// Whether it failed, and does not serve again yet.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.doing, Doing::Failed | Doing::Booting)
    }

    /// It has failed: nothing of what it did is left.
    pub(super) fn forget(&mut self, now_fs: i128) {
        self.doing = Doing::Failed;
        (self.asked, self.recheck_fs, self.cause) = (None, None, None);
        (self.refused, self.backlogged, self.late) = (false, false, false);
        (self.it_nw, self.gpu_nw, self.rest_since_fs) = (0, 0, Some(now_fs));
    }

    /// Requests of a class that were never admitted and arrived at or before an instant.
    pub(super) fn waiting_since(&self, class: usize, arrival_fs: i128) -> impl Iterator<Item = &Sequence> {
        let waiting = self.batch.waiting.iter();
        waiting.filter(move |s| {
            usize::from(s.request.class) == class && !s.ever_admitted && s.request.arrival_fs <= arrival_fs
        })
    }
}

impl Stepwise<'_> {
    pub(super) fn iteration_end(&mut self, now_fs: i128, number: usize) {
        let Doing::Iterating(iteration) = self.replicas[number].doing else { return };
        self.post_iteration(now_fs, number, &iteration, 1);
        let replica = &mut self.replicas[number];
        let (prompts, done) = replica.batch.finish(now_fs, self.setup.fleet.pool(number), self.fault);
        replica.doing = Doing::AboutToStart;
        self.pending.insert((now_fs, Rank::IterationStart, number));
        for prompt in prompts {
            match prompt {
                Prompt::First(request, found) => {
                    if request.leg.is_only() {
                        self.setup.ledger.first_token(now_fs, &request);
                    } else {
                        self.leg_first_token(now_fs, &request);
                    }
                    if request.prefix > 0 {
                        let pool = usize::from(self.setup.fleet.pool_of[number]);
                        self.setup.ledger.prefix(now_fs, pool, &request, found);
                    }
                }
                Prompt::Again(last_token_fs) => self.setup.ledger.resumed(now_fs, last_token_fs),
            }
        }
        for sequence in done {
            let gaps = i128::from(sequence.request.output_tok) - 1;
            let limit = self.setup.classes[usize::from(sequence.request.class)].tpot_fs;
            if let (Some(limit_fs), Some(first_fs), 1..) = (limit, sequence.first_token_fs, gaps) {
                self.replicas[number].late = now_fs - first_fs > limit_fs * gaps;
            }
            if let (false, Some(first_fs)) = (sequence.request.leg.is_only(), sequence.first_token_fs) {
                self.leg_done(now_fs, &sequence.request, first_fs, number);
                self.setup.loads.remove(number);
                continue;
            }
            let departure = Departure {
                request: &sequence.request,
                first_token_fs: sequence.first_token_fs,
                replica: Some(number as u32),
                outcome: RequestOutcome::Completed,
            };
            self.setup.ledger.departed(now_fs, &departure);
            self.setup.loads.remove(number);
            self.replaced.extend(self.setup.stream.replace(sequence.request.class, now_fs));
        }
    }

    pub(super) fn iteration_start(&mut self, now_fs: i128, number: usize) -> Result<(), SimError> {
        let pool = self.setup.fleet.pool(number);
        let replica = &mut self.replicas[number];
        let begun = replica.batch.begin(pool, self.fault);
        for lost in begun.lost {
            self.setup.ledger.preempted(usize::from(self.setup.fleet.pool_of[number]), lost);
        }
        for request in &begun.admitted {
            self.setup.ledger.admitted(now_fs, request);
        }
        self.setup.ledger.spared(begun.spared);
        (replica.shape, replica.emitted, replica.planned_fs) = (begun.shape, begun.emitted, now_fs);
        replica.refused = begun.refused;
        if replica.batch.waiting.is_empty() {
            replica.backlogged = false;
        }
        if begun.shape.n == 0 && begun.shape.p == 0 {
            let (waiting, running) = (replica.batch.waiting.len(), replica.batch.running.len());
            if waiting + running > 0 {
                return Err(SimError::Invariant(format!(
                    "replica {number} would be idle with {waiting} requests waiting and {running} running"
                )));
            }
            self.go_idle(now_fs, number);
            return Ok(());
        }
        let full = replica.batch.running.len() == pool.max_seqs as usize || !replica.batch.waiting.is_empty();
        let early = self.fault == Some(PlantedFault::ClockChangeOneIterationEarly);
        let recheck = replica.recheck_fs.is_some_and(|at_fs| at_fs < now_fs || (early && at_fs == now_fs));
        let must_ask = recheck || replica.asked != Some(begun.shape.power_state());
        self.set_full(now_fs, number, full);
        if must_ask {
            self.ask(now_fs, number);
        } else {
            self.iterate(now_fs, number);
        }
        Ok(())
    }

    /// Ask control for a clock for the planned iteration; begin it, or wait for watts.
    pub(super) fn ask(&mut self, now_fs: i128, number: usize) {
        let pool = self.setup.fleet.pool(number);
        let state = self.replicas[number].shape.power_state();
        let draw: Draw = pool.power.at_state(&pool.step, &state);
        let local = pool.local_clock(&draw);
        let grant = self.setup.power.request(now_fs, number, &draw, &local, state.p > 0);
        self.replicas[number].asked = Some(state);
        self.replicas[number].recheck_fs = None;
        match grant {
            Grant::Run { clock, it_nw, gpu_nw, hold } => {
                self.post_rest(now_fs, number);
                let replica = &mut self.replicas[number];
                if replica.rest_since_fs.is_none() && clock != replica.clock {
                    self.setup.ledger.clock_changed();
                }
                replica.rest_since_fs = None;
                replica.cause = Some(cause(pool_of(self.setup, number), &state, &clock, hold));
                (replica.clock, replica.it_nw, replica.gpu_nw) = (clock, it_nw, gpu_nw);
                replica.braked = hold == Hold::Brake;
                self.iterate(now_fs, number);
            }
            Grant::Wait => {
                self.rest(now_fs, number);
                self.replicas[number].doing = Doing::WaitingForWatts;
                self.relabel(now_fs, number);
            }
        }
    }

    /// Begin the planned iteration at the clock in force.
    fn iterate(&mut self, now_fs: i128, number: usize) {
        let replica = &mut self.replicas[number];
        let shape = replica.shape;
        let law = &pool_of(self.setup, number).step;
        let duration_fs =
            law.coefficients(shape.n, shape.p, shape.chunks, &replica.clock).duration_fs(&shape);
        let stall_fs = now_fs - replica.planned_fs;
        replica.doing = Doing::Iterating(Iteration { start_fs: now_fs, duration_fs, stall_fs, shape });
        self.pending.insert((now_fs + i128::from(duration_fs), Rank::IterationEnd, number));
        self.relabel(now_fs, number);
    }

    fn go_idle(&mut self, now_fs: i128, number: usize) {
        if self.replicas[number].asked.is_some() {
            self.setup.power.idle(now_fs, number);
        }
        self.rest(now_fs, number);
        let replica = &mut self.replicas[number];
        replica.doing = Doing::Nothing;
        replica.late = false;
        replica.asked = None;
        replica.recheck_fs = None;
        self.set_full(now_fs, number, false);
        self.relabel(now_fs, number);
    }

    /// From now on the replica draws its idle watts.
    pub(super) fn rest(&mut self, now_fs: i128, number: usize) {
        self.post_rest(now_fs, number);
        let idle = self.setup.fleet.pool(number).power.idle();
        let replica = &mut self.replicas[number];
        replica.rest_since_fs = Some(now_fs);
        (replica.it_nw, replica.gpu_nw) = (idle.fixed_nw, idle.gpu_fixed_nw);
    }

    /// Post the stretch without iterations up to now, if the replica is in one.
    pub(super) fn post_rest(&mut self, now_fs: i128, number: usize) {
        let replica = &self.replicas[number];
        let Some(start_fs) = replica.rest_since_fs else { return };
        self.setup.ledger.post_rest(&Rest {
            pool: usize::from(self.setup.fleet.pool_of[number]),
            start_fs,
            until_fs: now_fs,
            it_nw: replica.it_nw,
            gpu_nw: replica.gpu_nw,
        });
    }

    /// Post an iteration under way that comes to nothing.
    pub(super) fn post_lost(&mut self, now_fs: i128, number: usize) {
        let replica = &self.replicas[number];
        let Doing::Iterating(iteration) = &replica.doing else { return };
        self.setup.ledger.post(&Run {
            pool: usize::from(self.setup.fleet.pool_of[number]),
            start_fs: iteration.start_fs,
            until_fs: now_fs,
            series: Series { first_fs: iteration.duration_fs, increment_fs: 0 },
            iterations: 0,
            cut: false,
            decoding: 0,
            emitted: 0,
            stall_fs: 0,
            clock: replica.clock,
            it_nw: replica.it_nw,
            gpu_nw: replica.gpu_nw,
        });
    }

    /// Post an iteration: whole (`count` 1), or cut short by the end of the run (0).
    fn post_iteration(&mut self, until_fs: i128, number: usize, iteration: &Iteration, count: i64) {
        let replica = &self.replicas[number];
        self.setup.ledger.post(&Run {
            pool: usize::from(self.setup.fleet.pool_of[number]),
            start_fs: iteration.start_fs,
            until_fs,
            series: Series { first_fs: iteration.duration_fs, increment_fs: 0 },
            iterations: count,
            cut: count == 0,
            decoding: iteration.shape.n,
            emitted: replica.emitted,
            stall_fs: iteration.stall_fs,
            clock: replica.clock,
            it_nw: replica.it_nw,
            gpu_nw: replica.gpu_nw,
        });
    }

    pub(super) fn set_full(&mut self, now_fs: i128, number: usize, full: bool) {
        self.replicas[number].full = full;
        let pool = usize::from(self.setup.fleet.pool_of[number]);
        if self.setup.closed_loop[pool] {
            // Whether the whole pool is full may have changed for each of its replicas.
            for other in self.setup.fleet.pools[pool].replicas.clone() {
                self.relabel(now_fs, other);
            }
        }
    }

    /// Bring the label of a replica up to date.
    pub(super) fn relabel(&mut self, now_fs: i128, number: usize) {
        let pool_number = usize::from(self.setup.fleet.pool_of[number]);
        let pool = &self.setup.fleet.pools[pool_number];
        let replica = &self.replicas[number];
        let backlogged = replica.backlogged
            || (self.setup.closed_loop[pool_number]
                && self.replicas[pool.replicas.clone()].iter().any(|r| r.full)
                && self.replicas[pool.replicas.clone()].iter().all(|r| r.full || r.is_out()));
        let bound = backlogged || replica.late;
        let label = match (&replica.doing, &replica.cause) {
            (Doing::Failed, _) if !pool.is_installed(now_fs) => Label::Absent,
            _ if self.draining[pool_number] => Label::Operations,
            (Doing::Failed | Doing::Booting, _) => Label::Failed,
            (Doing::AboutToStart, _) => return,
            (Doing::WaitingForWatts, _) if bound => Label::PowerMeter,
            (Doing::Iterating(_), _) if replica.braked => Label::Brake,
            (Doing::Iterating(_), Some(cause)) if bound => {
                if replica.refused {
                    cause.refused
                } else {
                    cause.plain
                }
            }
            _ => Label::Demand,
        };
        // Control knows which of its limits holds the site's clocks.
        let zone_holds = matches!(self.setup.power.held(pool.site), Held::Zone(_));
        let label = if label == Label::PowerMeter && zone_holds { Label::Cooling } else { label };
        if label != replica.label {
            self.setup.ledger.label(now_fs, pool_number, pool.gpus_per_replica, replica.label, label);
            self.replicas[number].label = label;
        }
    }

    /// The run ends: post what is under way and hand over what is in flight.
    pub(super) fn close_replica(&mut self, end_fs: i128, number: usize) -> Result<(), SimError> {
        match self.replicas[number].doing {
            Doing::Iterating(iteration) => self.post_iteration(end_fs, number, &iteration, 0),
            Doing::Nothing if self.in_flight_at(number) > 0 => {
                return Err(SimError::Invariant(format!("replica {number} is idle with requests in flight")));
            }
            _ => self.post_rest(end_fs, number),
        }
        let batch = &self.replicas[number].batch;
        for sequence in batch.waiting.iter().chain(&batch.running).filter(|s| s.request.leg.is_only()) {
            let departure = Departure {
                request: &sequence.request,
                first_token_fs: sequence.first_token_fs,
                replica: Some(number as u32),
                outcome: RequestOutcome::InFlight,
            };
            self.setup.ledger.left_over(end_fs, &departure, sequence.emitted);
        }
        Ok(())
    }

    fn in_flight_at(&self, number: usize) -> usize {
        let batch = &self.replicas[number].batch;
        batch.waiting.len() + batch.running.len()
    }
}

fn pool_of(setup: &Setup, number: usize) -> &crate::fleet::Pool {
    setup.fleet.pool(number)
}
