//! The Sandbox that a pool creates; no IO.

use kube::{Resource, ResourceExt, api::ObjectMeta};
use silica_api::{
    crd::{Sandbox, SandboxSet, SandboxSpec},
    labels,
};

use super::validate::Pool;

/// A member of the pool. It carries the template itself rather than a reference,
/// so that a later change of the template cannot change what its hash says.
pub(super) fn member(set: &SandboxSet, pool: &Pool, name: String) -> Sandbox {
    let set_name = set.name_any();
    let labels = [
        (labels::POOL, set_name.as_str()),
        (labels::TEMPLATE, set_name.as_str()),
        (labels::CLAIMED, "false"),
        (labels::TEMPLATE_HASH, pool.revision.as_str()),
    ];
    Sandbox {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: set.namespace(),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            owner_references: Some(set.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: SandboxSpec {
            template: Some(pool.blueprint.template.clone()),
            runtimes: pool.blueprint.runtimes.clone(),
            volume_claim_templates: pool.blueprint.volume_claims.clone(),
            persistent_contents: pool.blueprint.persistent_contents.clone(),
            pause_strategy: pool.blueprint.pause_strategy.clone(),
            ..SandboxSpec::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::plan::Limits, *};
    use crate::template::Blueprint;

    fn set() -> SandboxSet {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "SandboxSet",
            "metadata": {"name": "code-interpreter", "namespace": "default", "uid": "u"}, "spec": {"replicas": 1},
        }))
        .unwrap()
    }

    #[test]
    fn a_member_is_labelled_owned_and_unclaimed() {
        let pool = Pool {
            blueprint: Blueprint {
                template: silica_api::crd::PodTemplate(json!({"spec": 1})),
                ..Blueprint::default()
            },
            revision: "hash".to_owned(),
            limits: Limits {
                replicas: 1,
                max_creating: None,
                max_updating: 1,
            },
        };
        let member = serde_json::to_value(member(&set(), &pool, "code-interpreter-x".to_owned())).unwrap();
        assert_eq!(
            member["metadata"]["labels"],
            json!({
                "agents.kruise.io/sandbox-pool": "code-interpreter",
                "agents.kruise.io/sandbox-template": "code-interpreter",
                "agents.kruise.io/sandbox-claimed": "false",
                "agents.kruise.io/template-hash": "hash",
            })
        );
        let owner = &member["metadata"]["ownerReferences"][0];
        assert_eq!(
            (&owner["kind"], &owner["controller"]),
            (&json!("SandboxSet"), &json!(true))
        );
        assert_eq!(member["spec"], json!({"template": {"spec": 1}}));
    }
}
