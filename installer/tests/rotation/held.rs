//! Connections that are held all the time: a download without end and a
//! WebSocket, through the proxy to a sandbox whose pod is played here.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::ApiResource,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::json;
use silica::exposure::https;
use silica_api::{crd::Sandbox, labels};
use silica_certs::inspect;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{fleet, harness::Harness};

/// Time between two pieces of a stream.
const BEAT: Duration = Duration::from_millis(50);
const NAMESPACE: &str = "default";
const NAME: &str = "held";

fn connector(roots: RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn connect(port: u16, host: &str, roots: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root.unwrap()).unwrap();
    }
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    connector(store).connect(name, stream).await
}

/// Whether a client with these roots is served.
pub(crate) async fn accepts(port: u16, roots: &str) -> bool {
    let host = format!("api.{}", fleet::DOMAIN);
    connect(port, &host, roots).await.is_ok()
}

/// Fingerprint of what a server serves, whoever signed it.
pub(crate) async fn fingerprint(port: u16) -> Option<String> {
    let host = format!("api.{}", fleet::DOMAIN);
    let address = Ipv4Addr::LOCALHOST.to_string();
    let chain = https::served_chain(&host, &address, port).await.ok()?;
    Some(inspect::parse_der(chain.first()?).ok()?.fingerprint)
}

/// The held connections and how often their data came.
pub(crate) struct Held {
    download: Arc<AtomicU64>,
    socket: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<&'static str>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Held {
    /// Makes the sandbox and connects. Needs a controller at work.
    pub(crate) async fn start(harness: &Harness, port: u16, roots: &str) -> Self {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let upstream_port = upstream.local_addr().unwrap().port();
        let serving = tokio::spawn(serve(upstream));
        create_sandbox(harness).await;
        let host = format!("{upstream_port}-{NAMESPACE}--{NAME}.{}", fleet::DOMAIN);
        fleet::eventually("the sandbox is reached through the proxy", async || {
            ask(port, &host, roots)
                .await
                .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        })
        .await;
        let (download, socket) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let stream = connect(port, &host, roots).await.unwrap();
        let downloading = tokio::spawn(hold_download(stream, host.clone(), Arc::clone(&download)));
        let stream = connect(port, &host, roots).await.unwrap();
        let talking = tokio::spawn(hold_socket(stream, host, Arc::clone(&socket)));
        Self {
            download,
            socket,
            tasks: vec![serving, downloading, talking],
        }
    }

    /// Pieces that came by the download, and echoes of the WebSocket, so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.download.load(Ordering::Relaxed),
            self.socket.load(Ordering::Relaxed),
        )
    }

    /// Checks that both are still alive, by new data.
    pub(crate) async fn verify_alive(&self) {
        let (download, socket) = self.counts();
        fleet::eventually("the held connections bring data", async || {
            let (now, now_socket) = self.counts();
            now > download && now_socket > socket
        })
        .await;
        assert!(
            self.tasks.iter().all(|task| !task.is_finished()),
            "a held connection ended"
        );
    }
}

async fn create_sandbox(harness: &Harness) {
    let resource = ApiResource::erase::<Sandbox>(&());
    let sandboxes: Api<DynamicObject> = Api::namespaced_with(harness.client(), NAMESPACE, &resource);
    let sandbox = serde_json::from_value(json!({
        "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
        "metadata": {"name": NAME, "labels": {labels::CLAIMED: "true"}},
        "spec": {"template": {"spec": {"schedulerName": "played-by-the-test",
            "containers": [{"name": "sandbox", "image": "silica.invalid/none:1"}]}}},
    }))
    .unwrap();
    sandboxes.create(&PostParams::default(), &sandbox).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(harness.client(), NAMESPACE);
    fleet::eventually("the sandbox has a pod", async || {
        pods.get_opt(NAME).await.unwrap().is_some()
    })
    .await;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST).to_string();
    let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}]}});
    pods.patch_status(NAME, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

/// Removes what [`Held::start`] made.
pub(crate) async fn remove(harness: &Harness) {
    let pods: Api<Pod> = Api::namespaced(harness.client(), NAMESPACE);
    let resource = ApiResource::erase::<Sandbox>(&());
    let sandboxes: Api<DynamicObject> = Api::namespaced_with(harness.client(), NAMESPACE, &resource);
    let at_once = DeleteParams::default().grace_period(0);
    let _ = sandboxes.delete(NAME, &at_once).await;
    let _ = pods.delete(NAME, &at_once).await;
}

async fn ask(port: u16, host: &str, roots: &str) -> Option<String> {
    let mut stream = connect(port, host, roots).await.ok()?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = vec![0; 64];
    let read = stream.read(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer[..read]).into_owned())
}

async fn hold_download(
    mut stream: TlsStream<TcpStream>,
    host: String,
    pieces: Arc<AtomicU64>,
) -> &'static str {
    let request = format!("GET /stream HTTP/1.1\r\nhost: {host}\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return "the request failed";
    }
    let mut piece = vec![0; 4096];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return "the download ended",
            Ok(_) => pieces.fetch_add(1, Ordering::Relaxed),
        };
    }
}

async fn hold_socket(mut stream: TlsStream<TcpStream>, host: String, echoes: Arc<AtomicU64>) -> &'static str {
    let request = format!(
        "GET /socket HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut answer = [0; 1024];
    if stream.write_all(request.as_bytes()).await.is_err() {
        return "the request failed";
    }
    match stream.read(&mut answer).await {
        Ok(read) if answer[..read].starts_with(b"HTTP/1.1 101") => {}
        _ => return "no upgrade",
    }
    // A whole frame: final, text, masked with zeros, one letter.
    let frame = [0x81, 0x81, 0, 0, 0, 0, b'x'];
    loop {
        if stream.write_all(&frame).await.is_err() {
            return "the WebSocket ended";
        }
        match stream.read(&mut answer).await {
            Ok(0) | Err(_) => return "the WebSocket ended",
            Ok(_) => echoes.fetch_add(1, Ordering::Relaxed),
        };
        tokio::time::sleep(BEAT).await;
    }
}

/// The program in the sandbox.
async fn serve(listener: TcpListener) -> &'static str {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return "the upstream ended";
        };
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    match head.split(' ').nth(1) {
        Some("/stream") => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            loop {
                stream.write_all(b"4\r\ntick\r\n").await?;
                tokio::time::sleep(BEAT).await;
            }
        }
        Some("/socket") => {
            stream
                .write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                )
                .await?;
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.map(|_| ())
        }
        _ => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                .await
        }
    }
}
