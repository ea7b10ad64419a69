//! A bare cluster under test, and the built binary pointed at it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{ConfigMap, Namespace, Secret, ServiceAccount},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::ApiResource,
};
use serde_json::{Value, json};
use silica::cluster::{
    Cluster,
    inventory::{Entry, Inventory},
};
use silica_api::{crd, labels, names};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(200);

/// An installation that any API server holds: ports of the node, and images that nobody pulls.
pub(crate) const NO_IMAGES: [&str; 10] = [
    "--expose",
    "direct",
    "--service-type",
    "NodePort",
    "--images",
    "none",
    "--manager-image",
    "silica.invalid/manager:1",
    "--runtime-image",
    "silica.invalid/runtime:1",
];
/// Removes the namespace and the definitions as well.
pub(crate) const UNINSTALL: [&str; 3] = ["uninstall", "--delete-sandboxes", "--delete-crds"];

pub(crate) struct Harness {
    pub(crate) cluster: Cluster,
    kubeconfig: PathBuf,
    folder: tempfile::TempDir,
}

impl Harness {
    /// Connects and clears the definitions that other tests leave. `None` when no
    /// cluster is named; on CI that is a failure.
    pub(crate) async fn connect() -> Option<Self> {
        let kubeconfig = silica_bare_stage::kubeconfig()?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let harness = Self {
            cluster: Cluster::read(Some(kubeconfig.clone()), None).await.unwrap(),
            kubeconfig,
            folder: tempfile::tempdir().unwrap(),
        };
        let is_ending = async || {
            let namespace = harness.namespace().await;
            namespace.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some())
        };
        // That of a test before this one may take its time.
        harness
            .wait("a namespace that ends is gone", async || !is_ending().await)
            .await;
        assert!(
            harness.namespace().await.is_none(),
            "the cluster must be without an installation: namespace {} exists",
            names::NAMESPACE
        );
        harness.remove_definitions().await;
        Some(harness)
    }

    #[allow(dead_code, reason = "not every test starts other processes")]
    pub(crate) fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }

    pub(crate) fn client(&self) -> Client {
        self.cluster.client.clone()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_silica"));
        command
            .args(args)
            .arg("--yes")
            .env_clear()
            .env("HOME", self.folder.path())
            .env("USER", "tester")
            .current_dir(self.folder.path());
        if !args.contains(&"--timeout") {
            command.args(["--timeout", "60s"]);
        }
        command
    }

    /// Runs the binary as the administrator.
    pub(crate) fn silica(&self, args: &[&str]) -> Output {
        self.silica_as(&self.kubeconfig, args)
    }

    /// Runs the binary with this kubeconfig.
    pub(crate) fn silica_as(&self, kubeconfig: &std::path::Path, args: &[&str]) -> Output {
        self.command(args)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .output()
            .unwrap()
    }

    /// Starts the binary without waiting for its end.
    pub(crate) fn start(&self, args: &[&str]) -> std::process::Child {
        self.start_as(&self.kubeconfig, args)
    }

    /// The same with this kubeconfig.
    pub(crate) fn start_as(&self, kubeconfig: &std::path::Path, args: &[&str]) -> std::process::Child {
        self.command(args)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Kills the binary as soon as it tells the end of a phase. Returns what it
    /// said, and whether the phase came.
    pub(crate) fn kill_after(&self, phase: &str, args: &[&str]) -> (bool, String) {
        self.kill_at(&format!("✓ {phase}: "), args)
    }

    /// Kills the binary as soon as it tells what a phase is waiting for.
    #[allow(dead_code, reason = "not every test has a phase that waits")]
    pub(crate) fn kill_in(&self, phase: &str, args: &[&str]) -> (bool, String) {
        self.kill_at(&format!("· {phase}: "), args)
    }

    fn kill_at(&self, start: &str, args: &[&str]) -> (bool, String) {
        let mut child = self.start(args);
        let mut said = String::new();
        let mut came = false;
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            let _ = writeln!(said, "{line}");
            if line.starts_with(start) {
                came = true;
                // SIGKILL on Unix: no handler runs, nothing is put in order.
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        (came, said)
    }

    /// A kubeconfig for a server that is not there.
    #[allow(dead_code, reason = "not every test asks nobody")]
    pub(crate) fn unreachable(&self) -> PathBuf {
        let mut kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        for cluster in kubeconfig
            .clusters
            .iter_mut()
            .filter_map(|named| named.cluster.as_mut())
        {
            // Nothing listens on port 1.
            cluster.server = Some("https://127.0.0.1:1".into());
        }
        let path = self.folder.path().join("unreachable");
        std::fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
        path
    }

    /// A service account without rights, as `NAMESPACE/NAME`, and a kubeconfig for it.
    pub(crate) async fn service_account(&self, name: &str) -> (String, PathBuf) {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        api.create(&PostParams::default(), &account).await.unwrap();
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let token = api
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .unwrap();
        let token = token.status.unwrap().token;
        let mut kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        for user in &mut kubeconfig.auth_infos {
            user.auth_info = Some(serde_json::from_value(json!({"token": token})).unwrap());
        }
        // Check that it is complete before the binary meets it.
        kube::Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default())
            .await
            .unwrap();
        let path = self.folder.path().join(name);
        std::fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
        (format!("default/{name}"), path)
    }

    pub(crate) async fn remove_service_account(&self, name: &str) {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn namespace(&self) -> Option<Namespace> {
        let api: Api<Namespace> = Api::all(self.client());
        api.get_opt(names::NAMESPACE).await.unwrap()
    }

    pub(crate) async fn remove_namespace(&self) {
        let api: Api<Namespace> = Api::all(self.client());
        let _ = api.delete(names::NAMESPACE, &DeleteParams::default()).await;
        self.wait("the namespace is gone", async || self.namespace().await.is_none())
            .await;
    }

    pub(crate) async fn remove_definitions(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client());
        for definition in crd::all() {
            let name = definition.name_any();
            let _ = api.delete(&name, &DeleteParams::default()).await;
            self.wait("a definition is gone", async || {
                api.get_opt(&name).await.unwrap().is_none()
            })
            .await;
        }
    }

    async fn wait(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited in vain until {what}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Everything that the installation consists of.
    pub(crate) async fn objects(&self) -> BTreeMap<String, DynamicObject> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client(), names::NAMESPACE);
        let map = maps.get(names::INVENTORY).await.unwrap();
        let mut entries: Vec<Entry> = Inventory::from_config_map(&map).objects.into_iter().collect();
        entries.push(Entry::core("ConfigMap", "configmaps", names::INVENTORY));
        entries.push(Entry {
            namespace: None,
            ..Entry::core("Namespace", "namespaces", names::NAMESPACE)
        });
        entries.extend(crd::all().iter().map(|definition| Entry {
            api_version: "apiextensions.k8s.io/v1".into(),
            kind: "CustomResourceDefinition".into(),
            plural: "customresourcedefinitions".into(),
            namespace: None,
            name: definition.name_any(),
        }));
        let mut objects = BTreeMap::new();
        for entry in entries {
            let api = self
                .cluster
                .objects(&entry.resource(), entry.namespace.as_deref());
            let found = api.get_opt(&entry.name).await.unwrap();
            let object = found.unwrap_or_else(|| panic!("{} is in the inventory and missing", entry.title()));
            objects.insert(entry.title(), object);
        }
        objects
    }

    /// [`Harness::objects`] without what differs between two installations.
    pub(crate) async fn state(&self) -> BTreeMap<String, Value> {
        let objects = self.objects().await;
        objects
            .into_iter()
            .map(|(title, object)| (title, lasting(object)))
            .collect()
    }

    /// The data of the Secrets that exist.
    pub(crate) async fn secrets(&self) -> BTreeMap<String, Value> {
        let api: Api<Secret> = Api::namespaced(self.client(), names::NAMESPACE);
        let list = api.list(&ListParams::default()).await.unwrap();
        list.into_iter()
            .map(|secret| (secret.name_any(), serde_json::to_value(secret.data).unwrap()))
            .collect()
    }

    /// Objects with the product's label, of every kind that an installation has.
    pub(crate) async fn leftovers(&self, kinds: &[ApiResource]) -> Vec<String> {
        let ours = ListParams::default().labels(&format!("{}={}", labels::APP_MANAGED_BY, names::PRODUCT));
        let mut left = Vec::new();
        for kind in kinds {
            let found = match self.cluster.objects(kind, None).list(&ours).await {
                Ok(list) => list.items,
                // The definition of the kind is gone.
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => panic!("failed to list {}: {error}", kind.plural),
            };
            left.extend(
                found
                    .iter()
                    .map(|object| format!("{} {}", kind.kind, object.name_any())),
            );
        }
        left
    }
}

