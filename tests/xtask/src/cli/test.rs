//! `cargo xtask test`.

use super::suites::Suite;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test
  cargo xtask test unit
  cargo xtask test daemon
  cargo xtask test current javascript --keep
  cargo xtask test pinned --installed
  cargo xtask test release          # the release executables, which no other suite uses

Suites that need a cluster start one for themselves and remove it at the end. They refuse to use the cluster of
`cargo xtask up`, unless --installed says so.")]
pub struct Arguments {
    /// Suites to run; all but `release` when none is named.
    #[arg(value_enum)]
    pub suites: Vec<Suite>,
    /// Leave the cluster of the tests running; the next `cargo xtask test` uses it again.
    #[arg(long)]
    pub keep: bool,
    /// Build and install nothing: test what `cargo xtask up` has installed. The cluster stays.
    #[arg(long)]
    pub installed: bool,
}

impl Arguments {
    /// The suites to run, in their order.
    pub fn suites(&self) -> Vec<Suite> {
        if self.suites.is_empty() {
            // A cluster that stays leaves traces by intention.
            let is_wanted = |suite: &Suite| !(self.keep && *suite == Suite::Traces);
            return Suite::all().into_iter().filter(is_wanted).collect();
        }
        self.suites.clone()
    }
}
