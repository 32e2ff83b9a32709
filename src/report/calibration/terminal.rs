//! A calibration on a terminal: errors by what was left out, and the coefficients.

use std::fmt::Write as _;

use super::{Subject, TOLD, spreads};
use crate::study::calibrate::{Calibration, Split};
use crate::study::validate::Spread;

/// The tables for people.
pub fn text(calibration: &Calibration, subject: &Subject) -> String {
    let mut out = String::new();
    for (table, name) in subject.tables.iter().enumerate() {
        let rows = calibration.rows.iter().filter(|row| row.table == table).count();
        let _ = writeln!(out, "{name}: {rows} rows; errors as median / 90th percentile, in per cent");
        let _ = writeln!(
            out,
            "{:<30}{:<28}{:>6}{:>14}{:>9}{:>22}",
            "", "", "rows", "fitted", "bias", "data-sheet roofline"
        );
        for split in Split::ALL {
            let mut title = split.words();
            for told in &TOLD {
                let (fitted, roofline) = spreads(calibration, table, split, told);
                // A table of times per token has no rates of its own, and the other way round.
                if fitted.n == 0 || (told.key == "tpot_ms") == has_watts(calibration, table) {
                    continue;
                }
                let _ = writeln!(
                    out,
                    "{title:<30}{:<28}{:>6}{:>14}{:>9}{:>22}",
                    told.words,
                    fitted.n,
                    both(&fitted),
                    percent(fitted.bias, true),
                    both(&roofline)
                );
                title = "";
            }
        }
        out.push('\n');
    }
    if let Some(links) = &calibration.links {
        let _ = writeln!(out, "all-reduce times: {} rows, {}\n", links.n, both(links));
    }
    let _ = writeln!(out, "{:<34}{:>10}   {:<24}{:>8}", "coefficient", "value", "95 % interval", "prior");
    for c in &calibration.fit.coefficients {
        let (low, high) = c.interval95();
        let interval = format!("{} to {}", short(low), short(high));
        let _ = writeln!(out, "{:<34}{:>10}   {interval:<24}{:>8}", c.name, short(c.value), short(c.prior));
    }
    for (why, rows) in &calibration.left_out {
        let _ = writeln!(out, "not fitted: {rows} rows, {why}");
    }
    out
}

fn has_watts(calibration: &Calibration, table: usize) -> bool {
    calibration.spread(table, Split::Nothing, |pair| pair.fitted.watts).n > 0
}

fn both(spread: &Spread) -> String {
    format!("{} / {}", percent(spread.median_abs_err, false), percent(spread.p90_abs_err, false))
}

fn percent(share: Option<f64>, signed: bool) -> String {
    match share {
        Some(share) if signed => format!("{:+.1}", share * 100.0),
        Some(share) => format!("{:.1}", share * 100.0),
        None => "-".into(),
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    let digits = if value > 0.0 { 2 - value.log10().floor() as i32 } else { 0 };
    format!("{value:.*}", digits.clamp(0, 6) as usize)
}
