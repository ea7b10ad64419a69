//! The Secrets and the trust bundle of an installation.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use k8s_openapi::{
    ByteString, NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, Secret},
        events::v1::Event,
    },
};
use kube::{
    Resource,
    api::{ListParams, Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use silica_api::{labels, names};
use silica_certs::{
    authority::{Authority, AuthorityRequest},
    inspect::{self, Inspected},
    leaf::LeafRequest,
    verify,
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{Harness, PATIENCE};

const DOMAIN: &str = "sandbox.example.com";

/// A served certificate as it lies in its Secret.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

impl Installed {
    pub(crate) fn authority() -> Authority {
        Self::authority_for(3650)
    }

    pub(crate) fn authority_for(days: i64) -> Authority {
        Self::authority_of(DOMAIN, days)
    }

    pub(crate) fn authority_of(domain: &str, days: i64) -> Authority {
        let request = AuthorityRequest {
            validity: time::Duration::days(days),
            ..AuthorityRequest::new(vec![domain.to_owned()], Vec::new())
        };
        Authority::create(&request, OffsetDateTime::now_utc()).unwrap()
    }

    /// One of which more than two thirds are over.
    pub(crate) fn near_its_end(authority: &Authority, minutes_left: i64) -> Self {
        Self::near_its_end_of(DOMAIN, authority, minutes_left)
    }

    /// The same for another domain.
    pub(crate) fn near_its_end_of(domain: &str, authority: &Authority, minutes_left: i64) -> Self {
        let names = [domain.to_owned(), format!("*.{domain}")];
        // A CA signs nothing from before its time: a short life instead, of
        // which the hour that lies before now is more than two thirds.
        let request = LeafRequest {
            names: names.to_vec(),
            validity: time::Duration::minutes(minutes_left),
        };
        let leaf = authority.issue(&request, OffsetDateTime::now_utc()).unwrap();
        Self {
            chain: leaf.chain_pem().to_owned(),
            key: leaf.key_pem().expose().to_owned(),
            authority: authority.certificate_pem().to_owned(),
        }
    }

    fn of(secret: &Secret) -> Self {
        let data = secret.data.clone().unwrap();
        let text = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
        // One of a public CA comes without.
        let authority = if data.contains_key("ca.crt") {
            text("ca.crt")
        } else {
            String::new()
        };
        Self {
            chain: text("tls.crt"),
            key: text("tls.key"),
            authority,
        }
    }

    fn inspected(&self) -> Inspected {
        inspect::parse_chain(&self.chain).unwrap().remove(0)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.inspected().names
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.inspected().fingerprint
    }

    pub(crate) fn end(&self) -> u64 {
        u64::try_from(self.inspected().not_after.unix_timestamp()).unwrap()
    }

    pub(crate) fn end_of(authority: &Authority) -> u64 {
        u64::try_from(authority.inspected().not_after.unix_timestamp()).unwrap()
    }

    /// Checks that clients that trust the CA accept it, and that the key fits.
    pub(crate) fn verify(&self, roots: &str) {
        for name in self.names() {
            verify::chain(&self.chain, roots, &name, OffsetDateTime::now_utc()).unwrap();
        }
        verify::key_matches(&self.chain, &self.key).unwrap();
    }
}

impl Harness {
    pub(super) async fn apply<K>(&self, name: &str, object: Value)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + Clone
            + Debug
            + Serialize,
    {
        let parameters = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
        self.api::<K>()
            .patch(name, &parameters, &Patch::Apply(object))
            .await
            .unwrap();
    }

    async fn write_secret(&self, name: &str, data: [(&str, &str); 3], is_labelled: bool) {
        let data: BTreeMap<&str, ByteString> = data
            .into_iter()
            .map(|(key, text)| (key, ByteString(text.as_bytes().to_vec())))
            .collect();
        let marks = if is_labelled {
            labels::product()
        } else {
            BTreeMap::new()
        };
        self.apply::<Secret>(
            name,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": name, "labels": marks}, "data": data}),
        )
        .await;
    }

    /// Writes as an installation does.
    pub(crate) async fn write_leaf(&self, leaf: &Installed, is_labelled: bool) {
        let data = [
            ("tls.crt", &*leaf.chain),
            ("tls.key", &*leaf.key),
            ("ca.crt", &*leaf.authority),
        ];
        self.write_secret(names::TLS_SECRET, data, is_labelled).await;
    }

    pub(crate) async fn write_authority(&self, authority: &Authority) {
        let certificate = authority.certificate_pem();
        let data = [
            ("tls.crt", certificate),
            ("tls.key", authority.key_pem().expose()),
            ("ca.crt", certificate),
        ];
        self.write_secret(names::CA_SECRET, data, true).await;
    }

    pub(crate) async fn write_bundle(&self, text: &str) {
        self.apply::<ConfigMap>(
            names::CA_BUNDLE,
            json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": names::CA_BUNDLE, "labels": labels::product()},
                "data": {names::CA_BUNDLE_KEY: text}}),
        )
        .await;
    }

    pub(crate) async fn patch_leaf(&self, patch: &Value) {
        self.api::<Secret>()
            .patch(names::TLS_SECRET, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn leaf(&self) -> Installed {
        Installed::of(&self.api().get(names::TLS_SECRET).await.unwrap())
    }

    pub(crate) async fn authority(&self) -> Authority {
        let pair = Installed::of(&self.api().get(names::CA_SECRET).await.unwrap());
        Authority::from_pem(&pair.chain, &pair.key).unwrap()
    }

    /// The Secret of a rotation that is under way.
    pub(crate) async fn find_next(&self) -> Option<Secret> {
        self.api().get_opt(names::CA_NEXT_SECRET).await.unwrap()
    }

    pub(crate) async fn bundle(&self) -> String {
        let map: ConfigMap = self.api().get(names::CA_BUNDLE).await.unwrap();
        map.data.unwrap().remove(names::CA_BUNDLE_KEY).unwrap()
    }

    pub(crate) async fn wait_other_leaf(&self, former: &Installed) -> Installed {
        let is_other = |secret: &Secret| Installed::of(secret).chain != former.chain;
        Installed::of(&self.wait(names::TLS_SECRET, "renewed", is_other).await)
    }

    pub(crate) async fn wait_bundle(&self, members: &[&Authority]) {
        let text: String = members.iter().map(|member| member.certificate_pem()).collect();
        self.wait(names::CA_BUNDLE, "complete", |map: &ConfigMap| {
            map.data
                .as_ref()
                .is_some_and(|data| data[names::CA_BUNDLE_KEY] == text)
        })
        .await;
    }

    pub(crate) async fn wait_metric(&self, name: &str, value: u64) {
        let reached = async {
            while self.metric(name) != value {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{name} is {}, not {value}", self.metric(name)));
    }

    /// Waits for an Event about the served certificate.
    pub(crate) async fn wait_event(&self, reason: &str) {
        self.wait_event_about(names::TLS_SECRET, reason).await;
    }

    /// Waits for an Event about this object.
    pub(crate) async fn wait_event_about(&self, object: &str, reason: &str) {
        let happened = async || {
            let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
            events.items.iter().any(|event| {
                event.reason.as_deref() == Some(reason)
                    && event
                        .regarding
                        .as_ref()
                        .is_some_and(|about| about.name.as_deref() == Some(object))
            })
        };
        let wait = async {
            while !happened().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "no Event {reason}");
    }
}
