//! Whether the served certificate is renewed now. Pure: what was found and the
//! time go in.

use silica_certs::{
    LEAF_VALIDITY, LEAF_VALIDITY_MAX, NOT_BEFORE_MARGIN,
    authority::Authority,
    bundle,
    decide::{self, Reason},
    inspect::{self, Inspected},
    leaf::LeafRequest,
    pem,
    rotation::{self, Signer, record::Record},
    verify,
};
use time::{Duration, OffsetDateTime};

/// A shorter life is not what anybody chose for good: the CA's end cut it, or
/// it was a trial. Renewing with it would renew without end, since a life below
/// half an hour is over by two thirds from the start (`notBefore` lies an hour
/// back).
const SHORTEST_LIFE: Duration = Duration::days(1);

/// How far two clocks of a cluster may be apart. Far less than the hour that a
/// certificate begins in the past.
const LARGEST_SKEW: Duration = Duration::minutes(10);

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
}

/// The Secret with the served certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundLeaf<'a> {
    pub(crate) pair: decide::Existing<'a>,
    /// Whether it carries the label of this product.
    pub(crate) is_labelled: bool,
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
    let authority = match signing(found) {
        Some(authority)
            if leaf.is_labelled && is_reissuable(current) && is_ours(chain_pem, current, found) =>
        {
            authority
        }
        _ => return foreign(current, now),
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

/// The CA that signs now: in a rotation its phase says which.
fn signing<'a>(found: &Found<'a>) -> Option<&'a Authority> {
    let current = found.authority?;
    let fingerprint = &current.inspected().fingerprint;
    // A rotation that began with another CA says nothing about this one.
    let Some((next, record)) = found.next.filter(|(_, record)| record.former == *fingerprint) else {
        return Some(current);
    };
    match rotation::signer(Some(&record.state)) {
        Signer::Former => Some(current),
        Signer::NextBehindCross | Signer::Next => Some(next),
    }
}

/// The life that the next certificate gets.
pub(crate) fn leaf_life(found: &Found<'_>) -> Duration {
    let chain = found.leaf.and_then(|leaf| leaf.pair.chain_pem);
    let current = chain.and_then(|chain| inspect::parse_chain(chain).ok()?.into_iter().next());
    match (current, signing(found)) {
        (Some(current), Some(authority)) => renewed_validity(&current, authority.inspected()),
        _ => LEAF_VALIDITY,
    }
}

/// The names of the served certificate.
pub(crate) fn names(chain_pem: &str) -> Vec<String> {
    let chain = inspect::parse_chain(chain_pem).unwrap_or_default();
    chain
        .into_iter()
        .next()
        .map(|leaf| leaf.names)
        .unwrap_or_default()
}

/// Whether the local clock may date a certificate, given the API server's. A
/// clock that jumped ahead would make one that nobody accepts yet.
pub(crate) fn is_clock_plausible(local: OffsetDateTime, server: OffsetDateTime) -> bool {
    (local - server).abs() <= LARGEST_SKEW
}

fn foreign(current: &Inspected, now: OffsetDateTime) -> Verdict {
    // Later than any automatic issuer renews: cert-manager and ACME clients
    // have done it by two thirds.
    let late = current.not_after - (current.not_after - current.not_before) / 6;
    Verdict::Foreign {
        not_after: current.not_after,
        ends_soon: now >= late,
    }
}

/// Whether its names can be had again from the CA, which signs DNS names only.
fn is_reissuable(current: &Inspected) -> bool {
    !current.names.is_empty() && current.addresses.is_empty()
}

/// Whether the current CA or one that clients were told to trust has signed it.
fn is_ours(chain_pem: &str, current: &Inspected, found: &Found<'_>) -> bool {
    // An expired certificate is still ours: ask for a moment of its life.
    let moment = current.not_before;
    let signed = |root: &str| {
        current.names.first().is_some_and(|name| {
            !matches!(
                verify::chain(chain_pem, root, name, moment),
                Err(verify::Error::UnknownIssuer | verify::Error::BadSignature)
            )
        })
    };
    let former = bundle::members(&[found.bundle.unwrap_or_default()], moment).unwrap_or_default();
    let authorities = found
        .authority
        .into_iter()
        .chain(found.next.map(|(next, _)| next));
    authorities
        .into_iter()
        .any(|authority| signed(authority.certificate_pem()))
        || former.iter().any(|(_, root)| signed(root))
}

