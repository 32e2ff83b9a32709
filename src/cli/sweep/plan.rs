//! `wattmill sweep plan`: from a sweep file to its folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use serde_json::json;
use wattmill::study::sweep::{self, Pilot, Plan, Sweep};

use super::{Output, cores, counted};
use crate::cli::exit::Failure;
use crate::cli::interrupt;
use crate::cli::progress::span;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Sweep file (YAML)
    #[arg(value_name = "SWEEP")]
    path: PathBuf,
    /// Folder of the sweep, which must not exist; default: output/<name>
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Folder with your own catalog entries (GPUs, models, nodes, engines); it is copied
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Do not run three rows to estimate the time
    #[arg(long)]
    no_pilot: bool,
    #[command(flatten)]
    output_options: Output,
}

const AFTER_HELP: &str = "\
A sweep file:
  name: cap                       # default: the file's name
  base: ../power-crunch.yaml      # relative to this file
  seed: 1                         # each replication has a seed of its own, the same at every point
  replications: 3
  set: { duration_s: 3600 }       # changed at every point; paths and values as in --set
  axes:                           # their product is swept; the first varies slowest
    - name: power.cap_mw          # the name of the column
      paths:                      # several under one axis move together
        fleet.sites.0.power.cap_mw: { linspace: { from: 0.04, to: 0.16, points: 25 } }
    - name: router                # logspace: { from, to, points }, or a list of any values
      paths: { routing: [least_loaded, random] }
      labels: [least, random]     # what the column holds; default: the first path's values
  skip: [{ power.cap_mw: { above: 0.1 }, router: { is: random } }]    # above, below, is: where all hold
  chunk_points: 10                # rows of a chunk; default: 50 to 500 chunks
  columns: [throughput, slo_attainment, latency_s.ttft.p99]           # of summary.json, by path

Every value of every axis is tried once before anything is written; a combination that cannot be run becomes a row
with its error.";

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output_options;
    if let Some(dir) = arguments.catalog.as_deref().filter(|dir| !dir.is_dir()) {
        return Err(Failure::input(format!("--catalog {}: there is no such folder", dir.display())));
    }
    let plan = Plan::read(&arguments.path, arguments.catalog.as_deref())?;
    let remarks = plan.remarks.clone();
    let dir = arguments.output.clone().unwrap_or_else(|| Path::new("output").join(plan.name()));
    let sweep = plan.write(&dir)?;
    if let Some(first) = &remarks.first {
        output.note(&format!(
            "{} of {} points tried cannot be run; such rows will hold an error, e.g. {first}",
            remarks.failing, remarks.tried
        ));
    }
    let pilot = if arguments.no_pilot { None } else { Some(pilot(&sweep, &dir)?) };
    let manifest = &sweep.manifest;
    let json = json!({
        "dir": dir,
        "name": manifest.name,
        "sweep": manifest.sweep,
        "points": manifest.points,
        "replications": manifest.replications,
        "rows": manifest.rows,
        "chunks": manifest.chunks,
        "tried": { "points": remarks.tried, "failing": remarks.failing, "first": remarks.first },
        "pilot": pilot.as_ref().map(|pilot| json!({
            "rows": pilot.rows,
            "errors": pilot.errors,
            "row_s": pilot.row_s,
            "at_least": pilot.at_least,
            "cores": cores(),
            "sweep_s": sweep_s(pilot, &sweep),
        })),
    });
    let repeated = match manifest.replications {
        1 => String::new(),
        n => format!(" x {n} replications = {} rows", manifest.rows),
    };
    let mut text = format!(
        "planned {}{repeated} in {} ({})",
        counted(manifest.points, "point"),
        counted(manifest.chunks, "chunk"),
        dir.display()
    );
    if let Some(pilot) = &pilot {
        let least = if pilot.at_least { "more than " } else { "about " };
        text.push_str(&format!(
            "\n{least}{} on {}: {} took {} each",
            span(sweep_s(pilot, &sweep)),
            counted(cores() as u64, "core"),
            counted(pilot.rows, "row"),
            short_span(pilot.row_s)
        ));
        if pilot.errors > 0 {
            text.push_str(&format!(", {} with an error", pilot.errors));
        }
    }
    text.push_str(&format!("\nnext: wattmill sweep run {}", dir.display()));
    output.print(&json, &text)
}

fn pilot(sweep: &Sweep, dir: &Path) -> Result<Pilot, Failure> {
    // Not before: until the folder is there, Ctrl-C may simply stop the process.
    let interrupted = interrupt::watch()?;
    let go_on = || !interrupted.load(Ordering::SeqCst);
    sweep::pilot(sweep, &go_on)?.ok_or_else(|| {
        let dir = dir.display();
        Failure::Interrupted(format!(
            "pilot interrupted; the sweep is planned, run it with: wattmill sweep run {dir}"
        ))
    })
}

/// Time of the whole sweep on this machine [s].
fn sweep_s(pilot: &Pilot, sweep: &Sweep) -> f64 {
    let jobs = (cores() as u64).min(sweep.manifest.rows).max(1);
    pilot.row_s * sweep.manifest.rows as f64 / jobs as f64
}

fn short_span(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 10.0 => format!("{s:.1} s"),
        s => span(s),
    }
}
