//! Where everything of the local cluster is: addresses, names and files.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use silica_provision::{cache_dir, workspace};

/// The host's end of the veth pair.
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// The node's address: API server, NodePorts and DNS are here.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 2);
/// Addresses of pods; the host has a route to them.
pub const POD_CIDR: &str = "10.244.0.0/16";
/// Addresses of services; the host has a route to them.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The first service address, which is `kubernetes.default.svc`.
pub const KUBERNETES_SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Port of the API server on [`NODE_ADDRESS`].
pub const API_PORT: u16 = 6443;
/// Name of the node object and of its network namespace.
pub const NODE_NAME: &str = "silica-node";
/// Name of the host's end of the veth pair.
pub const HOST_LINK: &str = "silica-host";
/// Name of the node's end of the veth pair.
pub const NODE_LINK: &str = "eth0";
/// Domain of an installation on the local cluster; its names mean the host's loopback address.
pub const LOCAL_DOMAIN: &str = "silica.localhost";
/// Top cgroup, in every hierarchy; everything that the cluster runs is below it.
pub const CGROUP: &str = "silica";

/// Longest path of a unix socket on Linux, without the final NUL (`unix(7)`).
const LONGEST_SOCKET_PATH: usize = 107;

/// All paths of one cluster.
#[derive(Clone, Debug)]
pub struct Layout {
    /// State of a running cluster; gone after `down`.
    pub state: PathBuf,
    /// Sockets and other short-lived files whose paths must be short.
    pub run: PathBuf,
    /// What survives `down`: built binaries and images, keyed by the hash of their inputs.
    pub cache: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Held while a cluster is started or removed.
    pub lock: PathBuf,
}

impl Layout {
    /// The layout of this checkout: `target/silica`, and the user's cache directory.
    pub fn of_checkout() -> Result<Self> {
        let target = workspace::target();
        let layout = Self {
            state: target.join("cluster"),
            run: PathBuf::from("/run/silica"),
            cache: cache_dir()?,
            kubeconfig: target.join("kubeconfig"),
            lock: target.join("cluster.lock"),
        };
        // The longest of the sockets that kubelet puts below its root directory.
        let socket = layout
            .kubelet_root()
            .join("pod-resources/kubelet.sock")
            .as_os_str()
            .len();
        ensure!(
            socket <= LONGEST_SOCKET_PATH,
            "failed to place the cluster in {}: the path is {} bytes too long for unix sockets; \
             use a checkout with a shorter path",
            layout.state.display(),
            socket - LONGEST_SOCKET_PATH
        );
        Ok(layout)
    }

    /// containerd's socket.
    pub fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    /// Names the state directory of the cluster that runs on this machine.
    pub fn owner_file(&self) -> PathBuf {
        self.run.join("owner")
    }

    /// kubelet's root directory with the pods' volumes.
    pub fn kubelet_root(&self) -> PathBuf {
        self.state.join("kubelet")
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// Configuration files of the daemons.
    pub fn config(&self) -> PathBuf {
        self.state.join("config")
    }

    /// CNI configuration that our containerd reads.
    pub fn cni_config(&self) -> PathBuf {
        self.config().join("cni")
    }

    /// A daemon's kubeconfig.
    pub fn kubeconfig_of(&self, name: &str) -> PathBuf {
        self.config().join(format!("{name}.kubeconfig"))
    }

    /// A daemon's log.
    pub fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    /// One JSON line for each change that the API server accepted.
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("logs/audit.log")
    }

    /// The record of started processes.
    pub fn record(&self) -> PathBuf {
        self.state.join("record.json")
    }

    /// Folders of this cluster that replace well-known ones of the machine inside the
    /// node's mount namespace: (ours, well-known).
    pub fn replaced_directories(&self) -> Vec<(PathBuf, PathBuf)> {
        [
            "/var/lib/kubelet",
            "/var/lib/cni",
            "/var/log/pods",
            "/var/log/containers",
            "/run/containerd",
        ]
        .into_iter()
        .map(|known| {
            (
                self.state.join("node").join(known.trim_start_matches('/')),
                PathBuf::from(known),
            )
        })
        .collect()
    }
}
