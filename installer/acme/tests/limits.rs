//! A CA that limits how often it is asked. Pebble knows no such limits, so a
//! small server plays the CA as far as the refusal.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use silica_acme::{Account, account, dns::Resolver};
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    leaf::LeafRequest,
};

/// How it refuses.
#[derive(Clone, Copy)]
enum Refusal {
    /// As RFC 8555 section 6.6 has it.
    Problem,
    /// As what stands in front of a CA does when that is overloaded.
    Page,
}

/// Answers until the test ends; returns the directory and the CA of its TLS
/// certificate.
fn start(refusal: Refusal) -> (String, String) {
    let now = time::OffsetDateTime::now_utc();
    let names = vec!["localhost".to_owned()];
    let authority = Authority::create(&AuthorityRequest::new(names.clone(), Vec::new()), now).unwrap();
    let leaf = authority.issue(&LeafRequest::new(names), now).unwrap();
    let chain = CertificateDer::pem_slice_iter(leaf.chain_pem().as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().expose().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let directory = format!("{base}/directory");
    thread::spawn(move || {
        for tcp in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // A client that goes away ends its own connection only.
            let _ = answer(StreamOwned::new(connection, tcp.unwrap()), &base, refusal);
        }
    });
    (directory, authority.certificate_pem().to_owned())
}

fn answer(
    stream: StreamOwned<ServerConnection, TcpStream>,
    base: &str,
    refusal: Refusal,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let (status, header, body) = match (first.split(' ').nth(1).unwrap_or_default(), refusal) {
        ("/directory", Refusal::Problem) => (
            "200 OK",
            "content-type: application/json",
            format!(
                r#"{{"newNonce": "{base}/nonce", "newAccount": "{base}/account", "newOrder": "{base}/order"}}"#
            ),
        ),
        ("/nonce", Refusal::Problem) => ("200 OK", "replay-nonce: bm9uY2U", String::new()),
        (_, Refusal::Problem) => (
            "429 Too Many Requests",
            "retry-after: 5400\r\nreplay-nonce: bm9uY2Uy\r\ncontent-type: application/problem+json",
            r#"{"type": "urn:ietf:params:acme:error:rateLimited", "status": 429, "detail": "too many"}"#
                .into(),
        ),
        (_, Refusal::Page) => (
            "503 Service Unavailable",
            "retry-after: 120\r\ncontent-type: text/html",
            "<html>busy</html>".to_owned(),
        ),
    };
    let stream = reader.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

async fn refused(refusal: Refusal) -> account::Error {
    let (directory, roots) = start(refusal);
    let request = account::Request {
        directory: &directory.parse().unwrap(),
        roots: Some(&roots),
        email: None,
        external: None,
    };
    match Account::create(&request, &Resolver::system(Vec::new())).await {
        Err(error) => error,
        Ok(_) => panic!("there is no CA"),
    }
}

#[tokio::test]
async fn a_limit_comes_with_the_time_at_which_it_ends() {
    let error = refused(Refusal::Problem).await;
    assert_eq!(error.problem(), Some("rateLimited"), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_mins(90)));
}

#[tokio::test]
async fn so_does_a_refusal_that_is_no_problem_document() {
    let error = refused(Refusal::Page).await;
    assert_eq!(error.problem(), None, "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::from_mins(2)));
}
