//! A few rows run ahead, to say how long a sweep will take on this machine. Nothing of it is written.

use std::time::{Duration, Instant};

use super::SweepError;
use super::manifest::Sweep;
use super::point::{Runner, Stop};

/// Longest time that one row of the pilot gets.
const LONGEST: Duration = Duration::from_secs(10);
/// Rows of a pilot, spread over the sweep.
const ROWS: u64 = 3;

/// What a pilot found.
#[derive(Debug, Clone, PartialEq)]
pub struct Pilot {
    /// Rows run.
    pub rows: u64,
    /// Of them, those whose result is an error.
    pub errors: u64,
    /// Mean time of a row [s], on one core.
    pub row_s: f64,
    /// A row took longer than a pilot waits: the mean is a lower bound.
    pub at_least: bool,
}

/// Time rows from the beginning, the middle and the end of a sweep; none if interrupted.
///
/// # Errors
/// The sweep's files cannot be read.
pub fn pilot(sweep: &Sweep, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Option<Pilot>, SweepError> {
    let runner = Runner::new(sweep)?;
    let last = sweep.manifest.rows.saturating_sub(1);
    let mut numbers: Vec<u64> = (0..ROWS).map(|i| last * i / (ROWS - 1)).collect();
    numbers.dedup();
    let mut pilot = Pilot { rows: 0, errors: 0, row_s: 0.0, at_least: false };
    for number in numbers {
        let started = Instant::now();
        let in_time = || go_on() && started.elapsed() < LONGEST;
        match runner.run(number, &in_time) {
            Ok(line) => pilot.errors += u64::from(line.is_error),
            Err(Stop::Interrupted) if !go_on() => return Ok(None),
            Err(Stop::Interrupted) => pilot.at_least = true,
            Err(Stop::Failed(error)) => return Err(error),
        }
        pilot.rows += 1;
        pilot.row_s += started.elapsed().as_secs_f64();
    }
    pilot.row_s /= pilot.rows.max(1) as f64;
    Ok(Some(pilot))
}
