//! Outdoor air from the scenario and its weather files.
//!
//! EnergyPlus weather files (EPW) hold the relative humidity, not the wet bulb. That is computed after
//! R. Stull, "Wet-Bulb Temperature from Relative Humidity and Air Temperature", J. Appl. Meteor. Climatol. 50
//! (2011) 2267: at sea level, for 5 to 99 % and −20 to 50 °C, to within −1 and +0.65 K of the psychrometric
//! value, most often within 0.3 K.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::input::{InputError, Table, shorten};
use crate::physics::weather::{Course, Spell, Weather, WeatherError};
use crate::scenario::Problem;
use crate::scenario::types::{self, TemperatureCourse};

/// Most hours of a file: eleven years.
const MOST_HOURS: usize = 100_000;
/// Largest EPW [bytes]; a year takes 1.6 MB.
const MOST_BYTES: u64 = 64 << 20;
/// Lines before the hours of an EPW.
const EPW_HEADER: usize = 8;
/// Fields of an EPW's row up to the relative humidity: the dry bulb is number 7, the humidity number 9.
const EPW_DRY_BULB: usize = 6;
const EPW_HUMIDITY: usize = 8;
/// Coldest and warmest outdoor air [°C]: beyond what was ever measured on Earth.
pub(super) const COLDEST_C: f64 = -90.0;
pub(super) const WARMEST_C: f64 = 60.0;

/// Which temperature a course is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bulb {
    Wet,
    Dry,
}

/// The weather written at `path`, for a run that starts `start_at_h` hours after midnight.
///
/// # Errors
/// A file that cannot be read or does not hold temperatures; a wet bulb above the dry bulb.
pub(super) fn read(
    weather: &types::Weather,
    path: &str,
    base_dir: &Path,
    start_at_h: f64,
) -> Result<Weather, Problem> {
    let wet = course(&weather.wet_bulb_c, Bulb::Wet, &format!("{path}.wet_bulb_c"), base_dir)?;
    let dry = course(&weather.dry_bulb_c, Bulb::Dry, &format!("{path}.dry_bulb_c"), base_dir)?;
    let offset_k = weather.offset_k;
    let spell = |spell: &types::Spell| Spell {
        from_h: spell.from_h.into(),
        to_h: spell.to_h.into(),
        wet_bulb_k: spell.wet_bulb_k,
        dry_bulb_k: spell.dry_bulb_k,
    };
    let spells = weather.spells.iter().map(spell).collect();
    let usual = Weather::new(wet.warmer_by(offset_k), dry.warmer_by(offset_k), start_at_h);
    usual.and_then(|usual| usual.with_spells(spells)).map_err(|error| match error {
        WeatherError::WetAboveDry { .. } => Problem {
            path: format!("{path}.wet_bulb_c"),
            message: format!("{error}, counted from midnight of the first day; no air has that"),
        },
        WeatherError::Lengths { .. } | WeatherError::Parameter(_) => {
            Problem { path: path.into(), message: error.to_string() }
        }
    })
}

fn course(written: &TemperatureCourse, bulb: Bulb, path: &str, base_dir: &Path) -> Result<Course, Problem> {
    match written {
        TemperatureCourse::Constant(value) => Ok(Course::Constant(*value)),
        TemperatureCourse::Daily(daily) => {
            Ok(Course::Daily { min_c: daily.min, max_c: daily.max, max_at_h: daily.max_at_h })
        }
        TemperatureCourse::Csv(table) => csv(table, &format!("{path}.csv"), base_dir).map(Course::Hourly),
        TemperatureCourse::Epw(file) => epw(file, bulb, &format!("{path}.epw"), base_dir).map(Course::Hourly),
    }
}

