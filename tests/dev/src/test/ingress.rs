//! The suite `ingress`: every way into an installation that ends TLS somewhere else than at a
//! node port, each proven by the installer's own proof and by the real SDK.
//!
//! A real Traefik runs on the node. The SDK runs in the node's network namespace, where
//! `*.silica.localhost` means the node itself, and port 443 is Traefik's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use silica_api::names;
use silica_cluster::Cluster;
use silica_cluster::layout::{NODE_ADDRESS, NODE_NAME};
use silica_provision::build::{self, Tool};

use crate::test::bare::{kubectl, kubectl_apply};
use crate::test::fixtures::fill;
use crate::up::{self, Delivery};
use crate::{command, environment, images, python, workspace};

/// Port of the node for the manager in the last part; 443 belongs to Traefik.
const HOST_PORT: u16 = 9443;
/// Traefik takes changes up at most every two seconds (`providersThrottleDuration`), and one
/// provider after the other.
const TRAEFIK_DELAY: Duration = Duration::from_secs(5);
/// Tests of the SDK that say most about what is between client and sandbox.
const THROUGH_GATEWAY: &str = "streams or pty or stdin or upgraded or host_name or signed";

/// Runs the suite and puts the installation back as `cargo xtask up` makes it.
pub(crate) fn run(cluster: &Cluster, silica: &Path) -> Result<String> {
    let suite = Ingress { cluster, silica };
    let outcome = suite.prove();
    let restored = suite.restore();
    // The first failure tells more than what followed from it.
    let closing = outcome?;
    restored?;
    Ok(closing)
}

struct Ingress<'a> {
    cluster: &'a Cluster,
    silica: &'a Path,
}

