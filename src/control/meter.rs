//! The meter of a site: running sums of watts, integrated exactly between changes.

use super::bill::Bill;
use super::devices::{DeviceMeter, DeviceMeters};
use crate::physics::energy::{Energy, short};
use crate::physics::histogram::Histogram;
use crate::physics::tree::Tree;

/// Highest power told apart in percentiles: 100 GW.
const MOST_W: u64 = 100_000_000_000;
const FS_PER_NS: u64 = 1_000_000;
const NW_PER_W: u64 = 1_000_000_000;

/// Watts of one replica by component [nW].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its share of the node at the wall.
    pub it_nw: i64,
    /// Its GPUs while it works.
    pub gpu_active_nw: i64,
    /// Its GPUs without a running iteration.
    pub gpu_idle_nw: i64,
}

/// One source of watts, integrated when it changes or is read.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    watts_nw: i128,
    since_fs: i128,
    energy: Energy,
}

impl Tally {
    #[inline]
    fn set(&mut self, now_fs: i128, watts_nw: i128) {
        if self.watts_nw != watts_nw {
            self.settle(now_fs);
            self.watts_nw = watts_nw;
        }
    }

    #[inline]
    fn settle(&mut self, now_fs: i128) {
        self.energy.add(self.watts_nw, now_fs - self.since_fs);
        self.since_fs = now_fs;
    }
}

/// Watts of the building around the nodes.
#[derive(Debug, Clone, Default)]
struct Around {
    /// Losses of its devices, then fans, pumps and compressors.
    parts: Vec<Tally>,
    /// Power at the utility meter [W], weighted by nanoseconds, for percentiles over time.
    spread: Histogram,
    meter_nw: i128,
    max_nw: i128,
    cap_nw: Option<i128>,
    /// What the grid gives of it: watts, and energy, integrated whenever IT is.
    grid_nw: i128,
    grid: Energy,
    devices: DeviceMeters,
}

/// Energies since the start, by component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Integrals {
    /// Nodes at the wall.
    pub it: Energy,
    /// GPUs of working replicas.
    pub gpu_active: Energy,
    /// GPUs of replicas without a running iteration.
    pub gpu_idle: Energy,
    /// Above the cap.
    pub overshoot: Energy,
    /// Time above the cap [fs].
    pub overshoot_fs: i128,
    /// ∫ IT budget dt; 0 while there is none.
    pub budget: Energy,
}

/// Integrates a site's watts.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    it: Tally,
    /// GPUs of working replicas: watts [nW] and energy, integrated whenever `it` is.
    gpu_active_nw: i128,
    gpu_active: Energy,
    gpu_idle: Tally,
    budget: Tally,
    budget_nw: Option<i128>,
    overshoot: Energy,
    overshoot_fs: i128,
    /// IT watts weighted by nanoseconds, for percentiles over time.
    spread: Histogram,
    max_nw: i128,
    around: Option<Box<Around>>,
    /// Price and carbon, and when one of them changes next [fs]; the end of time without.
    bill: Option<Box<Bill>>,
    turn_fs: i128,
}

impl Meter {
    /// A meter at t = 0 with this budget.
    pub fn new(budget_nw: Option<i128>) -> Self {
        let budget = Tally { watts_nw: budget_nw.unwrap_or(0), ..Tally::default() };
        Self { budget, budget_nw, turn_fs: i128::MAX, ..Self::default() }
    }

    /// What the meter reads has a price or carbon; at t = 0.
    pub(super) fn charge(&mut self, bill: Bill) {
        self.turn_fs = bill.next_fs();
        self.bill = Some(Box::new(bill));
    }

    /// There is a building around the nodes: losses of `devices`, `others`, all 0 so far.
    pub fn surround(&mut self, devices: usize, others: usize) {
        self.around = Some(Box::new(Around {
            parts: vec![Tally::default(); devices + others],
            devices: DeviceMeters::new(devices),
            ..Around::default()
        }));
    }

    /// A load that hangs from a device is another: what it and all that feed it put out from now on; nothing without a
    /// building.
    #[inline]
    pub fn set_path(&mut self, now_fs: i128, tree: &Tree, device: usize) {
        if let Some(around) = &mut self.around {
            around.devices.set_path(now_fs, tree, device);
        }
    }

    /// What all devices put out from now on, and may put out; nothing without a building.
    pub fn set_devices(&mut self, now_fs: i128, tree: &Tree) {
        if let Some(around) = &mut self.around {
            around.devices.set_all(now_fs, tree);
        }
    }

