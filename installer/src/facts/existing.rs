//! What an earlier installation left: inventory, secrets, trust bundle.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use silica_api::names;
use silica_manifests::secret_requests;

use crate::cluster::{CONCURRENCY, Cluster, Error, request};

/// Secrets and bundle of an earlier installation. No `Debug`: it holds keys.
#[derive(Clone, Default)]
pub struct Existing {
    /// Secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The trust bundle, as PEM.
    pub ca_bundle: Option<String>,
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