/// Whether a CA of the bundle signed it that was made after the current one.
fn is_of_a_newer_ca(chain_pem: &str, current: &Inspected, found: &Found<'_>) -> bool {
    let (Some(authority), Some(name)) = (found.authority, current.names.first()) else {
        return false;
    };
    let moment = current.not_before;
    let members = bundle::members(&[found.bundle.unwrap_or_default()], moment).unwrap_or_default();
    members.iter().any(|(member, root)| {
        member.not_before > authority.inspected().not_before
            && verify::chain(chain_pem, root, name, moment).is_ok()
    })
}

/// The life that its maker gave it, where that was a choice.
fn renewed_validity(current: &Inspected, authority: &Inspected) -> Duration {
    let life = current.not_after - current.not_before - NOT_BEFORE_MARGIN;
    let was_cut = current.not_after == authority.not_after;
    if was_cut || !(SHORTEST_LIFE..=LEAF_VALIDITY_MAX).contains(&life) {
        LEAF_VALIDITY
    } else {
        life
    }
}

fn cross_certificates(chain_pem: &str, authority: &Authority, now: OffsetDateTime) -> String {
    let certificates = pem::certificates(chain_pem).unwrap_or_default();
    certificates
        .iter()
        .skip(1)
        .filter(|der| {
            inspect::parse_der(der).is_ok_and(|one| {
                one.public_key_info == authority.inspected().public_key_info
                    && !one.is_self_issued
                    && one.is_valid_at(now)
            })
        })
        .map(|der| pem::encode_certificate(der))
        .collect()
}

#[cfg(test)]
mod tests {
    use silica_certs::{
        authority::AuthorityRequest,
        leaf::Leaf,
        rotation::{Course, Phase, State},
    };

    use super::*;

