//! Two servers in a namespace of their own, with a played controller and played daemons.

pub(crate) mod controller;
pub(crate) mod daemon;
pub(crate) mod http;
mod lossy;

use std::{net::SocketAddr, time::Duration};

use ::http::StatusCode;
use futures::future::join_all;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
    client::ClientBuilder,
};
use serde_json::{Value, json};
use silica_api::{crd::Sandbox, labels, names};
use silica_bare_stage::Stage;
use silica_core::token::{KEY_LENGTH, TokenKey};
use silica_free_ports::free_address;
use silica_server::{Auth, Shutdown};

use daemon::Daemons;
use http::{Answer, call};
use lossy::Lossy;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Harness {
    stage: Stage,
    admin: Client,
    pub(crate) namespace: String,
    /// Where the two servers listen.
    pub(crate) servers: [SocketAddr; 2],
    /// The first server's way to the API server.
    pub(crate) lossy: Lossy,
    pub(crate) daemons: Daemons,
    shutdown: Shutdown,
    _controller: controller::Handle,
}

impl Harness {
    /// Connects, installs the definitions, starts everything. `None` when no cluster is named;
    /// on CI that is a failure.
    pub(crate) async fn connect() -> Option<Self> {
        let stage = Stage::open(names::MANAGER, "server-test").await?;
        let (admin, account) = (stage.admin.clone(), stage.account.clone());
        let namespace = stage.namespace.clone();
        let lossy = Lossy::default();
        let shutdown = Shutdown::default();
        let through = ClientBuilder::try_from(account.clone())
            .unwrap()
            .with_layer(&lossy);
        let clients = [through.build(), Client::try_from(account).unwrap()];
        let mut servers = Vec::new();
        for client in clients {
            servers.push(start(client, &namespace, &shutdown).await);
        }
        Some(Self {
            stage,
            _controller: controller::start(admin.clone(), &namespace),
            daemons: Daemons::start().await,
            admin,
            namespace,
            servers: servers.try_into().unwrap(),
            lossy,
            shutdown,
        })
    }

    fn sandboxes(&self) -> Api<Sandbox> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// Creates a pool of so many sandboxes, and waits until both servers know all of it. Nobody
    /// refills it.
    pub(crate) async fn pool(&self, name: &str, size: usize) {
        let template = json!({"spec": {"containers": [{"name": "sandbox", "image": "v1"}]}});
        let set = json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet",
            "metadata": {"name": name}, "spec": {"replicas": 0, "template": template}});
        self.create("SandboxSet", "sandboxsets", &set).await;
        let members = (0..size).map(|number| {
            json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
                "metadata": {"name": format!("{name}-{number:05}"),
                    "labels": {labels::POOL: name, labels::TEMPLATE: name, labels::CLAIMED: "false"}},
                "spec": {"template": template}})
        });
        let members: Vec<Value> = members.collect();
        for batch in members.chunks(50) {
            join_all(
                batch
                    .iter()
                    .map(|member| self.create("Sandbox", "sandboxes", member)),
            )
            .await;
        }
        let alias = format!("/templates/aliases/{}%2F{name}", self.namespace);
        self.wait("the pool is known", async || {
            let known = self.servers.map(|server| call(server, "GET", &alias, &[], None));
            let is_known = |answer: &Answer| answer.status == StatusCode::OK;
            let members = self.members(name).await;
            join_all(known).await.iter().all(is_known) && members.iter().all(|member| member.status.is_some())
        })
        .await;
    }

    async fn create(&self, kind: &str, plural: &str, object: &Value) {
        let resource = kube::api::ApiResource {
            group: names::GROUP.to_owned(),
            version: names::VERSION.to_owned(),
            api_version: format!("{}/{}", names::GROUP, names::VERSION),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        // As text, so that what the types cannot express arrives as it is.
        let api: Api<DynamicObject> = Api::namespaced_with(self.admin.clone(), &self.namespace, &resource);
        let object = serde_json::from_value(object.clone()).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    /// The sandboxes that were made for a pool.
    pub(crate) async fn members(&self, pool: &str) -> Vec<Sandbox> {
        let of_pool = ListParams::default().labels(&format!("{}={pool}", labels::POOL));
        self.sandboxes().list(&of_pool).await.unwrap().items
    }

    /// The object of a sandbox.
    pub(crate) async fn object(&self, id: &str) -> Option<Sandbox> {
        let name = id.strip_prefix(&format!("{}--", self.namespace)).unwrap();
        self.sandboxes().get_opt(name).await.unwrap()
    }

    /// Plays a restart of the main container: it has this id now.
    pub(crate) async fn restart(&self, id: &str, container: &str) {
        let name = id.strip_prefix(&format!("{}--", self.namespace)).unwrap();
        let patch = json!({"status": controller::running(container)});
        self.sandboxes()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Takes the time of the next pause away, as the controller does when that time has come.
    pub(crate) async fn forget_pause_time(&self, id: &str) {
        let name = id.strip_prefix(&format!("{}--", self.namespace)).unwrap();
        let patch = json!({"spec": {"pauseTime": null}});
        self.sandboxes()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// The body of a create call.
    pub(crate) fn order(&self, template: &str, more: Value) -> Value {
        let mut body = json!({"templateID": format!("{}/{template}", self.namespace), "timeout": 300});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        body
    }

    /// Creates a sandbox through one of the servers.
    pub(crate) async fn sandbox(&self, server: usize, template: &str, more: Value) -> Answer {
        let body = self.order(template, more);
        call(self.servers[server], "POST", "/v2/sandboxes", &[], Some(&body)).await
    }

    /// A call about one sandbox.
    pub(crate) async fn ask(&self, server: usize, method: &str, path: &str, body: Option<Value>) -> Answer {
        call(self.servers[server], method, path, &[], body.as_ref()).await
    }

    /// Waits until it is so.
    pub(crate) async fn wait(&self, what: &str, is: impl AsyncFn() -> bool) {
        let wait = async {
            while !is().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "not so in time: {what}"
        );
    }

    pub(crate) async fn clean_up(self) {
        self.shutdown.immediate.cancel();
        self.stage.close().await;
    }
}

/// Starts a server, and waits until it is ready.
async fn start(client: Client, namespace: &str, shutdown: &Shutdown) -> SocketAddr {
    let [http, admin] = [free_address(), free_address()];
    let config = silica_server::Config {
        domains: vec!["sbx.example.com".parse().unwrap()],
        namespace: namespace.parse().unwrap(),
        http,
        https: None,
        admin,
        auth: Auth::Off,
        max_timeout: 3600,
        token_key: TokenKey::new(&[1; KEY_LENGTH]).unwrap(),
        shutdown_delay: Duration::ZERO,
        drain: Duration::ZERO,
    };
    tokio::spawn(silica_server::run(config, client, shutdown.clone()));
    let ready = async {
        while tokio::net::TcpStream::connect(admin).await.is_err()
            || call(admin, "GET", "/readyz", &[], None).await.status != StatusCode::OK
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready)
        .await
        .expect("the server gets ready");
    http
}
