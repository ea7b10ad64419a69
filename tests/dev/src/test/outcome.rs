//! How suites ended.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use silica_provision::{progress, timeline};
use xtask::cli::suites::Suite;

/// How a suite ended.
pub(super) struct Outcome {
    suite: Suite,
    took: Duration,
    /// The runner's closing line, or why it failed.
    result: Result<String>,
}

impl Outcome {
    /// A suite that could not begin: never a success.
    pub(super) fn not_run(suite: Suite, why: &str) -> Self {
        Self {
            suite,
            took: Duration::ZERO,
            result: Err(anyhow::anyhow!("not run: {why}")),
        }
    }
}

/// Runs a suite.
pub(super) fn timed(suite: Suite, run: impl FnOnce() -> Result<String>) -> Outcome {
    let began = begin(suite);
    end(suite, began, run())
}

pub(super) fn begin(suite: Suite) -> Instant {
    println!("== {}", suite.name());
    Instant::now()
}

pub(super) fn end(suite: Suite, began: Instant, result: Result<String>) -> Outcome {
    if let Err(error) = &result {
        println!("failed: {error:#}");
    }
    let took = began.elapsed();
    timeline::add(&format!("suite {}", suite.name()), took);
    Outcome { suite, took, result }
}

/// Prints one line for each suite; an error when one failed or did not run.
pub(super) fn conclude(outcomes: &[Outcome]) -> Result<()> {
    println!();
    for outcome in outcomes {
        let (mark, closing) = match &outcome.result {
            Ok(closing) => ("ok", closing.clone()),
            Err(error) => (
                "FAILED",
                format!("{error:#}").lines().last().unwrap_or_default().to_owned(),
            ),
        };
        let took = progress::seconds(outcome.took);
        println!("{mark:<7} {:<11} {took:>12}  {closing}", outcome.suite.name());
    }
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    if failed > 0 {
        bail!("{failed} of {} suites failed", outcomes.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suite_that_did_not_run_is_a_failure() {
        let ran = Outcome {
            suite: Suite::Format,
            took: Duration::ZERO,
            result: Ok("fine".to_owned()),
        };
        assert!(conclude(std::slice::from_ref(&ran)).is_ok());
        let outcomes = [ran, Outcome::not_run(Suite::Node, "the installation failed")];
        let error = conclude(&outcomes).unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 suites failed");
    }
}
