//! The node's network namespace and its connection to the host.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::layout::{HOST_ADDRESS, HOST_LINK, NODE_ADDRESS, NODE_LINK, NODE_NAME, POD_CIDR, SERVICE_CIDR};
use silica_provision::command::{command, run};

/// Where `ip netns` keeps its namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// The file that stands for the node's network namespace.
pub(crate) fn namespace() -> PathBuf {
    Path::new(NAMESPACES).join(NODE_NAME)
}

/// Creates the namespace, the veth pair and the host's routes. The host's own addresses,
/// firewall and kernel settings stay as they are.
pub(crate) fn create() -> Result<()> {
    ip(&format!("netns add {NODE_NAME}"))?;
    ip(&format!(
        "link add {HOST_LINK} type veth peer name {NODE_LINK} netns {NODE_NAME}"
    ))?;
    ip(&format!("addr add {HOST_ADDRESS}/24 dev {HOST_LINK}"))?;
    ip(&format!("link set {HOST_LINK} up"))?;
    ip(&format!("-n {NODE_NAME} link set lo up"))?;
    ip(&format!(
        "-n {NODE_NAME} addr add {NODE_ADDRESS}/24 dev {NODE_LINK}"
    ))?;
    ip(&format!("-n {NODE_NAME} link set {NODE_LINK} up"))?;
    ip(&format!("-n {NODE_NAME} route add default via {HOST_ADDRESS}"))?;
    for range in [POD_CIDR, SERVICE_CIDR] {
        ip(&format!("route add {range} via {NODE_ADDRESS}"))?;
    }
    // These settings are per network namespace. The second one sends the traffic between
    // two pods through the service rules; it is there when br_netfilter is.
    let script = "echo 1 >/proc/sys/net/ipv4/ip_forward\n\
                  f=/proc/sys/net/bridge/bridge-nf-call-iptables; [ ! -e $f ] || echo 1 >$f";
    run(command(["nsenter"])
        .arg(format!("--net={}", namespace().display()))
        .args(["sh", "-c", script]))
    .context("failed to switch on forwarding")
    .map(drop)
}

/// Whether anything of it is there.
pub(crate) fn exists() -> bool {
    namespace().exists() || Path::new("/sys/class/net").join(HOST_LINK).exists()
}

/// Removes the namespace, the veth pair and with them the routes.
pub(crate) fn destroy() -> Result<()> {
    if Path::new("/sys/class/net").join(HOST_LINK).exists() {
        ip(&format!("link del {HOST_LINK}"))?;
    }
    if namespace().exists() {
        // `ip netns del` fails on a file that a killed `ip netns add` left without a mount.
        if ip(&format!("netns del {NODE_NAME}")).is_err() {
            fs::remove_file(namespace()).context("failed to remove the network namespace")?;
        }
    }
    Ok(())
}

/// Runs `ip` with space-separated words.
fn ip(words: &str) -> Result<()> {
    run(command(["ip"]).args(words.split(' '))).map(drop)
}
