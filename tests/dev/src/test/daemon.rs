//! Runs the newest SDK in its debug mode against the daemon itself, without a cluster.
//!
//! That mode talks to fixed ports of localhost, and the daemon wants to be root in a
//! sandbox's image. Both are given namespaces of their own: the machine has no process,
//! mount or port more than before, whatever happens.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use silica_cluster::Cluster;

use crate::images::{self, Name};
use crate::{command, python, workspace};

/// Needs: the image's root, a directory for what is written, the daemon, then a command.
///
/// The layer that is written to lies in memory, as file systems of containers cannot carry
/// one, and `/tmp` on the disk, as attributes of files in memory need a recent kernel.
const SCRIPT: &str = r#"
set -eu
image=$1 work=$2 daemon=$3
shift 3
ip link set lo up
mkdir -p "$work/tmp" "$work/memory"
chmod 1777 "$work/tmp"
mount -n -t tmpfs tmpfs "$work/memory"
cd "$work/memory"
mkdir upper work root
mount -n -t overlay -o "lowerdir=$image,upperdir=upper,workdir=work" overlay root
cp "$daemon" root/usr/local/bin/sandbox-runtime
mount -n -t proc proc root/proc
mount -n --rbind /dev root/dev
mount -n --bind "$work/tmp" root/tmp
cd /
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    chroot "$work/memory/root" /usr/local/bin/sandbox-runtime start
cd "$SUITE"
"$@"
"#;

/// Runs the suite with this daemon and returns its runner's closing line.
pub(super) fn run(cluster: &Cluster, daemon: &Path) -> Result<String> {
    let cache = &cluster.layout().cache;
    let image = images::root(cluster, Name::CodeInterpreter)?;
    let folder = workspace::root().join("tests/sdk/daemon");
    // The newest SDKs are named in one place.
    let requirements = workspace::root().join("tests/sdk/current/requirements.txt");
    let python = python::environment(cache, &requirements)?;
    let work = Work::create()?;
    let lines = command::run_and_keep(
        Command::new("unshare")
            .args(["--mount", "--propagation=private", "--net", "--pid", "--fork"])
            .args(["--kill-child", "sh", "-c", SCRIPT, "suite"])
            .args([image.as_path(), &work.0, daemon, &python])
            .args(["-m", "pytest", "-p", "no:cacheprovider"])
            .env("SUITE", folder)
            .env("E2B_DEBUG", "true")
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )?;
    let closing = lines.last().map(|line| line.trim_matches(['=', ' ']).to_owned());
    Ok(closing.unwrap_or_else(|| "no output".to_owned()))
}

/// Where the sandbox's files are written; removed with the value.
struct Work(PathBuf);

impl Work {
    fn create() -> Result<Self> {
        let path = workspace::target().join(format!("daemon-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What stays behind lies below `target`, where it bothers nobody.
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            println!("failed to remove {}: {error}", self.0.display());
        }
    }
}
