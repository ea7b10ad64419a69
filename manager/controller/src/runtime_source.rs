//! Where the runtime comes from that is injected into pods: an image, or ConfigMaps that the
//! controller copies into the namespaces of sandboxes, since a pod mounts those of its own only.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::ClusterRole};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use silica_api::{carried, labels, names};
use tokio::sync::Mutex;

/// How long copies that were seen count as being there.
const TRUST: Duration = Duration::from_secs(30);

/// The source of the injected runtime.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RuntimeSource {
    /// An image with `/sandbox-runtime`.
    Image(String),
    /// ConfigMaps with the loader and a compressed `sandbox-runtime`.
    ConfigMaps {
        /// Image to run the loader on; only its being on the nodes matters.
        image: String,
        /// Their names, in the namespace of the installation.
        names: Vec<String>,
        /// SHA-256 of the executable, lower-case hex.
        sha256: String,
    },
}

impl RuntimeSource {
    /// Differs whenever what runs in a sandbox differs.
    pub(crate) fn identity(&self) -> &str {
        match self {
            Self::Image(image) => image,
            Self::ConfigMaps { sha256, .. } => sha256,
        }
    }
}

/// Why the runtime cannot be had in a namespace.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to {action} ConfigMap {namespace}/{name}")]
    ConfigMap {
        action: &'static str,
        namespace: String,
        name: String,
        source: Box<kube::Error>,
    },
    #[error("failed to read ClusterRole {name}, the owner of the copies")]
    Owner { name: String, source: Box<kube::Error> },
}

/// Keeps copies of the runtime's ConfigMaps where pods need them.
///
/// The copies are immutable, named by their content, and owned by a ClusterRole of the
/// installation: an upgrade or `silica uninstall` removes that, and Kubernetes the copies.
pub(crate) struct Copies {
    client: Client,
    installation: String,
    /// Namespaces whose copies were complete at that time.
    complete: Mutex<HashMap<String, Instant>>,
}

impl Copies {
    pub(crate) fn new(client: Client, installation: &str) -> Self {
        Self {
            client,
            installation: installation.to_owned(),
            complete: Mutex::default(),
        }
    }

    /// Makes the copies that a namespace lacks. Costs nothing most of the time.
    pub(crate) async fn ensure(&self, source: &RuntimeSource, namespace: &str) -> Result<(), Error> {
        let RuntimeSource::ConfigMaps { names, sha256, .. } = source else {
            return Ok(());
        };
        if namespace == self.installation {
            return Ok(());
        }
        // Held over the requests, so that each copy is made once.
        let mut complete = self.complete.lock().await;
        if complete.get(namespace).is_some_and(|seen| seen.elapsed() < TRUST) {
            return Ok(());
        }
        let target: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let mut owner = None;
        for name in names {
            let failed = |action, namespace: &str| {
                let (namespace, name) = (namespace.to_owned(), name.clone());
                move |error| Error::ConfigMap {
                    action,
                    namespace,
                    name,
                    source: Box::new(error),
                }
            };
            let there = target.get_metadata_opt(name).await;
            if there.map_err(failed("look for", namespace))?.is_some() {
                continue;
            }
            let owner = match &owner {
                Some(owner) => owner,
                None => owner.insert(self.read_owner(&carried::owner(sha256)).await?),
            };
            let originals: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.installation);
            let original = originals
                .get(name)
                .await
                .map_err(failed("read", &self.installation))?;
            let parameters = PostParams {
                field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
                ..PostParams::default()
            };
            match target
                .create(&parameters, &copy(original, namespace, owner.clone()))
                .await
            {
                Ok(_) => tracing::info!(namespace, config_map = name, "runtime copied"),
                // By a former leader.
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(failed("create", namespace)(error)),
            }
        }
        complete.insert(namespace.to_owned(), Instant::now());
        Ok(())
    }

    async fn read_owner(&self, name: &str) -> Result<OwnerReference, Error> {
        let roles: Api<ClusterRole> = Api::all(self.client.clone());
        let role = roles.get(name).await.map_err(|error| Error::Owner {
            name: name.to_owned(),
            source: Box::new(error),
        })?;
        // It was read from the server, so it has a UID.
        Ok(role.owner_ref(&()).unwrap_or_default())
    }
}

/// The same content for another namespace.
fn copy(original: ConfigMap, namespace: &str, owner: OwnerReference) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: original.metadata.name.clone(),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels::component(
                &original
                    .labels()
                    .get(labels::APP_NAME)
                    .cloned()
                    .unwrap_or_default(),
            )),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        ..original
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_is_owned_by_the_role_and_carries_nothing_of_the_original() {
        let original: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "a", "namespace": "sandbox-system", "uid": "u", "resourceVersion": "7",
                "labels": {"app.kubernetes.io/name": "sandbox-runtime"}},
            "immutable": true, "binaryData": {"chunk-00": "AQI="},
        }))
        .unwrap();
        let owner = OwnerReference {
            kind: "ClusterRole".into(),
            name: "silica:runtime-1".into(),
            ..OwnerReference::default()
        };
        let copy = serde_json::to_value(copy(original, "team", owner)).unwrap();
        let metadata = &copy["metadata"];
        assert_eq!(
            (&metadata["name"], &metadata["namespace"]),
            (&json!("a"), &json!("team"))
        );
        assert!(metadata["uid"].is_null() && metadata["resourceVersion"].is_null());
        assert_eq!(metadata["ownerReferences"][0]["kind"], "ClusterRole");
        assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "sandbox-runtime");
        assert_eq!(
            (&copy["immutable"], &copy["binaryData"]["chunk-00"]),
            (&json!(true), &json!("AQI="))
        );
    }

    #[test]
    fn another_image_to_run_on_is_no_other_runtime() {
        let source = |image: &str| RuntimeSource::ConfigMaps {
            image: image.into(),
            names: vec!["a".into()],
            sha256: "ab".into(),
        };
        assert_eq!(source("pause:1").identity(), source("pause:2").identity());
        assert_ne!(
            source("pause:1").identity(),
            RuntimeSource::Image("r:1".into()).identity()
        );
    }
}
