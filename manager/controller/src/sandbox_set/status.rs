//! Computes the status of a SandboxSet; no IO.

use jiff::Timestamp;
use kube::ResourceExt;
use silica_api::{
    crd::{Phase, SandboxSet, SandboxSetStatus, condition},
    labels,
};

use super::{
    census::{self, Census, Member},
    validate::{self, Pool},
};
use crate::{memory::PoolMemory, sandbox::Conditions};

/// Reasons of a member's false `Ready` condition that somebody should know.
const TROUBLE: [&str; 5] = [
    condition::START_CONTAINER_FAILED,
    condition::POD_CREATE_FAILED,
    condition::INVALID_TEMPLATE,
    condition::UNSCHEDULABLE,
    condition::POD_OWNER_MISMATCH,
];

/// The status after the plan was carried out.
pub(super) fn next(
    set: &SandboxSet,
    census: &Census,
    pool: &Pool,
    memory: &PoolMemory,
    failure: Option<&str>,
    now: Timestamp,
) -> SandboxSetStatus {
    let current = |members: &[Member]| members.iter().filter(|member| member.is_current).count();
    let (creating, available) = (census.creating.len(), census.available.len());
    // What was just created is of the newest template.
    let pending = memory.pending();
    let current_available = current(&census.available);
    let mut status = SandboxSetStatus {
        replicas: count(creating + pending + available),
        available_replicas: count(available),
        updated_replicas: count(current(&census.creating) + pending + current_available),
        updated_available_replicas: count(current_available),
        update_revision: Some(pool.revision.clone()),
        ..base(set)
    };
    let mut conditions = Conditions {
        list: &mut status.conditions,
        generation: set.metadata.generation,
        now,
    };
    match trouble(census, memory, failure) {
        Some((reason, message)) => conditions.set(condition::REPLICA_FAILURE, true, &reason, &message),
        None => conditions.remove(condition::REPLICA_FAILURE),
    }
    status
}

/// The status of a set for which nothing can be done.
pub(super) fn invalid(set: &SandboxSet, error: &validate::Error, now: Timestamp) -> SandboxSetStatus {
    let mut status = base(set);
    let mut conditions = Conditions {
        list: &mut status.conditions,
        generation: set.metadata.generation,
        now,
    };
    conditions.set(
        condition::REPLICA_FAILURE,
        true,
        condition::INVALID_TEMPLATE,
        &error.to_string(),
    );
    status
}

/// What does not depend on the members.
fn base(set: &SandboxSet) -> SandboxSetStatus {
    SandboxSetStatus {
        observed_generation: set.metadata.generation.unwrap_or(0),
        current_revision: set
            .spec
            .template_ref
            .as_ref()
            .map(|reference| reference.name.clone()),
        selector: Some(format!(
            "{}={},{}=false",
            labels::POOL,
            set.name_any(),
            labels::CLAIMED
        )),
        ..set.status.clone().unwrap_or_default()
    }
}

/// What keeps the pool from being full, worst first.
fn trouble(census: &Census, memory: &PoolMemory, failure: Option<&str>) -> Option<(String, String)> {
    if let Some(message) = failure {
        return Some(("CreateSandboxFailed".to_owned(), message.to_owned()));
    }
    if let Some((failures, message)) = memory.backoff.report() {
        let message = format!("{failures} failures in a row, creating slowly; the last one: {message}");
        return Some(("SandboxFailed".to_owned(), message));
    }
    let waiting = census.creating.iter().filter(|member| {
        member.sandbox.status.as_ref().and_then(|status| status.phase) != Some(Phase::Running)
    });
    waiting.into_iter().find_map(|member| {
        let ready =
            census::ready(&member.sandbox).filter(|ready| TROUBLE.contains(&ready.reason.as_str()))?;
        Some((ready.reason.clone(), ready.message.clone()))
    })
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{
            census::tests::{at, available, member},
            plan::Limits,
        },
        *,
    };
    use crate::template::Blueprint;

    fn set() -> SandboxSet {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet",
            "metadata": {"name": "pool", "namespace": "ns", "generation": 2}, "spec": {"replicas": 4},
        }))
        .unwrap()
    }

    fn pool() -> Pool {
        let limits = Limits {
            replicas: 4,
            max_creating: None,
            max_updating: 1,
        };
        Pool {
            blueprint: Blueprint::default(),
            revision: "new".to_owned(),
            limits,
        }
    }

    fn status(members: &[std::sync::Arc<silica_api::crd::Sandbox>], memory: &PoolMemory) -> SandboxSetStatus {
        next(
            &set(),
            &census::take(members, "new", memory, at(100)),
            &pool(),
            memory,
            None,
            at(100),
        )
    }

    #[test]
    fn unused_members_are_counted_by_state_and_revision() {
        let members = [
            member("a", "new", 0, &available()),
            member("b", "old", 0, &available()),
            member("c", "old", 0, &json!({})),
        ];
        let mut memory = PoolMemory::default();
        memory.note_created("d".to_owned(), at(99));
        let status = status(&members, &memory);
        let counts = (
            status.replicas,
            status.available_replicas,
            status.updated_replicas,
            status.updated_available_replicas,
        );
        assert_eq!(counts, (4, 2, 2, 1));
        assert_eq!(
            (status.observed_generation, status.update_revision.as_deref()),
            (2, Some("new"))
        );
        assert_eq!(
            status.selector.as_deref(),
            Some("agents.kruise.io/sandbox-pool=pool,agents.kruise.io/sandbox-claimed=false")
        );
        assert_eq!(status.conditions, []);
    }

    #[test]
    fn a_member_that_does_not_start_is_visible_on_its_set() {
        let broken = json!({"phase": "Pending", "conditions": [{"type": "Ready", "status": "False",
            "reason": condition::START_CONTAINER_FAILED, "message": "container \"x\": ErrImagePull",
            "lastTransitionTime": at(0).to_string()}]});
        let status = status(&[member("a", "new", 0, &broken)], &PoolMemory::default());
        assert_eq!(status.conditions[0].reason, condition::START_CONTAINER_FAILED);
        assert!(status.conditions[0].message.contains("ErrImagePull"));
    }

    #[test]
    fn repeated_failures_are_visible_and_vanish_when_they_end() {
        let mut memory = PoolMemory::default();
        memory.backoff.fail("boom", at(0));
        let failing = status(&[], &memory);
        assert!(failing.conditions[0].message.ends_with("boom"));
        let mut healed = set();
        healed.status = Some(failing);
        let census = Census::default();
        let status = next(&healed, &census, &pool(), &PoolMemory::default(), None, at(100));
        assert_eq!(status.conditions, []);
    }
}
