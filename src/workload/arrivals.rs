//! Instants of arrival of the drawn processes.
//!
//! Time is an integer number of femtoseconds. A constant rate computes its k-th instant from k, so
//! that nothing drifts. The Poisson processes accumulate unit exponentials, one per request from its
//! own generator, turned into time by the rate, or by inverting the cumulative rate *from the last
//! arrival on*: each instant is rounded once, and no sum over the whole run loses digits.

use std::f64::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use rand::RngExt;
use rand_distr::{Distribution, Exp1, Gamma};

use super::random::Key;
use super::time::{
    DecimalError, FS_PER_DAY, FS_PER_S, LATEST_S, Ratio, fs_to_seconds, parse_decimal, seconds_to_fs,
};
use crate::input::{InputError, Table};
use crate::physics::real;
use crate::scenario::types::{Diurnal, RateCurve};

/// Highest rate [arrivals/s].
pub(crate) const MOST_PER_S: f64 = 1e9;

/// Most rows of a rate curve, 32 bytes each: a year in half minutes.
const MOST_ROWS: usize = 1_100_000;

/// A gap in seconds as femtoseconds; `None` beyond any run.
#[inline]
fn gap_fs(seconds: f64) -> Option<i128> {
    let fs = seconds * 1e15 + 0.5;
    if fs < 9e18 {
        Some(i128::from(fs as i64))
    } else if fs < 1e30 {
        Some(fs as i128)
    } else {
        None
    }
}

/// A span as seconds: one conversion, a last digit less exact than [`fs_to_seconds`], ten times as fast.
#[inline]
fn span_s(fs: i128) -> f64 {
    real(fs) * 1e-15
}

/// Equally spaced arrivals: the k-th at k / rate.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    /// One gap is `whole` + `rest` / `parts` femtoseconds; `None`: the rate is zero.
    gap: Option<(i128, i128, i128)>,
    k: u64,
}

impl Constant {
    pub(crate) fn new(rate_per_s: f64) -> Self {
        let gap = Ratio::from_f64(rate_per_s).map(|r| {
            let gap = FS_PER_S * r.den;
            (gap / r.num, gap % r.num, r.num)
        });
        Self { gap, k: 0 }
    }

    /// The k-th instant, k from 1.
    #[inline]
    pub(crate) fn instant(&self, k: u64) -> Option<i128> {
        let (whole, rest, parts) = self.gap?;
        let k = i128::from(k);
        // rest < parts < 10^22 and k < 2^64: the product fits.
        k.checked_mul(whole)?.checked_add((k * rest + parts / 2) / parts)
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> Option<i128> {
        self.k += 1;
        self.instant(self.k)
    }

    /// Leave out what arrives before `from_fs`.
    pub(crate) fn skip_to(&mut self, from_fs: i128) {
        let Some((whole, rest, parts)) = self.gap else { return };
        let gap_fs = whole as f64 + rest as f64 / parts as f64;
        // An estimate from below, then exactly.
        self.k = ((from_fs as f64 / gap_fs) as u64).saturating_sub(2);
        while self.instant(self.k + 1).is_some_and(|at_fs| at_fs < from_fs) {
            self.k += 1;
        }
    }
}

/// The unit exponentials of a class, one per request; other gaps take its generators.
#[derive(Debug, Clone)]
pub(crate) struct Gaps {
    key: Key,
    number: u64,
}

impl Gaps {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, number: 0 }
    }

    #[inline]
    fn advance(&mut self) -> f64 {
        let e = self.key.generator(self.number).sample(Exp1);
        self.number += 1;
        e
    }
}

/// Independent exponential gaps.
#[derive(Debug, Clone)]
pub(crate) struct Poisson {
    mean_gap_s: f64,
    gaps: Gaps,
    now_fs: i128,
}

impl Poisson {
    pub(crate) fn new(rate_per_s: f64, gaps: Gaps) -> Self {
        Self { mean_gap_s: 1.0 / rate_per_s, gaps, now_fs: 0 }
    }

