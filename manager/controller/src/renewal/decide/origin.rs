//! Who signed the served certificate, and who signs the next one.

use silica_certs::{
    authority::Authority,
    bundle,
    inspect::Inspected,
    rotation::{self, Signer},
    verify,
};

use super::Found;

/// The CA that signs now: in a rotation its phase says which.
pub(super) fn signing<'a>(found: &Found<'a>) -> Option<&'a Authority> {
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

/// Whether its names can be had again from the CA, which signs DNS names only.
pub(super) fn is_reissuable(current: &Inspected) -> bool {
    !current.names.is_empty() && current.addresses.is_empty()
}

/// Whether the current CA or one that clients were told to trust has signed it.
pub(super) fn is_ours(chain_pem: &str, current: &Inspected, found: &Found<'_>) -> bool {
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
pub(super) fn is_of_a_newer_ca(chain_pem: &str, current: &Inspected, found: &Found<'_>) -> bool {
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

#[cfg(test)]
mod tests {
    use silica_certs::{
        authority::AuthorityRequest,
        decide::Reason,
        leaf::LeafRequest,
        rotation::{Course, Phase, State, record::Record},
    };
    use time::Duration;

    use super::{
        super::{Verdict, decide, fixture::*},
        *,
    };

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
        assert_eq!(order.request.names, both_names());
    }

    #[test]
    fn a_leaf_of_a_ca_that_a_rotation_is_about_to_install_is_kept() {
        let (current, later) = (authority(), start() + Duration::MINUTE);
        let request = AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new());
        let next = Authority::create(&request, later).unwrap();
        let request = LeafRequest::new(both_names());
        let leaf = next.issue(&request, later).unwrap();
        let bundle = format!("{}{}", current.certificate_pem(), next.certificate_pem());
        let mut found = found(&leaf, &current);
        found.bundle = Some(&bundle);
        assert!(matches!(decide(&found, later), Verdict::Keep { .. }));
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
}
