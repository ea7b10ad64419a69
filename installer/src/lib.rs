//! The `silica` command: installs, checks, renews and removes an installation.
//!
//! One pipeline, each stage consuming the former: command line -> [`settings`]
//! -> [`facts`] -> [`plan`] -> [`preflight`] -> [`apply`] -> [`wait`] ->
//! [`verify`]. `render` and `install --dry-run` are the same pipeline, cut
//! earlier. What may be decided without the cluster is pure and tested as such.

pub mod address;
pub mod apply;
pub mod bundle;
pub mod check;
pub mod cli;
pub mod client_roots;
pub mod cluster;
pub mod cluster_dns;
pub mod commands;
pub mod connect;
pub mod delivery;
mod diff;
pub mod doctor;
pub mod env;
pub mod env_block;
pub mod error;
pub mod exit;
pub mod exposed;
pub mod facts;
pub mod gateway;
mod health;
pub mod https;
pub mod images;
pub mod inventory;
pub mod lock;
mod owned_fields;
pub mod pipeline;
pub mod placement;
pub mod plan;
pub mod preflight;
pub mod probe;
pub mod process;
pub mod report;
pub mod rights;
pub mod role;
pub mod rollback;
pub mod run;
pub mod secrets;
pub mod settings;
pub mod signal;
pub mod verify;
pub mod wait;
mod yaml;
