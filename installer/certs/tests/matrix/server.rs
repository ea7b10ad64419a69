//! TLS servers that send any chain, good or bad.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{ServerConfig, ServerConnection};

use crate::clients::SOURCES;
use crate::made::Served;

/// Sends its chain to everybody; does not look at it, as rustls' own would.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A server that runs until this is dropped, or the process ends.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// Its standard input is closed with this, and with it the server ends.
    _process: Option<Child>,
}

/// Starts a server on a free port of this machine. Keys that ring does not load
/// are served by OpenSSL, in Python.
pub(crate) fn start(served: &Served, folder: &Path) -> Server {
    let key = PrivateKeyDer::from_pem_slice(served.key.as_bytes()).unwrap();
    match ring::sign::any_supported_type(&key) {
        Ok(key) => Server {
            port: rustls(served, key),
            _process: None,
        },
        Err(_) => openssl(served, folder),
    }
}

fn openssl(served: &Served, folder: &Path) -> Server {
    let (chain, key) = (folder.join("served.pem"), folder.join("served.key"));
    std::fs::write(&chain, &served.chain).unwrap();
    std::fs::write(&key, &served.key).unwrap();
    let mut child = Command::new("python3")
        .arg(format!("{SOURCES}/server.py"))
        .args([chain, key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    Server {
        port: line.trim().parse().unwrap(),
        _process: Some(child),
    }
}

fn rustls(served: &Served, key: Arc<dyn SigningKey>) -> u16 {
    let chain = CertificateDer::pem_slice_iter(served.chain.as_bytes());
    let certified = CertifiedKey::new(chain.collect::<Result<_, _>>().unwrap(), key);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(certified))));
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream, config.clone());
        }
    });
    port
}

/// Ends when the client has made up its mind.
fn serve(mut stream: TcpStream, config: Arc<ServerConfig>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let Ok(mut connection) = ServerConnection::new(config) else {
        return;
    };
    while connection.is_handshaking() {
        // A client that refuses goes away.
        if connection.complete_io(&mut stream).is_err() {
            return;
        }
    }
    connection.send_close_notify();
    let _ = connection.complete_io(&mut stream);
    let _ = stream.flush();
}
