//! Certificates for the tests of the decision.

use silica_certs::{
    LEAF_VALIDITY,
    authority::{Authority, AuthorityRequest},
    decide,
    leaf::{Leaf, LeafRequest},
};
use time::{Duration, OffsetDateTime};

use super::{Found, FoundLeaf, Order, Verdict};

pub(super) const DOMAIN: &str = "sandbox.example.com";

pub(super) fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

pub(super) fn authority_for(life: Duration) -> Authority {
    let request = AuthorityRequest {
        validity: life,
        ..AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new())
    };
    Authority::create(&request, start()).unwrap()
}

pub(super) fn authority() -> Authority {
    authority_for(Duration::days(3650))
}

pub(super) fn both_names() -> Vec<String> {
    vec![DOMAIN.to_owned(), format!("*.{DOMAIN}")]
}

pub(super) fn leaf_for(authority: &Authority, validity: Duration) -> Leaf {
    let request = LeafRequest {
        names: both_names(),
        validity,
    };
    authority.issue(&request, start()).unwrap()
}

pub(super) fn leaf(authority: &Authority) -> Leaf {
    leaf_for(authority, LEAF_VALIDITY)
}

pub(super) fn found<'a>(leaf: &'a Leaf, authority: &'a Authority) -> Found<'a> {
    Found {
        leaf: Some(FoundLeaf {
            pair: decide::Existing {
                chain_pem: Some(leaf.chain_pem()),
                key_pem: Some(leaf.key_pem().expose()),
            },
            is_labelled: true,
            ordered: None,
        }),
        authority: Some(authority),
        next: None,
        bundle: None,
        can_order: false,
    }
}

pub(super) fn order(verdict: Verdict) -> Order {
    match verdict {
        Verdict::Renew { order, .. } => *order,
        other => panic!("{other:?}"),
    }
}
