//! `silica completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, context::Context, error::Error, exit::Exit};

/// Flags of `silica completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica completions bash > /etc/bash_completion.d/silica
  silica completions zsh > ~/.zfunc/_silica")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the script.
pub fn run(context: &Context, args: &CompletionsArgs) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "silica", &mut script);
    context.printer.result(String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
