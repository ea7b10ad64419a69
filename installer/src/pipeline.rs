//! The stages of an installation. Each consumes the former, so that applying
//! without a passed preflight, or verifying without waiting, does not compile.

use std::{collections::BTreeMap, path::Path, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use silica_api::{
    crd::{self, SandboxSet},
    names,
    types::Domain,
};
use silica_dns::{Record, probe::is_localhost};
use silica_manifests::{Object, Phase, ServiceType};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::{
    address::{Addresses, Route},
    apply::{self, Action, Change, Conflicts},
    bundle::{self, Bundle},
    check::{Report, Verdict},
    cluster::{self, Cluster, request},
    commands::{install::InstallArgs, verify_dns},
    error::Error,
    facts::{self, ClusterFacts},
    https::Trust,
    images::{self, Target},
    inventory::{Entry, Inventory, State},
    plan::{self, Plan, phase_title},
    preflight,
    run::Context,
    secrets::{Decision, contents},
    settings::Settings,
    verify::{self, Proof},
    wait,
};

/// How long an address from the outside world is waited for; after that the
/// proof goes through the API server.
const ADDRESS_PATIENCE: Duration = Duration::from_mins(1);
/// How long the API may take to answer once its pods are ready.
const REACH_PATIENCE: Duration = Duration::from_secs(30);

/// The plan, on a cluster that is fit for it.
pub struct Prepared {
    settings: Settings,
    facts: ClusterFacts,
    plan: Plan,
    bundle: Option<Bundle>,
    target: Target,
    report: Report,
    now: OffsetDateTime,
}

impl Prepared {
    /// Settings, facts, plan, preflight.
    pub async fn read(context: &Context, cluster: &Cluster, args: &InstallArgs) -> Result<Self, Error> {
        let printer = &context.printer;
        let settings = Settings::read(args)?;
        let bundle = if plan::needs_bundle(&settings) {
            Some(bundle::unpack()?)
        } else {
            None
        };
        let images = plan::images(&settings, bundle.as_ref())?;
        let target = match &bundle {
            Some(_) => images::choose(
                settings.delivery,
                settings.containerd_address.as_deref(),
                Path::exists,
            )?,
            None => Target::Nowhere,
        };
        printer.start("Preflight");
        let facts = ClusterFacts::read(cluster).await?;
        let now = OffsetDateTime::now_utc();
        let plan = plan::plan(&settings, &facts, images, now)?;
        let missing = facts::read_missing_rights(cluster, facts::needed_rights(&plan.objects)).await?;
        let report = preflight::judge(&settings, &facts, &missing);
        for check in &report.checks {
            printer.check(check);
        }
        if !report.is_fine() {
            let count = report.failures().count();
            return Err(Error::Preflight {
                count,
                is_permission: report.lacks_rights_only(),
            });
        }
        for warning in &plan.secrets.warnings {
            printer.warn(warning);
        }
        let passed = report
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Pass)
            .count();
        printer.done(&format!("{passed} of {} checks passed", report.checks.len()));
        Ok(Self {
            settings,
            facts,
            plan,
            bundle,
            target,
            report,
            now,
        })
    }

    /// Compares the plan with the cluster.
    pub async fn compare(self, context: &Context, cluster: &Cluster) -> Result<Compared, Error> {
        let printer = &context.printer;
        printer.start("Comparison");
        let conflicts = if self.settings.force_conflicts || self.settings.adopt {
            Conflicts::Force
        } else {
            Conflicts::Refuse
        };
        let mut changes = BTreeMap::new();
        for phase in Phase::ALL {
            let objects: Vec<Object> = self.plan.objects.of_phase(phase).cloned().collect();
            changes.insert(phase, apply::observe(cluster, objects, conflicts).await?);
        }
        let dropped: Vec<Entry> = match &self.facts.inventory {
            Some(former) => self.plan.inventory.dropped_since(former).cloned().collect(),
            None => Vec::new(),
        };
        let compared = Compared {
            prepared: self,
            changes,
            dropped,
            conflicts,
        };
        printer.done(&compared.summary());
        Ok(compared)
    }
}

/// The plan and how the cluster differs from it.
pub struct Compared {
    prepared: Prepared,
    changes: BTreeMap<Phase, Vec<Change>>,
    dropped: Vec<Entry>,
    conflicts: Conflicts,
}

impl Compared {
    fn count(&self, action: Action) -> usize {
        self.changes
            .values()
            .flatten()
            .filter(|change| change.action == action)
            .count()
    }

