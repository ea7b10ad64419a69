//! Rotations that are interrupted behind every write, and what clients accept meanwhile.

use super::*;
use crate::verify;

const DOMAIN: &str = "sandbox.example.com";

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn request() -> LeafRequest {
    LeafRequest::new(vec![DOMAIN.to_owned(), format!("*.{DOMAIN}")])
}

fn authority(life: Duration) -> Authority {
    let request = AuthorityRequest {
        validity: life,
        ..AuthorityRequest::new(vec![DOMAIN.to_owned()], Vec::new())
    };
    Authority::create(&request, start()).unwrap()
}

/// An installation as it is after `install`.
fn installed(life: Duration) -> Material {
    let current = authority(life);
    let leaf = current.issue(&request(), start()).unwrap();
    Material {
        bundle: current.certificate_pem().to_owned(),
        served: leaf.chain_pem().to_owned(),
        next: None,
        request: request(),
        key: KeySource::Type(KeyType::P384),
        current,
    }
}

fn execute(material: &mut Material, write: Write) {
    match write {
        Write::Next(next, record) => material.next = Some((*next, record)),
        Write::Mark(record) => material.next.as_mut().unwrap().1 = record,
        Write::Bundle(bundle) => material.bundle = bundle,
        Write::Leaf(leaf, _) => leaf.chain_pem().clone_into(&mut material.served),
        Write::Current(authority) => material.current = *authority,
        Write::RemoveNext => material.next = None,
    }
}

fn accepts(roots: &str, material: &Material, now: OffsetDateTime) -> bool {
    let names = &material.request.names;
    names
        .iter()
        .all(|name| verify::chain(&material.served, roots, name, now).is_ok())
}

const AT_ONCE: Waits = Waits {
    spread: Duration::ZERO,
    soak: Duration::ZERO,
    outlives_leaf: false,
    retires: true,
};

