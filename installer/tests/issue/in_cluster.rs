//! Orders that are served: what is kept in the cluster, and that the next order
//! needs no word.

use std::{collections::BTreeMap, path::Path, process::Output};

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Secret},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use silica_acme_stage::SECRET;
use silica_api::{labels, names};
use silica_certs::inspect;

use crate::{
    harness::{Harness, NO_IMAGES, UNINSTALL},
    stage::{Run, Stage, by_hand, domain, expect, verify_chain, words},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_serves_what_it_ordered() {
    let Some(stage) = Stage::set() else { return };
    let Some(harness) = Harness::connect().await else {
        return;
    };
    let domain = domain();
    let install = ["install", "--no-wait", "--domain", &domain];
    expect(&harness.silica(&[&install, &NO_IMAGES[..]].concat()), 0, &[]);
    let own = Served::read(&harness).await;
    let run = |flags: &[Vec<String>]| {
        let flags = [&[words(&["certs", "issue", "--cluster"])], flags]
            .concat()
            .concat();
        let args: Vec<&str> = flags.iter().map(String::as_str).collect();
        harness.silica(&args)
    };
    // Nothing serves here.
    let order = |flags: &[Vec<String>]| run(&[flags, &[words(&["--no-verify"])]].concat());
    nothing_is_ordered_in_vain(&harness, &stage, run).await;
    assert_eq!(Served::read(&harness).await, own);

    let wrong = stage.updates(&stage.knot.address.to_string(), &SECRET.replace("c2V", "c2W"));
    expect(&order(&[stage.ca(), wrong]), 1, &["BADSIG"]);
    assert_eq!(
        Served::read(&harness).await,
        own,
        "a failed order changes nothing"
    );
    stage.verify_swept();

    // The account of the failed order is kept: nobody has to agree again.
    let text = expect(
        &order(&[stage.ca()[..6].to_vec(), stage.good_updates()]),
        0,
        &["SHA-256", "valid until"],
    );
    let by_updates = Served::read(&harness).await;
    by_updates.verify(&text);
    assert!(!text.contains("earlier order"), "{text}");
    let kept = secret(&harness, names::ACME_SECRET).await;
    for part in [KEPT_SERVER, SECRET] {
        assert!(kept[names::ACME_SETTINGS_KEY].contains(part), "{part}");
    }
    stage.verify_swept();

    let again = expect(&order(&[]), 0, &[]);
    let by_memory = Served::read(&harness).await;
    by_memory.verify(&again);
    assert_ne!(by_memory, by_updates);
    assert_eq!(
        secret(&harness, names::ACME_SECRET).await[names::ACME_ACCOUNT_KEY],
        kept[names::ACME_ACCOUNT_KEY]
    );
    stage.verify_swept();

    an_order_that_is_not_served_is_kept(&harness, order).await;
    let by_memory = Served::read(&harness).await;

    let hook = stage.knot.hook(stage.folder.path());
    expect(&order(&[stage.hook_flags(&hook)]), 0, &[]);
    let by_hook = Served::read(&harness).await;
    assert_ne!(by_hook, by_memory);
    // A path on somebody's machine is not kept.
    expect(&order(&[]), 65, &["--dns exec needs --dns-exec PROGRAM"]);
    stage.verify_swept();

    let flags = [
        words(&["certs", "issue", "--cluster", "--no-verify"]),
        stage.dns(&["manual"]),
    ]
    .concat();
    let args: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut run = Run::of(harness.start(&args));
    let shown = run.records();
    by_hand(&hook, "present", &shown);
    let (status, said) = run.end();
    assert!(status.success(), "{said}");
    by_hand(&hook, "cleanup", &shown);
    assert_ne!(Served::read(&harness).await, by_hook);
    stage.verify_swept();

    // An order is given up: what is served stays.
    let served = Served::read(&harness).await;
    let mut run = Run::of(harness.start(&args));
    run.records();
    run.signal("-TERM");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(143), "{said}");
    assert_eq!(Served::read(&harness).await, served);

    // The installation leaves it alone, and takes it along in the end.
    expect(&harness.silica(&install), 0, &[]);
    assert_eq!(Served::read(&harness).await, served);
    expect(&harness.silica(&UNINSTALL), 0, &[]);
}

