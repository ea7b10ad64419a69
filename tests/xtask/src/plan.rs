//! What a task will do, and about how long each part takes.

use anyhow::Result;
use silica_provision::{build, cache_dir};
use xtask::cli::suites::Suite;
use xtask::cli::{Task, cluster};

/// What a task needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The task itself, as a sentence; empty for a short one.
    what: &'static str,
    /// The local Kubernetes.
    node: bool,
}

impl Plan {
    pub(crate) fn of(task: &Task) -> Self {
        match task {
            Task::Up(arguments) if arguments.context.is_some() => Self {
                what: "compile the release executables and install into the cluster of your context",
                node: false,
            },
            Task::Up(_) => Self {
                what: "start a local Kubernetes, install Silica, and run an example in a sandbox",
                node: true,
            },
            Task::Test(arguments) => {
                let node = !arguments.installed && arguments.suites().into_iter().any(Suite::needs_cluster);
                Self {
                    what: "run the tests; those of a cluster start one for themselves and remove it",
                    node,
                }
            }
            Task::Bench(_) => Self {
                what: "start a local Kubernetes, install the release executables, and time them",
                node: true,
            },
            Task::Cluster(arguments) => Self {
                what: "",
                node: matches!(arguments.action, cluster::Action::Up),
            },
            Task::Build(_) => Self {
                what: "compile the release executables",
                node: false,
            },
            Task::Down | Task::Images | Task::Generate { .. } | Task::Tidy | Task::Fuzz(_) => Self::default(),
        }
    }

    /// Whether the local Kubernetes has to be there.
    pub(crate) const fn needs_node(self) -> bool {
        self.node
    }

    /// Whether it may take minutes.
    pub(crate) const fn is_long(self) -> bool {
        !self.what.is_empty()
    }

    /// The announcement.
    pub(crate) fn lines(self) -> Result<Vec<String>> {
        if !self.is_long() {
            return Ok(Vec::new());
        }
        let cache = cache_dir()?;
        let mut lines = vec![format!("cargo xtask will {}.", self.what)];
        if self.node && !build::is_built(&cache)? {
            lines.extend([
                "A first run builds everything from source; durations are for two cores, and parts run side by side:"
                    .to_owned(),
                "  Debian packages and images          4 min".to_owned(),
                "  Kubernetes, etcd and CoreDNS (Go)  10 to 25 min".to_owned(),
                "  Silica (Rust)                       5 to 15 min".to_owned(),
                format!("What is built once stays in {} and target.", cache.display()),
            ]);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use xtask::cli::Arguments;

    use super::*;

    fn plan(words: &str) -> Plan {
        let words = std::iter::once("xtask").chain(words.split(' '));
        Plan::of(&Arguments::try_parse_from(words).unwrap().task)
    }

    #[test]
    fn kubernetes_is_built_only_for_tasks_that_run_it() {
        for words in ["up", "test", "test unit", "test release", "bench", "cluster up"] {
            assert!(plan(words).needs_node(), "{words}");
        }
        for words in [
            "up --context mine",
            "test lint",
            "test pinned --installed",
            "build",
            "cluster status",
            "down",
        ] {
            assert!(!plan(words).needs_node(), "{words}");
        }
    }

    #[test]
    fn long_tasks_are_announced() {
        assert!(plan("build").lines().unwrap()[0].contains("release"));
        assert!(plan("down").lines().unwrap().is_empty());
    }
}
