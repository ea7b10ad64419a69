//! One step of a rotation of the CA, under the installation's Lease: what the
//! cluster holds is read again, the step is decided on that, and its writes are
//! made in their order. `silica` does the same with the same state.

use std::collections::BTreeMap;

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use silica_api::{labels, names};
use silica_certs::{
    authority::Authority,
    inspect::Inspected,
    leaf::LeafRequest,
    rotation::{
        Action, Phase, Request, Waits,
        material::{KeySource, Material, Write},
        record::Record,
    },
};
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{
    apply::{self, Error, REQUEST},
    lock,
    observe::{self, CA_CERTIFICATE, CERTIFICATE, PRIVATE_KEY},
};

/// What was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Done {
    /// Nothing was due any more.
    Nothing,
    /// A phase was completed.
    Phase(Phase),
    /// The former CA was put back.
    Restored,
}

/// Who rotates what.
pub(super) struct Rotation<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    pub(super) identity: &'a str,
    /// Fingerprint of the CA that this was decided for.
    pub(super) authority: &'a str,
    /// The served chain that this was decided for.
    pub(super) served: &'a str,
    pub(super) waits: Waits,
    pub(super) request: LeafRequest,
}

impl Rotation<'_> {
    /// Does what is due; tells what that was, and the CA that follows.
    pub(super) async fn step(&self, now: OffsetDateTime) -> Result<(Done, Option<Inspected>), Error> {
        // By a clock that is wrong a CA would be dated that nobody accepts yet,
        // or a soak would be cut short.
        apply::verify_clock(self.client, now).await?;
        // Boxed: the future is large.
        let work = Box::pin(self.advance(now));
        lock::exclusive(self.client, self.namespace, self.identity, work).await
    }

    async fn advance(&self, now: OffsetDateTime) -> Result<(Done, Option<Inspected>), Error> {
        let (leaf, bundle): (Secret, ConfigMap) = (
            self.read(names::TLS_SECRET).await?,
            self.read(names::CA_BUNDLE).await?,
        );
        let current: Secret = self.read(names::CA_SECRET).await?;
        // What came in between may be from elsewhere, and not to be replaced.
        if observe::read_leaf(&leaf).pair.chain_pem != Some(self.served) {
            return Ok((Done::Nothing, None));
        }
        let material = self.material(&leaf, &current, &bundle).await?;
        // Somebody may have replaced the CA, or forbidden it, a moment ago.
        let is_same = material.current.inspected().fingerprint == self.authority;
        if material.next.is_none() && (!is_same || observe::is_renewal_off(&current)) {
            return Ok((Done::Nothing, None));
        }
        let action = material
            .next_action(Request::Automatic(self.waits), now)
            .map_err(silica_certs::rotation::material::Error::from)?;
        let (writes, done) = match action {
            Action::Do(phase) => (material.phase(phase, names::CONTROLLER, now)?, Done::Phase(phase)),
            Action::Restore => (material.restore(now)?, Done::Restored),
            Action::WaitUntil(_) | Action::AwaitRetire | Action::Nothing => {
                return Ok((Done::Nothing, None));
            }
        };
        let mut follows = material.next.map(|(next, _)| next.inspected().clone());
        for write in writes {
            match write {
                Write::Next(authority, record) => {
                    follows = Some(authority.inspected().clone());
                    self.create_next(&authority, &self.with_waits(record)).await?;
                }
                Write::Mark(record) => {
                    let marks = json!({"metadata": {"annotations": self.with_waits(record).marks()}});
                    self.patch(names::CA_NEXT_SECRET, marks).await?;
                }
                Write::Bundle(text) => apply::write_bundle(self.client, &bundle, &text).await?,
                Write::Leaf(new, authority) => {
                    apply::write_leaf(self.client, &leaf, &new, &authority).await?;
                }
                Write::Current(authority) => {
                    self.patch(names::CA_SECRET, json!({"data": pair(&authority)}))
                        .await?;
                }
                Write::RemoveNext => self.remove_next().await?,
            }
        }
        Ok((done, follows))
    }

    /// Others, such as `silica rotate-certs status`, tell by it what comes when.
    fn with_waits(&self, record: Record) -> Record {
        Record {
            waits: Some(self.waits),
            ..record
        }
    }

    async fn material(&self, leaf: &Secret, current: &Secret, bundle: &ConfigMap) -> Result<Material, Error> {
        let unusable = |object| move |source| Error::Authority { object, source };
        let next: Option<Secret> = self.find(names::CA_NEXT_SECRET).await?;
        let next = next.as_ref().map(observe::read_next).transpose();
        let served = observe::read_leaf(leaf).pair.chain_pem;
        Ok(Material {
            current: observe::read_authority(current).map_err(unusable(names::CA_SECRET))?,
            next: next.map_err(unusable(names::CA_NEXT_SECRET))?,
            bundle: observe::read_bundle(bundle).to_owned(),
            served: served.unwrap_or_default().to_owned(),
            request: self.request.clone(),
            key: KeySource::Former(observe::read_key(leaf)),
        })
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    async fn find<K>(&self, object: &'static str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        match timeout(REQUEST, self.api::<K>().get_opt(object)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(source)) => Err(Error::Read {
                object,
                source: Box::new(source),
            }),
            Err(_elapsed) => Err(Error::Timeout { object }),
        }
    }

    async fn read<K>(&self, object: &'static str) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        self.find(object).await?.ok_or(Error::Absent { object })
    }

    /// By server-side apply: such a creation names its object, so the role can
    /// be limited to this one name.
    async fn create_next(&self, authority: &Authority, record: &Record) -> Result<(), Error> {
        let marks: BTreeMap<String, String> = record
            .marks()
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(names::CA_NEXT_SECRET.to_owned()),
                labels: Some(labels::product()),
                annotations: Some(marks),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(pair(authority)),
            ..Secret::default()
        };
        let parameters = PatchParams::apply(names::FIELD_MANAGER_CONTROLLER).force();
        let api = self.api::<Secret>();
        let name = names::CA_NEXT_SECRET;
        apply::write(name, api.patch(name, &parameters, &Patch::Apply(&secret))).await
    }

    async fn patch(&self, name: &'static str, patch: serde_json::Value) -> Result<(), Error> {
        let api = self.api::<Secret>();
        apply::write(name, api.patch(name, &apply::parameters(), &Patch::Merge(patch))).await
    }

    async fn remove_next(&self) -> Result<(), Error> {
        let name = names::CA_NEXT_SECRET;
        let api = self.api::<Secret>();
        apply::write(name, api.delete(name, &DeleteParams::default())).await
    }
}

/// The entries of a Secret with a CA.
fn pair(authority: &Authority) -> BTreeMap<String, k8s_openapi::ByteString> {
    let certificate = authority.certificate_pem();
    [
        (CERTIFICATE, certificate),
        (PRIVATE_KEY, authority.key_pem().expose()),
        (CA_CERTIFICATE, certificate),
    ]
    .map(|(key, text)| (key.to_owned(), apply::entry(text)))
    .into()
}
