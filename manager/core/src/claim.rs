//! Claiming: which warm sandbox a request takes, and what the one write that
//! makes it the client's own says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use silica_api::{
    crd::{ConditionStatus, Phase, Sandbox, SandboxSet, SandboxSpec, condition},
    labels,
};

use crate::{
    image::ImageReference,
    timeout::{self, Timeout},
    volume::Mounts,
};

/// The facts about a pool member that decide whether it can be claimed.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Label `sandbox-claimed` is `false`.
    pub unclaimed: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// `status.phase`
    pub phase: Option<Phase>,
    /// Condition `Ready` is true.
    pub ready: bool,
    /// The pod has an address.
    pub has_address: bool,
}

impl From<&Sandbox> for Facts {
    fn from(sandbox: &Sandbox) -> Self {
        let metadata = &sandbox.metadata;
        let claimed = metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(labels::CLAIMED));
        let status = sandbox.status.as_ref();
        let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
        Self {
            unclaimed: claimed.is_some_and(|claimed| claimed == "false"),
            deleting: metadata.deletion_timestamp.is_some(),
            phase: status.and_then(|status| status.phase),
            ready: conditions
                .iter()
                .any(|one| one.kind == condition::READY && one.status == ConditionStatus::True),
            has_address: status.is_some_and(|status| status.address().is_some()),
        }
    }
}

/// Whether a pool member can be handed to a client now.
pub fn is_available(facts: Facts) -> bool {
    facts.unclaimed
        && !facts.deleting
        && facts.phase == Some(Phase::Running)
        && facts.ready
        && facts.has_address
}

/// Order in which candidates are tried: members of the current template first,
/// and within both halves from a random place on, so that replicas of the manager
/// that claim at the same time rarely meet on one sandbox.
pub fn order(current: impl IntoIterator<Item = bool>, start: usize) -> Vec<usize> {
    let (mut newest, mut older): (Vec<_>, Vec<_>) = current
        .into_iter()
        .enumerate()
        .partition(|(_, is_current)| *is_current);
    for half in [&mut newest, &mut older] {
        if !half.is_empty() {
            let middle = start % half.len();
            half.rotate_left(middle);
        }
    }
    newest.into_iter().chain(older).map(|(index, _)| index).collect()
}

/// What happens at the end of the timeout.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnTimeout {
    /// The sandbox is deleted.
    #[default]
    Kill,
    /// The sandbox is paused and kept.
    Pause,
}

impl OnTimeout {
    /// What the claim wrote down. Without it, as on objects that others made, the
    /// kind of the deadline decides.
    pub fn read(annotation: Option<&str>, has_pause_time: bool) -> Self {
        match annotation {
            Some("pause") => Self::Pause,
            Some("kill") => Self::Kill,
            _ if has_pause_time => Self::Pause,
            _ => Self::Kill,
        }
    }

    /// The word for it in annotations and answers of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
        }
    }

    /// The fields of `spec` that carry this deadline; nothing clears both.
    pub fn render_deadline(self, deadline: Option<Timestamp>) -> Value {
        let deadline = deadline.map(timeout::format);
        match self {
            Self::Kill => json!({ "shutdownTime": deadline, "pauseTime": null }),
            Self::Pause => json!({ "shutdownTime": null, "pauseTime": deadline }),
        }
    }
}

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
        annotations.extend([
            (labels::OWNER, self.owner.clone()),
            (labels::CLAIM_TIMESTAMP, timeout::format(self.now)),
            (labels::LOCK, self.lock.clone()),
            (labels::ON_TIMEOUT, self.on_timeout.as_str().to_owned()),
            (labels::USER_METADATA, json!(self.metadata).to_string()),
        ]);
        if let Some(hash) = &self.idempotency {
            annotations.insert(labels::IDEMPOTENCY, hash.clone());
        }
        if let Some(timeout) = self.auto_resume {
            annotations.insert(labels::AUTO_RESUME, timeout.seconds().to_string());
        }
        if let Some(sealed) = &self.sealed_env {
            annotations.insert(labels::SEALED_ENV, sealed.clone());
        }
        for (key, on, value) in [
            (labels::NEVER_TIMEOUT, self.deadline.is_none(), "true"),
            (labels::SECURE, !self.secure, "false"),
            (labels::PRIVATE_TRAFFIC, self.private_traffic, "true"),
        ] {
            if on {
                annotations.insert(key, value.to_owned());
            }
        }
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

