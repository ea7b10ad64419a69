//! The rights that an installation needs, and which of them the user lacks.
//!
//! They follow from the plan: what is written, what is waited for, what is read
//! for the proof, and what the roles of the plan grant. The last, because
//! Kubernetes lets nobody grant what he does not hold. An installation that is there
//! adds what it takes to remove its objects, and to put them back.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    rbac::v1::PolicyRule,
};
use kube::{Api, api::PostParams};
use serde::Deserialize;
use serde_json::Value;
use silica_api::names;
use silica_manifests::{Object, Objects, gateway, secret_requests};

use crate::cluster::{
    CONCURRENCY, Cluster, Error, found,
    inventory::{Entry, Inventory},
    lock, request,
};

pub mod role;

/// A right that an installation needs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Right {
    /// Namespace, absent for cluster-wide rights.
    pub namespace: Option<String>,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural of the resource, with the subresource behind a slash.
    pub resource: String,
    /// Name of the one object, absent for all.
    pub name: Option<String>,
    /// Verb, for example `patch`.
    pub verb: String,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&phrase(&self.verb, self))
    }
}

/// `verbs resource.group in namespace x`, without the names of objects.
fn phrase(verbs: &str, right: &Right) -> String {
    let group = if right.group.is_empty() {
        String::new()
    } else {
        format!(".{}", right.group)
    };
    let scope = match &right.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "cluster-wide".to_owned(),
    };
    format!("{verbs} {}{group} {scope}", right.resource)
}

/// Rights as one phrase per kind and scope.
pub fn describe(rights: &[Right]) -> Vec<String> {
    let mut kinds: BTreeMap<Right, BTreeSet<&str>> = BTreeMap::new();
    for right in rights {
        let kind = Right {
            name: None,
            verb: String::new(),
            ..right.clone()
        };
        kinds.entry(kind).or_default().insert(&right.verb);
    }
    kinds
        .iter()
        .map(|(kind, verbs)| phrase(&verbs.iter().copied().collect::<Vec<_>>().join(", "), kind))
        .collect()
}

/// The rights that installing, upgrading and removing these objects takes.
pub fn needed(objects: &Objects) -> BTreeSet<Right> {
    let mut rights: BTreeSet<Right> = objects.iter().flat_map(written).collect();
    rights.extend(objects.iter().flat_map(routed));
    rights.extend(objects.iter().flat_map(granted));
    let requested = secret_requests().into_iter().map(|secret| secret.name);
    for secret in requested.chain([names::CA_NEXT_SECRET, names::ACME_SECRET]) {
        rights.extend(own("secrets", secret, &["get", "patch", "delete"]));
    }
    for map in [names::INVENTORY, names::FORMER, names::CA_BUNDLE] {
        rights.extend(own("configmaps", map, &["get", "patch", "delete"]));
    }
    // The lock, see `lock`.
    let lease = |right: Right| Right {
        group: "coordination.k8s.io".into(),
        ..right
    };
    rights.extend(own("leases", lock::LEASE, &["get", "update", "delete"]).map(lease));
    rights.extend(own("leases", names::CONTROLLER_LEASE, &["get", "delete"]).map(lease));
    rights.extend(read());
    rights
}

