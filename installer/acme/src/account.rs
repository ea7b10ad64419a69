//! An account at a CA (RFC 8555 section 7.3). Its key is made once and kept;
//! the certificate's key is another one.

use std::{fmt, sync::Arc, time::Duration};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use instant_acme::{AccountCredentials, ExternalAccountKey, NewAccount};
use zeroize::Zeroizing;

use crate::{
    directory::Directory,
    dns::Resolver,
    problem::Refusal,
    transport::{self, Pace, Transport},
};

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection cannot be set up.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The kept credentials are damaged. Without the reader's own words, which
    /// may quote the key.
    #[error("the kept credentials of the ACME account are damaged at line {line}, column {column}")]
    Credentials {
        /// Where, in the JSON.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// The key of the CA's own account system is not base64.
    #[error("the external account key is not base64")]
    ExternalKey,
    /// The CA refused.
    #[error("the CA at {directory} refused the account")]
    Refused {
        /// The CA.
        directory: Directory,
        /// What it said.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The CA could not be asked.
    #[error("failed to reach the CA at {directory}")]
    Ca {
        /// The CA.
        directory: Directory,
        /// When it wants to be asked again: an answer without a problem document
        /// may say that, too.
        retry_after: Option<Duration>,
        /// What went wrong.
        #[source]
        source: Box<instant_acme::Error>,
    },
}

impl Error {
    /// When the CA wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { refusal, .. } => refusal.retry_after,
            Self::Ca { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Type of the problem that the CA reported, without its prefix.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Refused { refusal, .. } => Some(&refusal.kind),
            _ => None,
        }
    }

    /// Takes the place of an error, not its words.
    #[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
    fn damaged(error: serde_json::Error) -> Self {
        Self::Credentials {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Account address and key as JSON. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials(Zeroizing<String>);

impl Credentials {
    /// Takes what [`Credentials::expose`] gave.
    pub fn from_json(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The JSON, for a Secret or a file that only its owner reads.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// How a CA knows its customer (RFC 8555 section 7.3.4).
pub struct ExternalAccount {
    /// Name of the key.
    pub id: String,
    /// The key in base64, as the CA gives it.
    pub key: Zeroizing<String>,
}

/// Whose account is wanted.
pub struct Request<'a> {
    /// The CA.
    pub directory: &'a Directory,
    /// CA certificates for the directory's own TLS, in PEM.
    pub roots: Option<&'a str>,
    /// Who hears from the CA about the certificate.
    pub email: Option<&'a str>,
    /// For CAs that give accounts to customers only.
    pub external: Option<&'a ExternalAccount>,
}

/// An open account.
pub struct Account {
    pub(crate) inner: instant_acme::Account,
    pub(crate) pace: Arc<Pace>,
    directory: Directory,
    credentials: Credentials,
}

impl Account {
    /// Makes a key and an account with it. The terms of service of the CA are
    /// accepted thereby: ask first.
    pub async fn create(request: &Request<'_>, resolver: &Resolver) -> Result<Self, Error> {
        let external = match request.external {
            Some(given) => {
                let text = given.key.trim();
                let decoded = URL_SAFE_NO_PAD
                    .decode(text.trim_end_matches('='))
                    .or_else(|_| STANDARD.decode(text));
                let key = Zeroizing::new(decoded.map_err(|_| Error::ExternalKey)?);
                Some(ExternalAccountKey::new(given.id.clone(), &key))
            }
            None => None,
        };
        let contact = request.email.map(|email| format!("mailto:{email}"));
        let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
        let wanted = NewAccount {
            contact: &contacts,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let mut tries = 0;
        loop {
            let pace = Arc::new(Pace::default());
            let transport = Transport::new(request.roots, resolver.clone(), Arc::clone(&pace))?;
            let url = request.directory.url().to_owned();
            let made = instant_acme::Account::builder_with_http(Box::new(transport))
                .create(&wanted, url, external.as_ref())
                .await;
            match made {
                Ok((inner, credentials)) => {
                    let text = serde_json::to_string(&credentials).map_err(Error::damaged)?;
                    return Ok(Self {
                        inner,
                        pace,
                        directory: request.directory.clone(),
                        credentials: Credentials::from_json(text),
                    });
                }
                Err(error) if is_bad_nonce(&error) && tries < NONCE_TRIES => tries += 1,
                Err(error) => return Err(failed(request.directory, error, &pace)),
            }
        }
    }

    /// Opens an account with kept credentials. The CA is asked for its
    /// directory only; whether it still knows the account shows later.
    pub async fn open(
        request: &Request<'_>,
        credentials: &Credentials,
        resolver: &Resolver,
    ) -> Result<Self, Error> {
        let parsed: AccountCredentials =
            serde_json::from_str(credentials.expose()).map_err(Error::damaged)?;
        let pace = Arc::new(Pace::default());
        let transport = Transport::new(request.roots, resolver.clone(), Arc::clone(&pace))?;
        let inner = instant_acme::Account::builder_with_http(Box::new(transport))
            .from_credentials(parsed)
            .await
            .map_err(|error| failed(request.directory, error, &pace))?;
        Ok(Self {
            inner,
            pace,
            directory: request.directory.clone(),
            credentials: credentials.clone(),
        })
    }

    /// Address of the account, which is no secret.
    pub fn id(&self) -> &str {
        self.inner.id()
    }

    /// The CA.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What to keep in order to open it again.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// How often a request is signed anew because its nonce was refused, beyond
/// what the library does (RFC 8555 section 6.5).
pub(crate) const NONCE_TRIES: u32 = 10;

/// Whether the CA only wants another nonce.
pub(crate) fn is_bad_nonce(error: &instant_acme::Error) -> bool {
    matches!(error, instant_acme::Error::Api(problem)
        if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce"))
}

fn failed(directory: &Directory, error: instant_acme::Error, pace: &Pace) -> Error {
    let directory = directory.clone();
    match error {
        instant_acme::Error::Api(problem) => Error::Refused {
            directory,
            refusal: Box::new(Refusal::of(&problem, pace.take())),
        },
        source => Error::Ca {
            directory,
            retry_after: pace.take(),
            source: Box::new(source),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_credentials_are_not_quoted() {
        let damaged = serde_json::from_str::<AccountCredentials>(r#"{"id": 7, "key_pkcs8": "MIGH"}"#);
        let error = Error::damaged(damaged.err().unwrap());
        assert!(!format!("{error:?} {error}").contains("MIGH"), "{error}");
    }

    #[test]
    fn credentials_are_not_printed() {
        let credentials = Credentials::from_json(r#"{"key_pkcs8":"MIGH"}"#);
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
    }
}
