//! Power control: who may run at which clock, so that no site exceeds its cap.

mod bill;
mod building;
mod capping;
mod devices;
mod domain;
mod failures;
mod feeds;
mod meter;
mod nodes;
mod power;

pub use bill::Accounts;
pub use building::{Building, Held, OTHER_PARTS};
pub use capping::polca::PolcaTotals;
pub use capping::{CappingPolicy, Member};
pub use devices::DeviceMeter;
pub use failures::{Broken, FailureEvent, Timeline};
pub use feeds::Feeds;
pub use meter::{Integrals, Meter, Reading};
pub use nodes::NodeMeters;
pub use power::{Effect, Grant, Hold, PowerControl, Throttles};
