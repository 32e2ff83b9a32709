//! What each power device of a site put out over the measured window: distribution, energy, what was beyond its limit.

use super::meter::{nanoseconds, short_nanoseconds, short_watts};
use crate::physics::energy::{Energy, short};
use crate::physics::histogram::Histogram;
use crate::physics::tree::Tree;

/// Shares of a limit are counted in this many parts of it.
const PARTS: u64 = 1_000_000;
/// Largest share of a limit told apart [parts]: 1,000 times the limit.
const MOST_PARTS: u64 = 1_000 * PARTS;

/// One device, integrated when its output or its limit changes. Outputs beyond 9 GW are counted as that.
#[derive(Debug, Clone, Default)]
pub struct DeviceMeter {
    out_nw: i64,
    limit_nw: i64,
    since_fs: i128,
    energy: Energy,
    max_nw: i64,
    overshoot: Energy,
    overshoot_fs: i128,
    /// Output [W], weighted by nanoseconds.
    spread: Histogram,
    /// Output over the limit in force [parts], likewise; kept once the limit has changed: before, the spread tells it.
    loads: Option<Box<Histogram>>,
}

impl DeviceMeter {
    #[inline]
    fn set_out(&mut self, now_fs: i128, out_nw: i128) {
        let out_nw = i64::try_from(out_nw).unwrap_or(i64::MAX);
        if self.out_nw != out_nw {
            self.settle(now_fs);
            self.out_nw = out_nw;
        }
    }

    fn set_limit(&mut self, now_fs: i128, limit_nw: i128) {
        let limit_nw = i64::try_from(limit_nw).unwrap_or(i64::MAX);
        if self.limit_nw != limit_nw {
            self.settle(now_fs);
            if self.loads.is_none() && self.spread.total() > 0 {
                self.loads = Some(Box::new(self.loads_by_spread()));
            }
            self.limit_nw = limit_nw;
        }
    }

    #[inline]
    fn settle(&mut self, now_fs: i128) {
        let Some(short_fs) = short(now_fs - self.since_fs) else { return self.settle_far(now_fs) };
        if short_fs == 0 {
            return;
        }
        self.since_fs = now_fs;
        self.energy.add_one(self.out_nw, short_fs);
        let nanoseconds = short_nanoseconds(short_fs);
        self.spread.record_n(short_watts(self.out_nw), nanoseconds);
        self.max_nw = self.max_nw.max(self.out_nw);
        if self.out_nw > self.limit_nw || self.loads.is_some() {
            self.compare(i128::from(short_fs), nanoseconds);
        }
    }

    /// As a long duration passes.
    #[cold]
    fn settle_far(&mut self, now_fs: i128) {
        let duration_fs = now_fs - self.since_fs;
        if duration_fs <= 0 {
            return;
        }
        self.since_fs = now_fs;
        self.energy.add(i128::from(self.out_nw), duration_fs);
        let nanoseconds = nanoseconds(duration_fs);
        self.spread.record_n(short_watts(self.out_nw), nanoseconds);
        self.max_nw = self.max_nw.max(self.out_nw);
        self.compare(duration_fs, nanoseconds);
    }

    /// The output that held for a duration, against its limit.
    fn compare(&mut self, duration_fs: i128, nanoseconds: u64) {
        if let Some(loads) = &mut self.loads {
            loads.record_n(parts(self.out_nw as f64, self.limit_nw as f64), nanoseconds);
        }
        if self.out_nw > self.limit_nw {
            self.overshoot.add(i128::from(self.out_nw) - i128::from(self.limit_nw), duration_fs);
            self.overshoot_fs += duration_fs;
        }
    }

    fn open_window(&mut self, now_fs: i128) {
        let Self { out_nw, limit_nw, .. } = *self;
        *self = Self { out_nw, limit_nw, since_fs: now_fs, ..Self::default() };
    }

    /// Shares of the limit, as long as that has been the same.
    fn loads_by_spread(&self) -> Histogram {
        let mut loads = Histogram::default();
        for (watts, nanoseconds) in self.spread.cells() {
            loads.record_n(parts(watts as f64 * 1e9, self.limit_nw as f64), nanoseconds);
        }
        loads
    }

    /// What it put out.
    pub fn energy(&self) -> Energy {
        self.energy
    }

    /// Highest output that held for any time [W].
    pub fn max_w(&self) -> f64 {
        self.max_nw as f64 * 1e-9
    }

    /// What was put out beyond the limit in force, and for how long [fs].
    pub fn overshoot(&self) -> (Energy, i128) {
        (self.overshoot, self.overshoot_fs)
    }

    /// Output that is not exceeded for each of these shares of the time, ascending [W].
    pub fn outputs_w(&self, shares: &[f64]) -> Vec<f64> {
        let max_w = self.max_w();
        // Cells are up to 0.1 % wide: no percentile is above the maximum.
        self.spread.values_at(shares).into_iter().map(|watts| (watts as f64).min(max_w)).collect()
    }

    /// The same of the output over the limit in force.
    pub fn loads(&self, shares: &[f64]) -> Vec<f64> {
        match &self.loads {
            Some(loads) => {
                let parts = loads.values_at(shares).into_iter();
                parts.map(|parts| parts as f64 / PARTS as f64).collect()
            }
            None => {
                let limit_w = self.limit_nw as f64 * 1e-9;
                let load = |watts| if limit_w > 0.0 { watts / limit_w } else { 0.0 };
                self.outputs_w(shares).into_iter().map(load).collect()
            }
        }
    }
}

