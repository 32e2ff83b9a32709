//! A calibration as people, programs and the catalog read it.

mod fit_yaml;
mod json;
mod rows;
mod terminal;

use std::path::{Path, PathBuf};

use super::{ReportError, folder};
use crate::study::calibrate::{Calibration, Pair, Split};
use crate::study::validate::Spread;

pub use json::summary_json;
pub use terminal::text;

/// What was calibrated.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Names of the tables, in order.
    pub tables: Vec<String>,
    /// Identity of the calibration, hexadecimal.
    pub hash: String,
}

/// Writes a result folder and returns the paths of its files in a fixed order. The folder is complete or not there.
///
/// # Errors
/// See [`ReportError`].
pub fn write(dir: &Path, calibration: &Calibration, subject: &Subject) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let files = [
        ("fit.yaml", fit_yaml::text(&calibration.fit)),
        ("cross_validation.csv", rows::csv(calibration, subject)),
        ("summary.json", summary_json(calibration, subject)),
    ];
    for (name, text) in &files {
        folder::write_file(&staging.path().join(name), text.as_bytes())?;
    }
    staging.put_in_place()?;
    Ok(files.iter().map(|(name, _)| dir.join(name)).collect())
}

/// What of a row is told, as a ratio to what was measured.
type Reading = fn(&Pair) -> Option<f64>;

/// A quantity, its key, and how the fit and the data-sheet roofline tell it.
struct Told {
    key: &'static str,
    words: &'static str,
    fitted: Reading,
    roofline: Reading,
}

/// Every quantity.
const TOLD: [Told; 4] = [
    Told {
        key: "output_tok_per_s",
        words: "output tokens per second",
        fitted: |pair| pair.fitted.step.map(|ratio| 1.0 / ratio),
        roofline: |pair| pair.roofline.step.map(|ratio| 1.0 / ratio),
    },
    Told {
        key: "tpot_ms",
        words: "time per output token",
        fitted: |pair| pair.fitted.step,
        roofline: |pair| pair.roofline.step,
    },
    Told {
        key: "gpu_power_w",
        words: "GPU power",
        fitted: |pair| pair.fitted.watts,
        roofline: |pair| pair.roofline.watts,
    },
    Told {
        key: "j_per_output_token",
        words: "GPU joules per output token",
        fitted: |pair| pair.fitted.joules(),
        roofline: |pair| pair.roofline.joules(),
    },
];

/// Errors of a quantity over a table when `split` is left out: of the fit, and of the data-sheet roofline.
fn spreads(calibration: &Calibration, table: usize, split: Split, told: &Told) -> (Spread, Spread) {
    (calibration.spread(table, split, told.fitted), calibration.spread(table, split, told.roofline))
}
