//! `silica rotate-certs --ca`: replaces the CA while clients go on working.
//!
//! [`rotation`] decides, this module does. The state lives in the cluster, in
//! the Secret with the next CA's key, so that any later run, on any machine,
//! resumes. The former CA's Secret stays as it is until the last phase.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, api::DeleteParams};
use silica_api::{names, types::Domain};
use silica_certs::{
    authority::{self, Authority, AuthorityRequest},
    bundle, inspect,
    key::ServerKey,
    leaf::{Leaf, LeafRequest},
    rotation::{self, Action, Phase, Request, State},
    verify,
};
use silica_manifests::Object;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{deliver, fingerprint_of};
use crate::{
    apply::{self, Conflicts},
    cluster::{Cluster, found, request},
    commands::certs::error::Error as CertsError,
    error::Error,
    facts::{self, Existing},
    run::Context,
    secrets::{self, CERTIFICATE, PRIVATE_KEY, contents, owned_text, permitted_names, served_names},
};

const PHASE: &str = "silica/rotation-phase";
const SINCE: &str = "silica/rotation-since";
const OLD_LEAF_UNTIL: &str = "silica/rotation-old-leaf-until";
/// Fingerprint of the CA that is replaced: it is known by it even when the
/// last phase was interrupted after its Secret had been overwritten.
const FORMER: &str = "silica/rotation-former";

/// A rotation of this installation.
pub struct Rotation<'a> {
    context: &'a Context,
    cluster: &'a Cluster,
    domains: &'a [Domain],
    validity: time::Duration,
    existing: Existing,
    next: Option<Secret>,
}

impl<'a> Rotation<'a> {
    /// Reads how far it got.
    pub async fn read(
        context: &'a Context,
        cluster: &'a Cluster,
        domains: &'a [Domain],
        validity: time::Duration,
    ) -> Result<Self, Error> {
        Ok(Self {
            context,
            cluster,
            domains,
            validity,
            existing: facts::read_existing(cluster).await?,
            next: read_next(cluster).await?,
        })
    }

    /// How far it got; `None` without a rotation, or before its first phase is done.
    pub fn state(&self) -> Option<State> {
        let annotations = self.next.as_ref()?.annotations();
        let moment = |key| OffsetDateTime::parse(annotations.get(key)?, &Rfc3339).ok();
        Some(State {
            done: annotations.get(PHASE)?.parse().ok()?,
            since: moment(SINCE)?,
            old_leaf_until: moment(OLD_LEAF_UNTIL)?,
        })
    }

    /// Follows the request as far as it goes now; tells what remains.
    pub async fn follow(&mut self, asked: Request) -> Result<String, Error> {
        if asked == Request::Abort {
            self.check_former()?;
            // A first phase that was interrupted left a key and maybe trust in it.
            if self.next.is_some() && self.state().is_none() {
                return self.restore(false).await;
            }
        }
        loop {
            let action = rotation::next(self.state().as_ref(), asked, OffsetDateTime::now_utc())
                .map_err(CertsError::from)?;
            match action {
                Action::Do(phase) => self.perform(phase).await?,
                Action::Restore { serves_next } => return self.restore(serves_next).await,
                Action::Nothing => return Ok("nothing to do".to_owned()),
                Action::AwaitRetire => return Ok(AWAITS_RETIRE.to_owned()),
                Action::WaitUntil(moment) => {
                    let left = (moment - OffsetDateTime::now_utc()).unsigned_abs();
                    if tokio::time::Instant::now() + left >= self.context.deadline {
                        return Ok(format!(
                            "run the same command again after {moment}, or name the step"
                        ));
                    }
                    self.context.printer.start("Spread");
                    self.context.printer.note("consumers read the new trust bundle");
                    tokio::time::sleep(left).await;
                    self.context.printer.done("time for it was given");
                }
            }
            if matches!(asked, Request::Step(_)) {
                return Ok(format!("next: {}", self.following()));
            }
        }
    }

    /// The former CA's key is in wrong hands: no overlap, no way back.
    pub async fn replace_at_once(&mut self) -> Result<String, Error> {
        if self.state().is_none() {
            self.prepare().await?;
        }
        self.retire().await?;
        Ok("clients fail until they have the new CA: silica certs export".to_owned())
    }

