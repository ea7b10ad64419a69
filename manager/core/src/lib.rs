//! Decisions of the manager and the controller, free of IO: which warm sandbox
//! a claim takes, where a request goes, what a key or token is worth.
//!
//! Nothing here talks to a cluster, opens a socket or reads the clock.

pub mod api_key;
pub mod token;
