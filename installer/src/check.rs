//! Checks and their findings: the form in which every preflight result comes.

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not looked at, with a reason.
    Skip,
    /// Fine.
    Pass,
    /// Works, but the user should know.
    Warn,
    /// Nothing after it can be right.
    Fail,
}

/// One finished check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Stable name for programs.
    pub id: &'static str,
    /// One line for people.
    pub title: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do, with the command that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the failure is a lack of rights.
    #[serde(skip)]
    pub is_permission: bool,
}

impl Check {
    /// A check that is fine.
    pub fn pass(id: &'static str, title: impl Into<String>) -> Self {
        Self {
            id,
            title: title.into(),
            verdict: Verdict::Pass,
            detail: String::new(),
            hint: None,
            is_permission: false,
        }
    }

    /// A check that says to look twice.
    pub fn warn(id: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            detail: detail.into(),
            ..Self::pass(id, title)
        }
    }

    /// A check that stops the run.
    pub fn fail(id: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            detail: detail.into(),
            ..Self::pass(id, title)
        }
    }

    /// A check that does not apply.
    pub fn skip(id: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skip,
            detail: detail.into(),
            ..Self::pass(id, title)
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Marks the failure as a lack of rights.
    #[must_use]
    pub fn permission(self) -> Self {
        Self {
            is_permission: true,
            ..self
        }
    }
}

/// All checks of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// The checks that stop the run.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Fail)
    }

    /// Whether nothing stops the run.
    pub fn is_fine(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Whether lack of rights is the only thing that stops the run.
    pub fn lacks_rights_only(&self) -> bool {
        !self.is_fine() && self.failures().all(|check| check.is_permission)
    }
}
