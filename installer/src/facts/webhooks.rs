//! Webhooks of somebody else that act on objects of ours.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use silica_api::names;

use super::Known;
use crate::cluster::{Cluster, Error, request};

/// `Kind name` of each configuration with a rule for our group.
pub(super) async fn read(cluster: &Cluster) -> Result<Known<Vec<String>>, Error> {
    let mut found = Vec::new();
    let all = ListParams::default();
    let api: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client.clone());
    match api.list(&all).await {
        Ok(list) => found.extend(list.iter().filter_map(|one| {
            let hooks = one.webhooks.iter().flatten();
            titled_if_about_us(one, hooks.flat_map(|hook| hook.rules.iter().flatten()))
        })),
        Err(error) => return Known::unless_forbidden(request("list", "webhooks")(error)),
    }
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    match api.list(&all).await {
        Ok(list) => found.extend(list.iter().filter_map(|one| {
            let hooks = one.webhooks.iter().flatten();
            titled_if_about_us(one, hooks.flat_map(|hook| hook.rules.iter().flatten()))
        })),
        Err(error) => return Known::unless_forbidden(request("list", "webhooks")(error)),
    }
    Ok(Known::Read(found))
}

/// `Kind name` of a configuration, when one of its rules is for our group.
fn titled_if_about_us<'a, K: Resource<DynamicType = ()>>(
    configuration: &K,
    mut rules: impl Iterator<Item = &'a RuleWithOperations>,
) -> Option<String> {
    rules
        .any(is_about_us)
        .then(|| format!("{} {}", K::kind(&()), configuration.name_any()))
}

/// A rule for every group is a policy engine's, and no second controller.
fn is_about_us(rule: &RuleWithOperations) -> bool {
    rule.api_groups
        .iter()
        .flatten()
        .any(|group| group == names::GROUP)
}
