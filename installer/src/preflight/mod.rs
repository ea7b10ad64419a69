//! Judges the cluster's facts against what is wanted, before anything is written.

mod upgrade;
mod way_in;

use std::collections::BTreeSet;

use silica_api::{crd, names};

use crate::{
    cli::check::{Check, Report},
    facts::{Claimed, ClusterFacts, CrdFact, Known, NamespaceFact, Owner, Timings, Version, way_in::WayIn},
    rights::{self, Right},
    settings::Settings,
};

mod capacity;
mod domain;
mod templates;

pub(crate) use self::templates::template_namespace;

/// Seconds of difference between the clocks that the user should know of.
const SKEW_WARN: u64 = 60;
/// Seconds above which new certificates are refused by somebody.
const SKEW_FATAL: u64 = 300;
/// What helps against clocks that differ.
pub(crate) const CLOCK_HINT: &str = "set the clocks: timedatectl set-ntp true, here and on the nodes";
/// What helps when a namespace does not go.
pub(crate) const TERMINATING_HINT: &str =
    "wait until it is gone; what holds it: kubectl get namespace sandbox-system -o yaml (status.conditions)";
/// Oldest minor version of Kubernetes 1: native sidecars, which the runtime
/// injection of users' own templates relies on, are on by default since 1.29.
const MINOR_FLOOR: u32 = 29;

/// All checks. Pure: the facts are all there is to know. `makes_certificates`
/// tells whether the plan issues any, since those depend on the clock; `delivery` is what
/// was found out about the way of our executables.
pub fn judge(
    settings: &Settings,
    facts: &ClusterFacts,
    way_in: &WayIn,
    delivery: Vec<Check>,
    makes_certificates: bool,
) -> Report {
    let options = &settings.options;
    let mut checks = vec![
        version(&facts.version),
        capacity::sidecars(&facts.nodes),
        clock(facts.clock_skew, makes_certificates),
        // Without the rights the facts could not have been read.
        permission(&[]),
        namespace(&facts.namespace, settings.adopt),
        definitions(&facts.crds, settings.adopt),
        webhooks(&facts.webhooks, settings.adopt),
        capacity::room(options, &facts.nodes),
        domain::check(&options.domains),
    ];
    checks.push(upgrade::judge(&facts.crds, &crd::all()));
    checks.extend(way_in::judge(options, &facts.ingress_classes, way_in));
    checks.extend(delivery);
    Report::of_preflight(checks, &facts.timings)
}

/// Only the lack of rights, which keeps everything else from being looked at.
pub fn without_rights(missing: &[Right]) -> Report {
    Report::of_preflight(vec![permission(missing)], &Timings::new())
}

/// Certificates are valid from now on: a client whose clock is behind refuses
/// new ones, and tokens and leases suffer as well.
pub(crate) fn clock(skew: Option<i64>, makes_certificates: bool) -> Check {
    let id = "clock";
    let title = "the clocks of the cluster and of this machine agree";
    let Some(skew) = skew else {
        return Check::skip(id, title, "the API server sends no date");
    };
    let seconds = skew.unsigned_abs();
    if seconds <= SKEW_WARN {
        return Check::pass(id, title);
    }
    let side = if skew > 0 { "ahead of" } else { "behind" };
    let detail = format!("the cluster is {seconds} s {side} this machine");
    let hint = CLOCK_HINT;
    if seconds > SKEW_FATAL && makes_certificates {
        let why = format!("{detail}; new certificates would not be valid everywhere");
        return Check::fail(id, title, why).hint(hint);
    }
    Check::warn(id, title, detail).hint(hint)
}

fn webhooks(fact: &Known<Vec<String>>, adopt: bool) -> Check {
    let id = "webhooks";
    let title = format!("no webhook of another product acts on {}", names::GROUP);
    match fact {
        Known::Forbidden(why) => Check::skip(id, title, format!("webhooks may not be listed: {why}")),
        Known::Read(found) if found.is_empty() => Check::pass(id, title),
        Known::Read(found) if adopt => Check::warn(id, title, found.join(", ")),
        Known::Read(found) => Check::fail(
            id,
            title,
            format!("{}: another controller for the same kinds is, or was, installed", found.join(", ")),
        )
        .hint("remove that product first, its webhooks with it: kubectl delete KIND NAME; or continue with --adopt"),
    }
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
             silica rbac print --from-cluster --user NAME | kubectl apply -f - (with the flags of this installation)",
        )
        .permission()
}