fn writes(material: &Material, asked: Request, now: OffsetDateTime) -> Vec<Write> {
    match material.next_action(asked, now).unwrap() {
        Action::Do(phase) => material.phase(phase, "test", now).unwrap(),
        Action::Restore => material.restore(now).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Every write of every phase is interrupted in turn; the next run goes on.
#[test]
fn interrupted_anywhere_a_rotation_goes_on_and_fails_nobody_before_retire() {
    for interruption in 0..14 {
        let mut material = installed(Duration::days(3650));
        let former = material.current.clone();
        let (mut made, mut now) = (0, start());
        let mut readers = vec![material.bundle.clone()];
        while material.current.inspected().fingerprint == former.inspected().fingerprint
            || material.next.is_some()
        {
            for write in writes(&material, Request::Automatic(AT_ONCE), now) {
                if made == interruption {
                    made += 1;
                    break;
                }
                execute(&mut material, write);
                made += 1;
                assert!(made < 40, "no end after interruption {interruption}");
                let is_retiring = material
                    .state()
                    .is_none_or(|state| state.course == Course::Retiring);
                // Retiring is what clients with the old bundle only cannot follow.
                if !is_retiring && material.next.is_some() {
                    readers.push(material.bundle.clone());
                    let old = readers.iter().all(|bundle| accepts(bundle, &material, now));
                    assert!(old, "interruption {interruption}, write {made}");
                }
                assert!(accepts(&material.bundle, &material, now), "{interruption} {made}");
            }
            now += Duration::SECOND;
        }
        assert!(!accepts(former.certificate_pem(), &material, now));
        assert_eq!(
            material.served.matches("BEGIN").count(),
            1,
            "no cross certificate"
        );
        assert_eq!(material.bundle, material.current.certificate_pem());
    }
}

#[test]
fn a_rotation_is_undone_from_every_phase_even_when_that_is_interrupted() {
    for done in [Phase::Prepare, Phase::Spread, Phase::Switch, Phase::Soak] {
        for interruption in 0..6 {
            let mut material = installed(Duration::days(3650));
            let (former, bundle) = (material.current.clone(), material.bundle.clone());
            while material.state().and_then(|state| state.done) != Some(done) {
                for write in writes(&material, Request::Automatic(AT_ONCE), start()) {
                    execute(&mut material, write);
                }
            }
            let mut first = writes(&material, Request::Abort, start());
            first.truncate(interruption);
            for write in first {
                execute(&mut material, write);
                assert!(accepts(former.certificate_pem(), &material, start()));
                // Renewed meanwhile: the way back is kept to.
                let signer = super::super::signer(material.state());
                assert_eq!(signer, Signer::Former);
            }
            if material.next.is_some() {
                for write in writes(&material, Request::Abort, start()) {
                    execute(&mut material, write);
                }
            }
            assert_eq!(material.bundle, bundle, "{done} {interruption}");
            assert!(material.next.is_none() && accepts(&bundle, &material, start()));
            assert_eq!(material.served.matches("BEGIN").count(), 1);
        }
    }
}

#[test]
fn the_certificate_of_a_long_soak_is_renewed_by_the_ca_that_the_phase_dictates() {
    let mut material = installed(Duration::days(3650));
    let former = material.current.certificate_pem().to_owned();
    while material.state().and_then(|state| state.done) != Some(Phase::Switch) {
        for write in writes(&material, Request::Automatic(AT_ONCE), start()) {
            execute(&mut material, write);
        }
    }
    let later = start() + Duration::days(70);
    let (leaf, signer) = material.renewed(later).unwrap();
    let next = material.next.clone().unwrap().0;
    assert_eq!(signer.inspected().fingerprint, next.inspected().fingerprint);
    for roots in [&*former, next.certificate_pem(), &material.bundle] {
        verify::chain(leaf.chain_pem(), roots, DOMAIN, later).unwrap();
    }
}

#[test]
fn a_ca_that_somebody_replaced_meanwhile_stops_the_rotation_until_it_is_undone() {
    let mut material = installed(Duration::days(3650));
    for write in writes(&material, Request::Automatic(AT_ONCE), start()) {
        execute(&mut material, write);
    }
    // As `install` does it for a new domain: trust comes along.
    let other = installed(Duration::days(3650));
    material.bundle = bundle::merge(&[&other.bundle, &material.bundle], start()).unwrap();
    material.current = other.current;
    let asked = |request| material.next_action(request, start());
    assert_eq!(asked(Request::Automatic(AT_ONCE)), Err(Refusal::OtherAuthority));
    assert_eq!(asked(Request::Abort), Ok(Action::Restore));
    for write in writes(&material, Request::Abort, start()) {
        execute(&mut material, write);
    }
    assert!(accepts(material.current.certificate_pem(), &material, start()));
}

#[test]
fn an_emergency_needs_no_cross_certificate_and_leaves_the_former_ca_nothing() {
    let mut material = installed(Duration::days(3650));
    let former = material.current.clone();
    for write in material.emergency("test", start()).unwrap() {
        execute(&mut material, write);
    }
    assert!(!accepts(former.certificate_pem(), &material, start()));
    assert!(accepts(&material.bundle, &material, start()));
    assert!(material.next.is_none() && !material.bundle.contains(former.certificate_pem()));
}

/// In the middle of a rotation the key of the next CA lay beside the exposed one;
/// and `install` may have put a third CA into place. Every write is interrupted in turn.
#[test]
fn an_emergency_uses_no_exposed_key_and_leaves_no_exposed_ca_trusted() {
    let phases = [None, Some(Phase::Prepare), Some(Phase::Switch), Some(Phase::Soak)];
    for (done, is_replaced) in phases.into_iter().flat_map(|done| [(done, false), (done, true)]) {
        for interruption in 0..7 {
            let mut material = installed(Duration::days(3650));
            while material.state().and_then(|state| state.done) != done {
                for write in writes(&material, Request::Automatic(AT_ONCE), start()) {
                    execute(&mut material, write);
                }
            }
            let mut exposed = vec![material.current.clone()];
            exposed.extend(material.next.clone().map(|(next, _)| next));
            if is_replaced {
                let other = installed(Duration::days(3650));
                material.bundle = bundle::merge(&[&other.bundle, &material.bundle], start()).unwrap();
                material.current = other.current;
                exposed.push(material.current.clone());
            }
            let mut first = material.emergency("test", start()).unwrap();
            first.truncate(interruption);
            for write in first {
                execute(&mut material, write);
            }
            let begun = material.next.clone().map(|(next, _)| next);
            for write in material.emergency("test", start()).unwrap() {
                execute(&mut material, write);
            }
            let seen = format!("{done:?}, replaced: {is_replaced}, interruption {interruption}");
            assert!(material.next.is_none(), "{seen}");
            assert!(accepts(&material.bundle, &material, start()), "{seen}");
            assert_eq!(material.bundle, material.current.certificate_pem(), "{seen}");
            for one in &exposed {
                assert_ne!(material.current.key_pem(), one.key_pem(), "{seen}");
            }
            if interruption > 0 && interruption < 6 {
                let (begun, now) = (begun.unwrap(), &material.current);
                assert_eq!(now.key_pem(), begun.key_pem(), "another key is made: {seen}");
            }
        }
    }
}

/// The retirement of a usual rotation is no emergency: its next key is exposed, too.
#[test]
fn an_emergency_in_the_middle_of_a_retirement_begins_with_a_new_key() {
    for interruption in 1..5 {
        let mut material = installed(Duration::days(3650));
        while material.state().and_then(|state| state.done) != Some(Phase::Soak) {
            for write in writes(&material, Request::Automatic(AT_ONCE), start()) {
                execute(&mut material, write);
            }
        }
        let next = material.next.clone().unwrap().0;
        let mut retiring = writes(&material, Request::Automatic(AT_ONCE), start());
        retiring.truncate(interruption);
        for write in retiring {
            execute(&mut material, write);
        }
        for write in material.emergency("test", start()).unwrap() {
            execute(&mut material, write);
        }
        assert_ne!(material.current.key_pem(), next.key_pem(), "{interruption}");
        assert_eq!(
            material.bundle,
            material.current.certificate_pem(),
            "{interruption}"
        );
    }
}

#[test]
fn an_expired_ca_is_followed_without_a_cross_certificate() {
    let mut material = installed(Duration::days(30));
    let late = start() + Duration::days(40);
    while material.state().and_then(|state| state.done) != Some(Phase::Switch) {
        for write in writes(&material, Request::Automatic(AT_ONCE), late) {
            execute(&mut material, write);
        }
    }
    assert!(accepts(&material.bundle, &material, late));
}

#[test]
fn a_ca_is_followed_when_it_cannot_cover_a_whole_leaf() {
    let authority = authority(Duration::days(100));
    let due = succession_due(authority.inspected(), Duration::days(90));
    assert_eq!(due, start() + Duration::days(10));
    // A clock that is absurd must not panic.
    let _ = succession_due(authority.inspected(), Duration::MAX);
}
