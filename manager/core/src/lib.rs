//! Decisions of the manager and the controller, free of IO: which warm sandbox
//! a claim takes, where a request goes, what a key or token is worth.
//!
//! Nothing here talks to a cluster, opens a socket or reads the clock.

pub mod agree;
pub mod annotate;
pub mod annotations;
pub mod api_key;
pub mod chain;
pub mod claim;
pub mod contract;
pub mod cursor;
pub mod image;
pub mod init;
pub mod metadata;
mod on_timeout;
pub mod resources;
pub mod route;
pub mod sealed;
pub mod state;
pub mod timeout;
pub mod token;
pub mod volume;
