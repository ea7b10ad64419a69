//! Executables in ConfigMaps on the real API server of `SILICA_TEST_KUBECONFIG`: they are accepted
//! as they are, compared without being sent again, and cannot be changed.

#![expect(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use silica::{
    cluster::{
        Cluster,
        apply::{self, Action, Conflicts},
    },
    delivery::bundle::sha256,
};
use silica_api::carried::{CHUNK_BYTES, CONFIG_MAP_BYTES};
use silica_manifests::{Carried, Images, Object, Options, Packed, Phase, objects};

/// Every byte value, so that nothing depends on text.
fn bytes(length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(length).collect()
}

/// The objects of the phase, moved to a namespace of the test.
fn executables(namespace: &str) -> Vec<Object> {
    let image = "registry.k8s.io/pause:3.10".to_owned();
    let (manager, loader) = (bytes(2 * CHUNK_BYTES + 1), bytes(CONFIG_MAP_BYTES));
    let options = Options {
        carried: Some(Carried {
            image: image.clone(),
            loader: Packed::whole(sha256(&loader), loader),
            manager: Packed::cut("sandbox-manager", sha256(b"m"), &manager, sha256),
            runtime: Packed::cut("sandbox-runtime", sha256(b"r"), b"r", sha256),
        }),
        ..Options::new(
            "a.example.com".parse().unwrap(),
            Images {
                manager: image.clone(),
                runtime: image,
            },
        )
    };
    let mut found: Vec<Object> = objects(&options).of_phase(Phase::Executables).cloned().collect();
    for object in &mut found {
        object.namespace = Some(namespace.to_owned());
        object.content["metadata"]["namespace"] = json!(namespace);
    }
    found
}

#[tokio::test]
async fn the_largest_chunks_are_accepted_kept_and_immutable() {
    let Some(path) = silica_bare_stage::kubeconfig() else {
        return;
    };
    // Fails only when it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::read(Some(path), None).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let named = serde_json::from_value(json!({"metadata": {"generateName": "carried-"}})).unwrap();
    let namespace = namespaces.create(&PostParams::default(), &named).await.unwrap();
    let namespace = namespace.metadata.name.unwrap();

    let observe = async || {
        apply::observe(&cluster, executables(&namespace), Conflicts::Refuse)
            .await
            .unwrap()
            .changes
    };
    let changes = observe().await;
    assert_eq!(changes.len(), 5, "a loader, three chunks and one");
    assert!(changes.iter().all(|change| change.action == Action::Create));
    let written = apply::apply_changes(&cluster, &changes, Conflicts::Refuse)
        .await
        .unwrap();
    assert_eq!(written, 5);
    assert!(observe().await.iter().all(|change| change.action == Action::Keep));

    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &namespace);
    let first = &changes[0].object.name;
    let other = Patch::Merge(json!({"binaryData": {"silica-loader": "AQ=="}}));
    let refused = maps.patch(first, &PatchParams::default(), &other).await;
    assert!(refused.unwrap_err().to_string().contains("immutable"));
    namespaces
        .delete(&namespace, &DeleteParams::default())
        .await
        .unwrap();
}
