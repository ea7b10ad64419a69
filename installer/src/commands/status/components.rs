//! The Deployments: which images they run, and how many of their pods serve.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde::Serialize;
use silica_api::names;

use crate::{
    cli::{check::Check, error::Error},
    cluster::{Cluster, request},
};

/// One Deployment.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Component {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub exists: bool,
    /// Images of its containers, in their order.
    pub images: Vec<String>,
    /// How many pods are wanted.
    pub wanted: i32,
    /// How many serve.
    pub available: i32,
    /// How many are of the newest version.
    pub updated: i32,
}

/// Reads controller and manager.
pub(crate) async fn read(cluster: &Cluster) -> Result<Vec<Component>, Error> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let mut components = Vec::new();
    for name in [names::CONTROLLER, names::MANAGER] {
        let title = format!("Deployment {}/{name}", names::NAMESPACE);
        let found = api.get_opt(name).await.map_err(request("read", title))?;
        components.push(Component::of(name, found));
    }
    Ok(components)
}

impl Component {
    fn of(name: &str, deployment: Option<Deployment>) -> Self {
        let exists = deployment.is_some();
        let Deployment { spec, status, .. } = deployment.unwrap_or_default();
        let (spec, status) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let pod = spec.template.spec.unwrap_or_default();
        Self {
            name: name.to_owned(),
            exists,
            images: pod
                .containers
                .into_iter()
                .filter_map(|container| container.image)
                .collect(),
            wanted: spec.replicas.unwrap_or(1),
            available: status.available_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
        }
    }

    /// Whether enough of it serves.
    pub(super) fn check(&self) -> Check {
        let id = "deployment";
        let Self {
            name,
            wanted,
            available,
            updated,
            ..
        } = self;
        let title = format!("Deployment {}/{name}", names::NAMESPACE);
        if !self.exists {
            return Check::fail(id, title, "it does not exist").hint("silica install puts it back");
        }
        let title = format!(
            "{title}: {available} of {wanted} pods available, {}",
            self.images.join(", ")
        );
        let look = format!(
            "kubectl describe pods -n {} -l app.kubernetes.io/name={name}",
            names::NAMESPACE
        );
        match *available {
            0 if *wanted > 0 => Check::fail(id, title, "nothing serves").hint(look),
            some if some < *wanted => Check::warn(id, title, "some pods are not available").hint(look),
            _ if updated < wanted => Check::warn(
                id,
                title,
                format!("{updated} of {wanted} pods are of this version"),
            )
            .hint(look),
            _ => Check::pass(id, title),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::check::Verdict;

    fn component(available: i32, updated: i32) -> Component {
        let deployment = serde_json::from_value(json!({
            "spec": {"replicas": 3, "selector": {},
                "template": {"spec": {"containers": [{"name": "c", "image": "r.example/manager:1"}]}}},
            "status": {"availableReplicas": available, "updatedReplicas": updated}}));
        Component::of("a", Some(deployment.unwrap()))
    }

    #[test]
    fn images_and_counts_are_told() {
        let check = component(3, 3).check();
        assert_eq!(check.verdict, Verdict::Pass);
        assert!(
            check.title.contains("3 of 3 pods available, r.example/manager:1"),
            "{}",
            check.title
        );
        assert_eq!(component(1, 3).check().verdict, Verdict::Warn);
        assert_eq!(component(3, 1).check().verdict, Verdict::Warn);
        assert_eq!(component(0, 0).check().verdict, Verdict::Fail);
        assert_eq!(Component::of("a", None).check().verdict, Verdict::Fail);
    }
}
