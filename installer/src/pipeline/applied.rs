//! Everything is written; now it has to come up.

use std::time::Duration;

use k8s_openapi::api::{core::v1::Service, networking::v1::Ingress};
use silica_api::names;
use silica_manifests::{GatewayOptions, ServiceType};
use tokio::time::Instant;

use super::{Ready, Verified, settled::verify_unchanged};
use crate::{
    cli::{context::Context, error::Error},
    cluster::{
        Cluster,
        inventory::{Entry, Inventory, State},
        lock,
    },
    exposure::address::Addresses,
    pipeline::{rollback::Snapshot, wait},
    plan::Plan,
    secrets::contents,
    settings::Settings,
};

/// How long an address from the outside world is waited for; after that the
/// proof goes through the API server.
const ADDRESS_PATIENCE: Duration = Duration::from_mins(1);

/// How long putting the former version back may take, whatever the time limit.
const RESTORE_PATIENCE: Duration = Duration::from_mins(3);

/// Everything is written.
pub struct Applied {
    pub(super) settings: Settings,
    pub(super) plan: Plan,
    pub(super) made: contents::Made,
    pub(super) written: usize,
    /// Whether the Ingress can be expected to get an address.
    pub(super) ingress_works: bool,
    /// The inventory as the cluster has it.
    pub(super) recorded: Inventory,
    /// What the former version had beyond this one; it goes when this one serves.
    pub(super) leftovers: Vec<Entry>,
    /// What to go back to when the new version does not become ready.
    pub(super) former: Option<Snapshot>,
}

impl Applied {
    /// Waits until the workloads serve and an address is there.
    pub async fn wait(self, context: &Context, cluster: &Cluster) -> Result<Ready, Error> {
        let printer = &context.printer;
        printer.start("Rollout");
        let rollout = |name| wait::rollout(cluster, names::NAMESPACE, name, context.deadline, printer);
        let rolled_out = tokio::try_join!(rollout(names::CONTROLLER), rollout(names::MANAGER));
        if let Err(error) = rolled_out {
            return Err(self.put_back(context, cluster, error.into()).await);
        }
        printer.done("controller and manager serve");
        self.wait_for_address(context, cluster).await?;
        let addresses = Addresses::read(cluster).await?;
        Ok(Ready {
            applied: self,
            addresses,
        })
    }

    /// Puts the former installation back, if there was one. Returns what to tell the user.
    async fn put_back(&self, context: &Context, cluster: &Cluster, cause: Error) -> Error {
        let Some(former) = &self.former else { return cause };
        let printer = &context.printer;
        printer.stop();
        printer.warn(format!("{cause}"));
        printer.start("Rollback");
        // The time for the rollout is spent.
        context.limit.extend_to(Instant::now() + RESTORE_PATIENCE);
        let restored = lock::exclusive(cluster, async {
            verify_unchanged(cluster, &self.recorded).await?;
            former.restore(cluster, &self.recorded).await?;
            Ok::<_, Error>(())
        });
        match restored.await {
            Ok(()) => {
                printer.done("the former version is back");
                Error::RolledBack {
                    cause: Box::new(cause),
                }
            }
            Err(source) => Error::NotRolledBack {
                cause: Box::new(cause),
                source: Box::new(source),
            },
        }
    }

    /// What stays until a run waits for the rollout.
    pub fn kept_leftovers(&self) -> &[Entry] {
        if self.recorded.state == State::Complete {
            &[]
        } else {
            &self.leftovers
        }
    }

    /// The end of an installation that nobody waits for.
    pub fn without_proof(self) -> Result<Verified, Error> {
        // The settings refuse an empty list.
        let domain = self.plan.options.domains.first().ok_or(Error::NotInstalled)?;
        Ok(Verified {
            domain: domain.to_string(),
            addresses: Addresses::default(),
            route: None,
            proof: None,
            verified: self.recorded.verified,
            template: None,
            missing_records: Vec::new(),
            admin_key: self.made.admin_key,
            client_roots: self.made.client_roots,
            written: self.written,
        })
    }

    /// Addresses may come late or never; the proof works without them. An Ingress
    /// beside another way is waited for only when somebody serves it.
    async fn wait_for_address(&self, context: &Context, cluster: &Cluster) -> Result<(), Error> {
        let printer = &context.printer;
        let deadline = context.deadline.min(Instant::now() + ADDRESS_PATIENCE);
        let options = &self.plan.options;
        let balanced = options
            .direct
            .as_ref()
            .is_some_and(|direct| direct.service_type == ServiceType::LoadBalancer);
        let is_only = options.direct.is_none() && options.gateway.is_none();
        let ingress = options.ingress.is_some() && (is_only || self.ingress_works);
        if !balanced && !ingress && options.gateway.is_none() {
            return Ok(());
        }
        printer.start("Address");
        let mut missing = Vec::new();
        if balanced {
            let name = names::MANAGER_DIRECT;
            let wait = wait::balanced_address::<Service>(cluster, name, "the cloud", deadline, printer);
            missing.extend(late(wait.await)?);
        }
        if ingress {
            let (name, giver) = (names::MANAGER, "its controller");
            let wait = wait::balanced_address::<Ingress>(cluster, name, giver, deadline, printer);
            missing.extend(late(wait.await)?);
        }
        if let Some(gateway) = &options.gateway {
            let (namespace, name) = match gateway {
                GatewayOptions::Own { .. } => (names::NAMESPACE, names::MANAGER),
                GatewayOptions::Shared { namespace, name } => (namespace.as_ref(), name.as_str()),
            };
            let wait = wait::gateway_address(cluster, namespace, name, deadline, printer);
            missing.extend(late(wait.await)?);
        }
        if missing.is_empty() {
            printer.done("assigned");
        } else {
            printer.stop();
        }
        for error in missing {
            printer.warn(format!("{error}; going on without an address from outside"));
        }
        Ok(())
    }
}

/// The error of a wait that only came too late.
fn late(outcome: Result<(), wait::Error>) -> Result<Option<wait::Error>, Error> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error @ wait::Error::Timeout { .. }) => Ok(Some(error)),
        Err(error) => Err(error.into()),
    }
}
