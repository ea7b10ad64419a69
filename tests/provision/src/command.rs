//! Runs a short command of the machine and says what went wrong when it fails.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// A command line from words: `command(["ip", "link"])`.
pub fn command<I>(words: I) -> Command
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
pub fn run(command: &mut Command) -> Result<String> {
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

/// What Cargo tells the program that it runs of the package that this belongs to.
const OF_PACKAGE: [&str; 5] = [
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_",
];

/// Cargo, the one that runs this program if any does, as from a shell. Build scripts run again when
/// they see other values of the variables of a package, and with them half of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| OF_PACKAGE.iter().any(|start| name.starts_with(start));
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}
