//! Feeds the view from watches.

use std::{collections::HashSet, sync::Arc};

use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use silica_api::crd::{Sandbox, SandboxSet};
use silica_api::types::SandboxId;
use tokio::sync::watch;

use super::{Entry, PoolKey, SetEntry, Store};

/// Objects per page of the first list: bounds the memory that a restart needs.
const PAGE: u32 = 200;

/// Follows all Sandboxes; `synced` turns true once the view is complete.
pub(crate) async fn watch_sandboxes(client: Client, store: Arc<Store>, synced: watch::Sender<bool>) {
    let api: Api<Sandbox> = Api::all(client);
    let mut events = watcher::watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .boxed();
    let mut listed = HashSet::new();
    let mut newest = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                newest = 0;
            }
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(entry) = Entry::new(object) {
                    listed.insert(Box::from(entry.id.as_str()));
                    newest = newest.max(entry.version);
                    store.apply(entry);
                }
            }
            Ok(watcher::Event::InitDone) => {
                store.retain_listed(&listed, newest);
                store.note_shown(newest);
                listed = HashSet::new();
                synced.send_replace(true);
            }
            Ok(watcher::Event::Apply(object)) => {
                if let Some(entry) = Entry::new(object) {
                    let version = entry.version;
                    store.apply(entry);
                    store.note_shown(version);
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                let id = SandboxId::new(&object.namespace().unwrap_or_default(), &object.name_any());
                if let (Ok(id), Some(uid)) = (id, object.metadata.uid) {
                    store.remove(id.as_str(), &uid);
                }
            }
            Err(error) => tracing::warn!(%error, "the watch on Sandboxes failed and is tried again"),
        }
    }
}

/// Follows all SandboxSets; `synced` turns true once the view is complete.
pub(crate) async fn watch_sets(client: Client, store: Arc<Store>, synced: watch::Sender<bool>) {
    let api: Api<SandboxSet> = Api::all(client);
    let mut events = watcher::watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .boxed();
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                if let Some(set) = SetEntry::new(object) {
                    listed.insert(set.key.clone());
                    store.put_set(set);
                }
            }
            Ok(watcher::Event::InitDone) => {
                store.retain_sets(&listed);
                synced.send_replace(true);
            }
            Ok(watcher::Event::Apply(object)) => {
                if let Some(set) = SetEntry::new(object) {
                    store.put_set(set);
                }
            }
            Ok(watcher::Event::Delete(object)) => {
                store.remove_set(&PoolKey::new(
                    &object.namespace().unwrap_or_default(),
                    &object.name_any(),
                ));
            }
            Err(error) => tracing::warn!(%error, "the watch on SandboxSets failed and is tried again"),
        }
    }
}
