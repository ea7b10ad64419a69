//! Why certificates cannot be shown or taken into service.

use std::path::PathBuf;

use silica_api::names;
use silica_certs::{bundle, inspect, pem, rotation};

use super::trust::store;
use crate::exit::Exit;

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
    /// What to look at is neither a file nor an address.
    #[error("{target:?} is neither a file nor HOST[:PORT]")]
    Target {
        /// What was given.
        target: String,
    },
    /// The certificate is not good enough.
    #[error("the certificate is refused, nothing was changed:\n  - {}", reasons.join("\n  - "))]
    Refused {
        /// Everything that speaks against it.
        reasons: Vec<String>,
        /// Whether the files themselves cannot be used, as opposed to what
        /// they say.
        is_input: bool,
    },
    /// cert-manager keeps the Secret, and would overwrite what is put there.
    #[error(
        "Secret {}/{} is kept by cert-manager (Certificate {certificate:?}); nothing was changed",
        names::NAMESPACE,
        names::TLS_SECRET
    )]
    CertManager {
        /// Name of the Certificate.
        certificate: String,
    },
    /// The file to trust holds something else than CA certificates.
    #[error("failed to find CA certificates to trust")]
    Bundle(#[source] bundle::Error),
    /// There is nothing left to trust.
    #[error("every CA certificate has ended")]
    AllExpired,
    /// Trusting it would be a risk for every site.
    #[error(
        "{subject:?} may sign for every name: whoever has its key could pose as any site to this machine"
    )]
    Unlimited {
        /// The CA.
        subject: String,
    },
    /// The trust store did not change.
    #[error("failed to change the trust store of this machine")]
    Trust(#[source] store::Error),
    /// The step of a rotation is not possible.
    #[error(transparent)]
    Rotation(#[from] rotation::Refusal),
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
            | Self::Target { .. }
            | Self::Bundle(_)
            | Self::AllExpired
            | Self::Rotation(_)
            | Self::Chain(_)
            | Self::Refused { is_input: true, .. } => Exit::Config,
            Self::Refused { is_input: false, .. } | Self::CertManager { .. } | Self::Unlimited { .. } => {
                Exit::Findings
            }
            Self::Trust(error) if error.is_permission() => Exit::Forbidden,
            Self::Trust(_) => Exit::Failed,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CertManager { certificate } => Some(format!(
                "let cert-manager renew it: cmctl renew -n {ns} {certificate}; or delete its Certificate first: \
                 kubectl delete certificate -n {ns} {certificate}",
                ns = names::NAMESPACE
            )),
            Self::Refused { .. } => Some("silica certs inspect FILE shows what the file holds".to_owned()),
            Self::Unlimited { .. } => Some("if that is what you want: --force".to_owned()),
            Self::Trust(store::Error::NoProgram) => {
                Some("silica certs trust tells the steps for other systems".to_owned())
            }
            Self::Trust(error) if error.is_permission() => Some("run it with sudo".to_owned()),
            _ => None,
        }
    }
}
