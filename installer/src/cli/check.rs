//! Checks and their findings: the form in which every preflight result comes.

use std::{collections::BTreeMap, time::Duration};

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

/// What a check is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// The cluster itself.
    Cluster,
    /// What the user may do.
    Rights,
    /// What is there already.
    Conflicts,
    /// Nodes and images for our own pods.
    Pods,
    /// Names, and the way in from outside.
    Exposure,
}

impl Category {
    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Rights => "Rights",
            Self::Conflicts => "Other installations",
            Self::Pods => "Pods",
            Self::Exposure => "Names and way in",
        }
    }
}

/// The checks of the preflight by id. Each has a heading with its id in
/// [`TROUBLESHOOTING`].
pub const PREFLIGHT: [(&str, Category); 17] = [
    ("kubernetes-version", Category::Cluster),
    ("native-sidecars", Category::Cluster),
    ("clock", Category::Cluster),
    ("rights", Category::Rights),
    ("namespace", Category::Conflicts),
    ("crds", Category::Conflicts),
    ("crds-upgrade", Category::Conflicts),
    ("objects", Category::Conflicts),
    ("webhooks", Category::Conflicts),
    ("image-delivery", Category::Pods),
    ("node-architecture", Category::Pods),
    ("capacity", Category::Pods),
    ("template-namespace", Category::Pods),
    ("domain", Category::Exposure),
    ("ingress-class", Category::Exposure),
    ("gateway", Category::Exposure),
    ("host-ports", Category::Exposure),
];

/// The page that explains the checks.
pub const TROUBLESHOOTING: &str = "docs/troubleshooting.md";

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
    /// Where it is explained, when it is not fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub see: Option<String>,
    /// What it is about; preflight only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// How long reading what it judges took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
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
            see: None,
            category: None,
            elapsed_ms: None,
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

impl Check {
    /// As one of the preflight: with category, explanation and time.
    fn of_preflight(mut self, timings: &BTreeMap<&'static str, Duration>) -> Self {
        if let Some((id, category)) = PREFLIGHT.iter().find(|(id, _)| *id == self.id) {
            self.category = Some(*category);
            if matches!(self.verdict, Verdict::Warn | Verdict::Fail) {
                self.see = Some(format!("{TROUBLESHOOTING}#{id}"));
            }
        }
        let elapsed = timings.get(self.id);
        self.elapsed_ms = elapsed.and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok());
        self
    }
}

/// All checks of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// The checks of the preflight, in the order of their categories.
    pub fn of_preflight(checks: Vec<Check>, timings: &BTreeMap<&'static str, Duration>) -> Self {
        let mut checks: Vec<Check> = checks
            .into_iter()
            .map(|check| check.of_preflight(timings))
            .collect();
        checks.sort_by_key(|check| check.category);
        Self { checks }
    }

    /// One line: how many checks ended how.
    pub fn summary(&self) -> String {
        let count = |verdict| {
            self.checks
                .iter()
                .filter(|check| check.verdict == verdict)
                .count()
        };
        let mut parts = vec![format!("{} passed", count(Verdict::Pass))];
        for (verdict, what) in [
            (Verdict::Warn, "with warnings"),
            (Verdict::Fail, "failed"),
            (Verdict::Skip, "skipped"),
        ] {
            if count(verdict) > 0 {
                parts.push(format!("{} {what}", count(verdict)));
            }
        }
        format!("{} checks: {}", self.checks.len(), parts.join(", "))
    }

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
