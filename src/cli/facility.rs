//! `wattmill facility`: the building alone, point by point, as CSV on stdout.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use wattmill::fleet::steady::{self, Point, Steady, SteadyBuilding};
use wattmill::fleet::{Fleet, Site};
use wattmill::scenario::{Problem, Resolved, suggestion};

use super::exit::Failure;
use super::scenario_args::ScenarioArguments;
use super::{backend, terminal};

/// Seconds in an hour; a litre of water is a kilogram.
const S_PER_H: f64 = 3600.0;
const HEADER: &str = "wet_bulb_c,it_mw,dry_bulb_c,pue,it_w,loss_w,cooling_w,water_l_per_h,limit";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Points to answer: a CSV with the columns wet_bulb_c [°C], it_mw [MW] and, if wanted, dry_bulb_c [°C;
    /// default: the wet bulb]
    #[arg(long, value_name = "FILE")]
    points: PathBuf,
    /// The site whose building is asked; default: the scenario's first
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

const AFTER_HELP: &str = "\
Prints one row per point, in the order given, and nothing else:
  wet_bulb_c,it_mw,dry_bulb_c   the point [°C, MW, °C]
  pue                           power at the meter over IT power; empty without IT power
  it_w,loss_w,cooling_w         IT power; losses of all devices; fans, pumps and compressors [W]
  water_l_per_h                 make-up water [l/h]
  limit                         empty if the building can bear the point for good; else the device or zone that
                                forbids it, of several the one met first as IT power rises from 0. The row then
                                shows what the flows would be; they are empty if losses and cooling have no end.
Each point is a steady state of its own: no thermal mass, no weather of the scenario, no requests. IT power is
split over the site's pools by their number of GPUs. Limits are the derated ratings, the cap at the meter (its
highest level over time), and for zones the heat rejected at hold_c (set_c when instantaneous).";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let resolved = arguments.scenario.load(None)?;
    let fleet = backend::build_fleet(&resolved)
        .map_err(|problems| Failure::input(resolved.render_problems(&problems)))?;
    let number = site_number(arguments.site.as_deref(), &fleet.sites)?;
    let building = SteadyBuilding::new(&fleet, number)
        .map_err(anyhow::Error::from)?
        .ok_or_else(|| without_tree(&resolved, &fleet, number))?;
    let points = steady::read_points(&arguments.points, "--points")
        .map_err(|error| Failure::input(error.to_string()))?;
    let mut text = String::from(HEADER);
    for point in &points {
        text.push('\n');
        text.push_str(&row(point, &building.at(point)));
    }
    terminal::print(&text)?;
    Ok(())
}

fn site_number(wanted: Option<&str>, sites: &[Site]) -> Result<usize, Failure> {
    let Some(wanted) = wanted else { return Ok(0) };
    sites.iter().position(|site| site.name == wanted).ok_or_else(|| {
        let hint = suggestion(wanted, sites.iter().map(|site| site.name.as_str()));
        Failure::input(format!("--site {wanted}: unknown site{hint}"))
    })
}

fn without_tree(resolved: &Resolved, fleet: &Fleet, number: usize) -> Failure {
    let with_tree: Vec<&str> =
        fleet.sites.iter().filter(|site| site.facility.is_some()).map(|site| site.name.as_str()).collect();
    let way = match with_tree.first() {
        Some(other) => format!("choose another with --site, e.g. --site {other}"),
        None => {
            "describe one under power.tree, with cooling and weather (configs/hot-day.yaml shows how)".into()
        }
    };
    let message = format!(
        "'{}' has no power tree, only a fixed PUE of {}: there is no building to ask; {way}",
        fleet.sites[number].name, fleet.sites[number].pue
    );
    Failure::input(resolved.render_problems(&[Problem { path: format!("fleet.sites.{number}"), message }]))
}

fn row(point: &Point, steady: &Steady) -> String {
    let mut row = format!("{},{},{},", point.air.wet_bulb_c, point.it_mw, point.air.dry_bulb_c);
    let limit = steady.limit.as_deref().map(quoted).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = match &steady.flows {
        Some(flows) => {
            let pue = flows.pue.map_or(String::new(), |pue| format!("{pue:.6}"));
            write!(
                row,
                "{pue},{:.3},{:.3},{:.3},{:.3},{limit}",
                steady.it_w,
                flows.loss_w,
                flows.cooling_w,
                flows.water_kg_per_s * S_PER_H
            )
        }
        None => write!(row, ",{:.3},,,,{limit}", steady.it_w),
    };
    row
}

/// A text field of a CSV, quoted where it must be.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}
