//! Why settings are refused.

use std::{io, path::PathBuf};

use silica_api::types;
use silica_certs::key::UnknownKeyType;
use silica_core::api_key;
use silica_registry::AddressError;

use super::layer::Origin;
use crate::exposure::address;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("failed to read {what} {}", path.display())]
    ReadFile {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The settings file is not what it should be.
    #[error("failed to understand the settings file {}: {why}", path.display())]
    ParseFile { path: PathBuf, why: String },
    /// A key that no parameter has.
    #[error("{origin}: there is no parameter {key}{}", nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default())]
    UnknownKey {
        origin: Origin,
        key: String,
        nearest: Option<&'static str>,
    },
    /// A value of the wrong type or out of its range.
    #[error("{origin}: {key} must be {expected}, not {found}")]
    Value {
        origin: Origin,
        key: String,
        expected: String,
        found: String,
    },
    /// A value makes sense only together with another.
    #[error("{origin}: {key} needs {needs}, but that is {is} ({because})")]
    Conflict {
        origin: Origin,
        key: &'static str,
        needs: &'static str,
        is: String,
        because: Origin,
    },
    /// Without a cluster nobody can look for an image that its nodes have.
    #[error("--images configmap without a cluster to look at needs --borrow-image IMAGE")]
    NoBorrowedImage,
    /// The values do not fit their types.
    #[error("failed to read the values")]
    Typed(#[source] serde_json::Error),
    /// No domain anywhere.
    #[error("no domain is given")]
    NoDomain,
    /// A name is not valid.
    #[error("{origin}: failed to accept the {what}")]
    Name {
        what: &'static str,
        origin: Origin,
        source: types::Error,
    },
    /// A domain with letters that no domain may have.
    #[error("{origin}: failed to write domain {domain:?} in the letters of DNS")]
    Letters { origin: Origin, domain: String },
    /// A key that the server certificate cannot have.
    #[error("{origin}: failed to accept the key type")]
    KeyType { origin: Origin, source: UnknownKeyType },
    /// The registry's address is not one.
    #[error("{origin}: failed to accept the registry")]
    Registry { origin: Origin, source: AddressError },
    /// Neither an address nor a host name.
    #[error("{origin}: failed to accept the address of the installation")]
    Address {
        origin: Origin,
        source: address::NotAnAddress,
    },
    /// Nothing says which Gateway.
    #[error(
        "{origin}: exposure by gateway needs either gateway.className (--gateway-class NAME) or gateway.name (--gateway NAMESPACE/NAME)"
    )]
    Gateway { origin: Origin },
    /// The administrator's key is not usable.
    #[error("failed to accept the administrator's API key")]
    AdminKey(#[from] api_key::Error),
}
