//! Whether the served certificate is renewed now. Pure: what was found and the
//! time go in.
//!
//! `origin` asks who signed it, `successor` what the next one is like, `official`
//! is about one that a CA elsewhere signs.

#[cfg(test)]
mod fixture;
mod official;
mod origin;
mod successor;

use silica_certs::{
    authority::Authority,
    decide::{self, Reason},
    inspect::{self, Inspected},
    leaf::LeafRequest,
    rotation::record::Record,
};
use time::{Duration, OffsetDateTime};

use official::official;
use origin::{is_of_a_newer_ca, is_ours, is_reissuable, signing};
use successor::{cross_certificates, renewed_validity};
pub(crate) use successor::{leaf_life, names};

/// What the cluster holds.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The Secret with the served certificate.
    pub(crate) leaf: Option<FoundLeaf<'a>>,
    /// The CA, when it is there and can sign.
    pub(crate) authority: Option<&'a Authority>,
    /// The CA of a rotation that is under way.
    pub(crate) next: Option<&'a (Authority, Record)>,
    /// The trust bundle.
    pub(crate) bundle: Option<&'a str>,
    /// Whether a certificate can be ordered over ACME without a person.
    pub(crate) can_order: bool,
}

/// The Secret with the served certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundLeaf<'a> {
    pub(crate) pair: decide::Existing<'a>,
    /// Whether it carries the label of this product.
    pub(crate) is_labelled: bool,
    /// Fingerprint of the certificate that was ordered over ACME.
    pub(crate) ordered: Option<&'a str>,
}

/// What is to be done about the served certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// There is none; the names of a new one are not known here.
    Absent,
    /// There is something that is no certificate.
    Unreadable { what: String },
    /// Somebody else's: never written.
    Foreign {
        not_after: OffsetDateTime,
        ends_soon: bool,
    },
    /// Good until `due`.
    Keep {
        not_after: OffsetDateTime,
        due: OffsetDateTime,
    },
    /// Its life has not begun. A new one from a clock that is late would be no
    /// better, so this waits.
    TooEarly {
        not_after: OffsetDateTime,
        from: OffsetDateTime,
    },
    /// Due, but the CA ends first: a new one would not live longer.
    Exhausted { not_after: OffsetDateTime },
    /// An official one is due, and can be ordered again for these domains.
    OrderAnew {
        not_after: OffsetDateTime,
        domains: Vec<String>,
    },
    /// A new one is needed.
    Renew {
        not_after: OffsetDateTime,
        order: Box<Order>,
    },
}

/// The certificate to make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Order {
    pub(crate) reason: Reason,
    pub(crate) request: LeafRequest,
    /// Certificates that follow it in the chain, in PEM: those of the same CA
    /// key that another CA signed, as in the overlap of a rotation.
    pub(crate) cross_pem: String,
}

impl Verdict {
    /// End of the served certificate, when it can be read.
    pub(crate) fn not_after(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Absent | Self::Unreadable { .. } => None,
            Self::Foreign { not_after, .. }
            | Self::Keep { not_after, .. }
            | Self::TooEarly { not_after, .. }
            | Self::Exhausted { not_after }
            | Self::OrderAnew { not_after, .. }
            | Self::Renew { not_after, .. } => Some(*not_after),
        }
    }
}

/// Judges the served certificate.
pub(crate) fn decide(found: &Found<'_>, now: OffsetDateTime) -> Verdict {
    let Some(leaf) = found.leaf else {
        return Verdict::Absent;
    };
    let chain_pem = leaf.pair.chain_pem.unwrap_or_default();
    let chain = match inspect::parse_chain(chain_pem) {
        Ok(chain) => chain,
        Err(error) => {
            return Verdict::Unreadable {
                what: error.to_string(),
            };
        }
    };
    let Some(current) = chain.first() else {
        return Verdict::Absent;
    };
    let not_after = current.not_after;
    let bundle = found.bundle.and_then(|bundle| inspect::parse_chain(bundle).ok());
    // Clients refuse a chain when the first of its certificates ends.
    let end = inspect::first_to_end(&chain, bundle.as_deref().unwrap_or_default())
        .map_or(not_after, |first| first.not_after);
    if found.is_official() {
        return official(current, end, now);
    }
    let authority = match signing(found) {
        Some(authority)
            if leaf.is_labelled && is_reissuable(current) && is_ours(chain_pem, current, found) =>
        {
            authority
        }
        _ => return foreign(current, end, now),
    };

    let certificate = authority.certificate_pem();
    let reason = match decide::leaf(leaf.pair, certificate, &current.names, now) {
        decide::Decision::Keep => {
            let due = current.renewal_due();
            return Verdict::Keep { not_after, due };
        }
        decide::Decision::Issue(Reason::NotYetValid { from }) => {
            return Verdict::TooEarly { not_after, from };
        }
        // A rotation is about to put its CA into place: it writes the leaf first.
        decide::Decision::Issue(Reason::OtherAuthority) if is_of_a_newer_ca(chain_pem, current, found) => {
            let due = current.renewal_due().max(now + Duration::HOUR);
            return Verdict::Keep { not_after, due };
        }
        decide::Decision::Issue(reason) => reason,
    };
    let validity = renewed_validity(current, authority.inspected());
    let end = (now + validity).min(authority.inspected().not_after);
    if matches!(reason, Reason::RenewalDue { .. }) && end <= not_after {
        return Verdict::Exhausted { not_after };
    }
    let order = Order {
        reason,
        request: LeafRequest {
            names: current.names.clone(),
            validity,
        },
        cross_pem: cross_certificates(chain_pem, authority, now),
    };
    Verdict::Renew {
        not_after,
        order: Box::new(order),
    }
}

