//! A real single-node Kubernetes for tests, from source, without containers around it.
//!
//! [`Cluster::up`] builds the Kubernetes components from their Go modules (once), starts
//! them as plain processes and returns when the node takes pods. The node has its own
//! network namespace, mount namespace, cgroup, container runtime and state directory:
//! nothing of the machine is changed, a runtime or kubelet it already has is never touched,
//! and [`Cluster::down`] leaves nothing behind but the caches.

mod cgroup;
mod config;
mod daemons;
pub mod forward;
mod holder;
pub mod images;
mod kubeconfig;
pub mod layout;
mod network;
pub mod pause;
mod pki;
mod process;
mod record;
mod start;
mod teardown;
pub mod traces;
mod wait;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use silica_provision::{build, packages, progress};

pub use layout::Layout;
pub use record::{ProcessRecord, Record};

/// How a cluster is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Program and arguments that run [`forward::run`]; without it nothing is forwarded
    /// from the host's loopback address.
    pub forwarder: Vec<PathBuf>,
}

/// The cluster of this checkout.
#[derive(Clone, Debug)]
pub struct Cluster {
    layout: Layout,
}

/// What is there of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing.
    Absent,
    /// All daemons run.
    Running(Vec<ProcessRecord>),
    /// Some daemons have ended, or a start or removal was interrupted.
    Broken {
        /// Daemons that run.
        alive: Vec<ProcessRecord>,
        /// Daemons that have ended.
        ended: Vec<ProcessRecord>,
    },
}

impl Cluster {
    /// The cluster of this checkout, running or not.
    pub fn of_checkout() -> Result<Self> {
        Ok(Self {
            layout: Layout::of_checkout()?,
        })
    }

    /// Where its files are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Starts the cluster; returns when the node is Ready and DNS answers. A running cluster
    /// is only checked; what is left of a killed one is removed first. True when it was started.
    pub async fn up(&self, options: &Options) -> Result<bool> {
        let _lock = self.lock()?;
        self.refuse_foreign_cluster()?;
        if matches!(self.status()?, Status::Running(_)) && start::answers(&self.layout).await {
            return Ok(false);
        }
        if teardown::is_needed(&self.layout)? {
            let started = Instant::now();
            teardown::remove_all(&self.layout)?;
            progress::done("removed what was left of a cluster", started);
        }
        packages::install_missing()?;
        let binaries = build::build(&self.layout.cache)?;
        start::start(&self.layout, &binaries, options).await?;
        Ok(true)
    }

    /// Removes every trace of the cluster except the caches. True when there was something.
    pub fn down(&self) -> Result<bool> {
        let _lock = self.lock()?;
        self.refuse_foreign_cluster()?;
        let needed = teardown::is_needed(&self.layout)?;
        if needed {
            teardown::remove_all(&self.layout)?;
        }
        Ok(needed)
    }

    /// Lets no new pod start until [`Cluster::resume_scheduling`]: the scheduler is stopped as a
    /// process, so that the node still looks fit to whoever counts its room.
    pub fn pause_scheduling(&self) -> Result<()> {
        self.signal_scheduler(Signal::SIGSTOP)
    }

    /// Lets pods start again; does nothing when they could.
    pub fn resume_scheduling(&self) -> Result<()> {
        self.signal_scheduler(Signal::SIGCONT)
    }

    fn signal_scheduler(&self, signal: Signal) -> Result<()> {
        let record = Record::read(&self.layout.record()).unwrap_or_default();
        let scheduler = record
            .processes
            .iter()
            .find(|process| process.name == daemons::SCHEDULER && process.is_alive())
            .context("failed to find the scheduler of the cluster")?;
        kill(Pid::from_raw(scheduler.pid), signal).context("failed to signal the scheduler")
    }

    /// Looks at the recorded processes; asks no daemon.
    pub fn status(&self) -> Result<Status> {
        let Some(record) = Record::read(&self.layout.record()) else {
            let remains = teardown::is_needed(&self.layout)?;
            return Ok(if remains {
                Status::Broken {
                    alive: vec![],
                    ended: vec![],
                }
            } else {
                Status::Absent
            });
        };
        let (alive, ended): (Vec<_>, Vec<_>) =
            record.processes.into_iter().partition(ProcessRecord::is_alive);
        let complete = record.is_complete && ended.is_empty() && self.layout.kubeconfig.exists();
        Ok(if complete {
            Status::Running(alive)
        } else {
            Status::Broken { alive, ended }
        })
    }

    /// Imports an OCI archive into the node's containerd.
    pub fn import(&self, archive: &Path) -> Result<()> {
        images::import(&self.layout, archive)
    }

    fn lock(&self) -> Result<File> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "failed to manage the local cluster: it needs root"
        );
        let path = &self.layout.lock;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("failed to create {}", directory.display()))?;
        }
        let file = File::create(path).with_context(|| format!("failed to open {}", path.display()))?;
        file.lock()
            .with_context(|| format!("failed to lock {}", path.display()))?;
        Ok(file)
    }

    /// Addresses and names exist once per machine, so only one cluster can: an error while there is
    /// one of another checkout.
    pub fn refuse_foreign_cluster(&self) -> Result<()> {
        let Ok(owner) = fs::read_to_string(self.layout.owner_file()) else {
            return Ok(());
        };
        if Path::new(&owner) != self.layout.state && Path::new(&owner).exists() {
            bail!(
                "failed to use the local cluster: the one on this machine belongs to {owner}; remove it there"
            );
        }
        Ok(())
    }
}
