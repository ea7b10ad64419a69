//! Volume claims of a Sandbox: named `<claim>-<sandbox>`, owned by it, kept over
//! a pause.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, Volume};
use kube::{Resource, ResourceExt};
use silica_api::crd::{Sandbox, VolumeClaimTemplate};

use super::Error;

/// A claim and the volume that it stands for.
pub(super) struct Claim {
    volume: String,
    pub(super) object: PersistentVolumeClaim,
}

/// The claims to create.
pub(super) fn claims(sandbox: &Sandbox, templates: &[VolumeClaimTemplate]) -> Result<Vec<Claim>, Error> {
    templates
        .iter()
        .enumerate()
        .map(|(index, template)| {
            let mut object = template
                .to_claim()
                .map_err(|error| Error::Claim { index, error })?;
            let volume = object.metadata.name.take().ok_or(Error::ClaimName { index })?;
            object.metadata.name = Some(format!("{volume}-{}", sandbox.name_any()));
            object.metadata.namespace = sandbox.namespace();
            object.metadata.owner_references = Some(sandbox.controller_owner_ref(&()).into_iter().collect());
            object.status = None;
            Ok(Claim { volume, object })
        })
        .collect()
}

/// Adds the claims as volumes; one of the same name in the template gives way,
/// as in a StatefulSet.
pub(super) fn mount(pod: &mut Pod, claims: &[Claim]) {
    if claims.is_empty() {
        return;
    }
    let volumes = pod.spec.get_or_insert_default().volumes.get_or_insert_default();
    for claim in claims {
        volumes.retain(|volume| volume.name != claim.volume);
        volumes.push(Volume {
            name: claim.volume.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.object.name_any(),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
}
