//! Settings, facts, plan and preflight; then the comparison with the cluster.

use std::collections::BTreeMap;

use serde_json::json;
use silica_manifests::{Object, Phase};
use time::OffsetDateTime;

use super::Compared;
use crate::{
    cli::{check::Report, context::Context, error::Error, report::ReportForm},
    cluster::{
        self, Cluster,
        apply::{self, Conflicts},
        inventory::{self, Entry},
    },
    delivery::{
        self, Delivery, Target,
        bundle::{self, Bundle},
        pull_secret::PullSecret,
    },
    facts::{
        self, ClusterFacts,
        way_in::{ControllerFact, WayIn},
    },
    pipeline::rollback::Snapshot,
    plan::{self, Plan},
    preflight, rights,
    settings::{self, InstallArgs, Layer, Said, Settings, layer},
};

/// The plan, on a cluster that is fit for it.
pub struct Prepared {
    pub(super) settings: Settings,
    pub(super) facts: ClusterFacts,
    pub(super) plan: Plan,
    pub(super) bundle: Option<Bundle>,
    pub(super) target: Target,
    pub(super) pull_secret: Option<PullSecret>,
    pub(super) report: Report,
    pub(super) now: OffsetDateTime,
    /// Whether the Ingress can be expected to get an address.
    pub(super) ingress_works: bool,
}

/// The plan, and how fit the cluster is for it.
pub struct Examined(Prepared);

impl Examined {
    /// Settings, facts, plan, checks; shows the checks.
    pub async fn read(context: &Context, cluster: &Cluster, args: &InstallArgs) -> Result<Self, Error> {
        let printer = &context.printer;
        // What can be told without a connection is told before.
        let said = Said::read(args)?;
        printer.start("Preflight");
        let settings = read_resolved(context, cluster, args, &said).await?;
        let bundle = if delivery::needs_bundle(&settings) {
            Some(bundle::unpack()?)
        } else {
            None
        };
        let delivery = Delivery::decide(cluster, &settings, bundle.as_ref()).await?;
        // First, since the facts cannot be read without rights either.
        let objects = silica_manifests::objects(&plan::options(&settings, delivery.packing.clone()));
        let mut needed = rights::needed(&objects);
        let registry = settings.registry.as_ref();
        let secret = registry.and_then(|registry| registry.make_pull_secret.as_deref());
        needed.extend(secret.into_iter().flat_map(rights::of_secret));
        // Who may not read the inventory is told that right with the others.
        let former = match inventory::read(cluster).await {
            Err(cluster::Error::Forbidden { .. }) => None,
            read => read?,
        };
        needed.extend(rights::read_former(cluster, former.as_ref()).await?);
        let missing = rights::read_missing(cluster, needed).await?;
        if !missing.is_empty() {
            return Err(stop(context, args, &preflight::without_rights(&missing)));
        }
        let facts = ClusterFacts::read(cluster).await?;
        let now = OffsetDateTime::now_utc();
        let plan = plan::plan(&settings, &facts, delivery.packing, now)?;
        let pull_secret = PullSecret::read(cluster, registry).await?;
        let way_in = WayIn::read(cluster, &plan.options, &facts.ingress_classes).await?;
        let written = plan
            .objects
            .iter()
            .chain(pull_secret.iter().map(|secret| &secret.object));
        let claimed = facts::read_claimed(cluster, written, facts.inventory.as_ref()).await?;
        let mut more = delivery.checks;
        more.push(preflight::objects(&claimed, settings.adopt));
        let template_namespace = facts::templates::read(cluster, &plan.options).await?;
        more.extend(template_namespace.as_ref().map(preflight::template_namespace));
        let report = preflight::judge(&settings, &facts, &way_in, more, plan.secrets.writes());
        printer.report(&report, args.output == ReportForm::Short);
        Ok(Self(Prepared {
            settings,
            facts,
            plan,
            bundle,
            target: delivery.target,
            pull_secret,
            report,
            now,
            ingress_works: matches!(way_in.controller, Some(ControllerFact::Works { .. })),
        }))
    }

