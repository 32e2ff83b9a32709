//! `polca`: clocks by thresholds of one device, low priority first (Patel et al., ASPLOS'24).
//!
//! Nothing is planned: the device may carry too much until a cap takes hold. A threshold's cap comes into force once
//! the draw has been above it for the delay of out-of-band actuation without falling below it by the hysteresis, and is
//! lifted after as long below; the paper gives thresholds, clocks, hysteresis and delays. Where it leaves the rest open:
//! pools of high and normal priority follow if the draw is above `t2` a delay after the low ones came down to its clock,
//! and are let go with it; the brake puts all caps into force, holds them while it lasts, and is released once the draw
//! has not been above `t2` for the brake's delay. So a released fleet comes up under caps, and these are lifted by their
//! own rule.

use crate::physics::{fs_from_s, real, s_from_fs, truncated};
use crate::scenario::types::{self, PowerPriority};
use serde::{Deserialize, Serialize};

/// Whether something is above a level, with hysteresis.
#[derive(Debug, Clone, Copy, Default)]
struct Comparator {
    /// On above this, off below that [nW].
    on_above_nw: i128,
    off_below_nw: i128,
    on: bool,
}

impl Comparator {
    fn look(&mut self, draw_nw: i128) {
        self.on = if self.on { draw_nw >= self.off_below_nw } else { draw_nw > self.on_above_nw };
    }
}

/// What follows a comparator after a delay.
#[derive(Debug, Clone, Copy, Default)]
struct Delayed {
    on: bool,
    due_fs: Option<i128>,
}

impl Delayed {
    /// Set out for another state, or stay.
    fn aim(&mut self, now_fs: i128, on: bool, delay_fs: i128) {
        if on == self.on {
            self.due_fs = None;
        } else {
            self.due_fs.get_or_insert(now_fs + delay_fs);
        }
    }

    fn is_due(&self, now_fs: i128) -> bool {
        self.due_fs.is_some_and(|due_fs| due_fs <= now_fs)
    }

    fn set(&mut self, on: bool) {
        *self = Self { on, due_fs: None };
    }
}

/// How often and how long caps were in force.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names and units are the JSON keys")]
pub struct PolcaTotals {
    /// Times that the draw rose above the thresholds.
    pub crossings_t1: u64,
    pub crossings_t2: u64,
    /// Emergency brakes, and the time under them.
    pub brakes: u64,
    pub braked_s: f64,
    /// Time under a cap or the brake, by power priority of the pools.
    pub capped_low_s: f64,
    pub capped_normal_s: f64,
    pub capped_high_s: f64,
}

/// The state of one device's caps.
#[derive(Debug, Clone)]
pub struct Polca {
    /// The device that is watched, by its number in the site; `None`: the meter of a site without a tree.
    pub device: Option<usize>,
    law: types::Polca,
    cap_delay_fs: i128,
    brake_delay_fs: i128,
    above_t1: Comparator,
    above_t2: Comparator,
    /// Without hysteresis.
    over_t2: Comparator,
    over_brake: Comparator,
    low_t1: Delayed,
    low_t2: Delayed,
    high_t2: Delayed,
    brake: Delayed,
    /// Between these the draw may move without anything to do [nW].
    calm_nw: (i128, i128),
    draw_nw: i128,
    since_fs: i128,
    /// [fs]: braked, low capped, others capped.
    time_fs: [i128; 3],
    totals: PolcaTotals,
}

impl Polca {
    /// No cap in force at t = 0.
    pub fn new(law: &types::Polca, device: Option<usize>) -> Self {
        Self {
            device,
            law: law.clone(),
            cap_delay_fs: fs_from_s(law.cap_delay_s),
            brake_delay_fs: fs_from_s(law.brake_delay_s),
            above_t1: Comparator::default(),
            above_t2: Comparator::default(),
            over_t2: Comparator::default(),
            over_brake: Comparator::default(),
            low_t1: Delayed::default(),
            low_t2: Delayed::default(),
            high_t2: Delayed::default(),
            brake: Delayed::default(),
            calm_nw: (0, -1),
            draw_nw: 0,
            since_fs: 0,
            time_fs: [0; 3],
            totals: PolcaTotals::default(),
        }
    }

    /// The device may carry this much from now on [nW].
    pub fn set_limit(&mut self, now_fs: i128, limit_nw: i128) {
        let limit = real(limit_nw);
        let at = |share: f64| truncated(limit * share);
        let law = &self.law;
        let level = |on_above: f64, off_below: i128, on| Comparator {
            on_above_nw: at(on_above),
            off_below_nw: off_below,
            on,
        };
        self.above_t1 = level(law.t1, at(law.t1 - law.hysteresis), self.above_t1.on);
        self.above_t2 = level(law.t2, at(law.t2 - law.hysteresis), self.above_t2.on);
        self.over_t2 = level(law.t2, at(law.t2).saturating_add(1), self.over_t2.on);
        self.over_brake = level(law.brake_at, at(law.brake_at).saturating_add(1), self.over_brake.on);
        self.look(now_fs);
    }

