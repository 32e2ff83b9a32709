//! The fit as a file of the catalog.

use std::fmt::Write as _;

use crate::catalog::{Fit, FittedOn};

/// YAML that the catalog reads back to the same fit.
pub fn text(fit: &Fit) -> String {
    let mut out = String::from(
        "# Coefficients that were fitted together, by `wattmill calibrate`; entries of the catalog name them. Priors are\n\
         # what is believed without the rows; `sd_ln` and the correlations are of the logarithms, after the fit.\n",
    );
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let _ = writeln!(
        out,
        "fit:\n  date: {}\n  source: {}\n  coefficients:",
        quoted(&fit.date),
        quoted(&fit.source)
    );
    for c in &fit.coefficients {
        let on = match c.on {
            FittedOn::Links => "links",
            FittedOn::Time => "time",
            FittedOn::Watts => "watts",
            FittedOn::Caps => "caps",
        };
        let (low, high) = c.interval95();
        let _ = writeln!(
            out,
            "    - name: {}\n      value: {} # {low:.3} to {high:.3} with 95 %\n      sd_ln: {}\n      on: {on}",
            c.name, c.value, c.sd_ln
        );
        let _ = writeln!(
            out,
            "      prior: {}\n      prior_sd_ln: {}\n      prior_source: {}",
            c.prior,
            c.prior_sd_ln,
            quoted(&c.prior_source)
        );
        if let Some(most) = c.at_most {
            let _ = writeln!(out, "      at_most: {most}");
        }
    }
    if !fit.correlations.is_empty() {
        out.push_str("  correlations:\n");
        for row in &fit.correlations {
            let row: Vec<String> = row.iter().map(ToString::to_string).collect();
            let _ = writeln!(out, "    - [{}]", row.join(", "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn is_read_back_as_it_was() {
        let catalog = Catalog::embedded().unwrap();
        #[derive(serde::Deserialize)]
        struct File {
            fit: Fit,
        }
        let back: File = serde_yaml::from_str(&text(catalog.fit())).unwrap();
        assert_eq!(&back.fit, catalog.fit());
    }
}
