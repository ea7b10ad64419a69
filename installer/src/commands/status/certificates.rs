//! How long the certificates last, and who renews each.

use kube::ResourceExt;
use silica_api::{labels, names};
use silica_certs::{authority::Authority, inspect, pem, verify, whole_text};
use time::OffsetDateTime;

use crate::{
    cli::check::Check,
    facts::Existing,
    secrets::{CERTIFICATE, PRIVATE_KEY, contents::CA_CERTIFICATE, entry, is_ours},
};

/// Days before its end from which on a certificate is worth a warning.
const SOON_DAYS: i64 = 14;

/// The certificate of one Secret; `None` when there is none.
pub(super) fn certificate(existing: &Existing, name: &str, what: &str, now: OffsetDateTime) -> Option<Check> {
    let bytes = entry(existing, name, CERTIFICATE)?;
    let id = "certificate";
    let hint = renewal(existing, name);
    let place = format!("{what} in Secret {name}");
    let read = pem::text(bytes)
        .map_err(inspect::Error::from)
        .and_then(|text| Ok((inspect::parse_chain(&text)?, text)));
    let (chain, text) = match read {
        Ok(read) => read,
        Err(error) => return Some(Check::fail(id, place, whole_text(&error)).hint(hint)),
    };
    if let Err(why) = usable(existing, name, &text) {
        return Some(Check::fail(id, format!("{place} cannot be used"), why).hint(hint));
    }
    let first = chain.first()?;
    let trusted = entry(existing, name, CA_CERTIFICATE).and_then(|bytes| pem::text(bytes).ok());
    let trusted = trusted.and_then(|text| inspect::parse_chain(&text).ok());
    // A chain is refused when the first of its certificates ends.
    let ends = inspect::first_to_end(&chain, trusted.as_deref().unwrap_or_default())?;
    let days = (ends.not_after - now).whole_days();
    let title = format!("{what}: {days} days left, until {}", ends.not_after.date());
    let which = if ends.fingerprint == first.fingerprint {
        "it".to_owned()
    } else {
        format!("the CA certificate {:?} of its chain", ends.subject)
    };
    Some(if !first.is_valid_at(now) {
        Check::fail(id, title, "it is not valid now").hint(hint)
    } else if !ends.is_valid_at(now) {
        Check::fail(id, title, format!("{which} is not valid now")).hint(hint)
    } else if days < SOON_DAYS {
        Check::warn(id, title, format!("{which} ends soon")).hint(hint)
    } else {
        Check::pass(id, title)
    })
}

/// Loads certificate and key as whoever uses them does: the controller signs with the CA, the manager
/// serves the other. A CA of the user's may be without its key, and then signs nothing.
fn usable(existing: &Existing, name: &str, chain: &str) -> Result<(), String> {
    let is_authority = name == names::CA_SECRET;
    let Some(bytes) = entry(existing, name, PRIVATE_KEY) else {
        let may_lack = is_authority && !existing.secrets.get(name).is_some_and(is_ours);
        return if may_lack {
            Ok(())
        } else {
            Err(format!("the entry {PRIVATE_KEY} is missing"))
        };
    };
    let key = pem::text(bytes).map_err(|error| format!("{PRIVATE_KEY}: {}", whole_text(&error)))?;
    if is_authority {
        let loaded = Authority::from_pem(chain, &key);
        loaded.map(drop).map_err(|error| whole_text(&error))
    } else {
        verify::key_matches(chain, &key).map_err(|error| whole_text(&error))
    }
}

