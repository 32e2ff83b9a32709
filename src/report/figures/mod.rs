//! Figures of runs, sweeps and validations: each is drawn once as shapes, then written as SVG, as PNG, and as the CSV behind it.

mod accuracy;
mod binding;
mod brackets;
mod contour;
mod cost;
mod duration;
mod energy;
mod energy_flow;
mod energy_per_token;
mod font;
mod frame;
mod headroom;
mod heatmap;
mod intervals;
mod knee;
mod lines;
mod logarithmic;
mod pareto;
mod parity;
mod picture;
mod png;
mod power;
mod power_cdf;
mod pue;
mod ribbons;
mod slo;
mod svg;
pub(super) mod sweep;
mod temperature;
pub(super) mod theme;
mod theme_file;
mod waterfall;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::ReportError;
use super::folder::write_file;
use crate::ledger::outcome::Outcome;
pub(super) use accuracy::draw as accuracy;
pub(super) use parity::draw as parity;
use picture::Picture;
pub(super) use ribbons::draw as ribbons;
pub(super) use svg::escape;
use theme::Theme;
pub(super) use waterfall::draw as waterfall;

/// A figure ready to be written.
pub(super) struct Figure<'a> {
    /// File name without extension.
    name: &'static str,
    picture: Picture<'a>,
    /// The numbers that are drawn.
    tables: Vec<Table>,
}

/// The numbers behind a figure, exactly as drawn.
struct Table {
    /// File name without extension.
    name: &'static str,
    csv: String,
}

impl Figure<'_> {
    /// Title in words, and the SVG document.
    pub(super) fn svg(&self) -> (&str, String) {
        (&self.picture.title, svg::render(&self.picture))
    }

    /// The text files by name: pictures in pixels take a debug build seconds each.
    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let svg = (format!("{}.svg", self.name), svg::render(&self.picture));
        let tables = self.tables.iter().map(|t| (format!("{}.csv", t.name), t.csv.clone()));
        std::iter::once(svg).chain(tables).collect()
    }
}

/// Draws a figure of a run, if the run has what it shows.
pub(super) type Draw = for<'a> fn(&Outcome, &'a Theme) -> Option<Figure<'a>>;

/// Every figure of a run by name, in the order of reports.
pub(super) const OF_RUNS: [(&str, Draw); 9] = [
    ("binding", |outcome, theme| Some(binding::draw(outcome, theme))),
    ("power", |outcome, theme| Some(power::draw(outcome, theme))),
    ("duration", duration::draw),
    ("power_cdf", power_cdf::draw),
    ("headroom", headroom::draw),
    ("temperature", temperature::draw),
    ("pue", pue::draw),
    ("energy_per_token", energy_per_token::draw),
    ("energy_flow", energy_flow::draw),
];

/// All figures that the run has something to show in, in the order of reports.
pub(super) fn draw<'a>(outcome: &Outcome, theme: &'a Theme) -> Vec<Figure<'a>> {
    OF_RUNS.iter().filter_map(|(_, draw)| draw(outcome, theme)).collect()
}

/// Writes figures into `dir`, in parallel, and returns their file names in a fixed order.
pub(super) fn write(dir: &Path, figures: &[Figure]) -> Result<Vec<PathBuf>, ReportError> {
    let written: Vec<Result<Vec<PathBuf>, ReportError>> =
        figures.par_iter().map(|figure| write_one(dir, figure)).collect();
    let mut names = Vec::new();
    for figure in written {
        names.extend(figure?);
    }
    Ok(names)
}

fn write_one(dir: &Path, figure: &Figure) -> Result<Vec<PathBuf>, ReportError> {
    let mut names = Vec::new();
    let svg = PathBuf::from(format!("{}.svg", figure.name));
    write_file(&dir.join(&svg), svg::render(&figure.picture).as_bytes())?;
    names.push(svg);
    let png = PathBuf::from(format!("{}.png", figure.name));
    let path = dir.join(&png);
    png::write(&figure.picture, &path)
        .map_err(|message| ReportError::Figure { path: path.clone(), message })?;
    super::folder::sync_file(&path)?;
    names.push(png);
    for table in &figure.tables {
        let csv = PathBuf::from(format!("{}.csv", table.name));
        write_file(&dir.join(&csv), table.csv.as_bytes())?;
        names.push(csv);
    }
    Ok(names)
}

/// The text files of all figures of a run by name.
#[cfg(test)]
pub(super) fn texts(outcome: &Outcome) -> Vec<(String, String)> {
    draw(outcome, &Theme::default()).iter().flat_map(Figure::texts).collect()
}

/// A number of a CSV file; empty where unknown.
pub(super) fn csv_number(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// A text field of a CSV file, quoted where it must be.
pub(super) fn csv_text(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_string()
    }
}
