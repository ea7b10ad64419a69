//! A component of the manager on a real API server that has no installation: its definitions, a
//! namespace of its own, and the rights that an installation would give it.
//!
//! `SILICA_TEST_KUBECONFIG` names the kubeconfig of the administrator. Without it the tests say so
//! and pass, except in CI (`CI=true`), where they fail.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failing fixture is a failing test"
)]

mod account;

use std::{env, path::PathBuf, time::Duration};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions, wait::await_condition},
};
use serde_json::json;
use silica_api::names;

/// Longest wait for a definition.
const PATIENCE: Duration = Duration::from_mins(1);

/// The kubeconfig that is named, for tests that need a cluster. `None`, told, when there is none; on
/// CI that is a failure.
#[must_use]
pub fn kubeconfig() -> Option<PathBuf> {
    let path = env::var_os("SILICA_TEST_KUBECONFIG").map(PathBuf::from);
    if path.is_none() {
        assert!(
            env::var("CI").as_deref() != Ok("true"),
            "SILICA_TEST_KUBECONFIG must be set on CI"
        );
        println!("not run: SILICA_TEST_KUBECONFIG does not name a kubeconfig");
    }
    path
}

/// How to act as the administrator; `None` as with [`kubeconfig`].
pub async fn connect() -> Option<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig()?).expect("the kubeconfig is readable");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Some(config.expect("the kubeconfig names a cluster and a user"))
}

/// What a component under test finds.
pub struct Stage {
    /// Acts as the administrator.
    pub admin: Client,
    /// How to act as the component's account.
    pub account: Config,
    /// Where the component is.
    pub namespace: String,
    component: &'static str,
}

impl Stage {
    /// Connects, applies the definitions, makes a namespace whose name begins with `name`, and
    /// gives the component's account there its rights. `None` as with [`kubeconfig`].
    pub async fn open(component: &'static str, name: &str) -> Option<Self> {
        let config = connect().await?;
        let _ = tracing_subscriber::fmt()
            .with_env_filter(env::var("RUST_LOG").unwrap_or_default())
            .try_init();
        let admin = Client::try_from(config.clone()).unwrap();
        refuse_installed_controller(&admin).await;
        apply_definitions(&admin).await;
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        let object = json!({"metadata": {"generateName": format!("{name}-")}});
        let object = serde_json::from_value(object).unwrap();
        let created = namespaces.create(&PostParams::default(), &object).await;
        let namespace = created.unwrap().name_any();
        let account = account::config(&admin, &config, component, &namespace).await;
        Some(Self {
            admin,
            account,
            namespace,
            component,
        })
    }

    /// Removes the rights, and lets the cluster remove the namespace.
    pub async fn close(&self) {
        account::remove(&self.admin, self.component, &self.namespace).await;
        let namespaces: Api<Namespace> = Api::all(self.admin.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::background())
            .await
            .unwrap();
    }
}

/// It would act on the objects of the test.
async fn refuse_installed_controller(client: &Client) {
    let api: Api<Deployment> = Api::namespaced(client.clone(), names::NAMESPACE);
    let installed = api.get_opt(names::CONTROLLER).await.unwrap();
    let replicas = installed
        .and_then(|deployment| deployment.spec?.replicas)
        .unwrap_or(0);
    assert_eq!(
        replicas,
        0,
        "a controller is installed in {}; scale it to zero first",
        names::NAMESPACE
    );
}

/// Applies the definitions of Silica's kinds and waits until the API server serves them.
pub async fn apply_definitions(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in silica_api::crd::all() {
        let name = definition.name_any();
        let parameters = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
        api.patch(&name, &parameters, &Patch::Apply(&definition))
            .await
            .unwrap();
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(PATIENCE, established)
            .await
            .expect("the definition is established")
            .unwrap();
    }
}
