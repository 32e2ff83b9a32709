//! Many runs that answer one question.

pub mod batch;
pub mod calibrate;
mod cholesky;
pub mod compare;
mod demand;
pub mod expect;
pub mod explain;
pub mod levers;
pub mod metric;
pub mod paired;
pub mod replications;
pub mod size;
pub mod sweep;
pub mod uncertainty;
pub mod validate;
