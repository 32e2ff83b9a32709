//! Many runs that answer one question.

pub mod calibrate;
mod cholesky;
pub mod uncertainty;
pub mod validate;