    /// The checks.
    pub const fn report(&self) -> &Report {
        &self.0.report
    }
}

/// Ends a run that the checks stop. For programs the checks are the result.
fn stop(context: &Context, args: &InstallArgs, report: &Report) -> Error {
    if args.output == ReportForm::Json {
        let checks = json!({"fine": false, "checks": report.checks});
        if let Err(error) = context.printer.json(&checks) {
            return error;
        }
    } else if report.lacks_rights_only() {
        // Nothing else was looked at, so nothing was shown yet.
        context.printer.report(report, true);
    }
    Error::Preflight {
        count: report.failures().count(),
        is_permission: report.lacks_rights_only(),
    }
}

/// The settings of this run over those that an earlier one kept in the cluster.
pub(crate) async fn read_resolved(
    context: &Context,
    cluster: &Cluster,
    args: &InstallArgs,
    said: &Said,
) -> Result<Settings, Error> {
    // A value that is wrong by itself needs no cluster to be refused.
    match Settings::of(args, said.over(Layer::new())) {
        Ok(_) | Err(settings::Error::NoDomain | settings::Error::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if args.reset_values {
        return Ok(Settings::of(args, said.over(Layer::new()))?);
    }
    let (kept, forbidden) = match inventory::read(cluster).await {
        Ok(inventory) => (inventory.map(|inventory| inventory.values), None),
        // The check of rights tells more.
        Err(error @ cluster::Error::Forbidden { .. }) => (None, Some(error)),
        Err(error) => return Err(error.at(cluster).into()),
    };
    let (kept, unknown) = layer::of_cluster(&kept.unwrap_or_default());
    for key in unknown {
        context.printer.warn(format!(
            "the cluster keeps a value for {key} that this version of silica does not know; it is left out"
        ));
    }
    match (Settings::of(args, said.over(kept)), forbidden) {
        (Err(settings::Error::NoDomain), Some(error)) => Err(error.into()),
        (settings, _) => Ok(settings?),
    }
}

impl Prepared {
    /// Settings, facts, plan, preflight.
    pub async fn read(context: &Context, cluster: &Cluster, args: &InstallArgs) -> Result<Self, Error> {
        let printer = &context.printer;
        let Examined(prepared) = Examined::read(context, cluster, args).await?;
        if !prepared.report.is_fine() {
            return Err(stop(context, args, &prepared.report));
        }
        for warning in &prepared.plan.secrets.warnings {
            printer.warn(warning);
        }
        printer.done(&prepared.report.summary());
        Ok(prepared)
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
        let mut objections = Vec::new();
        for phase in Phase::ALL {
            let objects: Vec<Object> = self.plan.objects.of_phase(phase).cloned().collect();
            let observed = apply::observe(cluster, objects, conflicts).await?;
            changes.insert(phase, observed.changes);
            objections.extend(observed.objections);
        }
        if !objections.is_empty() {
            return Err(Error::Refused { objections });
        }
        let dropped: Vec<Entry> = match &self.facts.inventory {
            // What somebody else has put into the place of a Secret of ours is not ours to remove.
            Some(former) => self
                .plan
                .inventory
                .dropped_since(former)
                .filter(|entry| entry.kind != "Secret" || !self.plan.secrets.is_foreign(&entry.name))
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        let values = match &self.facts.inventory {
            Some(former) => {
                let (kept, _) = layer::of_cluster(&former.values);
                self.settings.resolved.changes_since(&kept)
            }
            None => Vec::new(),
        };
        let stored = match &self.facts.inventory {
            Some(former) if former.is_unfinished() => Snapshot::stored(cluster).await?,
            _ => None,
        };
        let compared = Compared {
            prepared: self,
            stored,
            values,
            changes,
            dropped,
            conflicts,
        };
        printer.done(&compared.summary());
        Ok(compared)
    }
}
