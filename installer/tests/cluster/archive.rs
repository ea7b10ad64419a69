//! The support archive: everything that helps, and no secret.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use silica_api::crd::SandboxTemplate;

use crate::{expect, harness::Harness, install, uninstall};

/// The one folder of the archive, unpacked by the system's tar.
fn unpack(archive: &Path) -> PathBuf {
    let folder = archive.with_extension("unpacked");
    fs::create_dir(&folder).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("-C").arg(&folder);
    assert!(tar.status().unwrap().success());
    folder.join("silica-support")
}

/// All its files.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(texts(&path));
        } else {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

fn json_of(folder: &Path, path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join(path)).unwrap()).unwrap()
}

/// Every value of the installation's Secrets as the API has it and as it is, but certificates, which
/// are no secrets.
async fn secret_values(harness: &Harness) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for (name, data) in harness.secrets().await {
        for (key, value) in data.as_object().into_iter().flatten() {
            if Path::new(key).extension() == Some("crt".as_ref()) {
                continue;
            }
            let title = format!("{name}/{key}");
            let value = value.as_str().unwrap().to_owned();
            let plain = STANDARD.decode(&value).unwrap();
            values.extend(String::from_utf8(plain).ok().map(|plain| (title.clone(), plain)));
            values.push((title, value));
        }
    }
    values
}

pub(crate) async fn an_archive_has_the_state_and_nothing_secret(harness: &Harness) {
    expect(&harness.silica(&install()), 0, &[]);
    let templates: Api<SandboxTemplate> = Api::namespaced(harness.client(), "default");
    let template = json!({"metadata": {"name": "of-a-user", "annotations": {"note": "hush-hush"}},
        "spec": {"template": {"spec": {"containers": [{"name": "sandbox", "image": "i:1",
            "command": ["run", "hush-hush"], "env": [{"name": "WORD", "value": "hush-hush"}]}]}}}});
    let template = serde_json::from_value(template).unwrap();
    templates.create(&PostParams::default(), &template).await.unwrap();

    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("all.tar.gz");
    let support = ["support", "--file", file.to_str().unwrap(), "-o", "json"];
    let output = harness.silica(&support);
    expect(&output, 0, &[]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["missing"], json!([]));
    // What is there already may be somebody's only copy.
    expect(&harness.silica(&support), 1, &["File exists"]);

    let folder = unpack(&file);
    assert_eq!(json_of(&folder, "version.json")["kubernetes"]["major"], "1");
    assert_eq!(
        json_of(&folder, "status.json")["domains"],
        json!(["silica.localhost"])
    );
    let deployments = json_of(&folder, "objects/sandbox-system/Deployment.json");
    assert_eq!(deployments.as_array().unwrap().len(), 2);
    let definitions = json_of(&folder, "objects/cluster/CustomResourceDefinition.json");
    assert_eq!(definitions.as_array().unwrap().len(), 4);
    let templates_seen = json_of(&folder, "objects/everywhere/SandboxTemplate.json");
    assert_eq!(templates_seen[0]["metadata"]["name"], "of-a-user");
    let secrets = secret_values(harness).await;
    assert!(secrets.len() >= 5, "{} values", secrets.len());
    for (path, text) in texts(&folder) {
        assert!(!text.contains("hush-hush"), "{}", path.display());
        for (name, value) in &secrets {
            assert!(!text.contains(value), "{name} is in {}", path.display());
        }
    }
    templates
        .delete("of-a-user", &DeleteParams::default())
        .await
        .unwrap();
    uninstall(harness).await;
}

pub(crate) async fn what_may_not_be_read_is_missing_in_the_archive(harness: &Harness) {
    let (_, kubeconfig) = harness.service_account("silica-onlooker").await;
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("some.tar.gz");
    let support = ["support", "--file", file.to_str().unwrap()];
    let output = harness.silica_as(&kubeconfig, &support);
    expect(&output, 1, &["Node objects: ", "cannot list resource"]);
    let missing = fs::read_to_string(unpack(&file).join("missing.txt")).unwrap();
    assert!(missing.contains("names of Secrets: "), "{missing}");
    harness.remove_service_account("silica-onlooker").await;

    let unreachable = harness.unreachable();
    let file = scratch.path().join("none.tar.gz");
    let support = ["support", "--file", file.to_str().unwrap()];
    expect(&harness.silica_as(&unreachable, &support), 69, &["127.0.0.1:1"]);
    assert!(!file.exists(), "nothing was collected");
}
