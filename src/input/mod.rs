//! Tables: CSV, plain or gzip, and what can be wrong with them and with the fields that name them.

mod error;
mod lines;
mod table;

pub use error::InputError;
pub(crate) use lines::Lines;
pub(crate) use table::{Table, shorten};
