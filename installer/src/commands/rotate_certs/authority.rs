//! `silica rotate-certs --ca`: replaces the CA while clients go on working.
//!
//! [`rotation`] decides and says what to write, this module writes. The state
//! lives in the cluster, in the Secret with the next CA's key, so that any later
//! run, on any machine, resumes; the controller reads the same state. The former
//! CA's Secret stays as it is until the last phase.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use silica_api::{names, types::Domain};
use silica_certs::{
    authority::Authority,
    leaf::LeafRequest,
    rotation::{
        self, Action, Phase, Request,
        material::{KeySource, Material, Write},
        record::Record,
    },
};
use silica_manifests::Object;
use time::OffsetDateTime;

use super::{
    deliver::{self, Change},
    fingerprint_of, query,
};
use crate::{
    cli::{context::Context, error::Error},
    cluster::{
        Cluster,
        apply::{self, Conflicts},
        found, request,
    },
    commands::certs::error::Error as CertsError,
    facts::{self, Existing},
    secrets::{self, CERTIFICATE, PRIVATE_KEY, contents, owned_text, pair, served_names},
};

const AWAITS_RETIRE: &str = "all clients must have the new trust bundle (silica certs export); then: silica rotate-certs --ca --step retire";
const GOES_ON_BY_ITSELF: &str =
    "the controller began it and goes on by itself; to do a phase now: --step PHASE, to go back: --abort";
const RENEWAL_IS_OFF: &str = "the controller had begun it and will not begin another one by itself; to let it again: kubectl annotate secret -n";

/// A rotation of this installation.
pub struct Rotation<'a> {
    context: &'a Context,
    cluster: &'a Cluster,
    domains: &'a [Domain],
    validity: time::Duration,
    existing: Existing,
    /// Whether nobody is to look if a new certificate is served.
    pub no_verify: bool,
    /// All that the steps are decided on.
    pub material: Material,
}

impl<'a> Rotation<'a> {
    /// Reads how far it got.
    pub async fn read(
        context: &'a Context,
        cluster: &'a Cluster,
        domains: &'a [Domain],
        validity: time::Duration,
    ) -> Result<Self, Error> {
        let existing = facts::read_existing(cluster).await?;
        let material = material(&existing, read_next(cluster).await?.as_ref(), domains, validity)?;
        Ok(Self {
            context,
            cluster,
            domains,
            validity,
            existing,
            no_verify: false,
            material,
        })
    }

    /// The Secret with the served certificate.
    pub fn served(&self) -> Option<&Secret> {
        self.existing.secrets.get(names::TLS_SECRET)
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        let now = Self::read(self.context, self.cluster, self.domains, self.validity).await?;
        (self.existing, self.material) = (now.existing, now.material);
        Ok(())
    }

    /// Follows the request as far as it goes now; tells what remains.
    pub async fn follow(&mut self, asked: Request) -> Result<String, Error> {
        loop {
            let now = OffsetDateTime::now_utc();
            // Its waits are not ours: two paces would end the soak early.
            if matches!(asked, Request::Automatic(_)) && query::controllers_waits(&self.material).is_some() {
                return Ok(GOES_ON_BY_ITSELF.to_owned());
            }
            let action = self.material.next_action(asked, now).map_err(CertsError::from)?;
            match action {
                Action::Do(phase) => {
                    self.perform(phase, now).await?;
                    if rotation::ends_with(asked, phase) {
                        let done = self.material.state().and_then(|state| state.done);
                        let next = self.material.next.as_ref().and(rotation::following(done));
                        return Ok(format!("next: {}", next.map_or("nothing", Phase::as_str)));
                    }
                }
                Action::Restore => return self.restore(now).await,
                Action::Nothing => return Ok("nothing to do".to_owned()),
                Action::AwaitRetire => return Ok(AWAITS_RETIRE.to_owned()),
                Action::WaitUntil(moment) => {
                    let left = (moment - now).unsigned_abs();
                    if tokio::time::Instant::now() + left >= self.context.deadline {
                        return Ok(format!(
                            "run the same command again after {moment}, or name the step"
                        ));
                    }
                    self.context.printer.start("Wait");
                    self.context.printer.note(&format!("until {moment}"));
                    tokio::time::sleep(left).await;
                    self.context.printer.done("clients had time");
                }
            }
        }
    }

    /// The former CA's key is in wrong hands: no overlap, no way back.
    pub async fn replace_at_once(&mut self) -> Result<String, Error> {
        let writes = self
            .material
            .emergency(names::FIELD_MANAGER_INSTALLER, OffsetDateTime::now_utc())
            .map_err(CertsError::from)?;
        self.execute(writes).await?;
        Ok("clients fail until they have the new CA: silica certs export".to_owned())
    }

    async fn perform(&mut self, phase: Phase, now: OffsetDateTime) -> Result<(), Error> {
        if phase == Phase::Retire {
            let question = "Retire the former CA? Clients without the new one will fail.";
            self.context.confirm(question).await?;
        }
        let printer = &self.context.printer;
        let writes = self
            .material
            .phase(phase, names::FIELD_MANAGER_INSTALLER, now)
            .map_err(CertsError::from)?;
        self.execute(writes).await?;
        let subject = |authority: &Authority| authority.inspected().subject.clone();
        let (title, said) = match (phase, &self.material.next) {
            (Phase::Prepare, Some((next, _))) => {
                ("Prepare", format!("the trust bundle has {}", subject(next)))
            }
            (Phase::Spread, _) => ("Spread", "consumers had time to read the bundle".to_owned()),
            (Phase::Switch, _) => ("Switch", "the next CA's certificate is served".to_owned()),
            (Phase::Soak, _) => ("Soak", "the former CA's last certificate is over".to_owned()),
            _ => (
                "Retire",
                format!("the only CA is {}", subject(&self.material.current)),
            ),
        };
        printer.start(title);
        printer.done(&said);
        Ok(())
    }

