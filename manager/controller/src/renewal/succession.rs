//! Whether the CA is followed by another one now. Pure: what was found and the
//! time go in; the phases themselves are decided on in `silica_certs::rotation`.

use silica_api::names;
use silica_certs::{
    authority::Authority,
    rotation::{Action, Refusal, Request, Waits, material, material::Material, record::Record},
};
use time::{Duration, OffsetDateTime};

use crate::config::AuthorityRenewal;

/// What is to be done about the CA.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Plan {
    /// Nothing before this moment.
    Wait(OffsetDateTime),
    /// A step is due.
    Act,
    /// The CA nears its end, and to replace it is not our task.
    Ending,
    /// Somebody else replaces it, at their own pace.
    Theirs,
    /// A certificate from elsewhere is served: nobody depends on the CA, and its
    /// replacement would end with a certificate of our own in that one's place.
    Unused,
    /// A rotation that we began cannot go on.
    Stuck(Refusal),
}

/// The CA and what is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) next: Option<&'a (Authority, Record)>,
    /// Whether the served certificate is its, or of a CA that it replaces.
    pub(crate) is_used: bool,
    /// Whether this product made it, and nobody forbids to replace it.
    pub(crate) is_renewable: bool,
    /// The life of the next server certificate.
    pub(crate) leaf_life: Duration,
}

/// The waits of a rotation that the controller began.
pub(crate) fn waits(settings: &AuthorityRenewal, leaf_life: Duration) -> Waits {
    let span = |time: std::time::Duration| Duration::try_from(time).unwrap_or(Duration::MAX);
    let mut waits = material::unattended(leaf_life);
    if let Some(soak) = settings.soak {
        waits.soak = span(soak);
        waits.outlives_leaf = false;
    }
    waits.spread = settings.spread.map_or(waits.spread, span);
    waits
}

/// Plans.
pub(crate) fn plan(found: &Found<'_>, settings: &AuthorityRenewal, now: OffsetDateTime) -> Plan {
    let Some((_, record)) = found.next else {
        let due = material::succession_due(found.authority.inspected(), found.leaf_life);
        return match now >= due {
            false => Plan::Wait(due),
            true if !found.is_used => Plan::Unused,
            true if settings.is_on && found.is_renewable => Plan::Act,
            true => Plan::Ending,
        };
    };
    if record.started_by != names::CONTROLLER || !settings.is_on {
        return Plan::Theirs;
    }
    if !found.is_used {
        return Plan::Unused;
    }
    let material = Material {
        current: found.authority.clone(),
        next: found.next.cloned(),
        bundle: String::new(),
        served: String::new(),
        request: silica_certs::leaf::LeafRequest::new(Vec::new()),
        key: material::KeySource::Former(None),
    };
    let asked = Request::Automatic(waits(settings, found.leaf_life));
    match material.next_action(asked, now) {
        Ok(Action::Do(_) | Action::Restore) => Plan::Act,
        Ok(Action::WaitUntil(moment)) => Plan::Wait(moment),
        Ok(Action::AwaitRetire | Action::Nothing) => Plan::Theirs,
        Err(refusal) => Plan::Stuck(refusal),
    }
}

#[cfg(test)]
mod tests {
    use silica_certs::authority::AuthorityRequest;
    use silica_certs::rotation::{Course, Phase, State};

    use super::*;

    const ON: AuthorityRenewal = AuthorityRenewal {
        is_on: true,
        spread: None,
        soak: None,
    };

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn authority(days: i64) -> Authority {
        let request = AuthorityRequest {
            validity: Duration::days(days),
            ..AuthorityRequest::new(vec!["a.example".to_owned()], Vec::new())
        };
        Authority::create(&request, start()).unwrap()
    }

    fn found(authority: &Authority) -> Found<'_> {
        Found {
            authority,
            next: None,
            is_used: true,
            is_renewable: true,
            leaf_life: Duration::days(90),
        }
    }

    #[test]
    fn a_ca_is_replaced_when_it_cannot_cover_a_whole_certificate() {
        let authority = authority(100);
        let at = |days| plan(&found(&authority), &ON, start() + Duration::days(days));
        assert_eq!(at(9), Plan::Wait(start() + Duration::days(10)));
        assert_eq!(at(10), Plan::Act);
        assert_eq!(at(500), Plan::Act, "also when its end was missed");
        // A clock that went back waits; it does not begin anything.
        assert_eq!(at(-400), Plan::Wait(start() + Duration::days(10)));
    }

    #[test]
    fn a_ca_of_somebody_else_is_only_reported() {
        let authority = authority(10);
        let mut foreign = found(&authority);
        foreign.is_renewable = false;
        assert_eq!(plan(&foreign, &ON, start()), Plan::Ending);
        let off = AuthorityRenewal { is_on: false, ..ON };
        assert_eq!(plan(&found(&authority), &off, start()), Plan::Ending);
    }

    #[test]
    fn nothing_happens_to_a_ca_while_a_certificate_from_elsewhere_is_served() {
        let (current, next) = (authority(10), authority(3650));
        let mut unused = found(&current);
        unused.is_used = false;
        assert_eq!(plan(&unused, &ON, start()), Plan::Unused);
        // Also when its replacement has begun: the next step is a certificate.
        let record = Record {
            state: State {
                done: Some(Phase::Spread),
                course: Course::Ahead,
                since: start(),
                old_leaf_until: start() + Duration::days(10),
            },
            ..Record::begin(&current.inspected().fingerprint, names::CONTROLLER, start())
        };
        let rotation = (next, record);
        unused.next = Some(&rotation);
        assert_eq!(plan(&unused, &ON, start()), Plan::Unused);
        unused.is_used = true;
        assert_eq!(plan(&unused, &ON, start()), Plan::Act);
    }

    #[test]
    fn only_a_rotation_of_our_own_is_gone_on_with() {
        let (current, next) = (authority(10), authority(3650));
        let rotation = |by: &str, done, since| {
            let record = Record {
                state: State {
                    done: Some(done),
                    course: Course::Ahead,
                    since,
                    old_leaf_until: start() + Duration::days(10),
                },
                ..Record::begin(&current.inspected().fingerprint, by, start())
            };
            (next.clone(), record)
        };
        let ask = |rotation: &(Authority, Record), now| {
            let mut found = found(&current);
            found.next = Some(rotation);
            plan(&found, &ON, now)
        };
        let theirs = rotation("silica", Phase::Spread, start());
        assert_eq!(ask(&theirs, start()), Plan::Theirs);
        let ours = rotation(names::CONTROLLER, Phase::Spread, start());
        assert_eq!(ask(&ours, start()), Plan::Act);
        // Clients get the life of a certificate, whatever the old CA has left.
        let soaking = rotation(names::CONTROLLER, Phase::Switch, start());
        let end = start() + Duration::days(90);
        assert_eq!(ask(&soaking, start()), Plan::Wait(end));
        assert_eq!(ask(&soaking, end), Plan::Act);
        let mut stuck = ours;
        stuck.1.former = "another".to_owned();
        assert_eq!(ask(&stuck, start()), Plan::Stuck(Refusal::OtherAuthority));
    }
}
