//! Webhooks of somebody else that act on objects of ours.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
};
use kube::{Api, ResourceExt, api::ListParams};
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
            let mut rules = one
                .webhooks
                .iter()
                .flatten()
                .flat_map(|hook| hook.rules.iter().flatten());
            rules
                .any(is_about_us)
                .then(|| format!("ValidatingWebhookConfiguration {}", one.name_any()))
        })),
        Err(error) => return Known::unless_forbidden(request("list", "webhooks")(error)),
    }
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    match api.list(&all).await {
        Ok(list) => found.extend(list.iter().filter_map(|one| {
            let mut rules = one
                .webhooks
                .iter()
                .flatten()
                .flat_map(|hook| hook.rules.iter().flatten());
            rules
                .any(is_about_us)
                .then(|| format!("MutatingWebhookConfiguration {}", one.name_any()))
        })),
        Err(error) => return Known::unless_forbidden(request("list", "webhooks")(error)),
    }
    Ok(Known::Read(found))
}

/// A rule for every group is a policy engine's, and no second controller.
fn is_about_us(rule: &RuleWithOperations) -> bool {
    rule.api_groups
        .iter()
        .flatten()
        .any(|group| group == names::GROUP)
}