    async fn restore(&mut self, now: OffsetDateTime) -> Result<String, Error> {
        let writes = self.material.restore(now).map_err(CertsError::from)?;
        let was_controllers = self
            .material
            .next
            .as_ref()
            .is_some_and(|(_, record)| record.started_by == names::CONTROLLER);
        if was_controllers {
            // Or it would begin again at once.
            let annotation = json!({"metadata": {"annotations": {names::CA_RENEWAL: names::CA_RENEWAL_OFF}}});
            self.patch(names::CA_SECRET, &annotation).await?;
        }
        self.execute(writes).await?;
        if was_controllers {
            self.context.printer.info(format!(
                "{RENEWAL_IS_OFF} {} {} {}-",
                names::NAMESPACE,
                names::CA_SECRET,
                names::CA_RENEWAL
            ));
        }
        Ok("the rotation is undone; the former CA is the only one again".to_owned())
    }

    /// Makes the writes in their order, then looks at the result. Before the first one
    /// it is certain that somebody will see the new certificate.
    async fn execute(&mut self, writes: Vec<Write>) -> Result<(), Error> {
        let mut ways = None;
        if writes.iter().any(|write| matches!(write, Write::Leaf(..))) {
            ways = deliver::find_ways(self.context, self.cluster, self.domains, self.no_verify).await?;
        }
        for write in writes {
            match write {
                Write::Next(authority, record) => {
                    let mut secret = contents::next_authority_secret(&authority);
                    let marks = record.marks().into_iter();
                    secret
                        .annotations_mut()
                        .extend(marks.filter_map(|(key, value)| Some((key, value?))));
                    self.apply(&Object::of(&secret)).await?;
                    if self.material.next.is_some() {
                        // Marks of the CA that was to follow before are another writer's.
                        let marks = json!({"metadata": {"annotations": record.marks()}});
                        self.patch(names::CA_NEXT_SECRET, &marks).await?;
                    }
                }
                Write::Mark(record) => {
                    let marks = json!({"metadata": {"annotations": record.marks()}});
                    self.patch(names::CA_NEXT_SECRET, &marks).await?;
                }
                Write::Bundle(pem) => self.apply(&Object::of(&contents::bundle_map(&pem))).await?,
                Write::Current(authority) => {
                    self.apply(&Object::of(&contents::authority_secret(&authority)))
                        .await?;
                }
                Write::RemoveNext => delete_next(self.cluster).await?,
                Write::Leaf(leaf, authority) => {
                    let fingerprint = fingerprint_of(leaf.chain_pem())?;
                    let secret = contents::leaf_secret(&leaf, &authority);
                    let change = Change {
                        domains: self.domains,
                        secret: &secret,
                        former: self.served(),
                        fingerprint: &fingerprint,
                    };
                    // Boxed: the future is large.
                    Box::pin(deliver::replace(self.context, self.cluster, ways.take(), &change)).await?;
                }
            }
        }
        self.refresh().await
    }

    async fn apply(&self, object: &Object) -> Result<(), Error> {
        apply::apply(self.cluster, object, Conflicts::Force).await?;
        Ok(())
    }

    async fn patch(&self, name: &str, patch: &serde_json::Value) -> Result<(), Error> {
        let parameters = PatchParams {
            field_manager: Some(names::FIELD_MANAGER_INSTALLER.to_owned()),
            ..PatchParams::default()
        };
        let patched = api(self.cluster)
            .patch(name, &parameters, &Patch::Merge(patch))
            .await;
        patched.map_err(request("write", title(name)))?;
        Ok(())
    }
}

/// All that steps are decided on, from what the cluster holds.
pub fn material(
    existing: &Existing,
    next: Option<&Secret>,
    domains: &[Domain],
    validity: time::Duration,
) -> Result<Material, Error> {
    let load = |secret: &Secret| {
        let data = secret.data.as_ref();
        let text = |key| owned_text(data?.get(key).map(|bytes: &k8s_openapi::ByteString| &*bytes.0));
        let (certificate, key) = (text(CERTIFICATE), text(PRIVATE_KEY));
        let authority = Authority::from_pem(&certificate.unwrap_or_default(), &key.unwrap_or_default());
        Ok::<_, Error>((
            authority.map_err(secrets::Error::Authority)?,
            Record::read(secret.annotations()),
        ))
    };
    Ok(Material {
        current: contents::load_authority(existing)?,
        next: next.map(load).transpose()?,
        bundle: existing.ca_bundle.clone().unwrap_or_default(),
        served: pair(existing, names::TLS_SECRET)
            .chain_pem
            .unwrap_or_default()
            .to_owned(),
        request: LeafRequest {
            names: served_names(domains),
            validity,
        },
        key: KeySource::Type(secrets::served_key_type(existing)),
    })
}

fn api(cluster: &Cluster) -> Api<Secret> {
    Api::namespaced(cluster.client.clone(), names::NAMESPACE)
}

fn title(name: &str) -> String {
    format!("Secret {}/{name}", names::NAMESPACE)
}

/// The Secret with the next CA.
pub async fn read_next(cluster: &Cluster) -> Result<Option<Secret>, Error> {
    let read = found(api(cluster).get(names::CA_NEXT_SECRET).await);
    Ok(read.map_err(request("read", title(names::CA_NEXT_SECRET)))?)
}

async fn delete_next(cluster: &Cluster) -> Result<(), Error> {
    let deleted = api(cluster)
        .delete(names::CA_NEXT_SECRET, &DeleteParams::default())
        .await;
    found(deleted).map_err(request("delete", title(names::CA_NEXT_SECRET)))?;
    Ok(())
}
