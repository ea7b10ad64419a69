//! A registry and how it is reached.

use std::{path::PathBuf, time::Duration};

use crate::{Address, Credentials, Error};

/// How long a connection may take to be made.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// How long the registry may be silent.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);

/// How the registry is spoken to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transport {
    /// Without TLS.
    pub plain_http: bool,
    /// PEM file with a CA to trust beside those of this machine.
    pub ca: Option<PathBuf>,
}

/// A registry, spoken to with credentials.
pub struct Registry {
    pub(crate) address: Address,
    pub(crate) credentials: Credentials,
    pub(crate) plain_http: bool,
    /// A CA to trust beside those of this machine, as PEM.
    pub(crate) ca: Option<Vec<u8>>,
    /// For what is asked before and beside the registry's own protocol.
    pub(crate) http: reqwest::Client,
}

impl Registry {
    /// Prepares a client; nothing is sent yet.
    pub fn new(address: Address, transport: &Transport, credentials: Credentials) -> Result<Self, Error> {
        let ca = match &transport.ca {
            None => None,
            Some(path) => Some(std::fs::read(path).map_err(|source| Error::ReadFile {
                what: "the registry's CA",
                path: path.clone(),
                source,
            })?),
        };
        let unusable = |error: reqwest::Error| Error::Unreachable {
            registry: address.host().to_owned(),
            why: error.to_string(),
        };
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if let Some(pem) = &ca {
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(unusable)?);
        }
        Ok(Self {
            http: http.build().map_err(unusable)?,
            address,
            credentials,
            plain_http: transport.plain_http,
            ca,
        })
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.plain_http { "http" } else { "https" }
    }
}
