//! Carries the chosen way out.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use silica_registry::{Credentials, Registry, credentials};
use tokio::process::Command;

use super::{Target, machine::is_on_path};
use crate::delivery::{
    bundle::{Architecture, Bundle, Member},
    images,
};
use crate::settings::RegistrySettings;

/// The containerd namespace that the kubelet uses.
const KUBERNETES: &str = "k8s.io";

/// Why executables did not reach the nodes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The images could not be put together.
    #[error(transparent)]
    Images(#[from] images::Error),
    /// The registry did not take them.
    #[error(transparent)]
    Registry(#[from] silica_registry::Error),
    /// A program cannot be started.
    #[error("failed to run {program}")]
    Start {
        program: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// A program refused.
    #[error("failed to {action} with {program}: {output}")]
    Program {
        action: &'static str,
        program: &'static str,
        output: String,
    },
}

/// Brings the executables there; returns one line for people. ConfigMaps are objects of the
/// plan and not sent here.
pub async fn send(bundle: &Bundle, target: &Target) -> Result<Option<String>, Error> {
    match target {
        Target::Containerd { socket, architecture } => import(bundle, socket, *architecture).await.map(Some),
        Target::Tool {
            tool,
            cluster,
            architecture,
        } => {
            let archive = images::archive(&[&bundle.manager, &bundle.runtime], *architecture)?;
            let arguments = tool.arguments(&archive.path().to_string_lossy(), cluster);
            run(
                tool.program(),
                "load images",
                Command::new(tool.program()).args(arguments),
            )
            .await?;
            Ok(Some(format!("loaded by {}", tool.program())))
        }
        Target::Registry(registry) => push(bundle, registry).await.map(Some),
        Target::Carried { .. } | Target::Nowhere => Ok(None),
    }
}

/// The credentials that Docker or Podman keep for this registry.
pub async fn read_credentials(registry: &RegistrySettings) -> Result<Credentials, silica_registry::Error> {
    let file = credentials::find_file(|name| env::var(name).ok(), Path::exists);
    credentials::read(&registry.address, file.as_deref()).await
}

async fn push(bundle: &Bundle, settings: &RegistrySettings) -> Result<String, Error> {
    let credentials = read_credentials(settings).await?;
    let registry = Registry::new(settings.address.clone(), &settings.transport, credentials)?;
    let (mut sent, mut names) = (0, Vec::new());
    for member in [&bundle.manager, &bundle.runtime] {
        let pushed = registry
            .push(member.name, &member.tag, images::build(member)?)
            .await?;
        sent += pushed.sent;
        names.push(member.name);
    }
    Ok(match sent {
        0 => format!("{} has them", settings.address),
        sent => format!(
            "pushed {} to {} ({sent} blobs)",
            names.join(" and "),
            settings.address
        ),
    })
}

/// Imports those images of the bundle that the node does not have.
async fn import(bundle: &Bundle, socket: &Path, architecture: Architecture) -> Result<String, Error> {
    let present = ctr(socket, "list images", &["images", "ls", "--quiet"]).await?;
    let missing: Vec<&Member> = [&bundle.manager, &bundle.runtime]
        .into_iter()
        .filter(|member| !present.lines().any(|line| line == member.reference()))
        .collect();
    if missing.is_empty() {
        return Ok("the node has them".to_owned());
    }
    let archive = images::archive(&missing, architecture)?;
    let path = archive.path().to_string_lossy().into_owned();
    ctr(socket, "import images", &["images", "import", &path]).await?;
    let references: Vec<String> = missing.iter().map(|member| member.reference()).collect();
    Ok(format!("imported {}", references.join(", ")))
}

async fn ctr(socket: &Path, action: &'static str, args: &[&str]) -> Result<String, Error> {
    let (program, first) = client_of_containerd();
    let mut command = Command::new(program);
    command.args(first).arg("--address").arg(PathBuf::from(socket));
    command.args(["--namespace", KUBERNETES]).args(args);
    run(program, action, &mut command).await
}

/// The client of containerd with its first words: k3s has it inside, and RKE2 off the search path.
fn client_of_containerd() -> (&'static str, &'static [&'static str]) {
    const RKE2: &str = "/var/lib/rancher/rke2/bin/ctr";
    if is_on_path("ctr") {
        ("ctr", &[])
    } else if is_on_path("k3s") {
        ("k3s", &["ctr"])
    } else if Path::new(RKE2).is_file() {
        (RKE2, &[])
    } else {
        ("ctr", &[])
    }
}

async fn run(program: &'static str, action: &'static str, command: &mut Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| Error::Start { program, source })?;
    if !output.status.success() {
        return Err(Error::Program {
            action,
            program,
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
