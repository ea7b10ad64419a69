//! Real servers and independent judges for tests.

use std::path::PathBuf;

use super::module::modules;

/// A real server or an independent judge that tests run by themselves, outside the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// CNCF distribution: an OCI registry.
    Registry,
    /// An ACME certificate authority made for tests.
    Pebble,
    /// A linter of X.509 certificates.
    Zlint,
    /// Another maker of certificates, to compare with.
    Mkcert,
    /// A controller for Ingress and Gateway API; it runs inside the cluster.
    Traefik,
}

impl Tool {
    /// Those that the workspace's own tests start.
    pub const ALL: [Self; 4] = [Self::Registry, Self::Pebble, Self::Zlint, Self::Mkcert];

    /// The name of the executable, and of the folder of its module.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Pebble => "pebble",
            Self::Zlint => "zlint",
            Self::Mkcert => "mkcert",
            Self::Traefik => "traefik",
        }
    }

    /// The environment variable that names the executable to the tests.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Registry => "SILICA_REGISTRY",
            Self::Pebble => "SILICA_PEBBLE",
            Self::Zlint => "SILICA_ZLINT",
            Self::Mkcert => "SILICA_MKCERT",
            Self::Traefik => "SILICA_TRAEFIK",
        }
    }

    /// The folder of its Go module.
    pub fn folder(self) -> PathBuf {
        modules().join(self.name())
    }

    pub(super) const fn package(self) -> &'static str {
        match self {
            Self::Registry => "github.com/distribution/distribution/v3/cmd/registry",
            Self::Pebble => "github.com/letsencrypt/pebble/v2/cmd/pebble",
            Self::Zlint => "github.com/zmap/zlint/v3/cmd/zlint",
            Self::Mkcert => "filippo.io/mkcert",
            Self::Traefik => "github.com/traefik/traefik/v3/cmd/traefik",
        }
    }
}
