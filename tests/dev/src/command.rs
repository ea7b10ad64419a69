//! Runs the programs that a task is made of.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Runs it with the terminal attached.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("failed to run {shown}"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}

/// Runs it, printing its lines as they come, and returns them. The error of a command that
/// fails carries its last line.
pub(crate) fn run_and_keep(command: &mut Command) -> Result<Vec<String>> {
    let shown = show(command);
    let (reader, writer) = std::io::pipe().context("failed to make a pipe")?;
    let errors = writer.try_clone().context("failed to share a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("failed to run {shown}"))?;
    // The command still holds the pipe's writing end, and with it the end of the output.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = Vec::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .context("failed to read a command's output")?
        > 0
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        println!("{text}");
        lines.push(text);
        line.clear();
    }
    let status = child
        .wait()
        .with_context(|| format!("failed to wait for {shown}"))?;
    if !status.success() {
        let last = lines.iter().rev().find(|line| !line.trim().is_empty());
        bail!("{shown}: {status}: {}", last.map_or("no output", String::as_str));
    }
    Ok(lines)
}

/// Runs it and returns its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to run {shown}"))?;
    ensure!(output.status.success(), "{shown}: {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("failed to read the output of {shown}"))
}

/// The program's name and its first words; later ones may be long.
fn show(command: &Command) -> String {
    let words: Vec<String> = command
        .get_args()
        .take(3)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    format!("{} {}", command.get_program().to_string_lossy(), words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_both_streams_is_kept_in_order() {
        let lines =
            run_and_keep(Command::new("sh").args(["-c", "echo one; echo two >&2; echo three"])).unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn failure_names_the_last_line() {
        let error = run_and_keep(Command::new("sh").args(["-c", "echo reason; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("exit status: 3: reason"), "{error}");
    }
}
