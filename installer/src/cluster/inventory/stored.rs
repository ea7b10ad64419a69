//! Reads and writes the inventory, and deletes what it lists.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use silica_api::names;

use super::{Entry, Inventory};
use crate::cluster::{Cluster, Error, request};

/// The inventory of the installation, if there is one.
pub async fn read(cluster: &Cluster) -> Result<Option<Inventory>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("ConfigMap {}/{}", names::NAMESPACE, names::INVENTORY);
    let map = api
        .get_opt(names::INVENTORY)
        .await
        .map_err(request("read", title))?;
    Ok(map.as_ref().map(Inventory::from_config_map))
}

/// Writes the inventory.
pub(crate) async fn write(cluster: &Cluster, inventory: &Inventory) -> Result<(), Error> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let params = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
    let written = api
        .patch(
            names::INVENTORY,
            &params,
            &Patch::Apply(inventory.to_config_map()),
        )
        .await;
    let title = format!("ConfigMap {}/{}", names::NAMESPACE, names::INVENTORY);
    written.map_err(request("write", title)).map(drop)
}

/// Deletes one object; one that is gone already is as good. Tells whether it was there.
pub(crate) async fn delete(cluster: &Cluster, entry: &Entry, params: &DeleteParams) -> Result<bool, Error> {
    let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
    match api.delete(&entry.name, params).await {
        Ok(_) => Ok(true),
        // A kind whose definition is gone answers without the usual reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(request("delete", entry.title())(error)),
    }
}

/// The ConfigMap with what can be gone back to.
pub(crate) fn former() -> Entry {
    Entry::core("ConfigMap", "configmaps", names::FORMER)
}
