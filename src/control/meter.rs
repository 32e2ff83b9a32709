//! The meter of a site: running sums of watts, integrated exactly between changes.

use hdrhistogram::Histogram;

use crate::physics::energy::Energy;

/// Highest site power told apart in percentiles: 100 GW.
const MOST_W: u64 = 100_000_000_000;

/// Watts by component at one instant, or their changes [nW].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Nodes at the wall.
    pub it_nw: i128,
    /// GPUs of working replicas.
    pub gpu_active_nw: i128,
    /// GPUs of replicas without a running iteration.
    pub gpu_idle_nw: i128,
}

/// Watts of the building around the nodes: losses of its devices, then fans, pumps and compressors [nW].
#[derive(Debug, Clone)]
struct Around {
    watts_nw: Vec<i128>,
    energies: Vec<Energy>,
    /// Power at the utility meter [nW], weighted by nanoseconds, for percentiles over time.
    spread: Histogram<u64>,
    meter_nw: i128,
    max_nw: i128,
    cap_nw: Option<i128>,
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
#[derive(Debug, Clone)]
pub struct Meter {
    now: Reading,
    budget_nw: Option<i128>,
    since_fs: i128,
    sums: Integrals,
    /// IT watts weighted by nanoseconds, for percentiles over time.
    spread: Histogram<u64>,
    max_nw: i128,
    around: Option<Box<Around>>,
}

impl Meter {
    /// A meter at t = 0 with this budget.
    pub fn new(budget_nw: Option<i128>) -> Self {
        let spread = Histogram::new_with_bounds(1, MOST_W, 3).expect("the bounds are valid");
        Self {
            now: Reading::default(),
            budget_nw,
            since_fs: 0,
            sums: Integrals::default(),
            spread,
            max_nw: 0,
            around: None,
        }
    }

    /// Watts of the building from now on: `parts_nw` are the losses of each device, then fans, pumps and
    /// compressors of all plants; `meter_nw` is the power at the utility meter, `cap_nw` its cap.
    pub fn set_around(
        &mut self,
        now_fs: i128,
        parts_nw: impl Iterator<Item = i128>,
        meter_nw: i128,
        cap_nw: Option<i128>,
    ) {
        self.advance(now_fs);
        let around = self.around.get_or_insert_with(|| {
            Box::new(Around {
                watts_nw: Vec::new(),
                energies: Vec::new(),
                spread: Histogram::new_with_bounds(1, MOST_W, 3).expect("the bounds are valid"),
                meter_nw: 0,
                max_nw: 0,
                cap_nw: None,
            })
        });
        around.watts_nw.clear();
        around.watts_nw.extend(parts_nw);
        around.energies.resize(around.watts_nw.len(), Energy::default());
        around.meter_nw = meter_nw;
        around.cap_nw = cap_nw;
    }

    /// Energies of the building's parts, in the order of [`Meter::set_around`]; none without a building.
    pub fn around(&self) -> Option<&[Energy]> {
        self.around.as_ref().map(|around| around.energies.as_slice())
    }

    /// (99th percentile, maximum) of the power at the utility meter over the window [W]; none without a building.
    pub fn facility_peaks_w(&self) -> Option<(f64, f64)> {
        let around = self.around.as_ref()?;
        Some((around.spread.value_at_quantile(0.99) as f64, around.max_nw as f64 * 1e-9))
    }

    /// Integrate up to an instant.
    pub fn advance(&mut self, now_fs: i128) {
        let duration = now_fs - self.since_fs;
        if duration <= 0 {
            return;
        }
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
            for (energy, watts_nw) in around.energies.iter_mut().zip(&around.watts_nw) {
                *energy += Energy::of(*watts_nw, duration);
            }
            if let Some(cap) = around.cap_nw.filter(|cap| around.meter_nw > *cap) {
                self.sums.overshoot += Energy::of(around.meter_nw - cap, duration);
                self.sums.overshoot_fs += duration;
            }
            let nanoseconds = (duration / 1_000_000) as u64;
            around.spread.saturating_record_n((around.meter_nw / 1_000_000_000) as u64, nanoseconds.max(1));
            around.max_nw = around.max_nw.max(around.meter_nw);
        }
        let watts = (self.now.it_nw / 1_000_000_000) as u64;
        let nanoseconds = (duration / 1_000_000) as u64;
        self.spread.saturating_record_n(watts, nanoseconds.max(1));
        self.max_nw = self.max_nw.max(self.now.it_nw);
        self.since_fs = now_fs;
    }

    /// Change the watts from now on.
    pub fn change(&mut self, now_fs: i128, from: Reading, to: Reading) {
        self.advance(now_fs);
        self.now.it_nw += to.it_nw - from.it_nw;
        self.now.gpu_active_nw += to.gpu_active_nw - from.gpu_active_nw;
        self.now.gpu_idle_nw += to.gpu_idle_nw - from.gpu_idle_nw;
    }

    /// Change the budget from now on.
    pub fn set_budget(&mut self, now_fs: i128, budget_nw: Option<i128>) {
        self.advance(now_fs);
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
