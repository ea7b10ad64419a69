//! The Secrets and the trust bundle, as the watches saw them last.

use futures::{Stream, StreamExt, future, stream};
use http::{Request, header::DATE};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::client::Body;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use silica_api::{labels, names};
use silica_certs::{
    authority::{self, Authority},
    decide::Existing,
    rotation::record::Record,
    secret::PrivateKeyPem,
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::decide::FoundLeaf;

pub(super) const CERTIFICATE: &str = names::TLS_CERTIFICATE;
pub(super) const PRIVATE_KEY: &str = names::TLS_PRIVATE_KEY;
pub(super) const CA_CERTIFICATE: &str = names::CA_BUNDLE_KEY;

/// One object of interest; `None` when it does not exist.
pub(super) enum Change {
    Leaf(Option<Secret>),
    Authority(Option<Secret>),
    Next(Option<Secret>),
    Bundle(Option<ConfigMap>),
    Official(Option<Secret>),
}

/// What the watches reported last.
#[derive(Default)]
pub(super) struct Sight {
    leaf: Known<Secret>,
    authority: Known<Secret>,
    next: Known<Secret>,
    bundle: Known<ConfigMap>,
    official: Known<Secret>,
}

/// One object as its watch reported it.
#[derive(Default)]
enum Known<K> {
    #[default]
    NotYet,
    Absent,
    There(K),
}

impl<K: ResourceExt> Known<K> {
    /// Takes a report in; says whether it brought news. After a lost watch the
    /// same object comes again: only its version tells.
    fn note(&mut self, now: Option<K>) -> bool {
        let version = |object: &K| (object.uid(), object.resource_version());
        let is_new = match (&*self, &now) {
            (Self::Absent, now) => now.is_some(),
            (Self::There(before), Some(now)) => version(before) != version(now),
            (Self::NotYet, _) | (Self::There(_), None) => true,
        };
        *self = now.map_or(Self::Absent, Self::There);
        is_new
    }

    fn is_known(&self) -> bool {
        !matches!(self, Self::NotYet)
    }

    fn get(&self) -> Option<&K> {
        match self {
            Self::There(object) => Some(object),
            Self::NotYet | Self::Absent => None,
        }
    }
}

/// All changes forever, beginning with the present state.
pub(super) fn changes(client: &Client, namespace: &str) -> impl Stream<Item = Change> + Send + use<> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let watched = |name| watcher::watch_object(secrets.clone(), name).default_backoff();
    stream::select(
        stream::select(
            reported(watched(names::TLS_SECRET), names::TLS_SECRET).map(Change::Leaf),
            reported(watched(names::CA_SECRET), names::CA_SECRET).map(Change::Authority),
        ),
        stream::select(
            stream::select(
                reported(watched(names::CA_NEXT_SECRET), names::CA_NEXT_SECRET).map(Change::Next),
                reported(watched(names::ACME_SECRET), names::ACME_SECRET).map(Change::Official),
            ),
            reported(
                watcher::watch_object(maps, names::CA_BUNDLE).default_backoff(),
                names::CA_BUNDLE,
            )
            .map(Change::Bundle),
        ),
    )
}

fn reported<T: Send>(
    changes: impl Stream<Item = Result<T, watcher::Error>> + Send,
    name: &'static str,
) -> impl Stream<Item = T> + Send {
    changes.filter_map(move |change| {
        let seen = change
            .inspect_err(|error| tracing::warn!(name, %error, "failed to watch; trying again"))
            .ok();
        future::ready(seen)
    })
}

impl Sight {
    /// Takes a change in; says whether it was one.
    pub(super) fn note(&mut self, change: Change) -> bool {
        match change {
            Change::Leaf(now) => self.leaf.note(now),
            Change::Authority(now) => self.authority.note(now),
            Change::Next(now) => self.next.note(now),
            Change::Bundle(now) => self.bundle.note(now),
            Change::Official(now) => self.official.note(now),
        }
    }

    /// Whether every watch has reported that a decision takes. That of ACME
    /// matters to few, and must not hold up the others.
    pub(super) fn is_complete(&self) -> bool {
        self.leaf.is_known() && self.authority.is_known() && self.next.is_known() && self.bundle.is_known()
    }

    pub(super) fn leaf(&self) -> Option<&Secret> {
        self.leaf.get()
    }

    pub(super) fn authority(&self) -> Option<&Secret> {
        self.authority.get()
    }

    pub(super) fn next(&self) -> Option<&Secret> {
        self.next.get()
    }

    pub(super) fn bundle(&self) -> Option<&ConfigMap> {
        self.bundle.get()
    }

    pub(super) fn official(&self) -> Option<&Secret> {
        self.official.get()
    }
}

