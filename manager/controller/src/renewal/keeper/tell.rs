//! What people are told about the certificates.

use k8s_openapi::api::core::v1::Secret;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{Keeper, REPEAT};
use crate::renewal::decide::Verdict;

impl Keeper<'_> {
    /// Tells what somebody has to look at.
    pub(super) fn warn(&mut self, verdict: &Verdict) {
        let Some(secret) = self.sight.leaf().cloned() else {
            return;
        };
        if self.sight.bundle().is_none() && self.sight.authority().is_some() {
            let note = "there is no trust bundle; `silica install` makes it again".to_owned();
            self.tell(&secret, "TrustBundleMissing", note);
        }
        let (reason, note) = match verdict {
            Verdict::Unreadable { what } => ("CertificateUnreadable", format!("it cannot be read: {what}")),
            Verdict::Foreign {
                not_after,
                ends_soon: true,
            } => (
                "CertificateEnding",
                if self.sight.official().is_some() {
                    format!(
                        "it ends at {}: order another one with `silica certs issue --cluster`",
                        date(*not_after)
                    )
                } else {
                    format!(
                        "it ends at {} and comes from elsewhere: renew it where it was issued",
                        date(*not_after)
                    )
                },
            ),
            Verdict::TooEarly { from, .. } => (
                "CertificateNotYetValid",
                format!("it is not valid before {}; is the clock right?", date(*from)),
            ),
            Verdict::Exhausted { not_after } => (
                "CertificateEnding",
                format!(
                    "it ends with its CA at {}, which has to be replaced: see `silica rotate-certs status`",
                    date(*not_after)
                ),
            ),
            Verdict::Foreign { .. }
            | Verdict::Absent
            | Verdict::Keep { .. }
            | Verdict::OrderAnew { .. }
            | Verdict::Renew { .. } => return,
        };
        self.tell(&secret, reason, note);
    }

    /// Warns, unless the same was said lately.
    pub(super) fn tell(&mut self, secret: &Secret, reason: &'static str, note: String) {
        let said = self.told.get(reason);
        if said.is_some_and(|(former, when)| *former == note && when.elapsed() < REPEAT) {
            return;
        }
        tracing::warn!(
            secret = secret.metadata.name,
            reason,
            note,
            "certificates need attention"
        );
        self.context.events.warning(secret, reason, &note);
        self.told.insert(reason, (note, Instant::now()));
    }
}

/// Seconds since 1970 for the metrics, 0 when there are none.
pub(super) fn seconds(moment: Option<OffsetDateTime>) -> u64 {
    moment
        .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok())
        .unwrap_or(0)
}

pub(super) fn date(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.to_string())
}
