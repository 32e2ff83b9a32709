//! What can be wrong with an input file, or with the field that names it.

use std::fmt;

/// Something wrong with what a run reads: a field of the scenario, or a file that it names.
///
/// Shown as `file:line:column: message` when a place in a file is to blame, else as
/// `field: [file: ]message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// Path of the scenario field that is wrong or that names the file, e.g.
    /// `workload.classes.0.arrivals.trace.path`; empty where no scenario is involved.
    pub field: String,
    /// The file, if one is to blame.
    pub file: Option<String>,
    /// Line in the file, from 1 (the header).
    pub line: Option<u64>,
    /// Character in the line, from 1.
    pub column: Option<u64>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl InputError {
    /// A scenario field is wrong.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), file: None, line: None, column: None, message: message.into() }
    }

    /// A file as a whole is wrong.
    pub(crate) fn file(field: &str, file: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            file: Some(file.into()),
            line: None,
            column: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => {
                write!(f, "{file}:{line}:")?;
                if let Some(column) = self.column {
                    write!(f, "{column}:")?;
                }
                write!(f, " {}", self.message)
            }
            (file, _) => {
                if !self.field.is_empty() {
                    write!(f, "{}: ", self.field)?;
                }
                if let Some(file) = file {
                    write!(f, "{file}: ")?;
                }
                f.write_str(&self.message)
            }
        }
    }
}

impl std::error::Error for InputError {}
