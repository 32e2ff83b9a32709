//! What a reader gets: the summary on the terminal, and the result folder with data files and figures.

mod bands;
pub mod calibration;
mod columns;
pub mod comparison;
mod draws;
pub mod explanation;
mod figures;
mod files;
mod folder;
mod html;
mod knee;
pub mod levers;
mod numbers;
mod palette;
mod points;
mod read;
pub mod redraw;
mod ribbon;
#[cfg(test)]
mod sample;
pub mod sizing;
mod subject;
#[cfg(test)]
mod sweep_tests;
mod terminal;
mod time_axis;
pub mod validation;

use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::outcome::Outcome;

pub use figures::theme::{THEMES, Theme};
pub use files::summary_json;
pub use folder::{Found, inspect};
pub use points::{Points, PointsError};
pub use subject::Subject;
pub use terminal::{terminal, terminal_footer};

/// Why a result could not be written. The result that stood there before is unchanged, except where only
/// its remains could not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The place of the result folder is taken by something else, or has no name.
    #[error("{}: not a place for a result folder; name a folder that is new or was written by wattmill", path.display())]
    NotAFolder {
        /// The place.
        path: PathBuf,
    },
    /// A figure could not be drawn.
    #[error("{}: cannot draw the figure: {message}", path.display())]
    Figure {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
}

/// Writes a result folder and returns the paths of its files in a fixed order; with `figures`, these and
/// `report.html`, which holds them.
///
/// The folder is complete or not there: it is written beside `dir` and then takes its place. What stood at
/// `dir` is replaced without asking; ask [`inspect`] first. The same outcome gives the same bytes.
///
/// # Errors
/// See [`ReportError`].
pub fn write(
    dir: &Path,
    outcome: &Outcome,
    resolved_yaml: &str,
    figures: bool,
) -> Result<Vec<PathBuf>, ReportError> {
    let staging = folder::Staging::beside(dir)?;
    let mut names: Vec<PathBuf> = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| {
        names.push(name.into());
        folder::write_file(&staging.path().join(name), bytes)
    };
    put("scenario.resolved.yaml", resolved_yaml.as_bytes())?;
    put("summary.json", files::summary_json(outcome).as_bytes())?;
    let series = files::timeseries_csv(&outcome.series).map_err(|e| ReportError::Io {
        path: staging.path().join("timeseries.csv"),
        source: io::Error::other(e),
    })?;
    put("timeseries.csv", series.as_bytes())?;
    if !outcome.distribution.is_empty() {
        let text = files::distribution_csv(&outcome.distribution).map_err(|e| ReportError::Io {
            path: staging.path().join(files::DISTRIBUTION),
            source: io::Error::other(e),
        })?;
        put(files::DISTRIBUTION, text.as_bytes())?;
    }
    if let Some(requests) = &outcome.requests {
        let quality = outcome.summary.quality.as_ref();
        let in_legs =
            quality.is_some_and(|quality| quality.by_class.values().any(|class| class.answering.is_some()));
        put("requests.csv", files::requests_csv(requests, quality.is_some(), in_legs).as_bytes())?;
    }
    if let Some(drawn) = &outcome.draws {
        let text = draws::csv(drawn).map_err(|e| ReportError::Io {
            path: staging.path().join("uncertainty.csv"),
            source: io::Error::other(e),
        })?;
        put("uncertainty.csv", text.as_bytes())?;
    }
    if figures {
        let folder = staging.path().join("figures");
        std::fs::create_dir(&folder).map_err(|source| ReportError::Io { path: folder.clone(), source })?;
        let theme = Theme::default();
        let drawn = figures::draw(outcome, &theme);
        let written = figures::write(&folder, &drawn)?;
        put("report.html", html::page(outcome, resolved_yaml, &drawn).as_bytes())?;
        names.extend(written.into_iter().map(|name| Path::new("figures").join(name)));
    }
    staging.put_in_place()?;
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

#[cfg(test)]
mod tests;
