//! The Ingress classes of the cluster.

use k8s_openapi::api::networking::v1::IngressClass;
use kube::{Api, ResourceExt, api::ListParams};

use crate::cluster::{Cluster, Error, request};

/// An IngressClass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IngressClassFact {
    /// Name.
    pub name: String,
    /// Whether it is the cluster's default.
    pub is_default: bool,
    /// `spec.controller`, for example `k8s.io/ingress-nginx`.
    pub controller: String,
}

pub(super) async fn read(cluster: &Cluster) -> Result<Vec<IngressClassFact>, Error> {
    const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
    let api: Api<IngressClass> = Api::all(cluster.client.clone());
    let classes = api
        .list(&ListParams::default())
        .await
        .map_err(request("list", "IngressClasses"))?;
    Ok(classes
        .into_iter()
        .map(|class| IngressClassFact {
            is_default: class
                .annotations()
                .get(DEFAULT)
                .is_some_and(|value| value == "true"),
            name: class.name_any(),
            controller: class.spec.and_then(|spec| spec.controller).unwrap_or_default(),
        })
        .collect())
}
