//! The meter of a site: running sums of watts, integrated exactly between changes.

use crate::physics::energy::Energy;
use crate::physics::histogram::Histogram;

/// Highest power told apart in percentiles: 100 GW.
const MOST_W: u64 = 100_000_000_000;

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

/// Watts of all replicas by component [nW].
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    it_nw: i128,
    gpu_active_nw: i128,
    gpu_idle_nw: i128,
}

/// One source of watts in the building, integrated when it changes or is read.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    watts_nw: i128,
    since_fs: i128,
}

/// Watts of the building around the nodes: losses of its devices, then fans, pumps and compressors.
#[derive(Debug, Clone, Default)]
struct Around {
    parts: Vec<Part>,
    energies: Vec<Energy>,
    /// Power at the utility meter [W], weighted by nanoseconds, for percentiles over time.
    spread: Histogram,
    meter_nw: i128,
    max_nw: i128,
    cap_nw: Option<i128>,
}

impl Around {
    #[inline]
    fn set(&mut self, now_fs: i128, number: usize, watts_nw: i128) {
        let part = &mut self.parts[number];
        if part.watts_nw != watts_nw {
            self.energies[number] += Energy::of(part.watts_nw, now_fs - part.since_fs);
            *part = Part { watts_nw, since_fs: now_fs };
        }
    }

    fn settle(&mut self, now_fs: i128) {
        for (part, energy) in self.parts.iter_mut().zip(&mut self.energies) {
            *energy += Energy::of(part.watts_nw, now_fs - part.since_fs);
            part.since_fs = now_fs;
        }
    }
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
    /// ∫ IT budget dt; meaningful with a cap only.
    pub budget: Energy,
}

/// Integrates a site's watts.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    now: Sum,
    budget_nw: Option<i128>,
    since_fs: i128,
    sums: Integrals,
    /// IT watts weighted by nanoseconds, for percentiles over time.
    spread: Histogram,
    max_nw: i128,
    around: Option<Box<Around>>,
}

impl Meter {
    /// A meter at t = 0 with this budget.
    pub fn new(budget_nw: Option<i128>) -> Self {
        Self { budget_nw, ..Self::default() }
    }

    /// There is a building around the nodes: `parts` losses, fans, pumps and compressors, all 0 so far.
    pub fn surround(&mut self, parts: usize) {
        let around =
            Around { parts: vec![Part::default(); parts], energies: vec![Energy::default(); parts], ..Around::default() };
        self.around = Some(Box::new(around));
    }

    /// Watts of one part of the building from now on; nothing without one.
    #[inline]
    pub fn set_part(&mut self, now_fs: i128, number: usize, watts_nw: i128) {
        if let Some(around) = &mut self.around {
            around.set(now_fs, number, watts_nw);
        }
    }

    /// Power at the utility meter from now on, and its cap; nothing without a building.
    #[inline]
    pub fn set_utility(&mut self, now_fs: i128, meter_nw: i128, cap_nw: Option<i128>) {
        self.step_to(now_fs);
        if let Some(around) = &mut self.around {
            around.meter_nw = meter_nw;
            around.cap_nw = cap_nw;
        }
    }

    /// Energies of the building's parts, up to the last [`Meter::advance`]: losses of each
    /// device, then fans, pumps and compressors of all plants; none without a building.
    pub fn around(&self) -> Option<&[Energy]> {
        self.around.as_ref().map(|around| around.energies.as_slice())
    }

    /// (99th percentile, maximum) of the power at the utility meter over the window [W]; none without a building.
    pub fn facility_peaks_w(&self) -> Option<(f64, f64)> {
        let around = self.around.as_ref()?;
        Some((around.spread.value_at_quantile(0.99) as f64, around.max_nw as f64 * 1e-9))
    }

    /// Integrate everything up to an instant.
    pub fn advance(&mut self, now_fs: i128) {
        self.step_to(now_fs);
        if let Some(around) = &mut self.around {
            around.settle(now_fs);
        }
    }

    /// Integrate what replicas and the utility meter draw up to an instant.
    #[inline]
    fn step_to(&mut self, now_fs: i128) {
        let duration = now_fs - self.since_fs;
        if duration <= 0 {
            return;
        }
        self.since_fs = now_fs;
        let nanoseconds = whole(duration, 1_000_000).max(1);
        self.sums.it += Energy::of(self.now.it_nw, duration);
        self.sums.gpu_active += Energy::of(self.now.gpu_active_nw, duration);
        self.sums.gpu_idle += Energy::of(self.now.gpu_idle_nw, duration);
        if let Some(budget) = self.budget_nw {
            self.sums.budget += Energy::of(budget, duration);
            if self.around.is_none() && self.now.it_nw > budget {
                self.sums.overshoot += Energy::of(self.now.it_nw - budget, duration);
                self.sums.overshoot_fs += duration;
            }
        }
        if let Some(around) = &mut self.around {
            if let Some(cap) = around.cap_nw.filter(|cap| around.meter_nw > *cap) {
                self.sums.overshoot += Energy::of(around.meter_nw - cap, duration);
                self.sums.overshoot_fs += duration;
            }
            around.spread.record_n(whole(around.meter_nw, 1_000_000_000).min(MOST_W), nanoseconds);
            around.max_nw = around.max_nw.max(around.meter_nw);
        }
        self.spread.record_n(whole(self.now.it_nw, 1_000_000_000).min(MOST_W), nanoseconds);
        self.max_nw = self.max_nw.max(self.now.it_nw);
    }

    /// Change a replica's watts from now on.
    #[inline]
    pub fn change(&mut self, now_fs: i128, from: &Reading, to: &Reading) {
        self.step_to(now_fs);
        self.now.it_nw += i128::from(to.it_nw - from.it_nw);
        self.now.gpu_active_nw += i128::from(to.gpu_active_nw - from.gpu_active_nw);
        self.now.gpu_idle_nw += i128::from(to.gpu_idle_nw - from.gpu_idle_nw);
    }

    /// Change the budget from now on.
    pub fn set_budget(&mut self, now_fs: i128, budget_nw: Option<i128>) {
        self.step_to(now_fs);
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
        }
    }

    /// Energies up to the last [`Meter::advance`].
    pub fn integrals(&self) -> &Integrals {
        &self.sums
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
        self.now.it_nw
    }
}

/// A quantity ≥ 0 in whole larger units. A 128 bit division is an order of magnitude slower, and seldom needed.
#[inline]
fn whole(value: i128, unit: u64) -> u64 {
    match u64::try_from(value) {
        Ok(short) => short / unit,
        Err(_) => u64::try_from(value.max(0) / i128::from(unit)).unwrap_or(u64::MAX),
    }
}
