//! The integration tests: one binary, one module per behaviour.

mod broken;
mod reasoning;
mod scenario;
