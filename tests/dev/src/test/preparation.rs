//! What suites need that takes long to make: executables, images, tools. All of it is made side by
//! side before the first suite that could be disturbed by it.

use std::path::Path;

use anyhow::{Context, Result};
use silica_cluster::Cluster;
use silica_provision::{build, packages};
use tokio::task::{JoinHandle, spawn_blocking};
use xtask::cli::suites::Suite;

use super::{bare, sdk};
use crate::build::Profile;
use crate::{build as artifacts, images, python, tidy, up, workspace};

/// Work under way.
pub(super) struct Preparation {
    parts: Vec<(&'static str, JoinHandle<Result<()>>)>,
    images: Option<JoinHandle<Result<Vec<images::Archive>>>>,
}

/// Starts what these suites need.
pub(super) fn start(cluster: &Cluster, suites: &[Suite]) -> Preparation {
    let has = |wanted: Suite| suites.contains(&wanted);
    let uses_sandboxes = suites.iter().any(|suite| suite.needs_installation());
    let mut parts = Vec::new();
    if uses_sandboxes || has(Suite::Unit) || has(Suite::Daemon) {
        let tests = has(Suite::Unit);
        parts.push((
            "executables",
            spawn_blocking(move || {
                Profile::Local.build()?;
                if tests { artifacts::build_tests() } else { Ok(()) }
            }),
        ));
    }
    if suites.iter().any(|suite| suite.needs_cluster()) {
        let (cluster, suites) = (cluster.clone(), suites.to_vec());
        parts.push(("tools", spawn_blocking(move || tools(&cluster, &suites))));
    }
    if has(Suite::Tidy) {
        parts.push(("cargo-deny", spawn_blocking(tidy::prepare)));
    }
    let images = (uses_sandboxes || has(Suite::Daemon)).then(|| up::make_images(cluster));
    Preparation { parts, images }
}

impl Preparation {
    /// Waits until everything is there.
    pub(super) async fn wait(self) -> Result<()> {
        for (name, part) in self.parts {
            part.await
                .with_context(|| format!("failed to prepare {name}"))?
                .with_context(|| format!("failed to prepare {name}"))?;
        }
        if let Some(images) = self.images {
            images.await.context("failed to prepare images")??;
        }
        Ok(())
    }
}

/// Programs that are built or downloaded, in the cache afterwards.
fn tools(cluster: &Cluster, suites: &[Suite]) -> Result<()> {
    let cache = &cluster.layout().cache;
    packages::install_missing()?;
    for suite in suites {
        match suite {
            Suite::Unit => bare::tools(cache).map(drop)?,
            Suite::Current | Suite::Pinned | Suite::Seed => sdk_environment(cache, &suite.name())?,
            Suite::Javascript => {
                let programs = workspace::root().join("tests/sdk/javascript");
                sdk::javascript_place(cluster, &programs).map(drop)?;
            }
            Suite::Ingress => build::build_tool(cache, build::Tool::Traefik).map(drop)?,
            Suite::Delivery => build::build_tool(cache, build::Tool::Registry).map(drop)?,
            _ => {}
        }
    }
    build::build(cache).map(drop)
}

fn sdk_environment(cache: &Path, suite: &str) -> Result<()> {
    let requirements = workspace::root()
        .join("tests/sdk")
        .join(suite)
        .join("requirements.txt");
    python::environment(cache, &requirements).map(drop)
}
