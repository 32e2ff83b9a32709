//! A battery beside a device: what it takes from the device's input and gives to its output, and how long it lasts.
//!
//! It acts on the output alone: above `shave_above` it gives what is beyond, below `recharge_below` it charges with
//! what is left up to there, each up to its rated power; without a feed it carries everything. So what passes from
//! the input is a rising function of the output, and between two changes of the output the charge moves in a straight
//! line: the instants at which it is empty, full, or may give again are formulas.

use super::parameter::{BadParameter, not_negative, positive, require};
use super::{FS_PER_S, real, rounded_up};

/// An empty battery gives again once it holds this share of its capacity. Model choice: without it, a load around
/// the threshold would switch it at every change.
const REARM_SHARE: f64 = 0.1;
/// Nanowatts in a watt.
const NW_PER_W: f64 = 1e9;
/// Instants further away than this are no events: the load will have changed [s].
const HORIZON_S: f64 = 1e9;

/// What a battery may do now [nW].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// It gives what the output is beyond this.
    pub shave_above_nw: i128,
    /// It gives this at most; 0: nothing.
    pub most_discharge_nw: i128,
    /// It charges with what the output leaves below this.
    pub recharge_below_nw: i128,
    /// It takes this at most; 0: nothing.
    pub most_charge_nw: i128,
}

impl Buffer {
    /// What is taken from the input at an output ≥ 0, losses apart [nW]; never falls as the output rises.
    #[inline]
    pub fn pass_nw(&self, out_nw: i128) -> i128 {
        if out_nw > self.shave_above_nw {
            self.shave_above_nw.max(out_nw - self.most_discharge_nw)
        } else if out_nw < self.recharge_below_nw {
            self.recharge_below_nw.min(out_nw + self.most_charge_nw)
        } else {
            out_nw
        }
    }

    /// As [`Self::pass_nw`] [W].
    pub fn pass_w(&self, out_w: f64) -> f64 {
        let [shave_w, give_w, recharge_w, take_w] =
            [self.shave_above_nw, self.most_discharge_nw, self.recharge_below_nw, self.most_charge_nw]
                .map(|nw| real(nw) / NW_PER_W);
        if out_w > shave_w {
            shave_w.max(out_w - give_w)
        } else if out_w < recharge_w {
            recharge_w.min(out_w + take_w)
        } else {
            out_w
        }
    }
}

/// A battery as built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatteryParams {
    /// What it can give in all [J].
    pub capacity_j: f64,
    /// What it can give at most [W].
    pub discharge_w: f64,
    /// What it takes at most [W].
    pub charge_w: f64,
    /// What it gives of what it takes, 0 to 1.
    pub round_trip_efficiency: f64,
    /// It gives what the output is beyond this [W]; none: only without a feed.
    pub shave_above_w: Option<f64>,
    /// It charges with what the output leaves below this [W].
    pub recharge_below_w: f64,
    /// Charge at the start, as a share of the capacity.
    pub initial_share: f64,
}

impl BatteryParams {
    /// Whether the numbers make a battery.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), BadParameter> {
        positive("capacity_j", self.capacity_j)?;
        positive("discharge_w", self.discharge_w)?;
        positive("charge_w", self.charge_w)?;
        not_negative("recharge_below_w", self.recharge_below_w)?;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        require(
            self.round_trip_efficiency > 0.0 && share(self.round_trip_efficiency),
            "round_trip_efficiency",
            "above 0, at most 1",
            self.round_trip_efficiency,
        )?;
        require(share(self.initial_share), "initial_share", "0 to 1", self.initial_share)?;
        if let Some(shave_w) = self.shave_above_w {
            require(shave_w >= self.recharge_below_w, "shave_above_w", "recharge_below_w at least", shave_w)?;
        }
        Ok(())
    }
}

/// What comes next of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Empty,
    Rearm,
    Full,
}

/// A battery in operation.
#[derive(Debug, Clone, Copy)]
pub struct Battery {
    params: BatteryParams,
    /// Charge at `since_fs` [J].
    charge_j: f64,
    since_fs: i128,
    /// What it gives; negative while it charges [nW].
    discharge_nw: i128,
    /// It was empty, and does not give yet.
    spent: bool,
    next: Option<(i128, Mark)>,
}

impl Battery {
    /// At t = 0, neither giving nor taking.
    pub fn new(params: BatteryParams) -> Self {
        Self {
            charge_j: params.capacity_j * params.initial_share,
            spent: params.initial_share < REARM_SHARE,
            params,
            since_fs: 0,
            discharge_nw: 0,
            next: None,
        }
    }

    /// What it may do from an instant on, if anything. Without a feed it is all there is, and `None` says that it is
    /// empty.
    pub fn buffer(&self, now_fs: i128, fed: bool) -> Option<Buffer> {
        let charge_j = self.charge_j(now_fs);
        if !fed {
            return (charge_j > 0.0).then(|| Buffer {
                shave_above_nw: 0,
                most_discharge_nw: nw(self.params.discharge_w),
                recharge_below_nw: 0,
                most_charge_nw: 0,
            });
        }
        let gives = !self.spent && self.params.shave_above_w.is_some();
        let takes = charge_j < self.params.capacity_j;
        (gives || takes).then(|| Buffer {
            shave_above_nw: self.params.shave_above_w.map_or(i128::MAX, nw),
            most_discharge_nw: if gives { nw(self.params.discharge_w) } else { 0 },
            recharge_below_nw: if takes { nw(self.params.recharge_below_w) } else { 0 },
            most_charge_nw: if takes { nw(self.params.charge_w) } else { 0 },
        })
    }

