//! A small HTTPS client that connects to a given address while asking for a
//! given host, as a client behind working DNS would.

mod anybody;

use std::{error::Error as _, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use silica_api::{names, ports};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use self::anybody::{get, served_chain};
use crate::{
    cluster::{Cluster, reason},
    exposure::address::Route,
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take; creating a sandbox may wait for a free one.
const ANSWER: Duration = Duration::from_secs(90);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("failed to connect to {route}: {why}")]
    Connect { route: String, why: String },
    /// The TLS handshake failed.
    #[error("TLS handshake with {host} at {route} failed: {why}")]
    Tls {
        host: String,
        route: String,
        why: String,
    },
    /// The request failed on its way.
    #[error("failed to send {method} https://{host}{path}: {why}")]
    Send {
        method: Method,
        host: String,
        path: String,
        why: String,
    },
    /// The trusted certificates cannot be used.
    #[error("failed to use the trusted certificates: {why}")]
    Trust { why: String },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Whom to trust.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// These CA certificates (PEM).
    Roots(&'a str),
    /// The CAs of this machine: the served certificate is somebody else's.
    System,
    /// Whoever answers; for looking at what is served, never for sending keys.
    Anybody,
}

impl<'a> Trust<'a> {
    /// What clients of an installation trust: the roots that they need, or the CAs of
    /// this machine when they need none.
    pub fn of(client_roots: Option<&'a str>) -> Self {
        match client_roots {
            Some(roots) if !roots.trim().is_empty() => Self::Roots(roots),
            _ => Self::System,
        }
    }
}

/// A client for one installation.
#[derive(Clone)]
pub struct Client {
    cluster: Cluster,
    route: Route,
    tls: TlsConnector,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

impl Client {
    /// A client that connects by this route.
    pub fn new(cluster: &Cluster, route: Route, trust: Trust<'_>) -> Result<Self, Error> {
        Ok(Self {
            cluster: cluster.clone(),
            route,
            tls: TlsConnector::from(Arc::new(tls_config(trust)?)),
        })
    }

    /// The route it connects by.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Sends one request on a connection of its own and reads the whole answer.
    pub async fn request(
        &self,
        method: Method,
        host: &str,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Error> {
        let failed = |why: String| Error::Send {
            method: method.clone(),
            host: host.into(),
            path: path.into(),
            why,
        };
        let stream = self.handshake(host).await?;
        let exchange = exchange(stream, method.clone(), host, path, headers, body.into());
        match timeout(ANSWER, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failed(reason(&error))),
            Err(_) => Err(failed(format!("no answer within {} s", ANSWER.as_secs()))),
        }
    }

    /// The certificate that is served for a host, in DER.
    pub async fn served_certificate(&self, host: &str) -> Result<CertificateDer<'static>, Error> {
        let stream = self.handshake(host).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        chain
            .first()
            .map(|first| first.clone().into_owned())
            .ok_or_else(|| self.tls_failure(host, "no certificate was sent"))
    }

    fn tls_failure(&self, host: &str, why: impl Into<String>) -> Error {
        Error::Tls {
            host: host.into(),
            route: self.route.to_string(),
            why: why.into(),
        }
    }

    async fn handshake(&self, host: &str) -> Result<TlsStream<Box<dyn Stream>>, Error> {
        let refused = |why: String| Error::Connect {
            route: self.route.to_string(),
            why,
        };
        let stream = match timeout(CONNECT, self.dial()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(refused(why)),
            Err(_) => return Err(refused(format!("no answer within {} s", CONNECT.as_secs()))),
        };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| self.tls_failure(host, "not a host name"))?;
        match timeout(CONNECT, self.tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.tls_failure(host, tls_reason(&error))),
            Err(_) => Err(self.tls_failure(host, format!("no answer within {} s", CONNECT.as_secs()))),
        }
    }

    async fn dial(&self) -> Result<Box<dyn Stream>, String> {
        match &self.route {
            Route::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(|error| error.to_string())?;
                Ok(Box::new(stream))
            }
            Route::Forward { pod } => {
                let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), names::NAMESPACE);
                let port = ports::MANAGER_HTTPS.number;
                let mut forwarder = api
                    .portforward(pod, &[port])
                    .await
                    .map_err(|error| reason(&error))?;
                let stream = forwarder
                    .take_stream(port)
                    .ok_or("the API server forwards no stream")?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Sends one request and reads the whole answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: Method,
    host: &str,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.headers_mut() = headers;
    if let Ok(value) = host.parse() {
        request.headers_mut().insert(header::HOST, value);
    }
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(Answer { status, body })
}

fn tls_reason(error: &io::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn tls_config(trust: Trust<'_>) -> Result<ClientConfig, Error> {
    let failed = |why: String| Error::Trust { why };
    let mut roots = RootCertStore::empty();
    let config = ClientConfig::builder();
    match trust {
        Trust::Anybody => {
            let provider = config.crypto_provider().clone();
            let verifier = Arc::new(Observer { provider });
            return Ok(config
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth());
        }
        Trust::Roots(pem) => {
            for certificate in
                silica_certs::pem::certificates(pem).map_err(|error| failed(error.to_string()))?
            {
                roots
                    .add(certificate)
                    .map_err(|error| failed(error.to_string()))?;
            }
        }
        Trust::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Accepts every certificate, so that the one that is served can be looked at.
#[derive(Debug)]
struct Observer {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Observer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
