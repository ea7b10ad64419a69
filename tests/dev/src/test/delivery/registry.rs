//! A registry on the node, from which its containerd pulls over plain http as from every registry
//! on its own loopback interface.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use silica_cluster::Cluster;
use silica_cluster::layout::NODE_NAME;
use silica_provision::build::{self, Tool};

use crate::up::{self, Delivery};
use crate::workspace;

/// Where images of an installation go, for programs on the node; nobody else reaches it.
pub(crate) const PREFIX: &str = "127.0.0.1:5000/silica";
const ADDRESS: &str = "127.0.0.1:5000";

/// A running registry; ends with the value, and its content with it.
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start(cluster: &Cluster) -> Result<Self> {
        let executable = build::build_tool(&cluster.layout().cache, Tool::Registry)?;
        let folder = workspace::target().join("registry");
        let failed = || format!("failed to write to {}", folder.display());
        fs::create_dir_all(&folder).with_context(failed)?;
        let config = folder.join("config.yml");
        let content = folder.join("content");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '{ADDRESS}'}}\nstorage: {{filesystem: \
             {{rootdirectory: '{}'}}}}\n",
            content.display()
        );
        fs::write(&config, text).with_context(failed)?;
        let mut child = on_node()
            .arg(executable)
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start the registry")?;
        let log = child.stderr.take();
        let server = Self { child, folder };
        let mut log = BufReader::new(log.context("the registry has no log")?).lines();
        let mut last = String::new();
        for line in log.by_ref() {
            last = line.context("failed to read the registry's log")?;
            if last.contains("listening on") {
                // Its pipe must not fill up.
                std::thread::spawn(move || log.for_each(drop));
                return Ok(server);
            }
        }
        bail!("the registry ended: {last}")
    }

    /// The names of what was pushed below [`PREFIX`], in alphabetical order.
    pub(super) fn repositories(&self) -> Result<Vec<String>> {
        let folder = self.folder.join("content/docker/registry/v2/repositories/silica");
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("failed to list {}: nothing was pushed", folder.display()))?;
        let mut names: Vec<String> = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()
            .with_context(|| format!("failed to list {}", folder.display()))?;
        names.sort();
        Ok(names)
    }
}

/// The installation by way of the registry, as a program on the node: there the registry is.
pub(crate) fn install_command(cluster: &Cluster, silica: &Path) -> Result<Command> {
    let local = up::install_command(cluster, silica, Delivery::Registry(PREFIX), up::LOCAL_WAYS)?;
    let mut on_node = on_node();
    on_node.arg(local.get_program()).args(local.get_args());
    for (name, value) in local.get_envs() {
        match value {
            Some(value) => on_node.env(name, value),
            None => on_node.env_remove(name),
        };
    }
    Ok(on_node)
}

/// Starts what follows in the node's network.
fn on_node() -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", NODE_NAME]);
    command
}
