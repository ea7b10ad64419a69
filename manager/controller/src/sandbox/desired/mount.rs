//! Volumes of the namespace that a Sandbox mounts beside those of its template; no IO.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, Volume, VolumeMount};

use super::{Error, pod::main_container};
use crate::sandbox::binding::Bound;

/// Beginning of the names of these volumes.
const PREFIX: &str = "mounted";

/// Adds one volume for each claim, however often it is mounted, and the mounts of the main
/// container.
pub(super) fn add(pod: &mut Pod, bound: &[Bound]) -> Result<(), Error> {
    if bound.is_empty() {
        return Ok(());
    }
    let spec = pod.spec.get_or_insert_default();
    let volumes = spec.volumes.get_or_insert_default();
    let taken: HashSet<String> = volumes.iter().map(|volume| volume.name.clone()).collect();
    let mut free = (0_usize..)
        .map(|index| format!("{PREFIX}-{index}"))
        .filter(|name| !taken.contains(name));
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for Bound { claim, .. } in bound {
        if names.contains_key(claim.as_str()) {
            continue;
        }
        // The numbers never end.
        let Some(name) = free.next() else { break };
        volumes.push(Volume {
            name: name.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        });
        names.insert(claim, name);
    }
    let mounts = main_container(spec)?.volume_mounts.get_or_insert_default();
    for Bound { mount, claim } in bound {
        let there = mounts
            .iter()
            .find(|there| there.mount_path.trim_end_matches('/') == mount.mount_path);
        if let Some(there) = there {
            return Err(Error::MountTaken {
                path: mount.mount_path.clone(),
                volume: there.name.clone(),
            });
        }
        mounts.push(VolumeMount {
            name: names.get(claim.as_str()).cloned().unwrap_or_default(),
            mount_path: mount.mount_path.clone(),
            sub_path: mount.sub_path.clone(),
            read_only: mount.read_only.then_some(true),
            ..VolumeMount::default()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use silica_api::crd::{PersistentMount, PodTemplate};

    use super::{
        super::{
            objects,
            tests::{sandbox, settings},
        },
        *,
    };
    use crate::template::Blueprint;

    fn bound(claim: &str, path: &str, sub_path: Option<&str>, read_only: bool) -> Bound {
        Bound {
            claim: claim.to_owned(),
            mount: PersistentMount {
                pv_name: format!("pv-of-{claim}"),
                mount_path: path.to_owned(),
                sub_path: sub_path.map(str::to_owned),
                read_only,
            },
        }
    }

    fn build(bound: &[Bound]) -> Result<Value, Error> {
        let template = json!({"spec": {
            "containers": [{"name": "proxy"}, {"name": "sandbox", "volumeMounts": [{"name": "mounted-0", "mountPath": "/own/"}]}],
            "volumes": [{"name": "mounted-0", "emptyDir": {}}],
        }});
        let blueprint = Blueprint {
            template: PodTemplate(template),
            ..Blueprint::default()
        };
        objects(&sandbox(), &blueprint, bound, &settings())
            .map(|objects| serde_json::to_value(objects.pod).unwrap())
    }

    #[test]
    fn each_claim_is_one_volume_and_each_mount_one_of_the_main_container() {
        let pod = build(&[
            bound("a", "/a", Some("x"), false),
            bound("a", "/a2", Some("y"), true),
            bound("b", "/b", None, false),
        ])
        .unwrap();
        let claims: Vec<_> = pod["spec"]["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|volume| volume.get("persistentVolumeClaim").is_some())
            .collect();
        assert_eq!(
            claims,
            [
                &json!({"name": "mounted-1", "persistentVolumeClaim": {"claimName": "a"}}),
                &json!({"name": "mounted-2", "persistentVolumeClaim": {"claimName": "b"}}),
            ]
        );
        let mounts = pod["spec"]["containers"][1]["volumeMounts"].as_array().unwrap();
        assert_eq!(
            mounts[mounts.len() - 3..],
            [
                json!({"name": "mounted-1", "mountPath": "/a", "subPath": "x"}),
                json!({"name": "mounted-1", "mountPath": "/a2", "subPath": "y", "readOnly": true}),
                json!({"name": "mounted-2", "mountPath": "/b"}),
            ]
        );
        assert!(pod["spec"]["containers"][0].get("volumeMounts").is_none());
        let init = pod["spec"]["initContainers"][0]["volumeMounts"]
            .as_array()
            .unwrap();
        assert_eq!(init.len(), 1);
    }

    #[test]
    fn a_place_of_the_template_is_not_taken_away() {
        let error = build(&[bound("a", "/own", None, false)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "mountPath \"/own\" is taken: the template mounts volume \"mounted-0\" there"
        );
    }

    #[test]
    fn without_mounts_nothing_is_added() {
        let volumes = build(&[]).unwrap()["spec"]["volumes"].clone();
        assert_eq!(volumes.as_array().unwrap().len(), 2);
    }
}
