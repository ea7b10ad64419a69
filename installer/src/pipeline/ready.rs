//! Everything stands; now it has to prove that it works.

use std::time::Duration;

use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use silica_api::{crd::SandboxSet, types::Domain};
use silica_dns::{Record, probe::is_localhost};
use silica_manifests::Phase;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Applied;
use crate::{
    cli::{check::Verdict, context::Context, error::Error},
    cluster::{Cluster, inventory::Verification, request},
    exposure::{
        address::{Addresses, Route},
        dns,
        exposed::{self, Wanted},
        https::{Client, Trust},
    },
    facts,
    pipeline::{
        verify::{self, Proof},
        wait,
    },
    plan::Plan,
};

/// How long the API may take to answer once its pods are ready.
const REACH_PATIENCE: Duration = Duration::from_secs(30);
/// How long an ingress controller may take to serve the certificate.
const SERVED_PATIENCE: Duration = Duration::from_secs(20);
/// How much of a failed proof's reason is recorded.
const FAILURE_CHARS: usize = 300;

/// Everything stands.
pub struct Ready {
    pub(super) applied: Applied,
    pub(super) addresses: Addresses,
}

impl Ready {
    /// Proves that it works. What only the former version had is removed on the way, as
    /// soon as the new one serves its certificate.
    pub async fn verify(mut self, context: &Context, cluster: &Cluster) -> Result<Verified, Error> {
        // The settings refuse an empty list.
        let Some(domain) = self.applied.plan.options.domains.first().cloned() else {
            return Err(Error::NotInstalled);
        };
        let template = choose_template(cluster, &self.applied.plan).await?;
        let mut proof = None;
        let mut route = None;
        if self.applied.settings.skip_verify {
            self.applied.settle(context, cluster).await?;
        } else {
            let mut client = self.reach(context, cluster, &domain).await?;
            certificate(
                context,
                cluster,
                &self.applied.plan.options.domains,
                &self.addresses,
            )
            .await?;
            let removes = !self.applied.leftovers.is_empty();
            self.applied.settle(context, cluster).await?;
            if removes {
                // What answered first may be a way in that was removed just now.
                self.addresses = Addresses::read(cluster).await?;
                if !self.addresses.routes().contains(client.route()) {
                    client = self.reach(context, cluster, &domain).await?;
                }
            }
            route = Some(client.route().clone());
            if let Some(proven) = self.proven(template.is_some()) {
                let when = &proven.time;
                context
                    .printer
                    .info(format!("- Sandbox: nothing changed since the proof of {when}"));
            } else {
                proof = self
                    .prove(context, cluster, &client, &domain, template.as_ref())
                    .await?;
            }
        }
        let Self { applied, addresses } = self;
        let missing_records = missing_records(&applied.plan.options.domains, &addresses).await;
        Ok(Verified {
            domain: domain.to_string(),
            addresses,
            route,
            proof,
            verified: applied.recorded.verified,
            template: template.map(|(_, name)| name),
            missing_records,
            admin_key: applied.made.admin_key,
            client_roots: applied.made.client_roots,
            written: applied.written,
        })
    }

    /// A way to the API, which answers over TLS.
    async fn reach(&self, context: &Context, cluster: &Cluster, domain: &Domain) -> Result<Client, Error> {
        let printer = &context.printer;
        let made = &self.applied.made;
        let trust = Trust::of(Some(&made.client_roots));
        printer.start("API");
        let deadline = context.deadline.min(Instant::now() + REACH_PATIENCE);
        let client = verify::reach(cluster, &self.addresses, domain, trust, deadline).await?;
        printer.done(&format!(
            "https://{} answers at {}",
            domain.api_host(),
            client.route()
        ));
        if matches!(client.route(), Route::Forward { .. }) && self.addresses.routes().len() > 1 {
            printer.warn("no address from outside answers here; checked through the API server instead");
        }
        Ok(client)
    }

    /// The last proof, when it was good and still says all: every change drops it, and one
    /// without a sandbox says little once there is a template.
    fn proven(&self, has_template: bool) -> Option<&Verification> {
        let last = self.applied.recorded.verified.as_ref();
        last.filter(|last| last.is_good() && (last.template.is_some() || !has_template))
    }

    /// Runs a command in a sandbox, if there is a template, and records the outcome.
    async fn prove(
        &mut self,
        context: &Context,
        cluster: &Cluster,
        client: &Client,
        domain: &Domain,
        template: Option<&(String, String)>,
    ) -> Result<Option<Proof>, Error> {
        let printer = &context.printer;
        let outcome = match template {
            None => {
                printer.info("- Sandbox: skipped, there is no template with a free sandbox");
                Ok(None)
            }
            Some((namespace, name)) => {
                printer.start("Sandbox");
                let key = &self.applied.made.admin_key;
                let shown = async {
                    wait::pool(cluster, namespace, name, context.deadline, printer).await?;
                    Ok::<_, Error>(verify::prove(client, domain, key, name).await?)
                };
                shown.await.map(Some)
            }
        };
        let failure = outcome.as_ref().err().map(|error| {
            let text = error.to_string();
            text.chars().take(FAILURE_CHARS).collect()
        });
        let name = template.map(|(_, name)| name.clone());
        let record = Verification::new(OffsetDateTime::now_utc(), name, failure);
        let recorded = self.applied.record(cluster, record).await;
        let proof = outcome?;
        if let Some(shown) = &proof {
            let (create, command) = (shown.create.as_millis(), shown.command.as_millis());
            printer.done(&format!(
                "{} ran a command (create {create} ms, command {command} ms)",
                shown.sandbox
            ));
        }
        // It works all the same.
        if let Err(error) = recorded {
            printer.warn(format!("the proof is not recorded: {error}"));
        }
        Ok(proof)
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
        if let Ok(report) = dns::check(domain.as_str(), addresses.expected()).await {
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
    /// The proof of this run, when there was a template to try and a reason to.
    pub proof: Option<Proof>,
    /// The last proof, of this run or an earlier one.
    pub verified: Option<Verification>,
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
            "verified": self.verified,
            "missingRecords": self.missing_records,
        })
    }
}
