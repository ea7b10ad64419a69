//! The certificates of an installation, and what its clients say to the served one.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use silica_api::names;
use silica_certs::{inspect, verify};
use time::OffsetDateTime;

use super::{Group, system_roots};
use crate::{
    cli::{context::Context, error::Error},
    cluster::{Cluster, request},
    facts::{self, Existing},
    secrets::{self, client_roots, pair},
};

/// Reads them from the cluster.
pub(super) async fn read(context: &Context, now: OffsetDateTime) -> Result<Vec<Group>, Error> {
    let cluster = context.cluster().await?;
    let mut existing = facts::read_existing(&cluster).await?;
    if let Some(next) = read_next(&cluster).await? {
        existing.secrets.insert(names::CA_NEXT_SECRET.to_owned(), next);
    }
    groups(&existing, system_roots, now)
}

/// The CA that is to follow; only there while the CA is being replaced.
async fn read_next(cluster: &Cluster) -> Result<Option<Secret>, Error> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("Secret {}/{}", names::NAMESPACE, names::CA_NEXT_SECRET);
    let found = api.get_opt(names::CA_NEXT_SECRET).await;
    Ok(found.map_err(request("read", title))?)
}

/// The certificates object by object. Pure, but for the CAs of this machine, which
/// are read when the served certificate is judged by them.
fn groups(
    existing: &Existing,
    public_roots: impl Fn() -> String,
    now: OffsetDateTime,
) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    for name in [names::TLS_SECRET, names::CA_SECRET, names::CA_NEXT_SECRET] {
        let Some(chain) = pair(existing, name).chain_pem else {
            continue;
        };
        let certificates = inspect::parse_chain(chain).map_err(secrets::Error::Inspect)?;
        let host = certificates.first().filter(|first| !first.is_ca);
        let verdict = host.and_then(|first| first.names.first()).map(|host| {
            let (roots, whose) = roots(existing, &public_roots);
            match verify::chain(chain, &roots, host, now) {
                Ok(()) => Ok(format!("accepted with {whose}")),
                Err(error) => Err(format!("refused with {whose}: {error}")),
            }
        });
        groups.push(Group {
            title: format!("Secret {}/{name}", names::NAMESPACE),
            certificates,
            verdict,
        });
    }
    if let Some(bundle) = &existing.ca_bundle {
        groups.push(Group {
            title: format!("ConfigMap {}/{}", names::NAMESPACE, names::CA_BUNDLE),
            certificates: inspect::parse_chain(bundle).map_err(secrets::Error::Inspect)?,
            verdict: None,
        });
    }
    if groups.is_empty() {
        return Err(Error::NotInstalled);
    }
    Ok(groups)
}

/// What clients trust, and how to call it: for a certificate of somebody else the
/// CA that came with it, or the public ones.
fn roots(existing: &Existing, public_roots: impl Fn() -> String) -> (String, &'static str) {
    match client_roots(existing) {
        Some(roots) if existing.ca_bundle.as_deref() == Some(roots) => (roots.to_owned(), "the trust bundle"),
        Some(roots) => (roots.to_owned(), "the CA that came with it"),
        None => (public_roots(), "the CAs of this machine"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{ByteString, api::core::v1::Secret};
    use silica_certs::authority::{Authority, AuthorityRequest};
    use silica_certs::leaf::LeafRequest;

    use super::*;
    use crate::secrets::contents::{CA_CERTIFICATE, authority_secret, leaf_secret, next_authority_secret};

    const NOW: OffsetDateTime = time::macros::datetime!(2026-06-01 12:00 UTC);

    fn authority() -> Authority {
        let request = AuthorityRequest::new(vec!["a.example.com".into()], Vec::new());
        Authority::create(&request, NOW).unwrap()
    }

    fn served(authority: &Authority) -> Secret {
        let leaf = authority.issue(&LeafRequest::new(vec!["a.example.com".into()]), NOW);
        leaf_secret(&leaf.unwrap(), authority)
    }

    fn verdict(existing: &Existing, public: &str) -> Result<String, String> {
        let groups = groups(existing, || public.to_owned(), NOW).unwrap();
        groups[0].verdict.clone().unwrap()
    }

    #[test]
    fn the_next_ca_is_shown_and_a_bundle_without_the_ca_refuses() {
        let (present, next) = (authority(), authority());
        let mut existing = Existing::default();
        existing
            .secrets
            .insert(names::TLS_SECRET.into(), served(&present));
        existing
            .secrets
            .insert(names::CA_SECRET.into(), authority_secret(&present));
        existing
            .secrets
            .insert(names::CA_NEXT_SECRET.into(), next_authority_secret(&next));
        existing.ca_bundle = Some(present.certificate_pem().to_owned());
        let shown = groups(&existing, String::new, NOW).unwrap();
        assert_eq!(shown.len(), 4);
        assert!(shown[2].title.ends_with(names::CA_NEXT_SECRET));
        assert!(verdict(&existing, "").is_ok());
        existing.ca_bundle = Some(next.certificate_pem().to_owned());
        assert!(verdict(&existing, "").unwrap_err().contains("the trust bundle"));
        existing.ca_bundle = None;
        assert!(verdict(&existing, "").unwrap().contains("came with it"));
    }

    #[test]
    fn a_certificate_of_somebody_else_is_not_measured_by_our_bundle() {
        let (ours, theirs) = (authority(), authority());
        let mut secret = served(&theirs);
        secret.metadata.labels = None;
        let mut existing = Existing {
            ca_bundle: Some(ours.certificate_pem().to_owned()),
            ..Existing::default()
        };
        existing.secrets.insert(names::TLS_SECRET.into(), secret.clone());
        assert!(verdict(&existing, "").unwrap().contains("came with it"));
        let data = secret.data.as_mut().unwrap();
        data.insert(CA_CERTIFICATE.into(), ByteString(Vec::new()));
        existing.secrets.insert(names::TLS_SECRET.into(), secret);
        assert!(verdict(&existing, theirs.certificate_pem()).is_ok());
        assert!(verdict(&existing, ours.certificate_pem()).is_err());
    }
}
