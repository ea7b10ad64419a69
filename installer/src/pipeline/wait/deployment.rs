//! What a Deployment says about its rollout.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::Look;

/// Looks whether all pods are of the newest version and available.
pub(super) fn look_deployment(deployment: Option<&Deployment>) -> Look {
    let Some(deployment) = deployment else {
        return Look::NotYet("it does not exist".into());
    };
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let Some(status) = &deployment.status else {
        return Look::NotYet("it was not seen by its controller yet".into());
    };
    if status.observed_generation < deployment.metadata.generation {
        return Look::NotYet("its newest version was not seen yet".into());
    }
    let count = |number: Option<i32>| number.unwrap_or(0);
    let (updated, available, total) = (
        count(status.updated_replicas),
        count(status.available_replicas),
        count(status.replicas),
    );
    if updated >= wanted && available >= wanted && total == updated {
        return Look::Ready;
    }
    let counts = format!("{available} of {wanted} pods are available, {updated} of them new");
    match failure(status) {
        Some(message) => Look::Failing(format!("{counts}; {message}")),
        None => Look::NotYet(counts),
    }
}

/// What the conditions of a Deployment have against its new pods: they cannot be
/// created (a quota, a Pod Security level), or nothing moves any more.
fn failure(status: &DeploymentStatus) -> Option<String> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let condition = conditions.iter().find(|condition| {
        let reason = condition.reason.as_deref().unwrap_or_default();
        (condition.type_ == "ReplicaFailure" && condition.status == "True")
            || (condition.type_ == "Progressing"
                && condition.status == "False"
                && reason == "ProgressDeadlineExceeded")
    })?;
    let text = condition.message.as_ref().or(condition.reason.as_ref());
    Some(text.unwrap_or(&condition.type_).clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_done_only_when_no_old_pod_is_left() {
        let deployment = |generation: i64, updated: i32, total: i32, available: i32| -> Deployment {
            serde_json::from_value(json!({"metadata": {"generation": generation},
                "spec": {"replicas": 2, "selector": {}, "template": {}},
                "status": {"observedGeneration": 2, "updatedReplicas": updated, "replicas": total, "availableReplicas": available}}))
            .unwrap()
        };
        assert!(matches!(
            look_deployment(Some(&deployment(2, 2, 2, 2))),
            Look::Ready
        ));
        for not_yet in [
            deployment(3, 2, 2, 2),
            deployment(2, 2, 3, 3),
            deployment(2, 1, 2, 2),
            deployment(2, 2, 2, 1),
        ] {
            assert!(matches!(look_deployment(Some(&not_yet)), Look::NotYet(_)));
        }
    }

    #[test]
    fn conditions_tell_what_keeps_pods_from_being_created() {
        let deployment = |conditions: serde_json::Value| -> Deployment {
            serde_json::from_value(json!({"metadata": {"generation": 1},
                "spec": {"replicas": 3, "selector": {}, "template": {}},
                "status": {"observedGeneration": 1, "conditions": conditions}}))
            .unwrap()
        };
        let look = |conditions| look_deployment(Some(&deployment(conditions)));
        let forbidden = json!([
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetCreated"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}]);
        let counts = "0 of 3 pods are available, 0 of them new";
        assert_eq!(
            look(forbidden),
            Look::Failing(format!("{counts}; exceeded quota: q"))
        );
        let stuck = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(
            look(stuck),
            Look::Failing(format!("{counts}; ProgressDeadlineExceeded"))
        );
        let fine =
            json!([{"type": "Progressing", "status": "True"}, {"type": "ReplicaFailure", "status": "False"}]);
        assert_eq!(look(fine), Look::NotYet(counts.into()));
    }
}
