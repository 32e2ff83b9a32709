//! Many runs that answer one question.

pub mod validate;
