//! Settings, facts, plan and preflight; then the comparison with the cluster.

use std::collections::BTreeMap;

use silica_manifests::{Object, Phase};
use time::OffsetDateTime;

use super::Compared;
use crate::{
    apply::{self, Conflicts},
    bundle::{self, Bundle},
    check::{Report, Verdict},
    cluster::Cluster,
    commands::install::InstallArgs,
    delivery::{Delivery, Target, pull_secret::PullSecret},
    error::Error,
    facts::{
        ClusterFacts,
        way_in::{ControllerFact, WayIn},
    },
    inventory::Entry,
    plan::{self, Plan},
    preflight, rights,
    run::Context,
    settings::Settings,
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
        printer.start("Preflight");
        let delivery = Delivery::decide(cluster, &settings, bundle.as_ref()).await?;
        // First, since the facts cannot be read without rights either.
        let objects = silica_manifests::objects(&plan::options(&settings, delivery.packing.clone()));
        let mut needed = rights::needed(&objects);
        let registry = settings.registry.as_ref();
        let secret = registry.and_then(|registry| registry.make_pull_secret.as_deref());
        needed.extend(secret.into_iter().flat_map(rights::of_secret));
        let missing = rights::read_missing(cluster, needed).await?;
        if !missing.is_empty() {
            printer.check(&preflight::permission(&missing));
            return Err(Error::Preflight {
                count: 1,
                is_permission: true,
            });
        }
        let facts = ClusterFacts::read(cluster).await?;
        let now = OffsetDateTime::now_utc();
        let plan = plan::plan(&settings, &facts, delivery.packing, now)?;
        let pull_secret = PullSecret::read(cluster, registry).await?;
        let way_in = WayIn::read(cluster, &plan.options, &facts.ingress_classes).await?;
        let mut report = preflight::judge(&settings, &facts, &way_in);
        report.checks.extend(delivery.checks);
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
            target: delivery.target,
            pull_secret,
            report,
            now,
            ingress_works: matches!(way_in.controller, Some(ControllerFact::Works { .. })),
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
