//! Command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use silica_runtime_api::{DAEMON_PORT, INTERPRETER_PORT};

/// Scripts of the image that templates run with `sh`; the image has no shell, this executable stands in for it.
const INSTALL_SCRIPTS: [&str; 2] = ["/workspace/entrypoint_inner.sh", "/workspace/entrypoint.sh"];

/// The daemon inside a sandbox.
#[derive(Debug, Parser)]
#[command(name = "sandbox-runtime", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon in the foreground
    Serve(Listen),
    /// Start the daemon in the background and return once it answers
    Start(Listen),
    /// Run a command as process 1 does: collect orphans, pass signals on, end with its code
    Init {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Copy this executable and its start script to a directory
    Install {
        /// Target directory
        directory: PathBuf,
        /// Then sleep until SIGTERM
        #[arg(long)]
        stay: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Port of the process and file API
    #[arg(long, default_value_t = DAEMON_PORT)]
    pub(crate) port: u16,
    /// Port of the code interpreter
    #[arg(long, default_value_t = INTERPRETER_PORT)]
    pub(crate) interpreter_port: u16,
    /// Serve no code interpreter
    #[arg(long)]
    pub(crate) no_interpreter: bool,
}

/// Whether the process was called as the shell that runs the image's entry script.
pub(crate) fn is_entry_script(arguments: &[OsString]) -> bool {
    let [program, script, ..] = arguments else {
        return false;
    };
    Path::new(program).file_name() == Some(OsStr::new("sh"))
        && INSTALL_SCRIPTS.iter().any(|known| script == OsStr::new(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(arguments: &[&str]) -> bool {
        is_entry_script(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn entry_scripts_are_recognised_under_the_name_of_a_shell_only() {
        assert!(called(&["sh", "/workspace/entrypoint_inner.sh"]));
        assert!(called(&["/bin/sh", "/workspace/entrypoint.sh", "x"]));
        assert!(!called(&["sh", "/etc/passwd"]));
        assert!(!called(&["sandbox-runtime", "/workspace/entrypoint.sh"]));
        assert!(!called(&["sh"]));
    }

    #[test]
    fn command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
