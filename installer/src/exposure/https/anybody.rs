//! Connections to whoever answers at an address, trusted or not, without a cluster.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Answer, CONNECT, Error, Trust, exchange, tls_config, tls_reason};
use crate::cluster::reason;

/// The chain that a server at an address sends when it is asked for a host,
/// trusted or not. Needs no cluster.
pub async fn served_chain(
    host: &str,
    address: &str,
    port: u16,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let stream = open(host, address, port).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|one| one.clone().into_owned()).collect())
}

/// What a server at an address answers for a host, whoever it is: nothing secret may be
/// sent this way. Needs no cluster.
pub async fn get(host: &str, address: &str, port: u16, path: &str) -> Result<Answer, Error> {
    let failed = |why: String| Error::Send {
        method: Method::GET,
        host: host.into(),
        path: path.into(),
        why,
    };
    let stream = open(host, address, port).await?;
    let exchange = exchange(stream, Method::GET, host, path, HeaderMap::new(), Bytes::new());
    match timeout(CONNECT, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(reason(&error))),
        Err(_) => Err(failed(format!("no answer within {} s", CONNECT.as_secs()))),
    }
}

/// A TLS connection to whoever answers.
async fn open(host: &str, address: &str, port: u16) -> Result<TlsStream<TcpStream>, Error> {
    let route = format!("{address}:{port}");
    let refused = |why: String| Error::Connect {
        route: route.clone(),
        why,
    };
    let failed = |why: String| Error::Tls {
        host: host.into(),
        route: route.clone(),
        why,
    };
    let late = || format!("no answer within {} s", CONNECT.as_secs());
    let name = ServerName::try_from(host.to_owned()).map_err(|_| failed("not a host name".into()))?;
    let stream = timeout(CONNECT, TcpStream::connect((address, port)))
        .await
        .map_err(|_| refused(late()))?
        .map_err(|error| refused(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(tls_config(Trust::Anybody)?));
    timeout(CONNECT, connector.connect(name, stream))
        .await
        .map_err(|_| failed(late()))?
        .map_err(|error| failed(tls_reason(&error)))
}
