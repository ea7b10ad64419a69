//! Suites that Cargo runs.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use xtask::cli::suites::Suite;

use crate::{build, command};

/// Runs it with these variables and returns its closing line.
pub(super) fn run(suite: Suite, variables: &[(&str, OsString)]) -> Result<String> {
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
        _ => bail!("failed to run {}: Cargo does not run it", suite.name()),
    };
    let lines = command::run_and_keep(
        build::cargo()
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value))),
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
