//! The two writes: a renewed certificate into its Secret, a CA into the trust
//! bundle. Each is one patch that only wins on the version it was decided on.

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use silica_api::{labels, names};
use silica_certs::{
    authority::{self, Authority},
    bundle, inspect,
    leaf::Leaf,
    rotation::material::{self, Material},
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{
    clock,
    decide::Order,
    observe::{self, CA_CERTIFICATE, CERTIFICATE, PRIVATE_KEY},
    official,
};

/// A single request to the API server.
pub(super) const REQUEST: std::time::Duration = std::time::Duration::from_secs(10);

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Material(#[from] material::Error),
    #[error("failed to read {object}")]
    Read {
        object: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("{object} does not exist")]
    Absent { object: &'static str },
    #[error("failed to use the CA of {object}")]
    Authority {
        object: &'static str,
        #[source]
        source: authority::Error,
    },
    #[error("{holder} is changing this installation")]
    Busy { holder: String },
    #[error("failed to read the time of the API server")]
    ServerTime(#[source] Box<kube::Error>),
    #[error("the clock here says {local}, that of the API server {server}")]
    Clock {
        local: OffsetDateTime,
        server: OffsetDateTime,
    },
    #[error("failed to read the trust bundle")]
    Bundle(#[source] bundle::Error),
    #[error("failed to write {object}")]
    Write {
        object: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("failed to order a certificate over ACME")]
    Order(#[from] Box<official::Error>),
    #[error("failed to reach {object} in time")]
    Timeout { object: &'static str },
}

impl Error {
    /// Whether somebody else wrote in between; then the watch brings it.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Write { source, .. }
            if matches!(&**source, kube::Error::Api(status) if status.is_conflict()))
    }

    /// Whether it is only a matter of waiting for somebody else.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// Refuses to date a certificate by a clock that disagrees with the API server.
pub(super) async fn verify_clock(client: &Client, local: OffsetDateTime) -> Result<(), Error> {
    let object = "the time of the API server";
    let server = timeout(REQUEST, observe::read_server_time(client))
        .await
        .map_err(|_elapsed| Error::Timeout { object })?
        .map_err(|source| Error::ServerTime(Box::new(source)))?;
    match server {
        Some(server) if !clock::is_plausible(local, server) => Err(Error::Clock { local, server }),
        _ => Ok(()),
    }
}

/// Whether this is the CA of the installation right now.
pub(super) async fn is_current(
    client: &Client,
    namespace: &str,
    authority: &Authority,
) -> Result<bool, Error> {
    let object = names::CA_SECRET;
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = timeout(REQUEST, api.get_opt(object))
        .await
        .map_err(|_elapsed| Error::Timeout { object })?
        .map_err(|source| Error::Read {
            object,
            source: Box::new(source),
        })?;
    let current = found.and_then(|secret| observe::read_authority(&secret).ok());
    Ok(current.is_some_and(|current| current.inspected().fingerprint == authority.inspected().fingerprint))
}

/// Makes the certificate, verified as each group of clients will that has to
/// accept it.
pub(super) fn issue(
    order: &Order,
    material: &Material,
    now: OffsetDateTime,
) -> Result<(Leaf, Authority), Error> {
    let (leaf, authority) = material.renewed(now)?;
    Ok((leaf.with_cross(&order.cross_pem), authority))
}

/// Fingerprint of the first certificate, for people.
pub(super) fn fingerprint(leaf: &Leaf) -> String {
    let chain = inspect::parse_chain(leaf.chain_pem()).unwrap_or_default();
    chain
        .into_iter()
        .next()
        .map(|first| first.fingerprint)
        .unwrap_or_default()
}

/// Writes certificate and key together, and the CA that signed them beside.
pub(super) async fn write_leaf(
    client: &Client,
    secret: &Secret,
    leaf: &Leaf,
    authority: &Authority,
) -> Result<(), Error> {
    let patch = json!({
        "metadata": {"uid": secret.uid(), "resourceVersion": secret.resource_version()},
        "data": {
            CERTIFICATE: entry(leaf.chain_pem()),
            PRIVATE_KEY: entry(leaf.key_pem().expose()),
            CA_CERTIFICATE: entry(authority.certificate_pem()),
        },
    });
    let api: Api<Secret> = Api::namespaced(client.clone(), &secret.namespace().unwrap_or_default());
    let name = names::TLS_SECRET;
    write(name, api.patch(name, &parameters(), &Patch::Merge(patch))).await
}

/// Writes a certificate that was ordered, with the mark that says so. What
/// clients were told to trust stays: another order has the same CA.
pub(super) async fn write_ordered(
    client: &Client,
    secret: &Secret,
    ordered: &official::Ordered,
) -> Result<(), Error> {
    let patch = json!({
        "metadata": {
            "uid": secret.uid(), "resourceVersion": secret.resource_version(),
            "annotations": {labels::ACME_FINGERPRINT: ordered.leaf.fingerprint},
        },
        "data": {
            CERTIFICATE: entry(&ordered.chain_pem),
            PRIVATE_KEY: entry(ordered.key.expose()),
        },
    });
    let api: Api<Secret> = Api::namespaced(client.clone(), &secret.namespace().unwrap_or_default());
    let name = names::TLS_SECRET;
    write(name, api.patch(name, &parameters(), &Patch::Merge(patch))).await
}

/// Text as a Secret keeps it.
pub(super) fn entry(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

/// Writes the trust bundle.
pub(super) async fn write_bundle(client: &Client, map: &ConfigMap, bundle: &str) -> Result<(), Error> {
    let patch = json!({
        "metadata": {"uid": map.uid(), "resourceVersion": map.resource_version()},
        "data": {names::CA_BUNDLE_KEY: bundle},
    });
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &map.namespace().unwrap_or_default());
    let name = names::CA_BUNDLE;
    write(name, api.patch(name, &parameters(), &Patch::Merge(patch))).await
}

/// The bundle with the CA in it, `None` when it is in it already.
pub(super) fn extended_bundle(
    bundle: &str,
    authority: &Authority,
    now: OffsetDateTime,
) -> Result<Option<String>, Error> {
    let members = bundle::members(&[bundle], now).map_err(Error::Bundle)?;
    let own = &authority.inspected().fingerprint;
    // An expired CA is no help to anybody, and would be added again and again.
    if members.iter().any(|(member, _)| member.fingerprint == *own) || now > authority.inspected().not_after {
        return Ok(None);
    }
    let line_end = if bundle.is_empty() || bundle.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Ok(Some(format!("{bundle}{line_end}{}", authority.certificate_pem())))
}

pub(super) async fn write<T>(
    object: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<(), Error> {
    match timeout(REQUEST, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(source)) => Err(Error::Write {
            object,
            source: Box::new(source),
        }),
        Err(_elapsed) => Err(Error::Timeout { object }),
    }
}

pub(super) fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(names::FIELD_MANAGER_CONTROLLER.to_owned()),
        ..PatchParams::default()
    }
}

#[cfg(test)]
mod tests {
    use silica_certs::{
        LEAF_VALIDITY,
        authority::AuthorityRequest,
        decide::Reason,
        key::{KeyType, ServerKey},
        leaf::LeafRequest,
        rotation::material::KeySource,
    };
    use time::Duration;

    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn authority() -> Authority {
        Authority::create(
            &AuthorityRequest::new(vec!["a.example".to_owned()], Vec::new()),
            now(),
        )
        .unwrap()
    }

    #[test]
    fn a_bundle_gets_the_ca_once_and_loses_nothing() {
        let (former, current) = (authority(), authority());
        // Expired members stay too: taking out is for the administrator.
        for moment in [now(), former.inspected().not_after - Duration::HOUR] {
            let bundle = former.certificate_pem().trim_end();
            let extended = extended_bundle(bundle, &current, moment).unwrap().unwrap();
            assert_eq!(
                extended,
                format!("{}{}", former.certificate_pem(), current.certificate_pem())
            );
            assert_eq!(extended_bundle(&extended, &current, moment).unwrap(), None);
        }
        let first = extended_bundle("", &current, now()).unwrap();
        assert_eq!(first.as_deref(), Some(current.certificate_pem()));
    }

    #[test]
    fn an_expired_ca_is_not_added() {
        let authority = authority();
        let late = authority.inspected().not_after + Duration::SECOND;
        assert_eq!(extended_bundle("", &authority, late).unwrap(), None);
    }

    #[test]
    fn a_bundle_that_cannot_be_read_is_left_alone() {
        assert!(matches!(
            extended_bundle("not a bundle", &authority(), now()),
            Err(Error::Bundle(_))
        ));
    }

    #[test]
    fn a_certificate_that_the_bundle_does_not_accept_is_not_written() {
        let (former, current) = (authority(), authority());
        let order = Order {
            reason: Reason::OtherAuthority,
            request: LeafRequest {
                names: vec!["a.example".to_owned()],
                validity: LEAF_VALIDITY,
            },
            cross_pem: String::new(),
        };
        let material = |bundle: &str| Material {
            current: current.clone(),
            next: None,
            bundle: bundle.to_owned(),
            served: String::new(),
            request: order.request.clone(),
            key: KeySource::Former(None),
        };
        let refused = issue(&order, &material(former.certificate_pem()), now());
        assert!(matches!(
            refused,
            Err(Error::Material(material::Error::Untrusted { .. }))
        ));
        let (leaf, _) = issue(&order, &material(current.certificate_pem()), now()).unwrap();
        assert_eq!(fingerprint(&leaf).len(), 64);
    }

    #[test]
    fn a_renewed_certificate_has_a_key_of_the_same_kind() {
        let current = authority();
        let former = ServerKey::generate(KeyType::P384).unwrap();
        let order = Order {
            reason: Reason::RenewalDue { since: now() },
            request: LeafRequest::new(vec!["a.example".to_owned()]),
            cross_pem: String::new(),
        };
        let material = Material {
            next: None,
            bundle: current.certificate_pem().to_owned(),
            served: String::new(),
            request: order.request.clone(),
            key: KeySource::Former(Some(former.pem().clone())),
            current,
        };
        let (leaf, _) = issue(&order, &material, now()).unwrap();
        let read = inspect::parse_chain(leaf.chain_pem()).unwrap();
        assert_eq!(read[0].key, inspect::KeyKind::P384);
        assert_ne!(leaf.key_pem(), former.pem());
    }
}
