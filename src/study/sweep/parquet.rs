//! Rows as a Parquet file, by the crate's low-level writer: every column optional, units in the file's metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::cell::{Cell, Kind};
use super::manifest::Sweep;

/// Rows of a row group: bounds the memory of a merge, and is part of the bytes.
const GROUP_ROWS: usize = 20_000;
/// Key of the sweep's identity in the file's metadata.
const MARK: &str = "wattmill.sweep";

/// A file being written.
pub(super) struct Table {
    writer: SerializedFileWriter<File>,
    kinds: Vec<Kind>,
    /// Rows of the group that is being gathered, by column.
    columns: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(sweep: &Sweep, file: File) -> io::Result<Self> {
        let manifest = &sweep.manifest;
        let fields: Result<Vec<Arc<Type>>, ParquetError> =
            manifest.columns.iter().map(|column| field(&column.name, column.kind)).collect();
        let schema = Type::group_type_builder("sweep").with_fields(fields.map_err(other)?).build();
        let schema = Arc::new(schema.map_err(other)?);
        let units: BTreeMap<&str, &str> = manifest
            .columns
            .iter()
            .filter(|column| !column.unit.is_empty())
            .map(|column| (column.name.as_str(), column.unit.as_str()))
            .collect();
        let units = serde_json::to_string(&units).map_err(io::Error::other)?;
        let metadata = vec![
            KeyValue::new("wattmill.name".into(), manifest.name.clone()),
            KeyValue::new(MARK.into(), manifest.sweep.clone()),
            KeyValue::new("wattmill.units".into(), units),
        ];
        let properties = WriterProperties::builder()
            .set_created_by(format!("wattmill {}", manifest.wattmill))
            .set_key_value_metadata(Some(metadata))
            .build();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(other)?;
        let kinds: Vec<Kind> = manifest.columns.iter().map(|column| column.kind).collect();
        let columns = vec![Vec::new(); kinds.len()];
        Ok(Self { writer, kinds, columns })
    }

    /// One more row.
    pub fn add(&mut self, row: &[Cell]) -> io::Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(row) {
            column.push(cell.clone());
        }
        match self.columns.first() {
            Some(column) if column.len() >= GROUP_ROWS => self.write_group(),
            _ => Ok(()),
        }
    }

    /// Write what is left, and the footer.
    pub fn finish(mut self) -> io::Result<()> {
        if self.columns.first().is_some_and(|column| !column.is_empty()) {
            self.write_group()?;
        }
        self.writer.close().map(|_| ()).map_err(other)
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(other)?;
        let mut columns = self.columns.iter_mut().zip(&self.kinds);
        while let Some(mut writer) = group.next_column().map_err(other)? {
            let Some((cells, kind)) = columns.next() else { break };
            write(writer.untyped(), cells, *kind).map_err(other)?;
            writer.close().map_err(other)?;
            cells.clear();
        }
        group.close().map(|_| ()).map_err(other)
    }
}

fn field(name: &str, kind: Kind) -> Result<Arc<Type>, ParquetError> {
    let physical = match kind {
        Kind::Int => Physical::INT64,
        Kind::Float => Physical::DOUBLE,
        Kind::Bool => Physical::BOOLEAN,
        Kind::Text => Physical::BYTE_ARRAY,
    };
    let text = (kind == Kind::Text).then_some(LogicalType::String);
    let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    builder.with_logical_type(text).build().map(Arc::new)
}

/// Write a column of a group; a cell of another kind than the column's would be null, but there is none.
fn write(writer: &mut ColumnWriter, cells: &[Cell], kind: Kind) -> Result<(), ParquetError> {
    let fits = |cell: &&Cell| {
        matches!(
            (cell, kind),
            (Cell::Int(_), Kind::Int)
                | (Cell::Float(_), Kind::Float)
                | (Cell::Bool(_), Kind::Bool)
                | (Cell::Text(_), Kind::Text)
        )
    };
    let levels: Vec<i16> = cells.iter().map(|cell| i16::from(fits(&cell))).collect();
    let present = cells.iter().filter(fits);
    match writer {
        ColumnWriter::Int64ColumnWriter(writer) => {
            let values: Vec<i64> = present
                .filter_map(|cell| if let Cell::Int(whole) = cell { Some(*whole) } else { None })
                .collect();
            writer.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::DoubleColumnWriter(writer) => {
            let values: Vec<f64> = present
                .filter_map(|cell| if let Cell::Float(number) = cell { Some(*number) } else { None })
                .collect();
            writer.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::BoolColumnWriter(writer) => {
            let values: Vec<bool> =
                present.filter_map(|cell| if let Cell::Bool(b) = cell { Some(*b) } else { None }).collect();
            writer.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let values: Vec<ByteArray> = present
                .filter_map(
                    |cell| if let Cell::Text(text) = cell { Some(text.as_str().into()) } else { None },
                )
                .collect();
            writer.write_batch(&values, Some(&levels), None)?;
        }
        _ => return Err(ParquetError::General("a column of a kind that is not used".into())),
    }
    Ok(())
}

/// The disk's own error where it is one: it says what to do.
fn other(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        error => io::Error::other(error),
    }
}

/// Whether a file is a merged sweep: Parquet with our mark near its end.
pub(super) fn is_ours(file: &mut File, most: u64) -> io::Result<bool> {
    let mut magic = [0; 4];
    file.read_exact(&mut magic)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    Ok(&magic == b"PAR1" && end.windows(MARK.len()).any(|window| window == MARK.as_bytes()))
}