impl Ingress<'_> {
    fn prove(&self) -> Result<String> {
        self.start_traefik()?;
        let at_443 = format!("{NODE_ADDRESS}:443");

        let mut ways = up::LOCAL_WAYS.to_vec();
        ways.extend(["--ingress-class", "traefik"]);
        self.install(&ways, &at_443)?;
        let tests = ["test_commands.py", "test_data_plane.py"];
        let by_ingress = self.sdk(&tests)?;
        self.expect_well(&at_443)?;
        let rotated = self.rotate(&at_443)?;

        let gateway = ["--expose", "gateway", "--gateway-class", "traefik"];
        self.install(&gateway, &at_443)?;
        let by_gateway = self.sdk(&[&tests[..], &["-k", THROUGH_GATEWAY]].concat())?;
        self.expect_well(&at_443)?;

        let port = HOST_PORT.to_string();
        let on_host = ["--expose", "direct", "--service-type", "HostPort"];
        let ports = ["--host-port-https", port.as_str(), "--manager-replicas", "1"];
        let at_host_port = format!("{NODE_ADDRESS}:{HOST_PORT}");
        self.install(&[on_host, ports].concat(), &at_host_port)?;
        self.expect_well(&at_host_port)?;
        Ok(format!(
            "Ingress {by_ingress}; leaf seen after {rotated} ms; Gateway {by_gateway}; host port proven"
        ))
    }

    fn start_traefik(&self) -> Result<()> {
        let executable = build::build_tool(&self.cluster.layout().cache, Tool::Traefik)?;
        let image = images::server::provide(self.cluster, &executable)?;
        command::run(
            kubectl(self.cluster)?
                .args(["apply", "--server-side", "--filename"])
                .arg(gateway_definitions()?),
        )?;
        let path = workspace::root().join("tests/ingress/traefik.yaml");
        let template =
            fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let values = [
            ("TRAEFIK_IMAGE", image),
            ("NODE_ADDRESS", NODE_ADDRESS.to_string()),
        ];
        kubectl_apply(self.cluster, &fill(&template, &values)?)?;
        let rollout = ["rollout", "status", "deployment/traefik"];
        command::run(
            kubectl(self.cluster)?
                .args(rollout)
                .args(["--namespace=traefik", "--timeout=60s"]),
        )
    }

    /// Installs with these ways in. The installer's own proof has to come in by `route`.
    fn install(&self, ways: &[&str], route: &str) -> Result<()> {
        let mut install = up::install_command(self.cluster, self.silica, Delivery::Node, ways)?;
        let proven: Value = serde_json::from_str(&command::read(install.args(["--output", "json"]))?)
            .context("failed to read the result of the installation")?;
        ensure!(
            proven["route"] == route && proven["proof"]["sandbox"].is_string(),
            "the installation was proven by {}, not by a sandbox through {route}",
            proven["route"]
        );
        // The way before this one may have answered until it was removed, a moment ago.
        std::thread::sleep(TRAEFIK_DELAY);
        environment::complete(&self.cluster.layout().kubeconfig)
    }

    /// Runs tests of the newest SDK on the node; returns pytest's closing line.
    fn sdk(&self, arguments: &[&str]) -> Result<String> {
        let folder = workspace::root().join("tests/sdk/current");
        let python = python::environment(&self.cluster.layout().cache, &folder.join("requirements.txt"))?;
        let lines = command::run_and_keep(
            Command::new("ip")
                .args(["netns", "exec", NODE_NAME])
                .arg(python)
                .args(["-m", "pytest", "-p", "no:cacheprovider"])
                .args(arguments)
                .current_dir(folder)
                .envs(environment::read()?)
                .env("PYTHONDONTWRITEBYTECODE", "1"),
        )?;
        let closing = lines.last().map(|line| line.trim_matches(['=', ' ']).to_owned());
        Ok(closing.unwrap_or_default())
    }

    /// `silica status` finds nothing wrong, and the address serves what the Secret holds.
    fn expect_well(&self, route: &str) -> Result<()> {
        let status = self.silica(&["status"])?;
        let checks = status["checks"].as_array().context("status has no checks")?;
        let served = checks.iter().any(|check| {
            check["id"] == "served-certificate"
                && check["verdict"] == "pass"
                && check["title"]
                    .as_str()
                    .is_some_and(|title| title.starts_with(route))
        });
        ensure!(served, "status does not say that {route} serves the certificate");
        Ok(())
    }

    /// Replaces the leaf; the command itself waits until every address serves it. Returns
    /// the milliseconds that it took.
    fn rotate(&self, route: &str) -> Result<u64> {
        let former = self.leaf()?;
        let rotated = self.silica(&["rotate-certs", "--yes"])?;
        let routes = rotated["routes"]
            .as_array()
            .context("rotate-certs names no routes")?;
        ensure!(
            routes.iter().any(|one| one == route),
            "rotate-certs has not looked at {route}"
        );
        ensure!(former != self.leaf()?, "the Secret still holds the former leaf");
        self.expect_well(route)?;
        rotated["servedAfterMilliseconds"]
            .as_u64()
            .context("rotate-certs tells no time")
    }

    fn leaf(&self) -> Result<String> {
        command::read(kubectl(self.cluster)?.args([
            "get",
            "secret",
            names::TLS_SECRET,
            "--namespace",
            names::NAMESPACE,
            r"--output=jsonpath={.data.tls\.crt}",
        ]))
    }

    fn silica(&self, arguments: &[&str]) -> Result<Value> {
        let text = command::read(
            Command::new(self.silica)
                .args(arguments)
                .args(["--output", "json", "--kubeconfig"])
                .arg(&self.cluster.layout().kubeconfig),
        )?;
        serde_json::from_str(&text).with_context(|| format!("failed to read the result of {arguments:?}"))
    }

    /// Removes Traefik, then installs as `cargo xtask up` does: an installation that still found
    /// the class would have a controller to wait for.
    fn restore(&self) -> Result<()> {
        self.remove_traefik()?;
        up::install(self.cluster, self.silica, Delivery::Node, &[])
    }

    fn remove_traefik(&self) -> Result<()> {
        let delete = ["delete", "--ignore-not-found", "--wait=false"];
        command::run(kubectl(self.cluster)?.args(delete).args([
            "namespace/traefik",
            "clusterrole/traefik",
            "clusterrolebinding/traefik",
            "ingressclass/traefik",
        ]))?;
        command::run(
            kubectl(self.cluster)?
                .args(delete)
                .arg("--filename")
                .arg(gateway_definitions()?),
        )
    }
}

/// The definitions of the Gateway API's standard channel, from the module that Traefik is
/// built with.
fn gateway_definitions() -> Result<PathBuf> {
    let folder = Tool::Traefik.folder();
    let told = command::read(
        Command::new("go")
            .args(["mod", "download", "-json", "sigs.k8s.io/gateway-api"])
            .current_dir(folder),
    )?;
    let module: Value = serde_json::from_str(&told).context("failed to read what go says of the module")?;
    let folder = module["Dir"]
        .as_str()
        .context("go does not say where the module is")?;
    let definitions = Path::new(folder).join("config/crd/standard");
    ensure!(
        definitions.is_dir(),
        "failed to find the definitions of the Gateway API in {}",
        definitions.display()
    );
    Ok(definitions)
}