/// What renews a certificate: that depends on who issued it.
fn renewal(existing: &Existing, name: &str) -> &'static str {
    let secret = existing.secrets.get(name);
    let is_own = secret.is_none_or(is_ours);
    let is_ordered = secret.is_some_and(|secret| secret.annotations().contains_key(labels::ACME_FINGERPRINT));
    match name {
        names::CA_SECRET => "silica rotate-certs --ca",
        _ if is_ordered => {
            "silica certs issue --cluster orders a new one; see silica certs issue --help for the proof"
        }
        _ if is_own => "silica rotate-certs",
        _ => "its issuer renews it; put the new one into service: silica certs import --cert FILE --key FILE",
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
    use crate::cli::check::Verdict;

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
        let (chain, key) = if name == names::CA_SECRET {
            (authority.certificate_pem(), authority.key_pem())
        } else {
            (leaf.chain_pem(), leaf.key_pem())
        };
        let entry = |text: &str| ByteString(text.as_bytes().to_vec());
        secret.data = Some(BTreeMap::from([
            (CERTIFICATE.to_owned(), entry(chain)),
            (PRIVATE_KEY.to_owned(), entry(key.expose())),
        ]));
        change(&mut secret);
        Existing {
            secrets: [(name.to_owned(), secret)].into(),
            ..Existing::default()
        }
    }

    fn hint(name: &str, change: impl FnOnce(&mut Secret)) -> String {
        // Long after both have ended.
        let later = OffsetDateTime::now_utc() + time::Duration::weeks(52 * 30);
        let check = certificate(&existing(name, change), name, "c", later).unwrap();
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

    /// What the check says after a change of the key.
    fn with_key(name: &str, change: impl FnOnce(&str) -> Vec<u8>) -> Check {
        let now = OffsetDateTime::now_utc() - time::Duration::days(364);
        let existing = existing(name, |secret| {
            let data = secret.data.as_mut().unwrap();
            let key = String::from_utf8(data[PRIVATE_KEY].0.clone()).unwrap();
            data.insert(PRIVATE_KEY.to_owned(), ByteString(change(&key)));
        });
        certificate(&existing, name, "c", now).unwrap()
    }

    #[test]
    fn key_that_cannot_be_used_is_a_finding() {
        let foreign = silica_certs::key::ServerKey::p256().unwrap();
        for name in [names::TLS_SECRET, names::CA_SECRET] {
            let good = with_key(name, |key| key.as_bytes().to_vec());
            assert_eq!(good.verdict, Verdict::Pass, "{}", good.detail);
            let other = with_key(name, |_| foreign.pem().expose().as_bytes().to_vec());
            assert_eq!(other.verdict, Verdict::Fail, "{name}");
            let garbage = with_key(name, |_| b"garbage".to_vec());
            assert_eq!(garbage.verdict, Verdict::Fail, "{name}");
            assert!(
                garbage.detail.contains("no private key found"),
                "{}",
                garbage.detail
            );
        }
    }

    #[test]
    fn key_with_lost_line_ends_is_read_as_the_manager_reads_it() {
        for name in [names::TLS_SECRET, names::CA_SECRET] {
            let check = with_key(name, |key| key.replace('\n', "\\n").into_bytes());
            assert_eq!(check.verdict, Verdict::Pass, "{}", check.detail);
        }
    }

    #[test]
    fn the_first_end_of_the_chain_counts() {
        let now = OffsetDateTime::now_utc();
        let request = |days| AuthorityRequest {
            validity: time::Duration::days(days),
            ..AuthorityRequest::new(vec!["a.example".to_owned()], Vec::new())
        };
        let old = Authority::create(&request(5), now).unwrap();
        let new = Authority::create(&request(900), now).unwrap();
        let leaf = new
            .issue(&LeafRequest::new(vec!["a.example".to_owned()]), now)
            .unwrap()
            .with_cross(&old.cross_certify(&new, now).unwrap());
        let check = |trusted: &str| {
            let existing = existing(names::TLS_SECRET, |secret| {
                let data = secret.data.as_mut().unwrap();
                let mut put = |entry: &str, text: &str| {
                    data.insert(entry.to_owned(), ByteString(text.as_bytes().to_vec()));
                };
                put(CERTIFICATE, leaf.chain_pem());
                put(PRIVATE_KEY, leaf.key_pem().expose());
                put(CA_CERTIFICATE, trusted);
            });
            certificate(&existing, names::TLS_SECRET, "c", now).unwrap()
        };
        let above = check(old.certificate_pem());
        assert_eq!(above.verdict, Verdict::Warn, "{}", above.detail);
        assert!(
            above.detail.contains("of its chain ends soon"),
            "{}",
            above.detail
        );
        assert!(above.title.starts_with("c: 4 days left") || above.title.starts_with("c: 5 days left"));
        // The CA that clients trust lasts longer than its cross certificate.
        assert_eq!(check(new.certificate_pem()).verdict, Verdict::Pass);
    }
}
