//! An order over ACME without a person: the account and settings that
//! `silica certs issue --cluster` kept, and the provider they name.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use silica_acme::{Account, Credentials, Issued, Order, Rfc2136, Settings, account};
use silica_api::names;
use silica_certs::{
    import,
    inspect::{self, Inspected},
    pem,
    secret::PrivateKeyPem,
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::observe::{CA_CERTIFICATE, text};

/// What an order may take beside the wait for the records.
const ORDER: Duration = Duration::from_mins(10);
/// The longest wait for the records: nothing else about certificates is done
/// meanwhile.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// A CA that limits how often it is asked may not say for how long
/// (RFC 8555 section 6.6).
const UNSAID_LIMIT: Duration = Duration::from_hours(1);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("Secret {} lacks {key}", names::ACME_SECRET)]
    Absent { key: &'static str },
    // Without its source, which may quote the secret.
    #[error(
        "failed to read {} of Secret {}",
        names::ACME_SETTINGS_KEY,
        names::ACME_SECRET
    )]
    Settings,
    #[error("failed to open the account at the CA")]
    Account(#[from] account::Error),
    #[error("the CA gave no certificate")]
    Acme(#[from] silica_acme::Error),
    #[error("failed to read the certificate of the CA")]
    Pem(#[from] pem::Error),
    #[error("failed to read the certificate of the CA")]
    Inspect(#[from] inspect::Error),
    #[error("the certificate of the CA cannot be served: {}", .0.join("; "))]
    Refused(Vec<String>),
    #[error("the order was not done in time")]
    Timeout,
}

impl Error {
    /// How long the CA wants to be left alone, if it wants that.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let (said, problem) = match self {
            Self::Acme(error) => (error.retry_after(), error.problem()),
            Self::Account(error) => (error.retry_after(), error.problem()),
            _ => (None, None),
        };
        said.or((problem == Some("rateLimited")).then_some(UNSAID_LIMIT))
    }
}

/// What an order takes.
pub(super) struct Official {
    settings: Settings,
    credentials: Credentials,
    provider: Rfc2136,
}

impl Official {
    /// The CA, for people.
    pub(super) fn directory(&self) -> &str {
        self.settings.directory.url()
    }

    /// How long the records may take to be seen.
    fn wait(&self) -> Duration {
        self.settings.wait().min(LONGEST_WAIT)
    }
}

/// A certificate that was ordered and can be served.
pub(super) struct Ordered {
    /// As the server sends it, without the root.
    pub(super) chain_pem: String,
    pub(super) key: PrivateKeyPem,
    /// The first of the chain.
    pub(super) leaf: Inspected,
}

/// Reads the Secret; `None` when a person has to prove the control.
pub(super) fn read(secret: &Secret) -> Result<Option<Official>, Error> {
    let lacks = |key| Error::Absent { key };
    let settings = text(secret, names::ACME_SETTINGS_KEY).ok_or(lacks(names::ACME_SETTINGS_KEY))?;
    let account = text(secret, names::ACME_ACCOUNT_KEY).ok_or(lacks(names::ACME_ACCOUNT_KEY))?;
    let settings: Settings = serde_json::from_str(settings).map_err(|_secret| Error::Settings)?;
    Ok(settings.unattended().map(|provider| Official {
        credentials: Credentials::from_json(account),
        settings,
        provider,
    }))
}

/// The CA that clients were told to trust, when the present one is not public.
pub(super) fn read_root(leaf: &Secret) -> Option<&str> {
    text(leaf, CA_CERTIFICATE).filter(|pem| !pem.trim().is_empty())
}

/// Orders a certificate for the domains and their wildcards.
pub(super) async fn order(official: &Official, domains: &[String]) -> Result<Issued, Error> {
    let settings = &official.settings;
    let resolver = settings.resolver();
    let wanted = Order {
        domains: domains.to_vec(),
        wait: official.wait(),
    };
    let work = async {
        let account = Account::open(&settings.account(), &official.credentials, &resolver).await?;
        let provider = Arc::new(official.provider.clone());
        let tell = |text: &str| tracing::debug!("ACME: {text}");
        Ok(silica_acme::issue(&account, &resolver, provider, &wanted, &tell).await?)
    };
    timeout(official.wait() + ORDER, work)
        .await
        .map_err(|_elapsed| Error::Timeout)?
}

/// Judges it as an imported one is judged. `root` is the CA that clients were
/// told to trust, unless they know it from elsewhere.
pub(super) fn judge(
    issued: &Issued,
    domains: &[String],
    root: Option<&str>,
    now: OffsetDateTime,
) -> Result<Ordered, Error> {
    let ordered = import::ordered(&issued.chain_pem)?;
    let key = &issued.key;
    // The root that came along is the measure where there is no other.
    let whole = format!(
        "{}{}",
        ordered.served,
        ordered.root.as_deref().unwrap_or_default()
    );
    let review = import::review(&whole, key.expose(), domains, root, now);
    if !review.is_acceptable() {
        let refusals = review.findings.iter().filter(|finding| finding.is_refusal());
        return Err(Error::Refused(refusals.map(ToString::to_string).collect()));
    }
    let leaf = inspect::parse_chain(&ordered.served)?.into_iter().next();
    Ok(Ordered {
        leaf: leaf.ok_or_else(|| Error::Refused(vec!["there is none".to_owned()]))?,
        chain_pem: ordered.served,
        key: key.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use silica_acme::problem::Refusal;
    use silica_certs::{
        authority::{Authority, AuthorityRequest},
        leaf::LeafRequest,
        names::server_names,
    };

    use super::*;

    const DOMAIN: &str = "sandbox.example.com";

    fn secret(entries: &[(&str, &str)]) -> Secret {
        let data: BTreeMap<String, ByteString> = entries
            .iter()
            .map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().to_vec())))
            .collect();
        Secret {
            data: Some(data),
            ..Secret::default()
        }
    }

    const ACCOUNT: (&str, &str) = (names::ACME_ACCOUNT_KEY, "{}");

    fn settings(wait: u64, dns: &str) -> String {
        format!(r#"{{"directory": "https://ca.example/dir", "dns": {dns}, "waitSeconds": {wait}}}"#)
    }

    const UPDATES: &str = r#"{"provider": "rfc2136", "server": "192.0.2.1:53",
        "key": {"name": "acme", "algorithm": "hmac-sha256", "secret": "c2VjcmV0"}}"#;

    #[test]
    fn only_what_takes_no_person_is_ordered_here() {
        let manual = settings(60, r#"{"provider": "manual"}"#);
        let found = read(&secret(&[ACCOUNT, (names::ACME_SETTINGS_KEY, &manual)]));
        assert!(found.is_ok_and(|found| found.is_none()));
        let updates = settings(60, UPDATES);
        let found = read(&secret(&[ACCOUNT, (names::ACME_SETTINGS_KEY, &updates)]));
        assert!(found.is_ok_and(|found| found.is_some()));
    }

    #[test]
    fn no_setting_holds_up_the_other_certificates_for_ever() {
        let endless = settings(u64::MAX, UPDATES);
        let found = read(&secret(&[ACCOUNT, (names::ACME_SETTINGS_KEY, &endless)]));
        assert_eq!(found.unwrap().unwrap().wait(), LONGEST_WAIT);
    }

    #[test]
    fn damaged_settings_are_not_quoted() {
        let found = read(&secret(&[ACCOUNT, (names::ACME_SETTINGS_KEY, "c2VjcmV0")]));
        assert!(!format!("{:?}", found.err().unwrap()).contains("c2VjcmV0"));
        assert!(matches!(read(&secret(&[])), Err(Error::Absent { .. })));
    }

    #[test]
    fn a_limit_of_the_ca_is_known_also_when_it_names_no_time() {
        let refused = |kind: &str, retry_after| {
            Error::Acme(silica_acme::Error::Refused {
                step: "take the order",
                refusal: Box::new(Refusal {
                    kind: kind.to_owned(),
                    retry_after,
                    ..Refusal::default()
                }),
            })
        };
        let day = Duration::from_hours(24);
        assert_eq!(refused("rateLimited", Some(day)).retry_after(), Some(day));
        assert_eq!(refused("serverInternal", Some(day)).retry_after(), Some(day));
        assert_eq!(refused("rateLimited", None).retry_after(), Some(UNSAID_LIMIT));
        assert_eq!(refused("serverInternal", None).retry_after(), None);
        assert_eq!(Error::Timeout.retry_after(), None);
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn authority() -> Authority {
        let request = AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new());
        Authority::create(&request, now()).unwrap()
    }

    fn issued(authority: &Authority, names: Vec<String>) -> Issued {
        let leaf = authority.issue(&LeafRequest::new(names), now()).unwrap();
        Issued {
            chain_pem: leaf.chain_pem().to_owned(),
            key: leaf.key_pem().clone(),
        }
    }

    #[test]
    fn what_clients_would_not_accept_is_not_served() {
        let (known, other) = (authority(), authority());
        let domains = [DOMAIN.to_owned()];
        let good = issued(&known, server_names(&domains, &[]));
        let root = Some(known.certificate_pem());
        assert_eq!(
            judge(&good, &domains, root, now()).unwrap().chain_pem,
            good.chain_pem
        );
        let elsewhere = issued(&other, server_names(&domains, &[]));
        let narrow = issued(&known, domains.to_vec());
        for bad in [elsewhere, narrow] {
            assert!(matches!(
                judge(&bad, &domains, root, now()),
                Err(Error::Refused(_))
            ));
        }
    }

    #[test]
    fn a_root_that_came_along_is_not_sent_to_clients() {
        let authority = authority();
        let domains = [DOMAIN.to_owned()];
        let mut issued = issued(&authority, server_names(&domains, &[]));
        let leaf = issued.chain_pem.clone();
        issued.chain_pem.push_str(authority.certificate_pem());
        assert_eq!(judge(&issued, &domains, None, now()).unwrap().chain_pem, leaf);
    }
}