    /// The device puts out this much from now on [nW]. Returns whether timers may have changed.
    #[inline]
    pub fn watch(&mut self, now_fs: i128, draw_nw: i128) -> bool {
        self.draw_nw = draw_nw;
        if self.calm_nw.0 <= draw_nw && draw_nw <= self.calm_nw.1 {
            return false;
        }
        self.look(now_fs);
        true
    }

    #[cold]
    fn look(&mut self, now_fs: i128) {
        let was = (self.above_t1.on, self.above_t2.on, self.over_t2.on);
        let mut calm = (i128::MIN, i128::MAX);
        for comparator in [&mut self.above_t1, &mut self.above_t2, &mut self.over_t2, &mut self.over_brake] {
            comparator.look(self.draw_nw);
            if comparator.on {
                calm.0 = calm.0.max(comparator.off_below_nw);
            } else {
                calm.1 = calm.1.min(comparator.on_above_nw);
            }
        }
        self.calm_nw = calm;
        self.totals.crossings_t1 += u64::from(self.above_t1.on && !was.0);
        self.totals.crossings_t2 += u64::from(self.above_t2.on && !was.1);
        if self.over_t2.on && !was.2 && self.low_t2.on && !self.brake.on {
            self.high_t2.aim(now_fs, true, self.cap_delay_fs);
        }
        self.aim(now_fs);
    }

    fn aim(&mut self, now_fs: i128) {
        let brake = if self.brake.on { self.over_t2.on } else { self.over_brake.on };
        self.brake.aim(now_fs, brake, self.brake_delay_fs);
        if !self.brake.on {
            self.low_t1.aim(now_fs, self.above_t1.on, self.cap_delay_fs);
            self.low_t2.aim(now_fs, self.above_t2.on, self.cap_delay_fs);
        }
    }

    /// The next instant at which something is due [fs].
    pub fn due_fs(&self) -> Option<i128> {
        let all = [&self.low_t1, &self.low_t2, &self.high_t2, &self.brake];
        all.iter().filter_map(|delayed| delayed.due_fs).min()
    }

    /// Do what is due; returns whether a clock changes.
    pub fn act(&mut self, now_fs: i128) -> bool {
        self.settle(now_fs);
        let before = self.in_force();
        if self.brake.is_due(now_fs) {
            self.brake.set(!self.brake.on);
            if self.brake.on {
                self.totals.brakes += 1;
                for cap in [&mut self.low_t1, &mut self.low_t2, &mut self.high_t2] {
                    cap.set(true);
                }
            }
        }
        if self.low_t1.is_due(now_fs) {
            self.low_t1.set(!self.low_t1.on);
        }
        if self.low_t2.is_due(now_fs) {
            self.low_t2.set(!self.low_t2.on);
            self.high_t2.set(false);
            if self.low_t2.on {
                self.high_t2.aim(now_fs, true, self.cap_delay_fs);
            }
        }
        if self.high_t2.is_due(now_fs) {
            // If not, it is looked at again a delay after the draw next rises above the threshold.
            self.high_t2.set(self.over_t2.on);
        }
        self.aim(now_fs);
        before != self.in_force()
    }

    fn in_force(&self) -> [bool; 4] {
        [self.low_t1.on, self.low_t2.on, self.high_t2.on, self.brake.on]
    }

    /// The highest clock of a pool as a share of the full one, and whether the brake sets it; `None`: no cap.
    #[inline]
    pub fn cap(&self, priority: PowerPriority) -> Option<(f64, bool)> {
        let law = &self.law;
        match priority {
            _ if self.brake.on => Some((law.brake_clock, true)),
            PowerPriority::Low if self.low_t2.on => Some((law.low_clock_t2, false)),
            PowerPriority::Low if self.low_t1.on => Some((law.low_clock_t1, false)),
            PowerPriority::Normal | PowerPriority::High if self.high_t2.on => {
                Some((law.high_clock_t2, false))
            }
            _ => None,
        }
    }

    fn settle(&mut self, now_fs: i128) {
        let span_fs = now_fs - self.since_fs;
        let capped =
            [self.brake.on, self.cap(PowerPriority::Low).is_some(), self.cap(PowerPriority::High).is_some()];
        for (time_fs, capped) in self.time_fs.iter_mut().zip(capped) {
            *time_fs += if capped { span_fs } else { 0 };
        }
        self.since_fs = now_fs;
    }

    /// Count from now on.
    pub fn open_window(&mut self, now_fs: i128) {
        self.settle(now_fs);
        (self.time_fs, self.totals) = ([0; 3], PolcaTotals::default());
    }

