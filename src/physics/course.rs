//! A quantity that is constant within each local hour: outdoor air, prices, carbon.

use std::f64::consts::PI;

use super::FS_PER_S;
use super::parameter::{BadParameter, finite, require};

/// Femtoseconds in an hour.
pub const FS_PER_H: i128 = 3600 * FS_PER_S;

/// The course of one quantity, in its own unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// Always the same.
    Constant(f64),
    /// A cosine over the day; an hour has the mean of its cosine.
    Daily {
        /// Lowest value of the cosine, 12 h from the highest.
        min: f64,
        /// Highest value of the cosine.
        max: f64,
        /// Local time of day of the highest value [h].
        max_at_h: f64,
    },
    /// One value an hour, the first for the hour from local midnight of the first day on; after the last
    /// the table starts again.
    Hourly(Vec<f64>),
}

impl Course {
    /// Value in local hour `hour`, counted from midnight of the first day.
    pub fn at_hour(&self, hour: i64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Daily { min, max, max_at_h } => {
                let turn = 2.0 * PI / 24.0;
                let from = hour.rem_euclid(24) as f64 - max_at_h;
                // Mean of cos over [from, from + 1] h; kept within [min, max] against rounding.
                let cosine = ((turn * (from + 1.0)).sin() - (turn * from).sin()) / turn;
                (0.5 * (max + min) + 0.5 * (max - min) * cosine).clamp(*min, *max)
            }
            Self::Hourly(values) => {
                values.get(hour.rem_euclid(values.len().max(1) as i64) as usize).copied().unwrap_or(0.0)
            }
        }
    }

    /// Hours after which the course repeats.
    pub fn period_h(&self) -> usize {
        match self {
            Self::Constant(_) => 1,
            Self::Daily { .. } => 24,
            Self::Hourly(values) => values.len(),
        }
    }

    /// The same course, higher by `offset` at all times.
    #[must_use]
    pub fn raised_by(self, offset: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value + offset),
            Self::Daily { min, max, max_at_h } => {
                Self::Daily { min: min + offset, max: max + offset, max_at_h }
            }
            Self::Hourly(values) => Self::Hourly(values.into_iter().map(|value| value + offset).collect()),
        }
    }

    pub(super) fn check(&self) -> Result<(), BadParameter> {
        match self {
            Self::Constant(value) => finite("value", *value),
            Self::Daily { min, max, max_at_h } => {
                finite("min", *min)?;
                require(max >= min, "max", "at least min", *max)?;
                require((0.0..=24.0).contains(max_at_h), "max_at_h", "a time of day, 0 to 24", *max_at_h)
            }
            Self::Hourly(values) => {
                require(!values.is_empty(), "hourly values", "at least one", 0.0)?;
                values.iter().try_for_each(|value| finite("hourly value", *value))
            }
        }
    }
}

/// The local hour, counted from midnight of the first day, of an instant of a run that starts at `start_fs` of it.
pub(super) fn hour_at(now_fs: i128, start_fs: i128) -> i64 {
    (now_fs + start_fs).div_euclid(FS_PER_H) as i64
}

/// When a run starts, from local midnight [fs], that starts `start_h` hours after it.
pub(super) fn start_fs(start_h: f64) -> Result<i128, BadParameter> {
    require((0.0..=1e6).contains(&start_h), "start_h", "0 to 1,000,000", start_h)?;
    Ok(super::fs_from_s(start_h * 3600.0))
}

/// A course in the time of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    course: Course,
    start_fs: i128,
}

impl Signal {
    /// The course seen by a run that starts `start_h` ≥ 0 hours after local midnight.
    ///
    /// # Errors
    /// A course with a number outside its range.
    pub fn new(course: Course, start_h: f64) -> Result<Self, BadParameter> {
        course.check()?;
        Ok(Self { course, start_fs: start_fs(start_h)? })
    }

    /// Value at instant `now_fs` [fs].
    pub fn at(&self, now_fs: i128) -> f64 {
        self.course.at_hour(hour_at(now_fs, self.start_fs))
    }

