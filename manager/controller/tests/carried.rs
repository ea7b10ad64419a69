//! A runtime from ConfigMaps, on the real API server of `SILICA_TEST_KUBECONFIG`: the controller
//! brings them where sandboxes are, and Kubernetes removes them with their owner.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Pod},
    rbac::v1::ClusterRole,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams},
    core::NamespaceResourceScope,
    runtime::wait::{Condition, await_condition},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use silica_api::{carried, crd::Sandbox};
use silica_controller::{Health, RuntimeSource};
use silica_core::token::{KEY_LENGTH, TokenKey};
use tokio::{sync::oneshot, time::timeout};

const PATIENCE: Duration = Duration::from_mins(1);
const LOADER: &str = "silica-loader-0123456789ab";
const CHUNK: &str = "sandbox-runtime-00-ba9876543210";

async fn create<K>(api: &Api<K>, object: Value) -> K
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap()
}

async fn namespace(client: &Client, prefix: &str) -> String {
    let api: Api<Namespace> = Api::all(client.clone());
    create(&api, json!({"metadata": {"generateName": prefix}}))
        .await
        .name_any()
}

async fn wait<K>(api: &Api<K>, name: &str, is: impl Condition<K>) -> Option<K>
where
    K: kube::Resource<Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    timeout(PATIENCE, await_condition(api.clone(), name, is))
        .await
        .expect("it comes in time")
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runtime_is_copied_where_sandboxes_are_and_goes_with_its_owner() {
    let Some(config) = silica_bare_stage::connect().await else {
        return;
    };
    let client = Client::try_from(config).unwrap();
    silica_bare_stage::apply_definitions(&client).await;
    let (home, team) = (
        namespace(&client, "carried-home-").await,
        namespace(&client, "carried-team-").await,
    );
    // The random end of the name, first, keeps runs apart that share a cluster.
    let digit = |byte: u8| char::from_digit(u32::from(byte % 16), 16);
    let digits: String = home.bytes().rev().filter_map(digit).collect();
    let sha256 = format!("{digits:0<64}");
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let role = carried::owner(&sha256);
    create(&roles, json!({"metadata": {"name": role}})).await;
    let originals: Api<ConfigMap> = Api::namespaced(client.clone(), &home);
    for (name, key) in [(LOADER, "silica-loader"), (CHUNK, "chunk-00")] {
        let map = json!({"metadata": {"name": name}, "immutable": true, "binaryData": {key: "AQID"}});
        create(&originals, map).await;
    }

    let config = silica_controller::Config {
        namespace: home.clone(),
        identity: "carried-test".to_owned(),
        runtime: RuntimeSource::ConfigMaps {
            image: "pause:1".to_owned(),
            names: vec![LOADER.to_owned(), CHUNK.to_owned()],
            sha256,
        },
        token_key: TokenKey::new(&[1; KEY_LENGTH]).unwrap(),
        workers: 2,
        health: Health::default(),
        authority: silica_controller::AuthorityRenewal::default(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let controller = tokio::spawn(silica_controller::run(config, client.clone(), async {
        let _ = stopped.await;
    }));

    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), &team);
    let template =
        json!({"spec": {"schedulerName": "nobody", "containers": [{"name": "app", "image": "app:1"}]}});
    create(
        &sandboxes,
        json!({"metadata": {"name": "one"}, "spec": {"template": template}}),
    )
    .await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &team);
    let pod = wait(&pods, "one", |pod: Option<&Pod>| pod.is_some())
        .await
        .unwrap();
    let pod = serde_json::to_value(pod).unwrap();
    let sources = &pod["spec"]["volumes"][0]["projected"]["sources"];
    // The pod came after what it mounts.
    let copies: Api<ConfigMap> = Api::namespaced(client.clone(), &team);
    for (index, name) in [LOADER, CHUNK].into_iter().enumerate() {
        assert_eq!(sources[index]["configMap"]["name"], name);
        let copy = copies.get(name).await.unwrap();
        let original = originals.get(name).await.unwrap();
        assert_eq!(
            (copy.binary_data, copy.immutable),
            (original.binary_data, Some(true))
        );
    }

    let _ = stop.send(());
    controller.await.unwrap().unwrap();
    roles.delete(&role, &DeleteParams::default()).await.unwrap();
    for name in [LOADER, CHUNK] {
        wait(&copies, name, |copy: Option<&ConfigMap>| copy.is_none()).await;
    }
    // The finalizer-free Sandbox and both namespaces end on their own.
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [home, team] {
        namespaces.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}
