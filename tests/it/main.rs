//! The integration tests: one binary, one module per behaviour.

mod analytic;
mod azure_week;
mod broken;
mod calibrate;
mod engines;
mod facility_command;
mod facility_scenario;
mod faults;
mod fleet_case;
mod fleet_yaml;
mod heat;
mod hot_day;
mod label;
mod ledger;
mod random_fleets;
mod reasoning;
mod scenario;
mod support;
mod sweep;
mod trace_cache;
mod uncertainty;
mod validate;
mod windows;
