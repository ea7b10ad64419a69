//! Calls of the Kubernetes API about one Sandbox.

use std::sync::Arc;

use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};
use silica_api::{crd::Sandbox, names, types::SandboxId};

use crate::{error::ApiError, state::App, store::Entry};

/// The API of the sandbox's namespace.
pub(crate) fn sandboxes(app: &App, entry: &Entry) -> Api<Sandbox> {
    Api::namespaced(app.client.clone(), entry.id.namespace())
}

/// Parameters of all patches of this server.
pub(crate) fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(names::FIELD_MANAGER_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Makes a sandbox.
pub(crate) async fn create(app: &App, namespace: &str, object: &Value) -> Result<Sandbox, kube::Error> {
    // As JSON, not as the typed object: its times have whole seconds only.
    let url = <Sandbox as kube::Resource>::url_path(&(), Some(namespace));
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let parameters = PostParams {
        field_manager: Some(names::FIELD_MANAGER_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let request = kube::core::Request::new(url)
        .create(&parameters, body)
        .map_err(kube::Error::BuildRequest)?;
    app.client.request(request).await
}

/// The sandbox with this id, as the API server has it.
pub(crate) async fn find(app: &App, id: &SandboxId) -> Result<Option<Arc<Entry>>, kube::Error> {
    let api: Api<Sandbox> = Api::namespaced(app.client.clone(), id.namespace());
    let object = api.get_opt(id.name()).await?;
    Ok(object.and_then(Entry::new).map(|found| app.store.apply(found)))
}

/// The sandbox as the API server has it; nothing when another one has its name, or none.
pub(crate) async fn read(app: &App, entry: &Entry) -> Result<Option<Arc<Entry>>, kube::Error> {
    let found = find(app, &entry.id).await?;
    Ok(found.filter(|found| found.uid == entry.uid))
}

/// Merges the patch into this very sandbox.
pub(crate) async fn write(app: &App, entry: &Entry, mut patch: Value) -> Result<Arc<Entry>, ApiError> {
    // The UID makes sure that it is still this sandbox.
    patch["metadata"]["uid"] = json!(&*entry.uid);
    match sandboxes(app, entry)
        .patch(entry.id.name(), &patch_params(), &Patch::Merge(patch))
        .await
    {
        Ok(object) => Entry::new(object)
            .map(|entry| app.store.apply(entry))
            .ok_or_else(|| ApiError::sandbox_not_found(entry.id.as_str())),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
            Err(ApiError::sandbox_not_found(entry.id.as_str()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Merges the patch into this very version of the sandbox; nothing when it is gone or has changed.
pub(crate) async fn write_unchanged(
    app: &App,
    entry: &Entry,
    mut patch: Value,
) -> Result<Option<Arc<Entry>>, kube::Error> {
    patch["metadata"]["uid"] = json!(&*entry.uid);
    patch["metadata"]["resourceVersion"] = json!(&*entry.resource_version);
    match sandboxes(app, entry)
        .patch(entry.id.name(), &patch_params(), &Patch::Merge(patch))
        .await
    {
        Ok(object) => Ok(Entry::new(object).map(|entry| app.store.apply(entry))),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes a sandbox; its streams are cut as soon as the API server has agreed.
/// Says whether it was still there.
pub(crate) async fn delete(app: &App, entry: &Entry) -> Result<bool, kube::Error> {
    let existed = match delete_if(app, entry, None).await {
        Ok(()) => true,
        // 409: another sandbox of the same name took the place of this one.
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => false,
        Err(error) => return Err(error),
    };
    app.store.kill(entry);
    Ok(existed)
}

/// Deletes this very version of the sandbox; says whether it is gone, which it is not when it
/// has changed.
pub(crate) async fn delete_unchanged(app: &App, entry: &Entry) -> Result<bool, kube::Error> {
    match delete_if(app, entry, Some(entry.resource_version.to_string())).await {
        Ok(()) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(kube::Error::Api(status)) if status.code == 409 => return Ok(false),
        Err(error) => return Err(error),
    }
    app.store.kill(entry);
    Ok(true)
}

async fn delete_if(app: &App, entry: &Entry, version: Option<String>) -> Result<(), kube::Error> {
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(entry.uid.to_string()),
            resource_version: version,
        }),
        ..DeleteParams::background()
    };
    sandboxes(app, entry)
        .delete(entry.id.name(), &parameters)
        .await
        .map(drop)
}
