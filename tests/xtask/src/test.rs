//! `cargo xtask test`: every test, or the named suites.

pub(crate) mod bare;
mod daemon;
pub(crate) mod delivery;
mod dns;
mod fixtures;
mod ingress;
mod node;
mod rotation;
mod sdk;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use silica_cluster::{Cluster, Status, progress, traces::Traces};

use crate::suites::Suite;
use crate::{build, command, down, generate, up, workspace};

/// Run all tests, or the named suites.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test
  cargo xtask test unit
  cargo xtask test daemon
  cargo xtask test current javascript --keep
  cargo xtask test pinned --installed
  cargo xtask test ingress

Suites of the SDKs start the local cluster and install into it when needed; a cluster that was
started for them is removed at the end.")]
pub(crate) struct Arguments {
    /// Suites to run; all when none is named.
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Leave the cluster running.
    #[arg(long)]
    keep: bool,
    /// Build and install nothing: test what `cargo xtask up` has installed.
    #[arg(long)]
    installed: bool,
}

/// How a suite ended.
struct Outcome {
    suite: Suite,
    took: Duration,
    /// The runner's closing line, or why it failed.
    result: Result<String>,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let suites = if arguments.suites.is_empty() {
        Suite::all()
    } else {
        arguments.suites.clone()
    };
    let cluster = Cluster::of_checkout()?;
    let mut outcomes = Vec::new();
    let mut started = false;
    let before = match cluster.status()? {
        Status::Absent => Some(Traces::take(cluster.layout())?),
        _ => None,
    };
    let traces = suites.contains(&Suite::Traces);
    let before_installation = |suite: &Suite| !suite.needs_installation() && *suite != Suite::Traces;
    for suite in suites.iter().copied().filter(before_installation) {
        if suite == Suite::Node {
            let began = begin(suite);
            let result = if before.is_some() {
                started = true;
                node::run(&cluster).await
            } else {
                not_run("a cluster is there already: cargo xtask down removes it")
            };
            outcomes.push(end(suite, began, result));
        } else if suite.needs_bare_cluster() {
            // It may be the first suite to need the cluster, and the only one.
            let up = crate::cluster::up(&cluster).await;
            started |= matches!(up, Ok(true));
            match up.and_then(|_| bare::surroundings(&cluster)) {
                Ok(surroundings) => {
                    outcomes.push(timed(suite, || run_local(suite, &surroundings.variables)));
                    bare::clean(&cluster, &surroundings)?;
                }
                Err(error) => outcomes.push(timed(suite, || Err(error))),
            }
        } else {
            outcomes.push(timed(suite, || match suite {
                Suite::Daemon => daemon::run(&cluster, arguments.installed),
                other => run_local(other, &[]),
            }));
        }
    }
    let installed: Vec<Suite> = suites
        .into_iter()
        .filter(|suite| suite.needs_installation())
        .collect();
    if !installed.is_empty() {
        let ready = if arguments.installed {
            Ok(false)
        } else {
            up::local(&cluster, &[]).await
        };
        // An installation that fails half way has started the cluster all the same.
        started |= ready.as_ref().map_or(true, |started| *started);
        let ready = ready.and_then(|_| fixtures::apply(&cluster));
        match ready {
            Ok(()) => {
                outcomes.extend(
                    installed
                        .into_iter()
                        .map(|suite| timed(suite, || run_installed(&cluster, suite))),
                );
            }
            Err(error) => outcomes.extend(installed.into_iter().map(|suite| Outcome {
                suite,
                took: Duration::ZERO,
                result: Err(anyhow::anyhow!("not run, the installation failed: {error:#}")),
            })),
        }
    }
    if traces && !started && before.is_some() {
        started = crate::cluster::up(&cluster).await?;
    }
    if started && !arguments.keep {
        down::remove(&cluster)?;
        if let Some(before) = before.filter(|_| traces) {
            outcomes.push(timed(Suite::Traces, || compare(&cluster, &before)));
        }
    } else if traces {
        outcomes.push(timed(Suite::Traces, || {
            not_run("the cluster was there before, or stays")
        }));
    }
    conclude(&outcomes)
}

