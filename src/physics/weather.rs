//! Outdoor air: wet and dry bulb, constant within each local hour.

use std::f64::consts::PI;

use super::FS_PER_S;
use super::parameter::{BadParameter, finite, require};

/// Femtoseconds in an hour.
const FS_PER_H: i128 = 3600 * FS_PER_S;

/// Air at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Air {
    /// Wet-bulb temperature: what an evaporative tower works against [°C].
    pub wet_bulb_c: f64,
    /// Dry-bulb temperature: what a dry cooler works against [°C].
    pub dry_bulb_c: f64,
}

/// The course of one temperature.
#[derive(Debug, Clone, PartialEq)]
pub enum Course {
    /// Always the same [°C].
    Constant(f64),
    /// A cosine over the day; an hour has the mean of its cosine.
    Daily {
        /// Lowest value of the cosine, 12 h from the highest [°C].
        min_c: f64,
        /// Highest value of the cosine [°C].
        max_c: f64,
        /// Local time of day of the highest value [h].
        max_at_h: f64,
    },
    /// One value an hour, the first for the hour from local midnight of the first day on; after the last
    /// the table starts again [°C].
    Hourly(Vec<f64>),
}

impl Course {
    /// Temperature of local hour `hour`, counted from midnight of the first day [°C].
    pub fn at_hour(&self, hour: i64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Daily { min_c, max_c, max_at_h } => {
                let turn = 2.0 * PI / 24.0;
                let from = hour.rem_euclid(24) as f64 - max_at_h;
                // Mean of cos over [from, from + 1] h; kept within [min, max] against rounding.
                let cosine = ((turn * (from + 1.0)).sin() - (turn * from).sin()) / turn;
                (0.5 * (max_c + min_c) + 0.5 * (max_c - min_c) * cosine).clamp(*min_c, *max_c)
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

    /// The same course, `offset_k` warmer at all times.
    #[must_use]
    pub fn warmer_by(self, offset_k: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value + offset_k),
            Self::Daily { min_c, max_c, max_at_h } => {
                Self::Daily { min_c: min_c + offset_k, max_c: max_c + offset_k, max_at_h }
            }
            Self::Hourly(values) => Self::Hourly(values.into_iter().map(|value| value + offset_k).collect()),
        }
    }

    fn check(&self) -> Result<(), BadParameter> {
        match self {
            Self::Constant(value) => finite("temperature", *value),
            Self::Daily { min_c, max_c, max_at_h } => {
                finite("min", *min_c)?;
                require(max_c >= min_c, "max", "at least min", *max_c)?;
                require((0.0..=24.0).contains(max_at_h), "max_at_h", "a time of day, 0 to 24", *max_at_h)
            }
            Self::Hourly(values) => {
                require(!values.is_empty(), "hourly values", "at least one", 0.0)?;
                values.iter().try_for_each(|value| finite("hourly value", *value))
            }
        }
    }
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

/// Hours that are warmer, or colder, than the courses say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spell {
    /// First local hour, counted from midnight of the first day.
    pub from_h: i64,
    /// The hour in which it is over.
    pub to_h: i64,
    /// Added to the wet bulb [K].
    pub wet_bulb_k: f64,
    /// Added to the dry bulb [K].
    pub dry_bulb_k: f64,
}

/// The air at a site, hour by hour.
#[derive(Debug, Clone, PartialEq)]
pub struct Weather {
    wet_bulb: Course,
    dry_bulb: Course,
    spells: Vec<Spell>,
    start_fs: i128,
}

impl Weather {
    /// Weather of a run that starts `start_h` ≥ 0 hours after local midnight.
    pub fn new(wet_bulb: Course, dry_bulb: Course, start_h: f64) -> Result<Self, WeatherError> {
        wet_bulb.check()?;
        dry_bulb.check()?;
        require((0.0..=1e6).contains(&start_h), "start_h", "0 to 1,000,000", start_h)?;
        let (wet_h, dry_h) = (wet_bulb.period_h(), dry_bulb.period_h());
        if let (Course::Hourly(_), Course::Hourly(_)) = (&wet_bulb, &dry_bulb)
            && wet_h != dry_h
        {
            return Err(WeatherError::Lengths { wet_h, dry_h });
        }
        let weather =
            Self { wet_bulb, dry_bulb, spells: Vec::new(), start_fs: super::fs_from_s(start_h * 3600.0) };
        // Of the two periods one divides 24 or equals the other: 24 times the longer is a common multiple.
        weather.check_hours(0..24 * wet_h.max(dry_h) as i64)?;
        Ok(weather)
    }

    /// The same weather with warmer or colder spells, which come once; where they overlap, they add up.
    pub fn with_spells(mut self, spells: Vec<Spell>) -> Result<Self, WeatherError> {
        for spell in &spells {
            finite("wet_bulb_k", spell.wet_bulb_k)?;
            finite("dry_bulb_k", spell.dry_bulb_k)?;
            require((0..=1_000_000).contains(&spell.to_h), "to_h", "0 to 1,000,000", spell.to_h as f64)?;
            require(
                (0..spell.to_h).contains(&spell.from_h),
                "from_h",
                "0 or above, below to_h",
                spell.from_h as f64,
            )?;
        }
        self.spells = spells;
        for i in 0..self.spells.len() {
            let Spell { from_h, to_h, .. } = self.spells[i];
            self.check_hours(from_h..to_h)?;
        }
        Ok(self)
    }

