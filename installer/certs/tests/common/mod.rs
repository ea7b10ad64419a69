//! A CA and the moments that the tests share.

#![allow(dead_code, reason = "not every test uses everything")]
#![allow(clippy::unwrap_used, reason = "a test may end at once")]

use silica_certs::authority::{Authority, AuthorityRequest};
use silica_certs::leaf::{Leaf, LeafRequest};
use silica_certs::names::{self, Service};
use time::{Duration, OffsetDateTime};

pub(crate) const DOMAIN: &str = "sandbox.example.com";

/// A fixed moment, so that nothing depends on the day of the run.
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

pub(crate) fn services() -> Vec<Service> {
    vec![Service::new("sandbox-manager", "sandbox-system")]
}

pub(crate) fn server_names() -> Vec<String> {
    names::server_names(&[DOMAIN], &services())
}

pub(crate) fn authority_at(now: OffsetDateTime) -> Authority {
    let permitted = names::permitted_services(&services());
    Authority::create(&AuthorityRequest::new(vec![DOMAIN.to_owned()], permitted), now).unwrap()
}

pub(crate) fn authority() -> Authority {
    authority_at(now())
}

pub(crate) fn leaf(authority: &Authority) -> Leaf {
    authority.issue(&LeafRequest::new(server_names()), now()).unwrap()
}

/// A CA that lives for this long.
pub(crate) fn short_authority(validity: Duration) -> Authority {
    let request = AuthorityRequest {
        validity,
        ..AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new())
    };
    Authority::create(&request, now()).unwrap()
}
