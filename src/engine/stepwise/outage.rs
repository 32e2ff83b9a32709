//! The oracle's failures: replicas that fail, boot and serve again, and where their requests go.

use super::batch::Sequence;
use super::replica::Doing;
use super::{Rank, Stepwise};
use crate::engine::SimError;
use crate::ledger::Departure;
use crate::ledger::outcome::RequestOutcome;

impl Stepwise<'_> {
    /// What is broken, or not installed, from the start is so before anything arrives.
    pub(super) fn break_at_start(&mut self) -> Result<(), SimError> {
        while self.setup.failures.peek_fs().is_some_and(|at_fs| at_fs <= 0) {
            self.pending.retain(|&(_, rank, _)| rank != Rank::Failure);
            self.failure(0)?;
            self.apply_effects(0);
            for site in 0..self.setup.fleet.sites.len() {
                self.outage(0, site);
                self.apply_effects(0);
            }
        }
        Ok(())
    }

    pub(super) fn failure(&mut self, now_fs: i128) -> Result<(), SimError> {
        let next = self.setup.failures.pop().map_err(|problem| SimError::Scenario(vec![problem]))?;
        let Some(event) = next else { return Ok(()) };
        self.setup.power.failure(now_fs, &event);
        for number in event.replicas() {
            if matches!(self.replicas[number].doing, Doing::Failed) {
                self.relabel(now_fs, number);
            }
        }
        if let Some(at_fs) = self.setup.failures.peek_fs() {
            self.pending.insert((at_fs, Rank::Failure, 0));
        }
        Ok(())
    }

    /// Replicas of a site fail or boot; then those without one find another.
    pub(super) fn outage(&mut self, now_fs: i128, site: usize) {
        let mut homeless = Vec::new();
        for number in self.setup.fleet.sites[site].replicas.clone() {
            let up = self.setup.power.is_up(number);
            match self.replicas[number].doing {
                Doing::Failed if up => self.boot(now_fs, number),
                Doing::Failed => {}
                _ if up => {}
                _ => homeless.extend(self.fail(now_fs, number)),
            }
        }
        homeless.sort_by_key(|(sequence, _)| sequence.request.order());
        for (sequence, lost) in homeless {
            self.rehouse(now_fs, sequence, lost);
        }
    }

    fn fail(&mut self, now_fs: i128, number: usize) -> Vec<(Sequence, u64)> {
        self.pending.retain(|&(_, rank, of)| {
            let own = matches!(rank, Rank::IterationEnd | Rank::IterationStart | Rank::Retry | Rank::Restart);
            !(own && of == number)
        });
        match self.replicas[number].doing {
            Doing::Iterating(_) => self.post_lost(now_fs, number),
            _ => self.post_rest(now_fs, number),
        }
        let left = self.replicas[number].batch.leave(self.setup.fleet.pool(number));
        for _ in &left {
            self.setup.loads.remove(number);
        }
        self.setup.loads.close(number);
        self.setup.power.fail(now_fs, number);
        self.replicas[number].forget(now_fs);
        self.set_full(now_fs, number, false);
        self.relabel(now_fs, number);
        left
    }

    fn boot(&mut self, now_fs: i128, number: usize) {
        self.rest(now_fs, number);
        self.replicas[number].doing = Doing::Booting;
        self.setup.power.boot(now_fs, number);
        let at_fs = now_fs + self.setup.fleet.pool(number).start_up_fs;
        self.pending.insert((at_fs, Rank::Restart, number));
    }

    pub(super) fn restart(&mut self, now_fs: i128, number: usize) {
        self.replicas[number].doing = Doing::Nothing;
        self.setup.loads.open(number);
        // Whether all that serve are full may be another answer now.
        self.set_full(now_fs, number, false);
        self.relabel(now_fs, number);
        // After the last of those that restart now.
        if !self.pending.first().is_some_and(|&(at_fs, rank, _)| at_fs == now_fs && rank == Rank::Restart) {
            for pool in 0..self.setup.fleet.pools.len() {
                self.settle(now_fs, pool);
            }
        }
    }

    /// A sequence whose replica failed goes to another, or is lost.
    fn rehouse(&mut self, now_fs: i128, sequence: Sequence, lost: u64) {
        let request = sequence.request;
        let rules = self.setup.classes[usize::from(request.class)];
        let mut replica = None;
        let mut outcome = RequestOutcome::Lost;
        if rules.retries {
            let number = self.setup.router.route(&request, &self.setup.loads);
            replica = Some(number);
            match self.refusal(&request, number) {
                Some(refused) => outcome = refused,
                None => {
                    self.setup.ledger.retried(lost);
                    let overdue = !sequence.ever_admitted && now_fs - request.arrival_fs >= rules.overdue_fs;
                    self.join(now_fs, number, sequence);
                    if overdue {
                        self.backlog(now_fs, number);
                    }
                    return;
                }
            }
        }
        if !request.leg.is_only() {
            let left = (sequence.emitted, sequence.ever_admitted);
            self.leg_dropped(now_fs, &request, left, outcome, replica);
            if let (RequestOutcome::ShedQueueFull, Some(number)) = (outcome, replica)
                && !self.replicas[number].batch.waiting.is_empty()
            {
                self.backlog(now_fs, number);
            }
            return;
        }
        let departure = Departure {
            request: &request,
            first_token_fs: sequence.first_token_fs,
            replica: replica.map(|number| number as u32),
            outcome,
        };
        self.setup.ledger.abandoned(now_fs, &departure, sequence.emitted, sequence.ever_admitted);
        match (outcome, replica) {
            (RequestOutcome::ShedOverheated | RequestOutcome::ShedUnavailable, Some(number)) => {
                self.owe(number, &request);
            }
            (RequestOutcome::ShedQueueFull, Some(number))
                if !self.replicas[number].batch.waiting.is_empty() =>
            {
                self.backlog(now_fs, number);
            }
            (RequestOutcome::Lost, _) => {
                self.replaced.extend(self.setup.stream.replace(request.class, now_fs));
            }
            _ => {}
        }
    }
}
