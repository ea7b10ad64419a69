//! The rights that an installation needs, and which of them the user lacks.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};
use silica_api::names;
use silica_manifests::Objects;

use crate::{
    cluster::{Cluster, Error, request},
    facts::CONCURRENCY,
};

/// A right that applying the plan needs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Right {
    /// Verb, for example `patch`.
    pub verb: &'static str,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural of the resource.
    pub resource: String,
    /// Namespace, absent for cluster-wide rights.
    pub namespace: Option<String>,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" cluster-wide"),
        }
    }
}

/// The rights that writing these objects and the Secrets takes.
pub fn needed(objects: &Objects) -> BTreeSet<Right> {
    const VERBS: [&str; 4] = ["get", "create", "patch", "delete"];
    let own = |resource: &str| {
        (
            String::new(),
            resource.to_owned(),
            Some(names::NAMESPACE.to_owned()),
        )
    };
    objects
        .iter()
        .map(|object| {
            (
                object.resource.group.clone(),
                object.resource.plural.clone(),
                object.namespace.clone(),
            )
        })
        .chain([own("secrets"), own("configmaps")])
        .flat_map(|(group, resource, namespace)| {
            VERBS.map(|verb| Right {
                verb,
                group: group.clone(),
                resource: resource.clone(),
                namespace: namespace.clone(),
            })
        })
        .collect()
}

/// Asks the API server which of these rights the user lacks.
pub async fn read_missing(cluster: &Cluster, rights: BTreeSet<Right>) -> Result<Vec<Right>, Error> {
    let everything = Right {
        verb: "*",
        group: "*".into(),
        resource: "*".into(),
        namespace: None,
    };
    if is_allowed(cluster, &everything).await? {
        return Ok(Vec::new());
    }
    let answers = stream::iter(rights)
        .map(|right| async move { Ok::<_, Error>((is_allowed(cluster, &right).await?, right)) })
        .buffered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    Ok(answers
        .into_iter()
        .filter(|(allowed, _)| !allowed)
        .map(|(_, right)| right)
        .collect())
}

async fn is_allowed(cluster: &Cluster, right: &Right) -> Result<bool, Error> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(right.verb.into()),
                group: Some(right.group.clone()),
                resource: Some(right.resource.clone()),
                namespace: right.namespace.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api
        .create(&PostParams::default(), &review)
        .await
        .map_err(request("review", "own access rights"))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_kind_is_asked_for_once() {
        let images = silica_manifests::Images {
            manager: "m".into(),
            runtime: "r".into(),
        };
        let options = silica_manifests::Options::new("a.example".parse().unwrap(), images);
        let rights = needed(&silica_manifests::objects(&options));
        let asks = |verb: &str, resource: &str| {
            rights
                .iter()
                .filter(|right| right.verb == verb && right.resource == resource)
                .count()
        };
        assert_eq!(
            (
                asks("patch", "deployments"),
                asks("create", "secrets"),
                asks("get", "clusterroles")
            ),
            (1, 1, 1)
        );
    }
}
