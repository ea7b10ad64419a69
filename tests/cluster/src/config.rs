//! Configuration files of the daemons, rendered from the layout.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::layout::{CGROUP, LOCAL_DOMAIN, Layout, NODE_ADDRESS, POD_CIDR};
use crate::pki;

/// Writes every configuration file below [`Layout::config`].
pub(crate) fn write_all(layout: &Layout, pause_image: &str) -> Result<()> {
    let config = layout.config();
    let cni = layout.cni_config();
    fs::create_dir_all(&cni).with_context(|| format!("failed to create {}", cni.display()))?;
    let files = [
        (config.join("containerd.toml"), containerd(layout, pause_image)),
        (cni.join("10-silica.conflist"), format!("{:#}\n", cni_chain())),
        (config.join("kubelet.json"), format!("{:#}\n", kubelet(layout))),
        (config.join("Corefile"), corefile(layout)),
        (config.join("audit.json"), format!("{:#}\n", audit_policy())),
    ];
    for (path, content) in files {
        fs::write(&path, content).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

fn containerd(layout: &Layout, pause_image: &str) -> String {
    let shown = |path: &Path| path.display().to_string();
    let (socket, cni) = (shown(&layout.containerd_socket()), shown(&layout.cni_config()));
    let root = shown(&layout.state.join("containerd"));
    let snapshotter = snapshotter(&layout.state);
    // restrict_oom_score_adj: runc dies without CAP_SYS_RESOURCE otherwise.
    format!(
        r#"version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  netns_mounts_under_state_dir = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = false
"#
    )
}

/// overlayfs, except where the state itself is on an overlay, which cannot be stacked.
fn snapshotter(state: &Path) -> &'static str {
    let kind = nix::sys::statfs::statfs(state).map(|stat| stat.filesystem_type());
    if kind == Ok(nix::sys::statfs::OVERLAYFS_SUPER_MAGIC) {
        "native"
    } else {
        "overlayfs"
    }
}

fn cni_chain() -> serde_json::Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "silica",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": POD_CIDR }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn kubelet(layout: &Layout) -> serde_json::Value {
    let (certificate, key) = pki::files(layout, "kubelet-server");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": pki::files(layout, "ca").0 },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": certificate,
        "tlsPrivateKeyFile": key,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{CGROUP}"),
        "failCgroupV1": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        // Lowering the score needs a capability that containers lack.
        "oomScoreAdj": 0,
        "maxPods": 250,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "serializeImagePulls": false,
        // Imported images cannot be pulled again: they must never be collected.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "volumePluginDir": layout.kubelet_root().join("volume-plugins"),
    })
}

fn corefile(layout: &Layout) -> String {
    // The node has no way to other networks: other names do not exist, and answering that at
    // once is kinder than a timeout. They need their own block: within one, CoreDNS asks
    // `template` before `kubernetes`.
    // The local domain is served on the host's loopback address: clients on the host that do
    // not know `*.localhost` by themselves can ask here.
    format!(
        r#"cluster.local:53 in-addr.arpa:53 {{
    bind {NODE_ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {}
        pods insecure
        ttl 5
    }}
}}

{LOCAL_DOMAIN}:53 {{
    bind {NODE_ADDRESS}
    template IN A {{
        answer "{{{{ .Name }}}} 5 IN A 127.0.0.1"
    }}
    template ANY ANY {{
        rcode NOERROR
    }}
}}

.:53 {{
    bind {NODE_ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"#,
        layout.kubeconfig_of("coredns").display()
    )
}

/// Records who changed what, without bodies, so that a test can count writes.
fn audit_policy() -> serde_json::Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            { "level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"] },
            { "level": "None", "users": [
                "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:apiserver",
            ] },
            { "level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"] },
            { "level": "None" },
        ],
    })
}
