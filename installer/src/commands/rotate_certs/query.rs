//! `silica rotate-certs status`: how far the replacement of the CA got. Reads
//! only, so it needs no lock.

use serde_json::{Value, json};
use silica_api::names;
use silica_certs::{
    inspect::{self, Inspected},
    rotation::{
        Action, Course, Phase, Request, Waits,
        material::{Material, unattended},
    },
};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A moment as it is shown.
pub fn shown(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    let moment = moment.replace_nanosecond(0).unwrap_or(moment);
    moment.format(&Rfc3339).unwrap_or_default()
}

/// What there is to tell.
pub struct Status<'a> {
    material: &'a Material,
    served: Option<Inspected>,
    chain: usize,
    next: String,
}

impl<'a> Status<'a> {
    /// Looks at the state as it is `now`.
    pub fn of(material: &'a Material, now: OffsetDateTime) -> Self {
        let mut chain = inspect::parse_chain(&material.served).unwrap_or_default();
        Self {
            material,
            chain: chain.len(),
            served: if chain.is_empty() {
                None
            } else {
                Some(chain.swap_remove(0))
            },
            next: following(material, now),
        }
    }

    /// One fact a line.
    pub fn lines(&self) -> Vec<String> {
        let Some((next, record)) = &self.material.next else {
            return vec![
                "no rotation of the CA is under way".to_owned(),
                format!("  CA      {}", described(self.material.current.inspected())),
                format!("  served  {}", self.served()),
            ];
        };
        let state = &record.state;
        let course = match state.course {
            Course::Ahead => "",
            Course::Retiring => ", and the former CA is being retired",
            Course::Undoing => ", and the rotation is being undone",
        };
        let first = match state.done {
            None => format!("phase prepare was begun{course}"),
            Some(done) => format!("phase {done} done since {}{course}", shown(state.since)),
        };
        let mut lines = vec![
            first,
            format!("  former CA   {}", described(self.material.current.inspected())),
            format!("  next CA     {}", described(next.inspected())),
            format!("  served      {}", self.served()),
            format!("  next        {}", self.next),
        ];
        if !record.started_by.is_empty() {
            lines.push(format!("  started by  {}", record.started_by));
        }
        lines
    }

    /// The same for programs.
    pub fn json(&self, outcome: Option<&str>) -> Value {
        let record = self.material.next.as_ref().map(|(_, record)| record);
        let state = record.map(|record| &record.state);
        let of = |one: &Inspected| json!({"subject": one.subject, "fingerprint": one.fingerprint, "notAfter": shown(one.not_after)});
        json!({
            "phase": state.and_then(|state| state.done).map(Phase::as_str),
            "course": state.map(|state| match state.course {
                Course::Ahead => "ahead",
                Course::Retiring => "retiring",
                Course::Undoing => "undoing",
            }),
            "since": state.map(|state| shown(state.since)),
            "oldLeafUntil": state.map(|state| shown(state.old_leaf_until)),
            "startedBy": record.map(|record| &record.started_by),
            "authority": of(self.material.current.inspected()),
            "nextAuthority": self.material.next.as_ref().map(|(next, _)| of(next.inspected())),
            "served": self.served.as_ref().map(|served| json!({
                "fingerprint": served.fingerprint,
                "issuer": served.issuer,
                "notAfter": shown(served.not_after),
                "certificates": self.chain,
            })),
            "next": outcome.unwrap_or(&self.next),
        })
    }

    fn served(&self) -> String {
        let Some(served) = &self.served else {
            return "nothing that can be read".to_owned();
        };
        let cross = if self.chain > 1 {
            ", with a cross certificate"
        } else {
            ""
        };
        format!("by {}{cross}, until {}", served.issuer, shown(served.not_after))
    }
}

fn described(one: &Inspected) -> String {
    format!("{}, until {}", one.subject, shown(one.not_after))
}

/// The waits by which the controller goes on with a rotation that it began; `None` when
/// a person began it, or nobody.
pub fn controllers_waits(material: &Material) -> Option<Waits> {
    let (_, record) = material.next.as_ref()?;
    let is_controllers = record.started_by == names::CONTROLLER;
    is_controllers.then(|| {
        record
            .waits
            .unwrap_or_else(|| unattended(material.request.validity))
    })
}

fn following(material: &Material, now: OffsetDateTime) -> String {
    let waits = controllers_waits(material).unwrap_or_default();
    match material.next_action(Request::Automatic(waits), now) {
        Err(refusal) => refusal.to_string(),
        Ok(Action::Do(phase)) => phase.to_string(),
        Ok(Action::Restore) => "the former CA is put back, with --abort".to_owned(),
        Ok(Action::WaitUntil(moment)) => {
            let done = material.state().and_then(|state| state.done);
            let next = silica_certs::rotation::following(done).map_or("nothing", Phase::as_str);
            format!("{next}, not before {}", shown(moment))
        }
        Ok(Action::AwaitRetire) => "retire, when every client has the new trust bundle".to_owned(),
        Ok(Action::Nothing) => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use silica_certs::{
        LEAF_VALIDITY,
        authority::{Authority, AuthorityRequest},
        leaf::LeafRequest,
        rotation::{State, material::KeySource, record::Record},
    };
    use time::Duration;

    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-06-01 12:00 UTC);

    /// Switched a moment ago; the last certificate of the former CA ends in 20 days.
    fn switched(started_by: &str, waits: Option<Waits>) -> Material {
        let made = || {
            let request = AuthorityRequest::new(vec!["a.example".to_owned()], Vec::new());
            Authority::create(&request, NOW).unwrap()
        };
        let (current, next) = (made(), made());
        let record = Record {
            waits,
            state: State {
                done: Some(Phase::Switch),
                course: Course::Ahead,
                since: NOW,
                old_leaf_until: NOW + Duration::days(20),
            },
            ..Record::begin(&current.inspected().fingerprint, started_by, NOW)
        };
        Material {
            current,
            next: Some((next, record)),
            bundle: String::new(),
            served: String::new(),
            request: LeafRequest {
                names: Vec::new(),
                validity: LEAF_VALIDITY,
            },
            key: KeySource::Former(None),
        }
    }

    fn next(material: &Material, days: i64) -> String {
        Status::of(material, NOW + Duration::days(days)).next
    }

    #[test]
    fn a_rotation_of_the_controller_is_told_by_the_controllers_waits() {
        let by_hand = switched(names::FIELD_MANAGER_INSTALLER, None);
        assert_eq!(next(&by_hand, 0), "soak, not before 2026-06-21T12:00:00Z");
        assert_eq!(controllers_waits(&by_hand), None);
        let by_controller = switched(names::CONTROLLER, None);
        assert_eq!(next(&by_controller, 21), "soak, not before 2026-08-30T12:00:00Z");
        let chosen = Waits {
            soak: Duration::days(7),
            outlives_leaf: false,
            retires: true,
            ..Waits::default()
        };
        let by_controller = switched(names::CONTROLLER, Some(chosen));
        assert_eq!(next(&by_controller, 0), "soak, not before 2026-06-08T12:00:00Z");
        assert_eq!(controllers_waits(&by_controller), Some(chosen));
    }
}
