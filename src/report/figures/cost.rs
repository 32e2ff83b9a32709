//! Figure `cost`: dollars per million tokens from the prices that the user names, against the cap or another axis.

use super::lines::{self, Axes, Lines};
use super::picture::Picture;
use super::sweep::{self, by_axis, said, x_axis};
use super::theme::Theme;
use super::{Figure, Table};
use crate::report::columns::{self, Quantity, Unit};
use crate::report::numbers::significant;
use crate::report::points::{Points, PointsError};
use crate::report::redraw::Asked;

/// Draws the figure.
pub(super) fn draw<'a>(points: &Points, asked: &Asked, theme: &'a Theme) -> Result<Figure<'a>, PointsError> {
    let (mwh, gpu_hour) = (asked.usd_per_mwh, asked.usd_per_gpu_hour);
    if mwh.is_none() && gpu_hour.is_none() {
        return Err(PointsError(
            "--figure cost needs prices, which a simulation does not know: --usd-per-mwh P, --usd-per-gpu-hour C, or \
             both"
                .into(),
        ));
    }
    let x = x_axis(points, asked)?;
    let by = by_axis(points, asked, x)?;
    let rate = points.first_of("cost", &["throughput.useful_tok_per_s", "throughput.output_tok_per_s"])?;
    let power = mwh.map(|_| points.first_of("cost", &["power_w.facility.mean"])).transpose()?;
    let gpus = match (gpu_hour, asked.gpus) {
        (None, None) => Gpus::Given(0.0),
        (None, Some(_)) => {
            return Err(PointsError("--gpus is of --usd-per-gpu-hour, which is not given".into()));
        }
        (Some(_), Some(n)) => Gpus::Given(n as f64),
        (Some(_), None) => Gpus::Columns(gpu_columns(points)?),
    };
    let mut needed = vec![rate];
    needed.extend(power);
    let counted = needed.len();
    if let Gpus::Columns(columns) = &gpus {
        needed.extend(columns);
    }
    // Dollars an hour over millions of tokens an hour.
    let cost = |v: &[f64]| {
        let tokens = v[0] * 3600.0 * 1e-6;
        let energy = mwh.map_or(0.0, |price| price * v[1] * 1e-6);
        let n = match &gpus {
            Gpus::Given(n) => *n,
            Gpus::Columns(_) => v[counted..].iter().sum(),
        };
        (tokens > 0.0).then(|| (energy + gpu_hour.unwrap_or(0.0) * n) / tokens)
    };
    let lines = Lines::of(points, x, by, |group| points.made(group, &needed, cost))?;
    let token = if points.name_of(rate).contains("useful") { "useful tokens" } else { "output tokens" };
    let quantity = Quantity { words: format!("Cost of a million {token}"), unit: Unit::Fixed("$") };
    let Some(mut axes) = Axes::of(theme, &lines, columns::quantity(points.name_of(x)), &quantity) else {
        return Err(PointsError("--figure cost: no point has tokens".into()));
    };
    let off = axes.cut_off(&lines);
    let energy = mwh.map(|p| format!("energy at the utility meter at {p} $/MWh"));
    let hours = gpu_hour.map(|p| format!("{p} $ per GPU-hour"));
    let prices: Vec<String> = energy.into_iter().chain(hours).collect();
    let axis = format!("$ per million {token}: {}", prices.join(", "));
    let titles = titles(points, x, &lines, token);
    let mut picture =
        Picture::new(theme, titles[0].clone(), format!("{axis}, against {}.", columns::small(&axes.x.words)));
    picture.head(&titles, &[format!("{axis}{}", lines.told_apart()), axis.clone()]);
    axes.draw(&mut picture);
    lines.draw(&mut picture, &axes.frame, |line, at, value| {
        let name = if line.name.is_empty() { String::new() } else { format!("{}: ", line.name) };
        format!("{name}{} $ at {}", significant(value.mean, 3), said(points, x, at))
    });
    lines.draw_names(&mut picture, &axes.frame);
    sweep::draw_footer(&mut picture, points, &(lines.remark() + &off));
    let csv = lines::csv(points, &lines, x, by, "usd_per_million_tokens");
    Ok(Figure { name: "cost", picture, tables: vec![Table { name: "cost", csv }] })
}

/// How many GPUs are paid for.
enum Gpus {
    Given(f64),
    /// The sum of these columns.
    Columns(Vec<usize>),
}

/// Columns that count installed GPUs: all sites, else all pools, else one of that name.
fn gpu_columns(points: &Points) -> Result<Vec<usize>, PointsError> {
    for prefix in ["per_site.", "per_pool."] {
        let found = points.columns_like(|name| name.starts_with(prefix) && name.ends_with(".gpus"));
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match points.optional("gpus") {
        Some(k) => Ok(vec![k]),
        None => Err(PointsError(
            "--usd-per-gpu-hour needs the number of GPUs: --gpus N, or a column per_site.0.gpus (`per_site` among the \
             sweep's columns) or gpus"
                .into(),
        )),
    }
}

/// The finding, from the most to the least detailed wording.
fn titles(points: &Points, x: usize, lines: &Lines, token: &str) -> Vec<String> {
    let all = lines.all.iter().flat_map(|l| l.means());
    match all.reduce(|a, b| if b.1 < a.1 { b } else { a }) {
        None => vec!["Cost of tokens".into()],
        Some((at, least)) => {
            let dollars = significant(least, 3);
            vec![
                format!("At least ${dollars} per million {token}, at {}", said(points, x, at)),
                format!("At least ${dollars} per million {token}"),
            ]
        }
    }
}
