//! Serving: routers, admission, batches, KV memory and prefix caches of replicas, in segments.

pub mod batch;
pub mod binding;
pub mod draws;
pub mod loads;
mod prefix_cache;
pub mod router;
pub mod slots;
mod speculation;
mod window;
