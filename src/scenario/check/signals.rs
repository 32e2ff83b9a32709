//! What must hold in prices, carbon, and the course of the cap.

use super::super::types::{CapFraction, CapWindow, Column, Daily, Scenario, SignalCourse, Site};
use super::{Check, MAX_DURATION_S};

/// Dearest electricity [$/MWh], and as much below 0: far beyond any market's limits.
const MAX_USD_PER_MWH: f64 = 1e6;
/// Dirtiest grid [g/kWh]; lignite burnt emits 1,200.
const MAX_G_PER_KWH: f64 = 1e4;
/// Dearest water [$/m³].
const MAX_USD_PER_M3: f64 = 1e6;
/// Largest share of the cap.
const MAX_FRACTION: f64 = 10.0;
/// Hours of a day.
const DAY_H: usize = 24;
/// Windows that touch but for the rounding of their sum do not overlap [h].
pub(crate) const TOUCH_H: f64 = 1e-9;

impl Check {
    /// Prices and carbon of the site at `path`.
    pub(super) fn grid(&mut self, path: &str, site: &Site) {
        let ranges = [
            (-MAX_USD_PER_MWH, MAX_USD_PER_MWH, "$/MWh"),
            (0.0, MAX_G_PER_KWH, "g/kWh"),
            (0.0, MAX_USD_PER_M3, "$/m³"),
        ];
        for ((name, course), (low, high, unit)) in site.grid.courses().into_iter().zip(ranges) {
            let Some(course) = course else { continue };
            self.course(&format!("{path}.grid.{name}"), course, (low, high), unit);
        }
        if site.grid.water_usd_per_m3.is_some() && site.cooling.is_none() {
            self.refuse(
                format!("{path}.grid.water_usd_per_m3"),
                "prices the water of cooling, which is missing; add cooling, or leave it out",
            );
        }
    }

    fn course(&mut self, path: &str, course: &SignalCourse, range: (f64, f64), unit: &str) {
        match course {
            SignalCourse::Constant(value) => {
                self.between(&format!("{path}.constant"), *value, range, unit);
            }
            SignalCourse::Daily(daily) => self.daily(&format!("{path}.daily"), daily, range, unit),
            SignalCourse::Hours(hours) => {
                let path = format!("{path}.hours");
                if hours.len() != DAY_H {
                    self.refuse(&path, format!("must have {DAY_H} values, one an hour, has {}", hours.len()));
                }
                for (hour, value) in hours.iter().enumerate() {
                    self.between(&format!("{path}.{hour}"), *value, range, unit);
                }
            }
            SignalCourse::Csv(table) => self.column(&format!("{path}.csv"), table),
        }
    }

    /// A cosine over the day within a range.
    pub(super) fn daily(&mut self, path: &str, daily: &Daily, range: (f64, f64), unit: &str) {
        self.between(&format!("{path}.min"), daily.min, range, unit);
        self.between(&format!("{path}.max"), daily.max, range, unit);
        self.require(
            &format!("{path}.max"),
            daily.max,
            daily.max >= daily.min,
            &format!("at least min ({})", daily.min),
        );
        self.require(
            &format!("{path}.max_at_h"),
            daily.max_at_h,
            (0.0..=24.0).contains(&daily.max_at_h),
            "a time of day, 0 to 24",
        );
    }

    /// A column of a table.
    pub(super) fn column(&mut self, path: &str, table: &Column) {
        if table.column.is_empty() {
            self.refuse(format!("{path}.column"), "must name a column of the CSV");
        }
    }

    /// The course of the cap at `path`.
    pub(super) fn cap_fraction(&mut self, path: &str, fraction: &CapFraction, scenario: &Scenario) {
        match fraction {
            CapFraction::Constant(value) => self.positive(&format!("{path}.constant"), *value, MAX_FRACTION),
            CapFraction::Steps(steps) => {
                let path = format!("{path}.steps");
                if steps.is_empty() {
                    self.refuse(&path, "is empty; leave cap_fraction out for a constant cap");
                }
                for (i, step) in steps.iter().enumerate() {
                    self.not_negative(&format!("{path}.{i}.at_h"), step.at_h, MAX_DURATION_S / 3600.0);
                    self.positive(&format!("{path}.{i}.value"), step.value, MAX_FRACTION);
                    if let Some(before) = i.checked_sub(1).and_then(|k| steps.get(k)) {
                        self.require(
                            &format!("{path}.{i}.at_h"),
                            step.at_h,
                            step.at_h > before.at_h,
                            &format!("later than the step before ({})", before.at_h),
                        );
                    }
                }
            }
            CapFraction::Windows(windows) => self.cap_windows(&format!("{path}.windows"), windows),
            CapFraction::Csv(table) => {
                self.column(&format!("{path}.csv"), table);
                if scenario.duration_s.is_none() {
                    self.refuse(
                        format!("{path}.csv"),
                        "is repeated until duration_s, which is missing; set it (how long a trace lasts shows only when \
                         it is replayed)",
                    );
                }
            }
        }
    }

    fn cap_windows(&mut self, path: &str, windows: &[CapWindow]) {
        if windows.is_empty() {
            self.refuse(path, "is empty; leave cap_fraction out for a constant cap");
        }
        for (i, window) in windows.iter().enumerate() {
            let path = format!("{path}.{i}");
            self.not_negative(&format!("{path}.at_h"), window.at_h, MAX_DURATION_S / 3600.0);
            self.positive(&format!("{path}.for_h"), window.for_h, MAX_DURATION_S / 3600.0);
            self.positive(&format!("{path}.value"), window.value, MAX_FRACTION);
            if let Some(before) = i.checked_sub(1).and_then(|k| windows.get(k)) {
                let over_h = before.at_h + before.for_h;
                self.require(
                    &format!("{path}.at_h"),
                    window.at_h,
                    window.at_h >= over_h - TOUCH_H,
                    &format!("at least {over_h}, when the window before is over: windows may not overlap"),
                );
            }
        }
    }
}
