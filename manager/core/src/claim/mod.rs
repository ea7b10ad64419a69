//! Claiming: which warm sandbox a request takes, and what the one write that
//! makes it the client's own says.

mod candidate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use silica_api::{
    crd::{SandboxSet, SandboxSpec},
    labels,
};

pub use self::candidate::{Facts, is_available, member_name, order};
pub use crate::on_timeout::OnTimeout;
use crate::{annotations::Annotations, image::ImageReference, timeout::Timeout, volume::Mounts};

/// Everything that a claim writes.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who owns the sandbox from now on: a team, or the UID of a SandboxClaim.
    pub owner: String,
    /// Random id of this claim.
    pub lock: String,
    /// Time of the claim.
    pub now: Timestamp,
    /// End of life, nothing for a sandbox without deadline.
    pub deadline: Option<Timestamp>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// Timeout with which traffic resumes the sandbox; nothing when it shall stay paused.
    pub auto_resume: Option<Timeout>,
    /// The user's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Labels of the object beside our own, which win.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the object beside our own, which win.
    pub annotations: BTreeMap<String, String>,
    /// Hash of idempotency key and body.
    pub idempotency: Option<String>,
    /// Encrypted environment variables, see [`crate::sealed`].
    pub sealed_env: Option<String>,
    /// Id of the main container whose runtime is initialised right after the claim.
    pub initialised_container: Option<String>,
    /// The runtime is not to be called.
    pub skip_init: bool,
    /// Image that the sandbox shall have in place of its template's.
    pub image: Option<ImageReference>,
    /// Volumes that a sandbox which is made for the claim mounts; one that runs takes none.
    pub mounts: Mounts,
    /// Whether clients need a token for the in-sandbox daemon.
    pub secure: bool,
    /// Whether ports other than the daemon's need a traffic token.
    pub private_traffic: bool,
}

impl Claim {
    fn annotations(&self) -> BTreeMap<&str, String> {
        let others = self.annotations.iter();
        let mut annotations: BTreeMap<&str, String> =
            others.map(|(key, value)| (key.as_str(), value.clone())).collect();
        let own = Annotations {
            owner: Some(self.owner.clone()),
            claimed_at: Some(self.now),
            lock: Some(self.lock.clone()),
            on_timeout: Some(self.on_timeout),
            auto_resume: self.auto_resume.map(Timeout::seconds),
            metadata: self.metadata.clone(),
            idempotency: self.idempotency.clone(),
            is_settled: false,
            sealed_env: self.sealed_env.clone(),
            initialised_container: self.initialised_container.clone(),
            skip_init: self.skip_init,
            never_timeout: self.deadline.is_none(),
            secure: self.secure,
            private_traffic: self.private_traffic,
        };
        annotations.extend(own.write());
        annotations
    }

    fn labels<'a>(&'a self, own: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, &'a str> {
        let others = self.labels.iter();
        let mut all: BTreeMap<&str, &str> = others
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        all.extend(own);
        all
    }

    /// The merge patch that takes a pool member. The API server refuses it with
    /// 409 when the object has changed since `resource_version`, so of any number
    /// of claims exactly one wins.
    pub fn render_patch(&self, uid: &str, resource_version: &str) -> Value {
        json!({
            "metadata": {
                "uid": uid,
                "resourceVersion": resource_version,
                "ownerReferences": null,
                "labels": self.labels([(labels::CLAIMED, "true")]),
                "annotations": self.annotations(),
            },
            "spec": self.spec(),
        })
    }

    /// What a claim changes in the spec; null removes a field.
    fn spec(&self) -> Value {
        let mut spec = self.on_timeout.render_deadline(self.deadline);
        if let Some(image) = &self.image {
            spec["inplaceUpdate"] = json!({ "image": image.as_str() });
        }
        spec
    }

    /// A Sandbox that is made for this claim, from the template of a set.
    pub fn render_sandbox(&self, set: &SandboxSet, name: &str) -> Result<Value, serde_json::Error> {
        let set_name = set.metadata.name.as_deref().unwrap_or_default();
        let SandboxSpecOfSet(spec) = SandboxSpecOfSet::from(set);
        let mut spec = serde_json::to_value(spec)?;
        if let (Value::Object(spec), Value::Object(own)) = (&mut spec, self.spec()) {
            spec.extend(own.into_iter().filter(|(_, field)| !field.is_null()));
        }
        if !self.mounts.is_empty() {
            spec["volumeMounts"] = json!(self.mounts);
        }
        let template_hash = set
            .status
            .as_ref()
            .and_then(|status| status.update_revision.as_deref());
        let own = [
            (labels::POOL, set_name),
            (labels::TEMPLATE, set_name),
            (labels::CLAIMED, "true"),
        ];
        let hash = template_hash.map(|hash| (labels::TEMPLATE_HASH, hash));
        Ok(json!({
            "apiVersion": format!("{}/{}", silica_api::names::GROUP, silica_api::names::VERSION),
            "kind": "Sandbox",
            "metadata": {
                "name": name,
                "namespace": set.metadata.namespace,
                "labels": self.labels(own.into_iter().chain(hash)),
                "annotations": self.annotations(),
            },
            "spec": spec,
        }))
    }
}

struct SandboxSpecOfSet(SandboxSpec);

impl From<&SandboxSet> for SandboxSpecOfSet {
    fn from(set: &SandboxSet) -> Self {
        let spec = &set.spec;
        Self(SandboxSpec {
            pause_strategy: spec.pause_strategy.clone(),
            persistent_contents: spec.persistent_contents.clone(),
            runtimes: spec.runtimes.clone(),
            template_ref: spec.template_ref.clone(),
            template: spec.template.clone(),
            volume_claim_templates: spec.volume_claim_templates.clone(),
            ..SandboxSpec::default()
        })
    }
}
