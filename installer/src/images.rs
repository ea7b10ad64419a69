//! Brings our images to the node: builds an OCI archive from the bundle and
//! imports it into the containerd of this machine.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

use silica_oci::{Compression, Entry, Image, ImageConfig, Layer};
use tokio::process::Command;

use crate::{bundle::Bundle, bundle::Member, commands::install::ImageDelivery};

/// Usual places of containerd's socket: containerd itself, then k3s and RKE2.
const SOCKETS: [&str; 2] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
];
/// The containerd namespace that the kubelet uses.
const KUBERNETES: &str = "k8s.io";

/// Why images did not reach the node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No containerd here.
    #[error("failed to find containerd on this machine: looked for {}", looked_for.join(", "))]
    NoSocket { looked_for: Vec<String> },
    /// The image could not be put together.
    #[error("failed to build image {reference}")]
    Build {
        reference: String,
        source: silica_oci::Error,
    },
    /// The archive could not be written.
    #[error("failed to write the image archive")]
    Archive(#[source] io::Error),
    /// `ctr` cannot be started.
    #[error("failed to run ctr, containerd's own client")]
    Start(#[source] io::Error),
    /// `ctr` refused.
    #[error("failed to {action} through {}: {output}", socket.display())]
    Ctr {
        action: &'static str,
        socket: PathBuf,
        output: String,
    },
}

/// Where images go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Into this containerd.
    Containerd(PathBuf),
    /// Nowhere: the nodes pull them, or have them.
    Nowhere,
}

/// Chooses the way. `exists` tells whether a path is there.
pub fn choose(
    delivery: ImageDelivery,
    address: Option<&Path>,
    exists: impl Fn(&Path) -> bool,
) -> Result<Target, Error> {
    let candidates: Vec<PathBuf> = match address {
        Some(address) => {
            let text = address.to_string_lossy();
            vec![PathBuf::from(text.strip_prefix("unix://").unwrap_or(&text))]
        }
        None => SOCKETS.iter().map(PathBuf::from).collect(),
    };
    let found = candidates.iter().find(|path| exists(path)).cloned();
    match (delivery, found) {
        (ImageDelivery::None, _) | (ImageDelivery::Auto, None) => Ok(Target::Nowhere),
        (ImageDelivery::Auto | ImageDelivery::Node, Some(socket)) => Ok(Target::Containerd(socket)),
        (ImageDelivery::Node, None) => Err(Error::NoSocket {
            looked_for: candidates.iter().map(|path| path.display().to_string()).collect(),
        }),
    }
}

/// Imports those images of the bundle that the node does not have. Returns the
/// references that were imported.
pub async fn deliver(bundle: &Bundle, socket: &Path) -> Result<Vec<String>, Error> {
    let present = read_references(socket).await?;
    let has = |member: &Member| present.lines().any(|line| line == member.reference());
    let mut images = Vec::new();
    if !has(&bundle.manager) {
        images.push(manager_image(&bundle.manager)?);
    }
    if !has(&bundle.runtime) {
        images.push(runtime_image(&bundle.runtime)?);
    }
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let references: Vec<String> = images.iter().map(|image| image.reference.clone()).collect();
    let file = tempfile::NamedTempFile::new().map_err(Error::Archive)?;
    let mut output = BufWriter::new(file.as_file());
    let failed = |source| Error::Build {
        reference: references.join(", "),
        source,
    };
    silica_oci::write_archive(&images, &mut output).map_err(failed)?;
    output.flush().map_err(Error::Archive)?;
    let path = file.path().to_string_lossy().into_owned();
    run(socket, "import images", &["images", "import", &path]).await?;
    Ok(references)
}

async fn read_references(socket: &Path) -> Result<String, Error> {
    run(socket, "list images", &["images", "ls", "--quiet"]).await
}

async fn run(socket: &Path, action: &'static str, args: &[&str]) -> Result<String, Error> {
    let output = Command::new("ctr")
        .arg("--address")
        .arg(socket)
        .args(["--namespace", KUBERNETES])
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::Start)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Ctr {
            action,
            socket: socket.to_owned(),
            output: text,
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn image(member: &Member, entries: Vec<Entry>, entrypoint: &str) -> Result<Image, Error> {
    let failed = |source| Error::Build {
        reference: member.reference(),
        source,
    };
    Ok(Image {
        reference: member.reference(),
        layers: vec![Layer::from_entries(entries, Compression::Gzip).map_err(failed)?],
        config: ImageConfig {
            entrypoint: vec![entrypoint.into()],
            ..ImageConfig::default()
        },
    })
}

fn manager_image(member: &Member) -> Result<Image, Error> {
    image(
        member,
        vec![Entry::file("/sandbox-manager", 0o755, member.binary.clone())],
        "/sandbox-manager",
    )
}

/// The runtime image also answers to the command of users' own templates, `sh
/// /workspace/entrypoint_inner.sh`: the shell is the runtime itself, and the
/// scripts are there for whoever looks.
fn runtime_image(member: &Member) -> Result<Image, Error> {
    const SCRIPT: &str = "#!/bin/sh\n# /bin/sh is sandbox-runtime, which acts on the name of this file:\n\
                          exec /sandbox-runtime install \"${ENVD_DIR:-/mnt/envd}\" --stay\n";
    let entries = vec![
        Entry::file("/sandbox-runtime", 0o755, member.binary.clone()),
        Entry::symlink("/bin/sh", "/sandbox-runtime"),
        Entry::file("/workspace/entrypoint.sh", 0o755, SCRIPT),
        Entry::file("/workspace/entrypoint_inner.sh", 0o755, SCRIPT),
    ];
    image(member, entries, "/sandbox-runtime")
}

#[cfg(test)]
mod tests {
    use silica_api::names;

    use super::*;

    #[test]
    fn the_socket_is_found_in_order() {
        let only = |wanted: &'static str| move |path: &Path| path == Path::new(wanted);
        let k3s = choose(ImageDelivery::Auto, None, only(SOCKETS[1])).unwrap();
        assert_eq!(k3s, Target::Containerd(SOCKETS[1].into()));
        let given = choose(
            ImageDelivery::Node,
            Some(Path::new("unix:///a.sock")),
            only("/a.sock"),
        )
        .unwrap();
        assert_eq!(given, Target::Containerd("/a.sock".into()));
    }

    #[test]
    fn auto_without_containerd_leaves_it_to_the_nodes_and_node_fails() {
        assert_eq!(
            choose(ImageDelivery::Auto, None, |_| false).unwrap(),
            Target::Nowhere
        );
        assert_eq!(
            choose(ImageDelivery::None, None, |_| true).unwrap(),
            Target::Nowhere
        );
        assert!(matches!(
            choose(ImageDelivery::Node, None, |_| false),
            Err(Error::NoSocket { .. })
        ));
    }

    #[test]
    fn the_runtime_image_answers_to_the_shell_of_templates() {
        let member = Member {
            name: names::RUNTIME_IMAGE,
            binary: vec![1],
            tag: "1".into(),
        };
        assert!(runtime_image(&member).is_ok());
    }
}
