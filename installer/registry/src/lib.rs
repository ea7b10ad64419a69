//! Pushes images to a registry, with the credentials that Docker or Podman keep.
//!
//! [`Address`] says where to, [`credentials`] with what, [`Registry::push`] does it and sends
//! only what the registry lacks. Protocol: OCI distribution specification 1.1.
//! Knows no cluster.

mod address;
pub mod credentials;
mod error;
mod push;
mod registry;
mod session;
mod token;

pub use address::{Address, AddressError};
pub use credentials::Credentials;
pub use error::Error;
pub use push::Pushed;
pub use registry::{Registry, Transport};
