//! The command lines of the node's daemons.

use std::ffi::OsString;
use std::path::Path;

use crate::layout::{API_PORT, Layout, NODE_ADDRESS, NODE_NAME, POD_CIDR, SERVICE_CIDR};
use crate::pki;
use silica_provision::build::Binaries;

/// A program that runs until the cluster goes down.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    /// Its name in records, logs and messages.
    pub(crate) name: &'static str,
    /// Program and arguments.
    pub(crate) words: Vec<OsString>,
    /// Its scheduling priority, from -20 (first) to 19; 0 is the usual one.
    pub(crate) niceness: i8,
}

impl Daemon {
    pub(crate) fn new(name: &'static str, program: &Path) -> Self {
        Self {
            name,
            words: vec![program.into()],
            niceness: 0,
        }
    }

    /// Lets the daemon go before pods that start, as if it had a machine of its own: a control
    /// plane seldom shares its processors with sandboxes.
    fn of_control_plane(self) -> Self {
        Self {
            niceness: -10,
            ..self
        }
    }

    pub(crate) fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn args<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().fold(self, Self::arg)
    }

    /// Appends `--name=value`.
    fn flag(self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        self.arg(word)
    }
}

const ETCD_CLIENTS: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";

pub(crate) fn etcd(layout: &Layout, binaries: &Binaries) -> Daemon {
    Daemon::new("etcd", &binaries.kubernetes)
        .arg("etcd")
        .flag("data-dir", layout.state.join("etcd"))
        .flag("listen-client-urls", ETCD_CLIENTS)
        .flag("advertise-client-urls", ETCD_CLIENTS)
        .flag("listen-peer-urls", ETCD_PEERS)
        .flag("initial-advertise-peer-urls", ETCD_PEERS)
        .flag("initial-cluster", format!("default={ETCD_PEERS}"))
        .flag("log-level", "warn")
        // The data does not outlive the cluster.
        .arg("--unsafe-no-fsync")
        .of_control_plane()
}

pub(crate) fn apiserver(layout: &Layout, binaries: &Binaries) -> Daemon {
    let (ca, _) = pki::files(layout, "ca");
    let (serving, serving_key) = pki::files(layout, "apiserver");
    let (kubelet_client, kubelet_client_key) = pki::files(layout, "apiserver-kubelet-client");
    let (proxy_client, proxy_client_key) = pki::files(layout, "front-proxy-client");
    Daemon::new("kube-apiserver", &binaries.kubernetes)
        .arg("kube-apiserver")
        .flag("etcd-servers", ETCD_CLIENTS)
        .flag("secure-port", API_PORT.to_string())
        .flag("advertise-address", NODE_ADDRESS.to_string())
        .flag("tls-cert-file", serving)
        .flag("tls-private-key-file", serving_key)
        .flag("client-ca-file", ca)
        .flag("service-account-issuer", "https://kubernetes.default.svc")
        .flag(
            "service-account-key-file",
            layout.pki().join("service-account.pub"),
        )
        .flag(
            "service-account-signing-key-file",
            layout.pki().join("service-account.key"),
        )
        .flag("service-cluster-ip-range", SERVICE_CIDR)
        .flag("authorization-mode", "Node,RBAC")
        .flag("enable-admission-plugins", "NodeRestriction")
        .arg("--allow-privileged")
        .flag("kubelet-client-certificate", kubelet_client)
        .flag("kubelet-client-key", kubelet_client_key)
        .flag("kubelet-preferred-address-types", "InternalIP")
        .flag(
            "requestheader-client-ca-file",
            pki::files(layout, "front-proxy-ca").0,
        )
        .flag("requestheader-allowed-names", "front-proxy-client")
        .flag("requestheader-username-headers", "X-Remote-User")
        .flag("requestheader-group-headers", "X-Remote-Group")
        .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .flag("proxy-client-cert-file", proxy_client)
        .flag("proxy-client-key-file", proxy_client_key)
        .flag("max-requests-inflight", "1600")
        .flag("max-mutating-requests-inflight", "800")
        .flag("audit-policy-file", layout.config().join("audit.json"))
        .flag("audit-log-path", layout.audit_log())
        .of_control_plane()
}

pub(crate) fn controller_manager(layout: &Layout, binaries: &Binaries) -> Daemon {
    let (ca, ca_key) = pki::files(layout, "ca");
    let daemon = Daemon::new("kube-controller-manager", &binaries.kubernetes).arg("kube-controller-manager");
    with_kubeconfig(daemon, &layout.kubeconfig_of("controller-manager"))
        .flag("root-ca-file", &ca)
        .flag(
            "service-account-private-key-file",
            layout.pki().join("service-account.key"),
        )
        .arg("--use-service-account-credentials")
        .flag("cluster-cidr", POD_CIDR)
        .flag("flex-volume-plugin-dir", layout.state.join("volume-plugins"))
        .flag("allocate-node-cidrs", "false")
        .flag("cluster-signing-cert-file", ca)
        .flag("cluster-signing-key-file", ca_key)
        .flag("kube-api-qps", "200")
        .flag("kube-api-burst", "400")
}

/// Name of the scheduler among the recorded processes.
pub(crate) const SCHEDULER: &str = "kube-scheduler";

pub(crate) fn scheduler(layout: &Layout, binaries: &Binaries) -> Daemon {
    let daemon = Daemon::new(SCHEDULER, &binaries.kubernetes).arg(SCHEDULER);
    with_kubeconfig(daemon, &layout.kubeconfig_of("scheduler"))
        .flag("kube-api-qps", "200")
        .flag("kube-api-burst", "400")
}

fn with_kubeconfig(daemon: Daemon, kubeconfig: &Path) -> Daemon {
    daemon
        .flag("kubeconfig", kubeconfig)
        .flag("authentication-kubeconfig", kubeconfig)
        .flag("authorization-kubeconfig", kubeconfig)
        .flag("leader-elect", "false")
}

pub(crate) fn containerd(layout: &Layout) -> Daemon {
    Daemon::new("containerd", Path::new("containerd"))
        .arg("--config")
        .arg(layout.config().join("containerd.toml"))
}

pub(crate) fn kubelet(layout: &Layout, binaries: &Binaries) -> Daemon {
    Daemon::new("kubelet", &binaries.kubernetes)
        .arg("kubelet")
        .flag("config", layout.config().join("kubelet.json"))
        .flag("kubeconfig", layout.kubeconfig_of("kubelet"))
        .flag("root-dir", layout.kubelet_root())
        .flag("hostname-override", NODE_NAME)
        .flag("node-ip", NODE_ADDRESS.to_string())
}

pub(crate) fn kube_proxy(layout: &Layout, binaries: &Binaries) -> Daemon {
    Daemon::new("kube-proxy", &binaries.kubernetes)
        .arg("kube-proxy")
        .flag("kubeconfig", layout.kubeconfig_of("proxy"))
        .flag("proxy-mode", "iptables")
        .flag("cluster-cidr", POD_CIDR)
        .flag("hostname-override", NODE_NAME)
        .flag("oom-score-adj", "0")
        // These limits belong to the machine, not to the node's network namespace.
        .flag("conntrack-max-per-core", "0")
        // The default of one second is felt by every test that waits for a service.
        .flag("iptables-min-sync-period", "100ms")
}

pub(crate) fn coredns(layout: &Layout, binaries: &Binaries) -> Daemon {
    Daemon::new("coredns", &binaries.coredns)
        .arg("-conf")
        .arg(layout.config().join("Corefile"))
}
