//! The state of a rotation as marks on the object that holds the next CA's
//! key: whoever goes on with it, on any machine, reads it from there.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Course, Phase, State, Waits};

const PHASE: &str = "silica/rotation-phase";
const COURSE: &str = "silica/rotation-course";
const SINCE: &str = "silica/rotation-since";
const OLD_LEAF_UNTIL: &str = "silica/rotation-old-leaf-until";
/// Fingerprint of the CA that is replaced: it is known by it even when the
/// last phase was interrupted after its certificate had been overwritten.
const FORMER: &str = "silica/rotation-former";
const STARTED_BY: &str = "silica/rotation-started-by";
const EMERGENCY: &str = "silica/rotation-emergency";
const WAITS: &str = "silica/rotation-waits";

/// A rotation as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Fingerprint of the CA that is replaced.
    pub former: String,
    /// Who began it: only they go on with it without being asked.
    pub started_by: String,
    /// Whether the former CA's key is in wrong hands: nothing but the next CA stays
    /// trusted, and only what was made since is used.
    pub is_emergency: bool,
    /// The waits by which whoever began it goes on by itself; `None` when that is
    /// not kept. Others tell by it what comes next and when.
    pub waits: Option<Waits>,
    /// How far it got.
    pub state: State,
}

impl Record {
    /// The beginning of a rotation.
    pub fn begin(former: &str, started_by: &str, now: OffsetDateTime) -> Self {
        Self {
            former: former.to_owned(),
            started_by: started_by.to_owned(),
            is_emergency: false,
            waits: None,
            state: State {
                done: None,
                course: Course::Ahead,
                since: now,
                old_leaf_until: now,
            },
        }
    }

    /// Reads the marks. What is missing or malformed reads as a rotation whose
    /// first phase is not done: doing that again harms nothing.
    pub fn read(marks: &BTreeMap<String, String>) -> Self {
        let text = |key| marks.get(key).map(String::as_str).unwrap_or_default();
        let moment = |key| OffsetDateTime::parse(text(key), &Rfc3339).ok();
        let (since, until) = (moment(SINCE), moment(OLD_LEAF_UNTIL));
        let done = text(PHASE).parse::<Phase>().ok();
        Self {
            former: text(FORMER).to_owned(),
            started_by: text(STARTED_BY).to_owned(),
            is_emergency: text(EMERGENCY) == "true",
            waits: read_waits(text(WAITS)),
            state: State {
                done: done.filter(|_| since.is_some() && until.is_some()),
                course: match text(COURSE) {
                    "retiring" => Course::Retiring,
                    "undoing" => Course::Undoing,
                    _ => Course::Ahead,
                },
                since: since.unwrap_or(OffsetDateTime::UNIX_EPOCH),
                old_leaf_until: until.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            },
        }
    }

    /// The marks; a value that is `None` has to be absent.
    pub fn marks(&self) -> BTreeMap<String, Option<String>> {
        let moment = |moment: OffsetDateTime| moment.format(&Rfc3339).unwrap_or_default();
        let course = match self.state.course {
            Course::Ahead => None,
            Course::Retiring => Some("retiring".to_owned()),
            Course::Undoing => Some("undoing".to_owned()),
        };
        BTreeMap::from([
            (FORMER.to_owned(), Some(self.former.clone())),
            (STARTED_BY.to_owned(), Some(self.started_by.clone())),
            (PHASE.to_owned(), self.state.done.map(|phase| phase.to_string())),
            (COURSE.to_owned(), course),
            (SINCE.to_owned(), Some(moment(self.state.since))),
            (OLD_LEAF_UNTIL.to_owned(), Some(moment(self.state.old_leaf_until))),
            (EMERGENCY.to_owned(), self.is_emergency.then(|| "true".to_owned())),
            (WAITS.to_owned(), self.waits.map(write_waits)),
        ])
    }
}

/// Seconds of spread and soak, and what follows the soak.
fn write_waits(waits: Waits) -> String {
    let mut text = format!(
        "spread={} soak={}",
        waits.spread.whole_seconds(),
        waits.soak.whole_seconds()
    );
    for (is_so, word) in [(waits.outlives_leaf, " leaf"), (waits.retires, " retire")] {
        text.push_str(if is_so { word } else { "" });
    }
    text
}

fn read_waits(text: &str) -> Option<Waits> {
    let words: Vec<&str> = text.split(' ').collect();
    let span = |key: &str| {
        let value = words.iter().find_map(|word| word.strip_prefix(key))?;
        Some(Duration::seconds(value.parse().ok()?))
    };
    Some(Waits {
        spread: span("spread=")?,
        soak: span("soak=")?,
        outlives_leaf: words.contains(&"leaf"),
        retires: words.contains(&"retire"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for done in [None, Some(Phase::Switch)] {
            for course in [Course::Ahead, Course::Retiring, Course::Undoing] {
                let is_controller = done.is_some();
                let record = Record {
                    former: "ab12".into(),
                    started_by: "somebody".into(),
                    is_emergency: !is_controller,
                    waits: is_controller.then_some(Waits {
                        soak: Duration::days(90),
                        retires: true,
                        ..Waits::default()
                    }),
                    state: State {
                        done,
                        course,
                        since: at(1_800_000_000),
                        old_leaf_until: at(1_805_000_000),
                    },
                };
                let marks = record.marks();
                let present = marks.into_iter().filter_map(|(key, value)| Some((key, value?)));
                assert_eq!(Record::read(&present.collect()), record);
            }
        }
    }

    #[test]
    fn marks_that_are_damaged_read_as_a_rotation_that_has_just_begun() {
        let marks = BTreeMap::from([
            (PHASE.to_owned(), "switch".to_owned()),
            (SINCE.to_owned(), "yesterday".to_owned()),
            (WAITS.to_owned(), "spread=soon".to_owned()),
        ]);
        let read = Record::read(&marks);
        assert_eq!((read.state.done, read.waits), (None, None));
    }
}
