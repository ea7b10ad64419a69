//! `silica-loader CHUNKS --sha256 HEX --into FILE [-- COMMAND ...]`: runs as init container on
//! an image that has nothing to offer but being on the node. Wires the arguments to the library.

#![cfg_attr(feature = "freestanding", no_std, no_main)]

extern crate alloc;

use alloc::{
    format,
    string::{String, ToString},
};

use silica_loader::{args::Args, files, unpack};

#[cfg(feature = "freestanding")]
mod freestanding;

/// Does it all; returns only without a command, or when something failed.
fn run() -> Result<(), String> {
    let words = files::arguments().map_err(|error| format!("failed to read the arguments: {error}"))?;
    let args = Args::parse(words).map_err(|error| error.to_string())?;
    unpack::unpack(&args.chunks, &args.into, &args.sha256).map_err(|error| error.to_string())?;
    become_command(&args.command)
}

#[cfg(feature = "freestanding")]
use freestanding::{become_command, tell};

#[cfg(not(feature = "freestanding"))]
fn become_command(command: &[String]) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    match command.split_first() {
        None => Ok(()),
        Some((program, rest)) => {
            let error = std::process::Command::new(program).args(rest).exec();
            Err(format!("failed to run {program}: {error}"))
        }
    }
}

/// The exit code; a failure is told on standard error.
fn conclude(outcome: Result<(), String>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(why) => {
            tell(&format!("silica-loader: {why}\n"));
            1
        }
    }
}

#[cfg(not(feature = "freestanding"))]
fn tell(line: &str) {
    std::eprint!("{line}");
}

#[cfg(not(feature = "freestanding"))]
fn main() {
    std::process::exit(conclude(run()));
}
