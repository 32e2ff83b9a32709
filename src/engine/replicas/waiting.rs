//! Requests that wait at replicas: their patience, full queues, pools that drain.

use std::collections::VecDeque;

use super::{Replicas, State, Watch};
use crate::engine::journeys::{Dropped, Over};
use crate::engine::queue::Queue;
use crate::engine::setup::Setup;
use crate::ledger::Departure;
use crate::ledger::outcome::RequestOutcome;
use crate::serving::slots::{Slots, Stage};
use crate::workload::Request;

impl Replicas {
    /// Put a new request on watch; returns the instants for which events must be set, if none are pending.
    pub(in crate::engine) fn watch(
        &mut self,
        class: usize,
        id: u32,
        setup: &Setup,
    ) -> (Option<i128>, Option<i128>) {
        let request = &self.slots[id].request;
        let rules = &setup.classes[class];
        let add = |watches: &mut VecDeque<Watch>, at_fs: i128| {
            watches.push_back(Watch { at_fs, slot: id, order: request.order() });
            (watches.len() == 1).then_some(at_fs)
        };
        let overdue = add(&mut self.overdue[class], request.arrival_fs + rules.overdue_fs);
        let patience = rules
            .patience_fs
            .and_then(|patience| add(&mut self.patience[class], request.arrival_fs + patience));
        (overdue, patience)
    }

    /// Requests of a class cross their TTFT limit; returns when the next one may.
    pub(in crate::engine) fn cross_overdue(
        &mut self,
        now_fs: i128,
        class: usize,
        setup: &mut Setup,
    ) -> Option<i128> {
        loop {
            let watch = first_waiting(&mut self.overdue[class], &self.slots)?;
            if watch.at_fs > now_fs {
                return Some(watch.at_fs);
            }
            self.overdue[class].pop_front();
            let number = self.slots[watch.slot].replica as usize;
            if !self.replicas[number].backlogged {
                self.replicas[number].backlogged = true;
                self.relabel(now_fs, number, setup);
            }
        }
    }

    /// When the next request of a class may run out of patience.
    pub(in crate::engine) fn next_patience(&mut self, class: usize) -> Option<i128> {
        first_waiting(&mut self.patience[class], &self.slots).map(|watch| watch.at_fs)
    }

    /// The next request of a class whose patience has run out gives up; returns it if it is over with that.
    pub(in crate::engine) fn give_up(
        &mut self,
        now_fs: i128,
        class: usize,
        setup: &mut Setup,
        queue: &mut Queue,
    ) -> Option<Option<Over>> {
        let watch = first_waiting(&mut self.patience[class], &self.slots).filter(|w| w.at_fs <= now_fs)?;
        self.patience[class].pop_front();
        let id = watch.slot;
        let slot = self.slots[id];
        let number = slot.replica as usize;
        let was_head = self.replicas[number].batch.abandon(&mut self.slots, id, self.priorities[class]);
        self.slots.give_back(id);
        setup.loads.remove(number);
        let over = self.turned_away(now_fs, id, &slot.request, number, RequestOutcome::ShedPatience, setup);
        self.left_queue(now_fs, number, was_head, setup, queue);
        self.overflowed(now_fs, number, setup);
        Some(over)
    }

    /// A request leaves its slot for good without having been admitted; returns it if it is over with that.
    pub(super) fn turned_away(
        &mut self,
        now_fs: i128,
        slot: u32,
        request: &Request,
        number: usize,
        outcome: RequestOutcome,
        setup: &mut Setup,
    ) -> Option<Over> {
        let replica = Some(number as u32);
        if request.leg.is_only() {
            setup.ledger.departed(now_fs, &Departure { request, first_token_fs: None, replica, outcome });
            return Some(Over { class: request.class, outcome, replica });
        }
        let left = Dropped { outcome, replica, emitted: 0, admitted: false };
        self.journeys.dropped(now_fs, self.journeys.of(slot), request, &left, &mut setup.ledger)
    }

    /// A replica lost a request to its queue: whoever still waits there is a backlog, whatever the TTFT limits.
    pub(in crate::engine) fn overflowed(&mut self, now_fs: i128, number: usize, setup: &mut Setup) {
        let replica = &mut self.replicas[number];
        if replica.batch.waiting() > 0 && !replica.backlogged {
            replica.backlogged = true;
            self.relabel(now_fs, number, setup);
        }
    }

