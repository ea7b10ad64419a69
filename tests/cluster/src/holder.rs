//! The node's mount namespace, kept alive by a process that only sleeps.
//!
//! containerd and kubelet mount a lot, and some of their paths are fixed: shim sockets in
//! `/run/containerd`, device plugins in `/var/lib/kubelet`, kernel settings in `/proc/sys`.
//! In a private mount namespace these paths are ours, the machine's own are out of reach,
//! and all mounts disappear with the last process.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::daemons::Daemon;
use crate::layout::Layout;
use crate::network;

/// Kernel settings that kubelet wants to change for the whole machine, with the value it
/// wants. Inside the namespace it finds files that already say so, and leaves the machine alone.
const KUBELET_SETTINGS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Printed to the log when the namespace is complete.
pub(crate) const READY_LINE: &str = "mount namespace is ready";

/// Well-known paths that the machine lacks and that [`prepare`] creates, the deepest first.
pub(crate) fn observe_missing(layout: &Layout) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = binds(layout)
        .iter()
        .flat_map(|(_, known)| known.ancestors().take_while(|path| !path.exists()))
        .map(Path::to_owned)
        .collect();
    missing.sort_unstable_by(|one, other| other.cmp(one));
    missing.dedup();
    missing
}

/// (ours, well-known) directories.
fn binds(layout: &Layout) -> Vec<(PathBuf, PathBuf)> {
    let mut binds = layout.replaced_directories();
    binds.push((
        layout.state.join("node/netns"),
        PathBuf::from(network::NAMESPACES),
    ));
    binds
}

/// Creates the mount points and returns the process that holds the namespace.
pub(crate) fn prepare(layout: &Layout) -> Result<Daemon> {
    let mut binds = binds(layout);
    for directory in binds.iter().flat_map(|(ours, known)| [ours, known]) {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    let settings = layout.state.join("node/settings");
    fs::create_dir_all(&settings).with_context(|| format!("failed to create {}", settings.display()))?;
    for (name, value) in KUBELET_SETTINGS {
        let known = PathBuf::from("/proc/sys").join(name);
        let ours = settings.join(name.replace('/', "."));
        fs::write(&ours, format!("{value}\n"))
            .with_context(|| format!("failed to write {}", ours.display()))?;
        if known.exists() {
            binds.push((ours, known));
        }
    }
    Ok(Daemon::new("node", "unshare".as_ref())
        .arg("--mount")
        .arg("--propagation=private")
        .args(["sh", "-ec", &script(&binds)]))
}

/// `-n` keeps mount(8) from noting its mounts below the machine's `/run`.
/// Mounts inside the new namespace may propagate to the containers' namespaces, never outside.
fn script(binds: &[(PathBuf, PathBuf)]) -> String {
    let mut lines: Vec<String> = binds
        .iter()
        .map(|(ours, known)| format!("mount -n --bind '{}' '{}'", ours.display(), known.display()))
        .collect();
    lines.push("mount -n --make-rshared /".to_owned());
    lines.push(format!("echo '{READY_LINE}'"));
    lines.push("exec sleep infinity".to_owned());
    lines.join("\n")
}
