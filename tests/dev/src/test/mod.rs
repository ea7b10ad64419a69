//! `cargo xtask test`: every test, or the named suites.

pub(crate) mod bare;
mod cargo;
mod daemon;
pub(crate) mod delivery;
mod dns;
mod fixtures;
mod ingress;
mod node;
mod outcome;
mod ownership;
mod preparation;
mod release;
mod rotation;
mod sdk;

use anyhow::{Result, ensure};
use silica_cluster::{Cluster, Status, traces::Traces};
use xtask::cli::suites::Suite;
use xtask::cli::test::Arguments;

use crate::build::Profile;
use crate::{down, generate, tidy, up};

use outcome::{Outcome, begin, conclude, end, timed};
pub(crate) use ownership::{disown, mark};

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let suites = arguments.suites();
    let cluster = Cluster::of_checkout()?;
    if arguments.installed {
        return installed(&cluster, &suites);
    }
    let needs_cluster = suites.iter().any(|suite| suite.needs_cluster());
    if needs_cluster {
        ownership::take(&cluster, &suites)?;
    }
    // Before anything of the cluster is there; a cluster that was kept has hidden that.
    let before = match cluster.status()? {
        Status::Absent => Some(Traces::take(cluster.layout())?),
        _ => None,
    };
    let mut outcomes = Vec::new();
    let preparation = preparation::start(&cluster, &suites);
    for suite in suites.iter().copied().filter(|suite| is_quick(*suite)) {
        outcomes.push(timed(suite, || match suite {
            Suite::Generated => Ok(format!("{} files are fresh", generate::refresh(true)?)),
            other => cargo::run(other, &[]),
        }));
    }
    // Suites that start and kill processes need the machine for themselves.
    preparation.wait().await?;
    if suites.contains(&Suite::Lint) {
        outcomes.push(timed(Suite::Lint, || cargo::run(Suite::Lint, &[])));
    }
    if suites.contains(&Suite::Tidy) {
        outcomes.push(timed(Suite::Tidy, tidy::check));
    }
    if suites.contains(&Suite::Node) {
        let began = begin(Suite::Node);
        let result = node::run(&cluster).await;
        outcomes.push(end(Suite::Node, began, result));
    }
    if suites.contains(&Suite::Unit) {
        outcomes.push(unit(&cluster).await?);
    }
    if suites.contains(&Suite::Daemon) {
        let daemon = Profile::Local.daemon();
        outcomes.push(timed(Suite::Daemon, || daemon::run(&cluster, &daemon)));
    }
    outcomes.extend(on_installation(&cluster, &suites).await);
    if suites.contains(&Suite::Release) {
        let began = begin(Suite::Release);
        let up = crate::cluster::up(&cluster).await;
        outcomes.push(end(
            Suite::Release,
            began,
            up.and_then(|_| release::run(&cluster)),
        ));
    }
    if needs_cluster && !arguments.keep {
        if suites.contains(&Suite::Traces) {
            // What was there before must not hide what is left.
            crate::cluster::up(&cluster).await?;
        }
        down::remove(&cluster)?;
        if suites.contains(&Suite::Traces) {
            outcomes.push(match &before {
                Some(before) => timed(Suite::Traces, || compare(&cluster, before)),
                None => Outcome::not_run(Suite::Traces, "remains of a cluster were there before"),
            });
        }
    }
    conclude(&outcomes)
}

/// Suites that need nothing to be built or started, and may run beside what is.
const fn is_quick(suite: Suite) -> bool {
    matches!(suite, Suite::Format | Suite::Generated)
}

/// The workspace's own tests on a bare cluster, which is bare again afterwards.
async fn unit(cluster: &Cluster) -> Result<Outcome> {
    let began = begin(Suite::Unit);
    let up = crate::cluster::up(cluster).await;
    let variables = up.and_then(|_| bare::variables(cluster));
    let outcome = end(
        Suite::Unit,
        began,
        variables.and_then(|variables| cargo::run(Suite::Unit, &variables)),
    );
    bare::clean(cluster)?;
    Ok(outcome)
}

/// Suites that run against the installation.
async fn on_installation(cluster: &Cluster, suites: &[Suite]) -> Vec<Outcome> {
    let suites: Vec<Suite> = suites
        .iter()
        .copied()
        .filter(|suite| suite.needs_installation())
        .collect();
    if suites.is_empty() {
        return Vec::new();
    }
    let ready = up::local(cluster, Profile::Local, &[]).await;
    match ready.and_then(|_| fixtures::apply(cluster)) {
        Ok(()) => suites
            .into_iter()
            .map(|suite| timed(suite, || run_installed(cluster, suite)))
            .collect(),
        Err(error) => {
            let why = format!("the installation failed: {error:#}");
            suites
                .into_iter()
                .map(|suite| Outcome::not_run(suite, &why))
                .collect()
        }
    }
}

/// Tests what `cargo xtask up` has built and installed. Its cluster stays.
fn installed(cluster: &Cluster, suites: &[Suite]) -> Result<()> {
    let wrong = suites
        .iter()
        .find(|suite| !suite.needs_installation() && **suite != Suite::Daemon);
    ensure!(
        wrong.is_none(),
        "--installed is for suites that run against an installation, and for daemon; {} does not",
        wrong.map(|suite| suite.name()).unwrap_or_default()
    );
    if suites.iter().any(|suite| suite.needs_installation()) {
        fixtures::apply(cluster)?;
    }
    let daemon = Profile::Local.daemon();
    let outcomes: Vec<Outcome> = suites
        .iter()
        .map(|suite| {
            timed(*suite, || match suite {
                Suite::Daemon => daemon::run(cluster, &daemon),
                other => run_installed(cluster, *other),
            })
        })
        .collect();
    conclude(&outcomes)
}

fn run_installed(cluster: &Cluster, suite: Suite) -> Result<String> {
    let silica = Profile::Local.silica();
    match suite {
        Suite::Delivery => delivery::run(cluster, &silica),
        Suite::Dns => dns::run(cluster, &silica),
        Suite::Ingress => ingress::run(cluster, &silica),
        Suite::Rotation => rotation::run(cluster, &silica),
        other => sdk::run(cluster, other),
    }
}

/// Whether the machine is as it was before the cluster.
fn compare(cluster: &Cluster, before: &Traces) -> Result<String> {
    let left = Traces::take(cluster.layout())?.since(before);
    ensure!(
        left.is_empty(),
        "failed to remove every trace of the cluster; left are:\n{}",
        left.join("\n")
    );
    Ok("nothing is left of the cluster".to_owned())
}
