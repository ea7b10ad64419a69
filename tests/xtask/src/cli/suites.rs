//! The list of all suites: what `cargo xtask test` runs, in this order.

use clap::ValueEnum;

/// A suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// `cargo fmt --check`
    Format,
    /// Clippy with all its warnings as errors
    Lint,
    /// Rules of the repository's structure, and cargo-deny
    Tidy,
    /// The committed YAML is fresh
    Generated,
    /// The local cluster itself, killed at each step of its start
    Node,
    /// `cargo test` of the whole workspace, with a real API server and DNS server at hand
    Unit,
    /// Newest Python SDK in its debug mode against the sandbox's daemon alone, without a cluster
    Daemon,
    /// Newest Python SDKs, wildcard TLS
    Current,
    /// Pinned Python SDKs, names through DNS
    Pinned,
    /// The product document's program, path style over plain http
    Seed,
    /// Newest JavaScript SDKs, one host
    Javascript,
    /// Certificate and CA replaced under agents with the SDKs of both languages, who must not notice
    Rotation,
    /// The executables in ConfigMaps, without an image of ours, and pulled from a registry
    Delivery,
    /// `silica verify-dns` against a real CoreDNS pod of the cluster
    Dns,
    /// A real Traefik by Ingress and Gateway API, and ports of the node
    Ingress,
    /// The removed cluster has left nothing behind
    Traces,
    /// The release executables: built, static, small enough, installed, and an example run with them;
    /// takes about ten minutes more than the others and runs only when it is named
    Release,
}

impl Suite {
    /// What runs when none is named, the quick ones first.
    pub fn all() -> Vec<Self> {
        let variants = Self::value_variants().iter().copied();
        variants.filter(|suite| *suite != Self::Release).collect()
    }

    /// Whether it needs the local cluster in any state.
    pub fn needs_cluster(self) -> bool {
        self.needs_bare_cluster()
            || self.needs_installation()
            || matches!(self, Self::Node | Self::Traces | Self::Release)
    }

    /// Whether it needs a local cluster without an installation.
    pub fn needs_bare_cluster(self) -> bool {
        matches!(self, Self::Unit)
    }

    /// Whether it runs against the installation on the local cluster.
    pub fn needs_installation(self) -> bool {
        matches!(
            self,
            Self::Current
                | Self::Pinned
                | Self::Seed
                | Self::Javascript
                | Self::Rotation
                | Self::Delivery
                | Self::Dns
                | Self::Ingress
        )
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}