    /// The devices of the building over the window, up to the last [`Meter::advance`]; none without a building.
    pub fn devices(&self) -> &[DeviceMeter] {
        self.around.as_ref().map_or(&[], |around| around.devices.all())
    }

    /// Watts of one part of the building from now on; nothing without one.
    #[inline]
    pub fn set_part(&mut self, now_fs: i128, number: usize, watts_nw: i128) {
        if let Some(around) = &mut self.around {
            around.parts[number].set(now_fs, watts_nw);
        }
    }

    /// Power at the utility meter from now on, generators included, what the grid gives of it, and the cap; nothing
    /// without a building.
    #[inline]
    pub fn set_utility(&mut self, now_fs: i128, meter_nw: i128, grid_nw: i128, cap_nw: Option<i128>) {
        self.step_to(now_fs);
        if let Some(around) = &mut self.around {
            around.meter_nw = meter_nw;
            around.grid_nw = grid_nw;
            around.cap_nw = cap_nw;
        }
    }

    /// Energies of the building's parts up to the last [`Meter::advance`]: losses of each device, then fans, pumps
    /// and compressors of all plants; none without a building.
    pub fn around(&self) -> Option<Vec<Energy>> {
        self.around.as_ref().map(|around| around.parts.iter().map(|part| part.energy).collect())
    }

    /// Drawn from the grid up to the last [`Meter::advance`]: without a building, what the nodes draw at the wall.
    pub fn grid(&self) -> Energy {
        self.around.as_ref().map_or(self.it.energy, |around| around.grid)
    }

    /// ($, kg) of [`Meter::grid`], where it has a price or carbon.
    pub fn charged(&self) -> (Option<f64>, Option<f64>) {
        self.bill.as_ref().map_or((None, None), |bill| bill.read(self.grid()))
    }

    /// (99th percentile, maximum) of the power at the utility meter over the window [W]; none without a building.
    pub fn facility_peaks_w(&self) -> Option<(f64, f64)> {
        let around = self.around.as_ref()?;
        Some((around.spread.value_at_quantile(0.99) as f64, around.max_nw as f64 * 1e-9))
    }

    /// Integrate everything up to an instant.
    pub fn advance(&mut self, now_fs: i128) {
        self.step_to(now_fs);
        for tally in [&mut self.gpu_idle, &mut self.budget] {
            tally.settle(now_fs);
        }
        if let Some(around) = &mut self.around {
            around.parts.iter_mut().for_each(|part| part.settle(now_fs));
            around.devices.settle(now_fs);
        }
    }

    /// What the site draws changes at this instant: spread and highest value so far.
    #[inline(always)]
    fn step_to(&mut self, now_fs: i128) {
        let duration_fs = now_fs - self.it.since_fs;
        if duration_fs <= 0 {
            return;
        }
        if now_fs >= self.turn_fs {
            self.turn(now_fs);
        }
        self.it.since_fs = now_fs;
        let it_nw = self.it.watts_nw;
        let nanoseconds = match short(duration_fs) {
            Some(short_fs) => {
                self.it.energy.add_short(it_nw, short_fs);
                self.gpu_active.add_short(self.gpu_active_nw, short_fs);
                short_fs / FS_PER_NS
            }
            None => self.step_far(duration_fs),
        };
        let nanoseconds = nanoseconds.max(1);
        self.spread.record_n(whole_watts(it_nw), nanoseconds);
        self.max_nw = self.max_nw.max(it_nw);
        if self.around.is_some() {
            self.step_around(nanoseconds, duration_fs);
        } else if let Some(cap_nw) = self.budget_nw
            && it_nw > cap_nw
        {
            self.exceed(it_nw - cap_nw, duration_fs);
        }
    }

    /// As a long duration passes; returns it in nanoseconds.
    #[cold]
    fn step_far(&mut self, duration_fs: i128) -> u64 {
        self.it.energy.add(self.it.watts_nw, duration_fs);
        self.gpu_active.add(self.gpu_active_nw, duration_fs);
        u64::try_from(duration_fs / i128::from(FS_PER_NS)).unwrap_or(u64::MAX)
    }

    /// Price and carbon change on the way to an instant, while watts do not.
    #[cold]
    fn turn(&mut self, now_fs: i128) {
        let (grid, grid_nw) = match &self.around {
            Some(around) => (around.grid, around.grid_nw),
            None => (self.it.energy, self.it.watts_nw),
        };
        let Some(bill) = &mut self.bill else { return };
        while self.turn_fs <= now_fs {
            let mut energy = grid;
            energy.add(grid_nw, self.turn_fs - self.it.since_fs);
            bill.turn(energy);
            self.turn_fs = bill.next_fs();
        }
    }

