//! Serving: routers, admission, batches and KV cache of replicas, in segments.

pub mod batch;
pub mod binding;
pub mod draws;
pub mod loads;
pub mod router;
pub mod slots;
mod speculation;
mod window;
