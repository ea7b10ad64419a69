//! Starts the daemons in the order they need each other.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::daemons::{self, Daemon};
use crate::layout::Layout;
use crate::process::{self, Place};
use crate::record::{ProcessRecord, Record};
use crate::wait::{self, Probe};
use crate::{Options, cgroup, config, forward, holder, images, kubeconfig, network, pause, pki};
use silica_provision::build::Binaries;
use silica_provision::progress;

/// What [`start`] keeps at hand.
struct Starting<'a> {
    layout: &'a Layout,
    cgroups: Vec<PathBuf>,
    record: Record,
}

/// Starts everything on a machine that has nothing of it.
pub(crate) async fn start(layout: &Layout, binaries: &Binaries, options: &Options) -> Result<()> {
    let began = Instant::now();
    for directory in [&layout.state, &layout.run] {
        fs::create_dir_all(directory).with_context(|| format!("failed to create {}", directory.display()))?;
    }
    let owner = layout.owner_file();
    fs::write(&owner, layout.state.as_os_str().as_encoded_bytes())
        .with_context(|| format!("failed to write {}", owner.display()))?;
    let mut starting = prepare(layout)?;
    progress::done("network, certificates, configuration", began);

    let step = Instant::now();
    let node = starting.node_daemons(binaries).await?;
    let client = client(layout).await?;
    wait::until(layout, &node.apiserver, || wait::probe_apiserver(&client)).await?;
    progress::done("API server is ready", step);

    let step = Instant::now();
    starting.run_in_node(&node.holder, &daemons::controller_manager(layout, binaries))?;
    starting.run_in_node(&node.holder, &daemons::scheduler(layout, binaries))?;
    let kubelet = starting.run_in_node(&node.holder, &daemons::kubelet(layout, binaries))?;
    starting.run_in_node(&node.holder, &daemons::kube_proxy(layout, binaries))?;
    let coredns = starting.run_in_node(&node.holder, &daemons::coredns(layout, binaries))?;
    starting.forwarder(options)?;
    wait::until(layout, &kubelet, || wait::probe_node(&client)).await?;
    wait::until(layout, &coredns, || async { wait::probe_dns() }).await?;
    wait::until(layout, &kubelet, || wait::probe_service_account(&client)).await?;
    starting.record.is_complete = true;
    starting.record.write(&layout.record())?;
    progress::done("node is Ready, DNS answers", step);
    progress::done("cluster is up", began);
    Ok(())
}

/// Whether a running cluster answers.
pub(crate) async fn answers(layout: &Layout) -> bool {
    let Ok(client) = client(layout).await else {
        return false;
    };
    matches!(wait::probe_apiserver(&client).await, Probe::Ready)
        && matches!(wait::probe_node(&client).await, Probe::Ready)
        && matches!(wait::probe_dns(), Probe::Ready)
}

fn prepare(layout: &Layout) -> Result<Starting<'_>> {
    let mut starting = Starting {
        layout,
        cgroups: Vec::new(),
        record: Record::default(),
    };
    // Noted before they are created: an interrupted start is cleaned up completely.
    let side_effects = ["/run/xtables.lock", "/run/mount"].map(PathBuf::from);
    starting
        .record
        .created
        .extend(side_effects.into_iter().filter(|path| !path.exists()));
    starting.record.created.extend(holder::observe_missing(layout));
    starting.record.write(&layout.record())?;
    starting.cgroups = cgroup::create()?;
    network::create()?;
    pki::write(layout)?;
    let pause = pause::image()?;
    fs::create_dir_all(layout.config()).context("failed to create the configuration directory")?;
    config::write_all(layout, &pause.reference)?;
    kubeconfig::write_all(layout)?;
    let archive = pause_archive(layout);
    let file =
        fs::File::create(&archive).with_context(|| format!("failed to write {}", archive.display()))?;
    silica_oci::write_archive(&[pause], file)?;
    Ok(starting)
}

fn pause_archive(layout: &Layout) -> PathBuf {
    layout.state.join("pause.tar")
}

/// The daemons that the rest needs.
struct NodeDaemons {
    holder: ProcessRecord,
    apiserver: ProcessRecord,
}

impl Starting<'_> {
    async fn node_daemons(&mut self, binaries: &Binaries) -> Result<NodeDaemons> {
        let layout = self.layout;
        let holder = self.run(&holder::prepare(layout)?, Place::Host)?;
        let log = layout.log(&holder.name);
        wait::until(layout, &holder, || async {
            wait::probe_log(&log, holder::READY_LINE)
        })
        .await?;
        self.run_in_node(&holder, &daemons::etcd(layout, binaries))?;
        let apiserver = self.run_in_node(&holder, &daemons::apiserver(layout, binaries))?;
        let containerd = self.run_in_node(&holder, &daemons::containerd(layout))?;
        let socket = layout.containerd_socket();
        wait::until(layout, &containerd, || wait::probe_socket(&socket)).await?;
        images::import(layout, &pause_archive(layout))?;
        Ok(NodeDaemons { holder, apiserver })
    }

    fn forwarder(&mut self, options: &Options) -> Result<()> {
        let Some((program, arguments)) = options.forwarder.split_first() else {
            return Ok(());
        };
        for port in forward::observe_taken() {
            progress::starting(&format!(
                "127.0.0.1:{port} is taken by another process: it is not forwarded"
            ));
        }
        let daemon = arguments
            .iter()
            .fold(Daemon::new("forwarder", program), Daemon::arg);
        self.run(&daemon, Place::Host).map(drop)
    }

    fn run_in_node(&mut self, holder: &ProcessRecord, daemon: &Daemon) -> Result<ProcessRecord> {
        self.run(daemon, Place::Node { holder })
    }

    /// Every process is recorded as soon as it runs.
    fn run(&mut self, daemon: &Daemon, place: Place<'_>) -> Result<ProcessRecord> {
        let process = process::start(self.layout, &self.cgroups, daemon, place)?;
        self.record.processes.push(process.clone());
        self.record.write(&self.layout.record())?;
        Ok(process)
    }
}

/// A client with the administrator's rights.
async fn client(layout: &Layout) -> Result<Client> {
    // Another part of the process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(&layout.kubeconfig).context("failed to read the kubeconfig")?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .context("failed to use the kubeconfig")?;
    Client::try_from(config).context("failed to make a Kubernetes client")
}