/// The rights that an earlier installation adds: removing what is no longer wanted, and
/// putting it back when the new version does not become ready. The latter takes what its
/// roles grant. Whatever may not even be read is a missing right itself.
pub async fn read_former(cluster: &Cluster, inventory: Option<&Inventory>) -> Result<BTreeSet<Right>, Error> {
    let entries: Vec<&Entry> = inventory
        .iter()
        .flat_map(|inventory| &inventory.objects)
        .collect();
    let mut rights: BTreeSet<Right> = entries.iter().flat_map(|entry| kept(entry)).collect();
    let roles = entries
        .into_iter()
        .filter(|entry| ["Role", "ClusterRole"].contains(&entry.kind.as_str()));
    let granted = stream::iter(roles)
        .map(|entry| async move {
            let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
            match found(api.get(&entry.name).await).map_err(request("read", entry.title())) {
                Ok(role) => Ok(role.map_or_else(Vec::new, |role| {
                    granted_by(&role.data["rules"], entry.namespace.as_deref())
                })),
                Err(Error::Forbidden { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    rights.extend(granted.into_iter().flatten());
    Ok(rights)
}

/// Removing one object of an inventory, and putting it back.
fn kept(entry: &Entry) -> impl Iterator<Item = Right> {
    let resource = entry.resource();
    let right = Right {
        namespace: entry.namespace.clone(),
        group: resource.group,
        resource: resource.plural,
        name: None,
        verb: "create".into(),
    };
    let named: Vec<Right> = ["get", "patch", "delete"]
        .iter()
        .map(|verb| Right {
            name: Some(entry.name.clone()),
            verb: (*verb).into(),
            ..right.clone()
        })
        .collect();
    std::iter::once(right).chain(named)
}

/// The rights that keeping a Secret in the namespace of the installation takes.
pub fn of_secret(name: &str) -> impl Iterator<Item = Right> {
    own("secrets", name, &["get", "patch", "delete"])
}

/// Writing, waiting for, and removing one object. `create` knows no names.
fn written(object: &Object) -> impl Iterator<Item = Right> {
    const WAITED_FOR: [&str; 6] = [
        "CustomResourceDefinition",
        "Deployment",
        "Gateway",
        "Ingress",
        "SandboxSet",
        "Service",
    ];
    let watch: &[&str] = if WAITED_FOR.contains(&object.resource.kind.as_str()) {
        &["list", "watch"]
    } else {
        &[]
    };
    let right = Right {
        namespace: object.namespace.clone(),
        group: object.resource.group.clone(),
        resource: object.resource.plural.clone(),
        name: None,
        verb: "create".into(),
    };
    let named: Vec<Right> = ["get", "patch", "delete"]
        .iter()
        .chain(watch)
        .map(|verb| Right {
            name: Some(object.name.clone()),
            verb: (*verb).into(),
            ..right.clone()
        })
        .collect();
    std::iter::once(right).chain(named)
}

/// Looking at the Gateway that an HTTPRoute of ours leads through, and at the classes.
fn routed(object: &Object) -> Vec<Right> {
    if object.resource.kind != "HTTPRoute" {
        return Vec::new();
    }
    let parent = &object.content["spec"]["parentRefs"][0];
    let text = |key: &str| parent[key].as_str().map(str::to_owned);
    let right = |resource: &str, verb: &str| Right {
        namespace: None,
        group: gateway::GROUP.into(),
        resource: resource.into(),
        name: None,
        verb: verb.into(),
    };
    let of_gateway = ["get", "list", "watch"].map(|verb| Right {
        namespace: text("namespace"),
        name: text("name"),
        ..right("gateways", verb)
    });
    std::iter::once(right("gatewayclasses", "list"))
        .chain(of_gateway)
        .collect()
}

/// A core object of the installation: these verbs by name, and `create`.
fn own(resource: &str, name: &str, verbs: &[&str]) -> impl Iterator<Item = Right> {
    let right = Right {
        namespace: Some(names::NAMESPACE.into()),
        group: String::new(),
        resource: resource.into(),
        name: None,
        verb: "create".into(),
    };
    let named: Vec<Right> = verbs
        .iter()
        .map(|verb| Right {
            name: Some(name.into()),
            verb: (*verb).into(),
            ..right.clone()
        })
        .collect();
    std::iter::once(right).chain(named)
}

/// What is read for preflight and proof, beside the plan's own objects.
fn read() -> impl Iterator<Item = Right> {
    let right = |namespace: Option<&str>, group: &str, resource: &str, verb: &str| Right {
        namespace: namespace.map(str::to_owned),
        group: group.into(),
        resource: resource.into(),
        name: None,
        verb: verb.into(),
    };
    let inside = Some(names::NAMESPACE);
    [
        // Whether a namespace of somebody else is empty.
        right(inside, "", "pods", "list"),
        right(inside, "", "services", "list"),
        right(inside, "", "secrets", "list"),
        right(inside, "", "configmaps", "list"),
        // Addresses, and the way through the API server when none answers.
        right(inside, "networking.k8s.io", "ingresses", "get"),
        right(inside, "", "services", "get"),
        right(None, "", "nodes", "list"),
        right(None, "networking.k8s.io", "ingressclasses", "list"),
        right(inside, "", "pods/portforward", "get"),
        right(inside, "", "pods/portforward", "create"),
        // What belongs to users.
        right(None, names::GROUP, "sandboxes", "list"),
        right(None, names::GROUP, "sandboxsets", "list"),
        right(None, names::GROUP, "sandboxtemplates", "list"),
        right(None, names::GROUP, "sandboxclaims", "list"),
    ]
    .into_iter()
}

/// What a Role or ClusterRole of the plan grants.
fn granted(object: &Object) -> Vec<Right> {
    if !["Role", "ClusterRole"].contains(&object.resource.kind.as_str()) {
        return Vec::new();
    }
    granted_by(&object.content["rules"], object.namespace.as_deref())
}

fn granted_by(rules: &Value, namespace: Option<&str>) -> Vec<Right> {
    // Made from typed rules, here or by the API server, so this cannot fail.
    let rules = Vec::<PolicyRule>::deserialize(rules).unwrap_or_default();
    rules.iter().flat_map(|rule| expand(rule, namespace)).collect()
}

fn expand(rule: &PolicyRule, namespace: Option<&str>) -> Vec<Right> {
    let names = match rule.resource_names.as_deref() {
        None | Some([]) => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for name in &names {
                rights.extend(rule.verbs.iter().map(|verb| Right {
                    namespace: namespace.map(str::to_owned),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    rights
}

/// Asks the API server which of these rights the user lacks.
pub async fn read_missing(cluster: &Cluster, rights: BTreeSet<Right>) -> Result<Vec<Right>, Error> {
    let everything = Right {
        namespace: None,
        group: "*".into(),
        resource: "*".into(),
        name: None,
        verb: "*".into(),
    };
    if is_allowed(cluster, &everything).await? {
        return Ok(Vec::new());
    }
    let answers = stream::iter(rights)
        .map(|right| async move { Ok::<_, Error>((is_allowed(cluster, &right).await?, right)) })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(answers
        .into_iter()
        .filter(|(allowed, _)| !allowed)
        .map(|(_, right)| right)
        .collect())
}

async fn is_allowed(cluster: &Cluster, right: &Right) -> Result<bool, Error> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource.as_str(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(right.verb.clone()),
                group: Some(right.group.clone()),
                resource: Some(resource.to_owned()),
                subresource,
                namespace: right.namespace.clone(),
                name: right.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api
        .create(&PostParams::default(), &review)
        .await
        .map_err(|error| request("review", "own access rights")(error).at(cluster))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights() -> BTreeSet<Right> {
        let images = silica_manifests::Images {
            manager: "m".into(),
            runtime: "r".into(),
        };
        let options = silica_manifests::Options::new("a.example".parse().unwrap(), images);
        needed(&silica_manifests::objects(&options))
    }

    #[test]
    fn writing_is_asked_for_by_name_and_creating_without() {
        let rights = rights();
        let asks = |verb: &str, resource: &str, name: Option<&str>| {
            rights.iter().any(|right| {
                right.verb == verb && right.resource == resource && right.name.as_deref() == name
            })
        };
        assert!(asks("patch", "deployments", Some(names::MANAGER)));
        assert!(asks("create", "deployments", None));
        assert!(asks("create", "secrets", None));
        assert!(asks("update", "leases", Some(lock::LEASE)));
        assert!(asks("delete", "secrets", Some(names::CA_NEXT_SECRET)));
        assert!(asks("patch", "secrets", Some(names::ACME_SECRET)));
        assert!(!asks("patch", "deployments", None));
    }

    #[test]
    fn what_the_roles_grant_is_needed_too() {
        let rights = rights();
        let has = |resource: &str, verb: &str, namespace: Option<&str>| {
            rights.iter().any(|right| {
                right.resource == resource && right.verb == verb && right.namespace.as_deref() == namespace
            })
        };
        assert!(has("sandboxes/status", "patch", None));
        assert!(has("secrets", "watch", Some(names::NAMESPACE)));
    }

    #[test]
    fn what_was_installed_can_be_removed_and_put_back() {
        let entry = Entry {
            api_version: "networking.k8s.io/v1".into(),
            ..Entry::core("Ingress", "ingresses", "old")
        };
        let rights: Vec<String> = kept(&entry)
            .map(|right| format!("{} {} {:?}", right.verb, right.group, right.name))
            .collect();
        assert_eq!(
            rights,
            [
                "create networking.k8s.io None",
                "get networking.k8s.io Some(\"old\")",
                "patch networking.k8s.io Some(\"old\")",
                "delete networking.k8s.io Some(\"old\")",
            ]
        );
        // Putting a role back is granting it.
        let rules = serde_json::json!([{"apiGroups": ["x"], "resources": ["ys"], "verbs": ["watch"]}]);
        assert_eq!(
            granted_by(&rules, Some("n"))[0].to_string(),
            "watch ys.x in namespace n"
        );
    }

    #[test]
    fn every_missing_right_is_told_once_a_kind() {
        let right = |verb: &str, name: Option<&str>| Right {
            namespace: Some("a".into()),
            group: "apps".into(),
            resource: "deployments".into(),
            name: name.map(str::to_owned),
            verb: verb.into(),
        };
        assert_eq!(
            describe(&[
                right("create", None),
                right("get", Some("x")),
                right("get", Some("y"))
            ]),
            ["create, get deployments.apps in namespace a"]
        );
    }
}