/// Name of a new sandbox of a set: the set's name and five characters of `[a-z0-9]`
/// taken from the random number.
pub fn member_name(set: &str, random: u32) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rest = random;
    let suffix: String = (0..5)
        .map(|_| {
            let index = rest % 36;
            rest /= 36;
            char::from(ALPHABET[index as usize])
        })
        .collect();
    format!("{set}-{suffix}")
}

#[cfg(test)]
mod tests {
    use silica_api::crd::{PodTemplate, SandboxSetSpec, SandboxSetStatus};

    use super::*;

    const AVAILABLE: Facts = Facts {
        unclaimed: true,
        deleting: false,
        phase: Some(Phase::Running),
        ready: true,
        has_address: true,
    };

    fn claim() -> Claim {
        Claim {
            owner: "team-a".into(),
            lock: "l1".into(),
            now: Timestamp::UNIX_EPOCH,
            deadline: Some(Timestamp::from_second(300).unwrap()),
            on_timeout: OnTimeout::Kill,
            auto_resume: None,
            metadata: BTreeMap::from([("user".into(), "alice".into())]),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            idempotency: None,
            sealed_env: None,
            image: None,
            mounts: Mounts::default(),
            secure: true,
            private_traffic: false,
        }
    }

    #[test]
    fn only_ready_unclaimed_members_are_available() {
        assert!(is_available(AVAILABLE));
        for facts in [
            Facts {
                unclaimed: false,
                ..AVAILABLE
            },
            Facts {
                deleting: true,
                ..AVAILABLE
            },
            Facts {
                phase: Some(Phase::Pending),
                ..AVAILABLE
            },
            Facts {
                phase: None,
                ..AVAILABLE
            },
            Facts {
                ready: false,
                ..AVAILABLE
            },
            Facts {
                has_address: false,
                ..AVAILABLE
            },
        ] {
            assert!(!is_available(facts), "{facts:?}");
        }
    }

    #[test]
    fn candidates_of_the_current_template_come_first_from_a_random_start() {
        assert_eq!(order([false, true, true, false, true], 1), [2, 4, 1, 3, 0]);
        assert_eq!(order([true, true], 7), [1, 0]);
        assert!(order([], 3).is_empty());
    }

    #[test]
    fn the_patch_is_guarded_by_identity_and_version() {
        let patch = claim().render_patch("u1", "42");
        assert_eq!(patch["metadata"]["uid"], "u1");
        assert_eq!(patch["metadata"]["resourceVersion"], "42");
        assert!(patch["metadata"]["ownerReferences"].is_null());
        assert_eq!(patch["metadata"]["labels"][labels::CLAIMED], "true");
        assert_eq!(
            patch["metadata"]["annotations"][labels::USER_METADATA],
            r#"{"user":"alice"}"#
        );
        assert_eq!(patch["spec"]["shutdownTime"], "1970-01-01T00:05:00.000Z");
        assert!(patch["metadata"]["annotations"].get(labels::SECURE).is_none());
    }

    #[test]
    fn labels_and_annotations_of_others_never_replace_our_own() {
        let pairs =
            |key: &str| BTreeMap::from([(key.to_owned(), "x".to_owned()), ("tier".into(), "x".into())]);
        let claim = Claim {
            labels: pairs(labels::CLAIMED),
            annotations: pairs(labels::OWNER),
            ..claim()
        };
        let mut set = SandboxSet::new("code", SandboxSetSpec::default());
        set.metadata.namespace = Some("default".into());
        for object in [
            claim.render_patch("u1", "42"),
            claim.render_sandbox(&set, "code-abc12").unwrap(),
        ] {
            let metadata = &object["metadata"];
            assert_eq!(metadata["labels"][labels::CLAIMED], "true");
            assert_eq!(metadata["annotations"][labels::OWNER], "team-a");
            assert_eq!(
                (&metadata["labels"]["tier"], &metadata["annotations"]["tier"]),
                (&json!("x"), &json!("x"))
            );
        }
    }

