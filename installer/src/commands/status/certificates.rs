//! How long the certificates last, and who renews each.

use kube::ResourceExt;
use silica_api::{labels, names};
use silica_certs::inspect;
use time::OffsetDateTime;

use crate::{
    check::Check,
    facts::Existing,
    secrets::{CERTIFICATE, entry, is_ours},
};

/// Days before its end from which on a certificate is worth a warning.
const SOON_DAYS: i64 = 14;

/// The certificate of one Secret; `None` when there is none.
pub(super) fn certificate(existing: &Existing, name: &str, what: &str, now: OffsetDateTime) -> Option<Check> {
    let pem = std::str::from_utf8(entry(existing, name, CERTIFICATE)?).ok()?;
    let id = "certificate";
    let hint = renewal(existing, name);
    let Ok(chain) = inspect::parse_chain(pem) else {
        return Some(Check::fail(id, format!("{what} in Secret {name}"), "it cannot be read").hint(hint));
    };
    let first = chain.first()?;
    let days = (first.not_after - now).whole_days();
    let title = format!("{what}: {days} days left, until {}", first.not_after.date());
    Some(if !first.is_valid_at(now) {
        Check::fail(id, title, "it is not valid now").hint(hint)
    } else if days < SOON_DAYS {
        Check::warn(id, title, "it ends soon").hint(hint)
    } else {
        Check::pass(id, title)
    })
}

/// What renews a certificate: that depends on who issued it.
fn renewal(existing: &Existing, name: &str) -> &'static str {
    let secret = existing.secrets.get(name);
    let is_own = secret.is_none_or(is_ours);
    let is_ordered = secret.is_some_and(|secret| secret.annotations().contains_key(labels::ACME_FINGERPRINT));
    match name {
        names::CA_SECRET => "silica rotate-certs --ca",
        _ if is_ordered => {
            "silica certs issue --cluster orders it anew; see silica certs issue --help for the proof"
        }
        _ if is_own => "silica rotate-certs",
        _ => {
            "whoever issued it renews it; put the new one into service: silica certs import --cert FILE --key FILE"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::{ByteString, api::core::v1::Secret};
    use silica_certs::{
        authority::{Authority, AuthorityRequest},
        leaf::LeafRequest,
    };

    use super::*;
    use crate::check::Verdict;

    /// A Secret with a certificate of a year ago.
    fn existing(name: &str, change: impl FnOnce(&mut Secret)) -> Existing {
        let past = OffsetDateTime::now_utc() - time::Duration::days(365);
        let names = vec!["a.example".to_owned()];
        let authority =
            Authority::create(&AuthorityRequest::new(names.clone(), names.clone()), past).unwrap();
        let leaf = authority.issue(&LeafRequest::new(names), past).unwrap();
        let mut secret = Secret::default();
        secret.metadata.labels =
            Some([(labels::APP_MANAGED_BY.to_owned(), names::PRODUCT.to_owned())].into());
        let pem = ByteString(leaf.chain_pem().as_bytes().to_vec());
        secret.data = Some(BTreeMap::from([(CERTIFICATE.to_owned(), pem)]));
        change(&mut secret);
        Existing {
            secrets: [(name.to_owned(), secret)].into(),
            ..Existing::default()
        }
    }

    fn hint(name: &str, change: impl FnOnce(&mut Secret)) -> String {
        let check = certificate(&existing(name, change), name, "c", OffsetDateTime::now_utc()).unwrap();
        assert_eq!(check.verdict, Verdict::Fail);
        check.hint.unwrap()
    }

    #[test]
    fn each_certificate_has_a_command_that_really_renews_it() {
        assert_eq!(hint(names::TLS_SECRET, |_| {}), "silica rotate-certs");
        assert_eq!(hint(names::CA_SECRET, |_| {}), "silica rotate-certs --ca");
        let foreign = hint(names::TLS_SECRET, |secret| secret.metadata.labels = None);
        assert!(foreign.contains("silica certs import"), "{foreign}");
        let official = hint(names::TLS_SECRET, |secret| {
            secret.metadata.labels = None;
            secret
                .annotations_mut()
                .insert(labels::ACME_FINGERPRINT.to_owned(), "f".to_owned());
        });
        assert!(official.contains("silica certs issue"), "{official}");
    }
}
