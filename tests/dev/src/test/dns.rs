//! Suite `dns`: `silica verify-dns` from outside of the cluster sees what pods see, through the API
//! server to a real CoreDNS pod, and says so when they are led elsewhere.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use silica_cluster::Cluster;
use silica_provision::build;

use crate::test::bare::{kubectl, kubectl_apply};
use crate::test::fixtures::fill;
use crate::{command, images, workspace};

/// A domain in nobody's DNS (RFC 6761): names below localhost are not asked for.
const DOMAIN: &str = "sandbox.test";
/// Where it should lead.
const RIGHT: &str = "192.0.2.1";
/// Nobody's (RFC 5737).
const WRONG: &str = "192.0.2.7";
/// Exit code for names that lead elsewhere.
const WRONG_CODE: i32 = 79;
const OBJECTS: &[&str] = &["deployment/coredns", "service/kube-dns", "configmap/coredns"];

pub(crate) fn run(cluster: &Cluster, silica: &Path) -> Result<String> {
    let suite = Dns { cluster, silica };
    let outcome = suite.prove();
    let removed = suite.remove();
    // The first failure tells more than what followed from it.
    let took = outcome?;
    removed?;
    Ok(format!(
        "seen through a pod in {} ms; another address there is told",
        took.as_millis()
    ))
}

struct Dns<'a> {
    cluster: &'a Cluster,
    silica: &'a Path,
}

impl Dns<'_> {
    /// Returns how long the command took when all was right.
    fn prove(&self) -> Result<Duration> {
        self.serve(RIGHT)?;
        let began = Instant::now();
        let report = self.verify(0)?;
        let took = began.elapsed();
        let view = cluster_view(&report)?;
        ensure!(
            view["ok"] == true
                && view["source"]
                    .as_str()
                    .is_some_and(|source| source.contains("pod kube-system/coredns")),
            "the cluster's view is {view}"
        );

        self.serve(WRONG)?;
        let report = self.verify(WRONG_CODE)?;
        let view = cluster_view(&report)?;
        ensure!(
            view["ok"] == false && view["names"][0]["verdict"] == "wrong-address",
            "the cluster's view is {view}"
        );
        Ok(took)
    }

    /// Has the cluster's DNS service answer with this address.
    fn serve(&self, address: &str) -> Result<()> {
        let coredns = build::build(&self.cluster.layout().cache)?.coredns;
        let image = images::server::provide(self.cluster, &coredns)?;
        let path = workspace::root().join("tests/dns/coredns.yaml");
        let template =
            fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let values = [
            ("COREDNS_IMAGE", image),
            ("DOMAIN", DOMAIN.to_owned()),
            ("ADDRESS", address.to_owned()),
        ];
        kubectl_apply(self.cluster, &fill(&template, &values)?)?;
        command::run(kubectl(self.cluster)?.args([
            "rollout",
            "status",
            "deployment/coredns",
            "--namespace=kube-system",
            "--timeout=60s",
        ]))
    }

    /// The report about the domain through the cluster's eyes; the command has to end with this code.
    fn verify(&self, code: i32) -> Result<Value> {
        let output = Command::new(self.silica)
            .args(["verify-dns", "--domain", DOMAIN, "--expect", RIGHT])
            .args(["--view", "cluster", "--probe", "false"])
            .args(["--output", "json", "--kubeconfig"])
            .arg(&self.cluster.layout().kubeconfig)
            .output()
            .context("failed to run silica verify-dns")?;
        let told = || {
            let (out, err) = (&output.stdout, &output.stderr);
            format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
        };
        ensure!(
            output.status.code() == Some(code),
            "silica verify-dns: {}: {}",
            output.status,
            told()
        );
        serde_json::from_slice(&output.stdout).with_context(told)
    }

    fn remove(&self) -> Result<()> {
        command::run(
            kubectl(self.cluster)?
                .args(["delete", "--ignore-not-found", "--namespace=kube-system"])
                .args(OBJECTS),
        )
    }
}

fn cluster_view(report: &Value) -> Result<&Value> {
    report[0]["views"]
        .as_array()
        .and_then(|views| views.iter().find(|view| view["view"] == "cluster"))
        .with_context(|| format!("the report has no view of the cluster: {report}"))
}
