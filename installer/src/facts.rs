//! What the cluster says before anything is written to it.

pub mod way_in;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Namespace, Pod, Secret, Service},
        networking::v1::IngressClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Resource, ResourceExt, api::ListParams, core::ObjectMeta};
use silica_api::{crd, labels, names};
use silica_manifests::secret_requests;

use crate::{
    cluster::{Cluster, Error, request},
    inventory::Inventory,
    lock,
};

mod clock;
pub mod nodes;
mod webhooks;

pub use nodes::{Amounts, NodeFact};

/// How many requests are under way at a time.
pub(crate) const CONCURRENCY: usize = 16;

/// Version of the API server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// As the server says it, for example `v1.35.0`.
    pub text: String,
    /// Minor number, when it can be read.
    pub minor: Option<u32>,
}

/// Something that not everybody may read, and that the installation can do without.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Known<T> {
    /// It was read.
    Read(T),
    /// The server refused, for this reason.
    Forbidden(String),
}

impl<T> Known<T> {
    fn unless_forbidden(error: Error) -> Result<Self, Error> {
        match error {
            Error::Forbidden { why, .. } => Ok(Self::Forbidden(why)),
            other => Err(other),
        }
    }
}

/// Whose the namespace is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NamespaceFact {
    /// There is none.
    Absent,
    /// It carries our label.
    Ours,
    /// Somebody else made it; these objects are in it.
    Foreign { objects: Vec<String> },
}

/// A definition with a name of ours that exists already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CrdFact {
    /// Name, for example `sandboxes.agents.kruise.io`.
    pub name: String,
    /// Whether it carries our label.
    pub is_ours: bool,
    /// Who made it, as far as it can be told.
    pub owner: Owner,
    /// `Namespaced` or `Cluster`.
    pub scope: String,
    /// Versions in which objects may be stored (`status.storedVersions`).
    pub stored_versions: Vec<String>,
}

/// Who made an object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// A Helm release, by its annotations.
    Helm { namespace: String, release: String },
    /// A product, by the recommended labels.
    Product(String),
    /// Only the field managers are known.
    Manager(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Helm { namespace, release } => write!(f, "Helm release {namespace}/{release}"),
            Self::Product(name) => f.write_str(name),
            Self::Manager(name) => write!(f, "field manager {name}"),
        }
    }
}

/// An IngressClass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IngressClassFact {
    /// Name.
    pub name: String,
    /// Whether it is the cluster's default.
    pub is_default: bool,
    /// `spec.controller`, for example `k8s.io/ingress-nginx`.
    pub controller: String,
}

/// Secrets and bundle of an earlier installation. No `Debug`: it holds keys.
#[derive(Clone, Default)]
pub struct Existing {
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The trust bundle, as PEM.
    pub ca_bundle: Option<String>,
}

/// Everything that is read before the plan.
#[derive(Clone)]
pub struct ClusterFacts {
    /// Version of the API server.
    pub version: Version,
    /// Whose the namespace is.
    pub namespace: NamespaceFact,
    /// Definitions with our names.
    pub crds: Vec<CrdFact>,
    /// Ingress classes.
    pub ingress_classes: Vec<IngressClassFact>,
    /// What an earlier installation made.
    pub inventory: Option<Inventory>,
    /// Its secrets.
    pub existing: Existing,
    /// The nodes.
    pub nodes: Known<Vec<NodeFact>>,
    /// Seconds by which the server's clock is ahead of ours, when it tells.
    pub clock_skew: Option<i64>,
    /// Foreign webhooks on our kinds.
    pub webhooks: Known<Vec<String>>,
    /// How long reading took, by the id of the check that it is for.
    pub timings: Timings,
}

/// How long reading took, by the id of the check that it is for.
pub type Timings = BTreeMap<&'static str, Duration>;

async fn timed<T>(work: impl Future<Output = Result<T, Error>>) -> Result<(T, Duration), Error> {
    let start = Instant::now();
    let done = work.await?;
    Ok((done, start.elapsed()))
}

