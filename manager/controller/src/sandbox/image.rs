//! How far a pod is with the image that its Sandbox wants instead of the
//! template's; no IO.
//!
//! The kubelet replaces a container when its image in the pod's spec changes. The
//! image that a container status names is no proof of that: it may be another name
//! of the same content. So the id of the container that has to go is noted on the
//! pod, in the same write as the image.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use silica_api::{crd::Sandbox, labels, names};

/// The image that was asked for and that the sandbox was not yet ready with.
/// While there is one, decisions need the whole pod and not the cached part.
pub(super) fn pending(sandbox: &Sandbox) -> Option<&str> {
    let wanted = sandbox.spec.wanted_image()?;
    let done = sandbox.status.as_ref().and_then(|status| status.image.as_deref());
    (done != Some(wanted)).then_some(wanted)
}

/// How far a pod is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// The main container is to have another image.
    Differs,
    /// The pod has the image, the container that runs it does not run yet.
    Waits,
    /// The main container runs the image.
    Runs,
}

/// Looks at the pod as the API server has it.
pub(super) fn progress(pod: &Pod, wanted: &str) -> Progress {
    let Some(main) = main_container(pod) else {
        return Progress::Waits;
    };
    if main.image.as_deref() != Some(wanted) {
        return Progress::Differs;
    }
    let status = pod.status.as_ref();
    // Kubelets that say which version of the pod they speak of (KEP-5067).
    let is_behind = status
        .and_then(|status| status.observed_generation)
        .zip(pod.metadata.generation)
        .is_some_and(|(observed, current)| observed < current);
    let replaced = pod.annotations().get(labels::REPLACED_CONTAINER);
    let runs = main_status(pod, &main.name).is_some_and(|container| {
        let is_running = container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        is_running && container.container_id.as_ref() != replaced
    });
    if runs && !is_behind {
        Progress::Runs
    } else {
        Progress::Waits
    }
}

/// The strategic merge patch that gives the main container the image. It holds for
/// this version of the pod alone, so the container that it notes is the present one.
pub(super) fn render_patch(pod: &Pod, wanted: &str) -> Option<Value> {
    let main = main_container(pod)?;
    let replaced = main_status(pod, &main.name).and_then(|container| container.container_id.as_ref());
    Some(json!({
        "metadata": {
            "uid": pod.uid(),
            "resourceVersion": pod.resource_version(),
            "annotations": { labels::REPLACED_CONTAINER: replaced },
        },
        "spec": { "containers": [{ "name": main.name, "image": wanted }] },
    }))
}

/// Id of the main container, of a whole pod or of the cached part of one.
pub(super) fn container_id(pod: &Pod) -> Option<&String> {
    let container = match main_container(pod) {
        Some(main) => main_status(pod, &main.name)?,
        None => pod.status.as_ref()?.container_statuses.as_ref()?.first()?,
    };
    container.container_id.as_ref().filter(|id| !id.is_empty())
}

/// Puts the status of the main container in front, for a pod that is about to lose the part
/// that tells which one it is.
pub(crate) fn put_main_first(pod: &mut Pod) {
    let Some(name) = main_container(pod).map(|main| main.name.clone()) else {
        return;
    };
    let statuses = pod
        .status
        .as_mut()
        .and_then(|status| status.container_statuses.as_mut());
    if let Some(statuses) = statuses {
        statuses.sort_by_key(|container| container.name != name);
    }
}

fn main_container(pod: &Pod) -> Option<&Container> {
    let containers = &pod.spec.as_ref()?.containers;
    let named = containers
        .iter()
        .find(|container| container.name == names::MAIN_CONTAINER);
    named.or_else(|| containers.first())
}

