//! What the workspace's own tests find on the local cluster: its API server, without an
//! installation, the DNS server's executable, and the tools.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use silica_cluster::{Cluster, build, build::Tool, packages};

use crate::{command, python, workspace};

/// What the tests find, and whether the cluster was bare before them.
pub(crate) struct Surroundings {
    /// Variables that name the API server, the DNS server and the tools.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    is_bare: bool,
}

/// Looks at the cluster before the tests.
///
/// While an installation is on the cluster its controller would act on the tests' objects:
/// the tests that need a bare cluster then say that they do not run, and fail on CI.
pub(crate) fn surroundings(cluster: &Cluster) -> Result<Surroundings> {
    let mut variables: Vec<(&'static str, OsString)> =
        vec![("SILICA_COREDNS", build::build(cluster.layout())?.coredns.into())];
    // Its kubectl applies what `silica render` prints.
    variables.push((
        "SILICA_KUBERNETES",
        build::build(cluster.layout())?.kubernetes.into(),
    ));
    let linter = workspace::root().join("installer/certs/tests/lint/requirements.txt");
    let python = python::environment(&cluster.layout().cache, &linter)?;
    variables.push(("SILICA_PKILINT", python.into()));
    // The node's own is not touched: tests start one for themselves.
    variables.push(("SILICA_CONTAINERD", "containerd".into()));
    variables.push(("SILICA_KNOT", packages::knot(cluster.layout())?.into()));
    for tool in Tool::ALL {
        variables.push((tool.variable(), build::build_tool(cluster.layout(), tool)?.into()));
    }
    // The HTTP stacks of both generations of the SDK, for the rotation of certificates.
    for (variable, suite) in [
        ("SILICA_PYTHON_PINNED", "pinned"),
        ("SILICA_PYTHON_CURRENT", "current"),
    ] {
        let requirements = workspace::root()
            .join("tests/sdk")
            .join(suite)
            .join("requirements.txt");
        let python = python::environment(&cluster.layout().cache, &requirements)?;
        variables.push((variable, python.into()));
    }
    variables.push(("SILICA_MANAGER", build_manager()?.into()));
    let is_bare = is_bare(cluster)?;
    if is_bare {
        // The tests are about objects: no pod of theirs shall start and take time to end.
        cluster.pause_scheduling()?;
        variables.push((
            "SILICA_TEST_KUBECONFIG",
            cluster.layout().kubeconfig.clone().into(),
        ));
    } else {
        println!("an installation is on the cluster: tests that need a bare one do not run");
    }
    Ok(Surroundings { variables, is_bare })
}

/// Builds `sandbox-manager` as the tests are built, for tests that start it as a process.
fn build_manager() -> Result<PathBuf> {
    command::run(
        command::cargo()
            .args(["build", "--quiet", "--package", "sandbox-manager"])
            .current_dir(workspace::root()),
    )?;
    Ok(workspace::cargo_target().join("debug/sandbox-manager"))
}

/// Makes a cluster bare again that was so before the tests: they leave definitions behind,
/// and a failed one its namespace, which an installation would take for somebody else's.
pub(crate) fn clean(cluster: &Cluster, surroundings: &Surroundings) -> Result<()> {
    if !surroundings.is_bare {
        return Ok(());
    }
    let delete = ["delete", "--ignore-not-found"];
    let names = ["sandboxes", "sandboxsets", "sandboxtemplates", "sandboxclaims"];
    let definitions = names.map(|plural| format!("{plural}.{}", silica_api::names::GROUP));
    command::run(
        kubectl(cluster)?
            .args(delete)
            .arg("customresourcedefinitions")
            .args(definitions),
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
    let mut command = Command::new(build::build(cluster.layout())?.kubernetes);
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
