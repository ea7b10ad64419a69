//! The pool that the sandboxes of a run come from, and the reference write.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use silica_api::crd::SandboxSet;
use silica_cluster::Cluster;

use crate::command;
use crate::images::{self, Name};
use crate::test::bare::{kubectl, kubectl_apply};

/// Name of the pool, and of the template.
pub(crate) const NAME: &str = "bench";

pub(crate) struct Pool {
    cluster: Cluster,
}

impl Pool {
    /// Makes the pool and waits until it is full.
    pub(crate) fn create(cluster: &Cluster, size: usize) -> Result<Self> {
        let pool = Self {
            cluster: cluster.clone(),
        };
        let object = json!({
            "apiVersion": format!("{}/{}", silica_api::names::GROUP, silica_api::names::VERSION),
            "kind": "SandboxSet",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {
                "replicas": size,
                "template": {"spec": {
                    "terminationGracePeriodSeconds": 1,
                    // Without a request the daemon would be starved by the pods that refill the pool.
                    "containers": [{
                        "name": "sandbox",
                        "image": images::reference(Name::Base)?,
                        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
                    }],
                }},
            },
        });
        kubectl_apply(cluster, &object.to_string()).context("failed to make the pool")?;
        pool.wait_for(size)?;
        Ok(pool)
    }

    /// Waits until so many sandboxes are available.
    pub(crate) fn wait_for(&self, available: usize) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let text = command::read(self.kubectl()?.args([
                "get",
                "sandboxset",
                NAME,
                "--output=jsonpath={.status.availableReplicas}",
            ]))?;
            if text.trim().parse().unwrap_or(0) >= available {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "failed to fill the pool: {text} available"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Times writes of the same kind as a claim's: one merge patch of one small object.
    pub(crate) async fn time_writes(&self, rounds: usize) -> Result<Vec<Duration>> {
        let kubeconfig = Kubeconfig::read_from(&self.cluster.layout().kubeconfig)
            .context("failed to read the kubeconfig")?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .context("failed to use the kubeconfig")?;
        let client = Client::try_from(config).context("failed to make a client")?;
        let sets: Api<SandboxSet> = Api::namespaced(client, "default");
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let patch = json!({"metadata": {"annotations": {"bench": round.to_string()}}});
            let began = Instant::now();
            sets.patch_metadata(NAME, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .context("failed to write to the API server")?;
            times.push(began.elapsed());
        }
        Ok(times)
    }

    pub(crate) fn delete(&self) -> Result<()> {
        command::run(self.kubectl()?.args(["delete", "sandboxset", NAME]))
    }

    fn kubectl(&self) -> Result<Command> {
        kubectl(&self.cluster)
    }
}