fn foreign(current: &Inspected, end: OffsetDateTime, now: OffsetDateTime) -> Verdict {
    // Later than any automatic issuer renews: cert-manager and ACME clients
    // have done it by two thirds.
    let late = end - (current.not_after - current.not_before) / 6;
    Verdict::Foreign {
        not_after: end,
        ends_soon: now >= late,
    }
}

#[cfg(test)]
mod tests {
    use silica_certs::LEAF_VALIDITY;

    use super::{fixture::*, *};

    #[test]
    fn a_leaf_is_kept_until_two_thirds_of_its_life_and_renewed_with_the_same_names_after() {
        let (authority, days) = (authority(), Duration::days);
        let leaf = leaf(&authority);
        let found = found(&leaf, &authority);
        let due = leaf.not_before() + (leaf.not_after() - leaf.not_before()) * 2 / 3;
        for (age, is_renewed) in [
            (Duration::ZERO, false),
            (days(30), false),
            (due - start() - Duration::SECOND, false),
            (due - start(), true),
            (days(89), true),
            (days(400), true),
        ] {
            match decide(&found, start() + age) {
                Verdict::Keep { due: at, not_after } => {
                    assert!(!is_renewed, "kept at {age}");
                    assert_eq!((at, not_after), (due, leaf.not_after()));
                }
                verdict => {
                    let order = order(verdict);
                    assert!(is_renewed, "renewed at {age}: {}", order.reason);
                    assert_eq!(order.request.names, both_names());
                    assert_eq!(order.request.validity, LEAF_VALIDITY);
                }
            }
        }
    }

    #[test]
    fn nothing_is_made_where_there_was_nothing() {
        let authority = authority();
        let found = Found {
            leaf: None,
            authority: Some(&authority),
            next: None,
            bundle: None,
            can_order: false,
        };
        assert_eq!(decide(&found, start()), Verdict::Absent);
    }

    #[test]
    fn what_is_no_certificate_is_only_reported() {
        let (authority, other) = (authority(), authority());
        let leaf = leaf(&other);
        for text in [
            "",
            "nothing",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let mut found = found(&leaf, &authority);
            found.leaf.as_mut().unwrap().pair.chain_pem = Some(text);
            assert!(
                matches!(decide(&found, start()), Verdict::Unreadable { .. }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_certificate_without_the_label_is_never_written() {
        let authority = authority();
        let leaf = leaf(&authority);
        let mut found = found(&leaf, &authority);
        found.leaf.as_mut().unwrap().is_labelled = false;
        for (age, expected) in [(1, false), (61, false), (80, true), (91, true)] {
            let verdict = decide(&found, start() + Duration::days(age));
            assert!(
                matches!(verdict, Verdict::Foreign { ends_soon, .. } if ends_soon == expected),
                "{age}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_clock_that_is_late_makes_no_certificate() {
        let authority = authority();
        let leaf = leaf(&authority);
        let verdict = decide(&found(&leaf, &authority), start() - Duration::days(300));
        assert!(matches!(verdict, Verdict::TooEarly { .. }), "{verdict:?}");
    }

    #[test]
    fn a_key_of_another_certificate_is_replaced() {
        let authority = authority();
        let (leaf, other) = (leaf(&authority), leaf(&authority));
        let mut found = found(&leaf, &authority);
        found.leaf.as_mut().unwrap().pair.key_pem = Some(other.key_pem().expose());
        assert_eq!(order(decide(&found, start())).reason, Reason::KeyMismatch);
    }

    #[test]
    fn a_ca_that_ends_first_is_not_asked_again_and_again() {
        let authority = authority_for(Duration::days(30));
        let leaf = leaf(&authority);
        assert_eq!(leaf.not_after(), authority.inspected().not_after);
        let verdict = decide(&found(&leaf, &authority), start() + Duration::days(25));
        assert!(matches!(verdict, Verdict::Exhausted { .. }), "{verdict:?}");
    }

    #[test]
    fn a_chain_from_elsewhere_ends_with_the_first_of_its_certificates() {
        let (old, new) = (authority_for(Duration::days(40)), authority());
        let signed = leaf(&new).with_cross(&old.cross_certify(&new, start()).unwrap());
        let mut found = found(&signed, &new);
        found.authority = None;
        let at = |days| decide(&found, start() + Duration::days(days));
        let Verdict::Foreign { not_after, ends_soon } = at(1) else {
            panic!("not foreign");
        };
        assert_eq!((not_after, ends_soon), (old.inspected().not_after, false));
        assert!(matches!(at(30), Verdict::Foreign { ends_soon: true, .. }));
    }
}
