//! Many runs that answer one question.

pub mod calibrate;
pub mod validate;