    fn check_hours(&self, mut hours: std::ops::Range<i64>) -> Result<(), WeatherError> {
        let wrong = hours.find(|hour| self.at_hour(*hour).wet_bulb_c > self.at_hour(*hour).dry_bulb_c);
        wrong.map_or(Ok(()), |hour| {
            let Air { wet_bulb_c, dry_bulb_c } = self.at_hour(hour);
            Err(WeatherError::WetAboveDry { hour, wet_bulb_c, dry_bulb_c })
        })
    }

    /// Air at instant `now_fs` [fs].
    pub fn at(&self, now_fs: i128) -> Air {
        self.at_hour((now_fs + self.start_fs).div_euclid(FS_PER_H) as i64)
    }

    fn at_hour(&self, hour: i64) -> Air {
        let mut air =
            Air { wet_bulb_c: self.wet_bulb.at_hour(hour), dry_bulb_c: self.dry_bulb.at_hour(hour) };
        for spell in self.spells.iter().filter(|spell| (spell.from_h..spell.to_h).contains(&hour)) {
            air.wet_bulb_c += spell.wet_bulb_k;
            air.dry_bulb_c += spell.dry_bulb_k;
        }
        air
    }

    /// The first full local hour after `now_fs` at which the air changes [fs]; `None` if it never does.
    pub fn next_change_fs(&self, now_fs: i128) -> Option<i128> {
        let air = self.at(now_fs);
        let hour = (now_fs + self.start_fs).div_euclid(FS_PER_H);
        // A change that the courses do not make is the end or the beginning of a spell.
        let period = self.wet_bulb.period_h().max(self.dry_bulb.period_h()) as i128;
        let spells_h = self.spells.iter().map(|spell| i128::from(spell.to_h) - hour).max().unwrap_or(0);
        (1..=period.max(spells_h))
            .map(|k| (hour + k) * FS_PER_H - self.start_fs)
            .find(|at| self.at(*at) != air)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dallas() -> Weather {
        let wet = Course::Daily { min_c: 20.7, max_c: 27.6, max_at_h: 16.0 };
        let dry = Course::Daily { min_c: 20.8, max_c: 32.5, max_at_h: 16.0 };
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
        let wet = Course::Daily { min_c: 10.0, max_c: 20.0, max_at_h: 16.0 };
        let dry = Course::Daily { min_c: 10.0, max_c: 20.0, max_at_h: 15.0 };
        let error = Weather::new(wet.clone(), dry.clone(), 0.0).unwrap_err();
        assert!(matches!(error, WeatherError::WetAboveDry { hour: 0, .. }), "{error}");
        assert!(Weather::new(wet.clone(), Course::Hourly(vec![]), 0.0).is_err());
        assert!(Weather::new(Course::Constant(f64::NAN), dry, 0.0).is_err());
        let tables = Weather::new(Course::Hourly(vec![1.0; 24]), Course::Hourly(vec![2.0; 48]), 0.0);
        assert_eq!(tables, Err(WeatherError::Lengths { wet_h: 24, dry_h: 48 }));
        assert!(Weather::new(wet, Course::Constant(30.0), f64::INFINITY).is_err());
    }

    #[test]
    fn spells_come_once_and_add_up() {
        let spell = |from_h, to_h| Spell { from_h, to_h, wet_bulb_k: 1.0, dry_bulb_k: 3.0 };
        let still = Weather::new(Course::Constant(15.0), Course::Constant(20.0), 1.0).unwrap();
        let warm = still.clone().with_spells(vec![spell(72, 96), spell(90, 100)]).unwrap();
        let mut changes = Vec::new();
        let mut now = 0;
        while let Some(at) = warm.next_change_fs(now) {
            let air = warm.at(at);
            changes.push((at / FS_PER_H + 1, air.wet_bulb_c, air.dry_bulb_c));
            now = at;
        }
        let expected = [(72, 16.0, 23.0), (90, 17.0, 26.0), (96, 16.0, 23.0), (100, 15.0, 20.0)];
        assert_eq!(changes, expected, "hours count from midnight, an hour before the start");
        // Beside a course of its own, hour by hour.
        let dallas = dallas();
        let hot = dallas.clone().with_spells(vec![spell(24, 48)]).unwrap();
        for hour in 0..96 {
            let (usual, air) = (dallas.at(hour * FS_PER_H), hot.at(hour * FS_PER_H));
            let added_k = if (24..48).contains(&hour) { 3.0 } else { 0.0 };
            assert!((air.dry_bulb_c - usual.dry_bulb_c - added_k).abs() < 1e-12);
            assert!(hot.next_change_fs(hour * FS_PER_H).unwrap() <= (hour + 2) * FS_PER_H);
        }
        let error = still.clone().with_spells(vec![Spell { wet_bulb_k: 9.0, ..spell(5, 7) }]).unwrap_err();
        assert!(matches!(error, WeatherError::WetAboveDry { hour: 5, .. }), "{error}");
        assert!(still.clone().with_spells(vec![spell(5, 5)]).is_err());
        assert!(still.clone().with_spells(vec![spell(-2, 5)]).is_err());
        assert!(still.with_spells(vec![Spell { dry_bulb_k: f64::NAN, ..spell(5, 7) }]).is_err());
    }
}
