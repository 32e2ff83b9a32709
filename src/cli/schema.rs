//! `wattmill schema`: the JSON Schema of scenario files.

use super::exit::Failure;
use super::terminal;

pub fn main() -> Result<(), Failure> {
    let schema = wattmill::scenario::json_schema();
    terminal::print(&serde_json::to_string_pretty(&schema).map_err(anyhow::Error::from)?)?;
    Ok(())
}
