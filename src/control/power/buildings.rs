//! Power control and the building: what changes around the replicas, and what it asks of them.

use super::{Effect, PowerControl};
use crate::control::building::OTHER_PARTS;
use crate::control::domain::{Domain, Mode};
use crate::control::failures::{Broken, FailureEvent, Timeline};
use crate::fleet::Fleet;
use crate::physics::clock::Clock;
use crate::physics::zone::ZoneChange;

impl PowerControl {
    /// Idle loads and plants before the first request.
    pub(super) fn open_building(&mut self, site: usize, fleet: &Fleet, failures: &Timeline) {
        let domain = &mut self.domains[site];
        let Some(building) = &mut domain.building else { return };
        building.set_cap_nw(domain.cap_nw);
        for (number, member) in domain.members.iter().enumerate() {
            let pool = usize::from(member.pool) - domain.first_pool;
            building.draw(0, pool, i128::from(member.planned_nw), |_, _| {});
            building.uncapped(0, pool, i128::from(member.planned_nw));
            domain.planned_by_pool[pool] += i128::from(member.planned_nw);
            domain.uncapped_nw[number] = member.planned_nw;
        }
        if let Some(facility) = &fleet.sites[site].facility
            && (facility.supply.acts() || failures.breaks_building(site))
        {
            building.open_feeds(facility);
        }
        self.meter_building(0, site);
        self.solve(0, site, None);
        self.schedule_building(site);
    }

    /// The weather changes or a zone passes a threshold.
    pub fn building_event(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        domain.building_at_fs = None;
        let Some(building) = &mut domain.building else { return };
        let change = building.on_event(now_fs);
        self.reconnected(now_fs, site, change);
    }

    /// Something breaks, or is repaired.
    pub fn failure(&mut self, now_fs: i128, event: &FailureEvent) {
        if let Broken::Replicas(replicas) = &event.what {
            for count in &mut self.broken[replicas.clone()] {
                *count = if event.breaks { *count + 1 } else { count.saturating_sub(1) };
            }
            self.effects.push(Effect::Outage(event.site));
            return;
        }
        let Some(building) = &mut self.domains[event.site].building else { return };
        let change = building.failure(now_fs, &event.what, event.breaks);
        self.reconnected(now_fs, event.site, change);
    }

    /// Act on what changed in a building whose feeds may be others.
    pub(super) fn reconnected(&mut self, now_fs: i128, site: usize, change: ZoneChange) {
        self.building_changed(now_fs, site, change);
        let domain = &self.domains[site];
        let Some(building) = &domain.building else { return };
        let mut changed = false;
        for pool in 0..domain.planned_by_pool.len() {
            let powered = building.powered(pool);
            changed |= std::mem::replace(&mut self.powered[domain.first_pool + pool], powered) != powered;
        }
        if changed {
            self.effects.push(Effect::Outage(site));
        }
        self.limit_watched(now_fs, site);
        self.wake(site);
    }

    /// Act on what changed in the zones.
    pub(super) fn building_changed(&mut self, now_fs: i128, site: usize, change: ZoneChange) {
        self.throttles.stages += u64::from(change.stage);
        if change.power {
            self.meter_building(now_fs, site);
        }
        // What the plant draws at a given heat depends on weather and stage alone.
        if change.heat_cap || change.stage {
            self.solve(now_fs, site, None);
        }
        if change.inlet {
            self.recheck_hot(site);
        }
        if change.stage {
            self.drain_pools(site);
        }
        self.schedule_building(site);
    }

