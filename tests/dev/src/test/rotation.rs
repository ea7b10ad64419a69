//! The suite `rotation`: agents with the real SDKs ask without a pause, and hold a command, a
//! download and a WebSocket, while the certificate and then the CA are replaced under them. Until
//! the former CA is retired none of them may notice, though they trust nothing but that CA.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use silica_cluster::Cluster;

use super::sdk;
use crate::load::{Client, Tally};
use crate::rotator::{Rotator, warm};
use crate::{environment, python, workspace};

/// Times that the certificate is replaced.
const LEAVES: usize = 2;
/// Spread and soak: nobody has to be restarted here.
const WAIT: &str = "2s";

/// Runs the suite on an installation.
pub(crate) fn run(cluster: &Cluster, silica: &Path) -> Result<String> {
    let folder = workspace::target().join("rotation");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let rotator = Rotator::new(cluster, silica, &folder)?;
    let proven = replace(cluster, &rotator);
    // Whatever came of it: the suites that follow are to trust what is served now.
    let renewed = rotator.renew_trust();
    let _ = fs::remove_dir_all(&folder);
    let tallies = proven?;
    renewed?;
    for tally in &tallies {
        println!("{}", tally.row());
    }
    tallies.iter().try_for_each(Tally::expect_no_failure)?;
    let requests: u64 = tallies.iter().map(Tally::succeeded).sum();
    Ok(format!(
        "{requests} requests of the SDKs through {LEAVES} certificates and a CA, 0 failed"
    ))
}

fn replace(cluster: &Cluster, rotator: &Rotator<'_>) -> Result<Vec<Tally>> {
    let programs = Programs::prepare(cluster)?;
    let former = rotator.export("former.pem")?;
    let mut agents = programs.start("former CA", &former)?;
    warm(&mut agents.iter_mut().collect::<Vec<_>>())?;
    for _ in 0..LEAVES {
        rotator.rotate(&[])?;
    }
    warm(&mut agents.iter_mut().collect::<Vec<_>>())?;

    let (status, _) = rotator.rotate(&["--ca", "--spread", WAIT, "--soak", WAIT])?;
    ensure!(
        status["phase"] == "soak",
        "the replacement of the CA stopped behind {}",
        status["phase"]
    );
    let both = rotator.export("both.pem")?;
    let mut with_both = programs.start("both CAs", &both)?;
    let everyone = agents.iter_mut().chain(&mut with_both);
    warm(&mut everyone.collect::<Vec<_>>())?;

    // From here on the former CA alone is not enough, which is what the phase is for.
    let mut tallies = stop(agents)?;
    rotator.rotate(&["--ca", "--step", "retire"])?;
    warm(&mut with_both.iter_mut().collect::<Vec<_>>())?;
    tallies.extend(stop(with_both)?);
    Ok(tallies)
}

fn stop(agents: Vec<Client>) -> Result<Vec<Tally>> {
    agents.into_iter().map(Client::stop).collect()
}

/// What the agents are run with.
struct Programs {
    current: PathBuf,
    pinned: PathBuf,
    node: PathBuf,
    folder: PathBuf,
}

impl Programs {
    fn prepare(cluster: &Cluster) -> Result<Self> {
        let sdk = workspace::root().join("tests/sdk");
        let python = |suite: &str| {
            let requirements = sdk.join(suite).join("requirements.txt");
            python::environment(&cluster.layout().cache, &requirements)
        };
        let folder = sdk.join("rotation");
        Ok(Self {
            current: python("current")?,
            pinned: python("pinned")?,
            node: sdk::javascript_place(cluster, &folder)?,
            folder,
        })
    }

    /// One agent for each SDK. They trust the certificates of the file and nothing else.
    fn start(&self, what: &str, roots: &Path) -> Result<Vec<Client>> {
        let mut current = Command::new(&self.current);
        let mut pinned = sdk::with_cluster_dns(&self.pinned)?;
        for python in [&mut current, &mut pinned] {
            python
                .arg(self.folder.join("agent.py"))
                .env("PYTHONDONTWRITEBYTECODE", "1");
        }
        let mut node = sdk::with_cluster_dns(Path::new("node"))?;
        node.arg(self.node.join("agent.mjs"));
        [
            ("newest Python SDK", current),
            ("pinned Python SDK", pinned),
            ("newest JavaScript SDK", node),
        ]
        .into_iter()
        .map(|(sdk, mut command)| {
            command
                .envs(environment::read()?)
                .env("SSL_CERT_FILE", roots)
                .env("NODE_EXTRA_CA_CERTS", roots);
            Client::start(&format!("{sdk}, {what}"), &mut command)
        })
        .collect()
    }
}
