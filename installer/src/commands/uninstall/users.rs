//! Objects of users: what would lose its controller.

use std::collections::BTreeSet;

use kube::{Api, ResourceExt, api::ListParams, core::ApiResource};
use silica_api::{
    crd::{Sandbox, SandboxClaim, SandboxSet, SandboxTemplate},
    labels,
};

use crate::{
    cli::error::Error,
    cluster::{Cluster, inventory::Entry, request},
};

/// What users made: every custom object that neither the inventory lists nor
/// one of its pools keeps in stock.
pub(super) async fn read(
    cluster: &Cluster,
    inventory: &[Entry],
    has_definitions: bool,
) -> Result<Vec<Entry>, Error> {
    if !has_definitions {
        return Ok(Vec::new());
    }
    let ours: BTreeSet<&Entry> = inventory.iter().collect();
    let mut users = Vec::new();
    let sets: Api<SandboxSet> = Api::all(cluster.client.clone());
    let templates: Api<SandboxTemplate> = Api::all(cluster.client.clone());
    let claims: Api<SandboxClaim> = Api::all(cluster.client.clone());
    let sandboxes: Api<Sandbox> = Api::all(cluster.client.clone());
    let all = ListParams::default();
    let failed = |kind: &'static str| move |error| request("list", kind)(error);
    users.extend(
        existing(sets.list(&all).await)
            .map_err(failed("SandboxSets"))?
            .iter()
            .map(entry::<SandboxSet>),
    );
    users.extend(
        existing(templates.list(&all).await)
            .map_err(failed("SandboxTemplates"))?
            .iter()
            .map(entry::<SandboxTemplate>),
    );
    users.extend(
        existing(claims.list(&all).await)
            .map_err(failed("SandboxClaims"))?
            .iter()
            .map(entry::<SandboxClaim>),
    );
    users.retain(|entry| !ours.contains(entry));
    let pools: BTreeSet<(Option<&str>, &str)> = inventory
        .iter()
        .filter(|entry| entry.kind == "SandboxSet")
        .map(|entry| (entry.namespace.as_deref(), entry.name.as_str()))
        .collect();
    let stocked = |sandbox: &Sandbox| {
        let label = |key: &str| sandbox.labels().get(key).map(String::as_str);
        label(labels::CLAIMED) != Some("true")
            && label(labels::POOL)
                .is_some_and(|pool| pools.contains(&(sandbox.metadata.namespace.as_deref(), pool)))
    };
    let found = existing(sandboxes.list(&all).await).map_err(failed("Sandboxes"))?;
    users.extend(
        found
            .iter()
            .filter(|sandbox| !stocked(sandbox))
            .map(entry::<Sandbox>),
    );
    Ok(users)
}

/// A kind without definition has no objects.
fn existing<K: Clone>(listed: Result<kube::core::ObjectList<K>, kube::Error>) -> Result<Vec<K>, kube::Error> {
    match listed {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn entry<K: kube::Resource<DynamicType = ()>>(object: &K) -> Entry {
    let resource = ApiResource::erase::<K>(&());
    Entry {
        api_version: resource.api_version,
        kind: resource.kind,
        plural: resource.plural,
        namespace: object.namespace(),
        name: object.name_any(),
    }
}
