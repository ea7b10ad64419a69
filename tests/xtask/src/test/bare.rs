//! What the workspace's own tests find on the local cluster: its API server, without an
//! installation, and the DNS server's executable.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use silica_cluster::{Cluster, build};

use crate::command;

/// Variables that name the API server and the DNS server.
///
/// While an installation is on the cluster its controller would act on the tests' objects:
/// the tests that need a bare cluster then say that they do not run, and fail on CI.
pub(crate) fn surroundings(cluster: &Cluster) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables = vec![("SILICA_COREDNS", build::build(cluster.layout())?.coredns.into())];
    if is_bare(cluster)? {
        variables.push((
            "SILICA_TEST_KUBECONFIG",
            cluster.layout().kubeconfig.clone().into(),
        ));
    } else {
        println!("an installation is on the cluster: tests that need a bare one do not run");
    }
    Ok(variables)
}

/// Removes the definitions that the tests leave behind, so that an installation finds none
/// of unknown origin.
pub(crate) fn clean(cluster: &Cluster) -> Result<()> {
    if !is_bare(cluster)? {
        return Ok(());
    }
    let names = ["sandboxes", "sandboxsets", "sandboxtemplates"];
    let definitions = names.map(|plural| format!("{plural}.{}", silica_api::names::GROUP));
    command::run(
        kubectl(cluster)?
            .args(["delete", "customresourcedefinitions", "--ignore-not-found"])
            .args(definitions),
    )
}

fn is_bare(cluster: &Cluster) -> Result<bool> {
    let namespace = silica_api::names::NAMESPACE;
    let found = command::read(kubectl(cluster)?.args([
        "get",
        "namespace",
        namespace,
        "--ignore-not-found",
        "--output=name",
    ]))?;
    Ok(found.trim().is_empty())
}

/// The cluster's own kubectl as its administrator.
pub(crate) fn kubectl(cluster: &Cluster) -> Result<Command> {
    let mut command = Command::new(build::build(cluster.layout())?.kubernetes);
    command
        .arg("kubectl")
        .env("KUBECONFIG", &cluster.layout().kubeconfig);
    Ok(command)
}
