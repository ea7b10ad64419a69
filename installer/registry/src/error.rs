//! Every way in which a push fails, with what to do about it.

use std::{io, path::PathBuf};

use oci_client::errors::{OciDistributionError, OciErrorCode};

/// Why images are not in the registry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of credentials or certificates cannot be read.
    #[error("failed to read {what} {}", path.display())]
    ReadFile {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The credentials are not in the form that Docker writes.
    #[error("failed to understand the credentials in {}: {why}", path.display())]
    Config { path: PathBuf, why: String },
    /// A credential helper did not answer.
    #[error("failed to get credentials for {registry} from {helper}: {why}")]
    Helper {
        helper: String,
        registry: String,
        why: String,
    },
    /// An image cannot be built.
    #[error("failed to build image {image}")]
    Image {
        image: String,
        source: silica_oci::Error,
    },
    /// A layer cannot be read back.
    #[error("failed to read a layer of {image}")]
    Layer { image: String, source: io::Error },
    /// No answer.
    #[error("failed to reach registry {registry}: {why}")]
    Unreachable { registry: String, why: String },
    /// The registry does not know who we are.
    #[error("registry {registry} refused to {action} {repository}: status 401, {user}")]
    Unauthorized {
        registry: String,
        repository: String,
        action: &'static str,
        user: String,
    },
    /// The registry knows who we are and says no.
    #[error("registry {registry} refused to {action} {repository}: status {status}, {why}")]
    Refused {
        registry: String,
        repository: String,
        action: &'static str,
        status: u16,
        why: String,
    },
    /// The token server does not know who we are, or gives no token for this.
    #[error(
        "the token server {server} of registry {registry} refused scope {scope}: status {status}, {user}"
    )]
    TokenRefused {
        registry: String,
        server: String,
        scope: String,
        status: u16,
        user: String,
    },
    /// The token server gives none for another reason.
    #[error(
        "failed to get a token for {scope} from {server}, the token server of registry {registry}: {why}"
    )]
    TokenServer {
        registry: String,
        server: String,
        scope: String,
        why: String,
    },
    /// A new token does not allow it, so no token will.
    #[error(
        "registry {registry} refused to {action} {repository}: the token that {server} gave {} for {scope} does \
         not allow it",
        if *is_anonymous { "to nobody in particular" } else { "to this user" }
    )]
    NoRight {
        registry: String,
        server: String,
        scope: String,
        action: &'static str,
        repository: String,
        is_anonymous: bool,
    },
    /// The registry answered something that the protocol does not have.
    #[error("failed to {action} {repository} on registry {registry}: {why}")]
    Protocol {
        registry: String,
        repository: String,
        action: &'static str,
        why: String,
    },
    /// Kubernetes has no way to hand this kind of credential to the nodes.
    #[error("the credentials for {registry} {why}, so no pull secret can be made of them")]
    NoPullSecret { registry: String, why: &'static str },
}

impl Error {
    /// What to do next, with the command that does it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unauthorized { registry, .. }
            | Self::TokenRefused { registry, .. }
            | Self::NoRight {
                registry,
                is_anonymous: true,
                ..
            } => {
                format!("docker login {registry}, then run the same command again")
            }
            Self::NoRight {
                registry, repository, ..
            } => {
                format!(
                    "give this user the right to push to {repository}, or log in as one that has it: docker login \
                     {registry}"
                )
            }
            Self::TokenServer { server, .. } => {
                format!(
                    "check that {server} can be reached from here and works; the registry sends everybody there"
                )
            }
            Self::Refused {
                status: 403,
                repository,
                ..
            } => {
                format!("give this user the right to push to {repository}, or create the repository first")
            }
            Self::Refused {
                status: 404,
                repository,
                ..
            } => {
                format!("create the project or repository of {repository} in the registry first")
            }
            Self::Refused { status: 405, .. } => {
                "the registry takes no pushes (read-only, or a mirror); name another one with --registry"
                    .to_owned()
            }
            Self::Unreachable { why, .. } if why.contains("certificate") || why.contains("UnknownIssuer") => {
                "name the registry's CA with --registry-ca FILE".to_owned()
            }
            Self::Unreachable { why, .. }
                if why.contains("InvalidContentType") || why.contains("corrupt message") =>
            {
                "the registry speaks plain HTTP: --registry-plain-http".to_owned()
            }
            Self::Unreachable { .. } => {
                "check the name, the port and the network: --registry HOST[:PORT]/PREFIX".to_owned()
            }
            Self::Config { .. } | Self::Helper { .. } => {
                "docker login writes it anew; DOCKER_CONFIG names another folder".to_owned()
            }
            Self::NoPullSecret { .. } => {
                "make a Secret with a robot account or pull token and name it with --image-pull-secret"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

/// What was tried, for messages.
pub(crate) struct Attempt<'a> {
    pub(crate) registry: &'a str,
    pub(crate) repository: &'a str,
    pub(crate) action: &'static str,
    /// The user's name, or that there is none.
    pub(crate) user: &'a str,
}

impl Attempt<'_> {
    /// Sorts what the client says by what the user can do about it.
    pub(crate) fn failed(&self, error: &OciDistributionError) -> Error {
        match (status(error), error) {
            (Some(401), _) => Error::Unauthorized {
                registry: self.registry.to_owned(),
                repository: self.repository.to_owned(),
                action: self.action,
                user: self.user.to_owned(),
            },
            (Some(status), _) => Error::Refused {
                registry: self.registry.to_owned(),
                repository: self.repository.to_owned(),
                action: self.action,
                status,
                why: explanation(error),
            },
            (None, OciDistributionError::RequestError(error)) => self.unreachable(error),
            (None, error) => self.protocol(error.to_string()),
        }
    }

    pub(crate) fn protocol(&self, why: String) -> Error {
        Error::Protocol {
            registry: self.registry.to_owned(),
            repository: self.repository.to_owned(),
            action: self.action,
            why,
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable {
            registry: self.registry.to_owned(),
            why: innermost(error),
        }
    }
}

/// The HTTP status behind an error, if there was an answer.
pub(crate) fn status(error: &OciDistributionError) -> Option<u16> {
    match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            Some(401)
        }
        OciDistributionError::ServerError { code, .. } => Some(*code),
        OciDistributionError::RequestError(error) => error.status().map(|status| status.as_u16()),
        OciDistributionError::ImageManifestNotFoundError(_) => Some(404),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.first().map(|error| match error.code {
                OciErrorCode::Unauthorized => 401,
                OciErrorCode::Denied => 403,
                OciErrorCode::ManifestUnknown
                | OciErrorCode::NameUnknown
                | OciErrorCode::NotFound
                | OciErrorCode::BlobUnknown => 404,
                OciErrorCode::Unsupported => 405,
                OciErrorCode::Toomanyrequests => 429,
                _ => 400,
            })
        }
        _ => None,
    }
}

/// The registry's own words, on one line.
fn explanation(error: &OciDistributionError) -> String {
    let words = match error {
        OciDistributionError::ServerError { message, .. } => {
            let document: serde_json::Value = serde_json::from_str(message).unwrap_or_default();
            document["errors"][0]["message"]
                .as_str()
                .map_or_else(|| message.clone(), str::to_owned)
        }
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .map(|error| error.message.as_str())
            .collect::<Vec<_>>()
            .join("; "),
        OciDistributionError::RequestError(_) => String::new(),
        other => other.to_string(),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return "without a reason".to_owned();
    }
    words.chars().take(200).collect()
}

/// The innermost sentence of an error, which is the one that tells why.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
