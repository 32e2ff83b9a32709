//! The integration tests: one binary, one module per behaviour.

mod analytic;
mod broken;
mod label;
mod ledger;
mod scenario;
mod support;
