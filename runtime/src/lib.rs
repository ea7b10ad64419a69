//! The daemon inside a sandbox: runs processes, serves files and executes code
//! for the unmodified E2B SDKs.
//!
//! One static executable without dependencies on the user's image. It knows no
//! Kubernetes; what it needs to know arrives in environment variables and
//! through `POST /init`.
//!
//! * [`process`] and [`filesystem`] implement the two Connect services,
//! * [`http`] the plain HTTP routes next to them,
//! * [`interpreter`] the code interpreter on its own port,
//! * [`freeze`] stops everything and continues it,
//! * [`init`] is process 1 around the user's command,
//! * [`sandbox`] holds the state that they share,
//! * [`os`] is the only place with unsafe code.

pub mod access;
pub mod account;
pub mod blocking;
pub mod daemon;
pub mod filesystem;
pub mod freeze;
pub mod http;
pub mod init;
pub mod install;
pub mod interpreter;
mod listen;
pub mod os;
pub mod process;
pub mod rpc;
pub mod sandbox;
pub mod start;
pub mod usage;

/// Generated from `proto/`.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
pub mod proto {
    connectrpc::include_generated!();
}
