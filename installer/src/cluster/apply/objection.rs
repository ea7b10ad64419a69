//! What the server has against an object, found by a dry run.

use std::fmt::{self, Display};

use kube::core::Status;

use crate::cluster::Refusal;

/// `reason` of a cause that names a field with another manager.
const FIELD_CONFLICT: &str = "FieldManagerConflict";

/// An object that the server would not take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Objection {
    /// The object's title.
    pub object: String,
    /// Why.
    pub why: Why,
}

/// Why an object would not be taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// Somebody else set these fields to other values.
    Fields(Vec<Field>),
    /// The server's own words, for example of a webhook or of an immutable field.
    Said(String),
}

/// A field that has another manager.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Its path, for example `.spec.replicas`.
    pub path: String,
    /// Who set it, for example `kubectl-edit`.
    pub manager: String,
}

impl Objection {
    /// Reads an answer; `None` when it speaks of something else than the object,
    /// such as rights or the state of the server.
    pub fn of(object: &str, answer: &Status) -> Option<Self> {
        let why = match answer.code {
            409 => Why::Fields(fields(answer)),
            400 | 422 => Why::Said(answer.message.clone()),
            403 if is_about_the_object(answer) => Why::Said(answer.message.clone()),
            _ => return None,
        };
        let why = match why {
            Why::Fields(fields) if fields.is_empty() => Why::Said(answer.message.clone()),
            other => other,
        };
        Some(Self {
            object: object.to_owned(),
            why,
        })
    }

    /// Whether `--force-conflicts` overcomes it.
    pub const fn is_conflict(&self) -> bool {
        matches!(self.why, Why::Fields(_))
    }
}

/// Quotas and policies answer with the code of missing rights. A namespace that goes says
/// nothing about the object.
fn is_about_the_object(answer: &Status) -> bool {
    matches!(Refusal::of(answer), Some(Refusal::Quota | Refusal::Admission))
}

fn fields(answer: &Status) -> Vec<Field> {
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == FIELD_CONFLICT)
        .map(|cause| Field {
            path: cause.field.clone(),
            // conflict with "kubectl-edit" using apps/v1
            manager: cause
                .message
                .split('"')
                .nth(1)
                .unwrap_or(&cause.message)
                .to_owned(),
        })
        .collect()
}

impl Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        match &self.why {
            Why::Said(text) => f.write_str(text),
            Why::Fields(fields) => {
                for (index, Field { path, manager }) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{path} was set by {manager:?}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(code: u16, causes: &serde_json::Value) -> Status {
        serde_json::from_value(
            json!({"status": "Failure", "message": "why", "reason": "R", "code": code,
            "details": {"causes": causes}}),
        )
        .unwrap()
    }

    #[test]
    fn a_conflict_names_every_field_and_its_manager() {
        let objection = Objection::of(
            "Deployment a/b",
            &answer(
                409,
                &json!([
                    {"reason": "FieldManagerConflict", "field": ".spec.replicas",
                        "message": "conflict with \"kubectl-edit\" using apps/v1"},
                    {"reason": "FieldManagerConflict", "field": ".spec.paused",
                        "message": "conflict with \"argocd\" with subresource \"scale\" using apps/v1"}]),
            ),
        )
        .unwrap();
        assert!(objection.is_conflict());
        assert_eq!(
            objection.to_string(),
            "Deployment a/b: .spec.replicas was set by \"kubectl-edit\", .spec.paused was set by \"argocd\""
        );
    }

    #[test]
    fn other_words_of_the_server_are_told_as_they_are() {
        let said =
            |code| Objection::of("A b", &answer(code, &json!([]))).map(|objection| objection.to_string());
        assert_eq!(said(422).as_deref(), Some("A b: why"));
        assert_eq!(said(409).as_deref(), Some("A b: why"));
        for not_of_the_object in [401, 404, 500] {
            assert_eq!(said(not_of_the_object), None);
        }
    }
}
