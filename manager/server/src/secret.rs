//! Follows one Secret, by name, as the role's permissions allow.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};

/// Data of a Secret.
pub(crate) type Data = BTreeMap<String, Vec<u8>>;

/// Calls back with the Secret's data, now and after every change; nothing when
/// the Secret does not exist.
pub(crate) async fn watch_secret(
    client: Client,
    namespace: &str,
    name: &str,
    mut changed: impl FnMut(Option<Data>) + Send,
) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = watcher::watcher(api, config).default_backoff().boxed();
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed = false,
            Ok(watcher::Event::InitApply(secret) | watcher::Event::Apply(secret)) => {
                listed = true;
                let data = secret.data.unwrap_or_default();
                changed(Some(
                    data.into_iter().map(|(key, value)| (key, value.0)).collect(),
                ));
            }
            Ok(watcher::Event::InitDone) if !listed => changed(None),
            Ok(watcher::Event::InitDone) => {}
            Ok(watcher::Event::Delete(_)) => changed(None),
            Err(error) => {
                tracing::warn!(%error, secret = name, "the watch on a Secret failed and is tried again");
            }
        }
    }
}
