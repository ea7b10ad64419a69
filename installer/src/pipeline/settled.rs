//! The new version serves: what only the former had goes, and the inventory says so.

use kube::api::DeleteParams;

use super::Applied;
use crate::{
    cli::{context::Context, error::Error},
    cluster::{
        Cluster,
        inventory::{self, Inventory, State, Verification},
        lock,
    },
};

impl Applied {
    /// Removes what the former version had beyond this one, and records that this one
    /// stands. Nothing to do when it stood before.
    pub(super) async fn settle(&mut self, context: &Context, cluster: &Cluster) -> Result<(), Error> {
        if self.recorded.state == State::Complete {
            return Ok(());
        }
        let printer = &context.printer;
        let background = DeleteParams::background();
        let (recorded, leftovers) = (&self.recorded, &self.leftovers);
        let inventory = self.plan.inventory.clone();
        let had_former = lock::exclusive(cluster, async {
            verify_unchanged(cluster, recorded).await?;
            // First: without what is removed next there is no way back.
            let had_former = inventory::delete(cluster, &inventory::former(), &background).await?;
            if !leftovers.is_empty() {
                printer.start("Leftovers");
                for entry in leftovers {
                    inventory::delete(cluster, entry, &background).await?;
                }
                printer.done(&format!("{} removed", leftovers.len()));
            }
            inventory::write(cluster, &inventory).await?;
            Ok::<_, Error>(had_former)
        })
        .await?;
        self.written += 1 + self.leftovers.len() + usize::from(had_former);
        self.recorded = inventory;
        self.former = None;
        Ok(())
    }

    /// Keeps the outcome of a proof, unless somebody changed the installation meanwhile.
    pub(super) async fn record(&mut self, cluster: &Cluster, proof: Verification) -> Result<(), Error> {
        let verified = Inventory {
            verified: Some(proof),
            ..self.recorded.clone()
        };
        let recorded = &self.recorded;
        let written = lock::exclusive(cluster, async {
            verify_unchanged(cluster, recorded).await?;
            inventory::write(cluster, &verified).await?;
            Ok::<_, Error>(())
        });
        written.await?;
        self.written += 1;
        self.recorded = verified;
        Ok(())
    }
}

/// Whether the inventory is still the one that this run has written.
pub(super) async fn verify_unchanged(cluster: &Cluster, recorded: &Inventory) -> Result<(), Error> {
    if inventory::read(cluster).await?.as_ref() == Some(recorded) {
        Ok(())
    } else {
        Err(lock::Error::Changed.into())
    }
}
