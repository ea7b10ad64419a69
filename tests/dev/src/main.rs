//! Carries out the tasks of `cargo xtask`, which `tests/xtask` starts.

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
mod load;
mod python;
mod rotator;
mod test;
mod tidy;
mod tool;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Arguments, Task};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Up(arguments) => up::run(&arguments).await,
        Task::Down => down::run(),
        Task::Test(arguments) => test::run(&arguments).await,
        Task::Bench(arguments) => bench::run(&arguments).await,
        Task::Build(arguments) => build::run(&arguments),
        Task::Cluster(arguments) => cluster::run(arguments).await,
        Task::Images => images::run(),
        Task::Generate { check } => generate::run(check),
        Task::Tidy => tidy::run(),
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
