//! Runs a short command of the machine and says what went wrong when it fails.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// A command line from words: `command(["ip", "link"])`.
pub(crate) fn command<I>(words: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<std::ffi::OsStr>,
{
    let mut words = words.into_iter();
    let program = words
        .next()
        .map(|word| word.as_ref().to_owned())
        .unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words);
    command
}

/// Runs it to its end and returns its standard output; an error carries its error output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}").replace('"', "");
    let output = command
        .output()
        .with_context(|| format!("failed to run {shown}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed: {shown}: {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `ip` with space-separated words.
pub(crate) fn ip(words: &str) -> Result<()> {
    run(command(["ip"]).args(words.split(' '))).map(drop)
}
