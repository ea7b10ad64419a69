//! Everything stands; now it has to prove that it works.

use std::time::Duration;

use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use silica_api::{crd::SandboxSet, types::Domain};
use silica_dns::{Record, probe::is_localhost};
use silica_manifests::Phase;
use tokio::time::Instant;

use super::Applied;
use crate::{
    address::{Addresses, Route},
    check::Verdict,
    cluster::{Cluster, request},
    commands::verify_dns,
    error::Error,
    exposed::{self, Wanted},
    facts,
    https::Trust,
    plan::Plan,
    run::Context,
    verify::{self, Proof},
    wait,
};

/// How long the API may take to answer once its pods are ready.
const REACH_PATIENCE: Duration = Duration::from_secs(30);
/// How long an ingress controller may take to serve the certificate.
const SERVED_PATIENCE: Duration = Duration::from_secs(20);

/// Everything stands.
pub struct Ready {
    pub(super) applied: Applied,
    pub(super) addresses: Addresses,
}

impl Ready {
    /// Proves that it works.
    pub async fn verify(self, context: &Context, cluster: &Cluster) -> Result<Verified, Error> {
        let printer = &context.printer;
        let Self {
            applied:
                Applied {
                    settings,
                    plan,
                    made,
                    written,
                    ..
                },
            addresses,
        } = self;
        // The settings refuse an empty list.
        let Some(domain) = plan.options.domains.first().cloned() else {
            return Err(Error::NotInstalled);
        };
        let trust = Trust::of(Some(&made.client_roots));
        let template = choose_template(cluster, &plan).await?;
        let mut proof = None;
        let mut route = None;
        if !settings.skip_verify {
            printer.start("API");
            let deadline = context.deadline.min(Instant::now() + REACH_PATIENCE);
            let client = verify::reach(cluster, &addresses, &domain, trust, deadline).await?;
            route = Some(client.route().clone());
            printer.done(&format!(
                "https://{} answers at {}",
                domain.api_host(),
                client.route()
            ));
            if matches!(client.route(), Route::Forward { .. }) && addresses.routes().len() > 1 {
                printer.warn("no address from outside answers here; checked through the API server instead");
            }
            certificate(context, cluster, &plan.options.domains, &addresses).await?;
            match &template {
                None => printer.info("- Sandbox: skipped, there is no template with a free sandbox"),
                Some((namespace, name)) => {
                    printer.start("Sandbox");
                    wait::pool(cluster, namespace, name, context.deadline, printer).await?;
                    let shown = verify::prove(&client, &domain, &made.admin_key, name).await?;
                    let (create, command) = (shown.create.as_millis(), shown.command.as_millis());
                    printer.done(&format!(
                        "{} ran a command (create {create} ms, command {command} ms)",
                        shown.sandbox
                    ));
                    proof = Some(shown);
                }
            }
        }
        let missing_records = missing_records(&plan.options.domains, &addresses).await;
        Ok(Verified {
            domain: domain.to_string(),
            addresses,
            route,
            proof,
            template: template.map(|(_, name)| name),
            missing_records,
            admin_key: made.admin_key,
            client_roots: made.client_roots,
            written,
        })
    }
}

/// Compares what the addresses serve with the Secret. An address that cannot be
/// reached from here is told; a certificate that clients refuse stops the run.
async fn certificate(
    context: &Context,
    cluster: &Cluster,
    domains: &[Domain],
    addresses: &Addresses,
) -> Result<(), Error> {
    let routes = addresses.routes();
    if !routes.iter().any(|route| matches!(route, Route::Tcp { .. })) {
        return Ok(());
    }
    let printer = &context.printer;
    printer.start("Certificate");
    let domains = domains.iter().map(ToString::to_string).collect();
    let wanted = Wanted::new(domains, &facts::read_existing(cluster).await?);
    let deadline = context.deadline.min(Instant::now() + SERVED_PATIENCE);
    let checks = exposed::wait_until_served(&routes, &wanted, deadline, printer).await;
    let of = |verdict| checks.iter().filter(move |check| check.verdict == verdict);
    for check in of(Verdict::Warn).chain(of(Verdict::Fail)) {
        printer.check(check);
    }
    if let Some(failed) = of(Verdict::Fail).next() {
        return Err(verify::Error::Certificate {
            why: failed.detail.clone(),
            hint: failed.hint.clone(),
        }
        .into());
    }
    let fine = of(Verdict::Pass).count();
    printer.done(&format!("served by {fine} of {} addresses", checks.len()));
    Ok(())
}

/// A template that can be tried: one of ours, else any with a free sandbox.
async fn choose_template(cluster: &Cluster, plan: &Plan) -> Result<Option<(String, String)>, Error> {
    if let Some(templates) = plan
        .options
        .templates
        .as_ref()
        .filter(|templates| templates.replicas > 0)
    {
        let ours = plan.objects.of_phase(Phase::Templates).next();
        return Ok(ours.map(|object| (templates.namespace.to_string(), object.name.clone())));
    }
    let api: Api<SandboxSet> = Api::all(cluster.client.clone());
    let sets = api
        .list(&ListParams::default())
        .await
        .map_err(request("list", "SandboxSets"))?;
    let free = |set: &SandboxSet| {
        set.status
            .as_ref()
            .is_some_and(|status| status.available_replicas > 0)
    };
    Ok(sets
        .into_iter()
        .find(free)
        .and_then(|set| Some((set.metadata.namespace?, set.metadata.name?))))
}

/// Records that DNS lacks; none when DNS cannot be asked, since `verify-dns`
/// says more about that.
async fn missing_records(domains: &[Domain], addresses: &Addresses) -> Vec<Record> {
    let mut records = Vec::new();
    // Names below localhost lead to this machine by themselves (RFC 6761 section 6.3).
    for domain in domains.iter().filter(|domain| !is_localhost(domain.as_str())) {
        if let Ok(report) = verify_dns::check(domain.as_str(), addresses.expected()).await {
            records.extend(report.records);
        }
    }
    records
}

/// It works. No `Debug`: it holds the API key.
pub struct Verified {
    /// The main domain.
    pub domain: String,
    /// Where it can be reached.
    pub addresses: Addresses,
    /// How the API was reached for the proof.
    pub route: Option<Route>,
    /// The proof, when there was a template to try.
    pub proof: Option<Proof>,
    /// A template that can be tried.
    pub template: Option<String>,
    /// DNS records that are missing.
    pub missing_records: Vec<Record>,
    /// The administrator's API key.
    pub admin_key: String,
    /// What clients have to trust; empty when they do so by themselves.
    pub client_roots: String,
    /// How many writes the cluster saw.
    pub written: usize,
}

impl Verified {
    /// The result for programs, without the key.
    pub fn to_json(&self) -> Value {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        json!({
            "domain": self.domain,
            "writes": self.written,
            "route": self.route.as_ref().map(ToString::to_string),
            "proof": self.proof.as_ref().map(|proof| json!({
                "sandbox": proof.sandbox,
                "createMilliseconds": millis(proof.create),
                "commandMilliseconds": millis(proof.command),
            })),
            "missingRecords": self.missing_records,
        })
    }
}