    /// How often and how long, since the window opened.
    pub fn totals(&mut self, now_fs: i128) -> PolcaTotals {
        self.settle(now_fs);
        let [braked_s, low_s, others_s] = self.time_fs.map(s_from_fs);
        PolcaTotals {
            braked_s,
            capped_low_s: low_s,
            capped_normal_s: others_s,
            capped_high_s: others_s,
            ..self.totals
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: f64 = 1e15;

    /// Draws of a device that may carry 1000 W, at instants; what is in force, at the instants that it changes.
    fn timeline(law: &types::Polca, draws: &[(f64, f64)], until_s: f64) -> Vec<(f64, [bool; 4])> {
        let mut polca = Polca::new(law, None);
        polca.set_limit(0, 1_000_000_000_000);
        let mut changes = Vec::new();
        let run = |polca: &mut Polca, until_fs: i128, changes: &mut Vec<(f64, [bool; 4])>| {
            while let Some(due_fs) = polca.due_fs().filter(|&due_fs| due_fs < until_fs) {
                if polca.act(due_fs) {
                    changes.push((due_fs as f64 / S, polca.in_force()));
                }
            }
        };
        for &(at_s, draw_w) in draws {
            run(&mut polca, (at_s * S) as i128, &mut changes);
            polca.watch((at_s * S) as i128, (draw_w * 1e9) as i128);
        }
        run(&mut polca, (until_s * S) as i128, &mut changes);
        changes
    }

    const NONE: [bool; 4] = [false; 4];
    const T1: [bool; 4] = [true, false, false, false];
    const T2: [bool; 4] = [true, true, false, false];
    const HIGH: [bool; 4] = [true, true, true, false];
    const BRAKE: [bool; 4] = [true; 4];

    #[test]
    fn caps_come_and_go_a_delay_after_their_thresholds() {
        let law = types::Polca::default();
        // Above 80 % at 10 s; at 78 % it is not 5 % below; at 74 % it is.
        let changes = timeline(&law, &[(10.0, 801.0), (60.0, 780.0), (200.0, 749.0)], 1000.0);
        assert_eq!(changes, [(50.0, T1), (240.0, NONE)]);
        // A visit shorter than the delay leaves no cap.
        assert_eq!(timeline(&law, &[(10.0, 850.0), (49.0, 700.0)], 1000.0), []);
        // At the threshold is not above it.
        assert_eq!(timeline(&law, &[(10.0, 800.0)], 1000.0), []);
        // Back above before the delay is over: the cap stays.
        let changes = timeline(&law, &[(0.0, 850.0), (100.0, 700.0), (120.0, 801.0)], 1000.0);
        assert_eq!(changes, [(40.0, T1)]);
    }

    #[test]
    fn others_follow_only_if_low_clocks_do_not_do() {
        let law = types::Polca::default();
        // T1 crossed at 0, T2 at 10: low at 50; the draw falls to 88 %: not above T2 at 90, so nobody else is capped.
        let changes = timeline(&law, &[(0.0, 850.0), (10.0, 900.0), (51.0, 880.0)], 500.0);
        assert_eq!(changes, [(40.0, T1), (50.0, T2)]);
        // It stays above: others at 90.
        let changes = timeline(&law, &[(0.0, 850.0), (10.0, 900.0)], 500.0);
        assert_eq!(changes, [(40.0, T1), (50.0, T2), (90.0, HIGH)]);
        // Not above when looked at, above again at 200: others at 240. Below 84 % at 300: let go at 340.
        let draws = [(10.0, 900.0), (51.0, 880.0), (200.0, 891.0), (300.0, 839.0), (400.0, 700.0)];
        let changes = timeline(&law, &draws, 900.0);
        assert_eq!(changes, [(50.0, T2), (240.0, HIGH), (340.0, T1), (440.0, NONE)]);
    }

    #[test]
    fn the_brake_takes_five_seconds_above_everything() {
        let law = types::Polca::default();
        // 4 s above 100 % are too few; 5 s brake. All caps are on then, and off by their own rule after the release.
        let draws = [(0.0, 1001.0), (4.0, 999.0), (5.0, 1001.0), (11.0, 300.0)];
        let changes = timeline(&law, &draws, 500.0);
        assert_eq!(changes, [(10.0, BRAKE), (16.0, HIGH), (56.0, NONE)]);
        // A fleet that draws 95 % under the brake stays braked.
        assert_eq!(timeline(&law, &[(0.0, 1001.0), (6.0, 950.0)], 500.0), [(5.0, BRAKE)]);
        // Released, it draws 82 % under caps: they stay.
        let draws = [(0.0, 1001.0), (6.0, 300.0), (11.5, 820.0)];
        assert_eq!(timeline(&law, &draws, 500.0), [(5.0, BRAKE), (11.0, HIGH), (51.0, T1)]);
    }

    #[test]
    fn time_under_caps_is_counted_by_priority() {
        let mut polca = Polca::new(&types::Polca::default(), None);
        polca.set_limit(0, 1_000_000_000_000);
        polca.watch(0, 950_000_000_000);
        for at_s in [40.0, 80.0] {
            assert!(polca.act((at_s * S) as i128));
        }
        let totals = polca.totals((100.0 * S) as i128);
        assert_eq!((totals.crossings_t1, totals.crossings_t2, totals.brakes), (1, 1, 0));
        assert_eq!((totals.capped_low_s, totals.capped_normal_s, totals.capped_high_s), (60.0, 20.0, 20.0));
        assert_eq!(polca.cap(PowerPriority::Low), Some((0.787, false)));
        assert_eq!(polca.cap(PowerPriority::High), Some((0.926, false)));
    }
}
