//! Replicas that fail, boot and serve again, and their requests on the way to others.

use super::{Replicas, State, run_of};
use crate::engine::queue::{Key, Queue, Rank};
use crate::engine::setup::Setup;
use crate::ledger::Run;
use crate::serving::batch::Batch;
use crate::workload::Request;

/// A request that lost its replica.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Stray {
    pub(in crate::engine) slot: u32,
    pub(in crate::engine) request: Request,
}

impl Replicas {
    /// Whether a replica has failed and does not boot yet.
    pub(in crate::engine) fn is_down(&self, number: usize) -> bool {
        matches!(self.replicas[number].state, State::Down)
    }

    /// A replica fails: the iteration under way is lost, and its requests stray.
    pub(in crate::engine) fn fail(
        &mut self,
        now_fs: i128,
        number: usize,
        setup: &mut Setup,
        queue: &mut Queue,
        strays: &mut Vec<Stray>,
    ) {
        queue.clear(number);
        self.post_rest_until(now_fs, number, setup);
        let replica = &mut self.replicas[number];
        let pool_number = usize::from(replica.pool);
        let pool = &setup.fleet.pools[pool_number];
        let mut boundary_fs = replica.last_end_fs;
        if let State::Running(segment) = replica.state {
            let (over, over_fs) = segment.series.completed_by(now_fs - segment.start_fs);
            let from_fs = segment.start_fs + over_fs;
            if over > 0 {
                boundary_fs = from_fs;
                setup.ledger.post_whole(run_of(replica, &segment, from_fs, over, false));
                self.done.clear();
                let partial_tok = replica.plan.partial_tok;
                // Nobody ends within a run.
                replica.batch.end(&mut self.slots, pool, partial_tok, over as u64, &mut self.done, |_, _| {});
            }
            // Watts and time of the iteration that is lost; nothing comes of it.
            let lost = run_of(replica, &segment, now_fs, 0, false);
            setup.ledger.post(&Run { start_fs: from_fs, stall_fs: 0, decoding: 0, emitted: 0, ..lost });
        }
        let was_up = !matches!(replica.state, State::Booting);
        self.running_total -= u64::from(replica.batch.running());
        self.done.clear();
        replica.batch.evict(&mut self.slots, &mut self.done);
        replica.batch = Batch::new(pool);
        for &id in &self.done {
            let slot = &mut self.slots[id];
            if slot.was_decoding {
                slot.last_token_fs = boundary_fs;
            }
            setup.loads.remove(number);
            strays.push(Stray { slot: id, request: slot.request });
        }
        setup.loads.close(number);
        setup.power.fail(now_fs, number);
        replica.state = State::Down;
        (replica.asked, replica.recheck_fs) = (None, None);
        (replica.backlogged, replica.late, replica.refused, replica.ran) = (false, false, false, false);
        (replica.it_nw, replica.gpu_nw, replica.rest_since_fs) = (0, 0, now_fs);
        self.pools[pool_number].up -= usize::from(was_up);
        self.set_full(now_fs, number, false, setup);
        self.look_if_crowded(now_fs, pool_number, setup);
        self.relabel(now_fs, number, setup);
    }

    /// A replica that failed boots.
    pub(in crate::engine) fn boot(
        &mut self,
        now_fs: i128,
        number: usize,
        setup: &mut Setup,
        queue: &mut Queue,
    ) {
        self.post_rest_until(now_fs, number, setup);
        let replica = &mut self.replicas[number];
        let pool = usize::from(replica.pool);
        let idle = &self.pools[pool].idle;
        (replica.it_nw, replica.gpu_nw, replica.rest_since_fs) = (idle.fixed_nw, idle.gpu_fixed_nw, now_fs);
        replica.state = State::Booting;
        setup.power.boot(now_fs, number);
        let at_fs = now_fs + setup.fleet.pools[pool].start_up_fs;
        queue.set(number, Key::new(at_fs, Rank::Restart, number));
    }

    /// A replica has booted and serves again.
    pub(in crate::engine) fn restart(&mut self, now_fs: i128, number: usize, setup: &mut Setup) {
        let replica = &mut self.replicas[number];
        replica.state = State::Idle;
        replica.last_end_fs = now_fs;
        let pool = usize::from(replica.pool);
        self.pools[pool].up += 1;
        setup.loads.open(number);
        self.look_if_crowded(now_fs, pool, setup);
        self.relabel(now_fs, number, setup);
    }

    /// Whether an iteration is under way.
    pub(in crate::engine) fn any_at_work(&self) -> bool {
        self.replicas.iter().any(|replica| matches!(replica.state, State::Running(_)))
    }

    /// Whether a pool has a replica that lets requests in.
    pub(in crate::engine) fn pool_open(&self, pool: usize) -> bool {
        self.pools[pool].up > 0 && !self.pools[pool].draining
    }

    /// A stray request joins another replica; what it had in the cache is recomputed there.
    pub(in crate::engine) fn readmit(
        &mut self,
        now_fs: i128,
        number: usize,
        stray: &Stray,
        setup: &mut Setup,
        queue: &mut Queue,
    ) {
        let slot = &mut self.slots[stray.slot];
        let from = std::mem::replace(&mut slot.replica, number as u32) as usize;
        let shared_blocks = std::mem::take(&mut slot.shared_blocks);
        if slot.emitted == 0 {
            // Its new replica may have no cache to look into.
            slot.cached_tok = 0;
        }
        let lost = match (slot.was_decoding, slot.emitted) {
            (true, _) => slot.need - 1,
            (false, 0) => 0,
            // Counted as spared when it was admitted.
            (false, _) => shared_blocks * setup.fleet.pool(from).block_tok,
        };
        let late = !slot.admitted
            && now_fs - slot.request.arrival_fs >= setup.classes[usize::from(slot.request.class)].overdue_fs;
        setup.ledger.retried(lost.into());
        self.join(now_fs, number, stray.slot, true, setup, queue);
        let replica = &mut self.replicas[number];
        if late && !replica.backlogged {
            replica.backlogged = true;
            self.relabel(now_fs, number, setup);
        }
    }

    /// What is left of a stray request that nobody takes: its first token [fs], tokens emitted, whether it was ever
    /// admitted.
    pub(in crate::engine) fn give_up_stray(&mut self, stray: &Stray) -> (Option<i128>, u32, bool) {
        let slot = &self.slots[stray.slot];
        let first_token_fs = (slot.first_token_fs >= 0).then_some(slot.first_token_fs);
        let left = (first_token_fs, slot.emitted, slot.admitted);
        self.slots.give_back(stray.slot);
        left
    }

    fn post_rest_until(&mut self, now_fs: i128, number: usize, setup: &mut Setup) {
        let replica = &self.replicas[number];
        if !replica.ran && now_fs > replica.rest_since_fs {
            setup.ledger.post_rest(&super::rest_of(replica, now_fs));
        }
    }
}
