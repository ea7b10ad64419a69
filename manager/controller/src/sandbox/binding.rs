//! Which claims of the namespace stand for the volumes that a Sandbox asks for.
//!
//! A user names a PersistentVolume, which belongs to the whole cluster. It is his when a claim
//! of his own namespace is bound to it: then whoever rules the cluster has given it to that
//! namespace. A claim that was made for another sandbox is that sandbox's alone.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Resource, ResourceExt, api::ListParams};
use silica_api::crd::{PersistentMount, Sandbox};
use silica_core::volume::{self, Mounts};

use crate::context::Context;

/// Why a volume cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("spec.volumeMounts: {0}")]
    Invalid(#[from] volume::Error),
    #[error("failed to list the PersistentVolumeClaims: {0}")]
    List(#[source] Box<kube::Error>),
    #[error(
        "PersistentVolume {pv:?} is not bound to a PersistentVolumeClaim of namespace {namespace:?}; bind it there, with \
         the access mode and the storage class that it has: {}",
        command(pv, namespace)
    )]
    Unbound { pv: String, namespace: String },
    #[error(
        "PersistentVolumeClaim {claim:?} of namespace {namespace:?} asks for PersistentVolume {pv:?} and is {phase}, not \
         Bound; see why: kubectl describe persistentvolumeclaim --namespace {namespace} {claim}"
    )]
    Phase {
        pv: String,
        namespace: String,
        claim: String,
        phase: String,
    },
    #[error("PersistentVolume {pv:?} belongs to Sandbox {owner:?} of namespace {namespace:?}")]
    Owned {
        pv: String,
        namespace: String,
        owner: String,
    },
}

/// The command that binds a volume.
fn command(pv: &str, namespace: &str) -> String {
    // Name and namespace were checked: they cannot end the quotes.
    let claim = format!(
        r#"{{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{{"name":"{pv}","namespace":"{namespace}"}},"spec":{{"volumeName":"{pv}","storageClassName":"","accessModes":["ReadWriteMany"],"resources":{{"requests":{{"storage":"1Mi"}}}}}}}}"#
    );
    format!("echo '{claim}' | kubectl apply -f -")
}

/// A mount and the claim behind it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Bound {
    pub(crate) mount: PersistentMount,
    pub(crate) claim: String,
}

/// Looks the claims up. Nothing is asked for a Sandbox without volumes.
pub(crate) async fn read(sandbox: &Sandbox, context: &Context) -> Result<Vec<Bound>, Error> {
    let mounts = Mounts::check(sandbox.spec.volume_mounts.clone())?;
    if mounts.is_empty() {
        return Ok(Vec::new());
    }
    let namespace = sandbox.namespace().unwrap_or_default();
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &namespace);
    let claims = api
        .list(&ListParams::default())
        .await
        .map_err(|error| Error::List(Box::new(error)))?;
    bind(sandbox, &mounts, &claims.items)
}

/// Finds the claim of each mount.
fn bind(sandbox: &Sandbox, mounts: &Mounts, claims: &[PersistentVolumeClaim]) -> Result<Vec<Bound>, Error> {
    let bound = mounts.as_slice().iter().map(|mount| {
        let claim = claim_of(sandbox, &mount.pv_name, claims)?;
        let mount = mount.clone();
        Ok(Bound { mount, claim })
    });
    bound.collect()
}

fn claim_of(sandbox: &Sandbox, pv: &str, claims: &[PersistentVolumeClaim]) -> Result<String, Error> {
    let namespace = sandbox.namespace().unwrap_or_default();
    let pv = pv.to_owned();
    let asks = |claim: &&PersistentVolumeClaim| {
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_ref());
        volume == Some(&pv)
    };
    let phase = |claim: &PersistentVolumeClaim| {
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        match claim.metadata.deletion_timestamp {
            Some(_) => "being deleted",
            None => phase.unwrap_or("Pending"),
        }
        .to_owned()
    };
    // Several may ask for a volume, one at most is bound to it.
    let asking: Vec<_> = claims.iter().filter(asks).collect();
    let bound = asking.iter().find(|claim| phase(claim) == "Bound");
    let Some(claim) = bound.or(asking.first()) else {
        return Err(Error::Unbound { pv, namespace });
    };
    if bound.is_none() {
        return Err(Error::Phase {
            pv,
            namespace,
            claim: claim.name_any(),
            phase: phase(claim),
        });
    }
    let owner = claim
        .owner_references()
        .iter()
        .find(|owner| owner.kind == Sandbox::kind(&()) && Some(&owner.uid) != sandbox.metadata.uid.as_ref());
    match owner {
        Some(owner) => Err(Error::Owned {
            pv,
            namespace,
            owner: owner.name.clone(),
        }),
        None => Ok(claim.name_any()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sandbox() -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a", "namespace": "team-a", "uid": "u-1"}, "spec": {},
        }))
        .unwrap()
    }

    fn claim(name: &str, volume: &str, phase: &str, owner: Option<&str>) -> PersistentVolumeClaim {
        let owners: Vec<Value> = owner
            .map(|uid| json!({"apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox", "name": "other", "uid": uid}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "ownerReferences": owners},
            "spec": {"volumeName": volume}, "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn find(claims: &[PersistentVolumeClaim]) -> Result<String, Error> {
        let mounts = Mounts::parse(r#"[{"pvName": "data", "mountPath": "/data"}]"#).unwrap();
        bind(&sandbox(), &mounts, claims).map(|mut bound| bound.remove(0).claim)
    }

    #[test]
    fn the_bound_claim_stands_for_its_volume() {
        let claims = [
            claim("x", "other", "Bound", None),
            claim("late", "data", "Pending", None),
            claim("mine", "data", "Bound", None),
        ];
        assert_eq!(find(&claims).unwrap(), "mine");
        let own = claim("own", "data", "Bound", Some("u-1"));
        assert_eq!(find(&[own]).unwrap(), "own");
    }

    #[test]
    fn a_volume_that_nobody_gave_to_the_namespace_is_refused_with_the_command_that_would() {
        let refused = find(&[claim("x", "other", "Bound", None)])
            .unwrap_err()
            .to_string();
        assert!(
            refused.starts_with(
                "PersistentVolume \"data\" is not bound to a PersistentVolumeClaim of namespace \"team-a\"; "
            ),
            "{refused}"
        );
        let (_, rest) = refused.split_once("echo '").unwrap();
        let manifest = rest.strip_suffix("' | kubectl apply -f -").unwrap();
        let manifest: PersistentVolumeClaim = serde_json::from_str(manifest).unwrap();
        assert_eq!(manifest.namespace().as_deref(), Some("team-a"));
        assert_eq!(manifest.spec.unwrap().volume_name.as_deref(), Some("data"));
    }

    #[test]
    fn asking_for_a_volume_is_not_having_it() {
        for phase in ["Pending", "Lost"] {
            let refused = find(&[claim("mine", "data", phase, None)]).unwrap_err();
            assert!(matches!(refused, Error::Phase { .. }), "{refused}");
        }
        let mut leaving = claim("mine", "data", "Bound", None);
        leaving.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
        let refused = find(&[leaving]).unwrap_err().to_string();
        assert!(refused.contains("is being deleted, not Bound"), "{refused}");
    }

    #[test]
    fn the_volume_of_another_sandbox_is_that_sandboxs_alone() {
        let refused = find(&[claim("data-other", "data", "Bound", Some("u-2"))]).unwrap_err();
        assert!(matches!(refused, Error::Owned { owner, .. } if owner == "other"));
    }
}
