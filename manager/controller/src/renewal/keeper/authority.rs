//! The CA: one that nears its end is followed by another one, step by step.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use silica_certs::{
    authority::Authority,
    inspect::Inspected,
    leaf::LeafRequest,
    rotation::{Phase, record::Record},
    whole_text,
};
use time::OffsetDateTime;

use super::{Keeper, tell::date};
use crate::renewal::{
    apply,
    decide::{self, Found, Verdict},
    observe,
    rotate::{Done, Rotation},
    schedule,
    succession::{self, Plan},
};

/// Pause while somebody else changes the installation.
const BUSY: Duration = Duration::from_secs(5);

impl Keeper<'_> {
    /// The CA, when it is there and can sign.
    pub(super) fn authority(&mut self) -> Option<Authority> {
        let secret = self.sight.authority()?.clone();
        observe::read_authority(&secret)
            .map_err(|error| self.tell(&secret, "CertificateAuthorityUnusable", whole_text(&error)))
            .ok()
    }

    /// The CA of a rotation that is under way.
    pub(super) fn next_authority(&mut self) -> Option<(Authority, Record)> {
        let secret = self.sight.next()?.clone();
        observe::read_next(&secret)
            .map_err(|error| self.tell(&secret, "CertificateAuthorityUnusable", whole_text(&error)))
            .ok()
    }

    /// Has a CA that nears its end followed by another one, step by step.
    pub(super) async fn look_at_authority(
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
        let is_foreign = matches!(
            verdict,
            Verdict::Absent | Verdict::Unreadable { .. } | Verdict::Foreign { .. }
        );
        let is_used = !is_foreign && !found.is_official();
        let is_limited = authority.inspected().permitted_names.is_some();
        let leaf_life = decide::leaf_life(found);
        let settings = &self.config.authority;
        let asked = succession::Found {
            authority,
            next: found.next,
            is_used,
            is_renewable: !is_off && is_limited && observe::is_labelled(&secret),
            leaf_life,
        };
        match succession::plan(&asked, settings, now) {
            Plan::Wait(moment) => {
                let remaining = (moment - now).try_into().unwrap_or(Duration::ZERO);
                schedule::until_due(remaining, rand::random())
            }
            Plan::Theirs | Plan::Unused => schedule::LONGEST_SLEEP,
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
                let served = found.leaf.and_then(|leaf| leaf.pair.chain_pem);
                let served = served.unwrap_or_default();
                let rotation = Rotation {
                    client: &self.context.client,
                    namespace: &self.config.namespace,
                    identity: &self.config.identity,
                    authority: &authority.inspected().fingerprint,
                    served,
                    waits: succession::waits(settings, leaf_life),
                    request: LeafRequest {
                        names: decide::names(served),
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
        done: Result<(Done, Option<Inspected>), apply::Error>,
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
}
