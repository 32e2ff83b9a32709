//! Many runs that answer one question.

pub mod calibrate;
mod cholesky;
pub mod explain;
pub mod paired;
pub mod replications;
pub mod sweep;
pub mod uncertainty;
pub mod validate;
