//! How far a sweep is, by the first and last lines of its chunks.

use serde::Serialize;

use super::SweepError;
use super::chunk::{self, State};
use super::manifest::Sweep;

/// As printed by `sweep status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Chunk files.
    pub chunks: Chunks,
    /// Rows: one a point and replication.
    pub points: Rows,
}

/// Chunk files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Chunks {
    /// Planned.
    pub total: u64,
    /// Finished.
    pub done: u64,
    /// Not there.
    pub missing: u64,
    /// Damaged or foreign.
    pub failed: u64,
}

/// Rows of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Planned.
    pub total: u64,
    /// With a result.
    pub ok: u64,
    /// With an error instead.
    pub error: u64,
}

/// A sweep's status, with the chunk files that cannot be used: name and what is wrong.
///
/// # Errors
/// A chunk cannot be read.
pub fn status(sweep: &Sweep) -> Result<(Status, Vec<(String, String)>), SweepError> {
    let manifest = &sweep.manifest;
    let mut chunks = Chunks { total: manifest.chunks, ..Chunks::default() };
    let mut points = Rows { total: manifest.rows, ..Rows::default() };
    let mut unusable = Vec::new();
    for number in 0..manifest.chunks {
        let path = sweep.chunk_path(number);
        let state = chunk::glance(sweep, number)
            .map_err(|error| SweepError::Failed(format!("{}: cannot be read: {error}", path.display())))?;
        match state {
            State::Done { errors } => {
                let range = sweep.range(number);
                chunks.done += 1;
                points.error += errors;
                points.ok += (range.end - range.start).saturating_sub(errors);
            }
            State::Missing => chunks.missing += 1,
            State::Damaged(why) | State::Foreign(why) => {
                chunks.failed += 1;
                unusable.push((path.display().to_string(), why));
            }
        }
    }
    Ok((Status { chunks, points }, unusable))
}
