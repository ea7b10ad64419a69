//! Writes what the plan has otherwise than the cluster. Nothing is removed here: pods
//! of the former version need what only that has until the new ones serve.

use silica_manifests::Phase;

use super::{Applied, Compared, Prepared};
use crate::{
    cli::{context::Context, error::Error},
    cluster::{
        Cluster,
        apply::{self, Action, Conflicts},
        inventory::{self, Inventory, State},
        lock,
    },
    delivery::{Target, bundle::Bundle, send},
    pipeline::{rollback::Snapshot, wait},
    plan::phase_title,
    secrets::contents,
};

impl Compared {
    /// Writes the difference.
    pub async fn apply(self, context: &Context, cluster: &Cluster) -> Result<Applied, Error> {
        if !self.changes_anything() {
            return Box::pin(self.write(context, cluster, 0)).await;
        }
        // The lock lives in the namespace, so the namespace comes before it.
        let namespace = self.apply_phase(context, cluster, Phase::Namespace).await?;
        let locked = lock::exclusive(cluster, async {
            self.prepared.facts.still_hold(cluster).await?;
            Box::pin(self.write(context, cluster, namespace)).await
        });
        Box::pin(locked).await
    }

    /// Applies one phase; tells how many objects were written.
    async fn apply_phase(&self, context: &Context, cluster: &Cluster, phase: Phase) -> Result<usize, Error> {
        let printer = &context.printer;
        let of_phase = &self.changes[&phase];
        if of_phase.iter().all(|change| change.action == Action::Keep) {
            return Ok(0);
        }
        printer.start(phase_title(phase));
        let count = apply::apply_changes(cluster, of_phase, self.conflicts).await?;
        if phase == Phase::Crds {
            let names: Vec<String> = of_phase.iter().map(|change| change.object.name.clone()).collect();
            wait::definitions(cluster, &names, context.deadline, printer).await?;
        }
        printer.done(&format!("{count} written"));
        Ok(count)
    }

    /// Writes everything behind the namespace; `written` objects were written before.
    async fn write(
        mut self,
        context: &Context,
        cluster: &Cluster,
        mut written: usize,
    ) -> Result<Applied, Error> {
        let printer = &context.printer;
        let changes = self.changes_anything();
        let after_writing = self.after_writing();
        let former = self.keep_former(context, cluster, &mut written).await?;
        let Prepared { facts, plan, .. } = &self.prepared;
        let made = contents::make(
            &plan.secrets,
            &facts.existing,
            &plan.options.domains,
            self.prepared.settings.admin_key.as_ref(),
            self.prepared.now,
        )?;
        let mut recorded = facts.inventory.clone();
        // The inventory knows of everything that comes after it.
        if self.writes_objects() {
            let merged = plan.inventory.merged(facts.inventory.as_ref(), State::Applying);
            record(cluster, &mut recorded, merged, &mut written).await?;
        }
        for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Namespace) {
            if phase == Phase::Access && !made.objects.is_empty() {
                printer.start("Secrets");
                for object in &made.objects {
                    apply::apply(cluster, object, Conflicts::Force).await?;
                }
                written += made.objects.len();
                printer.done(&format!("{} written", made.objects.len()));
            }
            if phase == Phase::Workloads {
                if let Some(secret) = self.new_pull_secret() {
                    apply::apply(cluster, secret, Conflicts::Force).await?;
                    written += 1;
                }
                Box::pin(deliver(
                    context,
                    self.prepared.bundle.as_ref(),
                    &self.prepared.target,
                ))
                .await?;
            }
            written += self.apply_phase(context, cluster, phase).await?;
        }
        if changes {
            record(cluster, &mut recorded, after_writing, &mut written).await?;
        }
        let recorded = recorded.unwrap_or_else(|| plan.inventory.clone());
        let Prepared {
            settings,
            plan,
            ingress_works,
            ..
        } = self.prepared;
        Ok(Applied {
            settings,
            plan,
            made,
            written,
            ingress_works,
            recorded,
            leftovers: self.dropped,
            former,
        })
    }

    /// What to go back to: of a finished installation what is there now, which is kept in
    /// the cluster for the case that this run is ended; of an unfinished one what that kept.
    async fn keep_former(
        &mut self,
        context: &Context,
        cluster: &Cluster,
        written: &mut usize,
    ) -> Result<Option<Snapshot>, Error> {
        let settings = &self.prepared.settings;
        if settings.no_rollback || settings.no_wait || !self.changes_anything() {
            return Ok(None);
        }
        if let Some(stored) = self.stored.take() {
            return Ok(Some(stored));
        }
        let inventory = self.prepared.facts.inventory.as_ref();
        let Some(snapshot) = Snapshot::read(cluster, inventory).await? else {
            return Ok(None);
        };
        if snapshot.store(cluster).await? {
            *written += 1;
        } else {
            context.printer.warn(
                "the former installation is too large to be kept: a run that is ended cannot go back to it",
            );
        }
        Ok(Some(snapshot))
    }
}

/// Writes the inventory, unless the cluster has it like this.
async fn record(
    cluster: &Cluster,
    recorded: &mut Option<Inventory>,
    inventory: Inventory,
    written: &mut usize,
) -> Result<(), Error> {
    if recorded.as_ref() != Some(&inventory) {
        inventory::write(cluster, &inventory).await?;
        *written += 1;
        *recorded = Some(inventory);
    }
    Ok(())
}

async fn deliver(context: &Context, bundle: Option<&Bundle>, target: &Target) -> Result<(), Error> {
    let (Some(bundle), false) = (bundle, *target == Target::Nowhere) else {
        return Ok(());
    };
    let printer = &context.printer;
    printer.start("Images");
    match send::send(bundle, target).await? {
        Some(done) => printer.done(&done),
        None => printer.done("in ConfigMaps"),
    }
    Ok(())
}
