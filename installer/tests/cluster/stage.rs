//! What the nodes would do, played: Deployments that look rolled out, a pool with a
//! sandbox, an address, and behind it an API that counts the sandboxes it makes.

use std::{
    net::Ipv4Addr,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Node, Secret, Service},
    networking::v1::Ingress,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use silica_api::{crd::SandboxSet, names};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::harness::Harness;

const PAUSE: Duration = Duration::from_millis(100);
const NODE: &str = "silica-stage";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);

/// Runs the binary while Deployments look rolled out and the Ingress has an address.
pub(crate) async fn served(harness: &Harness, args: &[&str]) -> Output {
    let mut child = harness.start(args);
    while child.try_wait().unwrap().is_none() {
        play(harness).await;
        tokio::time::sleep(PAUSE).await;
    }
    child.wait_with_output().unwrap()
}

/// The cluster takes a node that is silent for one that is gone.
async fn play_node(harness: &Harness) {
    let nodes: Api<Node> = Api::all(harness.client());
    let room = json!({"cpu": "16", "memory": "64Gi", "pods": "110"});
    let status = json!({"status": {"capacity": room, "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": ADDRESS.to_string()}]}});
    // Only some tests have it.
    let _ = nodes
        .patch_status(NODE, &PatchParams::default(), &Patch::Merge(status))
        .await;
}

async fn play(harness: &Harness) {
    play_node(harness).await;
    let params = PatchParams::default();
    let deployments: Api<Deployment> = Api::namespaced(harness.client(), names::NAMESPACE);
    for deployment in deployments.list(&ListParams::default()).await.unwrap() {
        let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let status = json!({"status": {"observedGeneration": deployment.metadata.generation,
            "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas,
            "availableReplicas": replicas, "unavailableReplicas": null}});
        let name = deployment.metadata.name.unwrap();
        // It may go at any moment.
        let _ = deployments
            .patch_status(&name, &params, &Patch::Merge(status))
            .await;
    }
    let ingresses: Api<Ingress> = Api::namespaced(harness.client(), names::NAMESPACE);
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}});
    let _ = ingresses
        .patch_status(names::MANAGER, &params, &Patch::Merge(status))
        .await;
    let sets: Api<SandboxSet> = Api::namespaced(harness.client(), "default");
    // Absent until the phase of templates.
    if let Ok(found) = sets.list(&ListParams::default()).await {
        for set in found {
            let status = json!({"status": {"replicas": 1, "availableReplicas": 1}});
            let _ = sets
                .patch_status(&set.metadata.name.unwrap(), &params, &Patch::Merge(status))
                .await;
        }
    }
}

#[derive(Default)]
struct Seen {
    sandboxes: AtomicUsize,
    refuses: AtomicBool,
}

/// An API at the port of a node. What it made in the cluster is removed by [`Stage::remove`].
pub(crate) struct Stage {
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    /// Serves the certificate of the installation that is there.
    pub(crate) async fn open(harness: &Harness) -> Self {
        let services: Api<Service> = Api::namespaced(harness.client(), names::NAMESPACE);
        let service = services.get(names::MANAGER_DIRECT).await.unwrap();
        let ports = service.spec.unwrap().ports.unwrap();
        let port = ports.iter().find(|port| port.port == 443).unwrap();
        let port = u16::try_from(port.node_port.unwrap()).unwrap();
        let listener = TcpListener::bind((ADDRESS, port)).await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config(harness).await));
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(serve(listener, acceptor, Arc::clone(&seen)));

        let nodes: Api<Node> = Api::all(harness.client());
        let _ = nodes.delete(NODE, &DeleteParams::default()).await;
        // Where there are real nodes, nothing is to be scheduled here.
        let unschedulable = !nodes.list(&ListParams::default()).await.unwrap().items.is_empty();
        let node = json!({"metadata": {"name": NODE}, "spec": {"unschedulable": unschedulable}});
        let node = serde_json::from_value(node).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        // The cluster keeps pods off a node until it has seen that it is ready.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            play_node(harness).await;
            let spec = nodes.get(NODE).await.unwrap().spec.unwrap();
            if unschedulable || spec.taints.unwrap_or_default().is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "the node stays tainted");
            tokio::time::sleep(PAUSE).await;
        }
        Self { seen, task }
    }

    /// How many sandboxes were made through the API.
    pub(crate) fn sandboxes(&self) -> usize {
        self.seen.sandboxes.load(Ordering::SeqCst)
    }

    /// Lets every creation of a sandbox fail, or work again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.seen.refuses.store(refuses, Ordering::SeqCst);
    }

    pub(crate) async fn remove(self, harness: &Harness) {
        let nodes: Api<Node> = Api::all(harness.client());
        nodes.delete(NODE, &DeleteParams::default()).await.unwrap();
    }
}

async fn config(harness: &Harness) -> ServerConfig {
    let secrets: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let data = secrets.get(names::TLS_SECRET).await.unwrap().data.unwrap();
    let chain = CertificateDer::pem_slice_iter(&data["tls.crt"].0)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(&data["tls.key"].0).unwrap();
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // Whoever looks at the certificate alone hangs up.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut stream = BufReader::new(stream);
            let mut request = String::new();
            if stream.read_line(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            let _ = stream.read_exact(&mut body).await;
            let (status, body) = answer(&request, &seen);
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        });
    }
}

fn answer(request: &str, seen: &Seen) -> (u16, Vec<u8>) {
    match request.rsplit_once(' ').map_or("", |(start, _)| start) {
        "GET /health" => (200, Vec::new()),
        "POST /sandboxes" if seen.refuses.load(Ordering::SeqCst) => (503, b"the pool is empty".to_vec()),
        "POST /sandboxes" => {
            seen.sandboxes.fetch_add(1, Ordering::SeqCst);
            (201, br#"{"sandboxID": "default--played"}"#.to_vec())
        }
        "POST /process.Process/Start" => {
            let said = STANDARD.encode("silica works\n");
            let parts = [
                envelope(0, &json!({"event": {"data": {"stdout": said}}})),
                envelope(0, &json!({"event": {"end": {"exitCode": 0}}})),
                envelope(2, &json!({})),
            ];
            (200, parts.concat())
        }
        "DELETE /sandboxes/default--played" => (204, Vec::new()),
        _ => (404, Vec::new()),
    }
}

fn envelope(flags: u8, message: &Value) -> Vec<u8> {
    let message = message.to_string();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flags][..], &length, message.as_bytes()].concat()
}
