//! The HTTPS client for the CA: bounded in time and size, with roots that can
//! be chosen, and names resolved without the C library, which in a statically
//! linked program has no resolver of its own.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, header::RETRY_AFTER};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::time::timeout;
use tower::Service;

use crate::dns::Resolver;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);
/// Far more than the longest chain.
const ANSWER_MAX: usize = 1 << 20;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The given roots are no certificates.
    #[error("failed to read the CA certificates for the directory: {0}")]
    Roots(String),
    /// There are none in the text.
    #[error("there is no certificate in what was given as CA of the directory")]
    NoRoots,
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[source] rustls::Error),
}

/// What the CA said last in `Retry-After`.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<Duration>>);

impl Pace {
    /// The pause, which is forgotten by asking.
    pub(crate) fn take(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, headers: &HeaderMap) {
        let now = OffsetDateTime::now_utc();
        let pause = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, now));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pause;
    }
}

/// Seconds or a date (RFC 9110 section 10.2.3).
fn retry_after(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some((moment - now).try_into().unwrap_or(Duration::ZERO))
}

type Connector = HttpsConnector<HttpConnector<Lookup>>;

/// The client.
pub(crate) struct Transport {
    client: legacy::Client<Connector, BodyWrapper<Bytes>>,
    pace: Arc<Pace>,
}

impl Transport {
    /// Trusts the CAs of this machine (those of the browsers where it has
    /// none), or only those of `roots_pem`.
    pub(crate) fn new(roots_pem: Option<&str>, resolver: Resolver, pace: Arc<Pace>) -> Result<Self, Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots(roots_pem)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Lookup(resolver));
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            // None is kept: the CA closes connections while records spread, and a
            // request must not be lost to that.
            client: legacy::Builder::new(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
            pace,
        })
    }
}

fn roots(given: Option<&str>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    if let Some(text) = given {
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(|error| Error::Roots(error.to_string()))?;
            store
                .add(certificate)
                .map_err(|error| Error::Roots(error.to_string()))?;
        }
        return if store.is_empty() {
            Err(Error::NoRoots)
        } else {
            Ok(store)
        };
    }
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        // A container of its own has no files.
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(store)
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let answer = self.client.request(request);
        let pace = Arc::clone(&self.pace);
        let whole = async move {
            let (parts, body) = answer.await?.into_parts();
            pace.note(&parts.headers);
            let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(BytesResponse {
                parts,
                body: Box::new(body),
            })
        };
        Box::pin(async move {
            let answered = timeout(REQUEST, whole)
                .await
                .unwrap_or_else(|_elapsed| Err(format!("no answer within {} s", REQUEST.as_secs()).into()));
            answered.map_err(instant_acme::Error::Other)
        })
    }
}

/// Looks the CA's name up with our own resolver.
#[derive(Clone)]
struct Lookup(Resolver);

impl Service<Name> for Lookup {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = crate::dns::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.0.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            let sockets: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(sockets.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_in_seconds_or_as_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after("Fri, 15 Jan 2027 08:01:00 GMT", now),
            Some(Duration::from_mins(1))
        );
        assert_eq!(
            retry_after("Fri, 15 Jan 2027 07:00:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn given_roots_replace_those_of_the_machine() {
        assert!(matches!(roots(Some("no certificate")), Err(Error::NoRoots)));
        assert!(!roots(None).unwrap().is_empty());
    }
}
