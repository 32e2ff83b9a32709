//! Figures drawn again: of a run from its folder, of a sweep from its merged table.

use std::fs;
use std::path::{Path, PathBuf};

use super::figures::{self, Figure, sweep};
use super::points::{Points, PointsError};
use super::{ReportError, Theme, folder, read};
use crate::ledger::outcome::Outcome;
use crate::scenario::suggestion;

/// What figures can be drawn from.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The result folder of a run.
    Run(Box<Outcome>),
    /// A sweep, or a table of that form.
    Points(Points),
}

/// What a figure of a sweep is to show; nothing said: what suits its axes.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Column of the horizontal axis.
    pub x: Option<String>,
    /// Column of the vertical axis.
    pub y: Option<String>,
    /// Column that a heatmap shows.
    pub z: Option<String>,
    /// Column that tells lines apart.
    pub by: Option<String>,
    /// Price of energy at the utility meter [$/MWh].
    pub usd_per_mwh: Option<f64>,
    /// Price of an installed GPU [$/h].
    pub usd_per_gpu_hour: Option<f64>,
    /// Installed GPUs, where no column counts them.
    pub gpus: Option<u64>,
}

impl Asked {
    /// The options that are given.
    pub(super) fn given(&self) -> Vec<&'static str> {
        [
            ("--x", self.x.is_some()),
            ("--y", self.y.is_some()),
            ("--z", self.z.is_some()),
            ("--by", self.by.is_some()),
            ("--usd-per-mwh", self.usd_per_mwh.is_some()),
            ("--usd-per-gpu-hour", self.usd_per_gpu_hour.is_some()),
            ("--gpus", self.gpus.is_some()),
        ]
        .into_iter()
        .filter_map(|(option, given)| given.then_some(option))
        .collect()
    }
}

impl Subject {
    /// Reads a run's result folder, a sweep's directory or a CSV file.
    ///
    /// # Errors
    /// What it is not, or what is wrong in it.
    pub fn read(path: &Path) -> Result<Self, PointsError> {
        if path.is_dir() && path.join("summary.json").exists() {
            return Ok(Self::Run(Box::new(read::run(path)?)));
        }
        Ok(Self::Points(Points::read(path)?))
    }
}

/// Figures ready to be written.
pub struct Drawing<'a> {
    figures: Vec<Figure<'a>>,
    /// Figures that were not asked for by name and could not be drawn: why, a line each.
    pub left_out: Vec<String>,
}

/// Draws figures by name; without names, all that the subject has something to show in.
///
/// # Errors
/// An unknown figure or column, an option without use, a figure asked for that the subject cannot give.
pub fn draw<'a>(
    subject: &Subject,
    names: &[String],
    asked: &Asked,
    theme: &'a Theme,
) -> Result<Drawing<'a>, PointsError> {
    match subject {
        Subject::Run(outcome) => of_run(outcome, names, asked, theme),
        Subject::Points(points) => of_points(points, names, asked, theme),
    }
}

fn of_run<'a>(
    outcome: &Outcome,
    names: &[String],
    asked: &Asked,
    theme: &'a Theme,
) -> Result<Drawing<'a>, PointsError> {
    if let Some(option) = asked.given().first() {
        return Err(PointsError(format!("{option} is of sweeps; this is the result of one run")));
    }
    let mut figures = Vec::new();
    let mut left_out = Vec::new();
    for name in names {
        if !figures::OF_RUNS.iter().any(|kind| kind.0 == name) {
            let known = suggestion(name, figures::OF_RUNS.iter().map(|kind| kind.0));
            let of_sweeps = if sweep::ALL.iter().any(|kind| kind.name == name) {
                ", it is of sweeps"
            } else {
                known.as_str()
            };
            return Err(PointsError(format!("--figure {name}: no such figure of a run{of_sweeps}")));
        }
    }
    for (name, draw) in figures::OF_RUNS {
        let wanted = names.is_empty() || names.iter().any(|n| n == name);
        match draw(outcome, theme) {
            Some(figure) if wanted => figures.push(figure),
            None if names.iter().any(|n| n == name) => {
                return Err(PointsError(format!("--figure {name}: the run has nothing to show in it")));
            }
            None => left_out.push(format!("{name}: the run has nothing to show in it")),
            Some(_) => {}
        }
    }
    Ok(Drawing { figures, left_out: if names.is_empty() { left_out } else { Vec::new() } })
}

fn of_points<'a>(
    points: &Points,
    names: &[String],
    asked: &Asked,
    theme: &'a Theme,
) -> Result<Drawing<'a>, PointsError> {
    if let Some(name) = names.iter().find(|n| figures::OF_RUNS.iter().any(|kind| kind.0 == *n)) {
        return Err(PointsError(format!("--figure {name}: is of a single run; this is a sweep")));
    }
    if !names.is_empty() {
        let figures: Result<Vec<Figure>, PointsError> =
            sweep::kinds(names, asked)?.into_iter().map(|kind| (kind.draw)(points, asked, theme)).collect();
        return Ok(Drawing { figures: figures?, left_out: Vec::new() });
    }
    let axes = ["--x", "--y", "--z", "--by"];
    if let Some(option) = asked.given().into_iter().find(|option| axes.contains(option)) {
        return Err(PointsError(format!(
            "{option} means something else in each figure: name one with --figure"
        )));
    }
    let (mut figures, mut left_out) = (Vec::new(), Vec::new());
    for kind in &sweep::ALL {
        match (kind.draw)(points, asked, theme) {
            Ok(figure) => figures.push(figure),
            Err(why) => left_out.push(format!(
                "{}: {}",
                kind.name,
                why.0.replace(&format!("--figure {} ", kind.name), "")
            )),
        }
    }
    if figures.is_empty() {
        return Err(PointsError(format!("no figure can be drawn:\n{}", left_out.join("\n"))));
    }
    Ok(Drawing { figures, left_out })
}

/// Why figures were not put in their place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Something else stands there: nothing was changed.
    #[error("{0}")]
    Taken(String),
    /// Could not be drawn or written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl Drawing<'_> {
    /// The text files of all figures by name.
    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        self.figures.iter().flat_map(Figure::texts).collect()
    }

    /// Writes SVG, PNG and CSV of each figure into `dir`, beside what is there, and returns their paths in a fixed
    /// order. Files are complete or not there. Other files of these names are only replaced if `replace`, and none of
    /// the `inputs` ever.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn write(&self, dir: &Path, replace: bool, inputs: &[PathBuf]) -> Result<Vec<PathBuf>, PlaceError> {
        let staging = folder::Staging::beside(dir)?;
        let names = figures::write(staging.path(), &self.figures)?;
        let inputs: Vec<PathBuf> = inputs.iter().filter_map(|path| path.canonicalize().ok()).collect();
        for name in &names {
            let path = dir.join(name);
            if !path.exists() {
                continue;
            }
            if path.canonicalize().is_ok_and(|path| inputs.contains(&path)) {
                return Err(PlaceError::Taken(format!(
                    "{}: would be replaced, but is what the figures are drawn from; choose another folder with -o",
                    path.display()
                )));
            }
            let same = fs::read(&path).ok() == fs::read(staging.path().join(name)).ok();
            if !replace && !same {
                return Err(PlaceError::Taken(format!(
                    "{}: is there already, and another; choose another folder, or use --force to replace it",
                    path.display()
                )));
            }
        }
        staging.put_files_into_place(&names)?;
        Ok(names.into_iter().map(|name| dir.join(name)).collect())
    }
}
