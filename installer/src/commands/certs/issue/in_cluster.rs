//! An order that is served: what would keep its certificate from being served is found
//! before, and the certificate waits for the cluster when it has to.

use silica_api::names;
use time::OffsetDateTime;

use super::{IssueArgs, kept::Place, order, pending::Pending, read, settings, tell_end};
use crate::{
    cli::{context::Context, error::Error, exit::Exit},
    cluster::lock,
    commands::read_installed,
    commands::{
        certs::import::{self, Given, Measure, Origin},
        rotate_certs::{deliver, installed_domains, leave_to_cert_manager},
    },
    facts,
};

/// Orders for the installed domains, and serves what came.
pub(super) async fn run(context: &Context, args: &IssueArgs) -> Result<Exit, Error> {
    let cluster = context.cluster().await?;
    let inventory = read_installed(&cluster).await?;
    let domains = installed_domains(&inventory)?;
    let place = Place::Cluster(Box::new(cluster.clone()));
    let kept = place.read().await?;
    let wanted = settings::merge(args, kept.settings)?;
    let ca = match &args.ca {
        Some(path) => Some(read(path)?),
        None => None,
    };
    // Before the CA is asked: its patience for trials is limited.
    let existing = facts::read_existing(&cluster).await?;
    leave_to_cert_manager(&existing, names::TLS_SECRET)?;
    if !args.no_verify {
        deliver::Ways::find(&cluster, &domains).await?;
    }
    context
        .confirm("Order a certificate and serve it instead of the present one?")
        .await?;
    let pending = Pending::new(&wanted.directory, &cluster.server, &domains);
    let issued = if let Some(issued) = pending.read(OffsetDateTime::now_utc()) {
        context.printer.info(format!(
            "an earlier order was not served yet: taking it from {}",
            pending.folder().display()
        ));
        issued
    } else {
        let issued = order(context, args, &wanted, kept.account, &place, &domains).await?;
        pending.write(&issued)?;
        issued
    };
    // Before the certificate: the controller looks for it when that changes.
    place.write_settings(&wanted).await?;
    let given = Given {
        chain: issued.chain_pem.clone(),
        key: issued.key.clone(),
        // The CA was asked itself: what it says of its chain is true.
        measure: ca.map_or(Measure::Any, Measure::Given),
    };
    // Boxed: the future is large. The order took its time without the Lease, which is
    // for what changes the installation.
    let work = Box::pin(import::serve(
        context,
        &cluster,
        &given,
        Origin::Acme,
        args.no_verify,
    ));
    let kept = KeptFiles(context, &pending);
    let exit = lock::exclusive(&cluster, work).await?;
    kept.are_served()?;
    tell_end(context, &issued)?;
    context.printer.info(match wanted.unattended() {
        Some(_) => "the controller renews it at two thirds of its life",
        None => "nobody renews it: run the same command again before it ends",
    });
    Ok(exit)
}

/// Tells where an order waits that is not served, also when the command is interrupted.
struct KeptFiles<'a>(&'a Context, &'a Pending);

impl KeptFiles<'_> {
    fn are_served(self) -> Result<(), Error> {
        let pending = self.1;
        std::mem::forget(self);
        pending.remove()
    }
}

impl Drop for KeptFiles<'_> {
    fn drop(&mut self) {
        self.0.printer.info(format!(
            "the certificate and its key are kept in {}: the same command takes them from there, without an order",
            self.1.folder().display()
        ));
    }
}