    /// Begin at `from_fs`: a Poisson process forgets what came before.
    pub(crate) fn skip_to(&mut self, from_fs: i128) {
        self.now_fs = from_fs;
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> Option<i128> {
        self.now_fs += gap_fs(self.gaps.advance() * self.mean_gap_s)?;
        Some(self.now_fs)
    }
}

/// Independent gamma gaps of mean 1/rate, in the steady state: the first is what is left of a gap under way at t = 0,
/// so that the expected number of arrivals up to any t is rate · t.
#[derive(Debug, Clone)]
pub(crate) struct Renewal {
    gap_s: Gamma<f64>,
    /// A gap that some instant falls into: the longer, the likelier.
    around_s: Gamma<f64>,
    gaps: Gaps,
    now_fs: i128,
}

impl Renewal {
    /// `None` unless rate and cv lie within their limits.
    pub(crate) fn new(rate_per_s: f64, cv: f64, gaps: Gaps) -> Option<Self> {
        let shape = 1.0 / (cv * cv);
        let scale_s = 1.0 / (rate_per_s * shape);
        Some(Self {
            gap_s: Gamma::new(shape, scale_s).ok()?,
            // Density x·f(x)/mean of a gamma density f is the gamma density of a shape larger by 1.
            around_s: Gamma::new(shape + 1.0, scale_s).ok()?,
            gaps,
            now_fs: 0,
        })
    }

    /// Begin at `from_fs`, in the steady state as well.
    pub(crate) fn skip_to(&mut self, from_fs: i128) {
        self.now_fs = from_fs;
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> Option<i128> {
        let mut generator = self.gaps.key.generator(self.gaps.number);
        let gap_s = if self.gaps.number == 0 {
            generator.random::<f64>() * self.around_s.sample(&mut generator)
        } else {
            self.gap_s.sample(&mut generator)
        };
        self.gaps.number += 1;
        self.now_fs += gap_fs(gap_s)?;
        Some(self.now_fs)
    }
}

/// rate(θ) = mean · (1 + a · cos θ), θ = 2π · (hours since the peak) / 24.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cosine {
    mean_per_s: f64,
    a: f64,
    /// Time since a peak at t = 0 [fs], within a day.
    start_fs: i128,
}

const OMEGA_PER_S: f64 = TAU / 86_400.0;

impl Cosine {
    pub(crate) fn open(d: &Diurnal, start_at_h: f64, field: &str) -> Result<Self, InputError> {
        check_rate(d.mean_per_s, &format!("{field}.mean_per_s"))?;
        if !(1.0..=2.0).contains(&d.peak_to_mean) {
            return Err(InputError::field(
                format!("{field}.peak_to_mean"),
                format!("is {}; it must lie in 1..=2, so that the rate is never negative", d.peak_to_mean),
            ));
        }
        let hour = |h: f64, name: String| {
            if (0.0..=24.0).contains(&h) { seconds_to_fs(h).map(|fs| fs * 3600) } else { None }.ok_or_else(
                || InputError::field(name, format!("is {h}; it must be an hour of the day in 0..=24")),
            )
        };
        let peak = hour(d.peak_at_h, format!("{field}.peak_at_h"))?;
        let start = hour(start_at_h, "start_at_h".into())?;
        Ok(Self {
            mean_per_s: d.mean_per_s,
            a: d.peak_to_mean - 1.0,
            start_fs: (start - peak).rem_euclid(FS_PER_DAY),
        })
    }

    fn theta(&self, t_fs: i128) -> f64 {
        fs_to_seconds((self.start_fs + t_fs) % FS_PER_DAY) * OMEGA_PER_S
    }

    /// Expected arrivals in 0..=t.
    pub(crate) fn expected(&self, t_fs: i128) -> f64 {
        let swing = self.theta(t_fs).sin() - self.theta(0).sin();
        self.mean_per_s * (fs_to_seconds(t_fs) + self.a / OMEGA_PER_S * swing)
    }

