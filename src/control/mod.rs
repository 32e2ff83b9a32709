//! Power control: who may run at which clock, so that no site exceeds its cap.

mod building;
mod capping;
mod domain;
mod meter;
mod power;

pub use building::{Building, Held, PLANT_PARTS};
pub use capping::polca::PolcaTotals;
pub use capping::{CappingPolicy, Member};
pub use meter::{Integrals, Meter, Reading};
pub use power::{Effect, Grant, Hold, PowerControl, Throttles};