impl ClusterFacts {
    /// Reads everything, a few requests at a time.
    pub async fn read(cluster: &Cluster) -> Result<Self, Error> {
        let start = Instant::now();
        // First alone: when this fails, nothing after it can be right.
        let info = cluster
            .client
            .apiserver_version()
            .await
            .map_err(request("read the version of", &cluster.server))?;
        let minor = info
            .minor
            .trim_end_matches(|letter: char| !letter.is_ascii_digit())
            .parse()
            .ok();
        let version = Version {
            text: info.git_version,
            minor,
        };
        let version_read = start.elapsed();
        // On the heap: together they are many.
        let all = Box::pin(async {
            tokio::try_join!(
                timed(read_namespace(cluster)),
                timed(read_crds(cluster)),
                timed(read_ingress_classes(cluster)),
                read_inventory(cluster),
                read_existing(cluster),
                timed(nodes::read(cluster)),
                timed(clock::read(cluster)),
                timed(webhooks::read(cluster)),
            )
        });
        let (namespace, crds, ingress_classes, inventory, existing, nodes, clock_skew, webhooks) =
            all.await?;
        let timings = [
            ("kubernetes-version", version_read),
            ("clock", clock_skew.1),
            ("namespace", namespace.1),
            ("definitions", crds.1),
            ("webhooks", webhooks.1),
            ("ingress-class", ingress_classes.1),
            ("capacity", nodes.1),
        ];
        Ok(Self {
            version,
            namespace: namespace.0,
            crds: crds.0,
            ingress_classes: ingress_classes.0,
            inventory,
            existing,
            nodes: nodes.0,
            clock_skew: clock_skew.0,
            webhooks: webhooks.0,
            timings: timings.into(),
        })
    }
}

impl ClusterFacts {
    /// Whether inventory and secrets are still those that the plan was made from.
    pub async fn still_hold(&self, cluster: &Cluster) -> Result<(), lock::Error> {
        let marks = |existing: &Existing| -> Vec<_> {
            existing
                .secrets
                .values()
                .map(|secret| (secret.uid(), secret.resource_version()))
                .collect()
        };
        let (inventory, existing) = tokio::try_join!(read_inventory(cluster), read_existing(cluster))?;
        if inventory == self.inventory && marks(&existing) == marks(&self.existing) {
            Ok(())
        } else {
            Err(lock::Error::Changed)
        }
    }
}

fn is_ours(meta: &ObjectMeta) -> bool {
    let label = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get(labels::APP_MANAGED_BY));
    label.is_some_and(|value| value == names::PRODUCT)
}

async fn read_namespace(cluster: &Cluster) -> Result<NamespaceFact, Error> {
    let title = || format!("Namespace {}", names::NAMESPACE);
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let Some(namespace) = api
        .get_opt(names::NAMESPACE)
        .await
        .map_err(request("read", title()))?
    else {
        return Ok(NamespaceFact::Absent);
    };
    if is_ours(&namespace.metadata) {
        return Ok(NamespaceFact::Ours);
    }
    // What kubectl shows with `get all,secrets,configmaps`, minus what every
    // namespace has from birth.
    let all = ListParams::default();
    let client = &cluster.client;
    let pods = Api::<Pod>::namespaced(client.clone(), names::NAMESPACE);
    let services = Api::<Service>::namespaced(client.clone(), names::NAMESPACE);
    let secrets = Api::<Secret>::namespaced(client.clone(), names::NAMESPACE);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), names::NAMESPACE);
    let mut objects: Vec<String> = Vec::new();
    let foreign = |kind: &str, meta: &ObjectMeta| {
        let name = meta.name.clone().unwrap_or_default();
        (!is_ours(meta) && name != "kube-root-ca.crt").then(|| format!("{kind} {name}"))
    };
    let failed = || request("list the objects in", title());
    objects.extend(
        pods.list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter_map(|pod| foreign("Pod", pod.meta())),
    );
    objects.extend(
        services
            .list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter_map(|one| foreign("Service", one.meta())),
    );
    objects.extend(
        secrets
            .list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter(|one| !is_certificate_of_user(one.meta()))
            .filter_map(|one| foreign("Secret", one.meta())),
    );
    objects.extend(
        maps.list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter_map(|one| foreign("ConfigMap", one.meta())),
    );
    Ok(NamespaceFact::Foreign { objects })
}

/// Whether a Secret is the served certificate that a user, or cert-manager on
/// their behalf, put there before the installation. The plan judges it on its
/// own and never writes it, so there is nothing to take over.
fn is_certificate_of_user(meta: &ObjectMeta) -> bool {
    meta.name.as_deref() == Some(names::TLS_SECRET) || is_by_cert_manager(meta)
}

/// Whether cert-manager keeps this Secret.
pub(crate) fn is_by_cert_manager(meta: &ObjectMeta) -> bool {
    meta.annotations
        .iter()
        .flatten()
        .any(|(key, _)| key.starts_with("cert-manager.io/"))
}

