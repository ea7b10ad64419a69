//! `silica rotate-certs status`: how far the replacement of the CA got. Reads
//! only, so it needs no lock.

use serde_json::{Value, json};
use silica_certs::{
    inspect::{self, Inspected},
    rotation::{Action, Course, Phase, Request, Waits, material::Material},
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

fn following(material: &Material, now: OffsetDateTime) -> String {
    match material.next_action(Request::Automatic(Waits::default()), now) {
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
