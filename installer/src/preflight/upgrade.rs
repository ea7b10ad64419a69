//! Whether the new definitions can take over from those that are there, with all
//! objects that exist: what the API server would refuse half way, or what would lose objects.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;

use crate::{cli::check::Check, facts::CrdFact};

/// Judges every definition at once.
pub(super) fn judge(live: &[CrdFact], wanted: &[CustomResourceDefinition]) -> Check {
    let id = "crds-upgrade";
    let title = "stored objects fit the new CRDs";
    let obstacles: Vec<String> = live
        .iter()
        .filter_map(|live| {
            let wanted = wanted.iter().find(|wanted| wanted.name_any() == live.name)?;
            obstacle(live, wanted)
        })
        .collect();
    if obstacles.is_empty() {
        return Check::pass(id, title);
    }
    Check::fail(id, title, obstacles.join("; ")).hint(
        "first write all objects in a version that both have \
         (kubectl get KIND -A -o yaml | kubectl replace -f -), then take the old version \
         out of status.storedVersions; or install a silica that still has it",
    )
}

/// Why this definition cannot be replaced; `None` when it can.
fn obstacle(live: &CrdFact, wanted: &CustomResourceDefinition) -> Option<String> {
    if live.scope != wanted.spec.scope {
        return Some(format!(
            "{} is {}, and would become {}",
            live.name, live.scope, wanted.spec.scope
        ));
    }
    let lost: Vec<&str> = live
        .stored_versions
        .iter()
        .filter(|stored| {
            !wanted
                .spec
                .versions
                .iter()
                .any(|version| version.name == **stored)
        })
        .map(String::as_str)
        .collect();
    if lost.is_empty() {
        return None;
    }
    Some(format!(
        "{} has objects stored as {}, which the new definition does not have",
        live.name,
        lost.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use silica_api::crd;

    use super::*;
    use crate::{cli::check::Verdict, facts::Owner};

    fn live(scope: &str, stored: &[&str]) -> Vec<CrdFact> {
        vec![CrdFact {
            name: crd::all()[0].name_any(),
            is_ours: true,
            owner: Owner::Product("silica".into()),
            scope: scope.into(),
            stored_versions: stored.iter().map(|version| (*version).to_owned()).collect(),
        }]
    }

    #[test]
    fn a_definition_with_the_stored_version_can_take_over() {
        assert_eq!(
            judge(&live("Namespaced", &["v1alpha1"]), &crd::all()).verdict,
            Verdict::Pass
        );
        assert_eq!(judge(&[], &crd::all()).verdict, Verdict::Pass);
    }

    #[test]
    fn a_stored_version_that_would_vanish_stops_the_upgrade() {
        let check = judge(&live("Namespaced", &["v1alpha1", "v1"]), &crd::all());
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.detail.contains("stored as v1,"), "{}", check.detail);
    }

    #[test]
    fn a_changed_scope_stops_the_upgrade() {
        let check = judge(&live("Cluster", &["v1alpha1"]), &crd::all());
        assert!(check.detail.contains("is Cluster"), "{}", check.detail);
    }
}