fn namespace(fact: &NamespaceFact, adopt: bool) -> Check {
    let id = "namespace";
    let title = format!("namespace {} can be used", names::NAMESPACE);
    match fact {
        NamespaceFact::Absent | NamespaceFact::Ours => Check::pass(id, title),
        NamespaceFact::Terminating => Check::fail(
            id,
            title,
            "it is being deleted, and nothing can be created in it until then",
        )
        .hint(TERMINATING_HINT),
        // An empty namespace is what `kubectl create namespace` leaves behind.
        NamespaceFact::Foreign { objects } if objects.is_empty() => Check::pass(id, title),
        NamespaceFact::Foreign { objects } if adopt => Check::warn(
            id,
            title,
            format!("--adopt takes it over, together with {}", objects.join(", ")),
        ),
        NamespaceFact::Foreign { objects } => Check::fail(
            id,
            title,
            format!("it was not made by silica, and it holds {}", objects.join(", ")),
        )
        .hint("remove these objects, or take the namespace over with --adopt"),
    }
}

/// Whether objects with names of ours are somebody else's: what is written becomes part of
/// the installation, and goes with it.
pub(crate) fn objects(claimed: &[Claimed], adopt: bool) -> Check {
    let id = "objects";
    let title = "no conflicting objects with these names";
    if claimed.is_empty() {
        return Check::pass(id, title);
    }
    let listed: Vec<String> = claimed
        .iter()
        .map(|claimed| format!("{} ({})", claimed.title, claimed.owner))
        .collect();
    let detail = format!("already there: {}", listed.join(", "));
    if adopt {
        let why = format!("{detail}; they are taken over, and go with the installation");
        return Check::warn(id, title, why);
    }
    Check::fail(id, title, detail).hint(
        "rename or remove them; or take them over with --adopt: from then on they are part of the installation, \
         which changes and removes them",
    )
}

fn definitions(facts: &[CrdFact], adopt: bool) -> Check {
    let id = "crds";
    let title = format!("no conflicting CRDs of {}", names::GROUP);
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
    let releases: BTreeSet<&Owner> = facts
        .iter()
        .filter(|fact| !fact.is_ours)
        .map(|fact| &fact.owner)
        .collect();
    let ways: Vec<String> = releases.into_iter().map(way_out).collect();
    Check::fail(id, title, detail).hint(format!(
        "{}; or take the CRDs over with --adopt, their objects stay",
        ways.join("; ")
    ))
}

/// How to get rid of another product that brought our definitions. Helm keeps
/// definitions from a chart's `crds` folder, and with them all objects.
fn way_out(owner: &Owner) -> String {
    match owner {
        Owner::Helm { namespace, release } => {
            format!("remove the other product: helm uninstall {release} --namespace {namespace}")
        }
        Owner::Product(name) => format!(
            "remove {name}: kubectl get deployments -A -l app.kubernetes.io/part-of={name} shows what runs"
        ),
        Owner::Manager(name) => format!("find out who applied them (field manager {name})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Verdict;

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
        // Taking it over helps nothing then.
        assert_eq!(
            namespace(&NamespaceFact::Terminating, true).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn foreign_definitions_are_refused_with_their_owner() {
        let fact = CrdFact {
            name: "sandboxes.x".into(),
            is_ours: false,
            owner: Owner::Helm {
                namespace: "a".into(),
                release: "b".into(),
            },
            scope: "Namespaced".into(),
            stored_versions: vec!["v1alpha1".into()],
        };
        let check = definitions(std::slice::from_ref(&fact), false);
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.detail.contains("Helm release a/b"));
        assert!(check.hint.unwrap().contains("helm uninstall b --namespace a"));
        assert_eq!(definitions(&[fact], true).verdict, Verdict::Warn);
    }

    #[test]
    fn an_object_of_somebody_else_is_refused_with_its_owner() {
        let claimed = [Claimed {
            title: "SandboxSet default/base".into(),
            owner: Owner::Manager("kubectl".into()),
        }];
        let check = objects(&claimed, false);
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(
            check
                .detail
                .contains("SandboxSet default/base (field manager kubectl)")
        );
        assert_eq!(objects(&claimed, true).verdict, Verdict::Warn);
        assert_eq!(objects(&[], false).verdict, Verdict::Pass);
    }

    #[test]
    fn clocks_apart_warn_and_stop_new_certificates() {
        let at = |skew, makes| clock(Some(skew), makes).verdict;
        assert_eq!((at(60, true), at(-61, true)), (Verdict::Pass, Verdict::Warn));
        assert_eq!((at(300, true), at(301, true)), (Verdict::Warn, Verdict::Fail));
        assert_eq!(
            (at(-4000, true), at(-4000, false)),
            (Verdict::Fail, Verdict::Warn)
        );
        assert_eq!(clock(None, true).verdict, Verdict::Skip);
        assert!(clock(Some(-400), true).detail.contains("400 s behind"));
    }

    #[test]
    fn a_webhook_of_another_controller_is_refused() {
        let found = Known::Read(vec!["ValidatingWebhookConfiguration agents".into()]);
        assert_eq!(webhooks(&found, false).verdict, Verdict::Fail);
        assert_eq!(webhooks(&found, true).verdict, Verdict::Warn);
        assert_eq!(webhooks(&Known::Read(Vec::new()), false).verdict, Verdict::Pass);
        assert_eq!(
            webhooks(&Known::Forbidden("no".into()), false).verdict,
            Verdict::Skip
        );
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
