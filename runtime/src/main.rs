//! Wires the command line to the library.

mod cli;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cli::{Cli, Command, Listen, is_entry_script};
use sandbox_runtime::daemon::{self, Ports};
use sandbox_runtime::init;
use sandbox_runtime::install::{default_directory, install, stay};
use sandbox_runtime::os::memory::limit_allocator;
use sandbox_runtime::start::start;

/// Threads for file operations; they end when idle. That many wait at once only
/// where a file system hangs, and the others should still be served then.
const BLOCKING_THREADS: usize = 64;
/// Stack of such a thread in bytes: the state of a compression is built there.
/// Only what is touched becomes resident.
const BLOCKING_STACK: usize = 1024 * 1024;

/// How long file operations may take to end once the daemon shall end. One on a
/// mount that hangs never does.
const LAST_WRITES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        .init();
    let arguments: Vec<_> = std::env::args_os().collect();
    let result = if is_entry_script(&arguments) {
        run_install(&default_directory(), true)
    } else {
        match Cli::parse().command {
            Command::Init { command } => return ExitCode::from(init::run(&command)),
            command => run(command),
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &*error, "failed");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Serve(listen) => {
            limit_allocator();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .thread_stack_size(BLOCKING_STACK)
                .build()?;
            let result = runtime.block_on(daemon::serve(ports(&listen)));
            runtime.shutdown_timeout(LAST_WRITES);
            Ok(result?)
        }
        // Ends with a code of its own, see `main`.
        Command::Init { .. } => Ok(()),
        Command::Start(listen) => Ok(start(ports(&listen))?),
        Command::Install { directory, stay } => run_install(&directory, stay),
    }
}

fn run_install(directory: &std::path::Path, then_stay: bool) -> Result<(), Box<dyn Error>> {
    install(directory)?;
    if then_stay {
        stay();
    }
    Ok(())
}

fn ports(listen: &Listen) -> Ports {
    let interpreter = (!listen.no_interpreter).then_some(listen.interpreter_port);
    Ports {
        daemon: listen.port,
        interpreter,
    }
}
