//! One look at the certificates: what is due is done, what somebody has to
//! know is told.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use silica_certs::{authority::Authority, decide::Reason};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{
    apply,
    decide::{self, Found, Order, Verdict},
    observe::{self, Change, Sight},
    schedule::{self, Pace},
};
use crate::context::Context;

/// A warning that still holds is repeated after this time.
const REPEAT: Duration = Duration::from_hours(24);

/// What is remembered between two looks.
pub(super) struct Keeper<'a> {
    context: &'a Context,
    sight: Sight,
    /// In a row.
    failures: u32,
    pace: Pace,
    /// Warnings by reason, with the moment of the last one.
    told: BTreeMap<&'static str, (String, Instant)>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        // Of an earlier term, perhaps of other certificates.
        context.metrics.leaf_not_after.set(0);
        context.metrics.authority_not_after.set(0);
        Self {
            context,
            sight: Sight::default(),
            failures: 0,
            pace: Pace::default(),
            told: BTreeMap::new(),
        }
    }

    /// Takes a change in; says whether it was one.
    pub(super) fn note(&mut self, change: Change) -> bool {
        self.sight.note(change)
    }

    /// Does what is due now; returns the time until the next look.
    pub(super) async fn look(&mut self, now: OffsetDateTime) -> Duration {
        if !self.sight.is_complete() {
            return schedule::LONGEST_SLEEP;
        }
        let authority = self.authority(now);
        let found = Found {
            leaf: self.sight.leaf().map(observe::read_leaf),
            authority: authority.as_ref(),
            bundle: self.sight.bundle().map(observe::read_bundle),
        };
        let verdict = decide::decide(&found, now);
        let metrics = &self.context.metrics;
        metrics.leaf_not_after.set(seconds(verdict.not_after()));
        metrics.authority_not_after.set(seconds(
            authority
                .as_ref()
                .map(|authority| authority.inspected().not_after),
        ));

        let wait = self.pace.wait(Instant::now());
        if matches!(verdict, Verdict::Renew { .. }) && !wait.is_zero() {
            return wait;
        }
        let done = match &authority {
            Some(authority) => self.follow(authority, &verdict, now).await,
            None => Ok(()),
        };
        self.warn(&verdict);
        match done {
            Ok(()) => {
                self.failures = 0;
                let remaining = match verdict {
                    Verdict::Keep { due, .. } => due - now,
                    _ => return schedule::LONGEST_SLEEP,
                };
                let remaining = remaining.try_into().unwrap_or(Duration::ZERO);
                schedule::until_due(remaining, rand::random())
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if error.is_conflict() {
                    tracing::debug!("the certificates changed while they were being renewed");
                } else {
                    metrics.renewal_failures.increment();
                    let text = whole_text(&error);
                    tracing::warn!(
                        error = text,
                        failures = self.failures,
                        "failed to renew the certificate"
                    );
                    if let Some(secret) = self.sight.leaf().cloned() {
                        self.tell(&secret, "CertificateRenewalFailed", text);
                    }
                }
                schedule::until_retry(self.failures, rand::random())
            }
        }
    }

    /// The CA, when it is there and can sign.
    fn authority(&mut self, now: OffsetDateTime) -> Option<Authority> {
        let secret = self.sight.authority()?.clone();
        match observe::read_authority(&secret) {
            Ok(authority) => {
                let found = authority.inspected();
                if decide::authority_ends_too_soon(found, now) {
                    let note = format!(
                        "the CA ends at {}, before a new certificate would; replace it with \
                         `silica rotate-certs --ca`",
                        date(found.not_after)
                    );
                    self.tell(&secret, "CertificateAuthorityEnding", note);
                }
                Some(authority)
            }
            Err(error) => {
                self.tell(&secret, "CertificateAuthorityUnusable", whole_text(&error));
                None
            }
        }
    }

    /// Brings bundle and certificate up to date, in this order.
    async fn follow(
        &mut self,
        authority: &Authority,
        verdict: &Verdict,
        now: OffsetDateTime,
    ) -> Result<(), apply::Error> {
        let trusted = self.publish(authority, now).await;
        let Verdict::Renew { order, .. } = verdict else {
            return trusted.map(|_| ());
        };
        match trusted {
            Ok(bundle) => {
                // Without a bundle clients have the CA's certificate itself.
                let bundle = bundle.unwrap_or_else(|| authority.certificate_pem().to_owned());
                self.renew(authority, order, &bundle, now).await
            }
            // What nobody was told to trust must not be served. A certificate
            // of the same CA as before needs no new trust.
            Err(error) if order.reason == Reason::OtherAuthority => Err(error),
            Err(error) => {
                self.renew(authority, order, authority.certificate_pem(), now)
                    .await?;
                Err(error)
            }
        }
    }

    /// Adds the CA to the bundle unless it is there; returns what the bundle
    /// is then, `None` when there is none.
    async fn publish(
        &self,
        authority: &Authority,
        now: OffsetDateTime,
    ) -> Result<Option<String>, apply::Error> {
        let Some(map) = self.sight.bundle() else {
            return Ok(None);
        };
        let former = observe::read_bundle(map);
        let Some(bundle) = apply::extended_bundle(former, authority, now)? else {
            return Ok(Some(former.to_owned()));
        };
        apply::write_bundle(&self.context.client, map, &bundle).await?;
        let found = authority.inspected();
        tracing::info!(
            fingerprint = found.fingerprint,
            subject = found.subject,
            "CA added to the trust bundle"
        );
        let note = format!("CA {} added, SHA-256 {}", found.subject, found.fingerprint);
        self.context.events.normal(map, "TrustBundleExtended", &note);
        Ok(Some(bundle))
    }

    async fn renew(
        &mut self,
        authority: &Authority,
        order: &Order,
        bundle: &str,
        now: OffsetDateTime,
    ) -> Result<(), apply::Error> {
        let Some(secret) = self.sight.leaf() else {
            return Ok(());
        };
        apply::verify_clock(&self.context.client, now).await?;
        let renewed = {
            let former = observe::read_leaf(secret).pair.key_pem.unwrap_or_default();
            apply::issue(order, authority, bundle, former, now)?
        };
        apply::write_leaf(&self.context.client, secret, &renewed, authority).await?;
        self.context.metrics.renewals.increment();
        let end = renewed.leaf.not_after();
        self.context.metrics.leaf_not_after.set(seconds(Some(end)));
        let (from, end) = (date(renewed.leaf.not_before()), date(end));
        let fingerprint = &renewed.fingerprint;
        let reason = &order.reason;
        tracing::info!(fingerprint, from, end, %reason, "served certificate renewed");
        let note = format!("renewed, because {reason}; valid until {end}, SHA-256 {fingerprint}");
        self.context.events.normal(secret, "CertificateRenewed", &note);
        let in_a_row = self.pace.note(Instant::now());
        if self.pace.is_contended() {
            tracing::warn!(in_a_row, "something else keeps writing the served certificate");
            let note = "renewed again and again: what else writes this Secret?";
            self.context.events.warning(secret, "CertificateContended", note);
        }
        Ok(())
    }

    /// Tells what somebody has to look at.
    fn warn(&mut self, verdict: &Verdict) {
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
                format!(
                    "it ends at {} and comes from elsewhere: renew it where it was issued",
                    date(*not_after)
                ),
            ),
            Verdict::TooEarly { from, .. } => (
                "CertificateNotYetValid",
                format!("it is not valid before {}; is the clock right?", date(*from)),
            ),
            Verdict::Exhausted { not_after } => (
                "CertificateEnding",
                format!(
                    "it ends with its CA at {}; replace the CA with `silica rotate-certs --ca`",
                    date(*not_after)
                ),
            ),
            Verdict::Foreign { .. } | Verdict::Absent | Verdict::Keep { .. } | Verdict::Renew { .. } => {
                return;
            }
        };
        self.tell(&secret, reason, note);
    }

    /// Warns, unless the same was said lately.
    fn tell(&mut self, secret: &Secret, reason: &'static str, note: String) {
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
fn seconds(moment: Option<OffsetDateTime>) -> u64 {
    moment
        .and_then(|moment| u64::try_from(moment.unix_timestamp()).ok())
        .unwrap_or(0)
}

fn date(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.to_string())
}

/// The error with all its sources, for a text that stands alone.
fn whole_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
