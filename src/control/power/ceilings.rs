//! Ceilings of a site: lowered at once where the plan does not fit, raised after their dwell.

use super::{Effect, PowerControl};
use crate::control::building::Held;
use crate::control::domain::Mode;

impl PowerControl {
    /// Solve for the IT power that the building allows, and bring the plan within it.
    pub(super) fn solve(&mut self, now_fs: i128, site: usize, asking: Option<usize>) {
        let domain = &mut self.domains[site];
        let Some(building) = &mut domain.building else { return };
        let allowance = building.allowance(&domain.planned_by_pool);
        domain.budget_nw = Some(allowance.it_nw);
        if domain.plans_power {
            domain.meter.set_budget(now_fs, Some(allowance.it_nw));
        }
        // Where power is not planned for, a ceiling that is still down is a zone's.
        domain.tightest = match allowance.held {
            Held::Free if !domain.plans_power => domain.held,
            held => held,
        };
        let outgrown = domain.planned_nw > allowance.it_nw;
        // While ceilings that are down wait for their dwell, what lowered them is to blame.
        if outgrown || domain.policy.at_full() {
            self.hold(site, self.domains[site].tightest);
        }
        if outgrown {
            self.lower(now_fs, site, asking);
        }
    }

    /// This holds a site's ceilings from now on.
    pub(super) fn hold(&mut self, site: usize, held: Held) {
        let domain = &mut self.domains[site];
        let cooling = |held: Held| matches!(held, Held::Zone(_));
        let before = std::mem::replace(&mut domain.held, held);
        match held {
            Held::Device(device) => domain.last_device = Some(device),
            Held::Zone(zone) => domain.last_zone = Some(zone),
            Held::Free => {}
        }
        if cooling(before) != cooling(held) {
            self.effects.push(Effect::Relabel(site));
        }
    }

    /// Lower ceilings until the plan fits, and have the replicas above theirs come down.
    pub(super) fn lower(&mut self, now_fs: i128, site: usize, asking: Option<usize>) {
        let domain = &mut self.domains[site];
        let Some(budget) = domain.budget_nw else { return };
        self.moved.clear();
        domain.planned_nw =
            domain.policy.lower(&mut domain.members, domain.planned_nw, budget, &mut self.moved);
        domain.replan();
        domain.changed_fs = now_fs;
        if domain.look_at_fs.is_none() && !domain.policy.at_full() {
            domain.look_at_fs = Some(now_fs + domain.dwell_fs);
            self.schedule_release(site);
        }
        // At the lowest ceilings nobody moves; whoever was running there before must still learn that it does not fit.
        if asking.is_none() && self.domains[site].planned_nw > budget {
            self.recheck_working(site);
        } else {
            self.recheck_moved(site, asking);
        }
    }

    /// The policy may raise clocks at a site, or caps by thresholds come into force or go.
    pub fn release(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.release_at_fs = None;
        if let Some(polca) = &mut domain.polca
            && polca.act(now_fs)
        {
            domain.last_device = polca.device.or(domain.last_device);
            self.recheck_working(site);
        }
        if self.domains[site].look_at_fs.is_some_and(|at_fs| at_fs <= now_fs) {
            self.raise(now_fs, site);
        }
        self.schedule_release(site);
    }

    /// Raise ceilings if the dwell is over and the plan leaves room.
    pub(super) fn raise(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.look_at_fs = None;
        if domain.budget_nw.is_none() || domain.policy.at_full() {
            return;
        }
        if domain.shares_moved() {
            self.solve(now_fs, site, None);
        }
        let domain = &mut self.domains[site];
        let Some(budget) = domain.budget_nw else { return };
        let due = domain.changed_fs + domain.dwell_fs;
        if now_fs >= due && domain.waiters.is_empty() {
            let threshold = (budget as f64 * domain.release_below) as i128;
            if domain.planned_nw < threshold {
                self.moved.clear();
                domain.planned_nw =
                    domain.policy.raise(&mut domain.members, domain.planned_nw, budget, &mut self.moved);
                domain.replan();
                domain.changed_fs = now_fs;
                self.recheck_moved(site, None);
            }
            // What keeps them from rising further is to blame from now on.
            self.hold(site, self.domains[site].tightest);
        }
        let domain = &mut self.domains[site];
        if !domain.policy.at_full() {
            domain.look_at_fs = Some(if due > now_fs { due } else { now_fs + domain.dwell_fs });
        }
    }

    /// Call back when ceilings may rise, or a cap by thresholds is due.
    pub(super) fn schedule_release(&mut self, site: usize) {
        let domain = &mut self.domains[site];
        let caps = domain.polca.as_ref().and_then(|polca| polca.due_fs());
        let next = domain.look_at_fs.into_iter().chain(caps).min();
        if next != domain.release_at_fs {
            domain.release_at_fs = next;
            if let Some(at_fs) = next {
                self.effects.push(Effect::ReleaseAt(site, at_fs));
            }
        }
    }

    /// Working replicas of a site ask again: their caps may be others.
    pub(super) fn recheck_working(&mut self, site: usize) {
        let domain = &self.domains[site];
        for replica in domain.first..domain.first + domain.members.len() {
            if self.replicas[replica].mode == Mode::Running {
                self.effects.push(Effect::Recheck(replica));
            }
        }
    }

    pub(super) fn recheck_moved(&mut self, site: usize, asking: Option<usize>) {
        let first = self.domains[site].first;
        for &number in &self.moved {
            let replica = first + number;
            if Some(replica) != asking && self.replicas[replica].mode == Mode::Running {
                self.effects.push(Effect::Recheck(replica));
            }
        }
    }
}
