//! `wattmill report`: figures of a run from its folder, of a sweep from its merged table.

use std::path::PathBuf;

use clap::Args;
use wattmill::report::redraw::{self, Asked, PlaceError, Subject};
use wattmill::report::{PointsError, Theme};

use super::exit::Failure;
use super::terminal;

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Result folder of a run, directory of a merged sweep, or a CSV file with a row per run
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Figure to draw, may be repeated; default: all that there is something to show in
    #[arg(long = "figure", value_name = "NAME")]
    figures: Vec<String>,
    /// Column or axis of the horizontal axis
    #[arg(long, value_name = "NAME")]
    x: Option<String>,
    /// Column or axis of the vertical axis
    #[arg(long, value_name = "NAME")]
    y: Option<String>,
    /// Column that a heatmap shows
    #[arg(long, value_name = "NAME")]
    z: Option<String>,
    /// Column or axis that tells lines apart
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Keep the rows in which a column has this value; may be repeated
    #[arg(long = "where", value_name = "NAME=VALUE")]
    conditions: Vec<String>,
    /// Price of energy at the utility meter, for `cost`
    #[arg(long, value_name = "USD", value_parser = price)]
    usd_per_mwh: Option<f64>,
    /// Price of an installed GPU, for `cost`
    #[arg(long, value_name = "USD", value_parser = price)]
    usd_per_gpu_hour: Option<f64>,
    /// Installed GPUs, where no column counts them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    gpus: Option<u64>,
    /// Looks: default, one-column (8.5 cm), two-column (17.5 cm), slide (16:9), or a YAML file
    #[arg(long, value_name = "THEME", default_value = "default")]
    theme: String,
    /// Folder for the figures; default: DIR/figures, of a file F.csv: F-figures beside it
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Replace other figures in the folder of -o
    #[arg(long)]
    force: bool,
}

const AFTER_HELP: &str = "\
Figures of a run:   binding, power, duration, power_cdf, headroom, temperature, pue,
                    energy_per_token, energy_flow
Figures of a sweep, with the options that they take:
  knee     --x --y --by      a column against another, and where it stops growing
  slo      --x --by          SLO attainment, and the 99th percentiles of TTFT and TPOT
  heatmap  --x --y --z       a column over two axes, with borders where another constraint binds
  pareto   --by              tokens/s per facility MW against tokens/s of one user
  energy   --x --by          joules per token, split into GPUs, nodes and facility
  cost     --x --by --usd-per-mwh --usd-per-gpu-hour --gpus   $ per million tokens
Each is written as SVG and PNG, with its numbers as CSV. Values are means over replications; other
axes are never averaged: give them a place with --by, or keep one value with --where.

A theme file names what differs from another theme:
  base: one-column                                   # default, one-column, two-column, slide
  page: { width_cm: 8.5, height_cm: 6, dpi: 400 }    # or width_px, height_px
  text_pt: { title: 8, subtitle: 6.5, label: 6.5, tick: 6.5, footer: 6, smallest: 6 }
  lines: 1.2                                         # factor on widths of lines and dots
  title: true                                        # the finding above the figure
  footer: true                                       # where it comes from
  font: { family: Lato, regular: Lato-Regular.ttf, bold: Lato-Bold.ttf }";

/// A price: finite, and at least nothing.
fn price(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(price) if price.is_finite() && price >= 0.0 => Ok(price),
        _ => Err("a price is a number of at least 0".into()),
    }
}

pub fn main(arguments: &Arguments) -> Result<(), Failure> {
    let input = |error: PointsError| Failure::input(error.to_string());
    let theme = Theme::load(&arguments.theme)?;
    let mut subject = Subject::read(&arguments.path).map_err(input)?;
    match &mut subject {
        Subject::Points(points) => {
            arguments.conditions.iter().try_for_each(|condition| points.keep(condition)).map_err(input)?;
        }
        Subject::Run(_) if !arguments.conditions.is_empty() => {
            return Err(Failure::input("--where is of sweeps; this is the result of one run"));
        }
        Subject::Run(_) => {}
    }
    let asked = Asked {
        x: arguments.x.clone(),
        y: arguments.y.clone(),
        z: arguments.z.clone(),
        by: arguments.by.clone(),
        usd_per_mwh: arguments.usd_per_mwh,
        usd_per_gpu_hour: arguments.usd_per_gpu_hour,
        gpus: arguments.gpus,
    };
    let drawing = redraw::draw(&subject, &arguments.figures, &asked, &theme).map_err(input)?;
    let default = if arguments.path.is_dir() {
        arguments.path.join("figures")
    } else {
        let name = arguments.path.file_stem().unwrap_or_default();
        arguments.path.with_file_name(format!("{}-figures", name.to_string_lossy()))
    };
    let dir = arguments.output.clone().unwrap_or(default);
    // Figures in the subject's own folder are its own: drawn again, they replace themselves.
    let replace = arguments.force || arguments.output.is_none();
    let written = match drawing.write(&dir, replace, std::slice::from_ref(&arguments.path)) {
        Ok(written) => written,
        Err(PlaceError::Taken(text)) => return Err(Failure::input(text)),
        Err(PlaceError::Report(error)) => return Err(Failure::Failed(error.into())),
    };
    if !arguments.quiet {
        for why in &drawing.left_out {
            terminal::print(&format!("left out {why}"))?;
        }
        terminal::print(&format!("wrote {} ({} files)", dir.display(), written.len()))?;
    }
    Ok(())
}
