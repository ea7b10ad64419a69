//! `cargo xtask bench`.

use clap::ValueEnum;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench
  cargo xtask bench sandboxes --rounds 100
  cargo xtask bench install certs

It builds the release executables, starts the local cluster and installs into it when needed, and leaves it running. Each
figure stands beside a reference taken in the same run: one write to the same API server, which no claim can beat, or the
limit that the design sets.

install removes the installation and its images between the ways of delivery.

certs is timed beside mkcert and OpenSSL. With a local installation it also replaces that one's certificate and CA while
clients send requests, and writes the new CA to target/silica/ca.pem.")]
pub struct Arguments {
    /// What to time; everything when none is named.
    #[arg(value_enum)]
    pub what: Vec<What>,
    /// Sandboxes to create one after the other.
    #[arg(long, default_value_t = 50)]
    pub rounds: usize,
}

impl Arguments {
    /// What to time, in this order.
    pub fn what(&self) -> &[What] {
        match self.what.as_slice() {
            [] => What::value_variants(),
            named => named,
        }
    }
}

/// What to time.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum What {
    /// The installation itself, by each way of delivery
    Install,
    /// Sandboxes of an installation, and what its processes take
    Sandboxes,
    /// Certificates: making, linting and replacing them
    Certs,
}
