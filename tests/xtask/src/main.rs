//! `cargo xtask`: everything a developer of Silica runs, each as one command.

mod cluster;
mod images;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, run and test Silica on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Cluster(cluster::Arguments),
    Images(images::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Cluster(arguments) => cluster::run(arguments).await,
        Task::Images(arguments) => images::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
