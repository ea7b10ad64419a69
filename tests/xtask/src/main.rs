//! `cargo xtask`: everything a developer of Silica runs, each as one command.

mod bench;
mod build;
mod cluster;
mod command;
mod down;
mod elf;
mod environment;
mod fuzz;
mod generate;
mod images;
mod python;
mod suites;
mod test;
mod up;
mod workspace;

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
    Up(up::Arguments),
    Down(down::Arguments),
    Test(test::Arguments),
    Bench(bench::Arguments),
    Build(build::Arguments),
    Cluster(cluster::Arguments),
    Images(images::Arguments),
    Generate(generate::Arguments),
    Fuzz(fuzz::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Up(arguments) => up::run(&arguments).await,
        Task::Down(arguments) => down::run(&arguments),
        Task::Test(arguments) => test::run(&arguments).await,
        Task::Bench(arguments) => bench::run(&arguments).await,
        Task::Build(arguments) => build::run(&arguments),
        Task::Cluster(arguments) => cluster::run(arguments).await,
        Task::Images(arguments) => images::run(&arguments),
        Task::Generate(arguments) => generate::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