fn csv(table: &types::TemperatureColumn, path: &str, base_dir: &Path) -> Result<Vec<f64>, Problem> {
    let field = format!("{path}.path");
    let file = base_dir.join(&table.path);
    let hours = || {
        let mut rows = Table::open(&file, &field)?;
        let column = rows.require(&table.column)?;
        let mut hours = Vec::new();
        while rows.advance()? {
            if hours.len() == MOST_HOURS {
                return Err(rows.bad_line(format!("a weather has at most {MOST_HOURS} hours")));
            }
            match rows.text(column).trim().parse::<f64>() {
                Ok(value) if (COLDEST_C..=WARMEST_C).contains(&value) => hours.push(value),
                _ => return Err(rows.bad_value(column, &must_be())),
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

pub(super) fn must_be() -> String {
    format!("is no outdoor temperature; expected {COLDEST_C} to {WARMEST_C} °C")
}

fn epw(file: &types::EpwFile, bulb: Bulb, path: &str, base_dir: &Path) -> Result<Vec<f64>, Problem> {
    let full = base_dir.join(&file.path);
    let shown = full.display();
    let problem = |message: String| Problem { path: format!("{path}.path"), message };
    let mut bytes = Vec::new();
    File::open(&full)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(format!("{shown}: cannot be read: {error}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(problem(format!("{shown}: is larger than {} MiB; no weather file is", MOST_BYTES >> 20)));
    }
    // Place names may be in any encoding; numbers are ASCII.
    let text = String::from_utf8_lossy(&bytes);
    if !text.trim_start_matches('\u{feff}').starts_with("LOCATION,") {
        return Err(problem(format!(
            "{shown}:1:1: is no EnergyPlus weather file, whose first line starts with LOCATION"
        )));
    }
    let mut hours = Vec::new();
    for (i, line) in text.lines().enumerate().skip(EPW_HEADER).filter(|(_, line)| !line.trim().is_empty()) {
        let at = |message: String| problem(format!("{shown}:{}: {message}", i + 1));
        if hours.len() == MOST_HOURS {
            return Err(at(format!("a weather has at most {MOST_HOURS} hours")));
        }
        let fields: Vec<&str> = line.split(',').collect();
        let number = |field: usize, name: &str, range: std::ops::RangeInclusive<f64>| {
            let text = fields.get(field).map_or("", |text| text.trim());
            match text.parse::<f64>() {
                Ok(value) if range.contains(&value) => Ok(value),
                _ => Err(at(format!(
                    "{name} (column {}) is '{}'; expected {} to {}",
                    field + 1,
                    shorten(text, 40),
                    range.start(),
                    range.end()
                ))),
            }
        };
        let dry_c = number(EPW_DRY_BULB, "dry bulb", COLDEST_C..=WARMEST_C)?;
        hours.push(match bulb {
            Bulb::Dry => dry_c,
            // Fog may be given as a little more than saturated.
            Bulb::Wet => wet_bulb_c(dry_c, number(EPW_HUMIDITY, "relative humidity", 0.0..=110.0)?),
        });
    }
    if hours.is_empty() {
        return Err(problem(format!("{shown}: has no hours after its {EPW_HEADER} lines of header")));
    }
    let days = hours.len() / 24;
    let first = (file.from_day as usize).saturating_sub(1);
    if first > 0 && first >= days {
        return Err(Problem {
            path: format!("{path}.from_day"),
            message: format!("is {}, but {shown} has {days} days", file.from_day),
        });
    }
    hours.rotate_left(first * 24);
    Ok(hours)
}

/// Wet bulb of air of `dry_c` [°C] and `humidity` [%]; see the module. Never above the dry bulb.
fn wet_bulb_c(dry_c: f64, humidity: f64) -> f64 {
    let rh = humidity.clamp(5.0, 99.0);
    let wet_c = dry_c * (0.151_977 * (rh + 8.313_659).sqrt()).atan() + (dry_c + rh).atan()
        - (rh - 1.676_331).atan()
        + 0.003_918_38 * rh.powf(1.5) * (0.023_101 * rh).atan()
        - 4.686_035;
    wet_c.min(dry_c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stull's own example: 20 °C at 50 % is 13.7 °C.
    #[test]
    fn wet_bulb_of_the_paper() {
        assert!((wet_bulb_c(20.0, 50.0) - 13.7).abs() < 0.05);
        for dry_c in [-20.0, 0.0, 20.0, 45.0] {
            let mut last = f64::NEG_INFINITY;
            for humidity in 5..=100 {
                let wet_c = wet_bulb_c(dry_c, f64::from(humidity));
                assert!(wet_c <= dry_c && wet_c >= last - 0.3, "{dry_c} {humidity} {wet_c}");
                last = wet_c;
            }
        }
    }
}
