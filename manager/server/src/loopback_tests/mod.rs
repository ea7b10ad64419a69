//! The server on real sockets of the loopback interface: real HTTP servers play
//! the sandboxes, real HTTP clients the SDKs. The view of the cluster is filled by
//! hand; the Kubernetes API is a closed port, as during an outage.

mod certificates;
mod proxy;
mod rest;
mod streams;

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, channel::mpsc};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Incoming, client::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::ByteString;
use kube::Client;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use silica_api::labels;
use silica_core::token::TokenKey;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, api,
    config::Auth,
    listener::{Listener, Server},
    state::App,
    store::{Entry, Store},
    tls::{self, Certificates},
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LIMIT: Duration = Duration::from_secs(10);

struct Fixture {
    app: Arc<App>,
    address: SocketAddr,
    _stop: tokio_util::sync::DropGuard,
}

async fn serve(auth: Auth, certificates: Option<Arc<Certificates>>) -> Fixture {
    let anywhere = SocketAddr::new(LOCALHOST, 0);
    let config = Config {
        domains: vec!["sbx.example.com".parse().unwrap()],
        namespace: "sandbox-system".parse().unwrap(),
        http: anywhere,
        https: None,
        admin: anywhere,
        auth,
        max_timeout: 3600,
        token_key: TokenKey::new(&[7; 32]).unwrap(),
        shutdown_delay: Duration::ZERO,
        drain: Duration::ZERO,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let closed = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let app = Arc::new(App::new(config, Client::try_from(closed).unwrap()));
    let socket = TcpListener::bind(anywhere).await.unwrap();
    let address = socket.local_addr().unwrap();
    let tls = certificates
        .map(|certificates| TlsAcceptor::from(Arc::new(tls::server_config(certificates).unwrap())));
    let server = Server::new(Arc::clone(&app), api::router(Arc::clone(&app)));
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move { server.accept(&Listener { socket, tls }, stopped).await });
    Fixture {
        app,
        address,
        _stop: stop.drop_guard(),
    }
}

fn add_sandbox(store: &Arc<Store>, name: &str, annotations: &Value) -> Arc<Entry> {
    add_sandbox_at(LOCALHOST, store, name, annotations)
}

fn add_sandbox_at(address: IpAddr, store: &Arc<Store>, name: &str, annotations: &Value) -> Arc<Entry> {
    let sandbox = serde_json::from_value(sandbox(address, name, annotations)).unwrap();
    store.apply(Entry::new(sandbox).unwrap())
}

/// A claimed sandbox that runs.
fn sandbox(address: IpAddr, name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "agents.kruise.io/v1alpha1",
        "kind": "Sandbox",
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "5",
            "labels": { labels::POOL: "code", labels::CLAIMED: "true" }, "annotations": annotations,
        },
        "spec": { "template": {} },
        "status": {
            "phase": "Running", "podInfo": { "podIP": address },
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        },
    })
}

/// A server inside a sandbox; returns its port and counts its connections.
async fn upstream<F, R>(answer: F) -> (u16, Arc<AtomicUsize>)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                let _ = connection.with_upgrades().await;
            });
        }
    });
    (port, connections)
}

/// A body that the test feeds frame by frame.
fn fed_body() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(4);
    let frames = receiver.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    (sender, Body::new(StreamBody::new(frames)))
}

async fn client(address: SocketAddr) -> conn::http1::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

fn request(host: &str, path: &str) -> http::request::Builder {
    Request::builder().uri(path).header(header::HOST, host)
}

fn host(port: u16, name: &str) -> String {
    format!("{port}-default--{name}.sbx.example.com")
}

async fn get(address: SocketAddr, host: &str, path: &str) -> (StatusCode, HeaderMap, Bytes) {
    let response = client(address)
        .await
        .send_request(request(host, path).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    (
        parts.status,
        parts.headers,
        body.collect().await.unwrap().to_bytes(),
    )
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(bytes)))
}
