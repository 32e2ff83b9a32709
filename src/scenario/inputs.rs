//! The files a scenario reads: where they are named, what they hold, how their paths move.

use std::path::{Component, Path, PathBuf};

use super::types::{Arrivals, CapFraction, Length, Scenario, SignalCourse, TemperatureCourse};

/// Every input path of a scenario with the path of its field, in a fixed order.
pub(crate) fn paths_mut(scenario: &mut Scenario) -> Vec<(String, &mut String)> {
    let mut found = Vec::new();
    for (i, class) in scenario.workload.classes.iter_mut().enumerate() {
        let class_path = format!("workload.classes.{i}");
        match &mut class.arrivals {
            Arrivals::RateCurve(curve) => {
                found.push((format!("{class_path}.arrivals.rate_curve.path"), &mut curve.path));
            }
            Arrivals::Trace(trace) => {
                found.push((format!("{class_path}.arrivals.trace.path"), &mut trace.path));
            }
            Arrivals::Constant(_)
            | Arrivals::ClosedLoop(_)
            | Arrivals::Poisson(_)
            | Arrivals::Gamma(_)
            | Arrivals::Diurnal(_) => {}
        }
        let lengths = class.lengths.iter_mut().flat_map(|lengths| {
            [("lengths.prompt", &mut lengths.prompt), ("lengths.answer", &mut lengths.answer)]
        });
        let prefixes = class.prefixes.iter_mut().map(|prefixes| ("prefixes.tok", &mut prefixes.tok));
        for (name, length) in lengths.chain(prefixes) {
            if let Length::Empirical(empirical) = length {
                found.push((format!("{class_path}.{name}.empirical.path"), &mut empirical.path));
            }
        }
    }
    for (i, site) in scenario.fleet.sites.iter_mut().enumerate() {
        if let CapFraction::Csv(table) = &mut site.power.cap_fraction {
            found.push((format!("fleet.sites.{i}.power.cap_fraction.csv.path"), &mut table.path));
        }
        for (name, course) in site.grid.courses_mut() {
            if let Some(SignalCourse::Csv(table)) = course {
                found.push((format!("fleet.sites.{i}.grid.{name}.csv.path"), &mut table.path));
            }
        }
        let Some(weather) = &mut site.weather else { continue };
        let courses = [("wet_bulb_c", &mut weather.wet_bulb_c), ("dry_bulb_c", &mut weather.dry_bulb_c)];
        for (name, course) in courses {
            let path = format!("fleet.sites.{i}.weather.{name}");
            match course {
                TemperatureCourse::Csv(table) => found.push((format!("{path}.csv.path"), &mut table.path)),
                TemperatureCourse::Epw(file) => found.push((format!("{path}.epw.path"), &mut file.path)),
                TemperatureCourse::Constant(_) | TemperatureCourse::Daily(_) => {}
            }
        }
    }
    found
}

/// The path of `file` as seen from the folder `from`; both may be relative to the current directory.
/// Absolute where nothing is shared (another drive).
pub(crate) fn relative_to(file: &Path, from: &Path) -> PathBuf {
    let (file, from) = (real(file), real(from));
    let ours: Vec<Component> = file.components().collect();
    let theirs: Vec<Component> = from.components().collect();
    let shared = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return file;
    }
    let up = theirs[shared..].iter().map(|_| Component::ParentDir);
    up.chain(ours[shared..].iter().copied()).collect()
}

/// Absolute, links resolved as far as the path exists: `..` means what the operating system means by it.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut missing = Vec::new();
    let mut existing = absolute.as_path();
    loop {
        if let Ok(found) = existing.canonicalize() {
            return missing.iter().rev().fold(found, |path, part| path.join(part));
        }
        match (existing.parent(), existing.components().next_back()) {
            (Some(parent), Some(part)) => {
                missing.push(part.as_os_str().to_owned());
                existing = parent;
            }
            _ => return absolute,
        }
    }
}