    /// Time after which `need` arrivals are expected, from phase θ on [s]; `need` is worth less than
    /// a day. The x of x + (a/ω)(sin(θ + ωx) − sin θ) = need/mean, by Newton inside a bracket.
    #[inline]
    fn invert(&self, theta: f64, target_s: f64) -> f64 {
        let (sin, cos) = theta.sin_cos();
        let (mut low, mut high) = (0.0_f64, target_s + 2.0 * self.a / OMEGA_PER_S);
        let mut x = target_s / (1.0 + self.a * cos).max(0.05);
        for _ in 0..200 {
            let d = OMEGA_PER_S * x;
            // sin(θ+δ) − sin θ and cos(θ+δ) without cancellation: by their series while δ is small
            // (the next term is below the last digit), else by the product form.
            let (swing, slope) = if d < 0.01 {
                let d2 = d * d;
                let sin_d = d * (1.0 - d2 / 6.0 * (1.0 - d2 / 20.0));
                let versin = d2 / 2.0 * (1.0 - d2 / 12.0 * (1.0 - d2 / 30.0));
                (cos * sin_d - sin * versin, cos * (1.0 - versin) - sin * sin_d)
            } else {
                (2.0 * (theta + d / 2.0).cos() * (d / 2.0).sin(), (theta + d).cos())
            };
            let excess = x + self.a / OMEGA_PER_S * swing - target_s;
            if excess > 0.0 {
                high = x;
            } else {
                low = x;
            }
            let newton = x - excess / (1.0 + self.a * slope);
            let next = if (low..=high).contains(&newton) { newton } else { 0.5 * (low + high) };
            // A tenth of a femtosecond or the last digits: finer than the rounding to come.
            if (next - x).abs() <= 1e-16 + 4.0 * f64::EPSILON * x || excess == 0.0 {
                return next;
            }
            x = next;
        }
        x
    }
}

/// Poisson with a cosine day.
#[derive(Debug, Clone)]
pub(crate) struct Day {
    cosine: Cosine,
    gaps: Gaps,
    now_fs: i128,
    /// Time since the last peak [fs].
    since_peak_fs: i128,
}

impl Day {
    pub(crate) fn new(cosine: Cosine, gaps: Gaps) -> Self {
        Self { cosine, gaps, now_fs: 0, since_peak_fs: cosine.start_fs }
    }

    /// Begin at `from_fs`.
    pub(crate) fn skip_to(&mut self, from_fs: i128) {
        self.now_fs = from_fs;
        self.since_peak_fs = (self.cosine.start_fs + from_fs) % FS_PER_DAY;
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> Option<i128> {
        // Whole days first: each is worth 86,400 s at the mean rate exactly.
        let mut target_s = self.gaps.advance() / self.cosine.mean_per_s;
        if target_s >= 86_400.0 {
            let days = (target_s / 86_400.0).floor();
            self.now_fs += gap_fs(days * 86_400.0)?;
            target_s = (target_s - days * 86_400.0).max(0.0);
        }
        let theta = span_s(self.since_peak_fs) * OMEGA_PER_S;
        let gap = gap_fs(self.cosine.invert(theta, target_s))?;
        self.now_fs += gap;
        self.since_peak_fs += gap;
        while self.since_peak_fs >= FS_PER_DAY {
            self.since_peak_fs -= FS_PER_DAY;
        }
        Some(self.now_fs)
    }
}

/// Rates that are constant within the rows of a table, which repeats.
#[derive(Debug)]
pub(crate) struct Curve {
    /// Start of the row [fs] and rate [arrivals/s].
    rows: Vec<(i128, f64)>,
    period_fs: i128,
    /// Expected arrivals in one period.
    total: f64,
}

impl Curve {
    /// Reads and checks a curve; `field` is the path of `rate_curve` in the scenario.
    pub(crate) fn open(c: &RateCurve, field: &str, base_dir: &Path) -> Result<Self, InputError> {
        check_rate(c.scale, &format!("{field}.scale"))?;
        let mut table = Table::open(&base_dir.join(&c.path), &format!("{field}.path"))?;
        let (time, rate) = (table.require(&c.time_column)?, table.require(&c.rate_column)?);
        let mut rows: Vec<(i128, f64)> = Vec::new();
        while table.advance()? {
            let t = parse_instant(&table, time)?;
            match rows.last() {
                None if t != 0 => {
                    return Err(table.bad_value(time, "must be 0: the curve starts where the run starts"));
                }
                Some(&(before, _)) if t <= before => {
                    let before = fs_to_seconds(before);
                    return Err(
                        table.bad_value(time, &format!("is not later than the row before it ({before} s)"))
                    );
                }
                _ => {}
            }
            if rows.len() == MOST_ROWS {
                return Err(table.bad_line(format!("a rate curve has at most {MOST_ROWS} rows")));
            }
            let value = std::str::from_utf8(table.bytes(rate)).ok().and_then(|v| v.parse::<f64>().ok());
            let value = match value {
                Some(v) if v < 0.0 => {
                    return Err(table.bad_value(rate, "is negative; a rate is at least 0 per second"));
                }
                Some(v) if v.is_finite() => v * c.scale,
                _ => return Err(table.bad_value(rate, "is not a number of arrivals per second")),
            };
            if value > MOST_PER_S {
                return Err(table.bad_value(rate, &format!("(times scale) is above {MOST_PER_S} per second")));
            }
            rows.push((t, value));
        }
        let period_fs = match rows[..] {
            [] => return Err(table.bad_file("has a header but no rows".into())),
            // One row says one rate; any period will do.
            [_] => FS_PER_DAY,
            [.., (before, _), (last, _)] => last + (last - before),
        };
        let mut curve = Self { rows, period_fs, total: 0.0 };
        curve.total = curve.expected_within(period_fs);
        Ok(curve)
    }

