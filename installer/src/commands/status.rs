//! `silica status`: what is installed, and whether it is well.

use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, api::ListParams};
use serde_json::json;
use silica_api::{crd::SandboxSet, names};
use silica_certs::inspect;
use time::OffsetDateTime;

use crate::{
    address::Addresses,
    check::{Check, Report},
    cli::Format,
    cluster::{Cluster, request},
    error::Error,
    exit::Exit,
    exposed::{self, Wanted},
    facts::{self, Existing},
    gateway::{self, GatewayState},
    inventory::{Inventory, State},
    report::Output,
    run::Context,
    secrets::{CERTIFICATE, entry},
};

/// Flags of `silica status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica status
  silica status -o json | jq .checks")]
pub struct StatusArgs {
    #[command(flatten)]
    pub format: Format,
}

/// Shows the state; exit code 79 when something is wrong.
pub async fn run(context: &Context, _: &StatusArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let cluster = context.cluster().await?;
    let inventory = facts::read_installed(&cluster).await?;
    let existing = facts::read_existing(&cluster).await?;
    let addresses = Addresses::read(&cluster).await?;
    let now = OffsetDateTime::now_utc();
    let report = Report {
        checks: checks(&cluster, &inventory, &existing, &addresses, now).await?,
    };
    let routes: Vec<String> = addresses.routes().iter().map(ToString::to_string).collect();
    match printer.output() {
        Output::Json => printer.json(&json!({
            "version": inventory.version,
            "domains": inventory.domains,
            "routes": routes,
            "checks": report.checks,
        }))?,
        Output::Text => {
            for check in &report.checks {
                printer.check(check);
            }
            printer.info(format!("  reachable at {}", routes.join(", ")));
        }
    }
    Ok(if report.is_fine() {
        Exit::Success
    } else {
        Exit::Findings
    })
}

/// All parts of an installation, and what each of its addresses serves.
pub(crate) async fn checks(
    cluster: &Cluster,
    inventory: &Inventory,
    existing: &Existing,
    addresses: &Addresses,
    now: OffsetDateTime,
) -> Result<Vec<Check>, Error> {
    let mut checks = vec![installation(inventory)];
    for name in [names::CONTROLLER, names::MANAGER] {
        checks.push(deployment(cluster, name).await?);
    }
    for (name, what) in [
        (names::TLS_SECRET, "server certificate"),
        (names::CA_SECRET, "certificate authority"),
    ] {
        checks.extend(certificate(existing, name, what, now));
    }
    checks.extend(gateway::read(cluster).await?.map(gateway_check));
    let wanted = Wanted::new(inventory.domains.clone(), existing);
    checks.extend(exposed::look(&addresses.routes(), &wanted).await);
    checks.push(templates(cluster).await?);
    Ok(checks)
}

fn installation(inventory: &Inventory) -> Check {
    let id = "installation";
    let title = format!(
        "silica {} for {}",
        inventory.version,
        inventory.domains.join(", ")
    );
    match inventory.state {
        State::Complete => Check::pass(id, title),
        State::Applying => Check::fail(id, title, "an installation was interrupted")
            .hint("run the same silica install again, it resumes"),
        State::RollingOut => Check::warn(
            id,
            title,
            "everything is written, and no run has waited until it serves; what the former version had beyond it is still there",
        )
        .hint("silica install, which waits and removes the rest"),
        State::Removing => {
            Check::fail(id, title, "a removal was interrupted").hint("run silica uninstall again, it resumes")
        }
    }
}

async fn deployment(cluster: &Cluster, name: &str) -> Result<Check, Error> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let title = format!("Deployment {}/{name}", names::NAMESPACE);
    let found = api.get_opt(name).await.map_err(request("read", &title))?;
    let Some(deployment) = found else {
        return Ok(Check::fail("deployment", title, "it does not exist"));
    };
    let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let available = deployment
        .status
        .and_then(|status| status.available_replicas)
        .unwrap_or(0);
    let shown = format!("{title}: {available} of {wanted} pods available");
    Ok(match available {
        all if all >= wanted => Check::pass("deployment", shown),
        0 => Check::fail("deployment", shown, "nothing serves").hint(format!(
            "kubectl describe pods -n {} -l app.kubernetes.io/name={name}",
            names::NAMESPACE
        )),
        _ => Check::warn("deployment", shown, "some pods are not available"),
    })
}

fn certificate(existing: &Existing, name: &str, what: &str, now: OffsetDateTime) -> Option<Check> {
    const SOON_DAYS: i64 = 14;
    let pem = std::str::from_utf8(entry(existing, name, CERTIFICATE)?).ok()?;
    let id = "certificate";
    let Ok(chain) = inspect::parse_chain(pem) else {
        return Some(Check::fail(
            id,
            format!("{what} in Secret {name}"),
            "it cannot be read",
        ));
    };
    let first = chain.first()?;
    let days = (first.not_after - now).whole_days();
    let title = format!("{what}: {days} days left, until {}", first.not_after.date());
    Some(if !first.is_valid_at(now) {
        Check::fail(id, title, "it is not valid now").hint("silica rotate-certs")
    } else if days < SOON_DAYS {
        Check::warn(id, title, "it ends soon").hint("silica rotate-certs")
    } else {
        Check::pass(id, title)
    })
}

fn gateway_check(state: GatewayState) -> Check {
    let id = "gateway";
    if state.problems.is_empty() {
        return Check::pass(id, format!("{} takes requests", state.title));
    }
    Check::fail(id, state.title, state.problems.join("; ")).hint(format!(
        "kubectl describe gateway,httproute -n {}",
        names::NAMESPACE
    ))
}

async fn templates(cluster: &Cluster) -> Result<Check, Error> {
    let api: Api<SandboxSet> = Api::all(cluster.client.clone());
    let sets = api
        .list(&ListParams::default())
        .await
        .map_err(request("list", "SandboxSets"))?;
    let shown: Vec<String> = sets
        .iter()
        .map(|set| {
            let available = set.status.as_ref().map_or(0, |status| status.available_replicas);
            let name = set.metadata.name.as_deref().unwrap_or_default();
            format!("{name} ({available} of {} free)", set.spec.replicas)
        })
        .collect();
    Ok(if shown.is_empty() {
        Check::skip(
            "templates",
            "templates",
            "there are none: kubectl apply a SandboxSet",
        )
    } else {
        Check::pass("templates", format!("templates: {}", shown.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::check::Verdict;

    #[test]
    fn an_interrupted_installation_is_a_finding() {
        let at = |state| {
            installation(&Inventory {
                state,
                version: "1".into(),
                domains: Vec::new(),
                values: serde_json::Map::new(),
                objects: BTreeSet::new(),
                verified: None,
            })
            .verdict
        };
        assert_eq!(
            (at(State::Complete), at(State::Applying), at(State::Removing)),
            (Verdict::Pass, Verdict::Fail, Verdict::Fail)
        );
        assert_eq!(at(State::RollingOut), Verdict::Warn);
    }
}
