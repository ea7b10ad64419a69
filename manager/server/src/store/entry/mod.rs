//! What the server keeps of a Sandbox: the few fields that answers need, so that the view of a
//! large cluster stays small.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt as _;
use silica_api::{
    crd::{ConditionStatus, Phase, Sandbox, condition},
    labels,
    types::SandboxId,
};
use silica_core::{
    annotations::Annotations,
    claim::{self, OnTimeout},
    resources::Resources,
    state,
    state::State,
};

use super::{Live, PoolKey};

/// Reasons of a false condition `Ready` that do not pass by themselves.
const START_FAILURES: [&str; 4] = [
    condition::START_CONTAINER_FAILED,
    condition::IMAGE_CHANGE_FAILED,
    condition::INVALID_TEMPLATE,
    condition::POD_CREATE_FAILED,
];

/// One sandbox.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Public id; also names namespace and object.
    pub(crate) id: SandboxId,
    /// `metadata.uid`
    pub(crate) uid: Box<str>,
    /// `metadata.resourceVersion` as it is sent back.
    pub(crate) resource_version: Box<str>,
    /// The same as a number, which grows with every change (KEP-5504); 0 if it is none.
    pub(crate) version: u64,
    /// Pool that the sandbox was made for.
    pub(crate) pool: Option<PoolKey>,
    /// Name of its template.
    pub(crate) template: Box<str>,
    /// Hash of its pod template.
    pub(crate) template_hash: Option<Box<str>>,
    /// Facts about its life.
    pub(crate) facts: state::Facts,
    /// Whether it waits in a pool.
    pub(crate) unclaimed: bool,
    /// Condition `Ready`.
    pub(crate) ready: bool,
    /// When that condition last changed.
    pub(crate) ready_changed_at: Option<Timestamp>,
    /// There is no pod for it, or the pod does not start, or not with the image that was asked for.
    pub(crate) has_start_failure: bool,
    /// A volume that was asked for cannot be mounted.
    pub(crate) has_volume_failure: bool,
    /// Image that was asked for and that it was ready with.
    pub(crate) image: Option<Box<str>>,
    /// Address of the pod.
    pub(crate) address: Option<IpAddr>,
    /// Id of the main container.
    pub(crate) container: Option<Box<str>>,
    /// Id of the main container that the claim initialised.
    initialised_container: Option<Box<str>>,
    /// The daemon is not to be called.
    pub(crate) skip_init: bool,
    /// Team that owns it.
    pub(crate) owner: Option<Box<str>>,
    /// Time of the claim, else of the creation.
    pub(crate) started_at: Timestamp,
    /// Id of the claim that won.
    pub(crate) lock: Option<Box<str>>,
    /// `spec.pauseTime`
    pub(crate) pause_time: Option<Timestamp>,
    /// What happens at the end of the timeout, also while there is no deadline.
    pub(crate) on_timeout: OnTimeout,
    /// When the sandbox was paused.
    pub(crate) paused_at: Option<Timestamp>,
    /// The user's metadata.
    pub(crate) metadata: BTreeMap<String, String>,
    /// Hash of idempotency key and body.
    pub(crate) idempotency: Option<Box<str>>,
    /// All replicas know that it is the sandbox of that call.
    pub(crate) is_settled: bool,
    /// Seconds of the timeout with which traffic resumes it; nothing when it does not.
    pub(crate) auto_resume: Option<i64>,
    /// No deadline was wanted.
    pub(crate) never_timeout: bool,
    /// Clients need a token for the in-sandbox daemon.
    pub(crate) secure: bool,
    /// Other ports need a traffic token.
    pub(crate) private_traffic: bool,
    /// Size.
    pub(crate) resources: Resources,
    /// `status.message`
    pub(crate) message: Option<Box<str>>,
    /// Connections and streams of the running pod.
    pub(crate) live: Arc<Live>,
}