/// What would keep the certificate from being served is found before the CA is asked.
async fn nothing_is_ordered_in_vain(
    harness: &Harness,
    stage: &Stage,
    run: impl Fn(&[Vec<String>]) -> Output,
) {
    let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    let mark = |value: Value| {
        Patch::Merge(json!({"metadata": {"annotations": {labels::CERT_MANAGER_CERTIFICATE: value}}}))
    };
    let flags = [stage.ca(), stage.good_updates()];
    let unseen = expect(&run(&flags), 79, &["nothing answers from here"]);
    api.patch(names::TLS_SECRET, &PatchParams::default(), &mark(json!("leaf")))
        .await
        .unwrap();
    let kept = expect(&run(&flags), 79, &["kept by cert-manager"]);
    api.patch(names::TLS_SECRET, &PatchParams::default(), &mark(Value::Null))
        .await
        .unwrap();
    for said in [unseen, kept] {
        assert!(!said.contains("Account"), "{said}");
    }
    assert!(api.get_opt(names::ACME_SECRET).await.unwrap().is_none());
}

/// Another command holds the installation when the order is done.
async fn an_order_that_is_not_served_is_kept(harness: &Harness, order: impl Fn(&[Vec<String>]) -> Output) {
    let leases: Api<Lease> = Api::namespaced(harness.client(), names::NAMESPACE);
    let lease = silica_api::lock::lease(names::NAMESPACE, "jane@laptop-7", None, Timestamp::now());
    leases.create(&PostParams::default(), &lease).await.unwrap();
    let said = expect(&order(&[]), 75, &["jane@laptop-7", "issued by", "kept in "]);
    let (_, rest) = said.split_once("kept in ").unwrap();
    let folder = Path::new(rest.split_once(':').unwrap().0);
    let chain = std::fs::read_to_string(folder.join("fullchain.pem")).unwrap();
    leases
        .delete(silica_api::lock::LEASE, &DeleteParams::default())
        .await
        .unwrap();
    let again = expect(&order(&[]), 0, &["an earlier order was not served yet"]);
    assert!(!again.contains("issued by"), "ordered twice: {again}");
    let served = Served::read(harness).await;
    served.verify(&again);
    assert_eq!(served.chain, chain);
    assert!(!folder.exists(), "the key is left on the disk");
}

/// Part of the kept settings.
const KEPT_SERVER: &str = "127.0.0.1:";

/// Certificate, key and mark of the Secret that is served.
#[derive(Debug, Eq, PartialEq)]
struct Served {
    chain: String,
    key: String,
    mark: Option<String>,
}

impl Served {
    async fn read(harness: &Harness) -> Self {
        let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
        let object = api.get(names::TLS_SECRET).await.unwrap();
        assert_eq!(object.type_.as_deref(), Some("kubernetes.io/tls"));
        let annotations = object.metadata.annotations.unwrap_or_default();
        let mut data = text(object.data);
        Self {
            chain: data.remove("tls.crt").unwrap(),
            key: data.remove("tls.key").unwrap(),
            mark: annotations.get(labels::ACME_FINGERPRINT).cloned(),
        }
    }

    /// It fits, bears the mark of an order, and its fingerprint was told.
    fn verify(&self, said: &str) {
        verify_chain(&self.chain, &self.key);
        let fingerprint = inspect::parse_chain(&self.chain).unwrap().remove(0).fingerprint;
        assert_eq!(self.mark.as_ref(), Some(&fingerprint));
        assert!(said.contains(&fingerprint), "{said}");
    }
}

async fn secret(harness: &Harness, name: &str) -> BTreeMap<String, String> {
    let api: Api<Secret> = Api::namespaced(harness.client(), names::NAMESPACE);
    text(api.get(name).await.unwrap().data)
}

fn text(data: Option<BTreeMap<String, k8s_openapi::ByteString>>) -> BTreeMap<String, String> {
    let data = data.unwrap_or_default();
    data.into_iter()
        .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
        .collect()
}
