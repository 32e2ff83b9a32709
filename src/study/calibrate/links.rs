//! All-reduce timings: their table, and the links' coefficients from it.

use std::path::Path;

use super::least_squares::{Known, Problem};
use crate::input::{InputError, Table};

/// A timing.
#[derive(Debug, Clone)]
pub(super) struct Timing {
    /// GPU by the table's name.
    pub gpu: String,
    /// GPUs that reduce.
    pub gpus: f64,
    /// Their message [byte].
    pub bytes: f64,
    /// Time it took [s].
    pub time_s: f64,
}

/// Reads a table with the columns system, `num_gpus`, `message_size` [byte], `latency_ms` and backend; of its backends
/// only those in a CUDA graph, as decoding runs.
///
/// # Errors
/// What is wrong, with its place.
pub(super) fn read(path: &Path) -> Result<Vec<Timing>, InputError> {
    let mut table = Table::open(path, "")?;
    let (system, gpus, bytes) =
        (table.require("system")?, table.require("num_gpus")?, table.require("message_size")?);
    let (latency, backend) = (table.require("latency_ms")?, table.column("backend"));
    let mut timings = Vec::new();
    while table.advance()? {
        if backend.is_some_and(|i| !table.text(i).contains("graph")) {
            continue;
        }
        let number = |i: usize, least: f64| match table.text(i).trim().parse::<f64>() {
            Ok(value) if value.is_finite() && value >= least => Ok(value),
            _ => Err(table.bad_value(i, &format!("is no number of at least {least}"))),
        };
        timings.push(Timing {
            gpu: table.text(system).to_string(),
            gpus: number(gpus, 2.0)?,
            bytes: number(bytes, 1.0)?,
            time_s: number(latency, 1e-9)? * 1e-3,
        });
    }
    Ok(timings)
}

/// Parameters: ln of one shot's time [µs], two phases' [µs] and the link's fraction, three for each GPU family.
pub(super) struct LinksProblem {
    /// Timings with the place of their family's first parameter and the link's one-directional rate [byte/s].
    pub timings: Vec<(Timing, usize, f64)>,
}

impl Problem for LinksProblem {
    fn residuals(&self, x: &[f64], _: Option<Known>) -> Vec<f64> {
        self.timings
            .iter()
            .map(|(timing, first, link_byte_s)| {
                let (one_shot_s, latency_s) = (x[*first].exp() * 1e-6, x[first + 1].exp() * 1e-6);
                let others_s = timing.bytes * (timing.gpus - 1.0) / (x[first + 2].exp() * link_byte_s);
                let two_phases_s = latency_s + others_s * 2.0 / timing.gpus;
                ((one_shot_s + others_s).min(two_phases_s) / timing.time_s).ln()
            })
            .collect()
    }
}