impl Entry {
    /// Keeps what is needed of an object; nothing when it lacks what every stored
    /// object has, or its id is not a DNS label.
    pub(crate) fn new(object: Sandbox) -> Option<Self> {
        let namespace = object.namespace()?;
        let id = SandboxId::new(&namespace, &object.name_any()).ok()?;
        let Sandbox {
            metadata,
            spec,
            status,
        } = object;
        let resource_version = metadata.resource_version?;
        let object_labels = metadata.labels.unwrap_or_default();
        let annotations = Annotations::read(metadata.annotations.unwrap_or_default());
        let status = status.unwrap_or_default();
        let created = metadata
            .creation_timestamp
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let pool = object_labels.get(labels::POOL);
        let label = |key: &str| object_labels.get(key).map(String::as_str);
        let template = label(labels::TEMPLATE)
            .or(pool.map(String::as_str))
            .unwrap_or_default();
        let address = status.address().and_then(|address| address.parse().ok());
        let container = status.pod_info.and_then(|pod| pod.container_id);
        let readiness = status
            .conditions
            .iter()
            .find(|condition| condition.kind == condition::READY);
        let ready = readiness.is_some_and(|condition| condition.status == ConditionStatus::True);
        let has_start_failure =
            readiness.is_some_and(|condition| START_FAILURES.contains(&&*condition.reason));
        let has_volume_failure =
            readiness.is_some_and(|condition| condition.reason == condition::VOLUME_MOUNT_FAILED);
        let paused = status.conditions.iter().find(|condition| {
            condition.kind == condition::PAUSED && condition.status == ConditionStatus::True
        });
        Some(Self {
            on_timeout: OnTimeout::choose(annotations.on_timeout, spec.pause_time.is_some()),
            pause_time: spec.pause_time.map(|time| time.0),
            paused_at: paused.map(|condition| condition.last_transition_time.0),
            uid: metadata.uid?.into(),
            version: resource_version.parse().unwrap_or(0),
            resource_version: resource_version.into(),
            pool: pool.map(|pool| PoolKey::new(&namespace, pool)),
            template: template.into(),
            template_hash: label(labels::TEMPLATE_HASH).map(Into::into),
            facts: state::Facts {
                phase: status.phase,
                deleting: metadata.deletion_timestamp.is_some(),
                pause_asked: spec.paused.unwrap_or(false),
                shutdown_time: spec.shutdown_time.map(|time| time.0),
            },
            unclaimed: label(labels::CLAIMED) == Some("false"),
            ready,
            ready_changed_at: readiness.map(|condition| condition.last_transition_time.0),
            has_start_failure,
            has_volume_failure,
            container: container.map(Into::into),
            skip_init: annotations.skip_init,
            is_settled: annotations.is_settled,
            image: status.image.map(Into::into),
            address,
            started_at: annotations.claimed_at.unwrap_or(created),
            auto_resume: annotations.auto_resume,
            never_timeout: annotations.never_timeout,
            secure: annotations.secure,
            private_traffic: annotations.private_traffic,
            initialised_container: annotations.initialised_container.map(Into::into),
            owner: annotations.owner.map(Into::into),
            lock: annotations.lock.map(Into::into),
            idempotency: annotations.idempotency.map(Into::into),
            metadata: annotations.metadata,
            resources: spec
                .template
                .map(|template| Resources::of_template(&template.0))
                .unwrap_or_default(),
            message: status.message.map(Into::into),
            live: Arc::default(),
            id,
        })
    }

    /// What clients see, nothing when the sandbox is gone or still in its pool.
    pub(crate) fn state(&self, now: Timestamp) -> Option<State> {
        if self.unclaimed {
            None
        } else {
            state::observe(self.facts, now)
        }
    }

    /// Whether requests can be sent to the pod.
    pub(crate) fn is_routable(&self, now: Timestamp) -> bool {
        self.state(now) == Some(State::Running)
            && self.facts.phase == Some(Phase::Running)
            && self.address.is_some()
    }

    /// Whether streams of the pod have to end: it is gone, or on its way.
    pub(crate) fn is_over(&self) -> bool {
        self.facts.deleting
            || self.facts.pause_asked
            || !matches!(self.facts.phase, Some(Phase::Running | Phase::Pending) | None)
    }

    /// Whether the sandbox can be handed to a client.
    pub(crate) fn is_available(&self) -> bool {
        claim::is_available(claim::Facts {
            unclaimed: self.unclaimed,
            deleting: self.facts.deleting,
            phase: self.facts.phase,
            ready: self.ready,
            has_address: self.address.is_some(),
        })
    }

    /// Whether the sandbox is up and its pod accepts requests.
    pub(crate) fn is_up(&self, now: Timestamp) -> bool {
        self.is_routable(now) && self.ready
    }

    /// Since when servers inside of it may be about to listen: its claim, or its latest start.
    pub(crate) fn fresh_since(&self) -> Timestamp {
        let ready = self.ready_changed_at.filter(|_| self.ready);
        ready.map_or(self.started_at, |ready| ready.max(self.started_at))
    }

    /// Whether the daemon has yet to learn whose it is: its container is another one than the
    /// claim has initialised, and this server has not caught up on it.
    pub(crate) fn is_uninitialised(&self) -> bool {
        let container = self
            .container
            .as_deref()
            .filter(|_| self.lock.is_some() && !self.skip_init);
        container.is_some_and(|container| {
            self.initialised_container.as_deref() != Some(container) && !self.live.is_initialised(container)
        })
    }

    /// Remembers that its daemon was initialised.
    pub(crate) fn note_initialised(&self) {
        if let Some(container) = &self.container {
            self.live.note_initialised(container);
        }
    }

    /// Leaves the daemon alone for a moment: it could not be initialised.
    pub(crate) fn put_initialisation_off(&self) {
        self.live.note_failed();
    }

    /// When the timeout ends: the time of the pause, or of the end.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.pause_time.or(self.facts.shutdown_time)
    }

    /// Whether the sandbox will never become ready.
    pub(crate) fn has_failed(&self) -> bool {
        self.facts.deleting
            || matches!(
                self.facts.phase,
                Some(Phase::Failed | Phase::Succeeded | Phase::Terminating)
            )
    }
}

#[cfg(test)]
mod tests;
