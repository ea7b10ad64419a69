//! The served certificate: renewed when it is due, after its CA is trusted.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use silica_certs::{
    authority::Authority,
    decide::Reason,
    rotation::material::{KeySource, Material},
    whole_text,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    Keeper,
    tell::{date, seconds},
};
use crate::renewal::{
    apply,
    decide::{Found, Order, Verdict},
    observe,
    official::Official,
    schedule,
};

impl Keeper<'_> {
    /// Does what the verdict asks for; returns the time until the next look.
    pub(super) async fn look_at_leaf(
        &mut self,
        found: &Found<'_>,
        verdict: &Verdict,
        official: Option<&Official>,
        now: OffsetDateTime,
    ) -> Duration {
        let wait = self.wait(verdict, now);
        if !wait.is_zero() {
            return wait.min(schedule::LONGEST_SLEEP);
        }
        let trusted = match found.authority {
            Some(authority) => self.follow(found, authority, verdict, now).await,
            None => Ok(()),
        };
        let done = match (verdict, official) {
            // Boxed: the future is large.
            (Verdict::OrderAnew { domains, .. }, Some(official)) => {
                Box::pin(self.order(official, domains, now)).await.and(trusted)
            }
            _ => trusted,
        };
        self.warn(verdict);
        match done {
            Ok(()) => {
                self.failures = 0;
                let Verdict::Keep { due, .. } = verdict else {
                    return schedule::LONGEST_SLEEP;
                };
                self.reorder.forgive();
                let remaining = (*due - now).try_into().unwrap_or(Duration::ZERO);
                schedule::until_due(remaining, rand::random())
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Counts and tells a failure; returns the time until the next trial.
    fn failed(&mut self, error: &apply::Error) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if error.is_conflict() {
            tracing::debug!("the certificates changed while they were being renewed");
        } else {
            self.context.metrics.renewal_failures.increment();
            let text = whole_text(error);
            let failures = self.failures;
            tracing::warn!(error = text, failures, "failed to renew the certificate");
            if let Some(secret) = self.sight.leaf().cloned() {
                self.tell(&secret, "CertificateRenewalFailed", text);
            }
        }
        match error {
            apply::Error::Order(error) => {
                let now = Instant::now();
                self.reorder.failed(now, error.retry_after(), rand::random());
                self.reorder.wait(now).min(schedule::LONGEST_SLEEP)
            }
            _ => schedule::until_retry(self.failures, rand::random()),
        }
    }

    /// How long something that is due has to wait.
    fn wait(&self, verdict: &Verdict, now: OffsetDateTime) -> Duration {
        let at = Instant::now();
        match verdict {
            Verdict::Renew { .. } => self.pace.wait(at),
            Verdict::OrderAnew { domains, .. } if self.ordered_before(domains, now).is_some() => {
                self.pace.wait(at)
            }
            Verdict::OrderAnew { .. } => self.pace.wait(at).max(self.reorder.wait(at)),
            _ => Duration::ZERO,
        }
    }

    /// Brings bundle and certificate up to date, in this order.
    async fn follow(
        &mut self,
        found: &Found<'_>,
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
                let bundle = bundle.unwrap_or_default();
                self.renew(found, authority, order, bundle, now).await
            }
            // What nobody was told to trust must not be served. A certificate
            // of the same CA as before needs no new trust.
            Err(error) if order.reason == Reason::OtherAuthority => Err(error),
            Err(error) => {
                self.renew(found, authority, order, String::new(), now).await?;
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
        let client = &self.context.client;
        // One watch may be ahead of the other: a CA that was just retired must
        // not come back into the bundle.
        if !apply::is_current(client, &self.config.namespace, authority).await? {
            return Ok(Some(former.to_owned()));
        }
        apply::write_bundle(client, map, &bundle).await?;
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
        found: &Found<'_>,
        authority: &Authority,
        order: &Order,
        bundle: String,
        now: OffsetDateTime,
    ) -> Result<(), apply::Error> {
        let Some(secret) = self.sight.leaf() else {
            return Ok(());
        };
        let fingerprint = &authority.inspected().fingerprint;
        let material = Material {
            current: authority.clone(),
            next: found
                .next
                .filter(|(_, record)| record.former == *fingerprint)
                .cloned(),
            bundle,
            served: String::new(),
            request: order.request.clone(),
            key: KeySource::Former(observe::read_key(secret)),
        };
        apply::verify_clock(&self.context.client, now).await?;
        let (leaf, signer) = apply::issue(order, &material, now)?;
        apply::write_leaf(&self.context.client, secret, &leaf, &signer).await?;
        let (from, end) = (date(leaf.not_before()), date(leaf.not_after()));
        let fingerprint = apply::fingerprint(&leaf);
        let reason = &order.reason;
        tracing::info!(fingerprint, from, end, %reason, "served certificate renewed");
        let note = format!("renewed, because {reason}; valid until {end}, SHA-256 {fingerprint}");
        self.conclude_renewal(&secret.clone(), leaf.not_after(), &note);
        Ok(())
    }

    /// Counts and tells that another certificate is served now.
    pub(super) fn conclude_renewal(&mut self, secret: &Secret, not_after: OffsetDateTime, note: &str) {
        self.context.metrics.renewals.increment();
        self.context.metrics.leaf_not_after.set(seconds(Some(not_after)));
        self.context.events.normal(secret, "CertificateRenewed", note);
        let in_a_row = self.pace.note(Instant::now());
        if self.pace.is_contended() {
            tracing::warn!(in_a_row, "something else keeps writing the served certificate");
            let note = "renewed again and again: what else writes this Secret?";
            self.context.events.warning(secret, "CertificateContended", note);
        }
    }
}
