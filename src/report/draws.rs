//! `uncertainty.csv`: one row per draw of the fit's coefficients.

use crate::ledger::uncertainty::{Draws, Figures};

/// Number of the draw, why it failed if it did, its figures, when power and cooling bound first, its coefficients.
pub(super) fn csv(draws: &Draws) -> Result<String, csv::Error> {
    let mut header = vec!["draw".to_string(), "failed".to_string()];
    Figures::each(|name, _| header.push(name.to_string()));
    header.extend(["first.power_s", "first.cooling_s"].map(String::from));
    header.extend(draws.coefficients.iter().map(|name| format!("coefficient.{name}")));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for (number, row) in draws.rows.iter().enumerate() {
        let failed = row.outcome.as_ref().err().cloned().unwrap_or_default();
        let mut cells = vec![number.to_string(), failed];
        let of = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        match &row.outcome {
            Ok(drawn) => {
                cells.extend(drawn.figures.values().into_iter().map(of));
                cells.extend([of(drawn.first.power_s), of(drawn.first.cooling_s)]);
            }
            Err(_) => cells.resize(header.len() - draws.coefficients.len(), String::new()),
        }
        cells.extend(row.values.iter().map(f64::to_string));
        writer.write_record(&cells)?;
    }
    let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