    #[test]
    fn a_claim_without_deadline_says_so() {
        let patch = Claim {
            deadline: None,
            secure: false,
            ..claim()
        }
        .render_patch("u1", "42");
        assert!(patch["spec"]["shutdownTime"].is_null());
        assert_eq!(patch["metadata"]["annotations"][labels::NEVER_TIMEOUT], "true");
        assert_eq!(patch["metadata"]["annotations"][labels::SECURE], "false");
    }

    #[test]
    fn an_image_is_part_of_the_one_write_and_absent_unless_asked_for() {
        let patch = claim().render_patch("u1", "42");
        assert!(patch["spec"].get("inplaceUpdate").is_none());
        let asking = Claim {
            image: Some("other:1".parse().unwrap()),
            ..claim()
        };
        let patch = asking.render_patch("u1", "42");
        assert_eq!(patch["spec"]["inplaceUpdate"], json!({"image": "other:1"}));
        let set = SandboxSet::new("code", SandboxSetSpec::default());
        let sandbox = asking.render_sandbox(&set, "code-abc12").unwrap();
        assert_eq!(sandbox["spec"]["inplaceUpdate"], json!({"image": "other:1"}));
    }

    #[test]
    fn a_sandbox_that_pauses_at_its_timeout_has_no_end() {
        let patch = Claim {
            on_timeout: OnTimeout::Pause,
            ..claim()
        }
        .render_patch("u1", "42");
        assert_eq!(patch["spec"]["pauseTime"], "1970-01-01T00:05:00.000Z");
        assert!(patch["spec"]["shutdownTime"].is_null());
        assert_eq!(patch["metadata"]["annotations"][labels::ON_TIMEOUT], "pause");
    }

    #[test]
    fn what_happens_at_the_timeout_outlives_the_deadline() {
        assert_eq!(OnTimeout::read(Some("pause"), false), OnTimeout::Pause);
        assert_eq!(OnTimeout::read(Some("kill"), true), OnTimeout::Kill);
        assert_eq!(OnTimeout::read(None, true), OnTimeout::Pause);
        assert_eq!(OnTimeout::read(None, false), OnTimeout::Kill);
    }

    #[test]
    fn a_direct_sandbox_is_born_claimed_with_the_template_of_its_set() {
        let mut set = SandboxSet::new(
            "code",
            SandboxSetSpec {
                template: Some(PodTemplate(json!({"spec": {"x": 1}}))),
                ..SandboxSetSpec::default()
            },
        );
        set.metadata.namespace = Some("default".into());
        set.status = Some(SandboxSetStatus {
            update_revision: Some("h1".into()),
            ..SandboxSetStatus::default()
        });
        let sandbox = claim().render_sandbox(&set, "code-abc12").unwrap();
        assert_eq!(sandbox["metadata"]["labels"][labels::CLAIMED], "true");
        assert_eq!(sandbox["metadata"]["labels"][labels::TEMPLATE_HASH], "h1");
        assert_eq!(sandbox["spec"]["template"], json!({"spec": {"x": 1}}));
        assert_eq!(sandbox["spec"]["shutdownTime"], "1970-01-01T00:05:00.000Z");
        assert!(sandbox["spec"].get("replicas").is_none());
    }

    #[test]
    fn volumes_are_mounted_by_a_sandbox_that_is_made_for_them() {
        let set = SandboxSet::new("code", SandboxSetSpec::default());
        let sandbox = claim().render_sandbox(&set, "code-abc12").unwrap();
        assert!(sandbox["spec"].get("volumeMounts").is_none());
        let asking = Claim {
            mounts: Mounts::parse(r#"[{"pvName": "data", "mountPath": "/data"}]"#).unwrap(),
            ..claim()
        };
        let sandbox = asking.render_sandbox(&set, "code-abc12").unwrap();
        let expected = json!([{"pvName": "data", "mountPath": "/data", "readOnly": false}]);
        assert_eq!(sandbox["spec"]["volumeMounts"], expected);
    }

    #[test]
    fn member_names_are_dns_labels_below_their_set() {
        for random in [0, 1, 35, 36, u32::MAX] {
            let name = member_name("code", random);
            assert_eq!(name.len(), 10);
            assert!(
                name[5..]
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
                "{name}"
            );
        }
        assert_ne!(member_name("code", 1), member_name("code", 2));
    }
}