fn main_status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|container| container.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(spec: &Value, status: &Value) -> Sandbox {
        serde_json::from_value(json!({
            "apiVersion": "agents.kruise.io/v1alpha1", "kind": "Sandbox",
            "metadata": {"name": "a"}, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn pod(metadata: &Value, image: &str, container: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "sandbox", "image": image}]},
            "status": {"observedGeneration": 2, "containerStatuses": [
                {"name": "proxy", "image": "p", "imageID": "", "ready": true, "restartCount": 0, "containerID": "c9"},
                container,
            ]},
        }))
        .unwrap()
    }

    fn container(id: &str, state: &Value) -> Value {
        json!({"name": "sandbox", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "containerID": id, "state": state})
    }

    #[test]
    fn an_image_is_pending_until_the_status_names_it() {
        let wanted = json!({"inplaceUpdate": {"image": "v2"}});
        assert_eq!(pending(&sandbox(&json!({}), &json!({}))), None);
        assert_eq!(pending(&sandbox(&json!({"inplaceUpdate": {}}), &json!({}))), None);
        assert_eq!(pending(&sandbox(&wanted, &json!({}))), Some("v2"));
        assert_eq!(pending(&sandbox(&wanted, &json!({"image": "v1"}))), Some("v2"));
        assert_eq!(pending(&sandbox(&wanted, &json!({"image": "v2"}))), None);
    }

    #[test]
    fn a_pod_runs_the_image_when_another_container_than_the_noted_one_runs() {
        let running = json!({"running": {}});
        let noted = json!({"generation": 2, "annotations": {labels::REPLACED_CONTAINER: "c1"}});
        let fresh = json!({"generation": 2});
        for (metadata, image, container, expected) in [
            (&fresh, "v1", container("c1", &running), Progress::Differs),
            (&noted, "v2", container("c1", &running), Progress::Waits),
            (
                &noted,
                "v2",
                container("c1", &json!({"terminated": {"exitCode": 0}})),
                Progress::Waits,
            ),
            (
                &noted,
                "v2",
                container("c1", &json!({"waiting": {}})),
                Progress::Waits,
            ),
            (&noted, "v2", container("c2", &running), Progress::Runs),
            // Made with the image.
            (&fresh, "v2", container("c1", &running), Progress::Runs),
            (
                &fresh,
                "v2",
                container("c1", &json!({"waiting": {}})),
                Progress::Waits,
            ),
        ] {
            assert_eq!(
                progress(&pod(metadata, image, &container), "v2"),
                expected,
                "{metadata} {container}"
            );
        }
        assert_eq!(progress(&Pod::default(), "v2"), Progress::Waits);
    }

    #[test]
    fn a_container_that_restarted_before_the_kubelet_saw_the_change_is_not_the_new_one() {
        let behind = json!({"generation": 3, "annotations": {labels::REPLACED_CONTAINER: "c1"}});
        let restarted = container("c2", &json!({"running": {}}));
        assert_eq!(progress(&pod(&behind, "v2", &restarted), "v2"), Progress::Waits);
    }

    #[test]
    fn the_main_container_is_known_after_the_part_that_names_it_is_gone() {
        let mut whole = pod(&json!({}), "v1", &container("c1", &json!({})));
        assert_eq!(container_id(&whole).unwrap(), "c1");
        put_main_first(&mut whole);
        whole.spec = None;
        assert_eq!(container_id(&whole).unwrap(), "c1");
        assert_eq!(container_id(&Pod::default()), None);
    }

    #[test]
    fn the_patch_holds_for_one_version_and_notes_the_container_that_goes() {
        let metadata = json!({"uid": "u", "resourceVersion": "7"});
        let patch = render_patch(&pod(&metadata, "v1", &container("c1", &json!({}))), "v2").unwrap();
        assert_eq!(
            patch,
            json!({
                "metadata": {"uid": "u", "resourceVersion": "7", "annotations": {labels::REPLACED_CONTAINER: "c1"}},
                "spec": {"containers": [{"name": "sandbox", "image": "v2"}]},
            })
        );
        let starting = Pod {
            status: None,
            ..pod(&metadata, "v1", &container("c1", &json!({})))
        };
        let patch = render_patch(&starting, "v2").unwrap();
        assert!(patch["metadata"]["annotations"][labels::REPLACED_CONTAINER].is_null());
    }
}
