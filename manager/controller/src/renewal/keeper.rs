//! One look at the certificates: what is due is done, what somebody has to
//! know is told.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use silica_certs::{
    authority::Authority,
    decide::Reason,
    leaf::LeafRequest,
    rotation::{
        Phase,
        material::{KeySource, Material},
        record::Record,
    },
};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use tokio::time::Instant;

use super::{
    apply,
    decide::{self, Found, Order, Verdict},
    observe::{self, Change, Sight},
    rotate::{Done, Rotation},
    schedule::{self, Pace},
    succession::{self, Plan},
};
use crate::{config::Config, context::Context};

/// Pause while somebody else changes the installation.
const BUSY: Duration = Duration::from_secs(5);
/// A warning that still holds is repeated after this time.
const REPEAT: Duration = Duration::from_hours(24);

/// What is remembered between two looks.
pub(super) struct Keeper<'a> {
    context: &'a Context,
    config: &'a Config,
    sight: Sight,
    /// In a row.
    failures: u32,
    /// The same, of the CA's replacement.
    rotation_failures: u32,
    pace: Pace,
    /// Warnings by reason, with the moment of the last one.
    told: BTreeMap<&'static str, (String, Instant)>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(context: &'a Context, config: &'a Config) -> Self {
        let metrics = &context.metrics;
        // Of an earlier term, perhaps of other certificates.
        for number in [
            &metrics.leaf_not_after,
            &metrics.authority_not_after,
            &metrics.next_authority_not_after,
            &metrics.rotation_phase,
        ] {
            number.set(0);
        }
        Self {
            context,
            config,
            sight: Sight::default(),
            failures: 0,
            rotation_failures: 0,
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
        let authority = self.authority();
        let next = self.next_authority();
        let leaf = self.sight.leaf().cloned();
        let bundle = self.sight.bundle().cloned();
        let found = Found {
            leaf: leaf.as_ref().map(observe::read_leaf),
            authority: authority.as_ref(),
            next: next.as_ref(),
            bundle: bundle.as_ref().map(observe::read_bundle),
        };
        let verdict = decide::decide(&found, now);
        self.show(&verdict, authority.as_ref(), next.as_ref());
        let until_leaf = self.look_at_leaf(&found, &verdict, now).await;
        let until_authority = match found.authority {
            Some(authority) => self.look_at_authority(&found, authority, &verdict, now).await,
            None => schedule::LONGEST_SLEEP,
        };
        until_leaf.min(until_authority)
    }

    fn show(&self, verdict: &Verdict, authority: Option<&Authority>, next: Option<&(Authority, Record)>) {
        let metrics = &self.context.metrics;
        let end = |authority: &Authority| authority.inspected().not_after;
        metrics.leaf_not_after.set(seconds(verdict.not_after()));
        metrics.authority_not_after.set(seconds(authority.map(end)));
        let next_end = next.map(|(next, _)| end(next));
        metrics.next_authority_not_after.set(seconds(next_end));
        let done = next.and_then(|(_, record)| record.state.done);
        let position = |done| Phase::ALL.into_iter().position(|phase| phase == done);
        let phase = done.and_then(position).and_then(|at| u64::try_from(at + 1).ok());
        metrics.rotation_phase.set(phase.unwrap_or(0));
    }

    async fn look_at_leaf(&mut self, found: &Found<'_>, verdict: &Verdict, now: OffsetDateTime) -> Duration {
        let wait = self.pace.wait(Instant::now());
        if matches!(verdict, Verdict::Renew { .. }) && !wait.is_zero() {
            return wait;
        }
        let done = match found.authority {
            Some(authority) => self.follow(found, authority, verdict, now).await,
            None => Ok(()),
        };
        self.warn(verdict);
        match done {
            Ok(()) => {
                self.failures = 0;
                let Verdict::Keep { due, .. } = verdict else {
                    return schedule::LONGEST_SLEEP;
                };
                let remaining = (*due - now).try_into().unwrap_or(Duration::ZERO);
                schedule::until_due(remaining, rand::random())
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if error.is_conflict() {
                    tracing::debug!("the certificates changed while they were being renewed");
                } else {
                    self.context.metrics.renewal_failures.increment();
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
    fn authority(&mut self) -> Option<Authority> {
        let secret = self.sight.authority()?.clone();
        observe::read_authority(&secret)
            .map_err(|error| self.tell(&secret, "CertificateAuthorityUnusable", whole_text(&error)))
            .ok()
    }

    /// The CA of a rotation that is under way.
    fn next_authority(&mut self) -> Option<(Authority, Record)> {
        let secret = self.sight.next()?.clone();
        observe::read_next(&secret)
            .map_err(|error| self.tell(&secret, "CertificateAuthorityUnusable", whole_text(&error)))
            .ok()
    }

    /// Has a CA that nears its end followed by another one, step by step.
    async fn look_at_authority(
        &mut self,
        found: &Found<'_>,
        authority: &Authority,
        verdict: &Verdict,
        now: OffsetDateTime,
    ) -> Duration {
        let Some(secret) = self.sight.authority().cloned() else {
            return schedule::LONGEST_SLEEP;
        };
        let is_off = observe::is_renewal_off(&secret);
        // Without a certificate of its own there are no clients that depend on it.
        let is_used = !matches!(
            verdict,
            Verdict::Absent | Verdict::Unreadable { .. } | Verdict::Foreign { .. }
        );
        let is_limited = authority.inspected().permitted_names.is_some();
        let leaf_life = decide::leaf_life(found);
        let settings = &self.config.authority;
        let asked = succession::Found {
            authority,
            next: found.next,
            is_renewable: is_used && !is_off && is_limited && observe::is_labelled(&secret),
            leaf_life,
        };
        match succession::plan(&asked, settings, now) {
            Plan::Wait(moment) => {
                let remaining = (moment - now).try_into().unwrap_or(Duration::ZERO);
                schedule::until_due(remaining, rand::random())
            }
            Plan::Theirs => schedule::LONGEST_SLEEP,
            Plan::Ending => {
                let note = format!(
                    "the CA ends at {}, before a new certificate would; replace it with \
                     `silica rotate-certs --ca`",
                    date(authority.inspected().not_after)
                );
                self.tell(&secret, "CertificateAuthorityEnding", note);
                schedule::LONGEST_SLEEP
            }
            Plan::Stuck(refusal) => {
                self.tell(&secret, "CertificateAuthorityStuck", refusal.to_string());
                schedule::LONGEST_SLEEP
            }
            Plan::Act => {
                let names = found.leaf.and_then(|leaf| leaf.pair.chain_pem);
                let rotation = Rotation {
                    client: &self.context.client,
                    namespace: &self.config.namespace,
                    identity: &self.config.identity,
                    authority: &authority.inspected().fingerprint,
                    waits: succession::waits(settings, leaf_life),
                    request: LeafRequest {
                        names: decide::names(names.unwrap_or_default()),
                        validity: leaf_life,
                    },
                };
                let done = rotation.step(now).await;
                self.conclude(&secret, done)
            }
        }
    }

    fn conclude(
        &mut self,
        secret: &Secret,
        done: Result<(Done, Option<silica_certs::inspect::Inspected>), apply::Error>,
    ) -> Duration {
        let metrics = &self.context.metrics;
        match done {
            Ok((done, follows)) => {
                self.rotation_failures = 0;
                let follows = follows.map(|next| format!("{}, SHA-256 {}", next.subject, next.fingerprint));
                let follows = follows.unwrap_or_default();
                let note = match done {
                    Done::Nothing => return BUSY,
                    Done::Phase(Phase::Prepare) => format!("the next CA is in the trust bundle: {follows}"),
                    Done::Phase(Phase::Spread) => "clients had time to read the trust bundle".to_owned(),
                    Done::Phase(Phase::Switch) => {
                        format!("serving a certificate of the next CA, with a cross certificate: {follows}")
                    }
                    Done::Phase(Phase::Soak) => "nothing of the former CA's is in use".to_owned(),
                    Done::Phase(Phase::Retire) => {
                        metrics.rotations.increment();
                        format!("the former CA is retired; the CA is {follows}")
                    }
                    Done::Restored => "the former CA was put back".to_owned(),
                };
                tracing::info!(?done, note, "CA replaced by one step");
                let reason = match done {
                    Done::Phase(Phase::Retire) => "CertificateAuthorityReplaced",
                    _ => "CertificateAuthorityRotation",
                };
                self.context.events.normal(secret, reason, &note);
                // The watches bring what was written.
                schedule::LONGEST_SLEEP
            }
            Err(error) if error.is_busy() => {
                tracing::debug!(%error, "waiting with the replacement of the CA");
                BUSY
            }
            Err(error) => {
                self.rotation_failures = self.rotation_failures.saturating_add(1);
                if !error.is_conflict() {
                    metrics.rotation_failures.increment();
                    let text = whole_text(&error);
                    let failures = self.rotation_failures;
                    tracing::warn!(error = text, failures, "failed to replace the CA");
                    self.tell(secret, "CertificateAuthorityRotationFailed", text);
                }
                schedule::until_retry(self.rotation_failures, rand::random())
            }
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
        self.context.metrics.renewals.increment();
        let end = leaf.not_after();
        self.context.metrics.leaf_not_after.set(seconds(Some(end)));
        let (from, end) = (date(leaf.not_before()), date(end));
        let fingerprint = apply::fingerprint(&leaf);
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
                    "it ends with its CA at {}, which has to be replaced: see `silica rotate-certs status`",
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
