//! A controller under test, a namespace of its own, and a played kubelet.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod certificates;
mod claims;
mod kubelet;
mod official;
mod running;

use std::{fmt::Debug, time::Duration};

use futures::StreamExt;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, wait::await_condition, watcher},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use silica_api::{
    crd::{
        Condition, ConditionStatus, Phase, Sandbox, SandboxSet, SandboxSetStatus, SandboxTemplate, condition,
    },
    labels, names,
};
use silica_bare_stage::Stage;
use tokio::time::timeout;

pub(crate) use certificates::Installed;
pub(crate) use kubelet::Kubelet;
use running::Running;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);
/// A scheduler that does not exist.
const SCHEDULER: &str = "played-by-the-test";

pub(crate) struct Harness {
    stage: Stage,
    client: Client,
    /// Acts as the controller's account, with the rights of an installation.
    account: Client,
    namespace: String,
    kubelet: kubelet::Handle,
    controller: Option<Running>,
}

impl Harness {
    /// Connects, installs the definitions, makes a fresh namespace. `None` when
    /// no cluster is named; on CI that is a failure.
    pub(crate) async fn connect(name: &str) -> Option<Self> {
        let stage = Stage::open(names::CONTROLLER, name).await?;
        let client = stage.admin.clone();
        let account = Client::try_from(stage.account.clone()).unwrap();
        let namespace = stage.namespace.clone();
        let kubelet = kubelet::Handle::start(client.clone(), &namespace, SCHEDULER);
        Some(Self {
            stage,
            client,
            account,
            namespace,
            kubelet,
            controller: None,
        })
    }

    pub(crate) fn start(&mut self, identity: &str) {
        assert!(self.controller.is_none());
        self.controller = Some(Running::start(&self.account, &self.namespace, identity));
    }

