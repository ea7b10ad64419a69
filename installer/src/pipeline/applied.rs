//! Everything is written; now it has to come up.

use std::time::Duration;

use silica_api::names;
use silica_manifests::ServiceType;
use tokio::time::Instant;

use super::{Ready, Verified};
use crate::{
    address::Addresses, cluster::Cluster, error::Error, plan::Plan, run::Context, secrets::contents,
    settings::Settings, wait,
};

/// How long an address from the outside world is waited for; after that the
/// proof goes through the API server.
const ADDRESS_PATIENCE: Duration = Duration::from_mins(1);

/// Everything is written.
pub struct Applied {
    pub(super) settings: Settings,
    pub(super) plan: Plan,
    pub(super) made: contents::Made,
    pub(super) written: usize,
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

    /// The end of an installation that nobody waits for.
    pub fn without_proof(self) -> Result<Verified, Error> {
        // The settings refuse an empty list.
        let domain = self.plan.options.domains.first().ok_or(Error::NotInstalled)?;
        Ok(Verified {
            domain: domain.to_string(),
            addresses: Addresses::default(),
            route: None,
            proof: None,
            template: None,
            missing_records: Vec::new(),
            admin_key: self.made.admin_key,
            ca_bundle: self.made.ca_bundle,
            written: self.written,
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