async fn read_crds(cluster: &Cluster) -> Result<Vec<CrdFact>, Error> {
    let api: &Api<CustomResourceDefinition> = &Api::all(cluster.client.clone());
    let facts = stream::iter(crd::all())
        .map(|definition| async move {
            let name = definition.name_any();
            let found = api.get_opt(&name).await;
            let found = found.map_err(request("read", format!("CustomResourceDefinition {name}")))?;
            Ok::<_, Error>(found.map(|found| crd_fact(name, found)))
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(facts.into_iter().flatten().collect())
}

fn crd_fact(name: String, found: CustomResourceDefinition) -> CrdFact {
    CrdFact {
        name,
        is_ours: is_ours(&found.metadata),
        owner: owner(&found.metadata),
        scope: found.spec.scope,
        stored_versions: found
            .status
            .and_then(|status| status.stored_versions)
            .unwrap_or_default(),
    }
}

/// Who made an object: Helm says so in annotations, others in labels, and the
/// field managers are the last resort.
fn owner(meta: &ObjectMeta) -> Owner {
    let annotation = |key: &str| meta.annotations.as_ref().and_then(|map| map.get(key));
    if let Some(release) = annotation("meta.helm.sh/release-name") {
        return Owner::Helm {
            namespace: annotation("meta.helm.sh/release-namespace")
                .cloned()
                .unwrap_or_default(),
            release: release.clone(),
        };
    }
    let label = |key: &str| meta.labels.as_ref().and_then(|map| map.get(key));
    if let Some(product) = label(labels::APP_PART_OF).or_else(|| label(labels::APP_MANAGED_BY)) {
        return Owner::Product(product.clone());
    }
    let managers: BTreeSet<&str> = meta
        .managed_fields
        .iter()
        .flatten()
        .filter_map(|entry| entry.manager.as_deref())
        .collect();
    if managers.is_empty() {
        return Owner::Manager("unknown".into());
    }
    Owner::Manager(managers.into_iter().collect::<Vec<_>>().join(", "))
}

async fn read_ingress_classes(cluster: &Cluster) -> Result<Vec<IngressClassFact>, Error> {
    const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
    let api: Api<IngressClass> = Api::all(cluster.client.clone());
    let classes = api
        .list(&ListParams::default())
        .await
        .map_err(request("list", "IngressClasses"))?;
    Ok(classes
        .into_iter()
        .map(|class| IngressClassFact {
            is_default: class
                .annotations()
                .get(DEFAULT)
                .is_some_and(|value| value == "true"),
            name: class.name_any(),
            controller: class.spec.and_then(|spec| spec.controller).unwrap_or_default(),
        })
        .collect())
}

/// The inventory of the installation, if there is one.
pub async fn read_inventory(cluster: &Cluster) -> Result<Option<Inventory>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("ConfigMap {}/{}", names::NAMESPACE, names::INVENTORY);
    let map = api
        .get_opt(names::INVENTORY)
        .await
        .map_err(request("read", title))?;
    Ok(map.as_ref().map(Inventory::from_config_map))
}

/// The secrets and the trust bundle of the installation, as far as they exist.
pub async fn read_existing(cluster: &Cluster) -> Result<Existing, Error> {
    let api: &Api<Secret> = &Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let secrets = stream::iter(secret_requests())
        .map(|wanted| async move {
            let title = format!("Secret {}/{}", names::NAMESPACE, wanted.name);
            let found = api.get_opt(wanted.name).await.map_err(request("read", title))?;
            Ok::<_, Error>(found.map(|secret| (wanted.name.to_owned(), secret)))
        })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("ConfigMap {}/{}", names::NAMESPACE, names::CA_BUNDLE);
    let bundle = maps
        .get_opt(names::CA_BUNDLE)
        .await
        .map_err(request("read", title))?;
    Ok(Existing {
        secrets: secrets.into_iter().flatten().collect(),
        ca_bundle: bundle
            .and_then(|map| map.data)
            .and_then(|mut data| data.remove(names::CA_BUNDLE_KEY)),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_certificate_put_there_before_is_nothing_to_take_over() {
        let named = |name: &str| ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        assert!(is_certificate_of_user(&named(names::TLS_SECRET)));
        assert!(!is_certificate_of_user(&named(names::CA_SECRET)));
        let mut issuer = named("wildcard-ca");
        issuer.annotations = Some(map(&[("cert-manager.io/certificate-name", "wildcard-ca")]));
        assert!(is_certificate_of_user(&issuer));
    }

    #[test]
    fn the_owner_of_a_definition_is_named_by_the_best_mark_it_has() {
        let entry = ManagedFieldsEntry {
            manager: Some("kubectl".into()),
            ..ManagedFieldsEntry::default()
        };
        let mut meta = ObjectMeta {
            managed_fields: Some(vec![entry]),
            ..ObjectMeta::default()
        };
        assert_eq!(owner(&meta).to_string(), "field manager kubectl");
        meta.labels = Some(map(&[(labels::APP_MANAGED_BY, "agents")]));
        assert_eq!(owner(&meta).to_string(), "agents");
        meta.annotations = Some(map(&[
            ("meta.helm.sh/release-name", "r"),
            ("meta.helm.sh/release-namespace", "n"),
        ]));
        assert_eq!(owner(&meta).to_string(), "Helm release n/r");
    }
}
