//! The commands, one file each: their flags, their help, and their steps.

pub mod certs;
pub mod check;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod env;
pub mod images;
pub mod install;
pub mod man;
pub mod rbac;
pub mod render;
pub mod rotate_certs;
pub mod status;
pub mod support;
pub mod uninstall;
pub mod verify_dns;
pub mod version;

use crate::{
    cli::error::Error,
    cluster::{
        Cluster,
        inventory::{self, Inventory},
    },
};

/// The inventory of the installation that a command needs.
pub(crate) async fn read_installed(cluster: &Cluster) -> Result<Inventory, Error> {
    inventory::read(cluster).await?.ok_or(Error::NotInstalled)
}
