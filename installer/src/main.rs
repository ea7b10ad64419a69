//! Reads the command line, runs the command, ends with its exit code.

use std::process::ExitCode;

use clap::Parser;
use silica::cli::{Cli, context as run, exit::Exit};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run::run(cli).into(),
        // A closed standard error leaves nobody to tell.
        Err(error) if error.use_stderr() => {
            let _ = error.print();
            Exit::Usage.into()
        }
        Err(help) => run::show(&help).into(),
    }
}