    /// A replica draws `change_nw` more [nW] in a building.
    pub(super) fn draw_building(&mut self, now_fs: i128, replica: usize, change_nw: i64) {
        let state = &self.replicas[replica];
        let site = usize::from(state.site);
        let Domain { building, meter, first_pool, cap_nw, .. } = &mut self.domains[site];
        let Some(building) = building else { return };
        let pool = usize::from(state.pool) - *first_pool;
        let change = building.draw(now_fs, pool, i128::from(change_nw), |device, loss_nw| {
            meter.set_part(now_fs, device, loss_nw);
        });
        if building.feeds().is_some() {
            meter.set_part(now_fs, building.tree().len() + OTHER_PARTS - 1, -building.discharge_nw());
        }
        if change == ZoneChange::default() {
            meter.set_utility(now_fs, building.meter_nw(), building.grid_nw(), *cap_nw);
            meter.set_path(now_fs, building.tree(), building.feed(pool));
            if building.feeds().is_some() {
                self.schedule_building(site);
            }
        } else {
            self.meter_building(now_fs, site);
            self.building_changed(now_fs, site, change);
        }
    }

    /// Tell the meter the watts of the building.
    pub(super) fn meter_building(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        let Some(building) = &domain.building else { return };
        let tree = building.tree();
        for device in 0..tree.len() {
            domain.meter.set_part(now_fs, device, tree.loss_nw(device));
        }
        for (number, watts_nw) in building.other_parts_nw().into_iter().enumerate() {
            domain.meter.set_part(now_fs, tree.len() + number, watts_nw);
        }
        domain.meter.set_utility(now_fs, building.meter_nw(), building.grid_nw(), domain.cap_nw);
        domain.meter.set_devices(now_fs, tree);
    }

    /// Call back at the building's next event.
    pub(super) fn schedule_building(&mut self, site: usize) {
        let domain = &mut self.domains[site];
        let Some(building) = &domain.building else { return };
        let next = building.next_event_fs();
        if next != domain.building_at_fs {
            domain.building_at_fs = next;
            if let Some(at_fs) = next {
                self.effects.push(Effect::BuildingAt(site, at_fs));
            }
        }
    }

    /// Tell the engine if a zone became critical, or no longer is.
    pub(super) fn drain_pools(&mut self, site: usize) {
        let domain = &self.domains[site];
        let Some(building) = &domain.building else { return };
        let mut changed = false;
        for pool in 0..domain.planned_by_pool.len() {
            let drains = building.drains(pool);
            changed |= std::mem::replace(&mut self.draining[domain.first_pool + pool], drains) != drains;
        }
        if changed {
            self.effects.push(Effect::Drain(site));
        }
    }

    /// The inlet temperature is in another step: working replicas whose GPUs it may limit ask again.
    pub(super) fn recheck_hot(&mut self, site: usize) {
        let domain = &self.domains[site];
        for (number, member) in domain.members.iter().enumerate() {
            let laws = &self.pools[usize::from(member.pool)];
            let limited = laws.within_temperature(domain, member.pool, &member.draw).is_some();
            let was_limited = member.local.share < Clock::FULL.share;
            let replica = domain.first + number;
            if (limited || was_limited) && self.replicas[replica].mode == Mode::Running {
                self.effects.push(Effect::Recheck(replica));
            }
        }
    }

    /// What the watched device may carry is another.
    pub(super) fn limit_watched(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        let Some(polca) = &mut domain.polca else { return };
        let limit_nw = match (&domain.building, polca.device) {
            (Some(building), Some(device)) => building.tree().limit_nw(device),
            _ => domain.meter.budget_nw().unwrap_or(i128::MAX),
        };
        polca.set_limit(now_fs, limit_nw);
        self.watch(now_fs, site);
        self.schedule_release(site);
    }

    /// Compare what the watched device puts out with the thresholds; cheap while it passes none.
    #[inline]
    pub(super) fn watch(&mut self, now_fs: i128, site: usize) {
        let domain = &mut self.domains[site];
        let Some(polca) = &mut domain.polca else { return };
        let draw_nw = match (&domain.building, polca.device) {
            (Some(building), Some(device)) => building.tree().out_nw(device),
            _ => domain.drawn_nw,
        };
        if polca.watch(now_fs, draw_nw) {
            self.schedule_release(site);
        }
    }
}
