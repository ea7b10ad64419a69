//! The Secret that lets nodes pull what was pushed.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, core::ObjectMeta};
use silica_api::{labels, names};
use silica_manifests::Object;

use super::send;
use crate::{
    cli::error::Error,
    cluster::{self, Cluster, request},
    settings::RegistrySettings,
};

/// Type and key that kubelets look for.
const TYPE: &str = "kubernetes.io/dockerconfigjson";
const KEY: &str = ".dockerconfigjson";

/// The Secret as it should be. No `Debug`: it holds a password.
pub struct PullSecret {
    /// The object.
    pub object: Object,
    /// Whether the cluster has it like this.
    pub is_current: bool,
}

impl PullSecret {
    /// Makes it of the credentials that push, when that was asked for.
    pub async fn read(cluster: &Cluster, registry: Option<&RegistrySettings>) -> Result<Option<Self>, Error> {
        let Some((registry, name)) =
            registry.and_then(|registry| Some((registry, registry.make_pull_secret.as_ref()?)))
        else {
            return Ok(None);
        };
        let credentials = send::read_credentials(registry).await?;
        let content = credentials.pull_secret(&registry.address)?;
        let data = [(KEY.to_owned(), ByteString(content.into_bytes()))].into();
        let is_current = read_present(cluster, name).await?.is_some_and(|present| {
            present.data.as_ref() == Some(&data) && present.type_.as_deref() == Some(TYPE)
        });
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(names::NAMESPACE.into()),
                labels: Some(labels::product()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.into()),
            data: Some(data),
            ..Secret::default()
        };
        Ok(Some(Self {
            object: Object::of(&secret),
            is_current,
        }))
    }
}

async fn read_present(cluster: &Cluster, name: &str) -> Result<Option<Secret>, cluster::Error> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("Secret {}/{name}", names::NAMESPACE);
    api.get_opt(name).await.map_err(request("read", title))
}
