//! The pools that templates are, and what is left of them.

use kube::{Api, api::ListParams};
use silica_api::{crd::SandboxSet, names};

use crate::{
    cli::{check::Check, error::Error},
    cluster::{Cluster, found, request},
};

/// Every pool; `None` when their definition is missing.
pub(crate) async fn read(cluster: &Cluster) -> Result<Option<Vec<SandboxSet>>, Error> {
    let api: Api<SandboxSet> = Api::all(cluster.client.clone());
    let sets = found(api.list(&ListParams::default()).await).map_err(request("list", "SandboxSets"))?;
    Ok(sets.map(|list| list.items))
}

/// The pools on one line.
pub(super) fn check(sets: Option<&[SandboxSet]>) -> Check {
    let id = "templates";
    let Some(sets) = sets else {
        let title = format!("definitions of {}", names::GROUP);
        return Check::fail(id, title, "they are missing, and with them all sandboxes")
            .hint("silica install puts the definitions back");
    };
    let shown: Vec<String> = sets
        .iter()
        .map(|set| {
            let available = set.status.as_ref().map_or(0, |status| status.available_replicas);
            let name = set.metadata.name.as_deref().unwrap_or_default();
            format!("{name} ({available} of {} free)", set.spec.replicas)
        })
        .collect();
    if shown.is_empty() {
        Check::skip(id, "templates", "there are none: kubectl apply a SandboxSet")
    } else {
        Check::pass(id, format!("templates: {}", shown.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Verdict;

    #[test]
    fn missing_definitions_are_a_finding_and_no_templates_are_none() {
        assert_eq!(check(None).verdict, Verdict::Fail);
        assert_eq!(check(Some(&[])).verdict, Verdict::Skip);
    }
}