    const DOMAIN: &str = "sandbox.example.com";

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn authority_for(life: Duration) -> Authority {
        let request = AuthorityRequest {
            validity: life,
            ..AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new())
        };
        Authority::create(&request, start()).unwrap()
    }

    fn authority() -> Authority {
        authority_for(Duration::days(3650))
    }

    fn names() -> Vec<String> {
        vec![DOMAIN.to_owned(), format!("*.{DOMAIN}")]
    }

    fn leaf_for(authority: &Authority, validity: Duration) -> Leaf {
        let request = LeafRequest {
            names: names(),
            validity,
        };
        authority.issue(&request, start()).unwrap()
    }

    fn leaf(authority: &Authority) -> Leaf {
        leaf_for(authority, LEAF_VALIDITY)
    }

    fn found<'a>(leaf: &'a Leaf, authority: &'a Authority) -> Found<'a> {
        Found {
            leaf: Some(FoundLeaf {
                pair: decide::Existing {
                    chain_pem: Some(leaf.chain_pem()),
                    key_pem: Some(leaf.key_pem().expose()),
                },
                is_labelled: true,
            }),
            authority: Some(authority),
            next: None,
            bundle: None,
        }
    }

    fn order(verdict: Verdict) -> Order {
        match verdict {
            Verdict::Renew { order, .. } => *order,
            other => panic!("{other:?}"),
        }
    }

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
                    assert_eq!(order.request.names, names());
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
    fn a_certificate_of_an_unknown_ca_is_never_written() {
        let (authority, other) = (authority(), authority());
        let leaf = leaf(&other);
        let mut found = found(&leaf, &authority);
        let late = start() + Duration::days(80);
        assert!(matches!(decide(&found, late), Verdict::Foreign { .. }));
        found.authority = None;
        assert!(matches!(decide(&found, late), Verdict::Foreign { .. }));
    }

    #[test]
    fn a_changed_ca_renews_the_leaf_of_a_former_one_in_the_bundle() {
        let (former, current) = (authority(), authority());
        let leaf = leaf(&former);
        let bundle = format!("{}{}", former.certificate_pem(), current.certificate_pem());
        let mut found = found(&leaf, &current);
        found.bundle = Some(&bundle);
        let order = order(decide(&found, start() + Duration::DAY));
        assert_eq!(order.reason, Reason::OtherAuthority);
        assert_eq!(order.request.names, names());
    }

    #[test]
    fn a_leaf_of_a_ca_that_a_rotation_is_about_to_install_is_kept() {
        let (current, later) = (authority(), start() + Duration::MINUTE);
        let request = AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new());
        let next = Authority::create(&request, later).unwrap();
        let request = LeafRequest::new(names());
        let leaf = next.issue(&request, later).unwrap();
        let bundle = format!("{}{}", current.certificate_pem(), next.certificate_pem());
        let mut found = found(&leaf, &current);
        found.bundle = Some(&bundle);
        assert!(matches!(decide(&found, later), Verdict::Keep { .. }));
    }

    #[test]
    fn a_chain_with_a_cross_certificate_keeps_it() {
        let (former, current) = (authority(), authority());
        let cross = former.cross_certify(&current, start()).unwrap();
        let leaf = leaf(&current).with_cross(&cross);
        let order = order(decide(&found(&leaf, &current), start() + Duration::days(70)));
        assert_eq!(order.cross_pem, cross);
        // Before the CA is switched the same chain is good for the former one.
        assert!(matches!(
            decide(&found(&leaf, &former), start()),
            Verdict::Keep { .. }
        ));
    }

    #[test]
    fn a_clock_that_is_late_makes_no_certificate() {
        let authority = authority();
        let leaf = leaf(&authority);
        let verdict = decide(&found(&leaf, &authority), start() - Duration::days(300));
        assert!(matches!(verdict, Verdict::TooEarly { .. }), "{verdict:?}");
    }

    #[test]
    fn a_clock_far_from_the_servers_dates_nothing() {
        for (seconds, is_plausible) in [(0, true), (600, true), (-600, true), (601, false), (-601, false)] {
            let local = start() + Duration::seconds(seconds);
            assert_eq!(is_clock_plausible(local, start()), is_plausible, "{seconds}");
        }
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
    fn the_phase_of_a_rotation_says_whose_certificate_is_renewed() {
        let (current, next) = (authority(), authority());
        let bundle = format!("{}{}", current.certificate_pem(), next.certificate_pem());
        let cross = current.cross_certify(&next, start()).unwrap();
        let (old, new) = (leaf(&current), leaf(&next).with_cross(&cross));
        let late = start() + Duration::days(70);
        let record = |done, course| Record {
            state: State {
                done: Some(done),
                course,
                since: start(),
                old_leaf_until: start(),
            },
            ..Record::begin(&current.inspected().fingerprint, "test", start())
        };
        let ask = |leaf, record: Record, moment| {
            let rotation = (next.clone(), record);
            let mut found = found(leaf, &current);
            found.next = Some(&rotation);
            found.bundle = Some(&bundle);
            let signer = signing(&found).unwrap().inspected().fingerprint.clone();
            (decide(&found, moment), signer == next.inspected().fingerprint)
        };
        // Before the switch the former CA renews, after it the next one does.
        for (phase, leaf, is_next) in [
            (Phase::Prepare, &old, false),
            (Phase::Spread, &old, false),
            (Phase::Switch, &new, true),
            (Phase::Soak, &new, true),
        ] {
            let (verdict, by_next) = ask(leaf, record(phase, Course::Ahead), late);
            assert!(
                matches!(order(verdict).reason, Reason::RenewalDue { .. }),
                "{phase}"
            );
            assert_eq!(by_next, is_next, "{phase}");
            let (verdict, _) = ask(leaf, record(phase, Course::Ahead), start());
            assert!(matches!(verdict, Verdict::Keep { .. }), "{phase} {verdict:?}");
        }
        // A certificate that fell behind the switch catches up at once.
        let (verdict, _) = ask(&old, record(Phase::Switch, Course::Ahead), start());
        assert_eq!(order(verdict).reason, Reason::OtherAuthority);
        // On the way back the next CA signs nothing any more.
        let (verdict, by_next) = ask(&new, record(Phase::Switch, Course::Undoing), start());
        assert!(matches!(verdict, Verdict::Keep { .. }) && !by_next);
    }

    #[test]
    fn a_chosen_life_is_kept_and_a_trial_is_not() {
        let authority = authority();
        for (life, renewed) in [
            (Duration::days(30), Duration::days(30)),
            (Duration::days(820), Duration::days(820)),
            (Duration::minutes(2), LEAF_VALIDITY),
        ] {
            let leaf = leaf_for(&authority, life);
            let order = order(decide(&found(&leaf, &authority), leaf.not_after()));
            assert_eq!(order.request.validity, renewed);
        }
    }
}
