//! A run's result folder, read back: what its figures are drawn from.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::files::DISTRIBUTION;
use super::points::PointsError;
use crate::ledger::outcome::{Counters, Outcome, SCHEMA_VERSION, Summary};

/// Largest file that is read [bytes].
const MAX_BYTES: u64 = 256 << 20;

/// The outcome of the run in a folder, without its requests and the draws of its coefficients.
pub(super) fn run(dir: &Path) -> Result<Outcome, PointsError> {
    let summary = summary(&dir.join("summary.json"))?;
    let series = rows(&dir.join("timeseries.csv"), "the time series")?;
    // Results of earlier versions have none.
    let path = dir.join(DISTRIBUTION);
    let distribution = if path.exists() { rows(&path, "the power distribution")? } else { Vec::new() };
    Ok(Outcome { summary, series, distribution, requests: None, draws: None, counters: Counters::default() })
}

fn read(path: &Path) -> Result<String, PointsError> {
    let shown = path.display();
    let cannot = |e: std::io::Error| PointsError(format!("{shown}: cannot be read: {e}"));
    if fs::metadata(path).map_err(cannot)?.len() > MAX_BYTES {
        return Err(PointsError(format!("{shown}: is too large for the result of a run")));
    }
    fs::read_to_string(path).map_err(cannot)
}

fn summary(path: &Path) -> Result<Summary, PointsError> {
    let (text, shown) = (read(path)?, path.display());
    let wrong = |e: serde_json::Error| {
        PointsError(format!("{shown}:{}:{}: is not the summary of a run: {e}", e.line(), e.column()))
    };
    let version = serde_json::from_str::<serde_json::Value>(&text).map_err(wrong)?["schema_version"].as_u64();
    match version {
        Some(v) if v == u64::from(SCHEMA_VERSION) => {}
        Some(v) => {
            return Err(PointsError(format!(
                "{shown}: has schema version {v}, this wattmill reads {SCHEMA_VERSION}; run the scenario again"
            )));
        }
        None => {
            return Err(PointsError(format!(
                "{shown}: has no schema_version; it is not the summary of a run"
            )));
        }
    }
    // By way of the text: a value in between would forget the order of keys.
    serde_json::from_str(&text).map_err(wrong)
}

/// The rows of a CSV file; `what`: of a run, in words.
fn rows<T: DeserializeOwned>(path: &Path, what: &str) -> Result<Vec<T>, PointsError> {
    let (text, shown) = (read(path)?, path.display());
    let mut rows = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: T = row.map_err(|e| {
            let line = e.position().map(|p| format!(":{}", p.line())).unwrap_or_default();
            PointsError(format!("{shown}{line}: is not {what} of a run: {e}"))
        })?;
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{figures, sample, write};

    /// What is read back draws the same figures to the byte.
    #[test]
    fn a_result_read_back_is_the_result() {
        let temp = tempfile::tempdir().unwrap();
        let all = [
            sample::day(),
            sample::drawn(),
            sample::one_row(),
            sample::week(),
            sample::idle(),
            sample::hot_day(),
            sample::three_sites(),
            sample::four_halls(),
        ];
        for mut outcome in all {
            // Not a sum of few bits.
            outcome.summary.pue.mean *= 1.0 + 1.0 / 3.0;
            let dir = temp.path().join("result");
            write(&dir, &outcome, "", false).unwrap();
            let back = run(&dir).unwrap();
            outcome.summary.engine.wall_s = None;
            outcome.summary.engine.requests_per_s = None;
            assert_eq!(format!("{:?}", back.summary), format!("{:?}", outcome.summary));
            assert_eq!(format!("{:?}", back.series), format!("{:?}", outcome.series));
            assert_eq!(back.distribution, outcome.distribution);
            assert!(figures::texts(&back) == figures::texts(&outcome));
        }
    }

    #[test]
    fn a_broken_result_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let of = |name: &str, text: &str| {
            write(&dir.join("r"), &sample::one_row(), "", false).unwrap();
            fs::write(dir.join("r").join(name), text).unwrap();
            run(&dir.join("r")).unwrap_err().to_string()
        };
        assert!(of("summary.json", "{").contains("summary.json:1:1: is not the summary"));
        assert!(of("summary.json", "{\"schema_version\": 99}").contains("schema version 99"));
        assert!(of("summary.json", "{\"schema_version\": 1}").contains("missing field"));
        assert!(of("timeseries.csv", "time_s\nx\n").contains("timeseries.csv:2: is not the time series"));
    }
}