    fn inventory_is_current(&self) -> bool {
        self.prepared.facts.inventory.as_ref() == Some(&self.prepared.plan.inventory)
    }

    /// Whether applying writes anything to the cluster.
    pub fn changes_anything(&self) -> bool {
        self.count(Action::Create) + self.count(Action::Update) > 0
            || !self.dropped.is_empty()
            || self.prepared.plan.secrets.writes()
            || !self.inventory_is_current()
    }

    fn summary(&self) -> String {
        let (create, update, keep) = (
            self.count(Action::Create),
            self.count(Action::Update),
            self.count(Action::Keep),
        );
        format!(
            "{create} to create, {update} to update, {} to remove, {keep} as they should be",
            self.dropped.len()
        )
    }

    /// The differences for people. Of Secrets only the reason is told.
    pub fn describe(&self) -> String {
        let mut lines = Vec::new();
        for change in self.changes.values().flatten() {
            match change.action {
                Action::Create => lines.push(format!("  + {}", change.object.title())),
                Action::Update => lines.push(format!(
                    "  ~ {} ({})",
                    change.object.title(),
                    change.paths.join(", ")
                )),
                Action::Keep => {}
            }
        }
        for (request, decision) in &self.prepared.plan.secrets.decisions {
            if let Decision::Make(reason) = decision {
                lines.push(format!(
                    "  * Secret {}/{} ({reason})",
                    names::NAMESPACE,
                    request.name
                ));
            }
        }
        lines.extend(self.dropped.iter().map(|entry| format!("  - {}", entry.title())));
        if lines.is_empty() {
            "  nothing to change".into()
        } else {
            lines.join("\n")
        }
    }

    /// The differences for programs.
    pub fn to_json(&self) -> Value {
        let changes: Vec<Value> = self
            .changes
            .values()
            .flatten()
            .map(|change| json!({"object": change.object.title(), "action": change.action.as_str(), "paths": change.paths}))
            .collect();
        let secrets: Vec<Value> = self
            .prepared
            .plan
            .secrets
            .decisions
            .iter()
            .map(|(request, decision)| match decision {
                Decision::Keep => json!({"name": request.name, "action": "keep"}),
                Decision::Foreign => json!({"name": request.name, "action": "foreign"}),
                Decision::Make(reason) => json!({"name": request.name, "action": "make", "reason": reason}),
            })
            .collect();
        let removed: Vec<String> = self.dropped.iter().map(Entry::title).collect();
        json!({"changes": changes, "secrets": secrets, "remove": removed, "checks": self.prepared.report.checks})
    }

    /// Writes the difference.
    pub async fn apply(self, context: &Context, cluster: &Cluster) -> Result<Applied, Error> {
        let writes = self.changes_anything();
        let Self {
            prepared,
            changes,
            dropped,
            conflicts,
        } = self;
        let Prepared {
            settings,
            facts,
            plan,
            bundle,
            target,
            report: _,
            now,
        } = prepared;
        let printer = &context.printer;
        let made = contents::make(
            &plan.secrets,
            &facts.existing,
            &plan.options.domains,
            settings.admin_key.as_ref(),
            now,
        )?;
        let mut written = 0;
        for phase in Phase::ALL {
            if phase == Phase::Access && !made.objects.is_empty() {
                printer.start("Secrets");
                for object in &made.objects {
                    apply::apply(cluster, object, Conflicts::Force).await?;
                }
                written += made.objects.len();
                printer.done(&format!("{} written", made.objects.len()));
            }
            if phase == Phase::Workloads {
                deliver(context, bundle.as_ref(), &target).await?;
            }
            let of_phase = &changes[&phase];
            if of_phase.iter().any(|change| change.action != Action::Keep) {
                printer.start(phase_title(phase));
                let count = apply::apply_changes(cluster, of_phase, conflicts).await?;
                written += count;
                if phase == Phase::Crds {
                    let names: Vec<String> =
                        of_phase.iter().map(|change| change.object.name.clone()).collect();
                    wait::definitions(cluster, &names, context.deadline, printer).await?;
                }
                printer.done(&format!("{count} written"));
            }
            // The inventory lives in the namespace, and knows of everything
            // that comes after it.
            if phase == Phase::Namespace && writes {
                write_inventory(
                    cluster,
                    &plan.inventory.merged(facts.inventory.as_ref(), State::Applying),
                )
                .await?;
                written += 1;
            }
        }
        if !dropped.is_empty() {
            printer.start("Leftovers");
            for entry in &dropped {
                delete(cluster, entry, &DeleteParams::background()).await?;
            }
            written += dropped.len();
            printer.done(&format!("{} removed", dropped.len()));
        }
        if writes {
            write_inventory(cluster, &plan.inventory).await?;
            written += 1;
        }
        Ok(Applied {
            settings,
            plan,
            made,
            written,
        })
    }
}

