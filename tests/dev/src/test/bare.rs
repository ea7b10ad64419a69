//! What the workspace's own tests find on the local cluster: its API server, without an
//! installation, the DNS server's executable, and the tools.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use silica_cluster::Cluster;
use silica_provision::{build, build::Tool, packages};

use crate::build::Profile;
use crate::{command, python, workspace};

/// Variables that name real servers and independent judges to the tests. What is not in the cache is
/// built or downloaded.
pub(super) fn tools(cache: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let root = workspace::root();
    let python = |requirements: &str| python::environment(cache, &root.join(requirements));
    let mut variables: Vec<(&'static str, OsString)> = vec![
        (
            "SILICA_PKILINT",
            python("installer/certs/tests/lint/requirements.txt")?.into(),
        ),
        // The node's own is not touched: tests start one for themselves.
        ("SILICA_CONTAINERD", "containerd".into()),
        ("SILICA_KNOT", packages::knot(cache)?.into()),
        // The HTTP stacks of both generations of the SDK, for the rotation of certificates.
        (
            "SILICA_PYTHON_PINNED",
            python("tests/sdk/pinned/requirements.txt")?.into(),
        ),
        (
            "SILICA_PYTHON_CURRENT",
            python("tests/sdk/current/requirements.txt")?.into(),
        ),
    ];
    for tool in Tool::ALL {
        variables.push((tool.variable(), build::build_tool(cache, tool)?.into()));
    }
    let binaries = build::build(cache)?;
    variables.push(("SILICA_COREDNS", binaries.coredns.into()));
    // Its kubectl applies what `silica render` prints.
    variables.push(("SILICA_KUBERNETES", binaries.kubernetes.into()));
    Ok(variables)
}

/// All variables for the tests, on a cluster that is bare. While an installation is on a cluster its
/// controller would act on the tests' objects.
pub(super) fn variables(cluster: &Cluster) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables = tools(&cluster.layout().cache)?;
    variables.push(("SILICA_MANAGER", Profile::Local.manager().into()));
    // The tests are about objects: no pod of theirs may start and take time to end.
    cluster.pause_scheduling()?;
    variables.push((
        "SILICA_TEST_KUBECONFIG",
        cluster.layout().kubeconfig.clone().into(),
    ));
    Ok(variables)
}

/// Makes the cluster bare again after the tests: they leave CRDs behind, and a failed one its
/// namespace, which an installation would refuse to take over.
pub(super) fn clean(cluster: &Cluster) -> Result<()> {
    let delete = ["delete", "--ignore-not-found"];
    let names = ["sandboxes", "sandboxsets", "sandboxtemplates", "sandboxclaims"];
    let crds = names.map(|plural| format!("{plural}.{}", silica_api::names::GROUP));
    command::run(
        kubectl(cluster)?
            .args(delete)
            .arg("customresourcedefinitions")
            .args(crds),
    )?;
    command::run(
        kubectl(cluster)?
            .args(delete)
            .args(["namespace", silica_api::names::NAMESPACE]),
    )?;
    cluster.resume_scheduling()
}

/// Whether nothing is installed on the running cluster.
pub(crate) fn is_bare(cluster: &Cluster) -> Result<bool> {
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
    let mut command = Command::new(build::build(&cluster.layout().cache)?.kubernetes);
    command
        .arg("kubectl")
        .env("KUBECONFIG", &cluster.layout().kubeconfig);
    Ok(command)
}

/// Applies the objects of a YAML or JSON text.
pub(crate) fn kubectl_apply(cluster: &Cluster, text: &str) -> Result<()> {
    let mut child = kubectl(cluster)?
        .args(["apply", "--filename", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .context("failed to run kubectl")?;
    // Dropping the pipe at the end of the statement ends kubectl's input.
    child
        .stdin
        .take()
        .context("failed to write to kubectl")?
        .write_all(text.as_bytes())
        .context("failed to write to kubectl")?;
    let status = child.wait().context("failed to wait for kubectl")?;
    ensure!(status.success(), "kubectl apply: {status}");
    Ok(())
}