/// What a test has installed when it fails is no trouble of the tests that follow.
impl Drop for Harness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut uninstall = self.command(&UNINSTALL);
            let ended = uninstall.arg("--kubeconfig").arg(&self.kubeconfig).output();
            let code = ended.ok().and_then(|output| output.status.code());
            println!("cleaned up behind the failure: silica uninstall ended with {code:?}");
        }
    }
}

/// Removes marks of time and place, and the content of generated secrets.
fn lasting(object: DynamicObject) -> Value {
    let kind = object.types.clone().map(|types| types.kind).unwrap_or_default();
    let name = object.name_any();
    let mut value = serde_json::to_value(object).unwrap();
    let metadata = value["metadata"].as_object_mut().unwrap();
    for key in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    ] {
        metadata.remove(key);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        // Set by a controller of the cluster, some time after the object was made.
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    value.as_object_mut().unwrap().remove("status");
    if kind == "Service" {
        let spec = value["spec"].as_object_mut().unwrap();
        for key in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
            spec.remove(key);
        }
        for port in spec["ports"].as_array_mut().unwrap() {
            port.as_object_mut().unwrap().remove("nodePort");
        }
    }
    let is_generated = kind == "Secret" || name == names::CA_BUNDLE;
    if is_generated {
        let random_names = name == names::API_KEYS_SECRET;
        let keys: Vec<String> = value["data"].as_object().unwrap().keys().cloned().collect();
        value["data"] = if random_names {
            json!(keys.len())
        } else {
            json!(keys)
        };
        value["metadata"]["annotations"] = Value::Null;
    }
    value
}