    /// The first full local hour after `now_fs` at which the value changes [fs]; `None` if it never does.
    pub fn next_change_fs(&self, now_fs: i128) -> Option<i128> {
        let hour = hour_at(now_fs, self.start_fs);
        let value = self.course.at_hour(hour);
        let mut later = 1..=self.course.period_h() as i64;
        let change = later.find(|k| self.course.at_hour(hour + k) != value)?;
        Some(i128::from(hour + change) * FS_PER_H - self.start_fs)
    }
}

/// A running total that a signal is applied to as it grows.
pub trait Total: Copy + Default {
    /// What it grew by since it was `then`.
    fn since(&self, then: &Self) -> f64;
}

impl Total for f64 {
    fn since(&self, then: &Self) -> f64 {
        self - then
    }
}

impl Total for super::energy::Energy {
    /// [J]
    fn since(&self, then: &Self) -> f64 {
        self.minus(then).as_j()
    }
}

/// ∫ s dQ of a signal s and a running total Q. Between two changes of the signal that is s·ΔQ, so Q is asked for only
/// when the signal changes: nothing is rounded, or done, in between.
#[derive(Debug, Clone)]
pub struct Weighted<Q> {
    signal: Signal,
    value: f64,
    sum: f64,
    /// Q when the present value began.
    from: Q,
    next_fs: Option<i128>,
}

impl<Q: Total> Weighted<Q> {
    /// From t = 0, where the total is 0.
    pub fn new(signal: Signal) -> Self {
        let (value, next_fs) = (signal.at(0), signal.next_change_fs(0));
        Self { signal, value, sum: 0.0, from: Q::default(), next_fs }
    }

    /// When the signal changes next [fs]; `None` if it never does.
    pub fn next_fs(&self) -> Option<i128> {
        self.next_fs
    }

    /// The signal changes at [`Self::next_fs`], when the total was `total`.
    pub fn turn(&mut self, total: Q) {
        let Some(now_fs) = self.next_fs else { return };
        self.sum = self.read(total);
        self.from = total;
        self.value = self.signal.at(now_fs);
        self.next_fs = self.signal.next_change_fs(now_fs);
    }

    /// ∫ s dQ from the start, where the total is now `total` and the signal's next change is not over yet.
    pub fn read(&self, total: Q) -> f64 {
        self.sum + self.value * total.since(&self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::energy::Energy;
    use super::*;

    #[test]
    fn a_signal_changes_at_full_local_hours() {
        let signal = Signal::new(Course::Hourly(vec![1.0, 2.0, 2.0, 4.0]), 0.25).unwrap();
        let mut changes = Vec::new();
        let mut now = 0;
        while let Some(at) = signal.next_change_fs(now).filter(|at| *at < 7 * FS_PER_H) {
            changes.push((at as f64 / FS_PER_H as f64 + 0.25, signal.at(at - 1), signal.at(at)));
            now = at;
        }
        assert_eq!(
            changes,
            [(1.0, 1.0, 2.0), (3.0, 2.0, 4.0), (4.0, 4.0, 1.0), (5.0, 1.0, 2.0), (7.0, 2.0, 4.0)]
        );
        let still = Signal::new(Course::Hourly(vec![3.0; 24]), 0.0).unwrap();
        assert_eq!(still.next_change_fs(5), None);
        assert!(Signal::new(Course::Constant(f64::NAN), 0.0).is_err());
        assert!(Signal::new(Course::Hourly(Vec::new()), 0.0).is_err());
    }

    /// 2 kW from half past midnight to three, at 1, −2 and 3 per joule in the three hours.
    #[test]
    fn joules_are_weighted_hour_by_hour() {
        let signal = Signal::new(Course::Hourly(vec![1.0, -2.0, 3.0]), 0.5).unwrap();
        let mut weighted = Weighted::<Energy>::new(signal);
        let drawn = |until_fs: i128| Energy::of(2_000_000_000_000, until_fs);
        while let Some(at) = weighted.next_fs().filter(|at| *at <= 5 * FS_PER_H / 2) {
            weighted.turn(drawn(at));
        }
        let sum = weighted.read(drawn(5 * FS_PER_H / 2));
        assert_eq!(sum, 2000.0 * 3600.0 * (0.5 * 1.0 - 2.0 + 3.0));
    }
}