    fn step_around(&mut self, nanoseconds: u64, duration_fs: i128) {
        let Some(around) = &mut self.around else { return };
        let meter_nw = around.meter_nw;
        around.grid.add(around.grid_nw, duration_fs);
        around.spread.record_n(whole_watts(meter_nw), nanoseconds);
        around.max_nw = around.max_nw.max(meter_nw);
        if let Some(cap_nw) = around.cap_nw
            && meter_nw > cap_nw
        {
            self.exceed(meter_nw - cap_nw, duration_fs);
        }
    }

    fn exceed(&mut self, excess_nw: i128, duration_fs: i128) {
        self.overshoot.add(excess_nw, duration_fs);
        self.overshoot_fs += duration_fs;
    }

    /// The budget now [nW].
    pub fn budget_nw(&self) -> Option<i128> {
        self.budget_nw
    }

    /// Change a replica's watts from now on.
    #[inline(always)]
    pub fn change(&mut self, now_fs: i128, from: &Reading, to: &Reading) {
        self.step_to(now_fs);
        self.it.watts_nw += i128::from(to.it_nw - from.it_nw);
        self.gpu_active_nw += i128::from(to.gpu_active_nw - from.gpu_active_nw);
        if to.gpu_idle_nw != from.gpu_idle_nw {
            let change_nw = i128::from(to.gpu_idle_nw - from.gpu_idle_nw);
            self.gpu_idle.set(now_fs, self.gpu_idle.watts_nw + change_nw);
        }
    }

    /// Change the budget from now on.
    pub fn set_budget(&mut self, now_fs: i128, budget_nw: Option<i128>) {
        self.step_to(now_fs);
        self.budget.set(now_fs, budget_nw.unwrap_or(0));
        self.budget_nw = budget_nw;
    }

    /// Forget the spread and the maximum: the measured window opens.
    pub fn open_window(&mut self, now_fs: i128) {
        self.advance(now_fs);
        self.spread.reset();
        self.max_nw = 0;
        if let Some(around) = &mut self.around {
            around.spread.reset();
            around.max_nw = 0;
            around.devices.open_window(now_fs);
        }
    }

    /// Energies up to the last [`Meter::advance`].
    pub fn integrals(&self) -> Integrals {
        Integrals {
            it: self.it.energy,
            gpu_active: self.gpu_active,
            gpu_idle: self.gpu_idle.energy,
            overshoot: self.overshoot,
            overshoot_fs: self.overshoot_fs,
            budget: self.budget.energy,
        }
    }

    /// IT watts that time is spent below for this share of the window.
    pub fn quantile_w(&self, share: f64) -> f64 {
        self.spread.value_at_quantile(share) as f64
    }

    /// Highest IT watts that held for any time in the window.
    pub fn max_w(&self) -> f64 {
        self.max_nw as f64 * 1e-9
    }

    /// IT watts now [nW].
    pub fn it_nw(&self) -> i128 {
        self.it.watts_nw
    }
}

/// A duration > 0 in nanoseconds, at least one: the weight of a percentile.
#[inline]
pub(super) fn nanoseconds(duration_fs: i128) -> u64 {
    // A 128 bit division is an order of magnitude slower, and seldom needed.
    match short(duration_fs) {
        Some(short_fs) => short_nanoseconds(short_fs),
        None => u64::try_from(duration_fs / i128::from(FS_PER_NS)).unwrap_or(u64::MAX),
    }
}

/// The same of a short duration [fs].
#[inline]
pub(super) fn short_nanoseconds(short_fs: u64) -> u64 {
    (short_fs / FS_PER_NS).max(1)
}

/// Watts ≥ 0 [nW] in whole watts.
#[inline]
pub(super) fn short_watts(watts_nw: i64) -> u64 {
    watts_nw.max(0) as u64 / NW_PER_W
}

/// Watts ≥ 0 [nW] in whole watts, as far as percentiles tell them apart.
#[inline]
fn whole_watts(watts_nw: i128) -> u64 {
    // A 128 bit division is an order of magnitude slower, and seldom needed.
    match u64::try_from(watts_nw) {
        Ok(short_nw) => short_nw / NW_PER_W,
        Err(_) => many_watts(watts_nw),
    }
}

#[cold]
fn many_watts(watts_nw: i128) -> u64 {
    u64::try_from(watts_nw.max(0) / i128::from(NW_PER_W)).map_or(MOST_W, |watts| watts.min(MOST_W))
}