/// An output over a limit, in parts; nothing is no load even where nothing is allowed.
#[inline]
fn parts(out: f64, limit: f64) -> u64 {
    if out <= 0.0 { 0 } else { ((out / limit.max(0.0) * PARTS as f64) as u64).min(MOST_PARTS) }
}

/// The devices of a site.
#[derive(Debug, Clone, Default)]
pub struct DeviceMeters {
    all: Vec<DeviceMeter>,
}

impl DeviceMeters {
    /// Of so many devices, without output.
    pub fn new(devices: usize) -> Self {
        Self { all: vec![DeviceMeter::default(); devices] }
    }

    /// The outputs of a device and of all that feed it are those of the tree from now on.
    #[inline]
    pub fn set_path(&mut self, now_fs: i128, tree: &Tree, device: usize) {
        let mut at = Some(device);
        while let Some(device) = at {
            self.all[device].set_out(now_fs, tree.out_nw(device));
            at = tree.parent(device);
        }
    }

    /// The outputs and limits of all devices are those of the tree from now on.
    pub fn set_all(&mut self, now_fs: i128, tree: &Tree) {
        for (device, meter) in self.all.iter_mut().enumerate() {
            meter.set_out(now_fs, tree.out_nw(device));
            meter.set_limit(now_fs, tree.limit_nw(device));
        }
    }

    /// Integrate everything up to an instant.
    pub fn settle(&mut self, now_fs: i128) {
        self.all.iter_mut().for_each(|meter| meter.settle(now_fs));
    }

    /// Forget what was: the measured window opens.
    pub fn open_window(&mut self, now_fs: i128) {
        self.all.iter_mut().for_each(|meter| meter.open_window(now_fs));
    }

    /// By number of the device in its site.
    pub fn all(&self) -> &[DeviceMeter] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::loss::{LossShares, LossStage};
    use crate::physics::tree::Device;

    const S: i128 = 1_000_000_000_000_000;
    const W: i128 = 1_000_000_000;

    fn device(parent: Option<usize>, rated_w: f64, derate: f64, a: [f64; 3]) -> Device {
        let stage = LossStage::new(rated_w, LossShares { a0: a[0], a1: a[1], a2: a[2] }).unwrap();
        Device { parent, stage, derate, zone: None }
    }

    /// A meter of 2,000 W, below it a UPS of 1,000 W (loses 10 W and 10 % of its load) and a PDU of 800 W at 0.5.
    /// The load of the PDU is 200 W for 8 s, then 450 W for 2 s: it may carry 400 W.
    /// UPS out 200 / 450, in 200 + 10 + 20 = 230 / 450 + 10 + 45 = 505.
    #[test]
    fn two_levels_of_load_on_three_devices() {
        let mut tree = Tree::new(vec![
            device(None, 2_000.0, 1.0, [0.0; 3]),
            device(Some(0), 1_000.0, 1.0, [0.01, 0.1, 0.0]),
            device(Some(1), 800.0, 0.5, [0.0; 3]),
        ])
        .unwrap();
        let mut meters = DeviceMeters::new(3);
        tree.set_load_nw(2, 200 * W);
        meters.set_all(0, &tree);
        tree.set_load_nw(2, 450 * W);
        meters.set_path(8 * S, &tree, 2);
        meters.settle(10 * S);
        let all = meters.all();
        let means: Vec<f64> = all.iter().map(|meter| meter.energy().as_j() / 10.0).collect();
        let by_hand = [(8.0 * 230.0 + 2.0 * 505.0) / 10.0, 250.0, 250.0];
        for (mean, by_hand) in means.iter().zip(by_hand) {
            assert!((mean - by_hand).abs() < 1e-6, "{means:?}");
        }
        assert_eq!(all.iter().map(|m| m.max_w().round()).collect::<Vec<_>>(), [505.0, 450.0, 450.0]);
        assert_eq!(all[2].outputs_w(&[0.5, 0.8, 0.81, 0.99]), [200.0, 200.0, 450.0, 450.0]);
        assert_eq!(all[2].loads(&[0.5, 0.99]), [0.5, 1.125]);
        let (joules, for_fs) = all[2].overshoot();
        assert_eq!((joules.as_j(), for_fs), (100.0, 2 * S), "50 W beyond 400 W for 2 s");
        assert_eq!(all[1].overshoot().1, 0);
    }

    /// 300 W, of 400 W for 6 s, of 250 W for 3 s: 50 W too much; then 200 W of 250 W for 1 s.
    #[test]
    fn a_limit_that_falls() {
        let mut tree = Tree::new(vec![device(None, 400.0, 1.0, [0.0; 3])]).unwrap();
        let mut meters = DeviceMeters::new(1);
        tree.set_load_nw(0, 300 * W);
        meters.set_all(0, &tree);
        tree.set_cap_nw(0, Some(250 * W));
        meters.set_all(6 * S, &tree);
        tree.set_load_nw(0, 200 * W);
        meters.set_path(9 * S, &tree, 0);
        meters.settle(10 * S);
        let meter = &meters.all()[0];
        assert_eq!((meter.overshoot().0.as_j(), meter.overshoot().1), (150.0, 3 * S));
        let loads = meter.loads(&[0.3, 0.7, 0.71, 1.0]);
        for (load, by_hand) in loads.iter().zip([0.75, 0.8, 1.2, 1.2]) {
            assert!((load / by_hand - 1.0).abs() < 4e-3, "{loads:?}");
        }
        meters.open_window(10 * S);
        meters.settle(11 * S);
        let meter = &meters.all()[0];
        assert_eq!((meter.energy().as_j(), meter.max_w(), meter.overshoot().1), (200.0, 200.0, 0));
        assert!((meter.loads(&[0.99])[0] - 0.8).abs() < 4e-3);
    }
}
