//! A real CA and a real name server for tests of ACME: Pebble, and Knot DNS that
//! takes signed updates.
//!
//! `SILICA_PEBBLE` names Pebble's executable, `SILICA_KNOT` a folder with the
//! unpacked packages of Knot. Without them the tests say so and pass, except in
//! CI (`CI=true`), where they fail.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failing fixture is a failing test"
)]

mod knot;
mod pebble;
mod process;

use silica_acme::{
    Account, Rfc2136, Settings, account,
    provider::{ServerAddress, tsig},
    settings::Provider,
};

pub use knot::{CLOSED, KEY, Knot, SECRET, ZONE};
pub use pebble::{BLOCKED, Pebble};

/// How long records may take to be seen, in seconds.
const WAIT_SECONDS: u64 = 10;

/// Both, and the CA asks this name server.
pub struct Stage {
    /// The name server.
    pub knot: Knot,
    /// The CA.
    pub pebble: Pebble,
}

impl Stage {
    /// Starts both. The CA refuses `nonces` percent of all nonces.
    pub fn set(nonces: u8) -> Option<Self> {
        let knot = Knot::start("")?;
        let pebble = Pebble::start(knot.address, nonces)?;
        Some(Self { knot, pebble })
    }

    /// An account that this CA would give.
    pub fn request(&self) -> account::Request<'_> {
        account::Request {
            directory: &self.pebble.directory,
            roots: Some(&self.pebble.roots),
            email: Some("admin@silica.test"),
            external: None,
        }
    }

    /// Makes an account.
    pub async fn account(&self) -> Account {
        Account::create(&self.request(), &self.knot.resolver())
            .await
            .unwrap()
    }

    /// Updates of the name server, signed with this key.
    pub fn updates(&self, key: tsig::Key) -> Rfc2136 {
        Rfc2136::new(self.server(), key, self.knot.resolver())
    }

    /// What is kept for a renewal whose updates are signed with this key.
    pub fn settings(&self, key: tsig::Key) -> Settings {
        Settings {
            directory: self.pebble.directory.clone(),
            roots: Some(self.pebble.roots.clone()),
            email: None,
            dns: Provider::Rfc2136 {
                server: self.server(),
                key,
            },
            check_servers: vec![self.knot.address],
            wait_seconds: WAIT_SECONDS,
        }
    }

    fn server(&self) -> ServerAddress {
        self.knot.address.to_string().parse().unwrap()
    }
}
