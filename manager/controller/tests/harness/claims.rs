//! SandboxClaims, and the sandboxes that they got.

use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams},
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
