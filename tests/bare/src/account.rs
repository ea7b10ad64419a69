//! The rights of an installed component, for the one under test: it does without any others.

use http::{HeaderName, HeaderValue};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use silica_api::names;
use silica_manifests::{Images, Object, Options, Phase};

/// Gives the account of the namespace what an installation gives it, and returns how to act as
/// this account.
pub(super) async fn config(admin: &Client, config: &Config, component: &str, namespace: &str) -> Config {
    for object in access(component, namespace) {
        apply(admin, &object).await;
    }
    let account = format!("system:serviceaccount:{namespace}:{component}");
    let mut config = config.clone();
    config.headers.push((
        HeaderName::from_static("impersonate-user"),
        HeaderValue::from_str(&account).unwrap(),
    ));
    config
}

/// Removes what a namespace does not take with it.
pub(super) async fn remove(admin: &Client, component: &str, namespace: &str) {
    let name = cluster_wide(component, namespace);
    let roles: Api<ClusterRole> = Api::all(admin.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(admin.clone());
    roles.delete(&name, &DeleteParams::default()).await.unwrap();
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
}

fn cluster_wide(component: &str, namespace: &str) -> String {
    format!("{}:{component}:{namespace}", names::PRODUCT)
}

/// The component's objects of the phase, moved from the installation's namespace to this one.
fn access(component: &str, namespace: &str) -> Vec<Object> {
    let images = Images {
        manager: String::new(),
        runtime: String::new(),
    };
    let options = Options::new("sandbox.example.com".parse().unwrap(), images);
    let shared = format!("{}:{component}", names::PRODUCT);
    silica_manifests::objects(&options)
        .of_phase(Phase::Access)
        .filter(|object| object.name == component || object.name == shared)
        .map(|object| {
            let text = object
                .content
                .to_string()
                .replace(names::NAMESPACE, namespace)
                .replace(&shared, &cluster_wide(component, namespace));
            let is_shared = object.name == shared;
            Object {
                content: serde_json::from_str(&text).unwrap(),
                name: if is_shared {
                    cluster_wide(component, namespace)
                } else {
                    object.name.clone()
                },
                namespace: object.namespace.as_ref().map(|_| namespace.to_owned()),
                ..object.clone()
            }
        })
        .collect()
}

async fn apply(admin: &Client, object: &Object) {
    let api: Api<DynamicObject> = match &object.namespace {
        Some(namespace) => Api::namespaced_with(admin.clone(), namespace, &object.resource),
        None => Api::all_with(admin.clone(), &object.resource),
    };
    let parameters = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
    api.patch(&object.name, &parameters, &Patch::Apply(&object.content))
        .await
        .unwrap();
}
