//! The served certificate: read from a Secret, swapped without a restart.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::secret::Data;

/// Why a Secret gives no certificate. No variant carries key material.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An entry is not there.
    #[error("the entry {0:?} is missing")]
    Missing(&'static str),
    /// An entry is no PEM of its kind.
    #[error("the entry {0:?} holds no readable PEM")]
    Pem(&'static str),
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
    let chain: Vec<_> = CertificateDer::pem_slice_iter(entry("tls.crt")?)
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Pem("tls.crt"))?;
    if chain.is_empty() {
        return Err(Error::Pem("tls.crt"));
    }
    let key = PrivateKeyDer::from_pem_slice(entry("tls.key")?).map_err(|_| Error::Pem("tls.key"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(Error::Pair)
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
