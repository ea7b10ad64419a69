//! Sorts the members of a pool by what can be done with them; no IO.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use silica_api::{
    crd::{ConditionStatus, Phase, Sandbox, condition},
    labels,
};

use crate::memory::PoolMemory;

/// One unused member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) sandbox: Arc<Sandbox>,
    /// Made from the newest template.
    pub(super) is_current: bool,
}

/// The members of a pool. Claimed ones, and ones on their way out, are in no
/// group.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    pub(super) creating: Vec<Member>,
    pub(super) available: Vec<Member>,
    pub(super) dead: Vec<Arc<Sandbox>>,
    /// When the newest available member became ready.
    pub(super) newest_available: Option<Timestamp>,
}

impl Census {
    /// Members that nobody has claimed, with those that the cache is about to show.
    pub(super) fn unused(&self, memory: &PoolMemory) -> usize {
        self.creating.len() + memory.pending() + self.available.len()
    }

    /// Why the first of the dead members died.
    pub(super) fn failure(&self) -> Option<&str> {
        let status = self.dead.first()?.status.as_ref();
        let message = status.and_then(|status| status.message.as_deref());
        Some(message.unwrap_or("the sandbox failed"))
    }
}

/// What a sandbox is to its pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Belongs to a client: none of the pool's business.
    Claimed,
    /// Already being deleted.
    Leaving,
    /// Can never be claimed any more.
    Dead,
    Creating,
    Available,
}

fn state(sandbox: &Sandbox, now: Timestamp) -> State {
    if sandbox
        .labels()
        .get(labels::CLAIMED)
        .is_some_and(|claimed| claimed == "true")
    {
        return State::Claimed;
    }
    if sandbox.metadata.deletion_timestamp.is_some() {
        return State::Leaving;
    }
    let phase = sandbox.status.as_ref().and_then(|status| status.phase);
    let expired = sandbox
        .spec
        .shutdown_time
        .as_ref()
        .is_some_and(|time| time.0 <= now);
    let ready = ready(sandbox);
    let losing_pod = ready.is_some_and(|ready| ready.reason == condition::POD_TERMINATING);
    if expired || losing_pod || matches!(phase, Some(Phase::Succeeded | Phase::Failed | Phase::Terminating)) {
        return State::Dead;
    }
    let is_ready = ready.is_some_and(|ready| ready.status == ConditionStatus::True);
    if phase == Some(Phase::Running) && is_ready {
        State::Available
    } else {
        State::Creating
    }
}

pub(super) fn ready(sandbox: &Sandbox) -> Option<&silica_api::crd::Condition> {
    sandbox
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.kind == condition::READY)
}

/// Groups the members, oldest first within each group. Members that were deleted
/// already are left out, whatever the cache says.
pub(super) fn take(members: &[Arc<Sandbox>], revision: &str, memory: &PoolMemory, now: Timestamp) -> Census {
    let mut census = Census::default();
    for sandbox in members.iter().filter(|sandbox| !memory.is_deleted(sandbox)) {
        let is_current = sandbox
            .labels()
            .get(labels::TEMPLATE_HASH)
            .is_some_and(|hash| hash == revision);
        let member = || Member {
            sandbox: Arc::clone(sandbox),
            is_current,
        };
        match state(sandbox, now) {
            State::Claimed | State::Leaving => {}
            State::Dead => census.dead.push(Arc::clone(sandbox)),
            State::Creating => census.creating.push(member()),
            State::Available => {
                let since = ready(sandbox).map(|ready| ready.last_transition_time.0);
                census.newest_available = census.newest_available.max(since);
                census.available.push(member());
            }
        }
    }
    let age = |member: &Member| {
        (
            member.sandbox.creation_timestamp().map(|time| time.0),
            member.sandbox.metadata.name.clone(),
        )
    };
    census.creating.sort_by_cached_key(age);
    census.available.sort_by_cached_key(age);
    census
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A member of revision `new`, created at second `age`.
    pub(in super::super) fn member(name: &str, revision: &str, age: i64, status: &Value) -> Arc<Sandbox> {
        Arc::new(
            serde_json::from_value(json!({
                "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
                "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "1",
                    "creationTimestamp": at(age).to_string(),
                    "labels": {labels::CLAIMED: "false", labels::TEMPLATE_HASH: revision}},
                "spec": {}, "status": status,
            }))
            .unwrap(),
        )
    }

    pub(in super::super) fn available() -> Value {
        json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "reason": "PodReady",
            "message": "", "lastTransitionTime": at(5).to_string()}]})
    }

    fn check(sandbox: &Sandbox, expected: State) {
        assert_eq!(state(sandbox, at(100)), expected, "{sandbox:?}");
    }

    #[test]
    fn a_member_is_available_only_when_running_and_ready() {
        check(&member("a", "r", 0, &available()), State::Available);
        check(&member("a", "r", 0, &json!({})), State::Creating);
        check(
            &member("a", "r", 0, &json!({"phase": "Running"})),
            State::Creating,
        );
        check(
            &member("a", "r", 0, &json!({"phase": "Pending"})),
            State::Creating,
        );
    }

    #[test]
    fn a_member_that_ended_expired_or_loses_its_pod_is_dead() {
        for phase in ["Failed", "Succeeded", "Terminating"] {
            check(&member("a", "r", 0, &json!({"phase": phase})), State::Dead);
        }
        let mut expired = Arc::unwrap_or_clone(member("a", "r", 0, &available()));
        expired.spec.shutdown_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(99)));
        check(&expired, State::Dead);
        let mut losing = available();
        losing["conditions"][0]["status"] = json!("False");
        losing["conditions"][0]["reason"] = json!(condition::POD_TERMINATING);
        check(&member("a", "r", 0, &losing), State::Dead);
    }

    #[test]
    fn a_claimed_member_is_nobodys_business_even_when_dead() {
        let mut claimed = Arc::unwrap_or_clone(member("a", "r", 0, &json!({"phase": "Failed"})));
        claimed
            .labels_mut()
            .insert(labels::CLAIMED.to_owned(), "true".to_owned());
        check(&claimed, State::Claimed);
    }

    #[test]
    fn groups_are_sorted_by_age_and_skip_what_was_deleted() {
        let members = [
            member("young", "r", 9, &available()),
            member("old", "r", 1, &available()),
            member("gone", "r", 0, &available()),
            member("new", "r", 10, &json!({})),
            member("dead", "old", 2, &json!({"phase": "Failed"})),
        ];
        let mut memory = PoolMemory::default();
        memory.note_deleted("uid-gone".to_owned(), at(50));
        let census = take(&members, "r", &memory, at(100));
        let names = |group: &[Member]| group.iter().map(|m| m.sandbox.name_any()).collect::<Vec<_>>();
        assert_eq!(names(&census.available), ["old", "young"]);
        assert_eq!(names(&census.creating), ["new"]);
        assert_eq!(census.dead.len(), 1);
        assert_eq!(census.newest_available, Some(at(5)));
    }
}
