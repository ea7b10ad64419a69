//! What this machine has for bringing images to nodes.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::Tool;

/// Usual places of containerd's socket: containerd itself, then k3s and RKE2.
pub const SOCKETS: [&str; 2] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// This machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Machine {
    /// Sockets of containerd that are there.
    pub sockets: Vec<PathBuf>,
    /// Tools on the search path.
    pub tools: Vec<Tool>,
    /// Identity of the running kernel; empty where the system does not tell.
    pub boot: String,
    /// Content of `/etc/machine-id`; empty where there is none.
    pub machine: String,
}

impl Machine {
    /// Looks around; `address` is the only socket to look for when it is given.
    pub fn observe(address: Option<&Path>) -> Self {
        let candidates = match address {
            Some(address) => {
                let text = address.to_string_lossy();
                vec![PathBuf::from(text.strip_prefix("unix://").unwrap_or(&text))]
            }
            None => SOCKETS.map(PathBuf::from).to_vec(),
        };
        let read = |path: &str| {
            fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        Self {
            sockets: candidates.into_iter().filter(|path| path.exists()).collect(),
            tools: [Tool::Kind, Tool::K3d]
                .into_iter()
                .filter(|tool| is_on_path(tool.program()))
                .collect(),
            boot: read("/proc/sys/kernel/random/boot_id"),
            machine: read("/etc/machine-id"),
        }
    }
}

/// Whether a program is on the search path.
pub(super) fn is_on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
