//! The stages of an installation. Each consumes the former, so that applying
//! without a passed preflight, or verifying without waiting, does not compile.

mod applied;
mod compared;
pub mod connect;
pub(crate) mod owned_fields;
mod prepared;
mod ready;
pub mod rollback;
mod settled;
pub mod verify;
pub mod wait;
mod writing;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use silica_api::names;

pub use self::{
    applied::Applied,
    compared::Compared,
    prepared::{Examined, Prepared},
    ready::{Ready, Verified},
};
pub(crate) use self::{prepared::read_resolved, settled::former};
use crate::cluster::{
    self, Cluster,
    inventory::{Entry, Inventory},
    request,
};

/// Writes the inventory.
pub(crate) async fn write_inventory(cluster: &Cluster, inventory: &Inventory) -> Result<(), cluster::Error> {
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
pub(crate) async fn delete(
    cluster: &Cluster,
    entry: &Entry,
    params: &DeleteParams,
) -> Result<bool, cluster::Error> {
    let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
    match api.delete(&entry.name, params).await {
        Ok(_) => Ok(true),
        // A kind whose definition is gone answers without the usual reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(request("delete", entry.title())(error)),
    }
}
