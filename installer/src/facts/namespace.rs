//! Whose the namespace is.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use kube::{Api, Resource, api::ListParams, core::ObjectMeta};
use silica_api::{labels, names};

use super::is_ours;
use crate::cluster::{Cluster, Error, request};

/// Whose the namespace is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NamespaceFact {
    /// There is none.
    Absent,
    /// It is being deleted: nothing can be made in it.
    Terminating,
    /// It carries our label.
    Ours,
    /// Somebody else made it; these objects are in it.
    Foreign { objects: Vec<String> },
}

pub(super) async fn read(cluster: &Cluster) -> Result<NamespaceFact, Error> {
    let title = || format!("Namespace {}", names::NAMESPACE);
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let Some(namespace) = api
        .get_opt(names::NAMESPACE)
        .await
        .map_err(request("read", title()))?
    else {
        return Ok(NamespaceFact::Absent);
    };
    if namespace.metadata.deletion_timestamp.is_some() {
        return Ok(NamespaceFact::Terminating);
    }
    if is_ours(&namespace.metadata) {
        return Ok(NamespaceFact::Ours);
    }
    // What kubectl shows with `get all,secrets,configmaps`, minus what every
    // namespace has from birth.
    let all = ListParams::default();
    let client = &cluster.client;
    let pods = Api::<Pod>::namespaced(client.clone(), names::NAMESPACE);
    let services = Api::<Service>::namespaced(client.clone(), names::NAMESPACE);
    let secrets = Api::<Secret>::namespaced(client.clone(), names::NAMESPACE);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), names::NAMESPACE);
    let mut objects: Vec<String> = Vec::new();
    let foreign = |kind: &str, meta: &ObjectMeta| {
        let name = meta.name.clone().unwrap_or_default();
        (!is_ours(meta) && name != "kube-root-ca.crt").then(|| format!("{kind} {name}"))
    };
    let failed = || request("list the objects in", title());
    objects.extend(
        pods.list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter_map(|pod| foreign("Pod", pod.meta())),
    );
    objects.extend(
        services
            .list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter_map(|one| foreign("Service", one.meta())),
    );
    objects.extend(
        secrets
            .list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter(|one| !is_certificate_of_user(one.meta()))
            .filter_map(|one| foreign("Secret", one.meta())),
    );
    objects.extend(
        maps.list(&all)
            .await
            .map_err(failed())?
            .iter()
            .filter_map(|one| foreign("ConfigMap", one.meta())),
    );
    Ok(NamespaceFact::Foreign { objects })
}

/// Whether a Secret is the served certificate that a user, or cert-manager on
/// their behalf, put there before the installation. The plan judges it on its
/// own and never writes it, so there is nothing to take over.
fn is_certificate_of_user(meta: &ObjectMeta) -> bool {
    meta.name.as_deref() == Some(names::TLS_SECRET) || is_by_cert_manager(meta)
}

/// Whether cert-manager keeps this Secret, whatever label it carries besides.
pub(crate) fn is_by_cert_manager(meta: &ObjectMeta) -> bool {
    certificate_of(meta).is_some()
}

/// The Certificate by which cert-manager keeps this Secret.
pub(crate) fn certificate_of(meta: &ObjectMeta) -> Option<&str> {
    let annotations = meta.annotations.as_ref()?;
    annotations
        .get(labels::CERT_MANAGER_CERTIFICATE)
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_put_there_before_is_nothing_to_take_over() {
        let named = |name: &str| ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        };
        assert!(is_certificate_of_user(&named(names::TLS_SECRET)));
        assert!(!is_certificate_of_user(&named(names::CA_SECRET)));
        let mut issuer = named("wildcard-ca");
        issuer.annotations = Some(
            [(
                "cert-manager.io/certificate-name".to_owned(),
                "wildcard-ca".to_owned(),
            )]
            .into(),
        );
        assert!(is_certificate_of_user(&issuer));
    }
}
