//! The commands that load an exported archive, for whoever brings the images along himself.

use std::{fmt::Write as _, path::Path};

use crate::certificates::env_block::quote;

/// Name of the archive in examples.
pub const ARCHIVE: &str = "silica-images.tar";

/// What the nodes are, and the command; [`ARCHIVE`] stands for the archive. `docs/install.md` has
/// the same table.
pub const COMMANDS: [(&str, &str); 12] = [
    (
        "containerd, on each node",
        "sudo ctr --namespace k8s.io images import silica-images.tar",
    ),
    (
        "containerd with nerdctl, on each node",
        "sudo nerdctl --namespace k8s.io load --input silica-images.tar",
    ),
    (
        "CRI-O, on each node",
        "sudo podman load --input silica-images.tar",
    ),
    (
        "Docker (cri-dockerd), on each node",
        "sudo docker load --input silica-images.tar",
    ),
    (
        "k3s, on each node",
        "sudo k3s ctr images import silica-images.tar",
    ),
    (
        "RKE2, on each node",
        "sudo /var/lib/rancher/rke2/bin/ctr --address /run/k3s/containerd/containerd.sock --namespace k8s.io \
         images import silica-images.tar",
    ),
    (
        "MicroK8s, on each node",
        "microk8s ctr image import silica-images.tar",
    ),
    ("kind", "kind load image-archive silica-images.tar --name kind"),
    ("k3d", "k3d image import silica-images.tar --cluster k3s-default"),
    ("minikube", "minikube image load silica-images.tar"),
    (
        "Rancher Desktop with containerd",
        "nerdctl --namespace k8s.io load --input silica-images.tar",
    ),
    (
        "Docker Desktop, Rancher Desktop with dockerd",
        "docker load --input silica-images.tar",
    ),
];

/// The table with this archive.
pub fn describe(archive: &Path) -> String {
    let archive = quote(&archive.to_string_lossy());
    let width = COMMANDS.iter().map(|(nodes, _)| nodes.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (nodes, command) in COMMANDS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {nodes:width$}  {}", command.replace(ARCHIVE, &archive));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_names_the_archive_that_was_written() {
        let text = describe(Path::new("/tmp/my images.tar"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), COMMANDS.len());
        for line in lines {
            assert!(line.contains("'/tmp/my images.tar'"), "{line}");
        }
    }
}