    fn end(&self, i: usize) -> i128 {
        self.rows.get(i + 1).map_or(self.period_fs, |r| r.0)
    }

    /// Expected arrivals from the start of a period to `t_fs` in it.
    fn expected_within(&self, t_fs: i128) -> f64 {
        let mut sum = 0.0;
        for (i, &(start, rate)) in self.rows.iter().enumerate() {
            if start >= t_fs {
                break;
            }
            sum += rate * fs_to_seconds(self.end(i).min(t_fs) - start);
        }
        sum
    }

    /// Expected arrivals in 0..=t.
    pub(crate) fn expected(&self, t_fs: i128) -> f64 {
        (t_fs / self.period_fs) as f64 * self.total + self.expected_within(t_fs % self.period_fs)
    }
}

/// Poisson with a table of rates.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    curve: Arc<Curve>,
    gaps: Gaps,
    now_fs: i128,
    /// Where `now_fs` lies in the period, and in which row.
    within_fs: i128,
    row: usize,
}

impl Steps {
    pub(crate) fn new(curve: Arc<Curve>, gaps: Gaps) -> Self {
        Self { curve, gaps, now_fs: 0, within_fs: 0, row: 0 }
    }

    /// Begin at `from_fs`.
    pub(crate) fn skip_to(&mut self, from_fs: i128) {
        self.now_fs = from_fs;
        self.within_fs = from_fs % self.curve.period_fs;
        // The first row starts at 0.
        self.row = self.curve.rows.partition_point(|(start, _)| *start <= self.within_fs).saturating_sub(1);
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> Option<i128> {
        let curve = &*self.curve;
        let mut need = self.gaps.advance();
        if need >= curve.total {
            // Whole periods at once; also where nothing ever arrives, as x / 0 is infinite.
            let periods = (need / curve.total).floor();
            self.now_fs += gap_fs(periods * fs_to_seconds(curve.period_fs))?;
            need = (need - periods * curve.total).max(0.0);
        }
        loop {
            let end = curve.end(self.row);
            let rate = curve.rows[self.row].1;
            let left = end - self.within_fs;
            let worth = rate * span_s(left);
            if rate > 0.0 && need <= worth {
                let gap = gap_fs(need / rate)?.min(left);
                self.within_fs += gap;
                self.now_fs += gap;
                return Some(self.now_fs);
            }
            need -= worth;
            self.now_fs += left;
            self.within_fs = end;
            self.row += 1;
            if self.row == curve.rows.len() {
                (self.row, self.within_fs) = (0, 0);
            }
        }
    }
}

/// A rate or a factor of rates: finite, at least 0, at most [`MOST_PER_S`].
pub(crate) fn check_rate(x: f64, field: &str) -> Result<(), InputError> {
    if (0.0..=MOST_PER_S).contains(&x) && (x == 0.0 || x >= 1e-15) {
        Ok(())
    } else {
        Err(InputError::field(field, format!("is {x}; it must be 0, or lie in 1e-15..=1e9")))
    }
}

/// Field `i` of the current row as seconds from the start of the run [fs].
#[inline]
pub(crate) fn parse_instant(table: &Table, i: usize) -> Result<i128, InputError> {
    instant(table.bytes(i), 15).map_err(|problem| table.bad_value(i, &problem))
}

/// A time from the start of the run [fs], or what is wrong with it. One unit of the text is 10^`places` fs: 15 for
/// seconds, 12 for milliseconds.
#[inline]
pub(crate) fn instant(text: &[u8], places: u32) -> Result<i128, String> {
    let unit = if places == 15 { "seconds" } else { "milliseconds" };
    match parse_decimal(text, places) {
        Ok(fs) if fs <= LATEST_S * FS_PER_S => Ok(fs),
        Ok(_) | Err(DecimalError::TooLarge) => {
            Err(format!("is beyond {LATEST_S} s; times are {unit} from the start of the run"))
        }
        Err(DecimalError::NotANumber) => {
            Err(format!("is not a number; times are {unit} from the start of the run"))
        }
        Err(DecimalError::Negative) => {
            Err(format!("is negative; times are {unit} from the start of the run"))
        }
    }
}