    /// Ends the controller in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.controller.take().expect("a controller runs").kill();
    }

    pub(crate) async fn stop(&mut self) {
        self.controller.take().expect("a controller runs").stop().await;
    }

    /// A second controller, once its caches are warm.
    pub(crate) async fn standby(&self, identity: &str) -> Running {
        let mut standby = Running::start(&self.account, &self.namespace, identity);
        standby.wait_ready().await;
        standby
    }

    pub(crate) fn kubelet(&self, mode: Kubelet) {
        self.kubelet.play(mode);
    }

    /// A counter of the running controller, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self
            .controller
            .as_ref()
            .expect("a controller runs")
            .health()
            .render_metrics();
        text.lines()
            .filter(|line| line.split([' ', '{']).next() == Some(name))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    pub(crate) fn template(image: &str) -> Value {
        json!({"spec": {"schedulerName": SCHEDULER, "containers": [{"name": "sandbox", "image": image}]}})
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn create<K>(&self, object: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + Debug
            + serde::Serialize,
    {
        // As text, so that what the types cannot express arrives as it is.
        let api: Api<kube::api::DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &kube::api::ApiResource::erase::<K>(&()),
        );
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap();
    }

    pub(crate) async fn create_set(&self, name: &str, mut spec: Value, image: &str) {
        spec["template"] = Self::template(image);
        self.create::<SandboxSet>(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    pub(crate) async fn create_sandbox(&self, name: &str, spec: Value) {
        self.create::<Sandbox>(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    pub(crate) async fn create_shared_template(&self, name: &str, spec: Value) {
        self.create::<SandboxTemplate>(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxTemplate",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    pub(crate) async fn create_foreign_pod(&self, name: &str) {
        let mut pod = Self::template("v1");
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"] = json!({"name": name});
        self.create::<Pod>(pod).await;
    }

    pub(crate) async fn change_template(&self, name: &str, image: &str) {
        let patch = json!({"spec": {"template": Self::template(image)}});
        self.api::<SandboxSet>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn scale(&self, name: &str, replicas: u32) {
        let patch = json!({"spec": {"replicas": replicas}});
        let scaled = self
            .api::<SandboxSet>()
            .patch_scale(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        assert!(scaled.status.unwrap().selector.is_some());
    }

    pub(crate) async fn patch_sandbox(&self, name: &str, patch: Value) {
        self.api::<Sandbox>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Claims as the manager does: one patch that only wins on the known version.
    pub(crate) async fn claim(&self, name: &str) {
        let sandbox = self.sandbox(name).await.expect("the sandbox exists");
        let patch = json!({"metadata": {
            "resourceVersion": sandbox.resource_version(),
            "ownerReferences": null,
            "labels": {labels::CLAIMED: "true"},
        }});
        self.patch_sandbox(name, patch).await;
    }

    pub(crate) async fn delete_pod(&self, name: &str) {
        self.api::<Pod>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// The pod of a sandbox.
    pub(crate) async fn pod(&self, name: &str) -> Pod {
        self.api().get(name).await.unwrap()
    }

    /// Makes the played kubelet look at a pod again.
    pub(crate) async fn touch_pod(&self, name: &str) {
        let patch = json!({"metadata": {"annotations": {"touched": "yes"}}});
        self.api::<Pod>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Waits until the sandbox is ready with the image that its spec asks for.
    pub(crate) async fn wait_image(&self, name: &str, image: &str) -> Sandbox {
        self.wait(name, image, |sandbox: &Sandbox| {
            let Some(status) = &sandbox.status else {
                return false;
            };
            let is_ready =
                |one: &Condition| one.kind == condition::READY && one.status == ConditionStatus::True;
            status.image.as_deref() == Some(image) && status.conditions.iter().any(is_ready)
        })
        .await
    }

    /// Deletes the set and, as the garbage collector would, its members.
    pub(crate) async fn delete_set(&self, name: &str) {
        self.api::<SandboxSet>()
            .delete(name, &DeleteParams::background())
            .await
            .unwrap();
        self.wait_gone::<SandboxSet>(name).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let unclaimed =
            ListParams::default().labels(&format!("{}={name},{}=false", labels::POOL, labels::CLAIMED));
        self.api::<Sandbox>()
            .delete_collection(&DeleteParams::default(), &unclaimed)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let left = self.api::<Sandbox>().list(&unclaimed).await.unwrap().items.len();
        assert_eq!(left, 0, "a deleted set went on creating");
    }

    pub(crate) async fn sandbox(&self, name: &str) -> Option<Sandbox> {
        self.api().get_opt(name).await.unwrap()
    }

    /// Names of all sandboxes that were made for a set.
    pub(crate) async fn members(&self, set: &str) -> Vec<String> {
        let of_set = ListParams::default().labels(&format!("{}={set}", labels::POOL));
        self.api::<Sandbox>()
            .list(&of_set)
            .await
            .unwrap()
            .iter()
            .map(ResourceExt::name_any)
            .collect()
    }

    /// Waits until `count` unused members exist besides the claimed one.
    pub(crate) async fn wait_unused(&self, set: &str, count: usize, claimed: &str) {
        let unused = async || {
            self.members(set)
                .await
                .iter()
                .filter(|name| *name != claimed)
                .count()
        };
        let wait = async {
            let changes = watcher(self.api::<Sandbox>(), watcher::Config::default()).touched_objects();
            futures::pin_mut!(changes);
            while unused().await != count {
                changes.next().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the pool is refilled");
    }

    /// Waits for a status that describes the current spec.
    pub(crate) async fn wait_set(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&SandboxSetStatus) -> bool,
    ) -> SandboxSet {
        self.wait(name, what, |set: &SandboxSet| {
            let observed = set
                .status
                .as_ref()
                .filter(|status| Some(status.observed_generation) == set.metadata.generation);
            observed.is_some_and(&is)
        })
        .await
    }

    pub(crate) async fn wait_phase(&self, name: &str, phase: Phase) -> Sandbox {
        self.wait(name, &format!("{phase:?}"), |sandbox: &Sandbox| {
            sandbox.status.as_ref().and_then(|status| status.phase) == Some(phase)
        })
        .await
    }

    pub(crate) async fn wait_ready_reason(&self, name: &str, reason: &str) -> Sandbox {
        self.wait(name, reason, |sandbox: &Sandbox| {
            let conditions = sandbox.status.iter().flat_map(|status| &status.conditions);
            conditions
                .into_iter()
                .any(|one| one.kind == condition::READY && one.reason == reason)
        })
        .await
    }

    async fn wait<K>(&self, name: &str, what: &str, is: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + Debug
            + Send
            + 'static,
    {
        let wait = await_condition(self.api::<K>(), name, |object: Option<&K>| {
            object.is_some_and(&is)
        });
        let Ok(object) = timeout(PATIENCE, wait).await else {
            panic!("{name} is not {what}: {:#?}", self.api::<K>().get_opt(name).await);
        };
        object.unwrap().unwrap()
    }

    pub(crate) async fn wait_gone<K>(&self, name: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + Debug
            + Send
            + 'static,
    {
        let gone = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        assert!(timeout(PATIENCE, gone).await.is_ok(), "{name} still exists");
    }

    /// Follows the number of available members from now on.
    pub(crate) fn least_available(&self, set: &str) -> LeastAvailable {
        let config = watcher::Config::default().fields(&format!("metadata.name={set}"));
        let changes = watcher(self.api::<SandboxSet>(), config).applied_objects();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let available =
                changes.filter_map(async |set| set.ok()?.status.map(|status| status.available_replicas));
            available
                .take_until(stopped)
                .fold(i32::MAX, async |least, now| least.min(now))
                .await
        });
        LeastAvailable { stop, task }
    }

    pub(crate) async fn clean_up(mut self) {
        if let Some(controller) = self.controller.take() {
            controller.stop().await;
        }
        self.stage.close().await;
    }
}

pub(crate) struct LeastAvailable {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<i32>,
}

impl LeastAvailable {
    pub(crate) async fn stop(self) -> i32 {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}
