//! Setting conditions so that their times of transition are true.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use silica_api::crd::{Condition, ConditionStatus};

/// A list of conditions being updated.
pub(crate) struct Conditions<'a> {
    pub(crate) list: &'a mut Vec<Condition>,
    pub(crate) generation: Option<i64>,
    pub(crate) now: Timestamp,
}

impl Conditions<'_> {
    /// Whether a condition is true.
    pub(super) fn holds(&self, kind: &str) -> bool {
        self.list
            .iter()
            .any(|condition| condition.kind == kind && condition.status == ConditionStatus::True)
    }

    /// Sets one condition; the transition time changes with the status only.
    pub(crate) fn set(&mut self, kind: &str, holds: bool, reason: &str, message: &str) {
        let status = if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        let old = self.list.iter().position(|condition| condition.kind == kind);
        let since = old
            .map(|index| &self.list[index])
            .filter(|condition| condition.status == status);
        let condition = Condition {
            kind: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since.map_or(Time(self.now), |same| same.last_transition_time.clone()),
            observed_generation: self.generation,
        };
        match old {
            Some(index) => self.list[index] = condition,
            None => self.list.push(condition),
        }
    }

    pub(crate) fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition.kind != kind);
    }
}
