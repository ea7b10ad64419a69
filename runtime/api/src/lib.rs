//! Wire facts of the daemon inside a sandbox: ports, header names, paths and
//! the JSON body that initialises it. A leaf crate, so that the manager and the
//! daemon cannot disagree.

mod init;
mod wire;

pub use init::InitRequest;
pub use wire::*;
