//! The served certificate: read from a Secret, swapped without a restart.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use silica_api::names;
use silica_certs::pem;

use crate::secret::Data;

/// Why a Secret gives no certificate. No variant carries key material.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An entry is not there.
    #[error("the entry {0:?} is missing")]
    Missing(&'static str),
    /// An entry is no PEM of its kind.
    #[error("failed to read the entry {entry:?}")]
    Pem {
        /// Its name.
        entry: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The key does not belong to the certificate, or is of an unknown kind.
    #[error("the certificate and the key do not fit")]
    Pair(#[source] rustls::Error),
    /// The protocol versions could not be set up.
    #[error("failed to set up TLS")]
    Setup(#[source] rustls::Error),
}

/// Serves the newest good certificate; new connections see a change at once,
/// those in flight are not touched.
#[derive(Debug, Default)]
pub(crate) struct Certificates(ArcSwapOption<CertifiedKey>);

impl Certificates {
    /// Takes the certificate of a `kubernetes.io/tls` Secret. On an error the one
    /// before stays in use.
    pub(crate) fn replace(&self, data: &Data) -> Result<(), Error> {
        self.0.store(Some(Arc::new(read_pair(data)?)));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

fn read_pair(data: &Data) -> Result<CertifiedKey, Error> {
    let entry = |name| data.get(name).ok_or(Error::Missing(name));
    // By the reader that judges and writes the Secret, so that no command calls a certificate good
    // that is not served.
    let bad = |entry| move |source| Error::Pem { entry, source };
    let chain = pem::text(entry(names::TLS_CERTIFICATE)?)
        .and_then(|text| pem::certificates(&text))
        .map_err(bad(names::TLS_CERTIFICATE))?;
    let key = pem::text(entry(names::TLS_PRIVATE_KEY)?)
        .and_then(|text| pem::private_key(&text))
        .map_err(bad(names::TLS_PRIVATE_KEY))?;
    CertifiedKey::from_der(chain, key.clone_key(), &ring::default_provider()).map_err(Error::Pair)
}

/// Settings of the TLS listener.
pub(crate) fn server_config(certificates: Arc<Certificates>) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
