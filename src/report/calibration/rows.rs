//! `cross_validation.csv`: every row that was fitted on, and the errors about it when it was left out.

use super::{Subject, TOLD};
use crate::study::calibrate::{Calibration, Split};

/// One line per row; errors are told / measured − 1, empty where nothing was measured.
pub fn csv(calibration: &Calibration, subject: &Subject) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let split_key =
        |split: Split| serde_json::to_value(split).ok().and_then(|v| v.as_str().map(String::from));
    let mut header: Vec<String> = ["table", "id", "model", "gpu", "engine"].map(String::from).to_vec();
    for split in Split::ALL {
        let split = split_key(split).unwrap_or_default();
        for told in &TOLD {
            header.push(format!("{split}.{}.error", told.key));
            header.push(format!("{split}.{}.roofline_error", told.key));
        }
    }
    let _ = writer.write_record(&header);
    for row in &calibration.rows {
        let table = subject.tables.get(row.table).cloned().unwrap_or_default();
        let mut cells = vec![table, row.id.clone(), row.model.clone(), row.gpu.clone(), row.engine.clone()];
        for pair in &row.told {
            for told in &TOLD {
                for reading in [told.fitted, told.roofline] {
                    cells.push(reading(pair).map(|ratio| format!("{:.4}", ratio - 1.0)).unwrap_or_default());
                }
            }
        }
        let _ = writer.write_record(&cells);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