/// Whether the machine is as it was before the cluster.
fn compare(cluster: &Cluster, before: &Traces) -> Result<String> {
    let left = Traces::take(cluster.layout())?.since(before);
    ensure!(
        left.is_empty(),
        "failed to remove every trace of the cluster; left are:\n{}",
        left.join("\n")
    );
    Ok("nothing is left of the cluster".to_owned())
}

fn timed(suite: Suite, run: impl FnOnce() -> Result<String>) -> Outcome {
    let began = begin(suite);
    end(suite, began, run())
}

fn begin(suite: Suite) -> Instant {
    println!("== {}", suite.name());
    Instant::now()
}

fn end(suite: Suite, began: Instant, result: Result<String>) -> Outcome {
    if let Err(error) = &result {
        println!("failed: {error:#}");
    }
    Outcome {
        suite,
        took: began.elapsed(),
        result,
    }
}

/// A suite that cannot run where it is says why; on CI that is a failure.
fn not_run(why: &str) -> Result<String> {
    ensure!(std::env::var_os("CI").is_none(), "not run, {why}");
    println!("not run, {why}");
    Ok(format!("not run, {why}"))
}

/// Prints one line per suite; an error when one failed.
fn conclude(outcomes: &[Outcome]) -> Result<()> {
    println!();
    for outcome in outcomes {
        let (mark, said) = match &outcome.result {
            Ok(closing) => ("ok", closing.clone()),
            Err(error) => (
                "FAILED",
                format!("{error:#}").lines().last().unwrap_or_default().to_owned(),
            ),
        };
        let took = progress::seconds(outcome.took);
        println!("{mark:<7} {:<11} {took:>12}  {said}", outcome.suite.name());
    }
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    if failed > 0 {
        bail!("{failed} of {} suites failed", outcomes.len());
    }
    Ok(())
}

fn run_installed(cluster: &Cluster, suite: Suite) -> Result<String> {
    match suite {
        Suite::Delivery => delivery::run(cluster),
        Suite::Dns => dns::run(cluster, &build::path()),
        Suite::Ingress => ingress::run(cluster, &build::path()),
        Suite::Rotation => rotation::run(cluster, &build::path()),
        other => sdk::run(cluster, other),
    }
}

fn run_local(suite: Suite, surroundings: &[(&str, OsString)]) -> Result<String> {
    let arguments: &[&str] = match suite {
        Suite::Format => &["fmt", "--all", "--check"],
        Suite::Lint => &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
        Suite::Unit => &["test", "--workspace", "--no-fail-fast"],
        Suite::Generated => return Ok(format!("{} files are fresh", generate::refresh(true)?)),
        _ => bail!("failed to run {}: it needs the cluster", suite.name()),
    };
    let lines = command::run_and_keep(
        command::cargo()
            .args(arguments)
            .envs(surroundings.iter().map(|(name, value)| (name, value)))
            .current_dir(workspace::root()),
    )
    .with_context(|| format!("suite {}", suite.name()))?;
    Ok(match suite {
        Suite::Unit => sum_results(&lines),
        _ => lines
            .last()
            .cloned()
            .unwrap_or_else(|| "nothing to complain about".to_owned()),
    })
}

/// Adds up the `test result:` lines of all test executables.
fn sum_results(lines: &[String]) -> String {
    let (mut passed, mut ignored) = (0, 0);
    for line in lines
        .iter()
        .filter_map(|line| line.strip_prefix("test result: ok. "))
    {
        for part in line.split("; ") {
            match part.split_once(' ') {
                Some((count, "passed")) => passed += count.parse().unwrap_or(0),
                Some((count, "ignored")) => ignored += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    format!("{passed} passed, {ignored} ignored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_executables_are_added_up() {
        let line = |text: &str| text.to_owned();
        let lines = [
            line(
                "test result: ok. 13 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.16s",
            ),
            line("running 2 tests"),
            line(
                "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            ),
        ];
        assert_eq!(sum_results(&lines), "15 passed, 1 ignored");
    }
}
