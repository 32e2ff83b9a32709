//! Courses of prices, carbon and the cap from the scenario and its tables.

use std::path::Path;

use super::CapLevel;
use crate::input::{InputError, Table};
use crate::physics::course::{Course, Signal};
use crate::physics::fs_from_s;
use crate::scenario::types::{self, CapFraction, Column, Daily, Scenario, SignalCourse};
use crate::scenario::{Problem, TOUCH_H};

/// Seconds in an hour.
const S_PER_H: f64 = 3600.0;
/// Most hours of a file: eleven years.
pub(super) const MOST_HOURS: usize = 100_000;

/// What electricity, its carbon and water cost at a site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid {
    /// Price of electricity at the utility meter [$/MWh].
    pub price_usd_per_mwh: Option<Signal>,
    /// Carbon of the grid [g/kWh].
    pub carbon_g_per_kwh: Option<Signal>,
    /// Price of water [$/m³].
    pub water_usd_per_m3: Option<Signal>,
}

impl Grid {
    /// The courses of the site at `path`, for a run that starts `start_at_h` hours after midnight.
    ///
    /// # Errors
    /// A table that cannot be read or does not hold what it should.
    pub(super) fn build(
        grid: &types::Grid,
        path: &str,
        base_dir: &Path,
        start_at_h: f64,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let [price, carbon, water] = grid.courses().map(|(name, course)| {
            let path = format!("{path}.grid.{name}");
            // Money may be earned for drawing power, but for nothing else here.
            let (lowest, must_be) = match name {
                "price_usd_per_mwh" => (f64::NEG_INFINITY, "is no price; expected a number"),
                _ => (0.0, "is no price or emission; expected a number, 0 or above"),
            };
            let signal = course_of(course?, &path, base_dir, lowest, must_be).and_then(|course| {
                Signal::new(course, start_at_h).map_err(|error| Problem { path, message: error.to_string() })
            });
            signal.map_err(|problem| problems.push(problem)).ok()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { price_usd_per_mwh: price, carbon_g_per_kwh: carbon, water_usd_per_m3: water })
    }
}

fn course_of(
    written: &SignalCourse,
    path: &str,
    base_dir: &Path,
    lowest: f64,
    must_be: &str,
) -> Result<Course, Problem> {
    Ok(match written {
        SignalCourse::Constant(value) => Course::Constant(*value),
        SignalCourse::Daily(written) => daily(written),
        SignalCourse::Hours(hours) => Course::Hourly(hours.clone()),
        SignalCourse::Csv(table) => {
            let is_one = |value: f64| value.is_finite() && value >= lowest;
            Course::Hourly(hourly(table, &format!("{path}.csv"), base_dir, is_one, must_be)?)
        }
    })
}

/// A cosine over the day.
pub(super) fn daily(written: &Daily) -> Course {
    Course::Daily { min: written.min, max: written.max, max_at_h: written.max_at_h }
}

/// The rows of a table with one an hour: at least one, and each of them `is_one` of what they `must_be`.
pub(super) fn hourly(
    table: &Column,
    path: &str,
    base_dir: &Path,
    is_one: impl Fn(f64) -> bool,
    must_be: &str,
) -> Result<Vec<f64>, Problem> {
    let field = format!("{path}.path");
    let file = base_dir.join(&table.path);
    let hours = || {
        let mut rows = Table::open(&file, &field)?;
        let column = rows.require(&table.column)?;
        let mut hours = Vec::new();
        while rows.advance()? {
            if hours.len() == MOST_HOURS {
                return Err(rows.bad_line(format!("a course has at most {MOST_HOURS} hours")));
            }
            match rows.text(column).trim().parse::<f64>() {
                Ok(value) if is_one(value) => hours.push(value),
                _ => return Err(rows.bad_value(column, must_be)),
            }
        }
        if hours.is_empty() {
            return Err(rows.bad_file("has a header but no rows".into()));
        }
        Ok(hours)
    };
    hours().map_err(|error: InputError| {
        // The field is the problem's path already.
        let message = InputError { field: String::new(), ..error }.to_string();
        Problem { path: field.clone(), message }
    })
}

/// Caps over time from the start of the run: the level at t = 0 first; none without a cap.
///
/// # Errors
/// A table that cannot be read or does not hold shares.
pub(super) fn cap_levels(
    scenario: &Scenario,
    site: &types::Site,
    path: &str,
    base_dir: &Path,
) -> Result<Vec<CapLevel>, Problem> {
    let Some(cap_mw) = site.power.cap_mw else { return Ok(Vec::new()) };
    let pue = site.static_pue.unwrap_or(1.0);
    let level = |from_fs: i128, fraction: f64| {
        let facility_w = cap_mw * 1e6 * fraction;
        CapLevel { from_fs, facility_w, it_nw: (facility_w / pue * 1e9).floor() as i128 }
    };
    let mut levels = vec![level(0, 1.0)];
    for (at_h, value) in cap_steps(scenario, &site.power.cap_fraction, path, base_dir)? {
        let at_s = (at_h - scenario.start_at_h) * S_PER_H;
        if at_s <= 0.0 {
            levels[0] = level(0, value);
        } else {
            levels.push(level(fs_from_s(at_s), value));
        }
    }
    Ok(levels)
}

/// Steps of the cap: local time from midnight before t = 0 [h], share from then on.
fn cap_steps(
    scenario: &Scenario,
    fraction: &CapFraction,
    path: &str,
    base_dir: &Path,
) -> Result<Vec<(f64, f64)>, Problem> {
    let path = format!("{path}.power.cap_fraction");
    let mut steps = Vec::new();
    match fraction {
        CapFraction::Constant(value) => steps.push((0.0, *value)),
        CapFraction::Steps(written) => steps.extend(written.iter().map(|step| (step.at_h, step.value))),
        CapFraction::Windows(windows) => {
            for (i, window) in windows.iter().enumerate() {
                steps.push((window.at_h, window.value));
                let over_h = window.at_h + window.for_h;
                if windows.get(i + 1).is_none_or(|next| next.at_h > over_h + TOUCH_H) {
                    steps.push((over_h, 1.0));
                }
            }
        }
        CapFraction::Csv(table) => {
            let is_one = |value: f64| value > 0.0 && value <= 10.0;
            let must_be = "is no share of cap_mw; expected a number above 0, at most 10";
            let hours = hourly(table, &format!("{path}.csv"), base_dir, is_one, must_be)?;
            let end_h = scenario.start_at_h + scenario.duration_s.unwrap_or(0.0) / S_PER_H;
            // The table is always read to its end.
            let passes = (end_h / hours.len() as f64).ceil().max(1.0) as usize;
            let mut before = None;
            for (hour, value) in (0..passes).flat_map(|_| &hours).enumerate() {
                if before != Some(*value) {
                    steps.push((hour as f64, *value));
                }
                before = Some(*value);
            }
        }
    }
    Ok(steps)
}
