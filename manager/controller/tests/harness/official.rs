//! A certificate that was ordered over ACME, and what is kept to order another.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;
use silica_acme::{Account, Settings};
use silica_api::{labels, names};

use super::{Harness, Installed};

impl Harness {
    /// Writes as `silica certs issue --cluster` does: marked, and without the
    /// label of what an installation made.
    pub(crate) async fn write_official(&self, leaf: &Installed) {
        let data = entries([("tls.crt", &leaf.chain), ("tls.key", &leaf.key)]);
        let name = names::TLS_SECRET;
        self.apply::<Secret>(
            name,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": name, "annotations": {labels::ACME_FINGERPRINT: leaf.fingerprint()}},
                "data": data}),
        )
        .await;
    }

    /// Writes what the next order takes.
    pub(crate) async fn write_acme(&self, account: &Account, settings: &Settings) {
        let settings = serde_json::to_string(settings).unwrap();
        let data = entries([
            (names::ACME_ACCOUNT_KEY, account.credentials().expose()),
            (names::ACME_SETTINGS_KEY, &settings),
        ]);
        let name = names::ACME_SECRET;
        self.apply::<Secret>(
            name,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": name, "labels": labels::product()}, "data": data}),
        )
        .await;
    }

    /// The certificate of which the Secret says that it was ordered.
    pub(crate) async fn ordered_fingerprint(&self) -> Option<String> {
        let secret: Secret = self.api().get(names::TLS_SECRET).await.unwrap();
        secret.annotations().get(labels::ACME_FINGERPRINT).cloned()
    }

    /// Versions of everything that has to do with certificates, but for the
    /// served one.
    pub(crate) async fn other_versions(&self) -> BTreeMap<String, Option<String>> {
        let all = ListParams::default();
        let secrets = self.api::<Secret>().list(&all).await.unwrap();
        let maps = self.api::<ConfigMap>().list(&all).await.unwrap();
        let secrets = secrets.iter().map(|one| (one.name_any(), one.resource_version()));
        let maps = maps.iter().map(|one| (one.name_any(), one.resource_version()));
        // The cluster itself makes the last one, in its own time.
        let is_other = |name: &str| ![names::TLS_SECRET, "kube-root-ca.crt"].contains(&name);
        secrets.chain(maps).filter(|(name, _)| is_other(name)).collect()
    }
}

fn entries<const N: usize>(texts: [(&str, &str); N]) -> BTreeMap<String, ByteString> {
    texts
        .map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
        .into()
}
