//! What has to be kept so that a certificate can be renewed without a person:
//! the CA, the names, and how records get into DNS.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    account::Request,
    directory::Directory,
    dns::Resolver,
    provider::{Rfc2136, ServerAddress, tsig},
};

/// Kept settings. The key of the provider is in them: keep them in a Secret,
/// never print them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The CA.
    pub directory: Directory,
    /// CA certificates for the directory's own TLS, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
    /// Who hears from the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// How records get into DNS.
    pub dns: Provider,
    /// Name servers to look for the records at, instead of those of the zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check_servers: Vec<SocketAddr>,
    /// How long the records may take to be seen, in seconds.
    pub wait_seconds: u64,
}

/// How records get into DNS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "provider")]
pub enum Provider {
    /// Signed updates: can be repeated without a person.
    Rfc2136 {
        /// The primary name server.
        server: ServerAddress,
        /// The key that may write.
        key: tsig::Key,
    },
    /// A program on the machine of whoever asked for the certificate.
    Exec,
    /// A person.
    Manual,
}

impl Settings {
    /// The account that is wanted.
    pub fn account(&self) -> Request<'_> {
        Request {
            directory: &self.directory,
            roots: self.roots.as_deref(),
            email: self.email.as_deref(),
            external: None,
        }
    }

    /// Where questions go.
    pub fn resolver(&self) -> Resolver {
        Resolver::system(self.check_servers.clone())
    }

    /// The provider, when no person and no other machine is needed.
    pub fn unattended(&self) -> Option<Rfc2136> {
        match &self.dns {
            Provider::Rfc2136 { server, key } => {
                Some(Rfc2136::new(server.clone(), key.clone(), self.resolver()))
            }
            Provider::Exec | Provider::Manual => None,
        }
    }

    /// How long the records may take to be seen.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_being_kept_and_print_no_secret() {
        let secret = "c2VjcmV0IG9mIDMyIGJ5dGVzIGZvciBhIGtleSEhISE=";
        let settings = Settings {
            directory: "letsencrypt".parse().unwrap(),
            roots: None,
            email: Some("a@example.com".into()),
            dns: Provider::Rfc2136 {
                server: "ns1.example.com".parse().unwrap(),
                key: tsig::Key::read(secret, Some("acme"), None).unwrap(),
            },
            check_servers: Vec::new(),
            wait_seconds: 120,
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        assert!(settings.unattended().is_some());
        assert!(!format!("{settings:?}").contains(secret));
        let manual = text.replace("rfc2136", "manual");
        assert!(serde_json::from_str::<Settings>(&manual).is_ok_and(|kept| kept.unattended().is_none()));
    }
}