    /// It gives `discharge_nw` from now on; negative: it takes [nW].
    pub fn set(&mut self, now_fs: i128, discharge_nw: i128) {
        if discharge_nw == self.discharge_nw {
            return;
        }
        self.charge_j = self.charge_j(now_fs);
        self.since_fs = now_fs;
        self.discharge_nw = discharge_nw;
        self.look_ahead();
    }

    /// The instant at which it is empty, full, or may give again [fs].
    pub fn next_event_fs(&self) -> Option<i128> {
        self.next.map(|(at_fs, _)| at_fs)
    }

    /// Its event is due; returns whether it is another buffer now.
    pub fn on_event(&mut self, now_fs: i128) -> bool {
        let Some((at_fs, mark)) = self.next.filter(|&(at_fs, _)| at_fs <= now_fs) else { return false };
        self.since_fs = at_fs;
        match mark {
            Mark::Empty => (self.charge_j, self.spent) = (0.0, true),
            Mark::Rearm => (self.charge_j, self.spent) = (self.params.capacity_j * REARM_SHARE, false),
            Mark::Full => self.charge_j = self.params.capacity_j,
        }
        self.look_ahead();
        true
    }

    /// Charge at an instant [J].
    pub fn charge_j(&self, now_fs: i128) -> f64 {
        let seconds = real(now_fs - self.since_fs) / FS_PER_S as f64;
        (self.charge_j + self.rate_w() * seconds).clamp(0.0, self.params.capacity_j)
    }

    /// Capacity [J].
    pub fn capacity_j(&self) -> f64 {
        self.params.capacity_j
    }

    /// Growth of the charge [W].
    fn rate_w(&self) -> f64 {
        let watts = real(-self.discharge_nw) / NW_PER_W;
        if watts > 0.0 { watts * self.params.round_trip_efficiency } else { watts }
    }

    fn look_ahead(&mut self) {
        let rate_w = self.rate_w();
        let capacity_j = self.params.capacity_j;
        let rearm_j = capacity_j * REARM_SHARE;
        let target = if rate_w < 0.0 && self.charge_j > 0.0 {
            Some((0.0, Mark::Empty))
        } else if rate_w > 0.0 && self.spent && self.charge_j < rearm_j {
            Some((rearm_j, Mark::Rearm))
        } else if rate_w > 0.0 && self.charge_j < capacity_j {
            Some((capacity_j, Mark::Full))
        } else {
            None
        };
        self.next = target.and_then(|(level_j, mark)| {
            let seconds = (level_j - self.charge_j) / rate_w;
            (seconds <= HORIZON_S)
                .then(|| (self.since_fs + rounded_up(seconds * FS_PER_S as f64).max(1), mark))
        });
    }
}

fn nw(watts: f64) -> i128 {
    super::truncated(watts * NW_PER_W)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> BatteryParams {
        BatteryParams {
            capacity_j: 3.6e9,
            discharge_w: 2e6,
            charge_w: 0.5e6,
            round_trip_efficiency: 0.8,
            shave_above_w: Some(5e6),
            recharge_below_w: 4e6,
            initial_share: 1.0,
        }
    }

    fn seconds(s: f64) -> i128 {
        (s * 1e15) as i128
    }

    #[test]
    fn what_passes_never_falls_as_the_output_rises() {
        let mut battery = Battery::new(params());
        battery.charge_j = 1e9;
        let buffer = battery.buffer(0, true).unwrap();
        let mut last = 0;
        for step in 0..2_000 {
            let out = step * 5_000_000_000_000;
            let pass = buffer.pass_nw(out);
            assert!(pass >= last);
            assert!((buffer.pass_w(out as f64 * 1e-9) - pass as f64 * 1e-9).abs() < 1e-6);
            last = pass;
        }
        let mw = |out: f64| buffer.pass_w(out * 1e6) / 1e6;
        // Charging, charging less, neither, shaving, shaving all it can.
        assert_eq!([3.0, 3.8, 4.5, 6.0, 8.0].map(mw), [3.5, 4.0, 4.5, 5.0, 6.0]);
    }

    #[test]
    fn empties_fills_and_gives_again_by_the_hand_worked_times() {
        let mut battery = Battery::new(params());
        assert_eq!(battery.next_event_fs(), None);
        battery.set(seconds(100.0), nw(1.5e6));
        // 3.6 GJ at 1.5 MW: 2,400 s.
        assert_eq!(battery.next_event_fs(), Some(seconds(2500.0)));
        assert!((battery.charge_j(seconds(1300.0)) - 1.8e9).abs() < 1.0);
        assert!(battery.on_event(seconds(2500.0)));
        assert_eq!(battery.charge_j(seconds(2500.0)), 0.0);
        assert_eq!(battery.buffer(seconds(2500.0), true).unwrap().most_discharge_nw, 0, "empty");
        assert!(battery.buffer(seconds(2500.0), false).is_none());
        // 0.5 MW in, 0.4 MW kept: a tenth, 0.36 GJ, after 900 s; the rest after 8,100 s more.
        battery.set(seconds(3000.0), -nw(0.5e6));
        assert_eq!(battery.next_event_fs(), Some(seconds(3900.0)));
        assert!(battery.on_event(seconds(3900.0)));
        assert!(battery.buffer(seconds(3900.0), true).unwrap().most_discharge_nw > 0);
        assert_eq!(battery.next_event_fs(), Some(seconds(12_000.0)));
        assert!(battery.on_event(seconds(12_000.0)));
        assert_eq!(battery.charge_j(seconds(12_000.0)), 3.6e9);
        assert_eq!(battery.buffer(seconds(12_000.0), true).unwrap().most_charge_nw, 0, "full");
    }
}
