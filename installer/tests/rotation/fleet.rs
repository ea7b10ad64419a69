//! The cluster side as processes: replicas of the server and of the controller
//! against the API server under test, each server behind an address of its own
//! that the cluster tells as that of a node.

use std::{
    collections::BTreeMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::{Node, Secret, Service};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use silica_api::names;
use silica_free_ports::free_port;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::harness::Harness;

pub(crate) const DOMAIN: &str = "silica.localhost";

/// A process of the cluster side; it ends with this value.
pub(crate) struct Role(Child);

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One server replica.
pub(crate) struct Server {
    pub(crate) https: u16,
    pub(crate) admin: u16,
    _role: Role,
}

/// All of them. What it made in the cluster is removed by [`Fleet::remove`].
pub(crate) struct Fleet {
    program: PathBuf,
    folder: PathBuf,
    kubeconfig: PathBuf,
    pub(crate) servers: Vec<Server>,
    controllers: Vec<Role>,
    forwarders: Vec<JoinHandle<()>>,
    nodes: Vec<String>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for forwarder in &self.forwarders {
            forwarder.abort();
        }
    }
}

impl Fleet {
    /// Starts nothing yet. `program` is `sandbox-manager`.
    pub(crate) async fn new(harness: &Harness, program: PathBuf, folder: &Path) -> Self {
        let secrets: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
        let secret = secrets.get(names::TOKEN_KEY_SECRET).await.unwrap();
        std::fs::write(
            folder.join("token-key"),
            &secret.data.unwrap()[names::TOKEN_KEY_KEY].0,
        )
        .unwrap();
        Self {
            program,
            folder: folder.to_owned(),
            kubeconfig: harness.kubeconfig().to_owned(),
            servers: Vec::new(),
            controllers: Vec::new(),
            forwarders: Vec::new(),
            nodes: Vec::new(),
        }
    }

    fn start(&self, role: &str, name: &str, kubeconfig: &Path, arguments: &[&str]) -> (Role, u16) {
        let admin = free_port();
        let log = File::create(self.folder.join(format!("{name}.log"))).unwrap();
        let child = Command::new(&self.program)
            .arg(role)
            .args(arguments)
            .args(["--admin-port", &admin.to_string(), "--token-key-file"])
            .arg(self.folder.join("token-key"))
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", name)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        (Role(child), admin)
    }

    pub(crate) fn start_server(&mut self, name: &str, kubeconfig: Option<&Path>) {
        let (http, https) = (free_port(), free_port());
        let (http_text, https_text) = (http.to_string(), https.to_string());
        let arguments = [
            "--domain",
            DOMAIN,
            "--auth",
            "false",
            "--http-port",
            &http_text,
            "--https-port",
            &https_text,
            "--tls-secret",
            names::TLS_SECRET,
        ];
        let kubeconfig = kubeconfig.unwrap_or(&self.kubeconfig).to_owned();
        let (role, admin) = self.start("server", name, &kubeconfig, &arguments);
        self.servers.push(Server {
            https,
            admin,
            _role: role,
        });
    }

    pub(crate) fn start_controller(&mut self, name: &str, more: &[&str]) {
        let arguments = [&["--runtime-image", "silica.invalid/runtime:1"], more].concat();
        let kubeconfig = self.kubeconfig.clone();
        let (role, _) = self.start("controller", name, &kubeconfig, &arguments);
        self.controllers.push(role);
    }

    /// Ends the controllers in the middle of whatever they do.
    pub(crate) fn kill_controllers(&mut self) {
        self.controllers.clear();
    }

    /// Asks the controllers to end: they release their Lease.
    pub(crate) fn stop_controllers(&mut self) {
        for mut role in self.controllers.drain(..) {
            let status = Command::new("kill")
                .args(["-TERM", &role.0.id().to_string()])
                .status()
                .unwrap();
            assert!(status.success());
            role.0.wait().unwrap();
        }
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(|server| server.https).collect()
    }

    /// Makes each server reachable as the direct Service's port of a node, so that
    /// the installer finds it.
    pub(crate) async fn expose(&mut self, harness: &Harness) {
        let services: Api<Service> = Api::namespaced(harness.client(), names::NAMESPACE);
        let service = services.get(names::MANAGER_DIRECT).await.unwrap();
        let ports = service.spec.unwrap().ports.unwrap();
        let port = ports.iter().find(|port| port.port == 443).unwrap();
        let port = u16::try_from(port.node_port.unwrap()).unwrap();
        let nodes: Api<Node> = Api::all(harness.client());
        for (index, server) in self.servers.iter().enumerate() {
            let address = Ipv4Addr::new(127, 0, 1, u8::try_from(index + 1).unwrap());
            let name = format!("rotation-{index}");
            let _ = nodes.delete(&name, &DeleteParams::default()).await;
            let node = serde_json::from_value(json!({"metadata": {"name": name},
                "spec": {"unschedulable": true}}))
            .unwrap();
            nodes.create(&PostParams::default(), &node).await.unwrap();
            let status =
                json!({"status": {"addresses": [{"type": "InternalIP", "address": address.to_string()}]}});
            nodes
                .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                .await
                .unwrap();
            self.nodes.push(name);
            let listener = TcpListener::bind((address, port)).await.unwrap();
            let target = SocketAddr::from((Ipv4Addr::LOCALHOST, server.https));
            self.forwarders.push(tokio::spawn(forward(listener, target)));
        }
    }

    /// Waits until every server serves.
    pub(crate) async fn wait_ready(&self) {
        for server in &self.servers {
            eventually("a server serves", async || {
                super::held::fingerprint(server.https).await.is_some()
                    && metrics(server.admin).await.is_some()
            })
            .await;
        }
    }

    /// Waits until every server serves this certificate; returns how long that took.
    pub(crate) async fn wait_served(&self, fingerprint: &str) -> Duration {
        let start = tokio::time::Instant::now();
        for server in &self.servers {
            eventually("the certificate is served", async || {
                super::held::fingerprint(server.https).await.as_deref() == Some(fingerprint)
            })
            .await;
        }
        start.elapsed()
    }

    pub(crate) async fn remove(mut self, harness: &Harness) {
        self.controllers.clear();
        self.servers.clear();
        let nodes: Api<Node> = Api::all(harness.client());
        for name in &self.nodes {
            nodes.delete(name, &DeleteParams::default()).await.unwrap();
        }
    }
}

async fn forward(listener: TcpListener, target: SocketAddr) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else {
            return;
        };
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(target).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// The metrics of a process, by line.
pub(crate) async fn metrics(port: u16) -> Option<BTreeMap<String, f64>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    stream
        .write_all(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n")
        .await
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Some(
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect(),
    )
}

/// Waits for something to become so.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
