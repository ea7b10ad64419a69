//! Judges the cluster's facts against what is wanted, before anything is written.

mod upgrade;
mod way_in;

use silica_api::{crd, names};

use crate::{
    check::{Check, Report},
    facts::{ClusterFacts, CrdFact, NamespaceFact, Version, way_in::WayIn},
    rights::{self, Right},
    settings::Settings,
};

/// Oldest minor version of Kubernetes 1: native sidecars, which the runtime
/// injection of users' own templates relies on, are on by default since 1.29.
const MINOR_FLOOR: u32 = 29;

/// All checks. Pure: the facts are all there is to know.
pub fn judge(settings: &Settings, facts: &ClusterFacts, way_in: &WayIn) -> Report {
    // Without the rights the facts could not have been read.
    let mut checks = vec![version(&facts.version), permission(&[])];
    checks.push(namespace(&facts.namespace, settings.adopt));
    checks.push(definitions(&facts.crds, settings.adopt));
    checks.extend(way_in::judge(&settings.options, &facts.ingress_classes, way_in));
    checks.push(upgrade::judge(&facts.crds, &crd::all()));
    checks.push(domains(settings));
    Report { checks }
}

fn version(version: &Version) -> Check {
    let title = format!("Kubernetes {} is at least v1.{MINOR_FLOOR}", version.text);
    match version.minor {
        Some(minor) if minor >= MINOR_FLOOR => Check::pass("kubernetes-version", title),
        Some(_) => Check::fail(
            "kubernetes-version",
            title,
            "native sidecar containers are missing in older versions",
        )
        .hint("upgrade the cluster"),
        None => Check::warn("kubernetes-version", title, "the version cannot be read"),
    }
}

/// Whether the user may do what the plan takes.
pub fn permission(missing: &[Right]) -> Check {
    let title = "the user has every right that the plan needs";
    if missing.is_empty() {
        return Check::pass("rights", title);
    }
    let detail = rights::describe(missing).join("\n      ");
    Check::fail("rights", title, format!("missing:\n      {detail}"))
        .hint(
            "an administrator can grant exactly what is needed: \
             silica rbac print --user NAME | kubectl apply -f - (with the flags of this installation)",
        )
        .permission()
}

fn namespace(fact: &NamespaceFact, adopt: bool) -> Check {
    let id = "namespace";
    let title = format!("namespace {} is free or ours", names::NAMESPACE);
    match fact {
        NamespaceFact::Absent | NamespaceFact::Ours => Check::pass(id, title),
        // An empty namespace is what `kubectl create namespace` leaves behind.
        NamespaceFact::Foreign { objects } if objects.is_empty() => Check::pass(id, title),
        NamespaceFact::Foreign { objects } if adopt => Check::warn(
            id,
            title,
            format!("it is taken over together with {}", objects.join(", ")),
        ),
        NamespaceFact::Foreign { objects } => Check::fail(
            id,
            title,
            format!("somebody else made it, and it holds {}", objects.join(", ")),
        )
        .hint("remove these objects, or take the namespace over with --adopt"),
    }
}

fn definitions(facts: &[CrdFact], adopt: bool) -> Check {
    let id = "definitions";
    let title = format!("definitions of {} are absent or ours", names::GROUP);
    let foreign: Vec<String> = facts
        .iter()
        .filter(|fact| !fact.is_ours)
        .map(|fact| format!("{} ({})", fact.name, fact.owner))
        .collect();
    if foreign.is_empty() {
        return Check::pass(id, title);
    }
    let detail = format!("already there: {}", foreign.join(", "));
    if adopt {
        return Check::warn(id, title, format!("{detail}; they are taken over"));
    }
    Check::fail(id, title, detail)
        .hint("remove the other product, or take its definitions over with --adopt; its objects stay")
}

fn domains(settings: &Settings) -> Check {
    let names: Vec<&str> = settings.options.domains.iter().map(AsRef::as_ref).collect();
    Check::pass("domain", format!("domain {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn old_kubernetes_is_refused() {
        let at = |minor| {
            version(&Version {
                text: String::new(),
                minor,
            })
            .verdict
        };
        assert_eq!(
            (at(Some(28)), at(Some(29)), at(None)),
            (Verdict::Fail, Verdict::Pass, Verdict::Warn)
        );
    }

    #[test]
    fn a_foreign_namespace_is_refused_only_when_it_holds_something() {
        let held = NamespaceFact::Foreign {
            objects: vec!["Pod a".into()],
        };
        assert_eq!(namespace(&held, false).verdict, Verdict::Fail);
        assert_eq!(namespace(&held, true).verdict, Verdict::Warn);
        assert_eq!(
            namespace(&NamespaceFact::Foreign { objects: Vec::new() }, false).verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn foreign_definitions_are_refused_with_their_owner() {
        let fact = CrdFact {
            name: "sandboxes.x".into(),
            is_ours: false,
            owner: "Helm release a/b".into(),
            scope: "Namespaced".into(),
            stored_versions: vec!["v1alpha1".into()],
        };
        let check = definitions(std::slice::from_ref(&fact), false);
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.detail.contains("Helm release a/b"));
        assert_eq!(definitions(&[fact], true).verdict, Verdict::Warn);
    }

    #[test]
    fn missing_rights_are_a_matter_of_permission() {
        let right = Right {
            verb: "patch".into(),
            group: "apps".into(),
            resource: "deployments".into(),
            name: None,
            namespace: None,
        };
        let report = Report {
            checks: vec![permission(&[right])],
        };
        assert!(report.lacks_rights_only());
        assert!(
            report.checks[0]
                .detail
                .contains("patch deployments.apps cluster-wide")
        );
    }
}
