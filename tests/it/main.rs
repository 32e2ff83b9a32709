//! The integration tests: one binary, one module per behaviour.

mod analytic;
mod broken;
mod scenario;
mod support;
