//! The `silica` command: installs, checks, renews and removes an installation.
//!
//! One pipeline, each stage consuming the former: command line -> [`settings`]
//! -> [`facts`] -> [`plan`] -> [`preflight`] -> [`cluster::apply`] ->
//! [`pipeline::wait`] -> [`pipeline::verify`]. `render` and `install --dry-run` are the same pipeline, cut
//! earlier. What may be decided without the cluster is pure and tested as such.

pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod delivery;
pub mod doctor;
pub mod exposure;
pub mod facts;
pub mod pipeline;
pub mod plan;
pub mod preflight;
pub mod rights;
pub mod secrets;
pub mod settings;