    fn following(&self) -> &'static str {
        let done = self.state().map(|state| state.done);
        let next = Phase::ALL.into_iter().find(|phase| done < Some(*phase));
        next.map_or("nothing", Phase::as_str)
    }

    async fn perform(&mut self, phase: Phase) -> Result<(), Error> {
        match phase {
            Phase::Prepare => self.prepare().await,
            Phase::Spread => {
                self.check_bundle()?;
                self.mark(Phase::Spread).await
            }
            Phase::Switch => self.switch().await,
            Phase::Soak => self.mark(Phase::Soak).await,
            Phase::Retire => {
                self.check_bundle()?;
                let question = "Retire the former CA? Clients without the new one will fail.";
                self.context.confirm(question).await?;
                self.retire().await
            }
        }
    }

    fn old(&self) -> Result<Authority, Error> {
        Ok(contents::load_authority(&self.existing)?)
    }

    fn next_authority(&self) -> Result<Authority, Error> {
        let data = self.next.as_ref().and_then(|secret| secret.data.as_ref());
        let text = |key: &str| {
            owned_text(
                data.and_then(|data| data.get(key))
                    .map(|bytes| bytes.0.as_slice()),
            )
            .unwrap_or_default()
        };
        let key = text(PRIVATE_KEY);
        Ok(Authority::from_pem(&text(CERTIFICATE), &key).map_err(secrets::Error::Authority)?)
    }

    fn bundle(&self) -> &str {
        self.existing.ca_bundle.as_deref().unwrap_or_default()
    }

    /// The key first, then the trust, then the mark: interrupted anywhere, the
    /// next run uses the same key.
    async fn prepare(&mut self) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        self.context.printer.start("Prepare");
        let old = self.old()?;
        if self.next.is_none() {
            let (domains, permitted) = permitted_names(self.domains);
            let next = Authority::create(&AuthorityRequest::new(domains, permitted), now)
                .map_err(secrets::Error::Authority)?;
            let mut secret = contents::next_authority_secret(&next);
            let annotations = secret.annotations_mut();
            annotations.insert(FORMER.to_owned(), old.inspected().fingerprint.clone());
            self.write_next(secret).await?;
        }
        let next = self.next_authority()?;
        match old.cross_certify(&next, now) {
            // An expired CA has no clients left to carry over.
            Ok(_) | Err(authority::Error::NoOverlap { .. }) => {}
            Err(error) => return Err(secrets::Error::Authority(error).into()),
        }
        let both = bundle::merge(
            &[old.certificate_pem(), self.bundle(), next.certificate_pem()],
            now,
        )
        .map_err(secrets::Error::Bundle)?;
        self.publish(both).await?;
        self.mark(Phase::Prepare).await?;
        let subject = &next.inspected().subject;
        self.context
            .printer
            .done(&format!("the trust bundle has {subject}"));
        Ok(())
    }

    /// The way back ends where the last phase has put the next CA in its place.
    fn check_former(&self) -> Result<(), Error> {
        let Some(next) = &self.next else { return Ok(()) };
        if next.annotations().get(FORMER) == Some(&self.old()?.inspected().fingerprint) {
            Ok(())
        } else {
            Err(CertsError::Rotation(rotation::Refusal::Retired).into())
        }
    }

    /// Clients can only know the next CA when it is published.
    fn check_bundle(&self) -> Result<(), Error> {
        let next = self.next_authority()?.inspected().fingerprint.clone();
        let members = inspect::parse_chain(self.bundle()).map_err(secrets::Error::Inspect)?;
        if members.iter().any(|member| member.fingerprint == next) {
            Ok(())
        } else {
            Err(Error::NewCertificate(verify::Error::UnknownIssuer))
        }
    }

    async fn switch(&mut self) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        let (old, next) = (self.old()?, self.next_authority()?);
        let cross = old.cross_certify(&next, now).map_err(secrets::Error::Authority)?;
        let leaf = self.issue(&next, now)?.with_cross(&cross);
        self.serve(
            &leaf,
            &next,
            &[old.certificate_pem(), next.certificate_pem(), self.bundle()],
            now,
        )
        .await?;
        self.mark(Phase::Switch).await
    }

    /// Distrust comes last: the next CA takes its place, serves alone, and only
    /// then leaves the former one the bundle.
    async fn retire(&mut self) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        let next = self.next_authority()?;
        let former = self
            .next
            .as_ref()
            .and_then(|secret| secret.annotations().get(FORMER).cloned());
        let leaf = self.issue(&next, now)?;
        self.serve(&leaf, &next, &[next.certificate_pem(), self.bundle()], now)
            .await?;
        let secret = Object::of(&contents::authority_secret(&next));
        apply::apply(self.cluster, &secret, Conflicts::Force).await?;
        let left = bundle::without(self.bundle(), &former.unwrap_or_default(), now)
            .map_err(secrets::Error::Bundle)?;
        self.publish(left).await?;
        delete_next(self.cluster).await?;
        self.context.printer.info("the former CA is retired");
        Ok(())
    }

    async fn restore(&mut self, serves_next: bool) -> Result<String, Error> {
        let now = OffsetDateTime::now_utc();
        let (old, next) = (self.old()?, self.next_authority()?);
        if serves_next {
            let leaf = self.issue(&old, now)?;
            self.serve(&leaf, &old, &[old.certificate_pem(), self.bundle()], now)
                .await?;
        }
        let left = bundle::without(self.bundle(), &next.inspected().fingerprint, now)
            .map_err(secrets::Error::Bundle)?;
        self.publish(left).await?;
        delete_next(self.cluster).await?;
        Ok("the rotation is undone; the former CA is the only one again".to_owned())
    }

    fn issue(&self, authority: &Authority, now: OffsetDateTime) -> Result<Leaf, Error> {
        let request = LeafRequest {
            names: served_names(self.domains),
            validity: self.validity,
        };
        let key_type = secrets::served_key_type(&self.existing);
        let key = ServerKey::generate(key_type).map_err(secrets::Error::Key)?;
        Ok(authority
            .issue_for(&key, &request, now)
            .map_err(secrets::Error::Leaf)?)
    }

    /// Puts a leaf into service once each group of clients would accept it.
    async fn serve(
        &self,
        leaf: &Leaf,
        authority: &Authority,
        clients: &[&str],
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        for name in served_names(self.domains) {
            for trusted in clients {
                verify::chain(leaf.chain_pem(), trusted, &name, now).map_err(Error::NewCertificate)?;
            }
        }
        let fingerprint = fingerprint_of(leaf.chain_pem())?;
        let secret = contents::leaf_secret(leaf, authority);
        let former = self.existing.secrets.get(names::TLS_SECRET);
        deliver::replace(
            self.context,
            self.cluster,
            self.domains,
            &secret,
            former,
            &fingerprint,
        )
        .await?;
        Ok(())
    }

    async fn publish(&mut self, pem: String) -> Result<(), Error> {
        let map = Object::of(&contents::bundle_map(&pem));
        apply::apply(self.cluster, &map, Conflicts::Force).await?;
        self.existing.ca_bundle = Some(pem);
        Ok(())
    }

    async fn mark(&mut self, done: Phase) -> Result<(), Error> {
        let now = OffsetDateTime::now_utc();
        // Only a leaf of the former CA keeps clients waiting for its end.
        let old_leaf_until = match self.state().filter(|_| done > Phase::Switch) {
            Some(state) => state.old_leaf_until,
            None => secrets::pair(&self.existing, names::TLS_SECRET)
                .chain_pem
                .and_then(|chain| inspect::parse_chain(chain).ok()?.into_iter().next())
                .map_or(now, |leaf| leaf.not_after),
        };
        let text = |moment: OffsetDateTime| moment.format(&Rfc3339).unwrap_or_default();
        let Some(mut secret) = self.next.clone() else {
            return Ok(());
        };
        let annotations = secret.annotations_mut();
        annotations.insert(PHASE.to_owned(), done.to_string());
        annotations.insert(SINCE.to_owned(), text(now));
        annotations.insert(OLD_LEAF_UNTIL.to_owned(), text(old_leaf_until));
        self.write_next(secret).await
    }

    async fn write_next(&mut self, mut secret: Secret) -> Result<(), Error> {
        // Server-side apply takes no object with the marks of an earlier state.
        secret.metadata.managed_fields = None;
        secret.metadata.resource_version = None;
        secret.metadata.uid = None;
        apply::apply(self.cluster, &Object::of(&secret), Conflicts::Force).await?;
        self.next = Some(secret);
        Ok(())
    }
}

const AWAITS_RETIRE: &str = "all clients must have the new trust bundle (silica certs export); then: silica rotate-certs --ca --step retire";

fn api(cluster: &Cluster) -> Api<Secret> {
    Api::namespaced(cluster.client.clone(), names::NAMESPACE)
}

fn title() -> String {
    format!("Secret {}/{}", names::NAMESPACE, names::CA_NEXT_SECRET)
}

async fn read_next(cluster: &Cluster) -> Result<Option<Secret>, Error> {
    let read = found(api(cluster).get(names::CA_NEXT_SECRET).await);
    Ok(read.map_err(request("read", title()))?)
}

async fn delete_next(cluster: &Cluster) -> Result<(), Error> {
    let deleted = api(cluster)
        .delete(names::CA_NEXT_SECRET, &DeleteParams::default())
        .await;
    found(deleted).map_err(request("delete", title()))?;
    Ok(())
}
