//! What the controller did that the caches may not show yet.

mod backoff;
mod burst;
mod claim;
mod pool;

pub(crate) use claim::Claims;
pub(crate) use pool::{PoolMemory, Pools};