async fn deliver(context: &Context, bundle: Option<&Bundle>, target: &Target) -> Result<(), Error> {
    let (Some(bundle), Target::Containerd(socket)) = (bundle, target) else {
        return Ok(());
    };
    let printer = &context.printer;
    printer.start("Images");
    let imported = images::deliver(bundle, socket).await?;
    printer.done(&match imported.as_slice() {
        [] => "the node has them".to_owned(),
        images => format!("imported {}", images.join(", ")),
    });
    Ok(())
}

/// Writes the inventory.
pub(crate) async fn write_inventory(cluster: &Cluster, inventory: &Inventory) -> Result<(), cluster::Error> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), names::NAMESPACE);
    let params = PatchParams::apply(names::FIELD_MANAGER_INSTALLER).force();
    let written = api
        .patch(
            names::INVENTORY,
            &params,
            &Patch::Apply(inventory.to_config_map()),
        )
        .await;
    let title = format!("ConfigMap {}/{}", names::NAMESPACE, names::INVENTORY);
    written.map_err(request("write", title)).map(drop)
}

/// Deletes one object; one that is gone already is as good.
pub(crate) async fn delete(
    cluster: &Cluster,
    entry: &Entry,
    params: &DeleteParams,
) -> Result<(), cluster::Error> {
    let api = cluster.objects(&entry.resource(), entry.namespace.as_deref());
    match api.delete(&entry.name, params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(request("delete", entry.title())(error)),
    }
}

/// Everything is written.
pub struct Applied {
    settings: Settings,
    plan: Plan,
    made: contents::Made,
    written: usize,
}

impl Applied {
    /// Waits until the workloads serve and an address is there.
    pub async fn wait(self, context: &Context, cluster: &Cluster) -> Result<Ready, Error> {
        let printer = &context.printer;
        printer.start("Rollout");
        let rollout = |name| wait::rollout(cluster, names::NAMESPACE, name, context.deadline, printer);
        tokio::try_join!(rollout(names::CONTROLLER), rollout(names::MANAGER))?;
        printer.done("controller and manager serve");
        self.wait_for_address(context, cluster).await?;
        let addresses = Addresses::read(cluster).await?;
        Ok(Ready {
            applied: self,
            addresses,
        })
    }

    /// An address may come late or never; the proof works without one.
    async fn wait_for_address(&self, context: &Context, cluster: &Cluster) -> Result<(), Error> {
        let printer = &context.printer;
        let deadline = context.deadline.min(Instant::now() + ADDRESS_PATIENCE);
        let options = &self.plan.options;
        let outcome = match (&options.direct, &options.ingress) {
            (Some(direct), _) if direct.service_type == ServiceType::LoadBalancer => {
                printer.start("Address");
                wait::service_address(
                    cluster,
                    names::NAMESPACE,
                    names::MANAGER_DIRECT,
                    deadline,
                    printer,
                )
                .await
            }
            (None, Some(_)) => {
                printer.start("Address");
                wait::ingress_address(cluster, names::NAMESPACE, names::MANAGER, deadline, printer).await
            }
            _ => return Ok(()),
        };
        match outcome {
            Ok(()) => printer.done("assigned"),
            Err(error @ wait::Error::Timeout { .. }) => {
                printer.stop();
                printer.warn(format!("{error}; going on without an address from outside"));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Everything stands.
pub struct Ready {
    applied: Applied,
    addresses: Addresses,
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
                },
            addresses,
        } = self;
        // The settings refuse an empty list.
        let Some(domain) = plan.options.domains.first().cloned() else {
            return Err(Error::NotInstalled);
        };
        let trust = if made.ca_bundle.is_empty() {
            Trust::System
        } else {
            Trust::Roots(&made.ca_bundle)
        };
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
            ca_bundle: made.ca_bundle,
            written,
        })
    }
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
    let free = |set: &crd::SandboxSet| {
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
    /// What clients have to trust.
    pub ca_bundle: String,
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
