//! What the cluster says before anything is written to it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kube::{ResourceExt, core::ObjectMeta};
use silica_api::{labels, names};

use crate::cluster::{
    Cluster, Error,
    inventory::{self, Inventory},
    lock, request,
};

mod claimed;
pub(crate) mod clock;
mod definitions;
mod existing;
mod ingress_classes;
mod namespace;
pub mod nodes;
pub mod placement;
mod strangers;
pub mod templates;
pub mod way_in;
mod webhooks;

pub use self::{
    claimed::Claimed,
    definitions::{CrdFact, Owner},
    existing::{Existing, read_existing},
    ingress_classes::IngressClassFact,
    namespace::NamespaceFact,
    nodes::{Amounts, NodeFact},
    strangers::Strangers,
};
pub(crate) use self::{
    claimed::read as read_claimed,
    namespace::{certificate_of, is_by_cert_manager},
    strangers::read as read_strangers,
};

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
                timed(namespace::read(cluster)),
                timed(definitions::read(cluster)),
                timed(ingress_classes::read(cluster)),
                inventory::read(cluster),
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
            ("crds", crds.1),
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
        let (inventory, existing) = tokio::try_join!(inventory::read(cluster), read_existing(cluster))?;
        if inventory == self.inventory && marks(&existing) == marks(&self.existing) {
            Ok(())
        } else {
            Err(lock::Error::Changed)
        }
    }
}

/// Whether the object carries our label. A Secret that cert-manager keeps may carry it from the
/// time before: that one is not ours any more.
pub(crate) fn is_ours(meta: &ObjectMeta) -> bool {
    let label = meta
        .labels
        .as_ref()
        .and_then(|labels| labels.get(labels::APP_MANAGED_BY));
    label.is_some_and(|value| value == names::PRODUCT) && !is_by_cert_manager(meta)
}
