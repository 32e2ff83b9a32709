//! The error of a model built from a number outside its range, and the checks that find it.

/// A parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} must be {rule}, not {value}")]
pub struct BadParameter {
    /// The parameter, named as in the model's own fields.
    pub name: &'static str,
    /// What it must be.
    pub rule: &'static str,
    /// What it is.
    pub value: f64,
}

/// `value` is finite and keeps `rule`; a NaN never does.
pub(super) fn require(
    kept: bool,
    name: &'static str,
    rule: &'static str,
    value: f64,
) -> Result<(), BadParameter> {
    if kept && value.is_finite() { Ok(()) } else { Err(BadParameter { name, rule, value }) }
}

/// Above 0.
pub(super) fn positive(name: &'static str, value: f64) -> Result<(), BadParameter> {
    require(value > 0.0, name, "above 0", value)
}

/// 0 or above.
pub(super) fn not_negative(name: &'static str, value: f64) -> Result<(), BadParameter> {
    require(value >= 0.0, name, "0 or above", value)
}

/// Any number but NaN and infinity.
pub(super) fn finite(name: &'static str, value: f64) -> Result<(), BadParameter> {
    require(true, name, "a finite number", value)
}
