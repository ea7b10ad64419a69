//! Why certificates cannot be shown or taken into service.

use std::path::PathBuf;

use silica_acme::{account, dns::propagation, provider};
use silica_api::{labels, names};
use silica_certs::{
    bundle,
    import::Outcome,
    inspect, pem,
    rotation::{self, material},
};

use super::{import, issue, password, trust::store};
use crate::cli::exit::Exit;

/// Why a certificate command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file holds no usable certificates.
    #[error("failed to read the certificates of {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: inspect::Error,
    },
    /// A file that has to be PEM is not.
    #[error("failed to read {}: it is not PEM; convert it with `openssl {command} -inform DER -in {} -out PEM`", path.display(), path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// The subcommand of openssl that converts it.
        command: &'static str,
    },
    /// A file that has to be PEM holds certificate and key in one, as Windows exports them.
    #[error("failed to read {}: it is PKCS#12; take it apart with `openssl pkcs12 -in {} -nokeys -out CERT` and \
        `openssl pkcs12 -in {} -nocerts -out KEY`", path.display(), path.display(), path.display())]
    Pkcs12 {
        /// The file.
        path: PathBuf,
    },
    /// The password of a key cannot be read.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// What to look at is neither a file nor an address.
    #[error("{target:?} is neither a file nor HOST[:PORT]")]
    Target {
        /// What was given.
        target: String,
    },
    /// The certificate is not good enough.
    #[error("the certificate is refused, nothing was changed:\n  - {}{}", reasons.join("\n  - "), clients(outcomes))]
    Refused {
        /// Everything that speaks against it.
        reasons: Vec<String>,
        /// What each kind of client would say; empty when files cannot be used.
        outcomes: Vec<Outcome>,
        /// Whether the files themselves cannot be used, as opposed to what
        /// they say.
        is_input: bool,
    },
    /// cert-manager keeps the Secret, and would overwrite what is put there.
    #[error(
        "Secret {}/{secret} is kept by cert-manager (Certificate {certificate:?}); nothing was changed",
        names::NAMESPACE
    )]
    CertManager {
        /// The Secret.
        secret: &'static str,
        /// Name of the Certificate.
        certificate: String,
    },
    /// Nobody has to be given a CA.
    #[error(
        "the issuer of the served certificate is public: clients accept it by themselves, there is no CA to trust"
    )]
    NoRoots,
    /// The file to trust holds something else than CA certificates.
    #[error("failed to find CA certificates to trust")]
    Bundle(#[source] bundle::Error),
    /// There is nothing left to trust.
    #[error("every CA certificate has ended")]
    AllExpired,
    /// Trusting it would be a risk for every site.
    #[error(
        "{subject:?} may sign for every name: the holder of its key could impersonate any site to this machine"
    )]
    Unlimited {
        /// The CA.
        subject: String,
    },
    /// The trust store did not change.
    #[error("failed to change the trust store of this machine")]
    Trust(#[source] store::Error),
    /// What was said about the order is not enough or contradicts itself.
    #[error(transparent)]
    Order(#[from] issue::settings::Error),
    /// There is no account at the CA.
    #[error("failed to open an account at the CA")]
    Account(#[source] Box<account::Error>),
    /// The CA gave no certificate.
    #[error("failed to get the certificate")]
    Acme(#[source] Box<silica_acme::Error>),
    /// What was kept for ACME is damaged.
    #[error("failed to read what {place} keeps about ACME: {why}")]
    Kept {
        /// Secret or file.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The step of a rotation is not possible.
    #[error(transparent)]
    Rotation(#[from] rotation::Refusal),
    /// A phase of a rotation failed.
    #[error(transparent)]
    Phase(#[from] material::Error),
    /// The parts of a chain cannot be read.
    #[error("failed to put the chain in order")]
    Chain(#[from] pem::Error),
}

impl Error {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Certificates { .. }
            | Self::NotPem { .. }
            | Self::Password(_)
            | Self::Pkcs12 { .. }
            | Self::Target { .. }
            | Self::Bundle(_)
            | Self::AllExpired
            | Self::Rotation(_)
            | Self::Phase(material::Error::Refused(_))
            | Self::Chain(_)
            | Self::Order(_)
            | Self::Kept { .. }
            | Self::Refused { is_input: true, .. } => Exit::Config,
            Self::Refused { is_input: false, .. }
            | Self::CertManager { .. }
            | Self::NoRoots
            | Self::Unlimited { .. }
            | Self::Phase(_) => Exit::Findings,
            Self::Trust(error) if error.is_permission() => Exit::Forbidden,
            Self::Trust(_) | Self::Account(_) => Exit::Failed,
            Self::Acme(error) => match **error {
                silica_acme::Error::Propagation(_) | silica_acme::Error::Late { .. } => Exit::Timeout,
                _ => Exit::Failed,
            },
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CertManager { secret, certificate } => Some(format!(
                "let cert-manager renew it: cmctl renew -n {ns} {certificate}; or take the Secret from it first: \
                 kubectl delete certificate -n {ns} {certificate}; kubectl annotate secret -n {ns} {secret} {key}-",
                ns = names::NAMESPACE,
                key = labels::CERT_MANAGER_CERTIFICATE
            )),
            Self::Order(error) => Some(error.hint()),
            Self::Account(error) => account_hint(error),
            Self::Acme(error) => acme_hint(error),
            Self::Refused { .. } => Some("silica certs inspect FILE shows what the file holds".to_owned()),
            Self::NoRoots => Some(
                "if it is not public, name its CA once: silica certs import --cert FILE --key FILE --ca CA"
                    .to_owned(),
            ),
            Self::Unlimited { .. } => Some("if that is what you want: --force".to_owned()),
            Self::Trust(store::Error::NoProgram) => {
                Some("silica certs trust tells the steps for other systems".to_owned())
            }
            Self::Trust(error) if error.is_permission() => Some("run it with sudo".to_owned()),
            _ => None,
        }
    }
}

fn clients(outcomes: &[Outcome]) -> String {
    if outcomes.is_empty() {
        return String::new();
    }
    format!("\n{}", import::outcomes::text(outcomes))
}

fn account_hint(error: &account::Error) -> Option<String> {
    let account::Error::Ca { source, .. } = error else {
        return None;
    };
    let text = format!("{source:?}");
    text.contains("UnknownIssuer").then(|| {
        "the CA of the directory's own certificate is not one of this machine's: name it with --acme-ca FILE".to_owned()
    })
}

fn acme_hint(error: &silica_acme::Error) -> Option<String> {
    use silica_acme::Error;

    let hint = match error {
        Error::Propagation(propagation::Error::NotSeen { .. }) => {
            "give them more time with --wait 30m; servers that cannot be seen from here are replaced by --dns-check IP"
        }
        Error::Provider(provider::Error::Signature(provider::tsig::Refusal::Signature { .. })) => {
            "compare the secret of --tsig-secret-file with that of the key on the name server"
        }
        Error::Provider(provider::Error::Signature(_) | provider::Error::Refused { .. }) => {
            "allow the key to update TXT records: docs/certificates.md has examples for BIND and Knot"
        }
        _ => match error.problem()? {
            "rateLimited" => {
                "try with --acme-directory letsencrypt-staging until everything is right, then wait"
            }
            "accountDoesNotExist" => {
                "the CA has forgotten the account: remove what is kept of it (acme-account.json, or Secret sandbox-acme)"
            }
            "caa" => {
                "a CAA record forbids this CA: add `0 issue` and `0 issuewild` for it, or remove the record"
            }
            "externalAccountRequired" => {
                "get the key from the CA's account page: --eab-kid ID --eab-key-file FILE"
            }
            _ => return None,
        },
    };
    Some(hint.to_owned())
}
