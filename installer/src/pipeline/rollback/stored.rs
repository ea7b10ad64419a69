//! The former installation as a ConfigMap, so that a run that ends in the middle takes
//! nothing from the next one: that can still go back.
//!
//! Its form is that of the inventory, with one more entry. Secrets are never in it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use silica_api::names;

use super::Snapshot;
use crate::cluster::{
    Cluster, Error,
    inventory::{Entry, Inventory},
    request,
};

const APPLIED: &str = "applied";
/// What is sure to fit into an object of the API server, in bytes.
const LIMIT: usize = 900_000;

/// One line of the entry.
#[derive(Deserialize, Serialize)]
struct Line {
    entry: Entry,
    applied: Value,
}

impl Snapshot {
    /// Keeps it in the cluster. `false` when it is too large for that.
    pub async fn store(&self, cluster: &Cluster) -> Result<bool, Error> {
        let map = self.to_config_map();
        let size: usize = map.data.iter().flatten().map(|(_, text)| text.len()).sum();
        if size > LIMIT {
            return Ok(false);
        }
        let params = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
        let written = maps(cluster)
            .patch(names::FORMER, &params, &Patch::Apply(map))
            .await;
        written.map_err(request("write", title()))?;
        Ok(true)
    }

    /// What [`Snapshot::store`] has kept.
    pub async fn stored(cluster: &Cluster) -> Result<Option<Self>, Error> {
        let found = maps(cluster).get_opt(names::FORMER).await;
        let found = found.map_err(request("read", title()))?;
        Ok(found.as_ref().map(Self::from_config_map))
    }

    fn to_config_map(&self) -> ConfigMap {
        let mut map = self.inventory.to_config_map();
        map.metadata.name = Some(names::FORMER.into());
        let lines: Vec<String> = self
            .objects
            .iter()
            .filter_map(|(entry, applied)| {
                let (entry, applied) = (entry.clone(), applied.clone());
                serde_json::to_string(&Line { entry, applied }).ok()
            })
            .collect();
        map.data
            .get_or_insert_default()
            .insert(APPLIED.into(), lines.join("\n"));
        map
    }

    fn from_config_map(map: &ConfigMap) -> Self {
        let text = map.data.as_ref().and_then(|data| data.get(APPLIED));
        let lines = text.map(String::as_str).unwrap_or_default().lines();
        Self {
            inventory: Inventory::from_config_map(map),
            objects: lines
                .filter_map(|line| serde_json::from_str(line).ok())
                .map(|Line { entry, applied }| (entry, applied))
                .collect(),
        }
    }
}

fn maps(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client.clone(), names::NAMESPACE)
}

fn title() -> String {
    format!("ConfigMap {}/{}", names::NAMESPACE, names::FORMER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::inventory::State;

    #[test]
    fn what_is_kept_reads_back_unchanged() {
        let service = Entry::core("Service", "services", "a");
        let snapshot = Snapshot {
            inventory: Inventory {
                state: State::Complete,
                version: "1".into(),
                domains: vec!["a.example".into()],
                values: serde_json::Map::new(),
                objects: [service.clone()].into(),
                verified: None,
            },
            objects: vec![(
                service,
                json!({"kind": "Service", "spec": {"ports": [{"name": "a\nb"}]}}),
            )],
        };
        let map = snapshot.to_config_map();
        assert_eq!(map.metadata.name.as_deref(), Some(names::FORMER));
        let read = Snapshot::from_config_map(&map);
        assert_eq!(
            (read.inventory, read.objects),
            (snapshot.inventory, snapshot.objects)
        );
    }
}