/// The API server's clock, from the `Date` of an answer; `None` when there is
/// none, as behind some proxies.
pub(super) async fn read_server_time(client: &Client) -> Result<Option<OffsetDateTime>, kube::Error> {
    let request = Request::get("/version")
        .body(Body::empty())
        .map_err(kube::Error::HttpError)?;
    let answer = client.send(request).await?;
    let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
    Ok(date.and_then(parse_http_date))
}

/// The form of RFC 9110 section 5.6.7 is one of those of RFC 2822.
fn parse_http_date(date: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(date, &Rfc2822).ok()
}

pub(super) fn text<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    std::str::from_utf8(bytes).ok()
}

pub(super) fn read_leaf(secret: &Secret) -> FoundLeaf<'_> {
    FoundLeaf {
        pair: Existing {
            chain_pem: text(secret, CERTIFICATE),
            key_pem: text(secret, PRIVATE_KEY),
        },
        is_labelled: is_labelled(secret),
        ordered: secret
            .annotations()
            .get(labels::ACME_FINGERPRINT)
            .map(String::as_str),
    }
}

/// The key of the served certificate, when it can be read.
pub(super) fn read_key(secret: &Secret) -> Option<PrivateKeyPem> {
    PrivateKeyPem::parse(text(secret, PRIVATE_KEY)?).ok()
}

/// Whether it carries the label of this product, and is not kept by cert-manager all the
/// same: a Certificate that was put over a Secret of ours leaves the label in place.
pub(super) fn is_labelled(secret: &Secret) -> bool {
    let label = secret.labels().get(labels::APP_MANAGED_BY);
    let is_kept_by_another = secret
        .annotations()
        .contains_key(labels::CERT_MANAGER_CERTIFICATE);
    label.is_some_and(|value| value == names::PRODUCT) && !is_kept_by_another
}

/// Whether the CA's Secret says that the CA must not be replaced.
pub(super) fn is_renewal_off(secret: &Secret) -> bool {
    let value = secret.annotations().get(names::CA_RENEWAL);
    value.is_some_and(|value| value == names::CA_RENEWAL_OFF)
}

/// The CA of a rotation that is under way, with its state.
pub(super) fn read_next(secret: &Secret) -> Result<(Authority, Record), authority::Error> {
    Ok((read_authority(secret)?, Record::read(secret.annotations())))
}

pub(super) fn read_authority(secret: &Secret) -> Result<Authority, authority::Error> {
    Authority::from_pem(
        text(secret, CERTIFICATE).unwrap_or_default(),
        text(secret, PRIVATE_KEY).unwrap_or_default(),
    )
}

pub(super) fn read_bundle(map: &ConfigMap) -> &str {
    map.data
        .as_ref()
        .and_then(|data| data.get(names::CA_BUNDLE_KEY))
        .map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectMeta;

    use super::*;

    fn secret(version: &str) -> Secret {
        let metadata = ObjectMeta {
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        Secret {
            metadata,
            ..Secret::default()
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let date = parse_http_date("Fri, 15 Jan 2027 08:00:00 GMT").unwrap();
        assert_eq!(date.unix_timestamp(), 1_800_000_000);
        assert_eq!(parse_http_date("soon"), None);
    }

    #[test]
    fn what_cert_manager_keeps_is_not_ours_whatever_its_label() {
        let mut secret = secret("1");
        assert!(!is_labelled(&secret));
        secret.metadata.labels = Some(labels::product());
        assert!(is_labelled(&secret));
        let mark = (labels::CERT_MANAGER_CERTIFICATE.to_owned(), "leaf".to_owned());
        secret.metadata.annotations = Some([mark].into());
        assert!(!is_labelled(&secret) && !read_leaf(&secret).is_labelled);
    }

    #[test]
    fn nothing_is_decided_before_every_watch_has_reported() {
        let mut sight = Sight::default();
        assert!(sight.note(Change::Leaf(Some(secret("1")))));
        assert!(sight.note(Change::Authority(None)));
        assert!(sight.note(Change::Next(None)));
        assert!(!sight.is_complete());
        assert!(sight.note(Change::Bundle(None)));
        assert!(sight.is_complete() && sight.authority().is_none());
    }

    #[test]
    fn the_same_version_again_is_no_change() {
        let mut sight = Sight::default();
        sight.note(Change::Leaf(Some(secret("1"))));
        assert!(!sight.note(Change::Leaf(Some(secret("1")))));
        assert!(sight.note(Change::Leaf(Some(secret("2")))));
        assert!(sight.note(Change::Leaf(None)));
        assert!(!sight.note(Change::Leaf(None)));
    }
}
