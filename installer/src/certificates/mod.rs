//! What clients need in order to trust an installation.

pub mod client_roots;
pub mod env_block;
