//! SandboxClaims, and the sandboxes that they got.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica_api::{
    crd::{ClaimPhase, Sandbox, SandboxClaim, SandboxClaimStatus, condition},
    labels,
};

use super::Harness;

impl Harness {
    /// The played pods have no daemon that could be called.
    pub(crate) async fn create_claim(&self, name: &str, mut spec: Value) {
        spec["skipInitRuntime"] = json!(true);
        self.create::<SandboxClaim>(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxClaim",
            "metadata": {"name": name}, "spec": spec,
        }))
        .await;
    }

    pub(crate) async fn wait_claim(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&SandboxClaimStatus) -> bool,
    ) -> SandboxClaim {
        self.wait(name, what, |claim: &SandboxClaim| {
            claim.status.as_ref().is_some_and(&is)
        })
        .await
    }

    /// Waits for the end of a claim, and gives back its status and the reason of its end.
    pub(crate) async fn wait_completed(&self, name: &str) -> (SandboxClaimStatus, String) {
        let is_over = |status: &SandboxClaimStatus| status.phase == Some(ClaimPhase::Completed);
        let claim = self.wait_claim(name, "completed", is_over).await;
        let status = claim.status.unwrap();
        let mut conditions = status.conditions.iter();
        let completed = conditions.find(|one| one.kind == condition::COMPLETED).unwrap();
        let reason = completed.reason.clone();
        (status, reason)
    }

    /// The sandboxes that carry the name of a claim, by name.
    pub(crate) async fn claimed_by(&self, claim: &str) -> Vec<Sandbox> {
        let of_claim = ListParams::default().labels(&format!("{}={claim}", labels::CLAIM_NAME));
        let mut found = self.api::<Sandbox>().list(&of_claim).await.unwrap().items;
        found.sort_by_key(ResourceExt::name_any);
        found
    }

    /// Makes a volume and gives it to the namespace; gives back its name.
    pub(crate) async fn create_volume(&self) -> String {
        let (name, namespace) = (format!("volume-of-{}", self.namespace), &self.namespace);
        let common = json!({"storageClassName": "", "accessModes": ["ReadWriteMany"]});
        let with = |mut spec: Value| {
            for (key, value) in common.as_object().unwrap() {
                spec[key] = value.clone();
            }
            spec
        };
        // Nothing mounts it: no kubelet takes the pods.
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": with(json!({"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nowhere"},
                "claimRef": {"namespace": namespace, "name": "shared"}})),
        });
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = serde_json::from_value(volume).unwrap();
        volumes.create(&PostParams::default(), &volume).await.unwrap();
        self.create::<PersistentVolumeClaim>(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared"},
            "spec": with(json!({"volumeName": name, "resources": {"requests": {"storage": "1Mi"}}})),
        }))
        .await;
        self.wait("shared", "bound", |claim: &PersistentVolumeClaim| {
            let status = claim.status.as_ref();
            status.and_then(|status| status.phase.as_deref()) == Some("Bound")
        })
        .await;
        name
    }

    /// The claim goes with the namespace, and the volume with the claim.
    pub(crate) async fn delete_volume(&self, name: &str) {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        volumes.delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn lose_claim_status(&self, name: &str) {
        let patch = json!({"status": null});
        self.api::<SandboxClaim>()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    /// Why the API server refuses a change of a claim.
    pub(crate) async fn refused_claim_patch(&self, name: &str, patch: Value) -> String {
        self.api::<SandboxClaim>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap_err()
            .to_string()
    }
}