    /// Waiting requests left a replica without having been admitted; `was_head`: the first in line did.
    pub(super) fn left_queue(
        &mut self,
        now_fs: i128,
        number: usize,
        was_head: bool,
        setup: &mut Setup,
        queue: &mut Queue,
    ) {
        let replica = &mut self.replicas[number];
        if replica.batch.waiting() == 0 {
            replica.backlogged = false;
            replica.refused = false;
            self.relabel(now_fs, number, setup);
            let replica = &self.replicas[number];
            let pool = usize::from(replica.pool);
            if setup.closed_loop[pool]
                && replica.full
                && replica.batch.running() < setup.fleet.pools[pool].max_seqs
            {
                // It was full because somebody waited; its next start will find that it is not.
                self.cut(now_fs, number, true, queue);
            }
        } else if was_head {
            match replica.state {
                State::Running(_) => self.next_in_line(now_fs, number, true, setup, queue),
                _ => self.cut(now_fs, number, true, queue),
            }
        }
    }

    /// A pool begins to drain: who was never admitted is shed. `over` gets each request that is over with it, in order.
    /// Returns how many were shed.
    pub(in crate::engine) fn drain(
        &mut self,
        now_fs: i128,
        pool: usize,
        setup: &mut Setup,
        queue: &mut Queue,
        over: &mut Vec<Over>,
    ) -> u64 {
        self.pools[pool].draining = true;
        let mut count = 0;
        let mut shed = std::mem::take(&mut self.done);
        for number in setup.fleet.pools[pool].replicas.clone() {
            shed.clear();
            let was_head = self.replicas[number].batch.shed(&mut self.slots, &mut shed);
            count += shed.len() as u64;
            for &id in &shed {
                let request = self.slots[id].request;
                self.slots.give_back(id);
                setup.loads.remove(number);
                let outcome = RequestOutcome::ShedOverheated;
                over.extend(self.turned_away(now_fs, id, &request, number, outcome, setup));
            }
            if !shed.is_empty() {
                self.left_queue(now_fs, number, was_head, setup, queue);
            }
            let replica = &mut self.replicas[number];
            let (laws, shared) = (&setup.fleet.pools[pool], &self.pools[pool]);
            replica.relabel_anew(now_fs, laws, shared, &mut setup.ledger, &setup.power);
        }
        self.done = shed;
        count
    }

    /// A pool drains no more.
    pub(in crate::engine) fn reopen(&mut self, now_fs: i128, pool: usize, setup: &mut Setup) {
        self.pools[pool].draining = false;
        for number in setup.fleet.pools[pool].replicas.clone() {
            self.relabel(now_fs, number, setup);
        }
    }

    #[inline]
    pub(super) fn set_full(&mut self, now_fs: i128, number: usize, full: bool, setup: &mut Setup) {
        if self.replicas[number].full != full {
            self.change_full(now_fs, number, full, setup);
        }
    }

    pub(super) fn change_full(&mut self, now_fs: i128, number: usize, full: bool, setup: &mut Setup) {
        let replica = &mut self.replicas[number];
        replica.full = full;
        let pool = usize::from(replica.pool);
        let shared = &mut self.pools[pool];
        shared.full = if full { shared.full + 1 } else { shared.full - 1 };
        self.look_if_crowded(now_fs, pool, setup);
    }

    pub(super) fn look_if_crowded(&mut self, now_fs: i128, pool: usize, setup: &mut Setup) {
        let shared = &mut self.pools[pool];
        let crowded = setup.closed_loop[pool] && shared.full > 0 && shared.full == shared.up;
        if std::mem::replace(&mut shared.crowded, crowded) != crowded {
            for other in setup.fleet.pools[pool].replicas.clone() {
                self.relabel(now_fs, other, setup);
            }
        }
    }
}

/// The oldest watch whose request still waits for its first admission; drops those that do not.
pub(super) fn first_waiting(watches: &mut VecDeque<Watch>, slots: &Slots) -> Option<Watch> {
    while let Some(watch) = watches.front() {
        let slot = &slots[watch.slot];
        if slot.stage == Stage::Waiting && !slot.admitted && slot.request.order() == watch.order {
            return Some(*watch);
        }
        watches.pop_front();
    }
    None
}
