//! Whether DNS leads to the installation, as a short look.

use silica_dns::{Expected, Report, Request};

/// Asks DNS about one domain through this machine's resolver, as a short check.
pub(crate) async fn check(domain: &str, expected: Vec<Expected>) -> Result<Report, silica_dns::Error> {
    silica_dns::verify(&Request::new(domain, expected), None).await
}
