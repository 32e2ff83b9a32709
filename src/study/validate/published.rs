//! Published figures, typed with their sources, that come with the program.

use super::read::{self, MeasuredTable};
use crate::input::{InputError, Table};

const FILE: &str = "configs/validate/published.csv";
/// As it stands in the sources.
pub(super) const TEXT: &str = include_str!("../../../configs/validate/published.csv");

/// The table.
pub(super) fn table() -> Result<MeasuredTable, InputError> {
    read::read(Table::embedded(FILE, TEXT)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_figure_has_a_source() {
        let table = super::table().unwrap();
        assert!(table.warnings.is_empty(), "{:?}", table.warnings);
        for row in &table.rows {
            assert!(row.source.as_ref().is_some_and(|source| source.len() > 20), "{}", row.id);
        }
    }
}
