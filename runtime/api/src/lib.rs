//! Wire facts of the daemon inside a sandbox: ports, header names, paths and
//! the JSON bodies that initialise it and tell what it uses. A leaf crate, so that the manager and the
//! daemon cannot disagree.

mod freeze;
mod init;
mod usage;
mod wire;

pub use freeze::{Frozen, RunningProcess, Thawed};
pub use init::InitRequest;
pub use usage::Usage;
pub use wire::*;
