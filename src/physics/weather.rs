//! Outdoor air: wet and dry bulb, constant within each local hour.

use super::course::{self, FS_PER_H};
use super::parameter::BadParameter;

pub use super::course::Course;

/// Air at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Air {
    /// Wet-bulb temperature: what an evaporative tower works against [°C].
    pub wet_bulb_c: f64,
    /// Dry-bulb temperature: what a dry cooler works against [°C].
    pub dry_bulb_c: f64,
}

/// What can be wrong with a weather.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WeatherError {
    /// A course has a number outside its range.
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    /// Evaporation cools: no air has a wet bulb above its dry bulb.
    #[error("wet bulb {wet_bulb_c:.2} °C is above dry bulb {dry_bulb_c:.2} °C in hour {hour}")]
    WetAboveDry {
        /// First such hour, counted from midnight of the first day.
        hour: i64,
        /// Wet bulb of that hour [°C].
        wet_bulb_c: f64,
        /// Dry bulb of that hour [°C].
        dry_bulb_c: f64,
    },
    /// Two tables that repeat at different times belong to different years or places.
    #[error("the wet-bulb table has {wet_h} hours, the dry-bulb table {dry_h}; they must be equally long")]
    Lengths {
        /// Hours of the wet-bulb table.
        wet_h: usize,
        /// Hours of the dry-bulb table.
        dry_h: usize,
    },
}

/// The air at a site, hour by hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Weather {
    wet_bulb: Course,
    dry_bulb: Course,
    start_fs: i128,
}

impl Weather {
    /// Weather of a run that starts `start_h` ≥ 0 hours after local midnight.
    pub fn new(wet_bulb: Course, dry_bulb: Course, start_h: f64) -> Result<Self, WeatherError> {
        wet_bulb.check()?;
        dry_bulb.check()?;
        let start_fs = course::start_fs(start_h)?;
        let (wet_h, dry_h) = (wet_bulb.period_h(), dry_bulb.period_h());
        if let (Course::Hourly(_), Course::Hourly(_)) = (&wet_bulb, &dry_bulb)
            && wet_h != dry_h
        {
            return Err(WeatherError::Lengths { wet_h, dry_h });
        }
        // Of the two periods one divides 24 or equals the other: 24 times the longer is a common multiple.
        for hour in 0..24 * wet_h.max(dry_h) as i64 {
            let (wet_bulb_c, dry_bulb_c) = (wet_bulb.at_hour(hour), dry_bulb.at_hour(hour));
            if wet_bulb_c > dry_bulb_c {
                return Err(WeatherError::WetAboveDry { hour, wet_bulb_c, dry_bulb_c });
            }
        }
        Ok(Self { wet_bulb, dry_bulb, start_fs })
    }

    /// Air at instant `now_fs` [fs].
    pub fn at(&self, now_fs: i128) -> Air {
        let hour = course::hour_at(now_fs, self.start_fs);
        Air { wet_bulb_c: self.wet_bulb.at_hour(hour), dry_bulb_c: self.dry_bulb.at_hour(hour) }
    }

    /// The first full local hour after `now_fs` at which the air changes [fs]; `None` if it never does.
    pub fn next_change_fs(&self, now_fs: i128) -> Option<i128> {
        let air = self.at(now_fs);
        let hour = i128::from(course::hour_at(now_fs, self.start_fs));
        let period = self.wet_bulb.period_h().max(self.dry_bulb.period_h()) as i128;
        (1..=period).map(|k| (hour + k) * FS_PER_H - self.start_fs).find(|at| self.at(*at) != air)
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn dallas() -> Weather {
        let wet = Course::Daily { min: 20.7, max: 27.6, max_at_h: 16.0 };
        let dry = Course::Daily { min: 20.8, max: 32.5, max_at_h: 16.0 };
        Weather::new(wet, dry, 0.0).unwrap()
    }

    #[test]
    fn an_hour_has_the_mean_of_its_cosine() {
        let weather = dallas();
        let mut day = 0.0;
        for hour in 0..24 {
            let mut mean = 0.0;
            for i in 0..10_000 {
                let h = f64::from(hour) + (f64::from(i) + 0.5) / 10_000.0;
                mean += (24.15 + 3.45 * (2.0 * PI * (h - 16.0) / 24.0).cos()) / 10_000.0;
            }
            let stepped = weather.at(i128::from(hour) * FS_PER_H + 1).wet_bulb_c;
            assert!((stepped - mean).abs() < 1e-7, "{hour}: {stepped} {mean}");
            day += stepped / 24.0;
        }
        assert!((day - 24.15).abs() < 1e-12, "hours average to the day's mean");
        assert_eq!(weather.at(0), weather.at(24 * FS_PER_H), "days repeat to the bit");
    }

    #[test]
    fn steps_fall_on_local_hours() {
        let weather =
            Weather::new(Course::Hourly(vec![1.0, 2.0, 2.0, 4.0]), Course::Constant(9.0), 0.25).unwrap();
        assert_eq!(weather.at(0).wet_bulb_c, 1.0);
        let first = weather.next_change_fs(0).unwrap();
        assert_eq!(first, 3 * FS_PER_H / 4);
        assert_eq!((weather.at(first - 1).wet_bulb_c, weather.at(first).wet_bulb_c), (1.0, 2.0));
        assert_eq!(
            weather.next_change_fs(first),
            Some(first + 2 * FS_PER_H),
            "an hour without change is no step"
        );
        assert_eq!(weather.at(first + 3 * FS_PER_H).wet_bulb_c, 1.0, "the table starts again");
        let still = Weather::new(Course::Constant(1.0), Course::Hourly(vec![3.0; 24]), 0.0).unwrap();
        assert_eq!(still.next_change_fs(5), None);
    }

    #[test]
    fn impossible_air_is_refused() {
        let wet = Course::Daily { min: 10.0, max: 20.0, max_at_h: 16.0 };
        let dry = Course::Daily { min: 10.0, max: 20.0, max_at_h: 15.0 };
        let error = Weather::new(wet.clone(), dry.clone(), 0.0).unwrap_err();
        assert!(matches!(error, WeatherError::WetAboveDry { hour: 0, .. }), "{error}");
        assert!(Weather::new(wet.clone(), Course::Hourly(vec![]), 0.0).is_err());
        assert!(Weather::new(Course::Constant(f64::NAN), dry, 0.0).is_err());
        let tables = Weather::new(Course::Hourly(vec![1.0; 24]), Course::Hourly(vec![2.0; 48]), 0.0);
        assert_eq!(tables, Err(WeatherError::Lengths { wet_h: 24, dry_h: 48 }));
        assert!(Weather::new(wet, Course::Constant(30.0), f64::INFINITY).is_err());
    }
}
