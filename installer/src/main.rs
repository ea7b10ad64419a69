//! Reads the command line, runs the command, ends with its exit code.

use std::process::ExitCode;

use clap::Parser;
use silica::{cli::Cli, exit::Exit, run};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => run::run(cli).into(),
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = error.print();
            if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Success.into()
            }
        }
    }
}
