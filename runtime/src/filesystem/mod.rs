//! Files and directories through the API.
//!
//! [`path`] resolves what clients send, [`entry`] describes what is there,
//! [`operations`] changes it, [`watch`] reports changes, [`service`] is the
//! Connect service over them. Operations run with the daemon's rights and leave
//! their results to the acting user.

pub mod entry;
mod error;
pub mod metadata;
pub mod operations;
pub mod path;
pub mod service;
pub mod watch;

pub use error::FsError;
